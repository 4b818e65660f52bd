//! Dewpoint in one process, taken up and let down by hand.

use std::{
    future::Future as _,
    path::PathBuf,
    sync::{Arc, LazyLock, mpsc},
    task::{Context, Waker},
};

use dewpoint_api::{AccountCreateRequest, AccountId, Scopes, TokenCreateRequest};
use dewpoint_clock::{SimClock, Timestamp};
use dewpoint_control::{
    Catalogue, Control, ControlConfig, Parts, Random,
    actions::{Point, Worker},
};
use dewpoint_engine::sim::{self, Equipment, SimEngine};
use dewpoint_server::{App, Edge, Files, Probes, ServerConfig, Simulator};
use dewpoint_store::{Store, Tx, accounts, actions, sqlite};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Client, crash::Trap};

/// When every test begins: a Saturday, so that weekly windows are interesting.
const BEGINNING: &str = "2026-11-21T10:00:00Z";
/// The store's file in the directory of a test.
const STORE: &str = "dewpoint.db";
/// The simulator's file.
const SIMULATOR: &str = "sim.db";
/// The first account's full token.
const ADMIN: &str = "dop_v1_of-the-admin";

/// What a test may want otherwise than usual.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Limits, pools, leases.
    pub control: ControlConfig,
    /// Public URL and request limits.
    pub server: ServerConfig,
    /// What the simulator has.
    pub equipment: Equipment,
    /// Text of a catalogue that extends the built-in one.
    pub catalogue: Option<&'static str>,
}

/// A whole Dewpoint. Its files go when it goes.
#[derive(Debug)]
pub struct TestApp {
    running: Running,
    clock: Arc<SimClock>,
    trap: Arc<Trap>,
    setup: Setup,
    directory: TempDir,
}

/// Holds the store's writer up, see [`TestApp::hold_writes`].
#[derive(Debug)]
pub struct HeldWrites {
    _release: mpsc::Sender<()>,
}

/// What store and simulator of a [`TestApp::stepped`] have to do, which is done when somebody does it.
#[derive(Debug)]
pub struct Steppers {
    /// The store's.
    pub store: sqlite::Stepper,
    /// The simulator's.
    pub sim: sim::Stepper,
}

/// What a server has beside store and simulator, each in a file of its own; one that is stepped has none of it.
#[derive(Debug, Default)]
struct Beside {
    /// What copies both.
    copied: Option<Files>,
    /// Which answers were given.
    told: Option<PathBuf>,
}

/// What a restart replaces.
#[derive(Debug)]
struct Running {
    control: Control,
    sim: Arc<SimEngine>,
    simulator: Simulator,
    app: App,
    edge: Edge,
}

impl Running {
    async fn open(directory: &TempDir, clock: &Arc<SimClock>, setup: &Setup) -> Self {
        let (of_store, of_sim) = (directory.path().join(STORE), directory.path().join(SIMULATOR));
        let store = sqlite::open(&of_store).expect("the store opens");
        let sim = SimEngine::open(&of_sim, clock.clone()).expect("the simulator's file opens");
        let sim = Arc::new(sim.equipped(setup.equipment.clone()));
        let files = Files::open((&of_store, store.clone()), (&of_sim, sim.clone())).expect("both files are there");
        let beside = Beside { copied: Some(files), told: Some(directory.path().join("told")) };
        Self::of(store, sim, clock, setup, (Random::default(), beside)).await
    }

    async fn open_stepped(directory: &TempDir, clock: &Arc<SimClock>, setup: &Setup, seed: u64) -> (Self, Steppers) {
        let (of_store, of_sim) = (directory.path().join(STORE), directory.path().join(SIMULATOR));
        let (store, of_store) = sqlite::open_stepped(&of_store).expect("the store opens");
        let (sim, of_sim) = SimEngine::open_stepped(&of_sim, clock.clone()).expect("the simulator's file opens");
        let sim = Arc::new(sim.equipped(setup.equipment.clone()));
        let running = Self::of(store, sim, clock, setup, (Random::seeded(seed), Beside::default())).await;
        (running, Steppers { store: of_store, sim: of_sim })
    }

