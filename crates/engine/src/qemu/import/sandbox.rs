//! `qemu-img` on files that strangers made: as a user who may do nothing, in an empty network, with little of everything.

use std::{path::Path, process::Stdio, sync::Arc};

use dewpoint_clock::Clock;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::OnceCell,
};
use tracing::warn;

use super::{limits::ImportLimits, problem::Problem};
use crate::{
    Error,
    qemu::{disk::QEMU_IMG, user::QemuUser},
};

/// Most of what is read of a program's output; one that says more is ended.
const OUTPUT: u64 = 4 << 20;

/// Most files `qemu-img` has open; it takes nine for a conversion.
const FILES: u32 = 64;

/// Runs `qemu-img` confined.
pub(super) struct Sandbox {
    pub(super) user: Option<QemuUser>,
    pub(super) limits: ImportLimits,
    pub(super) clock: Arc<dyn Clock>,
    /// The words that put a command in a network of its own; none where the host forbids that.
    network: OnceCell<Vec<String>>,
}

/// How a run of `qemu-img` ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) output: Vec<u8>,
    /// What it said of its failure, on one line.
    pub(super) words: String,
}

impl Sandbox {
    pub(super) fn new(user: Option<QemuUser>, limits: ImportLimits, clock: Arc<dyn Clock>) -> Self {
        Self { user, limits, clock, network: OnceCell::new() }
    }

    /// Runs `qemu-img` in `directory`, whose files it knows by their names alone. Dropping this ends it.
    pub(super) async fn qemu_img(&self, directory: &Path, arguments: &[&str]) -> Result<Ended, Problem> {
        let failed = |error: &dyn std::fmt::Display| Error::host("run qemu-img", error);
        let mut words = self.network.get_or_init(|| self.empty_network()).await.clone();
        words.extend(self.confinement());
        words.push(QEMU_IMG.to_owned());
        let mut child = command(&words)
            .args(arguments)
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let deadline = self.clock.now() + self.limits.qemu_img;
        let run = async { tokio::join!(read(stdout), read(stderr), child.wait()) };
        let (output, errors, status) = tokio::select! {
            ended = run => ended,
            () = self.clock.sleep_until(deadline) => {
                return Err(Problem::Refused("it takes too long to read".to_owned()));
            }
        };
        let status = status.map_err(|error| failed(&error))?;
        let words = String::from_utf8_lossy(&errors);
        let words: Vec<&str> = words.lines().map(|line| line.trim_start_matches("qemu-img: ")).take(5).collect();
        let words = if words.is_empty() { status.to_string() } else { words.join("; ") };
        Ok(Ended { code: status.code(), output, words })
    }

    /// The words between the network's and the program's.
    fn confinement(&self) -> Vec<String> {
        let ImportLimits { max_bytes, qemu_img_cpu, qemu_img_memory, .. } = &self.limits;
        // Tables come on top of the disk's own bytes.
        let largest = max_bytes + max_bytes / 100 + (64 << 20);
        let user = self.user.as_ref().map_or_else(|| vec!["setpriv".to_owned()], |user| user.prefix(false));
        let rest = ["--bounding-set", "-all"].iter().filter(|_| self.user.is_some()).copied();
        let rest = rest.chain(["--no-new-privs", "--pdeathsig", "KILL"]).map(str::to_owned);
        let limits = [
            "prlimit".to_owned(),
            format!("--as={qemu_img_memory}"),
            format!("--cpu={}", qemu_img_cpu.as_secs().max(1)),
            format!("--fsize={largest}"),
            format!("--nofile={FILES}"),
            "--core=0".to_owned(),
        ];
        let nice = ["nice", "-n", "10"].map(str::to_owned);
        user.into_iter().chain(rest).chain(limits).chain(nice).collect()
    }

