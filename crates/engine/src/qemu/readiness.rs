//! How far a guest is: what it says over the virtio-serial port, and whether SSH answers.
//!
//! The guest says `user-data done`, `user-data failed WHY` or `user-data unsupported`, and again every few seconds until the
//! host answers `ok`. The host answers when it has written the word down, so a report is not lost by a crash on either side.
//! A guest may also say `ssh` once its SSH server listens; that saves the host from knocking in vain.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use super::record::ProcessIdentity;
use crate::UserDataOutcome;

/// The longest line a guest may send; what is longer is cut.
pub(super) const LONGEST_LINE: usize = 1024;

/// One line from a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Its SSH server listens.
    Ssh,
    /// Its user data has ended.
    UserData(UserDataOutcome),
}

/// Understands one line from a guest. `None`: not a report; a guest may write anything.
pub(super) fn parse_report(line: &str) -> Option<Heard> {
    let (word, rest) = split_word(line);
    let (outcome, detail) = split_word(rest);
    match (word, outcome) {
        ("ssh", "") => Some(Heard::Ssh),
        ("user-data", "done") => Some(Heard::UserData(UserDataOutcome::Done)),
        ("user-data", "unsupported") => Some(Heard::UserData(UserDataOutcome::Unsupported)),
        ("user-data", "failed") => {
            let plain: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            Some(Heard::UserData(UserDataOutcome::Failed(plain.trim().to_owned())))
        }
        _ => None,
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    (word, rest.trim())
}

/// Whether an SSH server shows its banner at `address` within `limit`. Source: RFC 4253, section 4.2.
pub(super) async fn ssh_banner(address: SocketAddr, limit: Duration) -> bool {
    let seen = timeout(limit, async {
        let mut start = [0; 4];
        TcpStream::connect(address).await?.read_exact(&mut start).await?;
        Ok::<_, std::io::Error>(start == *b"SSH-")
    });
    matches!(seen.await, Ok(Ok(true)))
}

/// When each process last showed an SSH banner.
#[derive(Debug, Default)]
pub(super) struct Banners(Mutex<HashMap<ProcessIdentity, Instant>>);

impl Banners {
    pub(super) fn seen(&self, process: ProcessIdentity) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(process, Instant::now());
    }

    /// How long ago that was; `None` when it never has.
    pub(super) fn age(&self, process: ProcessIdentity) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&process).map(Instant::elapsed)
    }

    pub(super) fn forget(&self, process: ProcessIdentity) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&process);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    #[test]
    fn reports_are_understood_and_noise_is_not() {
        let user_data = |outcome| Some(Heard::UserData(outcome));
        assert_eq!(parse_report("ssh"), Some(Heard::Ssh));
        assert_eq!(parse_report("user-data done\r"), user_data(UserDataOutcome::Done));
        assert_eq!(parse_report("user-data unsupported"), user_data(UserDataOutcome::Unsupported));
        let failed = UserDataOutcome::Failed("exit status 3".to_owned());
        assert_eq!(parse_report("user-data failed exit\tstatus 3"), user_data(failed.clone()));
        assert_eq!(parse_report("user-data failed \u{1b}exit status 3\u{1b}"), user_data(failed));
        assert_eq!(parse_report("user-data failed"), user_data(UserDataOutcome::Failed(String::new())));
        assert_eq!(parse_report("user-data"), None);
        assert_eq!(parse_report("ssh is here"), None);
        assert_eq!(parse_report("login: "), None);
    }

    #[tokio::test]
    async fn a_banner_is_seen_and_silence_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        assert!(!ssh_banner(address, Duration::from_millis(20)).await);
        let (_silent, _) = listener.accept().await.expect("the silent one");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.write_all(b"SSH-2.0-test\r\n").await.expect("written");
            stream
        });
        assert!(ssh_banner(address, Duration::from_secs(10)).await);
        drop(server.await);
    }
}
