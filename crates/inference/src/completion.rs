//! An answer on its way: all its choices, a token of each in turn, whichever model they come from.
//!
//! A model says what its request came to ([`Prompt`]) and what its tokens are ([`Form`]). Then it is asked whose
//! [`turn`](Completion::turn) it is, makes a token of that choice, and lets the answer [`hear`](Completion::hear) it. One that
//! makes tokens of several choices at once may let them be heard in any order.

use serde_json::{Value, json};

use crate::{
    Asked, Refusal, Token, Usage,
    calls::{Calls, Heard},
    speech::{Finish, Speech},
    token::Dice,
    wire::{Answer, Choice, Chunk, ChunkChoice, Delta, Logprob, Logprobs, Message},
};

/// What an answer is known by, in all its chunks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, such as `chatcmpl-…`.
    pub id: String,
    /// When it was begun, in seconds since the Unix epoch.
    pub created: i64,
}

/// What a request comes to in a model's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Of its messages.
    pub tokens: u64,
    /// Most that the model holds, messages and one answer together.
    pub context: u64,
}

/// What the tokens of each choice are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// What the assistant says.
    Text,
    /// The arguments of one call of the function with this name, as JSON.
    Arguments(String),
    /// What the assistant says, and in it calls of these functions as `<tool_call>{"name": …, "arguments": …}</tool_call>`.
    Mixed {
        /// The functions that can be called.
        names: Vec<String>,
        /// Whether the prompt ended with the mark that opens a call, so that the first token stands behind it.
        opened: bool,
    },
}

/// What one token added to an answer.
#[derive(Debug)]
pub struct Step(Vec<(usize, Bit)>);

impl Step {
    /// Whether it adds nothing that could be told yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Debug)]
enum Bit {
    Begin,
    /// A call by its number, whose arguments follow.
    Call(usize, String),
    Arguments(usize, String),
    More(String, Vec<Token>),
    End(Finish),
}

/// An answer on its way.
#[derive(Debug)]
pub struct Completion {
    named: Named,
    model: String,
    usage: Usage,
    tells_usage: bool,
    likelihoods: Option<usize>,
    form: Form,
    choices: Vec<Voice>,
    turn: usize,
    gathered: Vec<Gathered>,
}

#[derive(Debug)]
struct Voice {
    speech: Speech,
    /// Where calls are looked for in what is said.
    calls: Option<Calls>,
    begun: bool,
    /// How many functions it called.
    called: usize,
}

/// What a choice has said so far.
#[derive(Debug, Default)]
struct Gathered {
    text: String,
    logprobs: Vec<Logprob>,
    calls: Vec<(String, String)>,
    finish: Option<Finish>,
}

impl Completion {
    /// Begins an answer, or says why there can be none: the messages and the answer have to fit into the model.
    pub fn new(asked: &Asked, named: Named, prompt: Prompt, form: Form) -> Result<Self, Refusal> {
        let room = prompt.context.saturating_sub(prompt.tokens);
        let most = asked.most().unwrap_or(room);
        if most > room || room == 0 {
            return Err(Refusal::TooLong { context: prompt.context, prompt: prompt.tokens, answer: most.max(1) });
        }
        let voice = |_| Voice {
            // The arguments of a function are no text that could have an end in it.
            speech: Speech::new(if form == Form::Text { asked.stops() } else { Vec::new() }, most),
            calls: match &form {
                Form::Text | Form::Arguments(_) => None,
                Form::Mixed { names, opened } => Some(Calls::new(names.clone(), *opened)),
            },
            begun: false,
            called: 0,
        };
        let choices: Vec<Voice> = (0..asked.choices()).map(voice).collect();
        Ok(Self {
            model: asked.model.clone(),
            usage: Usage { prompt: prompt.tokens, ..Usage::default() },
            tells_usage: asked.tells_usage(),
            likelihoods: asked.likelihoods(),
            gathered: choices.iter().map(|_| Gathered::default()).collect(),
            named,
            form,
            choices,
            turn: 0,
        })
    }

    /// What was used so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Notes how many of the messages' tokens the model knew from an earlier request.
    pub fn remembered(&mut self, cached: u64) {
        self.usage.cached = Some(cached);
    }

    /// How many choices it has.
    pub fn choices(&self) -> usize {
        self.choices.len()
    }

    /// Whether a choice ended; a further token of it would not be heard.
    pub fn is_over(&self, index: usize) -> bool {
        self.choices.get(index).is_none_or(|voice| voice.speech.is_over())
    }

    /// The choice whose token is next when they take turns; `None` when all ended.
    pub fn turn(&self) -> Option<usize> {
        let count = self.choices.len();
        (0..count).map(|step| (self.turn + step) % count).find(|at| !self.is_over(*at))
    }

