//! What every engine must do, as checks that any engine can be put through.
//!
//! Each check is a sentence, uses machines of its own and removes them again, and panics when the engine breaks the rule:
//! they are for tests. [`all`] runs every one.

pub mod gpus;
pub mod storage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{Engine, Error, ImageName, MachineId, MachineSpec, Observed, Power, PowerState, UserDataOutcome};

/// An engine under test and the machines it is given.
pub struct Bench {
    engine: Arc<dyn Engine>,
    spec: Box<dyn Fn(MachineId) -> MachineSpec + Send + Sync>,
    next: AtomicU64,
}

impl Bench {
    /// `spec` makes a small machine that the engine can run, with links of its own for each number; numbers count from 1.
    pub fn new(engine: Arc<dyn Engine>, spec: impl Fn(MachineId) -> MachineSpec + Send + Sync + 'static) -> Self {
        Self { engine, spec: Box::new(spec), next: AtomicU64::new(1) }
    }

    fn fresh(&self) -> (MachineId, MachineSpec) {
        let id = MachineId(self.next.fetch_add(1, Ordering::Relaxed));
        (id, (self.spec)(id))
    }

    async fn made(&self) -> (MachineId, MachineSpec) {
        let (id, spec) = self.fresh();
        self.engine.ensure(id, &spec).await.expect("the machine is made");
        (id, spec)
    }

    async fn observed(&self, id: MachineId) -> Option<PowerState> {
        self.engine.observe(id).await.expect("the machine is looked at").map(|Observed { power, .. }| power)
    }

    async fn gone(&self, id: MachineId) {
        self.engine.destroy(id).await.expect("the machine is removed");
        assert_eq!(self.observed(id).await, None);
        assert!(!self.engine.machines().await.expect("a list").contains(&id));
    }
}

/// Runs every check of this module.
pub async fn all(bench: &Bench) {
    a_made_machine_is_off_and_listed(bench).await;
    making_twice_is_one_machine(bench).await;
    making_at_once_is_one_machine(bench).await;
    making_it_otherwise_conflicts(bench).await;
    nothing_is_made_from_a_missing_image(bench).await;
    what_is_not_there_cannot_be_used(bench).await;
    power_is_idempotent(bench).await;
    making_a_running_machine_changes_nothing(bench).await;
    links_can_be_changed(bench).await;
    removing_is_idempotent(bench).await;
    a_running_machine_can_be_removed(bench).await;
    a_number_can_be_used_again(bench).await;
    machines_are_listed_in_order(bench).await;
    a_host_has_room(bench).await;
}

/// After [`Engine::ensure`] a machine exists, is off, and has not been heard of.
pub async fn a_made_machine_is_off_and_listed(bench: &Bench) {
    let (id, _) = bench.made().await;
    assert_eq!(bench.observed(id).await, Some(PowerState::Off));
    assert!(bench.engine.machines().await.expect("a list").contains(&id));
    let readiness = bench.engine.readiness(id).await.expect("its readiness");
    assert!(!readiness.ssh);
    bench.engine.access(id).await.expect("its access");
    bench.gone(id).await;
}

/// [`Engine::ensure`] with the same spec changes nothing.
pub async fn making_twice_is_one_machine(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let before = bench.engine.machines().await.expect("a list");
    bench.engine.ensure(id, &spec).await.expect("it is there already");
    assert_eq!(bench.engine.machines().await.expect("a list"), before);
    bench.gone(id).await;
}

/// Calls for one machine are put in a row by the engine.
pub async fn making_at_once_is_one_machine(bench: &Bench) {
    let (id, spec) = bench.fresh();
    let calls = [0; 4].map(|_| {
        let (engine, spec) = (bench.engine.clone(), spec.clone());
        tokio::spawn(async move { engine.ensure(id, &spec).await })
    });
    for call in calls {
        call.await.expect("the call ends").expect("the machine is made");
    }
    assert_eq!(bench.observed(id).await, Some(PowerState::Off));
    bench.gone(id).await;
}

/// A machine's spec is settled when it is made.
pub async fn making_it_otherwise_conflicts(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let other = MachineSpec { hostname: "another".to_owned(), ..spec.clone() };
    let refused = bench.engine.ensure(id, &other).await;
    assert!(matches!(refused, Err(Error::SpecConflict(at)) if at == id), "{refused:?}");
    bench.engine.ensure(id, &spec).await.expect("it is as it was");
    bench.gone(id).await;
}

/// A base image that is not there fails the making and leaves nothing. Engines that take any image are let off.
pub async fn nothing_is_made_from_a_missing_image(bench: &Bench) {
    let image = ImageName::new("no-such-image").expect("a name");
    if bench.engine.has_image(&image) {
        return;
    }
    let (id, spec) = bench.fresh();
    let spec = MachineSpec { image, ..spec };
    let refused = bench.engine.ensure(id, &spec).await;
    assert!(matches!(refused, Err(Error::ImageMissing(_))), "{refused:?}");
    assert_eq!(bench.observed(id).await, None);
    assert!(!bench.engine.machines().await.expect("a list").contains(&id));
}

