-- Who did what: every request that may change something, and when each token was last used.

ALTER TABLE tokens ADD COLUMN last_used_at BIGINT;

-- `account_id` and `token_id` are NULL where no good token came; `left_out` counts refusals not written down before this one.
CREATE TABLE audit (
    id {id},
    at BIGINT NOT NULL, account_id BIGINT, token_id TEXT, operation TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    status BIGINT NOT NULL, address TEXT, request_id TEXT NOT NULL, left_out BIGINT NOT NULL
);
CREATE INDEX audit_by_account ON audit (account_id, id);
