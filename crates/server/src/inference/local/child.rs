//! The child that answers for one model: started, waited for, started again, ended.
//!
//! It is asked on a socket of its own, and its standard input is its lifeline: when this server is gone, however, that closes
//! and the child ends. What it says on standard error goes to the log.

use std::{
    convert::Infallible,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    process::{Child, ChildStderr, Command},
    sync::watch,
    time::timeout,
};

use super::{Keeper, LOST, Leaving, Local, Now, Ready, binary, files, lock};
use crate::{LlamaPatience, ModelConfig, UpstreamConfig, inference::upstream::Upstreams};

/// How often a child that loads is asked whether it is done.
const LOOK: Duration = Duration::from_millis(50);
/// The pause before it is started again, which doubles each time.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// How often a program that is missing is looked for.
const MISSING: Duration = Duration::from_secs(5);
/// A child that answered for as long is a good one: the pause begins anew.
const GOOD: Duration = Duration::from_secs(60);
/// How long a prompt may be worked on, in the queue and then by the model, before the first byte: on a slow processor minutes.
const FIRST_BYTE: Duration = Duration::from_secs(600);
const BETWEEN: Duration = Duration::from_secs(120);
/// Most bytes of a line in the log.
const LINE: usize = 2000;

/// The status of a child that cannot make anything of its arguments, and of one that cannot load the model.
const BAD_ARGUMENTS: i32 = 2;
const BAD_MODEL: i32 = 3;

/// Why a child is no more, or never was.
enum Ended {
    /// It was told to.
    Told,
    /// There is no program, which somebody may put there.
    Missing(String),
    /// It will end so again, unless something changes.
    Refused(String),
    /// It was there for so long.
    Crashed(String, Duration),
}

/// Keeps a child answering for the model, until it is to leave.
pub(super) async fn keep(local: &Local, keeper: &Keeper, file: &Path, mut leaving: watch::Receiver<Leaving>) {
    let mut pause = PAUSE;
    let name = lock(&local.record).name.clone();
    loop {
        let ended = once(local, keeper, &name, file, &mut leaving).await;
        let next = match ended {
            Ended::Told => return,
            Ended::Missing(why) => {
                local.is_to(Now::Failed(why));
                MISSING
            }
            Ended::Refused(why) => {
                tracing::error!(model = name, "The model {name} cannot be served: {why}");
                local.is_to(Now::Failed(why));
                pause
            }
            Ended::Crashed(why, after) => {
                if after >= GOOD {
                    pause = PAUSE;
                }
                tracing::error!(model = name, "What answered for the model {name} ended, and is started again: {why}");
                local.is_to(Now::Loading(Some(why)));
                pause
            }
        };
        if next == pause {
            pause = (pause * 2).min(PAUSE_MOST);
        }
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            _ = leaving.wait_for(|leaving| *leaving != Leaving::No) => return,
        }
    }
}

async fn once(
    local: &Local,
    keeper: &Keeper,
    name: &str,
    file: &Path,
    leaving: &mut watch::Receiver<Leaving>,
) -> Ended {
    let path = file.to_owned();
    if !file.exists() {
        return Ended::Refused(LOST.to_owned());
    }
    // Not only when it was copied: a disk may have lost some of it since.
    let checked = tokio::task::spawn_blocking(move || files::check(&path)).await;
    match checked {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => return Ended::Refused(format!("{why} Delete the model and add it again.")),
        Err(error) => return Ended::Refused(format!("its file could not be looked at: {error}.")),
    }
    let program = match binary::find(keeper.config().binary.as_deref()) {
        Ok(program) => program,
        Err(why) => return Ended::Missing(why),
    };
    let socket = keeper.socket();
    let mut child = match spawn(keeper, &program, name, file, &socket) {
        Ok(child) => child,
        Err(error) => return Ended::Refused(format!("{} cannot be started: {error}.", program.display())),
    };
    let pid = child.id().unwrap_or_default();
    tracing::info!(model = name, pid, "Loading the model {name} with {}", program.display());
    let last = Arc::<Mutex<String>>::default();
    let said = child.stderr.take().map(|said| tokio::spawn(tell(said, name.to_owned(), Arc::clone(&last))));
    let began = Instant::now();
    // Waiting for a child would close what it reads.
    let lifeline = child.stdin.take();
    let ended = tokio::select! {
        ended = child.wait() => Ok(ended),
        Err(why) = answers(local, name, &socket, pid, keeper.config().patience) => Err(Ended::Refused(why)),
        _ = leaving.wait_for(|leaving| *leaving != Leaving::No) => Err(Ended::Told),
    };
    let patience = keeper.config().patience.ending;
    let ended = match ended {
        Ok(ended) => ended,
        Err(otherwise) => {
            // With the lifeline held: without it the child would end at once, and its answers with it.
            end(&mut child, pid, patience).await;
            remove(&socket);
            return otherwise;
        }
    };
    drop(lifeline);
    end_group(pid, Instant::now() + patience).await;
    remove(&socket);
    if let Some(said) = said {
        // Its last words; a grandchild that keeps the pipe open is not waited for.
        let _ = timeout(Duration::from_secs(1), said).await;
    }
    let last = lock(&last).clone();
    explain(ended, &last, began.elapsed())
}

