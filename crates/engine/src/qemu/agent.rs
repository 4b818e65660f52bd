//! A client of the QEMU guest agent, for the few things only a guest can do: set a password, hold its file systems still.
//!
//! The agent is a program inside the guest, so it is believed nothing and waited for never long. Source: QEMU's documentation,
//! "QEMU Guest Agent Protocol Reference". A connection is made for one errand: it begins with a synchronisation, whose answer
//! shows that somebody is there, and behind which no answer to an earlier question can come. What is asked of an agent that is
//! not there stays in the host's socket and goes with it. The machine's slot keeps callers in a row.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{
    Inner,
    command::AGENT,
    layout::{MachineDir, names},
    qmp::{self, Qmp, QmpError},
};
use crate::{Error, MachineId};

/// How long an agent may take to show that it is there.
const SYNC_LIMIT: Duration = Duration::from_secs(3);
/// How long it may take to set a password: it starts a program for that.
const PASSWORD_LIMIT: Duration = Duration::from_secs(15);
/// How long it may take to let them go on: behind a freeze that was given up, the agent comes to it late.
const THAW_LIMIT: Duration = Duration::from_secs(30);
/// The pause behind an answer that is not the protocol, so that a hostile agent does not keep the server busy.
const THAW_PAUSE: Duration = Duration::from_millis(200);
/// How many such answers are too many.
const THAW_ATTEMPTS: u32 = 5;
/// The longest line an agent may send.
const LONGEST_LINE: u64 = 64 * 1024;
/// What stands before the answer to a synchronisation, and in no JSON text.
const DELIMITER: u8 = 0xff;

