//! Projects and what is in them.

use dewpoint_api::{DropletId, ProjectId};
use dewpoint_store::{
    DropletSeed, Error, ProjectRecord, VisibleKinds,
    droplets::{droplet_delete, droplet_insert},
    projects::*,
    volumes::volume_insert,
};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, droplet, uuid, volume},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_project_is_its_accounts_own_and_its_name_is_taken_once,
    what_is_in_no_project_is_in_the_default_one,
    a_project_that_stops_being_the_default_keeps_what_it_has,
);

const EVERYTHING: VisibleKinds = VisibleKinds { droplets: true, volumes: true, domains: true, reserved_ips: true };

fn project(number: u64, is_default: bool) -> ProjectRecord {
    ProjectRecord {
        id: uuid(number),
        name: format!("project {number}"),
        description: String::new(),
        purpose: "IoT".into(),
        environment: "Staging".into(),
        is_default,
        created_at: at(1),
        updated_at: at(1),
    }
}

async fn a_project_is_its_accounts_own_and_its_name_is_taken_once(database: &Database) {
    database.write(|tx| project_insert(tx, ALICE, &project(1, true))).await;
    database.write(|tx| project_insert(tx, ALICE, &project(2, false))).await;
    assert_eq!(database.read(|tx| project_get(tx, ALICE, uuid(2))).await, Some(project(2, false)));
    assert_eq!(database.read(|tx| project_get(tx, BOB, uuid(2))).await, None);
    assert_eq!(database.read(|tx| project_default(tx, ALICE)).await, Some(project(1, true)));
    assert_eq!(database.read(|tx| project_default(tx, BOB)).await, None);
    let twin = ProjectRecord { name: "project 1".into(), ..project(3, false) };
    let error = database.refused(move |tx| project_insert(tx, ALICE, &twin)).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    let changed = ProjectRecord { purpose: "Other: x".into(), updated_at: at(9), ..project(2, false) };
    let put = changed.clone();
    database.write(move |tx| project_update(tx, ALICE, &put)).await;
    assert_eq!(database.read(|tx| project_list(tx, ALICE, ALL)).await.rows, [project(1, true), changed]);
    assert!(!database.write(|tx| project_delete(tx, BOB, uuid(2))).await);
    assert!(database.write(|tx| project_delete(tx, ALICE, uuid(2))).await);
}

/// Two projects, a Droplet and a volume.
async fn fill(database: &Database) {
    database.write(|tx| project_insert(tx, ALICE, &project(1, true))).await;
    database.write(|tx| project_insert(tx, ALICE, &project(2, false))).await;
    database.write(|tx| droplet_insert(tx, &droplet(7, ALICE), &DropletSeed::default())).await;
    database.write(|tx| volume_insert(tx, ALICE, &volume(3, "nyc3"))).await;
    database.write(|tx| volume_insert(tx, BOB, &volume(4, "nyc3"))).await;
}

fn disk() -> String {
    format!("do:volume:{}", uuid::<ProjectId>(3))
}

async fn urns(database: &Database, project: ProjectRecord, visible: VisibleKinds) -> Vec<String> {
    let page = database.read(move |tx| project_resources(tx, ALICE, &project, visible, ALL)).await;
    assert_eq!(page.total, page.rows.len() as u64);
    page.rows.into_iter().map(|entry| entry.urn).collect()
}

async fn what_is_in_no_project_is_in_the_default_one(database: &Database) {
    fill(database).await;
    assert_eq!(urns(database, project(1, true), EVERYTHING).await, [disk(), "do:droplet:7".to_owned()]);
    let no_volumes = VisibleKinds { volumes: false, domains: false, ..EVERYTHING };
    assert_eq!(urns(database, project(1, true), no_volumes).await, ["do:droplet:7"]);
    assert_eq!(urns(database, project(2, false), EVERYTHING).await, [""; 0]);

    database.write(|tx| project_assign(tx, ALICE, uuid(1), "do:droplet:7", at(5))).await;
    database.write(|tx| project_assign(tx, ALICE, uuid(2), "do:droplet:7", at(6))).await;
    assert_eq!(database.read(|tx| project_of(tx, ALICE, "do:droplet:7")).await, Some((uuid(2), at(6))));
    assert_eq!(urns(database, project(1, true), EVERYTHING).await, [disk()]);
    assert_eq!(urns(database, project(2, false), EVERYTHING).await, ["do:droplet:7"]);

    assert!(database.write(|tx| droplet_delete(tx, DropletId(7))).await);
    assert_eq!(database.read(|tx| project_of(tx, ALICE, "do:droplet:7")).await, None);
}

async fn a_project_that_stops_being_the_default_keeps_what_it_has(database: &Database) {
    fill(database).await;
    database.write(|tx| project_assign(tx, ALICE, uuid(2), "do:droplet:7", at(5))).await;
    database.write(|tx| project_keep_all(tx, ALICE, uuid(1))).await;
    assert_eq!(urns(database, project(1, false), EVERYTHING).await, [disk()]);
    assert_eq!(urns(database, project(2, false), EVERYTHING).await, ["do:droplet:7"]);
}
