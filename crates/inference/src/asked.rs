//! What a model may be asked: the request, and everything about it that can be refused before a model looks at it (INF-8).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{schema, tools::Tool};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A member cannot be so, whatever the model. Becomes a 422.
    #[error("{member} {problem}")]
    Invalid {
        /// The member, as the request names it.
        member: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The conversation and the answer do not fit into what the model can hold. Becomes a 400.
    #[error(
        "This model holds {context} tokens; the messages have {prompt} and the answer may have {answer}, which is {} in all.",
        prompt + answer
    )]
    TooLong {
        /// What the model holds.
        context: u64,
        /// Tokens of the messages.
        prompt: u64,
        /// Tokens that the answer may have.
        answer: u64,
    },
}

pub(crate) fn invalid(member: impl Into<String>, problem: impl Into<String>) -> Refusal {
    Refusal::Invalid { member: member.into(), problem: problem.into() }
}

/// The body of a chat completion. Members it does not know are passed over.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Which model.
    pub model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) max_completion_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) frequency_penalty: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) min_p: Option<f64>,
    pub(crate) logit_bias: Option<BTreeMap<String, f64>>,
    n: Option<u32>,
    stop: Option<Stop>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    pub(crate) tools: Option<Vec<Tool>>,
    pub(crate) tool_choice: Option<Value>,
    pub(crate) response_format: Option<ResponseFormat>,
    pub(crate) seed: Option<i64>,
    metadata: Option<BTreeMap<String, String>>,
    /// Who asks, and how much is to be thought: read only to refuse what these cannot be.
    #[serde(rename = "user")]
    _user: Option<String>,
    reasoning_effort: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    #[serde(default)]
    content: Option<Content>,
    /// What the assistant called, what a function's answer is the answer to, and who speaks: passed to templates.
    #[serde(default)]
    pub(crate) tool_calls: Option<Value>,
    #[serde(default)]
    pub(crate) tool_call_id: Option<String>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What an answer said beside its text: read only to refuse what is no text.
    #[serde(default, rename = "refusal")]
    _refusal: Option<String>,
    #[serde(default, rename = "reasoning_content")]
    _reasoning: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

impl Message {
    /// What is said, the parts of it one after the other.
    pub(crate) fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts.iter().filter_map(|part| part.text.as_deref()).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct ResponseFormat {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) json_schema: Option<NamedSchema>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct NamedSchema {
    #[serde(default)]
    pub(crate) schema: Option<Value>,
}

const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];
/// The documented bounds, by the members' names.
const TEMPERATURE: (f64, f64) = (0.0, 2.0);
const TOP_P: (f64, f64) = (0.0, 1.0);
const PENALTY: (f64, f64) = (-2.0, 2.0);
const BIAS: (f64, f64) = (-100.0, 100.0);

impl Asked {
    /// How many answers.
    pub fn choices(&self) -> u32 {
        self.n.unwrap_or(1)
    }

