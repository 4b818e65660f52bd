//! The download: one HTTP answer as a reader that mends itself.
//!
//! A connection that breaks is taken up again where it broke, if the server gave the answer a name to ask for (`ETag`, or
//! `Last-Modified`) and still has it; otherwise everything starts anew, which only the reader's owner can do.

use std::{
    io::{self, Read},
    sync::Arc,
};

use dewpoint_clock::{Clock, Timestamp};
use tokio::{runtime::Handle, sync::watch};
use tracing::info;
use ureq::{
    Agent, Body, BodyReader,
    http::{
        HeaderMap, Response, StatusCode, Uri,
        header::{CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE},
    },
    unversioned::transport::DefaultConnector,
};

use super::{addresses::Policy, limits::ImportLimits, problem::Problem};

/// How many times an answer may lead elsewhere (each place is checked anew).
const REDIRECTS: u32 = 3;

/// A download that got this far since it last broke breaks for the first time again.
const PROGRESS: u64 = 64 << 20;

/// What a download needs beside its address.
pub(super) struct Line {
    pub(super) agent: Agent,
    pub(super) limits: ImportLimits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Handle,
    /// Closed when nobody waits any more.
    pub(super) waiting: watch::Receiver<()>,
}

impl Line {
    pub(super) fn agent(limits: &ImportLimits, policy: Policy) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .proxy(None)
            .user_agent(concat!("dewpoint/", env!("CARGO_PKG_VERSION")))
            // What is packed is unpacked by its content and not by what the server says of it.
            .accept_encoding("identity")
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_send_request(Some(limits.idle))
            .timeout_recv_response(Some(limits.idle))
            .timeout_per_read(Some(limits.idle))
            .max_idle_connections(0)
            .input_buffer_size(1 << 20)
            .build();
        Agent::with_parts(config, DefaultConnector::new(), policy)
    }

    pub(super) fn stopped(&self) -> bool {
        self.waiting.has_changed().is_err()
    }

    /// Waits by the engine's clock. Fails when nobody waits for the download any more.
    pub(super) fn pause(&self, failures: u32) -> Result<(), Problem> {
        let pause = self.limits.retry_pause * 2_u32.saturating_pow(failures.saturating_sub(1).min(8));
        let deadline = self.clock.now() + pause;
        let mut waiting = self.waiting.clone();
        self.runtime.block_on(async {
            tokio::select! {
                () = self.clock.sleep_until(deadline) => Ok(()),
                _ = waiting.changed() => Err(Problem::Stopped),
            }
        })
    }
}

/// An image on its way. Reads as if nothing ever broke.
pub(super) struct Download {
    line: Arc<Line>,
    uri: Uri,
    body: BodyReader<'static>,
    /// What the server calls this very answer.
    validator: Option<String>,
    /// How many bytes there are, where the server says so.
    total: Option<u64>,
    at: u64,
    deadline: Timestamp,
    failures: u32,
    failed_at: u64,
    pace: Pace,
}

/// How fast a download has been since the last look.
#[derive(Debug)]
struct Pace {
    since: Timestamp,
    at: u64,
}

impl Pace {
    /// Whether what has arrived by `now`, `at` bytes, is too little.
    fn is_too_slow(&mut self, limits: &ImportLimits, now: Timestamp, at: u64) -> bool {
        if now < self.since + limits.patience {
            return false;
        }
        let arrived = at.saturating_sub(self.at);
        *self = Self { since: now, at };
        arrived < limits.slowest.saturating_mul(limits.patience.as_secs())
    }
}

impl Download {
    /// Asks for `uri` and returns once the answer begins. The whole of it has to be there by `deadline`.
    pub(super) fn start(line: Arc<Line>, uri: Uri, deadline: Timestamp) -> Result<Self, Problem> {
        let answer = ask(&line, &uri, None)?;
        let headers = answer.headers();
        let validator = validator(headers);
        let total = answer.body().content_length();
        if total.is_some_and(|total| total > line.limits.max_bytes) {
            return Err(Problem::Refused(super::too_large(line.limits.max_bytes)));
        }
        let body = answer.into_body().into_reader();
        let pace = Pace { since: line.clock.now(), at: 0 };
        Ok(Self { line, uri, body, validator, total, at: 0, deadline, failures: 0, failed_at: 0, pace })
    }

