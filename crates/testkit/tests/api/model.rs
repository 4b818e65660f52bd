//! Random sequences of calls against a model that is nothing but maps: whatever the order, the API says what the model says,
//! and Droplets, machines and addresses agree.

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_control::actions::Point;
use dewpoint_testkit::{Answer, TestApp, public_key};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{each, ids, resources};

const TAGS: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["web", "db", "cache"];
const IMAGES: [&str; 2] = ["ubuntu-24-04-x64", "debian-12-x64"];
const STEPS: [(&str, &str); 9] = [
    ("create", "ensure"),
    ("create", "boot"),
    ("destroy", "remove"),
    ("power_off", "off"),
    ("power_cycle", "on"),
    ("rename", "rename"),
    ("snapshot", "take"),
    ("rebuild", "rebuild"),
    ("rebuild", "on"),
];

/// One thing someone does. A `usize` picks one of what there is, or nothing when there is none.
#[derive(Clone, Debug)]
enum Call {
    Create {
        names: Vec<&'static str>,
        tags: Vec<&'static str>,
        gpu: bool,
    },
    CreateWrongly,
    Delete(usize),
    DeleteByTag(&'static str),
    Act(usize, &'static str),
    ActByTag(&'static str, &'static str),
    Rename(usize, &'static str),
    Snapshot(usize),
    Rebuild(usize, &'static str),
    MakeTag(&'static str),
    DeleteTag(&'static str),
    Tag(usize, &'static str),
    Untag(usize, &'static str),
    AddKey(u8),
    DeleteKey(u8),
    Work,
    /// The worker dies there, if it comes there, and the next process goes on.
    WorkThroughACrash(&'static str, &'static str, Point),
    Restart,
}

fn call() -> impl Strategy<Value = Call> {
    let power = || select(vec!["power_on", "power_off", "shutdown", "power_cycle"]);
    prop_oneof![
        4 => (vec(select(&NAMES[..]), 1..4), vec(select(&TAGS[..]), 0..3), prop::bool::weighted(0.2))
            .prop_map(|(names, tags, gpu)| Call::Create { names, tags, gpu }),
        1 => Just(Call::CreateWrongly),
        2 => any::<prop::sample::Index>().prop_map(|pick| Call::Delete(pick.index(64))),
        1 => select(&TAGS[..]).prop_map(Call::DeleteByTag),
        3 => (0_usize..64, power()).prop_map(|(pick, kind)| Call::Act(pick, kind)),
        1 => (select(&TAGS[..]), power()).prop_map(|(tag, kind)| Call::ActByTag(tag, kind)),
        1 => (0_usize..64, select(&NAMES[..])).prop_map(|(pick, name)| Call::Rename(pick, name)),
        2 => (0_usize..64).prop_map(Call::Snapshot),
        1 => (0_usize..64, select(&IMAGES[..])).prop_map(|(pick, image)| Call::Rebuild(pick, image)),
        1 => select(&TAGS[..]).prop_map(Call::MakeTag),
        1 => select(&TAGS[..]).prop_map(Call::DeleteTag),
        2 => (0_usize..64, select(&TAGS[..])).prop_map(|(pick, tag)| Call::Tag(pick, tag)),
        1 => (0_usize..64, select(&TAGS[..])).prop_map(|(pick, tag)| Call::Untag(pick, tag)),
        1 => (0_u8..3).prop_map(Call::AddKey),
        1 => (0_u8..3).prop_map(Call::DeleteKey),
        3 => Just(Call::Work),
        2 => (select(&STEPS[..]), select(vec![Point::Before, Point::Done, Point::Stored]))
            .prop_map(|((kind, step), point)| Call::WorkThroughACrash(kind, step, point)),
        1 => Just(Call::Restart),
    ]
}

/// A Droplet as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Droplet {
    name: &'static str,
    gpu: bool,
    on: bool,
    image: &'static str,
    snapshots: usize,
    /// What its action will make of it, while one runs.
    pending: Option<Pending>,
    tags: BTreeSet<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pending {
    Create,
    Power(bool),
    Rename(&'static str),
    Snapshot,
    Rebuild(&'static str),
}

impl Droplet {
    fn status(&self) -> &'static str {
        match (&self.pending, self.on) {
            (Some(Pending::Create), _) => "new",
            (_, true) => "active",
            (_, false) => "off",
        }
    }

    /// What a power action leads to; `None` when it is refused.
    fn led_by(&self, kind: &str) -> Option<Pending> {
        match kind {
            _ if self.pending.is_some() => None,
            "power_on" => (!self.on).then_some(Pending::Power(true)),
            "power_off" => self.on.then_some(Pending::Power(false)),
            "shutdown" => Some(Pending::Power(false)),
            _ => Some(Pending::Power(true)),
        }
    }
}

#[derive(Debug, Default)]
struct Model {
    droplets: BTreeMap<u64, Droplet>,
    tags: BTreeSet<&'static str>,
    keys: BTreeSet<u8>,
    actions: usize,
    /// Snapshots there are, of Droplets that are gone too.
    images: usize,
}

impl Model {
    fn pick(&self, pick: usize) -> Option<u64> {
        self.droplets.keys().nth(pick.checked_rem(self.droplets.len())?).copied()
    }

    fn tagged(&self, tag: &str) -> Vec<u64> {
        self.droplets.iter().filter(|(_, droplet)| droplet.tags.contains(tag)).map(|(id, _)| *id).collect()
    }

    fn work(&mut self) {
        for droplet in self.droplets.values_mut() {
            match droplet.pending.take() {
                Some(Pending::Create) => droplet.on = true,
                Some(Pending::Power(on)) => droplet.on = on,
                Some(Pending::Rename(name)) => droplet.name = name,
                Some(Pending::Snapshot) => {
                    droplet.snapshots += 1;
                    self.images += 1;
                }
                Some(Pending::Rebuild(image)) => (droplet.image, droplet.on) = (image, true),
                None => {}
            }
        }
    }
}

#[track_caller]
fn went(answer: &Answer, expected: u16) -> Value {
    assert_eq!(answer.status, expected, "{}", answer.text);
    answer.json()
}

/// Makes the call and does the same to the model.
async fn make(app: &mut TestApp, model: &mut Model, call: Call) {
    let admin = app.admin();
    match call {
        Call::Create { names, tags, gpu } => {
            let (size, region) = if gpu { ("gpu-h100x1-80gb", "nyc2") } else { ("s-1vcpu-1gb", "nyc3") };
            let body =
                json!({ "names": names, "tags": tags, "size": size, "region": region, "image": "ubuntu-24-04-x64" });
            let body = went(&admin.post("/v2/droplets", body).await, 202);
            let tags: BTreeSet<&str> = tags.into_iter().collect();
            for (id, name) in ids(&body["droplets"]).into_iter().zip(names) {
                let droplet = Droplet {
                    name,
                    gpu,
                    on: false,
                    image: IMAGES[0],
                    snapshots: 0,
                    pending: Some(Pending::Create),
                    tags: tags.clone(),
                };
                assert_eq!(model.droplets.insert(id, droplet), None, "an id twice");
                model.actions += 1;
            }
            model.tags.extend(tags);
        }
        Call::CreateWrongly => {
            let body = json!({ "names": ["fine", "not fine"], "tags": ["never"], "size": "s-1vcpu-1gb", "image": 104 });
            went(&admin.post("/v2/droplets", body).await, 422);
        }
        Call::Delete(pick) => {
            let Some(id) = model.pick(pick) else { return };
            let free = model.droplets[&id].pending.is_none();
            went(&admin.delete(&format!("/v2/droplets/{id}")).await, if free { 204 } else { 422 });
            if free {
                model.droplets.remove(&id);
                model.actions += 1;
            }
        }
        Call::DeleteByTag(tag) => {
            let meant = model.tagged(tag);
            let free = meant.iter().all(|id| model.droplets[id].pending.is_none());
            let expected = if !model.tags.contains(tag) {
                404
            } else if free {
                204
            } else {
                422
            };
            went(&admin.delete(&format!("/v2/droplets?tag_name={tag}")).await, expected);
            if expected == 204 {
                model.droplets.retain(|id, _| !meant.contains(id));
                model.actions += meant.len();
            }
        }
        Call::Act(pick, kind) => {
            let Some(id) = model.pick(pick) else { return };
            let led = model.droplets[&id].led_by(kind);
            went(&admin.act(id, kind).await, if led.is_some() { 201 } else { 422 });
            begin(model, id, led);
        }
        Call::ActByTag(tag, kind) => {
            let meant = model.tagged(tag);
            let led: Option<Vec<Pending>> = meant.iter().map(|id| model.droplets[id].led_by(kind)).collect();
            let answer = admin.post(&format!("/v2/droplets/actions?tag_name={tag}"), json!({ "type": kind })).await;
            let body = went(&answer, if led.is_some() { 201 } else { 422 });
            for (id, pending) in meant.into_iter().zip(led.unwrap_or_default()) {
                assert!(each(&body["actions"], "resource_id").contains(&&json!(id)));
                begin(model, id, Some(pending));
            }
        }
        Call::Rename(pick, name) => {
            let Some(id) = model.pick(pick) else { return };
            let led = model.droplets[&id].pending.is_none().then_some(Pending::Rename(name));
            let body = json!({ "type": "rename", "name": name });
            let answer = admin.post(&format!("/v2/droplets/{id}/actions"), body).await;
            went(&answer, if led.is_some() { 201 } else { 422 });
            begin(model, id, led);
        }
        Call::Snapshot(pick) => {
            let Some(id) = model.pick(pick) else { return };
            let led = model.droplets[&id].pending.is_none().then_some(Pending::Snapshot);
            went(&admin.act(id, "snapshot").await, if led.is_some() { 201 } else { 422 });
            begin(model, id, led);
        }
        Call::Rebuild(pick, image) => {
            let Some(id) = model.pick(pick) else { return };
            let led = model.droplets[&id].pending.is_none().then_some(Pending::Rebuild(image));
            let body = json!({ "type": "rebuild", "image": image });
            let answer = admin.post(&format!("/v2/droplets/{id}/actions"), body).await;
            went(&answer, if led.is_some() { 201 } else { 422 });
            begin(model, id, led);
        }
        Call::MakeTag(tag) => {
            went(&admin.post("/v2/tags", json!({ "name": tag })).await, 201);
            model.tags.insert(tag);
        }
        Call::DeleteTag(tag) => {
            let known = model.tags.remove(tag);
            went(&admin.delete(&format!("/v2/tags/{tag}")).await, if known { 204 } else { 404 });
            model.droplets.values_mut().for_each(|droplet| {
                droplet.tags.remove(tag);
            });
        }
        Call::Tag(pick, tag) => {
            let Some(id) = model.pick(pick) else { return };
            let known = model.tags.contains(tag);
            let answer = admin.post(&format!("/v2/tags/{tag}/resources"), resources(&[id])).await;
            went(&answer, if known { 204 } else { 404 });
            if let Some(droplet) = model.droplets.get_mut(&id).filter(|_| known) {
                droplet.tags.insert(tag);
            }
        }
        Call::Untag(pick, tag) => {
            let Some(id) = model.pick(pick) else { return };
            let known = model.tags.contains(tag);
            let answer = admin.delete_with(&format!("/v2/tags/{tag}/resources"), resources(&[id])).await;
            went(&answer, if known { 204 } else { 404 });
            if let Some(droplet) = model.droplets.get_mut(&id) {
                droplet.tags.remove(tag);
            }
        }
        Call::AddKey(number) => {
            let body = json!({ "name": "k", "public_key": public_key(number) });
            let expected = if model.keys.insert(number) { 201 } else { 422 };
            went(&admin.post("/v2/account/keys", body).await, expected);
        }
        Call::DeleteKey(number) => {
            let expected = if model.keys.remove(&number) { 204 } else { 404 };
            let path = format!("/v2/account/keys/{}", dewpoint_testkit::fingerprint(number));
            went(&admin.delete(&path).await, expected);
        }
        Call::Work => {
            app.run_actions_to_end().await;
            model.work();
        }
        Call::WorkThroughACrash(kind, step, point) => {
            app.crash_worker_at(kind, step, point);
            app.run_actions_to_end().await;
            app.crash_worker_no_more();
            app.restart().await;
            app.run_actions_to_end().await;
            model.work();
        }
        Call::Restart => app.restart().await,
    }
}

fn begin(model: &mut Model, id: u64, led: Option<Pending>) {
    if let (Some(pending), Some(droplet)) = (led, model.droplets.get_mut(&id)) {
        droplet.pending = Some(pending);
        model.actions += 1;
    }
}

/// Whether the API says what the model says.
async fn compare(app: &TestApp, model: &Model) {
    let admin = app.admin();
    for gpu in [false, true] {
        let expected: Vec<_> = model.droplets.iter().filter(|(_, droplet)| droplet.gpu == gpu).collect();
        let kind = if gpu { "gpus" } else { "droplets" };
        let mut shown = Vec::new();
        for page in 1..=expected.len().div_ceil(3) + 1 {
            let body = went(&admin.get(&format!("/v2/droplets?type={kind}&per_page=3&page={page}")).await, 200);
            assert_eq!(body["meta"]["total"], expected.len());
            shown.extend(body["droplets"].as_array().expect("a list").clone());
        }
        assert_eq!(shown.len(), expected.len());
        for ((id, droplet), shown) in expected.into_iter().zip(shown) {
            let tags: Vec<&str> = droplet.tags.iter().copied().collect();
            assert_eq!(
                (&shown["id"], &shown["name"], &shown["tags"]),
                (&json!(id), &json!(droplet.name), &json!(tags))
            );
            assert_eq!(
                (&shown["status"], &shown["locked"]),
                (&json!(droplet.status()), &json!(droplet.pending.is_some()))
            );
            let snapshots = shown["snapshot_ids"].as_array().map(Vec::len);
            assert_eq!((&shown["image"]["slug"], snapshots), (&json!(droplet.image), Some(droplet.snapshots)));
        }
    }
    let tags = went(&admin.get("/v2/tags").await, 200);
    assert_eq!(each(&tags["tags"], "name"), model.tags.iter().collect::<Vec<_>>());
    for tag in tags["tags"].as_array().expect("a list") {
        let count = model.tagged(tag["name"].as_str().expect("a name")).len();
        assert_eq!(tag["resources"]["droplets"]["count"], count, "{tag}");
    }
    for tag in &model.tags {
        let body = went(&admin.get(&format!("/v2/droplets?tag_name={tag}&per_page=200")).await, 200);
        assert_eq!(ids(&body["droplets"]), model.tagged(tag), "both kinds by one tag");
    }
    let totals = [
        ("/v2/actions", model.actions),
        ("/v2/account/keys", model.keys.len()),
        ("/v2/images", model.images + app.control().catalogue().images().len()),
    ];
    for (path, total) in totals {
        assert_eq!(went(&admin.get(&format!("{path}?per_page=1")).await, 200)["meta"]["total"], total, "{path}");
    }
}

async fn play(calls: Vec<Call>) {
    let mut app = TestApp::start().await;
    let mut model = Model::default();
    for call in calls {
        make(&mut app, &mut model, call).await;
        compare(&app, &model).await;
    }
    make(&mut app, &mut model, Call::Work).await;
    compare(&app, &model).await;
    app.books_balance().await;
    let actions = app.admin().all("/v2/actions", "actions").await;
    assert!(actions.iter().all(|action| action["status"] == "completed" && action["completed_at"].is_string()));
}

/// Few by default, since each opens files; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 16 };
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sequence_of_calls_does_what_the_model_does(calls in vec(call(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(calls));
    }
}
