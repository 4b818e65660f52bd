//! A transaction of SQLite's as [`Tx`].

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use rusqlite::{Connection, Statement, types::ToSqlOutput};

use crate::{
    Error,
    db::{Dialect, Tx},
    feed::Changes,
    row::Row,
    value::Value,
};

/// The open transaction of a connection, for one closure.
///
/// The first statement that fails ends it, as PostgreSQL would: what follows fails too, and the writer undoes the closure's
/// part. Without that, a closure that goes on after a full disk took the transaction away would commit each of its later
/// statements on its own.
pub(super) struct Transaction<'c> {
    connection: &'c Connection,
    failed: Option<Error>,
    changes: Changes,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, failed: None, changes: Changes::default() }
    }

    /// What it changed; or why nothing of it may be kept.
    pub(super) fn end(self) -> Result<Changes, Error> {
        self.failed.map_or(Ok(self.changes), Err)
    }

    fn ready(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.failed = Some(error.clone()))
    }
}

fn execute(connection: &Connection, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, sql, values)?;
    Ok(statement.raw_execute().map(|changed| changed as u64)?)
}

/// Binds by the number in `$n`: SQLite itself would number such parameters by first appearance.
fn bind(statement: &mut Statement<'_>, sql: &str, values: &[Value<'_>]) -> Result<(), Error> {
    let places = places(statement, sql);
    for (index, &place) in (1..).zip(places.iter()) {
        let missing = || Error::Database(format!("no value for parameter {index} of {sql:?}"));
        let value = place.and_then(|place| values.get(place)).ok_or_else(missing)?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

thread_local! {
    /// The places of each statement's values, kept since a look at all names costs what a small insert does.
    static PLACES: RefCell<HashMap<Box<str>, Places>> = RefCell::default();
}

/// Which of the values each parameter of a statement has, by SQLite's order; `None` for a name that is no number.
type Places = Rc<[Option<usize>]>;

/// Most statements whose places are kept: lists make theirs as they need them.
const PLACES_MAX: usize = 1024;

fn places(statement: &Statement<'_>, sql: &str) -> Places {
    if let Some(known) = PLACES.with_borrow(|all| all.get(sql).cloned()) {
        return known;
    }
    let place = |index: usize| -> Option<usize> {
        statement.parameter_name(index)?.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
    };
    let places: Places = (1..=statement.parameter_count()).map(place).collect();
    PLACES.with_borrow_mut(|all| {
        if all.len() >= PLACES_MAX {
            all.clear();
        }
        all.insert(sql.into(), places.clone());
    });
    places
}

impl Tx for Transaction<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.ready()?;
        let result = execute(self.connection, sql, values);
        self.note(result)
    }

    fn query_each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&mut Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.ready()?;
        let prepared = self.connection.prepare_cached(sql).map_err(Error::from);
        let mut statement = self.note(prepared)?;
        let bound = bind(&mut statement, sql, values);
        self.note(bound)?;
        let mut rows = statement.raw_query();
        loop {
            let next = rows.next().map_err(Error::from);
            let Some(row) = self.note(next)? else { return Ok(()) };
            // An error of the reader's own is the closure's to judge: the transaction is still good.
            each(&mut Row::sqlite(row))?;
        }
    }

    fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::{Value as Own, ValueRef};
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Own::Null),
            Self::Int(value) => ToSqlOutput::Owned(Own::Integer(*value)),
            Self::Real(value) => ToSqlOutput::Owned(Own::Real(*value)),
            Self::Bool(value) => ToSqlOutput::Owned(Own::Integer((*value).into())),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Owned(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
