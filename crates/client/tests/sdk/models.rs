//! Answers of the real server's scripted model, over real connections.

use std::time::{Duration, Instant};

use dewpoint_client::{
    Client,
    chat::{Accumulator, CreateCompletion},
    models::chat::{ChatTool, FinishReason, Logprob},
    testing::Simulator,
};
use serde_json::json;

const MODEL: &str = "dewpoint-scripted";

fn ask(words: &str) -> CreateCompletion {
    CreateCompletion::new(MODEL).user(words).seed(7)
}

async fn streamed(client: &Client, wanted: &CreateCompletion) -> Accumulator {
    let mut stream = client.chat().completions().stream(wanted).await.unwrap();
    let mut whole = Accumulator::default();
    while let Some(chunk) = stream.next().await {
        whole.add(&chunk.unwrap());
    }
    whole
}

#[tokio::test]
async fn a_stream_put_together_is_the_answer_that_comes_at_once() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let wanted = ask("count to 100").logprobs(3);
    let at_once = client.chat().completions().create(&wanted).await.unwrap();
    let whole = streamed(&client, &wanted).await;
    assert!(whole.is_complete(), "[DONE] came");
    let answer = whole.into_completion();
    assert_eq!(answer.text(), at_once.text());
    let counted: Vec<String> = (1..=100).map(|number| number.to_string()).collect();
    assert_eq!(answer.text().unwrap(), counted.join(" "));
    assert_eq!(answer.usage, at_once.usage);
    assert_eq!(answer.choices[0].finish_reason.as_ref().unwrap(), &FinishReason::Stop);

    let tokens = answer.choices[0].logprobs.as_ref().unwrap().content.as_ref().unwrap();
    assert_eq!(answer.choices[0].logprobs, at_once.choices[0].logprobs);
    let unlikely = tokens.iter().filter(|token| token.logprob == Logprob::NotInTop).count();
    assert!(unlikely > 0 && unlikely < tokens.len() / 4, "{unlikely} of {} are told as -9999.0", tokens.len());
    assert!(tokens.iter().all(|token| token.top_logprobs.len() == 3));
}

#[tokio::test]
async fn several_answers_and_the_least_of_tokens_come_with_their_reasons() {
    let simulator = Simulator::start().unwrap();
    let wanted = ask("count to 100").answers(3).max_tokens(4);
    let answer = streamed(&simulator.client(), &wanted).await.into_completion();
    assert_eq!(answer.choices.len(), 3);
    assert!(answer.choices.iter().all(|choice| choice.finish_reason.as_ref().unwrap() == &FinishReason::Length));
    let stopped = streamed(&simulator.client(), &ask("echo so and so on").stop([" and"])).await.into_completion();
    assert_eq!(stopped.text(), Some("so"));
}

#[tokio::test]
async fn a_tool_is_called_and_its_answer_goes_back() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let tool = ChatTool::function("get_weather", "Tells the weather.", schema);
    let wanted = ask("Please get_weather for Bonn.").tool(tool);
    let at_once = client.chat().completions().create(&wanted).await.unwrap();
    let answer = streamed(&client, &wanted).await.into_completion();
    assert_eq!(answer.choices[0].finish_reason.as_ref().unwrap(), &FinishReason::ToolCalls);
    let call = &answer.choices[0].message.tool_calls.as_ref().unwrap()[0];
    assert_eq!(call.function.name, "get_weather");
    assert_eq!(call.function, at_once.choices[0].message.tool_calls.as_ref().unwrap()[0].function);
    let arguments: serde_json::Value = serde_json::from_str(&call.function.arguments).unwrap();
    assert!(arguments["city"].is_string(), "{arguments}");

    use dewpoint_client::models::chat::ChatMessage;
    let (said, told) = (answer.choices[0].message.clone(), ChatMessage::tool(&call.id, "rain"));
    let next = wanted.message(said).message(told).user("echo It rains.");
    assert_eq!(client.chat().completions().create(next).await.unwrap().text(), Some("It rains."));
}

/// A number that `/metrics` tells.
async fn metric(client: &Client, name: &str) -> u64 {
    let text = client.raw().request_text(http::Method::GET, "/metrics", None::<&()>).await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_stream_that_is_dropped_stops_the_model() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    // Each token is told with twenty others, so that no buffer of the connection holds all of it.
    let wanted = ask("count to 1000000").logprobs(20).answers(8);
    let mut stream = client.chat().completions().stream(&wanted).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(metric(&client, "dewpoint_chat_streams ").await, 1);
    drop(stream);
    let began = Instant::now();
    while metric(&client, "dewpoint_chat_streams ").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the model goes on");
    }
    let made = metric(&client, "dewpoint_chat_tokens_made_total ").await;
    assert!(made < 8 * 7000, "{made} tokens were made for one that was read");
}
