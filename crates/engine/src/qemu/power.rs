//! Starting machines and ending them: all that is processes.

use std::{convert::Infallible, fs, path::PathBuf, time::Duration};

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use super::{
    Inner, Watch,
    accel::Accelerator,
    command::{self, Line, Wiring, tap_number},
    contain::{Cell, Share, THREADS},
    layers::Layers,
    layout::{MachineDir, io_error, names},
    make::kill,
    network::{
        Links,
        loopback::{choose_ports, forwarded_ports, try_bind},
        public_address,
    },
    process::{self, Process},
    qmp::{Qmp, QmpError},
    record::{ForwardRecord, MachineRecord, RunRecord},
    user::QemuUser,
    volumes::Volume,
};
use crate::{Error, MachineId, MachineSpec};

/// How long QEMU may take to answer one command.
pub(super) const QMP_LIMIT: Duration = Duration::from_secs(10);
/// How long QEMU may take from its start until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often its socket is looked for meanwhile; it takes some 50 ms.
const START_PAUSE: Duration = Duration::from_millis(2);
/// How long QEMU may take to write its caches and end, when the plug is pulled.
const QUIT_LIMIT: Duration = Duration::from_secs(2);
/// How often the power button is pressed; a guest that is still booting does not feel it.
const BUTTON_PAUSE: Duration = Duration::from_secs(5);

impl Inner {
    pub(super) async fn power_on(&self, id: MachineId, watch: &mut Option<Watch>) -> Result<(), Error> {
        let (dir, machine) = self.machine(id)?;
        let (run, process, child) = match self.running(&dir, &machine)? {
            Some((run, process)) => (run, process, None),
            None => {
                let (run, process, child) = self.launch(id, &dir, &machine).await?;
                (run, process, Some(child))
            }
        };
        let subject = self.subject(id, &dir, &machine, &run);
        let identity = process.identity;
        let mut child = child;
        let started = begin(id, &dir, &machine, child.as_mut()).await;
        if let Err(error) = started {
            // A machine that did not start is off; the watch, if any, is of an older process.
            kill(&process).await?;
            if let Some(mut child) = child {
                // Only waited for, so that it leaves no zombie; how it ended is in its last words.
                let _ = child.wait().await;
            }
            return Err(error);
        }
        if watch.as_ref().is_none_or(|watch| watch.identity != identity) {
            *watch = Some(Watch::start(&subject, process, child));
        }
        Ok(())
    }

    /// Starts QEMU, stopped before its first instruction.
    async fn launch(
        &self,
        id: MachineId,
        dir: &MachineDir,
        machine: &MachineRecord,
    ) -> Result<(RunRecord, Process, Child), Error> {
        let accelerator = self.acceleration().await.accelerator;
        let forwards = self.forwards(&machine.spec)?;
        if !machine.spec.gpus.is_empty() && accelerator == Accelerator::Tcg {
            let problem = "guests run without KVM here, which is too slow for one; `dew doctor` says why";
            return Err(Error::host("start a machine with GPUs", problem));
        }
        self.settle_root_disk(id, dir, machine).await?;
        let disk = dir.file(&machine.disk);
        if !disk.try_exists().map_err(|error| io_error("look for a machine's disk", &disk, &error))? {
            let problem = format!("its disk {} is not there: rebuild the Droplet, or restore the file", disk.display());
            return Err(Error::host("start a machine", problem));
        }
        self.make_directory(dir)?;
        self.layers.open_to_qemu(&dir.file(&machine.disk))?;
        self.write_seed(dir, machine)?;
        let user = self.containment.user_of(id);
        self.give_machine(dir, machine, user.as_ref())?;
        for socket in [names::QMP_SOCKET, names::CONSOLE_SOCKET, names::REPORT_SOCKET, names::AGENT_SOCKET] {
            dir.remove(socket)?;
        }
        let volumes = self.volumes_to_start_with(id, user.as_ref()).await?;
        let (wiring, taps) = match &self.links {
            Links::Loopback => (Wiring::User { forwards: &forwards, egress: self.config.guest_egress }, Vec::new()),
            Links::Real(links) => (Wiring::Taps, links.taps(id, &machine.spec).await?),
        };
        let gpus = self.gpus_to_start_with(id, &machine.spec, user.as_ref()).await?;
        let line = Line { id, machine, volumes: &volumes, wiring, gpus: &gpus, accelerator };
        let words = command::line(&line);
        let cell = self.cell(dir, &line, user);
        let (real, started_at) = (self.links.real().is_some(), self.config.clock.now());
        let mut run = RunRecord { process: None, forwards, real, started_at, accelerator };
        dir.write(names::RUN, &run)?;
        let failed = |error: std::io::Error| Error::Host {
            operation: "start QEMU",
            problem: error.to_string(),
            transient: is_shortage(&error),
        };
        // No await from here to the written pid: a caller that goes away cannot come between.
        let output = process::log_to(&dir.file(names::WORDS)).map_err(failed)?;
        let with_taps = |command: &mut Command| {
            output(command);
            let numbered = taps.into_iter().enumerate();
            let taps = numbered.map(|(index, tap)| FdMapping { parent_fd: tap, child_fd: tap_number(index) });
            command.fd_mappings(taps.collect()).expect("no two have one number");
        };
        let child = self.containment.spawn(&words, &cell, with_taps).map_err(failed)?;
        let identity = process::identity_of(&child).map_err(failed)?;
        self.limit(id, machine, accelerator, identity.pid);
        run.process = Some(identity);
        dir.write(names::RUN, &run)?;
        let process = Process::of_child(identity).map_err(failed)?;
        let process = process.ok_or_else(|| Error::Died { id, last_words: dir.last_words() })?;
        Ok((run, process, child))
    }

