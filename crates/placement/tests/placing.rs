//! Properties of placing: over random stocks and wishes, and against trying every host by hand.

use dewpoint_placement::{Gpu, Host, Need, Overcommit, Placement, Short, Stock, Taken, Wish};
use proptest::{collection::vec, option, prelude::*};

fn gpu(model: &str, node: u32) -> Gpu {
    Gpu { model: model.to_owned(), node: Some(node), healthy: true }
}

/// A host of eight GPUs on two nodes.
fn hgx(name: &str) -> Host {
    let gpus = (0..8).map(|place| gpu("h100", place / 4)).collect();
    Host { name: name.to_owned(), region: "nyc2".to_owned(), vcpus: 192, memory_mib: 2_000_000, gpus }
}

fn plain(name: &str, memory_mib: u64) -> Host {
    Host { name: name.to_owned(), region: "nyc2".to_owned(), vcpus: 16, memory_mib, gpus: Vec::new() }
}

fn need(gpus: u32) -> Need {
    Need { vcpus: 20, memory_mib: 240_000, gpus: (gpus > 0).then(|| (gpus, "h100".to_owned())) }
}

fn small() -> Need {
    Need { vcpus: 1, memory_mib: 1024, gpus: None }
}

fn wish<'a>(need: &'a Need, apart_from: &'a [String]) -> Wish<'a> {
    Wish { region: Some("nyc2"), need, apart_from }
}

fn place(stock: &mut Stock, need: &Need) -> Placement {
    let placement = stock.place(&wish(need, &[])).expect("a place");
    assert!(stock.take(&placement.host, &placement.taken(need)));
    placement
}

#[test]
fn single_gpus_fill_one_host_and_leave_the_others_whole() {
    let mut stock = Stock::new([hgx("a"), hgx("b")], Overcommit::default());
    let hosts: Vec<String> = (0..8).map(|_| place(&mut stock, &need(1)).host).collect();
    assert_eq!(hosts, ["a"; 8]);
    assert_eq!(place(&mut stock, &need(8)).host, "b");
    let refusal = stock.place(&wish(&need(1), &[])).expect_err("all are taken");
    assert_eq!(refusal.to_string(), "2 hosts have too few of these GPUs free");
    assert!(refusal.may_pass());
}

#[test]
fn gpus_of_one_machine_are_on_one_node_where_that_can_be() {
    let mut stock = Stock::new([hgx("a")], Overcommit::default());
    assert_eq!(place(&mut stock, &need(3)).gpus, [0, 1, 2]);
    assert_eq!(place(&mut stock, &need(4)).gpus, [4, 5, 6, 7]);
    assert_eq!(place(&mut stock, &need(1)).gpus, [3]);
}

#[test]
fn siblings_are_kept_apart_but_not_by_breaking_a_whole_host() {
    let mut stock = Stock::new([plain("a", 8192), plain("b", 8192), hgx("whole")], Overcommit::default());
    let placed = stock.place_all(&wish(&small(), &[]), 4).expect("places");
    let mut hosts: Vec<String> = placed.into_iter().map(|placement| placement.host).collect();
    hosts.sort();
    assert_eq!(hosts, ["a", "a", "b", "b"]);
    let mut stock = Stock::new([hgx("a"), hgx("b")], Overcommit::default());
    let placed = stock.place_all(&wish(&need(1), &[]), 2).expect("places");
    assert_eq!(placed[0].host, placed[1].host);
}

