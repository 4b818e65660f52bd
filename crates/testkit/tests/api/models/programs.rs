//! Programs in the place of `dew-llama` that are none: they do nothing, say nothing, end at once, or stay when they are to go.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use dewpoint_server::LlamaPatience;
use serde_json::{Value, json};

use super::{Lab, is_alive, until};

const MODELS: &str = "/v1/models";

/// A server whose `dew-llama` is this script, which finds its own directory in `$here`.
async fn script(text: &str, patience: LlamaPatience) -> Lab {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("dew-llama");
    fs::write(&program, format!("#!/bin/sh\nhere=$(dirname \"$0\")\n{text}\n")).expect("it is written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its permissions");
    Lab::within(dir, patience).await
}

/// Short where something is waited for in vain, and long enough for a shell to begin on a busy machine.
fn short() -> LlamaPatience {
    LlamaPatience {
        opening: Duration::from_millis(500),
        answering: Duration::from_millis(50),
        ..LlamaPatience::default()
    }
}

impl Lab {
    /// The processes that the script noted.
    fn noted(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("noted")).unwrap_or_default();
        text.lines().map(|line| json!(line.trim().parse::<u64>().expect("a process"))).collect()
    }

    /// Waits until the model says so of itself, and sees that whoever asks it hears it too.
    async fn says(&self, name: &str, state: &str, text: &str) {
        let says = |model: &Value| model["why"].as_str().is_some_and(|why| why.contains(text));
        let model = self.model_that(name, |model| model["state"] == state && says(model)).await;
        assert!(says(&model), "{model}");
        // It may just be started again, with nothing known of it yet.
        let answer = self.ask(name, false).await;
        let said = answer.expect(503)["message"].as_str().expect("a message").to_owned();
        assert!(said.contains(name) && (said.contains(text) || said.contains("loaded")), "{said}");
        assert!(!self.app.admin().get(MODELS).await.text.contains(name), "it is not listed");
    }

    /// Ends what answers for models; none of the noted processes is left.
    async fn ends_with_nothing_left(&self) {
        self.app.end_models().await;
        for pid in self.noted() {
            // A process that nobody waited for is one until init has.
            until("none of its processes is left", || !is_running(&pid)).await;
        }
    }
}

/// Whether a process is there and runs: not one that has ended, and is still listed.
fn is_running(pid: &Value) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_u64().expect("a process")));
    state.is_ok_and(|state| !state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

#[tokio::test]
async fn one_that_never_opens_its_socket_is_ended_told_of_and_tried_again() {
    // It has a child of its own, as a script has that starts the program, and neither reads what it is told.
    let lab = script("sleep 1000 & echo $! >> \"$here/noted\"; echo $$ >> \"$here/noted\"; wait", short()).await;
    lab.add("nothing", &lab.file("tiny.gguf")).await.expect(202);
    lab.says("nothing", "failed", "did not open its socket within 500ms").await;
    // Each time two processes.
    until("it is tried again, and again", || lab.noted().len() >= 6).await;
    let before = lab.noted();
    until("the first ones are ended", || before[..2].iter().all(|pid| !is_running(pid))).await;
    lab.ends_with_nothing_left().await;
}

#[tokio::test]
async fn one_that_opens_its_socket_and_says_nothing_is_told_of() {
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fake-llama"), dir.path().join("dew-llama")).expect("a link");
    let opening = LlamaPatience::default().opening;
    let lab = Lab::within(dir, LlamaPatience { opening, ..short() }).await;
    lab.add("mute", &lab.file("tiny.gguf")).await.expect(202);
    lab.says("mute", "failed", "did not say within 50ms whether it is ready").await;
    lab.app.end_models().await;
}

#[tokio::test]
async fn one_that_ends_at_once_is_told_of_with_its_last_words_and_tried_again_later_each_time() {
    let lab =
        script("echo $$ >> \"$here/noted\"; echo 'first words' >&2; echo 'no such device' >&2; exit 1", short()).await;
    lab.add("short", &lab.file("tiny.gguf")).await.expect(202);
    lab.says("short", "loading", "status 1; it said: no such device").await;
    until("it is tried again, and again", || lab.noted().len() >= 3).await;
    lab.ends_with_nothing_left().await;
}

#[tokio::test]
async fn one_that_loads_for_ever_is_no_model_and_ends_with_the_server() {
    let lab = Lab::start().await;
    lab.add("slow", &lab.file("tiny.gguf")).await.expect(202);
    lab.model_in("slow", "loading").await;
    let opened = || fs::read_dir(lab.path("data/models/run")).is_ok_and(|entries| entries.count() > 0);
    until("it listens", opened).await;
    assert_eq!(lab.ask("slow", true).await.status, 503);
    lab.app.end_models().await;
    assert!(!opened(), "its socket is gone, and so is it");
}

#[tokio::test]
async fn one_that_does_not_mind_being_asked_to_end_is_killed() {
    let patience = LlamaPatience { ending: Duration::from_millis(50), ..LlamaPatience::default() };
    let text =
        "trap '' TERM\nsleep 1000 & echo $! >> \"$here/noted\"; echo $$ >> \"$here/noted\"; while :; do wait; done";
    let lab = script(text, patience).await;
    lab.add("stays", &lab.file("tiny.gguf")).await.expect(202);
    until("it runs", || lab.noted().len() == 2).await;
    assert!(lab.noted().iter().all(is_alive));
    lab.ends_with_nothing_left().await;
}

#[tokio::test]
async fn what_the_configuration_says_of_memory_and_threads_is_what_it_is_started_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("dew-llama");
    fs::write(&program, "#!/bin/sh\necho \"$@\" > \"$(dirname \"$0\")/arguments.new\"; mv \"$(dirname \"$0\")/arguments.new\" \"$(dirname \"$0\")/arguments\"; exit 3\n")
        .expect("it is written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its permissions");
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let app = dewpoint_testkit::TestApp::start_with(|setup| {
        setup.server.data_dir = Some(data);
        setup.server.llama.binary = Some(program);
        setup.server.llama.memory_mib = Some(777);
        setup.server.llama.threads = Some(3);
    });
    let lab = Lab { app: app.await, dir };
    lab.add("small", &lab.file("tiny.gguf")).await.expect(202);
    until("it is started", || lab.path("arguments").exists()).await;
    let arguments = fs::read_to_string(lab.path("arguments")).expect("it is there");
    assert!(arguments.contains("--threads 3 --memory-mib 777"), "{arguments}");
}
