//! Conversations as the model was taught to read them: by the chat template in its file, a program in Jinja.
//!
//! The file is not ours, so the template runs with a limit on what it may do ([`FUEL`]) and reaches nothing but its values.

use minijinja::{
    Environment, Error, ErrorKind, Value as Jinja, context,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde},
};
use serde_json::{Value, json};

/// How many steps a template may take; a conversation of a hundred messages takes some ten thousand.
const FUEL: u64 = 5_000_000;
/// The name under which the template is kept.
const CHAT: &str = "chat";
/// What models without a template are asked with: ChatML, which most models have seen.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A model's way to put a conversation.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    /// Whether it knows of functions by itself.
    knows_tools: bool,
}

impl Template {
    /// From the text in the model's file, if there is one that works; ChatML otherwise, with a warning to be told.
    pub fn new(source: Option<&str>, bos: String, eos: String) -> (Self, Option<String>) {
        let chatml = |warning: String, bos: String, eos: String| {
            let template = Self::read(CHATML, bos, eos).expect("our own template is sound");
            (template, Some(format!("{warning}; conversations are put in ChatML, which it may not understand")))
        };
        let Some(source) = source else { return chatml("the model's file has no chat template".to_owned(), bos, eos) };
        let tried = Self::read(source, bos.clone(), eos.clone()).and_then(|template| {
            template.render(&[json!({ "role": "user", "content": "hello" })], &[]).map(|_| template)
        });
        match tried {
            Ok(template) => (template, None),
            Err(error) => chatml(format!("the model's chat template does not work ({error:#})"), bos, eos),
        }
    }

    fn read(source: &str, bos: String, eos: String) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> Result<Jinja, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_function("strftime_now", |format: String| {
            // What the format has that is unknown is left out rather than the whole conversation.
            jiff::fmt::strtime::format(&format, &jiff::Zoned::now()).unwrap_or_default()
        });
        environment.add_filter("tojson", |value: &Jinja, indent: Option<Jinja>, more: Kwargs| {
            minijinja::filters::tojson(value, indent, more).map(|text| plain(&text.to_string()))
        });
        environment.add_template_owned(CHAT, source.to_owned())?;
        Ok(Self { environment, bos, eos, knows_tools: source.contains("tools") })
    }

    /// The conversation as text that ends where the assistant begins.
    ///
    /// Fails when the template refuses it (some want roles to take turns), or takes too long.
    pub fn render(&self, messages: &[Value], tools: &[Value]) -> Result<String, Error> {
        let told;
        let messages = if tools.is_empty() || self.knows_tools {
            messages
        } else {
            told = with_tools(messages, tools);
            told.as_slice()
        };
        let tools = if tools.is_empty() { Jinja::from(()) } else { Jinja::from(Serde(tools)) };
        self.environment.get_template(CHAT)?.render(context! {
            messages => Jinja::from(Serde(messages)), tools, add_generation_prompt => true,
            bos_token => self.bos.clone(), eos_token => self.eos.clone(),
        })
    }
}

/// JSON without what makes it safe in HTML, which models were not taught.
fn plain(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escaped = ["u003c", "u003e", "u0026", "u0027"].into_iter().zip(["<", ">", "&", "'"]);
        let behind = &rest[at + 1..];
        let found = escaped.into_iter().find(|(code, _)| behind.starts_with(code));
        // What is escaped otherwise is kept, with the character behind the backslash, which may be another one.
        let next = behind.chars().next().map_or(0, char::len_utf8);
        plain.push_str(found.map_or(&rest[at..at + 1 + next], |(_, text)| text));
        rest = &behind[found.map_or(next, |(code, _)| code.len())..];
    }
    plain + rest
}

