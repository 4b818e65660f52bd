//! Ranges of addresses and ports that do not overlap: nftables refuses sets whose elements do.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use ipnet::Ipv4Net;

/// A range of addresses, both ends in it, and the ports of a protocol that are allowed there, both ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) addresses: (u128, u128),
    pub(super) ports: (u16, u16),
}

/// What these cells cover together, without overlaps: address ranges one after the other, each with its port ranges.
///
/// Cost: what comes in, sorted, and what goes out.
pub(super) fn disjoint(cells: &[Cell]) -> Vec<Cell> {
    let mut turns: BTreeMap<u128, (Vec<Ports>, Vec<Ports>)> = BTreeMap::new();
    for cell in cells {
        turns.entry(cell.addresses.0).or_default().0.push(cell.ports);
        // What goes to the very end is never left.
        if let Some(after) = cell.addresses.1.checked_add(1) {
            turns.entry(after).or_default().1.push(cell.ports);
        }
    }
    let mut done: Vec<Cell> = Vec::new();
    let mut current: BTreeMap<Ports, usize> = BTreeMap::new();
    let mut since: Option<(u128, Vec<Ports>)> = None;
    for (at, (begin, end)) in turns {
        begin.into_iter().for_each(|ports| *current.entry(ports).or_default() += 1);
        for ports in end {
            if let Some(count) = current.get_mut(&ports) {
                *count -= 1;
                if *count == 0 {
                    current.remove(&ports);
                }
            }
        }
        let ports = merged(current.keys().copied());
        if since.as_ref().is_some_and(|(_, before)| *before == ports) {
            continue;
        }
        if let Some((from, before)) = since.replace((at, ports)) {
            done.extend(before.into_iter().map(|ports| Cell { addresses: (from, at - 1), ports }));
        }
    }
    let rest = since.into_iter().flat_map(|(from, ports)| ports.into_iter().map(move |ports| (from, ports)));
    done.extend(rest.map(|(from, ports)| Cell { addresses: (from, u128::MAX), ports }));
    done
}

type Ports = (u16, u16);

/// Sorted ranges, those that overlap or follow each other as one.
fn merged(ranges: impl Iterator<Item = Ports>) -> Vec<Ports> {
    let mut done: Vec<Ports> = Vec::new();
    for (from, to) in ranges {
        match done.last_mut() {
            Some(last) if u32::from(from) <= u32::from(last.1) + 1 => last.1 = last.1.max(to),
            _ => done.push((from, to)),
        }
    }
    done
}

/// The IPv4 addresses that are in none of these networks, as ranges with both ends in.
pub(super) fn outside(networks: impl Iterator<Item = Ipv4Net>) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let networks: BTreeSet<(u32, u32)> =
        networks.map(|net| (u32::from(net.network()), u32::from(net.broadcast()))).collect();
    let mut free = Vec::new();
    let mut from = Some(0);
    for (first, last) in networks {
        match from {
            Some(start) if start < first => free.push((Ipv4Addr::from(start), Ipv4Addr::from(first - 1))),
            _ => {}
        }
        from = from.and_then(|start: u32| last.checked_add(1).map(|after| after.max(start)));
    }
    free.extend(from.map(|start| (Ipv4Addr::from(start), Ipv4Addr::BROADCAST)));
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(addresses: (u128, u128), ports: (u16, u16)) -> Cell {
        Cell { addresses, ports }
    }

    #[test]
    fn overlapping_ranges_are_cut_up_and_cover_the_same() {
        let cells =
            [cell((0, 9), (22, 22)), cell((5, 20), (20, 30)), cell((5, 5), (80, 80)), cell((30, u128::MAX), (1, 1))];
        let apart = disjoint(&cells);
        assert_eq!(
            apart,
            [
                cell((0, 4), (22, 22)),
                cell((5, 5), (20, 30)),
                cell((5, 5), (80, 80)),
                cell((6, 20), (20, 30)),
                cell((30, u128::MAX), (1, 1)),
            ]
        );
        assert!(disjoint(&[]).is_empty());
    }

    #[test]
    fn neighbours_become_one() {
        let cells = [cell((0, 4), (1, 2)), cell((5, 9), (1, 2)), cell((0, 9), (3, 4))];
        assert_eq!(disjoint(&cells), [cell((0, 9), (1, 4))]);
    }

    /// Every small world of two cells, point by point.
    #[test]
    fn no_point_is_lost_or_covered_twice() {
        let ranges: Vec<(u16, u16)> = (0..4).flat_map(|from| (from..4).map(move |to| (from, to))).collect();
        for a in &ranges {
            for b in &ranges {
                for p in &ranges {
                    for q in &ranges {
                        let wide = |(from, to): (u16, u16)| (u128::from(from), u128::from(to));
                        let cells = [cell(wide(*a), *p), cell(wide(*b), *q)];
                        let apart = disjoint(&cells);
                        for (address, port) in (0..5).flat_map(|address| (0..5).map(move |port| (address, port))) {
                            let holds = |cell: &&Cell| {
                                (cell.addresses.0..=cell.addresses.1).contains(&address)
                                    && (cell.ports.0..=cell.ports.1).contains(&port)
                            };
                            let (is, should) = (apart.iter().filter(holds).count(), cells.iter().filter(holds).count());
                            assert_eq!(is, should.min(1), "{address}:{port} of {cells:?} in {apart:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_outside_of_networks() {
        let outside = |nets: &[&str]| {
            let ranges = super::outside(nets.iter().map(|net| net.parse().expect("a network")));
            ranges.iter().map(|(from, to)| format!("{from}-{to}")).collect::<Vec<_>>()
        };
        assert_eq!(outside(&[]), ["0.0.0.0-255.255.255.255"]);
        assert_eq!(
            outside(&["10.1.0.0/16", "10.0.0.0/16", "255.0.0.0/8"]),
            ["0.0.0.0-9.255.255.255", "10.2.0.0-254.255.255.255"]
        );
        assert_eq!(outside(&["0.0.0.0/0"]), Vec::<String>::new());
    }
}
