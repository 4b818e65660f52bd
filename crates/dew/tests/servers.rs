//! Two servers on one PostgreSQL store: what is one's is the other's, and what is not says so (docs/models.md, docs/chat.md).
//!
//! `make test-postgres` runs these on a PostgreSQL of its own; without one each says by name that it was not run.
#![cfg(feature = "postgres")]

mod support;

use std::{fs, path::Path, process, sync::atomic};

use postgres::{Client as Postgres, NoTls};
use serde_json::{Value, json};
use support::{Answer, Client, Server, eventually, serve, skipped};
use tempfile::TempDir;

/// Where the environment says that there is a PostgreSQL to test on.
const URL: &str = "DEW_TEST_POSTGRES_URL";

/// Two servers, each with a data directory and a simulator of its own, on one store in a schema of its own.
struct Two {
    servers: [Server; 2],
    dirs: [TempDir; 2],
    _schema: Schema,
}

/// Removed when this goes: after the servers.
struct Schema {
    server: String,
    name: String,
}

impl Schema {
    fn administer(&self, sql: &str) {
        let mut client = Postgres::connect(&self.server, NoTls).expect("the PostgreSQL to test on can be reached");
        client.batch_execute(sql).expect("the statement is good");
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.administer(&format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

impl Two {
    /// Starts them; `None`, and says so, when there is no PostgreSQL.
    fn start(test: &str) -> Option<Self> {
        static NEXT: atomic::AtomicUsize = atomic::AtomicUsize::new(1);
        let Ok(server) = std::env::var(URL) else {
            skipped(test, &format!("{URL} names no PostgreSQL; `make test-postgres` starts one"));
            return None;
        };
        let name = format!("dew_servers_{}_{}", process::id(), NEXT.fetch_add(1, atomic::Ordering::Relaxed));
        let schema = Schema { server, name };
        schema.administer(&format!("CREATE SCHEMA {}", schema.name));
        let separator = if schema.server.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}options=-csearch_path%3D{}", schema.server, schema.name);
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let start = |dir: &TempDir| {
            let mut command = serve(dir.path());
            command.arg("--database-url").arg(&url);
            let server = Server::run(command);
            server.until_ready();
            server
        };
        // One after the other: the first one makes the account.
        let servers = [start(&dirs[0]), start(&dirs[1])];
        Some(Self { servers, dirs, _schema: schema })
    }

    fn clients(&self) -> [Client; 2] {
        [self.servers[0].client(), self.servers[1].client()]
    }
}

fn asked() -> Value {
    json!({ "model": "llama", "messages": [{ "role": "user", "content": "echo hi" }] })
}

fn lists(client: Client, model: &str) -> bool {
    let answer = client.get("/v1/models");
    answer.body["data"].as_array().expect("a list").iter().any(|one| one["id"] == model)
}

fn message(answer: &Answer) -> &str {
    answer.body["message"].as_str().expect("a text")
}

/// How many files of models there are in a data directory.
fn kept(dir: &Path) -> usize {
    let entries = fs::read_dir(dir.join("models")).expect("the directory is there");
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension() == Some("gguf".as_ref()))).count()
}

#[test]
fn a_model_that_one_server_adds_or_deletes_is_so_on_the_other_without_a_restart() {
    let Some(two) = Two::start("a_model_that_one_server_adds_or_deletes_is_so_on_the_other_without_a_restart") else {
        return;
    };
    let [one, other] = two.clients();
    let model = json!({ "name": "llama", "droplets": { "tag": "gpu", "port": 8000 } });
    assert_eq!(one.post("/dew/v1/models", &model).status, 202);
    eventually("the model on the other server", || other.get("/dew/v1/models/llama").status == 200);
    eventually("its name in requests", || other.post("/v1/chat/completions", &asked()).status == 503);
    assert!(!lists(one, "llama") && !lists(other, "llama"), "no Droplet answers for it yet");

    let mut droplet = support::create("gpu-1");
    droplet["tags"] = json!(["gpu"]);
    assert_eq!(other.post("/v2/droplets", &droplet).status, 202);
    for client in [one, other] {
        eventually("the model in the list", || lists(client, "llama"));
        let answer = client.post("/v1/chat/completions", &asked());
        assert_eq!((answer.status, &answer.body["choices"][0]["message"]["content"]), (200, &json!("hi")));
    }

    assert_eq!(other.delete("/dew/v1/models/llama").status, 204);
    assert!(!lists(other, "llama"));
    eventually("the model's end on the first server", || one.post("/v1/chat/completions", &asked()).status == 404);
    assert!(!lists(one, "llama"));
}

