//! Who answers with a model's file: started, waited for, started again when it ends, and ended with the server.

use std::fs;

use serde_json::json;

use super::{Lab, is_alive, until};

#[tokio::test]
async fn a_model_that_loads_is_no_model_yet_and_says_so() {
    let lab = Lab::start().await;
    lab.add("slow", &lab.file("tiny.gguf")).await.expect(202);
    lab.model_in("slow", "loading").await;
    let answer = lab.ask("slow", false).await;
    assert!(
        answer.expect(503)["message"].as_str().is_some_and(|text| text.contains("being loaded")),
        "{}",
        answer.text
    );
    assert!(!lab.app.admin().get("/v1/models").await.text.contains("slow"));
    fs::write(lab.path("go"), "").expect("it is written");
    lab.model_in("slow", "ready").await;
    lab.ask("slow", false).await.expect(200);
}

#[tokio::test]
async fn a_crash_ends_the_streams_of_that_moment_and_not_the_model() {
    let lab = Lab::start().await;
    lab.add("crash", &lab.file("tiny.gguf")).await.expect(202);
    let first = lab.model_in("crash", "ready").await["file"]["pid"].clone();
    let answer = lab.ask("crash", true).await;
    assert_eq!(answer.status, 200);
    let last = answer.text.trim_end().rsplit("data: ").next().expect("an event").to_owned();
    assert!(answer.text.contains("\"content\":\"hi\"") && last.contains("\"error\""), "{}", answer.text);
    // The server is there, and soon the model too, as another process.
    lab.app.admin().get("/v2/account").await.expect(200);
    let again = lab.model_that("crash", |model| model["state"] == "ready" && model["file"]["pid"] != first).await;
    assert!(!is_alive(&first) && is_alive(&again["file"]["pid"]));
    lab.ask("crash", false).await.expect(200);
}

#[tokio::test]
async fn who_cannot_load_it_or_is_no_dew_llama_is_told_of_with_its_own_words() {
    let lab = Lab::start().await;
    for (name, text) in [("bad", "unknown model architecture: 'nemo'"), ("garbage", "speaks no HTTP")] {
        lab.add(name, &lab.file("tiny.gguf")).await.expect(202);
        let failed = lab.model_in(name, "failed").await;
        assert!(failed["why"].as_str().is_some_and(|why| why.contains(text)), "{failed}");
        let answer = lab.ask(name, false).await;
        assert!(answer.expect(503)["message"].as_str().is_some_and(|said| said.contains(text)), "{}", answer.text);
        assert!(!lab.app.admin().get("/v1/models").await.text.contains(name));
    }
}

#[tokio::test]
async fn without_the_program_it_is_told_what_to_run() {
    let lab = Lab::start().await;
    fs::remove_file(lab.path("dew-llama")).expect("it is removed");
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    let failed = lab.model_in("tiny", "failed").await;
    assert!(failed["why"].as_str().is_some_and(|why| why.contains("llama.binary")), "{failed}");
    assert_eq!(lab.ask("tiny", false).await.status, 503);
}

#[tokio::test]
async fn the_servers_end_is_the_end_of_what_answers() {
    let lab = Lab::start().await;
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    let pid = lab.model_in("tiny", "ready").await["file"]["pid"].clone();
    lab.app.end_models().await;
    assert!(!is_alive(&pid));
    // Its file is the next server's.
    assert_eq!(lab.kept().len(), 1);
}

#[tokio::test]
async fn a_reset_ends_what_answers_and_takes_its_file_along() {
    let lab = Lab::start().await;
    let _kept = lab.app.keep_models();
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    let pid = lab.model_in("tiny", "ready").await["file"]["pid"].clone();
    lab.app.admin().post("/dew/v1/snapshots/before", json!({})).await;
    lab.app.admin().post("/dew/v1/reset", json!({})).await.expect(200);
    until("its process is gone", || !is_alive(&pid)).await;
    until("its file is gone", || lab.kept().is_empty()).await;
    assert_eq!(lab.ask("tiny", false).await.status, 404);
}

#[tokio::test]
async fn answers_may_come_to_their_ends_when_their_model_is_deleted() {
    let lab = Lab::start().await;
    lab.add("lasting", &lab.file("tiny.gguf")).await.expect(202);
    let pid = lab.model_in("lasting", "ready").await["file"]["pid"].clone();
    let deleted = async {
        until("it speaks", || lab.path("speaks").exists()).await;
        lab.app.admin().delete("/dew/v1/models/lasting").await.expect(204);
    };
    let (answer, ()) = tokio::join!(lab.ask("lasting", true), deleted);
    assert!(answer.text.contains("[DONE]") && !answer.text.contains("error"), "{}", answer.text);
    until("its process is gone", || !is_alive(&pid)).await;
}
