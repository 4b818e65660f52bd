//! Firewalls: what they allow, whom they guard, and for whom that is not yet in force.
//!
//! What a firewall comes to depends on Droplets and tags, so [`follow`] writes down what their changes change of it; [`force`]
//! keeps what the network does not know yet.

pub(crate) mod follow;
pub mod force;

use std::collections::{BTreeSet, HashMap};

use dewpoint_api::{AccountId, DropletId, FirewallId, FirewallProtocol, TagName};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Made, Page, Row, Tx, Value, Window, counters, placeholders, row::corrupt};

/// A firewall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallRecord {
    /// Its uuid.
    pub id: FirewallId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name, unique in the account.
    pub name: String,
    /// What it allows.
    pub policy: FirewallPolicy,
    /// The Droplets it guards that were named one by one.
    pub droplets: BTreeSet<DropletId>,
    /// The tags whose Droplets it guards.
    pub tags: BTreeSet<TagName>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a firewall allows, in the order it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallPolicy {
    /// To come in.
    pub inbound: Vec<FirewallRule>,
    /// To go out.
    pub outbound: Vec<FirewallRule>,
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Of which protocol.
    pub protocol: FirewallProtocol,
    /// One port, two with a dash between, or `0` for all.
    pub ports: String,
    /// With whom.
    pub peers: FirewallPeers,
}

/// The other side of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirewallPeers {
    /// Addresses and networks, as they were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Droplets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub droplets: Vec<DropletId>,
    /// Tags, for their Droplets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagName>,
    /// Load balancers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<String>,
    /// Kubernetes clusters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

impl FirewallPeers {
    /// How many there are, of all kinds.
    pub fn count(&self) -> usize {
        self.addresses.len() + self.droplets.len() + self.tags.len() + self.load_balancers.len() + self.clusters.len()
    }
}

impl FirewallPolicy {
    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = &FirewallRule> {
        self.inbound.iter().chain(&self.outbound)
    }

    /// The Droplets and tags that its rules name.
    fn named(&self) -> BTreeSet<Party> {
        let droplets = self.rules().flat_map(|rule| &rule.peers.droplets).copied().map(Party::Droplet);
        let tags = self.rules().flat_map(|rule| &rule.peers.tags).cloned().map(Party::Tag);
        droplets.chain(tags).collect()
    }
}

/// A Droplet or a tag, as firewalls have to do with them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Droplet(DropletId),
    Tag(TagName),
}

impl Party {
    /// The columns `droplet_id` and `tag`.
    fn columns(&self) -> [Value<'_>; 2] {
        match self {
            Self::Droplet(id) => [(*id).into(), "".into()],
            Self::Tag(tag) => [0_u64.into(), tag.into()],
        }
    }
}

impl FirewallRecord {
    fn guarded(&self) -> BTreeSet<Party> {
        let droplets = self.droplets.iter().copied().map(Party::Droplet);
        droplets.chain(self.tags.iter().cloned().map(Party::Tag)).collect()
    }
}

const COLUMNS: &str = "id, account_id, name, inbound, outbound, created_at";

fn read(row: &mut Row<'_>) -> Result<FirewallRecord, Error> {
    Ok(FirewallRecord {
        id: row.next()?,
        account: row.next()?,
        name: row.next()?,
        policy: FirewallPolicy { inbound: read_json(row)?, outbound: read_json(row)? },
        droplets: BTreeSet::new(),
        tags: BTreeSet::new(),
        created_at: row.next()?,
    })
}

fn read_json<T: DeserializeOwned>(row: &mut Row<'_>) -> Result<T, Error> {
    serde_json::from_str(&row.next::<String>()?).map_err(|error| corrupt("list of firewall rules", &error))
}

fn json(rules: &[FirewallRule]) -> Result<String, Error> {
    serde_json::to_string(rules).map_err(|error| corrupt("list of firewall rules", &error))
}