    /// How many bytes the server promised.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    fn read_or_mend(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        loop {
            if self.line.clock.now() > self.deadline {
                let hours = self.line.limits.download.as_secs_f64() / 3600.0;
                return Err(Problem::Refused(format!("it did not arrive within {hours} hours")));
            }
            if self.pace.is_too_slow(&self.line.limits, self.line.clock.now(), self.at) {
                let kib = self.line.limits.slowest >> 10;
                return Err(Problem::Refused(format!("it arrives too slowly, at less than {kib} KiB a second")));
            }
            let read = self.body.read(buffer);
            // Also when it looks like the end: that is how a connection that we closed ourselves may look.
            if self.line.stopped() {
                return Err(Problem::Stopped);
            }
            let why = match read {
                Ok(0) if self.total.is_none_or(|total| total == self.at) => return Ok(0),
                Ok(0) => "the connection was closed".to_owned(),
                Ok(count) => {
                    self.at += count as u64;
                    if self.at > self.line.limits.max_bytes {
                        return Err(Problem::Refused(super::too_large(self.line.limits.max_bytes)));
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error.to_string(),
            };
            self.mend(why)?;
        }
    }

    /// Asks for the rest, a few times.
    fn mend(&mut self, mut why: String) -> Result<(), Problem> {
        if self.at >= self.failed_at + PROGRESS {
            self.failures = 0;
        }
        self.failed_at = self.at;
        loop {
            self.failures += 1;
            if self.failures > self.line.limits.retries {
                return Err(Problem::Transient(format!("the download broke off after {} bytes: {why}", self.at)));
            }
            let Some(validator) = self.validator.clone().filter(|_| self.at > 0) else {
                return Err(Problem::Restart(why));
            };
            self.line.pause(self.failures)?;
            match ask(&self.line, &self.uri, Some((self.at, &validator))) {
                Ok(answer) if self.continues(&answer) => {
                    info!(at_bytes = self.at, "A download broke ({why}) and goes on where it was");
                    self.body = answer.into_body().into_reader();
                    return Ok(());
                }
                Ok(_) => return Err(Problem::Restart(why)),
                Err(Problem::Transient(again)) => why = again,
                Err(other) => return Err(other),
            }
        }
    }

    /// Whether `answer` is the rest of what was begun.
    fn continues(&self, answer: &Response<Body>) -> bool {
        let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).and_then(parse_range);
        answer.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|(first, total)| {
                first == self.at && (total.is_none() || self.total.is_none() || total == self.total)
            })
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_or_mend(buffer)?)
    }
}

/// The address as given, if it is one that is asked: http or https, a host, and nothing secret before it.
pub(super) fn parse(url: &str) -> Result<Uri, Problem> {
    let refused = |why: &str| Problem::Refused(format!("the address of the image cannot be used: {why}"));
    let uri: Uri = url.parse().map_err(|error| refused(&format!("{error}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refused("it does not begin with http:// or https://"));
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(refused("it contains a user name or a password")),
        Some(authority) if !authority.host().is_empty() => Ok(uri),
        _ => Err(refused("it names no host")),
    }
}

/// Sends one request; an answer that is neither the whole nor a part is a problem.
fn ask(line: &Line, uri: &Uri, rest: Option<(u64, &str)>) -> Result<Response<Body>, Problem> {
    let mut request = line.agent.get(uri);
    if let Some((from, validator)) = rest {
        request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, validator);
    }
    let answer = request.call();
    if line.stopped() {
        return Err(Problem::Stopped);
    }
    let answer = answer.map_err(problem)?;
    let status = answer.status();
    let said = || format!("the server answered {status}");
    match status {
        StatusCode::OK => Ok(answer),
        StatusCode::PARTIAL_CONTENT if rest.is_some() => Ok(answer),
        // It has less than we have of it.
        StatusCode::RANGE_NOT_SATISFIABLE if rest.is_some() => Err(Problem::Restart(said())),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Problem::Transient(said()))
        }
        status if status.is_server_error() => Err(Problem::Transient(said())),
        _ => Err(Problem::Refused(said())),
    }
}

