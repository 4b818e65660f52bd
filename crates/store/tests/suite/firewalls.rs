//! Firewalls: whom they guard, what their rules name, and what is not yet in force.

use std::collections::BTreeSet;

use dewpoint_api::{AccountId, DropletId, FirewallId, FirewallProtocol, TagName};
use dewpoint_store::{
    DropletSeed, Error, FirewallChange, FirewallPeers, FirewallPending, FirewallPolicy, FirewallRecord, FirewallRule,
    droplets::{droplet_delete, droplet_insert, droplet_names, droplets_known},
    firewalls::{force::*, *},
    tags::*,
};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, droplet, tag, uuid},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_firewall_is_its_accounts_own_and_comes_back_as_it_was,
    a_firewalls_name_is_taken_once_in_an_account,
    firewalls_are_listed_oldest_first,
    an_update_writes_all_of_it_and_tells_whom_it_concerns,
    a_droplet_has_the_firewalls_of_its_number_and_of_its_tags,
    a_tag_put_on_or_taken_off_changes_who_is_guarded,
    a_deleted_tag_leaves_firewalls_and_their_rules,
    a_deleted_droplet_leaves_firewalls_and_their_rules,
    what_is_not_in_force_is_told_until_a_network_made_from_it_is,
    a_deleted_firewall_leaves_nothing,
    who_is_known_is_the_accounts_own,
);

const ONE: DropletId = DropletId(1);
const TWO: DropletId = DropletId(2);
const THREE: DropletId = DropletId(3);

fn rule(ports: &str, peers: FirewallPeers) -> FirewallRule {
    FirewallRule { protocol: FirewallProtocol::Tcp, ports: ports.into(), peers }
}

fn from(droplets: &[DropletId], tags: &[&str], addresses: &[&str]) -> FirewallPeers {
    FirewallPeers {
        droplets: droplets.to_vec(),
        tags: tags.iter().map(|name| tag(name)).collect(),
        addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        ..FirewallPeers::default()
    }
}

fn set<T: Ord + Clone>(items: &[T]) -> BTreeSet<T> {
    items.iter().cloned().collect()
}

/// A firewall that allows SSH from anywhere and guards nobody.
fn firewall(number: u64, account: AccountId) -> FirewallRecord {
    FirewallRecord {
        id: uuid(number),
        account,
        name: format!("wall-{number}"),
        policy: FirewallPolicy { inbound: vec![rule("22", from(&[], &[], &["::/0"]))], outbound: Vec::new() },
        droplets: BTreeSet::new(),
        tags: BTreeSet::new(),
        created_at: at(i64::try_from(number).expect("a small number")),
    }
}

async fn put(database: &Database, firewall: &FirewallRecord) {
    let firewall = firewall.clone();
    database.write(move |tx| firewall_insert(tx, &firewall)).await;
}

async fn get(database: &Database, id: FirewallId) -> FirewallRecord {
    database.read(move |tx| firewall_get(tx, ALICE, id)).await.expect("it is there")
}

async fn settle(database: &Database) {
    let newest = database.read(firewall_changes_newest).await;
    database.write(move |tx| firewall_changes_done(tx, newest)).await;
}

/// The Droplets for which it is not in force, and whether it is being taken off them; `None` when it is for all.
async fn pending(database: &Database, id: FirewallId) -> Option<Vec<(u64, bool)>> {
    let found = database.read(move |tx| firewall_pending(tx, &[id])).await.remove(&id)?;
    Some(found.droplets.iter().map(|(droplet, change)| (droplet.0, change.removing)).collect())
}

async fn tag_it(database: &Database, name: &str, id: DropletId) {
    let name = tag(name);
    database
        .write(move |tx| {
            tag_ensure(tx, ALICE, &name)?;
            tag_resource(tx, ALICE, &name, &Tagged::droplet(id), at(1))
        })
        .await;
}

async fn untag_it(database: &Database, name: &str, id: DropletId) {
    let name = tag(name);
    database.write(move |tx| untag_resource(tx, ALICE, &name, &Tagged::droplet(id))).await;
}

async fn a_firewall_is_its_accounts_own_and_comes_back_as_it_was(database: &Database) {
    let peers = FirewallPeers {
        load_balancers: vec!["lb".into()],
        clusters: vec!["k8s".into()],
        ..from(&[THREE, ONE], &["web", "Db"], &["2001:DB8::/32", "10.0.0.0/8"])
    };
    let policy = FirewallPolicy {
        inbound: vec![rule("8000-9000", peers.clone()), rule("0", from(&[], &["web"], &[]))],
        outbound: vec![FirewallRule { protocol: FirewallProtocol::Icmp, ..rule("0", peers) }],
    };
    let record = FirewallRecord {
        policy,
        droplets: set(&[TWO, ONE]),
        tags: set(&[tag("web"), tag("Zoo")]),
        ..firewall(1, ALICE)
    };
    put(database, &record).await;
    assert_eq!(get(database, record.id).await, record);
    assert_eq!(database.read(|tx| firewall_get(tx, BOB, uuid(1))).await, None);
    assert_eq!(database.read(|tx| firewall_get(tx, ALICE, uuid(2))).await, None);
    assert_eq!(database.read(firewall_all).await, [record]);
}

