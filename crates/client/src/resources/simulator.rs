//! What steers a simulator: its clock, faults, delays, stock, log of requests and whole state. A server with machines of its
//! own answers 404 to all of it.

use dewpoint_api::{StockDeclaration, StockResponse};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Call, Kept, envelope::Envelope, operations as op};

groups! {
    /// What steers a simulator.
    SimulatorControl;
    /// Bad days to order.
    Faults;
    /// The simulator's whole state, kept and put back.
    States;
    /// The last requests that were asked, for assertions.
    RequestLog;
    /// The hosts and GPUs there are, and how scarce.
    Stock;
}

leads! { SimulatorControl {
    /// Bad days to order.
    faults -> Faults;
    /// The whole state, kept and put back.
    states -> States;
    /// The last requests.
    requests -> RequestLog;
    /// Hosts and GPUs.
    stock -> Stock;
} }

impl SimulatorControl {
    /// `GET /dew/v1/clock`.
    pub fn clock(&self) -> Call<Kept<ClockReading>> {
        self.0.whole(&op::DEW_CLOCK_GET, &[])
    }

    /// `PUT /dew/v1/clock`.
    pub fn set_clock(&self, change: &ClockChange) -> Call<Kept<ClockReading>> {
        self.0.whole_from(&op::DEW_CLOCK_SET, &[], change)
    }

    /// Moves the clock ahead.
    pub fn advance(&self, span: std::time::Duration) -> Call<Kept<ClockReading>> {
        self.set_clock(&ClockChange { advance_seconds: Some(span.as_secs_f64()), ..ClockChange::default() })
    }

    /// `GET /dew/v1/delays`: how long actions take.
    pub fn delays(&self) -> Call<Vec<Kept<Delay>>> {
        self.0.call(&op::DEW_DELAYS_GET, &[], None, |body| Envelope::open(body)?.many("delays"))
    }

    /// `PUT /dew/v1/delays`: these and no others. Of several that fit an action, the first counts.
    pub fn set_delays(&self, delays: &[Delay]) -> Call<Vec<Kept<Delay>>> {
        let body = json!({ "delays": delays });
        self.0.call(&op::DEW_DELAYS_SET, &[], Some(&body), |body| Envelope::open(body)?.many("delays"))
    }

    /// `POST /dew/v1/reset`: everything as it was at the start.
    pub fn reset(&self) -> Call<Kept<StateSnapshot>> {
        self.0.call(&op::DEW_RESET, &[], None, snapshot)
    }
}

fn snapshot(body: &[u8]) -> Result<Kept<StateSnapshot>, String> {
    Envelope::open(body)?.one("snapshot")
}

/// What a simulator's clock shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClockReading {
    /// The time.
    pub now: Timestamp,
    /// The same in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Seconds of the clock in a second of real time: 0 when it is frozen.
    pub rate: f64,
    /// Whether it follows the system's clock.
    pub real: bool,
}

/// How to move a simulator's clock. Members may be combined and are done in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClockChange {
    /// True: back to the system's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real: Option<bool>,
    /// The time to show from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Timestamp>,
    /// Seconds of the clock in a second of real time, from 0 (frozen) to 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// True: stand still. False: go on at a second a second, if it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<bool>,
    /// Seconds to move it ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advance_seconds: Option<f64>,
}

/// How long some actions take: one of `instant`, `seconds` and `reads`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// Actions on this type of resource, such as `droplet`; on any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Actions on the resource of this number or UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Actions of this kind, such as `create` or `power_off`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// True: they take no longer than their work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant: Option<bool>,
    /// They begin their work so long after they were accepted, by the simulator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// They begin their work once they, or what they are done to, were read so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<u64>,
}

impl Faults {
    /// `POST /dew/v1/faults`: orders one.
    pub fn order(&self, order: &FaultOrder) -> Call<Kept<Fault>> {
        self.0.call(&op::DEW_FAULTS_ORDER, &[], Some(order), |body| Envelope::open(body)?.one("fault"))
    }

    /// `GET /dew/v1/faults`: those that are not over.
    pub fn list(&self) -> Call<Vec<Kept<Fault>>> {
        self.0.call(&op::DEW_FAULTS_LIST, &[], None, |body| Envelope::open(body)?.many("faults"))
    }

    /// `DELETE /dew/v1/faults`: takes every fault back.
    pub fn clear(&self) -> Call<()> {
        self.0.done(&op::DEW_FAULTS_CLEAR, &[])
    }

    /// `DELETE /dew/v1/faults/{id}`: takes one back; 404 when it is over.
    pub fn delete(&self, id: u64) -> Call<()> {
        self.0.done(&op::DEW_FAULTS_DELETE, &[&id])
    }
}

