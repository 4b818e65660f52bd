//! `dew chat`: a model's answer in the terminal as it comes, once or as a conversation.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::Result;
use dewpoint_client::chat::{Accumulator, CreateCompletion};

use super::console::harmless;
use crate::{
    failure::Failure,
    output::{is_unread, print, say, tell},
    tables::COMPLETION,
    tree::{given::Given, session::Session, spec::Verb},
};

/// Asks once for the words given or for standard input; at a terminal, line after line.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let mut wanted = CreateCompletion::new(given.text("model").unwrap_or_default());
    if let Some(system) = given.text("system") {
        wanted = wanted.system(system);
    }
    if let Some(tokens) = given.whole("max-tokens") {
        wanted = wanted.max_tokens(tokens);
    }
    if let Some(text) = given.text("temperature") {
        let wrong = || Failure::usage(format!("--temperature {text} is no number"));
        wanted = wanted.temperature(text.parse().map_err(|_| wrong())?);
    }
    if let Some(seed) = given.whole("seed") {
        wanted = wanted.seed(i64::try_from(seed).map_err(|_| Failure::usage("--seed is too large a number"))?);
    }
    let words = given.all("words").join(" ");
    if !words.is_empty() {
        return once(session, wanted.user(words)).await;
    }
    if !io::stdin().is_terminal() {
        return once(session, wanted.user(io::read_to_string(io::stdin())?)).await;
    }
    let mut has_answered = false;
    loop {
        say(format_args!("> "));
        let Some(line) = line().await? else { break };
        if line.trim().is_empty() {
            continue;
        }
        let asked = wanted.clone().user(line.trim_end());
        match streamed(session, &asked).await {
            Ok(answer) => (wanted, has_answered) = (asked.assistant(answer), true),
            // What was said so far stands; the model has not heard this line.
            Err(error) if has_answered && !is_unread(&error) => tell!("dew: {error:#}"),
            Err(error) => return Err(error),
        }
    }
    tell!();
    Ok(())
}

/// A line that is typed; nothing at the end of input. On a thread of its own, so that Ctrl-C ends the wait for it.
async fn line() -> Result<Option<String>> {
    let (typed, line) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map(|read| (read > 0).then_some(line));
        // Nobody waits for it any more: the command has ended.
        let _ = typed.send(read);
    });
    Ok(line.await??)
}

async fn once(session: &Session, wanted: CreateCompletion) -> Result<()> {
    if session.output.is_for_programs() {
        let body = serde_json::to_value(wanted.request())?;
        let answer = session.client.send("POST", "/v1/chat/completions", &[], Some(&body)).await?.body;
        return session.print(&COMPLETION, &[answer]);
    }
    streamed(session, &wanted).await.map(drop)
}

/// Prints an answer as it comes; the whole of it.
async fn streamed(session: &Session, wanted: &CreateCompletion) -> Result<String> {
    let at_terminal = io::stdout().is_terminal();
    let failure = |error: dewpoint_client::Error| session.client.failure(&error);
    let mut stream = session.client.chat(wanted).await?;
    let mut whole = Accumulator::default();
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                // What came stands on a line of its own.
                print("\n")?;
                return Err(failure(error).into());
            }
        };
        whole.add(&chunk);
        if let Some(text) = chunk.choices.first().and_then(|choice| choice.delta.content.as_deref()) {
            print(&if at_terminal { harmless(text) } else { text.to_owned() })?;
        }
    }
    let answer = whole.into_completion();
    let text = answer.text().unwrap_or_default().to_owned();
    if !text.ends_with('\n') {
        print("\n")?;
    }
    let ended = answer.choices.first().and_then(|choice| choice.finish_reason.as_ref());
    if ended.is_some_and(|reason| reason.as_str() == "length") {
        session.output.note("The answer was cut off: --max-tokens, or all that the model holds.");
    }
    Ok(text)
}
