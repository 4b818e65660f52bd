//! Backups by policy, over weeks of a clock that is moved by hand (DAC-7, CRE-15, DRO-7, DEL-3).

use std::{collections::BTreeSet, time::Duration};

use dewpoint_api::BackupWindow;
use dewpoint_clock::Timestamp;
use dewpoint_engine::sim::Delays;
use dewpoint_testkit::{Answer, TestApp};
use serde_json::{Value, json};

use crate::{droplet, each};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn made(app: &TestApp, changes: Value) -> u64 {
    let body = app.admin().post("/v2/droplets", droplet(changes)).await.expect(202);
    app.run_actions_to_end().await;
    body["droplet"]["id"].as_u64().expect("a number")
}

async fn ask(app: &TestApp, id: u64, body: Value) -> Answer {
    let answer = app.admin().post(&format!("/v2/droplets/{id}/actions"), body).await;
    app.run_actions_to_end().await;
    answer
}

async fn backups(app: &TestApp, id: u64) -> Value {
    app.admin().get(&format!("/v2/droplets/{id}/backups?per_page=200")).await.expect(200)["backups"].clone()
}

async fn window(app: &TestApp, id: u64) -> BackupWindow {
    serde_json::from_value(app.admin().droplet(id).await["next_backup_window"].clone()).expect("a window")
}

/// Moves the clock on by `span`, an hour at a time, with a round of the one who makes backups in each.
async fn pass(app: &TestApp, span: Duration) {
    let end = app.now() + span;
    while app.now() < end {
        app.clock().advance(HOUR);
        app.backup_round().await;
    }
}

#[tokio::test]
async fn a_daily_policy_keeps_seven_and_makes_one_a_window() {
    let app = TestApp::start().await;
    let id = made(&app, json!({ "backups": true, "backup_policy": { "plan": "daily", "hour": 4 } })).await;
    let mut windows = Vec::new();
    for day in 1..=20 {
        windows.push(window(&app, id).await);
        pass(&app, DAY).await;
        assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(day.min(7)), "after {day} days");
    }
    app.books_balance().await;
    let kept = backups(&app, id).await;
    let taken: Vec<Timestamp> =
        each(&kept, "created_at").into_iter().map(|at| serde_json::from_value(at.clone()).expect("a time")).collect();
    for (taken, window) in taken.iter().zip(&windows[13..]) {
        assert!(window.start <= *taken && *taken < window.end, "{taken} is not in its window");
    }
    let name = kept[0]["name"].as_str().expect("a name");
    assert!(name.starts_with("web-1 2026-12-05 0") && name.ends_with(" backup"), "{name}");
    assert_eq!(kept[0]["type"], "backup");
    let actions = app.admin().all(&format!("/v2/droplets/{id}/actions"), "actions").await;
    assert_eq!(actions.iter().filter(|action| action["type"] == "backup").count(), 20, "one a window");
    assert!(actions.iter().all(|action| action["status"] == "completed"));
}

#[tokio::test]
async fn a_weekly_policy_keeps_four_weeks() {
    let app = TestApp::start().await;
    let policy = json!({ "plan": "weekly", "weekday": "TUE", "hour": 20 });
    let id = made(&app, json!({ "backups": true, "backup_policy": policy })).await;
    for week in 1..=6 {
        pass(&app, 7 * DAY).await;
        assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(week.min(4)), "after {week} weeks");
    }
    app.books_balance().await;
}

