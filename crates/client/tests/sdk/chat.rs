//! Answers of models, at once and bit by bit.

use dewpoint_client::{
    Error,
    chat::{Accumulator, CreateCompletion},
    models::chat::{ChatTool, FinishReason, Logprob},
};
use serde_json::{Value, json};

use crate::script::{Reply, Script, events, ok, reply};

fn wanted() -> CreateCompletion {
    CreateCompletion::new("llama3-8b-instruct").system("Be brief.").user("Hello")
}

fn data(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn chunk(choice: &Value) -> String {
    let head =
        json!({ "id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice] });
    data(&head)
}

async fn streamed(script: &Script) -> (Accumulator, Option<Error>) {
    let mut stream = script.client().chat().completions().stream(wanted()).await.unwrap();
    let mut whole = Accumulator::default();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => whole.add(&chunk),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the end");
                return (whole, Some(error));
            }
        }
    }
    (whole, None)
}

#[tokio::test]
async fn an_answer_at_once_is_typed() {
    let body = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"bored",
        "message":{"role":"assistant","content":"Hi","refusal":null,"reasoning_content":null},"logprobs":{"content":[
        {"token":"Hi","bytes":[72,105],"logprob":-0.5,"top_logprobs":[{"token":"Yo","bytes":null,"logprob":-9999.0}]}],
        "refusal":null}}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
    let script = Script::of(vec![ok(body)]).await;
    let tool = ChatTool::function("get_weather", "Tells the weather.", json!({ "type": "object" }));
    let call =
        script.client().chat().completions().create(wanted().max_tokens(5).tool(tool).logprobs(1)).await.unwrap();
    assert_eq!((call.text(), call.usage.as_ref().unwrap().total_tokens), (Some("Hi"), 4));
    let choice = &call.choices[0];
    assert_eq!(choice.finish_reason.as_ref().unwrap().as_str(), "bored", "an unknown word is kept");
    let token = &choice.logprobs.as_ref().unwrap().content.as_ref().unwrap()[0];
    assert_eq!((token.logprob, token.top_logprobs[0].logprob), (Logprob::Of(-0.5), Logprob::NotInTop));
    let asked = &script.asked()[0];
    assert!(asked.line().starts_with("POST /v1/chat/completions "), "{}", asked.line());
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!((&body["messages"][1]["content"], &body["tools"][0]["type"]), (&json!("Hello"), &json!("function")));
    assert_eq!(body.get("stream"), None);
}

