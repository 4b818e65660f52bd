//! The names of the pools' addresses: PTR records in in-addr.arpa and ip6.arpa, made from what Droplets are called (CRE-4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dewpoint_control::{Control, domains::zone};
use dewpoint_store::{Error, Tx};
use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{NS, PTR},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    lookup::text,
    message::{Question, Told},
    primary, rdata,
};

/// Nobody copies these zones, so that nobody needs to see that they changed.
const SERIAL: u32 = 1;

/// Where in the tree of addresses a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The top of the zone.
    Top,
    /// Above addresses.
    Between,
    /// An address.
    Address(IpAddr),
    /// Where no address can be.
    Nowhere,
}

/// Answers a question about an address of a pool; `None` when its name is none of those.
pub(crate) fn answer(tx: &mut dyn Tx, control: &Control, question: &Question) -> Result<Option<Told>, Error> {
    let (v4, v6) = control.public_ranges();
    let whole = text(question.name());
    let Some((zone, place)) = place_of(&whole, v4, v6) else { return Ok(None) };
    let ttl = zone::ttl_of(&[]);
    let start = rdata::start(&zone, SERIAL, primary(control), ttl)?;
    let (owner, asked) = (question.name(), question.kind());
    let is_for = |kind: RecordType| asked == kind || asked == RecordType::ANY;
    let mut told = Told::default();
    match place {
        Place::Top if is_for(RecordType::SOA) => told.answers.push(start.clone()),
        Place::Top if asked == RecordType::NS => told.answers = servers(control, owner, ttl)?,
        Place::Top | Place::Between => {}
        Place::Nowhere => told.no_such_name = true,
        Place::Address(address) => match control.name_of_address(tx, address)? {
            Some(name) if is_for(RecordType::PTR) => {
                told.answers.push(Record::from_rdata(owner.clone(), ttl, RData::PTR(PTR(rdata::name(&name)?))));
            }
            Some(_) => {}
            None => told.no_such_name = true,
        },
    }
    if told.answers.is_empty() {
        told.authorities.push(start);
    }
    Ok(Some(told))
}

fn servers(control: &Control, owner: &Name, ttl: u32) -> Result<Vec<Record>, Error> {
    let names = &control.config().nameservers;
    names.iter().map(|name| Ok(Record::from_rdata(owner.clone(), ttl, RData::NS(NS(rdata::name(name)?))))).collect()
}

/// The zone a name is in and its place there, if an address of the networks is in that zone.
///
/// Zones begin between octets of IPv4 and between half octets of IPv6: one that is larger than the pool has the rest empty.
fn place_of(whole: &str, v4: Ipv4Net, v6: Ipv6Net) -> Option<(String, Place)> {
    let (tail, all, kept, per) = if whole.ends_with(".in-addr.arpa") {
        (".in-addr.arpa", 4, usize::from(v4.prefix_len().div_ceil(8).clamp(1, 3)), 8)
    } else if whole.ends_with(".ip6.arpa") {
        (".ip6.arpa", 32, usize::from(v6.prefix_len().div_ceil(4).clamp(1, 31)), 4)
    } else {
        return None;
    };
    let labels: Vec<&str> = whole.strip_suffix(tail)?.rsplit('.').collect();
    let digits: Vec<Option<u8>> = labels.iter().map(|label| digit(label, per)).collect();
    let top: Vec<u8> = digits.get(..kept)?.iter().copied().collect::<Option<_>>()?;
    let net = network(&top, per)?;
    let ours = match net {
        IpNet::V4(net) => net.contains(&v4) || v4.contains(&net),
        IpNet::V6(net) => net.contains(&v6) || v6.contains(&net),
    };
    if !ours {
        return None;
    }
    let zone = format!("{}{tail}", labels[..kept].iter().rev().copied().collect::<Vec<_>>().join("."));
    let place = match digits.iter().copied().collect::<Option<Vec<u8>>>() {
        _ if digits.len() == kept => Place::Top,
        Some(digits) if digits.len() == all => {
            network(&digits, per).map_or(Place::Nowhere, |net| Place::Address(net.addr()))
        }
        Some(digits) if digits.len() < all => Place::Between,
        Some(_) | None => Place::Nowhere,
    };
    Some((zone, place))
}