#[tokio::test]
async fn backups_are_enabled_changed_and_disabled_and_those_there_are_stay_dac_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = made(&app, json!({})).await;
    let policy = async || admin.get(&format!("/v2/droplets/{id}/backups/policy")).await.expect(200)["policy"].clone();
    let weekly = json!({ "plan": "weekly", "weekday": "MON", "hour": 8 });
    let change = json!({ "type": "change_backup_policy", "backup_policy": weekly });
    ask(&app, id, change.clone()).await.invalid();
    ask(&app, id, json!({ "type": "disable_backups" })).await.expect(201);
    for bad in [json!({ "plan": "hourly" }), json!({ "plan": "daily", "hour": 3 }), json!({ "hour": 4 })] {
        ask(&app, id, json!({ "type": "enable_backups", "backup_policy": bad })).await.invalid();
    }

    ask(&app, id, json!({ "type": "enable_backups" })).await.expect(201);
    let shown = admin.droplet(id).await;
    assert!(shown["features"].as_array().is_some_and(|all| all.contains(&json!("backups"))));
    assert!(shown["next_backup_window"]["start"].is_string());
    assert_eq!(policy().await["backup_policy"]["plan"], "daily");
    pass(&app, DAY).await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1));

    ask(&app, id, json!({ "type": "change_backup_policy" })).await.invalid();
    ask(&app, id, change).await.expect(201);
    let before = policy().await;
    assert_eq!(before["backup_policy"]["weekday"], "MON");
    ask(&app, id, json!({ "type": "enable_backups" })).await.expect(201);
    assert_eq!(policy().await["backup_policy"], before["backup_policy"], "on already: nothing changes");

    ask(&app, id, json!({ "type": "disable_backups" })).await.expect(201);
    let shown = admin.droplet(id).await;
    assert_eq!(shown["next_backup_window"], json!(null));
    assert_eq!(
        (policy().await["backup_enabled"].clone(), shown["backup_ids"].as_array().map(Vec::len)),
        (json!(false), Some(1))
    );
    pass(&app, 6 * DAY).await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1), "none is made, and the one stays its time");
    pass(&app, 2 * DAY).await;
    assert_eq!(backups(&app, id).await, json!([]));
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_that_is_busy_is_tried_again_within_its_window() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = made(&app, json!({ "backups": true })).await;
    let open = window(&app, id).await;
    app.move_to_backup(id).await;
    admin.act(id, "reboot").await.expect(201);
    app.control().backup_round().await.expect("the store can be written");
    app.run_actions_to_end().await;
    assert_eq!(backups(&app, id).await, json!([]), "it was busy");
    app.backup_round().await;
    assert_eq!(backups(&app, id).await, json!([]), "not at once again");
    app.clock().advance(Duration::from_secs(5 * 60));
    assert!(app.now() < open.end);
    app.backup_round().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1));
    app.backup_round().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1), "one a window");

    // Busy for all of the next window: that one is left out.
    app.move_to_backup(id).await;
    admin.act(id, "reboot").await.expect(201);
    for _ in 0..10 {
        app.clock().advance(HOUR / 2);
        app.control().backup_round().await.expect("the store can be written");
    }
    app.run_actions_to_end().await;
    app.backup_round().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1));
    app.move_to_backup(id).await;
    app.backup_round().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(2), "the one after it is made");
}

#[tokio::test]
async fn a_window_nobody_was_there_for_is_taken_while_it_lasts_and_else_left_out() {
    let mut app = TestApp::start().await;
    let id = made(&app, json!({ "backups": true, "backup_policy": { "plan": "daily", "hour": 12 } })).await;
    let first = window(&app, id).await;
    // Down until the last minute of the window.
    app.clock().advance(first.end.since(app.now()) - Duration::from_secs(60));
    app.restart().await;
    app.backup_round().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1), "still inside");
    // Down for two whole windows and a bit.
    app.clock().advance(2 * DAY + HOUR);
    app.restart().await;
    app.backup_round().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1), "outside: left out");
    pass(&app, DAY).await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(2));
    app.books_balance().await;
}

