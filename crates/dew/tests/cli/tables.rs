//! The table of every command that prints one, as it was agreed: snapshots of what a small cloud looks like while it is built.

mod script;

use std::collections::BTreeSet;

use super::{
    Scene, printed,
    support::{all, eventually, said},
};
use script::{SCRIPTS, WAITS};

/// A key to import.
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB other";

/// Times, uuids and hashes are other ones each time, and as long.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let is_time = word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
        match word.rsplit_once(':') {
            _ if is_time => "2026-01-01T00:00:00Z".to_owned(),
            _ if (word.len() == 36 || word.len() == 32) && is_hex(word) => blank(word),
            _ if word.starts_with("sk-do-") || word.starts_with("dop_v1_") => secret(word),
            Some((before, id)) if id.len() == 36 && is_hex(id) => format!("{before}:{}", blank(id)),
            _ => word
                .split(',')
                .map(|one| if one.len() == 36 && is_hex(one) { blank(one) } else { one.to_owned() })
                .collect::<Vec<_>>()
                .join(","),
        }
    };
    text.split('\n').map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

fn blank(id: &str) -> String {
    id.chars().map(|char| if char == '-' { '-' } else { '0' }).collect()
}

/// What a secret begins with, and how long it is.
fn secret(word: &str) -> String {
    let begins = if word.starts_with("sk-do-") { "sk-do-" } else { "dop_v1_" };
    begins.to_owned() + &"0".repeat(word.len() - begins.len())
}

/// A line's words as a shell takes them: quotes, and `{…}` for the first cell that another command prints.
fn words(scene: &Scene, line: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), line);
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let (word, after) = match rest.as_bytes()[0] {
            b'"' => rest[1..].split_once('"').expect("a closing quote"),
            b'{' => rest[1..].split_once('}').expect("a closing brace"),
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(match rest.as_bytes()[0] {
            b'{' => first_cell(scene, word),
            _ => word.replace("~/", &format!("{}/", scene.home().display())),
        });
        rest = after;
    }
    words
}

/// `reserved-ip list:IP` is the first address that is listed.
fn first_cell(scene: &Scene, command: &str) -> String {
    let (command, column) = command.split_once(':').expect("a column");
    let words: Vec<&str> = command.split(' ').chain(["--format", column, "--no-header"]).collect();
    let text = scene.prints(&words);
    text.lines().next().unwrap_or_else(|| panic!("{command} lists nothing")).trim().to_owned()
}

/// A line and what it prints, the status and what was said where it is refused.
fn shown(scene: &Scene, line: &str) -> String {
    let words = words(scene, line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = scene.dew(&words);
    let text = match output.status.code() {
        Some(0) => printed(&words, &output),
        status => {
            let said = said(&output);
            let said = said.split(" (request ").next().unwrap_or_default();
            format!("{}\nends with {status:?}\n", said.replace(&scene.server.url(), "the server"))
        }
    };
    format!("$ dew {line}\n{}\n", steady(&text))
}

/// Whether every action has ended, so that no line depends on how fast the one before it was carried out.
fn nothing_goes_on(scene: &Scene) -> bool {
    let actions = all(scene.server.client(), "/v2/actions", "actions");
    actions.iter().all(|action| action["status"] != "in-progress")
}

#[test]
fn every_table_is_as_it_was_agreed() {
    let scene = Scene::start();
    std::fs::write(scene.home().join("other.pub"), OTHER).expect("written");
    for (name, script) in SCRIPTS {
        let mut text = String::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some((_, command, word)) = WAITS.iter().find(|(before, ..)| *before == line) {
                let command: Vec<&str> = command.split(' ').collect();
                eventually(word, || scene.prints(&command).contains(word));
            }
            eventually("end of what was begun", || nothing_goes_on(&scene));
            text += &shown(&scene, line);
        }
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn every_command_that_prints_a_table_is_among_the_snapshots() {
    let reference = super::ran(super::bare(std::path::Path::new("/")).arg("__reference"));
    let reference = printed(&["__reference"], &reference);
    let (mut tables, mut command) = (BTreeSet::new(), "");
    for line in reference.lines() {
        if let Some((_, words)) = line.split_once("# dew ") {
            command = words;
        }
        if line.starts_with("Columns: ") {
            tables.insert(command);
        }
    }
    assert!(tables.len() > 100, "the reference names the columns of tables: {tables:?}");
    let lines: Vec<&str> = SCRIPTS.iter().flat_map(|(_, script)| script.lines().map(str::trim)).collect();
    let is_shown =
        |command: &&&str| lines.iter().any(|line| *line == **command || line.starts_with(&format!("{command} ")));
    let missing: Vec<_> = tables.iter().filter(|command| !is_shown(command)).collect();
    assert!(missing.is_empty(), "no snapshot in tests/cli/tables/script.rs: {missing:#?}");
}
