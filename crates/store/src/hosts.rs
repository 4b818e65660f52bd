//! Hosts of which what is taken is counted, with their GPUs: what was declared, and what the engine tells.
//!
//! A GPU is known by its place in its host's list for as long as anybody has it, whatever becomes of the others.

use dewpoint_api::RegionSlug;
use serde::{Deserialize, Serialize};

use crate::{Error, Row, Tx, accounts, droplets, feed::Thing, row::corrupt, stock};

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRecord {
    /// Whether it was declared; otherwise the engine tells of it.
    pub declared: bool,
    /// Its name.
    pub name: String,
    /// The region it is in; every region when `None`.
    pub region: Option<RegionSlug>,
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Its GPUs, by place.
    pub gpus: Vec<GpuRecord>,
    /// The stock's generation when this was written.
    pub generation: u64,
}

/// A GPU. Members that mostly are the same are left out of its text: there may be thousands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuRecord {
    /// What its host calls it: a PCI address.
    pub address: String,
    /// What it is, as sizes name it.
    pub model: String,
    /// Its memory in MiB; 0 when nobody said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memory_mib: u64,
    /// The NUMA node it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// How it is, by whoever told of it.
    #[serde(default, skip_serializing_if = "GpuCondition::is_ready")]
    pub condition: GpuCondition,
    /// Why it is kept out of stock until the operator puts it back, whatever its host says, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// The stock's generation in which it was last told of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: u64,
}

/// How a GPU is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuCondition {
    /// It can be given.
    #[default]
    Ready,
    /// Its host cannot give it to a guest, for this reason.
    Unusable(String),
    /// Its host keeps it out, for it could not be reset.
    Parked(String),
    /// Its host does not have it any more.
    Missing,
}

impl GpuCondition {
    fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

impl GpuRecord {
    /// Whether it may be given to somebody.
    pub fn is_healthy(&self) -> bool {
        self.condition.is_ready() && self.parked.is_none()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

const SELECT: &str = "SELECT declared, name, region, vcpus, memory_mib, gpus, generation FROM hosts";

/// All that were declared, or all that the engine tells of, in their order.
pub fn host_list(tx: &mut dyn Tx, declared: bool) -> Result<Vec<HostRecord>, Error> {
    tx.query_all(&format!("{SELECT} WHERE declared = $1 ORDER BY position"), &[declared.into()], read)
}

/// One of them.
pub fn host_get(tx: &mut dyn Tx, declared: bool, name: &str) -> Result<Option<HostRecord>, Error> {
    tx.query_opt(&format!("{SELECT} WHERE declared = $1 AND name = $2"), &[declared.into(), name.into()], read)
}

/// These, in this order, in place of all that were declared or that the engine told of.
pub fn hosts_replace(tx: &mut dyn Tx, declared: bool, hosts: &[HostRecord]) -> Result<(), Error> {
    tx.execute("DELETE FROM hosts WHERE declared = $1", &[declared.into()])?;
    for (position, host) in (0_u64..).zip(hosts) {
        let sql = "INSERT INTO hosts (declared, name, position, region, vcpus, memory_mib, gpus, generation)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let gpus = text(&host.gpus)?;
        let values = [
            declared.into(),
            (&host.name).into(),
            position.into(),
            host.region.as_ref().map(RegionSlug::as_str).into(),
            host.vcpus.into(),
            host.memory_mib.into(),
            (&gpus).into(),
            host.generation.into(),
        ];
        tx.execute(sql, &values)?;
    }
    Ok(())
}

/// Writes the GPUs of a host that is there.
pub fn host_gpus_put(tx: &mut dyn Tx, host: &HostRecord) -> Result<(), Error> {
    let sql = "UPDATE hosts SET gpus = $1, generation = $2 WHERE declared = $3 AND name = $4";
    let gpus = text(&host.gpus)?;
    let values = [(&gpus).into(), host.generation.into(), host.declared.into(), (&host.name).into()];
    tx.execute(sql, &values).map(drop)
}

fn text(gpus: &[GpuRecord]) -> Result<String, Error> {
    serde_json::to_string(gpus).map_err(|error| corrupt("gpus", &error))
}

fn read(row: &mut Row<'_>) -> Result<HostRecord, Error> {
    let (declared, name, region): (bool, String, Option<String>) = (row.next()?, row.next()?, row.next()?);
    let (vcpus, memory_mib) = (row.next()?, row.next()?);
    let gpus: String = row.next()?;
    let gpus = serde_json::from_str(&gpus).map_err(|error| corrupt("gpus", &error))?;
    let region = region.map(RegionSlug::from);
    Ok(HostRecord { declared, name, region, vcpus, memory_mib, gpus, generation: row.next()? })
}

/// Tells those who follow the first account, which is the operator's, that a GPU is not what it was; and those who follow the
/// account of the Droplet that has it, if one has, that this may not be.
pub fn gpu_changed(tx: &mut dyn Tx, host: &str, address: &str) -> Result<(), Error> {
    if let Some(operator) = accounts::account_first(tx)? {
        tx.changed(operator.id, Thing::Gpu(format!("{host}/{address}").into()));
    }
    let holders = stock::holding_list(tx)?;
    let mine = |holding: &&stock::Holding| holding.host == host && holding.addresses.iter().any(|own| own == address);
    let Some(holding) = holders.iter().find(mine) else { return Ok(()) };
    if let Some(droplet) = droplets::droplet_of_machine(tx, holding.droplet)? {
        tx.changed(droplet.account, droplet.id);
    }
    Ok(())
}