#[tokio::test]
async fn bits_are_put_together_however_the_bytes_are_cut() {
    let text: String = [
        ": keep-alive\r\n\r\n".to_owned(),
        chunk(&json!({ "index": 0, "delta": { "role": "assistant", "content": "" }, "finish_reason": null })),
        chunk(&json!({ "index": 1, "delta": { "content": "Á" }, "finish_reason": null })),
        chunk(&json!({ "index": 0, "delta": { "content": "Hé" }, "finish_reason": null, "logprobs": { "content": [
            { "token": "Hé", "bytes": null, "logprob": -9999.0, "top_logprobs": [] }], "refusal": null } })).replace("\n\n", "\r\n\r\n"),
        chunk(&json!({ "index": 0, "delta": { "content": "llo" }, "finish_reason": null })),
        chunk(&json!({ "index": 1, "delta": {}, "finish_reason": "length" })),
        chunk(&json!({ "index": 0, "delta": {}, "finish_reason": "stop" })),
        data(&json!({ "id": "c-1", "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 } })),
        "data: [DONE]\n\ndata: never read\n\n".to_owned(),
    ]
    .concat();
    for size in [1, 2, 3, 7, 64, 100_000] {
        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        let pieces = std::iter::once(head).chain(text.as_bytes().chunks(size).map(<[u8]>::to_vec)).collect();
        let script = Script::of(vec![Reply::Raw(pieces)]).await;
        let (whole, error) = streamed(&script).await;
        assert!(error.is_none() && whole.is_complete(), "{error:?}");
        let answer = whole.into_completion();
        assert_eq!((answer.text(), answer.choices[1].message.text()), (Some("Héllo"), Some("Á")));
        assert_eq!(answer.choices[0].finish_reason.as_ref().unwrap(), &FinishReason::Stop);
        let tokens = answer.choices[0].logprobs.as_ref().unwrap().content.as_ref().unwrap();
        assert_eq!((tokens.len(), tokens[0].logprob), (1, Logprob::NotInTop));
        assert_eq!((answer.usage.unwrap().total_tokens, answer.id.as_str()), (3, "c-1"));
        let body: Value = serde_json::from_str(&script.asked()[0].body).unwrap();
        assert_eq!((&body["stream"], &body["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
        assert_eq!(script.asked()[0].header("accept"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn calls_of_tools_are_put_together_by_their_index() {
    let call = |delta: Value| chunk(&json!({ "index": 0, "delta": { "tool_calls": [delta] }, "finish_reason": null }));
    let pieces = [
        call(
            json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": "get_weather", "arguments": "" } }),
        ),
        call(
            json!({ "index": 1, "id": "call_2", "type": "function", "function": { "name": "get_time", "arguments": "{" } }),
        ),
        call(json!({ "index": 0, "function": { "arguments": "{\"city\":" } })),
        call(json!({ "index": 0, "function": { "arguments": "\"Bonn\"}" } })),
        call(json!({ "index": 1, "function": { "arguments": "}" } })),
        chunk(&json!({ "index": 0, "delta": {}, "finish_reason": "tool_calls" })),
        "data: [DONE]\n\n".to_owned(),
    ];
    let script = Script::of(vec![events(&pieces.each_ref().map(String::as_str))]).await;
    let (whole, error) = streamed(&script).await;
    assert!(error.is_none(), "{error:?}");
    let answer = whole.into_completion();
    let calls = answer.choices[0].message.tool_calls.as_ref().unwrap();
    let told: Vec<_> = calls
        .iter()
        .map(|call| (call.id.as_str(), call.function.name.as_str(), call.function.arguments.as_str()))
        .collect();
    assert_eq!(told, [("call_1", "get_weather", r#"{"city":"Bonn"}"#), ("call_2", "get_time", "{}")]);
    assert_eq!(answer.choices[0].message.content, None);
}

#[tokio::test]
async fn an_error_in_the_middle_is_an_error_and_not_a_short_answer() {
    let first = chunk(&json!({ "index": 0, "delta": { "content": "Hel" }, "finish_reason": null }));
    for (rest, message) in [
        (
            data(&json!({ "error": { "message": "The model fell over.", "type": "server_error" } })),
            "The model fell over.",
        ),
        (data(&json!({ "error": "out of luck" })), "out of luck"),
        (data(&json!({ "error": {} })), "no reason"),
        ("event: error\ndata: {\"message\":1}\n\n".to_owned(), "no reason"),
        ("data: {half\n\n".to_owned(), "cannot be read"),
        (String::new(), "broke off"),
    ] {
        let script = Script::of(vec![events(&[&first, &rest])]).await;
        let (whole, error) = streamed(&script).await;
        let error = error.expect(message);
        assert!(matches!(error, Error::Stream(_)) && error.to_string().contains(message), "{message}: {error}");
        assert_eq!((whole.text(0), whole.is_complete()), ("Hel", false), "what came before is there");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_is_an_error() {
    let first = chunk(&json!({ "index": 0, "delta": { "content": "Hel" }, "finish_reason": null }));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{first}");
    let script = Script::of(vec![Reply::Raw(vec![head.into_bytes()])]).await;
    let (whole, error) = streamed(&script).await;
    assert!(matches!(error, Some(Error::Connection(_))), "{error:?}");
    assert_eq!(whole.text(0), "Hel");
}

#[tokio::test]
async fn what_fails_before_the_first_bit_fails_at_once_or_is_tried_again() {
    let script = Script::of(vec![reply(503, &[], ""), events(&["data: [DONE]\n\n"])]).await;
    let (whole, error) = streamed(&script).await;
    assert!(error.is_none() && script.asked().len() == 2 && !whole.is_complete());
    let script = Script::of(vec![reply(404, &[], r#"{"error":{"message":"No such model."}}"#)]).await;
    let error = script.client().chat().completions().stream(wanted()).await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("No such model."), "{error}");
}
