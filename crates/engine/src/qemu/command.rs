//! A machine's QEMU command line, as a pure function of what is known about it.

use super::{
    accel::Accelerator,
    layers::node_of,
    layout::names,
    network::loopback::UserNetwork,
    passthrough::Passed,
    record::{DirectBoot, ForwardRecord, MachineRecord},
    volumes::{Volume, device_words},
};
use crate::{MachineId, NicKind};

/// The program of a machine.
pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// Everything QEMU may not do: fork, exec, change its user, its priorities, or use old system calls.
pub(super) const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// Who says to have built the machine: by this and the serial number guests' cloud-init knows what it is on (MET-7).
const MANUFACTURER: &str = "DigitalOcean";

/// The virtio-serial port over which a guest reports.
pub(super) const REPORT_PORT: &str = "org.dewpoint.report.0";

/// The virtio-serial port of the QEMU guest agent, by the name it looks for.
pub(super) const AGENT_PORT: &str = "org.qemu.guest_agent.0";

/// The SCSI controller that volumes are plugged into; a machine has it also while it has no volume.
pub(super) const VOLUMES: &str = "volumes";

/// What QEMU calls the device of the root disk.
pub(super) const ROOT: &str = "root";

/// What QEMU calls the agent's end of it.
pub(super) const AGENT: &str = "agent";

/// What the command line is made from.
pub(super) struct Line<'a> {
    pub(super) id: MachineId,
    pub(super) machine: &'a MachineRecord,
    /// What is attached to it.
    pub(super) volumes: &'a [Volume],
    pub(super) wiring: Wiring<'a>,
    pub(super) gpus: &'a Passed,
    pub(super) accelerator: Accelerator,
}

/// What its links are plugged into.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wiring<'a> {
    /// QEMU's user networking; private links lead nowhere.
    User {
        forwards: &'a [ForwardRecord],
        /// Whether guests may reach the network, and with it this host's loopback.
        egress: bool,
    },
    /// Taps that the process has open from its start, from [`FIRST_TAP`] on.
    Taps,
}

/// The number under which a process has the tap of its first link open.
pub(super) const FIRST_TAP: i32 = 10;

/// QEMU's words, run in the machine's directory. The machine waits for `cont` before its first instruction.
pub(super) fn line(line: &Line<'_>) -> Vec<String> {
    let spec = &line.machine.spec;
    let mut words = Words::default();
    words.one(PROGRAM);
    words.pair("-name", guest_name(line.id));
    words.pair("-uuid", line.machine.uuid.to_string());
    words.pair("-smbios", format!("type=1,manufacturer={MANUFACTURER},product=Droplet,serial={}", line.id));
    for flag in ["-nodefaults", "-no-user-config", "-S"] {
        words.one(flag);
    }
    words.pair("-display", "none");
    words.pair("-sandbox", SANDBOX);
    let accelerator = line.accelerator.name();
    let memory = line.gpus.machine_words();
    words.pair("-machine", format!("q35,accel={accelerator},vmport=off,smm=off,usb=off,sata=off,smbus=off{memory}"));
    words.pair("-cpu", line.accelerator.cpu());
    words.pair("-smp", spec.vcpus.to_string());
    words.pair("-m", format!("size={}M", spec.memory_mib));
    words.0.extend(line.gpus.memory_words(spec).into_iter().flatten());
    words.pair("-object", "rng-builtin,id=entropy");
    words.pair("-device", "virtio-rng-pci,rng=entropy");
    words.disks(&line.machine.disk);
    words.0.extend(line.volumes.iter().flat_map(device_words));
    for (index, nic) in spec.nics.iter().enumerate() {
        let netdev = match (line.wiring, nic.kind) {
            (Wiring::Taps, _) => format!("tap,id=net{index},fd={}", tap_number(index)),
            (Wiring::User { forwards, egress }, NicKind::Public) => user_network(index, forwards, egress),
            // A hub that nothing else is on: the link is there and leads nowhere.
            (Wiring::User { .. }, NicKind::Private) => format!("hubport,id=net{index},hubid={index}"),
        };
        words.pair("-netdev", netdev);
        words.pair("-device", format!("virtio-net-pci,netdev=net{index},mac={},romfile=", nic.mac));
    }
    words.0.extend(line.gpus.device_words().into_iter().flatten());
    words.sockets();
    if let Some(DirectBoot { kernel, initrd, command_line }) = &line.machine.base.direct {
        words.pair("-kernel", kernel.display().to_string());
        words.pair("-initrd", initrd.display().to_string());
        words.pair("-append", command_line.clone());
    }
    words.0
}

/// What QEMU calls a machine: the value of `-name`.
pub(super) fn guest_name(id: MachineId) -> String {
    format!("guest=dewpoint-{id},debug-threads=on")
}

/// The number under which a process has the tap of its link number `index` open.
pub(super) fn tap_number(index: usize) -> i32 {
    FIRST_TAP + i32::try_from(index).expect("a machine has two links")
}

