//! At most one effect for a POST, however often its client sends it (design: exactly-once create).
//!
//! A client may say which requests are one: by an `Idempotency-Key`, or as the Python SDK does by counting its retries
//! (`mark.rs`). Such a request is a [`Deed`] with a claim: the row that says it was done is written in the transaction of the
//! handler's own write, so a crash leaves both or neither, and whoever comes second is answered from that row (`replay.rs`).
//! In one process the second waits for the first (`running.rs`); between servers the store decides.
//!
//! A client that says nothing is believed to mean a new request, unless the server itself saw that the answer to an equal
//! one was not delivered (`delivery.rs`, `wire.rs`): then that effect is the one asked for (`lost.rs`). What a server knew of
//! that when it was killed, its successor reads from the store and a file (`told.rs`).

mod delivery;
mod fruitless;
mod lost;
mod mark;
mod recall;
mod replay;
mod running;
mod told;
mod wire;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::{IntoResponse as _, Response},
};
use dewpoint_control::Grant;
use dewpoint_store::{Claim, Claimed, Deed, Ending, Error as StoreError, Made, OnceRecord, Untold, once};
use http::request::Parts;

use crate::{
    ApiError, App, Operation,
    extract::{BODY_MAX, read_body},
};
use delivery::Delivery;
pub(crate) use delivery::withhold;
use lost::Lost;
use mark::Mark;
pub(crate) use recall::recall;
pub(crate) use replay::Again;
pub(crate) use wire::Wire;

/// How long what was done under an `Idempotency-Key` is known by it.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// After how many seconds to ask again when the first one took too long to wait for.
const ASK_AGAIN: u32 = 5;

/// What is kept in memory: requests under way, and answers that were not delivered.
#[derive(Debug, Default)]
pub(crate) struct Once {
    running: running::Running,
    lost: lost::Losses,
    fruitless: fruitless::Fruitless,
    /// What outlives the process; without it a killed server's successor knows of no answer that was not given.
    told: OnceLock<told::Told>,
}

impl Once {
    /// Forgets what is lost: the state it was about is no more.
    pub(crate) fn forget(&self) {
        self.lost.forget();
        self.fruitless.forget();
        if let Some(told) = self.told.get() {
            told.forget();
        }
    }
}

#[cfg(test)]
impl Once {
    /// Whether an answer is known to be lost.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }
}

/// A POST with its body, and who sends it.
struct Asked<'a> {
    app: &'a App,
    operation: &'a Operation,
    grant: &'a Arc<Grant>,
    parts: Parts,
    body: Bytes,
}

/// Carries out a POST of a caller who may, or answers for the one that it repeats.
pub(crate) async fn perform(app: &App, operation: &Operation, grant: &Arc<Grant>, request: Request) -> Response {
    let outcome = async {
        let mark = Mark::of(request.headers())?;
        let (parts, body) = request.into_parts();
        let body = read_body(&parts.headers, body, BODY_MAX).await?;
        let asked = Asked { app, operation, grant, parts, body };
        match mark {
            Mark::Key(key) => asked.by_key(&key).await,
            Mark::Attempt(attempt) => asked.by_attempt(attempt).await,
            Mark::None => asked.unmarked().await,
        }
    };
    outcome.await.unwrap_or_else(|error: ApiError| error.into_response())
}

/// Takes note of a POST that was refused before its body was looked at, as one over the limit is: if it is an attempt at
/// something (`mark.rs`) it has done nothing, and its retry is a new try.
///
/// Of a retry that is only known if it is known of the attempts before it: one of them may have had the effect.
pub(crate) async fn turned_away(app: &App, grant: &Grant, request: Request) {
    let Ok(Mark::Attempt(attempt)) = Mark::of(request.headers()) else { return };
    let (parts, body) = request.into_parts();
    let Ok(body) = read_body(&parts.headers, body, BODY_MAX).await else { return };
    let (name, fruitless) = (attempts_of(grant, &parts, &body), &app.once.fruitless);
    if attempt == 0 || fruitless.take_before(&name, attempt) {
        fruitless.add(&name, attempt);
    }
}

/// By what the attempts at one request know each other.
fn attempts_of(grant: &Grant, parts: &Parts, body: &Bytes) -> String {
    format!("retry:{}", mark::fingerprint(&grant.token.to_string(), &parts.uri, body))
}

