//! A record of the store as a record of the protocol. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_api::DomainRecordType as Type;
use dewpoint_control::domains::zone;
use dewpoint_store::{DomainRecord, DomainRow, Error};
use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, CAA, CNAME, MX, NS, SOA, SRV, TXT},
};

/// The types of the store that a question of this type is about.
pub(crate) fn kinds_of(asked: RecordType) -> Vec<Type> {
    match asked {
        RecordType::A => vec![Type::A],
        RecordType::AAAA => vec![Type::Aaaa],
        RecordType::CAA => vec![Type::Caa],
        RecordType::CNAME => vec![Type::Cname],
        RecordType::MX => vec![Type::Mx],
        RecordType::NS => vec![Type::Ns],
        RecordType::SOA => vec![Type::Soa],
        RecordType::SRV => vec![Type::Srv],
        RecordType::TXT => vec![Type::Txt],
        RecordType::ANY => Type::ALL.to_vec(),
        _ => Vec::new(),
    }
}

/// A whole name, with or without a dot at its end.
pub(crate) fn name(text: &str) -> Result<Name, Error> {
    let mut name = Name::from_ascii(text).map_err(|error| corrupt("name", &error))?;
    name.set_fqdn(true);
    Ok(name)
}

/// The start of a zone. `ttl` is also for how long it may be remembered that something is not there (RFC 2308).
pub(crate) fn start(zone: &str, serial: u32, primary: &str, ttl: u32) -> Result<Record, Error> {
    let seconds = |seconds: u32| i32::try_from(seconds).unwrap_or(i32::MAX);
    let (refresh, retry, expire) = (seconds(zone::REFRESH), seconds(zone::RETRY), seconds(zone::EXPIRE));
    let contact = name(&format!("hostmaster.{zone}"))?;
    let data = SOA::new(name(primary)?, contact, serial, refresh, retry, expire, ttl);
    Ok(Record::from_rdata(name(zone)?, ttl, RData::SOA(data)))
}

/// A record as it is told of `owner`.
pub(crate) fn record(domain: &DomainRow, primary: &str, owner: &Name, record: &DomainRecord) -> Result<Record, Error> {
    let host = || name(if record.data == "@" { &domain.name } else { &record.data });
    let number = |value: Option<u16>| value.unwrap_or_default();
    let data = match record.kind {
        Type::A => RData::A(A(record.data.parse::<Ipv4Addr>().map_err(|error| corrupt("address", &error))?)),
        Type::Aaaa => RData::AAAA(AAAA(record.data.parse::<Ipv6Addr>().map_err(|error| corrupt("address", &error))?)),
        Type::Cname => RData::CNAME(CNAME(host()?)),
        Type::Ns => RData::NS(NS(host()?)),
        Type::Mx => RData::MX(MX::new(number(record.priority), host()?)),
        Type::Srv => RData::SRV(SRV::new(number(record.priority), number(record.weight), number(record.port), host()?)),
        Type::Txt => RData::TXT(TXT::from_bytes(zone::chunks(&record.data).into_iter().map(str::as_bytes).collect())),
        Type::Caa => RData::CAA(authority(domain, record)),
        Type::Soa => return start(&domain.name, domain.serial, primary, record.ttl),
    };
    Ok(Record::from_rdata(owner.clone(), record.ttl, data))
}

fn authority(domain: &DomainRow, record: &DomainRecord) -> CAA {
    let flags = record.flags.unwrap_or_default();
    let mut data = CAA::new_issue(flags & 0x80 != 0, None, Vec::new());
    data.reserved_flags = flags & 0x7f;
    data.tag = record.tag.clone().unwrap_or_default();
    data.value = if record.data == "@" { domain.name.as_bytes() } else { record.data.as_bytes() }.to_vec();
    data
}

fn corrupt(what: &'static str, problem: &dyn std::fmt::Display) -> Error {
    Error::Corrupt { what, problem: problem.to_string() }
}
