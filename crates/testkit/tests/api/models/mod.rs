//! Models that are added to a running server.

mod files;
mod programs;
mod rows;
mod served;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use dewpoint_server::LlamaPatience;
use dewpoint_testkit::{Answer, TestApp};
use serde_json::{Value, json};
use tempfile::TempDir;

const MODELS: &str = "/dew/v1/models";
/// Long, for a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a data directory, and the program `dew-llama` of these tests.
struct Lab {
    app: TestApp,
    dir: TempDir,
}

impl Lab {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fake-llama"), dir.path().join("dew-llama")).expect("a link");
        Self::within(dir, LlamaPatience::default()).await
    }

    /// With what is `dew-llama` in this directory, waited for so long.
    async fn within(dir: TempDir, patience: LlamaPatience) -> Self {
        let program = dir.path().join("dew-llama");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("a directory");
        let app = TestApp::start_with(|setup| {
            setup.server.data_dir = Some(data);
            setup.server.llama.binary = Some(program);
            setup.server.llama.patience = patience;
        });
        Self { app: app.await, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of a tiny model.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, dewpoint_gguf::tiny::model(1)).expect("it is written");
        path
    }

    /// The files in the server's directory of models, without what is no model's.
    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("data/models")).expect("the directory is there");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "gguf" || end == "part")).collect()
    }

    async fn add(&self, name: &str, file: &Path) -> Answer {
        self.app.admin().post(MODELS, json!({ "name": name, "file": file })).await
    }

    async fn model(&self, name: &str) -> Value {
        self.app.admin().get(&format!("{MODELS}/{name}")).await.expect(200)["model"].clone()
    }

    /// Waits until the model is as `is` wants it.
    async fn model_that(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.model(name).await;
                if is(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{last}");
        last
    }

    async fn model_in(&self, name: &str, state: &str) -> Value {
        self.model_that(name, |model| model["state"] == state).await
    }

    async fn ask(&self, model: &str, stream: bool) -> Answer {
        ask(&self.app, model, stream).await
    }
}

async fn ask(app: &TestApp, model: &str, stream: bool) -> Answer {
    let message = json!({ "role": "user", "content": "echo hi" });
    app.admin().post("/v1/chat/completions", json!({ "model": model, "stream": stream, "messages": [message] })).await
}

/// Waits until something is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn is_alive(pid: &Value) -> bool {
    Path::new(&format!("/proc/{}", pid.as_u64().expect("a process"))).exists()
}
