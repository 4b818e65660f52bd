//! `dew chat`, `dew model-key` and `dew gradient`, with the simulator's scripted model.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
};

use super::{
    consoles::Terminal,
    dew, printed, ran, scene,
    support::{Server, said, serve},
};

const MODEL: &str = "dewpoint-scripted";

#[test]
fn a_model_answers_in_the_terminal_and_for_programs() {
    let scene = scene();
    assert_eq!(scene.prints(&["chat", MODEL, "count", "to", "3"]), "1 2 3\n");
    let answers = scene.objects(&["chat", MODEL, "echo hello", "--max-tokens", "5", "--seed", "7"]);
    assert_eq!(answers[0]["choices"][0]["message"]["content"], "hello");
    assert_eq!(answers.len(), 1);

    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all("echo from a pipe".as_bytes()).expect("written");
    drop(writer);
    let piped = ran(dew(&scene.server.url(), scene.home()).args(["chat", MODEL]).stdin(reader));
    assert_eq!(printed(&["chat"], &piped), "from a pipe\n");

    let cut = scene.dew(&["chat", MODEL, "count to 50", "--max-tokens", "2"]);
    assert!(String::from_utf8_lossy(&cut.stderr).contains("cut off"), "{cut:?}");
    let unknown = scene.refuses(3, &["chat", "no-such-model", "hello"]);
    assert!(unknown.contains(MODEL), "it names the models there are: {unknown}");
    scene.refuses(2, &["chat", MODEL, "hello", "--temperature", "warm"]);
}

#[test]
fn texts_become_vectors_for_people_and_for_programs() {
    let scene = scene();
    let table = scene.prints(&["embeddings", MODEL, "a cat", "a dog, two dogs"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows.len(), &rows[0][..2]), (3, &["Index", "Dimensions"][..]), "{table}");
    assert_eq!((rows[2][0], rows[2][1], rows[2].len()), ("1", "384", 7), "{table}");
    let vectors = scene.objects(&["embeddings", MODEL, "a cat", "a dog, two dogs", "--dimensions", "8"]);
    assert_eq!(vectors.iter().map(|one| one["embedding"].as_array().map(Vec::len)).collect::<Vec<_>>(), [Some(8); 2]);

    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all("a cat\n\na dog, two dogs\n".as_bytes()).expect("written");
    drop(writer);
    let piped = ran(dew(&scene.server.url(), scene.home()).args(["embeddings", MODEL]).stdin(reader));
    assert_eq!(printed(&["embeddings"], &piped), table, "a line is a text");
    let unknown = scene.refuses(3, &["embeddings", "no-such-model", "hello"]);
    assert!(unknown.contains(MODEL), "it names the models there are: {unknown}");
}

/// An upstream that answers each POST with this, anything else as one that has nothing, and hangs up.
fn upstream(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut asked = BufReader::new(stream.try_clone().expect("one more"));
            let (mut head, mut length) = (String::new(), 0);
            while asked.read_line(&mut head).is_ok_and(|read| read > 2) {}
            if let Some((_, after)) = head.to_lowercase().split_once("content-length: ") {
                length = after.lines().next().and_then(|length| length.parse().ok()).expect("a length");
            }
            // Read whole: a connection that is closed on unread bytes is reset. Whoever only knocked may be gone.
            let _ = asked.read_exact(&mut vec![0; length]);
            let nothing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(if head.starts_with("POST ") { answer } else { nothing }.as_bytes());
        }
    });
    address
}

#[test]
fn an_answer_that_breaks_off_is_a_failure_after_what_came_of_it() {
    let chunk = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Half"},"finish_reason":null}]}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {chunk}\n\n");
    let address = upstream(answer.leak());
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("dew.toml");
    let text = format!("[[models]]\nname = \"breaks\"\nupstreams = [{{ url = \"http://{address}/v1\" }}]\n");
    std::fs::write(&config, text).expect("written");
    let mut command = serve(&home.path().join("data"));
    command.arg("--config").arg(&config);
    let server = Server::run(command);
    let output = ran(dew(&server.url(), home.path()).args(["chat", "breaks", "hello"]));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Half\n", "{}", said(&output));
    assert!(!said(&output).is_empty());
}

#[test]
fn a_conversation_goes_on_line_after_line() {
    let scene = scene();
    let mut terminal = Terminal::open();
    let mut chat = terminal.begins(&scene, &["chat", MODEL]);
    terminal.until(b"> ");
    terminal.types(b"count to 4\n");
    terminal.until(b"1 2 3 4\r\n> ");
    // What steers a terminal is left out of what a model says.
    terminal.types(b"echo a\x1b[2Jb\n");
    terminal.until(b"\na[2Jb\r\n> ");
    terminal.types(b"\x04");
    assert!(chat.wait().expect("it ended").success());
}

#[test]
fn a_model_key_asks_models_until_it_is_regenerated_or_deleted() {
    let scene = scene();
    let key = |made: &[serde_json::Value]| made[0]["secret_key"].as_str().expect("a secret").to_owned();
    let first = key(&scene.objects(&["model-key", "create", "for-bots"]));
    let asks = |key: &str| {
        let mut command = dew(&scene.server.url(), scene.home());
        ran(command.env("DEW_TOKEN", key).args(["chat", MODEL, "echo hi"])).status.code()
    };
    assert_eq!(asks(&first), Some(0));
    assert!(!scene.prints(&["model-key", "list"]).contains(&first), "secrets are shown once");
    let second = key(&scene.objects(&["model-key", "regenerate", "for-bots", "--force"]));
    assert_eq!((asks(&first), asks(&second)), (Some(4), Some(0)));
    scene.prints(&["model-key", "update", "for-bots", "--name", "for-people"]);
    scene.prints(&["model-key", "delete", "for-people", "--force"]);
    assert_eq!(asks(&second), Some(4));
    assert!(scene.prints(&["genai", "list-models", "--format", "ID", "--no-header"]).contains(MODEL));
}
