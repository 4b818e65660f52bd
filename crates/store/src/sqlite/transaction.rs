//! A transaction of SQLite's as [`Tx`].

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
    bind(&mut statement, values)?;
    Ok(statement.raw_execute().map(|changed| changed as u64)?)
}

/// Binds by the number in `$n`: SQLite itself would number such parameters by first appearance.
fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> Result<(), Error> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or_default();
        let number: Option<usize> = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        let value = value.ok_or_else(|| Error::Database(format!("no value for parameter {name:?}")))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
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
        let bound = bind(&mut statement, values);
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
