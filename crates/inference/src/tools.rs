//! Tools: whether they can be called, and which of them the scripted model calls.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Asked,
    asked::{Refusal, invalid},
    schema,
};

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Tool {
    #[serde(rename = "type")]
    kind: String,
    function: Function,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

/// A call that the model makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Tool {
    pub(crate) fn check(&self, at: &str) -> Result<(), Refusal> {
        if self.kind != "function" {
            return Err(invalid(format!("{at}.type"), format!("is {:?}; it has to be function.", self.kind)));
        }
        let name = &self.function.name;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            let problem = format!("is {name:?}; it has to be 1 to 64 letters, digits, _ and -.");
            return Err(invalid(format!("{at}.function.name"), problem));
        }
        match &self.function.parameters {
            Some(parameters) => schema::check(parameters, &format!("{at}.function.parameters")),
            None => Ok(()),
        }
    }

    /// As the request has it, what is null or unknown left out.
    pub(crate) fn told(&self) -> Value {
        let mut function = json!({ "name": self.function.name });
        if let Some(description) = &self.function.description {
            function["description"] = json!(description);
        }
        if let Some(parameters) = &self.function.parameters {
            function["parameters"] = parameters.clone();
        }
        json!({ "type": self.kind, "function": function })
    }

    pub(crate) fn function(&self) -> crate::Function<'_> {
        crate::Function { name: &self.function.name, parameters: self.function.parameters.as_ref() }
    }

    fn call(&self) -> Call {
        let arguments = self.function.parameters.as_ref().map_or_else(|| json!({}), schema::plainest);
        Call { name: self.function.name.clone(), arguments: arguments.to_string() }
    }
}

/// Checks what the assistant called earlier, as a message has it. What else a call has is for the model's template.
pub(crate) fn check_calls(calls: &Value, at: &str) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "id")]
        _id: String,
        #[serde(rename = "type")]
        kind: String,
        #[serde(rename = "function")]
        _function: SaidFunction,
    }
    #[derive(Deserialize)]
    struct SaidFunction {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "arguments")]
        _arguments: String,
    }
    let said = Vec::<Said>::deserialize(calls).map_err(|error| invalid(at, format!("cannot be read: {error}.")))?;
    match said.iter().position(|call| call.kind != "function") {
        Some(place) => Err(invalid(format!("{at}[{place}].type"), "has to be function.")),
        None => Ok(()),
    }
}

/// The tool that the request leaves the scripted model to call: the one it names, the first when one is required, and
/// otherwise one whose name the last message of the user has. A conversation that ends with a tool's answer is answered.
///
/// Fails when `tool_choice` names no tool there is.
pub(crate) fn choice(asked: &Asked) -> Result<Option<Call>, Refusal> {
    let tools = asked.tools.as_deref().unwrap_or_default();
    let first = || {
        let none = || invalid("tool_choice", "asks for a tool, and there is none in tools.");
        tools.first().map(Tool::call).map(Some).ok_or_else(none)
    };
    match &asked.tool_choice {
        None | Some(Value::Null) => Ok(named_in_passing(asked, tools)),
        Some(Value::String(word)) => match word.as_str() {
            "none" => Ok(None),
            "auto" => Ok(named_in_passing(asked, tools)),
            "required" => first(),
            other => Err(invalid("tool_choice", format!("is {other:?}; the words are none, auto and required."))),
        },
        Some(object) => {
            let Some(name) = object.pointer("/function/name").and_then(Value::as_str) else {
                return Err(invalid(
                    "tool_choice",
                    "names no function: it is {\"type\": \"function\", \"function\": {\"name\": …}}.",
                ));
            };
            let tool = tools.iter().find(|tool| tool.function.name == name);
            let missing = || invalid("tool_choice", format!("names the function {name:?}, which is not in tools."));
            tool.map(Tool::call).map(Some).ok_or_else(missing)
        }
    }
}

fn named_in_passing(asked: &Asked, tools: &[Tool]) -> Option<Call> {
    let last = asked.messages.last().filter(|message| message.role == "user")?.text();
    tools.iter().find(|tool| last.contains(&tool.function.name)).map(Tool::call)
}
