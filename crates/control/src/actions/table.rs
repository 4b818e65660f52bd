//! Which flow an action is carried out by: one table for all kinds of all resources.

use dewpoint_api::{ActionKind, ResourceType};

use super::{
    change, create, destroy,
    flow::{Context, Flow},
    image, password, policy, power, rebuild, rename, reserved_ip, snapshot, volume, volume_snapshot,
    worker::{Ended, Worker},
};
use crate::Error;

fn names<F: Flow>() -> Vec<&'static str> {
    F::all().map(|(_, name)| name).collect()
}

macro_rules! flows {
    ($($resource:ident $kind:ident => $step:ty;)+) => {
        /// Every kind of action there is a flow for, with what it is done to.
        pub const FLOWS: &[(ResourceType, ActionKind)] = &[$((ResourceType::$resource, ActionKind::$kind)),+];

        /// The names of the steps of an action, in order and with its compensation last; empty when there is no such action.
        pub fn steps_of(resource: ResourceType, kind: ActionKind) -> Vec<&'static str> {
            match (resource, kind) {
                $((ResourceType::$resource, ActionKind::$kind) => names::<$step>(),)+
                _ => Vec::new(),
            }
        }

        /// Carries the action out, from the step it is at.
        pub(super) async fn drive(worker: &Worker, cx: Context) -> Result<Ended, Error> {
            match (cx.action.resource_type, cx.action.kind.parse()) {
                $((ResourceType::$resource, Ok(ActionKind::$kind)) => worker.steps::<$step>(cx).await,)+
                // Accepted by no handler of this version; a store that a newer one wrote is refused at the start.
                _ => Err(Error::invalid("this version of Dewpoint cannot carry out such an action")),
            }
        }
    };
}

flows! {
    Droplet Create => create::CreateStep;
    Droplet Destroy => destroy::DestroyStep;
    Droplet PowerOn => power::PowerOnStep;
    Droplet PowerOff => power::PowerOffStep;
    Droplet Shutdown => power::ShutdownStep;
    Droplet Reboot => power::RebootStep;
    Droplet PowerCycle => power::PowerCycleStep;
    Droplet Rename => rename::RenameStep;
    Droplet EnablePrivateNetworking => rename::NothingStep;
    Droplet Snapshot => snapshot::SnapshotStep;
    Droplet Backup => snapshot::SnapshotStep;
    Droplet Rebuild => rebuild::RebuildStep;
    Droplet Restore => rebuild::RebuildStep;
    Droplet Resize => change::ResizeStep;
    Droplet EnableIpv6 => change::Ipv6Step;
    Droplet EnableBackups => policy::PolicyStep;
    Droplet DisableBackups => policy::PolicyStep;
    Droplet ChangeBackupPolicy => policy::PolicyStep;
    Droplet PasswordReset => password::PasswordStep;
    Image Create => image::ImportStep;
    Image Destroy => image::DestroyStep;
    Image Transfer => image::TransferStep;
    Image Convert => image::ConvertStep;
    Volume Create => volume::CreateStep;
    Volume Destroy => volume::DestroyStep;
    Volume AttachVolume => volume::AttachStep;
    Volume DetachVolume => volume::DetachStep;
    Volume Resize => volume::ResizeStep;
    Volume Snapshot => volume_snapshot::TakeStep;
    VolumeSnapshot Destroy => volume_snapshot::DestroyStep;
    ReservedIp AssignIp => reserved_ip::PointStep;
    ReservedIp UnassignIp => reserved_ip::PointStep;
    ReservedIp ReleaseIp => reserved_ip::ReleaseStep;
    ReservedIpv6 AssignIp => reserved_ip::PointStep;
    ReservedIpv6 UnassignIp => reserved_ip::PointStep;
    ReservedIpv6 ReleaseIp => reserved_ip::ReleaseStep;
}
