//! A fake upstream of a model: answers each request with whatever bytes a test wants, right or wrong, and says what it heard.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    sync::mpsc,
    time::timeout,
};

/// For what must come; a test that works never waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it does once it has sent its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Closes the connection.
    Close,
    /// Stays silent until the other side has closed.
    Wait,
    /// Sends the last bytes again and again, until the other side has closed.
    Repeat(&'static str),
}

/// What it answers to a request.
type Answer = dyn Fn(&str) -> (String, Then) + Send + Sync;

/// An upstream: gives each request its answer, and says what it was asked and, when it stays, that it was left.
#[derive(Debug)]
pub struct FakeUpstream {
    /// What paths are put behind.
    pub url: String,
    told: mpsc::UnboundedReceiver<String>,
}

impl FakeUpstream {
    /// One that answers every request with this text.
    pub async fn saying(answer: impl Into<String>, then: Then) -> Self {
        let answer = answer.into();
        Self::start(move |_| (answer.clone(), then)).await
    }

    /// One that answers as `answer` says for the text of each request.
    pub async fn start(answer: impl Fn(&str) -> (String, Then) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (say, told) = mpsc::unbounded_channel();
        let answer: Arc<Answer> = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), say.clone()));
            }
        });
        Self { url, told }
    }

    /// One that listens on a Unix socket of this name.
    pub async fn at(path: &Path, answer: impl Into<String>) -> Self {
        let listener = UnixListener::bind(path).expect("the socket can be made");
        let (url, answer) = (format!("unix:{}", path.display()), answer.into());
        let (say, told) = mpsc::unbounded_channel();
        let answer: Arc<Answer> = Arc::new(move |_| (answer.clone(), Then::Close));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), say.clone()));
            }
        });
        Self { url, told }
    }

    /// The next that it heard: a request, or `left`.
    pub async fn heard(&mut self) -> String {
        timeout(PATIENCE, self.told.recv()).await.expect("it is asked in time").expect("it runs")
    }

    /// Whether it has heard anything that [`FakeUpstream::heard`] did not tell.
    pub fn was_asked(&mut self) -> bool {
        self.told.try_recv().is_ok()
    }
}

async fn serve<S>(mut stream: S, answer: Arc<Answer>, say: mpsc::UnboundedSender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        asked.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&asked);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    let asked = String::from_utf8(asked).expect("requests are text");
    let (text, then) = answer(&asked);
    say.send(asked).ok();
    stream.write_all(text.as_bytes()).await.ok();
    match then {
        Then::Close => return,
        Then::Wait => while let Ok(1..) = stream.read(&mut buffer).await {},
        Then::Repeat(text) => while stream.write_all(text.as_bytes()).await.is_ok() {},
    }
    say.send("left".to_owned()).ok();
}

/// An answer at once, as JSON.
pub fn whole(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// A stream as HTTP sends it when it does not say how long it is.
pub fn streamed(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}
