//! What has to hold whatever happens: after every commit, and in the end.

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_clock::Timestamp;
use dewpoint_store::{Error, Tx, sqlite::Stepper};
use dewpoint_testkit::Steppers;

use crate::clients::{Clients, Wish};

/// A promise that was not kept: which one, and what was seen.
#[derive(Clone, Debug)]
pub(crate) struct Broken(pub(crate) String);

/// Fails with a text made as for `format!` unless the promise is kept.
macro_rules! promise {
    ($kept:expr, $($text:tt)+) => {
        if !$kept {
            return Err($crate::promises::Broken(format!($($text)+)));
        }
    };
}
pub(crate) use promise;

/// What no committed state may show: what is wrong then, and a query that finds it.
const NEVER: [(&str, &str); 10] = [
    (
        "a Droplet is locked by an action that has ended",
        "SELECT d.id FROM droplets d WHERE d.running_action IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM actions a WHERE a.id = d.running_action AND a.status = 'in-progress')",
    ),
    (
        "a volume is locked by an action that has ended",
        "SELECT v.running_action FROM volumes v WHERE v.running_action IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM actions a WHERE a.id = v.running_action AND a.status = 'in-progress')",
    ),
    (
        "an action in progress has not locked its Droplet",
        "SELECT a.id FROM actions a JOIN droplets d ON d.id = a.droplet_id
         WHERE a.status = 'in-progress' AND (d.running_action IS NULL OR d.running_action <> a.id)",
    ),
    (
        "two Droplets have one public address",
        "SELECT MIN(id) FROM droplets WHERE public_v4 IS NOT NULL GROUP BY public_v4 HAVING COUNT(*) > 1",
    ),
    (
        "two Droplets have one private address",
        "SELECT MIN(id) FROM droplets GROUP BY vpc_id, private_v4 HAVING COUNT(*) > 1",
    ),
    (
        "two Droplets have one GPU",
        "SELECT h.droplet_id FROM holdings h JOIN holdings g ON g.host = h.host AND g.addresses = h.addresses
         WHERE h.addresses <> '' AND g.droplet_id > h.droplet_id",
    ),
    (
        "a GPU is held, and its Droplet does not have it",
        "SELECT g.droplet_id FROM held_gpus g LEFT JOIN holdings h ON h.droplet_id = g.droplet_id AND h.host = g.host
         WHERE h.gpus IS NULL OR h.gpus <> CAST(g.place AS TEXT)",
    ),
    (
        "a Droplet that runs has let go of its GPU",
        "SELECT d.id FROM droplets d JOIN holdings h ON h.droplet_id = d.id
         WHERE d.status = 'active' AND d.running_action IS NULL AND h.gpu_model IS NOT NULL AND h.gpus = ''",
    ),
    (
        "room is held for a Droplet that is gone, and nothing is at work on it",
        "SELECT h.droplet_id FROM holdings h WHERE NOT EXISTS (SELECT 1 FROM droplets d WHERE d.id = h.droplet_id)
         AND NOT EXISTS (SELECT 1 FROM actions a WHERE a.resource_type = 'droplet' AND a.resource_id = h.droplet_id
                         AND a.status <> 'completed')",
    ),
    (
        "a Droplet does not hold its public address",
        "SELECT d.id FROM droplets d WHERE d.public_v4 IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM addresses a WHERE a.droplet_id = d.id AND a.pool = 'public-v4')",
    ),
];

/// What was committed so far, as far as later states must agree with it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    newest_action: u64,
    open: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    /// Which actions made what is called so.
    made: BTreeMap<String, Vec<u64>>,
}

impl Book {
    pub(crate) fn open_actions(&self) -> usize {
        self.open.len()
    }

    /// Checks what was just committed, and notes it.
    pub(crate) fn after_commit(
        &mut self,
        store: &mut Stepper,
        clients: &Clients,
        now: Timestamp,
    ) -> Result<(), Broken> {
        let newest = self.newest_action;
        let (bad, new, open) = store
            .look(|tx| {
                let mut bad = Vec::new();
                for (what, sql) in NEVER {
                    if let Some(id) = tx.query_opt(sql, &[], |row| row.next::<u64>())? {
                        bad.push(format!("{what}: {id}"));
                    }
                }
                let open =
                    tx.query_all("SELECT id FROM actions WHERE status = 'in-progress'", &[], |row| row.next())?;
                Ok((bad, new_actions(tx, newest)?, open))
            })
            .map_err(|error| Broken(format!("the store cannot be looked into: {error}")))?;
        promise!(bad.is_empty(), "{}", bad.join("; "));
        let open: BTreeSet<u64> = open.into_iter().collect();
        for (id, name) in new {
            self.newest_action = id;
            if !open.contains(&id) {
                self.ended.insert(id);
            }
            if let Some(name) = name {
                self.note_made(id, &name, clients, now)?;
            }
        }
        self.ended.extend(self.open.difference(&open));
        let revived = open.intersection(&self.ended).next();
        promise!(revived.is_none(), "action {revived:?} has ended and is in progress again");
        self.open = open;
        Ok(())
    }

