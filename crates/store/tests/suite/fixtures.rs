//! Records to put in. Each names only what its test is about; the rest is plain.

use std::net::Ipv4Addr;

use dewpoint_api::{AccountId, ActionId, ActionStatus, DropletId, DropletStatus, ResourceType, SshKeyId, TagName};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    AccountRecord, ActionRecord, DropletRecord, ReadinessState, SshKeyRecord, TokenRecord, VolumeRecord, VpcRecord,
    Window,
};

/// Two accounts that must not see each other.
pub(crate) const ALICE: AccountId = AccountId(1);
pub(crate) const BOB: AccountId = AccountId(2);

/// A window onto a whole list.
pub(crate) const ALL: Window = Window { skip: 0, take: 1_000_000 };

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn tag(name: &str) -> TagName {
    name.parse().expect("a good tag name")
}

/// A UUID that ends in `number`, in every type that is one.
pub(crate) fn uuid<T: std::str::FromStr>(number: u64) -> T {
    let text = format!("00000000-0000-4000-8000-{number:012x}");
    text.parse().unwrap_or_else(|_| unreachable!("{text} is a UUID"))
}

pub(crate) fn account(id: AccountId) -> AccountRecord {
    AccountRecord {
        id,
        uuid: format!("account-{id}"),
        email: format!("{id}@example.com"),
        name: "An Owner".into(),
        status: "active".into(),
        status_message: String::new(),
        team_uuid: "team".into(),
        team_name: "My Team".into(),
        created_at: at(1),
    }
}

pub(crate) fn token(number: u64, account: AccountId) -> TokenRecord {
    TokenRecord {
        id: uuid(number),
        account,
        name: format!("token {number}"),
        hash: format!("{number:064x}"),
        scopes: "droplet:read".into(),
        created_at: at(number.try_into().expect("a small number")),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

pub(crate) fn ssh_key(id: u64) -> SshKeyRecord {
    SshKeyRecord {
        id: SshKeyId(id),
        name: format!("key {id}"),
        fingerprint: format!("3b:16:{id}"),
        public_key: "ssh-ed25519 AAAA".into(),
    }
}

pub(crate) fn vpc(number: u64, region: &str) -> VpcRecord {
    VpcRecord {
        id: uuid(number),
        region: region.into(),
        name: format!("vpc-{number}"),
        description: String::new(),
        ip_range: "10.10.0.0/16".into(),
        is_default: false,
        created_at: at(number.try_into().expect("a small number")),
    }
}

pub(crate) fn volume(number: u64, region: &str) -> VolumeRecord {
    VolumeRecord {
        id: uuid(number),
        region: region.into(),
        name: format!("volume-{number}"),
        description: "Schätze, 宝物".into(),
        size_gib: 10,
        filesystem_type: "ext4".into(),
        filesystem_label: String::new(),
        droplet: None,
        created_at: at(number.try_into().expect("a small number")),
        made_gib: 10,
        made: true,
        source_snapshot: None,
        running_action: None,
    }
}

pub(crate) fn droplet(id: u64, account: AccountId) -> DropletRecord {
    DropletRecord {
        id: DropletId(id),
        account,
        name: format!("Web-{id}"),
        gpu: false,
        status: DropletStatus::New,
        region: "nyc3".into(),
        size: "s-1vcpu-1gb".into(),
        image_id: dewpoint_api::ImageId(7),
        image_slug: None,
        vcpus: 1,
        memory_mib: 1024,
        disk_gib: 25,
        vpc: uuid(1),
        host: None,
        running_action: None,
        backups: None,
        backup_due_at: None,
        ipv6: false,
        monitoring: true,
        agent: false,
        public_networking: true,
        public_v4: None,
        private_v4: Ipv4Addr::new(10, 10, 0, 2),
        private_netmask: Ipv4Addr::new(255, 255, 0, 0),
        public_v6: None,
        created_at: at(1_700_000_000_000),
        placed_at: None,
        started_at: None,
        active_at: None,
        ssh_at: None,
        ready_at: None,
        readiness: ReadinessState::Pending,
        readiness_detail: None,
    }
}

pub(crate) fn action(id: u64, account: AccountId) -> ActionRecord {
    ActionRecord {
        id: ActionId(id),
        account,
        resource_type: ResourceType::Droplet,
        resource_uuid: None,
        droplet: None,
        resource_id: Some(1),
        kind: "create".into(),
        status: ActionStatus::InProgress,
        region: Some("nyc3".into()),
        request: "{}".into(),
        step: "place".into(),
        timeline: Vec::new(),
        reason: None,
        leased_until: at(0),
        attempt: 0,
        started_at: at(10),
        completed_at: None,
    }
}
