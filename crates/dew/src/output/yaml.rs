//! YAML for people and for tools that read it: blocks, and quotes where a plain word could be read as something else.

use super::json::Json;

/// A document.
pub(crate) fn yaml(value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::List(items) if !items.is_empty() => list(items, 0, &mut text),
        Json::Map(members) if !members.is_empty() => map(members, 0, false, &mut text),
        _ => text.push_str(&(scalar(value) + "\n")),
    }
    text
}

fn list(items: &[Json], depth: usize, text: &mut String) {
    for item in items {
        text.push_str(&"  ".repeat(depth));
        text.push('-');
        match item {
            Json::Map(members) if !members.is_empty() => {
                text.push(' ');
                map(members, depth + 1, true, text);
            }
            other => below(other, depth, text),
        }
    }
}

/// The members of an object; the first one may follow a dash that is there already.
fn map(members: &[(String, Json)], depth: usize, mut inline: bool, text: &mut String) {
    for (key, value) in members {
        if !std::mem::take(&mut inline) {
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str(&plain(key));
        text.push(':');
        below(value, depth, text);
    }
}

fn below(value: &Json, depth: usize, text: &mut String) {
    match value {
        Json::List(items) if !items.is_empty() => {
            text.push('\n');
            list(items, depth + 1, text);
        }
        Json::Map(members) if !members.is_empty() => {
            text.push('\n');
            map(members, depth + 1, false, text);
        }
        _ => {
            text.push(' ');
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
}

fn scalar(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Text(value) => plain(value),
        Json::List(_) => "[]".to_owned(),
        Json::Map(_) => "{}".to_owned(),
    }
}

/// A text without quotes where nobody can read it as anything else; otherwise as JSON writes it, which is YAML too.
fn plain(text: &str) -> String {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_tame =
        text.chars().all(|char| char.is_ascii_alphanumeric() || "-_./ ".contains(char)) && !text.ends_with(' ');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if begins && is_tame && !is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        let value: Json = serde_json::from_str(
            r#"[{"id":3,"name":"web-1","tags":["no","a b"],"region":{"slug":"nyc3"},"at":"2026-01-01T00:00:00Z","none":[],"x":null}]"#,
        )
        .expect("JSON");
        let text = "- id: 3\n  name: web-1\n  tags:\n    - \"no\"\n    - a b\n  region:\n    slug: nyc3\n  \
                    at: \"2026-01-01T00:00:00Z\"\n  none: []\n  x: null\n";
        assert_eq!(yaml(&value), text);
    }
}
