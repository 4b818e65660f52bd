//! The simulator's clock: the system's time, until somebody moves it.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use crate::{Clock, SystemClock, Timestamp};

/// A clock that follows the system's until it is moved: ahead, back, frozen, or at a rate of its own. Whoever sleeps by it
/// wakes as soon as it has passed their deadline, however it got there; who waits for the earliest is woken first.
#[derive(Debug)]
pub struct SimClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    course: Course,
    /// How often the course was changed.
    moves: u64,
    /// Who waits, by deadline and then by who came first.
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
    /// The number of the next who comes.
    next: u64,
}

/// How the clock goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Course {
    /// As the system's.
    Real,
    /// It showed `from` at `since` and has gone `rate` times as fast as real time from there; 0 is frozen.
    Moved { from: Timestamp, since: Instant, rate: f64 },
}

/// What a clock shows and how it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// What it shows.
    pub now: Timestamp,
    /// Seconds of the clock in a second of real time; `None` when it follows the system's.
    pub rate: Option<f64>,
}

impl Course {
    fn now(self) -> Timestamp {
        match self {
            Self::Real => SystemClock.now(),
            Self::Moved { from, since, rate } => from + seconds(since.elapsed().as_secs_f64() * rate),
        }
    }

    /// In how much real time the clock has gone on by `span`; `None`: never.
    fn real(self, span: Duration) -> Option<Duration> {
        match self {
            Self::Real => Some(span),
            Self::Moved { rate, .. } if rate > 0.0 => {
                Some(seconds(span.as_secs_f64() / rate).max(Duration::from_millis(1)))
            }
            Self::Moved { .. } => None,
        }
    }

    fn rate(self) -> Option<f64> {
        match self {
            Self::Real => None,
            Self::Moved { rate, .. } => Some(rate),
        }
    }
}

impl SimClock {
    /// The fastest it goes: about a day in a second of real time.
    pub const FASTEST: f64 = 100_000.0;

    /// A clock that follows the system's.
    pub fn real() -> Self {
        Self::on(Course::Real)
    }

    /// A clock that stands still at `now`.
    pub fn frozen_at(now: Timestamp) -> Self {
        Self::on(Course::Moved { from: now, since: Instant::now(), rate: 0.0 })
    }

