//! Files of models: taken whole, refused with a reason, and gone when their model is.

use std::fs;

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use super::{Lab, MODELS, until};

#[tokio::test]
async fn a_file_is_copied_and_served_without_a_restart() {
    let lab = Lab::start().await;
    let file = lab.file("tiny.gguf");
    let answer = lab.add("tiny", &file).await;
    let model = &answer.expect(202)["model"];
    assert_eq!((&model["name"], &model["owned_by"]), (&json!("tiny"), &json!("dewpoint")));
    let bytes = fs::metadata(&file).expect("it is there").len();
    let ready = lab.model_in("tiny", "ready").await;
    let facts = &ready["file"];
    assert_eq!((&facts["bytes"], &facts["bytes_copied"], &ready["why"]), (&json!(bytes), &json!(bytes), &Value::Null));
    assert_eq!((&facts["architecture"], &facts["quantization"]), (&json!("llama"), &json!("F32")));
    assert_eq!((&facts["context"], &facts["embedding_length"]), (&json!(512), &json!(64)));
    assert_eq!(facts["sha256"].as_str().map(str::len), Some(64));
    // The copy is its own: what becomes of the file it came from is nobody's concern.
    let kept = lab.kept();
    assert_eq!(fs::read(&kept[0]).expect("the copy"), fs::read(&file).expect("the file"));
    fs::remove_file(&file).expect("it is removed");
    let said = lab.ask("tiny", false).await.expect(200);
    assert!(
        said["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.starts_with("tiny of ")),
        "{said}"
    );
    let listed = lab.app.admin().get("/v1/models").await.expect(200);
    assert!(listed["data"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == "tiny")), "{listed}");
    let listed = lab.app.admin().get("/v2/gen-ai/models").await.expect(200);
    assert!(listed["models"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == "tiny")), "{listed}");
}

