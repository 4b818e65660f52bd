-- What was done at most once: which request it was, and what it made. Never the answer itself, so no secret and nothing stale.

-- `name` says which requests mean this row: those of a key, or the retries of one request. `slot` is 0 for a key, of which
-- there is one; equal requests without a key have a slot each, and `joined` is the highest retry that was told of it.
CREATE TABLE once (
    account_id BIGINT NOT NULL, name TEXT NOT NULL, slot BIGINT NOT NULL,
    number BIGINT NOT NULL, fingerprint TEXT NOT NULL, made TEXT NOT NULL, joined BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, PRIMARY KEY (account_id, name, slot)
) {clustered};
CREATE UNIQUE INDEX once_by_number ON once (number);
CREATE INDEX once_by_expiry ON once (expires_at);
