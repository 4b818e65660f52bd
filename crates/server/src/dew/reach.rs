//! Could A reach B (docs/networks.md): asked of the rows, on every engine.

use std::net::IpAddr;

use axum::extract::State;
use dewpoint_api::{DropletId, FirewallId};
use dewpoint_control::reach::{Asker, Direction, Names, Protocol, Question, Step, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ApiError, App, Caller, Json, Operation, Query};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/reach", get)
            .id("dew_reach")
            .says("Whether a Droplet or an address reaches another address, by which rule, or what stands in the way.")
            .needs_full_token()
            .query::<Asked>()
            .answers::<Reach>(200),
    ]
}

/// Who would reach whom.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Asked {
    /// Who opens the connection: `droplet:7`, or an address. Required.
    from: String,
    /// The address it is opened to, v4 or v6. Required.
    to: String,
    /// `tcp`, `udp` or `icmp`; `tcp` unless said.
    protocol: Option<String>,
    /// The port, 1 to 65535. Required but for `icmp`.
    port: Option<String>,
}

/// Whether somebody reaches somebody.
#[derive(Debug, Serialize, JsonSchema)]
struct Reach {
    /// Whether they do.
    reached: bool,
    /// The answer in a sentence: by which rule, or what stands in the way first.
    answer: String,
    /// What happens on the way, in its order. Of both sides' firewalls, also when the first drops it.
    steps: Vec<Stage>,
    /// Whether links are real here. Where they are not, this is what would be so if they were.
    real: bool,
}

/// Something on the way.
#[derive(Debug, Serialize, JsonSchema)]
struct Stage {
    /// `way`, `reserved`, `firewall` or `obstacle`.
    kind: &'static str,
    /// It in a sentence.
    says: String,
    /// Whether it ends here.
    stops: bool,
    /// The Droplet whose firewalls were asked.
    droplet_id: Option<DropletId>,
    /// `inbound` or `outbound`, as that Droplet sees it.
    direction: Option<&'static str>,
    /// The firewall that allows it.
    firewall_id: Option<FirewallId>,
    /// Which of its rules of that direction does, from 1 on.
    rule: Option<u64>,
}

impl Stage {
    fn new(step: &Step, names: &Names<'_>) -> Self {
        let kind = match step {
            Step::Way(_) => "way",
            Step::Leads { .. } => "reserved",
            Step::Judged { .. } => "firewall",
            Step::Stopped(_) => "obstacle",
        };
        let (says, stops) = (step.words(names), step.stops());
        let stage = Self { kind, says, stops, droplet_id: None, direction: None, firewall_id: None, rule: None };
        let Step::Judged { machine, direction, verdict } = step else { return stage };
        let (firewall_id, rule) = match verdict {
            Verdict::Allowed { firewall, index, .. } => (Some(FirewallId(*firewall)), Some(*index as u64 + 1)),
            Verdict::Open | Verdict::Dropped { .. } => (None, None),
        };
        let direction = match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        Self { droplet_id: Some(DropletId(*machine)), direction: Some(direction), firewall_id, rule, ..stage }
    }
}

fn unreadable(problem: &str) -> ApiError {
    ApiError::bad_request(format!("The query cannot be read: {problem}"))
}

impl Asked {
    fn question(&self) -> Result<Question, ApiError> {
        let from = match self.from.strip_prefix("droplet:") {
            Some(id) => id.parse::<DropletId>().map(|id| Asker::Machine(id.0)).ok(),
            None => self.from.parse::<IpAddr>().map(Asker::Address).ok(),
        };
        let from = from.ok_or_else(|| unreadable("from is a Droplet, such as droplet:7, or an address."))?;
        let to = self.to.parse().map_err(|_| unreadable("to is an address, such as 10.0.0.5 or 2001:db8::5."))?;
        let protocol = match self.protocol.as_deref().unwrap_or("tcp") {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "icmp" => Protocol::Icmp,
            _ => return Err(unreadable("protocol is tcp, udp or icmp.")),
        };
        let port = match (protocol, self.port.as_deref()) {
            (Protocol::Icmp, _) => 0,
            (Protocol::Tcp | Protocol::Udp, port) => {
                let port = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0);
                port.ok_or_else(|| unreadable("port is a number from 1 to 65535."))?
            }
        };
        Ok(Question { from, to, protocol, port })
    }
}

/// `GET /dew/v1/reach`: 400 for a question that cannot be read; 404 when `from` is no Droplet of the account.
async fn get(State(app): State<App>, caller: Caller, Query(asked): Query<Asked>) -> Result<Json<Reach>, ApiError> {
    let reached = app.control.reach(caller.account, asked.question()?).await?;
    Ok(Json(reached.with_names(|names| Reach {
        reached: reached.answer.is_reached(),
        answer: reached.answer.words(names),
        steps: reached.answer.steps.iter().map(|step| Stage::new(step, names)).collect(),
        real: reached.is_real,
    })))
}
