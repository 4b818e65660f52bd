//! Copies on their way to whoever asked: read by a thread of its own, as fast as they are taken.

use std::{
    fs::File,
    io::{self, Read as _},
};

use axum::body::Body;
use bytes::Bytes;
use dewpoint_api::BackupFrame;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::Copies;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;
/// How many chunks may wait for a slow client.
const WAITING: usize = 4;

/// The copies as frames. They are removed when all is sent, or when the client leaves.
pub(super) fn body(copies: Copies) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(&copies, &sender) {
            tracing::error!(%error, "A backup was cut off: {error}");
            let _ = sender.blocking_send(line(&BackupFrame::Failed { reason: error.to_string() }));
        }
    });
    Body::from_stream(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

fn line(frame: &BackupFrame) -> io::Result<Bytes> {
    let mut text = serde_json::to_vec(frame)?;
    text.push(b'\n');
    Ok(text.into())
}

/// Success also when the client left: it knows.
fn send(copies: &Copies, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    for name in &copies.files {
        let mut file = File::open(copies.scratch.path.join(name))?;
        let bytes = file.metadata()?.len();
        if sender.blocking_send(line(&BackupFrame::File { path: name.clone(), bytes })).is_err() {
            return Ok(());
        }
        let mut hash = Sha256::new();
        loop {
            let mut buffer = vec![0; CHUNK];
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            buffer.truncate(read);
            hash.update(&buffer);
            if sender.blocking_send(Ok(buffer.into())).is_err() {
                return Ok(());
            }
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if sender.blocking_send(line(&BackupFrame::Sum { sha256 })).is_err() {
            return Ok(());
        }
    }
    // Whether it is still wanted is the client's to know.
    let _ = sender.blocking_send(line(&BackupFrame::End(copies.facts.clone())));
    Ok(())
}
