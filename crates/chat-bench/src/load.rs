//! Requests that leave at fixed times, over connections that are kept, on threads that wait for nothing but their answers.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// So many threads, each with a connection: at 1,000 requests/s each has one every 64 ms.
const THREADS: u32 = 64;
/// A request that leaves so much later than it should is counted as late.
const LATE: Duration = Duration::from_millis(2);

/// Who is asked.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

/// What is asked for, and what is measured of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An answer at once: until its last byte.
    Whole,
    /// A stream: until its first event.
    Stream,
}

impl Shape {
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Whole => "answers at once, until the last byte",
            Self::Stream => "streams, until the first event",
        }
    }
}

/// How long answers took.
#[derive(Default)]
pub(crate) struct Latencies {
    times: Vec<Duration>,
    late: usize,
}

impl Latencies {
    pub(crate) fn extend(&mut self, other: Self) {
        self.times.extend(other.times);
        self.late += other.late;
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Prints a line; p50, p90 and p99 in microseconds.
    #[expect(clippy::print_stdout, reason = "it tells what it measured")]
    pub(crate) fn told(&mut self, name: &str) -> [f64; 3] {
        self.times.sort_unstable();
        let at = |part: f64| {
            let last = self.times.len().saturating_sub(1);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
            let place = ((self.times.len() as f64 * part) as usize).min(last);
            self.times.get(place).copied().unwrap_or_default().as_secs_f64() * 1e6
        };
        let [p50, p90, p99, p999, most] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        println!("  {name:<18} {p50:>8.0} {p90:>8.0} {p99:>8.0} {p999:>8.0} {most:>8.0} {:>6}", self.late);
        [p50, p90, p99]
    }
}

fn request(target: &Target, shape: Shape, user: &str) -> String {
    let stream = shape == Shape::Stream;
    let body = format!(
        r#"{{"model":"stub","messages":[{{"role":"user","content":"What is the dew point? Be brief."}}],"user":"{user}","stream":{stream}}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        target.key,
        body.len()
    )
}

/// Sends `rate` requests a second for so long.
pub(crate) fn run(target: &Target, shape: Shape, rate: u32, time: Duration) -> Result<Latencies> {
    let threads = THREADS.min(rate);
    let each = (time.as_secs_f64() * f64::from(rate) / f64::from(threads)).round();
    let begin = Instant::now() + Duration::from_millis(100);
    let text = request(target, shape, "bench");
    let outcomes: Vec<Result<Latencies>> = thread::scope(|scope| {
        let one = |number: u32| {
            let text = &text;
            move || -> Result<Latencies> {
                let mut connection = Connection::open(target.address)?;
                let mut latencies = Latencies::default();
                let mut due = begin + Duration::from_secs(1) * number / rate;
                let mut count = 0.0;
                while count < each {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let sent = Instant::now();
                    latencies.late += usize::from(sent - due > LATE);
                    latencies.times.push(connection.ask(text, shape)?);
                    due += Duration::from_secs(1) * threads / rate;
                    count += 1.0;
                }
                Ok(latencies)
            }
        };
        let running: Vec<_> = (0..threads).map(|number| scope.spawn(one(number))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread broke off")))
            .collect()
    });
    let mut all = Latencies::default();
    for outcome in outcomes {
        all.extend(outcome.with_context(|| format!("{} did not answer", target.name))?);
    }
    Ok(all)
}

/// A connection that is kept.
struct Connection {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, got: Vec::with_capacity(8192) })
    }

    /// Sends a request and reads its answer. How long what is measured of it took.
    fn ask(&mut self, text: &str, shape: Shape) -> Result<Duration> {
        self.got.clear();
        let sent = Instant::now();
        self.stream.write_all(text.as_bytes())?;
        let mut first = None;
        let mut buffer = [0; 8192];
        loop {
            let count = self.stream.read(&mut buffer)?;
            ensure!(count > 0, "it closed the connection in {:?}", String::from_utf8_lossy(&self.got));
            self.got.extend_from_slice(&buffer[..count]);
            if first.is_none() && find(&self.got, b"data: ").is_some() {
                first = Some(sent.elapsed());
            }
            if self.is_whole() {
                break;
            }
        }
        let time = sent.elapsed();
        ensure!(self.got.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&self.got));
        match shape {
            Shape::Whole => Ok(time),
            Shape::Stream => first.context("a stream without an event"),
        }
    }

    fn is_whole(&self) -> bool {
        let Some(end) = find(&self.got, b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.got[..end]).to_ascii_lowercase();
        match head.lines().find_map(|line| line.strip_prefix("content-length:")) {
            Some(length) => self.got.len() - end - 4 >= length.trim().parse().unwrap_or(usize::MAX),
            None => self.got.ends_with(b"0\r\n\r\n"),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Streams that are open.
pub(crate) struct Held {
    streams: Vec<TcpStream>,
    before: u64,
}

/// Opens so many streams that go on, all within a few seconds.
pub(crate) fn hold_streams(target: &Target, count: usize, dew: &crate::dew::Dew) -> Result<Held> {
    let before = dew.resident_kib()?;
    let text = request(target, Shape::Stream, "slow");
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(target.address)?;
        stream.write_all(text.as_bytes())?;
        streams.push(stream);
    }
    Ok(Held { streams, before })
}

impl Held {
    /// What the server had before them.
    pub(crate) fn before_kib(&self) -> u64 {
        self.before
    }

    /// How many have had an event.
    pub(crate) fn answered(&self) -> Result<usize> {
        let mut answered = 0;
        let mut buffer = [0; 4096];
        for mut stream in &self.streams {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let count = stream.read(&mut buffer)?;
            let mut text = buffer[..count].to_vec();
            while find(&text, b"data: ").is_none() {
                let count = stream.read(&mut buffer)?;
                ensure!(count > 0, "a stream ended: {:?}", String::from_utf8_lossy(&text));
                text.extend_from_slice(&buffer[..count]);
            }
            answered += 1;
        }
        Ok(answered)
    }
}
