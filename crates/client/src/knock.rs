//! Knocking at an SSH port, from which one sees that a guest is up.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpStream,
};

use crate::{Result, wait::Watch};

/// How long a port may take to answer before it is tried again.
const KNOCK: Duration = Duration::from_secs(3);
/// Most bytes of a greeting that are read.
const GREETING: u64 = 16 * 1024;

/// Knocks until an SSH server greets there, telling of each time.
pub(crate) async fn until_greeted(
    address: SocketAddr,
    watch: &mut Watch,
    tell: impl Fn(SocketAddr),
    what: impl Fn() -> String,
) -> Result<()> {
    loop {
        tell(address);
        if matches!(tokio::time::timeout(KNOCK, greets(address)).await, Ok(Ok(true))) {
            return Ok(());
        }
        watch.pause(&what).await?;
    }
}

/// Whether an SSH server greets there: with `SSH-`, before which it may say other lines (RFC 4253, 4.2).
async fn greets(address: SocketAddr) -> std::io::Result<bool> {
    let stream = TcpStream::connect(address).await?.take(GREETING);
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        if line.starts_with(b"SSH-") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpSocket},
    };

    use super::*;
    use crate::{Error, wait::Pace};

    const LONG: Duration = Duration::from_secs(60);

    /// Says these words to whoever comes, one after the other, and the last one to all after that; then hangs up.
    async fn server(words: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.expect("somebody");
                // Whoever came may have left.
                let _ = stream.write_all(words[turn.min(words.len() - 1)].as_bytes()).await;
            }
        });
        address
    }

    /// Knocks until `deadline`; how often, and how it went.
    async fn knocked(address: SocketAddr, deadline: Duration) -> (u32, Result<()>) {
        let quick = Duration::from_millis(1);
        let mut watch = Watch::new(Pace { first: quick, longest: quick, deadline });
        let knocks = AtomicU32::new(0);
        let tell = |_| {
            knocks.fetch_add(1, Ordering::Relaxed);
        };
        let done = until_greeted(address, &mut watch, tell, || "the greeting".to_owned()).await;
        (knocks.load(Ordering::Relaxed), done)
    }

    #[tokio::test]
    async fn a_server_that_greets_is_ready_at_the_first_knock_whatever_it_says_before() {
        for words in [&["SSH-2.0-dropbear_2022.83\r\n"], &["Mind the step.\r\nSSH-2.0-OpenSSH_9.2\r\n"]] {
            let (knocks, done) = knocked(server(words).await, LONG).await;
            assert!(done.is_ok() && knocks == 1, "{words:?}: {knocks} {done:?}");
        }
    }

    #[tokio::test]
    async fn it_is_knocked_until_an_ssh_server_greets_and_no_other() {
        let address = server(&["", "HTTP/1.1 400 Bad Request\r\n\r\n", "SSH", "XSSH-2.0\r\n", "SSH-2.0-x\r\n"]).await;
        let (knocks, done) = knocked(address, LONG).await;
        assert!(done.is_ok() && knocks == 5, "{knocks} {done:?}");
    }

    #[tokio::test]
    async fn a_port_that_refuses_is_knocked_at_until_somebody_is_there() {
        // Held, so that it is nobody else's, and refused as long as nobody listens.
        let port = TcpSocket::new_v4().expect("a socket");
        port.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = port.local_addr().expect("its address");
        let (refused, seen) = tokio::sync::oneshot::channel();
        let refused = std::sync::Mutex::new(Some(refused));
        let quick = Duration::from_millis(1);
        let mut watch = Watch::new(Pace { first: quick, longest: quick, deadline: LONG });
        let knocks = AtomicU32::new(0);
        let tell = |_| {
            // The second knock comes after the first was refused.
            if knocks.fetch_add(1, Ordering::Relaxed) == 1
                && let Some(refused) = refused.lock().expect("nobody panics with it").take()
            {
                refused.send(()).expect("it is waited for");
            }
        };
        let comes_up = async {
            seen.await.expect("it was refused");
            let listener = port.listen(8).expect("it listens");
            let (mut stream, _) = listener.accept().await.expect("somebody");
            stream.write_all(b"SSH-2.0-late\r\n").await.expect("said");
        };
        let waits = until_greeted(address, &mut watch, tell, || "the greeting".to_owned());
        let (done, ()) = tokio::join!(waits, comes_up);
        assert!(done.is_ok() && knocks.load(Ordering::Relaxed) >= 2, "{done:?}");
    }

    #[tokio::test]
    async fn the_deadline_ends_the_knocking_and_says_what_was_waited_for() {
        let (knocks, done) = knocked(server(&["HTTP/1.1 200 OK\r\n\r\n"]).await, Duration::from_millis(20)).await;
        assert!(knocks >= 1 && matches!(done, Err(Error::WaitedTooLong { .. })), "{done:?}");
        assert!(done.expect_err("too late").to_string().contains("the greeting"));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left_after_a_while() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let silent = async {
            let (kept, _) = listener.accept().await.expect("somebody");
            let (mut second, _) = listener.accept().await.expect("somebody who did not wait for ever");
            second.write_all(b"SSH-2.0-x\r\n").await.expect("said");
            drop(kept);
        };
        let ((knocks, done), ()) = tokio::join!(knocked(address, LONG), silent);
        assert!(done.is_ok() && knocks == 2, "{knocks} {done:?}");
    }
}
