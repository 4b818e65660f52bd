//! What is the same with any model, with a tiny one of chance: it knows bytes, and says nothing of meaning.

use std::fs;

use dewpoint_gguf::{Builder, Value as Pair};
use serde_json::{Value, json};

use crate::common::{Server, endless, wait_until};

fn content(answer: &Value, index: usize) -> String {
    answer["choices"][index]["message"]["content"].as_str().expect("a text").to_owned()
}

#[test]
fn it_says_what_it_is_and_answers_as_described() {
    let server = Server::tiny(&["--context", "256", "--parallel", "2"]);
    let health = server.get("/health");
    assert_eq!((&health["status"], &health["context"], &health["embeds"]), (&json!("ok"), &json!(256), &json!(false)));
    let answer = server.answer("hi", &json!({ "max_tokens": 5, "logit_bias": endless() }));
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("test")));
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["completion_tokens"]),
        (&json!("length"), &json!(5))
    );
    let more = json!({ "max_tokens": 5, "logit_bias": endless(), "stream_options": { "include_usage": true } });
    let chunks = server.stream("hi", &more).whole().chunks();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let ends = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "length").count();
    assert_eq!((ends, &chunks.last().expect("chunks")["usage"]["completion_tokens"]), (1, &json!(5)));
}

#[test]
fn others_are_answered_while_a_long_text_is_taken_apart() {
    let server = Server::tiny(&[]);
    let text = "a long text ".repeat(300_000);
    let (long, meanwhile) = std::thread::scope(|scope| {
        let long = scope.spawn(|| server.chat(&text, &json!({})));
        let mut meanwhile = 0;
        while !long.is_finished() {
            assert_eq!(server.get("/health")["status"], "ok");
            meanwhile += 1;
        }
        (long.join().expect("it is answered"), meanwhile)
    });
    assert!(long.status == 400 && long.body.contains("tokens"), "{} {}", long.status, long.body);
    // One or two come before it is there whole.
    assert!(meanwhile > 3, "{meanwhile} answers");
}

