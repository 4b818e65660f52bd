//! What `dew check` says when store and engine differ about GPUs.

use dewpoint_control::{WhenOff, check};
use dewpoint_engine::{Engine as _, MachineId, Power};
use dewpoint_testkit::TestApp;

use super::{FIRST, SECOND, made, on_metal};

async fn rules(app: &TestApp) -> Vec<(String, bool)> {
    app.findings().await.into_iter().map(|finding| (finding.rule, finding.repairable)).collect()
}

async fn sql(app: &TestApp, text: String) {
    let done = app.store().write(move |tx: &mut dyn dewpoint_store::Tx| tx.execute(&text, &[])).await;
    assert!(done.expect("the store can be written") > 0, "it changes nothing");
}

#[tokio::test]
async fn a_gpu_that_a_machine_of_nobody_has_is_found_and_taken_back() {
    let app = on_metal(WhenOff::Keep).await;
    app.sim().take_gpus(MachineId(77), &[FIRST.parse().expect("an address")]).await.expect("it is free");
    assert_eq!(rules(&app).await, [("gpu-leaked".to_owned(), true)]);
    for finding in app.findings().await {
        check::mend(app.store(), app.sim(), &finding).await.expect("it can be put right");
    }
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_that_runs_without_its_gpu_and_one_that_has_anothers_are_found() {
    let app = on_metal(WhenOff::Keep).await;
    let [first, second] = [made(&app).await, made(&app).await];
    let machine = MachineId(first);
    app.sim().power(machine, Power::Off).await.expect("off");
    app.sim().give_back_gpus(machine).await.expect("given back");
    let found = rules(&app).await;
    assert!(found.contains(&("gpu-not-taken".to_owned(), false)), "{found:?}");
    sql(&app, format!("UPDATE holdings SET addresses = '{FIRST}' WHERE droplet_id IN ({first}, {second})")).await;
    let found = rules(&app).await;
    for rule in ["gpu-double", "machine-differs", "gpu-leaked"] {
        assert!(found.iter().any(|(name, _)| name == rule), "{rule}: {found:?}");
    }
    let told = app.findings().await.into_iter().find(|finding| finding.rule == "gpu-leaked").expect("it is there");
    assert!(told.what.contains(SECOND) && !told.repairable, "{told:?}");
}
