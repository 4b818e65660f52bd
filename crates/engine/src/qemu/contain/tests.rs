//! What a guest that broke out of its QEMU reaches, tried by a program that stands in QEMU's place, against the table in
//! `docs/security.md`; and how a running QEMU is held, read from what the kernel says of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown},
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dewpoint_clock::SystemClock;
use serde::Deserialize;
use serde_json::json;
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::Walls;
use crate::{
    Engine as _, Error, ImageName, MachineId, MachineSpec, Power, Storage as _, VolumeId, VolumeSpec,
    qemu::{
        Accelerator, QemuConfig, QemuEngine,
        command::{Line, Wiring},
        images,
        layers::Layers,
        layout::{MachineDir, names},
        passthrough::Passed,
        record::RunRecord,
        test_spec,
    },
};

/// The guest that broke out, and its neighbour.
const OWN: MachineId = MachineId(7);
const OTHER: MachineId = MachineId(8);

const DOCUMENT: &str = include_str!("../../../../../docs/security.md");

/// Which column of the document's table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Root,
    /// Or one that is held as such a server can hold its machines.
    NotRoot,
}

/// What the document says of each row: whether it is in reach. "no" and "yes" begin a cell; "yes before Linux X" depends.
fn promised(server: Server, landlock: u32) -> BTreeMap<String, bool> {
    let table = DOCUMENT.split("| in reach of a guest that broke out | ").nth(1).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let cell = cells[if server == Server::Root { 1 } else { 2 }];
        let reached = match cell {
            "yes before Linux 7.1" => landlock < 9,
            _ if cell.starts_with("yes") => true,
            _ if cell.starts_with("no") => false,
            other => panic!("{other} says neither yes nor no"),
        };
        (cells[0].to_owned(), reached)
    });
    rows.collect()
}

#[derive(Debug, Deserialize)]
struct Tried {
    reached: bool,
    by: String,
}

struct Bench {
    engine: QemuEngine,
    /// A process of somebody who is no machine.
    bystander: Child,
    attached: VolumeId,
    others: VolumeId,
    top: tempfile::TempDir,
}

fn skip<T>(test: &str, why: &str) -> Option<T> {
    // Past the test harness, which would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    None
}

fn spec() -> MachineSpec {
    let mut spec = test_spec();
    spec.memory_mib = 64;
    spec.disk_gib = 1;
    spec.image = ImageName::new("quiet-x64").expect("a name");
    // Another address for each machine and each process.
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let low = std::process::id() % 4096 * 256 + NEXT.fetch_add(1, Ordering::Relaxed);
    let address = std::net::Ipv4Addr::from_bits(std::net::Ipv4Addr::new(127, 96, 0, 0).to_bits() + low);
    spec.nics[0].ipv4.as_mut().expect("an address").address = address;
    spec
}

impl Bench {
    /// Two machines that run, each with a volume that was plugged in while it did, and a layer beneath its disk.
    async fn open(test: &str, server: Server) -> Option<Self> {
        let top = tempfile::tempdir().expect("a directory");
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        let mut config = QemuConfig::new(top.path().join("data"), top.path().join("images"), Arc::new(SystemClock));
        config.accelerator = Some(Accelerator::Tcg);
        let is_root = nix::unistd::geteuid().is_root();
        match (server, is_root) {
            (Server::Root, false) => return skip(test, "not root"),
            (Server::NotRoot, true) => {
                config.qemu_user = Some("nobody".to_owned());
                config.rules_alone = true;
            }
            _ => {}
        }
        let engine = match QemuEngine::open(config).await {
            Ok(engine) => engine,
            Err(error) => return skip(test, &error.to_string()),
        };
        if engine.inner.containment.landlock < super::rules::WITH_SCOPES {
            return skip(test, "this kernel's Landlock is older than the document's");
        }
        let walls = if server == Server::Root { Walls::Room } else { Walls::Rules };
        if engine.inner.containment.walls != walls {
            return skip(test, &engine.inner.containment.problems.join("; "));
        }
        let mut sleep = Command::new(if server == Server::NotRoot && is_root { "setpriv" } else { "sleep" });
        if server == Server::NotRoot && is_root {
            sleep.args(["--reuid=nobody", "--clear-groups", "sleep"]);
        }
        let bystander = sleep.arg("600").kill_on_drop(true).spawn().expect("a process");
        let [attached, others] = [(), ()].map(|()| VolumeId(Uuid::new_v4()));
        let bench = Self { engine, bystander, attached, others, top };
        bench.make_machines().await;
        Some(bench)
    }

