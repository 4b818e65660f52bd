//! What every engine must do about disks: changes of machines, images and volumes.

use uuid::Uuid;

use super::Bench;
use crate::{
    Error, Filesystem, FilesystemKind, ImageName, MachineId, MachineSpec, ObservedVolume, Power, PowerState, VolumeId,
    VolumeSpec,
};

/// Runs every check of this module.
pub async fn all(bench: &Bench) {
    a_machine_that_is_off_can_grow(bench).await;
    a_running_machine_is_not_resized(bench).await;
    a_disk_never_shrinks(bench).await;
    a_machine_can_be_built_anew(bench).await;
    a_running_machine_is_not_built_anew(bench).await;
    a_snapshot_is_an_image_machines_are_made_from(bench).await;
    a_running_machine_can_be_snapshotted(bench).await;
    a_snapshot_is_taken_once(bench).await;
    an_image_outlives_what_it_was_taken_of(bench).await;
    what_was_made_from_an_image_outlives_it(bench).await;
    removing_an_image_is_idempotent(bench).await;
    a_password_needs_a_running_guest(bench).await;
    making_a_volume_twice_is_one_volume(bench).await;
    making_a_volume_otherwise_conflicts(bench).await;
    a_volume_is_attached_to_one_machine(bench).await;
    attaching_at_once_attaches_to_one(bench).await;
    a_volume_comes_and_goes_while_its_machine_runs(bench).await;
    a_volume_stays_attached_over_a_restart(bench).await;
    a_removed_machine_lets_its_volumes_go(bench).await;
    a_volume_grows_and_never_shrinks(bench).await;
    a_volume_can_start_as_a_snapshot_of_another(bench).await;
    nothing_is_made_from_an_image_that_is_gone(bench).await;
    removing_a_volume_is_idempotent(bench).await;
}

fn image() -> ImageName {
    ImageName::own(Uuid::new_v4()).expect("a name")
}

fn volume_spec() -> VolumeSpec {
    VolumeSpec { name: "data".to_owned(), size_gib: 1, filesystem: None, source: None }
}

impl Bench {
    async fn volume(&self) -> VolumeId {
        let id = VolumeId(Uuid::new_v4());
        self.engine.ensure_volume(id, &volume_spec()).await.expect("the volume is made");
        id
    }

    async fn at(&self, id: VolumeId) -> Option<MachineId> {
        self.engine.observe_volume(id).await.expect("the volume is looked at").expect("a volume").machine
    }

    async fn volume_gone(&self, id: VolumeId) {
        self.engine.remove_volume(id).await.expect("the volume is removed");
        assert_eq!(self.engine.observe_volume(id).await.expect("a look"), None);
        assert!(!self.engine.volumes().await.expect("a list").contains(&id));
    }

    async fn image_gone(&self, image: &ImageName) {
        self.engine.remove_image(image).await.expect("the image is removed");
        assert!(!self.engine.images().await.expect("a list").contains(image));
    }

    async fn on(&self, id: MachineId) {
        self.engine.power(id, Power::On).await.expect("it starts");
    }
}

/// [`crate::Engine::change`] gives other processors, memory and a larger disk, and again is success.
pub async fn a_machine_that_is_off_can_grow(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let larger = MachineSpec { memory_mib: spec.memory_mib + 64, disk_gib: spec.disk_gib + 1, ..spec };
    for _ in 0..2 {
        bench.engine.change(id, &larger).await.expect("it grows");
    }
    bench.engine.ensure(id, &larger).await.expect("it is as it was told to be");
    bench.on(id).await;
    bench.gone(id).await;
}

/// A running machine keeps its size.
pub async fn a_running_machine_is_not_resized(bench: &Bench) {
    let (id, spec) = bench.made().await;
    bench.on(id).await;
    let larger = MachineSpec { memory_mib: spec.memory_mib + 64, ..spec.clone() };
    assert!(bench.engine.change(id, &larger).await.is_err());
    bench.engine.ensure(id, &spec).await.expect("it is as it was");
    bench.gone(id).await;
}

/// What is on a disk is never cut off.
pub async fn a_disk_never_shrinks(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let smaller = MachineSpec { disk_gib: spec.disk_gib - 1, ..spec };
    let refused = bench.engine.change(id, &smaller).await;
    assert!(matches!(refused, Err(Error::SpecConflict(at)) if at == id), "{refused:?}");
    bench.gone(id).await;
}

