//! The seam between queries and databases: [`Tx`] runs one SQL text on either, [`Store`] brings closures to the thread that
//! owns the connection and answers after the commit.

use std::{fmt, sync::Arc};

use dewpoint_pages::Closing;
use tokio::sync::oneshot;

use crate::{
    Deed, Error, Made,
    feed::{self, Changes, Feed, Happened, Thing},
    row::Row,
    value::Value,
};
use dewpoint_api::AccountId;

/// What differs between the databases, one word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, one writer at a time.
    Sqlite,
    /// PostgreSQL, several servers on one store.
    Postgres,
}

impl Dialect {
    /// The suffix that lets several workers claim different rows.
    pub fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// How a table is told to be its own index; PostgreSQL's tables never are.
    pub(crate) fn clustered(self) -> &'static str {
        match self {
            Self::Sqlite => "WITHOUT ROWID",
            Self::Postgres => "",
        }
    }

    /// The type of a whole-number primary key; SQLite's own spelling makes the table itself the index.
    pub(crate) fn id_type(self) -> &'static str {
        match self {
            Self::Sqlite => "INTEGER PRIMARY KEY",
            Self::Postgres => "BIGINT PRIMARY KEY",
        }
    }

    /// The type of text, sorted by its bytes on both; PostgreSQL would go by its own language.
    pub(crate) fn text_type(self) -> &'static str {
        match self {
            Self::Sqlite => " TEXT",
            Self::Postgres => " TEXT COLLATE \"C\"",
        }
    }
}

/// A transaction in progress. Object-safe, so that query functions are plain functions; the typed queries are inherent.
///
/// A statement that fails ends it: what follows fails with the same error, and nothing of the closure is kept whatever it
/// returns. PostgreSQL works so and SQLite is held to it. To try whether a row is there already, use ON CONFLICT.
pub trait Tx {
    /// Which database this is.
    fn dialect(&self) -> Dialect;
    /// Runs a statement and returns how many rows it changed. `$n` stands for `values[n - 1]`, in any order and repeated.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error>;
    /// Runs a query and hands each row to `each`; its first error ends the query.
    fn query_each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&mut Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
    /// Says that this transaction makes something a client asked for. Kept for requests that are done at most once
    /// ([`Deed`]); elsewhere nobody listens.
    fn note(&mut self, _made: Made) {}
    /// What this transaction has changed so far, to be told once it is committed ([`Feed`]).
    fn changes(&mut self) -> &mut Changes;
}

impl dyn Tx + '_ {
    /// Notes for the feed that something of an account was made.
    pub(crate) fn made(&mut self, account: AccountId, thing: impl Into<Thing>) {
        self.changes().note(account, thing.into(), Happened::Made);
    }

    /// Notes for the feed that something of an account is not what it was.
    pub(crate) fn changed(&mut self, account: AccountId, thing: impl Into<Thing>) {
        self.changes().note(account, thing.into(), Happened::Changed);
    }

    /// Notes for the feed that something of an account is there no more.
    pub(crate) fn gone(&mut self, account: AccountId, thing: impl Into<Thing>) {
        self.changes().note(account, thing.into(), Happened::Gone);
    }

    /// Runs an UPDATE of one row, and notes for the feed that this thing changed if the row was there; whether it was.
    pub(crate) fn change_one(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        thing: impl Into<Thing>,
    ) -> Result<bool, Error> {
        let account = self.query_opt(&format!("{sql} RETURNING account_id"), values, |row| row.next::<AccountId>())?;
        if let Some(account) = account {
            self.changed(account, thing);
        }
        Ok(account.is_some())
    }

    /// The first row, or `None`.
    pub fn query_opt<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        self.query_each(sql, values, &mut |row| {
            if found.is_none() {
                found = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The row there must be, such as a `RETURNING` of an insert or an aggregate.
    pub fn query_one<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.query_opt(sql, values, read)?.ok_or_else(|| Error::Database("a row that must exist is missing".into()))
    }

    /// Every row, in the query's order.
    pub fn query_all<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.query_each(sql, values, &mut |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }
}

/// A unit of work on its way to the database's thread.
pub(crate) trait Job: Send {
    /// Runs the closure inside an open transaction. `Err(Undo)` asks for its part to be rolled back. May be called twice.
    fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Undo>;
    /// Answers the caller, after the commit succeeded or failed.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// The closure failed: nothing it did is to stay. `conflict` tells that running it again may help.
pub(crate) struct Undo {
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite has one writer and so no conflicts"))]
    pub(crate) conflict: bool,
}

/// Where jobs go: a database with threads of its own.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    fn dialect(&self) -> Dialect;
    fn write(&self, job: Box<dyn Job>);
    fn read(&self, job: Box<dyn Job>);
    fn commits(&self) -> u64;
    fn closing(&self) -> Closing;
    fn feed(&self) -> &Arc<Feed>;
}

/// The store. Cheap to clone; every clone reaches the same database.
///
/// A closure may run twice (a full disk, a serialisation failure), so it takes ids and times from outside or draws them from
/// the transaction, and has no other side effect. An answer is given only after the commit that holds it succeeded.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.backend.dialect()
    }

    /// How many commits were made since the start; many writes share one.
    pub fn commits(&self) -> u64 {
        self.backend.commits()
    }

    /// What tells when this store is closed; it keeps nothing open itself.
    pub fn closing(&self) -> Closing {
        self.backend.closing()
    }

    /// What tells of every change that was committed through this store.
    pub fn feed(&self) -> &Arc<Feed> {
        self.backend.feed()
    }

    /// Runs `work` in a transaction and returns its result once that is durable. An `Err` leaves nothing behind.
    ///
    /// Inside a [`Deed`] the transaction also keeps what was made, and fails with [`Error::Repeated`] if another one has
    /// done it already.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Retry + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (deed, request) = (Deed::current(), feed::request());
        self.backend.write(Box::new(Closure { work, result: None, reply, deed, request }));
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Stopped)))
    }

    /// Runs `work` on one snapshot of the store; its changes, if it makes any, are not kept.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Retry + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.backend.read(Box::new(Closure { work, result: None, reply, deed: None, request: None }));
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Stopped)))
    }
}

/// An error type that can tell whether it stands for [`Error::Conflict`].
pub trait Retry {
    /// Whether the whole closure should run again in a new transaction.
    fn is_conflict(&self) -> bool;
}

impl Retry for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}

struct Closure<F, T, E> {
    work: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    deed: Option<Deed>,
    request: Option<Arc<str>>,
}

impl<F, T, E> Job for Closure<F, T, E>
where
    F: FnMut(&mut dyn Tx) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Retry + Send,
{
    fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Undo> {
        tx.changes().asked_by(self.request.clone());
        // A panic undoes this closure's part only; the connection is still good, since the savepoint is rolled back.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match &self.deed {
            Some(deed) => deed.carry_out(tx, &mut self.work),
            None => (self.work)(tx),
        }));
        let result = result.unwrap_or_else(|_| Err(E::from(Error::Stopped)));
        let outcome = match &result {
            Ok(_) => Ok(()),
            Err(error) => Err(Undo { conflict: error.is_conflict() }),
        };
        self.result = Some(result);
        outcome
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        if let (Some(deed), Some(Ok(_)), Err(error)) = (&self.deed, &self.result, &committed) {
            deed.failed_to_commit(error);
        }
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(E::from(error)),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(E::from(Error::Stopped)),
        };
        if let (Some(deed), Ok(_)) = (&self.deed, &result) {
            deed.committed();
        }
        // The caller may have left; what was committed stays committed.
        let _ = self.reply.send(result);
    }
}
