-- Times are milliseconds since the Unix epoch, JSON is TEXT, ids of ours come from `counters`. A `clustered` table is stored in
-- the order of its primary key, without a second tree, where the database can.

-- The last number handed out, per sequence and per address pool.
CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL) {clustered};

-- How many rows a paged list has, in buckets of 1024 ids: totals and deep pages are read from here.
CREATE TABLE list_counts (
    list TEXT NOT NULL, bucket BIGINT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (list, bucket)
) {clustered};

CREATE TABLE accounts (
    id {id},
    uuid TEXT NOT NULL, email TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, status_message TEXT NOT NULL,
    team_uuid TEXT NOT NULL, team_name TEXT NOT NULL, created_at BIGINT NOT NULL
);

-- `hash` is the SHA-256 of the token in hex; the token itself is nowhere.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL, expires_at BIGINT, revoked_at BIGINT
);
CREATE UNIQUE INDEX tokens_by_hash ON tokens (hash);

CREATE TABLE ssh_keys (
    id {id},
    account_id BIGINT NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL, public_key TEXT NOT NULL
);
CREATE UNIQUE INDEX ssh_keys_by_fingerprint ON ssh_keys (account_id, fingerprint);

CREATE TABLE vpcs (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, ip_range TEXT NOT NULL, is_default BOOLEAN NOT NULL, created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX vpcs_by_name ON vpcs (account_id, name);
CREATE INDEX vpcs_by_region ON vpcs (account_id, region, is_default);

-- A Droplet that was deleted is gone from here at once; its machine and addresses go by the destroy action.
CREATE TABLE droplets (
    id {id},
    account_id BIGINT NOT NULL, name TEXT NOT NULL, name_folded TEXT NOT NULL, gpu BOOLEAN NOT NULL, status TEXT NOT NULL,
    region TEXT NOT NULL, size TEXT NOT NULL, image_id BIGINT NOT NULL, image_slug TEXT,
    vcpus BIGINT NOT NULL, memory_mib BIGINT NOT NULL, disk_gib BIGINT NOT NULL,
    vpc_id TEXT NOT NULL, host TEXT,
    running_action BIGINT,
    backups TEXT, ipv6 BOOLEAN NOT NULL, monitoring BOOLEAN NOT NULL, agent BOOLEAN NOT NULL,
    public_networking BOOLEAN NOT NULL,
    public_v4 BIGINT, private_v4 BIGINT NOT NULL, private_netmask BIGINT NOT NULL, public_v6 TEXT,
    created_at BIGINT NOT NULL, placed_at BIGINT, started_at BIGINT, active_at BIGINT, ssh_at BIGINT, ready_at BIGINT,
    readiness TEXT NOT NULL, readiness_detail TEXT
);
CREATE INDEX droplets_by_account ON droplets (account_id, gpu, id);
CREATE INDEX droplets_by_name ON droplets (account_id, name_folded, id);
CREATE INDEX droplets_not_ready ON droplets (id) WHERE readiness = 'pending' AND active_at IS NOT NULL;

-- What only the machine needs to know; a row where there is anything.
CREATE TABLE droplet_seeds (droplet_id {id}, ssh_keys TEXT NOT NULL, user_data TEXT);

-- Who holds which address of which pool; `position` counts from the pool's first address.
CREATE TABLE addresses (
    pool TEXT NOT NULL, position BIGINT NOT NULL, droplet_id BIGINT, PRIMARY KEY (pool, position)
) {clustered};
CREATE INDEX addresses_by_droplet ON addresses (droplet_id);

-- An action is the durable job: what to do, how far it is, who is at it until when, and how it went.
CREATE TABLE actions (
    id {id},
    account_id BIGINT NOT NULL, resource_type TEXT NOT NULL, resource_id BIGINT, type TEXT NOT NULL, status TEXT NOT NULL,
    region TEXT, request TEXT NOT NULL, step TEXT NOT NULL, timeline TEXT NOT NULL, reason TEXT,
    leased_until BIGINT NOT NULL, attempt BIGINT NOT NULL, started_at BIGINT NOT NULL, completed_at BIGINT
);
CREATE INDEX actions_by_account ON actions (account_id, id);
CREATE INDEX actions_by_resource ON actions (resource_type, resource_id, id);
CREATE INDEX actions_waiting ON actions (leased_until, id) WHERE status = 'in-progress';

CREATE TABLE tags (
    account_id BIGINT NOT NULL, name_folded TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account_id, name_folded)
) {clustered};

-- `resource_number` is the id of a resource that is numbered, for joins and order; 0 for the others.
CREATE TABLE tag_resources (
    account_id BIGINT NOT NULL, tag TEXT NOT NULL, resource_type TEXT NOT NULL, resource_id TEXT NOT NULL,
    resource_number BIGINT NOT NULL, tagged_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, tag, resource_type, resource_number, resource_id)
) {clustered};
CREATE INDEX tag_resources_by_resource ON tag_resources (resource_type, resource_number, resource_id);

CREATE TABLE volumes (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, size_gib BIGINT NOT NULL, filesystem_type TEXT NOT NULL, filesystem_label TEXT NOT NULL,
    droplet_id BIGINT, created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX volumes_by_name ON volumes (account_id, region, name);
CREATE INDEX volumes_by_droplet ON volumes (droplet_id);