    async fn of(
        store: Store,
        sim: Arc<SimEngine>,
        clock: &Arc<SimClock>,
        setup: &Setup,
        (random, beside): (Random, Beside),
    ) -> Self {
        // Read once: a simulation starts thousands of servers.
        static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(Catalogue::built_in);
        let mut catalogue = BUILT_IN.clone();
        if let Some(text) = setup.catalogue {
            let more =
                dewpoint_control::catalogue::CatalogueFile::parse(text).expect("the test's catalogue is well-formed");
            catalogue = catalogue.extend(more).expect("the test's catalogue fits");
        }
        let parts = Parts {
            store,
            engine: sim.clone(),
            clock: clock.clone(),
            random,
            catalogue,
            config: setup.control.clone(),
        };
        let control = Control::new(parts).await.expect("the parts fit together");
        let simulator = Simulator::new(control.clone(), clock.clone(), sim.clone(), beside.copied);
        let app = App::simulated(control.clone(), setup.server.clone(), Probes::default(), simulator.clone());
        if let Some(told) = &beside.told {
            app.recall(told).await.expect("the file of answers that were given opens");
        }
        let edge = dewpoint_server::app(app.clone());
        Self { control, sim, simulator, app, edge }
    }
}

impl TestApp {
    /// Starts on empty files, with one account.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts on empty files, with what `change` makes of the usual setup.
    pub async fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(SimClock::frozen_at(BEGINNING.parse().expect("a time")));
        let running = Running::open(&directory, &clock, &setup).await;
        let app = Self { running, clock, trap: Arc::default(), setup, directory };
        app.bootstrap().await;
        app.control().refresh_stock().await.expect("the simulator tells what it has");
        app.running.simulator.keep_start().await.expect("the state at the start can be kept");
        app
    }

    /// Starts on empty files without any thread: what store and simulator are asked for waits until the steppers do it. Ids
    /// and secrets come from `seed`. There is no account yet, see [`TestApp::bootstrap`].
    pub async fn stepped(setup: Setup, seed: u64) -> (Self, Steppers) {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(SimClock::frozen_at(BEGINNING.parse().expect("a time")));
        let (running, steppers) = Running::open_stepped(&directory, &clock, &setup, seed).await;
        (Self { running, clock, trap: Arc::default(), setup, directory }, steppers)
    }

    /// The next process on the same files, with steppers of its own. The last one's are to be dropped first, and what they
    /// have not done is lost. Nothing is taken up yet, see [`dewpoint_control::Control::resume`].
    pub async fn restart_stepped(&mut self, seed: u64) -> Steppers {
        let (running, steppers) = Running::open_stepped(&self.directory, &self.clock, &self.setup, seed).await;
        self.running = running;
        steppers
    }

    /// Makes the first account and its token, which [`TestApp::admin`] has.
    pub async fn bootstrap(&self) {
        self.control().bootstrap(Some(ADMIN.to_owned())).await.expect("an empty store takes its first account");
    }

    /// Kills this process's part and starts the next one on the same files: what was in memory alone is lost.
    ///
    /// Machines and guests stay as slow as they were: the next one may look at them at once.
    pub async fn restart(&mut self) {
        let delays = self.sim().delays();
        self.running = Running::open(&self.directory, &self.clock, &self.setup).await;
        self.running.sim.set_delays(delays);
        self.running.control.resume(true).await.expect("what the last one left can be taken up");
    }

    /// A file of this Dewpoint's: `dewpoint.db`, `sim.db`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The first account, with a token for everything.
    pub fn admin(&self) -> Client<'_> {
        Client::new(self, ADMIN.to_owned())
    }

    /// Someone without a token.
    pub fn nobody(&self) -> Client<'_> {
        Client::new(self, String::new())
    }

    /// Whoever bears this token, whatever it is worth.
    pub fn bearer(&self, token: &str) -> Client<'_> {
        Client::new(self, token.to_owned())
    }

    /// The first account, with a token for these scopes alone.
    pub async fn token_with(&self, scopes: &[&str]) -> Client<'_> {
        Client::new(self, self.new_token(self.account().await, scopes).await)
    }

    /// Another account with a token for everything: each call makes one.
    pub async fn other_account(&self) -> Client<'_> {
        let request = AccountCreateRequest { name: Uuid::new_v4().to_string(), ..Default::default() };
        let made = self.control().account_create(&request).await.expect("an account can be made");
        Client::new(self, made.token.secret)
    }

    async fn new_token(&self, account: AccountId, scopes: &[&str]) -> String {
        let scopes = Scopes::from_names(scopes.iter().copied()).expect("scopes there are");
        let names = scopes.names().into_iter().map(str::to_owned).collect();
        let request = TokenCreateRequest { scopes: Some(dewpoint_api::ScopeNames::Many(names)), ..Default::default() };
        self.control().token_create(account, &request).await.expect("a token can be made").secret
    }

    /// The number of the first account.
    pub async fn account(&self) -> AccountId {
        let first = self.store().read(|tx: &mut dyn Tx| accounts::account_first(tx)).await;
        first.expect("the store can be read").expect("there is an account").id
    }

    /// Does what there is to do and can be done now. Stops early where [`TestApp::crash_worker_at`] says so.
    /// What the wire should follow is put in force then; what fails stays undone, as it does until somebody tries again.
    pub async fn run_actions_to_end(&self) {
        self.worker().run_until_idle().await;
        let _ = self.control().settle_what_changed().await;
    }

    /// Does what there is to do, moving the clock by a second whenever an action waits to be tried again.
    ///
    /// Panics when an action is still in progress after two minutes of that.
    pub async fn run_actions_to_end_in_time(&self) {
        for _ in 0..120 {
            self.run_actions_to_end().await;
            if self.backlog().await == 0 {
                return;
            }
            self.clock.advance(std::time::Duration::from_secs(1));
        }
        panic!("an action is still in progress after two minutes");
    }

    /// Moves the clock to when the Droplet's next backup is due.
    pub async fn move_to_backup(&self, id: u64) {
        let records = self.droplet_records().await;
        let record = records.iter().find(|record| record.id.0 == id).expect("a Droplet");
        self.clock.advance(record.backup_due_at.expect("its backups are on").since(self.now()));
    }

    /// Begins the backups that are due now, removes those whose time is over, and does the work.
    pub async fn backup_round(&self) {
        self.control().backup_round().await.expect("the store can be written");
        self.run_actions_to_end().await;
    }

    /// How many actions are in progress.
    pub async fn backlog(&self) -> u64 {
        self.store().read(|tx: &mut dyn Tx| actions::action_backlog(tx)).await.expect("the store can be read")
    }

    /// A worker that knows of the crash that was ordered.
    pub fn worker(&self) -> Worker {
        Worker::watched(self.control().clone(), self.trap.clone())
            .meddled_with(Arc::new(self.running.simulator.clone()))
    }

    /// Makes the worker drop dead the next time it is at `point` of `step` of an action of this kind; once.
    ///
    /// Its actions stay leased, as after a kill: [`TestApp::restart`] frees them, and so does time.
    pub fn crash_worker_at(&self, kind: &str, step: &str, point: Point) {
        self.trap.set(kind, step, point);
    }

    /// Whether the crash that was ordered has happened.
    pub fn worker_has_crashed(&self) -> bool {
        self.trap.is_sprung()
    }

    /// Takes back an order for a crash that has not happened.
    pub fn crash_worker_no_more(&self) {
        self.trap.clear();
    }

    /// Waits until `condition` holds, giving everybody else their turns. Panics when that takes half a minute.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let began = std::time::Instant::now();
        while !condition().await {
            assert!(began.elapsed().as_secs() < 30, "waited too long until {what}");
            tokio::task::yield_now().await;
        }
    }

    /// Lets no write be carried out until what is returned is dropped: they queue behind one that waits for that.
    pub fn hold_writes(&self) -> HeldWrites {
        let (release, released) = mpsc::channel::<()>();
        let store = self.store().clone();
        let mut waiting = Box::pin(async move {
            store
                .write(move |_: &mut dyn Tx| {
                    // Ends when the sender is dropped.
                    let _ = released.recv();
                    Ok::<_, dewpoint_store::Error>(())
                })
                .await
        });
        // One poll sends it; its answer concerns nobody.
        let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "the writer waits");
        HeldWrites { _release: release }
    }

    /// The simulator: its machines, faults and delays.
    pub fn sim(&self) -> &SimEngine {
        &self.running.sim
    }

    /// The clock, to be moved.
    pub fn clock(&self) -> &SimClock {
        &self.clock
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        dewpoint_clock::Clock::now(&*self.clock)
    }

    /// The control plane.
    pub fn control(&self) -> &Control {
        &self.running.control
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.running.control.store()
    }

    /// Ends what answers for models of files, as the end of a server does.
    pub async fn end_models(&self) {
        self.running.app.end_models().await;
    }

    /// Keeps the models of this process at what the store has, as a server does, until what is returned is dropped.
    pub fn keep_models(&self) -> watch::Sender<bool> {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(self.running.app.clone().keep_models(stopped));
        stop
    }

    /// The whole server, to be put on a socket.
    pub fn edge(&self) -> &Edge {
        &self.running.edge
    }
}