#[test]
fn a_create_of_several_that_does_not_fit_whole_takes_nothing() {
    let mut stock = Stock::new([hgx("a")], Overcommit::default());
    let refusal = stock.place_all(&wish(&need(3), &[]), 3).expect_err("two fit");
    assert_eq!(refusal.placed(), 2);
    assert_eq!(place(&mut stock, &need(8)).gpus, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn memory_is_promised_once_and_processors_by_their_ratio() {
    let mut stock = Stock::new([plain("a", 4096)], Overcommit { vcpus: 2.0, memory: 1.0 });
    let large = |vcpus, memory_mib| Need { vcpus, memory_mib, gpus: None };
    place(&mut stock, &large(16, 1024));
    place(&mut stock, &large(16, 1024));
    let short = |stock: &Stock, need: &Need| stock.place(&wish(need, &[])).expect_err("no place").to_string();
    assert_eq!(short(&stock, &large(1, 1024)), "1 host has too few processors free");
    assert_eq!(short(&stock, &large(17, 1024)), "1 host is too small");
    let mut stock = Stock::new([plain("a", 4096)], Overcommit::default());
    place(&mut stock, &large(1, 4000));
    assert_eq!(short(&stock, &large(1, 1024)), "1 host has too little memory free");
    assert_eq!(
        stock.place(&Wish { region: Some("ams3"), ..wish(&small(), &[]) }).expect_err("no place").to_string(),
        "there is no host in ams3"
    );
}

#[test]
fn an_unhealthy_gpu_is_nobodys() {
    let mut host = hgx("a");
    host.gpus[0].healthy = false;
    let mut stock = Stock::new([host], Overcommit::default());
    assert!(stock.place(&wish(&need(8), &[])).is_err());
    assert_eq!(place(&mut stock, &need(7)).gpus, [1, 2, 3, 4, 5, 6, 7]);
}

fn hosts() -> impl Strategy<Value = Vec<Host>> {
    let gpus = vec((prop_oneof!["h100", "l40s"], option::of(0..2_u32), prop::bool::weighted(0.9)), 0..5);
    let host = (1..9_u32, 1..9_u64, gpus, prop_oneof!["nyc2", "ams3"]);
    vec(host, 0..5).prop_map(|hosts| {
        let named = hosts.into_iter().enumerate();
        named
            .map(|(index, (vcpus, memory, gpus, region))| Host {
                name: format!("h{index}"),
                region,
                vcpus,
                memory_mib: memory * 1024,
                gpus: gpus.into_iter().map(|(model, node, healthy)| Gpu { model, node, healthy }).collect(),
            })
            .collect()
    })
}

fn needs() -> impl Strategy<Value = Need> {
    (1..9_u32, 1..9_u64, option::of((1..4_u32, prop_oneof!["h100", "l40s"]))).prop_map(|(vcpus, memory, gpus)| Need {
        vcpus,
        memory_mib: memory * 1024,
        gpus,
    })
}

/// Whether the wish fits on any host, by trying every set of its GPUs.
fn fits_anywhere(stock: &Stock, wish: &Wish<'_>) -> bool {
    stock.hosts().iter().any(|state| {
        let (host, need) = (state.host(), wish.need);
        let room = wish.region.is_none_or(|region| region == host.region)
            && need.vcpus <= host.vcpus
            && state.vcpus_used() + u64::from(need.vcpus) <= u64::from(host.vcpus) * 4
            && state.memory_used() + need.memory_mib <= host.memory_mib;
        let gpus = need.gpus.as_ref().is_none_or(|(count, model)| {
            (0_u32..1 << host.gpus.len()).any(|set| {
                let mut places = (0..host.gpus.len()).filter(|place| set >> place & 1 == 1);
                set.count_ones() == *count
                    && places.all(|place| {
                        let gpu = &host.gpus[place];
                        gpu.healthy && gpu.model == *model && !state.is_gpu_used(place)
                    })
            })
        });
        room && gpus
    })
}

proptest! {
    #[test]
    fn nothing_is_promised_twice_and_nothing_that_fits_is_refused(
        hosts in hosts(),
        wishes in vec((needs(), option::of(prop_oneof![Just("nyc2"), Just("ams3")]), any::<bool>()), 1..20),
    ) {
        let mut stock = Stock::new(hosts, Overcommit::default());
        let mut taken: Vec<(String, Taken)> = Vec::new();
        for (need, region, leave) in &wishes {
            if *leave && !taken.is_empty() {
                let (host, given) = taken.remove(0);
                stock.give_back(&host, &given);
            }
            let apart_from: Vec<String> = taken.iter().map(|(host, _)| host.clone()).collect();
            let wish = Wish { region: *region, need, apart_from: &apart_from };
            let answer = stock.place(&wish);
            prop_assert_eq!(&answer, &stock.place(&wish), "the same in, the same out");
            prop_assert_eq!(answer.is_ok(), fits_anywhere(&stock, &wish));
            match answer {
                Ok(placement) => {
                    let given = placement.taken(need);
                    prop_assert_eq!(given.gpus.len(), need.gpus.as_ref().map_or(0, |(count, _)| *count as usize));
                    prop_assert!(stock.take(&placement.host, &given), "a GPU is given once");
                    taken.push((placement.host, given));
                }
                Err(refusal) => prop_assert!(!refusal.reasons().is_empty() && !refusal.to_string().is_empty()),
            }
            for state in stock.hosts() {
                prop_assert!(state.memory_used() <= state.host().memory_mib);
                prop_assert!(state.vcpus_used() <= u64::from(state.host().vcpus) * 4);
            }
        }
        for (host, given) in taken {
            stock.give_back(&host, &given);
        }
        let empty = Stock::new(stock.hosts().iter().map(|state| state.host().clone()), Overcommit::default());
        prop_assert_eq!(stock.hosts(), empty.hosts(), "what was given back is there again");
    }
}

#[test]
fn what_only_others_have_may_come_back_and_what_nobody_has_does_not() {
    let stock = Stock::new([plain("a", 1024)], Overcommit::default());
    let refusal = stock.place(&wish(&need(1), &[])).expect_err("no place");
    assert!(!refusal.may_pass());
    let wrong = Need { gpus: Some((1, "mi300x".to_owned())), ..small() };
    let stock = Stock::new([hgx("a")], Overcommit::default());
    let refusal = stock.place(&wish(&wrong, &[])).expect_err("no place");
    assert_eq!(refusal.reasons(), [dewpoint_placement::Reason::Hosts { count: 1, short: Short::NoSuchGpus }]);
    assert!(!refusal.may_pass());
}
