//! What is told of an answer, whichever model speaks: here the scripted one, and tokens that no model made.
#![expect(clippy::needless_pass_by_value, reason = "what is asked for is written where it is asked")]

use super::*;
use crate::scripted::{self, Scripted};

fn asked(text: &str, more: &Value) -> Asked {
    let mut body = json!({ "model": scripted::NAME, "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    serde_json::from_value(body).expect("of the right types")
}

fn begin(text: &str, more: Value) -> Scripted {
    let named = Named { id: "chatcmpl-1".to_owned(), created: 1_790_000_000 };
    Scripted::new(&asked(text, &more), named).expect("it can be answered")
}

fn whole(text: &str, more: Value) -> Value {
    let mut scripted = begin(text, more);
    while let Some(step) = scripted.step() {
        scripted.completion.gather(step);
    }
    serde_json::from_str(&scripted.completion.answer()).expect("JSON")
}

fn stream(text: &str, more: Value) -> Vec<Value> {
    let mut scripted = begin(text, more);
    let mut chunks = Vec::new();
    while let Some(step) = scripted.step() {
        chunks.extend(scripted.completion.chunks(step));
    }
    chunks.extend(scripted.completion.last_chunk());
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
    assert!(
        others
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk.as_object().is_some_and(|all| all.contains_key("usage")))
    );
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
        let all = list.as_array().expect("a list").iter().flat_map(|token| token["bytes"].as_array().expect("bytes"));
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
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
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
    let refusal = Scripted::new(&asked("hi", &json!({ "max_tokens": 9000 })), named).expect_err("too long");
    assert_eq!(refusal, Refusal::TooLong { context: 8192, prompt: 5, answer: 9000 });
    let text = refusal.to_string();
    assert!(text.contains("8192") && text.contains("9005"), "{text}");
}

fn token(text: &str) -> Option<Token> {
    Some(Token { bytes: text.as_bytes().to_vec(), logprob: Some(-0.5), top: Vec::new() })
}

fn of_no_model(more: Value, form: Form) -> Completion {
    let named = Named { id: "chatcmpl-1".to_owned(), created: 0 };
    Completion::new(&asked("hi", &more), named, Prompt { tokens: 3, context: 100 }, form).expect("it can be answered")
}

#[test]
fn choices_are_heard_in_any_order_and_what_ended_says_nothing_more() {
    let mut completion = of_no_model(json!({ "n": 2, "stop": "!" }), Form::Text);
    for (index, text) in [(1, "b"), (1, "c"), (0, "a"), (1, "d!e")] {
        let step = completion.hear(index, token(text));
        completion.gather(step);
    }
    assert!(completion.is_over(1) && !completion.is_over(0) && completion.turn() == Some(0));
    assert!(completion.hear(1, token("more")).is_empty());
    let step = completion.hear(0, None);
    completion.gather(step);
    assert_eq!(completion.turn(), None);
    completion.remembered(2);
    let answer: Value = serde_json::from_str(&completion.answer()).expect("JSON");
    let text = |index: usize| answer["choices"][index]["message"]["content"].clone();
    assert_eq!((text(0), text(1)), (json!("a"), json!("bcd")));
    assert_eq!(answer["usage"]["completion_tokens"], 4);
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
}

#[test]
fn calls_in_what_a_model_writes_are_told_as_calls() {
    let form = Form::Mixed { names: vec!["get_time".to_owned()], opened: false };
    let pieces =
        ["Sure", ".\n<tool", "_call>{\"name\": \"get_time\", ", "\"arguments\": {\"zone\": 1}}", "</tool_call>"];
    let mut streamed = of_no_model(json!({ "logprobs": true }), form.clone());
    let mut whole = of_no_model(json!({ "logprobs": true }), form);
    let mut chunks: Vec<Value> = Vec::new();
    for piece in pieces.into_iter().map(token).chain([None]) {
        let step = streamed.hear(0, piece.clone());
        chunks.extend(streamed.chunks(step).iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")));
        let step = whole.hear(0, piece);
        whole.gather(step);
    }
    let answer: Value = serde_json::from_str(&whole.answer()).expect("JSON");
    let message = &answer["choices"][0]["message"];
    assert_eq!((&message["content"], said(&chunks, 0).as_str()), (&json!("Sure."), "Sure."));
    let call = &message["tool_calls"][0];
    assert_eq!(call["function"], json!({ "name": "get_time", "arguments": "{\"zone\":1}" }));
    let calls: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    assert_eq!((calls.len(), &calls[0]["id"]), (2, &call["id"]));
    assert_eq!(calls[1]["function"]["arguments"], call["function"]["arguments"]);
    let finish = &chunks.last().expect("chunks")["choices"][0]["finish_reason"];
    assert_eq!((finish, &answer["choices"][0]["finish_reason"]), (&json!("tool_calls"), &json!("tool_calls")));
}
