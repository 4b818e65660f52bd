//! Attempts that ended without an effect: a retry of one of them is a new try, and no repetition of something done.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Most attempts that are remembered; the oldest are forgotten first, and their retries then join what was done before.
const MOST: usize = 4096;

/// By the name and the number of each, the newest last.
#[derive(Debug, Default)]
pub(super) struct Fruitless {
    attempts: Mutex<VecDeque<(String, u32)>>,
}

impl Fruitless {
    pub(super) fn add(&self, name: &str, attempt: u32) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() == MOST {
            attempts.pop_front();
        }
        attempts.push_back((name.to_owned(), attempt));
    }

    /// Whether retry number `attempt` follows such an attempt, which no other retry is then taken to follow.
    pub(super) fn take_before(&self, name: &str, attempt: u32) -> bool {
        let Some(before) = attempt.checked_sub(1) else { return false };
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = attempts.iter().rposition(|(known, number)| known == name && *number == before);
        found.and_then(|index| attempts.remove(index)).is_some()
    }

    pub(super) fn forget(&self) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fruitless_attempt_is_followed_by_one_retry() {
        let fruitless = Fruitless::default();
        fruitless.add("a", 0);
        assert!(!fruitless.take_before("a", 0) && !fruitless.take_before("b", 1) && !fruitless.take_before("a", 2));
        assert!(fruitless.take_before("a", 1));
        assert!(!fruitless.take_before("a", 1));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let fruitless = Fruitless::default();
        (0..=MOST).for_each(|number| fruitless.add(&number.to_string(), 0));
        assert!(!fruitless.take_before("0", 1));
        assert!(fruitless.take_before("1", 1));
    }
}