async fn a_firewalls_name_is_taken_once_in_an_account(database: &Database) {
    let twin = |number, account| FirewallRecord { name: "same".into(), ..firewall(number, account) };
    put(database, &twin(1, ALICE)).await;
    put(database, &twin(2, BOB)).await;
    put(database, &firewall(3, ALICE)).await;
    let error = database.refused(move |tx| firewall_insert(tx, &twin(4, ALICE))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    let error = database.refused(move |tx| firewall_update(tx, &firewall(3, ALICE), &twin(3, ALICE))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn firewalls_are_listed_oldest_first(database: &Database) {
    for number in [3, 1, 2] {
        let record = FirewallRecord {
            droplets: set(&[DropletId(number)]),
            ..firewall(number, if number == 2 { BOB } else { ALICE })
        };
        put(database, &record).await;
    }
    let page = database.read(|tx| firewall_list(tx, ALICE, ALL)).await;
    let shown: Vec<_> = page.rows.iter().map(|one| (one.id, one.droplets.clone())).collect();
    assert_eq!((page.total, shown), (2, vec![(uuid(1), set(&[ONE])), (uuid(3), set(&[THREE]))]));
    assert_eq!(database.read(firewall_all).await.len(), 3);
}

async fn an_update_writes_all_of_it_and_tells_whom_it_concerns(database: &Database) {
    let before = FirewallRecord { droplets: set(&[ONE, TWO]), ..firewall(1, ALICE) };
    put(database, &before).await;
    settle(database).await;
    assert_eq!(pending(database, before.id).await, None);

    let same = before.clone();
    database.write(move |tx| firewall_update(tx, &same, &same)).await;
    assert_eq!(pending(database, before.id).await, None, "nothing changed");

    let moved = FirewallRecord { droplets: set(&[TWO, THREE]), name: "other".into(), ..before.clone() };
    let (old, new) = (before.clone(), moved.clone());
    database.write(move |tx| firewall_update(tx, &old, &new)).await;
    assert_eq!(get(database, before.id).await, moved);
    assert_eq!(pending(database, before.id).await, Some(vec![(1, true), (3, false)]), "only who comes and goes");
    settle(database).await;

    let policy = FirewallPolicy { inbound: Vec::new(), outbound: vec![rule("53", from(&[ONE], &[], &[]))] };
    let changed = FirewallRecord { policy, ..moved.clone() };
    let (old, new) = (moved, changed.clone());
    database.write(move |tx| firewall_update(tx, &old, &new)).await;
    assert_eq!(get(database, before.id).await, changed);
    assert_eq!(pending(database, before.id).await, Some(vec![(2, false), (3, false)]), "all whom it guards");
}

async fn a_droplet_has_the_firewalls_of_its_number_and_of_its_tags(database: &Database) {
    put(database, &FirewallRecord { droplets: set(&[ONE]), ..firewall(1, ALICE) }).await;
    put(database, &FirewallRecord { tags: set(&[tag("web")]), ..firewall(2, ALICE) }).await;
    put(database, &FirewallRecord { droplets: set(&[ONE]), tags: set(&[tag("web")]), ..firewall(3, ALICE) }).await;
    let named = FirewallPolicy { inbound: vec![rule("1", from(&[ONE], &["web"], &[]))], outbound: Vec::new() };
    put(database, &FirewallRecord { policy: named, ..firewall(4, ALICE) }).await;
    let of = async |droplet: DropletId| {
        let page = database.read(move |tx| firewalls_of_droplet(tx, ALICE, droplet, ALL)).await;
        assert_eq!(page.total, page.rows.len() as u64);
        page.rows.into_iter().map(|one| one.id).collect::<Vec<FirewallId>>()
    };
    assert_eq!(of(ONE).await, [uuid(1), uuid(3)]);
    assert_eq!(of(TWO).await, []);
    for droplet in [ONE, TWO] {
        tag_it(database, "web", droplet).await;
    }
    assert_eq!(of(ONE).await, [uuid(1), uuid(2), uuid(3)]);
    assert_eq!(of(TWO).await, [uuid(2), uuid(3)]);
    let members = database.read(firewall_tag_members).await;
    assert_eq!(members.into_iter().collect::<Vec<_>>(), [((ALICE, tag("web")), set(&[ONE, TWO]))]);
}

async fn a_tag_put_on_or_taken_off_changes_who_is_guarded(database: &Database) {
    let by_tag = FirewallRecord { droplets: set(&[TWO]), tags: set(&[tag("web")]), ..firewall(1, ALICE) };
    let policy = FirewallPolicy { inbound: vec![rule("1", from(&[], &["web"], &[]))], outbound: Vec::new() };
    let naming = FirewallRecord { policy, droplets: set(&[THREE]), ..firewall(2, ALICE) };
    for one in [&by_tag, &naming, &FirewallRecord { tags: set(&[tag("web")]), ..firewall(3, BOB) }] {
        put(database, one).await;
    }
    settle(database).await;

    tag_it(database, "other", ONE).await;
    assert_eq!(pending(database, by_tag.id).await, None);
    tag_it(database, "web", ONE).await;
    assert_eq!(pending(database, by_tag.id).await, Some(vec![(1, false)]));
    assert_eq!(pending(database, naming.id).await, Some(vec![(3, false)]), "its rule allows somebody more");
    assert_eq!(pending(database, uuid(3)).await, None, "another account's tag is another one");
    settle(database).await;
    tag_it(database, "web", ONE).await;
    assert_eq!(pending(database, by_tag.id).await, None, "it has it already");

    tag_it(database, "web", TWO).await;
    settle(database).await;
    untag_it(database, "web", TWO).await;
    assert_eq!(pending(database, by_tag.id).await, Some(vec![(2, false)]), "it is guarded by its number still");
    untag_it(database, "web", ONE).await;
    assert_eq!(pending(database, by_tag.id).await, Some(vec![(1, true), (2, false)]));
    assert_eq!(pending(database, naming.id).await, Some(vec![(3, false)]));
}

async fn a_deleted_tag_leaves_firewalls_and_their_rules(database: &Database) {
    let guarding = FirewallRecord { droplets: set(&[TWO]), tags: set(&[tag("web"), tag("db")]), ..firewall(1, ALICE) };
    let policy = FirewallPolicy {
        inbound: vec![rule("1", from(&[], &["web"], &[])), rule("2", from(&[ONE], &["web", "db"], &[]))],
        outbound: vec![rule("3", from(&[], &["db"], &[]))],
    };
    let naming = FirewallRecord { policy, ..firewall(2, ALICE) };
    for one in [&guarding, &naming] {
        put(database, one).await;
    }
    for (name, droplet) in [("web", ONE), ("web", TWO), ("web", THREE), ("db", THREE)] {
        tag_it(database, name, droplet).await;
    }
    settle(database).await;

    assert!(database.write(|tx| tag_delete(tx, ALICE, &tag("web"))).await);
    assert_eq!(get(database, guarding.id).await, FirewallRecord { tags: set(&[tag("db")]), ..guarding.clone() });
    assert_eq!(pending(database, guarding.id).await, Some(vec![(1, true), (2, false), (3, false)]));
    let left = get(database, naming.id).await.policy;
    assert_eq!(left.inbound, [rule("2", from(&[ONE], &["db"], &[]))], "a rule that allows nobody goes");
    assert_eq!(left.outbound, naming.policy.outbound);
    assert_eq!(pending(database, naming.id).await, Some(vec![]), "it guards nobody, and is not in force yet");
}

async fn a_deleted_droplet_leaves_firewalls_and_their_rules(database: &Database) {
    for number in [1, 2, 3] {
        database.write(move |tx| droplet_insert(tx, &droplet(number, ALICE), &DropletSeed::default())).await;
    }
    let guarding = FirewallRecord { droplets: set(&[ONE, TWO]), ..firewall(1, ALICE) };
    let policy = FirewallPolicy {
        inbound: vec![rule("1", from(&[ONE], &[], &[])), rule("2", from(&[TWO, ONE], &[], &[]))],
        outbound: Vec::new(),
    };
    let naming = FirewallRecord { policy, droplets: set(&[THREE]), ..firewall(2, ALICE) };
    let policy = FirewallPolicy { inbound: vec![rule("1", from(&[], &["web"], &[]))], outbound: Vec::new() };
    let naming_its_tag = FirewallRecord { policy, droplets: set(&[THREE]), ..firewall(3, ALICE) };
    for one in [&guarding, &naming, &naming_its_tag] {
        put(database, one).await;
    }
    tag_it(database, "web", ONE).await;
    assert_eq!(pending(database, guarding.id).await, Some(vec![(1, false), (2, false)]));
    settle(database).await;
    let moved = FirewallRecord { droplets: set(&[TWO]), ..guarding.clone() };
    let (old, new) = (guarding.clone(), moved.clone());
    database.write(move |tx| firewall_update(tx, &old, &new)).await;
    assert_eq!(pending(database, guarding.id).await, Some(vec![(1, true)]));

    assert!(database.write(|tx| droplet_delete(tx, ONE)).await);
    assert_eq!(pending(database, guarding.id).await, None, "nothing is taken off what is gone");
    assert_eq!(get(database, naming.id).await.policy.inbound, [rule("2", from(&[TWO], &[], &[]))]);
    assert_eq!(pending(database, naming.id).await, Some(vec![(3, false)]));
    assert_eq!(get(database, naming_its_tag.id).await, naming_its_tag, "the tag is still there");
    assert_eq!(pending(database, naming_its_tag.id).await, Some(vec![(3, false)]), "and has one Droplet less");
    assert!(database.write(|tx| droplet_delete(tx, TWO)).await);
    assert_eq!(get(database, guarding.id).await.droplets, BTreeSet::new());
    assert_eq!(get(database, naming.id).await.policy, FirewallPolicy::default());
}

async fn what_is_not_in_force_is_told_until_a_network_made_from_it_is(database: &Database) {
    assert_eq!(database.read(firewall_changes_newest).await, 0);
    let record = FirewallRecord { droplets: set(&[ONE]), ..firewall(1, ALICE) };
    put(database, &record).await;
    put(database, &firewall(2, ALICE)).await;
    let seen = database.read(firewall_changes_newest).await;
    // While that network is being made, more changes.
    let (old, new) = (record.clone(), FirewallRecord { droplets: set(&[ONE, TWO]), ..record.clone() });
    database.write(move |tx| firewall_update(tx, &old, &new)).await;

    database.write(move |tx| firewall_changes_failed(tx, seen)).await;
    let all = database.read(|tx| firewall_pending(tx, &[uuid(1), uuid(2), uuid(3)])).await;
    assert_eq!(all.len(), 2);
    let failed = FirewallChange { removing: false, failed: true };
    let waiting = FirewallChange { removing: false, failed: false };
    assert_eq!(
        all[&record.id],
        FirewallPending { droplets: [(ONE, failed), (TWO, waiting)].into_iter().collect(), failed: true }
    );
    assert_eq!(all[&uuid(2)], FirewallPending { droplets: Default::default(), failed: true });

    database.write(move |tx| firewall_changes_done(tx, seen)).await;
    assert_eq!(pending(database, record.id).await, Some(vec![(2, false)]));
    assert_eq!(pending(database, uuid(2)).await, None);
    settle(database).await;
    assert_eq!(database.read(firewall_changes_newest).await, 0);
}

async fn a_deleted_firewall_leaves_nothing(database: &Database) {
    let policy = FirewallPolicy { inbound: vec![rule("1", from(&[TWO], &["web"], &[]))], outbound: Vec::new() };
    let record = FirewallRecord { policy, droplets: set(&[ONE]), tags: set(&[tag("db")]), ..firewall(1, ALICE) };
    put(database, &record).await;
    put(database, &firewall(2, ALICE)).await;
    assert!(!database.write(|tx| firewall_delete(tx, BOB, uuid(1))).await);
    assert!(database.write(|tx| firewall_delete(tx, ALICE, uuid(1))).await);
    assert!(!database.write(|tx| firewall_delete(tx, ALICE, uuid(1))).await);
    for (table, left) in [("firewalls", 1), ("firewall_parties", 0), ("firewall_changes", 1)] {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let count = database.read(move |tx| tx.query_one(&sql, &[], |row| row.next::<u64>())).await;
        assert_eq!(count, left, "{table}");
    }
}

async fn who_is_known_is_the_accounts_own(database: &Database) {
    database.write(|tx| droplet_insert(tx, &droplet(1, ALICE), &DropletSeed::default())).await;
    database.write(|tx| droplet_insert(tx, &droplet(2, BOB), &DropletSeed::default())).await;
    let known = database.read(|tx| droplets_known(tx, ALICE, &[ONE, TWO, THREE])).await;
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [ONE]);
    assert!(database.read(|tx| droplets_known(tx, ALICE, &[])).await.is_empty());
    let names = database.read(|tx| droplet_names(tx, ALICE)).await;
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [(ONE, "Web-1".to_owned())]);
    for (account, name) in [(ALICE, "Web"), (BOB, "db")] {
        database.write(move |tx| tag_ensure(tx, account, &tag(name))).await;
    }
    let asked: Vec<TagName> = ["Web", "web", "db"].iter().map(|name| tag(name)).collect();
    let known = database.read(move |tx| tags_known(tx, ALICE, &asked)).await;
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [tag("Web")], "in the case it has");
    assert!(database.read(|tx| tags_known(tx, ALICE, &[])).await.is_empty());
}
