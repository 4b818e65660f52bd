//! A transaction of PostgreSQL's as [`Tx`], and values and cells in its types.

use bytes::BytesMut;
use postgres::{
    Row as Columns, Statement,
    types::{IsNull, ToSql, Type},
};

use super::connection::Session;
use crate::{
    Cell, Error,
    db::{Dialect, Tx},
    feed::Changes,
    row::{Row, corrupt},
    value::Value,
};

/// The open transaction of a session, for one closure. The first statement that fails ends it.
pub(super) struct Transaction<'s> {
    session: &'s mut Session,
    failed: Option<Error>,
    changes: Changes,
}

impl<'s> Transaction<'s> {
    pub(super) fn new(session: &'s mut Session) -> Self {
        Self { session, failed: None, changes: Changes::default() }
    }

    /// What it changed; or why nothing of it may be kept.
    pub(super) fn end(self) -> Result<Changes, Error> {
        self.failed.map_or(Ok(self.changes), Err)
    }

    fn attempt<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        work(self.session).inspect_err(|error| self.failed = Some(error.clone()))
    }
}

/// The statement and its values, checked here so that an error of the client's can only be the server's or the connection's.
fn prepare<'v>(
    session: &mut Session,
    sql: &str,
    values: &'v [Value<'v>],
) -> Result<(Statement, Vec<&'v (dyn ToSql + Sync)>), Error> {
    let statement = session.prepare(sql, values)?;
    let types = statement.params();
    if types.len() != values.len() {
        return Err(Error::Database(format!("{} values for {} parameters", values.len(), types.len())));
    }
    if let Some((value, wanted)) = values.iter().zip(types).find(|(value, wanted)| !value.is_a(wanted)) {
        return Err(Error::Database(format!("{value:?} where PostgreSQL wants {wanted}")));
    }
    Ok((statement, values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()))
}

impl Tx for Transaction<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.attempt(|session| {
            let (statement, values) = prepare(session, sql, values)?;
            session.with(|client| client.execute(&statement, &values))
        })
    }

    fn query_each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&mut Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let rows = self.attempt(|session| {
            let (statement, values) = prepare(session, sql, values)?;
            session.with(|client| client.query(&statement, &values))
        })?;
        // An error of the reader's own is the closure's to judge: the transaction is still good.
        rows.iter().try_for_each(|row| each(&mut Row::postgres(row)))
    }

    fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

impl Value<'_> {
    /// The type it is sent as.
    pub(super) fn postgres_type(&self) -> Type {
        match self {
            // Whatever the statement makes of it.
            Self::Null => Type::UNKNOWN,
            Self::Int(_) => Type::INT8,
            Self::Real(_) => Type::FLOAT8,
            Self::Bool(_) => Type::BOOL,
            Self::Text(_) | Self::Owned(_) => Type::TEXT,
        }
    }

    fn is_a(&self, wanted: &Type) -> bool {
        match self {
            Self::Null => true,
            Self::Int(_) | Self::Real(_) | Self::Bool(_) | Self::Text(_) | Self::Owned(_) => {
                self.postgres_type() == *wanted
            }
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Real(value) => value.to_sql(ty, out),
            Self::Bool(value) => value.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Owned(text) => text.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres::types::to_sql_checked!();
}

/// The cell of a row, in the few types our columns and aggregates have.
pub(crate) fn cell(row: &Columns, column: usize) -> Result<Cell<'_>, Error> {
    let Some(about) = row.columns().get(column) else {
        return Err(corrupt("row", &format_args!("it has no column {column}")));
    };
    let kind = about.type_();
    let unreadable = |error: postgres::Error| corrupt("column", &error);
    let cell = match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column).map_err(unreadable)?.map(Cell::Int),
        Type::INT4 => row.try_get::<_, Option<i32>>(column).map_err(unreadable)?.map(|value| Cell::Int(value.into())),
        Type::BOOL => row.try_get::<_, Option<bool>>(column).map_err(unreadable)?.map(Cell::Bool),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(column).map_err(unreadable)?.map(Cell::Real),
        Type::TEXT => row.try_get::<_, Option<&str>>(column).map_err(unreadable)?.map(Cell::Text),
        _ => return Err(corrupt("column", &format_args!("it is of type {kind}"))),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
