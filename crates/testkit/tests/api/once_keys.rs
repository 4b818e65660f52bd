//! `Idempotency-Key`: at most one effect for a day, whatever becomes of answers, processes and clocks.

use std::time::Duration;

use dewpoint_testkit::{Answer, Client, TestApp, droplet_body, public_key};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{droplet, each, ids, poll_once};

const DROPLETS: &str = "/v2/droplets";
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// The header with this key.
fn key(key: &str) -> [(&str, &str); 1] {
    [("idempotency-key", key)]
}

/// The Droplets there are.
async fn droplets(caller: &Client<'_>) -> Vec<u64> {
    ids(&Value::Array(caller.all(DROPLETS, "droplets").await))
}

#[tokio::test]
async fn the_same_key_and_body_make_one_droplet_and_show_it_as_it_is_now() {
    let app = TestApp::start().await;
    let first = app.admin().post_with(DROPLETS, &key("a"), &droplet_body("web-1")).await;
    let made = first.expect(202);
    assert_eq!(first.header("idempotent-replayed"), "");
    app.run_actions_to_end().await;

    let again = app.admin().post_with(DROPLETS, &key("a"), &droplet_body("web-1")).await;
    let body = again.expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(body["droplet"], app.admin().droplet(made["droplet"]["id"].as_u64().expect("a number")).await);
    assert_eq!((&body["droplet"]["status"], &made["droplet"]["status"]), (&json!("active"), &json!("new")));
    assert_eq!(body["links"], made["links"]);
    assert_eq!(droplets(&app.admin()).await.len(), 1);
    app.books_balance().await;
}

#[tokio::test]
async fn several_droplets_are_shown_again_in_their_order() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "name": null, "names": ["b", "a", "c"] }));
    let first = app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    let again = app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    assert_eq!(ids(&again["droplets"]), ids(&first["droplets"]));
    assert_eq!(each(&again["droplets"], "name"), ["b", "a", "c"]);
    assert_eq!(again["links"], first["links"]);
    assert_eq!(droplets(&app.admin()).await.len(), 3);
}

#[tokio::test]
async fn another_body_path_or_query_under_the_same_key_is_a_409_that_asking_again_will_not_help_err_10() {
    let app = TestApp::start().await;
    app.admin().post_with(DROPLETS, &key("a"), &droplet_body("web-1")).await.expect(202);
    for (path, body) in [
        (DROPLETS, droplet_body("web-2")),
        ("/v2/droplets?x=y", droplet_body("web-1")),
        ("/v2/volumes", droplet_body("web-1")),
    ] {
        let answer = app.admin().post_with(path, &key("a"), &body).await;
        assert!(answer.refusal(409, "conflict").contains("Idempotency-Key"), "{path}");
        assert_eq!(answer.header("x-should-retry"), "false");
    }
    assert_eq!(droplets(&app.admin()).await.len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_the_account_and_not_to_the_token() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    let made = app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    let colleague = app.token_with(&["full"]).await;
    let seen = colleague.post_with(DROPLETS, &key("a"), &body).await.expect(202);
    assert_eq!(seen["droplet"]["id"], made["droplet"]["id"]);

    let stranger = app.other_account().await;
    let other = stranger.post_with(DROPLETS, &key("a"), &body).await;
    assert_eq!((other.status, other.header("idempotent-replayed")), (202, ""));
    assert_ne!(other.json()["droplet"]["id"], made["droplet"]["id"]);
    let taken = stranger.post_with(DROPLETS, &key("a"), &droplet_body("web-2")).await;
    taken.refusal(409, "conflict");
    assert_eq!((droplets(&app.admin()).await.len(), droplets(&stranger).await.len()), (1, 1));
}

#[tokio::test]
async fn a_token_that_may_not_create_learns_nothing_by_knowing_the_key() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    let reader = app.token_with(&["droplet:read"]).await;
    reader.post_with(DROPLETS, &key("a"), &body).await.refusal(403, "forbidden");
    // AUTH-6 holds for what is shown again, too.
    let creator = app.token_with(&["droplet:create", "image:read"]).await;
    let blind = app.token_with(&["droplet:create"]).await;
    assert!(creator.post_with(DROPLETS, &key("a"), &body).await.expect(202)["droplet"].get("image").is_some());
    assert!(blind.post_with(DROPLETS, &key("a"), &body).await.expect(202)["droplet"].get("image").is_none());
}

