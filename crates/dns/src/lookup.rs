//! The answer to a question from the domains in the store (RFC 1034 section 4.3.2, with wildcards as in RFC 4592).
//!
//! A question costs four looks by an index when its name is there and six when it is not, however large the domain is; each CNAME
//! that is followed costs three more.

use dewpoint_api::DomainRecordType as Type;
use dewpoint_control::domains::{reverse::suffixes, zone};
use dewpoint_store::{DomainRecord, DomainRow, Error, Tx, domains};
use hickory_proto::rr::{Name, Record, RecordType};

use crate::{
    message::{Question, Told},
    rdata,
};

/// Most records of one name that are told of: more than a message holds.
const MOST: u32 = 1000;
/// How many other names of the same thing are followed.
const CHAIN: usize = 8;

/// What is found below a domain for a name.
enum Found {
    /// A part of the domain that others answer for begins at the name or above it.
    HandedOn(Vec<DomainRecord>),
    /// Records of the type.
    Records(Vec<DomainRecord>),
    /// The name stands for another one.
    Alias(DomainRecord),
    /// The name is there, without a record of the type.
    NoRecord,
    /// There is no such name.
    NoName,
}

/// Answers a question; `None` when its name is in no domain.
pub(crate) fn answer(tx: &mut dyn Tx, primary: &str, question: &Question) -> Result<Option<Told>, Error> {
    let whole = text(question.name());
    let Some(domain) = domains::zone_of(tx, &suffixes(&whole))? else { return Ok(None) };
    let mut told = Told::default();
    let (mut owner, mut name) = (question.name().clone(), below(&domain.name, &whole));
    let mut passed: Vec<String> = Vec::new();
    loop {
        match find(tx, &domain.name, &name, question.kind())? {
            Found::Records(records) => told.answers.extend(of_one_age(&domain, primary, &owner, &records)?),
            Found::NoRecord => told.authorities.push(start(tx, &domain, primary)?),
            Found::NoName => {
                told.no_such_name = true;
                told.authorities.push(start(tx, &domain, primary)?);
            }
            Found::HandedOn(servers) => refer(tx, &domain, primary, &servers, &mut told)?,
            Found::Alias(alias) => {
                told.answers.push(rdata::record(&domain, primary, &owner, &alias)?);
                let target = if alias.data == "@" { &domain.name } else { &alias.data };
                passed.push(std::mem::replace(&mut name, below(&domain.name, target)));
                owner = rdata::name(target)?;
                // What another domain has is for its own answer; a name that leads back to itself leads nowhere.
                let zone = domains::zone_of(tx, &suffixes(target))?;
                let is_here = zone.is_some_and(|zone| zone.name == domain.name);
                if is_here && passed.len() < CHAIN && !passed.contains(&name) {
                    continue;
                }
            }
        }
        return Ok(Some(told));
    }
}

fn find(tx: &mut dyn Tx, domain: &str, name: &str, asked: RecordType) -> Result<Found, Error> {
    let cuts = below_the_top(name);
    let servers = domains::zone_cut(tx, domain, &cuts)?;
    if let Some(cut) = servers.first() {
        // Of a part that is handed on, the signature alone is kept above it, and we have none.
        return Ok(match asked == RecordType::DS && cut.name == name {
            true => Found::NoRecord,
            false => Found::HandedOn(servers),
        });
    }
    let mut kinds = rdata::kinds_of(asked);
    if !kinds.contains(&Type::Cname) {
        kinds.push(Type::Cname);
    }
    if let Some(found) = chosen(domains::zone_records(tx, domain, name, &kinds, MOST)?, asked) {
        return Ok(found);
    }
    let path = domains::path_of(name);
    let neighbours = domains::zone_neighbours(tx, domain, &path)?;
    if path.is_empty() || neighbours.iter().flatten().any(|other| other.starts_with(&path)) {
        return Ok(Found::NoRecord);
    }
    // The nearest name above that is there; what it has a wildcard for is there too.
    let above = neighbours.iter().flatten().map(|other| in_common(&path, other)).max().unwrap_or_default();
    let wildcard = format!("{}*!", &path[..above]);
    let star = name_of(&wildcard);
    if let Some(found) = chosen(domains::zone_records(tx, domain, &star, &kinds, MOST)?, asked) {
        return Ok(found);
    }
    let [_, next] = domains::zone_neighbours(tx, domain, &wildcard)?;
    Ok(if next.is_some_and(|next| next.starts_with(&wildcard)) { Found::NoRecord } else { Found::NoName })
}

