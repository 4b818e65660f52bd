//! The simulator's clock: look at it, move it (docs/simulator.md).

use std::time::Duration;

use axum::extract::State;
use dewpoint_clock::{Reading, SimClock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiError, App, Json, Operation,
    simulator::{Simulator, Steered},
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/clock", get)
            .id("dew_clock_get")
            .says("What the simulator's clock shows, and how it goes.")
            .steers()
            .answers::<ClockReading>(200),
        Operation::put("/dew/v1/clock", set)
            .id("dew_clock_set")
            .says("Moves the simulator's clock: ahead, to a time, frozen, faster, or back to real time.")
            .steers()
            .body::<ClockRequest>()
            .answers::<ClockReading>(200),
    ]
}

/// What the clock shows.
#[derive(Debug, Serialize, JsonSchema)]
struct ClockReading {
    /// The time.
    now: Timestamp,
    /// The same in milliseconds since the Unix epoch.
    now_ms: i64,
    /// Seconds of the clock in a second of real time: 0 when it is frozen.
    rate: f64,
    /// Whether it follows the system's clock.
    real: bool,
}

/// `GET /dew/v1/clock`
async fn get(Steered(simulator): Steered) -> Result<Json<ClockReading>, ApiError> {
    Ok(Json(shown(&simulator)))
}

fn shown(simulator: &Simulator) -> ClockReading {
    let Reading { now, rate } = simulator.clock().reading();
    ClockReading { now, now_ms: now.as_millis(), rate: rate.unwrap_or(1.0), real: rate.is_none() }
}

/// How to move it. Members may be combined and are done in this order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClockRequest {
    /// True: back to the system's time, as at the start.
    real: Option<bool>,
    /// The time to show from now on.
    now: Option<Timestamp>,
    /// Seconds of the clock in a second of real time, from 0 (frozen) to 100,000.
    rate: Option<f64>,
    /// True: stand still. False: go on at a second a second, if it stands still.
    frozen: Option<bool>,
    /// Seconds to move it ahead.
    advance_seconds: Option<f64>,
}

/// The furthest it is moved at once, in seconds: a hundred years.
const FURTHEST: f64 = 100.0 * 366.0 * 86_400.0;

/// `PUT /dew/v1/clock`. 422 for nothing to do, a rate or a span out of bounds.
async fn set(
    State(app): State<App>,
    Steered(simulator): Steered,
    Json(request): Json<ClockRequest>,
) -> Result<Json<ClockReading>, ApiError> {
    let ClockRequest { real, now, rate, frozen, advance_seconds } = request;
    if real.is_none() && now.is_none() && rate.is_none() && frozen.is_none() && advance_seconds.is_none() {
        let text = "Say how to move the clock: by advance_seconds, now, rate, frozen or real.";
        return Err(ApiError::unprocessable(text));
    }
    if rate.is_some_and(|rate| !(0.0..=SimClock::FASTEST).contains(&rate)) {
        return Err(ApiError::unprocessable(format!("rate must be from 0 to {}.", SimClock::FASTEST)));
    }
    if advance_seconds.is_some_and(|span| !(0.0..=FURTHEST).contains(&span)) {
        return Err(ApiError::unprocessable(format!("advance_seconds must be from 0 to {FURTHEST}.")));
    }
    if real == Some(true) && (rate.is_some() || frozen == Some(true)) {
        return Err(ApiError::unprocessable("A clock that is real has no rate of its own and is not frozen."));
    }
    let clock = simulator.clock();
    let before = clock.reading();
    if real == Some(true) {
        clock.set(Reading { now: before.now, rate: None });
    }
    if let Some(now) = now {
        clock.set(Reading { now, rate: Some(clock.reading().rate.unwrap_or(1.0)) });
    }
    let frozen = frozen.and_then(|frozen| match (frozen, clock.reading().rate) {
        (true, _) => Some(0.0),
        (false, Some(0.0)) => Some(1.0),
        (false, _) => None,
    });
    if let Some(rate) = rate.or(frozen) {
        clock.set_rate(rate);
    }
    if let Some(span) = advance_seconds {
        clock.advance(Duration::from_secs_f64(span));
    }
    if clock.reading().now < before.now {
        app.rates.forget();
        app.inference.forget_limits();
        simulator.control().clock_was_set_back().await?;
    }
    Ok(Json(shown(&simulator)))
}
