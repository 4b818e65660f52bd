//! Droplets and what their machines are made from.

mod change;
mod links;

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, Ipv6Addr},
};

pub use change::{DropletChange, Sizing, droplet_change};
use dewpoint_api::{
    AccountId, ActionId, DropletId, DropletStatus, ImageId, RegionSlug, SizeSlug, TagName, VolumeId, VpcId,
};
use dewpoint_clock::Timestamp;
pub use links::{DropletLinks, droplet_links_of_all};

use crate::{
    Error, Made, Page, Row, Tx, Value, Window,
    counters::{self, Order},
    placeholders,
    row::corrupt,
};

/// A row of `droplets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropletRecord {
    /// Its number, which is also its machine's.
    pub id: DropletId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name; several may have the same.
    pub name: String,
    /// Whether its size has GPUs: such Droplets have a list of their own (DRO-5).
    pub gpu: bool,
    /// Its state as the API shows it.
    pub status: DropletStatus,
    /// Where it is.
    pub region: RegionSlug,
    /// Its plan.
    pub size: SizeSlug,
    /// The image it was made from.
    pub image_id: ImageId,
    /// That image's slug when it was made, if it had one.
    pub image_slug: Option<String>,
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Root disk in GiB.
    pub disk_gib: u64,
    /// Its VPC, for life.
    pub vpc: VpcId,
    /// The engine's host it is placed on.
    pub host: Option<String>,
    /// The action that runs on it now: it is locked while there is one (ACT-6).
    pub running_action: Option<ActionId>,
    /// Its backup policy as JSON; `None` when backups are off.
    pub backups: Option<String>,
    /// When its next backup is due; `None` when backups are off.
    pub backup_due_at: Option<Timestamp>,
    /// Whether it has an IPv6 address.
    pub ipv6: bool,
    /// Whether monitoring was asked for.
    pub monitoring: bool,
    /// Whether the Droplet agent is on.
    pub agent: bool,
    /// Whether it has public addresses at all (CRE-17).
    pub public_networking: bool,
    /// Its public IPv4 address.
    pub public_v4: Option<Ipv4Addr>,
    /// Its address in the VPC.
    pub private_v4: Ipv4Addr,
    /// The VPC's netmask.
    pub private_netmask: Ipv4Addr,
    /// Its public IPv6 address.
    pub public_v6: Option<Ipv6Addr>,
    /// When its create was accepted.
    pub created_at: Timestamp,
    /// When a host was chosen.
    pub placed_at: Option<Timestamp>,
    /// When its machine was first started.
    pub started_at: Option<Timestamp>,
    /// When its create completed.
    pub active_at: Option<Timestamp>,
    /// When SSH first answered.
    pub ssh_at: Option<Timestamp>,
    /// When it was ready, or known not to become so.
    pub ready_at: Option<Timestamp>,
    /// How its user data went.
    pub readiness: ReadinessState,
    /// What the guest said about it.
    pub readiness_detail: Option<String>,
}

/// How far a Droplet is on the way from active to ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// SSH or the guest's report is still awaited.
    Pending,
    /// SSH answers and user data ran.
    Ready,
    /// SSH answers; user data ran and failed.
    Failed,
    /// SSH answers; the image cannot run such user data.
    Unsupported,
    /// The guest never reported; only SSH counts then.
    Unknown,
}

impl ReadinessState {
    /// Its word in the store and in `/dew/v1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
        }
    }

    fn parse(word: &str) -> Result<Self, Error> {
        let all = [Self::Pending, Self::Ready, Self::Failed, Self::Unsupported, Self::Unknown];
        all.into_iter().find(|state| state.as_str() == word).ok_or_else(|| corrupt("readiness", &word))
    }
}

/// What only the machine needs: a row of `droplet_seeds`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropletSeed {
    /// Public keys for root, as they were at the create.
    pub ssh_keys: Vec<String>,
    /// The caller's user data.
    pub user_data: Option<String>,
    /// Root's password as crypt(5) writes it, when one was made.
    pub password_hash: Option<String>,
}

/// Which Droplets a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropletFilter {
    /// All of them, of both kinds. No count is kept of that: a list that is rarely read.
    All,
    /// All of a kind: those with GPUs, or those without.
    Kind {
        /// Whether those with GPUs are asked.
        gpu: bool,
    },
    /// Those of a kind with this name, without case.
    Name {
        /// The name.
        name: String,
        /// Whether those with GPUs are asked.
        gpu: bool,
    },
    /// Those with a tag, of both kinds.
    Tag(TagName),
    /// Those on a host, of both kinds.
    Host(String),
}

