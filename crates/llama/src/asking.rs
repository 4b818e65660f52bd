//! From a request to what the model computes: the prompt's tokens, what the answer's tokens are, and a grammar for them.

use dewpoint_inference::{Asked, Form, Format, Refusal, ToolChoice, grammar};
use llama_cpp_2::token::LlamaToken;

use crate::{load::Loaded, marks::NoSeal};

/// What begins a call of a function, as most models were taught.
const OPENS: &str = "<tool_call>\n";

/// A request in the model's terms.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) prompt: Vec<LlamaToken>,
    pub(crate) form: Form,
    pub(crate) grammar: Option<String>,
}

/// Why a request cannot be put to the model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("messages cannot be put to this model: its chat template says {0}")]
    Template(String),
    #[error(transparent)]
    NoSeal(#[from] NoSeal),
}

pub(crate) fn put(loaded: &Loaded, asked: &Asked) -> Result<Put, Error> {
    let choice = asked.tool_choice();
    let (form, grammar, begun) = shape(asked, &choice)?;
    let mut tools = if choice == ToolChoice::None { Vec::new() } else { asked.tools() };
    let mut messages = asked.conversation();
    let seal = loaded.mark_texts.seal(&mut messages, &mut tools)?;
    let text = loaded.template.render(&messages, &tools);
    let mut text =
        text.map_err(|error| Error::Template(error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned)))?;
    text.push_str(&begun);
    let begins = !loaded.bos.is_empty() && text.starts_with(&loaded.bos);
    let prompt = loaded.mark_texts.tokens(&loaded.model.vocab(), &text, seal, !begins);
    if prompt.is_empty() {
        return Err(Error::Template("nothing at all".to_owned()));
    }
    Ok(Put { prompt, form, grammar })
}

/// What the tokens are, what they follow, and what the assistant is given as already said.
fn shape(asked: &Asked, choice: &ToolChoice) -> Result<(Form, Option<String>, String), Refusal> {
    let functions = asked.functions();
    let named = |name: &str| functions.iter().enumerate().find(|(_, function)| function.name == name);
    let one = match choice {
        ToolChoice::Named(name) => named(name),
        ToolChoice::Required if functions.len() == 1 => functions.iter().enumerate().next(),
        _ => None,
    };
    if let Some((place, function)) = one {
        let grammar = grammar::of_arguments(function, &format!("tools[{place}].function.parameters"))?;
        let begun = format!("{OPENS}{{\"name\": \"{}\", \"arguments\": ", function.name);
        return Ok((Form::Arguments(function.name.to_owned()), Some(grammar), begun));
    }
    let names: Vec<String> = functions.iter().map(|function| function.name.to_owned()).collect();
    let grammar = match asked.format() {
        Format::Text => None,
        Format::Json => Some(grammar::of_object()),
        Format::Schema(schema) => Some(grammar::of_schema(&schema, "response_format.json_schema.schema")?),
    };
    match choice {
        ToolChoice::Required => {
            Ok((Form::Mixed { names, opened: true }, Some(grammar::of_calls(&functions)?), OPENS.to_owned()))
        }
        ToolChoice::None => Ok((Form::Text, grammar, String::new())),
        _ if grammar.is_some() => Err(Refusal::Invalid {
            member: "response_format".to_owned(),
            problem: "cannot be held to while the model may call functions; set tool_choice to none or required."
                .to_owned(),
        }),
        _ => Ok((Form::Mixed { names, opened: false }, None, String::new())),
    }
}