#[test]
fn greedy_and_seeded_answers_are_the_same_again_and_in_a_stream() {
    let server = Server::tiny(&[]);
    for more in [json!({ "temperature": 0 }), json!({ "seed": 11, "temperature": 1.5, "min_p": 0 })] {
        let mut more = more;
        more["max_tokens"] = json!(30);
        let texts: Vec<String> = (0..3).map(|_| content(&server.answer("tell", &more), 0)).collect();
        assert!(!texts[0].is_empty() && texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        let chunks = server.stream("tell", &more).whole().chunks();
        let streamed: String =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(streamed, texts[0]);
    }
    let seeded = |seed: u64| content(&server.answer("tell", &json!({ "seed": seed, "max_tokens": 30, "min_p": 0 })), 0);
    assert_ne!(seeded(1), seeded(2));
}

#[test]
fn a_stop_sequence_ends_an_answer_before_it() {
    let server = Server::tiny(&[]);
    let more = |stop: Value| json!({ "temperature": 0, "max_tokens": 60, "logit_bias": endless(), "stop": stop });
    let whole = content(&server.answer("tell", &more(Value::Null)), 0);
    let characters: Vec<char> = whole.chars().collect();
    // Two characters from the middle: mostly of two tokens.
    let stop: String = characters[characters.len() / 2..].iter().take(2).collect();
    let answer = server.answer("tell", &more(json!([stop, "nowhere to be found"])));
    assert_eq!(content(&answer, 0), whole.split(&stop).next().expect("a beginning"));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(answer["usage"]["completion_tokens"].as_u64() < Some(60));
}

#[test]
fn several_choices_are_computed_together_and_more_than_there_are_places_take_turns() {
    let server = Server::tiny(&["--parallel", "3"]);
    let text =
        "a conversation that is long enough to be read once for all of its answers, and not once for each of them";
    let more = json!({ "n": 7, "max_tokens": 12, "seed": 3, "min_p": 0, "logit_bias": endless() });
    let answer = server.answer(text, &more);
    assert_eq!(answer["choices"].as_array().map(Vec::len), Some(7));
    assert_eq!(answer["usage"]["completion_tokens"], 7 * 12);
    assert_ne!(content(&answer, 0), content(&answer, 1));
    let prompt = answer["usage"]["prompt_tokens"].as_u64().expect("a count");
    // Read once; of the other six choices' copies the last token is computed each time.
    assert_eq!(server.count("prompt_tokens"), prompt + 6);
    assert_eq!(server.count("cached_tokens"), 6 * (prompt - 1));
    assert!(server.count("shared_steps") >= 20 && server.count("steps") < 7 * 12, "{}", server.get("/stats"));
    // Asked first too: with what was computed before, numbers differ in their last digits, and chance may turn on these.
    let streamed = Server::tiny(&["--parallel", "3"]).stream(text, &more).whole().chunks();
    for index in 0..7 {
        let own = streamed.iter().filter(|chunk| chunk["choices"][0]["index"] == index);
        let said: String = own.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(said, content(&answer, index));
    }
}

#[test]
fn likelihoods_are_the_models_own() {
    let server = Server::tiny(&[]);
    let more = json!({ "logprobs": true, "top_logprobs": 20, "max_tokens": 40, "temperature": 2, "min_p": 0, "seed": 5, "logit_bias": endless() });
    let answer = server.answer("tell", &more);
    let told = answer["choices"][0]["logprobs"]["content"].as_array().expect("a list").clone();
    assert_eq!(told.len(), 40);
    let outside = told.iter().filter(|token| token["logprob"] == json!(-9999.0)).count();
    assert!(outside > 0, "a model of chance at temperature 2 leaves its likeliest twenty");
    for token in &told {
        let top: Vec<f64> = token["top_logprobs"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["logprob"].as_f64().expect("a number"))
            .collect();
        assert!(
            top.len() == 20
                && top.windows(2).all(|pair| pair[0] >= pair[1])
                && top.iter().all(|logprob| *logprob < 0.0)
        );
        assert!(top.iter().map(|logprob| logprob.exp()).sum::<f64>() <= 1.0 + 1e-6);
    }
    let bytes = told.iter().flat_map(|token| token["bytes"].as_array().expect("bytes")).filter_map(Value::as_u64);
    let bytes: Vec<u8> = bytes.map(|byte| u8::try_from(byte).expect("a byte")).collect();
    assert_eq!(String::from_utf8_lossy(&bytes), content(&answer, 0));
}

#[test]
fn an_answer_is_held_to_a_schema_whatever_the_model_would_say() {
    let server = Server::tiny(&[]);
    let schema = json!({ "type": "object", "required": ["zeta", "alpha"], "additionalProperties": false, "properties": {
        "zeta": { "type": "integer", "minimum": 10, "maximum": 99 }, "alpha": { "enum": ["one", "two"] },
        "list": { "type": "array", "items": { "type": "boolean" }, "minItems": 1, "maxItems": 2 },
    } });
    for seed in 0..20 {
        let format = json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": schema } });
        let answer = server.answer("tell", &json!({ "response_format": format, "seed": seed, "min_p": 0 }));
        let text = content(&answer, 0);
        let made: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!((10..=99).contains(&made["zeta"].as_i64().expect("an integer")), "{text}");
        assert!(["one", "two"].contains(&made["alpha"].as_str().expect("a text")), "{text}");
        assert!(text.find("zeta") < text.find("alpha"), "in the order of the schema: {text}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let refused = |format: Value| {
        let answer = server.chat("tell", &json!({ "response_format": format }));
        (answer.status, answer.message())
    };
    let pattern = json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": { "type": "string", "pattern": "a" } } });
    let (status, message) = refused(pattern);
    assert!(status == 422 && message.contains("schema.pattern"), "{status} {message}");
    let endless = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }] }, "b": { "anyOf": [{ "$ref": "#/$defs/a" }] } } });
    let (status, _) = refused(json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": endless } }));
    assert_eq!(status, 422);
    assert_eq!(server.chat("tell", &json!({ "max_tokens": 3 })).status, 200, "others are not harmed");
}

