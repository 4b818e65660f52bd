-- Models that were added while the server runs. `source` is JSON: a file of one server's data directory, or Droplets with a
-- tag. `revision` counts the changes of a row, so that another server on the same store sees that there was one.
CREATE TABLE models (
    name TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, owner TEXT NOT NULL, source TEXT NOT NULL,
    state TEXT NOT NULL, why TEXT, revision BIGINT NOT NULL, created_at BIGINT NOT NULL
);
