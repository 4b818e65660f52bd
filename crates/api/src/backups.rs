//! Backups: when they are made, how long they are kept, and what a Droplet has of them.

use std::collections::BTreeMap;

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DropletId, Invalid, Resource,
    lenient::empty_is_none,
    page::{Links, Meta, Single},
    word::{Word, words},
};

/// How many hours after its start a window for a backup ends.
pub const WINDOW_LENGTH_HOURS: u32 = 4;
/// The hours of the day, in UTC, at which a window may start (behaviour rule CRE-15).
pub const WINDOW_STARTS: [u8; 6] = [0, 4, 8, 12, 16, 20];

words! {
    /// How often a backup is made.
    pub enum BackupPlan {
        /// Every day; kept for 7.
        Daily = "daily",
        /// Every week; kept for 28 days.
        Weekly = "weekly",
    }
}

impl BackupPlan {
    /// How many days a backup is kept.
    pub const fn retention_period_days(self) -> u32 {
        match self {
            Self::Daily => 7,
            Self::Weekly => 28,
        }
    }
}

words! {
    /// A day of the week.
    pub enum Weekday {
        /// Sunday.
        Sunday = "SUN",
        /// Monday.
        Monday = "MON",
        /// Tuesday.
        Tuesday = "TUE",
        /// Wednesday.
        Wednesday = "WED",
        /// Thursday.
        Thursday = "THU",
        /// Friday.
        Friday = "FRI",
        /// Saturday.
        Saturday = "SAT",
    }
}

/// A backup policy as a request gives it. Source: public OpenAPI, model `droplet_backup_policy`.
///
/// Words and numbers are taken as they come; [`BackupPolicyRequest::checked`] says whether they will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BackupPolicyRequest {
    /// `daily` or `weekly`.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// `SUN` to `SAT`; only for `weekly`.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub weekday: Option<String>,
    /// The hour of the day in UTC at which the window starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<i64>,
}

/// A backup policy that was checked; what is none the server chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupChoice {
    /// How often.
    pub plan: BackupPlan,
    /// On which day; none for `daily`, or when any will do.
    pub weekday: Option<Weekday>,
    /// From which hour on; none when any will do.
    pub hour: Option<u8>,
}

impl BackupPolicyRequest {
    /// The policy asked for. Fails, as a 422, for a word or an hour that is not offered (behaviour rule CRE-15).
    pub fn checked(&self) -> Result<BackupChoice, Invalid> {
        let refuse = |problem: &str| Invalid::new("backup_policy", problem);
        let plan = match self.plan.as_deref().map(str::parse) {
            Some(Ok(plan)) => plan,
            Some(Err(_)) => return Err(refuse("has an unknown plan; it must be daily or weekly.")),
            None => return Err(refuse("needs a plan, which is daily or weekly.")),
        };
        let weekday = match self.weekday.as_deref().map(str::parse) {
            None => None,
            Some(Err(_)) => {
                return Err(refuse("has an unknown weekday; it must be SUN, MON, TUE, WED, THU, FRI or SAT."));
            }
            Some(Ok(_)) if plan == BackupPlan::Daily => return Err(refuse("cannot have a weekday with plan daily.")),
            Some(Ok(weekday)) => Some(weekday),
        };
        let hour = match self.hour.map(u8::try_from) {
            None => None,
            Some(Ok(hour)) if WINDOW_STARTS.contains(&hour) => Some(hour),
            Some(_) => return Err(refuse("has an hour that is not offered; it must be 0, 4, 8, 12, 16 or 20.")),
        };
        Ok(BackupChoice { plan, weekday, hour })
    }
}

/// A backup policy in force. Source: public OpenAPI, model `droplet_backup_policy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupPolicy {
    /// How often a backup is made.
    pub plan: Word<BackupPlan>,
    /// On which day; absent for `daily`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekday: Option<Word<Weekday>>,
    /// The hour of the day in UTC at which the window starts.
    pub hour: u8,
    /// How long the window is, in hours.
    pub window_length_hours: u32,
    /// How long a backup is kept, in days.
    pub retention_period_days: u32,
}

impl BackupPolicy {
    /// The policy of `plan`, with the window and the time kept that go with it.
    pub const fn new(plan: BackupPlan, weekday: Option<Weekday>, hour: u8) -> Self {
        let retention_period_days = plan.retention_period_days();
        let weekday = match weekday {
            Some(weekday) => Some(Word::Known(weekday)),
            None => None,
        };
        Self { plan: Word::Known(plan), weekday, hour, window_length_hours: WINDOW_LENGTH_HOURS, retention_period_days }
    }
}

