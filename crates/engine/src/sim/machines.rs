//! The simulator's file: one thread, one commit for all calls that wait; and the machines in it.

use std::{
    collections::VecDeque, fmt, fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::Path, sync::mpsc, thread,
};

use dewpoint_clock::Timestamp;
use dewpoint_pages::{Alive, Closing, Damage, Durability, Keeper, Verdict};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::{disks, gpus};
use crate::{Error, MachineId, MachineSpec, Observed, PowerState};

/// How many calls may share one commit.
const BATCH: usize = 256;
/// How many pages the log may have before it is copied into the file.
const LOG_PAGES: u32 = 4_000;

/// Calls that wait.
type Calls = mpsc::Receiver<Box<dyn Call>>;

/// The file, and who brings its log into it.
struct File {
    connection: Connection,
    keeper: Keeper,
    alive: Alive,
}

#[derive(Debug)]
pub(super) struct Machines {
    calls: mpsc::Sender<Box<dyn Call>>,
    closing: Closing,
}

impl Machines {
    /// The file's machines, with a thread that sees to the calls.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let (machines, mut file, waiting) = Self::open_file(path)?;
        let aside = file.keeper.go_aside();
        aside.map_err(|error| Error::host("start the thread of the simulator's log", error))?;
        thread::Builder::new()
            .name("sim-machines".into())
            .spawn(move || file.serve(&waiting))
            .map_err(|error| Error::host("start the simulator's thread", error))?;
        Ok(machines)
    }

    /// The file's machines, and what sees to the calls one by one.
    pub(super) fn open_stepped(path: &Path) -> Result<(Self, Stepper), Error> {
        let (machines, file, incoming) = Self::open_file(path)?;
        let unsynced = file.connection.pragma_update(None, "synchronous", "OFF");
        unsynced.map_err(|error| Error::host("open the simulator's file", error))?;
        Ok((machines, Stepper { file, incoming, waiting: VecDeque::new() }))
    }

    /// When the file is closed.
    pub(super) fn closing(&self) -> Closing {
        self.closing.clone()
    }

    fn open_file(path: &Path) -> Result<(Self, File, Calls), Error> {
        // What a machine is made from has keys and user data in it; SQLite gives its log the mode of its file.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::host("make the simulator's file", error))?;
        let verdict = verify(path)?;
        let failed = |error: rusqlite::Error| Error::host("open the simulator's file", error);
        let connection = connect(path).map_err(failed)?;
        let keeper = Keeper::new(path, &connection, LOG_PAGES).map_err(failed)?;
        if let Verdict::NoSums { remark } = verdict {
            adopt(path, (&connection, &keeper), remark)?;
        }
        let (calls, waiting) = mpsc::channel();
        let (alive, closing) = Closing::new();
        Ok((Self { calls, closing }, File { connection, keeper, alive }, waiting))
    }

    pub(super) async fn ensure(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let (text, image) = (to_text(spec)?, spec.image.clone());
        let made = self
            .call(move |db| {
                let sql = "SELECT spec = ?2 FROM machines WHERE id = ?1";
                let there =
                    db.prepare_cached(sql)?.query_row(params![number(id), text], |row| row.get(0)).optional()?;
                if let Some(same) = there {
                    return Ok(if same { Made::Ok } else { Made::Conflict });
                }
                if !disks::image_is_there(db, &image)? {
                    return Ok(Made::NoImage);
                }
                let sql = "INSERT INTO machines (id, spec) VALUES (?1, ?2)";
                db.prepare_cached(sql)?.execute(params![number(id), text])?;
                Ok(Made::Ok)
            })
            .await?;
        made.or_error(id, spec)
    }

    /// Another spec for a machine that is off; of a running one, other IPv6 addresses.
    pub(super) async fn change(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let wanted = spec.clone();
        self.replace(id, spec, move |old, running| {
            let same = MachineSpec {
                nics: wanted.nics.clone(),
                gpus: wanted.gpus.clone(),
                vcpus: wanted.vcpus,
                memory_mib: wanted.memory_mib,
                disk_gib: wanted.disk_gib,
                password_hash: wanted.password_hash.clone(),
                hostname: wanted.hostname.clone(),
                ..old.clone()
            };
            let grows = wanted.disk_gib >= old.disk_gib;
            match running {
                true if !old.differs_in_what_may_change(&wanted) => Made::Running,
                _ if same == wanted && grows => Made::Ok,
                _ => Made::Conflict,
            }
        })
        .await
    }

    /// The disk anew: all the simulator knows of it is the image.
    pub(super) async fn rebuild(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let wanted = spec.clone();
        self.replace(id, spec, move |old, running| {
            let same = MachineSpec {
                image: wanted.image.clone(),
                hostname: wanted.hostname.clone(),
                password_hash: wanted.password_hash.clone(),
                ..old.clone()
            };
            match running {
                true => Made::Running,
                false if same == wanted => Made::Ok,
                false => Made::Conflict,
            }
        })
        .await
    }

    pub(super) async fn set_password(&self, id: MachineId, hash: &str) -> Result<(), Error> {
        let hash = hash.to_owned();
        let done = self
            .call(move |db| {
                let Some((mut spec, running)) = read_machine(db, id)? else { return Ok(None) };
                spec.password_hash = Some(hash.clone());
                if running {
                    write_machine(db, id, &spec)?;
                }
                Ok(Some(running))
            })
            .await?;
        match done {
            Some(true) => Ok(()),
            Some(false) => Err(Error::GuestIgnored(id)),
            None => Err(Error::NoSuchMachine(id)),
        }
    }

    /// Writes `spec` if `judge` allows it, given the old one and whether the machine runs.
    async fn replace(
        &self,
        id: MachineId,
        spec: &MachineSpec,
        judge: impl Fn(&MachineSpec, bool) -> Made + Send + 'static,
    ) -> Result<(), Error> {
        let wanted = spec.clone();
        let made = self
            .call(move |db| {
                let Some((old, running)) = read_machine(db, id)? else { return Ok(Made::NoMachine) };
                let judged = if old == wanted { Made::Ok } else { judge(&old, running) };
                if judged == Made::Ok && !disks::image_is_there(db, &wanted.image)? && old.image != wanted.image {
                    return Ok(Made::NoImage);
                }
                if judged == Made::Ok {
                    write_machine(db, id, &wanted)?;
                }
                Ok(judged)
            })
            .await?;
        made.or_error(id, spec)
    }

    /// Running since `started`, or off. A machine that already runs keeps its start.
    pub(super) async fn set_power(&self, id: MachineId, started: Option<Timestamp>) -> Result<(), Error> {
        let found = self
            .call(move |db| match started {
                Some(at) => {
                    if let Some(gpu) = gpus::lacking(db, id)? {
                        return Ok(Err(gpu));
                    }
                    let sql = "UPDATE machines SET started_at = COALESCE(started_at, ?2) WHERE id = ?1";
                    db.prepare_cached(sql)?.execute(params![number(id), at.as_millis()]).map(Ok)
                }
                None => {
                    let sql = "UPDATE machines SET started_at = NULL WHERE id = ?1";
                    db.prepare_cached(sql)?.execute(params![number(id)]).map(Ok)
                }
            })
            .await?;
        match found {
            Ok(0) => Err(Error::NoSuchMachine(id)),
            Ok(_) => Ok(()),
            Err(gpu) => {
                let why = format!("it was not taken for machine {id}, or is not there any more");
                Err(Error::GpuUnusable { gpu, why })
            }
        }
    }

    pub(super) async fn observe(&self, id: MachineId) -> Result<Option<Observed>, Error> {
        let sql = "SELECT started_at FROM machines WHERE id = ?1";
        let found: Option<Option<i64>> = self
            .call(move |db| db.prepare_cached(sql)?.query_row(params![number(id)], |row| row.get(0)).optional())
            .await?;
        Ok(found.map(|started| Observed {
            power: if started.is_some() { PowerState::On } else { PowerState::Off },
            started_at: started.map(Timestamp::from_millis),
        }))
    }

    pub(super) async fn spec(&self, id: MachineId) -> Result<Option<MachineSpec>, Error> {
        let sql = "SELECT spec FROM machines WHERE id = ?1";
        let found: Option<String> = self
            .call(move |db| db.prepare_cached(sql)?.query_row(params![number(id)], |row| row.get(0)).optional())
            .await?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|error| Error::host("read a machine's specification", error))
        };
        found.map(read).transpose()
    }

    pub(super) async fn remove(&self, id: MachineId) -> Result<(), Error> {
        self.call(move |db| {
            disks::detach_all(db, id)?;
            gpus::give_back(db, id)?;
            db.prepare_cached("DELETE FROM machines WHERE id = ?1")?.execute(params![number(id)])
        })
        .await
        .map(drop)
    }

    pub(super) async fn list(&self) -> Result<Vec<MachineId>, Error> {
        self.call(list).await
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        // A call that cannot be sent drops `reply`, and the wait below fails.
        let _ = self.calls.send(Box::new(Asked { work, result: None, reply }));
        answer.await.unwrap_or_else(|_| Err(Error::host("reach the simulator's thread", "it has ended")))
    }
}

