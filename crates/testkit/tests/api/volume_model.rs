//! Random orders of attach, detach, resize, delete, work, crashes and restarts: a volume is never at two Droplets, and rows,
//! locks and engine agree in the end.

use dewpoint_control::actions::Point;
use dewpoint_testkit::TestApp;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use crate::volume;

/// Steps at which the worker may die.
const STEPS: [(&str, &str); 7] = [
    ("create", "make"),
    ("create", "attach"),
    ("attach_volume", "attach"),
    ("detach_volume", "detach"),
    ("resize", "resize"),
    ("snapshot", "take"),
    ("destroy", "remove"),
];

#[derive(Clone, Debug)]
enum Call {
    Volume,
    Droplet(Option<usize>),
    Attach(usize, usize),
    Detach(usize, usize),
    Resize(usize),
    Snapshot(usize),
    DeleteVolume(usize),
    DeleteDroplet(usize),
    Teardown(usize),
    Work,
    WorkThroughACrash(&'static str, &'static str, Point),
    Restart,
}

fn call() -> impl Strategy<Value = Call> {
    let pick = || 0_usize..4;
    prop_oneof![
        2 => Just(Call::Volume),
        2 => prop::option::of(pick()).prop_map(Call::Droplet),
        5 => (pick(), pick()).prop_map(|(volume, droplet)| Call::Attach(volume, droplet)),
        3 => (pick(), pick()).prop_map(|(volume, droplet)| Call::Detach(volume, droplet)),
        1 => pick().prop_map(Call::Resize),
        1 => pick().prop_map(Call::Snapshot),
        1 => pick().prop_map(Call::DeleteVolume),
        2 => pick().prop_map(Call::DeleteDroplet),
        1 => pick().prop_map(Call::Teardown),
        4 => Just(Call::Work),
        3 => (select(&STEPS[..]), select(vec![Point::Before, Point::Done, Point::Stored]))
            .prop_map(|((kind, step), point)| Call::WorkThroughACrash(kind, step, point)),
        1 => Just(Call::Restart),
    ]
}

#[derive(Default)]
struct Known {
    volumes: Vec<String>,
    droplets: Vec<u64>,
}

impl Known {
    fn volume(&self, pick: usize) -> &str {
        self.volumes
            .get(pick % self.volumes.len().max(1))
            .map_or("00000000-0000-4000-8000-000000000000", String::as_str)
    }

    fn droplet(&self, pick: usize) -> u64 {
        self.droplets.get(pick % self.droplets.len().max(1)).copied().unwrap_or(1)
    }
}

async fn act(app: &TestApp, volume: &str, body: serde_json::Value) {
    let answer = app.admin().post(&format!("/v2/volumes/{volume}/actions"), body).await;
    assert!([202, 404, 422].contains(&answer.status), "{}", answer.text);
}

async fn carry_out(app: &mut TestApp, known: &mut Known, call: &Call) {
    let admin = app.admin();
    match call {
        Call::Volume => {
            let name = format!("v{}", known.volumes.len());
            let made = admin.post("/v2/volumes", volume(json!({ "name": name }))).await.expect(201);
            known.volumes.push(made["volume"]["id"].as_str().expect("an id").to_owned());
        }
        Call::Droplet(pick) => {
            let volumes: Vec<&str> = pick.map(|pick| known.volume(pick)).into_iter().collect();
            let answer = admin.post("/v2/droplets", crate::droplet(json!({ "volumes": volumes }))).await;
            match answer.status {
                202 => known.droplets.push(answer.json()["droplet"]["id"].as_u64().expect("a number")),
                _ => drop(answer.invalid()),
            }
        }
        Call::Attach(volume, droplet) => {
            act(app, known.volume(*volume), json!({ "type": "attach", "droplet_id": known.droplet(*droplet) })).await;
        }
        Call::Detach(volume, droplet) => {
            act(app, known.volume(*volume), json!({ "type": "detach", "droplet_id": known.droplet(*droplet) })).await;
        }
        Call::Resize(volume) => {
            act(app, known.volume(*volume), json!({ "type": "resize", "size_gigabytes": 20 })).await
        }
        Call::Snapshot(volume) => {
            let path = format!("/v2/volumes/{}/snapshots", known.volume(*volume));
            let answer = admin.post(&path, json!({ "name": "s" })).await;
            assert!([201, 404, 422].contains(&answer.status), "{}", answer.text);
        }
        Call::DeleteVolume(volume) => {
            let answer = admin.delete(&format!("/v2/volumes/{}", known.volume(*volume))).await;
            assert!([204, 404, 409].contains(&answer.status), "{}", answer.text);
        }
        Call::DeleteDroplet(droplet) => {
            let answer = admin.delete(&format!("/v2/droplets/{}", known.droplet(*droplet))).await;
            assert!([204, 404, 422].contains(&answer.status), "{}", answer.text);
        }
        Call::Teardown(droplet) => {
            let id = known.droplet(*droplet);
            let path = format!("/v2/droplets/{id}/destroy_with_associated_resources/selective");
            let answer = admin.delete(&path).await;
            assert!([202, 404, 422].contains(&answer.status), "{}", answer.text);
        }
        Call::Work => app.run_actions_to_end().await,
        Call::WorkThroughACrash(kind, step, point) => {
            app.crash_worker_at(kind, step, *point);
            app.run_actions_to_end().await;
            app.crash_worker_no_more();
            app.restart().await;
        }
        Call::Restart => app.restart().await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_volume_is_never_attached_twice_in_any_order(calls in vec(call(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut app = TestApp::start().await;
            let mut known = Known::default();
            for call in &calls {
                carry_out(&mut app, &mut known, call).await;
            }
            app.run_actions_to_end_in_time().await;
            app.books_balance().await;
            let actions = app.admin().all("/v2/actions", "actions").await;
            assert!(actions.iter().all(|action| action["status"] == "completed"), "nothing was ordered to fail: {actions:?}");
        });
    }
}
