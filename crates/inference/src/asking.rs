//! What a model is told of a request: its conversation as a template reads it, its functions, and how to choose tokens.

use serde_json::{Value, json};

use crate::Asked;

/// How the next token is chosen among the likely ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0: always the likeliest; 1: as likely as the model has it.
    pub temperature: f64,
    /// Only the likeliest that together are this likely.
    pub top_p: f64,
    /// Only those at least this likely, beside the likeliest; no member of the description.
    pub min_p: Option<f64>,
    /// Less likely by this (in logits) for each time that the answer has it.
    pub frequency_penalty: f64,
    /// Less likely by this when the answer has it.
    pub presence_penalty: f64,
    /// What chance follows from; the same for the same request.
    pub seed: Option<i64>,
    /// Tokens by their number, and what their logits get more.
    pub logit_bias: Vec<(u32, f64)>,
}

/// Whether functions may, must or must not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// Not to be called, or there are none.
    None,
    /// As the model likes.
    Auto,
    /// One of them has to be called.
    Required,
    /// This one has to be called.
    Named(String),
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Anything.
    Text,
    /// An object in JSON.
    Json,
    /// JSON that follows this schema.
    Schema(Value),
}

/// A function that may be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Function<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The schema of its arguments.
    pub parameters: Option<&'a Value>,
}

impl Asked {
    /// The messages as chat templates read them: texts joined, and arguments of calls as objects.
    pub fn conversation(&self) -> Vec<Value> {
        let message = |message: &crate::asked::Message| {
            let mut told = json!({ "role": message.role, "content": message.text() });
            if let Some(calls) = message.tool_calls.as_ref().and_then(Value::as_array) {
                told["tool_calls"] = calls.iter().map(with_arguments).collect();
            }
            for (name, value) in [("tool_call_id", &message.tool_call_id), ("name", &message.name)] {
                if let Some(text) = value {
                    told[name] = json!(text);
                }
            }
            told
        };
        self.messages.iter().map(message).collect()
    }

    /// The functions as chat templates read them.
    pub fn tools(&self) -> Vec<Value> {
        self.tools.iter().flatten().map(crate::tools::Tool::told).collect()
    }

    /// The functions that can be called.
    pub fn functions(&self) -> Vec<Function<'_>> {
        self.tools.iter().flatten().map(crate::tools::Tool::function).collect()
    }

    /// Whether functions are to be called. What [`check`](Asked::check) refuses counts as `auto`.
    pub fn tool_choice(&self) -> ToolChoice {
        if self.tools.as_deref().unwrap_or_default().is_empty() {
            return ToolChoice::None;
        }
        match &self.tool_choice {
            Some(Value::String(word)) if word == "none" => ToolChoice::None,
            Some(Value::String(word)) if word == "required" => ToolChoice::Required,
            Some(object) => match object.pointer("/function/name").and_then(Value::as_str) {
                Some(name) => ToolChoice::Named(name.to_owned()),
                None => ToolChoice::Auto,
            },
            None => ToolChoice::Auto,
        }
    }

    /// What the answer has to be.
    pub fn format(&self) -> Format {
        let Some(format) = &self.response_format else { return Format::Text };
        match (format.kind.as_str(), &format.json_schema) {
            ("json_object", _) => Format::Json,
            ("json_schema", Some(named)) => named.schema.clone().map_or(Format::Json, Format::Schema),
            _ => Format::Text,
        }
    }

    /// How tokens are to be chosen; what is absent is 1 or 0, as documented.
    pub fn sampling(&self) -> Sampling {
        let bias = self.logit_bias.iter().flatten();
        Sampling {
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            min_p: self.min_p,
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            presence_penalty: self.presence_penalty.unwrap_or(0.0),
            seed: self.seed,
            logit_bias: bias.filter_map(|(token, bias)| Some((token.parse().ok()?, *bias))).collect(),
        }
    }
}

/// A call with its arguments as the object that their text is of.
fn with_arguments(call: &Value) -> Value {
    let mut call = call.clone();
    if let Some(arguments) = call.pointer_mut("/function/arguments")
        && let Some(read) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *arguments = read;
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(more: &Value) -> Asked {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }] });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(body).expect("of the right types")
    }

    #[test]
    fn a_conversation_is_told_as_templates_read_it() {
        let calls = json!([{ "id": "1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } }]);
        let more = json!({ "messages": [
            { "role": "assistant", "content": null, "tool_calls": calls }, { "role": "tool", "tool_call_id": "1", "content": "7" },
        ] });
        let told = asked(&more).conversation();
        assert_eq!(told[0]["tool_calls"][0]["function"]["arguments"], json!({ "a": 1 }));
        assert_eq!(told[1], json!({ "role": "tool", "content": "7", "tool_call_id": "1" }));
        assert_eq!(asked(&json!({})).conversation(), [json!({ "role": "user", "content": "ab" })]);
    }

    #[test]
    fn what_is_wished_of_functions_and_tokens() {
        let tools =
            json!([{ "type": "function", "function": { "name": "f", "description": "does", "parameters": {} } }]);
        let choice = |choice: Value| asked(&json!({ "tools": tools, "tool_choice": choice })).tool_choice();
        assert_eq!(choice(Value::Null), ToolChoice::Auto);
        assert_eq!(choice(json!("none")), ToolChoice::None);
        assert_eq!(choice(json!("required")), ToolChoice::Required);
        assert_eq!(choice(json!({ "function": { "name": "f" } })), ToolChoice::Named("f".to_owned()));
        assert_eq!(asked(&json!({})).tool_choice(), ToolChoice::None);
        assert_eq!(asked(&json!({ "tools": tools })).tools(), tools.as_array().expect("a list").clone());
        let sampling = asked(&json!({ "logit_bias": { "7": -100 }, "top_p": 0.5 })).sampling();
        assert_eq!((sampling.temperature, sampling.top_p, sampling.logit_bias), (1.0, 0.5, vec![(7, -100.0)]));
    }
}
