//! Doors to the parsers of what guests, images and QEMU itself say, for `crates/fuzz` alone. All of it may be hostile.

use std::io::{Cursor, Read, Seek};

use serde_json::Value;
use uuid::Uuid;

use super::{
    agent::{self, AgentError},
    import::{
        headers,
        unpack::{self, Format},
    },
    qmp::{self, Message},
    readiness::{self, Heard, LONGEST_LINE},
    seed,
};
use crate::{ImageName, MachineSpec, UserDataOutcome};

/// The kinds of image whose headers are read here.
pub const FORMATS: [&str; 5] = ["raw", "qcow2", "vhdx", "vdi", "vmdk"];

/// The size of the disk in `image`, of the format at this place in [`FORMATS`], at most `most` bytes; or why it is refused.
pub fn image_header(format: usize, image: &mut (impl Read + Seek), most: u64) -> Result<u64, String> {
    let formats = [Format::Raw, Format::Qcow2, Format::Vhdx, Format::Vdi, Format::Vmdk];
    headers::check(formats[format % formats.len()], image, most).map_err(|problem| problem.to_string())
}

/// What a download is, and at most `most` bytes of it unpacked; or why it is refused.
pub fn unpacked(download: &[u8], most: usize) -> Result<(&'static str, Vec<u8>), String> {
    let (format, mut source) = unpack::open(Cursor::new(download.to_vec())).map_err(|problem| problem.to_string())?;
    let mut unpacked = vec![0; most];
    let length = unpack::fill(&mut *source, &mut unpacked).map_err(|problem| problem.to_string())?;
    unpacked.truncate(length);
    Ok((format.name(), unpacked))
}

/// One line of QEMU's as the line that says the same; `None` for what is not its protocol.
pub fn qmp_line(line: &str) -> Option<Value> {
    let said = qmp::parse(line).ok()?;
    Some(match said {
        Message::Greeting => serde_json::json!({ "QMP": {} }),
        Message::Return { id, value } => serde_json::json!({ "return": value, "id": id }),
        Message::Failure { id, reason } => serde_json::json!({ "error": { "desc": reason }, "id": id }),
        Message::Event(event) => serde_json::json!({ "event": event.name, "data": event.data }),
    })
}

/// One answer of a guest agent: what it returned, or `Err` with the reason of its refusal; `None` for what is neither.
pub fn agent_line(line: &[u8]) -> Option<Result<Value, String>> {
    match agent::parse_answer("guest-ping", line) {
        Ok(value) => Some(Ok(value)),
        Err(AgentError::Refused { reason, .. }) => Some(Err(reason)),
        Err(AgentError::Io(_) | AgentError::Silent(_) | AgentError::Protocol) => None,
    }
}

/// The longest line of a guest's report that is kept.
pub const REPORT_LINE_MAX: usize = LONGEST_LINE;

/// One line of a guest's report: `Some(None)` says that its SSH server listens, an outcome how its user data went.
pub fn report_line(line: &str) -> Option<Option<UserDataOutcome>> {
    match readiness::parse_report(line)? {
        Heard::Ssh => Some(None),
        Heard::UserData(outcome) => Some(Some(outcome)),
    }
}

/// The seed disk of a machine with this user data: what its guest reads at the first boot.
pub fn seed_disk(user_data: &str) -> Result<Vec<u8>, String> {
    let spec = MachineSpec {
        hostname: "fed".to_owned(),
        host: "host".to_owned(),
        vcpus: 1,
        memory_mib: 1024,
        disk_gib: 10,
        image: ImageName::new("none").ok_or("no name")?,
        ssh_keys: Vec::new(),
        user_data: Some(user_data.to_owned()),
        password_hash: None,
        nics: Vec::new(),
        gpus: Vec::new(),
    };
    seed::volume(Uuid::nil(), &spec, &[]).map_err(|error| error.to_string())
}