/// A label of such a name: a number of at most 255 in its one spelling, or a hexadecimal digit.
fn digit(label: &str, bits: u32) -> Option<u8> {
    let value = match bits {
        8 => label.parse::<u8>().ok().filter(|value| value.to_string() == label),
        _ => u8::from_str_radix(label, 16).ok().filter(|value| label.len() == 1 && *value < 16),
    };
    value.filter(|_| !label.starts_with('+'))
}

/// The network whose addresses begin with these digits.
fn network(digits: &[u8], bits: u32) -> Option<IpNet> {
    let prefix = u8::try_from(digits.len()).ok()? * u8::try_from(bits).ok()?;
    if bits == 8 {
        let mut octets = [0; 4];
        octets.get_mut(..digits.len())?.copy_from_slice(digits);
        return Ipv4Net::new(Ipv4Addr::from(octets), prefix).ok().map(IpNet::V4);
    }
    let mut number = 0_u128;
    for at in 0..32 {
        number = number << 4 | u128::from(digits.get(at).copied().unwrap_or(0));
    }
    Ipv6Net::new(Ipv6Addr::from(number), prefix).ok().map(IpNet::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, v4: &str) -> Option<(String, Place)> {
        place_of(name, v4.parse().expect("a network"), "fd64:6577:1::/64".parse().expect("a network"))
    }

    #[test]
    fn a_zone_of_addresses_begins_between_octets() {
        let cases = [
            ("127.0.0.0/8", "127.in-addr.arpa", Some(("127.in-addr.arpa", Place::Top))),
            (
                "127.0.0.0/8",
                "1.2.3.127.in-addr.arpa",
                Some(("127.in-addr.arpa", Place::Address([127, 3, 2, 1].into()))),
            ),
            ("127.0.0.0/8", "126.in-addr.arpa", None),
            ("192.0.2.0/24", "0.192.in-addr.arpa", None),
            ("192.0.2.0/24", "2.0.192.in-addr.arpa", Some(("2.0.192.in-addr.arpa", Place::Top))),
            (
                "192.0.2.0/28",
                "200.2.0.192.in-addr.arpa",
                Some(("2.0.192.in-addr.arpa", Place::Address([192, 0, 2, 200].into()))),
            ),
            ("10.1.16.0/20", "31.1.10.in-addr.arpa", Some(("31.1.10.in-addr.arpa", Place::Top))),
            ("10.1.16.0/20", "32.1.10.in-addr.arpa", None),
            ("10.1.0.0/16", "7.1.10.in-addr.arpa", Some(("1.10.in-addr.arpa", Place::Between))),
            ("10.1.0.0/16", "256.7.1.10.in-addr.arpa", Some(("1.10.in-addr.arpa", Place::Nowhere))),
            ("10.1.0.0/16", "01.7.1.10.in-addr.arpa", Some(("1.10.in-addr.arpa", Place::Nowhere))),
            ("10.1.0.0/16", "+1.7.1.10.in-addr.arpa", Some(("1.10.in-addr.arpa", Place::Nowhere))),
            ("10.1.0.0/16", "1.1.7.1.10.in-addr.arpa", Some(("1.10.in-addr.arpa", Place::Nowhere))),
            ("10.1.0.0/16", "in-addr.arpa", None),
            ("10.1.0.0/16", "example.com", None),
        ];
        for (pool, name, expected) in cases {
            let expected = expected.map(|(zone, place)| (zone.to_owned(), place));
            assert_eq!(place(name, pool), expected, "{name} of {pool}");
        }
    }

    #[test]
    fn a_zone_of_ipv6_addresses_begins_between_half_octets() {
        let zone = "0.0.0.0.1.0.0.0.7.7.5.6.4.6.d.f.ip6.arpa";
        let named = |rest: &str| place(&format!("{rest}{zone}"), "10.0.0.0/8");
        let at = |place: Place| Some((zone.to_owned(), place));
        assert_eq!(named(""), at(Place::Top));
        assert_eq!(named("1."), at(Place::Between));
        assert_eq!(named("g."), at(Place::Nowhere));
        assert_eq!(named("10."), at(Place::Nowhere));
        let address: Ipv6Addr = "fd64:6577:1::1:86a1".parse().expect("an address");
        assert_eq!(named("1.a.6.8.1.0.0.0.0.0.0.0.0.0.0.0."), at(Place::Address(address.into())));
        assert_eq!(named("0.1.a.6.8.1.0.0.0.0.0.0.0.0.0.0.0."), at(Place::Nowhere));
        assert_eq!(place("1.0.0.0.7.7.5.6.4.6.d.f.ip6.arpa", "10.0.0.0/8"), None);
    }
}
