//! `spec/operations.toml` and the table of operations agree, both ways.

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_server::{Access, Operation, operations};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Spec {
    operations: Vec<Listed>,
}

/// One line of the file.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    method: String,
    path: String,
    tier: u8,
    scopes: Vec<Vec<String>>,
    success: u16,
    status: Status,
    /// What it takes instead of a token with scopes: `inference`, a model access key.
    key: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
enum Status {
    #[serde(rename = "served")]
    Served,
    #[serde(rename = "not yet")]
    NotYet,
}

fn listed() -> Vec<Listed> {
    let spec: Spec =
        toml::from_str(include_str!("../../../spec/operations.toml")).expect("the file is TOML of that shape");
    spec.operations
}

/// What clients of OpenAI's ask for beside what the public API has.
const BESIDE: [&str; 1] = ["/v1/models/{model}"];

/// Ours, and the public API's: what is below `/dew/v1`, the probes and the docs is not in the file.
fn public_operations() -> Vec<Operation> {
    let is_public = |operation: &Operation| operation.path().starts_with("/v") && !BESIDE.contains(&operation.path());
    operations().into_iter().filter(is_public).collect()
}

/// Alternatives of scopes, their order aside. `api:read` and `api:write` stand beside the real scopes of block storage and
/// are not asked for (behaviour.md, section 17).
fn alternatives<'a>(of: impl IntoIterator<Item = Vec<&'a str>>) -> BTreeSet<BTreeSet<&'a str>> {
    let wanted = |scope: &&str| !scope.starts_with("api:");
    of.into_iter()
        .map(|all| all.into_iter().filter(wanted).collect())
        .filter(|all: &BTreeSet<_>| !all.is_empty())
        .collect()
}

#[test]
fn every_operation_served_is_listed_as_served_with_its_scopes_and_status() {
    let listed = listed();
    for operation in public_operations() {
        let name = operation.name();
        let line = listed.iter().find(|line| line.id == name).unwrap_or_else(|| panic!("{name} is not in the file"));
        assert_eq!(
            (line.method.as_str(), line.path.as_str()),
            (operation.method().as_str(), operation.path()),
            "{name}"
        );
        assert_eq!(line.status, Status::Served, "{name}: the file says \"not yet\"");
        assert_eq!(line.success, operation.success().as_u16(), "{name}: status of success");
        assert_eq!(
            *operation.access() == Access::ModelKey,
            line.key.is_some(),
            "{name}: whether it takes a model access key"
        );
        if *operation.access() == Access::ModelKey {
            continue;
        }
        let Access::Scopes(declared) = operation.access() else { panic!("{name} asks for {:?}", operation.access()) };
        let declared = alternatives(declared.iter().map(|all| all.iter().map(|scope| scope.as_str()).collect()));
        let expected = alternatives(line.scopes.iter().map(|all| all.iter().map(String::as_str).collect()));
        assert_eq!(declared, expected, "{name}: scopes");
    }
}

#[test]
fn every_operation_listed_as_served_is_served() {
    let served: BTreeSet<&str> = public_operations().iter().map(Operation::name).collect();
    for line in listed().iter().filter(|line| line.status == Status::Served) {
        assert!(served.contains(line.id.as_str()), "{} is listed as served and is not", line.id);
    }
}

#[test]
fn no_operation_is_listed_twice_and_each_has_a_tier() {
    let mut seen = BTreeMap::new();
    for line in listed() {
        assert!((1..=3).contains(&line.tier), "{}", line.id);
        let twice = seen.insert((line.method.clone(), line.path.clone()), line.id.clone());
        assert_eq!(twice, None, "{} {}", line.method, line.path);
    }
    let names: BTreeSet<&String> = seen.values().collect();
    assert_eq!(names.len(), seen.len(), "two operations have one name");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let operations = operations();
    let names: BTreeSet<&str> = operations.iter().map(Operation::name).collect();
    assert_eq!(names.len(), operations.len());
    assert!(!names.contains(""));
}