/// Why an errand in the guest was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("the agent's socket: {0}")]
    Io(#[from] io::Error),
    #[error("no guest agent answered within {0:?}")]
    Silent(Duration),
    #[error("the guest agent said what is not its protocol")]
    Protocol,
    #[error("the guest agent refused {command}: {reason}")]
    Refused { command: &'static str, reason: String },
}

/// A connection to an agent that answers.
#[derive(Debug)]
pub(super) struct Agent {
    stream: BufReader<UnixStream>,
}

impl Agent {
    /// Connects to the machine's agent and makes sure that it listens.
    pub(super) async fn connect(socket: &Path) -> Result<Self, AgentError> {
        let id = Uuid::new_v4().as_fields().0;
        let greeted = timeout(SYNC_LIMIT, async {
            let mut agent = Self { stream: BufReader::new(qmp::connect(socket).await?) };
            // Ends what a caller before left unfinished in the agent's own buffer.
            agent.stream.write_all(&[DELIMITER]).await?;
            agent.send("guest-sync-delimited", json!({ "id": id })).await?;
            loop {
                agent.skip_to_delimiter().await?;
                // An answer to someone before us may lie here: its number is not ours.
                if agent.answer("guest-sync-delimited").await.is_ok_and(|answer| answer == id) {
                    return Ok(agent);
                }
            }
        });
        greeted.await.map_err(|_| AgentError::Silent(SYNC_LIMIT))?
    }

    /// Sets root's password, given as crypt(5) writes it.
    pub(super) async fn set_root_password(&mut self, hash: &str) -> Result<(), AgentError> {
        let arguments = json!({ "username": "root", "password": BASE64.encode(hash), "crypted": true });
        self.ask("guest-set-user-password", arguments, PASSWORD_LIMIT).await.map(drop)
    }

    async fn ask(&mut self, command: &'static str, arguments: Value, limit: Duration) -> Result<Value, AgentError> {
        let answered = timeout(limit, async {
            self.send(command, arguments).await?;
            self.answer(command).await
        });
        answered.await.map_err(|_| AgentError::Silent(limit))?
    }

    async fn send(&mut self, command: &'static str, arguments: Value) -> Result<(), AgentError> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        Ok(self.stream.write_all(line.as_bytes()).await?)
    }

    async fn answer(&mut self, command: &'static str) -> Result<Value, AgentError> {
        let mut line = Vec::new();
        if (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        parse_answer(command, &line)
    }

    async fn skip_to_delimiter(&mut self) -> io::Result<()> {
        loop {
            if self.stream.read_u8().await? == DELIMITER {
                return Ok(());
            }
        }
    }
}

/// What one line of an agent's says in answer to `command`. The guest wrote it, so it may be anything.
pub(super) fn parse_answer(command: &'static str, line: &[u8]) -> Result<Value, AgentError> {
    let mut answer: Value = serde_json::from_slice(line).map_err(|_| AgentError::Protocol)?;
    if let Some(value) = answer.get_mut("return") {
        return Ok(value.take());
    }
    let reason = answer["error"]["desc"].as_str().ok_or(AgentError::Protocol)?;
    Err(AgentError::Refused { command, reason: reason.chars().filter(|c| !c.is_control()).take(300).collect() })
}

/// A guest whose file systems are held still. They go on when this is thawed or dropped, whatever became of the caller.
#[derive(Debug)]
pub(super) struct Frozen {
    id: MachineId,
    socket: PathBuf,
    thawed: bool,
}

/// Has the guest write out its file systems and hold them still; `None` when no agent there does so within `limit`. The guest's
/// programs wait from here on, so a guest that has more to write out is not waited for.
pub(super) async fn freeze(id: MachineId, dir: &MachineDir, limit: Duration) -> Option<Frozen> {
    let socket = dir.file(names::AGENT_SOCKET);
    let mut agent = match Agent::connect(&socket).await {
        Ok(agent) => agent,
        Err(error) => {
            debug!(machine.id = %id, error = %error, "The guest of machine {id} does not help with a snapshot");
            return None;
        }
    };
    // From here on the guest may stand still, also when no answer comes.
    let frozen = Frozen { id, socket, thawed: false };
    match agent.ask("guest-fsfreeze-freeze", json!({}), limit).await {
        Ok(_) => Some(frozen),
        Err(error) => {
            debug!(machine.id = %id, error = %error, "The file systems of machine {id} were not held still");
            None
        }
    }
}

impl Frozen {
    /// Lets the file systems go on, and returns when they do.
    pub(super) async fn thaw(mut self) {
        self.thawed = true;
        thaw(self.id, &self.socket).await;
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if !self.thawed {
            let (id, socket) = (self.id, self.socket.clone());
            tokio::spawn(async move { thaw(id, &socket).await });
        }
    }
}

async fn thaw(id: MachineId, socket: &Path) {
    let thawed = timeout(THAW_LIMIT, async {
        let mut strange = 0;
        loop {
            let result = match Agent::connect(socket).await {
                Ok(mut agent) => agent.ask("guest-fsfreeze-thaw", json!({}), THAW_LIMIT).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(_) => return Ok(()),
                Err(error @ (AgentError::Io(_) | AgentError::Refused { .. })) => return Err(error),
                // The wait for it was the pause.
                Err(AgentError::Silent(_)) => {}
                Err(AgentError::Protocol) => {
                    strange += 1;
                    if strange == THAW_ATTEMPTS {
                        return Err(AgentError::Protocol);
                    }
                    sleep(THAW_PAUSE).await;
                }
            }
        }
    });
    let result = thawed.await.unwrap_or(Err(AgentError::Silent(THAW_LIMIT)));
    if let Err(error) = result {
        warn!(machine.id = %id, error = %error, "Machine {id} may stand still: its file systems were not let go");
    }
}

/// Whether a program in the guest has the agent's port open: without one, nobody would answer, and who asks would wait.
pub(super) async fn listens(qmp: &mut Qmp) -> Result<bool, QmpError> {
    let answer = qmp.execute("query-chardev").await?;
    let ports = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(ports.iter().any(|port| port["label"] == AGENT && port["frontend-open"] == true))
}

impl Inner {
    /// Lets a guest go on that a server held still when it ended. Takes the machine's slot.
    pub(super) async fn thaw_left_over(&self, id: MachineId) {
        let slot = self.slot(id);
        let _held = slot.lock().await;
        let Ok((dir, machine)) = self.machine(id) else { return };
        let Ok(Some(mut qmp)) = self.qmp_if_running(&dir, &machine).await else { return };
        if !listens(&mut qmp).await.is_ok_and(|listens| listens) {
            return;
        }
        let socket = dir.file(names::AGENT_SOCKET);
        let Ok(mut agent) = Agent::connect(&socket).await else { return };
        let status = agent.ask("guest-fsfreeze-status", json!({}), SYNC_LIMIT).await;
        drop(agent);
        if status.is_ok_and(|status| status == "frozen") {
            info!(machine.id = %id, "The file systems of machine {id} were left standing still; they go on");
            thaw(id, &socket).await;
        }
    }

    /// Sets root's password in the running guest, then in what is written down of the machine and in its seed.
    pub(super) async fn set_password(&self, id: MachineId, hash: &str) -> Result<(), Error> {
        let (dir, mut machine) = self.machine(id)?;
        let Some(mut qmp) = self.qmp_if_running(&dir, &machine).await? else { return Err(Error::GuestIgnored(id)) };
        if !listens(&mut qmp).await.map_err(|error| Error::host("reach a guest's agent", error))? {
            return Err(Error::GuestIgnored(id));
        }
        let set = async { Agent::connect(&dir.file(names::AGENT_SOCKET)).await?.set_root_password(hash).await };
        if let Err(error) = set.await {
            info!(machine.id = %id, error = %error, "The password of machine {id} was not set");
            return Err(match error {
                AgentError::Refused { .. } => Error::host("set a password", error),
                AgentError::Io(_) | AgentError::Silent(_) | AgentError::Protocol => Error::GuestIgnored(id),
            });
        }
        machine.spec.password_hash = Some(hash.to_owned());
        dir.write(names::MACHINE, &machine)?;
        self.write_seed(&dir, &machine)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// An agent that answers by `answer`, behind some noise of an earlier conversation. Ends with what it was asked.
    fn agent(listener: UnixListener, answer: fn(&str) -> Value) -> tokio::task::JoinHandle<Vec<Value>> {
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a caller");
            let mut stream = BufReader::new(stream);
            assert_eq!(stream.read_u8().await.expect("a delimiter"), DELIMITER);
            stream.write_all(b"{\"return\": {}}\n\xff{\"return\": 0}\n").await.expect("written");
            let (mut heard, mut line) = (Vec::new(), String::new());
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                let asked: Value = serde_json::from_str(&line).expect("JSON");
                line.clear();
                let command = asked["execute"].as_str().expect("a command");
                let said = if command == "guest-sync-delimited" {
                    stream.write_all(&[DELIMITER]).await.expect("written");
                    json!({ "return": asked["arguments"]["id"] })
                } else {
                    answer(command)
                };
                stream.write_all(format!("{said}\n").as_bytes()).await.expect("written");
                heard.push(asked);
            }
            heard
        })
    }

    fn listener() -> (tempfile::TempDir, PathBuf, UnixListener) {
        let top = tempfile::tempdir().expect("a directory");
        let socket = top.path().join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        (top, socket, listener)
    }

    #[tokio::test]
    async fn a_password_goes_to_the_guest_behind_a_synchronisation() {
        let (_top, socket, listener) = listener();
        let guest = agent(listener, |_| json!({ "return": {} }));
        let mut agent = Agent::connect(&socket).await.expect("an agent");
        agent.set_root_password("$6$salt$hash").await.expect("it is set");
        drop(agent);
        let heard = guest.await.expect("it ended");
        assert_eq!(heard[0]["execute"], "guest-sync-delimited");
        let arguments = json!({ "username": "root", "password": "JDYkc2FsdCRoYXNo", "crypted": true });
        assert_eq!(heard[1], json!({ "execute": "guest-set-user-password", "arguments": arguments }));
    }

    #[tokio::test]
    async fn a_refusal_is_the_guests_own_words() {
        let (_top, socket, listener) = listener();
        let _guest = agent(listener, |_| json!({ "error": { "class": "GenericError", "desc": "not\u{1b} here" } }));
        let mut agent = Agent::connect(&socket).await.expect("an agent");
        let refused = agent.set_root_password("x").await;
        assert!(matches!(&refused, Err(AgentError::Refused { reason, .. }) if reason == "not here"), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_without_an_agent_is_given_up() {
        let (_top, socket, _listener) = listener();
        assert!(matches!(Agent::connect(&socket).await, Err(AgentError::Silent(_))));
    }

    #[tokio::test]
    async fn a_guest_that_talks_nonsense_is_asked_a_few_times_to_go_on() {
        let (_top, socket, listener) = listener();
        let calls = tokio::spawn(async move {
            for _ in 0..THAW_ATTEMPTS {
                let (stream, _) = listener.accept().await.expect("a caller");
                let mut stream = BufReader::new(stream);
                let mut line = Vec::new();
                while stream.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
                    let asked = line.strip_prefix(&[DELIMITER]).unwrap_or(&line);
                    let asked: Value = serde_json::from_slice(asked).expect("JSON");
                    line.clear();
                    let said = match asked["execute"] == "guest-fsfreeze-thaw" {
                        true => "nonsense\n".to_owned(),
                        false => format!("\u{1}{}\n", json!({ "return": asked["arguments"]["id"] })),
                    };
                    let said: Vec<u8> = said.bytes().map(|byte| if byte == 1 { DELIMITER } else { byte }).collect();
                    stream.write_all(&said).await.expect("written");
                }
            }
            listener
        });
        thaw(MachineId(7), &socket).await;
        let listener = calls.await.expect("all calls came");
        let another = timeout(Duration::ZERO, listener.accept()).await;
        assert!(another.is_err(), "it was asked once more");
    }

    #[tokio::test]
    async fn a_frozen_guest_is_let_go_also_when_nobody_asks() {
        let data = tempfile::tempdir().expect("a directory");
        let dir = crate::qemu::layout::Layout::open(data.path()).expect("a layout").machine(MachineId(7));
        std::fs::create_dir_all(dir.file(names::SOCKETS)).expect("directories");
        let socket = dir.file(names::AGENT_SOCKET);
        let guest = agent(UnixListener::bind(&socket).expect("a socket"), |_| json!({ "return": 1 }));
        let frozen = freeze(MachineId(7), &dir, SYNC_LIMIT).await.expect("it stands still");
        assert_eq!(guest.await.expect("it ended")[1]["execute"], "guest-fsfreeze-freeze");

        std::fs::remove_file(&socket).expect("removed");
        let guest = agent(UnixListener::bind(&socket).expect("a socket"), |_| json!({ "return": 1 }));
        drop(frozen);
        assert_eq!(guest.await.expect("it ended")[1]["execute"], "guest-fsfreeze-thaw");
    }
}
