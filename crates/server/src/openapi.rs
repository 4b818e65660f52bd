//! The OpenAPI document of what is served, made from the table of operations and the wire types. Nothing in it is copied.

use std::sync::OnceLock;

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use dewpoint_api::ErrorBody;
use http::header;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{Access, App, Operation, extract::JSON};

/// Where the document is.
pub(crate) const PATH: &str = "/dew/v1/openapi.json";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(PATH, openapi)
            .id("openapi")
            .says("This document: every operation that is served, as OpenAPI 3.1.")
            .open()
            .answers::<Value>(200),
    ]
}

/// `GET /dew/v1/openapi.json`: the document; made at the first call and kept.
async fn openapi(State(app): State<App>) -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| document(app.table.operations()).to_string().into());
    ([(header::CONTENT_TYPE, JSON)], text.clone()).into_response()
}

/// The document of these operations.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let error = generator.subschema_for::<ErrorBody>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations.iter().filter(|operation| !operation.path.starts_with("/docs")) {
        if !tags.contains(&tag(operation.path)) {
            tags.push(tag(operation.path));
        }
        let method = operation.method.as_str().to_ascii_lowercase();
        let described = describe(operation, &mut generator);
        // A parameter that takes the rest of the path has no sign of its own in OpenAPI.
        let path = paths.entry(operation.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dewpoint",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Your own Droplet cloud. What stands below /v2 is the public DigitalOcean API as far as it is \
                            served here; what stands below /dew/v1 is Dewpoint's own.",
        },
        "tags": tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "bearer_auth": { "type": "http", "scheme": "bearer" } },
            "responses": {
                "error": { "description": "Why not.", "content": { "application/json": { "schema": error } } },
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let success = operation.success;
    let mut answer = json!({ "description": success.canonical_reason().unwrap_or("Success") });
    if let Some(schema) = operation.answer {
        answer["content"] = json!({ "application/json": { "schema": schema(generator) } });
    }
    if let Some(schema) = operation.event {
        answer["content"]["text/event-stream"] = json!({ "schema": schema(generator) });
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation.path)],
        "security": security(&operation.access),
        "parameters": parameters(operation, generator),
        "responses": { (success.as_str()): answer, "default": { "$ref": "#/components/responses/error" } },
    });
    if let Some(schema) = operation.body {
        described["requestBody"] = json!({ "content": { "application/json": { "schema": schema(generator) } } });
    }
    described
}

/// What a reader finds it under: `droplets` for `/v2/droplets/{droplet_id}`, `dewpoint` for what is ours.
fn tag(path: &'static str) -> &'static str {
    path.strip_prefix("/v2/").and_then(|rest| rest.split('/').next()).unwrap_or("dewpoint")
}

fn security(access: &Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Scopes(alternatives) if alternatives.is_empty() => json!([{ "bearer_auth": [] }]),
        Access::Scopes(alternatives) => alternatives.iter().map(|scopes| json!({ "bearer_auth": scopes })).collect(),
        Access::Full | Access::Operator => json!([{ "bearer_auth": ["*"] }]),
        Access::ModelKey => json!([{ "bearer_auth": [] }]),
    }
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| name.trim_start_matches('*'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if operation.paged {
        for (name, default, most) in [("page", 1, None), ("per_page", 20, Some(200))] {
            let mut schema = json!({ "type": "integer", "minimum": 1, "default": default });
            if let Some(most) = most {
                schema["maximum"] = json!(most);
            }
            parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
        }
    }
    if let Some(schema) = operation.query {
        let members = schema(generator).to_value();
        let required =
            |name: &str| members["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
        for (name, schema) in members["properties"].as_object().into_iter().flatten() {
            let description = schema.get("description").cloned().unwrap_or_default();
            let text = description.as_str().unwrap_or_default();
            let is_required = required(name);
            parameters.push(
                json!({ "name": name, "in": "query", "required": is_required, "description": text, "schema": schema }),
            );
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use dewpoint_api::{Droplet, Scope, Single};
    use schemars::JsonSchema;

    use super::*;

    async fn nothing() {}

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Filter {
        /// Only those with this tag.
        tag_name: Option<String>,
        resource_type: String,
    }

    #[test]
    fn an_operation_is_described_with_all_it_was_told() {
        let operations = [
            Operation::get("/v2/droplets/{droplet_id}", nothing)
                .id("droplets_get")
                .says("One Droplet.")
                .needs(&[Scope::DropletRead, Scope::ImageRead])
                .needs(&[Scope::DropletUpdate])
                .query::<Filter>()
                .paged()
                .answers::<Single<Droplet>>(200),
            Operation::delete("/v2/droplets/{droplet_id}", nothing).id("droplets_destroy").needs_full_token(),
        ];
        let document = document(&operations);
        let get = &document["paths"]["/v2/droplets/{droplet_id}"]["get"];
        assert_eq!(get["operationId"], "droplets_get");
        assert_eq!(get["tags"], json!(["droplets"]));
        let security =
            json!([{ "bearer_auth": ["droplet:read", "image:read"] }, { "bearer_auth": ["droplet:update"] }]);
        assert_eq!(get["security"], security);
        let names: Vec<&Value> = get["parameters"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["droplet_id", "page", "per_page", "resource_type", "tag_name"]);
        assert_eq!(get["parameters"][3]["required"], true);
        assert_eq!(get["parameters"][4]["description"], "Only those with this tag.");
        let delete = &document["paths"]["/v2/droplets/{droplet_id}"]["delete"];
        assert_eq!(delete["responses"]["204"], json!({ "description": "No Content" }));
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = document(&crate::operations());
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the document"));
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            match value {
                Value::Object(members) => open.extend(members.values()),
                Value::Array(items) => open.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
}
