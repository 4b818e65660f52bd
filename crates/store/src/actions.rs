//! Actions: the durable jobs, and what the API shows of them.

use std::time::Duration;

use dewpoint_api::{AccountId, ActionId, ActionStatus, DropletId, RegionSlug, ResourceType};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Error, Made, Page, Row, Tx, Window,
    counters::{self, Order},
    row::corrupt,
};

/// A row of `actions`.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionRecord {
    /// Its number, from the one sequence of all actions.
    pub id: ActionId,
    /// Whose it is.
    pub account: AccountId,
    /// What kind of thing it changes.
    pub resource_type: ResourceType,
    /// Which one; none for resources that have no number.
    pub resource_id: Option<u64>,
    /// Which one, where that has a UUID.
    pub resource_uuid: Option<Uuid>,
    /// The Droplet that is locked while it runs.
    pub droplet: Option<DropletId>,
    /// `create`, `power_off`, …
    pub kind: String,
    /// How it is.
    pub status: ActionStatus,
    /// Where.
    pub region: Option<RegionSlug>,
    /// What was asked, as JSON; only the flow of this `kind` reads it.
    pub request: String,
    /// The step to do next; once ended, the last one that was begun.
    pub step: String,
    /// The steps done so far, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Why it errored, for the operator.
    pub reason: Option<String>,
    /// Until when a worker holds it.
    pub leased_until: Timestamp,
    /// How often it was claimed; fences a late worker.
    pub attempt: u64,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// One step of an action that was done, or that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The step's name.
    pub step: String,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_at_ms: i64,
    /// Why it failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

const COLUMNS: &str = "id, account_id, resource_type, resource_id, resource_uuid, droplet_id, type, status, region, request, step, \
                       timeline, reason, leased_until, attempt, started_at, completed_at";

fn read(row: &mut Row<'_>) -> Result<ActionRecord, Error> {
    Ok(ActionRecord {
        id: row.next()?,
        account: row.next()?,
        resource_type: row.next()?,
        resource_id: row.next()?,
        resource_uuid: match row.next::<Option<String>>()? {
            Some(text) => Some(text.parse().map_err(|e| corrupt("UUID", &e))?),
            None => None,
        },
        droplet: row.next()?,
        kind: row.next()?,
        status: row.next()?,
        region: row.next()?,
        request: row.next()?,
        step: row.next()?,
        timeline: serde_json::from_str(&row.next::<String>()?).map_err(|e| corrupt("timeline", &e))?,
        reason: row.next()?,
        leased_until: row.next()?,
        attempt: row.next()?,
        started_at: row.next()?,
        completed_at: row.next()?,
    })
}

fn list_name(account: AccountId) -> String {
    format!("actions:{account}")
}

fn timeline_text(timeline: &[TimelineEntry]) -> Result<String, Error> {
    serde_json::to_string(timeline).map_err(|error| Error::Database(error.to_string()))
}

/// Adds an action, in progress and claimable at once.
pub fn action_insert(tx: &mut dyn Tx, action: &ActionRecord) -> Result<(), Error> {
    tx.note(Made::Action(action.id));
    let sql = format!(
        "INSERT INTO actions ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
    );
    let a = action;
    let values = [
        a.id.into(),
        a.account.into(),
        a.resource_type.as_str().into(),
        a.resource_id.into(),
        a.resource_uuid.map(|id| id.to_string()).into(),
        a.droplet.into(),
        (&a.kind).into(),
        a.status.as_str().into(),
        a.region.as_ref().into(),
        (&a.request).into(),
        (&a.step).into(),
        timeline_text(&a.timeline)?.into(),
        a.reason.as_ref().into(),
        a.leased_until.into(),
        a.attempt.into(),
        a.started_at.into(),
        a.completed_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(a.account, a.id);
    counters::list_changed(tx, &list_name(a.account), a.id.0, 1)
}

/// The action, or `None`.
pub fn action_get(tx: &mut dyn Tx, account: AccountId, id: ActionId) -> Result<Option<ActionRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM actions WHERE account_id = $1 AND id = $2");
    tx.query_opt(&sql, &[account.into(), id.into()], read)
}

/// The account's actions, newest first. Deep pages cost as much as the first.
pub fn action_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<ActionRecord>, Error> {
    let seek = counters::seek(tx, &list_name(account), window.skip, Order::Descending)?;
    let sql =
        format!("SELECT {COLUMNS} FROM actions WHERE account_id = $1 AND id <= $2 ORDER BY id DESC LIMIT $3 OFFSET $4");
    let values = [account.into(), seek.bound.into(), window.take.into(), seek.skip.into()];
    Ok(Page { rows: tx.query_all(&sql, &values, read)?, total: seek.total })
}

/// The actions of one resource, newest first.
pub fn action_list_of(
    tx: &mut dyn Tx,
    account: AccountId,
    resource_type: ResourceType,
    resource_id: u64,
    window: Window,
) -> Result<Page<ActionRecord>, Error> {
    let from = "FROM actions WHERE resource_type = $1 AND resource_id = $2 AND account_id = $3";
    let values = [resource_type.as_str().into(), resource_id.into(), account.into()];
    counters::page(tx, COLUMNS, from, "id DESC", &values, window, read)
}