/// What a failed request means to the one who gave the address.
fn problem(error: ureq::Error) -> Problem {
    use ureq::Error as E;
    match error {
        E::Other(inner) => match inner.downcast::<Problem>() {
            Ok(problem) => *problem,
            Err(other) => Problem::Transient(other.to_string()),
        },
        E::HostNotFound => Problem::Refused("there is no host of that name".to_owned()),
        // What the C library says of a name that does not exist; a name server that is away says otherwise.
        E::Io(error) if error.to_string().contains("Name or service not known") => {
            Problem::Refused("there is no host of that name".to_owned())
        }
        E::TooManyRedirects => Problem::Refused(format!("the server leads elsewhere more than {REDIRECTS} times")),
        E::BadUri(why) => Problem::Refused(format!("the server leads to an address that cannot be used: {why}")),
        E::Rustls(why) => Problem::Refused(format!("the server cannot be trusted: {why}")),
        E::Io(error) if error.to_string().contains("invalid peer certificate") => {
            Problem::Refused(format!("the server cannot be trusted: {error}"))
        }
        other => Problem::Transient(other.to_string()),
    }
}

/// A strong name of this answer, which only the same bytes have. Source: RFC 9110, 13.1.5.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    text(ETAG).filter(|tag| tag.starts_with('"')).or_else(|| text(LAST_MODIFIED)).map(str::to_owned)
}

/// `bytes 5-9/10` is (5, 10); the total may be `*`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.parse().ok()?;
    match total {
        "*" => Some((first, None)),
        total => Some((first, Some(total.parse().ok()?))),
    }
}

/// Closes the download's connections when it is dropped, so that a thread that reads from one comes back.
pub(super) struct HangUp(pub(super) Option<Agent>);

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some(agent) = self.0.take() {
            agent.shutdown();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dewpoint_clock::SystemClock;

    use super::*;

    #[test]
    fn only_plain_web_addresses_are_asked() {
        for url in ["http://example.com/a.img", "https://example.com:8443/?signature=a%2Fb", "HTTP://[::1]/x"] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "ftp://example.com/a",
            "file:///etc/shadow",
            "/a",
            "example.com",
            "http://me:x@example.com/",
            "http://",
            "http:// a",
        ] {
            assert!(matches!(parse(url), Err(Problem::Refused(_))), "{url}");
        }
    }

    #[test]
    fn a_server_that_trickles_is_too_slow_and_one_that_pauses_is_not() {
        let limits = ImportLimits { slowest: 1000, patience: Duration::from_secs(60), ..ImportLimits::default() };
        let start = SystemClock.now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace { since: start, at: 0 };
        assert!(!pace.is_too_slow(&limits, after(59), 1));
        // All of a minute's share in its last second.
        assert!(!pace.is_too_slow(&limits, after(60), 60_000));
        assert!(!pace.is_too_slow(&limits, after(119), 60_001));
        assert!(pace.is_too_slow(&limits, after(120), 119_999));
    }

    #[test]
    fn a_range_says_where_it_begins_and_of_how_much() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(parse_range("bytes */10"), None);
        assert_eq!(parse_range("lines 1-2/3"), None);
    }

    #[test]
    fn a_weak_name_of_an_answer_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, "W/\"1\"".parse().expect("a value"));
        assert_eq!(validator(&headers), None);
        headers.insert(LAST_MODIFIED, "Sun, 22 Nov 2026 03:00:00 GMT".parse().expect("a value"));
        assert_eq!(validator(&headers).as_deref(), Some("Sun, 22 Nov 2026 03:00:00 GMT"));
        headers.insert(ETAG, "\"1\"".parse().expect("a value"));
        assert_eq!(validator(&headers).as_deref(), Some("\"1\""));
    }
}
