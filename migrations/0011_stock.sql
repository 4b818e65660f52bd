-- What the operator declared that there is, whole; at most one row.
CREATE TABLE stock (one BIGINT PRIMARY KEY, generation BIGINT NOT NULL, declaration TEXT NOT NULL);

-- What each Droplet has of a declared host, from its placement until its machine is gone; `gpus` are places in the host's list,
-- those past its end are GPUs that the host has no more.
CREATE TABLE holdings (
    droplet_id BIGINT PRIMARY KEY, host TEXT NOT NULL, vcpus BIGINT NOT NULL, memory_mib BIGINT NOT NULL, gpus TEXT NOT NULL,
    gpu_model TEXT
);

-- The same GPUs one by one, so that none has two holders whatever else goes wrong.
CREATE TABLE held_gpus (host TEXT NOT NULL, place BIGINT NOT NULL, droplet_id BIGINT NOT NULL, PRIMARY KEY (host, place));
CREATE INDEX held_gpus_by_droplet ON held_gpus (droplet_id);

-- Creates that wait for room, in the order they came.
CREATE INDEX droplets_unplaced ON droplets (id) WHERE host IS NULL;
