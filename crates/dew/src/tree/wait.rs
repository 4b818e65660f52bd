//! Waiting for what was started, with a line that tells how far it is.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::session::Session;
use crate::{
    failure::{Failure, Kind},
    output::Json,
};

/// Between two looks: short at first, then longer.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// How far a Droplet has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Active,
    Ssh,
    Ready,
}

impl Goal {
    /// The goal of this word.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "ssh" => Self::Ssh,
            "ready" => Self::Ready,
            _ => Self::Active,
        }
    }
}

/// A line on standard error that follows what goes on: drawn again where that is a terminal, else a line for each change.
pub(crate) struct Progress {
    started: Instant,
    is_terminal: bool,
    is_quiet: bool,
    last: String,
}

impl Progress {
    pub(crate) fn new(session: &Session) -> Self {
        let (is_terminal, is_quiet) = (io::stderr().is_terminal(), session.output.quiet);
        Self { started: Instant::now(), is_terminal, is_quiet, last: String::new() }
    }

    pub(crate) fn tell(&mut self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        if self.is_quiet || (!self.is_terminal && text == self.last) {
            return;
        }
        // A terminal that is gone is no reason to stop waiting.
        let _ = match self.is_terminal {
            true => write!(io::stderr(), "\r\x1b[K{text}  {seconds:.1} s").and_then(|()| io::stderr().flush()),
            false => writeln!(io::stderr(), "{text}"),
        };
        text.clone_into(&mut self.last);
    }
}

