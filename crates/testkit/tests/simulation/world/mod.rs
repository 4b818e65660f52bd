//! One seed: the production server over stepped stores, its clients, and everything that goes wrong.
//!
//! Nothing runs by itself. Tasks run until they wait for the store, the simulator's file, the clock or a client; what happens
//! next of all that could is for the dice. A crash is a runtime that is dropped with all its tasks between two such events, and
//! the next one on the same files: what was not committed is gone.

mod flights;

use std::{
    future::Future,
    mem,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use dewpoint_api::AccountCreateRequest;
use dewpoint_clock::Timestamp;
use dewpoint_control::{Control, actions::Worker};
use dewpoint_engine::sim::Delays;
use dewpoint_store::sqlite::Fate;
use dewpoint_testkit::{Setup, Steppers, TestApp};
use serde_json::json;
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    clients::{ACCOUNTS, Clients},
    dice::Dice,
    luck::{self, Luck},
    promises::{Book, Broken, machines_are_owned, promise},
    tally::Tally,
    trace::Trace,
};

use flights::{Flying, Got};

/// Events after which everything has come to its end, once nothing goes wrong any more.
const PATIENCE: usize = 20_000;

/// Why a life of the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Crashed,
    Over,
}

#[derive(Debug)]
pub(crate) struct World {
    dice: Dice,
    luck: Luck,
    pub(crate) app: TestApp,
    pub(crate) steppers: Option<Steppers>,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) clients: Clients,
    pub(crate) book: Book,
    pub(crate) tokens: Vec<String>,
    flying: Vec<Flying>,
    mailbox: Arc<Mutex<Vec<(u64, Got)>>>,
    /// Requests still to be sent.
    to_send: usize,
    store_faults: u64,
    delays: Delays,
    stop: Option<watch::Sender<bool>>,
    began: Timestamp,
}

fn runtime() -> Runtime {
    // Timers are there because production code sets limits by them; none of them runs out in a run of milliseconds.
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Drives what `work` waits for, without any trouble, until it is done.
pub(crate) async fn attend<T>(steppers: &mut Steppers, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::task::yield_now() => {}
        }
        step_all(steppers);
    }
}

fn step_all(steppers: &mut Steppers) -> usize {
    let (writes, reads) = steppers.store.waiting();
    let calls = steppers.sim.waiting();
    if writes > 0 {
        steppers.store.write(writes, Fate::Good).expect("a step without a fault");
    }
    (0..reads).for_each(|_| steppers.store.read(Fate::Good));
    (0..calls).for_each(|_| steppers.sim.step());
    writes + reads + calls
}

/// GPUs for everybody.
const PLENTY: usize = 64;

/// Declares a host with so many GPUs, and one without in the region of all other Droplets.
async fn declare(app: &TestApp, gpus: usize, out_of_stock: &str) {
    let host = |name: &str, region: &str, gpus: usize| {
        let list = if gpus > 0 { json!([{ "model": "nvidia_h100", "count": gpus }]) } else { json!([]) };
        json!({ "name": name, "region": region, "vcpus": 2000, "memory_mib": 100_000_000, "gpus": list })
    };
    let declared = json!({
        "hosts": [host("h1", "nyc2", gpus), host("h2", "nyc3", 0)],
        "out_of_stock": { "gpu-h100x1-80gb": out_of_stock },
    });
    app.control().stock_declare_text(&declared.to_string()).await.expect("a declaration that makes sense");
}

