//! Volumes, as an owner of machines uses them: made, plugged in, written to, carried to another machine.

use std::sync::Arc;

use dewpoint_engine::{
    Engine,
    conformance::{Bench, storage},
};

use crate::lab::{Lab, spec};

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_about_volumes() {
    let Some(lab) = Lab::open("the_engine_passes_the_suite_about_volumes").await else { return };
    let engine: Arc<dyn Engine> = lab.engine.clone();
    let bench = Bench::new(engine, |_| spec());
    storage::a_password_needs_a_running_guest(&bench).await;
    storage::making_a_volume_twice_is_one_volume(&bench).await;
    storage::making_a_volume_otherwise_conflicts(&bench).await;
    storage::a_volume_is_attached_to_one_machine(&bench).await;
    storage::attaching_at_once_attaches_to_one(&bench).await;
    storage::a_volume_comes_and_goes_while_its_machine_runs(&bench).await;
    storage::a_volume_stays_attached_over_a_restart(&bench).await;
    storage::a_removed_machine_lets_its_volumes_go(&bench).await;
    storage::a_volume_grows_and_never_shrinks(&bench).await;
    storage::a_volume_can_start_as_a_snapshot_of_another(&bench).await;
    storage::nothing_is_made_from_an_image_that_is_gone(&bench).await;
    storage::removing_a_volume_is_idempotent(&bench).await;
    for directory in ["volumes", "layers"] {
        let left = std::fs::read_dir(lab.config.data_dir.join(directory)).expect("a list").count();
        assert_eq!(left, 0, "files in {directory}");
    }
}
