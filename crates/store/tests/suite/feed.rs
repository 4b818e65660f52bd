//! The feed: what was committed is told, in that order and nothing else.

use std::{sync::Arc, time::Duration};

use dewpoint_api::{ActionId, DropletId};
use dewpoint_clock::{Clock, ManualClock};
use dewpoint_store::{
    DropletSeed, Error, actions, droplets,
    droplets::DropletChange,
    feed::{self, Change, Cursor, Event, Feed, Happened, Read, Thing, What},
    tags::{self, Tagged},
    tokens, volumes,
};

use crate::{
    fixtures::{ALICE, BOB, action, at, droplet, tag, token, uuid, volume},
    harness::{Database, on_each_database},
};

on_each_database!(
    what_is_committed_is_told_with_its_request_and_action,
    what_is_refused_or_rolled_back_is_never_told,
    one_thing_that_changes_twice_in_a_transaction_is_told_once,
    a_droplet_that_goes_takes_its_tags_and_volumes_along,
    a_reader_that_waits_is_woken_by_the_next_commit,
);

fn opened(database: &Database) -> Arc<Feed> {
    let feed = Arc::clone(database.store.feed());
    feed.open(Arc::new(ManualClock::new(at(1000))));
    feed
}

/// Everything after `from`.
fn told(feed: &Feed, from: Cursor) -> Vec<Event> {
    match feed.read(from, 1000, |_| true) {
        Read::Events(events, _) => events,
        other => panic!("{other:?}"),
    }
}

fn changes(feed: &Feed, from: Cursor) -> Vec<Change> {
    let change = |event: Event| match event.what {
        What::Change(change) => change,
        other => panic!("{other:?}"),
    };
    told(feed, from).into_iter().map(change).collect()
}