/// [`crate::Engine::rebuild`] makes the disk anew, from the same image or from another.
pub async fn a_machine_can_be_built_anew(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let taken = image();
    bench.engine.snapshot(id, &taken).await.expect("a snapshot");
    bench.engine.rebuild(id, &spec).await.expect("it is built anew");
    let other = MachineSpec { image: taken.clone(), ..spec };
    for _ in 0..2 {
        bench.engine.rebuild(id, &other).await.expect("it is built anew");
    }
    bench.engine.ensure(id, &other).await.expect("it is as it was told to be");
    assert_eq!(bench.observed(id).await, Some(PowerState::Off));
    bench.on(id).await;
    bench.gone(id).await;
    bench.image_gone(&taken).await;
}

/// A running machine keeps its disk.
pub async fn a_running_machine_is_not_built_anew(bench: &Bench) {
    let (id, spec) = bench.made().await;
    bench.on(id).await;
    let other = MachineSpec { hostname: "another".to_owned(), ..spec.clone() };
    assert!(bench.engine.rebuild(id, &other).await.is_err());
    bench.engine.ensure(id, &spec).await.expect("it is as it was");
    bench.gone(id).await;
}

/// A machine can be made from a snapshot, and a snapshot of that again.
pub async fn a_snapshot_is_an_image_machines_are_made_from(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let (first, second) = (image(), image());
    let facts = bench.engine.snapshot(id, &first).await.expect("a snapshot");
    assert_eq!(facts.disk_bytes, spec.disk_gib << 30);
    assert!(bench.engine.images().await.expect("a list").contains(&first));
    let (other, spec) = bench.fresh();
    let spec = MachineSpec { image: first.clone(), ..spec };
    for _ in 0..2 {
        bench.engine.ensure(other, &spec).await.expect("a machine from the snapshot");
    }
    bench.engine.snapshot(other, &second).await.expect("a snapshot of it");
    bench.on(other).await;
    bench.gone(other).await;
    bench.gone(id).await;
    bench.image_gone(&first).await;
    bench.image_gone(&second).await;
}

/// A machine goes on when a snapshot is taken of it.
pub async fn a_running_machine_can_be_snapshotted(bench: &Bench) {
    let (id, _) = bench.made().await;
    bench.on(id).await;
    let taken = [image(), image()];
    for one in &taken {
        bench.engine.snapshot(id, one).await.expect("a snapshot");
    }
    assert_eq!(bench.observed(id).await, Some(PowerState::On));
    bench.engine.power(id, Power::Off).await.expect("it goes off");
    bench.on(id).await;
    bench.gone(id).await;
    for one in &taken {
        bench.image_gone(one).await;
    }
}

/// Taking a snapshot under a name that is taken changes nothing.
pub async fn a_snapshot_is_taken_once(bench: &Bench) {
    let (id, _) = bench.made().await;
    let taken = image();
    let first = bench.engine.snapshot(id, &taken).await.expect("a snapshot");
    let again = bench.engine.snapshot(id, &taken).await.expect("it is there already");
    assert_eq!(first.disk_bytes, again.disk_bytes);
    let count = bench.engine.images().await.expect("a list").iter().filter(|one| **one == taken).count();
    assert_eq!(count, 1);
    bench.gone(id).await;
    bench.image_gone(&taken).await;
}

/// An image stays when its machine goes.
pub async fn an_image_outlives_what_it_was_taken_of(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let taken = image();
    bench.engine.snapshot(id, &taken).await.expect("a snapshot");
    bench.gone(id).await;
    let (other, _) = bench.fresh();
    let spec = MachineSpec { image: taken.clone(), nics: bench.fresh().1.nics, ..spec };
    bench.engine.ensure(other, &spec).await.expect("a machine from the snapshot");
    bench.on(other).await;
    bench.gone(other).await;
    bench.image_gone(&taken).await;
}

/// A machine goes on when the image it was made from is removed, and so does the one it was taken of.
pub async fn what_was_made_from_an_image_outlives_it(bench: &Bench) {
    let (id, _) = bench.made().await;
    let taken = image();
    bench.engine.snapshot(id, &taken).await.expect("a snapshot");
    let (other, spec) = bench.fresh();
    bench.engine.ensure(other, &MachineSpec { image: taken.clone(), ..spec }).await.expect("a machine from it");
    bench.image_gone(&taken).await;
    for machine in [id, other] {
        bench.on(machine).await;
        bench.engine.power(machine, Power::Off).await.expect("it goes off");
        bench.on(machine).await;
        bench.gone(machine).await;
    }
}