#[test]
fn a_model_of_a_file_is_told_of_by_both_and_served_by_the_one_that_has_the_file() {
    let Some(two) = Two::start("a_model_of_a_file_is_told_of_by_both_and_served_by_the_one_that_has_the_file") else {
        return;
    };
    let [one, other] = two.clients();
    let file = two.dirs[0].path().join("tiny.gguf");
    fs::write(&file, dewpoint_gguf::tiny::model(1)).expect("it is written");
    assert_eq!(one.post("/dew/v1/models", &json!({ "name": "llama", "file": file })).status, 202);
    eventually("the copy", || kept(two.dirs[0].path()) == 1);

    let elsewhere = "another server on this store";
    eventually("what the other server has to say of it", || {
        let seen = other.get("/dew/v1/models/llama").body["model"].clone();
        if seen["state"] == "copying" {
            return false;
        }
        assert_eq!(seen["state"], "waiting", "{seen}");
        seen["why"].as_str().unwrap_or_else(|| panic!("it does not say why: {seen}")).contains(elsewhere)
    });
    assert!(!lists(other, "llama"));
    let answer = other.post("/v1/chat/completions", &asked());
    assert_eq!(answer.status, 503);
    assert!(message(&answer).contains(elsewhere), "{}", answer.body);
    assert_eq!(kept(two.dirs[1].path()), 0);

    assert_eq!(other.delete("/dew/v1/models/llama").status, 204);
    eventually("the end of the file where it was", || kept(two.dirs[0].path()) == 0);
    assert_eq!(one.get("/dew/v1/models/llama").status, 404);
}

#[test]
fn each_server_counts_requests_for_itself_and_what_was_used_is_told_of_all() {
    let Some(two) = Two::start("each_server_counts_requests_for_itself_and_what_was_used_is_told_of_all") else {
        return;
    };
    let clients = two.clients();
    for client in clients {
        // Nothing flows back into a gauge while the test runs, however slow it is.
        assert_eq!(
            client.send("PUT", "/dew/v1/clock", Some(&json!({ "frozen": true }))).expect("an answer").status,
            200
        );
    }
    let key = clients[0].post("/v2/gen-ai/models/api_keys", &json!({ "name": "bot" })).body["api_key_info"].clone();
    let [uuid, secret] = ["uuid", "secret_key"].map(|name| key[name].as_str().expect("a text"));
    let limits = format!("/dew/v1/model-keys/{uuid}/limits");
    let wanted = json!({ "requests_per_minute": 1 });
    assert_eq!(clients[0].send("PUT", &limits, Some(&wanted)).expect("an answer").status, 200);
    assert_eq!(clients[1].get(&limits).body["in_force"]["requests_per_minute"], 1);

    let mut body = asked();
    body["model"] = json!("dewpoint-scripted");
    for client in clients {
        let ask = || client.send_as(secret, "POST", "/v1/chat/completions", Some(&body)).expect("an answer").status;
        assert_eq!([ask(), ask()], [200, 429]);
    }
    for client in clients {
        eventually("the usage of both", || {
            client.get(&format!("/dew/v1/usage?key={uuid}")).body["total"]["requests"] == 2
        });
    }

    // A key that is gone is refused by both, by the other one within a second of its clock.
    for client in clients {
        assert_eq!(client.send("PUT", "/dew/v1/clock", Some(&json!({ "real": true }))).expect("an answer").status, 200);
    }
    assert_eq!(clients[1].delete(&format!("/v2/gen-ai/models/api_keys/{uuid}")).status, 200);
    for client in clients {
        eventually("refusal", || client.send_as(secret, "GET", "/v1/models", None).expect("an answer").status == 401);
    }
}