#[tokio::test]
async fn a_backup_that_was_cut_off_is_made_once() {
    use dewpoint_control::actions::Point;
    for point in [Point::Before, Point::Done, Point::Stored] {
        let mut app = TestApp::start().await;
        let id = made(&app, json!({ "backups": true })).await;
        app.move_to_backup(id).await;
        app.crash_worker_at("backup", "take", point);
        app.backup_round().await;
        assert!(app.worker_has_crashed());
        app.restart().await;
        app.backup_round().await;
        assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1), "{point:?}");
        app.books_balance().await;
    }
}

#[tokio::test]
async fn many_droplets_are_spread_over_the_first_half_of_their_window() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..10).map(|n| format!("web-{n}")).collect();
    for _ in 0..15 {
        let body = json!({ "names": names, "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3",
            "backups": true, "backup_policy": { "plan": "daily", "hour": 0 } });
        app.admin().post("/v2/droplets", body).await.expect(202);
    }
    app.run_actions_to_end().await;
    let due: Vec<Timestamp> =
        app.droplet_records().await.iter().map(|record| record.backup_due_at.expect("backups are on")).collect();
    let open: BackupWindow = window(&app, app.droplet_records().await[0].id.0).await;
    assert!(due.iter().all(|due| open.start <= *due && due.since(open.start) < 2 * HOUR));
    assert!(due.iter().collect::<BTreeSet<_>>().len() > 140, "hardly two at one time");
    let quarter = |n: u32| {
        let (from, to) = (open.start + HOUR / 2 * n, open.start + HOUR / 2 * (n + 1));
        due.iter().filter(|due| from <= **due && **due < to).count()
    };
    assert!((0..4).all(|n| (20..60).contains(&quarter(n))), "{:?}", [0, 1, 2, 3].map(quarter));
    // All of them at once, as after a pause of the server: page by page.
    app.clock().advance(open.end.since(app.now()) - Duration::from_secs(60));
    app.backup_round().await;
    let own = app.admin().get("/v2/images?private=true&per_page=1").await.expect(200);
    assert_eq!(own["meta"]["total"], 150);
    app.books_balance().await;
}

#[tokio::test]
async fn backups_go_with_their_droplet_and_snapshots_stay_del_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = made(&app, json!({ "backups": true })).await;
    pass(&app, 2 * DAY).await;
    ask(&app, id, json!({ "type": "snapshot", "name": "kept" })).await.expect(201);
    let shown = admin.droplet(id).await;
    let (first, second) = (shown["backup_ids"][0].clone(), shown["backup_ids"][1].clone());
    // One of them is just being used.
    app.sim().set_delays(Delays { ensure: HOUR, ..Delays::default() });
    admin.post("/v2/droplets", droplet(json!({ "image": first }))).await.expect(202);
    admin.delete(&format!("/v2/droplets/{id}")).await.expect(204);
    admin.get(&format!("/v2/images/{first}")).await.expect(200);
    admin.get(&format!("/v2/images/{second}")).await.refusal(404, "not_found");
    app.sim().set_delays(Delays::default());
    app.backup_round().await;
    app.clock().advance(Duration::from_secs(5 * 60));
    app.backup_round().await;
    admin.get(&format!("/v2/images/{first}")).await.refusal(404, "not_found");
    let own = admin.get("/v2/images?private=true").await.expect(200)["images"].clone();
    assert_eq!(each(&own, "name"), ["kept"]);
    app.books_balance().await;
}

#[tokio::test]
async fn the_one_who_makes_backups_wakes_when_one_is_due() {
    let app = TestApp::start().await;
    let id = made(&app, json!({ "backups": true })).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let task = tokio::spawn(app.control().clone().make_backups(stopped));
    app.until("it sleeps", async || app.clock().sleepers() > 0).await;
    assert_eq!(app.backlog().await, 0);
    app.move_to_backup(id).await;
    app.until("a backup has begun", async || app.backlog().await == 1).await;
    app.run_actions_to_end().await;
    assert_eq!(backups(&app, id).await.as_array().map(Vec::len), Some(1));
    stop.send_replace(true);
    task.await.expect("it ends when it is told to");
}
