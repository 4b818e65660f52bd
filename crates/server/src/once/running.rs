//! Requests under way that can be known again, so that a second one waits for the first instead of racing it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use dewpoint_api::AccountId;
use dewpoint_store::{Claim, Deed, Ending};

/// Below how many names nothing is looked through for what is over.
const FEW: usize = 1024;

/// Which deeds are being done, by account and name.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Named>);

#[derive(Debug, Default)]
struct Named {
    deeds: HashMap<(AccountId, String), Vec<(u32, Ending)>>,
    /// How many names were left when what is over was last removed.
    left: usize,
}

impl Running {
    /// Enters a deed under its number, unless one with a number below `before` is being done: then that one's ending.
    ///
    /// A deed leaves by being over: nobody has to see to it, also not a handler that is dropped.
    pub(super) fn enter(&self, claim: &Claim, number: u32, before: u32, deed: &Deed) -> Result<(), Ending> {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.deeds.len() >= FEW.max(2 * named.left) {
            named.deeds.retain(|_, deeds| deeds.iter().any(|(_, ending)| !ending.is_over()));
            named.left = named.deeds.len();
        }
        let deeds = named.deeds.entry((claim.account, claim.name.clone())).or_default();
        deeds.retain(|(_, ending)| !ending.is_over());
        match deeds.iter().find(|(other, _)| *other < before) {
            Some((_, ending)) => Err(ending.clone()),
            None => {
                deeds.push((number, deed.ending()));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dewpoint_clock::Timestamp;
    use dewpoint_store::Claimed;

    use super::*;

    fn claim(name: String) -> Claim {
        let now = Timestamp::from_millis(0);
        Claim { account: AccountId(1), name, mark: Claimed::Attempt(0), now, expires_at: now }
    }

    #[test]
    fn a_second_one_is_shown_the_first_until_that_is_over() {
        let running = Running::default();
        let (first, second) = (Deed::new(None), Deed::new(None));
        assert!(running.enter(&claim("a".into()), 0, 1, &first).is_ok());
        assert!(running.enter(&claim("b".into()), 0, 1, &second).is_ok(), "another name");
        let shown = running.enter(&claim("a".into()), 0, 1, &second).expect_err("the first is being done");
        drop(first);
        assert!(shown.is_over());
        assert!(running.enter(&claim("a".into()), 0, 1, &second).is_ok());
    }

    #[test]
    fn first_attempts_do_not_wait_for_each_other_and_retries_wait_for_both() {
        let running = Running::default();
        let [first, second, retry] = [Deed::new(None), Deed::new(None), Deed::new(None)];
        assert!(running.enter(&claim("a".into()), 0, 0, &first).is_ok());
        assert!(running.enter(&claim("a".into()), 0, 0, &second).is_ok());
        assert!(running.enter(&claim("a".into()), 1, 1, &retry).is_err());
        drop(first);
        assert!(running.enter(&claim("a".into()), 1, 1, &retry).is_err());
        drop(second);
        assert!(running.enter(&claim("a".into()), 1, 1, &retry).is_ok());
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let running = Running::default();
        for number in 0..3 * FEW {
            assert!(running.enter(&claim(number.to_string()), 0, 1, &Deed::new(None)).is_ok());
        }
        assert!(running.0.lock().expect("whole").deeds.len() <= FEW);
    }
}