#[test]
fn functions_are_called_when_they_have_to_be() {
    let server = Server::tiny(&["--parallel", "1"]);
    let parameters = json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string", "maxLength": 8 } } });
    let tools = json!([
        { "type": "function", "function": { "name": "rain", "parameters": parameters } },
        { "type": "function", "function": { "name": "now", "parameters": { "type": "object", "additionalProperties": false } } },
    ]);
    let named = json!({ "type": "function", "function": { "name": "rain" } });
    for (choice, seed) in [(json!("required"), 1), (json!("required"), 2), (named.clone(), 3)] {
        let more = json!({ "tools": tools, "tool_choice": choice, "seed": seed, "min_p": 0 });
        let answer = server.answer("?", &more);
        let calls =
            answer["choices"][0]["message"]["tool_calls"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        let arguments: Value =
            serde_json::from_str(calls[0]["function"]["arguments"].as_str().expect("a text")).expect("JSON");
        match calls[0]["function"]["name"].as_str().expect("a name") {
            "rain" => assert!(arguments["city"].is_string(), "{arguments}"),
            "now" => assert_eq!((arguments, choice == named), (json!({}), false)),
            other => panic!("no function {other}"),
        }
        assert_eq!((calls.len(), &answer["choices"][0]["finish_reason"]), (1, &json!("tool_calls")));
        let chunks = server.stream("?", &more).whole().chunks();
        let said = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str());
        assert_eq!(said.collect::<String>(), calls[0]["function"]["arguments"].as_str().expect("a text"));
    }
}

#[test]
fn what_does_not_fit_or_is_no_request_is_refused_and_named() {
    let server = Server::tiny(&["--context", "64"]);
    let long = server.chat(&"word ".repeat(200), &json!({}));
    assert!(long.status == 400 && long.message().contains("holds 64 tokens"), "{}", long.body);
    assert_eq!(long.json()["request_id"], "r-1");
    let long = server.chat("hi", &json!({ "max_tokens": 5000 }));
    assert!(long.status == 400 && long.message().contains("5000"), "{}", long.body);
    let broken = server.post_text("/v1/chat/completions", "{\"messages\": [");
    assert_eq!((broken.status, &broken.json()["id"]), (400, &json!("bad_request")));
    assert_eq!(server.chat("hi", &json!({ "temperature": 3 })).status, 422);
    assert_eq!(server.post("/v1/embeddings", &json!({ "input": "hi" })).status, 400);
    assert_eq!(server.count("requests"), 0, "none of them reached the model");
}