const COLUMNS: &str = "id, account_id, name, gpu, status, region, size, image_id, image_slug, vcpus, memory_mib, disk_gib, \
                       vpc_id, host, running_action, backups, backup_due_at, ipv6, monitoring, agent, public_networking, public_v4, \
                       private_v4, private_netmask, public_v6, created_at, placed_at, started_at, active_at, ssh_at, \
                       ready_at, readiness, readiness_detail";

fn read(row: &mut Row<'_>) -> Result<DropletRecord, Error> {
    Ok(DropletRecord {
        id: row.next()?,
        account: row.next()?,
        name: row.next()?,
        gpu: row.next()?,
        status: row.next()?,
        region: row.next()?,
        size: row.next()?,
        image_id: row.next()?,
        image_slug: row.next()?,
        vcpus: row.next()?,
        memory_mib: row.next()?,
        disk_gib: row.next()?,
        vpc: row.next()?,
        host: row.next()?,
        running_action: row.next()?,
        backups: row.next()?,
        backup_due_at: row.next()?,
        ipv6: row.next()?,
        monitoring: row.next()?,
        agent: row.next()?,
        public_networking: row.next()?,
        public_v4: row.next::<Option<u32>>()?.map(Ipv4Addr::from),
        private_v4: row.next::<u32>()?.into(),
        private_netmask: row.next::<u32>()?.into(),
        public_v6: match row.next::<Option<String>>()? {
            Some(text) => Some(text.parse().map_err(|e| corrupt("IPv6 address", &e))?),
            None => None,
        },
        created_at: row.next()?,
        placed_at: row.next()?,
        started_at: row.next()?,
        active_at: row.next()?,
        ssh_at: row.next()?,
        ready_at: row.next()?,
        readiness: ReadinessState::parse(&row.next::<String>()?)?,
        readiness_detail: row.next()?,
    })
}

/// The counted list a Droplet is on.
fn list_name(account: AccountId, gpu: bool) -> String {
    format!("{}:{account}", if gpu { "gpus" } else { "droplets" })
}

/// Adds a Droplet; its seed too, when there is anything in it.
pub fn droplet_insert(tx: &mut dyn Tx, droplet: &DropletRecord, seed: &DropletSeed) -> Result<(), Error> {
    tx.note(Made::Droplet(droplet.id));
    let sql = format!(
        "INSERT INTO droplets ({COLUMNS}, name_folded) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
         $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)"
    );
    let d = droplet;
    let values: [Value<'_>; 34] = [
        d.id.into(),
        d.account.into(),
        (&d.name).into(),
        d.gpu.into(),
        d.status.as_str().into(),
        (&d.region).into(),
        (&d.size).into(),
        d.image_id.into(),
        d.image_slug.as_ref().into(),
        d.vcpus.into(),
        d.memory_mib.into(),
        d.disk_gib.into(),
        d.vpc.into(),
        d.host.as_ref().into(),
        d.running_action.into(),
        d.backups.as_ref().into(),
        d.backup_due_at.into(),
        d.ipv6.into(),
        d.monitoring.into(),
        d.agent.into(),
        d.public_networking.into(),
        d.public_v4.map(u32::from).into(),
        u32::from(d.private_v4).into(),
        u32::from(d.private_netmask).into(),
        d.public_v6.map(|address| address.to_string()).into(),
        d.created_at.into(),
        d.placed_at.into(),
        d.started_at.into(),
        d.active_at.into(),
        d.ssh_at.into(),
        d.ready_at.into(),
        d.readiness.as_str().into(),
        d.readiness_detail.as_ref().into(),
        d.name.to_lowercase().into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(d.account, d.id);
    if *seed != DropletSeed::default() {
        let keys = serde_json::to_string(&seed.ssh_keys).map_err(|error| Error::Database(error.to_string()))?;
        let sql = "INSERT INTO droplet_seeds (droplet_id, ssh_keys, user_data, password_hash) VALUES ($1, $2, $3, $4)";
        let (user_data, hash) = (seed.user_data.as_ref().into(), seed.password_hash.as_ref().into());
        tx.execute(sql, &[d.id.into(), keys.into(), user_data, hash])?;
    }
    counters::list_changed(tx, &list_name(d.account, d.gpu), d.id.0, 1)
}

/// The Droplet, or `None`.
pub fn droplet_get(tx: &mut dyn Tx, account: AccountId, id: DropletId) -> Result<Option<DropletRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM droplets WHERE id = $1 AND account_id = $2");
    tx.query_opt(&sql, &[id.into(), account.into()], read)
}

/// The Droplet of a machine, whoever owns it.
pub fn droplet_of_machine(tx: &mut dyn Tx, id: DropletId) -> Result<Option<DropletRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM droplets WHERE id = $1"), &[id.into()], read)
}