    /// Whether it is to be answered bit by bit.
    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// How many tokens an answer may have at most, when it says so.
    pub(crate) fn most(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Whether a stream ends with what was used.
    pub(crate) fn tells_usage(&self) -> bool {
        self.stream_options.and_then(|options| options.include_usage) == Some(true)
    }

    /// How many likely tokens are told beside each; `None`: nothing of likelihoods.
    pub fn likelihoods(&self) -> Option<usize> {
        (self.logprobs == Some(true)).then(|| self.top_logprobs.unwrap_or(0) as usize)
    }

    /// What ends an answer.
    pub(crate) fn stops(&self) -> Vec<String> {
        match &self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Many(texts)) => texts.clone(),
        }
    }

    /// Checks everything that does not depend on the model but for its reading text only; the first thing wrong is told.
    pub fn check(&self) -> Result<(), Refusal> {
        self.check_messages()?;
        self.check_numbers()?;
        let stops = self.stops();
        if stops.len() > 4 {
            return Err(invalid("stop", format!("has {} texts; at most 4 may end an answer.", stops.len())));
        }
        if stops.iter().any(String::is_empty) {
            return Err(invalid("stop", "has an empty text, which would end every answer before it begins."));
        }
        if self.stream_options.is_some() && !self.streams() {
            return Err(invalid("stream_options", "goes with stream: true only."));
        }
        if let Some(effort) = self.reasoning_effort.as_deref().filter(|effort| !EFFORTS.contains(effort)) {
            return Err(invalid(
                "reasoning_effort",
                format!("is {effort:?}; it has to be one of {}.", EFFORTS.join(", ")),
            ));
        }
        self.check_metadata()?;
        self.check_format()?;
        self.check_tools()
    }

    fn check_messages(&self) -> Result<(), Refusal> {
        if self.messages.is_empty() {
            return Err(invalid("messages", "is empty; a model has to be asked something."));
        }
        for (place, message) in self.messages.iter().enumerate() {
            if !ROLES.contains(&message.role.as_str()) {
                let problem = format!("is {:?}; it has to be one of {}.", message.role, ROLES.join(", "));
                return Err(invalid(format!("messages[{place}].role"), problem));
            }
            if let Some(calls) = &message.tool_calls {
                crate::tools::check_calls(calls, &format!("messages[{place}].tool_calls"))?;
            }
            let Some(Content::Parts(parts)) = &message.content else { continue };
            for (number, part) in parts.iter().enumerate() {
                let member = format!("messages[{place}].content[{number}]");
                if part.kind != "text" {
                    let problem = format!("is of the type {}, and this model reads text alone.", part.kind);
                    return Err(invalid(member, problem));
                }
                if part.text.is_none() {
                    return Err(invalid(member, "is of the type text and has no text."));
                }
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Refusal> {
        for (member, value, (least, most)) in [
            ("temperature", self.temperature, TEMPERATURE),
            ("top_p", self.top_p, TOP_P),
            ("min_p", self.min_p, TOP_P),
            ("frequency_penalty", self.frequency_penalty, PENALTY),
            ("presence_penalty", self.presence_penalty, PENALTY),
        ] {
            if let Some(value) = value
                && !(least..=most).contains(&value)
            {
                return Err(invalid(member, format!("is {value}; it has to be from {least} to {most}.")));
            }
        }
        for (token, bias) in self.logit_bias.iter().flatten() {
            if token.parse::<u32>().is_err() || !(BIAS.0..=BIAS.1).contains(bias) {
                let problem =
                    format!("has {token:?}: {bias}; it goes from numbers of tokens to {} to {}.", BIAS.0, BIAS.1);
                return Err(invalid("logit_bias", problem));
            }
        }
        if let Some(n) = self.n
            && !(1..=128).contains(&n)
        {
            return Err(invalid("n", format!("is {n}; from 1 to 128 answers can be asked for.")));
        }
        if self.max_tokens == Some(0) {
            return Err(invalid("max_tokens", "is 0; it has to be at least 1."));
        }
        if let Some(most) = self.max_completion_tokens
            && most < 256
        {
            let problem = format!("is {most}; it has to be at least 256. max_tokens may be less.");
            return Err(invalid("max_completion_tokens", problem));
        }
        if let Some(top) = self.top_logprobs {
            if self.logprobs != Some(true) {
                return Err(invalid("top_logprobs", "goes with logprobs: true only."));
            }
            if top > 20 {
                return Err(invalid("top_logprobs", format!("is {top}; it has to be from 0 to 20.")));
            }
        }
        Ok(())
    }

    fn check_metadata(&self) -> Result<(), Refusal> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        if metadata.len() > 16 {
            return Err(invalid("metadata", format!("has {} pairs; it may have 16.", metadata.len())));
        }
        for (name, value) in metadata {
            if name.chars().count() > 64 || value.chars().count() > 512 {
                let problem = "has a name of more than 64 characters or a value of more than 512.";
                return Err(invalid("metadata", problem));
            }
        }
        Ok(())
    }

    fn check_format(&self) -> Result<(), Refusal> {
        let Some(format) = &self.response_format else { return Ok(()) };
        match format.kind.as_str() {
            "text" | "json_object" => Ok(()),
            "json_schema" => {
                let schema = format.json_schema.as_ref().and_then(|named| named.schema.as_ref());
                let Some(schema) = schema else {
                    return Err(invalid("response_format.json_schema.schema", "is missing."));
                };
                schema::check(schema, "response_format.json_schema.schema")
            }
            other => {
                let problem = format!("is {other:?}; it has to be text, json_object or json_schema.");
                Err(invalid("response_format.type", problem))
            }
        }
    }

    fn check_tools(&self) -> Result<(), Refusal> {
        let tools = self.tools.as_deref().unwrap_or_default();
        if tools.len() > 128 {
            return Err(invalid("tools", format!("has {} functions; it may have 128.", tools.len())));
        }
        for (place, tool) in tools.iter().enumerate() {
            tool.check(&format!("tools[{place}]"))?;
        }
        crate::tools::choice(self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(more: &Value) -> Option<String> {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let asked: Asked = serde_json::from_value(body).expect("of the right types");
        asked.check().err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name_inf_8() {
        for (member, wrong) in [
            ("n", json!(129)),
            ("n", json!(0)),
            ("temperature", json!(3)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(1.5)),
            ("presence_penalty", json!(2.5)),
            ("min_p", json!(2)),
            ("logit_bias", json!({ "x": 1 })),
            ("logit_bias", json!({ "7": 101 })),
            ("frequency_penalty", json!(-3)),
            ("max_tokens", json!(0)),
            ("max_completion_tokens", json!(255)),
            ("stop", json!(["a", "b", "c", "d", "e"])),
            ("stop", json!("")),
            ("messages", json!([])),
            ("messages", json!([{ "role": "robot", "content": "hi" }])),
            ("messages", json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }])),
            ("messages[0].tool_calls", json!([{ "role": "assistant", "tool_calls": { "id": "1" } }])),
            ("messages[0].tool_calls", json!([{ "role": "assistant", "tool_calls": [{ "type": "function" }] }])),
            (
                "messages[0].tool_calls[0].type",
                json!([{ "role": "assistant", "tool_calls": [
                { "id": "1", "type": "tool", "function": { "name": "f", "arguments": "{}" } },
            ] }]),
            ),
            ("stream_options", json!({ "include_usage": true })),
            ("reasoning_effort", json!("much")),
            ("top_logprobs", json!(3)),
            ("metadata", json!({ "a".repeat(65): "x" })),
            ("response_format", json!({ "type": "xml" })),
            ("response_format", json!({ "type": "json_schema", "json_schema": { "schema": { "type": "strnig" } } })),
            ("tools", json!([{ "type": "function", "function": { "name": "a b" } }])),
            ("tool_choice", json!("required")),
        ] {
            let sent = member.split('[').next().expect("a word");
            let text = refused(&json!({ sent: wrong })).unwrap_or_else(|| panic!("{member}: {wrong} is taken"));
            assert!(text.starts_with(member) && text.ends_with('.'), "{text}");
        }
        assert!(refused(&json!({ "logprobs": true, "top_logprobs": 21 })).is_some());
    }

    #[test]
    fn what_is_in_bounds_is_taken_and_null_is_nothing() {
        for right in [
            json!({ "n": 128, "temperature": 2, "top_p": 0, "max_completion_tokens": 256, "stop": ["a"] }),
            json!({ "n": null, "stop": null, "tools": null, "stream": null, "logprobs": null, "metadata": null, "user": null }),
            json!({ "user": "me", "reasoning_effort": "low" }),
            json!({ "stream": true, "stream_options": { "include_usage": null }, "something": "else" }),
            json!({ "logprobs": true, "top_logprobs": 20, "response_format": { "type": "json_object" } }),
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }] }),
        ] {
            assert_eq!(refused(&right), None, "{right}");
        }
    }
}