#[tokio::test]
async fn what_was_refused_may_be_asked_again_under_the_same_key_with_another_body() {
    let app = TestApp::start().await;
    let wrong = droplet(json!({ "size": "s-enormous" }));
    app.admin().post_with(DROPLETS, &key("a"), &wrong).await.invalid();
    app.admin().post_with(DROPLETS, &key("a"), &droplet(json!({ "ssh_keys": [7] }))).await.invalid();
    let made = app.admin().post_with(DROPLETS, &key("a"), &droplet_body("web-1")).await;
    assert_eq!((made.status, made.header("idempotent-replayed")), (202, ""));
    for bad in ["", &"k".repeat(256)] {
        app.admin().post_with(DROPLETS, &key(bad), &droplet_body("web-1")).await.refusal(400, "bad_request");
    }
    assert_eq!(droplets(&app.admin()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_with_one_key_make_one_droplet_and_all_are_told_the_same() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for round in 0..8 {
        let (body, name) = (droplet_body("web-1"), format!("round {round}"));
        let key = key(&name);
        let answers = join_all((0..64).map(|_| admin.post_with(DROPLETS, &key, &body))).await;
        let first = answers[0].expect(202);
        assert!(answers.iter().all(|answer| answer.expect(202) == first), "one body");
        let firsts = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty());
        assert_eq!(firsts.count(), 1);
        assert_eq!(droplets(&admin).await.len(), round + 1);
    }
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_with_several_bodies_under_one_key_those_of_one_body_are_told_and_the_rest_refused() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let bodies: Vec<_> = (0..4).map(|number| droplet_body(&format!("web-{number}"))).collect();
    for round in 0..8 {
        let name = format!("round {round}");
        let key = key(&name);
        let answers = join_all((0..64).map(|number| admin.post_with(DROPLETS, &key, &bodies[number % 4]))).await;
        let (told, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
        assert_eq!((told.len(), refused.len()), (16, 48), "round {round}");
        assert!(told.iter().all(|answer| answer.json() == told[0].json()), "one body");
        for answer in refused {
            answer.refusal(409, "conflict");
            assert_eq!(answer.header("x-should-retry"), "false");
        }
        assert_eq!(droplets(&admin).await.len(), round + 1);
    }
}

#[tokio::test]
async fn a_kill_before_the_commit_leaves_nothing_and_one_after_it_leaves_both_droplet_and_key() {
    let mut app = TestApp::start().await;
    let body = droplet_body("web-1");
    // A request that was never polled, and so never reached the store.
    drop(app.admin().post_with(DROPLETS, &key("before"), &body));
    app.restart().await;
    assert_eq!(droplets(&app.admin()).await, Vec::<u64>::new());
    let made = app.admin().post_with(DROPLETS, &key("before"), &body).await;
    assert_eq!((made.status, made.header("idempotent-replayed")), (202, ""));

    // The answer is made and lost with the process; nobody has worked on the Droplet yet.
    assert_eq!(app.admin().post_and_lose(DROPLETS, &key("after"), &body).await, 202);
    app.restart().await;
    let again = app.admin().post_with(DROPLETS, &key("after"), &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"));
    assert_eq!(droplets(&app.admin()).await.len(), 2);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_handler_dropped_with_its_write_on_the_way_is_found_by_its_key() {
    let app = TestApp::start().await;
    let (admin, body, key) = (app.admin(), droplet_body("web-1"), key("a"));
    admin.get("/v2/account").await.expect(200);
    // The key is looked up on another thread, and then the write is sent, which waits.
    let writes = app.hold_writes();
    let mut leaving = Box::pin(admin.post_with(DROPLETS, &key, &body));
    for _ in 0..1000 {
        assert!(poll_once(&mut leaving).await);
        tokio::task::yield_now().await;
    }
    drop(leaving);
    let mut again = Box::pin(admin.post_with(DROPLETS, &key, &body));
    assert!(poll_once(&mut again).await);
    drop(writes);
    let answer = again.await.expect(202);
    assert_eq!(droplets(&admin).await, [answer["droplet"]["id"].as_u64().expect("a number")]);
}

#[tokio::test]
async fn who_waits_too_long_for_the_first_is_told_to_ask_again_and_then_of_the_droplet() {
    let app = TestApp::start_with(|setup| setup.server.retry_patience = Duration::ZERO).await;
    let (admin, body, key) = (app.admin(), droplet_body("web-1"), key("a"));
    let retry = [("x-stainless-retry-count", "1")];
    admin.get("/v2/account").await.expect(200);
    let (writes, mut under_way) = (app.hold_writes(), Vec::new());
    let under_way_still = |answer: Answer| {
        answer.refusal(409, "conflict");
        assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), ("5", ""));
    };
    for (first, again) in [(&key, &key), (&[("x-stainless-retry-count", "0")], &retry)] {
        let mut waiting = Box::pin(admin.post_with(DROPLETS, first, &body));
        assert!(poll_once(&mut waiting).await, "it waits for its key to be looked up, or for its write");
        under_way_still(admin.post_with(DROPLETS, again, &body).await);
        under_way.push(waiting);
    }
    let mut leaving = Box::pin(admin.post_with(DROPLETS, &[], &body));
    assert!(poll_once(&mut leaving).await, "its write waits");
    drop(leaving);
    under_way_still(admin.post_with(DROPLETS, &[], &body).await);
    drop(writes);
    for first in under_way {
        assert_eq!(first.await.status, 202);
    }
    // The lost one is over when its write is made, which a read does not wait for: a write does.
    admin.post("/v2/tags", json!({ "name": "after" })).await.expect(201);
    for headers in [&key[..], &retry, &[]] {
        let told = admin.post_with(DROPLETS, headers, &body).await;
        assert_eq!((told.status, told.header("idempotent-replayed")), (202, "true"), "{headers:?}");
    }
    assert_eq!(droplets(&admin).await.len(), 3);
}

#[tokio::test]
async fn after_a_day_a_key_is_free_again_and_its_row_goes() {
    let mut app = TestApp::start().await;
    let body = droplet_body("web-1");
    let made = app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    app.clock().advance(A_DAY - Duration::from_millis(1));
    app.restart().await;
    let known = app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    assert_eq!(known["droplet"]["id"], made["droplet"]["id"]);
    app.clock().advance(Duration::from_millis(1));
    let new = app.admin().post_with(DROPLETS, &key("a"), &droplet_body("web-2")).await.expect(202);
    assert_ne!(new["droplet"]["id"], made["droplet"]["id"]);
    let again = app.admin().post_with(DROPLETS, &key("a"), &droplet_body("web-2")).await.expect(202);
    assert_eq!(again["droplet"]["id"], new["droplet"]["id"]);
    assert_eq!(app.rows_of_once().await, 1);
}

#[tokio::test]
async fn what_was_made_and_is_gone_is_not_made_again() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    let made = app.admin().post_with(DROPLETS, &key("a"), &body).await.expect(202);
    app.run_actions_to_end().await;
    app.admin().delete(&format!("{DROPLETS}/{}", made["droplet"]["id"])).await.expect(204);
    let answer = app.admin().post_with(DROPLETS, &key("a"), &body).await;
    assert!(answer.refusal(409, "conflict").contains("gone since"));
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!(droplets(&app.admin()).await, Vec::<u64>::new());
}

/// Every POST that makes something: after a restart, the same key shows the same thing, and there is one of it.
#[tokio::test]
async fn a_key_works_on_every_post_across_a_restart() {
    let mut app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let act = format!("/v2/droplets/{id}/actions");
    let image = json!({ "name": "own", "url": "https://images.example.com/a.qcow2", "region": "nyc3" });
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1 });
    let kept = json!({ "name": "kept", "region": "nyc3", "size_gigabytes": 1 });
    let kept = app.admin().post("/v2/volumes", kept).await.expect(201)["volume"]["id"].clone();
    let snapshots = format!("/v2/volumes/{}/snapshots", kept.as_str().expect("a UUID"));
    app.run_actions_to_end().await;
    let posts = [
        ("/v2/account/keys", json!({ "name": "k", "public_key": public_key(1) }), "ssh_key", "id"),
        ("/v2/tags", json!({ "name": "prod:web" }), "tag", "name"),
        ("/v2/volumes", volume, "volume", "id"),
        ("/v2/images", image, "image", "id"),
        (&act, json!({ "type": "power_off" }), "action", "id"),
        (&snapshots, json!({ "name": "nightly" }), "snapshot", "id"),
        ("/v2/projects", json!({ "name": "site", "purpose": "Web Application" }), "project", "id"),
    ];
    let mut firsts = Vec::new();
    for (path, body, member, name) in &posts {
        let answer = app.admin().post_with(path, &key(path), body).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
        firsts.push((answer.status, answer.json()[member][name].clone()));
        let again = app.admin().post_with(path, &key(path), body).await;
        assert_eq!(again.json()[member][name], answer.json()[member][name], "{path} at once: {}", again.text);
    }
    app.run_actions_to_end().await;
    app.restart().await;
    for ((path, body, member, name), (status, value)) in posts.iter().zip(firsts) {
        let again = app.admin().post_with(path, &key(path), body).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (status, "true"), "{path}: {}", again.text);
        assert_eq!(again.json()[member][name], value, "{path}");
    }
    assert_eq!(app.admin().newest_action().await["status"], "completed");
}