impl Drop for Progress {
    /// The line is not data: where it is drawn again and again nothing of it stays.
    fn drop(&mut self) {
        if self.is_terminal && !self.last.is_empty() && !self.is_quiet {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Looks until there is something, for `limit` at most; `what` is what is waited for.
async fn until<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() + pause > limit {
            return Err(Failure::new(Kind::TooLate, format!("{what} took longer than {} s", limit.as_secs()))
                .hint("it goes on at the server; --wait-timeout waits longer")
                .into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LAST_PAUSE);
    }
}

/// Waits until these actions have ended; what they are then. Fails with the reason of one that errored.
pub(crate) async fn actions(session: &mut Session, ids: &[u64], limit: Duration) -> Result<Vec<Json>> {
    let mut progress = Progress::new(session);
    for id in ids {
        session.leaves(format!("action {id}"));
    }
    let mut ended = Vec::new();
    for id in ids {
        ended.push(action(session, *id, limit, &mut progress).await?);
    }
    session.leaves_nothing();
    Ok(ended)
}

async fn action(session: &Session, id: u64, limit: Duration, progress: &mut Progress) -> Result<Json> {
    // Only Dewpoint tells of steps, and only to full tokens.
    let mut tells_steps = true;
    until(limit, &format!("action {id}"), async || {
        let mut story = Json::Null;
        if tells_steps {
            match session.client.get(&format!("/dew/v1/actions/{id}")).await {
                Ok(found) => story = found,
                Err(error) if is_untold(&error) => tells_steps = false,
                Err(error) => return Err(error),
            }
        }
        if !tells_steps {
            story = session.client.get(&format!("/v2/actions/{id}")).await?;
        }
        let action = story.at("action");
        let (kind, status) = (action.at("type").cell(), action.at("status").cell());
        let step = story.at("step").cell();
        let step = if step.is_empty() { status.clone() } else { step };
        match status.as_str() {
            "completed" => Ok(Some(action.clone())),
            "errored" => {
                let reason = story.at("reason").cell();
                let reason = if reason.is_empty() { "the server does not say why".to_owned() } else { reason };
                Err(Failure::new(Kind::Other, format!("action {id} ({kind}) failed: {reason}")).into())
            }
            _ => {
                progress.tell(&format!(
                    "{kind} ({} {}): {step}",
                    action.at("resource_type").cell(),
                    action.at("resource_id").cell()
                ));
                Ok(None)
            }
        }
    })
    .await
}

/// Waits until a model that was added answers; what it is then. Fails with the reason of one that will not.
pub(crate) async fn model(session: &Session, name: &str, limit: Duration) -> Result<Json> {
    let mut progress = Progress::new(session);
    until(limit, &format!("the model {name}"), async || {
        let found = session.client.get(&format!("/dew/v1/models/{}", super::call::escaped(name))).await?;
        let model = found.at("model");
        let (state, why) = (model.at("state").cell(), model.at("why").cell());
        match state.as_str() {
            "ready" => return Ok(Some(model.clone())),
            "failed" => {
                let hint = format!("`dew model get {name}` shows it; `dew model delete {name}` takes it away");
                return Err(Failure::new(Kind::Other, format!("the model {name} does not answer: {why}"))
                    .hint(hint)
                    .into());
            }
            "copying" => {
                let bytes = |member: &str| model.at(&format!("file.{member}")).number().unwrap_or_default();
                let (done, all) = (bytes("bytes_copied"), bytes("bytes").max(1));
                // A hundredth has to fit, also of what is longer than a number times a hundred holds.
                let share = u128::from(done) * 100 / u128::from(all);
                progress.tell(&format!("copying {name}: {share}% of {} MB", all.div_ceil(1_000_000)));
            }
            _ if why.is_empty() => progress.tell(&format!("{state} {name}")),
            _ => progress.tell(&format!("{state} {name}: {why}")),
        }
        Ok(None)
    })
    .await
}

/// Waits until a Droplet that is active answers to SSH, or is ready.
pub(crate) async fn droplet(session: &mut Session, id: u64, goal: Goal, limit: Duration) -> Result<()> {
    if goal == Goal::Active {
        return Ok(());
    }
    let mut progress = Progress::new(session);
    let wanted = if goal == Goal::Ssh { "ssh" } else { "ready" };
    until(limit, &format!("Droplet {id}: {wanted}"), async || {
        let story = match session.client.get(&format!("/dew/v1/droplets/{id}")).await {
            Ok(story) => story,
            Err(error) if is_untold(&error) => return untold(session, id, goal).await,
            Err(error) => return Err(error),
        };
        let reached: Vec<String> = story.at("milestones").list().iter().map(|one| one.at("name").cell()).collect();
        if reached.iter().any(|name| name == wanted) {
            return Ok(Some(()));
        }
        let readiness = story.at("readiness").cell();
        if ["failed", "unsupported", "unknown"].contains(&readiness.as_str()) {
            let detail = story.at("readiness_detail").cell();
            return Err(Failure::new(
                Kind::Other,
                format!("Droplet {id} is active and will not be {wanted}: {readiness} {detail}").trim_end(),
            )
            .hint(format!("`dew logs {id}` shows how it booted"))
            .into());
        }
        progress.tell(&format!(
            "droplet {id}: {}, waiting for {wanted}",
            reached.last().map_or("accepted", String::as_str)
        ));
        Ok(None)
    })
    .await
}

/// The same at a server that tells nothing of it: whether its public address takes connections for SSH.
async fn untold(session: &Session, id: u64, goal: Goal) -> Result<Option<()>> {
    if goal == Goal::Ready {
        return Err(Failure::usage("this server, or this token, does not tell when a Droplet is ready")
            .hint("wait for --wait=ssh, and then for `cloud-init status --wait` in the Droplet")
            .into());
    }
    let droplet = session.client.get(&format!("/v2/droplets/{id}")).await?;
    let address = crate::tables::address(droplet.at("droplet"), "v4", "public");
    let Ok(address) = address.parse() else { return Ok(None) };
    let connected = tokio::net::TcpStream::connect(SocketAddr::new(address, 22));
    let connected = tokio::time::timeout(Duration::from_secs(3), connected).await;
    Ok(matches!(connected, Ok(Ok(_))).then_some(()))
}

/// Whether an error is that there is no such thing.
pub(crate) fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.kind == Kind::NotFound)
}

/// Whether an error is that this server, or this token, does not tell.
pub(crate) fn is_untold(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<Failure>().map(|failure| failure.kind);
    matches!(kind, Some(Kind::NotFound | Kind::Denied))
}
