//! Calls of functions in what a model writes: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as many open models do.
//!
//! Text outside of these marks is said as it comes, held back only while it may be the beginning of a mark. What is between
//! them is a call when it is JSON that names a function there is, and text like any other when it is not.

use serde_json::Value;

use crate::{token::Token, tools::Call};

const OPENS: &str = "<tool_call>";
const CLOSES: &str = "</tool_call>";

/// What was made out.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Text(String, Vec<Token>),
    Call(Call),
}

/// Looks for calls in a text that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Calls {
    names: Vec<String>,
    /// Whether what is held stands behind the mark that opens a call.
    inside: bool,
    /// Whether that mark was written by the model: not when the prompt ended with it.
    written: bool,
    held: String,
    tokens: Vec<Token>,
}

impl Calls {
    /// Of functions with these names; `inside` when the prompt already ended with the mark that opens a call.
    pub(crate) fn new(names: Vec<String>, inside: bool) -> Self {
        Self { names, inside, written: false, held: String::new(), tokens: Vec::new() }
    }

    /// Takes the next piece with its tokens.
    pub(crate) fn hear(&mut self, text: &str, tokens: Vec<Token>) -> Vec<Heard> {
        self.held.push_str(text);
        self.tokens.extend(tokens);
        let mut heard = Vec::new();
        loop {
            if self.inside {
                let Some(end) = self.held.find(CLOSES) else { return heard };
                let rest = self.held.split_off(end + CLOSES.len());
                self.held.truncate(end);
                heard.push(self.close(CLOSES));
                self.held = rest;
            } else if let Some(start) = self.held.find(OPENS) {
                let rest = self.held.split_off(start + OPENS.len());
                self.held.truncate(start);
                // Line breaks before a call belong to it.
                let before = self.held.trim_end().to_owned();
                let cut = self.held.split_off(before.len());
                if !before.is_empty() {
                    heard.push(Heard::Text(before, std::mem::take(&mut self.tokens)));
                }
                drop(cut);
                (self.inside, self.written, self.held) = (true, true, rest);
            } else {
                let kept = begun(&self.held);
                let said: String = self.held.drain(..self.held.len() - kept).collect();
                if !said.is_empty() {
                    // With nothing held back all tokens are of what is said; else the last ones may not be, and wait.
                    let tokens = if kept == 0 { std::mem::take(&mut self.tokens) } else { Vec::new() };
                    heard.push(Heard::Text(said, tokens));
                }
                return heard;
            }
        }
    }

    /// There is no more: what was held back.
    pub(crate) fn end(&mut self) -> Option<Heard> {
        if self.inside {
            return Some(self.close(""));
        }
        let (text, tokens) = (std::mem::take(&mut self.held), std::mem::take(&mut self.tokens));
        (!text.is_empty() || !tokens.is_empty()).then_some(Heard::Text(text, tokens))
    }

    /// What is held is all that stands between the marks.
    fn close(&mut self, mark: &str) -> Heard {
        let (inner, tokens) = (std::mem::take(&mut self.held), std::mem::take(&mut self.tokens));
        let written = std::mem::replace(&mut self.written, false);
        self.inside = false;
        match self.read(&inner) {
            Some(call) => Heard::Call(call),
            None => Heard::Text(format!("{}{inner}{mark}", if written { OPENS } else { "" }), tokens),
        }
    }

    fn read(&self, text: &str) -> Option<Call> {
        let call: Value = serde_json::from_str(text.trim()).ok()?;
        let name = call.get("name")?.as_str()?.to_owned();
        if !self.names.contains(&name) {
            return None;
        }
        let arguments = match call.get("arguments").or_else(|| call.get("parameters")) {
            None | Some(Value::Null) => "{}".to_owned(),
            // Some models write the arguments as a text that is JSON.
            Some(Value::String(text)) => text.clone(),
            Some(arguments) => arguments.to_string(),
        };
        Some(Call { name, arguments })
    }
}

/// How many bytes at the end of `text` may be the beginning of a call: white space, and a part of its mark.
fn begun(text: &str) -> usize {
    let mark = (1..OPENS.len().min(text.len() + 1)).rev().find(|length| text.ends_with(&OPENS[..*length])).unwrap_or(0);
    let before = &text[..text.len() - mark];
    before.len() - before.trim_end().len() + mark
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, width: usize, inside: bool) -> (String, Vec<Call>) {
        let mut calls = Calls::new(vec!["get_weather".to_owned()], inside);
        let characters: Vec<char> = text.chars().collect();
        let mut heard: Vec<Heard> = Vec::new();
        for piece in characters.chunks(width) {
            heard.extend(calls.hear(&piece.iter().collect::<String>(), vec![Token::default()]));
        }
        heard.extend(calls.end());
        let (mut said, mut made) = (String::new(), Vec::new());
        for one in heard {
            match one {
                Heard::Text(text, _) => said.push_str(&text),
                Heard::Call(call) => made.push(call),
            }
        }
        (said, made)
    }

    #[test]
    fn a_call_is_made_out_however_it_arrives() {
        let text = "Let me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>\n\
                    <tool_call>{\"name\": \"get_weather\"}</tool_call> done";
        for width in 1..text.chars().count() {
            let (said, made) = all(text, width, false);
            assert_eq!(said, "Let me see. done", "{width}");
            let weather = |arguments: &str| Call { name: "get_weather".to_owned(), arguments: arguments.to_owned() };
            assert_eq!(made, [weather("{\"city\":\"Köln\"}"), weather("{}")], "{width}");
        }
    }

    #[test]
    fn what_is_no_call_is_text_and_none_of_it_is_lost() {
        for text in [
            "a < b <tool_c",
            "x <tool_call>no JSON</tool_call> y",
            "<tool_call>{\"name\": \"unknown\"}</tool_call>",
            "trailing space \n",
        ] {
            for width in 1..text.len() {
                let (said, made) = all(text, width, false);
                // Only the line break before what looked like a call may be missing.
                assert_eq!(
                    said.split_whitespace().collect::<String>(),
                    text.split_whitespace().collect::<String>(),
                    "{width}"
                );
                assert!(made.is_empty());
            }
        }
    }

    #[test]
    fn a_call_that_the_prompt_opened_ends_with_the_answer() {
        let (said, made) = all("{\"name\": \"get_weather\", \"arguments\": \"{}\"}", 3, true);
        assert_eq!((said.as_str(), made.len()), ("", 1));
        assert_eq!(made[0].arguments, "{}");
        let (said, made) = all("{\"name\": \"get_weath", 3, true);
        assert_eq!((said.as_str(), made.len()), ("{\"name\": \"get_weath", 0), "cut off by the limit");
    }
}