#[tokio::test]
async fn posts_whose_answers_are_lists_empty_or_secret_are_done_once_too() {
    let app = TestApp::start().await;
    let (one, two) = (app.admin().active_droplet("a").await, app.admin().active_droplet("b").await);
    app.admin().post("/v2/tags", json!({ "name": "web" })).await.expect(201);
    let assign = "/v2/tags/web/resources";
    let both = crate::resources(&[one, two]);
    assert_eq!(app.admin().post_with(assign, &key("1"), &both).await.status, 204);
    app.admin().delete_with(assign, crate::resources(&[two])).await.expect(204);
    let again = app.admin().post_with(assign, &key("1"), &both).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), again.text.as_str()), (204, "true", ""));
    assert_eq!(app.admin().droplet(two).await["tags"], json!([]), "it is not done a second time");

    app.admin().post(assign, crate::resources(&[two])).await.expect(204);
    let (path, off) = ("/v2/droplets/actions?tag_name=web", json!({ "type": "power_off" }));
    let first = app.admin().post_with(path, &key("2"), &off).await.expect(201);
    let again = app.admin().post_with(path, &key("2"), &off).await.expect(201);
    assert_eq!((ids(&again["actions"]), ids(&first["actions"]).len()), (ids(&first["actions"]), 2));

    let (path, urns) = ("/v2/projects/default/resources", json!({ "resources": [format!("do:droplet:{one}")] }));
    let first = app.admin().post_with(path, &key("4"), &urns).await.expect(200);
    let again = app.admin().post_with(path, &key("4"), &urns).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"), "{}", again.text);
    assert_eq!(each(&again.json()["resources"], "urn"), each(&first["resources"], "urn"));

    let wanted = json!({ "name": "ci", "scopes": "read" });
    app.admin().post_with("/dew/v1/tokens", &key("3"), &wanted).await.expect(201);
    let before = app.admin().all("/dew/v1/tokens", "tokens").await.len();
    let again = app.admin().post_with("/dew/v1/tokens", &key("3"), &wanted).await;
    assert!(again.refusal(409, "conflict").contains("Revoke it"));
    assert_eq!(app.admin().all("/dew/v1/tokens", "tokens").await.len(), before);
}

