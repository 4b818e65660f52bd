//! Leases: who works on an action, what a late worker may still write, and when a step that failed for now comes again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use dewpoint_control::actions::{Point, Probe, Worker};
use dewpoint_engine::{
    MachineId, Operation,
    sim::{Delays, Moment},
};
use dewpoint_store::{ActionRecord, Tx, actions};
use dewpoint_testkit::TestApp;
use serde_json::json;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use crate::{fault, for_now};

/// When the lease of the newest action ends, in milliseconds.
async fn lease(app: &TestApp) -> i64 {
    let account = app.account().await;
    let newest = dewpoint_store::Window { skip: 0, take: 1 };
    let page = app.store().read(move |tx: &mut dyn Tx| actions::action_list(tx, account, newest)).await;
    page.expect("the store can be read").rows[0].leased_until.as_millis()
}

#[tokio::test]
async fn a_dead_workers_action_is_free_when_its_lease_ends() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    app.crash_worker_at("create", "boot", Point::Before);
    app.run_actions_to_end().await;
    app.clock().advance(Duration::from_millis(29_999));
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "new", "it is still leased");
    app.clock().advance(Duration::from_millis(1));
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "active");
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    assert_eq!(app.admin().action_story(action).await["attempt"], 2);
    app.books_balance().await;
}

/// Holds a worker back once, with its work done and nothing of it stored.
#[derive(Debug)]
struct Gate {
    arrived: UnboundedSender<()>,
    opened: Mutex<mpsc::Receiver<()>>,
    used: AtomicBool,
}

impl Probe for Gate {
    fn goes_on(&self, _: &ActionRecord, point: Point) -> bool {
        if point == Point::Done && !self.used.swap(true, Ordering::SeqCst) {
            self.arrived.send(()).expect("the test waits for it");
            let opened = self.opened.lock().expect("nobody else waits here");
            opened.recv().expect("the test opens it");
        }
        true
    }
}

/// The test's end of a [`Gate`].
struct Keeper {
    arrivals: tokio::sync::Mutex<UnboundedReceiver<()>>,
    open: mpsc::Sender<()>,
}

impl Keeper {
    async fn arrived(&self) {
        self.arrivals.lock().await.recv().await.expect("a worker comes");
    }

    fn open(&self) {
        self.open.send(()).expect("a worker waits");
    }
}

/// A worker at work on a thread of its own, which comes to a gate.
fn held_worker(app: &TestApp) -> (JoinHandle<()>, Keeper) {
    let ((arrived, arrivals), (open, opened)) = (unbounded_channel(), mpsc::channel());
    let gate = Gate { arrived, opened: Mutex::new(opened), used: AtomicBool::new(false) };
    let worker = Worker::watched(app.control().clone(), Arc::new(gate));
    let worker = tokio::spawn(async move { worker.run_until_idle().await });
    (worker, Keeper { arrivals: tokio::sync::Mutex::new(arrivals), open })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_late_worker_stores_nothing() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    app.admin().act(id, "power_off").await.expect(201);
    let (late, gate) = held_worker(&app);
    gate.arrived().await;

    // Its lease ends; another worker does the work, and the Droplet goes on to other things.
    app.clock().advance(Duration::from_secs(31));
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "off");
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    let story = app.admin().action_story(action).await;
    app.admin().act(id, "power_on").await.expect(201);
    app.run_actions_to_end().await;

    gate.open();
    late.await.expect("it ends in order");
    assert_eq!(app.admin().action_story(action).await, story, "ended once, by the second attempt");
    assert_eq!(story["attempt"], 2);
    assert_eq!(app.admin().droplet(id).await["status"], "active", "the late worker's `off` is not written");
    app.books_balance().await;
}

#[tokio::test]
async fn a_lease_is_renewed_while_the_engine_works() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    app.sim().set_delays(Delays { power_on: Duration::from_secs(300), ..Delays::default() });
    let worker = app.worker();
    let working = tokio::spawn(async move { worker.run_until_idle().await });
    for _ in 0..10 {
        // The engine sleeps through its delay, the worker until it is time to renew.
        app.until("both sleep", async || app.clock().sleepers() >= 2).await;
        // A lease is renewed when a third of it is gone.
        let before = lease(&app).await;
        app.clock().advance(Duration::from_secs(10));
        app.until("the lease is renewed", async || lease(&app).await > before).await;
        let others = app.store().write({
            let now = app.now();
            move |tx: &mut dyn Tx| actions::action_claim(tx, now, Duration::from_secs(30), 64)
        });
        assert!(others.await.expect("the store can be read").is_empty(), "nobody else gets it");
    }
    app.clock().advance(Duration::from_secs(300));
    working.await.expect("it ends in order");
    assert_eq!(app.admin().droplet(id).await["status"], "active");
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    assert_eq!(app.admin().action_story(action).await["attempt"], 1);
    app.books_balance().await;
}

#[tokio::test]
async fn a_step_that_fails_for_now_is_tried_again_after_growing_pauses() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    app.sim().faults().order(fault(Operation::Ensure, Moment::Before, 4, for_now));
    for pause in [1, 2, 4, 8] {
        app.run_actions_to_end().await;
        app.clock().advance(Duration::from_millis(pause * 1000 - 1));
        app.run_actions_to_end().await;
        assert_eq!(app.admin().droplet(id).await["status"], "new", "not before {pause} s are over");
        app.clock().advance(Duration::from_millis(1));
    }
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "active");
    app.books_balance().await;
}

