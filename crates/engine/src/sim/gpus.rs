//! The simulator's GPUs: who has which, on which host. A row for each that is not simply there and free.
//!
//! On a host with [`HostGpus::Plenty`] every address is a GPU, and the control plane alone knows how many there are; on one
//! that names its own, they are what its equipment says, but for those that are parked or were made to vanish.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    disks::unsigned,
    machines::{Machines, number, read_machine},
};
use crate::{Error, GpuAddress, GpuState, Host, HostGpus, MachineId, ParkedGpu};

/// The table, beside the machines.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS gpus (
    host TEXT NOT NULL, address TEXT NOT NULL, machine INTEGER, parked TEXT, parked_by INTEGER, missing INTEGER NOT NULL DEFAULT 0,
    unresettable INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (host, address)
)";

/// Why a GPU of the simulator is parked.
const RESET_FAILED: &str = "it could not be reset";

/// How taking went.
enum Taken {
    Done,
    Elsewhere(GpuAddress, MachineId),
    Unusable(GpuAddress, &'static str),
    HasOthers,
}

/// What is written of one GPU.
struct Row {
    address: String,
    machine: Option<MachineId>,
    parked: Option<String>,
    missing: bool,
}

impl Machines {
    /// Makes these the machine's, all of them or none.
    pub(super) async fn take_gpus(&self, id: MachineId, hosts: &[Host], gpus: &[GpuAddress]) -> Result<(), Error> {
        let (hosts, gpus) = (hosts.to_vec(), gpus.to_vec());
        let taken = self.call(move |db| take(db, id, &hosts, &gpus)).await?;
        match taken {
            Taken::Done => Ok(()),
            Taken::Elsewhere(gpu, machine) => Err(Error::GpuTaken { gpu, machine }),
            Taken::Unusable(gpu, why) => Err(Error::GpuUnusable { gpu, why: why.to_owned() }),
            Taken::HasOthers => Err(Error::SpecConflict(id)),
        }
    }

