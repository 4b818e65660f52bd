//! What the engine hears of a running machine without asking: its end, its console, its report, its first SSH banner.
//!
//! Each running machine has one watch, made when it is started or found again. Dropping it leaves the machine running.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Child,
    sync::{Notify, broadcast},
    task::JoinSet,
    time::sleep,
};
use tracing::{info, warn};

use super::{
    console::CappedLog,
    contain,
    layout::{MachineDir, names},
    process::Process,
    qmp,
    readiness::{Banners, Heard, LONGEST_LINE, parse_report, ssh_banner},
    record::ProcessIdentity,
};
use crate::{
    Error, MachineId, UserDataOutcome,
    console::{Consoles, Ends},
};

/// How long an SSH server may take to show its banner, at the first try and at most. One connection at a time and patiently:
/// while a guest boots, QEMU keeps each that was tried for it, and a crowd of them is what SSH servers turn away.
const BANNER_LIMIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(16));
/// The pause after a connection that was turned down.
const BANNER_PAUSE: Duration = Duration::from_millis(500);
/// The pause behind a report that says another thing than the one before, which is written down durably each time.
const SECOND_THOUGHT_PAUSE: Duration = Duration::from_secs(5);
/// The pause behind a word that SSH listens, before it is tried again because of the next.
const KNOCK_PAUSE: Duration = Duration::from_millis(100);
/// The pause before a socket of QEMU's is tried again, when another server had it.
const SOCKET_PAUSE: Duration = Duration::from_millis(500);

/// What a watch is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) id: MachineId,
    pub(super) dir: MachineDir,
    /// Where the guest's SSH is on this host.
    pub(super) ssh: Option<SocketAddr>,
    /// Whether its word that SSH listens is enough: a firewall may let nobody in from here.
    pub(super) believed: bool,
    /// What limits the process; goes with it.
    pub(super) cgroup: Option<PathBuf>,
    pub(super) banners: Arc<Banners>,
    pub(super) changes: broadcast::Sender<MachineId>,
    pub(super) consoles: Arc<Consoles>,
}

impl Subject {
    fn changed(&self) {
        // Nobody listens: then nobody wants to know.
        let _ = self.changes.send(self.id);
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.dir.file(name)
    }
}

/// The watch over one process. Its tasks end with it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) identity: ProcessIdentity,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Starts watching. `child` is given when the process was made by this server, which then has to bury it.
    pub(super) fn start(subject: &Subject, process: Process, child: Option<Child>) -> Self {
        let identity = process.identity;
        let mut tasks = JoinSet::new();
        let process = Arc::new(process);
        tasks.spawn(watch_end(subject.clone(), process.clone(), child));
        let knock = Arc::new(Notify::new());
        // From here on it can be asked for, also before its socket is there.
        let console = Talk::Console(subject.consoles.begin(subject.id));
        for talk in [console, Talk::Report] {
            let (subject, process, knock) = (subject.clone(), process.clone(), knock.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = process.ended() => {}
                    () = keep_listening(&subject, talk, &knock) => {}
                }
            });
        }
        let subject = subject.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = process.ended() => {}
                () = watch_ssh(&subject, identity, &knock) => {}
            }
        });
        Self { identity, _tasks: tasks }
    }
}

async fn watch_end(subject: Subject, process: Arc<Process>, child: Option<Child>) {
    process.ended().await;
    if let Some(mut child) = child {
        let status = child.wait().await;
        info!(machine.id = %subject.id, ?status, "The process of machine {} ended", subject.id);
    }
    if let Some(cgroup) = &subject.cgroup {
        contain::remove_cgroup(cgroup);
    }
    subject.banners.forget(process.identity);
    subject.changed();
}

/// Tries until the SSH server has shown its banner. A guest that says it listens cuts the wait for an older try short, and
/// ends it where it is believed.
async fn watch_ssh(subject: &Subject, identity: ProcessIdentity, knock: &Notify) {
    let (mut limit, longest) = BANNER_LIMIT;
    loop {
        let knocked = tokio::select! {
            seen = banner_of(subject.ssh, limit) => if seen { break } else { false },
            () = knock.notified() => true,
        };
        if knocked && subject.believed {
            break;
        }
        if knocked {
            sleep(KNOCK_PAUSE).await;
        } else {
            tokio::select! {
                () = sleep(BANNER_PAUSE) => {}
                () = knock.notified() => {}
            }
        }
        limit = (limit * 2).min(longest);
    }
    subject.banners.seen(identity);
    subject.changed();
}

/// Whether SSH shows its banner, where something leads to it.
async fn banner_of(ssh: Option<SocketAddr>, limit: Duration) -> bool {
    match ssh {
        Some(ssh) => ssh_banner(ssh, limit).await,
        None => std::future::pending().await,
    }
}

/// The two sockets a guest's words come over.
#[derive(Debug)]
enum Talk {
    Console(Ends),
    Report,
}