/// What `dew serve` has running beside the requests.
async fn work(control: Control, workers: Vec<Worker>, stopped: watch::Receiver<bool>) {
    let following = control.clone().follow_changes(stopped.clone());
    let mut pause = Duration::from_millis(500);
    while control.resume(true).await.is_err() {
        control.clock().sleep_until(control.clock().now() + pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
    for worker in workers {
        tokio::spawn(worker.run(stopped.clone()));
    }
    let network = control.clone().keep_network(stopped.clone());
    let stock = control.clone().keep_stock(stopped.clone());
    tokio::join!(following, control.clone().make_backups(stopped), network, stock);
}

impl World {
    /// A server on empty files with its accounts.
    fn new(seed: u64, requests: usize) -> Self {
        let mut dice = Dice::new(seed);
        let luck = Luck::of(&mut dice);
        let runtime = runtime();
        let mut setup = Setup::default();
        if let Some(scarce) = luck.gpus {
            setup.control.gpus_when_off = scarce.when_off;
        }
        let (app, mut steppers) = runtime.block_on(TestApp::stepped(setup, dice.number()));
        runtime.block_on(attend(&mut steppers, app.bootstrap()));
        if let Some(scarce) = luck.gpus {
            runtime.block_on(attend(&mut steppers, declare(&app, scarce.count, scarce.out_of_stock)));
        }
        let other = AccountCreateRequest { name: "Other".to_owned(), ..AccountCreateRequest::default() };
        let other = runtime.block_on(attend(&mut steppers, app.control().account_create(&other)));
        let tokens = vec![app.admin().token().to_owned(), other.expect("an account can be made").token.secret];
        assert_eq!(tokens.len(), ACCOUNTS);
        let (began, gpus_are_scarce) = (app.now(), luck.gpus.is_some());
        let mut world = Self {
            dice,
            luck,
            app,
            steppers: Some(steppers),
            trace: Trace::new(),
            tally: Tally { seeds: 1, starts: 1, ..Tally::default() },
            clients: Clients::who_want_gpus(gpus_are_scarce),
            book: Book::default(),
            tokens,
            flying: Vec::new(),
            mailbox: Arc::default(),
            to_send: requests,
            store_faults: 0,
            delays: Delays::default(),
            stop: None,
            began,
        };
        world.trace.line(format!("seed {seed}: {:?}", world.luck));
        world
    }

    /// Lives through all of it, crash after crash, and then through a time without trouble, to the end.
    pub(crate) fn live(seed: u64, requests: usize, within: &mut Option<Self>) -> Result<(), Broken> {
        let world = within.insert(Self::new(seed, requests));
        loop {
            let runtime = runtime();
            let ended = runtime.block_on(world.one_life())?;
            if ended == Ended::Over {
                let checked = runtime.block_on(world.end());
                world.die();
                drop(runtime);
                checked?;
                break;
            }
            world.die();
            drop(runtime);
            world.start_again();
        }
        if !world.engine_never_failed() {
            // What a failed removal left belongs to nothing: the next start sees to it.
            world.start_again();
            let runtime = runtime();
            let checked = runtime.block_on(world.last_life());
            world.die();
            drop(runtime);
            checked?;
        }
        world.tally.virtual_time = world.app.now().since(world.began);
        Ok(())
    }

    /// The process is gone: nothing that was under way goes on, and nothing that waited is done.
    fn die(&mut self) {
        self.steppers = None;
        self.stop = None;
        for flying in mem::take(&mut self.flying) {
            self.was_not_seen(flying.wish, false);
        }
        self.mailbox = Arc::default();
        for wish in &mut self.clients.wishes {
            // What a server knows of lost answers goes with it.
            wish.losses_known &= wish.told.is_some() || wish.sends == 0;
        }
    }

    fn start_again(&mut self) {
        let seed = self.dice.number();
        self.steppers = Some(runtime().block_on(self.app.restart_stepped(seed)));
        self.app.sim().set_delays(self.delays);
        self.tally.starts += 1;
        self.trace.line("the server starts".to_owned());
    }

    fn start_background(&mut self) {
        let (stop, stopped) = watch::channel(false);
        self.stop = Some(stop);
        let control = self.app.control().clone();
        let workers = (0..self.luck.workers).map(|_| self.app.worker()).collect();
        tokio::spawn(control.clone().keep_journal(stopped.clone()));
        tokio::spawn(work(control, workers, stopped));
    }

    fn steppers(&mut self) -> &mut Steppers {
        self.steppers.as_mut().expect("the server is alive")
    }

    async fn last_life(&mut self) -> Result<(), Broken> {
        self.start_background();
        self.settle().await?;
        self.last_checks().await
    }

    async fn one_life(&mut self) -> Result<Ended, Broken> {
        self.start_background();
        loop {
            self.let_tasks_run().await?;
            if self.to_send == 0 && self.flying.is_empty() {
                return Ok(Ended::Over);
            }
            if self.dice.permille(self.luck.crash) {
                if self.dice.one_in(2) {
                    // Right after something was done, before anybody has heard of it.
                    self.happens(false)?;
                }
                self.tally.fault("crashes");
                self.trace.line("the server dies".to_owned());
                return Ok(Ended::Crashed);
            }
            self.trouble().await;
            self.happens(true)?;
        }
    }

    /// Lets every task run until it waits for something, and reads the answers there are.
    async fn let_tasks_run(&mut self) -> Result<(), Broken> {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        crate::panics::none()?;
        let answers = mem::take(&mut *self.mailbox.lock().expect("nobody panics with the mailbox"));
        for (number, got) in answers {
            self.answered(number, got)?;
        }
        Ok(())
    }

    /// Lets one of the things happen that can. Without `all`, only what store and simulator do.
    fn happens(&mut self, all: bool) -> Result<(), Broken> {
        let steppers = self.steppers.as_mut().expect("the server is alive");
        let (writes, reads) = steppers.store.waiting();
        let calls = steppers.sim.waiting();
        let waits = writes + reads + calls > 0;
        let sends = all && self.to_send > 0 && self.flying.len() < self.luck.at_once;
        let sleeps = all && self.app.clock().next_deadline().is_some();
        let weights = [
            if writes > 0 { 10 } else { 0 },
            if reads > 0 { 10 } else { 0 },
            if calls > 0 { 8 } else { 0 },
            if sends { self.luck.eagerness } else { 0 },
            // The clock goes on slowly while there is something to do.
            match (sleeps, waits) {
                (false, _) => 0,
                (true, true) => 1,
                (true, false) => 4,
            },
        ];
        if weights == [0; 5] {
            promise!(!all || self.flying.is_empty(), "nothing is left to happen, and a request is not answered");
            return Ok(());
        }
        self.tally.events += 1;
        match self.dice.weighted(&weights) {
            0 => self.write(),
            1 => {
                self.read();
                Ok(())
            }
            2 => {
                self.steppers().sim.step();
                self.trace.line("a call of the simulator".to_owned());
                machines_are_owned(self.steppers())
            }
            3 => {
                self.send();
                Ok(())
            }
            _ => {
                self.clock_goes_on();
                Ok(())
            }
        }
    }

    fn write(&mut self) -> Result<(), Broken> {
        let most = 1 + self.dice.below(4);
        let fate = match () {
            () if self.dice.permille(self.luck.refuse_write) => Fate::Refused,
            () if self.dice.permille(self.luck.disk_full) => {
                Fate::Full { pages_left: u32::try_from(self.dice.below(2)).expect("it is small") }
            }
            () => Fate::Good,
        };
        let met = self.steppers().store.write(most, fate);
        let met = met.map_err(|error| Broken(format!("the store's file: {error}")))?;
        match (fate, met) {
            (Fate::Refused, _) => self.store_fault("writes refused"),
            (Fate::Full { .. }, true) => self.store_fault("full disks"),
            _ => {}
        }
        let commits = self.app.store().commits();
        self.trace.line(format!("up to {most} writes: {fate:?}, commit {commits}"));
        self.tally.commits += 1;
        let now = self.app.now();
        let Self { book, steppers, clients, .. } = self;
        book.after_commit(&mut steppers.as_mut().expect("the server is alive").store, clients, now)
    }

    fn read(&mut self) {
        let refused = self.dice.permille(self.luck.refuse_read);
        if refused {
            self.store_fault("reads refused");
        }
        self.steppers().store.read(if refused { Fate::Refused } else { Fate::Good });
        self.trace.line(format!("a read{}", if refused { " is refused" } else { "" }));
    }

    fn store_fault(&mut self, kind: &'static str) {
        self.store_faults += 1;
        self.tally.fault(kind);
    }

    fn clock_goes_on(&mut self) {
        if let Some(next) = self.app.clock().next_deadline() {
            let span = next.since(self.app.now());
            self.app.clock().advance(span);
            self.trace.line(format!("{} ms go by", span.as_millis()));
        }
    }

    /// What goes wrong beside crashes and the store: engine, clock, guests, clients that leave.
    async fn trouble(&mut self) {
        if self.dice.permille(self.luck.engine_errors) {
            let fault = luck::fault(&mut self.dice);
            self.trace.line(format!("ordered: {:?} {:?}, {} times", fault.operation, fault.moment, fault.times));
            self.app.sim().faults().order(fault);
            self.tally.fault("engine errors ordered");
        }
        if self.luck.slow && self.dice.permille(10) {
            self.delays = luck::delays(&mut self.dice);
            self.app.sim().set_delays(self.delays);
            self.trace.line(format!("{:?}", self.delays));
            self.tally.fault("changes of the engine's pace");
        }
        if self.dice.permille(self.luck.clock_jump) {
            let span = luck::jump(&mut self.dice);
            self.app.clock().advance(span);
            self.trace.line(format!("the clock jumps by {} s", span.as_secs()));
            self.tally.fault("clock jumps");
        }
        if self.dice.permille(self.luck.power_off) {
            self.guest_powers_off().await;
        }
        if self.dice.permille(self.luck.leave) && !self.flying.is_empty() {
            let index = self.dice.below(self.flying.len());
            let flying = self.flying.remove(index);
            self.trace.line(format!("#{} leaves without its answer", flying.number));
            flying.task.abort();
            self.tally.fault("clients that left");
            self.was_not_seen(flying.wish, true);
        }
    }

    async fn guest_powers_off(&mut self) {
        let machines = self.steppers().sim.machines().expect("the simulator's file can be read");
        let Some(machine) = self.dice.pick_any(&machines).copied() else { return };
        let Self { app, steppers, .. } = self;
        let steppers = steppers.as_mut().expect("the server is alive");
        // Its own call has to be the next: those that wait come first.
        let result = attend_sim(steppers, app.sim().guest_powers_off(machine)).await;
        self.trace.line(format!("the guest of machine {machine} powers off: {}", result.is_ok()));
        self.tally.fault("guests that powered off");
    }

    /// Lets everything come to its end without any more trouble.
    pub(crate) async fn settle(&mut self) -> Result<(), Broken> {
        self.app.sim().faults().clear();
        self.app.sim().set_delays(Delays::default());
        if let Some(scarce) = self.luck.gpus {
            // Creates that wait come to their end when there is room.
            let Self { app, steppers, .. } = self;
            attend(steppers.as_mut().expect("the server is alive"), declare(app, PLENTY, scarce.out_of_stock)).await;
        }
        let rested = self.app.now() + Duration::from_secs(3);
        for _ in 0..PATIENCE {
            self.let_tasks_run().await?;
            if step_all(self.steppers()) > 0 {
                let now = self.app.now();
                let Self { book, steppers, clients, .. } = self;
                book.after_commit(&mut steppers.as_mut().expect("the server is alive").store, clients, now)?;
                continue;
            }
            if self.flying.is_empty() && self.book.open_actions() == 0 && self.firewalls_waiting()? == 0 {
                if self.app.now() >= rested {
                    return Ok(());
                }
                // Who follows machines looks again a second after the store refused what was seen.
                self.app.clock().advance(Duration::from_secs(1));
                continue;
            }
            self.clock_goes_on();
        }
        let (actions, changes) = (self.book.open_actions(), self.firewalls_waiting()?);
        Err(Broken(format!("{actions} actions and {changes} changes of firewalls do not come to their end")))
    }

    /// Whether no engine failed and no guest went its own way: then no action may fail.
    pub(crate) fn engine_was_kind(&self) -> bool {
        self.luck.engine_errors == 0 && self.luck.power_off == 0
    }

    pub(crate) fn engine_never_failed(&self) -> bool {
        self.luck.engine_errors == 0
    }
}

/// Drives the simulator alone.
pub(crate) async fn attend_sim<T>(steppers: &mut Steppers, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let std::task::Poll::Ready(done) =
            std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx))).await
        {
            return done;
        }
        steppers.sim.step();
    }
}
