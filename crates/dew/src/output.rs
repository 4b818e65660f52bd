//! What a command prints: a table for people, JSON for programs. Data goes to standard output, everything else to standard error.

use std::io::{self, ErrorKind, Write as _};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table
    #[default]
    Table,
    /// An array of the API's objects
    Json,
}

/// Prints objects: as they are, or a row of each under these headings. A closed pipe is a normal end.
pub(crate) fn print<T: Serialize, const N: usize>(
    format: Format,
    objects: &[T],
    headings: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> Result<()> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(objects)? + "\n",
        Format::Table => table(headings, objects.iter().map(row).collect()),
    };
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn table<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = vec![
            ["a".to_owned(), "Münze".to_owned(), "x".to_owned()],
            ["long".to_owned(), String::new(), "y".to_owned()],
        ];
        assert_eq!(table(["ID", "NAME", "END"], rows), "ID    NAME   END\na     Münze  x\nlong         y\n");
    }
}
