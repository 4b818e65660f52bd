//! Values go where their number says, and come back as they went in.

use dewpoint_store::{Cell, Error, Value};

use crate::harness::{Database, on_each_database};

on_each_database!(
    a_value_is_bound_by_its_number_and_not_by_where_it_appears,
    a_value_is_bound_wherever_its_number_is_repeated,
    more_than_nine_values_are_told_apart,
    every_kind_of_value_comes_back_as_it_went_in,
    a_missing_value_is_an_error,
    a_column_of_another_type_is_called_corrupt,
    a_number_is_taken_as_a_number_wherever_it_stands,
);

async fn a_value_is_bound_by_its_number_and_not_by_where_it_appears(database: &Database) {
    let found = database
        .read(|tx| {
            tx.query_one("SELECT $2, $1", &["one".into(), 2_i64.into()], |row| {
                Ok((row.next::<i64>()?, row.next::<String>()?))
            })
        })
        .await;
    assert_eq!(found, (2, "one".to_owned()));
}

async fn a_value_is_bound_wherever_its_number_is_repeated(database: &Database) {
    let found = database
        .read(|tx| {
            tx.query_one("SELECT $1, $2, $1, $2 + $2", &["one".into(), 2_i64.into()], |row| {
                Ok((row.next::<String>()?, row.next::<i64>()?, row.next::<String>()?, row.next::<i64>()?))
            })
        })
        .await;
    assert_eq!(found, ("one".to_owned(), 2, "one".to_owned(), 4));
}

async fn more_than_nine_values_are_told_apart(database: &Database) {
    let found = database
        .read(|tx| {
            let values: Vec<Value<'_>> = (1..=11_i64).map(Value::from).collect();
            let sql = "SELECT $11, $1, $10, $2, $3, $4, $5, $6, $7, $8, $9";
            tx.query_one(sql, &values, |row| Ok((row.next::<i64>()?, row.next::<i64>()?, row.next::<i64>()?)))
        })
        .await;
    assert_eq!(found, (11, 1, 10));
}

async fn every_kind_of_value_comes_back_as_it_went_in(database: &Database) {
    database
        .write(|tx| {
            tx.execute("CREATE TABLE kinds (i BIGINT, r DOUBLE PRECISION, b BOOLEAN, t TEXT, n TEXT)", &[])?;
            let values = [i64::MIN.into(), 0.1.into(), true.into(), "naïve 宝物 ' \" $1 ; --".into(), Value::Null];
            tx.execute("INSERT INTO kinds (i, r, b, t, n) VALUES ($1, $2, $3, $4, $5)", &values).map(drop)
        })
        .await;
    let (number, fraction, truth, text, nothing) = database
        .read(|tx| {
            tx.query_one("SELECT i, r, b, t, n FROM kinds WHERE b = $1", &[true.into()], |row| {
                Ok((
                    row.next::<i64>()?,
                    row.next::<f64>()?,
                    row.next::<bool>()?,
                    row.next::<String>()?,
                    row.next::<Option<String>>()?,
                ))
            })
        })
        .await;
    assert_eq!((number, truth, nothing), (i64::MIN, true, None));
    assert_eq!(fraction.to_bits(), 0.1_f64.to_bits());
    assert_eq!(text, "naïve 宝物 ' \" $1 ; --");
}

async fn a_missing_value_is_an_error(database: &Database) {
    let error =
        database.refused(|tx| tx.execute("DELETE FROM tags WHERE name = $1 AND name_folded = $2", &["a".into()]));
    assert!(matches!(error.await, Error::Database(_)));
}

async fn a_column_of_another_type_is_called_corrupt(database: &Database) {
    let read = database.store.read(|tx| tx.query_one("SELECT $1", &["ten".into()], |row| row.next::<u64>())).await;
    assert!(matches!(read, Err(Error::Corrupt { what: "number", .. })), "{read:?}");
    let read = database.store.read(|tx| tx.query_one("SELECT $1", &[(-1_i64).into()], |row| row.next::<u64>())).await;
    assert!(matches!(read, Err(Error::Corrupt { what: "number", .. })), "{read:?}");
}

/// PostgreSQL would take a bare `$1` for the type of its neighbour: here for a 32-bit number, or for text.
async fn a_number_is_taken_as_a_number_wherever_it_stands(database: &Database) {
    let (sum, plain) = database
        .read(|tx| {
            tx.query_one("SELECT $1 + 1, $1", &[5_000_000_000_i64.into()], |row| {
                Ok((row.next::<i64>()?, row.next::<Number>()?))
            })
        })
        .await;
    assert_eq!((sum, plain.0), (5_000_000_001, 5_000_000_000));
}

/// Reads a whole number and nothing that merely looks like one.
struct Number(i64);

impl dewpoint_store::FromCell for Number {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Int(value) => Ok(Self(value)),
            Cell::Null | Cell::Bool(_) | Cell::Real(_) | Cell::Text(_) => {
                Err(Error::Corrupt { what: "number", problem: format!("found {cell:?}") })
            }
        }
    }
}
