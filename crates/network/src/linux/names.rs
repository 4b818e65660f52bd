//! What devices and routing tables are called: made from what is planned, so that nothing has to be remembered.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{LinkKind, Plan};

/// The bridge of the public network.
pub(super) const PUBLIC: &str = "public";

/// The inner side of the pair that leads to the host.
pub(super) const UPLINK: &str = "uplink";

/// Set in the mark of every packet that belongs to a VPC, and in the number of its routing table; public ones have mark 0.
pub(super) const VPC_MARK: u32 = 0x1_0000;

/// A VPC's bridge: `vpc-` and the first 11 digits of its id, as device names end at 15 characters.
pub(super) fn vpc_bridge(id: Uuid) -> String {
    let digits = id.simple().to_string();
    format!("vpc-{}", &digits[..11])
}

/// The bridge that a link is on.
pub(super) fn bridge(kind: LinkKind) -> String {
    match kind {
        LinkKind::Public => PUBLIC.to_owned(),
        LinkKind::Private(vpc) => vpc_bridge(vpc),
    }
}

/// The tap of a machine's link: `t7-pub` and `t7-vpc` for machine 7. Numbers of more than ten digits are written shorter, with
/// digits and letters (`t3w5e11264sgsfp`), which no other number's name looks like.
pub fn tap_name(machine: u64, kind: LinkKind) -> String {
    let (long, short) = match kind {
        LinkKind::Public => ("pub", 'p'),
        LinkKind::Private(_) => ("vpc", 'v'),
    };
    let name = format!("t{machine}-{long}");
    if name.len() <= 15 {
        return name;
    }
    let mut digits = Vec::new();
    let mut rest = machine;
    while rest > 0 {
        digits.push(char::from_digit((rest % 36) as u32, 36).expect("below 36"));
        rest /= 36;
    }
    format!("t{}{short}", digits.iter().rev().collect::<String>())
}

/// A MAC address for a bridge, so that it does not change with the taps on it and guests keep finding their gateway.
pub(super) fn bridge_mac(kind: LinkKind) -> String {
    let id = match kind {
        LinkKind::Public => [0; 4],
        LinkKind::Private(vpc) => {
            let folded = vpc
                .into_bytes()
                .chunks(4)
                .fold(0, |sum, four| sum ^ u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
            folded.to_be_bytes()
        }
    };
    format!("06:03:{:02x}:{:02x}:{:02x}:{:02x}", id[0], id[1], id[2], id[3])
}

/// A number of 1 to 65535 for each VPC and each peering, none twice: its connection tracking zone, and with [`VPC_MARK`] its
/// routing table and mark.
///
/// It is the folded id, or the next free one. Something new gets what those before it left, so it moves no other's number.
pub(super) fn numbers(plan: &Plan) -> BTreeMap<Uuid, u16> {
    let mut numbers = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let ids = plan.vpcs.iter().map(|vpc| vpc.id).chain(plan.peerings.iter().map(|peering| peering.id));
    for id in ids {
        let folded = id.into_bytes().chunks(2).fold(0, |sum, two| sum ^ u16::from_be_bytes([two[0], two[1]]));
        let from = folded.max(1);
        let free = (from..=u16::MAX).chain(1..from).find(|number| !taken.contains(number));
        // 65,535 networks: more than devices fit on a host.
        let Some(number) = free else { break };
        taken.insert(number);
        numbers.insert(id, number);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Peering, Vpc};

    #[test]
    fn names_fit_a_device_and_differ() {
        let vpc = LinkKind::Private(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        assert_eq!(bridge(vpc), "vpc-0123456789a");
        assert_eq!(tap_name(7, LinkKind::Public), "t7-pub");
        assert_eq!(tap_name(3_164_444, vpc), "t3164444-vpc");
        let machines = [0, 9, 9_999_999_999, 10_000_000_000, 99_999_999_999, u64::MAX];
        let names: BTreeSet<String> = machines
            .iter()
            .flat_map(|machine| [tap_name(*machine, LinkKind::Public), tap_name(*machine, vpc)])
            .collect();
        assert_eq!(names.len(), 2 * machines.len());
        assert!(names.iter().all(|name| name.len() <= 15), "{names:?}");
    }

    #[test]
    fn numbers_are_unique_and_stay_when_more_come() {
        let vpc = |id: u128| Vpc {
            id: Uuid::from_u128(id),
            range: "10.0.0.0/20".parse().expect("a range"),
            gateway: [10, 0, 0, 1].into(),
        };
        // All of these fold to 1.
        let mut plan = Plan { vpcs: (0..4).map(|n| vpc(1 ^ (n << 16) ^ n)).collect(), ..Plan::default() };
        let before = numbers(&plan);
        assert_eq!(before.values().copied().collect::<BTreeSet<u16>>(), BTreeSet::from([1, 2, 3, 4]));
        plan.vpcs.push(vpc(5));
        plan.peerings.push(Peering { id: Uuid::from_u128(1 << 64), between: (plan.vpcs[0].id, plan.vpcs[1].id) });
        let after = numbers(&plan);
        assert!(before.iter().all(|(id, number)| after[id] == *number));
        assert_eq!(after.values().copied().collect::<BTreeSet<u16>>().len(), 6);
        assert!(after.values().all(|number| *number > 0));
    }
}
