//! An engine that may fetch from the loopback, and disks to give it.

use std::{
    fs,
    io::{Read, Write},
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dewpoint_clock::SystemClock;
use dewpoint_engine::{
    Error, ImageFacts, ImageName, Ipv4Link, Ipv6Link, MacAddress, MachineSpec, Nic, NicKind, Storage,
    qemu::{Accelerator, HOST, ImportLimits, QemuConfig, QemuEngine},
};

pub(crate) const MIB: u64 = 1 << 20;

/// The most that is taken in these tests.
pub(crate) const MOST: u64 = 48 * MIB;

pub(crate) struct Lab {
    pub(crate) engine: Arc<QemuEngine>,
    pub(crate) config: QemuConfig,
    pub(crate) top: tempfile::TempDir,
}

impl Lab {
    /// `None`, after saying why, where QEMU cannot run.
    pub(crate) async fn open(test: &str) -> Option<Self> {
        Self::open_with(test, |_| {}).await
    }

    pub(crate) async fn open_with(test: &str, change: impl FnOnce(&mut QemuConfig)) -> Option<Self> {
        let top = tempfile::tempdir().expect("a directory");
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        let mut config = QemuConfig::new(top.path().join("data"), top.path().join("images"), Arc::new(SystemClock));
        config.accelerator = Some(Accelerator::Tcg);
        config.import_allow_from = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network")).to_vec();
        config.import_limits = ImportLimits {
            max_bytes: MOST,
            keep_free: 0,
            retries: 3,
            retry_pause: Duration::from_millis(1),
            ..ImportLimits::default()
        };
        change(&mut config);
        match QemuEngine::open(config.clone()).await {
            Ok(engine) => Some(Self { engine: Arc::new(engine), config, top }),
            Err(error) => {
                // Past the test harness, which would swallow it.
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {error}");
                None
            }
        }
    }

    pub(crate) async fn import(&self, url: &str) -> Result<ImageFacts, Error> {
        self.engine.import(&image(), url).await
    }

    /// Why the import of `url` is refused. Nothing may be left of it.
    pub(crate) async fn refused(&self, url: &str) -> String {
        match self.import(url).await {
            Err(Error::ImportRefused(why)) => {
                self.nothing_is_left().await;
                why
            }
            other => panic!("{url}: {other:?}"),
        }
    }

    pub(crate) async fn nothing_is_left(&self) {
        assert_eq!(self.engine.images().await.expect("a list"), []);
        for name in ["import", "layers"] {
            assert_eq!(self.files(name), Vec::<PathBuf>::new());
        }
    }

    /// What is in a directory of the data directory.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.config.data_dir.join(name)).expect("a list");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// The imported image holds just these bytes.
    pub(crate) fn holds(&self, disk: &[u8]) {
        let layer = self.files("layers").into_iter().find(|path| path.extension().is_some_and(|word| word == "qcow2"));
        let (layer, raw) = (layer.expect("a layer"), self.top.path().join("expected"));
        fs::write(&raw, disk).expect("written");
        let mut compare = Command::new("qemu-img");
        compare.args(["compare", "-f", "raw", "-F", "qcow2"]).arg(&raw).arg(&layer);
        let compared = compare.output().expect("qemu-img runs");
        assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
        assert_eq!(self.files("import"), Vec::<PathBuf>::new());
    }

    /// An image as `qemu-img` makes it from `disk`.
    pub(crate) fn converted(&self, disk: &[u8], arguments: &[&str]) -> Vec<u8> {
        let made = tempfile::tempdir_in(self.top.path()).expect("a directory");
        fs::write(made.path().join("raw"), disk).expect("written");
        qemu_img(made.path(), &[&["convert", "-f", "raw", "-O"], arguments, &["raw", "image"]].concat());
        fs::read(made.path().join("image")).expect("an image")
    }

    /// An image as `qemu-img create` makes it.
    pub(crate) fn created(&self, arguments: &[&str]) -> Vec<u8> {
        let made = tempfile::tempdir_in(self.top.path()).expect("a directory");
        qemu_img(made.path(), &[&["create", "-q", "-f"], arguments].concat());
        fs::read(made.path().join("image")).expect("an image")
    }
}

fn qemu_img(directory: &Path, arguments: &[&str]) {
    let output = Command::new("qemu-img").args(arguments).current_dir(directory).output().expect("qemu-img runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The name everything here is imported by.
pub(crate) fn image() -> ImageName {
    ImageName::own("7").expect("a name")
}

/// A disk with a partition table's mark, text that packs, noise that does not, and room between them.
pub(crate) fn disk() -> Vec<u8> {
    let mut disk = vec![0; 9 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[3 << 20..4 << 20].fill(b'x');
    let mut state = 7_u64;
    for word in disk[5 << 20..7 << 20].chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    disk
}

pub(crate) fn gzip(bytes: impl Read) -> Vec<u8> {
    packed(flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()))
}

pub(crate) fn bzip2(bytes: impl Read) -> Vec<u8> {
    packed(bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast()))
}

fn packed(mut encoder: impl Read) -> Vec<u8> {
    let mut packed = Vec::new();
    encoder.read_to_end(&mut packed).expect("packed");
    packed
}

/// A small machine of the imported image, with an address of its own.
pub(crate) fn spec() -> MachineSpec {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Another address for each process too, so that two test runs do not meet.
    let first = Ipv4Addr::new(127, 100, 0, 0).to_bits();
    let address = Ipv4Addr::from_bits(first + (std::process::id() % 4096) * 256 + number);
    let ipv6 = Ipv6Link {
        address: "fd00:64::5".parse().expect("an address"),
        prefix: 64,
        gateway: "fd00:64::1".parse().expect("an address"),
    };
    let ipv4 = Ipv4Link { address, netmask: Ipv4Addr::new(255, 0, 0, 0), gateway: Some(Ipv4Addr::LOCALHOST) };
    MachineSpec {
        hostname: "web-1".to_owned(),
        host: HOST.to_owned(),
        vcpus: 1,
        memory_mib: 128,
        disk_gib: 1,
        image: image(),
        ssh_keys: Vec::new(),
        user_data: None,
        password_hash: None,
        nics: vec![Nic {
            kind: NicKind::Public,
            mac: MacAddress([2, 0, 0, 0, 3, 1]),
            ipv4: Some(ipv4),
            ipv6: Some(ipv6),
        }],
        gpus: Vec::new(),
    }
}
