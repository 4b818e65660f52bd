//! Rows on their way out: columns are read in the order the query names them.

use dewpoint_api as api;
use dewpoint_clock::Timestamp;
use rusqlite::types::ValueRef;

use crate::Error;

/// One row of a result, read from left to right: the order of `next` calls is the order of the SELECT's columns.
pub struct Row<'r> {
    cells: Cells<'r>,
    column: usize,
}

enum Cells<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    #[cfg(feature = "postgres")]
    Postgres(&'r postgres::Row),
}

impl<'r> Row<'r> {
    pub(crate) fn sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Self { cells: Cells::Sqlite(row), column: 0 }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn postgres(row: &'r postgres::Row) -> Self {
        Self { cells: Cells::Postgres(row), column: 0 }
    }

    /// The next column. Fails with [`Error::Corrupt`] when it does not hold a `T`.
    #[expect(clippy::should_implement_trait, reason = "each call may read another type, which an iterator cannot")]
    pub fn next<T: FromCell>(&mut self) -> Result<T, Error> {
        let column = self.column;
        self.column += 1;
        T::from_cell(match &self.cells {
            Cells::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Int(value),
                ValueRef::Real(value) => Cell::Real(value),
                ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text).map_err(|e| corrupt("text", &e))?),
                ValueRef::Blob(_) => return Err(corrupt("column", &"bytes where text or a number should be")),
            },
            #[cfg(feature = "postgres")]
            Cells::Postgres(row) => crate::postgres::cell(row, column)?,
        })
    }
}

/// One column's value.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// NULL
    Null,
    /// A whole number, or a truth value of SQLite's.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A fraction.
    Real(f64),
    /// Text.
    Text(&'a str),
}

/// A type a column can be read as.
pub trait FromCell: Sized {
    /// Reads `cell`, or says that it holds something else.
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error>;
}

pub(crate) fn corrupt(what: &'static str, problem: &dyn std::fmt::Display) -> Error {
    Error::Corrupt { what, problem: problem.to_string() }
}

fn other<T>(what: &'static str, cell: Cell<'_>) -> Result<T, Error> {
    Err(corrupt(what, &format_args!("found {cell:?}")))
}

impl FromCell for i64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Int(value) => Ok(value),
            Cell::Null | Cell::Bool(_) | Cell::Real(_) | Cell::Text(_) => other("number", cell),
        }
    }
}

impl FromCell for u64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        i64::from_cell(cell)?.try_into().map_err(|e| corrupt("number", &e))
    }
}

impl FromCell for u32 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        i64::from_cell(cell)?.try_into().map_err(|e| corrupt("number", &e))
    }
}

impl FromCell for u16 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        i64::from_cell(cell)?.try_into().map_err(|e| corrupt("number", &e))
    }
}

impl FromCell for u8 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        i64::from_cell(cell)?.try_into().map_err(|e| corrupt("number", &e))
    }
}

impl FromCell for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Bool(value) => Ok(value),
            Cell::Int(value) => Ok(value != 0),
            Cell::Null | Cell::Real(_) | Cell::Text(_) => other("truth value", cell),
        }
    }
}

impl FromCell for f64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Real(value) => Ok(value),
            Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Text(_) => other("fraction", cell),
        }
    }
}

impl FromCell for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Text(text) => Ok(text.to_owned()),
            Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Real(_) => other("text", cell),
        }
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Null => Ok(None),
            Cell::Int(_) | Cell::Bool(_) | Cell::Real(_) | Cell::Text(_) => T::from_cell(cell).map(Some),
        }
    }
}

impl FromCell for Timestamp {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        i64::from_cell(cell).map(Self::from_millis)
    }
}

macro_rules! numbers {
    ($($id:ident),*) => {$(
        impl FromCell for api::$id {
            fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
                u64::from_cell(cell).map(api::$id)
            }
        }
    )*};
}
numbers!(DropletId, ActionId, ImageId, SshKeyId, AccountId, DomainRecordId);

macro_rules! texts {
    ($($what:ident),*) => {$(
        impl FromCell for api::$what {
            fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
                match cell {
                    Cell::Text(text) => text.parse().map_err(|e| corrupt(stringify!($what), &e)),
                    Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Real(_) => other(stringify!($what), cell),
                }
            }
        }
    )*};
}
texts!(
    ProjectId,
    VpcId,
    FirewallId,
    VpcPeeringId,
    VolumeId,
    VolumeSnapshotId,
    TokenId,
    RegionSlug,
    SizeSlug,
    TagName,
    DropletStatus,
    ActionStatus,
    ResourceType,
    ImageKind,
    ImageStatus,
    DomainRecordType
);
