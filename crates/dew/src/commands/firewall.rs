//! `dew firewall`: rules as doctl writes them, to requests.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::{
    failure::Failure,
    tables::FIREWALL,
    tree::{call, given::Given, kind::Kind, session::Session, spec::Verb},
};

/// `dew firewall create`
pub(crate) async fn create(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let body = body(session, verb, given).await?;
    let answer = session.client.send("POST", "/v2/firewalls", &[], Some(&body)).await?.body;
    session.print(&FIREWALL, &FIREWALL.objects(&answer))
}

/// `dew firewall update`
pub(crate) async fn update(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let body = body(session, verb, given).await?;
    let answer = session.client.send("PUT", &path(session, given).await?, &[], Some(&body)).await?.body;
    session.print(&FIREWALL, &FIREWALL.objects(&answer))
}

/// `dew firewall add-rules` and `remove-rules`
pub(crate) async fn rules(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let mut body = Map::new();
    put_rules(&mut body, given)?;
    if body.is_empty() {
        return Err(Failure::usage("no rule is given").hint("--inbound-rules and --outbound-rules hold them").into());
    }
    let path = path(session, given).await? + "/rules";
    session.client.send(verb.call.method, &path, &[], Some(&Value::Object(body))).await.map(drop)
}

async fn path(session: &Session, given: &Given) -> Result<String> {
    let id = Kind::Firewall.value(&session.client, given.text("firewall").unwrap_or_default()).await?;
    Ok(format!("/v2/firewalls/{}", call::written(&id)))
}

async fn body(session: &Session, verb: &Verb, given: &Given) -> Result<Value> {
    let mut body = match call::body(&session.client, verb, given).await? {
        Some(Value::Object(body)) => body,
        _ => Map::new(),
    };
    body.insert("name".to_owned(), json!(given.text("name").or(given.text("firewall-name"))));
    put_rules(&mut body, given)?;
    Ok(Value::Object(body))
}

fn put_rules(body: &mut Map<String, Value>, given: &Given) -> Result<()> {
    for (flag, member, side) in
        [("inbound-rules", "inbound_rules", "sources"), ("outbound-rules", "outbound_rules", "destinations")]
    {
        if let Some(text) = given.text(flag) {
            let rules = text.split_whitespace().map(|text| rule(text, side)).collect::<Result<Vec<Value>>>()?;
            body.insert(member.to_owned(), Value::Array(rules));
        }
    }
    Ok(())
}

/// One rule: `protocol:tcp,ports:22,address:10.0.0.0/8,tag:web`.
fn rule(text: &str, side: &str) -> Result<Value> {
    let (mut rule, mut ends) = (Map::new(), BTreeMap::<&str, Vec<Value>>::new());
    for part in text.split(',') {
        let (word, value) = part.split_once(':').unwrap_or((part, ""));
        let mut add = |member, value: Value| ends.entry(member).or_default().push(value);
        match word {
            "protocol" | "ports" if !value.is_empty() => drop(rule.insert(word.to_owned(), Value::from(value))),
            "address" => add("addresses", Value::from(value)),
            "tag" => add("tags", Value::from(value)),
            "load_balancer_uid" => add("load_balancer_uids", Value::from(value)),
            "droplet_id" => match value.parse::<u64>() {
                Ok(id) => add("droplet_ids", Value::from(id)),
                Err(_) => return Err(bad(text, &format!("{value} is no Droplet's id")).into()),
            },
            _ => return Err(bad(text, &format!("{part} is none of its parts")).into()),
        }
    }
    if !rule.contains_key("protocol") {
        return Err(bad(text, "it names no protocol").into());
    }
    rule.insert(side.to_owned(), json!(ends));
    Ok(Value::Object(rule))
}

fn bad(rule: &str, why: &str) -> Failure {
    Failure::usage(format!("the rule {rule} cannot be read: {why}"))
        .hint("a rule is such as protocol:tcp,ports:22,address:10.0.0.0/8; rules have spaces between, `dew firewall create --help` lists the parts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_printed() {
        let read = rule("protocol:tcp,ports:8000-9000,address:::/0,address:10.0.0.0/8,tag:web,droplet_id:7", "sources")
            .expect("a rule");
        assert_eq!(
            read,
            json!({ "protocol": "tcp", "ports": "8000-9000",
                    "sources": { "addresses": ["::/0", "10.0.0.0/8"], "tags": ["web"], "droplet_ids": [7] } })
        );
        for text in ["ports:22", "protocol:tcp,port:22", "protocol:tcp,droplet_id:x", ","] {
            assert!(rule(text, "sources").is_err(), "{text}");
        }
    }
}
