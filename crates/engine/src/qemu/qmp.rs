//! A small client of QEMU's machine protocol: one command at a time, each under a time limit.
//!
//! Source: QEMU's documentation, "QEMU Machine Protocol Specification". A connection is made for one errand and closed
//! again, so that a server that comes back after a crash finds the socket free (QEMU serves one client at a time).

use std::{collections::VecDeque, fs::File, io, os::fd::AsRawFd, path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

/// The longest line QEMU may send.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// Why a conversation with QEMU failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum QmpError {
    #[error("QEMU's socket: {0}")]
    Io(#[from] io::Error),
    #[error("QEMU did not answer within {0:?}")]
    Silent(Duration),
    #[error("QEMU said what is not its protocol: {0}")]
    Protocol(String),
    #[error("QEMU refused {command}: {reason}")]
    Refused { command: &'static str, reason: String },
}

/// Something QEMU told without being asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// Its name, such as `DEVICE_DELETED`.
    pub(super) name: String,
    /// What it is about; null for an event that says all by its name.
    pub(super) data: Value,
}

/// One line from QEMU.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Greeting,
    Return { id: Option<u64>, value: Value },
    Failure { id: Option<u64>, reason: String },
    Event(Event),
}

/// What one line of QEMU's says.
pub(super) fn parse(line: &str) -> Result<Message, QmpError> {
    let strange = || QmpError::Protocol(line.chars().take(200).collect());
    let mut value: Value = serde_json::from_str(line).map_err(|_| strange())?;
    let id = value.get("id").and_then(Value::as_u64);
    if value.get("QMP").is_some() {
        Ok(Message::Greeting)
    } else if let Some(value) = value.get_mut("return") {
        Ok(Message::Return { id, value: value.take() })
    } else if let Some(error) = value.get("error") {
        let reason = error.get("desc").and_then(Value::as_str).ok_or_else(strange)?.to_owned();
        Ok(Message::Failure { id, reason })
    } else if let Some(event) = value.get("event").and_then(Value::as_str).map(str::to_owned) {
        Ok(Message::Event(Event { name: event, data: value.get_mut("data").map(Value::take).unwrap_or_default() }))
    } else {
        Err(strange())
    }
}

/// A connection that is ready for commands.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
    limit: Duration,
    last_id: u64,
    /// What was heard while something else was waited for.
    events: VecDeque<Event>,
}

impl Qmp {
    /// Connects to `socket`, whose path may be of any length, and agrees on the protocol.
    pub(super) async fn connect(socket: &Path, limit: Duration) -> Result<Self, QmpError> {
        let connected = timeout(limit, async {
            let stream = BufReader::new(connect(socket).await?);
            let mut qmp = Self { stream, limit, last_id: 0, events: VecDeque::new() };
            match qmp.message().await? {
                Message::Greeting => Ok(qmp),
                other => Err(QmpError::Protocol(format!("{other:?} as greeting"))),
            }
        });
        let mut qmp = connected.await.map_err(|_| QmpError::Silent(limit))??;
        qmp.execute("qmp_capabilities").await?;
        Ok(qmp)
    }

    /// Runs one command without arguments and returns its answer.
    pub(super) async fn execute(&mut self, command: &'static str) -> Result<Value, QmpError> {
        self.execute_with(command, json!({})).await
    }

    /// Runs one command and returns its answer; events that come first are kept for [`Qmp::event`].
    pub(super) async fn execute_with(&mut self, command: &'static str, arguments: Value) -> Result<Value, QmpError> {
        self.last_id += 1;
        let wanted = Some(self.last_id);
        let mut line = json!({ "execute": command, "arguments": arguments, "id": self.last_id }).to_string();
        line.push('\n');
        let limit = self.limit;
        let answered = timeout(limit, async {
            self.stream.write_all(line.as_bytes()).await?;
            loop {
                match self.message().await? {
                    Message::Return { id, value } if id == wanted => return Ok(value),
                    Message::Failure { id, reason } if id == wanted || id.is_none() => {
                        return Err(QmpError::Refused { command, reason });
                    }
                    Message::Event(event) => self.events.push_back(event),
                    Message::Greeting | Message::Return { .. } | Message::Failure { .. } => {}
                }
            }
        });
        answered.await.map_err(|_| QmpError::Silent(limit))?
    }