/// What records of a name mean for a question: nothing when there are none.
fn chosen(mut records: Vec<DomainRecord>, asked: RecordType) -> Option<Found> {
    let first = records.first()?.kind;
    if asked == RecordType::ANY {
        // Who asks for everything gets something (RFC 8482).
        records.retain(|record| record.kind == first);
        return Some(Found::Records(records));
    }
    match records.iter().position(|record| record.kind == Type::Cname) {
        Some(alias) if asked != RecordType::CNAME => Some(Found::Alias(records.swap_remove(alias))),
        _ => Some(Found::Records(records)),
    }
}

/// Names who answers for a part of the domain, with their addresses where they are in the domain too.
fn refer(
    tx: &mut dyn Tx,
    domain: &DomainRow,
    primary: &str,
    servers: &[DomainRecord],
    told: &mut Told,
) -> Result<(), Error> {
    // After an alias of ours the answer is ours as far as it goes.
    told.referred = told.answers.is_empty();
    let Some(cut) = servers.first() else { return Ok(()) };
    let owner = rdata::name(&format!("{}.{}", cut.name, domain.name))?;
    told.authorities.extend(of_one_age(domain, primary, &owner, servers)?);
    for server in servers {
        let Some(rest) = server.data.strip_suffix(&domain.name).and_then(|rest| rest.strip_suffix('.')) else {
            continue;
        };
        let addresses = domains::zone_records(tx, &domain.name, rest, &[Type::A, Type::Aaaa], MOST)?;
        let owner = rdata::name(&server.data)?;
        for address in &addresses {
            told.additionals.push(rdata::record(domain, primary, &owner, address)?);
        }
    }
    Ok(())
}

/// Records of one name and type: they may be kept for one time, the shortest of theirs (RFC 2181).
fn of_one_age(domain: &DomainRow, primary: &str, owner: &Name, records: &[DomainRecord]) -> Result<Vec<Record>, Error> {
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or_default();
    let one = |record: &DomainRecord| {
        let mut record = rdata::record(domain, primary, owner, record)?;
        record.ttl = ttl;
        Ok(record)
    };
    records.iter().map(one).collect()
}

fn start(tx: &mut dyn Tx, domain: &DomainRow, primary: &str) -> Result<Record, Error> {
    let records = domains::zone_records(tx, &domain.name, "@", &[Type::Soa], 1)?;
    rdata::start(&domain.name, domain.serial, primary, zone::ttl_of(&records))
}

/// A name as the store has names: lower case, without a dot at its end. What no name of the store has is a `?`.
pub(crate) fn text(name: &Name) -> String {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*');
    let label = |label: &[u8]| match label.iter().all(fits) {
        true => String::from_utf8_lossy(label).to_ascii_lowercase(),
        false => "?".to_owned(),
    };
    name.iter().map(label).collect::<Vec<_>>().join(".")
}

/// The part of a whole name that is below the domain it is in; `@` for the domain itself.
fn below(domain: &str, whole: &str) -> String {
    match whole.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')) {
        Some(rest) => rest.to_owned(),
        None => "@".to_owned(),
    }
}

/// A name below a domain, and the names above it that are below the domain too.
fn below_the_top(name: &str) -> Vec<&str> {
    if name == "@" {
        return Vec::new();
    }
    std::iter::once(name).chain(name.match_indices('.').map(|(dot, _)| &name[dot + 1..])).collect()
}

/// How much of `path` are labels that `other` has too.
fn in_common(path: &str, other: &str) -> usize {
    let same = path.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    path.as_bytes()[..same].iter().rposition(|byte| *byte == b'!').map_or(0, |last| last + 1)
}

/// The name at a place of the tree.
fn name_of(path: &str) -> String {
    let labels: Vec<&str> = path.split_terminator('!').rev().collect();
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_record_has_stand_apart() {
        let name = |text: &str| super::text(&Name::from_ascii(text).expect("a name"));
        assert_eq!(name("WWW.Example.COM."), "www.example.com");
        assert_eq!(name("_sip._tcp.example.com."), "_sip._tcp.example.com");
        assert_eq!(name("a\\.b.example.com."), "?.example.com");
        assert_eq!(name("."), "");
        let odd = Name::from_labels([&b"\xff\0!"[..], b"com"]).expect("a name");
        assert_eq!(super::text(&odd), "?.com");
    }

    #[test]
    fn what_two_places_have_in_common_ends_with_a_label() {
        for (path, other, common) in
            [("a!b!", "a!c!", 2), ("a!bc!", "a!bd!", 2), ("ab!", "ac!", 0), ("a!", "a!b!", 2), ("a!b!", "", 0)]
        {
            assert_eq!(in_common(path, other), common, "{path} {other}");
        }
        assert_eq!(name_of("dev!*!"), "*.dev");
        assert_eq!(name_of(&domains::path_of("a.b.c")), "a.b.c");
        assert_eq!(below_the_top("a.b"), ["a.b", "b"]);
        assert_eq!(below("example.com", "www.example.com"), "www");
        assert_eq!(below("example.com", "example.com"), "@");
    }
}