/// Removing what is gone, or never was, is success.
pub async fn removing_an_image_is_idempotent(bench: &Bench) {
    bench.image_gone(&image()).await;
}

/// [`crate::Engine::set_password`] of a machine that is off says that no guest answered.
pub async fn a_password_needs_a_running_guest(bench: &Bench) {
    let (id, _) = bench.made().await;
    let refused = bench.engine.set_password(id, "$6$salt$hash").await;
    assert!(matches!(refused, Err(Error::GuestIgnored(at)) if at == id), "{refused:?}");
    bench.gone(id).await;
}

/// [`crate::Storage::ensure_volume`] with the same spec changes nothing.
pub async fn making_a_volume_twice_is_one_volume(bench: &Bench) {
    let id = VolumeId(Uuid::new_v4());
    let label = |label: &str| Some(label.to_owned());
    for (kind, label) in [(FilesystemKind::Ext4, label("data")), (FilesystemKind::Xfs, None)] {
        let filesystem = Some(Filesystem { kind, label: label.unwrap_or_default() });
        let spec = VolumeSpec { filesystem, ..volume_spec() };
        for _ in 0..2 {
            bench.engine.ensure_volume(id, &spec).await.expect("the volume is made");
        }
        let seen = bench.engine.observe_volume(id).await.expect("a look");
        assert_eq!(seen, Some(ObservedVolume { size_gib: 1, machine: None }));
        assert!(bench.engine.volumes().await.expect("a list").contains(&id));
        bench.volume_gone(id).await;
    }
}

/// A volume's spec is settled when it is made.
pub async fn making_a_volume_otherwise_conflicts(bench: &Bench) {
    let id = bench.volume().await;
    let refused = bench.engine.ensure_volume(id, &VolumeSpec { size_gib: 2, ..volume_spec() }).await;
    assert!(matches!(refused, Err(Error::VolumeConflict(at)) if at == id), "{refused:?}");
    bench.volume_gone(id).await;
}

/// A volume that is attached is not attached elsewhere, nor removed.
pub async fn a_volume_is_attached_to_one_machine(bench: &Bench) {
    let ((one, _), (two, _)) = (bench.made().await, bench.made().await);
    let id = bench.volume().await;
    for _ in 0..2 {
        bench.engine.attach(id, one).await.expect("it is attached");
    }
    assert_eq!(bench.at(id).await, Some(one));
    let refused = bench.engine.attach(id, two).await;
    assert!(matches!(refused, Err(Error::VolumeElsewhere { machine, .. }) if machine == one), "{refused:?}");
    assert!(matches!(bench.engine.remove_volume(id).await, Err(Error::VolumeElsewhere { .. })));
    bench.engine.detach(id, two).await.expect("it is not there");
    assert_eq!(bench.at(id).await, Some(one));
    for _ in 0..2 {
        bench.engine.detach(id, one).await.expect("it is taken away");
    }
    assert_eq!(bench.at(id).await, None);
    bench.engine.attach(id, two).await.expect("now the other has it");
    bench.gone(one).await;
    bench.gone(two).await;
    bench.volume_gone(id).await;
}

/// Of many that ask at once for a volume, one gets it.
pub async fn attaching_at_once_attaches_to_one(bench: &Bench) {
    let machines = [bench.made().await.0, bench.made().await.0, bench.made().await.0];
    let id = bench.volume().await;
    let calls = machines.map(|machine| {
        let engine = bench.engine.clone();
        tokio::spawn(async move { engine.attach(id, machine).await.is_ok() })
    });
    let mut winners = 0;
    for call in calls {
        winners += usize::from(call.await.expect("the call ends"));
    }
    assert_eq!(winners, 1);
    let holder = bench.at(id).await.expect("a holder");
    bench.engine.detach(id, holder).await.expect("it is taken away");
    for machine in machines {
        bench.gone(machine).await;
    }
    bench.volume_gone(id).await;
}

/// A running machine is given volumes and loses them.
pub async fn a_volume_comes_and_goes_while_its_machine_runs(bench: &Bench) {
    let (machine, _) = bench.made().await;
    let ids = [bench.volume().await, bench.volume().await];
    bench.on(machine).await;
    for id in ids {
        bench.engine.attach(id, machine).await.expect("it is attached");
    }
    for id in ids {
        bench.engine.detach(id, machine).await.expect("it is taken away");
        bench.engine.attach(id, machine).await.expect("it is attached again");
        bench.engine.detach(id, machine).await.expect("it is taken away again");
    }
    assert_eq!(bench.observed(machine).await, Some(PowerState::On));
    bench.gone(machine).await;
    for id in ids {
        bench.volume_gone(id).await;
    }
}