    /// Hears the next token of the choice at `index`; `None`: it has no more to say. What ended says nothing more.
    pub fn hear(&mut self, index: usize, token: Option<Token>) -> Step {
        if self.is_over(index) {
            return Step(Vec::new());
        }
        self.turn = index + 1;
        let voice = &mut self.choices[index];
        let mut bits = Vec::new();
        if !voice.begun {
            voice.begun = true;
            bits.push(Bit::Begin);
            if let Form::Arguments(name) = &self.form {
                bits.push(Bit::Call(0, name.clone()));
                voice.called = 1;
            }
        }
        let before = voice.speech.spoken();
        let said = voice.speech.hear(token);
        self.usage.completion += voice.speech.spoken() - before;
        match (&self.form, &mut voice.calls) {
            (Form::Arguments(_), _) if said.text.is_empty() => {}
            (Form::Arguments(_), _) => bits.push(Bit::Arguments(0, said.text)),
            (_, Some(calls)) => {
                let mut heard = calls.hear(&said.text, said.tokens);
                heard.extend(said.finish.and_then(|_| calls.end()));
                for one in heard {
                    match one {
                        Heard::Text(text, tokens) => bits.push(Bit::More(text, tokens)),
                        Heard::Call(call) => {
                            bits.push(Bit::Call(voice.called, call.name));
                            bits.push(Bit::Arguments(voice.called, call.arguments));
                            voice.called += 1;
                        }
                    }
                }
            }
            (_, None) if said.text.is_empty() && (said.tokens.is_empty() || self.likelihoods.is_none()) => {}
            (_, None) => bits.push(Bit::More(said.text, said.tokens)),
        }
        if let Some(finish) = said.finish {
            let by_call = voice.called > 0 && finish == Finish::Stop;
            bits.push(Bit::End(if by_call { Finish::ToolCalls } else { finish }));
        }
        Step(bits.into_iter().map(|bit| (index, bit)).collect())
    }

    /// A step as the chunks of a stream, each a line of JSON.
    pub fn chunks(&self, step: Step) -> Vec<String> {
        step.0.into_iter().map(|(index, bit)| self.chunk(index, bit)).collect()
    }

    fn chunk(&self, index: usize, bit: Bit) -> String {
        let (mut delta, mut finish, mut logprobs) = (Delta::default(), None, None);
        match bit {
            Bit::Begin => {
                delta.role = Some("assistant");
                delta.content = (!matches!(self.form, Form::Arguments(_))).then(String::new);
            }
            Bit::Call(number, name) => {
                let id = self.call_id(index, number);
                let function = json!({ "name": name, "arguments": "" });
                delta.tool_calls =
                    Some(json!([{ "index": number, "id": id, "type": "function", "function": function }]));
            }
            Bit::Arguments(number, text) => {
                delta.tool_calls = Some(json!([{ "index": number, "function": { "arguments": text } }]));
            }
            Bit::More(text, tokens) => {
                delta.content = Some(text);
                logprobs = self.logprobs(tokens);
            }
            Bit::End(reason) => finish = Some(reason.as_str()),
        }
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.line(vec![ChunkChoice { index, delta, finish_reason: finish, logprobs }], None)
    }

    /// What a call is known by; the same in a stream and in the one answer.
    fn call_id(&self, index: usize, number: usize) -> String {
        let (index, number) = ((index as u64).to_le_bytes(), (number as u64).to_le_bytes());
        format!("call_{:016x}", Dice::of(&[self.named.id.as_bytes(), b"call", &index, &number]).roll())
    }

    fn logprobs(&self, tokens: Vec<Token>) -> Option<Logprobs> {
        let top = self.likelihoods?;
        Some(Logprobs { content: tokens.into_iter().map(|token| Logprob::new(token, top)).collect(), refusal: None })
    }

    /// The chunk behind the last step: what was used, when that was asked for (INF-4).
    pub fn last_chunk(&self) -> Option<String> {
        self.tells_usage.then(|| self.line(Vec::new(), Some(self.usage)))
    }

    fn line(&self, choices: Vec<ChunkChoice>, usage: Option<Usage>) -> String {
        let chunk = Chunk {
            id: &self.named.id,
            object: "chat.completion.chunk",
            created: self.named.created,
            model: &self.model,
            choices,
            usage: self.tells_usage.then_some(usage),
        };
        serde_json::to_string(&chunk).expect("texts and finite numbers always serialize")
    }

    /// Keeps a step for the one answer.
    pub fn gather(&mut self, step: Step) {
        for (index, bit) in step.0 {
            let gathered = &mut self.gathered[index];
            match bit {
                Bit::Begin => {}
                Bit::Call(_, name) => gathered.calls.push((name, String::new())),
                Bit::Arguments(number, text) => {
                    if let Some((_, arguments)) = gathered.calls.get_mut(number) {
                        arguments.push_str(&text);
                    }
                }
                Bit::More(text, tokens) => {
                    gathered.text.push_str(&text);
                    if let Some(top) = self.likelihoods {
                        gathered.logprobs.extend(tokens.into_iter().map(|token| Logprob::new(token, top)));
                    }
                }
                Bit::End(finish) => gathered.finish = Some(finish),
            }
        }
    }

    /// Everything that was gathered as one answer, a line of JSON (INF-1).
    pub fn answer(mut self) -> String {
        let gathered = std::mem::take(&mut self.gathered);
        let choices = gathered.into_iter().enumerate().map(|(index, gathered)| {
            let tells = gathered.calls.is_empty() && self.likelihoods.is_some();
            let logprobs = tells.then_some(Logprobs { content: gathered.logprobs, refusal: None });
            let content = (gathered.calls.is_empty() || !gathered.text.is_empty()).then_some(gathered.text);
            let calls = gathered.calls.into_iter().enumerate().map(|(number, (name, arguments))| {
                let function = json!({ "name": name, "arguments": arguments });
                json!({ "id": self.call_id(index, number), "type": "function", "function": function })
            });
            let calls: Vec<Value> = calls.collect();
            let tool_calls = (!calls.is_empty()).then_some(Value::Array(calls));
            let message = Message { role: "assistant", content, refusal: None, reasoning_content: None, tool_calls };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            Choice { index, message, finish_reason: gathered.finish.map(Finish::as_str), logprobs }
        });
        let answer = Answer {
            id: &self.named.id,
            object: "chat.completion",
            created: self.named.created,
            model: &self.model,
            choices: choices.collect(),
            usage: self.usage,
        };
        serde_json::to_string(&answer).expect("texts and finite numbers always serialize")
    }
}

#[cfg(test)]
mod tests;
