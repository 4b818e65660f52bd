//! A thread's connection: opened when needed, and again after it was lost.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, Config, NoTls, SimpleQueryMessage, Statement, error::Severity, types::Type};

use crate::{Error, value::Value};

/// How long a caller waits for a server that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first and the longest pause between two attempts to connect.
const PAUSE: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
/// Statements kept prepared per connection; lists of ids make a text for each length.
const STATEMENTS: usize = 1024;

/// Run on every new connection. A transaction whose server hangs must not keep the others waiting for ever, and "committed"
/// must mean durable even where the administrator chose otherwise for other users.
const SET_UP: &str = "SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; SET jit = off; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A connection that is opened when it is needed. Belongs to one thread.
pub(super) struct Connection {
    config: Config,
    session: Option<Session>,
    outage: Option<Outage>,
}

/// Since when the server cannot be reached, and when to try next.
struct Outage {
    since: Instant,
    next: Instant,
    pause: Duration,
    error: Error,
}

impl Connection {
    /// A connection to the server that `url` names; nothing is opened yet.
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let mut config: Config =
            url.parse().map_err(|error| Error::Database(format!("the database URL: {}", chain(&error))))?;
        if config.get_application_name().is_none() {
            config.application_name("dewpoint");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        // A server that vanished without a word is noticed within a minute.
        config.keepalives_idle(Duration::from_secs(20)).tcp_user_timeout(Duration::from_secs(30));
        Ok(Self { config, session: None, outage: None })
    }

    /// Another one to the same server, for another thread.
    pub(super) fn another(&self) -> Self {
        Self { config: self.config.clone(), session: None, outage: None }
    }

    /// Whether the last session is gone: what it had begun and not committed is undone.
    pub(super) fn is_lost(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.gone)
    }

    /// The session, opened now if there is none. Waits for a server that is away, but not longer than [`PATIENCE`] after it
    /// went: while an outage lasts, callers are told at once.
    pub(super) fn session(&mut self) -> Result<&mut Session, Error> {
        while self.is_lost() {
            self.session = None;
            let outcome = match &self.outage {
                Some(outage) if Instant::now() < outage.next => {
                    if Instant::now() >= outage.since + PATIENCE {
                        return Err(outage.error.clone());
                    }
                    // A thread of our own and another machine's real time: no clock of ours can move it.
                    thread::sleep(outage.next.saturating_duration_since(Instant::now()));
                    continue;
                }
                Some(_) | None => Session::open(&self.config),
            };
            match outcome {
                Ok(session) => {
                    if self.outage.take().is_some() {
                        tracing::info!("PostgreSQL can be reached again");
                    }
                    self.session = Some(session);
                }
                Err(error) => self.note_outage(error),
            }
        }
        self.session.as_mut().ok_or(Error::Stopped)
    }

    /// The session, opened now if there is none: the first failure is the answer.
    pub(super) fn session_at_once(&mut self) -> Result<&mut Session, Error> {
        if self.is_lost() {
            self.session = Some(Session::open(&self.config)?);
        }
        self.session()
    }

    fn note_outage(&mut self, error: Error) {
        let now = Instant::now();
        let (since, pause) = match &self.outage {
            Some(outage) => (outage.since, (outage.pause * 2).min(PAUSE[1])),
            None => {
                tracing::warn!(error = %error, "PostgreSQL cannot be reached; trying again");
                (now, PAUSE[0])
            }
        };
        self.outage = Some(Outage { since, next: now + pause, pause, error });
    }
}

/// An open connection and what is prepared on it.
pub(super) struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
    gone: bool,
}

impl Session {
    fn open(config: &Config) -> Result<Self, Error> {
        let explain = |error: &postgres::Error| Error::Database(format!("cannot reach PostgreSQL: {}", chain(error)));
        let mut client = config.connect(NoTls).map_err(|error| explain(&error))?;
        client.batch_execute(SET_UP).map_err(|error| explain(&error))?;
        Ok(Self { client, statements: HashMap::new(), gone: false })
    }

    /// Whether the connection was lost while it was used.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Runs statements without values, in one exchange.
    pub(super) fn run(&mut self, sql: &str) -> Result<(), Error> {
        let result = self.client.batch_execute(sql);
        self.note(result)
    }

    /// Runs statements without values, in one exchange, and returns the first column of their last row.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Option<String>, Error> {
        let result = self.client.simple_query(sql);
        let messages = self.note(result)?;
        let rows = messages.iter().rev().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        });
        Ok(rows.flatten().next())
    }

    /// The statement of this text, prepared once. The values tell the types: `$1 + 1` alone would make `$1` a 32-bit number.
    pub(super) fn prepare(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        let types: Vec<Type> = values.iter().map(Value::postgres_type).collect();
        let result = self.client.prepare_typed(sql, &types);
        let statement = self.note(result)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Uses the client, and remembers if it was lost.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Result<T, Error> {
        let result = work(&mut self.client);
        self.note(result)
    }

    fn note<T>(&mut self, result: Result<T, postgres::Error>) -> Result<T, Error> {
        result.map_err(|error| {
            // An error that the server did not send, or its last words: there is nothing to be had from this client.
            self.gone = match error.as_db_error().map(|error| error.parsed_severity()) {
                Some(Some(Severity::Fatal | Severity::Panic)) | None => true,
                Some(_) => self.client.is_closed(),
            };
            Error::from(error)
        })
    }
}

/// An error with all that is behind it: the client's own first words are as short as "db error".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        use postgres::error::SqlState as State;
        match error.code() {
            Some(code) if *code == State::T_R_SERIALIZATION_FAILURE || *code == State::T_R_DEADLOCK_DETECTED => {
                Self::Conflict
            }
            Some(code) if *code == State::UNIQUE_VIOLATION => Self::Duplicate,
            Some(code) if *code == State::DISK_FULL => Self::DiskFull,
            Some(_) | None => Self::Database(chain(&error)),
        }
    }
}