    async fn make_machines(&self) {
        let disk = self.top.path().join("disk");
        // hlt; jmp back: a system that is quiet.
        let mut sector = vec![0; 512];
        sector[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        fs::write(&disk, sector).expect("written");
        images::add(&self.top.path().join("images"), "quiet-x64", &disk, None, "test").expect("an image");
        for (machine, volume) in [(OWN, self.attached), (OTHER, self.others)] {
            self.engine.ensure(machine, &spec()).await.expect("it is made");
            let image = ImageName::own(machine).expect("a name");
            self.engine.snapshot(machine, &image).await.expect("a snapshot");
            self.engine.power(machine, Power::On).await.expect("it starts");
            // From a snapshot, so that a layer is shown with it.
            let volume_spec =
                VolumeSpec { name: "data".to_owned(), size_gib: 2, filesystem: None, source: Some(image) };
            self.engine.ensure_volume(volume, &volume_spec).await.expect("a volume");
            self.engine.attach(volume, machine).await.expect("it is plugged in");
        }
    }

    fn dir(&self, machine: MachineId) -> MachineDir {
        self.engine.inner.layout.machine(machine)
    }

    fn pid(&self, machine: MachineId) -> i32 {
        let run: RunRecord = self.dir(machine).read(names::RUN).expect("readable").expect("a record");
        run.process.expect("a process").pid
    }

    fn volume(&self, id: VolumeId) -> PathBuf {
        let directory = self.top.path().join("data/volumes").join(id.to_string());
        let disk = fs::read_dir(&directory).expect("a list").flatten().map(|entry| entry.path());
        disk.into_iter().find(|path| path.extension().is_some_and(|suffix| suffix == "qcow2")).expect("a disk")
    }

    /// Runs `words` in the place of the machine's QEMU, held as that is, and returns what they say.
    async fn in_the_place_of_qemu(&self, words: &[String]) -> String {
        let inner = &self.engine.inner;
        let (dir, machine) = inner.machine(OWN).expect("a machine");
        let user = inner.containment.user_of(OWN);
        let volumes = inner.volumes_of(OWN).expect("a list");
        let accelerator = Accelerator::Tcg;
        let line = Line {
            id: OWN,
            machine: &machine,
            volumes: &volumes,
            wiring: Wiring::User { forwards: &[], egress: false },
            gpus: &Passed::default(),
            accelerator,
        };
        let cell = inner.cell(&dir, &line, user);
        let set = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        };
        let child = inner.containment.spawn(words, &cell, set).expect("it starts");
        let ended = tokio::time::timeout(Duration::from_secs(180), child.wait_with_output()).await;
        let output = ended.expect("in time").expect("its output");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    async fn close(mut self) {
        for machine in [OWN, OTHER] {
            self.engine.destroy(machine).await.expect("it is removed");
        }
        let _ = self.bystander.kill().await;
    }
}

impl Drop for Bench {
    /// A test that failed leaves no QEMU running.
    fn drop(&mut self) {
        for machine in [OWN, OTHER] {
            let Ok((dir, record)) = self.engine.inner.machine(machine) else { continue };
            if let Ok(Some((_, process))) = self.engine.inner.running(&dir, &record) {
                process.kill();
            }
        }
    }
}

/// Files that are open to everyone on this host: it is not their modes that keep QEMU from them.
fn open_to_all(paths: &[&Path]) {
    for path in paths {
        fs::write(path, "secret").expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("a mode");
    }
}

async fn try_everything(test: &str, server: Server) {
    if !Path::new("/usr/bin/python3").exists() {
        return skip(test, "there is no python3 to try it with").unwrap_or_default();
    }
    let Some(bench) = Bench::open(test, server).await else { return };
    let top = bench.top.path();
    let (data, home) = (top.join("data"), top.join("home"));
    fs::create_dir(&home).expect("a directory");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).expect("a mode");
    let (store, token, note) = (data.join("dewpoint.db"), data.join("admin-token"), home.join("note"));
    let left_open = bench.dir(OTHER).file("left-open");
    open_to_all(&[&store, &token, &note, &left_open]);
    let (tcp, free) = (TcpListener::bind("127.0.0.1:0").expect("a port"), TcpListener::bind("127.0.0.1:0"));
    let free_port = free.expect("a port").local_addr().expect("an address").port();
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let unix = home.join("socket");
    let _unix = UnixListener::bind(&unix).expect("a socket");
    fs::set_permissions(&unix, fs::Permissions::from_mode(0o777)).expect("a mode");
    let name = format!("dewpoint-test-{}-{server:?}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _abstract = UnixListener::bind_addr(&address).expect("a socket");

    let (own, other) = (bench.dir(OWN), bench.dir(OTHER));
    let disk = |machine| bench.engine.inner.machine(machine).expect("a machine").1.disk;
    let beneath = Layers::beneath(&own.file(&disk(OWN)));
    assert!(beneath.len() > 1, "a layer and a base image: {beneath:?}");
    let others_layer = Layers::beneath(&other.file(&disk(OTHER))).remove(0);
    let promised = promised(server, bench.engine.inner.containment.landlock);
    let sockets = [names::QMP_SOCKET, names::CONSOLE_SOCKET, names::REPORT_SOCKET, names::AGENT_SOCKET];
    let there = json!({
        "rows": promised.keys().collect::<Vec<_>>(),
        "host_files": [Path::new("/etc/passwd"), Path::new("/etc/shadow"), &note],
        "dew_files": [store, token],
        "other_files": [other.file(&disk(OTHER)), other.file(names::SEED), other.file(names::MACHINE), left_open],
        "other_sockets": sockets.map(|socket| other.file(socket)),
        "other_volume": bench.volume(bench.others),
        "other_layer": [others_layer, data.join("layers/own-8.json")],
        "own_records": [own.file(names::MACHINE), own.file(names::RUN)],
        "own_beneath": beneath,
        "own_files": [own.file(&disk(OWN)), own.file(names::SEED), bench.volume(bench.attached)],
        "own_seed": own.file(names::SEED),
        "host_process": bench.bystander.id(),
        "other_process": bench.pid(OTHER),
        "tcp": tcp.local_addr().expect("an address").port(),
        "free_port": free_port,
        "udp": udp.local_addr().expect("an address").port(),
        "unix": unix,
        "abstract": name,
    });
    if let (Server::NotRoot, Some(user)) = (server, &bench.engine.inner.user) {
        // Such a server's files are all its own user's, who QEMU is too.
        for file in [names::MACHINE, names::RUN].map(|record| own.file(record)) {
            chown(file, Some(user.uid), None).expect("given");
        }
    }
    let words = ["python3", "-I", "-S", "-c", include_str!("probe.py"), &there.to_string()].map(str::to_owned);
    let said = bench.in_the_place_of_qemu(&words).await;
    let tried: BTreeMap<String, Tried> = serde_json::from_str(&said).expect("what was tried");
    let (known, rows): (BTreeSet<_>, BTreeSet<_>) = (tried.keys().collect(), promised.keys().collect());
    assert_eq!(known, rows, "rows of docs/security.md that the probe does not try");
    for (row, reached) in &promised {
        let Tried { reached: was, by } = &tried[row];
        assert_eq!(was, reached, "{row}, {server:?}: {by}");
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_breaks_out_reaches_what_the_document_says() {
    try_everything("a_guest_that_breaks_out_reaches_what_the_document_says", Server::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_breaks_out_under_a_server_without_root_reaches_what_the_document_says() {
    let test = "a_guest_that_breaks_out_under_a_server_without_root_reaches_what_the_document_says";
    try_everything(test, Server::NotRoot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_made_to_lead_elsewhere_leads_nowhere() {
    let test = "a_disk_that_was_made_to_lead_elsewhere_leads_nowhere";
    let Some(bench) = Bench::open(test, Server::Root).await else { return };
    let (_, other) = bench.engine.inner.machine(OTHER).expect("a machine");
    let others_layer = Layers::beneath(&bench.dir(OTHER).file(&other.disk)).remove(0);
    let (dir, machine) = bench.engine.inner.machine(OWN).expect("a machine");
    bench.engine.power(OWN, Power::Off).await.expect("it goes off");
    let mut rebase = Command::new("qemu-img");
    rebase.args(["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(&others_layer).arg(dir.file(&machine.disk));
    assert!(rebase.status().await.expect("qemu-img runs").success());

    let started = bench.engine.power(OWN, Power::On).await;
    assert!(
        matches!(&started, Err(Error::Died { last_words, .. }) if last_words.contains("No such file")),
        "{started:?}"
    );
    let larger = MachineSpec { disk_gib: 2, ..machine.spec.clone() };
    let grown = bench.engine.change(OWN, &larger).await.expect_err("qemu-img would follow it");
    assert!(grown.to_string().contains("does not lead to where it was made to"), "{grown}");
    // What is an image of it leads nowhere else either.
    let image = ImageName::own("stolen").expect("a name");
    bench.engine.snapshot(OWN, &image).await.expect("a snapshot");
    let thief = MachineId(9);
    bench.engine.ensure(thief, &MachineSpec { image, ..spec() }).await.expect("it is made");
    let started = bench.engine.power(thief, Power::On).await;
    assert!(
        matches!(&started, Err(Error::Died { last_words, .. }) if last_words.contains("No such file")),
        "{started:?}"
    );
    bench.engine.destroy(thief).await.expect("it is removed");
    bench.close().await;
}

/// A field of `/proc/PID/status`, its words apart.
fn status(pid: i32, field: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_else(|| panic!("no {field}"));
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_qemu_is_held_as_the_kernel_says() {
    let Some(bench) = Bench::open("a_running_qemu_is_held_as_the_kernel_says", Server::Root).await else { return };
    let (own, other) = (bench.pid(OWN), bench.pid(OTHER));
    for pid in [own, other] {
        assert_eq!(status(pid, "NoNewPrivs:"), ["1"]);
        assert_eq!(status(pid, "Seccomp:"), ["2"], "its system calls are filtered");
        assert!(status(pid, "Groups:").is_empty());
        // To bind ports below 1024, or nothing at all.
        let effective = u64::from_str_radix(&status(pid, "CapEff:")[0], 16).expect("a number");
        assert_eq!(effective & !(1 << 10), 0, "{effective:x}");
    }
    let (uids, others) = (status(own, "Uid:"), status(other, "Uid:"));
    if bench.engine.inner.containment.has_own_users() {
        assert_eq!(uids, ["1900000007"; 4].map(str::to_owned));
        assert_ne!(uids, others);
    }

    let data = bench.top.path().join("data").canonicalize().expect("a path");
    let mounts = fs::read_to_string(format!("/proc/{own}/mountinfo")).expect("mounts");
    let seen: BTreeSet<PathBuf> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect();
    let ours: Vec<&PathBuf> = seen.iter().filter(|path| path.starts_with(&data)).collect();
    let volume = bench.volume(bench.attached).canonicalize().expect("a path");
    assert!(ours.contains(&&data.join("machines/7")), "{mounts}");
    assert!(ours.contains(&&volume.parent().expect("a directory").to_path_buf()), "{mounts}");
    assert!(ours.iter().all(|path| !path.starts_with(data.join("machines/8"))), "{mounts}");
    assert!(!seen.contains(Path::new("/proc")) && !seen.contains(Path::new("/run")), "{mounts}");
    for namespace in ["mnt", "ipc", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).expect("a namespace");
        assert_ne!(of(&own.to_string()), of("self"), "{namespace}");
        assert_ne!(of(&own.to_string()), of(&other.to_string()), "{namespace}");
    }

    let environment = fs::read(format!("/proc/{own}/environ")).expect("its environment");
    let names: Vec<_> = environment.split(|&byte| byte == 0).filter(|word| !word.is_empty()).collect();
    assert!(matches!(&names[..], [path] if path.starts_with(b"PATH=")), "{:?}", String::from_utf8_lossy(&environment));
    let limits = fs::read_to_string(format!("/proc/{own}/limits")).expect("its limits");
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("a limit");
        line.split_ascii_whitespace().next().expect("a number").to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max open files"), super::files().to_string());
    assert_eq!(limit("Max processes"), (super::THREADS + 1).to_string());

    // Files of its own, and files of no name: nothing that the server has open, whose end of its sockets is not here.
    let mut places = vec![data.join("machines/7"), volume.parent().expect("a directory").to_path_buf()];
    places.push(data.join("layers"));
    places.push(bench.top.path().join("images/quiet-x64"));
    let files = places.iter().flat_map(|place| fs::read_dir(place).expect("a list").flatten());
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let known: BTreeSet<_> =
        files.filter_map(|entry| identity(&entry.path())).chain(identity(Path::new("/dev/null"))).collect();
    // What whoever started this program left open in it is beyond the engine; the engine's log says so.
    let inherited = super::inherited();
    for entry in fs::read_dir(format!("/proc/{own}/fd")).expect("its files").flatten() {
        let Ok(file) = fs::read_link(entry.path()) else { continue };
        let name = file.display().to_string();
        let nameless = ["socket:", "anon_inode:", "/memfd:"].iter().any(|kind| name.starts_with(kind));
        let own = identity(&entry.path()).is_some_and(|file| known.contains(&file));
        assert!(nameless || own || inherited.contains(&file), "{name}");
    }
    if let Ok(cgroups) = &bench.engine.inner.containment.cgroups {
        let (_, machine) = bench.engine.inner.machine(OWN).expect("a machine");
        let held = fs::read_to_string(cgroups.of(machine.uuid).join("cgroup.procs")).expect("a cgroup");
        assert!(held.lines().any(|line| line == own.to_string()), "{held}");
    }

    bench.engine.detach(bench.attached, OWN).await.expect("it is taken away");
    let mounts = fs::read_to_string(format!("/proc/{own}/mountinfo")).expect("mounts");
    assert!(!mounts.contains(&bench.attached.to_string()), "{mounts}");
    bench.close().await;
}
