-- Networks: what is in a VPC, and names.
CREATE INDEX droplets_by_vpc ON droplets (account_id, vpc_id, id);

-- Domains and their records. A name is one account's; `serial` grows with each change of a record.
CREATE TABLE domains (
    name TEXT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, serial BIGINT NOT NULL, created_at BIGINT NOT NULL
);
CREATE INDEX domains_by_account ON domains (account_id, created_at, name);

-- `name` is below the domain, `@` the domain itself.
CREATE TABLE domain_records (
    id {id},
    domain TEXT NOT NULL, type TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL, priority BIGINT, port BIGINT,
    ttl BIGINT NOT NULL, weight BIGINT, flags BIGINT, tag TEXT
);
CREATE INDEX domain_records_by_name ON domain_records (domain, name, type);
CREATE INDEX domain_records_by_id ON domain_records (domain, id);