/// Tells a model whose template knows no functions of them, in the words that most models were taught.
fn with_tools(messages: &[Value], tools: &[Value]) -> Vec<Value> {
    let list: Vec<String> = tools.iter().map(Value::to_string).collect();
    let told = format!(
        "You may call functions. They are, each in JSON:\n<tools>\n{}\n</tools>\nTo call one, answer with its name and \
         arguments in JSON:\n<tool_call>\n{{\"name\": \"…\", \"arguments\": {{…}}}}\n</tool_call>",
        list.join("\n")
    );
    let mut messages: Vec<Value> = messages
        .iter()
        .map(|message| match message["role"].as_str() {
            // Nor does such a template know of calls and of their results.
            Some("tool") => {
                let content = message["content"].as_str().unwrap_or_default();
                json!({ "role": "user", "content": format!("<tool_response>\n{content}\n</tool_response>") })
            }
            Some("assistant") if message.get("tool_calls").is_some() => {
                let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
                    let call = json!({ "name": call["function"]["name"], "arguments": call["function"]["arguments"] });
                    format!("<tool_call>\n{call}\n</tool_call>")
                });
                json!({ "role": "assistant", "content": calls.collect::<Vec<_>>().join("\n") })
            }
            _ => message.clone(),
        })
        .collect();
    match messages.first_mut() {
        Some(first) if first["role"] == "system" => {
            first["content"] = json!(format!("{}\n\n{told}", first["content"].as_str().unwrap_or_default()));
        }
        _ => messages.insert(0, json!({ "role": "system", "content": told })),
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> Template {
        let (template, warning) = Template::new(Some(source), "<s>".to_owned(), "</s>".to_owned());
        assert_eq!(warning, None);
        template
    }

    fn user(text: &str) -> Vec<Value> {
        vec![json!({ "role": "user", "content": text })]
    }

    #[test]
    fn templates_are_read_as_python_reads_them() {
        let source = "{{ bos_token }}\n{%- for message in messages -%}\n    {% if message['content'].strip().startswith('x') %}\n[{{ message.role.upper() }}] \
                      {{ message['content'] | trim }}{{ eos_token }}\n    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}A:{% endif %}";
        assert_eq!(template(source).render(&user(" x y "), &[]).expect("text"), "<s>[USER] x y</s>\nA:");
        let source = "{% for m in messages %}{{ loop.index0 }}{% if loop.last %}{% break %}{% endif %}{% endfor %}{{ tools | tojson }}";
        assert_eq!(
            template(source).render(&user("a"), &[json!({ "b": 1, "a": "<\\u003c'>" })]).expect("text"),
            "0[{\"b\": 1, \"a\": \"<\\\\u003c'>\"}]"
        );
        assert_eq!(template("{{ strftime_now('%Y') }}").render(&user("a"), &[]).expect("text").len(), 4);
    }

    #[test]
    fn a_template_that_refuses_says_why_and_one_without_end_is_stopped() {
        let source = "{% if messages | length > 1 %}{{ raise_exception('roles take turns') }}{% endif %}";
        let error = template(source).render(&[user("a"), user("b")].concat(), &[]).expect_err("refused").to_string();
        assert!(error.contains("roles take turns"), "{error}");
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}";
        let (template, warning) = Template::new(Some(endless), String::new(), String::new());
        assert!(warning.expect("a warning").contains("ChatML"));
        assert!(template.render(&user("hi"), &[]).expect("text").ends_with("hi<|im_end|>\n<|im_start|>assistant\n"));
        assert!(Template::new(None, String::new(), String::new()).1.is_some());
    }

    #[test]
    fn a_template_that_knows_no_functions_is_told_of_them_in_words() {
        let (template, _) = Template::new(None, String::new(), String::new());
        let tools = [json!({ "type": "function", "function": { "name": "get_time" } })];
        let call = json!({ "function": { "name": "get_time", "arguments": {} } });
        let messages = [
            user("hi")[0].clone(),
            json!({ "role": "assistant", "content": "", "tool_calls": [call] }),
            json!({ "role": "tool", "content": "12:00" }),
        ];
        let text = template.render(&messages, &tools).expect("text");
        assert!(
            text.starts_with("<|im_start|>system\nYou may call functions.") && text.contains("get_time\"}"),
            "{text}"
        );
        assert!(
            text.contains("<tool_call>\n{\"name\":\"get_time\",\"arguments\":{}}")
                && text.contains("<tool_response>\n12:00"),
            "{text}"
        );
    }
}
