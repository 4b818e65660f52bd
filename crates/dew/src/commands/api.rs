//! `dew api`: any request, for what has no command, or none yet.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    output::{Json, print},
    tree::{given::Given, kind, session::Session, spec::Verb},
};

/// Sends it and prints what came, as it came: indented JSON, whatever `-o` says of tables.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let method = given.text("method").unwrap_or_default().to_uppercase();
    let path = given.text("path").unwrap_or_default();
    if !path.starts_with('/') {
        return Err(Failure::usage(format!("{path} is no path"))
            .hint("a path is such as /v2/droplets; the server is the context's")
            .into());
    }
    let body = match (given.text("body"), &given.all("field")[..]) {
        (Some(_), [_, ..]) => {
            return Err(Failure::usage("--body and --field are both the body: give one of them").into());
        }
        (Some(file), []) => {
            let text = kind::file(file)?;
            Some(serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{file} is no JSON: {error}")))?)
        }
        (None, []) => None,
        (None, fields) => Some(Value::Object(fields.iter().map(|field| member(field)).collect::<Result<Map<_, _>>>()?)),
    };
    let answer = session.client.send(&method, path, &[], body.as_ref()).await?.body;
    match answer {
        Json::Null => Ok(()),
        Json::Text(text) => print(&text),
        answer => print(&(serde_json::to_string_pretty(&answer)? + "\n")),
    }
}

/// A member of the body: what reads as JSON is JSON, all else is text.
fn member(field: &str) -> Result<(String, Value)> {
    match field.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
        }
        _ => Err(Failure::usage(format!("{field} is no member of a body"))
            .hint("a member is NAME=VALUE, such as name=web-1")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_json_where_they_read_as_json() {
        let read = |text| member(text).map(|(_, value)| value).ok();
        assert_eq!(read("name=web=1"), Some(Value::from("web=1")));
        assert_eq!((read("a=7"), read("a=true"), read("a=")), (Some(7.into()), Some(true.into()), Some("".into())));
        assert_eq!(read(r#"a=["x"]"#), Some(serde_json::json!(["x"])));
        assert_eq!((read("a"), read("=x")), (None, None));
    }
}