    /// Takes all of the machine's back; those that are parked for it, also when it is asked again.
    pub(super) async fn give_back_gpus(&self, id: MachineId) -> Result<Vec<ParkedGpu>, Error> {
        self.call(move |db| {
            let sql = "UPDATE gpus SET machine = NULL, parked = ?2, parked_by = ?1, unresettable = 0
                       WHERE machine = ?1 AND unresettable = 1";
            db.prepare_cached(sql)?.execute(params![number(id), RESET_FAILED])?;
            give_back(db, id)?;
            let sql = "SELECT address, parked FROM gpus WHERE parked_by = ?1 AND parked IS NOT NULL ORDER BY address";
            let mut statement = db.prepare_cached(sql)?;
            let parked = statement.query_map(params![number(id)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let parked: Vec<(String, String)> = parked.collect::<Result<_, _>>()?;
            let told = |(address, why): (String, String)| Some(ParkedGpu { gpu: address.parse().ok()?, why });
            Ok(parked.into_iter().filter_map(told).collect())
        })
        .await
    }

    /// Puts a GPU back that was parked.
    pub(super) async fn put_back_gpu(&self, host: &str, gpu: GpuAddress) -> Result<(), Error> {
        let (host, address) = (host.to_owned(), gpu.to_string());
        self.call(move |db| {
            let sql = "UPDATE gpus SET parked = NULL, parked_by = NULL WHERE host = ?1 AND address = ?2";
            db.prepare_cached(sql)?.execute(params![host, address])?;
            forget_plain(db)
        })
        .await
    }

    /// Lets a GPU be missing from its host, or be there again.
    pub(super) async fn lose_gpu(&self, host: &str, gpu: GpuAddress, missing: bool) -> Result<(), Error> {
        self.mark(host, gpu, "missing", missing).await
    }

    /// Lets the next reset of a GPU fail.
    pub(super) async fn spoil_gpu(&self, host: &str, gpu: GpuAddress) -> Result<(), Error> {
        self.mark(host, gpu, "unresettable", true).await
    }

    async fn mark(&self, host: &str, gpu: GpuAddress, column: &'static str, on: bool) -> Result<(), Error> {
        let (host, address) = (host.to_owned(), gpu.to_string());
        self.call(move |db| {
            let sql = format!(
                "INSERT INTO gpus (host, address, {column}) VALUES (?1, ?2, ?3)
                 ON CONFLICT (host, address) DO UPDATE SET {column} = ?3"
            );
            db.prepare_cached(&sql)?.execute(params![host, address, on])?;
            forget_plain(db)
        })
        .await
    }

    /// The hosts as they are now: those that name their GPUs without the missing ones, and the parked ones marked.
    pub(super) async fn hosts(&self, equipped: &[Host]) -> Result<Vec<Host>, Error> {
        let mut hosts = equipped.to_vec();
        if hosts.iter().all(|host| host.gpus == HostGpus::Plenty) {
            return Ok(hosts);
        }
        self.call(move |db| {
            for host in &mut hosts {
                let rows = rows_of(db, &host.name)?;
                let HostGpus::These(gpus) = &mut host.gpus else { continue };
                gpus.retain_mut(|gpu| {
                    let row = rows.iter().find(|row| row.address == gpu.address.to_string());
                    if let Some(why) = row.and_then(|row| row.parked.clone()) {
                        gpu.state = GpuState::Parked(why);
                    }
                    row.is_none_or(|row| !row.missing)
                });
            }
            Ok(hosts.clone())
        })
        .await
    }
}

/// The first GPU of the machine's spec that it has not, so that it cannot be started; none for one that runs. Most machines
/// have none, which is found without reading their specs.
pub(super) fn lacking(db: &Connection, id: MachineId) -> rusqlite::Result<Option<GpuAddress>> {
    let sql = "SELECT 1 FROM machines WHERE id = ?1 AND started_at IS NULL AND instr(spec, '\"gpus\":[') > 0";
    if db.prepare_cached(sql)?.query_row(params![number(id)], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let Some((spec, _)) = read_machine(db, id)? else { return Ok(None) };
    let rows = rows_of(db, &spec.host)?;
    let has = |gpu: &GpuAddress| {
        let own = |row: &&Row| row.address == gpu.to_string() && row.machine == Some(id);
        rows.iter().find(own).is_some_and(|row| !row.missing)
    };
    Ok(spec.gpus.into_iter().find(|gpu| !has(gpu)))
}

/// Lets go of a machine's GPUs but for those that cannot be reset, which [`Machines::give_back_gpus`] tells of.
pub(super) fn give_back(db: &Connection, id: MachineId) -> rusqlite::Result<()> {
    let sql = "UPDATE gpus SET machine = NULL WHERE machine = ?1 AND unresettable = 0";
    match db.prepare_cached(sql)?.execute(params![number(id)])? {
        0 => Ok(()),
        _ => forget_plain(db),
    }
}

fn take(db: &Connection, id: MachineId, hosts: &[Host], gpus: &[GpuAddress]) -> rusqlite::Result<Taken> {
    // A machine that is not there yet will be on the first host.
    let of_machine = read_machine(db, id)?.map(|(spec, _)| spec.host);
    let name = of_machine.or_else(|| hosts.first().map(|host| host.name.clone())).unwrap_or_default();
    let rows = rows_of(db, &name)?;
    let own: Vec<&Row> = rows.iter().filter(|row| row.machine == Some(id)).collect();
    if own.iter().any(|row| gpus.iter().all(|gpu| gpu.to_string() != row.address)) {
        return Ok(Taken::HasOthers);
    }
    let listed = hosts.iter().find(|host| host.name == name).and_then(|host| match &host.gpus {
        HostGpus::These(listed) => Some(listed),
        HostGpus::Plenty => None,
    });
    for gpu in gpus {
        let row = rows.iter().find(|row| row.address == gpu.to_string());
        let is_listed = listed.is_none_or(|listed| listed.iter().any(|listed| listed.address == *gpu));
        match row {
            _ if !is_listed => return Ok(Taken::Unusable(*gpu, "its host does not have it")),
            Some(Row { missing: true, .. }) => return Ok(Taken::Unusable(*gpu, "its host does not have it any more")),
            Some(Row { machine: Some(other), .. }) if *other != id => return Ok(Taken::Elsewhere(*gpu, *other)),
            // Where there is plenty, the control plane alone knows what is parked.
            Some(Row { parked: Some(_), .. }) if listed.is_some() => {
                return Ok(Taken::Unusable(*gpu, "it is parked: put it back first"));
            }
            Some(_) | None => {}
        }
    }
    for gpu in gpus {
        let sql = "INSERT INTO gpus (host, address, machine) VALUES (?1, ?2, ?3)
                   ON CONFLICT (host, address) DO UPDATE SET machine = ?3, parked = NULL, parked_by = NULL";
        db.prepare_cached(sql)?.execute(params![name, gpu.to_string(), number(id)])?;
    }
    Ok(Taken::Done)
}

fn rows_of(db: &Connection, host: &str) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT address, machine, parked, missing FROM gpus WHERE host = ?1 ORDER BY address";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params![host], |row| {
        let machine = row.get::<_, Option<i64>>(1)?.map(|id| MachineId(unsigned(id)));
        Ok(Row { address: row.get(0)?, machine, parked: row.get(2)?, missing: row.get(3)? })
    })?;
    rows.collect()
}

/// Removes the rows of GPUs that are simply there and free.
fn forget_plain(db: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM gpus WHERE machine IS NULL AND parked IS NULL AND missing = 0 AND unresettable = 0";
    db.prepare_cached(sql)?.execute([]).map(drop)
}

/// Who has which GPU, with its host.
pub(super) fn holders(db: &Connection) -> rusqlite::Result<Vec<(MachineId, String, String)>> {
    let present = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'gpus'";
    let is_there: Option<i64> = db.query_row(present, [], |row| row.get(0)).optional()?;
    if is_there.unwrap_or(0) == 0 {
        // A file that an earlier version wrote, and this one has not opened yet.
        return Ok(Vec::new());
    }
    let mut statement =
        db.prepare("SELECT machine, host, address FROM gpus WHERE machine IS NOT NULL ORDER BY 1, 2, 3")?;
    let rows = statement.query_map([], |row| Ok((MachineId(unsigned(row.get(0)?)), row.get(1)?, row.get(2)?)))?;
    rows.collect()
}
