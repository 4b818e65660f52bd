//! How an action went: its steps, and the reason when it errored.

use axum::extract::State;
use dewpoint_api::{Action, ActionId};
use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{ApiError, App, Caller, Json, Operation, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/actions/{action_id}", get)
            .id("dew_actions_get")
            .says("An action with the timeline of its steps and, when it errored, the reason.")
            .needs_full_token()
            .answers::<ActionStory>(200),
    ]
}

/// An action as its operator sees it.
#[derive(Debug, Serialize, JsonSchema)]
struct ActionStory {
    /// As the public API shows it.
    action: Action,
    /// Why it errored.
    reason: Option<String>,
    /// The step it is at, or the last one it was at.
    step: String,
    /// How often a worker took it up.
    attempt: u64,
    /// The steps that ended, oldest first.
    timeline: Vec<StepStory>,
}

/// One step that ended.
#[derive(Debug, Serialize, JsonSchema)]
struct StepStory {
    /// Its name.
    step: String,
    /// When it ended.
    ended_at: Timestamp,
    /// Milliseconds from the action's start to the step's end.
    after_ms: u64,
    /// Why it failed, when it did.
    error: Option<String>,
}

/// `GET /dew/v1/actions/{id}`
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<ActionId>) -> Result<Json<ActionStory>, ApiError> {
    let record = app.control.action_get(caller.account, id).await?;
    let timeline = record.timeline.iter().map(|entry| {
        let ended_at = Timestamp::from_millis(entry.ended_at_ms);
        let after_ms = u64::try_from(ended_at.since(record.started_at).as_millis()).unwrap_or(u64::MAX);
        StepStory { step: entry.step.clone(), ended_at, after_ms, error: entry.error.clone() }
    });
    Ok(Json(ActionStory {
        timeline: timeline.collect(),
        reason: record.reason.clone(),
        step: record.step.clone(),
        attempt: record.attempt,
        action: view::action(&app.control, &caller, record),
    }))
}
