-- Firewalls. Rules are JSON: they are written and read whole.
CREATE TABLE firewalls (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, name TEXT NOT NULL,
    inbound TEXT NOT NULL, outbound TEXT NOT NULL, created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX firewalls_by_name ON firewalls (account_id, name);
CREATE INDEX firewalls_by_account ON firewalls (account_id, created_at, id);

-- The Droplets and tags of a firewall: those it guards, and those its rules name. `droplet_id` is 0 for a tag, `tag` empty for a
-- Droplet.
CREATE TABLE firewall_parties (
    firewall_id TEXT NOT NULL, guarded BOOLEAN NOT NULL, droplet_id BIGINT NOT NULL, tag TEXT NOT NULL,
    account_id BIGINT NOT NULL, PRIMARY KEY (firewall_id, guarded, droplet_id, tag)
) {clustered};
CREATE INDEX firewall_parties_by_party ON firewall_parties (account_id, droplet_id, tag);

-- What of a firewall is written here and not yet in force: for one Droplet, or with `droplet_id` 0 for all it guards. What the
-- network was made of has every `number` up to one.
CREATE TABLE firewall_changes (
    firewall_id TEXT NOT NULL, droplet_id BIGINT NOT NULL, account_id BIGINT NOT NULL, removing BOOLEAN NOT NULL,
    failed BOOLEAN NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (firewall_id, droplet_id)
) {clustered};
CREATE INDEX firewall_changes_by_number ON firewall_changes (number);
CREATE INDEX firewall_changes_by_droplet ON firewall_changes (droplet_id);
