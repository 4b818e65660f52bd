//! A request for a model, from its body to its answer: whose model it is, whether the key may, who answers instead of a model
//! that does not, and what is counted of it. The models themselves are behind this.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::response::Response;
use bytes::Bytes;
use dewpoint_api::ErrorId;
use dewpoint_control::Grant;
use dewpoint_inference::{EmbeddingAsked, estimate_of_request};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Model, Source,
    account::Account,
    flow,
    limits::{Admitted, DAY},
    meter::Answered,
    scripted,
    upstream::{Unanswered, Wanted},
};
use crate::{ApiError, App, Json, extract::parse_json};

/// Tells which model answered, also when another one was asked for.
const MODEL: HeaderName = HeaderName::from_static("x-dewpoint-model");

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// To go on with a conversation.
    Chat,
    /// Where texts lie among others.
    Embed,
}

impl Task {
    /// What is put behind an upstream's address.
    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Embed => "/embeddings",
        }
    }
}

/// The one member of a request that decides who answers it.
#[derive(Deserialize)]
struct Which<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
}

/// The model that a body names, and where it does.
fn named(body: &Bytes) -> Result<(String, Range<usize>), ApiError> {
    #[derive(Deserialize)]
    struct Checked {
        model: String,
    }
    let read = || {
        let text = std::str::from_utf8(body).ok().filter(|text| text.trim_start().starts_with('{'))?;
        let which: Which<'_> = serde_json::from_str(text).ok()?;
        let name: String = serde_json::from_str(which.model.get()).ok()?;
        let start = which.model.get().as_ptr() as usize - text.as_ptr() as usize;
        Some((name, start..start + which.model.get().len()))
    };
    if let Some(found) = read() {
        return Ok(found);
    }
    // What is wrong with it is said by the reader of all other bodies.
    let Checked { model } = parse_json(body)?;
    Err(ApiError::unprocessable(format!("model cannot be read: {model:?} is written in a way that is not understood.")))
}

/// Answers a request. 404 with the models there are for an unknown one; 429 when the key has had what it may have; 503 when
/// nobody answers.
pub(crate) async fn answer(
    app: &App,
    grant: &Grant,
    task: Task,
    body: Bytes,
    request_id: &str,
) -> Result<Response, ApiError> {
    let began = Instant::now();
    if body.is_empty() {
        return Err(ApiError::bad_request("The request body is empty; it has to be a JSON object."));
    }
    let (name, name_at) = named(&body)?;
    let model = app.inference.find(&name)?;
    let estimate = estimate_of_request(body.len());
    let admitted = admit(app, grant, estimate).await?;
    let mut account = Account::begin(app, grant, &model, admitted, (began, estimate));
    let wanted = Wanted { path: task.path(), body: &body, name_at, request_id };
    let stopping = app.inference.stopping();
    let answered = tokio::select! {
        answered = by_one_of(app, &model, task, &wanted) => answered,
        () = stopping => Err(ApiError::new(ErrorId::ServiceUnavailable, "The server is ending. Ask again in a moment.")),
    };
    let (mut response, by) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            let headers = account.headers();
            account.failed(error.status().is_server_error());
            return Err(error.with_headers(headers));
        }
    };
    if let Ok(name) = HeaderValue::from_str(&by.name) {
        response.headers_mut().insert(MODEL, name);
    }
    match response.extensions_mut().remove::<Answered>() {
        Some(Answered { by, asked_at, queued }) => account.answered_by(Some(by), asked_at - began + queued),
        None => account.answered_by(None, Duration::ZERO),
    }
    Ok(flow::counted(response, account, app).await)
}

async fn admit(app: &App, grant: &Grant, tokens: u64) -> Result<Option<Admitted>, ApiError> {
    let clock = app.control.clock();
    if !grant.is_model_key {
        return Ok(None);
    }
    let limits = grant.limits.or(app.config.inference.limits);
    let Some(key) = app.inference.gauges.of(grant.token, limits, clock.now()) else { return Ok(None) };
    if key.must_know_the_day() {
        let since = clock.now() - DAY;
        let used = app.control.usage_since(grant.account, grant.token, since).await?;
        key.used_today(used, clock.now());
    }
    key.enter(tokens, clock.now()).map(Some)
}

