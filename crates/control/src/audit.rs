//! The audit log, and when tokens were last used: noted in memory while requests are answered, written a moment later by one
//! transaction for many, which shares its commit with whatever else the store has to do.
//!
//! So no request waits for it, and a server that is killed loses the notes of its last [`GATHERED_FOR`]. Reading writes first
//! what this server still holds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dewpoint_api::TokenId;
use dewpoint_clock::Timestamp;
use dewpoint_store::{AuditFilter, AuditRecord, AuditView, Tx, audit, tokens};
use tokio::sync::{Notify, watch};

use crate::{Control, Error};

/// How long notes wait for others to be written with.
pub const GATHERED_FOR: Duration = Duration::from_millis(200);
/// Most notes that wait: what a store that does not write for a while must not cost in memory.
const WAITING_MOST: usize = 65_536;
/// Most refusals without a good token that are written down a minute: whoever has none must not fill the log.
const REFUSALS_A_MINUTE: u64 = 60;
/// How often the old end is looked at when nothing is written.
const LOOKED_AFTER_EVERY: Duration = Duration::from_secs(3600);
/// Most old entries that go with one write, beyond twice what came.
const PRUNED_AT_ONCE: u32 = 1000;
/// Wait after a write that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What is noted and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// Held while writing, so that entries are numbered in the order they came.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<AuditRecord>,
    used: BTreeMap<TokenId, Timestamp>,
    refusals: Refusals,
    /// Entries dropped since the last write because too many waited.
    lost: u64,
    /// The same since the start.
    lost_in_all: u64,
}

/// Counts the refusals of one minute.
#[derive(Debug, Default)]
struct Refusals {
    minute: i64,
    written: u64,
    left_out: u64,
}

impl Refusals {
    /// How many were left out before this one, if it is to be written down.
    fn admit(&mut self, now: Timestamp) -> Option<u64> {
        let minute = now.as_millis().div_euclid(60_000);
        if minute != self.minute {
            (self.minute, self.written) = (minute, 0);
        }
        if self.written >= REFUSALS_A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Journal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a token was used.
    pub(crate) fn token_used(&self, token: TokenId, now: Timestamp) {
        self.waiting().used.insert(token, now);
        self.bell.notify_one();
    }

    fn note(&self, mut entry: AuditRecord) {
        let mut waiting = self.waiting();
        if entry.account.is_none() {
            let Some(left_out) = waiting.refusals.admit(entry.at) else { return };
            entry.left_out = left_out;
        }
        if waiting.entries.len() >= WAITING_MOST {
            waiting.lost += 1;
            waiting.lost_in_all += 1;
            return;
        }
        waiting.entries.push(entry);
        drop(waiting);
        self.bell.notify_one();
    }
}

impl Control {
    /// Notes a request for the audit log. Costs no I/O.
    pub fn audit_note(&self, entry: AuditRecord) {
        self.inner.journal.note(entry);
    }

    /// How many entries this server dropped since its start because the store did not take them.
    pub fn audit_lost(&self) -> u64 {
        self.inner.journal.waiting().lost_in_all
    }

    /// Entries that match and are older than `before`, newest first, at most `take`; and where to go on from, if there may be
    /// more. A filter that matches little may give none at all and still say where to go on from.
    pub async fn audit_list(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        take: u32,
    ) -> Result<(Vec<AuditView>, Option<u64>), Error> {
        self.write_journal_now().await?;
        self.inner.store.read(move |tx| audit::audit_page(tx, &filter, before, take).map_err(Error::from)).await
    }

    /// Writes what is noted, in a task of its own: a caller that leaves takes nothing with it.
    pub(crate) async fn write_journal_now(&self) -> Result<(), Error> {
        let control = self.clone();
        let written = tokio::spawn(async move { control.write_journal().await });
        written.await.unwrap_or(Err(Error::Store(dewpoint_store::Error::Stopped))).map(drop)
    }

