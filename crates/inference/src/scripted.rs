//! The scripted model: what it says follows from the request alone, so that programs can be tested without any model.
//!
//! The last message decides, when the user wrote it: `echo TEXT` is answered with `TEXT`, `count to N` with the numbers up to
//! N; anything else with sentences that follow from the messages and `seed`. `response_format` is obeyed, tools are called as
//! `tools` says.

use std::collections::VecDeque;

use serde_json::json;

use crate::{
    Asked, Completion, Form, Named, Prompt, Refusal, Step, schema,
    token::{Dice, Token, cut},
    tools::{self, Call},
};

/// What it is called.
pub const NAME: &str = "dewpoint-scripted";
/// How many tokens it holds, messages and answer together.
pub const CONTEXT: u64 = 8192;

/// What sentences are made of.
const WORDS: [&str; 40] = [
    "water", "cloud", "morning", "garden", "stone", "river", "window", "paper", "quiet", "silver", "early", "warm",
    "green", "narrow", "bright", "gentle", "falls", "turns", "rests", "grows", "carries", "gathers", "holds", "finds",
    "over", "under", "through", "beside", "before", "after", "slowly", "often", "again", "together", "alone", "every",
    "some", "this", "that", "another",
];
/// One token in this many is told as not among the likeliest.
const UNLIKELY: usize = 24;
/// How many likely tokens there are at each place.
const LIKELY: usize = 20;

/// How many tokens a conversation has: its texts, and four for each message.
pub(crate) fn prompt_tokens(asked: &Asked) -> u64 {
    asked.messages.iter().map(|message| cut(&message.text()).len() as u64 + 4).sum()
}

/// An answer of the scripted model. Asked for no further step it makes no further token.
#[derive(Debug)]
pub struct Scripted {
    /// What is made of its tokens.
    pub completion: Completion,
    scripts: Vec<Script>,
}

impl Scripted {
    /// Begins an answer, or says why there can be none.
    pub fn new(asked: &Asked, named: Named) -> Result<Self, Refusal> {
        asked.check()?;
        let call = tools::choice(asked)?;
        let form = call.as_ref().map_or(Form::Text, |call| Form::Arguments(call.name.clone()));
        let prompt = Prompt { tokens: prompt_tokens(asked), context: CONTEXT };
        let completion = Completion::new(asked, named, prompt, form)?;
        let scripts = (0..asked.choices()).map(|index| Script::new(asked, call.as_ref(), index));
        Ok(Self { completion, scripts: scripts.collect() })
    }

    /// Makes the next token of the choice whose turn it is; `None` when all are at their ends.
    pub fn step(&mut self) -> Option<Step> {
        let index = self.completion.turn()?;
        let token = self.scripts[index].next();
        Some(self.completion.hear(index, token))
    }
}

/// One choice of the scripted model, token by token.
#[derive(Debug)]
pub(crate) struct Script {
    tokens: VecDeque<Vec<u8>>,
    /// The next number to say and the last one.
    counting: Option<(u64, u64)>,
    likelihoods: Option<Dice>,
}

impl Script {
    /// What choice number `choice` says, or how it calls the tool.
    pub(crate) fn new(asked: &Asked, call: Option<&Call>, choice: u32) -> Self {
        let told = asked.likelihoods().is_some();
        let likelihoods = told.then(|| dice(asked, choice, b"likelihoods"));
        let mut script = Self { tokens: VecDeque::new(), counting: None, likelihoods };
        let text = match call {
            Some(call) => call.arguments.clone(),
            None => match plan(asked, choice) {
                Plan::Text(text) => text,
                Plan::Count(end) => {
                    script.counting = Some((1, end));
                    String::new()
                }
            },
        };
        script.tokens = cut(&text).into();
        script
    }