/// Puts into the records whom they guard.
fn with_guarded(tx: &mut dyn Tx, mut records: Vec<FirewallRecord>) -> Result<Vec<FirewallRecord>, Error> {
    if records.is_empty() {
        return Ok(records);
    }
    let places: HashMap<FirewallId, usize> = records.iter().enumerate().map(|(at, record)| (record.id, at)).collect();
    let sql = format!(
        "SELECT firewall_id, droplet_id, tag FROM firewall_parties WHERE guarded = TRUE AND firewall_id IN ({})",
        placeholders(1, records.len())
    );
    let ids: Vec<Value<'_>> = records.iter().map(|record| record.id.into()).collect();
    tx.query_each(&sql, &ids, &mut |row| {
        let record = places.get(&row.next()?).and_then(|at| records.get_mut(*at));
        let droplet: DropletId = row.next()?;
        match record {
            None => {}
            Some(record) if droplet.0 > 0 => drop(record.droplets.insert(droplet)),
            Some(record) => drop(record.tags.insert(row.next()?)),
        }
        Ok(())
    })?;
    Ok(records)
}

/// Adds a firewall; [`Error::Duplicate`] when the account has one of that name.
pub fn firewall_insert(tx: &mut dyn Tx, firewall: &FirewallRecord) -> Result<(), Error> {
    tx.note(Made::Firewall(firewall.id));
    let sql = format!("INSERT INTO firewalls ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)");
    let values = [
        firewall.id.into(),
        firewall.account.into(),
        (&firewall.name).into(),
        json(&firewall.policy.inbound)?.into(),
        json(&firewall.policy.outbound)?.into(),
        firewall.created_at.into(),
    ];
    tx.execute(&sql, &values)?;
    for (guarded, parties) in [(true, firewall.guarded()), (false, firewall.policy.named())] {
        for party in parties {
            party_add(tx, firewall, guarded, &party)?;
        }
    }
    tx.made(firewall.account, firewall.id);
    force::change_all(tx, firewall.account, firewall.id)
}

fn party_add(tx: &mut dyn Tx, firewall: &FirewallRecord, guarded: bool, party: &Party) -> Result<(), Error> {
    let sql = "INSERT INTO firewall_parties (firewall_id, account_id, guarded, droplet_id, tag)
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let [droplet, tag] = party.columns();
    tx.execute(sql, &[firewall.id.into(), firewall.account.into(), guarded.into(), droplet, tag]).map(drop)
}

fn party_remove(tx: &mut dyn Tx, firewall: FirewallId, guarded: bool, party: &Party) -> Result<(), Error> {
    let sql = "DELETE FROM firewall_parties WHERE firewall_id = $1 AND guarded = $2 AND droplet_id = $3 AND tag = $4";
    let [droplet, tag] = party.columns();
    tx.execute(sql, &[firewall.into(), guarded.into(), droplet, tag]).map(drop)
}

/// The firewall, or `None`.
pub fn firewall_get(tx: &mut dyn Tx, account: AccountId, id: FirewallId) -> Result<Option<FirewallRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM firewalls WHERE account_id = $1 AND id = $2");
    let found = tx.query_all(&sql, &[account.into(), id.into()], read)?;
    Ok(with_guarded(tx, found)?.pop())
}

/// The account's firewalls, oldest first.
pub fn firewall_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<FirewallRecord>, Error> {
    let from = "FROM firewalls WHERE account_id = $1";
    let page = counters::page(tx, COLUMNS, from, "created_at, id", &[account.into()], window, read)?;
    Ok(Page { rows: with_guarded(tx, page.rows)?, total: page.total })
}

