//! What keys use of models: counted in memory while answers pass, written a few seconds later by one transaction for all.
//!
//! So no answer waits for it, and a server that is killed loses the counts of its last [`GATHERED_FOR`]; one that ends in order
//! loses none. Reading writes first what this server still holds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dewpoint_api::{AccountId, PageRequest, TokenId, UsageTotal};
use dewpoint_clock::Timestamp;
use dewpoint_store::{Page, Tx, UsageFilter, UsageOf, UsageRecord, model_usage};
use tokio::sync::{Notify, watch};

use crate::{Control, Error, window};

/// How long counts wait for others to be written with.
pub const GATHERED_FOR: Duration = Duration::from_secs(5);
/// How long counts are kept in the store: 400 days, so that a month can be held against that of the year before.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// Most rows that wait: what a store that does not write for a while must not cost in memory.
const WAITING_MOST: usize = 65_536;
/// Most old rows that go with one write.
const PRUNED_AT_ONCE: u32 = 1000;
/// Wait after a write that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
const MINUTE_MS: i64 = 60_000;

/// What is counted and not written yet.
#[derive(Debug, Default)]
pub(crate) struct UsageBook {
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// Held while writing, so that reading waits for a write that is on its way.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    rows: HashMap<UsageOf, UsageTotal>,
    /// Requests that were not counted because too many rows waited.
    lost: u64,
}

impl Waiting {
    fn add(&mut self, of: UsageOf, used: UsageTotal) {
        if self.rows.len() >= WAITING_MOST && !self.rows.contains_key(&of) {
            self.lost += used.requests;
            return;
        }
        let sum = self.rows.entry(of).or_default();
        sum.requests += used.requests;
        sum.errors += used.errors;
        sum.tokens_in += used.tokens_in;
        sum.tokens_out += used.tokens_out;
        sum.estimated += used.estimated;
    }
}

impl UsageBook {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Counts what `key` used of `model` until now. Costs no I/O.
    pub fn usage_note(&self, account: AccountId, key: TokenId, model: &str, used: UsageTotal) {
        let now = self.now().as_millis();
        let minute = Timestamp::from_millis(now - now.rem_euclid(MINUTE_MS));
        let of = UsageOf { account, minute, key, model: model.to_owned() };
        self.inner.usage.waiting().add(of, used);
        self.inner.usage.bell.notify_one();
    }

    /// How many requests were not counted because the store did not take what was there in time.
    pub fn usage_lost(&self) -> u64 {
        self.inner.usage.waiting().lost
    }

    /// What the account used, by minute, the newest first; and its sum.
    pub async fn usage_list(
        &self,
        account: AccountId,
        filter: UsageFilter,
        page: PageRequest,
    ) -> Result<(Page<UsageRecord>, UsageTotal), Error> {
        self.write_usage_now().await?;
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let rows = model_usage::usage_list(tx, account, &filter, window(page))?;
                Ok::<_, Error>((rows, model_usage::usage_total(tx, account, &filter)?))
            })
            .await
    }

    /// How many tokens a key used since `from`, of requests and answers, in all minutes that began since then.
    pub async fn usage_since(&self, account: AccountId, key: TokenId, from: Timestamp) -> Result<u64, Error> {
        self.write_usage_now().await?;
        let filter = UsageFilter { from: Some(from), key: Some(key), ..UsageFilter::default() };
        let sum = self.inner.store.read(move |tx| model_usage::usage_total(tx, account, &filter).map_err(Error::from));
        let sum = sum.await?;
        Ok(sum.tokens_in + sum.tokens_out)
    }

    /// Writes what is counted, in a task of its own: a caller that leaves takes nothing with it.
    async fn write_usage_now(&self) -> Result<(), Error> {
        let control = self.clone();
        let written = tokio::spawn(async move { control.write_usage().await });
        written.await.unwrap_or(Err(Error::Store(dewpoint_store::Error::Stopped)))
    }

    /// Writes what is counted and removes what is old. What cannot be written is kept for the next time.
    pub async fn write_usage(&self) -> Result<(), Error> {
        let book = &self.inner.usage;
        let _writing = book.writing.lock().await;
        let rows = std::mem::take(&mut book.waiting().rows);
        if rows.is_empty() {
            return Ok(());
        }
        let mut records: Vec<UsageRecord> = rows.into_iter().map(|(of, used)| UsageRecord { of, used }).collect();
        // Two servers that write the same rows lock them in the same order.
        records.sort_unstable_by(|a, b| a.of.cmp(&b.of));
        let records = Arc::new(records);
        let (written, since) = (Arc::clone(&records), self.now() - KEPT);
        let outcome: Result<(), Error> = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                model_usage::usage_add(tx, &written)?;
                model_usage::usage_prune(tx, since, PRUNED_AT_ONCE)?;
                Ok(())
            })
            .await;
        if outcome.is_err() {
            let mut waiting = book.waiting();
            for record in records.iter() {
                waiting.add(record.of.clone(), record.used);
            }
        }
        outcome
    }

    /// Keeps writing what is counted until `stopped` says so. What is counted after that is written by a last
    /// [`Control::write_usage`].
    pub async fn keep_usage(self, mut stopped: watch::Receiver<bool>) {
        let mut pause = GATHERED_FOR;
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                () = self.inner.usage.bell.notified() => {}
            }
            // By real time: what is lost by a kill does not depend on a clock that somebody steers.
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.write_usage().await {
                Ok(()) => GATHERED_FOR,
                Err(error) => {
                    tracing::error!(%error, "What keys used of models cannot be written; trying again");
                    self.inner.usage.bell.notify_one();
                    PAUSE_AFTER_FAILURE
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_write_costs_a_limited_amount_of_memory() {
        let mut waiting = Waiting::default();
        let of = |minute: i64| UsageOf {
            account: AccountId(1),
            minute: Timestamp::from_millis(minute * MINUTE_MS),
            key: TokenId(uuid::Uuid::nil()),
            model: "a".to_owned(),
        };
        let one = UsageTotal { requests: 1, ..UsageTotal::default() };
        for minute in 0..70_000 {
            waiting.add(of(minute), one);
        }
        assert_eq!((waiting.rows.len(), waiting.lost), (WAITING_MOST, 70_000 - WAITING_MOST as u64));
        waiting.add(of(0), one);
        assert_eq!(waiting.rows[&of(0)].requests, 2, "what is there goes on counting");
    }
}
