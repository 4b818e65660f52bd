//! JSON Schemas: whether one can be followed, and the plainest value that follows it.

use serde_json::{Map, Value, json};

use crate::asked::{Refusal, invalid};

const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];
/// How deep a schema may go.
const DEEPEST: usize = 32;

/// Refuses what is no schema; `at` is where it stands in the request.
pub(crate) fn check(schema: &Value, at: &str) -> Result<(), Refusal> {
    check_at(schema, at, 0)
}

fn check_at(schema: &Value, at: &str, depth: usize) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(invalid(at, format!("goes deeper than {DEEPEST} levels.")));
    }
    let members = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(members) => members,
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(invalid(at, "is no JSON Schema, which is an object."));
        }
    };
    if let Some(kind) = members.get("type") {
        let words: Vec<&Value> = kind.as_array().map_or_else(|| vec![kind], |list| list.iter().collect());
        let known = |word: &&Value| word.as_str().is_some_and(|word| TYPES.contains(&word));
        if words.is_empty() || !words.iter().all(known) {
            return Err(invalid(format!("{at}.type"), format!("is {kind}; the types are {}.", TYPES.join(", "))));
        }
    }
    for name in ["properties", "$defs"] {
        let Some(parts) = members.get(name) else { continue };
        let Some(parts) = parts.as_object() else {
            return Err(invalid(format!("{at}.{name}"), "has to be an object of schemas."));
        };
        for (part, schema) in parts {
            check_at(schema, &format!("{at}.{name}.{part}"), depth + 1)?;
        }
    }
    if let Some(items) = members.get("items") {
        check_at(items, &format!("{at}.items"), depth + 1)?;
    }
    for name in ["anyOf", "oneOf", "allOf"] {
        let Some(parts) = members.get(name) else { continue };
        let Some(parts) = parts.as_array().filter(|parts| !parts.is_empty()) else {
            return Err(invalid(format!("{at}.{name}"), "has to be a list of schemas."));
        };
        for (place, schema) in parts.iter().enumerate() {
            check_at(schema, &format!("{at}.{name}[{place}]"), depth + 1)?;
        }
    }
    if let Some(required) = members.get("required")
        && !required.as_array().is_some_and(|names| names.iter().all(Value::is_string))
    {
        return Err(invalid(format!("{at}.required"), "has to be a list of names."));
    }
    if let Some(values) = members.get("enum")
        && values.as_array().is_none_or(Vec::is_empty)
    {
        return Err(invalid(format!("{at}.enum"), "has to be a list of at least one value."));
    }
    Ok(())
}

/// The plainest value of a schema that [`check`] takes: each property there is, the first of a choice, shortest lists.
/// Patterns, formats and references are passed over.
pub(crate) fn plainest(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return json!({}) };
    for name in ["const", "default"] {
        if let Some(value) = members.get(name) {
            return value.clone();
        }
    }
    for name in ["enum", "examples"] {
        if let Some(first) = members.get(name).and_then(Value::as_array).and_then(|list| list.first()) {
            return first.clone();
        }
    }
    for name in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = members.get(name).and_then(Value::as_array).and_then(|list| list.first()) {
            return plainest(first);
        }
    }
    let kind = match members.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("string") => {
            let least = members.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(1000);
            let text: String = "text".chars().cycle().take(usize::try_from(least.max(4)).unwrap_or(4)).collect();
            let most = members.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
            Value::String(text.chars().take(usize::try_from(most).unwrap_or(usize::MAX)).collect())
        }
        Some("integer" | "number") => members.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => {
            let least = members.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(100);
            let item = members.get("items").map_or_else(|| json!({}), plainest);
            (0..least).map(|_| item.clone()).collect()
        }
        _ => {
            let properties = members.get("properties").and_then(Value::as_object);
            let made = properties.into_iter().flatten().map(|(name, schema)| (name.clone(), plainest(schema)));
            Value::Object(made.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_schema_is_refused_with_its_place() {
        for (wrong, place) in [
            (json!("text"), "s"),
            (json!({ "type": "strnig" }), "s.type"),
            (json!({ "type": [] }), "s.type"),
            (json!({ "type": "object", "properties": [] }), "s.properties"),
            (json!({ "properties": { "a": { "type": 5 } } }), "s.properties.a.type"),
            (json!({ "type": "array", "items": 5 }), "s.items"),
            (json!({ "required": "a" }), "s.required"),
            (json!({ "enum": [] }), "s.enum"),
            (json!({ "anyOf": [{ "type": "no" }] }), "s.anyOf[0].type"),
        ] {
            let refusal = check(&wrong, "s").expect_err("no schema").to_string();
            assert!(refusal.starts_with(&format!("{place} ")), "{wrong}: {refusal}");
        }
        let deep = (0..100).fold(json!({}), |inner, _| json!({ "items": inner }));
        assert!(check(&deep, "s").is_err());
    }

    #[test]
    fn the_plainest_value_follows_the_schema() {
        let schema = json!({ "type": "object", "required": ["city"], "properties": {
            "city": { "type": "string" }, "unit": { "enum": ["c", "f"] }, "days": { "type": "integer", "minimum": 3 },
            "tags": { "type": "array", "minItems": 2, "items": { "type": "boolean" } }, "near": { "type": ["null", "string"] },
        } });
        assert_eq!(check(&schema, "s"), Ok(()));
        let value = json!({ "city": "text", "unit": "c", "days": 3, "tags": [true, true], "near": null });
        assert_eq!(plainest(&schema), value);
    }
}
