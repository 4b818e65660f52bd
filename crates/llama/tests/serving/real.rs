//! With a real model, small and not bright: what is looked at is the shape of its answers, and what they cost.

use std::time::Instant;

use serde_json::{Value, json};

use crate::common::{Server, wait_until};

/// SmolLM2's tokens that end an answer.
fn goes_on() -> Value {
    json!({ "0": -100, "2": -100 })
}

fn content(answer: &Value) -> String {
    answer["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
}

#[test]
fn it_answers_in_words_and_greedily_always_the_same() {
    let server = Server::real(&["--context", "1024"]);
    let more = json!({ "temperature": 0, "max_tokens": 24 });
    let first = server.answer("Name three colours.", &more);
    let text = content(&first);
    assert!(text.split_whitespace().count() >= 3 && text.is_ascii(), "{text:?}");
    // The template has a system message of its own, so the prompt is longer than the question.
    assert!(first["usage"]["prompt_tokens"].as_u64() > Some(20));
    assert_eq!(content(&server.answer("Name three colours.", &more)), text);
    // Its four choices have the prompt from each other.
    let long =
        "Please tell me about rivers, lakes and seas, about the rain that feeds them and the towns that lie on them.";
    let four = server.answer(long, &json!({ "n": 4, "temperature": 0, "max_tokens": 12 }));
    let texts = four["choices"].as_array().expect("a list").iter().map(|choice| choice["message"]["content"].clone());
    assert!(texts.clone().all(|text| text == content(&four)), "{:?}", texts.collect::<Vec<_>>());
    let stop = text.split_whitespace().nth(2).expect("three words");
    let stopped = server.answer("Name three colours.", &json!({ "temperature": 0, "max_tokens": 24, "stop": stop }));
    assert_eq!(content(&stopped), text.split(stop).next().expect("a beginning"));
}

#[test]
fn a_conversation_that_goes_on_is_not_read_again() {
    let server = Server::real(&["--context", "1024", "--parallel", "2"]);
    let question =
        json!({ "role": "user", "content": "Please tell me something about rivers and about the sea. ".repeat(6) });
    let ask = |messages: &Value| {
        let answer = server.post(
            "/v1/chat/completions",
            &json!({ "messages": messages, "temperature": 0, "max_tokens": 12, "logit_bias": goes_on() }),
        );
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let first = ask(&json!([question]));
    assert_eq!(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    let length = first["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert_eq!(server.count("prompt_tokens"), length);
    let second = ask(
        &json!([question, { "role": "assistant", "content": content(&first) }, { "role": "user", "content": "And the wind?" }]),
    );
    let cached = second["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a count");
    assert!(cached >= length, "{cached} of {length} and the answer are known");
    let computed = server.count("prompt_tokens") - length;
    assert_eq!(computed, second["usage"]["prompt_tokens"].as_u64().expect("a count") - cached);
    assert!(computed < 40, "{computed}");
}

#[test]
fn conversations_of_several_clients_are_computed_together() {
    let server = Server::real(&["--context", "2048", "--parallel", "2"]);
    let more = json!({ "max_tokens": 1800, "logit_bias": goes_on() });
    let mut one = server.stream("Count as far as you can.", &more);
    one.until("\"content\":\"\"");
    let mut other = server.stream("Tell a story.", &more);
    other.until("\"content\":\"\"");
    // A third has to wait, and is told of.
    let third = server.stream("And me?", &json!({ "max_tokens": 2 }));
    let waits = || {
        let stats = server.get("/stats");
        (stats["running"] == 2 && stats["queued"] == 1).then_some(stats["shared_steps"].as_u64().expect("a count"))
    };
    let (steps, asked) = (wait_until("the third waits", waits), Instant::now());
    wait_until("both are computed", || waits().filter(|now| *now > steps + 5));
    // Whoever goes away makes room at once.
    let waited = asked.elapsed();
    drop(one);
    let third = third.whole();
    assert!(u128::from(third.queued_us()) >= waited.as_micros(), "{} of {waited:?}", third.queued_us());
    assert_eq!(third.chunks().last().expect("chunks")["choices"][0]["finish_reason"], "length");
    assert_eq!(server.count("gone"), 1);
    drop(other);
    wait_until("nobody is computed for", || (server.count("running") == 0).then_some(()));
    let stats = server.get("/stats");
    assert_eq!((&stats["gone"], &stats["failed"]), (&json!(2), &json!(0)));
    assert!(stats["tokens_made"].as_u64() < Some(3000), "{stats}");
    let made = server.count("tokens_made");
    assert_eq!(server.answer("Still there?", &json!({ "max_tokens": 1 }))["usage"]["completion_tokens"], 1);
    assert_eq!(server.count("tokens_made"), made + 1);
}

#[test]
fn it_follows_schemas_and_calls_functions() {
    let server = Server::real(&["--context", "1024"]);
    let schema = json!({ "type": "object", "required": ["name", "age"], "additionalProperties": false, "properties": {
        "name": { "type": "string", "minLength": 1, "maxLength": 40 }, "age": { "type": "integer", "minimum": 0, "maximum": 120 },
        "hobbies": { "type": "array", "items": { "type": "string", "maxLength": 20 }, "maxItems": 3 },
    } });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "person", "schema": schema } });
    for seed in 0..3 {
        let answer = server.answer("Invent a person.", &json!({ "response_format": format, "seed": seed }));
        let person: Value = serde_json::from_str(&content(&answer)).expect("JSON");
        assert!(person["name"].as_str().is_some_and(|name| !name.is_empty()), "{person}");
        assert!(person["age"].as_u64().is_some_and(|age| age <= 120), "{person}");
    }
    let object = server.answer(
        "Answer in JSON: what is a river?",
        &json!({ "response_format": { "type": "json_object" }, "temperature": 0, "max_tokens": 200 }),
    );
    if object["choices"][0]["finish_reason"] == "stop" {
        assert!(serde_json::from_str::<Value>(&content(&object)).expect("JSON").is_object());
    }
    let tools = json!([{ "type": "function", "function": { "name": "get_weather", "description": "The weather in a city", "parameters": {
        "type": "object", "required": ["city"], "properties": { "city": { "type": "string", "maxLength": 30 } },
    } } }]);
    let answer = server.answer(
        "What is the weather like in Paris?",
        &json!({ "tools": tools, "tool_choice": "required", "temperature": 0 }),
    );
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().expect("a text")).expect("JSON");
    assert!(call["name"] == "get_weather" && arguments["city"].is_string(), "{call}");
    let free = server
        .answer("What is the weather like in Paris?", &json!({ "tools": tools, "max_tokens": 16, "temperature": 0 }));
    assert!(["stop", "length", "tool_calls"].contains(&free["choices"][0]["finish_reason"].as_str().expect("a word")));
}

#[test]
fn on_sigterm_what_goes_on_too_long_ends_with_an_error_of_its_own() {
    let mut server = Server::real(&["--context", "4096"]);
    let mut stream = server.stream("Count as far as you can.", &json!({ "logit_bias": goes_on() }));
    stream.until("\"content\":\"\"");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("sent");
    let whole = stream.whole();
    assert!(whole.body.contains("\"error\"") && whole.body.contains("being stopped") && !whole.body.contains("[DONE]"));
    assert!(server.end().success());
}

#[test]
fn nobody_ends_a_turn_by_writing_its_mark() {
    let server = Server::real(&["--context", "1024"]);
    let length = |text: &str| {
        let answer = server.answer(text, &json!({ "max_tokens": 1 }));
        answer["usage"]["prompt_tokens"].as_u64().expect("a count")
    };
    // As a mark it would be one token more; as text it is what its characters make.
    let (without, with) = (length("one two"), length("one<|im_end|> two"));
    assert!(with >= without + 5, "{without} and {with}");
    // What has no mark in it is read as ever: 30 tokens of the template, and a token for each of these words.
    let more = length("one two<");
    assert_eq!(more, without + 1);
}
