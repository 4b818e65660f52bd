//! Stands between the store and PostgreSQL and cuts the connection where it matters most: at COMMIT.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use postgres::config::{Config, Host};
use tempfile::TempDir;

/// What becomes of the next COMMIT.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    /// It arrives, and so does its answer.
    Nothing = 0,
    /// It arrives; the answer does not.
    Answer = 1,
    /// It does not arrive.
    Request = 2,
}

pub(crate) struct Proxy {
    directory: TempDir,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    /// A socket of its own that leads to the server of `url`.
    pub(crate) fn new(url: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("a socket can be made");
        let config: Config = url.parse().expect("the URL is good");
        let cut = Arc::new(AtomicU8::new(Cut::Nothing as u8));
        let mode = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, mode) = (Server::connect(&config).expect("the server is there"), Arc::clone(&mode));
                let (mut answers, back) = (server.again(), client.try_clone().expect("a socket can be shared"));
                thread::spawn(move || forward_requests(client, server, &mode));
                thread::spawn(move || {
                    let _ = io::copy(&mut answers, &mut &back);
                    let _ = back.shutdown(Shutdown::Both);
                });
            }
        });
        Self { directory, cut }
    }

    /// `url` by way of this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (host, path) = rest.split_once('/').expect("a URL that names a database");
        let user = host.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        let socket = self.directory.path().display().to_string().replace('/', "%2F");
        format!("{scheme}://{user}{socket}/{path}")
    }

    /// Decides on the next COMMIT of any connection; those after it pass.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }
}

fn forward_requests(mut client: UnixStream, mut server: Server, mode: &AtomicU8) {
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let request = &buffer[..length];
        let commits = request.windows(7).any(|part| part == b"COMMIT\0");
        let cut = if commits { mode.swap(Cut::Nothing as u8, Ordering::SeqCst) } else { Cut::Nothing as u8 };
        if cut == Cut::Answer as u8 {
            // The client is gone before the answer can come; the server still finds the request.
            let _ = client.shutdown(Shutdown::Both);
        }
        if cut == Cut::Request as u8 || server.write_all(request).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    server.end();
}

/// The way to the real server.
enum Server {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Server {
    fn connect(config: &Config) -> io::Result<Self> {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        match config.get_hosts().first().expect("the URL names a host") {
            Host::Tcp(host) => TcpStream::connect((host.as_str(), port)).map(Self::Tcp),
            Host::Unix(path) => UnixStream::connect(path.join(format!(".s.PGSQL.{port}"))).map(Self::Unix),
        }
    }

    fn again(&self) -> Self {
        match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().expect("a socket can be shared")),
            Self::Unix(stream) => Self::Unix(stream.try_clone().expect("a socket can be shared")),
        }
    }

    /// Says that nothing more comes; what was sent is still read.
    fn end(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl Read for Server {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Server {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
