//! How clients ask, and ask again; and what can be seen of the server from outside while it works.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::support::{Answer, DEADLINE, TOKEN, create, read};

/// A kind of client, by what it sends with a request so that the next attempt can be known as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An `Idempotency-Key`.
    Key,
    /// A count of its retries, as the Python SDK.
    Count,
    /// Nothing, as godo, Terraform and curl.
    Silent,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Key, Kind::Count, Kind::Silent];

/// A create that was sent, wholly or in part, over a connection of its own.
pub(crate) struct Asked(TcpStream);

impl Kind {
    fn header(self, name: &str, attempt: u32) -> String {
        match self {
            Self::Key => format!("idempotency-key: {name}\r\n"),
            Self::Count => format!("x-stainless-retry-count: {attempt}\r\n"),
            Self::Silent => String::new(),
        }
    }

    /// Sends the create of a Droplet of this name; without its last byte if it is to be `cut`.
    pub(crate) fn ask(self, server: SocketAddr, name: &str, attempt: u32, cut: bool) -> io::Result<Asked> {
        let (body, mark) = (create(name).to_string(), self.header(name, attempt));
        let length = body.len();
        let text = format!(
            "POST /v2/droplets HTTP/1.1\r\nhost: dew.test\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
             {mark}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(&text.as_bytes()[..text.len() - usize::from(cut)])?;
        Ok(Asked(stream))
    }
}

impl Asked {
    /// Whether something of an answer is there, or the end.
    pub(crate) fn has_come(&self) -> bool {
        self.0.set_nonblocking(true).expect("a socket");
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).expect("a socket");
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The answer, if all of it came.
    pub(crate) fn answer(mut self) -> Option<Answer> {
        let mut text = Vec::new();
        // A connection that breaks may have brought all of it before.
        let _ = self.0.read_to_end(&mut text);
        read(&String::from_utf8(text).ok()?)
    }
}

/// A data directory, looked at from outside.
pub(crate) struct Seen {
    log: PathBuf,
    index: Option<File>,
    told: PathBuf,
}

/// Bytes of the file of answers that were given before its first number.
const TOLD_HEAD: usize = 64;

impl Seen {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let file = |name| data_dir.join(name);
        Self { log: file("dewpoint.db-wal"), index: File::open(file("dewpoint.db-shm")).ok(), told: file("told") }
    }

    /// How long the store's log is: it grows while a commit is being written.
    pub(crate) fn log_length(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |file| file.len())
    }

    /// A number that changes with each commit that is durable: `iChange` of SQLite's WAL index.
    pub(crate) fn commits(&self) -> u32 {
        let mut change = [0; 4];
        let read = self.index.as_ref().map(|file| file.read_exact_at(&mut change, 8));
        read.map_or(0, |_| u32::from_ne_bytes(change))
    }

    /// The numbers of the newest answers to clients that send nothing that the server has noted as handed over.
    pub(crate) fn handed_over(&self) -> BTreeSet<u64> {
        let file = fs::read(&self.told).unwrap_or_default();
        let slots = file.get(TOLD_HEAD..).unwrap_or_default().chunks_exact(8);
        slots.map(|slot| u64::from_le_bytes(slot.try_into().expect("eight"))).filter(|number| *number > 0).collect()
    }
}