/// What the Droplet's machine is made from; the empty seed when it was made from nothing special.
pub fn droplet_seed(tx: &mut dyn Tx, id: DropletId) -> Result<DropletSeed, Error> {
    let sql = "SELECT ssh_keys, user_data, password_hash FROM droplet_seeds WHERE droplet_id = $1";
    let seed = tx.query_opt(sql, &[id.into()], |row| {
        let keys = serde_json::from_str(&row.next::<String>()?).map_err(|e| corrupt("list of keys", &e))?;
        Ok(DropletSeed { ssh_keys: keys, user_data: row.next()?, password_hash: row.next()? })
    })?;
    Ok(seed.unwrap_or_default())
}

/// Those of these Droplets that the account has.
pub fn droplets_known(tx: &mut dyn Tx, account: AccountId, ids: &[DropletId]) -> Result<HashSet<DropletId>, Error> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = format!("SELECT id FROM droplets WHERE account_id = $1 AND id IN ({})", placeholders(2, ids.len()));
    let values: Vec<Value<'_>> = std::iter::once(account.into()).chain(ids.iter().map(|id| (*id).into())).collect();
    Ok(tx.query_all(&sql, &values, |row| row.next())?.into_iter().collect())
}

/// What the account's Droplets are called.
pub fn droplet_names(tx: &mut dyn Tx, account: AccountId) -> Result<HashMap<DropletId, String>, Error> {
    let sql = "SELECT id, name FROM droplets WHERE account_id = $1";
    let named = tx.query_all(sql, &[account.into()], |row| Ok((row.next()?, row.next()?)))?;
    Ok(named.into_iter().collect())
}

/// How many Droplets the account has, of both kinds.
pub fn droplet_count(tx: &mut dyn Tx, account: AccountId) -> Result<u64, Error> {
    let plain = counters::list_total(tx, &list_name(account, false))?;
    Ok(plain + counters::list_total(tx, &list_name(account, true))?)
}

/// A page of the account's Droplets by ascending id. Unfiltered, deep pages cost as much as the first.
pub fn droplet_list(
    tx: &mut dyn Tx,
    account: AccountId,
    filter: &DropletFilter,
    window: Window,
) -> Result<Page<DropletRecord>, Error> {
    match filter {
        DropletFilter::All => {
            let from = "FROM droplets WHERE account_id = $1";
            counters::page(tx, COLUMNS, from, "id", &[account.into()], window, read)
        }
        DropletFilter::Kind { gpu } => {
            let seek = counters::seek(tx, &list_name(account, *gpu), window.skip, Order::Ascending)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM droplets WHERE account_id = $1 AND gpu = $2 AND id >= $3 \
                 ORDER BY id LIMIT $4 OFFSET $5"
            );
            let values = [account.into(), (*gpu).into(), seek.bound.into(), window.take.into(), seek.skip.into()];
            Ok(Page { rows: tx.query_all(&sql, &values, read)?, total: seek.total })
        }
        DropletFilter::Name { name, gpu } => {
            let from = "FROM droplets WHERE account_id = $1 AND name_folded = $2 AND gpu = $3";
            let values = [account.into(), name.to_lowercase().into(), (*gpu).into()];
            counters::page(tx, COLUMNS, from, "id", &values, window, read)
        }
        DropletFilter::Host(host) => {
            let from = "FROM droplets WHERE account_id = $1 AND host = $2";
            counters::page(tx, COLUMNS, from, "id", &[account.into(), host.into()], window, read)
        }
        DropletFilter::Tag(tag) => {
            let from = "FROM droplets WHERE account_id = $1 AND id IN (SELECT resource_number FROM tag_resources
                        WHERE account_id = $1 AND tag = $2 AND resource_type = 'droplet')";
            counters::page(tx, COLUMNS, from, "id", &[account.into(), tag.into()], window, read)
        }
    }
}

/// Marks the Droplet as under `action`; whether it was free.
pub fn droplet_lock(tx: &mut dyn Tx, id: DropletId, action: ActionId) -> Result<bool, Error> {
    let sql = "UPDATE droplets SET running_action = $1 WHERE id = $2 AND running_action IS NULL";
    tx.changes().by_action(action);
    tx.change_one(sql, &[action.into(), id.into()], id)
}

/// Keeps root's password as crypt(5) writes it among what the machine is made from.
pub fn droplet_set_password_hash(tx: &mut dyn Tx, id: DropletId, hash: &str) -> Result<(), Error> {
    let sql = "INSERT INTO droplet_seeds (droplet_id, ssh_keys, password_hash) VALUES ($1, '[]', $2)
               ON CONFLICT (droplet_id) DO UPDATE SET password_hash = $2";
    tx.execute(sql, &[id.into(), hash.into()]).map(drop)
}