/// Every call but removal and observation says so when there is no such machine.
pub async fn what_is_not_there_cannot_be_used(bench: &Bench) {
    let (id, spec) = bench.fresh();
    assert_eq!(bench.observed(id).await, None);
    for power in [Power::On, Power::Off, Power::Shutdown] {
        let refused = bench.engine.power(id, power).await;
        assert!(matches!(refused, Err(Error::NoSuchMachine(at)) if at == id), "{power:?}: {refused:?}");
    }
    assert!(matches!(bench.engine.change(id, &spec).await, Err(Error::NoSuchMachine(_))));
    assert!(matches!(bench.engine.readiness(id).await, Err(Error::NoSuchMachine(_))));
    assert!(matches!(bench.engine.access(id).await, Err(Error::NoSuchMachine(_))));
    assert_eq!(bench.observed(id).await, None);
}

/// A machine goes where it is told, and being told again is success.
pub async fn power_is_idempotent(bench: &Bench) {
    let (id, _) = bench.made().await;
    for power in [Power::Off, Power::Shutdown, Power::On, Power::On, Power::Off, Power::Off, Power::On] {
        bench.engine.power(id, power).await.expect("it goes there");
        let expected = match power {
            Power::On => PowerState::On,
            Power::Off | Power::Shutdown => PowerState::Off,
        };
        assert_eq!(bench.observed(id).await, Some(expected), "after {power:?}");
    }
    let started = bench.engine.observe(id).await.expect("a look").expect("a machine").started_at;
    assert!(started.is_some());
    bench.gone(id).await;
}

/// [`Engine::ensure`] may be called again after the machine was started.
pub async fn making_a_running_machine_changes_nothing(bench: &Bench) {
    let (id, spec) = bench.made().await;
    bench.engine.power(id, Power::On).await.expect("it starts");
    bench.engine.ensure(id, &spec).await.expect("it is there already");
    assert_eq!(bench.observed(id).await, Some(PowerState::On));
    bench.gone(id).await;
}

/// [`Engine::change`] gives other links, and giving them again is success.
pub async fn links_can_be_changed(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let (_, other) = bench.fresh();
    let moved = MachineSpec { nics: other.nics, ..spec };
    bench.engine.change(id, &moved).await.expect("it gets other links");
    bench.engine.change(id, &moved).await.expect("it has them already");
    bench.engine.ensure(id, &moved).await.expect("it is as it was told to be");
    bench.engine.power(id, Power::On).await.expect("it starts with them");
    bench.gone(id).await;
}

/// [`Engine::destroy`] of what is gone, or never was, is success.
pub async fn removing_is_idempotent(bench: &Bench) {
    let (id, _) = bench.made().await;
    bench.gone(id).await;
    bench.gone(id).await;
    let (never, _) = bench.fresh();
    bench.gone(never).await;
}

/// A machine need not be off to be removed.
pub async fn a_running_machine_can_be_removed(bench: &Bench) {
    let (id, _) = bench.made().await;
    bench.engine.power(id, Power::On).await.expect("it starts");
    bench.gone(id).await;
}

/// Nothing of an earlier machine is left in a later one of its number.
pub async fn a_number_can_be_used_again(bench: &Bench) {
    let (id, spec) = bench.made().await;
    bench.gone(id).await;
    let other = MachineSpec { hostname: "another".to_owned(), ..spec };
    bench.engine.ensure(id, &other).await.expect("it is made anew");
    let readiness = bench.engine.readiness(id).await.expect("its readiness");
    assert!(!matches!(readiness.user_data, UserDataOutcome::Failed(_)));
    bench.gone(id).await;
}

/// [`Engine::machines`] is in ascending order.
pub async fn machines_are_listed_in_order(bench: &Bench) {
    let ids = [bench.made().await.0, bench.made().await.0, bench.made().await.0];
    let listed = bench.engine.machines().await.expect("a list");
    assert!(listed.is_sorted(), "{listed:?}");
    assert!(ids.iter().all(|id| listed.contains(id)), "{listed:?}");
    for id in ids {
        bench.gone(id).await;
    }
}

/// There is at least one host, and the machines under test fit on it.
pub async fn a_host_has_room(bench: &Bench) {
    let (_, spec) = bench.fresh();
    let hosts = bench.engine.hosts().await.expect("hosts");
    let host = hosts.iter().find(|host| host.name == spec.host).expect("the spec's host");
    assert!(host.vcpus >= spec.vcpus && host.memory_mib >= spec.memory_mib, "{host:?}");
}

/// Waits until `done` holds, asking again after each change the engine tells of, and every second. Panics at `limit`.
///
/// For the tests of engines with real guests, which take real time.
pub async fn wait_until<F>(engine: &dyn Engine, limit: Duration, what: impl Fn() -> String, mut done: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let mut changes = engine.changes();
    let waited = tokio::time::timeout(limit, async {
        while !done().await {
            // Lagged, closed or late: in each case the thing to do is to look again.
            let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {limit:?}: {}", what());
}
