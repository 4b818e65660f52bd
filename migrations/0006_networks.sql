-- Networks: which Droplets are in a VPC.
CREATE INDEX droplets_by_vpc ON droplets (account_id, vpc_id, id);