/// Puts off the Droplet's next backup; one whose backups are off by now stays so.
pub fn droplet_backup_due(tx: &mut dyn Tx, id: DropletId, due: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE droplets SET backup_due_at = $1 WHERE id = $2 AND backup_due_at IS NOT NULL";
    tx.execute(sql, &[due.into(), id.into()]).map(drop)
}

/// Forgets when the Droplet's next backup was due.
pub fn droplet_backup_off(tx: &mut dyn Tx, id: DropletId) -> Result<(), Error> {
    tx.execute("UPDATE droplets SET backup_due_at = NULL WHERE id = $1", &[id.into()]).map(drop)
}

/// Droplets whose backup is due at `now`, the longest due first, at most `most`.
pub fn droplets_due_for_backup(tx: &mut dyn Tx, now: Timestamp, most: u32) -> Result<Vec<DropletRecord>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM droplets WHERE backup_due_at IS NOT NULL AND backup_due_at <= $1 \
         ORDER BY backup_due_at, id LIMIT $2"
    );
    tx.query_all(&sql, &[now.into(), most.into()], read)
}

/// When the next backup of any Droplet is due.
pub fn next_backup_due(tx: &mut dyn Tx) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT MIN(backup_due_at) FROM droplets WHERE backup_due_at IS NOT NULL";
    tx.query_one(sql, &[], |row| row.next())
}

/// The numbers of the account's Droplets by the host they are on, hosts with one alone left out.
pub fn droplet_neighbors(tx: &mut dyn Tx, account: AccountId) -> Result<Vec<Vec<DropletId>>, Error> {
    let sql = "SELECT host, id FROM droplets WHERE account_id = $1 AND host IS NOT NULL ORDER BY host, id";
    let mut groups: Vec<(String, Vec<DropletId>)> = Vec::new();
    tx.query_each(sql, &[account.into()], &mut |row| {
        let (host, id): (String, DropletId) = (row.next()?, row.next()?);
        match groups.last_mut() {
            Some((last, group)) if *last == host => group.push(id),
            _ => groups.push((host, vec![id])),
        }
        Ok(())
    })?;
    Ok(groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect())
}

/// Removes the Droplet with its seed, password, tags, volume attachments and part in firewalls; whether it was there. Reserved IPs
/// lead to it no more. Its own addresses stay held until the machine is gone (`address_release_all`).
pub fn droplet_delete(tx: &mut dyn Tx, id: DropletId) -> Result<bool, Error> {
    let sql = "DELETE FROM droplets WHERE id = $1 RETURNING account_id, gpu";
    let removed = tx.query_opt(sql, &[id.into()], |row| Ok((row.next::<AccountId>()?, row.next::<bool>()?)))?;
    let Some((account, gpu)) = removed else { return Ok(false) };
    tx.gone(account, id);
    tx.execute("DELETE FROM droplet_seeds WHERE droplet_id = $1", &[id.into()])?;
    tx.execute("DELETE FROM passwords WHERE droplet_id = $1", &[id.into()])?;
    let sql = "UPDATE volumes SET droplet_id = NULL WHERE droplet_id = $1 RETURNING account_id, id";
    let read = |row: &mut Row<'_>| Ok((row.next::<AccountId>()?, row.next::<VolumeId>()?));
    for (account, volume) in tx.query_all(sql, &[id.into()], read)? {
        tx.changed(account, volume);
    }
    crate::firewalls::follow::droplet_gone(tx, account, id)?;
    crate::reserved_ips::reserved_ip_forget_droplet(tx, id)?;
    crate::tags::untag_everywhere(tx, "droplet", id.0, &id.to_string())?;
    crate::projects::project_forget(tx, account, &format!("do:droplet:{id}"))?;
    counters::list_changed(tx, &list_name(account, gpu), id.0, -1)?;
    Ok(true)
}

/// Droplets above `after` whose readiness is still awaited, with the time they became active; at most `most`.
pub fn droplet_not_ready(tx: &mut dyn Tx, after: DropletId, most: u32) -> Result<Vec<(DropletId, Timestamp)>, Error> {
    let sql = "SELECT id, active_at FROM droplets
               WHERE readiness = 'pending' AND active_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
    tx.query_all(sql, &[after.into(), most.into()], |row| Ok((row.next()?, row.next()?)))
}

/// Droplets above `after` by ascending id, whoever owns them, at most `most`.
pub fn droplet_page_of_all(tx: &mut dyn Tx, after: DropletId, most: u32) -> Result<Vec<DropletRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM droplets WHERE id > $1 ORDER BY id LIMIT $2");
    tx.query_all(&sql, &[after.into(), most.into()], read)
}
