//! An engine on a data directory of its own, and what tests do with its guests.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dewpoint_clock::SystemClock;
use dewpoint_engine::{
    Engine, ImageName, Ipv4Link, Ipv6Link, MacAddress, MachineId, MachineSpec, Nic, NicKind, Power, PowerState,
    UserDataOutcome,
    conformance::wait_until,
    qemu::{Accelerator, HOST, QemuConfig, QemuEngine},
};

/// How long a guest may take to boot here; some four seconds when nothing else runs.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(90);

pub(crate) const ID: MachineId = MachineId(7);

/// An engine on a data dir of its own, a key to get in, and no machine yet.
pub(crate) struct Lab {
    pub(crate) engine: Arc<QemuEngine>,
    pub(crate) config: QemuConfig,
    key: PathBuf,
    public_key: String,
    pub(crate) top: tempfile::TempDir,
}

impl Lab {
    /// `None`, after saying why, when guests cannot run here.
    pub(crate) async fn open(test: &str) -> Option<Self> {
        let images = match std::env::var_os("DEW_TEST_IMAGES").map(PathBuf::from) {
            Some(images) if images.join("micro-x64/manifest.json").exists() => images,
            Some(images) => return skip(test, &format!("{} holds no micro-x64", images.display())),
            None => return skip(test, "DEW_TEST_IMAGES names no image directory"),
        };
        let top = tempfile::tempdir().expect("a directory");
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        let mut config = QemuConfig::new(top.path().join("data"), images, Arc::new(SystemClock));
        config.accelerator = Some(Accelerator::Tcg);
        // Guests share the processors with each other here, and with the compiler.
        config.flush_limit = BOOT_LIMIT;
        let engine = match QemuEngine::open(config.clone()).await {
            Ok(engine) => Arc::new(engine),
            Err(error) => return skip(test, &error.to_string()),
        };
        let key = top.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).output();
        assert!(made.expect("ssh-keygen runs").status.success());
        let public_key = fs::read_to_string(key.with_extension("pub")).expect("a public key");
        Some(Self { engine, config, key, public_key, top })
    }

    pub(crate) fn spec(&self, user_data: Option<&str>) -> MachineSpec {
        let mut spec = spec();
        spec.ssh_keys.push(self.public_key.clone());
        spec.user_data = user_data.map(str::to_owned);
        spec
    }

    pub(crate) async fn started(&self, user_data: Option<&str>) -> MachineSpec {
        let spec = self.spec(user_data);
        self.engine.ensure(ID, &spec).await.expect("it is made");
        self.engine.power(ID, Power::On).await.expect("it starts");
        spec
    }

    pub(crate) async fn user_data_ended(&self) -> UserDataOutcome {
        wait_until(
            &*self.engine,
            BOOT_LIMIT,
            || format!("user data ended; {}", self.state()),
            async || self.outcome().await != UserDataOutcome::Pending,
        )
        .await;
        self.outcome().await
    }

    pub(crate) async fn outcome(&self) -> UserDataOutcome {
        self.engine.readiness(ID).await.expect("its readiness").user_data
    }

    pub(crate) async fn ssh_answers(&self) {
        self.ssh_answers_at(ID).await;
    }

    pub(crate) async fn ssh_answers_at(&self, id: MachineId) {
        wait_until(
            &*self.engine,
            BOOT_LIMIT,
            || format!("SSH of {id} answers; {}", self.state_of(id)),
            async || self.engine.readiness(id).await.expect("its readiness").ssh,
        )
        .await;
    }

    pub(crate) async fn goes(&self, power: PowerState) {
        wait_until(
            &*self.engine,
            Duration::from_secs(30),
            || format!("{power:?}"),
            async || self.power().await == power,
        )
        .await;
    }

    pub(crate) async fn power(&self) -> PowerState {
        self.engine.observe(ID).await.expect("a look").expect("a machine").power
    }

    /// Where the machine's SSH is.
    pub(crate) async fn ssh_address(&self) -> SocketAddr {
        self.ssh_address_of(ID).await
    }

    async fn ssh_address_of(&self, id: MachineId) -> SocketAddr {
        let access = self.engine.access(id).await.expect("its access");
        access.forwards.iter().find(|forward| forward.guest_port == 22).expect("SSH is forwarded").host
    }

    /// Runs a command in the guest, as anyone would.
    pub(crate) async fn ssh(&self, command: &str) -> String {
        self.ssh_at(ID, command).await
    }

    pub(crate) async fn ssh_at(&self, id: MachineId, command: &str) -> String {
        let Output { status, stdout, stderr } = self.try_ssh_at(id, command).await;
        assert!(status.success(), "{command}: {status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).trim().to_owned()
    }

    /// Waits in the guest until the condition holds there.
    pub(crate) async fn in_guest(&self, machine: MachineId, condition: &str) {
        let wait = format!("timeout 30 sh -c 'until {condition}; do sleep 0.05; done'");
        if !self.try_ssh_at(machine, &wait).await.status.success() {
            let look = "ls -l /dev/sd* /dev/disk/by-id /lib/modules/*; ps; dmesg | tail -n 30";
            let Output { stdout, stderr, .. } = self.try_ssh_at(machine, look).await;
            let (seen, said) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            panic!("not in time in the guest: {condition}\n{seen}{said}");
        }
    }

    pub(crate) async fn try_ssh(&self, command: &str) -> Output {
        self.try_ssh_at(ID, command).await
    }

    async fn try_ssh_at(&self, id: MachineId, command: &str) -> Output {
        let address = self.ssh_address_of(id).await;
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-i"]);
        ssh.arg(&self.key).arg("-o").arg(format!("UserKnownHostsFile={}", self.top.path().join("known").display()));
        ssh.arg("-p").arg(address.port().to_string()).arg(format!("root@{}", address.ip())).arg(command);
        ssh.output().await.expect("ssh runs")
    }

    /// A guest whose disk is another has other keys.
    pub(crate) fn forget_host_keys(&self) {
        // Nobody may have been there yet.
        let _ = fs::remove_file(self.top.path().join("known"));
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir_of(ID)
    }

    pub(crate) fn dir_of(&self, id: MachineId) -> PathBuf {
        self.config.data_dir.join("machines").join(id.to_string())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid_of(ID)
    }

    fn pid_of(&self, id: MachineId) -> u32 {
        let text = fs::read(self.dir_of(id).join("run.json")).expect("a run record");
        let run: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        u32::try_from(run["process"]["pid"].as_u64().expect("a pid")).expect("a pid")
    }

    /// What there is to know when a guest does not do what it should.
    pub(crate) fn state(&self) -> String {
        self.state_of(ID)
    }

    fn state_of(&self, id: MachineId) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let process = read(format!("/proc/{}/stat", self.pid_of(id)).into());
        format!("process: {process}console: {}", read(self.dir_of(id).join("console.log")))
    }

    pub(crate) async fn close(self) {
        for id in self.engine.machines().await.expect("a list") {
            self.engine.destroy(id).await.expect("it is removed");
        }
    }
}