    fn on(course: Course) -> Self {
        Self { state: Mutex::new(State { course, moves: 0, sleepers: BTreeMap::new(), next: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the course and wakes everybody, the earliest deadline first: each sees for itself how long it has to wait now.
    fn change(&self, change: impl FnOnce(Course) -> Course) {
        let mut state = self.state();
        state.course = change(state.course);
        state.moves += 1;
        let sleepers = mem::take(&mut state.sleepers);
        drop(state);
        sleepers.into_values().for_each(Waker::wake);
    }

    /// Moves it forward; it goes on as it went.
    pub fn advance(&self, span: Duration) {
        self.change(|course| moved(course.now() + span, course.rate().unwrap_or(1.0)));
    }

    /// Makes it go `rate` times as fast as real time from what it shows now. 0 freezes it; at most [`Self::FASTEST`].
    pub fn set_rate(&self, rate: f64) {
        self.change(|course| moved(course.now(), rate));
    }

    /// Makes it show and go as this reading says.
    pub fn set(&self, reading: Reading) {
        self.change(|_| reading.rate.map_or(Course::Real, |rate| moved(reading.now, rate)));
    }

    /// What it shows and how it goes.
    pub fn reading(&self) -> Reading {
        let course = self.state().course;
        Reading { now: course.now(), rate: course.rate() }
    }

    /// How many wait for a deadline now. Lets a test move the clock only once everybody it is about sleeps.
    pub fn sleepers(&self) -> usize {
        self.state().sleepers.len()
    }

    /// The earliest deadline somebody waits for.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.state().sleepers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Returns when the course has been changed after `moves`.
    async fn changed(&self, moves: u64, place: &Place<'_>) {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.moves != moves {
                return Poll::Ready(());
            }
            state.sleepers.insert(place.key, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A sleeper's place among those who wait; given up when dropped.
struct Place<'c> {
    clock: &'c SimClock,
    key: (Timestamp, u64),
}

impl<'c> Place<'c> {
    fn new(clock: &'c SimClock, deadline: Timestamp) -> Self {
        let mut state = clock.state();
        state.next += 1;
        Self { clock, key: (deadline, state.next) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.key);
    }
}

/// A span of so many seconds; the longest there is when it would be longer.
fn seconds(count: f64) -> Duration {
    Duration::try_from_secs_f64(count).unwrap_or(Duration::MAX)
}

fn moved(from: Timestamp, rate: f64) -> Course {
    let rate = if rate.is_finite() { rate.clamp(0.0, SimClock::FASTEST) } else { 0.0 };
    Course::Moved { from, since: Instant::now(), rate }
}

#[async_trait::async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let course = self.state().course;
        course.now()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        // Long waits are cut, so that a wall clock set back or forward is noticed within a minute.
        const LONGEST: Duration = Duration::from_secs(60);
        let place = Place::new(self, deadline);
        loop {
            let (course, moves) = {
                let state = self.state();
                (state.course, state.moves)
            };
            let left = deadline.since(course.now());
            if left.is_zero() {
                return;
            }
            match course.real(left) {
                None => self.changed(moves, &place).await,
                Some(real) => {
                    let _ = tokio::time::timeout(real.min(LONGEST), self.changed(moves, &place)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn it_shows_the_systems_time_until_it_is_moved_and_again_when_it_is_told_to() {
        let clock = SimClock::real();
        let before = SystemClock.now();
        assert!(clock.now().since(before) < DAY && clock.reading().rate.is_none());
        clock.advance(DAY);
        assert!(clock.now() >= before + DAY && clock.reading().rate == Some(1.0));
        clock.set(Reading { now: clock.now(), rate: None });
        assert!(clock.now() < before + DAY);
    }

    #[tokio::test]
    async fn a_sleeper_of_a_frozen_clock_wakes_when_it_is_moved_past_the_deadline_and_not_before() {
        let clock = SimClock::frozen_at(Timestamp::from_millis(0));
        let mut sleeper = std::pin::pin!(clock.sleep_until(clock.now() + DAY));
        assert!(futures_now(sleeper.as_mut()).await.is_none());
        clock.advance(DAY - Duration::from_millis(1));
        assert!(futures_now(sleeper.as_mut()).await.is_none());
        clock.advance(Duration::from_millis(1));
        sleeper.await;
        assert_eq!(clock.now(), Timestamp::from_millis(0) + DAY);
    }

    #[tokio::test]
    async fn a_fast_clock_wakes_its_sleepers_that_much_earlier() {
        let clock = SimClock::frozen_at(Timestamp::from_millis(0));
        clock.set_rate(SimClock::FASTEST);
        let began = Instant::now();
        clock.sleep_until(clock.now() + DAY).await;
        assert!(began.elapsed() < Duration::from_secs(60) && clock.now() >= Timestamp::from_millis(0) + DAY);
        clock.set_rate(0.0);
        let stopped = clock.now();
        assert_eq!(clock.now(), stopped);
    }

    #[tokio::test]
    async fn who_waits_for_the_earliest_deadline_is_woken_first_and_who_leaves_is_forgotten() {
        let clock = std::sync::Arc::new(SimClock::frozen_at(Timestamp::from_millis(0)));
        let woken = std::sync::Arc::new(Mutex::new(Vec::new()));
        let mut sleepers = Vec::new();
        for seconds in [3, 1, 2, 1] {
            let (clock, woken) = (clock.clone(), woken.clone());
            sleepers.push(tokio::spawn(async move {
                clock.sleep_until(Timestamp::from_millis(seconds * 1000)).await;
                woken.lock().expect("nobody panicked").push(seconds);
            }));
        }
        let mut leaves = Box::pin(clock.sleep_until(Timestamp::from_millis(500)));
        tokio::select! {
            biased;
            () = &mut leaves => panic!("it is not that late"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!((clock.sleepers(), clock.next_deadline()), (5, Some(Timestamp::from_millis(500))));
        drop(leaves);
        assert_eq!((clock.sleepers(), clock.next_deadline()), (4, Some(Timestamp::from_millis(1000))));
        clock.advance(DAY);
        for sleeper in sleepers {
            sleeper.await.expect("it wakes");
        }
        assert_eq!(*woken.lock().expect("nobody panicked"), [1, 1, 2, 3]);
        assert_eq!(clock.sleepers(), 0);
    }

    /// What the future gives when it is looked at once.
    async fn futures_now<T>(future: std::pin::Pin<&mut (dyn Future<Output = T> + Send)>) -> Option<T> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = std::future::ready(()) => None,
        }
    }
}
