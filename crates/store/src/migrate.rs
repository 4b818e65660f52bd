//! The schema and its history: numbered texts, forward only, one text for both databases.

use crate::{Error, db::Tx};

/// `(number, name, text)`, in order. `{id}` in a text is the database's whole-number primary key, `{clustered}` how a
/// table is kept in the order of its key.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../../migrations/0001_first.sql")),
    (2, "storage", include_str!("../../../migrations/0002_storage.sql")),
    (3, "guard", include_str!("../../../migrations/0003_guard.sql")),
    (4, "once", include_str!("../../../migrations/0004_once.sql")),
    (5, "untold", include_str!("../../../migrations/0005_untold.sql")),
    (6, "networks", include_str!("../../../migrations/0006_networks.sql")),
    (7, "whole", include_str!("../../../migrations/0007_whole.sql")),
    (8, "firewalls", include_str!("../../../migrations/0008_firewalls.sql")),
    (9, "addresses", include_str!("../../../migrations/0009_addresses.sql")),
    (10, "names", include_str!("../../../migrations/0010_names.sql")),
    (11, "stock", include_str!("../../../migrations/0011_stock.sql")),
    (12, "gpus", include_str!("../../../migrations/0012_gpus.sql")),
    (13, "model_keys", include_str!("../../../migrations/0013_model_keys.sql")),
    (14, "models", include_str!("../../../migrations/0014_models.sql")),
    (15, "gateway", include_str!("../../../migrations/0015_gateway.sql")),
];

/// The newest schema this program knows.
fn known() -> i64 {
    MIGRATIONS.iter().map(|(number, ..)| *number).max().unwrap_or(0)
}

/// Whether this program can go on with a store whose newest migration is `found`; [`Error::TooNew`] when not.
pub(crate) fn check(found: i64) -> Result<(), Error> {
    if found > known() { Err(Error::TooNew { found, known: known() }) } else { Ok(()) }
}

/// Whether a store whose newest migration is `found` can be read as it is; [`Error::TooOld`] when not.
pub(crate) fn check_is_current(found: i64) -> Result<(), Error> {
    if found < known() { Err(Error::TooOld { found, known: known() }) } else { check(found) }
}

/// Brings the schema up to date, all missing migrations in one transaction: they are all applied, or none.
///
/// Fails with [`Error::TooNew`] when the store knows a migration this program does not.
pub(crate) fn run<B>(
    backend: &mut B,
    in_transaction: impl FnOnce(&mut B, &mut dyn FnMut(&mut dyn Tx) -> Result<(), Error>) -> Result<(), Error>,
) -> Result<(), Error> {
    in_transaction(backend, &mut |tx| {
        tx.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
            &[],
        )?;
        let found = tx.query_one("SELECT COALESCE(MAX(number), 0) FROM migrations", &[], |row| row.next::<i64>())?;
        check(found)?;
        for (number, name, text) in MIGRATIONS.iter().filter(|(number, ..)| *number > found) {
            let text = text
                .replace("{id}", tx.dialect().id_type())
                .replace("{clustered}", tx.dialect().clustered())
                .replace(" TEXT", tx.dialect().text_type());
            for statement in statements(&text) {
                tx.execute(&statement, &[])?;
            }
            tx.execute("INSERT INTO migrations (number, name) VALUES ($1, $2)", &[(*number).into(), (*name).into()])?;
        }
        Ok(())
    })
}

/// The statements of a migration: comments end with their line, statements with a `;`. Neither occurs inside a literal here.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    code.join("\n").split(';').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        let numbers: Vec<i64> = MIGRATIONS.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, (1..=known()).collect::<Vec<_>>());
    }

    #[test]
    fn a_comment_is_no_statement() {
        assert_eq!(statements("-- a; b\nCREATE x; -- c\n\nCREATE y;"), ["CREATE x", "CREATE y"]);
    }
}