    fn note_made(&mut self, action: u64, name: &str, clients: &Clients, now: Timestamp) -> Result<(), Broken> {
        let made = self.made.entry(name.to_owned()).or_default();
        made.push(action);
        let Some(wish) = clients.wishes.iter().find(|wish| wish.names.iter().any(|one| one == name)) else {
            return Ok(());
        };
        let most = if wish.is_once(now) { 1 } else { wish.sends as usize };
        promise!(
            made.len() <= most,
            "{name} was made by the actions {made:?}, and may be made {most} times: {}",
            describe(wish)
        );
        Ok(())
    }

    pub(crate) fn times_made(&self) -> usize {
        self.made.values().map(Vec::len).sum()
    }
}

/// The actions after `newest`, and what each of them makes is called.
fn new_actions(tx: &mut dyn Tx, newest: u64) -> Result<Vec<(u64, Option<String>)>, Error> {
    let sql = "SELECT a.id, a.resource_type, a.type, a.request, d.name, v.name, i.name FROM actions a
               LEFT JOIN droplets d ON a.resource_type = 'droplet' AND d.id = a.resource_id
               LEFT JOIN volumes v ON a.resource_type = 'volume' AND v.id = a.resource_uuid
               LEFT JOIN images i ON a.resource_type = 'image' AND i.id = a.resource_id
               WHERE a.id > $1 ORDER BY a.id";
    let rows = tx.query_all(sql, &[newest.into()], |row| {
        let (id, resource, kind, request): (u64, String, String, String) =
            (row.next()?, row.next()?, row.next()?, row.next()?);
        let (droplet, volume, image): (Option<String>, Option<String>, Option<String>) =
            (row.next()?, row.next()?, row.next()?);
        Ok((id, resource, kind, request, droplet, volume, image))
    })?;
    let mut new = Vec::new();
    for (id, resource, kind, request, droplet, volume, image) in rows {
        let request: serde_json::Value = serde_json::from_str(&request).unwrap_or_default();
        let name = match (&*resource, &*kind) {
            ("droplet", "create") => droplet,
            ("volume", "create") => volume,
            ("image", "create") => image,
            ("droplet", "snapshot") => request["name"].as_str().map(str::to_owned),
            ("volume", "snapshot") => {
                let sql = "SELECT name FROM volume_snapshots WHERE id = $1";
                let id = request["snapshot"].as_str().unwrap_or_default();
                tx.query_opt(sql, &[id.into()], |row| row.next::<String>())?
            }
            _ => None,
        };
        new.push((id, name));
    }
    Ok(new)
}

pub(crate) fn describe(wish: &Wish) -> String {
    let Wish { method, path, mark, sends, first_sent, .. } = wish;
    let mut body = wish.body.clone();
    if let Some(data) = body["user_data"].as_str() {
        body["user_data"] = format!("{} bytes", data.len()).into();
    }
    format!("{method} {path} {body}, {mark:?}, sent {sends} times, first at {first_sent}")
}

/// No machine is there without a Droplet, unless an action is still at it or has failed over it.
pub(crate) fn machines_are_owned(steppers: &mut Steppers) -> Result<(), Broken> {
    let machines = steppers.sim.machines().map_err(|error| Broken(format!("the simulator's file: {error}")))?;
    let stray = steppers.store.look(|tx| {
        for machine in machines {
            let sql = "SELECT (SELECT COUNT(*) FROM droplets WHERE id = $1)
                            + (SELECT COUNT(*) FROM actions WHERE droplet_id = $1 AND status <> 'completed')";
            if tx.query_one(sql, &[machine.0.into()], |row| row.next::<u64>())? == 0 {
                return Ok(Some(machine));
            }
        }
        Ok(None)
    });
    let stray = stray.map_err(|error| Broken(format!("the store cannot be looked into: {error}")))?;
    promise!(
        stray.is_none(),
        "machine {} has no Droplet, and nothing is at work on it",
        stray.map_or(0, |machine| machine.0)
    );
    Ok(())
}

/// Every row of every table as text, for the digest.
pub(crate) fn all_rows(store: &mut Stepper) -> Result<Vec<String>, Error> {
    store.look(|tx| {
        let mut lines = Vec::new();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        for table in tx.query_all(tables, &[], |row| row.next::<String>())? {
            let columns = "SELECT 'quote(' || name || ')' FROM pragma_table_info($1) ORDER BY cid";
            let columns = tx.query_all(columns, &[(&table).into()], |row| row.next::<String>())?;
            let sql = format!("SELECT {} AS line FROM {table} ORDER BY line", columns.join(" || ',' || "));
            for line in tx.query_all(&sql, &[], |row| row.next::<String>())? {
                lines.push(format!("{table}: {line}"));
            }
        }
        Ok(lines)
    })
}
