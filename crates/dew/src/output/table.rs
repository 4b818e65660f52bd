//! Tables: which columns a kind of object has, and how its cells are found.

use super::Json;

/// How a kind of object is called in answers, and its columns.
#[derive(Debug)]
pub(crate) struct Table {
    /// The member of an answer that holds one.
    pub(crate) one: &'static str,
    /// The member of an answer that holds many.
    pub(crate) many: &'static str,
    /// In the order they are printed.
    pub(crate) columns: &'static [Column],
}

/// A column.
#[derive(Debug)]
pub(crate) struct Column {
    /// What `--format` calls it.
    pub(crate) name: &'static str,
    /// What stands above it.
    title: &'static str,
    cell: Cell,
    /// Whether it is printed without being asked for.
    shown: bool,
}

#[derive(Debug)]
enum Cell {
    At(&'static str),
    By(fn(&Json) -> String),
}

/// A column that shows the member at a path.
pub(crate) const fn col(name: &'static str, title: &'static str, path: &'static str) -> Column {
    Column { name, title, cell: Cell::At(path), shown: true }
}

/// A column whose cell is worked out.
pub(crate) const fn by(name: &'static str, title: &'static str, cell: fn(&Json) -> String) -> Column {
    Column { name, title, cell: Cell::By(cell), shown: true }
}

impl Column {
    /// Printed only when `--format` names it.
    pub(crate) const fn on_demand(mut self) -> Self {
        self.shown = false;
        self
    }

    fn of(&self, object: &Json) -> String {
        match self.cell {
            Cell::At(path) => object.at(path).cell(),
            Cell::By(cell) => cell(object),
        }
    }
}

impl Table {
    /// The columns of these names, upper and lower case aside, in their order; of no names those that are shown anyway.
    /// Fails with a name that no column has.
    pub(super) fn chosen<'a>(&'static self, names: &'a [String]) -> Result<Vec<&'static Column>, &'a str> {
        if names.is_empty() {
            return Ok(self.columns.iter().filter(|column| column.shown).collect());
        }
        let find = |name: &'a String| {
            let squeezed: String = name.split_whitespace().collect();
            let same = |column: &&Column| {
                column.name.eq_ignore_ascii_case(&squeezed) || column.title.eq_ignore_ascii_case(name)
            };
            self.columns.iter().find(same).ok_or(name.as_str())
        };
        names.iter().map(find).collect()
    }

    /// The objects of an answer; one is a list of one.
    pub(crate) fn objects(&self, answer: &Json) -> Vec<Json> {
        match answer.at(self.many) {
            Json::List(items) => items.clone(),
            Json::Null if answer.has(self.one) => vec![answer.at(self.one).clone()],
            // Policies come as an object of objects.
            Json::Map(members) => members.iter().map(|(_, value)| value.clone()).collect(),
            _ => Vec::new(),
        }
    }
}

/// Columns as wide as what is in them, two spaces between.
pub(super) fn aligned(columns: &[&Column], objects: &[Json], no_header: bool) -> String {
    let headings = columns.iter().map(|column| column.title.to_owned()).collect();
    let rows = objects.iter().map(|object| columns.iter().map(|column| one_line(&column.of(object))).collect());
    let rows: Vec<Vec<String>> = (!no_header).then_some(headings).into_iter().chain(rows).collect();
    let width = |index: usize| rows.iter().map(|row| row[index].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Comma-separated values as RFC 4180 has them, but for the line end. Headings are the names that `--format` takes.
pub(super) fn csv(columns: &[&Column], objects: &[Json], no_header: bool) -> String {
    let quoted = |cell: String| match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    let headings: Vec<String> = columns.iter().map(|column| column.name.to_owned()).collect();
    let rows = objects.iter().map(|object| columns.iter().map(|column| quoted(column.of(object))).collect());
    let lines = (!no_header).then_some(headings).into_iter().chain(rows);
    lines.map(|row: Vec<String>| row.join(",") + "\n").collect()
}

/// What a server sent cannot move the cursor of a terminal.
fn one_line(cell: &str) -> String {
    cell.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table = Table {
        one: "thing",
        many: "things",
        columns: &[
            col("ID", "ID", "id"),
            col("Name", "Name", "name"),
            by("Long", "Long One", |object| object.at("name").cell().repeat(2)).on_demand(),
        ],
    };

    fn objects() -> Vec<Json> {
        let answer = serde_json::from_str(r#"{"things":[{"id":1,"name":"Münze"},{"id":200,"name":"a, \"b\"\u001b"}]}"#);
        TABLE.objects(&answer.expect("JSON"))
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_hold_no_control_characters() {
        let columns = TABLE.chosen(&[]).expect("those shown");
        assert_eq!(aligned(&columns, &objects(), false), "ID   Name\n1    Münze\n200  a, \"b\"\n");
        assert_eq!(aligned(&columns, &objects()[..1], true), "1  Münze\n");
    }

    #[test]
    fn columns_are_chosen_by_name_or_title_and_quoted_in_csv() {
        let named = ["long one".to_owned(), "id".to_owned()];
        let columns = TABLE.chosen(&named).expect("both exist");
        assert_eq!(csv(&columns, &objects()[..1], false), "Long,ID\nMünzeMünze,1\n");
        assert_eq!(
            csv(&TABLE.chosen(&[]).expect("those shown"), &objects()[1..], true),
            "200,\"a, \"\"b\"\"\u{1b}\"\n"
        );
        assert_eq!(TABLE.chosen(&["Nmae".to_owned()]).map(|_| ()), Err("Nmae"));
    }
}
