//! Rows of the store and the models there are: the one follows the other.

use std::time::Duration;

use dewpoint_api::AccountId;
use dewpoint_store::{ModelRecord, ModelSource, ModelState, Tx, models};
use dewpoint_testkit::{Answer, TestApp};
use serde_json::json;

use super::ask;

/// Asks until the answer has this status.
async fn answered_with(app: &TestApp, model: &str, status: u16) -> Answer {
    let asking = async {
        loop {
            let answer = ask(app, model, false).await;
            if answer.status == status {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("it is answered so")
}

#[tokio::test]
async fn a_row_of_the_store_is_a_model_until_it_goes() {
    let app = TestApp::start().await;
    let _kept = app.keep_models();
    assert_eq!(ask(&app, "mine", false).await.status, 404);
    let source = ModelSource::Droplets { tag: "gpu".parse().expect("a tag"), port: 8000 };
    let record = ModelRecord {
        name: "mine".into(),
        account: AccountId(1),
        owner: "me".into(),
        source,
        state: ModelState::Kept,
        why: None,
        revision: 0,
        created_at: app.now(),
    };
    let store = app.control().store();
    let insert = move |tx: &mut dyn Tx| models::model_insert(tx, &record);
    store.write(insert).await.expect("it is added");
    let answer = answered_with(&app, "mine", 503).await;
    assert!(answer.text.contains("tag gpu"), "{}", answer.text);
    // What answers nobody is not listed.
    assert!(!app.admin().get("/v1/models").await.text.contains("mine"));
    store.write(|tx: &mut dyn Tx| models::model_delete(tx, "mine")).await.expect("it is deleted");
    answered_with(&app, "mine", 404).await;
}

#[tokio::test]
async fn a_reset_takes_the_models_away_that_were_added_since() {
    let app = TestApp::start().await;
    let _kept = app.keep_models();
    let source = ModelSource::Droplets { tag: "gpu".parse().expect("a tag"), port: 8000 };
    let created_at = app.now();
    let insert = move |tx: &mut dyn Tx| {
        let (name, owner, source) = ("mine".to_owned(), "me".to_owned(), source.clone());
        let (account, state) = (AccountId(1), ModelState::Kept);
        models::model_insert(
            tx,
            &ModelRecord { name, account, owner, source, state, why: None, revision: 0, created_at },
        )
    };
    app.control().store().write(insert).await.expect("it is added");
    answered_with(&app, "mine", 503).await;
    app.admin().post("/dew/v1/reset", json!({})).await.expect(200);
    answered_with(&app, "mine", 404).await;
}