    /// Writes what is noted and cuts the old end; how many old entries went. What cannot be written is kept for the next time.
    pub async fn write_journal(&self) -> Result<u64, Error> {
        let journal = &self.inner.journal;
        let _writing = journal.writing.lock().await;
        let (entries, used, lost) = {
            let mut waiting = journal.waiting();
            let lost = std::mem::take(&mut waiting.lost);
            (Arc::new(std::mem::take(&mut waiting.entries)), std::mem::take(&mut waiting.used), lost)
        };
        if lost > 0 {
            tracing::error!(lost, "The audit log lacks {lost} entries: the store did not take them in time");
        }
        let used: Arc<Vec<(TokenId, Timestamp)>> = Arc::new(used.into_iter().collect());
        let (rows, marks) = (Arc::clone(&entries), Arc::clone(&used));
        let (since, most) = (self.now() - self.inner.config.audit_keep, self.inner.config.audit_most);
        let limit = PRUNED_AT_ONCE + 2 * u32::try_from(rows.len()).unwrap_or(u32::MAX / 4);
        let written: Result<u64, Error> = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                audit::audit_insert(tx, &rows)?;
                for (token, at) in marks.iter() {
                    tokens::token_used(tx, *token, *at)?;
                }
                Ok(audit::audit_prune(tx, since, most, limit)?)
            })
            .await;
        if written.is_err() {
            let mut waiting = journal.waiting();
            let mut all = Arc::unwrap_or_clone(entries);
            all.append(&mut waiting.entries);
            waiting.entries = all;
            for (token, at) in used.iter() {
                waiting.used.entry(*token).or_insert(*at);
            }
        }
        written
    }

    /// Keeps writing what is noted until `stopped` says so. What is noted after that is written by a last
    /// [`Control::write_journal`].
    pub async fn keep_journal(self, mut stopped: watch::Receiver<bool>) {
        let clock = Arc::clone(&self.inner.clock);
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                () = self.inner.journal.bell.notified() => {}
                () = clock.sleep_until(clock.now() + LOOKED_AFTER_EVERY) => {}
            }
            let pause = match self.write_journal().await {
                // More may be old than one write takes away.
                Ok(gone) if gone >= u64::from(PRUNED_AT_ONCE) => {
                    self.inner.journal.bell.notify_one();
                    GATHERED_FOR
                }
                Ok(_) => GATHERED_FOR,
                Err(error) => {
                    tracing::error!(%error, "The audit log cannot be written; trying again");
                    self.inner.journal.bell.notify_one();
                    PAUSE_AFTER_FAILURE
                }
            };
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                () = clock.sleep_until(clock.now() + pause) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(at: i64) -> AuditRecord {
        AuditRecord {
            at: Timestamp::from_millis(at),
            account: None,
            token: None,
            operation: "droplets_create".to_owned(),
            method: "POST".to_owned(),
            path: "/v2/droplets".to_owned(),
            status: 401,
            address: None,
            request_id: String::new(),
            left_out: 0,
        }
    }

    #[test]
    fn who_has_no_token_cannot_fill_the_log() {
        let journal = Journal::default();
        for number in 0..1000 {
            journal.note(refusal(number));
        }
        assert_eq!(journal.waiting().entries.len() as u64, REFUSALS_A_MINUTE);
        journal.note(refusal(60_000));
        let waiting = journal.waiting();
        let last = waiting.entries.last().expect("the next minute's first");
        assert_eq!((last.at.as_millis(), last.left_out), (60_000, 1000 - REFUSALS_A_MINUTE));
    }

    #[test]
    fn a_store_that_does_not_write_costs_a_limited_amount_of_memory() {
        let journal = Journal::default();
        for _ in 0..WAITING_MOST + 5 {
            journal.note(AuditRecord { account: Some(dewpoint_api::AccountId(1)), ..refusal(0) });
        }
        let waiting = journal.waiting();
        assert_eq!((waiting.entries.len(), waiting.lost), (WAITING_MOST, 5));
    }
}
