//! Models that were added while the server runs.

use dewpoint_api::ModelFacts;
use dewpoint_store::{
    Error, ModelFile, ModelRecord, ModelSource, ModelState, Window,
    feed::{Happened, Read, Thing, What},
    models::*,
};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, tag},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_model_is_found_by_its_name_until_it_is_deleted,
    a_list_of_models_is_everybodys_and_the_oldest_first,
    progress_is_noted_of_the_model_that_was_begun_and_no_other,
    what_becomes_of_a_model_is_told_to_who_added_it,
);

fn of_a_file(name: &str, created: i64) -> ModelRecord {
    let facts = ModelFacts { architecture: Some("llama".into()), context: Some(2048), ..ModelFacts::default() };
    let file = ModelFile { from: "/a.gguf".into(), keeper: "here".into(), bytes: 7, sha256: None, facts };
    ModelRecord {
        name: name.into(),
        account: ALICE,
        owner: "dewpoint".into(),
        source: ModelSource::File(file),
        state: ModelState::Copying,
        why: None,
        revision: 0,
        created_at: at(created),
    }
}

fn of_droplets(name: &str, created: i64) -> ModelRecord {
    let source = ModelSource::Droplets { tag: tag("GPU"), port: 8000 };
    ModelRecord { account: BOB, source, state: ModelState::Kept, ..of_a_file(name, created) }
}

async fn a_model_is_found_by_its_name_until_it_is_deleted(database: &Database) {
    database.write(|tx| model_insert(tx, &of_a_file("a", 1))).await;
    database.write(|tx| model_insert(tx, &of_droplets("b", 2))).await;
    assert_eq!(database.read(|tx| model_get(tx, "a")).await, Some(of_a_file("a", 1)));
    assert_eq!(database.read(|tx| model_get(tx, "b")).await, Some(of_droplets("b", 2)));
    assert_eq!(database.read(|tx| model_get(tx, "A")).await, None);
    let error = database.refused(|tx| model_insert(tx, &of_droplets("a", 3))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    assert_eq!(database.write(|tx| model_delete(tx, "a")).await, Some(of_a_file("a", 1)));
    assert_eq!(database.write(|tx| model_delete(tx, "a")).await, None);
    assert_eq!(database.read(|tx| model_get(tx, "a")).await, None);
}

async fn a_list_of_models_is_everybodys_and_the_oldest_first(database: &Database) {
    for (name, created) in [("c", 1), ("a", 3), ("b", 1)] {
        database.write(move |tx| model_insert(tx, &of_droplets(name, created))).await;
    }
    let names = |rows: Vec<ModelRecord>| rows.into_iter().map(|model| model.name).collect::<Vec<_>>();
    assert_eq!(names(database.read(model_all).await), ["b", "c", "a"]);
    let page = database.read(|tx| model_list(tx, ALL)).await;
    assert_eq!((page.total, names(page.rows)), (3, vec!["b".into(), "c".into(), "a".into()]));
    let page = database.read(|tx| model_list(tx, Window { skip: 2, take: 1 })).await;
    assert_eq!((page.total, names(page.rows)), (3, vec!["a".into()]));
}

async fn progress_is_noted_of_the_model_that_was_begun_and_no_other(database: &Database) {
    database.write(|tx| model_insert(tx, &of_a_file("a", 5))).await;
    let ModelSource::File(file) = of_a_file("a", 5).source else { unreachable!("it is one of a file") };
    let whole = ModelSource::File(ModelFile { sha256: Some("ab".into()), ..file });
    let source = whole.clone();
    let failed = (ModelState::Failed, Some("the disk is full"));
    // One that was deleted and added again meanwhile.
    assert!(!database.write(move |tx| model_progress(tx, "a", at(4), failed, &source)).await);
    assert_eq!(database.read(|tx| model_get(tx, "a")).await, Some(of_a_file("a", 5)));
    let source = whole.clone();
    assert!(database.write(move |tx| model_progress(tx, "a", at(5), failed, &source)).await);
    let kept = database.read(|tx| model_get(tx, "a")).await.expect("it is there");
    let why = Some("the disk is full".to_owned());
    let noted = ModelRecord { state: ModelState::Failed, why, source: whole, revision: 1, ..of_a_file("a", 5) };
    assert_eq!(kept, noted);
}

async fn what_becomes_of_a_model_is_told_to_who_added_it(database: &Database) {
    let feed = std::sync::Arc::clone(database.store.feed());
    feed.open(std::sync::Arc::new(dewpoint_clock::ManualClock::new(at(1000))));
    let begin = feed.end();
    database.write(|tx| model_insert(tx, &of_droplets("b", 2))).await;
    let kept = (ModelState::Kept, None);
    database.write(move |tx| model_progress(tx, "b", at(2), kept, &of_droplets("b", 2).source)).await;
    database.write(|tx| model_delete(tx, "b")).await;
    let Read::Events(events, _) = feed.read(begin, 10, |_| true) else { panic!("the feed is behind") };
    let told: Vec<_> = events.into_iter().map(|event| event.what).collect();
    let of = |happened| {
        let thing = Thing::Model("b".into());
        What::Change(dewpoint_store::feed::Change { account: BOB, thing, happened, action: None })
    };
    assert_eq!(told, [Happened::Made, Happened::Changed, Happened::Gone].map(of));
}
