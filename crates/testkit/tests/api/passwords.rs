//! Root's password: made for a Droplet without a key, reset on request, shown once (CRE-10, DAC-9).

use dewpoint_control::actions::Point;
use dewpoint_engine::{Error as EngineError, MachineId, Operation, sim::Moment};
use dewpoint_testkit::{Answer, TestApp, public_key};
use serde_json::{Value, json};

use crate::{droplet, fault, for_now};

async fn password(app: &TestApp, id: u64) -> Answer {
    app.admin().get(&format!("/dew/v1/droplets/{id}/password")).await
}

/// What the machine was given of it.
async fn hash(app: &TestApp, id: u64) -> Option<String> {
    let spec = app.sim().spec(MachineId(id)).await.expect("the simulator answers");
    spec.expect("a machine").password_hash
}

async fn with_passwords() -> TestApp {
    TestApp::start_with(|setup| setup.equipment.passwords = true).await
}

async fn made(app: &TestApp, changes: Value) -> u64 {
    let body = app.admin().post("/v2/droplets", droplet(changes)).await.expect(202);
    app.run_actions_to_end_in_time().await;
    body["droplet"]["id"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_droplet_without_a_key_has_a_password_that_is_shown_once_cre_10() {
    let app = with_passwords().await;
    let id = made(&app, json!({})).await;
    let hash = hash(&app, id).await.expect("a password was made");
    assert!(hash.starts_with("$6$"), "{hash}");
    let head = app.admin().send_bytes("HEAD", &format!("/dew/v1/droplets/{id}/password"), "").await;
    assert_eq!(head.status, 422, "it would use the password up");
    let other = app.other_account().await.get(&format!("/dew/v1/droplets/{id}/password")).await;
    other.refusal(404, "not_found");
    let reader = app.token_with(&["read"]).await;
    reader.get(&format!("/dew/v1/droplets/{id}/password")).await.refusal(403, "forbidden");

    let shown = password(&app, id).await.expect(200);
    assert_eq!(shown["password"].as_str().map(str::len), Some(20));
    assert!(shown["set_at"].is_string());
    let refusal = password(&app, id).await.refusal(404, "not_found");
    assert!(refusal.contains("shown before"), "{refusal}");
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_with_a_key_or_without_a_guest_has_no_password() {
    let app = with_passwords().await;
    let key = json!({ "name": "k", "public_key": public_key(1) });
    let key = app.admin().post("/v2/account/keys", key).await.expect(201)["ssh_key"]["id"].clone();
    let id = made(&app, json!({ "ssh_keys": [key] })).await;
    assert_eq!(hash(&app, id).await, None);
    password(&app, id).await.refusal(404, "not_found");
    let app = TestApp::start().await;
    let id = made(&app, json!({})).await;
    assert_eq!(hash(&app, id).await, None, "the simulator by itself");
    assert_eq!(app.rows("passwords").await, 0);
}

#[tokio::test]
async fn a_create_that_is_cut_off_or_tried_again_makes_its_machine_with_one_password() {
    for point in [Point::Before, Point::Done, Point::Stored] {
        let mut app = with_passwords().await;
        let id = app.admin().create_droplet("web-1").await;
        app.crash_worker_at("create", "boot", point);
        app.run_actions_to_end().await;
        let first = hash(&app, id).await;
        app.restart().await;
        app.run_actions_to_end().await;
        assert_eq!((hash(&app, id).await, app.admin().droplet(id).await["status"].as_str()), (first, Some("active")));
        password(&app, id).await.expect(200);
        app.books_balance().await;
    }
    for moment in [Moment::Before, Moment::After] {
        let app = with_passwords().await;
        app.sim().faults().order(fault(Operation::Ensure, moment, 2, for_now));
        let id = made(&app, json!({})).await;
        assert_eq!(app.admin().droplet(id).await["status"], "active", "made again with the same password");
        password(&app, id).await.expect(200);
    }
}

#[tokio::test]
async fn a_reset_sets_another_password_in_the_running_guest() {
    let app = with_passwords().await;
    let id = made(&app, json!({})).await;
    let (old, old_hash) = (password(&app, id).await.expect(200)["password"].clone(), hash(&app, id).await);
    app.admin().act(id, "password_reset").await.expect(201);
    app.run_actions_to_end().await;
    let (new, new_hash) = (password(&app, id).await.expect(200)["password"].clone(), hash(&app, id).await);
    assert_ne!((&old, &old_hash), (&new, &new_hash));
    // What is made of the Droplet later has it as well.
    app.admin().act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    let resize = json!({ "type": "resize", "size": "s-1vcpu-2gb" });
    app.admin().post(&format!("/v2/droplets/{id}/actions"), resize).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(hash(&app, id).await, new_hash);
    app.admin().act(id, "password_reset").await.invalid();
    app.books_balance().await;
}

#[tokio::test]
async fn a_guest_that_does_not_answer_keeps_its_password_and_the_action_says_what_to_do() {
    let app = with_passwords().await;
    let id = made(&app, json!({})).await;
    let before = (hash(&app, id).await, password(&app, id).await.expect(200));
    app.sim().faults().order(fault(Operation::SetPassword, Moment::Before, 1, EngineError::GuestIgnored));
    let action = app.admin().act(id, "password_reset").await.expect(201)["action"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let story = app.admin().action_story(action).await;
    assert_eq!(story["action"]["status"], "errored");
    let reason = story["reason"].as_str().expect("a reason");
    assert!(reason.contains("qemu-guest-agent"), "{reason}");
    assert_eq!(hash(&app, id).await, before.0);
    password(&app, id).await.refusal(404, "not_found");
    app.books_balance().await;
}

#[tokio::test]
async fn a_password_goes_with_its_droplet_and_is_nowhere_in_its_actions() {
    let app = with_passwords().await;
    let id = made(&app, json!({})).await;
    app.admin().act(id, "password_reset").await.expect(201);
    app.run_actions_to_end().await;
    let sql = "SELECT password FROM passwords";
    let clear = app.store().read(move |tx| tx.query_one(sql, &[], |row| row.next::<String>())).await;
    let clear: String = clear.expect("one is kept");
    let sql = "SELECT request, timeline, reason FROM actions";
    let rows = app.store().read(move |tx| {
        tx.query_all(sql, &[], |row| Ok((row.next::<String>()?, row.next::<String>()?, row.next::<Option<String>>()?)))
    });
    let rows: Vec<(String, String, Option<String>)> = rows.await.expect("the store can be read");
    assert!(rows.iter().all(|row| !format!("{row:?}").contains(&clear)), "{rows:?}");
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!((app.rows("passwords").await, app.rows("droplet_seeds").await), (0, 0));
}

#[tokio::test]
async fn an_image_that_manages_its_passwords_refuses_a_reset_dac_9() {
    let app = TestApp::start_with(|setup| {
        setup.catalogue = Some(
            r#"
            [[images]]
            id = 950
            slug = "appliance-1-x64"
            name = "Appliance 1"
            distribution = "Debian"
            min_disk_gib = 5
            size_gigabytes = 1.0
            kind = "application"
            created_at = "2026-01-01T00:00:00Z"
            manages_passwords = true
            "#,
        );
    })
    .await;
    let id = made(&app, json!({ "image": "appliance-1-x64" })).await;
    app.admin().act(id, "password_reset").await.invalid();
    app.books_balance().await;
}