    /// The ports that lead to a machine by loopback.
    fn forwards(&self, spec: &MachineSpec) -> Result<Vec<ForwardRecord>, Error> {
        match (&self.links, public_address(spec)) {
            (Links::Loopback, Some(address)) => {
                choose_ports(address, &forwarded_ports(&self.config.extra_forward_ports), &try_bind)
            }
            (Links::Loopback, None) | (Links::Real(_), _) => Ok(Vec::new()),
        }
    }

    /// What the machine's process may see and do.
    pub(super) fn cell<'a>(&self, dir: &'a MachineDir, line: &Line<'_>, user: Option<QemuUser>) -> Cell<'a> {
        let machine = line.machine;
        let mut read = Layers::beneath(&dir.file(&machine.disk));
        read.extend(machine.base.direct.iter().flat_map(|direct| [direct.kernel.clone(), direct.initrd.clone()]));
        read.extend(line.volumes.iter().flat_map(Volume::beneath));
        read.extend(line.gpus.reads());
        let mut write: Vec<PathBuf> = line.volumes.iter().map(|volume| volume.directory().to_path_buf()).collect();
        if self.containment.cannot_show_later() {
            read.push(self.layers.directory().to_path_buf());
            write.push(self.layout.volumes());
        }
        let (ports, egress): (Vec<u16>, bool) = match line.wiring {
            Wiring::User { forwards, egress } => (forwards.iter().map(|forward| forward.host.port()).collect(), egress),
            Wiring::Taps => (Vec::new(), false),
        };
        let threads = THREADS + u64::from(machine.spec.vcpus);
        Cell {
            user,
            low_ports: ports.iter().any(|port| *port < 1024),
            directory: dir.path(),
            read,
            devices: line.gpus.files(),
            write,
            ports,
            egress,
            without_network: matches!(line.wiring, Wiring::Taps),
            threads: self.containment.has_own_users().then_some(threads),
            locked: line.gpus.locked(&machine.spec),
            cpus: line.gpus.cpus(),
        }
    }

    /// Sets how much of the host a process that was just started may take, where this host can.
    fn limit(&self, id: MachineId, machine: &MachineRecord, accelerator: Accelerator, pid: i32) {
        let Ok(cgroups) = &self.containment.cgroups else { return };
        let share = Share { vcpus: machine.spec.vcpus, memory_mib: machine.spec.memory_mib, accelerator };
        if let Err(error) = cgroups.hold(machine.uuid, share, pid) {
            warn!(machine.id = %id, error = %error, "Machine {id} runs without limits of its own");
        }
    }