async fn keep_listening(subject: &Subject, mut talk: Talk, knock: &Notify) {
    loop {
        let (name, ended) = match &mut talk {
            Talk::Console(ends) => (names::CONSOLE_SOCKET, serve_console(subject, ends).await),
            Talk::Report => (names::REPORT_SOCKET, listen_to_report(subject, knock).await),
        };
        if let Err(error) = ended {
            warn!(machine.id = %subject.id, error = %error, "Listening to {name} of machine {} failed", subject.id);
        }
        sleep(SOCKET_PAUSE).await;
    }
}

/// Keeps and tells what the guest writes, and hands it what is typed; a guest that takes nothing is heard all the same.
async fn serve_console(subject: &Subject, ends: &mut Ends) -> std::io::Result<()> {
    let (mut reads, mut writes) = qmp::connect(&subject.socket(names::CONSOLE_SOCKET)).await?.into_split();
    let mut log = CappedLog::open(&subject.dir.file(names::CONSOLE))?;
    let mut buffer = vec![0; 16 * 1024];
    let mut typing = Bytes::new();
    loop {
        tokio::select! {
            read = reads.read(&mut buffer) => match read? {
                0 => return Ok(()),
                read => {
                    let piece = Bytes::copy_from_slice(&buffer[..read]);
                    ends.tell(piece, |piece| log.write(piece))?;
                }
            },
            Some(typed) = ends.typed.recv(), if typing.is_empty() => typing = typed,
            written = writes.write(&typing), if !typing.is_empty() => typing.advance(written?),
        }
    }
}

async fn listen_to_report(subject: &Subject, knock: &Notify) -> std::io::Result<()> {
    let mut socket = qmp::connect(&subject.socket(names::REPORT_SOCKET)).await?;
    let mut pending = Vec::new();
    let mut buffer = [0; LONGEST_LINE];
    loop {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        for &byte in &buffer[..read] {
            if byte == b'\n' {
                match parse_report(&String::from_utf8_lossy(&pending)) {
                    Some(Heard::Ssh) => knock.notify_one(),
                    Some(Heard::UserData(outcome)) => {
                        knock.notify_one();
                        keep_outcome(subject, &mut socket, outcome).await?;
                    }
                    None => {}
                }
                pending.clear();
            } else if pending.len() < LONGEST_LINE {
                pending.push(byte);
            }
        }
    }
}

/// How the user data went: written down, told, and only then answered.
async fn keep_outcome(subject: &Subject, socket: &mut UnixStream, outcome: UserDataOutcome) -> std::io::Result<()> {
    let known: Result<Option<UserDataOutcome>, Error> = subject.dir.read(names::REPORT);
    if !matches!(&known, Ok(Some(known)) if *known == outcome) {
        if let Err(error) = subject.dir.write(names::REPORT, &outcome) {
            // Not answered, so the guest says it again.
            warn!(machine.id = %subject.id, error = %error, "The report of machine {} was not kept", subject.id);
            return Ok(());
        }
        subject.changed();
        if matches!(known, Ok(Some(_))) {
            // Nothing is read meanwhile, and the guest's port fills up: it is the guest that waits.
            sleep(SECOND_THOUGHT_PAUSE).await;
        }
    }
    socket.write_all(b"ok\n").await
}

#[cfg(test)]
mod tests {
    use tokio::{net::UnixListener, time::Instant};

    use super::*;
    use crate::qemu::layout::Layout;

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_changes_its_mind_all_the_time_is_heard_now_and_then() {
        let data = tempfile::tempdir().expect("a directory");
        let dir = Layout::open(data.path()).expect("a layout").machine(MachineId(7));
        std::fs::create_dir_all(dir.file(names::SOCKETS)).expect("directories");
        let listener = UnixListener::bind(dir.file(names::REPORT_SOCKET)).expect("a socket");
        let subject = Subject {
            id: MachineId(7),
            dir: dir.clone(),
            ssh: None,
            believed: false,
            cgroup: None,
            banners: Arc::default(),
            changes: broadcast::channel(16).0,
            consoles: Arc::default(),
        };
        let began = Instant::now();
        let guest = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("the server");
            for round in 0..4 {
                let report = format!("user-data failed {round}\n");
                socket.write_all(report.as_bytes()).await.expect("said");
                socket.read_exact(&mut [0; 3]).await.expect("an answer");
            }
        });
        // Ends when the guest hangs up.
        listen_to_report(&subject, &Notify::new()).await.expect("heard");
        guest.await.expect("it ended");
        assert_eq!(began.elapsed().as_secs(), 3 * SECOND_THOUGHT_PAUSE.as_secs(), "the first is answered at once");
        let kept: Option<UserDataOutcome> = dir.read(names::REPORT).expect("readable");
        assert_eq!(kept, Some(UserDataOutcome::Failed("3".to_owned())));
    }
}