impl Drop for Lab {
    /// A test that failed leaves no guest running.
    fn drop(&mut self) {
        let Ok(machines) = fs::read_dir(self.config.data_dir.join("machines")) else { return };
        for machine in machines.flatten() {
            let run = fs::read(machine.path().join("run.json")).unwrap_or_default();
            let run: serde_json::Value = serde_json::from_slice(&run).unwrap_or_default();
            if let Some(pid) = run["process"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
                && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"qemu-system"))
            {
                pull_the_plug(pid);
            }
        }
    }
}

pub(crate) fn skip<T>(test: &str, why: &str) -> Option<T> {
    // Past the test harness, which would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    None
}

/// A small machine with an address of its own.
pub(crate) fn spec() -> MachineSpec {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Another address for each process too, so that two test runs do not meet.
    let address =
        Ipv4Addr::from_bits(Ipv4Addr::new(127, 80, 0, 0).to_bits() + (std::process::id() % 4096) * 256 + number);
    let tail = u8::try_from(number % 250).expect("below 250");
    let public = Nic {
        kind: NicKind::Public,
        mac: MacAddress([2, 0, 0, 0, 1, tail]),
        ipv4: Some(Ipv4Link { address, netmask: Ipv4Addr::new(255, 0, 0, 0), gateway: Some(Ipv4Addr::LOCALHOST) }),
        ipv6: Some(Ipv6Link {
            address: "fd00:64::5".parse().expect("an address"),
            prefix: 64,
            gateway: "fd00:64::1".parse().expect("an address"),
        }),
    };
    let private = Nic {
        kind: NicKind::Private,
        mac: MacAddress([2, 0, 0, 0, 2, tail]),
        ipv4: Some(Ipv4Link {
            address: Ipv4Addr::new(10, 108, 0, 2),
            netmask: Ipv4Addr::new(255, 255, 240, 0),
            gateway: None,
        }),
        ipv6: None,
    };
    MachineSpec {
        hostname: "web-1".to_owned(),
        host: HOST.to_owned(),
        vcpus: 1,
        memory_mib: 256,
        disk_gib: 3,
        image: ImageName::new("micro-x64").expect("a name"),
        ssh_keys: Vec::new(),
        user_data: None,
        password_hash: None,
        nics: vec![public, private],
        gpus: Vec::new(),
    }
}

pub(crate) fn process_lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) fn pull_the_plug(pid: u32) {
    // The shell's own kill: the program is in a package that a small Debian does not have.
    assert!(Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().expect("sh runs").success());
}
