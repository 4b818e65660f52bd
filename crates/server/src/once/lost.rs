//! Answers that were not delivered, by the fingerprint of their requests. In memory: what of it outlives the process is in the
//! store and in a file (`told.rs`).

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use dewpoint_clock::Timestamp;
use dewpoint_store::Ending;

/// Most answers remembered; past it the one that was lost first is forgotten.
const MOST: usize = 4096;

/// An answer that was lost: what became of its request, and its number in the file of answers that were given.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) ending: Ending,
    pub(super) number: Option<u64>,
}

/// The lost answers.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// How many there are: nearly always none, and then nobody needs a fingerprint.
    count: AtomicUsize,
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    by_fingerprint: HashMap<String, VecDeque<Answer>>,
    /// In the order they were lost in; some have been taken since.
    order: VecDeque<(u64, Timestamp, String)>,
    next: u64,
}

#[derive(Debug)]
struct Answer {
    number: u64,
    lost: Lost,
}

impl Losses {
    /// Whether nothing is lost.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Remembers until `until` that the answer to this request was lost.
    pub(super) fn put(&self, fingerprint: String, lost: Lost, until: Timestamp) {
        let mut answers = self.lock();
        let number = answers.next;
        answers.next += 1;
        answers.order.push_back((number, until, fingerprint.clone()));
        answers.by_fingerprint.entry(fingerprint).or_default().push_back(Answer { number, lost });
        if answers.order.len() > MOST {
            answers.forget_oldest();
        }
        self.note(&answers);
    }

    /// The answer to such a request that was lost last and not too long before `now`; it is lost no more.
    pub(super) fn take(&self, fingerprint: &str, now: Timestamp) -> Option<Lost> {
        let mut answers = self.lock();
        while answers.order.front().is_some_and(|(_, until, _)| *until <= now) {
            answers.forget_oldest();
        }
        let found = answers.by_fingerprint.get_mut(fingerprint).and_then(VecDeque::pop_back);
        if answers.by_fingerprint.get(fingerprint).is_some_and(VecDeque::is_empty) {
            answers.by_fingerprint.remove(fingerprint);
        }
        self.note(&answers);
        found.map(|answer| answer.lost)
    }

    /// Forgets all.
    pub(super) fn forget(&self) {
        let mut answers = self.lock();
        *answers = Answers::default();
        self.note(&answers);
    }

    fn note(&self, answers: &Answers) {
        self.count.store(answers.by_fingerprint.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    /// Forgets the answer that was lost first, if nobody has taken it.
    fn forget_oldest(&mut self) {
        let Some((number, _, fingerprint)) = self.order.pop_front() else { return };
        if let Some(of_this) = self.by_fingerprint.get_mut(&fingerprint) {
            of_this.retain(|answer| answer.number != number);
            if of_this.is_empty() {
                self.by_fingerprint.remove(&fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dewpoint_store::Deed;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn put(lost: &Losses, name: &str) {
        lost.put(
            name.to_owned(),
            Lost { ending: Deed::new(None).ending(), number: None },
            NOW + Duration::from_secs(10),
        );
    }

    #[test]
    fn each_lost_answer_is_given_once() {
        let lost = Losses::default();
        assert!(lost.is_empty());
        put(&lost, "a");
        put(&lost, "a");
        assert!(lost.take("b", NOW).is_none());
        assert!(lost.take("a", NOW).is_some() && lost.take("a", NOW).is_some());
        assert!(lost.take("a", NOW).is_none() && lost.is_empty());
    }

    #[test]
    fn after_its_time_an_answer_is_forgotten() {
        let lost = Losses::default();
        put(&lost, "a");
        assert!(lost.take("a", NOW + Duration::from_secs(10)).is_none());
        assert!(lost.is_empty());
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let lost = Losses::default();
        for number in 0..=MOST {
            put(&lost, &number.to_string());
        }
        assert!(lost.take("0", NOW).is_none());
        assert!(lost.take("1", NOW).is_some() && lost.take(&MOST.to_string(), NOW).is_some());
    }
}
