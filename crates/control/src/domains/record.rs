//! What a record must have, by its type, and what it then is (DNS-2). Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_api::{DomainRecordId, DomainRecordRequest, DomainRecordType as Type};
use dewpoint_store::DomainRecord;

use super::names;
use crate::Error;

/// How long a record may be kept by who asked when nobody says, in seconds.
pub(super) const TTL: u32 = 1800;
/// The shortest such time.
const TTL_MIN: i64 = 30;
/// Longest text, in bytes: what fits into an answer over TCP with room to spare.
const TEXT_MAX: usize = 4096;

/// The record that a request makes of `old`, or from nothing.
///
/// Fails for what the type needs and neither has, and for what cannot be.
pub(super) fn changed(
    domain: &str,
    id: DomainRecordId,
    old: Option<&DomainRecord>,
    request: &DomainRecordRequest,
) -> Result<DomainRecord, Error> {
    let kind = match (&request.kind, old) {
        (Some(text), _) => text.to_ascii_uppercase().parse().map_err(|_| unknown_type(text))?,
        (None, Some(old)) => old.kind,
        (None, None) => return Err(required("type")),
    };
    let ttl = match request.ttl {
        Some(ttl) => number("ttl", ttl, TTL_MIN, i64::from(i32::MAX))?,
        None => old.map_or(TTL, |old| old.ttl),
    };
    if let Some(soa) = old.filter(|old| old.kind == Type::Soa) {
        // Of the start of a zone only the time changes.
        return Ok(DomainRecord { ttl, ..soa.clone() });
    }
    let name = match (&request.name, old) {
        (Some(name), _) => names::owner(domain, name)?,
        (None, Some(old)) => old.name.clone(),
        // A mail server is the domain's own unless the record says otherwise.
        (None, None) if kind == Type::Mx => "@".to_owned(),
        (None, None) => return Err(required("name")),
    };
    let record = DomainRecord {
        id,
        kind,
        name,
        data: String::new(),
        priority: None,
        port: None,
        ttl,
        weight: None,
        flags: None,
        tag: None,
    };
    let record = with_extras(record, old, request)?;
    let data = match (&request.data, old) {
        (Some(data), _) => data_of(domain, &record, data)?,
        // What is kept is written as it is shown: names are whole.
        (None, Some(old)) if old.kind == kind && old.tag == record.tag => old.data.clone(),
        (None, Some(old)) => {
            data_of(domain, &record, &format!("{}.", old.data)).or_else(|_| data_of(domain, &record, &old.data))?
        }
        (None, None) => return Err(required("data")),
    };
    Ok(DomainRecord { data, ..record })
}

/// The record with those members that only its type has; what others send there is passed over.
fn with_extras(
    mut record: DomainRecord,
    old: Option<&DomainRecord>,
    request: &DomainRecordRequest,
) -> Result<DomainRecord, Error> {
    let sixteen = |field: &str, asked: Option<i64>, old: Option<u16>| match asked {
        Some(value) => number(field, value, 0, i64::from(u16::MAX)).map(Some),
        None => Ok(old),
    };
    if matches!(record.kind, Type::Mx | Type::Srv) {
        let priority = sixteen("priority", request.priority, old.and_then(|old| old.priority))?;
        record.priority = Some(priority.ok_or_else(|| required("priority"))?);
    }
    if record.kind == Type::Srv {
        let port = sixteen("port", request.port, old.and_then(|old| old.port))?;
        let weight = sixteen("weight", request.weight, old.and_then(|old| old.weight))?;
        record.port = Some(port.ok_or_else(|| required("port"))?);
        record.weight = Some(weight.ok_or_else(|| required("weight"))?);
    }
    if record.kind == Type::Caa {
        record.flags = match request.flags {
            Some(flags) => Some(number("flags", flags, 0, i64::from(u8::MAX))?),
            None => Some(old.and_then(|old| old.flags).ok_or_else(|| required("flags"))?),
        };
        let tag = request.tag.clone().or_else(|| old.and_then(|old| old.tag.clone()));
        let tag = tag.ok_or_else(|| required("tag"))?.to_ascii_lowercase();
        if !matches!(tag.as_str(), "issue" | "issuewild" | "iodef") {
            return Err(Error::invalid(format!("tag {tag:?} is none of issue, issuewild and iodef.")));
        }
        record.tag = Some(tag);
    }
    Ok(record)
}

/// What a record of this type says, as it is kept.
fn data_of(domain: &str, record: &DomainRecord, text: &str) -> Result<String, Error> {
    let wrong = |what: &str| Error::invalid(format!("data {text:?} is no {what}."));
    match record.kind {
        Type::A => text.parse::<Ipv4Addr>().map(|address| address.to_string()).map_err(|_| wrong("IPv4 address")),
        Type::Aaaa => text.parse::<Ipv6Addr>().map(|address| address.to_string()).map_err(|_| wrong("IPv6 address")),
        Type::Cname | Type::Mx | Type::Ns | Type::Srv => names::target(domain, text),
        Type::Caa if record.tag.as_deref() == Some("iodef") || text.contains(';') => printable(text),
        Type::Caa => names::target(domain, &format!("{}.", text.strip_suffix('.').unwrap_or(text))),
        Type::Txt => printable(text),
        Type::Soa => Err(Error::invalid("A domain has one SOA record, made with it; only its ttl can change.")),
    }
}

fn printable(text: &str) -> Result<String, Error> {
    if text.len() > TEXT_MAX {
        return Err(Error::invalid(format!("data is too long (maximum is {TEXT_MAX} bytes).")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid("data has control characters."));
    }
    Ok(text.to_owned())
}

/// Whether two records of one name may stand side by side: another name for the same thing stands alone (RFC 1034).
pub(super) fn get_on(one: &DomainRecord, other: &DomainRecord) -> bool {
    one.kind != Type::Cname && other.kind != Type::Cname
}

fn number<T: TryFrom<i64>>(field: &str, value: i64, least: i64, most: i64) -> Result<T, Error> {
    let fits = (least..=most).contains(&value).then(|| T::try_from(value).ok()).flatten();
    fits.ok_or_else(|| Error::invalid(format!("{field} is {value}: it is from {least} to {most}.")))
}

fn required(field: &str) -> Error {
    Error::invalid(format!("{field} is required and cannot be empty."))
}

fn unknown_type(text: &str) -> Error {
    let known: Vec<&str> = Type::ALL.iter().map(|one| one.as_str()).collect();
    Error::invalid(format!("type {text:?} is none of {}.", known.join(", ")))
}
