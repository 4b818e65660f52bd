-- Hosts of which what is taken is counted, each with its GPUs in the order of their places: as the operator declared them, or
-- as the engine tells of them. No region is every region. `generation` is that of the stock when the row was last written.
CREATE TABLE hosts (
    declared BOOLEAN NOT NULL, name TEXT NOT NULL, position BIGINT NOT NULL, region TEXT, vcpus BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL, gpus TEXT NOT NULL, generation BIGINT NOT NULL, PRIMARY KEY (declared, name)
);

-- What the engine calls the GPUs of a holding, in the order of their places; empty for one from before there were names.
ALTER TABLE holdings ADD COLUMN addresses TEXT NOT NULL DEFAULT '';
