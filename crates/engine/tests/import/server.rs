//! A web server on the loopback that does what a test tells it to, also what no server should.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Header lines, names in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    fn read(connection: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers = lines.take_while(|line| !line.is_empty());
        let headers = headers.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self { path, headers: headers.collect() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Where the asked range begins.
    fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// Ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// `answer` writes what it likes; the connection is closed when it returns.
    pub(crate) fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (requests, ended) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let (seen, end, answer) = (requests.clone(), ended.clone(), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || {
                    let mut connection = connection;
                    if let Some(request) = Request::read(&connection) {
                        seen.lock().expect("a lock").push(request.clone());
                        answer(&request, &mut connection);
                    }
                });
            }
        });
        Self { address, requests, ended }
    }

    /// Gives `bytes` to everyone, under a name and in parts, as a good server does.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self::start(move |request, connection| whole(request, connection, &bytes, bytes.len()))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("a lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers with `bytes`, or their rest if that is asked for, and closes the connection before byte `until`.
pub(crate) fn whole(request: &Request, connection: &mut TcpStream, bytes: &[u8], until: usize) {
    let name = "\"the-very-same\"";
    let from = request.from().filter(|_| request.header("if-range") == Some(name));
    let (status, from) = match from {
        Some(from) => ("206 Partial Content", from),
        None => ("200 OK", 0),
    };
    let (length, total) = (bytes.len() - from, bytes.len());
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: {name}\r\nContent-Length: {length}\r\n\
         Content-Range: bytes {from}-{}/{total}\r\nConnection: close\r\n\r\n",
        total.saturating_sub(1)
    );
    // A client that hangs up is one of the things that are tested.
    let _ = connection.write_all(head.as_bytes());
    let _ = connection.write_all(&bytes[from.min(until)..until]);
}

/// Something that a test waits for, or that waits for a test.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("a lock") = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut open = self.0.0.lock().expect("a lock");
        while !*open {
            open = self.0.1.wait(open).expect("a lock");
        }
    }
}
