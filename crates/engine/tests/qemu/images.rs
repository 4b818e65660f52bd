//! Snapshots and what is made from them, as an owner of machines does it.

use std::sync::Arc;

use dewpoint_engine::{
    Engine,
    conformance::{Bench, storage},
};

use crate::lab::{Lab, spec};

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_about_images() {
    let Some(lab) = Lab::open("the_engine_passes_the_suite_about_images").await else { return };
    let engine: Arc<dyn Engine> = lab.engine.clone();
    let bench = Bench::new(engine, |_| spec());
    storage::a_snapshot_is_an_image_machines_are_made_from(&bench).await;
    storage::a_running_machine_can_be_snapshotted(&bench).await;
    storage::a_snapshot_is_taken_once(&bench).await;
    storage::an_image_outlives_what_it_was_taken_of(&bench).await;
    storage::what_was_made_from_an_image_outlives_it(&bench).await;
    storage::removing_an_image_is_idempotent(&bench).await;
    let layers = std::fs::read_dir(lab.config.data_dir.join("layers")).expect("a list").count();
    assert_eq!(layers, 0, "files of images that are gone");
}
