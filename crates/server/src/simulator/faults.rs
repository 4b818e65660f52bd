//! Faults that were ordered: what each strikes, how often, and what it does. Pure but for the lock; time comes in.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    order::{Effect, FaultOrder},
    stale::Memory,
};

/// Most faults at once.
pub(crate) const FAULTS_MAX: usize = 1000;

/// A fault with what became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Fault {
    /// Its number.
    pub(crate) id: u64,
    /// How often it has struck.
    pub(crate) struck: u64,
    /// How many it matched while it was in force.
    pub(crate) matched: u64,
    /// As it was ordered.
    #[serde(flatten)]
    pub(crate) order: FaultOrder,
    #[serde(skip)]
    chances: u64,
    #[serde(skip)]
    memory: Memory,
}

/// What a fault may strike.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// A request.
    Request { method: &'a str, path: &'a str },
    /// A step of an action; `takes_back` when it undoes what an earlier one did.
    Step { action: &'a str, step: &'a str, takes_back: bool },
}

impl Fault {
    fn is_over(&self, now: Timestamp) -> bool {
        self.order.count.is_some_and(|count| self.struck >= count) || self.order.until.is_some_and(|until| until <= now)
    }

    /// Whether it is about such a target, tags aside.
    fn is_about(&self, target: Target<'_>, now: Timestamp) -> bool {
        let order = &self.order;
        let about = match (target, &order.effect) {
            (Target::Request { .. }, Effect::StepError { .. }) => false,
            (Target::Request { method, path }, _) => {
                order.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                    && matches(order.path.as_deref().unwrap_or("/v2/*"), path)
            }
            (Target::Step { action, step, takes_back }, Effect::StepError { action: kind, step: name, .. }) => {
                kind.as_ref().is_none_or(|kind| kind == action)
                    && name.as_ref().map_or(!takes_back, |name| name == step)
            }
            (Target::Step { .. }, _) => false,
        };
        about && order.from.is_none_or(|from| from <= now)
    }

    /// The next chance, from 0 to 1: SplitMix64.
    fn draw(&mut self) -> f64 {
        self.chances = self.chances.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chances;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether it strikes this one, which it is about.
    fn strikes(&mut self) -> bool {
        self.matched += 1;
        let lucky = self.order.probability.is_some_and(|probability| self.draw() >= probability);
        !lucky && self.matched > self.order.after.unwrap_or(0)
    }
}

/// Whether `path` is what `pattern` says, where `*` stands for any text.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|after| {
            let mut ends = after.char_indices().map(|(position, _)| position).chain([after.len()]);
            ends.any(|position| matches(rest, &after[position..]))
        }),
    }
}

/// A fault that strikes.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) id: u64,
    pub(crate) effect: Effect,
    pub(crate) memory: Memory,
}

/// Every fault there is.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    all: Mutex<Ordered>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ordered {
    faults: Vec<Fault>,
    last: u64,
}

impl Faults {
    fn all(&self) -> MutexGuard<'_, Ordered> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an order; or says in a sentence why not.
    pub(crate) fn order(&self, mut order: FaultOrder, now: Timestamp) -> Result<Fault, String> {
        if let Some(problem) = order.problem() {
            return Err(problem);
        }
        if let Some(seconds) = order.for_seconds.take() {
            order.until = Some(order.from.unwrap_or(now) + Duration::from_secs(seconds));
        }
        let mut all = self.all();
        all.faults.retain(|fault| !fault.is_over(now));
        if all.faults.len() >= FAULTS_MAX {
            return Err(format!("There are {FAULTS_MAX} faults already; delete some."));
        }
        all.last += 1;
        let chances = order.seed.unwrap_or(all.last);
        let fault = Fault { id: all.last, struck: 0, matched: 0, order, chances, memory: Memory::default() };
        all.faults.push(fault.clone());
        Ok(fault)
    }

    /// Those that are not over, oldest first.
    pub(crate) fn list(&self, now: Timestamp) -> Vec<Fault> {
        let mut all = self.all();
        all.faults.retain(|fault| !fault.is_over(now));
        all.faults.clone()
    }

    /// Takes one back; whether it was there.
    pub(crate) fn delete(&self, id: u64, now: Timestamp) -> bool {
        let mut all = self.all();
        all.faults.retain(|fault| !fault.is_over(now));
        let before = all.faults.len();
        all.faults.retain(|fault| fault.id != id);
        all.faults.len() < before
    }

    /// Takes all back.
    pub(crate) fn clear(&self) {
        self.all().faults.clear();
    }

    /// All of them as they are, to be put back later.
    pub(crate) fn save(&self) -> Ordered {
        self.all().clone()
    }

    /// Puts back what was saved; numbers go on.
    pub(crate) fn restore(&self, saved: Ordered) {
        let mut all = self.all();
        let last = all.last.max(saved.last);
        *all = Ordered { last, ..saved };
    }

    /// Whether there is one about this target, and whether one of those asks for a tag.
    pub(crate) fn are_about(&self, target: Target<'_>, now: Timestamp) -> (bool, bool) {
        let all = self.all();
        let mut about = all.faults.iter().filter(|fault| !fault.is_over(now) && fault.is_about(target, now)).peekable();
        (about.peek().is_some(), about.any(|fault| fault.order.tag.is_some()))
    }