#[tokio::test]
async fn a_days_rows_go_with_those_of_the_next_and_lost_answers_with_the_horizon() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let counted = [("x-stainless-retry-count", "0")];
    for number in 0..40 {
        let name = format!("tag-{number}");
        let body = json!({ "name": name });
        admin.post_with("/v2/tags", &key(&name), &body).await.expect(201);
        admin.post_with("/v2/tags", &counted, &body).await.expect(201);
        assert_eq!(admin.post_and_lose("/v2/tags", &[], &body).await, 201);
    }
    assert_eq!(app.rows_of_once().await, 80);
    // A new row takes eight of those whose time is over with it: those of counts first, and a day later those of keys.
    app.clock().advance(Duration::from_secs(600));
    for number in 0..5 {
        admin.post_with("/v2/tags", &counted, &json!({ "name": format!("late-{number}") })).await.expect(201);
    }
    assert_eq!(app.rows_of_once().await, 45);
    let again = admin.post_with("/v2/tags", &[], &json!({ "name": "tag-1" })).await;
    assert_eq!(again.header("idempotent-replayed"), "", "what was lost longer ago than the horizon is forgotten");
    app.clock().advance(A_DAY);
    for number in 0..6 {
        admin.post_with("/v2/tags", &key(&number.to_string()), &json!({ "name": "last" })).await.expect(201);
    }
    assert_eq!(app.rows_of_once().await, 6);
}