    pub(super) async fn power_off(&self, id: MachineId) -> Result<(), Error> {
        let (dir, machine) = self.machine(id)?;
        let Some((_, process)) = self.running(&dir, &machine)? else { return Ok(()) };
        // Asking QEMU first lets it write its own caches; to the guest it is the plug all the same.
        let asked = timeout(QUIT_LIMIT, async {
            if let Ok(mut qmp) = Qmp::connect(&dir.file(names::QMP_SOCKET), QUIT_LIMIT).await {
                // QEMU may be gone before it has answered.
                let _ = qmp.execute("quit").await;
                process.ended().await;
            }
        });
        let _ = asked.await;
        kill(&process).await
    }

    pub(super) async fn shut_down(&self, id: MachineId) -> Result<(), Error> {
        let (dir, machine) = self.machine(id)?;
        let Some((_, process)) = self.running(&dir, &machine)? else { return Ok(()) };
        let press = async || -> Infallible {
            loop {
                match Qmp::connect(&dir.file(names::QMP_SOCKET), QMP_LIMIT).await {
                    Ok(mut qmp) => {
                        if let Err(error) = qmp.execute("system_powerdown").await {
                            tracing::debug!(machine.id = %id, error = %error, "The power button was not pressed");
                        }
                    }
                    Err(error) => tracing::debug!(machine.id = %id, error = %error, "QEMU was not reached"),
                }
                sleep(BUTTON_PAUSE).await;
            }
        };
        let press = press();
        tokio::select! {
            () = process.ended() => Ok(()),
            never = press => match never {},
            () = sleep(self.config.shutdown_limit) => Err(Error::GuestIgnored(id)),
        }
    }
}

/// Whether the host has too little of something that others give back.
fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN))
}

/// Waits until QEMU listens, makes sure it is this machine's, and lets the guest run.
async fn begin(
    id: MachineId,
    dir: &MachineDir,
    machine: &MachineRecord,
    child: Option<&mut Child>,
) -> Result<(), Error> {
    let failed = |error: QmpError| Error::host("start a machine", error);
    let limit = start_limit(&machine.spec);
    let mut qmp = match child {
        // Cut off at its start, perhaps, and not done with it.
        None if !machine.spec.gpus.is_empty() => first_connection(dir, limit).await.map_err(failed)?,
        None => Qmp::connect(&dir.file(names::QMP_SOCKET), QMP_LIMIT).await.map_err(failed)?,
        Some(child) => tokio::select! {
            biased;
            connected = first_connection(dir, limit) => connected.map_err(failed)?,
            _ = child.wait() => return Err(why_it_died(id, dir, machine)),
        },
    };
    let answer = qmp.execute("query-uuid").await.map_err(failed)?;
    if answer["UUID"] != machine.uuid.to_string() {
        return Err(Error::host("start a machine", format_args!("its socket is answered by {}", answer["UUID"])));
    }
    // Only a machine that was never let run is let run: one that QEMU stopped for a full disk stays stopped.
    let status = qmp.execute("query-status").await.map_err(failed)?;
    if status["status"] == "prelaunch" {
        qmp.execute("cont").await.map_err(failed)?;
    }
    Ok(())
}

/// How long QEMU may take until it answers. With GPUs it has all of the guest's memory to allocate and to pin first, and is
/// given a second for each GiB.
fn start_limit(spec: &MachineSpec) -> Duration {
    if spec.gpus.is_empty() { START_LIMIT } else { START_LIMIT + Duration::from_secs(spec.memory_mib / 1024) }
}

async fn first_connection(dir: &MachineDir, limit: Duration) -> Result<Qmp, QmpError> {
    let socket = dir.file(names::QMP_SOCKET);
    let deadline = Instant::now() + limit;
    // QEMU has its socket before its memory, and says nothing until it has both.
    let patience = if limit > START_LIMIT { limit } else { QMP_LIMIT };
    loop {
        match Qmp::connect(&socket, patience).await {
            Err(QmpError::Io(_)) if Instant::now() < deadline => sleep(START_PAUSE).await,
            result => return result,
        }
    }
}

/// QEMU's last words; a port it could not have is the address's fault, not the machine's.
fn why_it_died(id: MachineId, dir: &MachineDir, machine: &MachineRecord) -> Error {
    let words = fs::read_to_string(dir.file(names::WORDS)).unwrap_or_default();
    match public_address(&machine.spec) {
        Some(address) if words.contains("Could not set up host forwarding rule") => Error::AddressUnusable(address),
        _ => Error::Died { id, last_words: dir.last_words() },
    }
}
