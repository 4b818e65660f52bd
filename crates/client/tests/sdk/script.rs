//! A server that answers as it was told, and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use dewpoint_client::{Client, ClientBuilder, RetryPolicy, RetryPosts};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These pieces, each flushed on its own; then the connection is closed.
    Raw(Vec<Vec<u8>>),
    /// None: the connection is closed once the request is there.
    Hangup,
    /// None, and the connection stays open.
    Silence,
}

/// What was asked: the head and the body, as they came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        found.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

#[derive(Debug)]
pub(crate) struct Script {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    /// Answers one request after the other, each on a connection of its own; the last reply goes on and on.
    pub(crate) async fn of(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut replies = replies.into_iter().peekable();
            while let Ok((stream, _)) = listener.accept().await {
                let reply = replies.next().expect("there is a last one");
                if replies.peek().is_none() {
                    replies = vec![reply.clone()].into_iter().peekable();
                }
                tokio::spawn(answer(stream, reply, Arc::clone(&log)));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A client of it that is not patient.
    pub(crate) fn client(&self) -> Client {
        self.builder(RetryPosts::ByServer).build().unwrap()
    }

    pub(crate) fn builder(&self, posts: RetryPosts) -> ClientBuilder {
        let quick = Duration::from_millis(1);
        let retry = RetryPolicy { first_pause: quick, longest_pause: quick, posts, ..RetryPolicy::default() };
        Client::builder().base_url(format!("http://{}", self.address)).token("dop_v1_secret").retry(retry)
    }
}

async fn answer(mut stream: TcpStream, reply: Reply, log: Arc<Mutex<Vec<Asked>>>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(place) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break place;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let mut asked = Asked { head: String::from_utf8(bytes[..head_end].to_vec()).unwrap(), body: String::new() };
    let length: usize = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    asked.body = String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap();
    log.lock().unwrap().push(asked);
    match reply {
        Reply::Raw(pieces) => {
            stream.set_nodelay(true).unwrap();
            for piece in pieces {
                if stream.write_all(&piece).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            // Our end first, then theirs: closed with something unread, a connection would be reset and take the answer with it.
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Reply::Hangup => {}
        Reply::Silence => drop(stream.read_to_end(&mut Vec::new()).await),
    }
}

/// An answer with a JSON body and headers.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    Reply::Raw(vec![
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
            .into_bytes(),
    ])
}

pub(crate) fn ok(body: &str) -> Reply {
    reply(200, &[], body)
}

/// A stream of events, in pieces.
pub(crate) fn events(pieces: &[&str]) -> Reply {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    Reply::Raw(std::iter::once(head).chain(pieces.iter().copied()).map(|piece| piece.as_bytes().to_vec()).collect())
}