    /// Finds out, once, how a command gets an empty network here.
    async fn empty_network(&self) -> Vec<String> {
        let tried =
            if self.user.is_some() { vec!["unshare", "-n"] } else { vec!["unshare", "-n", "--map-current-user"] };
        let tried: Vec<String> = tried.into_iter().map(str::to_owned).collect();
        let status = command(&tried).arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if status.is_ok_and(|status| status.success()) {
            return tried;
        }
        warn!("This host gives no network namespaces: qemu-img reads imported images with the host's network in reach");
        Vec::new()
    }
}

/// A command with a small environment that ends with its future.
fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    // An arena for each thread would soon fill the address space that is left to it.
    command.env("LC_ALL", "C").env("MALLOC_ARENA_MAX", "2").stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What cannot be read is missing from the output, and its reader says so.
        let _ = pipe.take(OUTPUT).read_to_end(&mut bytes).await;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, net::TcpListener};

    use dewpoint_clock::SystemClock;

    use super::*;

    fn sandbox(user: Option<QemuUser>) -> Sandbox {
        Sandbox::new(user, ImportLimits::default(), Arc::new(SystemClock))
    }

    /// Past the test harness, which would swallow it.
    fn skip(test: &str, why: &str) {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    }

    #[test]
    fn the_words_that_confine_are_as_they_must_be() {
        let user = QemuUser { name: "q".to_owned(), uid: 7, gid: 8 };
        let expected = "setpriv --reuid 7 --regid 8 --clear-groups --inh-caps -all --ambient-caps -all --bounding-set -all \
                        --no-new-privs --pdeathsig KILL prlimit --as=2147483648 --cpu=3600 --fsize=101067108864 --nofile=64 \
                        --core=0 nice -n 10";
        assert_eq!(sandbox(Some(user)).confinement().join(" "), expected);
        assert!(sandbox(None).confinement().join(" ").starts_with("setpriv --no-new-privs --pdeathsig KILL prlimit"));
    }

    #[tokio::test]
    async fn a_file_of_the_servers_own_is_out_of_reach() {
        let Ok(Some(user)) = QemuUser::choose(None) else {
            return skip("a_file_of_the_servers_own_is_out_of_reach", "only root runs qemu-img as another user");
        };
        let top = tempfile::tempdir().expect("a directory");
        let secret = tempfile::NamedTempFile::new_in(top.path()).expect("a file");
        fs::write(secret.path(), vec![1; 1024]).expect("written");
        let name = secret.path().to_str().expect("a path");
        let ended = sandbox(Some(user)).qemu_img(top.path(), &["info", "-f", "raw", name]).await.expect("it runs");
        assert_eq!(ended.code, Some(1));
        assert!(ended.words.contains("Permission denied"), "{}", ended.words);
    }

    #[tokio::test]
    async fn the_network_is_out_of_reach() {
        let user = QemuUser::choose(None).expect("a user");
        let sandbox = sandbox(user);
        if sandbox.empty_network().await.is_empty() {
            return skip("the_network_is_out_of_reach", "this host gives no network namespaces");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("nbd://{}", listener.local_addr().expect("an address"));
        let ended = sandbox.qemu_img(std::path::Path::new("/"), &["info", &address]).await.expect("it runs");
        assert_eq!(ended.code, Some(1));
        assert!(ended.words.contains("unreachable"), "{}", ended.words);
    }

    #[tokio::test]
    async fn a_program_that_wants_too_much_is_ended() {
        let top = tempfile::tempdir().expect("a directory");
        let file = top.path().join("large");
        fs::File::create(&file).and_then(|file| file.set_len(1 << 40)).expect("a large file");
        let limits = ImportLimits { max_bytes: 1 << 20, ..ImportLimits::default() };
        let sandbox = Sandbox::new(None, limits, Arc::new(SystemClock));
        let grow = ["resize", "-q", "-f", "raw", "large", "2T"];
        let ended = sandbox.qemu_img(top.path(), &grow).await.expect("it runs");
        assert_ne!(ended.code, Some(0), "{}", ended.words);
        assert_eq!(fs::metadata(&file).expect("a file").len(), 1 << 40);
    }
}
