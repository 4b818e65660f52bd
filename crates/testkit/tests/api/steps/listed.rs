//! Whether the scenarios are all there are: held against the flows of the control plane, the operations of the server's own
//! document, and every type of action, which is asked of the server itself.

use std::collections::BTreeSet;

use dewpoint_api::ActionKind;
use dewpoint_control::actions::FLOWS;
use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use super::scenarios::{BY_ITSELF, Scenario, Stage, document, scenarios, send_to};
use crate::with;

/// The operations that change something at once, and begin no action.
const BEGIN_NOTHING: &[&str] = &[
    "sshKeys_create",
    "sshKeys_update",
    "sshKeys_delete",
    "images_update",
    "tags_create",
    "tags_delete",
    "tags_assign_resources",
    "tags_unassign_resources",
    "projects_create",
    "projects_update_default",
    "projects_patch_default",
    "projects_update",
    "projects_patch",
    "projects_delete",
    "projects_assign_resources",
    "projects_assign_resources_default",
    "dew_backup_take",
    "dew_droplets_console_type",
    "domains_create",
    "domains_delete",
    "domains_create_record",
    "domains_patch_record",
    "domains_update_record",
    "domains_delete_record",
    "firewalls_create",
    "firewalls_update",
    "firewalls_delete",
    "firewalls_assign_droplets",
    "firewalls_delete_droplets",
    "firewalls_add_tags",
    "firewalls_delete_tags",
    "firewalls_add_rules",
    "firewalls_delete_rules",
    "reservedIPv6_create",
    "vpcPeerings_create",
    "vpcPeerings_patch",
    "vpcPeerings_delete",
    "vpcs_create_peerings",
    "vpcs_patch_peerings",
    "vpcs_create",
    "vpcs_update",
    "vpcs_patch",
    "vpcs_delete",
    "dew_accounts_create",
    "dew_models_add",
    "dew_models_delete",
    "dew_tokens_create",
    "dew_tokens_revoke",
    "genai_create_model_api_key",
    "genai_update_model_api_key",
    "genai_delete_model_api_key",
    "genai_regenerate_model_api_key",
    "inference_create_chat_completion",
    "chat_completions",
    "inference_create_embedding",
    "dew_model_keys_limit",
    // What steers the simulator: it replaces the state, or gets in the way of what is asked by others.
    "dew_reset",
    "dew_snapshots_take",
    "dew_snapshots_restore",
    "dew_snapshots_delete",
    "dew_requests_keep",
    "dew_requests_clear",
    "dew_clock_set",
    "dew_delays_set",
    "dew_faults_order",
    "dew_faults_clear",
    "dew_faults_delete",
    "dew_stock_put",
    "dew_stock_delete",
    "dew_stock_put_back",
];

/// Whether a schema speaks of actions, itself or in what it refers to.
fn speaks_of_actions(document: &Value, schema: &Value, seen: &mut BTreeSet<String>) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(name, value)| match (name.as_str(), value.as_str()) {
            ("$ref", Some(reference)) if reference.ends_with("/Action") => true,
            ("$ref", Some(reference)) => {
                let target = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
                seen.insert(reference.to_owned()) && speaks_of_actions(document, target, seen)
            }
            _ => speaks_of_actions(document, value, seen),
        }),
        Value::Array(items) => items.iter().any(|item| speaks_of_actions(document, item, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[test]
fn every_flow_there_is_has_a_scenario() {
    let tried: BTreeSet<String> = scenarios().iter().map(|one| format!("{:?}", one.flow)).collect();
    let there_are: BTreeSet<String> = FLOWS.iter().map(|flow| format!("{flow:?}")).collect();
    assert_eq!(tried, there_are);
    let names: BTreeSet<String> = scenarios().iter().map(Scenario::name).collect();
    assert_eq!(names.len(), scenarios().len(), "each has a name of its own");
}

#[tokio::test]
async fn every_operation_that_changes_something_begins_an_action_in_a_scenario_or_begins_none() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let asking: BTreeSet<&str> = scenarios().iter().map(|one| one.by).filter(|by| *by != BY_ITSELF).collect();
    let mut known: BTreeSet<String> = BEGIN_NOTHING.iter().map(|id| (*id).to_owned()).collect();
    assert!(known.iter().all(|id| !asking.contains(id.as_str())), "none is in both lists");
    known.extend(asking.iter().map(|id| (*id).to_owned()));
    let mut changing = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, described) in methods.as_object().expect("methods") {
            let id = described["operationId"].as_str().expect("an id");
            if method != "get" {
                changing.insert(id.to_owned());
                let answers = described["responses"].as_object().expect("answers").iter();
                let success = answers.filter(|(status, _)| status.starts_with('2')).map(|(_, answer)| answer);
                let tells = success.into_iter().any(|answer| speaks_of_actions(document, answer, &mut BTreeSet::new()));
                assert!(
                    !tells || asking.contains(id),
                    "{method} {path} ({id}) answers with an action: give it a scenario"
                );
            }
        }
    }
    assert_eq!(known, changing, "what the scenarios and the list beside them know, and what the server offers");
}

/// Every word that could be the type of an action: those of all actions, and those that volumes and reserved IPs have for theirs.
fn words() -> BTreeSet<&'static str> {
    let short = |kind: &ActionKind| kind.as_str().trim_end_matches("_volume").trim_end_matches("_ip");
    ActionKind::ALL.iter().flat_map(|kind| [kind.as_str(), short(kind)]).collect()
}

#[tokio::test]
async fn every_type_of_action_that_the_server_takes_has_a_scenario() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let typed: Vec<(Scenario, Value)> = scenarios()
        .into_iter()
        .filter_map(|one| {
            let body: Value = serde_json::from_str(&one.body_for_any_id()).ok()?;
            body.get("type").is_some().then_some((one, body))
        })
        .collect();
    let operations: BTreeSet<&str> = typed.iter().map(|(one, _)| one.by).collect();
    assert!(operations.len() >= 5, "Droplets, Droplets by tag, images, volumes, volumes by name: {operations:?}");
    for by in operations {
        let of_it: Vec<&(Scenario, Value)> = typed.iter().filter(|(one, _)| one.by == by).collect();
        let tried: BTreeSet<&str> = of_it.iter().filter_map(|(_, body)| body["type"].as_str()).collect();
        let mut scenes: Vec<&Scenario> = Vec::new();
        for (one, _) in &of_it {
            if scenes.iter().all(|known| known.given() != one.given()) {
                scenes.push(one);
            }
        }
        for scene in scenes {
            let app = TestApp::start().await;
            let stage = Stage::set(&app, scene.given()).await;
            for word in words().difference(&tried) {
                // With whatever any of them might need, so that only the type can be wrong.
                let everything = json!({
                    "name": "other", "size": "s-1vcpu-2gb", "disk": true, "image": "debian-12-x64",
                    "backup_policy": { "plan": "weekly" }, "region": "nyc3", "volume_name": "data",
                    "droplet_id": 1, "size_gigabytes": 20, "kernel": 1,
                });
                let body = with(everything, json!({ "type": word })).to_string();
                let answer = send_to(&app, document, by, &stage, scene.query(), &body).await;
                assert!(answer.status >= 400, "{by} takes {word} ({}): give it a scenario", answer.text);
                assert_eq!(app.backlog().await, 0, "{by} refuses {word} and begins it");
            }
        }
    }
}
