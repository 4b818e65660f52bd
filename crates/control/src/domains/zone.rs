//! A domain in the form of a zone file (RFC 1035). Pure.

use std::fmt::Write as _;

use dewpoint_api::DomainRecordType as Type;
use dewpoint_store::{DomainRecord, DomainRow};

/// After how many seconds a copy of the zone is asked for anew.
pub const REFRESH: u32 = 10_800;
/// After how many seconds a failed try is repeated.
pub const RETRY: u32 = 3_600;
/// For how many seconds a copy is good that cannot be had anew.
pub const EXPIRE: u32 = 604_800;

/// The zone file of a domain. `primary` is the name of its first name server.
pub fn zone_file(domain: &DomainRow, records: &[DomainRecord], primary: &str) -> String {
    let name = &domain.name;
    let ttl = ttl_of(records);
    let mut zone = format!(
        "$ORIGIN {name}.\n$TTL {ttl}\n{name}. IN SOA {primary}. hostmaster.{name}. {} {REFRESH} {RETRY} {EXPIRE} {ttl}\n",
        domain.serial
    );
    for record in records.iter().filter(|record| record.kind != Type::Soa) {
        let owner = if record.name == "@" { format!("{name}.") } else { format!("{}.{name}.", record.name) };
        // Writing to a String cannot fail.
        let _ = writeln!(zone, "{owner} {} IN {} {}", record.ttl, record.kind, said(name, record));
    }
    zone
}

/// The time the start of the zone states.
pub fn ttl_of(records: &[DomainRecord]) -> u32 {
    records.iter().find(|record| record.kind == Type::Soa).map_or(super::record::TTL, |soa| soa.ttl)
}

/// The end of a record's line.
fn said(domain: &str, record: &DomainRecord) -> String {
    let host = || if record.data == "@" { format!("{domain}.") } else { format!("{}.", record.data) };
    let number = |value: Option<u16>| value.unwrap_or_default();
    match record.kind {
        Type::A | Type::Aaaa | Type::Soa => record.data.clone(),
        Type::Cname | Type::Ns => host(),
        Type::Mx => format!("{} {}", number(record.priority), host()),
        Type::Srv => {
            format!("{} {} {} {}", number(record.priority), number(record.weight), number(record.port), host())
        }
        Type::Caa => format!(
            "{} {} {}",
            record.flags.unwrap_or_default(),
            record.tag.as_deref().unwrap_or_default(),
            quoted(&record.data)
        ),
        Type::Txt => chunks(&record.data).into_iter().map(quoted).collect::<Vec<_>>().join(" "),
    }
}

/// A text in parts of at most 255 bytes, none of which ends within a character.
pub fn chunks(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > 255 {
        let (part, after) = rest.split_at(rest.floor_char_boundary(255));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_in_parts_of_at_most_255_bytes() {
        let text = "ä".repeat(300);
        let parts = chunks(&text);
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| part.len() <= 255) && parts.len() == 3);
        assert_eq!(chunks(""), [""]);
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
