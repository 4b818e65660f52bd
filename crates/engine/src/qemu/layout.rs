//! Where a machine's files are, and how they are written so that a crash leaves the old or the new, never a half.
//!
//! ```text
//! DATA/machines/            walkable by QEMU's user, listable by the server alone
//!   7/                      one machine; QEMU's working directory
//!     machine.json          what it is; written last when it is made, removed first when it goes
//!     run.json              its newest process: pid, start time, forwarded ports
//!     report.json           what the guest said about its user data
//!     disk-….qcow2          root disk: an overlay on an image
//!     seed.img              NoCloud seed disk
//!     console.log[.1]       serial console, capped
//!     qemu.log              QEMU's own output: its last words when it dies
//!     run/                  QEMU's sockets: qmp, console, report, agent
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, MachineId};

/// All machines' directories.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    machines: PathBuf,
    volumes: PathBuf,
}

impl Layout {
    /// Makes the directory above all machines where it is missing.
    pub(super) fn open(data_dir: &Path) -> Result<Self, Error> {
        let make = |name: &str| {
            let directory = data_dir.join(name);
            let made = || {
                DirBuilder::new().recursive(true).mode(0o711).create(&directory)?;
                fs::set_permissions(&directory, fs::Permissions::from_mode(0o711))?;
                // QEMU works by relative names in a machine's directory, but finds what lies elsewhere by absolute ones.
                directory.canonicalize()
            };
            made().map_err(|error| io_error("make the engine's directories", &directory, &error))
        };
        Ok(Self { machines: make("machines")?, volumes: make("volumes")? })
    }

    /// Where volumes are; [`super::volumes`] says how.
    pub(super) fn volumes(&self) -> PathBuf {
        self.volumes.clone()
    }

    pub(super) fn root(&self) -> &Path {
        &self.machines
    }

    pub(super) fn machine(&self, id: MachineId) -> MachineDir {
        MachineDir::at(&self.machines, id)
    }

    /// Every machine there is anything of, in ascending order.
    pub(super) fn list(&self) -> Result<Vec<MachineId>, Error> {
        let failed = |error: io::Error| io_error("list machines", &self.machines, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.machines).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(number) = name.to_str().and_then(|name| name.parse().ok()) {
                found.push(MachineId(number));
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// One machine's directory and the names in it.
#[derive(Clone, Debug)]
pub(super) struct MachineDir {
    path: PathBuf,
}

impl MachineDir {
    /// A machine's directory among `machines`.
    pub(super) fn at(machines: &Path, id: MachineId) -> Self {
        Self { path: machines.join(id.to_string()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file of this directory; `None` when it is not there, or was cut off by a crash of an older writer.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        read_record(&self.file(name))
    }

    /// Writes a file of this directory as a whole, readable by the server alone.
    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Error> {
        write_record(&self.file(name), value)
    }

    /// Removes one file; success when there is none.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove a machine's file", &path, &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the directory with all that is in it; success when there is none.
    pub(super) fn remove_all(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove a machine's files", &self.path, &error))
            }
            _ => Ok(()),
        }
    }

    /// The last `limit` bytes of QEMU's output, without its warnings; for people.
    pub(super) fn last_words(&self) -> String {
        const LIMIT: usize = 2000;
        let bytes = fs::read(self.file(names::WORDS)).unwrap_or_default();
        let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LIMIT)..]).into_owned();
        let words: Vec<&str> =
            tail.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains(": warning: ")).collect();
        if words.is_empty() { "it said nothing".to_owned() } else { words.join("; ") }
    }
}

/// The names in a machine's directory.
pub(super) mod names {
    pub(in crate::qemu) const MACHINE: &str = "machine.json";
    pub(in crate::qemu) const RUN: &str = "run.json";
    pub(in crate::qemu) const REPORT: &str = "report.json";
    pub(in crate::qemu) const SEED: &str = "seed.img";
    pub(in crate::qemu) const CONSOLE: &str = "console.log";
    pub(in crate::qemu) const OLDER_CONSOLE: &str = "console.log.1";
    pub(in crate::qemu) const WORDS: &str = "qemu.log";
    pub(in crate::qemu) const SOCKETS: &str = "run";
    pub(in crate::qemu) const QMP_SOCKET: &str = "run/qmp.sock";
    pub(in crate::qemu) const CONSOLE_SOCKET: &str = "run/console.sock";
    pub(in crate::qemu) const REPORT_SOCKET: &str = "run/report.sock";
    pub(in crate::qemu) const AGENT_SOCKET: &str = "run/agent.sock";
}

