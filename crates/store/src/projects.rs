//! Projects, and which resources are in them. What was put into none is in the account's default one.

use dewpoint_api::{AccountId, ProjectId};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Window, counters};

/// A row of `projects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRecord {
    /// Its uuid.
    pub id: ProjectId,
    /// Its name, unique in the account.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What it is for.
    pub purpose: String,
    /// `Development`, `Staging`, `Production`, or nothing.
    pub environment: String,
    /// Whether what was put into no project is in this one.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Something in a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// Its name among all resources, such as `do:droplet:42`.
    pub urn: String,
    /// When it came there.
    pub assigned_at: Timestamp,
}

/// Which kinds of resource a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisibleKinds {
    /// Droplets.
    pub droplets: bool,
    /// Volumes.
    pub volumes: bool,
    /// Domains.
    pub domains: bool,
    /// Reserved IPs.
    pub reserved_ips: bool,
}

const COLUMNS: &str = "id, name, description, purpose, environment, is_default, created_at, updated_at";

/// Every Droplet, volume, domain and reserved IPv4 address of an account with its name among all resources and the time it was made.
const ALL_RESOURCES: &str = "(SELECT account_id, 'do:droplet:' || CAST(id AS TEXT) AS urn, created_at FROM droplets
     UNION ALL SELECT account_id, 'do:volume:' || id AS urn, created_at FROM volumes
     UNION ALL SELECT account_id, 'do:domain:' || name AS urn, created_at FROM domains
     UNION ALL SELECT account_id, 'do:floatingip:' || address AS urn, created_at FROM reserved_ips WHERE NOT is_v6)";

fn read(row: &mut Row<'_>) -> Result<ProjectRecord, Error> {
    Ok(ProjectRecord {
        id: row.next()?,
        name: row.next()?,
        description: row.next()?,
        purpose: row.next()?,
        environment: row.next()?,
        is_default: row.next()?,
        created_at: row.next()?,
        updated_at: row.next()?,
    })
}

/// Adds a project; [`Error::Duplicate`] when the account has one of that name.
pub fn project_insert(tx: &mut dyn Tx, account: AccountId, project: &ProjectRecord) -> Result<(), Error> {
    tx.note(Made::Project(project.id));
    let sql = format!("INSERT INTO projects (account_id, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let p = project;
    let values = [
        account.into(),
        p.id.into(),
        (&p.name).into(),
        (&p.description).into(),
        (&p.purpose).into(),
        (&p.environment).into(),
        p.is_default.into(),
        p.created_at.into(),
        p.updated_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(account, p.id);
    Ok(())
}

/// Stores what a project is now; [`Error::Duplicate`] when another of the account has its name.
pub fn project_update(tx: &mut dyn Tx, account: AccountId, project: &ProjectRecord) -> Result<(), Error> {
    let sql = "UPDATE projects SET name = $1, description = $2, purpose = $3, environment = $4, is_default = $5,
               updated_at = $6 WHERE id = $7 AND account_id = $8";
    let p = project;
    let values = [
        (&p.name).into(),
        (&p.description).into(),
        (&p.purpose).into(),
        (&p.environment).into(),
        p.is_default.into(),
        p.updated_at.into(),
        p.id.into(),
        account.into(),
    ];
    tx.change_one(sql, &values, p.id).map(drop)
}

/// The project, or `None`.
pub fn project_get(tx: &mut dyn Tx, account: AccountId, id: ProjectId) -> Result<Option<ProjectRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM projects WHERE account_id = $1 AND id = $2");
    tx.query_opt(&sql, &[account.into(), id.into()], read)
}

/// The account's default project, or `None` before its first use.
pub fn project_default(tx: &mut dyn Tx, account: AccountId) -> Result<Option<ProjectRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM projects WHERE account_id = $1 AND is_default = $2");
    tx.query_opt(&sql, &[account.into(), true.into()], read)
}