fn spawn(keeper: &Keeper, program: &Path, name: &str, file: &Path, socket: &Path) -> io::Result<Child> {
    let config = keeper.config();
    let mut command = Command::new(program);
    command.arg("--model").arg(file).arg("--name").arg(name).arg("--socket").arg(socket);
    let memory = config.memory_mib.map(u64::from);
    for (flag, value) in [
        ("--threads", config.threads.map(u64::from)),
        ("--context", config.context.map(u64::from)),
        ("--parallel", config.parallel.map(u64::from)),
        ("--memory-mib", memory),
    ] {
        if let Some(value) = value {
            command.arg(flag).arg(value.to_string());
        }
    }
    // The server's environment has tokens in it.
    command.env_clear();
    for name in ["PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    // Ctrl-C at a terminal is for the server, which answers first who is being answered.
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Tells the log what a child says, and remembers the last line.
async fn tell(said: ChildStderr, name: String, last: Arc<Mutex<String>>) {
    let mut said = BufReader::new(said);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut said).take(LINE as u64).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let text = text.strip_prefix("dew-llama: ").unwrap_or(text);
        if !text.is_empty() {
            tracing::info!(model = name, "dew-llama: {text}");
            text.clone_into(&mut lock(&last));
        }
    }
}

/// Asks it to end, and makes it; and with it what it started, as a script does that starts the program.
async fn end(child: &mut Child, pid: u32, patience: Duration) {
    let until = Instant::now() + patience;
    signal_group(pid, Signal::SIGTERM);
    if timeout(patience, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "A child could not be killed: {error}");
    }
    end_group(pid, until).await;
}

