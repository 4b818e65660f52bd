//! What a command prints: a table for people; JSON, YAML and CSV for programs. Data goes to standard output, all else to
//! standard error.

pub(crate) mod json;
mod pipe;
mod table;
mod yaml;

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::failure::Failure;
pub(crate) use json::Json;
pub(crate) use pipe::{is_unread, out, say, tell};
pub(crate) use table::{Column, Table, by, col};

/// What stands above the flags that every command has which asks a server.
pub(crate) const COMMON: &str = "Common options";

// Without a help of their own, so that the help of a command stays short.
/// How data is printed: columns for people, an array of the API's objects (also for one), or the columns with commas between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    #[value(alias = "text")]
    Table,
    Json,
    Yaml,
    Csv,
}

/// Flags of every command that prints data.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OutputArgs {
    /// How to print [default: table]
    #[arg(short, long, value_enum, value_name = "FORMAT", global = true, help_heading = COMMON)]
    output: Option<Format>,
    /// Columns to print, with commas between, such as ID,Name
    #[arg(long = "format", value_name = "COLUMNS", value_delimiter = ',', global = true, help_heading = COMMON)]
    columns: Vec<String>,
    /// No line of headings
    #[arg(long, global = true, help_heading = COMMON)]
    no_header: bool,
    /// No progress and no notes on standard error: errors alone
    #[arg(short, long, global = true, help_heading = COMMON)]
    quiet: bool,
}

/// How this command prints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    format: Format,
    columns: Vec<String>,
    no_header: bool,
    /// Whether notes and progress are left out.
    pub(crate) quiet: bool,
}

impl OutputArgs {
    /// These flags, and where they say nothing those that stood earlier on the command line.
    pub(crate) fn or(mut self, earlier: Self) -> Output {
        if self.columns.is_empty() {
            self.columns = earlier.columns;
        }
        Output {
            format: self.output.or(earlier.output).unwrap_or_default(),
            columns: self
                .columns
                .into_iter()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            no_header: self.no_header || earlier.no_header,
            quiet: self.quiet || earlier.quiet,
        }
    }
}

impl Output {
    /// Whether programs read it, so that nothing but data may be there.
    pub(crate) fn is_for_programs(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Prints objects: as they are, or a row of each.
    pub(crate) fn print(&self, table: &'static Table, objects: &[Json]) -> Result<()> {
        let columns = self.columns(table)?;
        let whole = || Json::List(objects.to_vec());
        print(&match self.format {
            Format::Json => serde_json::to_string_pretty(&whole())? + "\n",
            Format::Yaml => yaml::yaml(&whole()),
            Format::Csv => table::csv(&columns, objects, self.no_header),
            Format::Table => table::aligned(&columns, objects, self.no_header),
        })
    }

    /// Fails when `--format` names a column that the table has not.
    pub(crate) fn check(&self, table: &'static Table) -> Result<()> {
        self.columns(table).map(drop)
    }

    fn columns(&self, table: &'static Table) -> Result<Vec<&'static Column>> {
        table.chosen(&self.columns).map_err(|unknown| {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            Failure::usage(format!("--format: there is no column {unknown}"))
                .hint(format!("the columns are {}", names.join(", ")))
                .into()
        })
    }

    /// Says something that is not data, unless that is not wanted.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            tell!("{text}");
        }
    }
}

/// Writes to standard output. Fails when nobody reads it, which ends the command quietly.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = out();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
