-- What model access keys may have; NULL: as the configuration says of every key. Requests and tokens a minute, tokens a day.
ALTER TABLE model_keys ADD COLUMN requests_per_minute BIGINT;
ALTER TABLE model_keys ADD COLUMN tokens_per_minute BIGINT;
ALTER TABLE model_keys ADD COLUMN tokens_per_day BIGINT;
-- What was used of models: one row a minute for each key (or token) and model. `minute` is when it began. The key may be gone.
CREATE TABLE model_usage (
    account_id BIGINT NOT NULL, minute BIGINT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL,
    requests BIGINT NOT NULL, errors BIGINT NOT NULL, tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL,
    estimated BIGINT NOT NULL, PRIMARY KEY (account_id, minute, key_id, model)
);
CREATE INDEX model_usage_by_minute ON model_usage (minute);
CREATE INDEX model_usage_by_key ON model_usage (key_id, minute);