#[tokio::test]
async fn what_is_deleted_is_gone_with_its_file_and_its_process() {
    let lab = Lab::start().await;
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    let pid = lab.model_in("tiny", "ready").await["file"]["pid"].clone();
    assert!(super::is_alive(&pid));
    lab.app.admin().delete(&format!("{MODELS}/tiny")).await.expect(204);
    assert_eq!(lab.ask("tiny", false).await.status, 404);
    lab.app.admin().get(&format!("{MODELS}/tiny")).await.expect(404);
    until("its process is gone", || !super::is_alive(&pid)).await;
    until("its file is gone", || lab.kept().is_empty()).await;
    // The name is free at once.
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    lab.model_in("tiny", "ready").await;
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_what_would_help() {
    let lab = Lab::start().await;
    let file = lab.file("tiny.gguf");
    fs::write(lab.path("text"), "hello").expect("it is written");
    fs::write(lab.path("cut"), &fs::read(&file).expect("the file")[..5000]).expect("it is written");
    let pipe = lab.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let path = |name: &str| lab.path(name).display().to_string();
    for (body, status, text) in [
        (json!({ "file": file }), 422, "name is missing"),
        (json!({ "name": "a/../b", "file": file }), 422, "letters"),
        (json!({ "name": "a" }), 422, "one of file and droplets"),
        (json!({ "name": "a", "file": file, "droplets": { "tag": "t", "port": 1 } }), 422, "one of file and droplets"),
        (json!({ "name": "a", "file": "tiny.gguf" }), 422, "whole path"),
        (json!({ "name": "a", "file": path("nothing") }), 422, "no file"),
        (json!({ "name": "a", "file": lab.dir.path() }), 422, "is no file"),
        (json!({ "name": "a", "file": pipe }), 422, "is no file"),
        (json!({ "name": "a", "file": "/dev/zero" }), 422, "is no file"),
        (json!({ "name": "a", "file": path("text") }), 422, "no GGUF"),
        (json!({ "name": "a", "file": path("cut") }), 422, "cut off"),
        (json!({ "name": "a", "droplets": { "tag": "t", "port": 0 } }), 422, "port"),
        (json!({ "name": "dewpoint-scripted", "file": file }), 409, "already"),
    ] {
        let answer = lab.app.admin().post(MODELS, body.clone()).await;
        let message = answer.expect(status)["message"].clone();
        assert!(message.as_str().is_some_and(|message| message.contains(text)), "{body}: {message}");
    }
    lab.add("a", &file).await.expect(202);
    lab.add("a", &file).await.expect(409);
    assert_eq!(lab.app.admin().get(MODELS).await.expect(200)["meta"]["total"], 1);
}

#[tokio::test]
async fn a_server_without_a_data_directory_keeps_no_files() {
    let app = TestApp::start().await;
    let answer = app.admin().post(MODELS, json!({ "name": "a", "file": "/a.gguf" })).await;
    assert!(answer.expect(422)["message"].as_str().is_some_and(|text| text.contains("data directory")));
}

#[tokio::test]
async fn a_copy_that_was_cut_off_begins_anew_and_what_is_nobodys_is_removed() {
    let mut lab = Lab::start().await;
    let file = lab.file("tiny.gguf");
    lab.add("tiny", &file).await.expect(202);
    lab.model_in("tiny", "ready").await;
    let whole = lab.kept().remove(0);
    // As a kill in the middle leaves it: half a copy, and a row that says so.
    let part = whole.with_file_name(format!("{}.part", whole.file_name().expect("a name").to_string_lossy()));
    let back = |tx: &mut dyn dewpoint_store::Tx| {
        let row = dewpoint_store::models::model_get(tx, "tiny")?.expect("it is there");
        let dewpoint_store::ModelSource::File(file) = row.source else { panic!("it is a file") };
        let source = dewpoint_store::ModelSource::File(dewpoint_store::ModelFile { sha256: None, ..file });
        let state = (dewpoint_store::ModelState::Copying, None);
        dewpoint_store::models::model_progress(tx, "tiny", row.created_at, state, &source)
    };
    lab.app.control().store().write(back).await.expect("it is written");
    lab.app.restart().await;
    fs::remove_file(&whole).expect("it is removed");
    fs::write(&part, &fs::read(&file).expect("the file")[..1000]).expect("it is written");
    fs::write(whole.with_file_name("other-7.gguf.part"), "x").expect("it is written");
    fs::write(whole.with_file_name("other-8.gguf"), "x").expect("it is written");
    let _kept = lab.app.keep_models();
    lab.model_in("tiny", "ready").await;
    assert_eq!(fs::read(&whole).expect("the copy"), fs::read(&file).expect("the file"));
    assert_eq!(lab.kept(), std::slice::from_ref(&whole));
    // And when there is nothing any more to copy, it says so.
    lab.app.control().store().write(back).await.expect("it is written");
    fs::remove_file(&file).expect("it is removed");
    lab.app.restart().await;
    let _kept = lab.app.keep_models();
    let failed = lab.model_in("tiny", "failed").await;
    assert!(failed["why"].as_str().is_some_and(|why| why.contains("no file")), "{failed}");
    until("its files are gone", || lab.kept().is_empty()).await;
}

#[tokio::test]
async fn a_file_that_is_lost_or_broken_since_is_told_of() {
    let mut lab = Lab::start().await;
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    lab.model_in("tiny", "ready").await;
    let kept = lab.kept().remove(0);
    let whole = fs::read(&kept).expect("the copy");
    fs::write(&kept, &whole[..whole.len() / 2]).expect("it is written");
    lab.app.restart().await;
    let _kept = lab.app.keep_models();
    let failed = lab.model_in("tiny", "failed").await;
    assert!(failed["why"].as_str().is_some_and(|why| why.contains("add it again")), "{failed}");
    assert_eq!(lab.ask("tiny", false).await.status, 503);
    // It is looked at again, and goes on by itself once it is whole.
    fs::write(&kept, &whole).expect("it is written");
    lab.model_in("tiny", "ready").await;
}

#[tokio::test]
async fn a_restored_server_says_of_each_model_that_its_file_is_not_there() {
    let mut lab = Lab::start().await;
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    lab.model_in("tiny", "ready").await;
    // The rows are there, in another data directory.
    lab.app.end_models().await;
    fs::remove_dir_all(lab.path("data/models")).expect("it is removed");
    lab.app.restart().await;
    let _kept = lab.app.keep_models();
    let failed = lab.model_in("tiny", "failed").await;
    assert!(failed["why"].as_str().is_some_and(|why| why.contains("a backup has no files of models")), "{failed}");
    lab.app.admin().delete(&format!("{MODELS}/tiny")).await.expect(204);
    lab.add("tiny", &lab.file("tiny.gguf")).await.expect(202);
    lab.model_in("tiny", "ready").await;
}

#[tokio::test]
async fn a_name_may_have_a_slash_as_those_of_published_models_have() {
    let lab = Lab::start().await;
    let name = "meta-llama/Llama-3.1-8B";
    lab.add(name, &lab.file("tiny.gguf")).await.expect(202);
    let path = "meta-llama%2FLlama-3.1-8B";
    assert_eq!(lab.model_in(path, "ready").await["name"], name);
    lab.ask(name, false).await.expect(200);
    let told = lab.app.admin().get("/dew/v1/events?since=0&kind=model").await.expect(200);
    assert_eq!(told["events"][0]["path"], format!("{MODELS}/{path}"));
    lab.app.admin().delete(&format!("{MODELS}/{path}")).await.expect(204);
    until("its file is gone", || lab.kept().is_empty()).await;
}