    /// The next event that is `wanted`, of those since the connection was made; others before it are dropped.
    pub(super) async fn event(&mut self, limit: Duration, wanted: impl Fn(&Event) -> bool) -> Result<Event, QmpError> {
        let heard = timeout(limit, async {
            loop {
                let event = match self.events.pop_front() {
                    Some(event) => event,
                    None => match self.message().await? {
                        Message::Event(event) => event,
                        Message::Greeting | Message::Return { .. } | Message::Failure { .. } => continue,
                    },
                };
                if wanted(&event) {
                    return Ok(event);
                }
            }
        });
        heard.await.map_err(|_| QmpError::Silent(limit))?
    }

    async fn message(&mut self) -> Result<Message, QmpError> {
        let mut line = String::new();
        let read = (&mut self.stream).take(LONGEST_LINE).read_line(&mut line).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        parse(line.trim_end())
    }
}

/// Connects to a Unix socket by a path of any length; the kernel itself takes 107 bytes at most.
pub(super) async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    UnixStream::connect(Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)).await
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(parse(r#"{"QMP": {"version": {}, "capabilities": []}}"#).expect("a greeting"), Message::Greeting);
        let value = json!({ "UUID": "x" });
        assert_eq!(
            parse(r#"{"return": {"UUID": "x"}, "id": 3}"#).expect("an answer"),
            Message::Return { id: Some(3), value }
        );
        assert_eq!(
            parse(r#"{"id": 4, "error": {"class": "GenericError", "desc": "no"}}"#).expect("a refusal"),
            Message::Failure { id: Some(4), reason: "no".to_owned() }
        );
        assert_eq!(
            parse(r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN"}"#).expect("an event"),
            Message::Event(Event { name: "SHUTDOWN".to_owned(), data: Value::Null })
        );
        assert!(matches!(parse("SSH-2.0"), Err(QmpError::Protocol(_))));
        assert!(matches!(parse("{}"), Err(QmpError::Protocol(_))));
    }

    #[tokio::test]
    async fn an_answer_is_found_behind_events_and_a_long_path_is_no_hindrance() {
        let top = tempfile::tempdir().expect("a directory");
        let deep = top.path().join("d".repeat(120));
        std::fs::create_dir(&deep).expect("a directory");
        // Bound by a short name and moved, as QEMU binds relative to its directory.
        let listener = UnixListener::bind(top.path().join("s")).expect("a socket");
        std::fs::rename(top.path().join("s"), deep.join("s")).expect("moved");
        let qemu = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = BufReader::new(stream);
            stream.write_all(b"{\"QMP\": {}}\n").await.expect("written");
            let mut line = String::new();
            let gone = r#"{"event": "DEVICE_DELETED", "data": {"device": "d"}}"#;
            let second = format!("{{\"event\": \"RESUME\"}}\n{gone}\n{{\"return\": 5, \"id\": 2}}\n");
            for answer in ["{\"return\": {}, \"id\": 1}\n", second.as_str()] {
                stream.read_line(&mut line).await.expect("a command");
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
            line
        });
        let mut qmp = Qmp::connect(&deep.join("s"), Duration::from_secs(10)).await.expect("a connection");
        assert_eq!(qmp.execute("cont").await.expect("an answer"), json!(5));
        let deleted =
            qmp.event(Duration::from_secs(10), |event| event.name == "DEVICE_DELETED").await.expect("an event");
        assert_eq!(deleted.data["device"], "d");
        assert!(qemu.await.expect("it ended").contains("cont"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_qemu_is_given_up() {
        let top = tempfile::tempdir().expect("a directory");
        let _listener = UnixListener::bind(top.path().join("s")).expect("a socket");
        let silent = Qmp::connect(&top.path().join("s"), Duration::from_secs(3)).await;
        assert!(matches!(silent, Err(QmpError::Silent(_))));
    }
}