/// When the next backup will be made: at some time between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupWindow {
    /// Not before.
    pub start: Timestamp,
    /// Not after.
    pub end: Timestamp,
}

/// What one Droplet has of backups. Source: public OpenAPI, model `droplet_backup_policy_record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupPolicyRecord {
    /// The Droplet.
    pub droplet_id: DropletId,
    /// Whether backups of it are made.
    pub backup_enabled: bool,
    /// How; absent when none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<BackupPolicy>,
    /// When the next one is; absent when none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_backup_window: Option<BackupWindow>,
}

impl Resource for BackupPolicyRecord {
    const ONE: &'static str = "policy";
    const MANY: &'static str = "policies";
}

/// The answer of `GET /v2/droplets/{id}/backups/policy`.
pub type BackupPolicyResponse = Single<BackupPolicyRecord>;

/// The answer of `GET /v2/droplets/backups/policies`: an object by Droplet, not an array (behaviour rule DRO-8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupPoliciesResponse {
    /// What each Droplet of the page has.
    #[schemars(with = "BTreeMap<String, BackupPolicyRecord>")]
    pub policies: BTreeMap<DropletId, BackupPolicyRecord>,
    /// Where the other pages are.
    pub links: Links,
    /// How many Droplets there are in all.
    pub meta: Meta,
}

/// A policy one can ask for. Source: public OpenAPI, model `supported_droplet_backup_policy`; behaviour rule DRO-9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SupportedBackupPolicy {
    /// The plan.
    pub name: Word<BackupPlan>,
    /// Hours of the day, in UTC, at which a window may start.
    pub possible_window_starts: Vec<u8>,
    /// How long a window is, in hours.
    pub window_length_hours: u32,
    /// How long a backup is kept, in days.
    pub retention_period_days: u32,
    /// Days to choose from; none for `daily`.
    pub possible_days: Vec<Word<Weekday>>,
}

/// The answer of `GET /v2/droplets/backups/supported_policies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SupportedBackupPoliciesResponse {
    /// The policies, weekly first.
    pub supported_policies: Vec<SupportedBackupPolicy>,
}

impl SupportedBackupPoliciesResponse {
    /// What this service offers: both plans, six windows a day of four hours each.
    pub fn offered() -> Self {
        let policy = |name: BackupPlan, days: &[Weekday]| SupportedBackupPolicy {
            name: name.into(),
            possible_window_starts: WINDOW_STARTS.to_vec(),
            window_length_hours: WINDOW_LENGTH_HOURS,
            retention_period_days: name.retention_period_days(),
            possible_days: days.iter().copied().map(Word::from).collect(),
        };
        Self { supported_policies: vec![policy(BackupPlan::Weekly, Weekday::ALL), policy(BackupPlan::Daily, &[])] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<BackupChoice, Invalid> {
        serde_json::from_str::<BackupPolicyRequest>(json).expect("its shape is right").checked()
    }

    #[test]
    fn a_policy_is_taken_only_as_offered_cre_15() {
        let daily = BackupChoice { plan: BackupPlan::Daily, weekday: None, hour: Some(20) };
        assert_eq!(asked(r#"{"plan":"daily","hour":20}"#), Ok(daily));
        let weekly = BackupChoice { plan: BackupPlan::Weekly, weekday: Some(Weekday::Sunday), hour: Some(0) };
        assert_eq!(asked(r#"{"plan":"weekly","weekday":"SUN","hour":0}"#), Ok(weekly));
        assert_eq!(asked(r#"{"plan":"daily","weekday":"","hour":null}"#).map(|choice| choice.hour), Ok(None));
        for bad in [
            r#"{}"#,
            r#"{"plan":"hourly"}"#,
            r#"{"plan":"daily","weekday":"SUN"}"#,
            r#"{"plan":"weekly","weekday":"Sunday"}"#,
            r#"{"plan":"daily","hour":3}"#,
            r#"{"plan":"daily","hour":-4}"#,
            r#"{"plan":"daily","hour":24}"#,
        ] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn policies_are_keyed_by_the_droplet_as_text_dro_8() {
        let record = BackupPolicyRecord {
            droplet_id: DropletId(7),
            backup_enabled: false,
            backup_policy: None,
            next_backup_window: None,
        };
        let answer = BackupPoliciesResponse { policies: [(DropletId(7), record)].into(), ..Default::default() };
        let text = serde_json::to_string(&answer).expect("plain data");
        assert_eq!(text, r#"{"policies":{"7":{"droplet_id":7,"backup_enabled":false}},"links":{},"meta":{"total":0}}"#);
        assert_eq!(serde_json::from_str::<BackupPoliciesResponse>(&text).expect("its own text"), answer);
    }
}
