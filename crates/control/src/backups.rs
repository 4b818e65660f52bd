//! Backup policies: what was chosen, and when the next window is. No I/O.

use std::time::Duration;

use dewpoint_api::{BackupChoice, BackupPlan, BackupPolicyRequest, BackupWindow, DropletId, WINDOW_LENGTH_HOURS, Weekday};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A Droplet's policy, whole: what the caller left open was chosen by [`StoredPolicy::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// How often.
    pub plan: BackupPlan,
    /// On which day, for a weekly plan.
    pub weekday: Option<Weekday>,
    /// In which hour, UTC, the window starts.
    pub hour: u8,
}

impl StoredPolicy {
    /// The policy asked for; hour and weekday are spread by the Droplet's number where the caller left them open (CRE-15).
    pub fn new(asked: Option<&BackupPolicyRequest>, droplet: DropletId) -> Result<Self, Error> {
        let choice = match asked {
            Some(request) => request.checked().map_err(|invalid| Error::invalid(invalid.to_string()))?,
            None => BackupChoice { plan: BackupPlan::Daily, weekday: None, hour: None },
        };
        let spread = |count: usize| usize::try_from(droplet.0 % count as u64).unwrap_or(0);
        let starts = dewpoint_api::WINDOW_STARTS;
        let weekday = match choice.plan {
            BackupPlan::Daily => None,
            BackupPlan::Weekly => Some(choice.weekday.unwrap_or(Weekday::ALL[spread(Weekday::ALL.len())])),
        };
        Ok(Self { plan: choice.plan, weekday, hour: choice.hour.unwrap_or(starts[spread(starts.len())]) })
    }

    /// The next window that has not begun at `now` (DRO-7).
    pub fn next_window(&self, now: Timestamp) -> BackupWindow {
        let day_start = Timestamp::from_millis(now.as_seconds().div_euclid(86_400) * 86_400_000);
        let mut start = day_start + HOUR * u32::from(self.hour);
        // At most eight days ahead: every weekday occurs in any seven.
        for _ in 0..=8 {
            if start > now && self.weekday.is_none_or(|day| day == weekday_of(start)) {
                break;
            }
            start = start + DAY;
        }
        BackupWindow { start, end: start + HOUR * WINDOW_LENGTH_HOURS }
    }
}

/// The first of January 1970 was a Thursday.
fn weekday_of(time: Timestamp) -> Weekday {
    let day = (time.as_seconds().div_euclid(86_400) + 4).rem_euclid(7);
    Weekday::ALL[usize::try_from(day).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_daily_window_is_today_when_it_is_still_to_come_and_tomorrow_otherwise() {
        let policy = StoredPolicy { plan: BackupPlan::Daily, weekday: None, hour: 8 };
        let today = policy.next_window(at("2026-11-21T07:59:59Z"));
        assert_eq!((today.start, today.end), (at("2026-11-21T08:00:00Z"), at("2026-11-21T12:00:00Z")));
        assert_eq!(policy.next_window(at("2026-11-21T08:00:00Z")).start, at("2026-11-22T08:00:00Z"));
    }

    #[test]
    fn a_weekly_window_falls_on_its_weekday() {
        let policy = StoredPolicy { plan: BackupPlan::Weekly, weekday: Some(Weekday::Monday), hour: 20 };
        // 2026-11-21 is a Saturday.
        assert_eq!(policy.next_window(at("2026-11-21T07:00:00Z")).start, at("2026-11-23T20:00:00Z"));
        assert_eq!(policy.next_window(at("2026-11-23T20:00:00Z")).start, at("2026-11-30T20:00:00Z"));
    }

    #[test]
    fn what_the_caller_left_open_is_chosen_and_stays_cre_15() {
        let chosen = StoredPolicy::new(None, DropletId(7)).expect("a default");
        assert_eq!((chosen.plan, chosen.weekday), (BackupPlan::Daily, None));
        assert!(dewpoint_api::WINDOW_STARTS.contains(&chosen.hour));
    }
}
