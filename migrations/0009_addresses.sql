-- Reserved addresses, VPCs that are peered, and addresses that rest before they are given again.

-- When it was given back: it rests from then on. NULL while somebody holds it, or it is withdrawn.
ALTER TABLE addresses ADD COLUMN freed_at BIGINT;
CREATE INDEX addresses_resting ON addresses (freed_at) WHERE freed_at IS NOT NULL;

-- `number` is what actions call it: of IPv4 the address itself, which is also its position in the pool; of IPv6 the lower half.
-- `droplet_id` is where it leads.
CREATE TABLE reserved_ips (
    address TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, is_v6 BOOLEAN NOT NULL, number BIGINT NOT NULL,
    region TEXT NOT NULL, droplet_id BIGINT, running_action BIGINT, created_at BIGINT NOT NULL
);
CREATE INDEX reserved_ips_by_account ON reserved_ips (account_id, is_v6, created_at, number);
CREATE UNIQUE INDEX reserved_ips_by_number ON reserved_ips (number, is_v6);
CREATE UNIQUE INDEX reserved_ips_by_droplet ON reserved_ips (droplet_id, is_v6) WHERE droplet_id IS NOT NULL;

-- `first_vpc` is the smaller id of the two. `revision` counts its changes.
CREATE TABLE vpc_peerings (
    id TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, name TEXT NOT NULL, first_vpc TEXT NOT NULL,
    second_vpc TEXT NOT NULL, status TEXT NOT NULL, revision BIGINT NOT NULL, created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX vpc_peerings_by_name ON vpc_peerings (account_id, name);
CREATE UNIQUE INDEX vpc_peerings_by_pair ON vpc_peerings (first_vpc, second_vpc);
CREATE INDEX vpc_peerings_by_second ON vpc_peerings (second_vpc);