/// Ends what is left of a child that is no more: asked first, and killed when it is there still.
async fn end_group(pid: u32, until: Instant) {
    signal_group(pid, Signal::SIGTERM);
    while signal_group(pid, None) {
        if Instant::now() >= until {
            signal_group(pid, Signal::SIGKILL);
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Sends a signal to all of a child's group, which is named by the child, or none; whether there is anybody in it.
fn signal_group(pid: u32, signal: impl Into<Option<Signal>>) -> bool {
    // 0 would be this process's own group.
    let group = i32::try_from(pid).ok().filter(|group| *group > 1);
    group.is_some_and(|group| killpg(Pid::from_raw(group), signal).is_ok())
}

/// Why it ended, for who asks for the model.
fn explain(ended: io::Result<ExitStatus>, last: &str, after: Duration) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;
    let said = if last.is_empty() { "it said nothing.".to_owned() } else { format!("it said: {last}") };
    let status = match ended {
        Ok(status) => status,
        Err(error) => return Ended::Crashed(format!("dew-llama was lost: {error}."), after),
    };
    match (status.code(), status.signal()) {
        (Some(BAD_MODEL), _) => Ended::Refused(format!("dew-llama cannot load it; {said}")),
        (Some(BAD_ARGUMENTS), _) => Ended::Refused(format!(
            "dew-llama does not take what it is told; {said} It may be of another version than dew: `make llama` builds it anew."
        )),
        (_, Some(9)) => Ended::Crashed(
            "dew-llama was killed (SIGKILL), as the system does when memory runs out; llama.memory_mib and llama.context limit it."
                .to_owned(),
            after,
        ),
        (_, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("an unknown signal", Signal::as_str);
            Ended::Crashed(format!("dew-llama ended by {name}; {said}"), after)
        }
        (code, None) => Ended::Crashed(format!("dew-llama ended with status {}; {said}", code.unwrap_or(-1)), after),
    }
}

/// What a child says of itself.
#[derive(Deserialize)]
struct Health {
    status: String,
}

/// Returns once the model is loaded; fails with why it never will be.
async fn loaded(socket: &Path, began: Instant, patience: LlamaPatience) -> Result<(), String> {
    let LlamaPatience { opening, answering, .. } = patience;
    loop {
        match timeout(answering, ask(socket)).await {
            Ok(Ok((200, body))) => {
                return match serde_json::from_slice::<Health>(&body) {
                    Ok(health) if health.status == "ok" => Ok(()),
                    _ => Err("what answers on its socket is no dew-llama: it says nothing of a status.".to_owned()),
                };
            }
            Ok(Ok((503, _))) => {}
            Ok(Ok((status, _))) => {
                return Err(format!("what answers on its socket is no dew-llama: it answers /health with {status}."));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                return Err("what answers on its socket is no dew-llama: it speaks no HTTP.".to_owned());
            }
            Ok(Err(_)) if began.elapsed() < opening => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!("dew-llama did not open its socket within {opening:?}."));
            }
            Ok(Err(error)) => return Err(format!("dew-llama cannot be asked on its socket: {error}.")),
            Err(_) => return Err(format!("dew-llama did not say within {answering:?} whether it is ready.")),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until it is loaded; from then on the model answers, and this never ends. Fails with why it never will answer.
async fn answers(
    local: &Local,
    name: &str,
    socket: &Path,
    pid: u32,
    patience: LlamaPatience,
) -> Result<Infallible, String> {
    let began = Instant::now();
    loaded(socket, began, patience).await?;
    let upstreams = upstreams(name, socket).map_err(|error| format!("there is no way to ask it: {error}."))?;
    tracing::info!(model = name, pid, "The model {name} answers, loaded in {:.1?}", began.elapsed());
    local.is_to(Now::Ready(Ready { upstreams, pid }));
    std::future::pending().await
}

/// Removes what a child left of its socket, if it did.
fn remove(socket: &Path) {
    let _ = std::fs::remove_file(socket);
}

fn upstreams(name: &str, socket: &Path) -> io::Result<Arc<Upstreams>> {
    let upstream = UpstreamConfig::new(format!("unix:{}", socket.display()));
    Upstreams::new(ModelConfig { first_byte: FIRST_BYTE, between: BETWEEN, ..ModelConfig::new(name, vec![upstream]) })
}

/// Most bytes of an answer to `/health`.
const HEALTH_MOST: usize = 64 * 1024;

/// `GET /health`: status and body, without a body where that has no length.
async fn ask(socket: &Path) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match read(&answer) {
            Read::Whole(status, body) => return Ok((status, body)),
            Read::NoHttp => return Err(io::ErrorKind::InvalidData.into()),
            Read::More if answer.len() > HEALTH_MOST => return Err(io::ErrorKind::InvalidData.into()),
            Read::More => {}
        }
        match stream.read(&mut piece).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
}

/// What the first bytes of an answer are.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Whole(u16, Vec<u8>),
    More,
    NoHttp,
}

fn read(answer: &[u8]) -> Read {
    let begins = b"HTTP/1.";
    if !answer.iter().zip(begins).all(|(is, should)| is == should) {
        return Read::NoHttp;
    }
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Read::More };
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let Some(status) = head.split(' ').nth(1).and_then(|status| status.parse().ok()) else { return Read::NoHttp };
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length.next().map_or(Some(0), |(_, length)| length.trim().parse::<usize>().ok()) {
        Some(length) if body.len() >= length => Read::Whole(status, body[..length].to_vec()),
        Some(_) => Read::More,
        None => Read::NoHttp,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn an_end_is_explained_by_what_helps() {
        let explained = |status: i32, last: &str| match explain(Ok(ExitStatus::from_raw(status)), last, GOOD) {
            Ended::Refused(why) => ("refused", why),
            Ended::Crashed(why, _) => ("crashed", why),
            Ended::Told | Ended::Missing(_) => unreachable!("it was there"),
        };
        for (status, last, kind, text) in [
            (3 << 8, "no such architecture: nemo", "refused", "nemo"),
            (2 << 8, "unexpected argument", "refused", "make llama"),
            (9, "", "crashed", "memory"),
            (6, "assert", "crashed", "SIGABRT"),
            (1 << 8, "", "crashed", "status 1; it said nothing"),
        ] {
            let (is, why) = explained(status, last);
            assert!(is == kind && why.contains(text), "{status}: {is} {why}");
        }
    }

    #[test]
    fn an_answer_is_read_or_is_none() {
        let whole = b"HTTP/1.0 503 Busy\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(read(whole), Read::Whole(503, b"{}".to_vec()));
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Read::More, "{length}");
        }
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\nabc"), Read::Whole(200, Vec::new()));
        for garbage in [&b"SSH-2.0"[..], b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"] {
            assert_eq!(read(garbage), Read::NoHttp);
        }
    }
}