/// How asking for a machine went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Ok,
    Conflict,
    Running,
    NoImage,
    NoMachine,
}

impl Made {
    fn or_error(self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        match self {
            Self::Ok => Ok(()),
            Self::Conflict => Err(Error::SpecConflict(id)),
            Self::Running => Err(Error::host("change a machine", format_args!("machine {id} is running"))),
            Self::NoImage => Err(Error::ImageMissing(spec.image.clone())),
            Self::NoMachine => Err(Error::NoSuchMachine(id)),
        }
    }
}

pub(super) fn number(id: MachineId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

pub(super) fn to_text<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::host("write a specification", error))
}

fn list(db: &Connection) -> rusqlite::Result<Vec<MachineId>> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM machines UNION SELECT machine FROM gpus WHERE machine IS NOT NULL ORDER BY 1",
    )?;
    let ids = statement.query_map([], |row| row.get::<_, i64>(0))?;
    ids.map(|id| id.map(|id| MachineId(id.unsigned_abs()))).collect()
}

/// A machine's spec, and whether it runs.
pub(super) fn read_machine(db: &Connection, id: MachineId) -> rusqlite::Result<Option<(MachineSpec, bool)>> {
    let sql = "SELECT spec, started_at IS NOT NULL FROM machines WHERE id = ?1";
    let found = db
        .prepare_cached(sql)?
        .query_row(params![number(id)], |row| Ok((disks::from_text(&row.get::<_, String>(0)?)?, row.get(1)?)));
    found.optional()
}

