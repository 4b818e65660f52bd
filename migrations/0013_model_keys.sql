-- Model access keys: what models are asked with. `hash` is the SHA-256 of the key in hex; the key itself is nowhere. One that
-- was deleted is gone from here, and so good no more.
CREATE TABLE model_keys (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX model_keys_by_hash ON model_keys (hash);
CREATE INDEX model_keys_by_account ON model_keys (account_id, created_at, id);