    fn next_bytes(&mut self) -> Option<Vec<u8>> {
        if let Some(bytes) = self.tokens.pop_front() {
            return Some(bytes);
        }
        let (next, end) = self.counting?;
        if next > end {
            return None;
        }
        self.counting = Some((next + 1, end));
        let text = if next == 1 { "1".to_owned() } else { format!(" {next}") };
        self.tokens = cut(&text).into();
        self.tokens.pop_front()
    }
}

impl Iterator for Script {
    type Item = Token;
    fn next(&mut self) -> Option<Token> {
        let bytes = self.next_bytes()?;
        Some(match &mut self.likelihoods {
            Some(dice) => likely(bytes, dice),
            None => Token { bytes, logprob: None, top: Vec::new() },
        })
    }
}

/// Gives a token its likelihood, and its place the likeliest tokens; the token is among them, or is told as unlikely.
fn likely(bytes: Vec<u8>, dice: &mut Dice) -> Token {
    let first = dice.below(WORDS.len());
    let others = (0..WORDS.len()).map(|step| format!(" {}", WORDS[(first + step) % WORDS.len()]).into_bytes());
    let mut top: Vec<Vec<u8>> = others.filter(|other| *other != bytes).take(LIKELY).collect();
    let is_unlikely = dice.below(UNLIKELY) == 0;
    let place = if dice.below(4) == 0 { dice.below(LIKELY) } else { 0 };
    if !is_unlikely {
        top.insert(place, bytes.clone());
        top.truncate(LIKELY);
    }
    // Each half as likely as the one before it; a sixteenth of a bit makes the numbers look like a model's.
    let shift = f64::from(u32::try_from(dice.below(100)).unwrap_or(0)) / 1600.0;
    let of = |place: usize| -(std::f64::consts::LN_2 * (place + 1) as f64) - shift;
    Token {
        bytes,
        logprob: (!is_unlikely).then(|| of(place)),
        top: top.into_iter().enumerate().map(|(place, bytes)| (bytes, of(place))).collect(),
    }
}

fn dice(asked: &Asked, choice: u32, what: &[u8]) -> Dice {
    let texts: Vec<(String, String)> =
        asked.messages.iter().map(|message| (message.role.clone(), message.text())).collect();
    let (seed, choice) = (asked.seed.unwrap_or(0).to_le_bytes(), choice.to_le_bytes());
    let mut parts: Vec<&[u8]> = vec![what, &seed, &choice, asked.model.as_bytes()];
    parts.extend(texts.iter().flat_map(|(role, text)| [role.as_bytes(), text.as_bytes()]));
    Dice::of(&parts)
}

enum Plan {
    Text(String),
    Count(u64),
}

fn plan(asked: &Asked, choice: u32) -> Plan {
    match asked.response_format.as_ref().map(|format| (format.kind.as_str(), &format.json_schema)) {
        Some(("json_schema", Some(named))) => {
            return Plan::Text(named.schema.as_ref().map_or_else(|| json!({}), schema::plainest).to_string());
        }
        Some(("json_object", _)) => return Plan::Text(json!({ "answer": sentences(asked, choice) }).to_string()),
        _ => {}
    }
    let last = asked.messages.last().filter(|message| message.role == "user").map(|message| message.text());
    if let Some(last) = last {
        if let Some(text) = last.strip_prefix("echo ") {
            return Plan::Text(text.to_owned());
        }
        if let Some(end) = last.strip_prefix("count to ").and_then(|number| number.trim().parse().ok()) {
            return Plan::Count(end);
        }
    }
    Plan::Text(sentences(asked, choice))
}

fn sentences(asked: &Asked, choice: u32) -> String {
    let mut dice = dice(asked, choice, b"words");
    let mut text = String::new();
    for _ in 0..1 + dice.below(3) {
        if !text.is_empty() {
            text.push(' ');
        }
        for place in 0..4 + dice.below(7) {
            let word = WORDS[dice.below(WORDS.len())];
            if place == 0 {
                text.push_str(&word[..1].to_ascii_uppercase());
                text.push_str(&word[1..]);
            } else {
                text.push(' ');
                text.push_str(word);
            }
        }
        text.push('.');
    }
    text
}