async fn what_is_committed_is_told_with_its_request_and_action(database: &Database) {
    let feed = opened(database);
    let begin = feed.end();
    let request = Arc::<str>::from("r-1");
    let adding = database.write(|tx| {
        droplets::droplet_insert(tx, &droplet(1, ALICE), &DropletSeed::default())?;
        actions::action_insert(tx, &action(7, ALICE))?;
        droplets::droplet_lock(tx, DropletId(1), ActionId(7)).map(drop)
    });
    feed::asked_by(Arc::clone(&request), adding).await;
    database.write(|tx| tokens::token_insert(tx, &token(1, BOB))).await;

    let events = told(&feed, begin);
    assert!(events.iter().all(|event| event.at == at(1000)));
    let asked: Vec<Option<&str>> = events.iter().map(|event| event.request.as_deref()).collect();
    assert_eq!(asked, [Some("r-1"), Some("r-1"), None]);
    let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
    assert!(positions.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{positions:?}");
    assert_eq!([events[0].concerns(ALICE), events[0].concerns(BOB)], [true, false]);
    let made = |account, thing, action| Change { account, thing, happened: Happened::Made, action };
    assert_eq!(
        changes(&feed, begin),
        [
            made(ALICE, DropletId(1).into(), Some(ActionId(7))),
            made(ALICE, ActionId(7).into(), Some(ActionId(7))),
            made(BOB, Thing::Token(uuid(1)), None),
        ]
    );
}

async fn what_is_refused_or_rolled_back_is_never_told(database: &Database) {
    let feed = opened(database);
    let begin = feed.end();
    let refused = database
        .store
        .write(|tx| {
            tokens::token_insert(tx, &token(1, ALICE))?;
            Err::<(), _>(Error::Duplicate)
        })
        .await;
    assert!(matches!(refused, Err(Error::Duplicate)));
    // One that fails among others that do not: they share its transaction.
    let (good, bad, other) = tokio::join!(
        database.store.write(|tx| tokens::token_insert(tx, &token(2, ALICE))),
        database.store.write(|tx| {
            tokens::token_insert(tx, &token(3, ALICE))?;
            tokens::token_insert(tx, &token(3, ALICE))
        }),
        database.store.write(|tx| tokens::token_insert(tx, &token(4, ALICE))),
    );
    assert!(good.is_ok() && bad.is_err() && other.is_ok());
    // A read changes nothing that is kept.
    let _ = database.store.read(|tx| tokens::token_insert(tx, &token(5, ALICE))).await;

    let mut things: Vec<Thing> = changes(&feed, begin).into_iter().map(|change| change.thing).collect();
    things.sort_by_key(|thing| format!("{thing:?}"));
    assert_eq!(things, [Thing::Token(uuid(2)), Thing::Token(uuid(4))]);
}

async fn one_thing_that_changes_twice_in_a_transaction_is_told_once(database: &Database) {
    let feed = opened(database);
    database.write(|tx| droplets::droplet_insert(tx, &droplet(1, ALICE), &DropletSeed::default())).await;
    let begin = feed.end();
    database
        .write(|tx| {
            let change = DropletChange { name: Some("b".to_owned()), ..DropletChange::default() };
            droplets::droplet_change(tx, DropletId(1), &change)?;
            droplets::droplet_change(tx, DropletId(1), &change)?;
            droplets::droplet_change(tx, DropletId(2), &change)?;
            droplets::droplet_change(tx, DropletId(1), &DropletChange::default()).map(drop)
        })
        .await;
    let only = Change { account: ALICE, thing: DropletId(1).into(), happened: Happened::Changed, action: None };
    assert_eq!(changes(&feed, begin), [only]);
}

async fn a_droplet_that_goes_takes_its_tags_and_volumes_along(database: &Database) {
    let feed = opened(database);
    database
        .write(|tx| {
            droplets::droplet_insert(tx, &droplet(1, ALICE), &DropletSeed::default())?;
            volumes::volume_insert(tx, ALICE, &volume(1, "nyc3"))?;
            volumes::volume_attach(tx, ALICE, uuid(1), DropletId(1))?;
            let name = tags::tag_ensure(tx, ALICE, &tag("Web"))?;
            tags::tag_resource(tx, ALICE, &name, &Tagged::droplet(DropletId(1)), at(1))
        })
        .await;
    let begin = feed.end();
    database.write(|tx| droplets::droplet_delete(tx, DropletId(1)).map(drop)).await;
    let of = |thing: Thing, happened| Change { account: ALICE, thing, happened, action: None };
    let gone = changes(&feed, begin);
    assert_eq!(
        gone,
        [
            of(DropletId(1).into(), Happened::Gone),
            of(Thing::Volume(uuid(1)), Happened::Changed),
            of(Thing::Tag("Web".into()), Happened::Changed),
        ]
    );
}

async fn a_reader_that_waits_is_woken_by_the_next_commit(database: &Database) {
    let feed = opened(database);
    let begin = feed.end();
    let waiting = tokio::spawn({
        let feed = Arc::clone(&feed);
        async move { feed.grown(begin).await }
    });
    database.write(|tx| tokens::token_insert(tx, &token(1, ALICE))).await;
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("woken").expect("no panic");
    assert_eq!(told(&feed, begin).len(), 1);
}

#[tokio::test]
async fn a_reader_behind_the_ring_or_of_another_feed_is_told_so_and_goes_on() {
    let database = Database::sqlite();
    let feed = opened(&database);
    let begin = feed.end();
    let name = |number: usize| tag(&format!("t{number}"));
    database
        .write(move |tx| {
            (0..feed::KEPT + 10).try_for_each(|number| tags::tag_ensure(tx, ALICE, &name(number)).map(drop))
        })
        .await;
    let Read::Behind(next) = feed.read(begin, 10, |_| true) else { panic!("the oldest are not kept") };
    assert_eq!(next, feed.beginning());
    let Read::Events(events, after) = feed.read(next, 10, |_| true) else { panic!("those are kept") };
    assert_eq!((events.len(), events[0].position), (10, 11));
    // Few are wanted among many that are not: all are looked at.
    let wanted = |event: &Event| event.position == 11 + feed::KEPT as u64 - 1;
    let Read::Events(events, end) = feed.read(after, 10, wanted) else { panic!("those are kept") };
    assert_eq!((events.len(), end), (1, feed.end()));

    let other = Database::sqlite();
    let elsewhere = opened(&other);
    assert_eq!(elsewhere.read(begin, 10, |_| true), Read::Elsewhere(elsewhere.beginning()));
    assert_eq!(elsewhere.read(Cursor::NOWHERE, 10, |_| true), Read::Elsewhere(elsewhere.beginning()));
    let text = end.to_string();
    assert_eq!(text.parse(), Ok(end));
    assert!("".parse::<Cursor>().is_err() && "12".parse::<Cursor>().is_err() && "x-1".parse::<Cursor>().is_err());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(at(5)));
    feed.open(clock);
    feed.tell_all(What::Reset);
    let last = told(&feed, end).pop().expect("one");
    assert_eq!((last.at, &last.what, last.concerns(BOB)), (at(1000), &What::Reset, true), "the first clock stays");
}