/// What is attached stays so when the machine goes off and on.
pub async fn a_volume_stays_attached_over_a_restart(bench: &Bench) {
    let (machine, _) = bench.made().await;
    let id = bench.volume().await;
    bench.engine.attach(id, machine).await.expect("it is attached");
    bench.on(machine).await;
    bench.engine.power(machine, Power::Off).await.expect("it goes off");
    bench.on(machine).await;
    assert_eq!(bench.at(id).await, Some(machine));
    bench.engine.detach(id, machine).await.expect("it is taken away");
    bench.gone(machine).await;
    bench.volume_gone(id).await;
}

/// A volume is free, and whole, when its machine is removed.
pub async fn a_removed_machine_lets_its_volumes_go(bench: &Bench) {
    let (machine, _) = bench.made().await;
    let id = bench.volume().await;
    bench.engine.attach(id, machine).await.expect("it is attached");
    bench.on(machine).await;
    bench.gone(machine).await;
    assert_eq!(bench.at(id).await, None);
    bench.volume_gone(id).await;
}

/// [`crate::Storage::resize_volume`] grows a volume, attached or not, and leaves one alone that is large enough.
pub async fn a_volume_grows_and_never_shrinks(bench: &Bench) {
    let (machine, _) = bench.made().await;
    let id = bench.volume().await;
    let size = async || bench.engine.observe_volume(id).await.expect("a look").expect("a volume").size_gib;
    bench.engine.resize_volume(id, 2).await.expect("it grows");
    assert_eq!(size().await, 2);
    bench.engine.attach(id, machine).await.expect("it is attached");
    bench.on(machine).await;
    for _ in 0..2 {
        bench.engine.resize_volume(id, 3).await.expect("it grows while it is used");
    }
    assert_eq!(size().await, 3);
    bench.engine.resize_volume(id, 1).await.expect("nothing to do");
    assert_eq!(size().await, 3);
    bench.engine.ensure_volume(id, &volume_spec()).await.expect("it is the same volume");
    bench.gone(machine).await;
    bench.volume_gone(id).await;
}

/// A snapshot of a volume is what another can start as, and both live on without it.
pub async fn a_volume_can_start_as_a_snapshot_of_another(bench: &Bench) {
    let (machine, _) = bench.made().await;
    let (first, second, taken) = (bench.volume().await, VolumeId(Uuid::new_v4()), image());
    bench.engine.attach(first, machine).await.expect("it is attached");
    bench.on(machine).await;
    for _ in 0..2 {
        let facts = bench.engine.snapshot_volume(first, &taken).await.expect("a snapshot");
        assert_eq!(facts.disk_bytes, 1 << 30);
    }
    let spec = VolumeSpec { size_gib: 2, source: Some(taken.clone()), ..volume_spec() };
    bench.engine.ensure_volume(second, &spec).await.expect("a volume from the snapshot");
    bench.image_gone(&taken).await;
    bench.engine.ensure_volume(second, &spec).await.expect("it is there");
    bench.engine.attach(second, machine).await.expect("it is attached");
    bench.gone(machine).await;
    bench.volume_gone(first).await;
    bench.volume_gone(second).await;
}

/// An image that was removed, or never was, makes no machine and no volume, and leaves nothing of them.
pub async fn nothing_is_made_from_an_image_that_is_gone(bench: &Bench) {
    let (machine, spec) = bench.fresh();
    let refused = bench.engine.ensure(machine, &MachineSpec { image: image(), ..spec }).await;
    assert!(matches!(refused, Err(Error::ImageMissing(_))), "{refused:?}");
    assert_eq!(bench.observed(machine).await, None);
    let id = VolumeId(Uuid::new_v4());
    let refused = bench.engine.ensure_volume(id, &VolumeSpec { source: Some(image()), ..volume_spec() }).await;
    assert!(matches!(refused, Err(Error::ImageMissing(_))), "{refused:?}");
    assert_eq!(bench.engine.observe_volume(id).await.expect("a look"), None);
}

/// Removing what is gone, or never was, is success.
pub async fn removing_a_volume_is_idempotent(bench: &Bench) {
    let id = bench.volume().await;
    bench.volume_gone(id).await;
    bench.volume_gone(id).await;
    bench.volume_gone(VolumeId(Uuid::new_v4())).await;
}