/// The firewalls that guard a Droplet, by its number or by a tag of it, oldest first (FW-7).
pub fn firewalls_of_droplet(
    tx: &mut dyn Tx,
    account: AccountId,
    droplet: DropletId,
    window: Window,
) -> Result<Page<FirewallRecord>, Error> {
    let from = "FROM firewalls WHERE account_id = $1 AND id IN (
                    SELECT firewall_id FROM firewall_parties WHERE account_id = $1 AND guarded = TRUE AND (droplet_id = $2
                    OR droplet_id = 0 AND tag IN (SELECT tag FROM tag_resources
                                                  WHERE resource_type = 'droplet' AND resource_number = $2)))";
    let page = counters::page(tx, COLUMNS, from, "created_at, id", &[account.into(), droplet.into()], window, read)?;
    Ok(Page { rows: with_guarded(tx, page.rows)?, total: page.total })
}

/// Every firewall of every account, by id.
pub fn firewall_all(tx: &mut dyn Tx) -> Result<Vec<FirewallRecord>, Error> {
    let mut all = tx.query_all(&format!("SELECT {COLUMNS} FROM firewalls ORDER BY id"), &[], read)?;
    let mut done = Vec::with_capacity(all.len());
    while !all.is_empty() {
        let rest = all.split_off(all.len().min(500));
        done.extend(with_guarded(tx, std::mem::replace(&mut all, rest))?);
    }
    Ok(done)
}

/// The Droplets that bear the tags any firewall has to do with, by account and tag.
pub fn firewall_tag_members(tx: &mut dyn Tx) -> Result<HashMap<(AccountId, TagName), BTreeSet<DropletId>>, Error> {
    let sql = "SELECT t.account_id, t.tag, t.resource_number FROM tag_resources t WHERE t.resource_type = 'droplet'
               AND EXISTS (SELECT 1 FROM firewall_parties p
                           WHERE p.account_id = t.account_id AND p.droplet_id = 0 AND p.tag = t.tag)";
    let mut members: HashMap<_, BTreeSet<DropletId>> = HashMap::new();
    tx.query_each(sql, &[], &mut |row| {
        members.entry((row.next()?, row.next()?)).or_default().insert(row.next()?);
        Ok(())
    })?;
    Ok(members)
}

/// Makes `before`, as it was read in this transaction, into `after`, which has its id, account and time. [`Error::Duplicate`]
/// when another firewall has that name. The same once more changes nothing.
pub fn firewall_update(tx: &mut dyn Tx, before: &FirewallRecord, after: &FirewallRecord) -> Result<(), Error> {
    if before == after {
        return Ok(());
    }
    let (account, id) = (before.account, before.id);
    tx.changed(account, id);
    if (&before.name, &before.policy) != (&after.name, &after.policy) {
        let sql = "UPDATE firewalls SET name = $1, inbound = $2, outbound = $3 WHERE id = $4";
        let (inbound, outbound) = (json(&after.policy.inbound)?, json(&after.policy.outbound)?);
        tx.execute(sql, &[(&after.name).into(), inbound.into(), outbound.into(), id.into()])?;
    }
    let guarded = force::guarded(tx, id)?;
    for (kind, old, new) in
        [(true, before.guarded(), after.guarded()), (false, before.policy.named(), after.policy.named())]
    {
        for party in old.difference(&new) {
            party_remove(tx, id, kind, party)?;
        }
        for party in new.difference(&old) {
            party_add(tx, after, kind, party)?;
        }
    }
    if before.policy != after.policy {
        force::change_all(tx, account, id)?;
    }
    let now = force::guarded(tx, id)?;
    for droplet in guarded.symmetric_difference(&now) {
        force::change(tx, account, id, *droplet, !now.contains(droplet))?;
    }
    Ok(())
}

/// Removes the firewall; whether there was one.
pub fn firewall_delete(tx: &mut dyn Tx, account: AccountId, id: FirewallId) -> Result<bool, Error> {
    if tx.execute("DELETE FROM firewalls WHERE account_id = $1 AND id = $2", &[account.into(), id.into()])? == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM firewall_parties WHERE firewall_id = $1", &[id.into()])?;
    tx.execute("DELETE FROM firewall_changes WHERE firewall_id = $1", &[id.into()])?;
    tx.gone(account, id);
    Ok(true)
}
