//! Actions: changes that take time, and how they went.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ActionId, Embedded, Region, RegionSlug, Resource,
    page::{Collection, Single},
    word::{Word, words},
};

/// A change to a resource, running or over. Source: public OpenAPI, model `action`; behaviour rules ACT-2, ACT-3.
///
/// Times are RFC 3339 UTC in whole seconds. `completed_at` and a status other than `in-progress` come together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// Its number, unique over all kinds of resource.
    pub id: ActionId,
    /// How it goes.
    pub status: Word<ActionStatus>,
    /// What is done.
    #[serde(rename = "type")]
    pub kind: Word<ActionKind>,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it was over; null while it runs.
    pub completed_at: Option<Timestamp>,
    /// What it is done to, where that has a number; null for volumes (behaviour rule ACT-11).
    pub resource_id: Option<u64>,
    /// What kind of thing it is done to.
    pub resource_type: Word<ResourceType>,
    /// Where; null for what is in no region.
    pub region: Option<Embedded<Region>>,
    /// The region's slug.
    pub region_slug: Option<RegionSlug>,
}

impl Resource for Action {
    const ONE: &'static str = "action";
    const MANY: &'static str = "actions";
}

/// The answer that holds one action.
pub type ActionResponse = Single<Action>;
/// A page of actions.
pub type ActionsResponse = Collection<Action>;

words! {
    /// How an action goes. Never another word: one broke a client (behaviour rule ACT-3).
    pub enum ActionStatus {
        /// It runs.
        InProgress = "in-progress",
        /// It is done.
        Completed = "completed",
        /// It failed, and is over.
        Errored = "errored",
    }
}

words! {
    /// What an action does, as its `type` shows it (behaviour rule ACT-8).
    pub enum ActionKind {
        /// Makes a Droplet.
        Create = "create",
        /// Removes a Droplet.
        Destroy = "destroy",
        /// Begins regular backups.
        EnableBackups = "enable_backups",
        /// Ends regular backups.
        DisableBackups = "disable_backups",
        /// Changes when backups are made.
        ChangeBackupPolicy = "change_backup_policy",
        /// Asks the guest to restart.
        Reboot = "reboot",
        /// Cuts the power and gives it again.
        PowerCycle = "power_cycle",
        /// Asks the guest to stop.
        Shutdown = "shutdown",
        /// Cuts the power.
        PowerOff = "power_off",
        /// Gives power.
        PowerOn = "power_on",
        /// Puts one of the Droplet's backups back.
        Restore = "restore",
        /// Sets a new root password.
        PasswordReset = "password_reset",
        /// Changes a Droplet's or a volume's size.
        Resize = "resize",
        /// Starts the disk anew from an image.
        Rebuild = "rebuild",
        /// Changes the name.
        Rename = "rename",
        /// Changes the kernel; refused, since every Droplet boots its own.
        ChangeKernel = "change_kernel",
        /// Adds an IPv6 address.
        EnableIpv6 = "enable_ipv6",
        /// Does nothing: every Droplet has a private network. godo still sends it.
        EnablePrivateNetworking = "enable_private_networking",
        /// Makes an image of a Droplet.
        Snapshot = "snapshot",
        /// Makes an image of a Droplet by its backup policy.
        Backup = "backup",
        /// Brings an image to another region.
        Transfer = "transfer",
        /// Turns a backup into a snapshot.
        Convert = "convert",
        /// Gives a volume to a Droplet.
        AttachVolume = "attach_volume",
        /// Takes a volume from a Droplet.
        DetachVolume = "detach_volume",
        /// Gives an address to a Droplet.
        AssignIp = "assign_ip",
        /// Takes an address from a Droplet.
        UnassignIp = "unassign_ip",
        /// Reserves an address.
        ReserveIp = "reserve_ip",
        /// Gives a reserved address up.
        ReleaseIp = "release_ip",
    }
}

words! {
    /// What kind of thing an action, a tag or a snapshot speaks of.
    pub enum ResourceType {
        /// A Droplet.
        Droplet = "droplet",
        /// An image.
        Image = "image",
        /// A block storage volume.
        Volume = "volume",
        /// A snapshot of a volume.
        VolumeSnapshot = "volume_snapshot",
        /// A reserved address.
        ReservedIp = "reserved_ip",
        /// A reserved address by its old name.
        FloatingIp = "floating_ip",
        /// A reserved IPv6 address.
        ReservedIpv6 = "reserved_ipv6",
        /// A database; of another service, but tags speak of it.
        Database = "database",
        /// A load balancer.
        LoadBalancer = "load_balancer",
    }
}