    /// Which strike this target, which has these tags, oldest first. A stale answer counts only once it is given.
    pub(crate) fn strike(&self, target: Target<'_>, tags: &[String], now: Timestamp) -> Vec<Strike> {
        let mut all = self.all();
        all.faults.retain(|fault| !fault.is_over(now));
        let mut strikes = Vec::new();
        for fault in &mut all.faults {
            let tagged = |wanted: &String| tags.iter().any(|tag| tag.eq_ignore_ascii_case(wanted));
            if !fault.is_about(target, now) || !fault.order.tag.as_ref().is_none_or(tagged) || !fault.strikes() {
                continue;
            }
            let ends = matches!(
                fault.order.effect,
                Effect::Status { .. }
                    | Effect::TooManyRequests { .. }
                    | Effect::PendingEvent {}
                    | Effect::StepError { .. }
            );
            fault.struck += u64::from(fault.order.effect != Effect::Stale {});
            strikes.push(Strike { id: fault.id, effect: fault.order.effect.clone(), memory: fault.memory.clone() });
            if ends {
                break;
            }
        }
        strikes
    }

    /// A stale answer is to be given; whether the fault is still there to give it.
    pub(crate) fn gave(&self, id: u64, now: Timestamp) -> bool {
        let mut all = self.all();
        let fault = all.faults.iter_mut().find(|fault| fault.id == id && !fault.is_over(now));
        fault.map(|fault| fault.struck += 1).is_some()
    }

    /// How often each has struck, by number. For tests.
    #[cfg(test)]
    fn struck(&self) -> std::collections::HashMap<u64, u64> {
        self.all().faults.iter().map(|fault| (fault.id, fault.struck)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const CREATE: Target<'static> = Target::Request { method: "POST", path: "/v2/droplets" };

    fn order(text: &str) -> FaultOrder {
        serde_json::from_str(text).expect("an order")
    }

    fn hits(faults: &Faults, target: Target<'_>, now: Timestamp) -> Vec<u64> {
        faults.strike(target, &[], now).into_iter().map(|strike| strike.id).collect()
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, path, meets) in [
            ("/v2/droplets", "/v2/droplets", true),
            ("/v2/droplets", "/v2/droplets/1", false),
            ("/v2/droplets/*", "/v2/droplets/1/actions", true),
            ("/v2/*/actions", "/v2/droplets/1/actions", true),
            ("/v2/*/actions", "/v2/droplets/1/actions/2", false),
            ("*", "", true),
            ("*é*", "/é", true),
        ] {
            assert_eq!(matches(pattern, path), meets, "{pattern} {path}");
        }
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_was_ordered_after_as_many_as_it_was_to_let_pass() {
        let faults = Faults::default();
        let text =
            r#"{"effect":{"type":"status","status":500},"method":"post","path":"/v2/droplets","after":1,"count":2}"#;
        faults.order(order(text), NOW).expect("taken");
        assert!(hits(&faults, Target::Request { method: "GET", path: "/v2/droplets" }, NOW).is_empty());
        let struck: Vec<bool> = (0..5).map(|_| !hits(&faults, CREATE, NOW).is_empty()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.list(NOW).is_empty(), "used up");
    }

    #[test]
    fn a_fault_holds_in_its_window_alone() {
        let faults = Faults::default();
        let later = NOW + Duration::from_secs(10);
        let from = FaultOrder { from: Some(later), ..order(r#"{"effect":{"type":"drop"},"for_seconds":5}"#) };
        assert_eq!(faults.order(from, NOW).expect("taken").order.until, Some(later + Duration::from_secs(5)));
        assert!(hits(&faults, CREATE, NOW).is_empty());
        assert_eq!(hits(&faults, CREATE, later), [1]);
        assert_eq!(faults.struck(), HashMap::from([(1, 1)]));
        assert!(hits(&faults, CREATE, later + Duration::from_secs(5)).is_empty());
        assert!(faults.list(later + Duration::from_secs(5)).is_empty());
    }

    #[test]
    fn the_same_seed_strikes_the_same_ones_and_about_as_many_as_its_probability_says() {
        let run = |seed: u64| {
            let faults = Faults::default();
            let text = format!(r#"{{"effect":{{"type":"pending_event"}},"probability":0.25,"seed":{seed}}}"#);
            faults.order(order(&text), NOW).expect("taken");
            (0..1000).map(|_| !hits(&faults, CREATE, NOW).is_empty()).collect::<Vec<bool>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let struck = run(7).into_iter().filter(|struck| *struck).count();
        assert!((200..300).contains(&struck), "{struck}");
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        let faults = Faults::default();
        for text in [
            r#"{"effect":{"type":"status","status":200}}"#,
            r#"{"effect":{"type":"drop"},"probability":2}"#,
            r#"{"effect":{"type":"delay","milliseconds":99999999}}"#,
            r#"{"effect":{"type":"drop"},"until":"2030-01-01T00:00:00Z","for_seconds":1}"#,
        ] {
            assert!(faults.order(order(text), NOW).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<FaultOrder>(r#"{"effect":{"type":"drop","what":1}}"#).is_err());
        assert!(serde_json::from_str::<FaultOrder>(r#"{"effect":{"type":"drop"},"pth":"/"}"#).is_err());
    }
}