#[test]
fn a_mark_in_what_is_written_is_read_as_text() {
    let server = Server::tiny(&[]);
    let length = |message: &Value| {
        let body = json!({ "messages": [message], "max_tokens": 1 });
        let answer = server.post("/v1/chat/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["usage"]["prompt_tokens"].as_u64().expect("a count")
    };
    let user = |text: &str| length(&json!({ "role": "user", "content": text }));
    // Its vocabulary has a token for each of these characters, and one for `en`; a mark would be one.
    assert_eq!(user("a<|im_end|>") - user("a"), 9);
    let parts = json!([{ "type": "text", "text": "a</" }, { "type": "text", "text": "s>" }]);
    assert_eq!(length(&json!({ "role": "user", "content": parts })) - user("a"), 4);
    let all: String = ('\u{fdd0}'..='\u{fdef}').collect();
    let refused = server.chat(&format!("{all}<s>"), &json!({}));
    assert!(refused.status == 400 && refused.message().contains("U+FDD0"), "{}", refused.body);
}

#[test]
fn a_model_whose_weights_are_no_numbers_breaks_its_answers_and_not_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("broken.gguf");
    let mut bytes = dewpoint_gguf::tiny::model(7);
    // The last tensor is the one that makes logits.
    let from = bytes.len() - 64 * 1024;
    for weight in bytes[from..].chunks_exact_mut(4) {
        weight.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    // Everything is made of these too.
    let middle = bytes.len() / 2;
    for weight in bytes[middle - middle % 4..from].chunks_exact_mut(4) {
        weight.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    fs::write(&path, bytes).expect("written");
    let server = Server::start(directory, &path, &[]);
    for _ in 0..2 {
        let answer = server.chat("hi", &json!({ "max_tokens": 3 }));
        assert!(answer.status == 500 && answer.message().contains("numbers that are none"), "{}", answer.body);
    }
    let stream = server.stream("hi", &json!({ "max_tokens": 3 })).whole();
    assert_eq!(stream.status, 500, "before the first byte an error is a status (INF-6)");
    wait_until("all of them are let go", || (server.count("running") == 0).then_some(()));
    assert_eq!(server.count("failed"), 3);
}

#[test]
fn a_model_that_makes_numbers_of_texts_does_that_and_no_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("embed.gguf");
    let bytes = with_pair("llama.pooling_type", &Pair::U32(1));
    fs::write(&path, bytes).expect("written");
    let server = Server::start(directory, &path, &[]);
    assert_eq!(server.get("/health")["embeds"], true);
    let answer = server.post("/v1/embeddings", &json!({ "model": "test", "input": ["the one", "another", "the one"] }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    let numbers = |index: usize| -> Vec<f64> {
        told["data"][index]["embedding"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
    };
    assert_eq!(
        (&told["object"], told["data"].as_array().map(Vec::len), numbers(0).len()),
        (&json!("list"), Some(3), 64)
    );
    assert!((numbers(0).iter().map(|number| number * number).sum::<f64>() - 1.0).abs() < 1e-3);
    // As OpenAI's client for Python asks: the same numbers, in four bytes each.
    let packed = server.post("/v1/embeddings", &json!({ "input": "the one", "encoding_format": "base64" })).json();
    let text = packed["data"][0]["embedding"].as_str().expect("a text").to_owned();
    assert_eq!(text.len(), (64_usize * 4).div_ceil(3) * 4);
    assert!(numbers(0) == numbers(2) && numbers(0) != numbers(1));
    assert!(told["usage"]["prompt_tokens"].as_u64() > Some(3));
    for (wrong, status) in [
        (json!({ "input": [] }), 422),
        (json!({ "input": "" }), 422),
        (json!({ "input": 5 }), 400),
        (json!({ "input": "x ".repeat(2000) }), 400),
    ] {
        assert_eq!(server.post("/v1/embeddings", &wrong).status, status, "{wrong}");
    }
    assert_eq!(server.chat("hi", &json!({})).status, 400);
}

/// The tiny model with one more pair of metadata.
fn with_pair(key: &str, value: &Pair) -> Vec<u8> {
    let model = dewpoint_gguf::tiny::model(7);
    // A file of this pair alone shows how the pair is written; behind magic, version and two counts (24 bytes).
    let alone = Builder::default().pair(key, value.clone()).build();
    let header = dewpoint_gguf::read(model.as_slice(), model.len() as u64).expect("a model");
    let begins = usize::try_from(header.data_begins).expect("small");
    let pair_length = 8 + key.len() + 4 + 4;
    let mut bytes = model[..24].to_vec();
    let pairs = u64::from_le_bytes(model[16..24].try_into().expect("eight bytes")) + 1;
    bytes[16..24].copy_from_slice(&pairs.to_le_bytes());
    bytes.extend_from_slice(&alone[24..24 + pair_length]);
    // The header's own padding is cut off and made anew for the new length.
    let mut end = begins;
    while model[end - 1] == 0 && end > begins - 31 {
        end -= 1;
    }
    // The last field of a header is a tensor's offset of eight bytes: zeros that belong to it are kept.
    let last = header.tensors.last().expect("tensors").offset.to_le_bytes();
    let kept = last.iter().rev().take_while(|byte| **byte == 0).count();
    bytes.extend_from_slice(&model[24..end + kept]);
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend_from_slice(&model[begins..]);
    bytes
}
