//! The last word to a connection that is not served: one too many, or one that speaks plain HTTP to a port of TLS. Its client
//! is told in HTTP what to do, if it asks at once.

use std::{io, sync::Arc, time::Duration};

use dewpoint_api::{ErrorBody, ErrorId};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};
use uuid::Uuid;

use super::places::Full;

/// How long a client may take to ask and to read why it is turned away.
const TIME: Duration = Duration::from_secs(2);
/// Most bytes of a request that are read before it is refused.
const REQUEST_MAX: usize = 64 * 1024;
/// Most connections that are told why at once; any more are closed without a word.
const TOLD_AT_ONCE: usize = 256;

/// Tells connections that there is no place.
#[derive(Clone, Debug)]
pub(super) struct TurnedAway(Arc<Semaphore>);

impl TurnedAway {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(TOLD_AT_ONCE)))
    }

    /// Says why there is no place, in the background; over TLS the connection is closed, since words would cost a handshake.
    pub(super) fn tell(&self, stream: TcpStream, full: Full, speaks_tls: bool) {
        if speaks_tls {
            return;
        }
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return };
        let message = match full {
            Full::Server => "This server has as many connections as it takes. Try again in a moment.",
            Full::Address => "Your address has as many connections as one may have. Close some, or use them again.",
        };
        tokio::spawn(async move {
            refuse(stream, StatusCode::SERVICE_UNAVAILABLE, ErrorId::ServiceUnavailable, message).await;
            drop(permit);
        });
    }
}

/// Refuses one who speaks HTTP where HTTPS is spoken.
pub(super) async fn refuse_plain(stream: TcpStream) {
    let message = "This port speaks HTTPS, and the request came as plain HTTP. Use https:// in the address.";
    refuse(stream, StatusCode::BAD_REQUEST, ErrorId::BadRequest, message).await;
}

async fn refuse(stream: TcpStream, status: StatusCode, id: ErrorId, message: &str) {
    let answer = answer(status, id, message);
    // Whoever does not ask in time, or has left, is told nothing.
    let _ = tokio::time::timeout(TIME, say(stream, &answer)).await;
}

/// Reads a request's head, answers it, and reads on until the client has closed too: to close with bytes unread would
/// take the answer from it.
async fn say(mut stream: TcpStream, answer: &str) -> io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).await?;
        head.extend_from_slice(&buffer[..length]);
        if length == 0 || head.len() > REQUEST_MAX {
            return Ok(());
        }
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

fn answer(status: StatusCode, id: ErrorId, message: &str) -> String {
    let request_id = Uuid::new_v4().to_string();
    let retry = if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    let body = ErrorBody {
        id: id.into(),
        message: message.to_owned(),
        request_id: Some(request_id.clone()),
        error_attributes: None,
    };
    let body = serde_json::to_string(&body).expect("strings and words always serialize");
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n{retry}\
         x-request-id: {request_id}\r\nconnection: close\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
    )
}
