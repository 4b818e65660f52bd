//! An upstream that answers at once, on a thread of its own: a short answer, or a stream of a few chunks. A stream for the
//! model's user `slow` goes on for half a minute, a chunk every half second.

use std::{net::SocketAddr, sync::mpsc, thread, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const WHOLE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"stub","choices":[{"index":0,"message":{"role":"assistant","content":"The dew point is the temperature at which air is saturated."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":12,"total_tokens":24}}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"stub\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" dew\"},\"finish_reason\":null}]}\n\n";
const SLOW_CHUNKS: usize = 60;
const SLOW_PAUSE: Duration = Duration::from_millis(500);

/// Serves in the background. Where.
pub(crate) fn start(address: SocketAddr) -> Result<SocketAddr> {
    let (told, at) = mpsc::channel();
    thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind(address).await?;
            told.send(listener.local_addr()?)?;
            loop {
                tokio::spawn(serve(listener.accept().await?.0));
            }
        })
    });
    at.recv().context("the stub did not start")
}

async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let whole =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{WHOLE}", WHOLE.len());
    let mut short =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let head = short.clone();
    (0..3).for_each(|_| short.push_str(&chunked(CHUNK)));
    short.push_str(&chunked("data: [DONE]\n\n"));
    short.push_str("0\r\n\r\n");
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        anyhow::ensure!(read > 0, "the client has gone");
        filled += read;
        let Some(asked) = request(&buffer[..filled]) else { continue };
        filled = 0;
        match asked {
            Asked::Whole => stream.write_all(whole.as_bytes()).await?,
            Asked::Stream => stream.write_all(short.as_bytes()).await?,
            Asked::Slow => {
                stream.write_all(head.as_bytes()).await?;
                for _ in 0..SLOW_CHUNKS {
                    stream.write_all(chunked(CHUNK).as_bytes()).await?;
                    tokio::time::sleep(SLOW_PAUSE).await;
                }
                return Ok(());
            }
        }
    }
}

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

enum Asked {
    Whole,
    Stream,
    Slow,
}

/// What a whole request asks for; `None` while some of it is missing.
fn request(bytes: &[u8]) -> Option<Asked> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if body.len() < length.unwrap_or(0) {
        return None;
    }
    // However a proxy writes it anew.
    let body: String = body.chars().filter(|character| !character.is_whitespace()).collect();
    Some(match (body.contains("\"stream\":true"), body.contains("\"user\":\"slow\"")) {
        (true, true) => Asked::Slow,
        (true, false) => Asked::Stream,
        (false, _) => Asked::Whole,
    })
}