/// Answers by the model, or by the first of its fallbacks that can. The answer, and whose it is; of several failures the first.
async fn by_one_of(
    app: &App,
    model: &Arc<Model>,
    task: Task,
    wanted: &Wanted<'_>,
) -> Result<(Response, Arc<Model>), ApiError> {
    let first = match by(app, model, task, wanted).await {
        Ok(response) => return Ok((response, Arc::clone(model))),
        Err(failed) => failed,
    };
    for name in model.fallbacks() {
        let Ok(other) = app.inference.find(name) else {
            tracing::warn!(model = model.name, "The fallback {name} of the model {} is no model", model.name);
            continue;
        };
        tracing::warn!(model = model.name, "The model {} does not answer; {name} is asked instead", model.name);
        if let Ok(response) = by(app, &other, task, wanted).await {
            return Ok((response, other));
        }
    }
    match first {
        Unanswered::Refused(response) => Ok((*response, Arc::clone(model))),
        Unanswered::Silence(error) => Err(error),
    }
}

/// Answers by this model. What the request itself gets wrong is an answer: another model would say the same.
async fn by(app: &App, model: &Model, task: Task, wanted: &Wanted<'_>) -> Result<Response, Unanswered> {
    let silence = |text: String| Err(Unanswered::Silence(ApiError::new(ErrorId::ServiceUnavailable, text)));
    match &model.source {
        Source::Scripted => said_by_script(app, &model.name, task, wanted).await,
        Source::Upstreams(upstreams) => upstreams.answer(wanted).await,
        Source::Local(local) => match local.upstreams() {
            Ok(upstreams) => upstreams.answer(wanted).await,
            Err(why) => silence(why),
        },
        Source::Droplets(found) => {
            model.settle(&app.control).await;
            match found.upstreams() {
                Some(upstreams) => upstreams.answer(wanted).await,
                None if found.is_scripted() => said_by_script(app, &model.name, task, wanted).await,
                None => silence(found.why_not()),
            }
        }
        Source::Broken => {
            silence(format!("The model {} cannot be served here; the server's log says why.", model.name))
        }
    }
}

async fn said_by_script(app: &App, name: &str, task: Task, wanted: &Wanted<'_>) -> Result<Response, Unanswered> {
    let body = wanted.body_for(name);
    let answered = match task {
        Task::Chat => match parse_json(&body) {
            Ok(asked) => scripted::complete(app, asked).await,
            Err(error) => Err(error),
        },
        Task::Embed => {
            let answer = parse_json(&body).and_then(|asked: EmbeddingAsked| asked.answer().map_err(ApiError::from));
            answer.map(|answer| axum::response::IntoResponse::into_response(Json(answer)))
        }
    };
    // A refusal is a word of the model's as good as another.
    Ok(answered.unwrap_or_else(axum::response::IntoResponse::into_response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bodys_model_is_found_where_it_is_written() {
        for (text, name, written) in [
            (r#"{"model":"a"}"#, "a", r#""a""#),
            (r#" { "messages": [{"model": "no"}], "model" : "a\u0062", "x": 1 }"#, "ab", r#""a\u0062""#),
            ("{\"messages\":[{\"content\":\"zero \\u0000\"}],\"model\":\"a\"}", "a", r#""a""#),
        ] {
            let (found, at) = named(&Bytes::from_static(text.as_bytes())).expect("it names one");
            assert_eq!((found.as_str(), &text[at]), (name, written));
        }
        for (bad, status) in [
            ("{", 400),
            ("[]", 422),
            ("{}", 422),
            (r#"{"model":1}"#, 422),
            (r#"{"model":null}"#, 422),
            (r#"{"model":"a","model":"b"}"#, 422),
            (r#"["a"]"#, 422),
        ] {
            let error = named(&Bytes::from_static(bad.as_bytes())).expect_err("it names none");
            assert_eq!(error.status().as_u16(), status, "{bad}: {}", error.message());
        }
    }
}