fn user_network(index: usize, forwards: &[ForwardRecord], egress: bool) -> String {
    let network = UserNetwork::of_link(index);
    let restrict = if egress { "off" } else { "on" };
    let mut netdev = format!(
        "user,id=net{index},ipv6=off,net={},host={},dns={},dhcpstart={},restrict={restrict}",
        network.network(),
        network.host(),
        network.nameserver(),
        network.guest(),
    );
    for forward in forwards {
        let ForwardRecord { guest_port, host } = forward;
        netdev.push_str(&format!(",hostfwd=tcp:{}:{}-{}:{guest_port}", host.ip(), host.port(), network.guest()));
    }
    netdev
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn one(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    fn pair(&mut self, option: &str, value: impl Into<String>) {
        self.one(option);
        self.0.push(value.into());
    }

    fn disks(&mut self, root: &str) {
        let (node, seed) = (node_of(root), names::SEED);
        self.pair(
            "-blockdev",
            format!("driver=qcow2,node-name={node},discard=unmap,file.driver=file,file.filename={root}"),
        );
        self.pair("-device", format!("virtio-blk-pci,id={ROOT},drive={node},bootindex=1"));
        self.pair("-blockdev", format!("driver=raw,node-name=seed,read-only=on,file.driver=file,file.filename={seed}"));
        self.pair("-device", "virtio-blk-pci,drive=seed");
        self.pair("-device", format!("virtio-scsi-pci,id={VOLUMES}"));
    }

    fn sockets(&mut self) {
        for (name, path) in [
            ("qmp", names::QMP_SOCKET),
            ("console", names::CONSOLE_SOCKET),
            ("report", names::REPORT_SOCKET),
            (AGENT, names::AGENT_SOCKET),
        ] {
            self.pair("-chardev", format!("socket,id={name},path={path},server=on,wait=off"));
        }
        self.pair("-mon", "chardev=qmp,mode=control");
        self.pair("-serial", "chardev:console");
        self.pair("-device", "virtio-serial-pci");
        self.pair("-device", format!("virtserialport,chardev=report,name={REPORT_PORT}"));
        self.pair("-device", format!("virtserialport,chardev={AGENT},name={AGENT_PORT}"));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        Ipv4Link, MacAddress, Nic,
        qemu::{images::DiskFormat, record::BaseFiles, test_spec},
    };

    fn record() -> MachineRecord {
        let mut spec = test_spec();
        spec.nics.push(Nic {
            kind: NicKind::Private,
            mac: MacAddress([2, 0, 0, 0, 0, 2]),
            ipv4: Some(Ipv4Link { address: [10, 0, 0, 2].into(), netmask: [255, 255, 240, 0].into(), gateway: None }),
            ipv6: None,
        });
        let base = BaseFiles { disk: "/images/disk".into(), format: DiskFormat::Qcow2, direct: None };
        MachineRecord { uuid: Uuid::from_u128(0xabcd), spec, base, disk: "disk-1.qcow2".to_owned() }
    }

    fn text(machine: &MachineRecord, egress: bool) -> String {
        let forwards = [ForwardRecord { guest_port: 22, host: ([127, 64, 0, 5], 20022).into() }];
        line(&Line {
            id: MachineId(7),
            machine,
            volumes: &[],
            wiring: Wiring::User { forwards: &forwards, egress },
            gpus: &Passed::default(),
            accelerator: Accelerator::Tcg,
        })
        .join(" ")
    }

    #[test]
    fn the_machine_is_sandboxed_and_shut_in() {
        let text = text(&record(), false);
        assert!(text.contains(&format!("-sandbox {SANDBOX}")), "{text}");
        assert!(text.contains("restrict=on,hostfwd=tcp:127.64.0.5:20022-198.18.0.2:22 "), "{text}");
        assert!(text.contains("-netdev hubport,id=net1,hubid=1 "), "{text}");
        assert!(text.contains("-uuid 00000000-0000-0000-0000-00000000abcd "), "{text}");
    }

    #[test]
    fn a_guest_can_tell_which_droplet_it_is_met_7() {
        let text = text(&record(), false);
        assert!(text.contains(" -smbios type=1,manufacturer=DigitalOcean,product=Droplet,serial=7 "), "{text}");
    }

    #[test]
    fn egress_is_let_out_only_when_asked() {
        assert!(text(&record(), true).contains("restrict=off"));
    }

    #[test]
    fn an_image_with_a_kernel_is_booted_by_it() {
        let mut machine = record();
        assert!(!text(&machine, false).contains("-kernel"));
        machine.base.direct = Some(DirectBoot {
            kernel: "/i/vmlinuz".into(),
            initrd: "/i/initrd".into(),
            command_line: "quiet a=b".into(),
        });
        assert!(text(&machine, false).ends_with("-kernel /i/vmlinuz -initrd /i/initrd -append quiet a=b"));
    }
}
