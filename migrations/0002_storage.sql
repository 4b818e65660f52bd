-- The whole life of a Droplet: images of accounts, snapshots, volumes with content, projects, teardowns.

-- `resource_uuid` names what has no number; `droplet_id` is the Droplet that is locked while the action runs.
ALTER TABLE actions ADD COLUMN resource_uuid TEXT;
ALTER TABLE actions ADD COLUMN droplet_id BIGINT;
UPDATE actions SET droplet_id = resource_id WHERE resource_type = 'droplet';
CREATE INDEX actions_by_uuid ON actions (resource_uuid, id) WHERE resource_uuid IS NOT NULL;

-- When the next backup is due; NULL when backups are off.
ALTER TABLE droplets ADD COLUMN backup_due_at BIGINT;
-- Backups that were on already are due in the present or the next window.
UPDATE droplets SET backup_due_at = 0 WHERE backups IS NOT NULL;
CREATE INDEX droplets_backup_due ON droplets (backup_due_at) WHERE backup_due_at IS NOT NULL;
-- The image its disk is being started anew from, while that runs.
ALTER TABLE droplets ADD COLUMN next_image_id BIGINT;

-- As crypt(5) writes it; the password itself is in `passwords` until it was shown.
ALTER TABLE droplet_seeds ADD COLUMN password_hash TEXT;
CREATE TABLE passwords (droplet_id {id}, password TEXT NOT NULL, set_at BIGINT NOT NULL);

-- Images of accounts: snapshots, backups, custom ones. A deleted one stays as a name for Droplets made from it.
CREATE TABLE images (
    id {id},
    account_id BIGINT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
    distribution TEXT NOT NULL, description TEXT NOT NULL, regions TEXT NOT NULL,
    droplet_id BIGINT, min_disk_gib BIGINT, size_bytes BIGINT, url TEXT, error_message TEXT NOT NULL,
    created_at BIGINT NOT NULL, expires_at BIGINT, deleted_at BIGINT
);
CREATE INDEX images_by_account ON images (account_id, id) WHERE deleted_at IS NULL;
CREATE INDEX images_by_kind ON images (account_id, kind, id) WHERE deleted_at IS NULL;
CREATE INDEX images_by_droplet ON images (droplet_id, kind, id) WHERE deleted_at IS NULL AND droplet_id IS NOT NULL;
CREATE INDEX images_expiring ON images (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;

-- `number` gives them an order; `id` is what the API shows.
CREATE TABLE volume_snapshots (
    number {id},
    id TEXT NOT NULL, account_id BIGINT NOT NULL, volume_id TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
    size_gib BIGINT NOT NULL, size_bytes BIGINT NOT NULL, filesystem_type TEXT NOT NULL, filesystem_label TEXT NOT NULL,
    available BOOLEAN NOT NULL, created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX volume_snapshots_by_id ON volume_snapshots (id);
CREATE INDEX volume_snapshots_by_account ON volume_snapshots (account_id, number);
CREATE INDEX volume_snapshots_by_volume ON volume_snapshots (volume_id, number);

-- `made_gib` is the size it was asked for with, `source_snapshot` what it started as; `running_action` locks it.
ALTER TABLE volumes ADD COLUMN made_gib BIGINT;
-- Until now volumes were rows alone: no machine has one.
UPDATE volumes SET made_gib = size_gib, droplet_id = NULL;
ALTER TABLE volumes ADD COLUMN source_snapshot TEXT;
ALTER TABLE volumes ADD COLUMN running_action BIGINT;
CREATE INDEX volumes_by_source ON volumes (source_snapshot) WHERE source_snapshot IS NOT NULL;

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    purpose TEXT NOT NULL, environment TEXT NOT NULL, is_default BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX projects_by_name ON projects (account_id, name);

-- Which project a resource was put into; what is not here is in the default one.
CREATE TABLE project_resources (
    account_id BIGINT NOT NULL, urn TEXT NOT NULL, project_id TEXT NOT NULL, assigned_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, urn)
) {clustered};
CREATE INDEX project_resources_by_project ON project_resources (project_id, urn);

-- A Droplet that is destroyed with what belongs to it: what, and how far that is. Readable after the Droplet is gone.
CREATE TABLE teardowns (
    droplet_id {id},
    account_id BIGINT NOT NULL, droplet_name TEXT NOT NULL, parts TEXT NOT NULL,
    running_action BIGINT, started_at BIGINT NOT NULL, completed_at BIGINT
);
