-- What was done for clients that say nothing of their retries, for a server that was killed before it answered them.

-- A ring: each server has slots numbered from 0, the newest request takes the place of the oldest. Which of the answers
-- were handed over is in a file beside the server.
CREATE TABLE untold (
    server BIGINT NOT NULL, slot BIGINT NOT NULL, number BIGINT NOT NULL, fingerprint TEXT NOT NULL, made TEXT NOT NULL,
    expires_at BIGINT NOT NULL, PRIMARY KEY (server, slot)
) {clustered};
