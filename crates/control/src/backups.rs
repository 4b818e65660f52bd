//! Backups: policies, when the next window is, and when in it a Droplet's turn comes. No I/O here; [`rounds`] has it.

mod rounds;

use std::time::Duration;

use dewpoint_api::{BackupPlan, BackupPolicy, BackupPolicyRequest, BackupWindow, DropletId, WINDOW_STARTS, Weekday};
use dewpoint_clock::Timestamp;

use crate::Error;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The policy asked for, whole: hour and weekday are spread by the Droplet's number where the caller left them open (CRE-15).
pub fn choose(asked: Option<&BackupPolicyRequest>, droplet: DropletId) -> Result<BackupPolicy, Error> {
    let (plan, weekday, hour) = match asked {
        Some(request) => request.checked().map(|choice| (choice.plan, choice.weekday, choice.hour))?,
        None => (BackupPlan::Daily, None, None),
    };
    let spread = |count: usize| usize::try_from(droplet.0 % count as u64).unwrap_or(0);
    let weekday = match plan {
        BackupPlan::Daily => None,
        BackupPlan::Weekly => Some(weekday.unwrap_or(Weekday::ALL[spread(Weekday::ALL.len())])),
    };
    Ok(BackupPolicy::new(plan, weekday, hour.unwrap_or(WINDOW_STARTS[spread(WINDOW_STARTS.len())])))
}

/// The policy's next window that has not begun at `now` (DRO-7).
pub fn next_window(policy: &BackupPolicy, now: Timestamp) -> BackupWindow {
    let day_start = Timestamp::from_millis(now.as_seconds().div_euclid(86_400) * 86_400_000);
    let mut start = day_start + HOUR * u32::from(policy.hour);
    // At most eight days ahead: every weekday occurs in any seven.
    for _ in 0..=8 {
        if start > now && policy.weekday.as_ref().is_none_or(|day| *day == weekday_of(start)) {
            break;
        }
        start = start + DAY;
    }
    BackupWindow { start, end: start + HOUR * policy.window_length_hours }
}

/// The window that `now` is in; `None` between windows.
fn present_window(policy: &BackupPolicy, now: Timestamp) -> Option<BackupWindow> {
    // One that began at the earliest so long ago is still open.
    let before = Timestamp::from_millis(now.as_millis() - millis(HOUR * policy.window_length_hours));
    let window = next_window(policy, before);
    (window.start <= now).then_some(window)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// When the Droplet's next backup is due: some time in the first half of the next window, the same each time, so that the
/// backups of many Droplets do not all begin at once.
pub(crate) fn next_due(policy: &BackupPolicy, droplet: DropletId, now: Timestamp) -> Timestamp {
    let window = next_window(policy, now);
    let half = (window.end.since(window.start).as_secs() / 2).max(1);
    // Numbers in a row end up far from each other (Knuth's multiplicative hash).
    let turn = droplet.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    window.start + Duration::from_secs(turn % half)
}

/// The policy as its Droplet's row keeps it.
pub(crate) fn text(policy: &BackupPolicy) -> Result<String, Error> {
    serde_json::to_string(policy).map_err(|error| Error::invalid(error.to_string()))
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
        let policy = BackupPolicy::new(BackupPlan::Daily, None, 8);
        let today = next_window(&policy, at("2026-11-21T07:59:59Z"));
        assert_eq!((today.start, today.end), (at("2026-11-21T08:00:00Z"), at("2026-11-21T12:00:00Z")));
        assert_eq!(next_window(&policy, at("2026-11-21T08:00:00Z")).start, at("2026-11-22T08:00:00Z"));
    }

    #[test]
    fn a_weekly_window_falls_on_its_weekday() {
        let policy = BackupPolicy::new(BackupPlan::Weekly, Some(Weekday::Monday), 20);
        // 2026-11-21 is a Saturday.
        assert_eq!(next_window(&policy, at("2026-11-21T07:00:00Z")).start, at("2026-11-23T20:00:00Z"));
        assert_eq!(next_window(&policy, at("2026-11-23T20:00:00Z")).start, at("2026-11-30T20:00:00Z"));
    }

    #[test]
    fn what_the_caller_left_open_is_chosen_and_stays_cre_15() {
        let chosen = choose(None, DropletId(7)).expect("a default");
        assert_eq!((chosen.plan, chosen.weekday), (BackupPlan::Daily.into(), None));
        assert!(WINDOW_STARTS.contains(&chosen.hour));
    }
}