/// The actions of one resource that is named by a UUID, newest first.
pub fn action_list_of_uuid(
    tx: &mut dyn Tx,
    account: AccountId,
    resource_type: ResourceType,
    resource: Uuid,
    window: Window,
) -> Result<Page<ActionRecord>, Error> {
    let from = "FROM actions WHERE resource_uuid = $1 AND resource_type = $2 AND account_id = $3";
    let values = [resource.to_string().into(), resource_type.as_str().into(), account.into()];
    counters::page(tx, COLUMNS, from, "id DESC", &values, window, read)
}

/// Takes up to `most` of the oldest actions whose lease has run out, for `lease` from `now`.
///
/// A worker that dies loses its actions when the lease ends; `attempt` tells its late answer from its successor's.
pub fn action_claim(tx: &mut dyn Tx, now: Timestamp, lease: Duration, most: u32) -> Result<Vec<ActionRecord>, Error> {
    let sql = format!(
        "UPDATE actions SET leased_until = $1, attempt = attempt + 1
         WHERE id IN (SELECT id FROM actions WHERE status = 'in-progress' AND leased_until <= $2
                      ORDER BY leased_until, id LIMIT $3 {}) RETURNING {COLUMNS}",
        tx.dialect().skip_locked(),
    );
    let mut claimed = tx.query_all(&sql, &[(now + lease).into(), now.into(), most.into()], read)?;
    claimed.sort_by_key(|action| action.id);
    Ok(claimed)
}

/// How many actions are in progress.
pub fn action_backlog(tx: &mut dyn Tx) -> Result<u64, Error> {
    tx.query_one("SELECT COUNT(*) FROM actions WHERE status = 'in-progress'", &[], |row| row.next())
}

/// Keeps those of the actions that are still held by that attempt until `until`: their engine is still at work. How many.
pub fn action_renew(tx: &mut dyn Tx, held: &[(ActionId, u64)], until: Timestamp) -> Result<u64, Error> {
    let sql = "UPDATE actions SET leased_until = $1 WHERE id = $2 AND attempt = $3 AND status = 'in-progress'";
    let mut renewed = 0;
    for (id, attempt) in held {
        renewed += tx.execute(sql, &[until.into(), (*id).into(), (*attempt).into()])?;
    }
    Ok(renewed)
}

/// Makes every action claimable now. Right only when no other worker can be alive: at the start of a lone server.
pub fn action_release_all(tx: &mut dyn Tx) -> Result<u64, Error> {
    tx.execute("UPDATE actions SET leased_until = 0 WHERE status = 'in-progress' AND leased_until > 0", &[])
}

/// The same for attempts that were told to let go: they do not count. Right only when none of them is alive any more.
pub fn action_let_go_all(tx: &mut dyn Tx) -> Result<u64, Error> {
    let sql = "UPDATE actions SET leased_until = 0, attempt = attempt - 1
               WHERE status = 'in-progress' AND leased_until > 0 AND leased_until < $1";
    tx.execute(sql, &[PARKED.into()])
}

/// The lease of an action that waits for what no time brings: nobody claims it before [`action_unpark_all`], or the next start.
const PARKED: Timestamp = Timestamp::from_millis(i64::MAX);

/// Sets an action aside that its caller has claimed; the attempt does not count. Whether the claim still held.
pub fn action_park(tx: &mut dyn Tx, id: ActionId, attempt: u64) -> Result<bool, Error> {
    let sql = "UPDATE actions SET leased_until = $1, attempt = attempt - 1
               WHERE id = $2 AND attempt = $3 AND status = 'in-progress'";
    tx.execute(sql, &[PARKED.into(), id.into(), attempt.into()]).map(|parked| parked > 0)
}

/// Makes every action claimable that was set aside; how many those were.
pub fn action_unpark_all(tx: &mut dyn Tx) -> Result<u64, Error> {
    let sql = "UPDATE actions SET leased_until = 0 WHERE status = 'in-progress' AND leased_until = $1";
    tx.execute(sql, &[PARKED.into()])
}

/// Lets no lease run past `until`: of use when the clock was set back.
pub fn action_shorten_leases(tx: &mut dyn Tx, until: Timestamp) -> Result<u64, Error> {
    let sql = "UPDATE actions SET leased_until = $1 WHERE status = 'in-progress' AND leased_until > $1";
    tx.execute(sql, &[until.into()])
}

/// Stores what `action` says about its progress (status, step, timeline, reason, lease, end), if the claim is still the
/// caller's: whether it was.
pub fn action_save(tx: &mut dyn Tx, action: &ActionRecord) -> Result<bool, Error> {
    let sql =
        "UPDATE actions SET status = $1, step = $2, timeline = $3, reason = $4, leased_until = $5, completed_at = $6
               WHERE id = $7 AND attempt = $8 AND status = 'in-progress'";
    let values = [
        action.status.as_str().into(),
        (&action.step).into(),
        timeline_text(&action.timeline)?.into(),
        action.reason.as_ref().into(),
        action.leased_until.into(),
        action.completed_at.into(),
        action.id.into(),
        action.attempt.into(),
    ];
    let saved = tx.execute(sql, &values)? > 0;
    if saved {
        tx.changes().by_action(action.id);
        tx.changed(action.account, action.id);
    }
    Ok(saved)
}

/// All actions in progress on resources of one type, whoever owns them, oldest first.
pub fn action_in_progress_on(tx: &mut dyn Tx, resource_type: ResourceType) -> Result<Vec<ActionRecord>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM actions WHERE status = 'in-progress' AND resource_type = $1 ORDER BY leased_until, id"
    );
    tx.query_all(&sql, &[resource_type.as_str().into()], read)
}