#[tokio::test]
async fn an_action_that_waits_keeps_no_other_waiting_and_a_restart_tries_it_at_once() {
    let mut app = TestApp::start().await;
    let first = app.admin().create_droplet("first").await;
    app.sim().faults().order(fault(Operation::Ensure, Moment::Before, 1, for_now));
    app.run_actions_to_end().await;
    let second = app.admin().active_droplet("second").await;
    assert_eq!(app.admin().droplet(first).await["status"], "new");
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!(app.machines().await, [first, second]);
    app.books_balance().await;
}

#[tokio::test]
async fn the_running_worker_takes_a_waiting_action_up_in_time() {
    let app = TestApp::start().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let working = tokio::spawn(app.worker().run(stopped));
    app.sim().faults().order(fault(Operation::Ensure, Moment::Before, 1, for_now));
    let id = app.admin().create_droplet("web-1").await;
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    app.until("it failed once", async || app.admin().action_story(action).await["timeline"] != json!([])).await;
    app.clock().advance(Duration::from_secs(1));
    app.until("it runs", async || app.admin().droplet(id).await["status"] == "active").await;
    stop.send_replace(true);
    working.await.expect("it ends in order");
    app.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_guest_that_goes_off_while_an_action_ends_is_shown_off() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    app.admin().act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(app.control().clone().follow_changes(stopped));
    app.admin().act(id, "power_on").await.expect(201);
    let (worker, gate) = held_worker(&app);
    gate.arrived().await;
    // It runs, nothing of that is written yet, and it goes off.
    app.sim().guest_powers_off(MachineId(id)).await.expect("a machine");
    gate.open();
    worker.await.expect("it ends in order");
    app.until("it is off", async || app.admin().droplet(id).await["status"] == "off").await;
    stop.send_replace(true);
    following.await.expect("it ends in order");
    app.books_balance().await;
}

#[tokio::test]
async fn a_change_that_comes_while_an_action_runs_is_looked_at_when_it_ends() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(app.control().clone().follow_changes(stopped));
    tokio::task::yield_now().await;
    let path = format!("/v2/droplets/{id}/actions");
    app.admin().post(&path, json!({ "type": "rename", "name": "web-2" })).await.expect(201);
    app.sim().guest_powers_off(MachineId(id)).await.expect("a machine");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "off");
    stop.send_replace(true);
    following.await.expect("it ends in order");
    app.books_balance().await;
}

/// Lets one attempt after the other at the newest action be lost before this step.
async fn lose_attempts(app: &TestApp, kind: &str, step: &str, times: u64) {
    for _ in 0..times {
        app.crash_worker_at(kind, step, Point::Before);
        app.run_actions_to_end().await;
        assert!(app.worker_has_crashed(), "it comes to {step}");
        app.clock().advance(app.control().config().lease);
    }
}

#[tokio::test]
async fn an_action_that_every_server_dies_of_is_given_up_and_says_so() {
    for (lost, status) in [(3, "completed"), (4, "errored")] {
        let app = TestApp::start_with(|setup| setup.control.lost_attempts_most = 3).await;
        app.admin().create_droplet("web-1").await;
        lose_attempts(&app, "create", "ensure", lost).await;
        app.run_actions_to_end().await;
        let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
        let story = app.admin().action_story(action).await;
        assert_eq!(story["action"]["status"], status, "{lost} lost: {story}");
        if status == "errored" {
            let reason = story["reason"].as_str().expect("a reason");
            assert!(reason.contains("step ensure failed: given up after 4 attempts"), "{reason}");
            assert_eq!(crate::each(&story["timeline"], "step"), ["ensure", "remove"], "the timeline tells too");
            assert!(app.droplet_records().await.is_empty());
        }
        app.books_balance().await;
    }
}

#[tokio::test]
async fn a_step_that_panics_every_time_fails_with_what_it_said() {
    let app = TestApp::start().await;
    let droplet = app.admin().active_droplet("web-1").await;
    app.admin().act(droplet, "power_off").await.expect(201);
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    for _ in 0..dewpoint_control::actions::TRIES {
        let worker = Worker::new(app.control().clone()).meddled_with(Arc::new(Faulty));
        worker.run_until_idle().await;
        app.clock().advance(Duration::from_secs(60));
    }
    let story = app.admin().action_story(action).await;
    let reason = story["reason"].as_str().expect("a reason");
    assert!(reason.contains("step off failed: a fault of Dewpoint's own: the index is 7"), "{reason}");
    assert_eq!(app.admin().droplet(droplet).await["locked"], false);
    app.books_balance().await;
}

/// Panics in every step.
#[derive(Debug)]
struct Faulty;

impl dewpoint_control::actions::Meddler for Faulty {
    fn before_step<'a>(
        &'a self,
        _: &'a ActionRecord,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), dewpoint_control::Error>> + Send + 'a>> {
        Box::pin(async { std::panic::resume_unwind(Box::new("the index is 7".to_owned())) })
    }
}