fn write_machine(db: &Connection, id: MachineId, spec: &MachineSpec) -> rusqlite::Result<()> {
    let text = serde_json::to_string(spec).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    db.prepare_cached("UPDATE machines SET spec = ?2 WHERE id = ?1")?.execute(params![number(id), text]).map(drop)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A killed process loses nothing; after a power cut the control plane makes the machines again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.execute_batch(super::gpus::TABLE)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS machines (id INTEGER PRIMARY KEY, spec TEXT NOT NULL, started_at INTEGER);
         CREATE TABLE IF NOT EXISTS images (name TEXT PRIMARY KEY, disk_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS volumes (
             id TEXT PRIMARY KEY, spec TEXT NOT NULL, size_gib INTEGER NOT NULL, machine INTEGER
         );
         CREATE INDEX IF NOT EXISTS volumes_by_machine ON volumes (machine)",
    )?;
    Ok(connection)
}

trait Call: Send {
    fn run(&mut self, connection: &Connection);
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Asked<F, T> {
    work: F,
    result: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F: FnMut(&Connection) -> rusqlite::Result<T> + Send, T: Send> Call for Asked<F, T> {
    fn run(&mut self, connection: &Connection) {
        self.result = Some((self.work)(connection));
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let result = match (self.result, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(explain(&error)),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::host("use the simulator's file", "the call was not run")),
        };
        // Whoever asked may have gone.
        let _ = self.reply.send(result);
    }
}

fn explain(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::DiskFull { path: "the simulator's file".into() },
        _ => Error::host("use the simulator's file", error),
    }
}

/// Compares the file with its checksums.
pub(super) fn verify(path: &Path) -> Result<Verdict, Error> {
    dewpoint_pages::verify(path, Durability::WhileTheHostRuns).map_err(|damage| damaged(&damage))
}

/// What the file of a simulator that was changed by no one but the simulator never is.
fn damaged(damage: &Damage) -> Error {
    let hint = "nothing was changed; restore it from a backup, or move it away to begin without machines";
    Error::host("open the simulator's file", format_args!("{damage}; {hint}"))
}

/// Takes a file that has no checksums as it is, if SQLite finds nothing wrong with it.
fn adopt(path: &Path, (connection, keeper): (&Connection, &Keeper), remark: Option<String>) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::host("check the simulator's file", error);
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(Error::host("open the simulator's file", format_args!("{}: {found}", path.display())));
    }
    if let Some(remark) = remark {
        tracing::warn!("The simulator's file is taken as it is, and SQLite finds nothing wrong with it: {remark}");
    }
    keeper.adopt(connection).map_err(|error| Error::host("write the checksums of the simulator's file", error))
}

impl File {
    /// Sees to calls until nobody can make any more.
    fn serve(self, waiting: &Calls) {
        while let Ok(first) = waiting.recv() {
            let mut batch = vec![first];
            batch.extend(waiting.try_iter().take(BATCH - 1));
            self.carry_out(batch);
        }
        self.keeper.close(self.connection);
        drop(self.alive);
    }

    fn carry_out(&self, mut batch: Vec<Box<dyn Call>>) {
        let committed = commit(&self.connection, &mut batch);
        if committed.is_err() && !self.connection.is_autocommit() {
            // Nothing more can be done about a rollback that fails: the next BEGIN will say so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        for call in batch {
            call.answer(committed.as_ref().copied().map_err(explain));
        }
        self.keeper.after_commit(&self.connection);
    }
}

/// Sees to the calls of a simulator that has no thread ([`SimEngine::open_stepped`](super::SimEngine::open_stepped)). Dropped,
/// it is a hypervisor that has had all its calls so far, and hears no more.
pub struct Stepper {
    file: File,
    incoming: Calls,
    waiting: VecDeque<Box<dyn Call>>,
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Stepper {
    /// How many calls wait.
    pub fn waiting(&mut self) -> usize {
        self.waiting.extend(self.incoming.try_iter());
        self.waiting.len()
    }

    /// Carries out the call that has waited longest.
    pub fn step(&mut self) {
        self.waiting();
        if let Some(call) = self.waiting.pop_front() {
            self.file.carry_out(vec![call]);
        }
    }

    /// The numbers of the machines there are, seen behind everybody's back.
    pub fn machines(&self) -> Result<Vec<MachineId>, Error> {
        list(&self.file.connection).map_err(|error| explain(&error))
    }
}

fn commit(connection: &Connection, batch: &mut [Box<dyn Call>]) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for call in batch.iter_mut() {
        call.run(connection);
    }
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}