/// Reads a record; `None` when there is none.
pub(super) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(bytes) => parse_record(&bytes)
            .map(Some)
            .map_err(|problem| Error::host("read a record", format_args!("{}: {problem}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read a record", path, &error)),
    }
}

/// Writes a record as a whole and durably, readable by the server alone.
pub(super) fn write_record<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let bytes = record_bytes(value)
        .map_err(|error| Error::host("write a record", format_args!("{}: {error}", path.display())))?;
    write_atomically(path, &bytes, 0o600).map_err(|error| io_error("write a record", path, &error))
}

/// What a record begins with; the CRC-32 of all that is not it follows, in hex.
const SEAL: &[u8] = b"{\n  \"crc32\": \"";
/// What follows the checksum.
const AFTER: &[u8] = b"\",";

/// A record as it is written: a JSON object with a first member by which a flipped bit is known.
pub(super) fn record_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec_pretty(value)?;
    let Some(members) = json.strip_prefix(b"{").filter(|members| members.starts_with(b"\n")) else { return Ok(json) };
    let sum = format!("{:08x}", dewpoint_pages::checksum(members));
    Ok([SEAL, sum.as_bytes(), AFTER, members].concat())
}

/// Reads what [`record_bytes`] wrote; also what versions before it wrote. Says what is wrong with anything else.
pub(super) fn parse_record<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if let Some((sum, rest)) = bytes.strip_prefix(SEAL).and_then(|sealed| sealed.split_at_checked(8)) {
        let members = rest.strip_prefix(AFTER);
        if members.is_none_or(|members| format!("{:08x}", dewpoint_pages::checksum(members)).as_bytes() != sum) {
            return Err("it is damaged: it does not fit its checksum".to_owned());
        }
    }
    serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))
}

/// Writes `bytes` beside `path`, makes them durable and puts them in its place.
pub(super) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// An engine error for a failed file operation; a full disk is told apart.
pub(super) fn io_error(operation: &'static str, path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { path: path.display().to_string() }
        }
        _ => Error::host(operation, format_args!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_listed_in_order_and_other_files_are_not() {
        let data = tempfile::tempdir().expect("a directory");
        let layout = Layout::open(data.path()).expect("a layout");
        for name in ["12", "3", "notes", "4x"] {
            fs::create_dir(layout.root().join(name)).expect("a directory");
        }
        assert_eq!(layout.list().expect("a list"), [MachineId(3), MachineId(12)]);
    }

    #[test]
    fn a_record_comes_back_as_written_and_a_missing_one_is_none() {
        let data = tempfile::tempdir().expect("a directory");
        let machine = Layout::open(data.path()).expect("a layout").machine(MachineId(1));
        fs::create_dir(machine.path()).expect("a directory");
        assert_eq!(machine.read::<u32>(names::RUN).expect("no record"), None);
        machine.write(names::RUN, &7).expect("written");
        assert_eq!(machine.read::<u32>(names::RUN).expect("a record"), Some(7));
    }

    #[test]
    fn a_record_with_any_bit_flipped_or_its_end_cut_off_is_said_to_be_damaged() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Record {
            machine: u64,
            hostname: String,
            running: Option<bool>,
        }
        let record = Record { machine: 7, hostname: "web-1".to_owned(), running: Some(true) };
        let whole = record_bytes(&record).expect("JSON");
        assert_eq!(parse_record::<Record>(&whole).as_ref(), Ok(&record));
        let old = serde_json::to_vec_pretty(&record).expect("JSON");
        assert_eq!(parse_record::<Record>(&old).as_ref(), Ok(&record), "a record without a checksum is read as it is");
        let mut label = 0;
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match parse_record::<Record>(&flipped) {
                Err(_) => {}
                // The checksum's own name was struck: everything else is what it was.
                Ok(read) => {
                    assert_eq!(read, record, "bit {bit}");
                    label += 1;
                }
            }
        }
        assert!(label < 60, "{label} bits were not noticed");
        for length in 0..whole.len() {
            assert!(parse_record::<Record>(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn last_words_leave_warnings_out() {
        let data = tempfile::tempdir().expect("a directory");
        let machine = Layout::open(data.path()).expect("a layout").machine(MachineId(1));
        fs::create_dir(machine.path()).expect("a directory");
        fs::write(machine.file(names::WORDS), "qemu: warning: hub 1 is lonely\nqemu: no such disk\n").expect("written");
        assert_eq!(machine.last_words(), "qemu: no such disk");
    }
}