/// The account's projects, oldest first.
pub fn project_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<ProjectRecord>, Error> {
    let from = "FROM projects WHERE account_id = $1";
    counters::page(tx, COLUMNS, from, "created_at, id", &[account.into()], window, read)
}

/// Removes a project; whether it was there.
pub fn project_delete(tx: &mut dyn Tx, account: AccountId, id: ProjectId) -> Result<bool, Error> {
    let sql = "DELETE FROM projects WHERE account_id = $1 AND id = $2";
    let removed = tx.execute(sql, &[account.into(), id.into()])? > 0;
    if removed {
        tx.gone(account, id);
    }
    Ok(removed)
}

/// The project a resource was put into; `None` when it was put into none.
pub fn project_of(tx: &mut dyn Tx, account: AccountId, urn: &str) -> Result<Option<(ProjectId, Timestamp)>, Error> {
    let sql = "SELECT project_id, assigned_at FROM project_resources WHERE account_id = $1 AND urn = $2";
    tx.query_opt(sql, &[account.into(), urn.into()], |row| Ok((row.next()?, row.next()?)))
}

/// Puts a resource into a project, out of any other.
pub fn project_assign(
    tx: &mut dyn Tx,
    account: AccountId,
    id: ProjectId,
    urn: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some((earlier, _)) = project_of(tx, account, urn)? {
        tx.changed(account, earlier);
    }
    tx.changed(account, id);
    let sql = "INSERT INTO project_resources (account_id, urn, project_id, assigned_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (account_id, urn) DO UPDATE SET project_id = $3, assigned_at = $4";
    tx.execute(sql, &[account.into(), urn.into(), id.into(), now.into()]).map(drop)
}

/// Puts whatever is in no project into this one, since the moment it was made: before another becomes the default.
pub fn project_keep_all(tx: &mut dyn Tx, account: AccountId, id: ProjectId) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO project_resources (account_id, urn, project_id, assigned_at)
         SELECT account_id, urn, CAST($1 AS TEXT), created_at FROM {ALL_RESOURCES} r WHERE account_id = $2
         ON CONFLICT (account_id, urn) DO NOTHING"
    );
    tx.execute(&sql, &[id.into(), account.into()]).map(drop)
}

/// What is in a project and may be seen, longest there first.
pub fn project_resources(
    tx: &mut dyn Tx,
    account: AccountId,
    project: &ProjectRecord,
    visible: VisibleKinds,
    window: Window,
) -> Result<Page<ProjectEntry>, Error> {
    let from = format!(
        "FROM {ALL_RESOURCES} r LEFT JOIN project_resources p ON p.account_id = r.account_id AND p.urn = r.urn
         WHERE r.account_id = $1 AND (p.project_id = $2 OR (p.project_id IS NULL AND $3))
         AND ((r.urn LIKE 'do:droplet:%' AND $4) OR (r.urn LIKE 'do:volume:%' AND $5) OR (r.urn LIKE 'do:domain:%' AND $6)
              OR (r.urn LIKE 'do:floatingip:%' AND $7))"
    );
    let values = [
        account.into(),
        project.id.into(),
        project.is_default.into(),
        visible.droplets.into(),
        visible.volumes.into(),
        visible.domains.into(),
        visible.reserved_ips.into(),
    ];
    let columns = "r.urn, COALESCE(p.assigned_at, r.created_at) AS since";
    counters::page(tx, columns, &from, "since, r.urn", &values, window, |row| {
        Ok(ProjectEntry { urn: row.next()?, assigned_at: row.next()? })
    })
}

/// Takes a resource that goes away out of its project.
pub(crate) fn project_forget(tx: &mut dyn Tx, account: AccountId, urn: &str) -> Result<(), Error> {
    let sql = "DELETE FROM project_resources WHERE account_id = $1 AND urn = $2 RETURNING project_id";
    if let Some(project) = tx.query_opt(sql, &[account.into(), urn.into()], |row| row.next::<ProjectId>())? {
        tx.changed(account, project);
    }
    Ok(())
}