/// A fault to order: what it does, and what it strikes. What is left out matches everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultOrder {
    /// What it does, as `docs/simulator.md` has it: `{"type": "status", "status": 503}`.
    pub effect: Value,
    /// Requests of this method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Requests of this path, without the query; `*` stands for any text. `/v2/*` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Requests about, and actions of, Droplets with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// How likely it strikes what it matches, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How many that it matches are let pass first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How often it strikes before it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl FaultOrder {
    fn of(effect: Value) -> Self {
        Self { effect, method: None, path: None, tag: None, probability: None, after: None, count: None }
    }

    /// Requests are refused with a status, before anything is done.
    pub fn status(status: u16) -> Self {
        Self::of(json!({ "type": "status", "status": status }))
    }

    /// Requests are answered with a status after what was asked is done.
    pub fn status_after_effect(status: u16) -> Self {
        Self::of(json!({ "type": "status", "status": status, "after_effect": true }))
    }

    /// What was asked is done, and the connection closed without an answer.
    pub fn dropped() -> Self {
        Self::of(json!({ "type": "drop" }))
    }

    /// 429, with so many seconds to wait.
    pub fn too_many_requests(retry_after: u64) -> Self {
        Self::of(json!({ "type": "too_many_requests", "retry_after": retry_after }))
    }

    /// A step of an action fails, for good.
    pub fn step_error(action: &str, message: &str) -> Self {
        Self::of(json!({ "type": "step_error", "action": action, "message": message }))
    }

    /// Strikes requests of a method and a path, in which `*` stands for any text.
    pub fn on(mut self, method: &str, path: &str) -> Self {
        (self.method, self.path) = (Some(method.to_owned()), Some(path.to_owned()));
        self
    }

    /// Strikes so often, and is gone.
    pub const fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }
}

/// A fault that was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// Its number.
    pub id: u64,
    /// How often it has struck.
    pub struck: u64,
    /// How many it matched while it was in force.
    pub matched: u64,
    /// What it does.
    pub effect: Value,
}

impl States {
    /// `GET /dew/v1/snapshots`.
    pub fn list(&self) -> Call<Vec<Kept<StateSnapshot>>> {
        self.0.call(&op::DEW_SNAPSHOTS_LIST, &[], None, |body| Envelope::open(body)?.many("snapshots"))
    }

    /// `PUT /dew/v1/snapshots/{name}`: keeps the whole state, in place of what had that name.
    pub fn take(&self, name: &str) -> Call<Kept<StateSnapshot>> {
        self.0.call(&op::DEW_SNAPSHOTS_TAKE, &[&name], None, snapshot)
    }

    /// `POST /dew/v1/snapshots/{name}/restore`: puts the whole state back.
    pub fn restore(&self, name: &str) -> Call<Kept<StateSnapshot>> {
        self.0.call(&op::DEW_SNAPSHOTS_RESTORE, &[&name], None, snapshot)
    }

    /// `DELETE /dew/v1/snapshots/{name}`.
    pub fn delete(&self, name: &str) -> Call<()> {
        self.0.done(&op::DEW_SNAPSHOTS_DELETE, &[&name])
    }
}

/// A snapshot of a simulator's whole state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StateSnapshot {
    /// What it is called.
    pub name: String,
    /// When it was taken, by the simulator's clock.
    pub taken_at: Timestamp,
    /// How many bytes it takes.
    pub bytes: u64,
    /// Microseconds that the last taking or restoring took.
    pub took_us: u64,
}

impl RequestLog {
    /// `GET /dew/v1/requests`: the last requests, oldest first. Filters go by `.query(…)`: `method`, `path` (its beginning),
    /// `status`, `since`, `limit`.
    pub fn list(&self) -> Call<Vec<Kept<LoggedRequest>>> {
        self.0.call(&op::DEW_REQUESTS_LIST, &[], None, |body| Envelope::open(body)?.many("requests"))
    }

    /// `PUT /dew/v1/requests`: how many are kept, and whether with their JSON bodies, secrets taken out.
    pub fn keep(&self, capacity: Option<u64>, bodies: Option<bool>) -> Call<Kept<Value>> {
        let mut body = serde_json::Map::new();
        body.extend(capacity.map(|capacity| ("capacity".to_owned(), capacity.into())));
        body.extend(bodies.map(|bodies| ("bodies".to_owned(), bodies.into())));
        self.0.whole_from(&op::DEW_REQUESTS_KEEP, &[], &body)
    }

    /// `DELETE /dew/v1/requests`: empties the log.
    pub fn clear(&self) -> Call<()> {
        self.0.done(&op::DEW_REQUESTS_CLEAR, &[])
    }
}

/// A request that a simulator answered, or left without an answer by a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// Its place in the log; later ones have larger numbers.
    pub id: u64,
    /// As in its `x-request-id`.
    pub request_id: String,
    /// When it came, by the clock.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path as it came.
    pub path: String,
    /// What came after the question mark.
    pub query: Option<String>,
    /// The status of the answer; null when a fault left it without one.
    pub status: Option<u16>,
    /// Its JSON body without secrets, when bodies are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

impl Stock {
    /// `GET /dew/v1/stock`, on every engine.
    pub fn get(&self) -> Call<Kept<StockResponse>> {
        self.0.whole(&op::DEW_STOCK_GET, &[])
    }

    /// `PUT /dew/v1/stock`: declares what there is, whole.
    pub fn declare(&self, declared: &StockDeclaration) -> Call<Kept<StockResponse>> {
        self.0.whole_from(&op::DEW_STOCK_PUT, &[], declared)
    }

    /// `DELETE /dew/v1/stock/parked/{host}/{gpu}`: puts a parked GPU back into stock, or forgets a missing one that nobody has.
    /// For the operator, on every engine. 404 for a GPU that is neither, 409 when its host still cannot use it.
    pub fn put_back(&self, host: &str, gpu: &str) -> Call<()> {
        self.0.done(&op::DEW_STOCK_PUT_BACK, &[&host, &gpu])
    }

    /// `DELETE /dew/v1/stock`: declares nothing, so that there is plenty of everything.
    pub fn clear(&self) -> Call<()> {
        self.0.done(&op::DEW_STOCK_DELETE, &[])
    }
}
