//! An answer on its way: all its choices, a token of each in turn.

use serde_json::{Value, json};

use crate::{
    Asked, Refusal, Usage,
    scripted::{self, Script},
    speech::{Finish, Speech},
    token::{Dice, Token},
    tools::{self, Call},
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

/// What one token added to an answer.
#[derive(Debug)]
pub struct Step(Vec<(usize, Bit)>);

#[derive(Debug)]
enum Bit {
    Begin,
    /// The call of a tool, whose arguments follow.
    Call,
    More(String, Vec<Token>),
    End(Finish),
}

/// An answer on its way. Asked for no further step it makes no further token.
#[derive(Debug)]
pub struct Completion {
    named: Named,
    model: String,
    usage: Usage,
    tells_usage: bool,
    likelihoods: Option<usize>,
    call: Option<(String, Call)>,
    choices: Vec<Voice>,
    turn: usize,
    gathered: Vec<Gathered>,
}

#[derive(Debug)]
struct Voice {
    script: Script,
    speech: Speech,
    begun: bool,
}

/// What a choice has said so far.
#[derive(Debug, Default)]
struct Gathered {
    text: String,
    logprobs: Vec<Logprob>,
    finish: Option<Finish>,
}

impl Completion {
    /// Begins an answer of the scripted model, or says why there can be none.
    pub fn scripted(asked: &Asked, named: Named) -> Result<Self, Refusal> {
        asked.check()?;
        let prompt = scripted::prompt_tokens(asked);
        let room = scripted::CONTEXT.saturating_sub(prompt);
        let wanted = asked.max_completion_tokens.or(asked.max_tokens);
        let most = wanted.unwrap_or(room);
        if most > room || room == 0 {
            return Err(Refusal::TooLong { context: scripted::CONTEXT, prompt, answer: most.max(1) });
        }
        let call = tools::choice(asked)?;
        let voice = |index| Voice {
            script: Script::new(asked, call.as_ref(), index),
            // The arguments of a tool are no text that could have an end in it.
            speech: Speech::new(if call.is_some() { Vec::new() } else { asked.stops() }, most),
            begun: false,
        };
        let choices: Vec<Voice> = (0..asked.choices()).map(voice).collect();
        let call = call.map(|call| {
            let number = Dice::of(&[named.id.as_bytes(), b"call"]).roll();
            (format!("call_{number:016x}"), call)
        });
        Ok(Self {
            model: asked.model.clone(),
            usage: Usage { prompt, completion: 0 },
            tells_usage: asked.tells_usage(),
            likelihoods: asked.likelihoods(),
            gathered: choices.iter().map(|_| Gathered::default()).collect(),
            named,
            call,
            choices,
            turn: 0,
        })
    }

    /// What was used so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Makes the next token of the choice whose turn it is; `None` when all are at their ends.
    pub fn step(&mut self) -> Option<Step> {
        let count = self.choices.len();
        let index = (0..count).map(|step| (self.turn + step) % count).find(|at| !self.choices[*at].speech.is_over())?;
        self.turn = index + 1;
        let voice = &mut self.choices[index];
        let mut bits = Vec::new();
        if !voice.begun {
            voice.begun = true;
            bits.push((index, Bit::Begin));
            if self.call.is_some() {
                bits.push((index, Bit::Call));
            }
        }
        let before = voice.speech.spoken();
        let said = voice.speech.hear(voice.script.next());
        self.usage.completion += voice.speech.spoken() - before;
        if !said.text.is_empty() || (!said.tokens.is_empty() && said.finish.is_some()) {
            bits.push((index, Bit::More(said.text, said.tokens)));
        }
        if let Some(finish) = said.finish {
            let by_call = self.call.is_some() && finish == Finish::Stop;
            bits.push((index, Bit::End(if by_call { Finish::ToolCalls } else { finish })));
        }
        Some(Step(bits))
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
                delta.content = self.call.is_none().then(String::new);
            }
            Bit::Call => delta.tool_calls = self.call.as_ref().map(|(id, call)| {
                json!([{ "index": 0, "id": id, "type": "function", "function": { "name": call.name, "arguments": "" } }])
            }),
            Bit::More(text, _) if self.call.is_some() => {
                delta.tool_calls = Some(json!([{ "index": 0, "function": { "arguments": text } }]));
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
                Bit::Begin | Bit::Call => {}
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
    pub fn answer(self) -> String {
        let (call, likelihoods) = (self.call, self.likelihoods);
        let choices = self.gathered.into_iter().zip(0..).map(|(gathered, index)| {
            let tells = call.is_none() && likelihoods.is_some();
            let logprobs = tells.then_some(Logprobs { content: gathered.logprobs, refusal: None });
            let tool_calls: Option<Value> = call.as_ref().map(|(id, call)| {
                let function = json!({ "name": call.name, "arguments": gathered.text });
                json!([{ "id": id, "type": "function", "function": function }])
            });
            let content = call.is_none().then_some(gathered.text);
            let message = Message { role: "assistant", content, refusal: None, tool_calls };
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
#[expect(clippy::needless_pass_by_value, reason = "what is asked for is written where it is asked")]
mod tests {
    use super::*;

    fn asked(text: &str, more: &Value) -> Asked {
        let mut body = json!({ "model": scripted::NAME, "messages": [{ "role": "user", "content": text }] });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(body).expect("of the right types")
    }

    fn begin(text: &str, more: Value) -> Completion {
        let named = Named { id: "chatcmpl-1".to_owned(), created: 1_790_000_000 };
        Completion::scripted(&asked(text, &more), named).expect("it can be answered")
    }

    fn whole(text: &str, more: Value) -> Value {
        let mut completion = begin(text, more);
        while let Some(step) = completion.step() {
            completion.gather(step);
        }
        serde_json::from_str(&completion.answer()).expect("JSON")
    }

    fn stream(text: &str, more: Value) -> Vec<Value> {
        let mut completion = begin(text, more);
        let mut chunks = Vec::new();
        while let Some(step) = completion.step() {
            chunks.extend(completion.chunks(step));
        }
        chunks.extend(completion.last_chunk());
        chunks.iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect()
    }

    /// What the choice at `index` said in all its deltas.
    fn said(chunks: &[Value], index: u64) -> String {
        let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().expect("choices"));
        let own = choices.filter(|choice| choice["index"] == index);
        own.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
    }

    #[test]
    fn a_stream_says_who_speaks_then_what_then_why_it_ended_inf_3() {
        let chunks = stream("hello", json!({}));
        let first = &chunks[0]["choices"][0];
        assert_eq!((&first["delta"]["role"], &first["finish_reason"]), (&json!("assistant"), &Value::Null));
        let last = &chunks.last().expect("a chunk")["choices"][0];
        assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("stop")));
        let ends = chunks.iter().filter(|chunk| !chunk["choices"][0]["finish_reason"].is_null()).count();
        assert_eq!(ends, 1);
        assert!(chunks.iter().all(|chunk| chunk["id"] == "chatcmpl-1" && chunk.get("usage").is_none()));
        assert!(!said(&chunks, 0).is_empty());
        assert_eq!(whole("hello", json!({}))["choices"][0]["message"]["content"], said(&chunks, 0));
    }

    #[test]
    fn what_it_says_follows_from_messages_and_seed() {
        let text = |more| whole("tell me", more)["choices"][0]["message"]["content"].clone();
        assert_eq!(text(json!({})), text(json!({})));
        assert_eq!(text(json!({ "seed": 7 })), text(json!({ "seed": 7, "logprobs": true })));
        assert_ne!(text(json!({ "seed": 7 })), text(json!({ "seed": 8 })));
    }

    #[test]
    fn several_answers_take_turns_inf_3() {
        let chunks = stream("hello", json!({ "n": 3 }));
        let order: Vec<u64> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["index"].as_u64()).take(9).collect();
        assert!(order.windows(2).any(|pair| pair[0] < pair[1]) && order.contains(&2), "{order:?}");
        let answer = whole("hello", json!({ "n": 3 }));
        let texts: Vec<String> = (0..3).map(|index| said(&chunks, index)).collect();
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(answer["choices"][index]["message"]["content"], json!(text));
            assert_eq!(answer["choices"][index]["finish_reason"], "stop");
        }
        assert_ne!(texts[0], texts[1]);
    }

    #[test]
    fn the_last_chunk_tells_what_was_used_when_asked_inf_4() {
        let more = json!({ "stream": true, "stream_options": { "include_usage": true }, "n": 2 });
        let chunks = stream("echo one two", more.clone());
        let (last, others) = chunks.split_last().expect("chunks");
        assert_eq!(last["choices"], json!([]));
        assert!(others.iter().all(|chunk| chunk["usage"].is_null() && chunk.as_object().is_some_and(|all| all.contains_key("usage"))));
        assert_eq!(last["usage"], whole("echo one two", more)["usage"]);
        assert_eq!(last["usage"]["completion_tokens"], 4, "two tokens of two answers");
        let sum = last["usage"]["prompt_tokens"].as_u64().map(|prompt| prompt + 4);
        assert_eq!(last["usage"]["total_tokens"].as_u64(), sum);
    }

    #[test]
    fn stops_and_limits_end_it() {
        let answer = whole("echo one two STOP three", json!({ "stop": "STOP" }));
        assert_eq!(answer["choices"][0]["message"]["content"], "one two ");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        let answer = whole("count to 1000", json!({ "max_tokens": 5 }));
        assert_eq!(answer["choices"][0]["message"]["content"], "1 2 3 4 5");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 5);
    }

    #[test]
    fn likelihoods_are_of_the_tokens_said_and_outside_the_likeliest_is_a_number_inf_5() {
        let more = json!({ "logprobs": true, "top_logprobs": 20 });
        let answer = whole("count to 300", more.clone());
        let told = answer["choices"][0]["logprobs"]["content"].as_array().expect("a list").clone();
        assert_eq!(Some(told.len() as u64), answer["usage"]["completion_tokens"].as_u64());
        let unlikely = told.iter().filter(|token| token["logprob"] == json!(-9999.0)).count();
        assert!(unlikely > 0 && unlikely < told.len() / 2, "{unlikely} of {}", told.len());
        for token in &told {
            let top = token["top_logprobs"].as_array().expect("a list");
            assert_eq!(top.len(), 20);
            let among = top.iter().any(|one| one["token"] == token["token"] && one["logprob"] == token["logprob"]);
            assert_eq!(among, token["logprob"] != json!(-9999.0), "{token}");
        }
        let bytes = |list: &Value| -> Vec<u8> {
            let all =
                list.as_array().expect("a list").iter().flat_map(|token| token["bytes"].as_array().expect("bytes"));
            all.filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
        };
        let answer = whole("echo hi 😀!", more.clone());
        assert_eq!(bytes(&answer["choices"][0]["logprobs"]["content"]), "hi 😀!".as_bytes());
        let streamed: Vec<u8> = stream("echo hi 😀!", more)
            .iter()
            .filter(|chunk| !chunk["choices"][0]["logprobs"].is_null())
            .flat_map(|chunk| bytes(&chunk["choices"][0]["logprobs"]["content"]))
            .collect();
        assert_eq!(streamed, "hi 😀!".as_bytes());
        assert!(whole("hi", json!({}))["choices"][0]["logprobs"].is_null());
    }

    #[test]
    fn tools_are_called_as_the_request_says() {
        let parameters =
            json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
        let tools = json!([
            { "type": "function", "function": { "name": "get_time" } },
            { "type": "function", "function": { "name": "get_weather", "parameters": parameters } },
        ]);
        let called = |text: &str, choice: Value| {
            let answer = whole(text, json!({ "tools": tools, "tool_choice": choice }));
            let first = answer["choices"][0].clone();
            let calls = first["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
            assert_eq!(first["finish_reason"], if calls.is_empty() { "stop" } else { "tool_calls" });
            assert_eq!(first["message"]["content"].is_null(), !calls.is_empty());
            calls.first().map(|call| call["function"].clone())
        };
        assert_eq!(called("hi", json!("auto")), None);
        assert_eq!(called("use get_weather", json!("none")), None);
        let weather = Some(json!({ "name": "get_weather", "arguments": "{\"city\":\"text\"}" }));
        assert_eq!(called("use get_weather", json!("auto")), weather);
        assert_eq!(called("hi", json!({ "type": "function", "function": { "name": "get_weather" } })), weather);
        assert_eq!(called("hi", json!("required")), Some(json!({ "name": "get_time", "arguments": "{}" })));

        let chunks = stream("get_weather", json!({ "tools": tools }));
        let calls: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]).collect();
        assert_eq!(calls.iter().filter(|call| call["id"].is_string()).count(), 1);
        let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
        assert_eq!(arguments, "{\"city\":\"text\"}");
        assert_eq!(chunks.last().expect("a chunk")["choices"][0]["finish_reason"], "tool_calls");
    }

    #[test]
    fn a_format_is_obeyed() {
        let content = |format: Value| {
            let answer = whole("hi", json!({ "response_format": format }));
            let text = answer["choices"][0]["message"]["content"].as_str().expect("a text").to_owned();
            serde_json::from_str::<Value>(&text).expect("JSON")
        };
        assert!(content(json!({ "type": "json_object" })).is_object());
        let schema = json!({ "type": "object", "properties": { "age": { "type": "integer" } } });
        assert_eq!(
            content(json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": schema } })),
            json!({ "age": 1 })
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        let named = Named { id: "a".to_owned(), created: 0 };
        let refusal = Completion::scripted(&asked("hi", &json!({ "max_tokens": 9000 })), named).expect_err("too long");
        assert_eq!(refusal, Refusal::TooLong { context: 8192, prompt: 5, answer: 9000 });
        let text = refusal.to_string();
        assert!(text.contains("8192") && text.contains("9005"), "{text}");
    }
}