impl Asked<'_> {
    /// With an `Idempotency-Key`: the first one with it in a day is carried out.
    async fn by_key(&self, key: &str) -> Result<Response, ApiError> {
        let fingerprint = self.fingerprint("");
        let mark = Claimed::Key { fingerprint: fingerprint.clone() };
        let claim = self.claim(format!("key:{key}"), mark, KEY_LIFETIME);
        let deed = Deed::new(Some(claim.clone()));
        self.turn(&claim, 0, 1, &deed).await?;
        let answer_again = async |record: OnceRecord| match record.fingerprint == fingerprint {
            true => self.replay(&record.made).await,
            false => Err(ApiError::conflict("This Idempotency-Key was used for another request; take a new one.")),
        };
        if let Some(record) = self.done_before(&claim).await? {
            return answer_again(record).await;
        }
        let response = deed.scope(self.operation.run(self.request(), self.app.clone())).await;
        if !deed.is_repeated() {
            return Ok(response);
        }
        // Another server on the same store was faster.
        match self.done_before(&claim).await? {
            Some(record) => answer_again(record).await,
            None => Err(ApiError::under_way(ASK_AGAIN)),
        }
    }

    /// With the number of its retry: from 1 on it joins what an earlier attempt has done. A retry of an attempt that is known to
    /// have done nothing is a first attempt.
    async fn by_attempt(&self, attempt: u32) -> Result<Response, ApiError> {
        let name = attempts_of(self.grant, &self.parts, &self.body);
        let fruitless = &self.app.once.fruitless;
        let is_first = attempt == 0 || fruitless.take_before(&name, attempt);
        let mark = Claimed::Attempt(if is_first { 0 } else { attempt });
        let claim = self.claim(name, mark, self.app.config.retry_horizon);
        let deed = Deed::new(Some(claim.clone()));
        self.turn(&claim, attempt, attempt, &deed).await?;
        if !is_first && let Some(record) = self.join(&claim, attempt).await? {
            return self.replay(&record.made).await;
        }
        let response = deed.scope(self.operation.run(self.request(), self.app.clone())).await;
        if !deed.is_repeated() {
            if deed.made().is_none() && !deed.is_uncertain() && !response.status().is_success() {
                fruitless.add(&claim.name, attempt);
            }
            return Ok(response);
        }
        match self.join(&claim, attempt).await? {
            Some(record) => self.replay(&record.made).await,
            None => Err(ApiError::under_way(ASK_AGAIN)),
        }
    }

    /// Without a mark: a new request, unless the answer to an equal one is known to be lost.
    async fn unmarked(self) -> Result<Response, ApiError> {
        let wire = self.parts.extensions.get::<Arc<Wire>>().cloned();
        while let Some(lost) = self.lost_answer() {
            // Taken by this request alone; if its own answer is lost as well, the next one finds it again.
            let delivery = Delivery::of(&self, lost.clone());
            match self.over(lost.ending).await? {
                Some(made) => return Ok(delivery.watch(self.replay(&made).await?, wire)),
                None => delivery.settle(),
            }
        }
        let (deed, number) = self.new_deed();
        let delivery = Delivery::of(&self, Lost { ending: deed.ending(), number });
        let Self { app, operation, parts, body, .. } = self;
        let request = Request::from_parts(parts, Body::from(body));
        let response = deed.scope(operation.run(request, app.clone())).await;
        match deed.made() {
            Some(_) if response.status().is_success() => Ok(delivery.watch(response, wire)),
            // It was done and the answer does not say so: whoever asks again is told.
            Some(_) => Ok(response),
            None => {
                delivery.settle();
                Ok(response)
            }
        }
    }

    /// The request once more, for its handler.
    fn request(&self) -> Request {
        Request::from_parts(self.parts.clone(), Body::from(self.body.clone()))
    }

    fn claim(&self, name: String, mark: Claimed, lifetime: Duration) -> Claim {
        let now = self.app.control.clock().now();
        Claim { account: self.grant.account, name, mark, now, expires_at: now + lifetime }
    }

    /// Waits until no request of this name with a number below `before` is under way, and is one from then on.
    async fn turn(&self, claim: &Claim, number: u32, before: u32, deed: &Deed) -> Result<(), ApiError> {
        while let Err(first) = self.app.once.running.enter(claim, number, before, deed) {
            self.over(first).await?;
        }
        Ok(())
    }

    /// Waits for a request under way to be over; what it made. 409 when that takes too long.
    async fn over(&self, ending: Ending) -> Result<Option<Vec<Made>>, ApiError> {
        let patience = self.app.config.retry_patience;
        tokio::time::timeout(patience, ending.wait()).await.map_err(|_| ApiError::under_way(ASK_AGAIN))
    }

    async fn done_before(&self, claim: &Claim) -> Result<Option<OnceRecord>, ApiError> {
        let (account, name, now) = (claim.account, claim.name.clone(), claim.now);
        let found = self.app.control.store().read(move |tx| once::once_get(tx, account, &name, now)).await;
        found.map_err(store_failed)
    }

    async fn join(&self, claim: &Claim, attempt: u32) -> Result<Option<OnceRecord>, ApiError> {
        let (account, name, now) = (claim.account, claim.name.clone(), claim.now);
        let store = self.app.control.store();
        store.write(move |tx| once::once_join(tx, account, &name, attempt, now)).await.map_err(store_failed)
    }

    /// A deed of a client that says nothing, and the number its answer has in the file.
    fn new_deed(&self) -> (Deed, Option<u64>) {
        let horizon = self.app.config.retry_horizon;
        let Some(told) = self.app.once.told.get().filter(|_| !horizon.is_zero()) else {
            return (Deed::new(None), None);
        };
        let (server, number) = told.next();
        let expires_at = self.app.control.clock().now() + horizon;
        let fingerprint = self.fingerprint(&self.grant.token.to_string());
        (Deed::untold(Untold { server, number, fingerprint, expires_at }), Some(number))
    }

    /// What became of an equal request whose answer was lost; nobody else is given it.
    fn lost_answer(&self) -> Option<Lost> {
        let lost = &self.app.once.lost;
        if lost.is_empty() {
            return None;
        }
        lost.take(&self.fingerprint(&self.grant.token.to_string()), self.app.control.clock().now())
    }

    fn fingerprint(&self, whose: &str) -> String {
        mark::fingerprint(whose, &self.parts.uri, &self.body)
    }
}

fn store_failed(error: StoreError) -> ApiError {
    dewpoint_control::Error::from(error).into()
}
