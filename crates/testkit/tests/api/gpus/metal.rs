//! A Droplet with a GPU under the QEMU engine, on a written-down host whose kernel only pretends: what the actions do to it, step
//! by step, and that a create that fails leaves the host as it was. (The guest itself needs KVM and a card: it is not started.)

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, sync::Arc};

use dewpoint_api::ActionStatus;
use dewpoint_clock::SystemClock;
use dewpoint_control::{Catalogue, Control, ControlConfig, Parts, Random, actions::Worker, catalogue::CatalogueFile};
use dewpoint_engine::{
    Engine as _, GpuAddress,
    qemu::{Accelerator, QemuConfig, QemuEngine, images},
};
use dewpoint_gpu::recorded::{RecordedHost, Step};
use dewpoint_store::{Tx, accounts, actions, sqlite};
use serde_json::json;

/// A size that any host is large enough for, and whose GPU the written-down workstation has.
const SIZE: &str = r#"
[[sizes]]
slug = "gpu-tiny"
description = "A GPU and little else"
memory_mib = 64
vcpus = 1
disk_gib = 1
transfer_tib = 1.0
price_monthly = 1.0
price_hourly = 0.01
networking_throughput = 1000
regions = ["nyc2"]
gpu = { count = 1, model = "nvidia_rtx6000_ada", vram_gib = 48 }
"#;

const CARD: &str = "0000:41:00.0";
const SOUND: &str = "0000:41:00.1";

struct Metal {
    control: Control,
    engine: Arc<QemuEngine>,
    host: RecordedHost,
    _top: tempfile::TempDir,
}

impl Metal {
    /// `None`, after saying why, when QEMU cannot be used here.
    async fn open(test: &str, host: &str) -> Option<Self> {
        let (top, host) = (tempfile::tempdir().expect("a directory"), RecordedHost::new(host));
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        let (data, images_at) = (top.path().join("data"), top.path().join("images"));
        let disk = top.path().join("disk");
        // What a disk image ends its first sector with; nobody starts it.
        fs::write(&disk, [[0; 510].as_slice(), &[0x55, 0xaa]].concat()).expect("written");
        images::add(&images_at, "micro-x64", &disk, None, "test").expect("an image");
        let clock = Arc::new(SystemClock);
        let mut config = QemuConfig::new(&data, &images_at, clock.clone());
        config.accelerator = Some(Accelerator::Tcg);
        config.gpus = host.gpus(&data);
        let engine = match QemuEngine::open(config).await {
            Ok(engine) => Arc::new(engine),
            Err(error) => {
                // Past the test harness, which would swallow it.
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {error}");
                return None;
            }
        };
        let more = CatalogueFile::parse(SIZE).expect("a catalogue");
        let parts = Parts {
            store: sqlite::open(&top.path().join("store.db")).expect("a store"),
            engine: engine.clone(),
            clock,
            random: Random::default(),
            catalogue: Catalogue::built_in().extend(more).expect("it fits"),
            config: ControlConfig::default(),
        };
        let control = Control::new(parts).await.expect("the parts fit together");
        control.bootstrap(None).await.expect("an account");
        control.refresh_stock().await.expect("the host tells what it has");
        Some(Self { control, engine, host, _top: top })
    }

    /// Asks for a Droplet and does all there is to do; how its create ended, or why it was refused.
    async fn create(&self) -> Result<ActionStatus, String> {
        let store = self.control.store();
        let account = store.read(|tx: &mut dyn Tx| accounts::account_first(tx)).await.expect("read").expect("one").id;
        let wish = json!({ "name": "train-1", "size": "gpu-tiny", "image": "micro-x64", "region": "nyc2" });
        let wish = serde_json::from_value(wish).expect("a request");
        let made = self.control.droplet_create(account, wish).await.map_err(|error| error.to_string())?;
        Worker::new(self.control.clone()).run_until_idle().await;
        let id = made.actions[0].id;
        let action = store.read(move |tx: &mut dyn Tx| actions::action_get(tx, account, id)).await.expect("read");
        Ok(action.expect("the action").status)
    }

    fn driver(&self, function: &str) -> Option<String> {
        let link = self.host.root().join("sys/bus/pci/devices").join(function).join("driver");
        fs::read_link(link).ok().and_then(|to| to.file_name()?.to_str().map(str::to_owned))
    }

    /// Nothing of the host is anyone's but its drivers', and no machine is left.
    async fn is_as_it_was(&self) {
        assert_eq!(self.driver(CARD).as_deref(), Some("nvidia"));
        assert_eq!(self.driver(SOUND).as_deref(), Some("snd_hda_intel"));
        assert_eq!(self.engine.machines().await.expect("a list"), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_fails_after_its_gpu_was_taken_gives_it_back_reset() {
    let test = "a_create_that_fails_after_its_gpu_was_taken_gives_it_back_reset";
    let Some(metal) = Metal::open(test, "two_rtx").await else { return };
    assert_eq!(metal.create().await.expect("it is accepted"), ActionStatus::Errored, "no guest with a GPU without KVM");
    let done = metal.host.kernel().done();
    let at = |step, function: &str| {
        let function: GpuAddress = function.parse().expect("an address");
        done.iter().position(|done| *done == (step, Some(function)))
    };
    for function in [CARD, SOUND] {
        assert!(at(Step::Probe, function).is_some(), "{function} was taken: {done:?}");
    }
    assert!(at(Step::Reset, CARD) > at(Step::Probe, CARD), "and reset after: {done:?}");
    let console = ["0000:01:00.0", "0000:01:00.1"].map(|console| Some(console.parse().expect("an address")));
    assert!(done.iter().all(|(_, function)| !console.contains(function)), "the console's was not touched: {done:?}");
    metal.is_as_it_was().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_gpu_cannot_be_bound_leaves_the_host_as_it_was() {
    let test = "a_create_whose_gpu_cannot_be_bound_leaves_the_host_as_it_was";
    let Some(metal) = Metal::open(test, "two_rtx").await else { return };
    metal.host.kernel().fail(Step::Unbind, Some(SOUND.parse().expect("an address")), 1);
    assert_eq!(metal.create().await.expect("it is accepted"), ActionStatus::Errored);
    metal.is_as_it_was().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_gpus_cannot_be_handed_out_sells_none() {
    for host in ["no_iommu", "ordinary"] {
        let Some(metal) = Metal::open("a_host_whose_gpus_cannot_be_handed_out_sells_none", host).await else { return };
        let refused = metal.create().await.expect_err("there is none");
        assert!(refused.contains("gpu-tiny"), "{host}: {refused}");
        assert_eq!(metal.host.kernel().done(), [], "{host}");
    }
}
