//! What QEMU is told for a machine with GPUs, as pure functions of what the host says of them.
//!
//! - Each card sits behind a PCIe root port of its own, all its functions in one slot, as on the host.
//! - The window for memory above 4 GiB is made as large as the cards' own windows need. Guests here start with SeaBIOS, which
//!   places windows of any size there; `pci-hole64-size` has QEMU keep the room, tell the guest's kernel of it, and refuse to
//!   start when the processor cannot address so much. (`opt/ovmf/X-PciMmio64Mb` is OVMF's, and would do nothing.)
//! - All of the guest's memory is there from the start: a GPU writes to it by itself, so vfio pins every page. Allocating it
//!   first makes a host with too little of it fail with a clear word. `mem-lock=on` is not needed beside that, and would count
//!   QEMU's own memory and the windows against the limit as well.
//! - The memory is the GPUs' NUMA node's, and the processors too, when they are on one; else it is spread over all theirs.

use std::path::PathBuf;

use dewpoint_gpu::{Function, Handed, Node};

use crate::MachineSpec;

/// NVIDIA's number.
const NVIDIA: u16 = 0x10de;

const GIB: u64 = 1 << 30;

/// What QEMU keeps above memory for PCI when it is not told otherwise.
const USUAL_WINDOW: u64 = 32 * GIB;

/// How much more than the guest's memory may be locked: what vfio and QEMU pin beside it.
const LOCKED_BESIDE: u64 = GIB;

/// Most threads that allocate memory at a start.
const THREADS: u32 = 16;

/// The GPUs of a machine and where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Its GPUs, in the order of the spec, and the NVSwitches that go with them.
    pub(super) devices: Vec<Handed>,
    /// The NUMA nodes they are on; empty when the host has one, or does not say.
    pub(super) nodes: Vec<Node>,
}

impl Passed {
    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    fn functions(&self) -> impl Iterator<Item = &Function> {
        self.devices.iter().flat_map(|device| &device.functions)
    }

    /// What `-machine` gets beside the rest.
    pub(super) fn machine_words(&self) -> &'static str {
        if self.is_empty() { "" } else { ",memory-backend=memory" }
    }

    /// The guest's memory, and the room for its cards' windows.
    pub(super) fn memory_words(&self, spec: &MachineSpec) -> Vec<[String; 2]> {
        if self.is_empty() {
            return Vec::new();
        }
        let threads = spec.vcpus.clamp(1, THREADS);
        let place = self.placement(spec.memory_mib);
        let memory = format!(
            "memory-backend-ram,id=memory,size={}M,prealloc=on,prealloc-threads={threads}{place}",
            spec.memory_mib
        );
        let window = format!("q35-pcihost.pci-hole64-size={}G", self.window().div_ceil(GIB));
        vec![["-object".to_owned(), memory], ["-global".to_owned(), window]]
    }

    /// On one node all of it, if it has so much; of several an equal part of each.
    fn placement(&self, memory_mib: u64) -> String {
        match self.nodes.as_slice() {
            [] => String::new(),
            // Of another node rather than not at all.
            [node] if node.memory_mib < memory_mib => format!(",host-nodes={},policy=preferred", node.number),
            [node] => format!(",host-nodes={},policy=bind", node.number),
            nodes => {
                let nodes: String = nodes.iter().map(|node| format!(",host-nodes={}", node.number)).collect();
                format!("{nodes},policy=interleave")
            }
        }
    }

    /// Room for every card's windows. A port's own is as large as what is behind it, and begins at a multiple of the largest.
    fn window(&self) -> u64 {
        let of_card = |device: &Handed| {
            let all: u64 = device.functions.iter().flat_map(|function| &function.windows).sum();
            all.next_power_of_two()
        };
        USUAL_WINDOW + self.devices.iter().map(of_card).sum::<u64>()
    }

    /// The cards, each behind its port.
    pub(super) fn device_words(&self) -> Vec<[String; 2]> {
        let mut words = Vec::new();
        for (index, device) in self.devices.iter().enumerate() {
            let number = index + 1;
            words.push(format!("pcie-root-port,id=card{number},bus=pcie.0,chassis={number},slot={number}"));
            let several = device.functions.len() > 1;
            for function in &device.functions {
                let place = function.address.function();
                let mut word = format!(
                    "vfio-pci,host={},id=card{number}.{place},bus=card{number},addr=00.{place}",
                    function.address
                );
                if several && place == 0 {
                    word.push_str(",multifunction=on");
                }
                // Its firmware's picture program is for a host's start. In a guest nobody sees it, and SeaBIOS would run it.
                if function.vendor == NVIDIA {
                    word.push_str(",rombar=0");
                }
                words.push(word);
            }
        }
        words.into_iter().map(|word| ["-device".to_owned(), word]).collect()
    }

    /// How many bytes its process may lock; nothing without GPUs.
    pub(super) fn locked(&self, spec: &MachineSpec) -> Option<u64> {
        (!self.is_empty()).then(|| (spec.memory_mib << 20) + LOCKED_BESIDE)
    }

    /// The processors it runs on, as taskset(1) takes them; any when its GPUs are on several nodes.
    pub(super) fn cpus(&self) -> Option<String> {
        match self.nodes.as_slice() {
            [node] if !node.cpus.is_empty() => Some(node.cpus.clone()),
            _ => None,
        }
    }

    /// The device files its process opens.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut groups: Vec<u32> = self.functions().filter_map(|function| function.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let groups = groups.into_iter().map(|group| format!("/dev/vfio/{group}"));
        ["/dev/vfio/vfio".to_owned()].into_iter().chain(groups).map(PathBuf::from).collect()
    }

    /// What its process reads of sysfs: which group a function is in.
    pub(super) fn reads(&self) -> Vec<PathBuf> {
        self.functions().map(|function| format!("/sys/bus/pci/devices/{}", function.address).into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use dewpoint_gpu::recorded::RecordedHost;
    use uuid::Uuid;

    use super::*;
    use crate::{
        GpuAddress, MachineId,
        qemu::{
            accel::Accelerator,
            command::{Line, PROGRAM, Wiring, line},
            gpus::passed,
            images::DiskFormat,
            record::{BaseFiles, MachineRecord},
            test_spec,
        },
    };

    const ID: MachineId = MachineId(7);

    /// A machine of a recorded host, with its GPUs as they are handed to its process.
    struct Machine {
        record: MachineRecord,
        passed: Passed,
    }

    impl Machine {
        fn new(host: &str, memory_mib: u64, pick: impl Fn(&[GpuAddress]) -> Vec<GpuAddress>) -> Self {
            let (host, data) = (RecordedHost::new(host), tempfile::tempdir().expect("a directory"));
            let host = host.gpus(data.path());
            let all: Vec<GpuAddress> = host.look().expect("a look").iter().map(|seen| seen.gpu.address).collect();
            let gpus = pick(&all);
            host.take(ID.0, &gpus).expect("taken");
            let passed = passed(&host, ID, &gpus, Some(1_900_000_007)).expect("handed over");
            let spec = MachineSpec { vcpus: 20, memory_mib, gpus, nics: Vec::new(), ..test_spec() };
            let base = BaseFiles { disk: "/images/disk".into(), format: DiskFormat::Qcow2, direct: None };
            let record = MachineRecord { uuid: Uuid::from_u128(7), spec, base, disk: "disk-1.qcow2".to_owned() };
            Self { record, passed }
        }

        /// The whole command line, an option a line.
        fn line(&self) -> String {
            let wiring = Wiring::User { forwards: &[], egress: false };
            let (volumes, gpus, accelerator) = (&[], &self.passed, Accelerator::Kvm);
            let words = line(&Line { id: ID, machine: &self.record, volumes, wiring, gpus, accelerator });
            words.join(" ").replace(" -", "\n-")
        }
    }

    #[test]
    fn one_h100_of_eight_is_alone_with_the_memory_and_the_processors_of_its_node() {
        let machine = Machine::new("hgx_h100", 245_760, |all| vec![all[5]]);
        insta::assert_snapshot!("one_h100", machine.line());
        assert_eq!(machine.passed.cpus().as_deref(), Some("56-111,168-223"));
        assert_eq!(machine.passed.locked(&machine.record.spec), Some((240 << 30) + (1 << 30)));
        assert_eq!(machine.passed.files(), [PathBuf::from("/dev/vfio/vfio"), "/dev/vfio/51".into()]);
        assert_eq!(machine.passed.reads(), [PathBuf::from("/sys/bus/pci/devices/0000:ab:00.0")]);
    }

    #[test]
    fn eight_h100_come_with_their_switches_and_memory_of_both_nodes() {
        let machine = Machine::new("hgx_h100", 1_966_080, |all| all.to_vec());
        insta::assert_snapshot!("eight_h100", machine.line());
        assert_eq!(machine.passed.cpus(), None);
        assert_eq!(machine.passed.files().len(), 13);
    }

    #[test]
    fn a_card_with_sound_is_one_device_with_two_functions() {
        let machine = Machine::new("two_rtx", 65_536, |all| vec![all[1]]);
        insta::assert_snapshot!("rtx", machine.line());
        assert_eq!(machine.passed.files(), [PathBuf::from("/dev/vfio/vfio"), "/dev/vfio/15".into()]);
        assert_eq!(machine.passed.reads().len(), 2);
    }

    #[test]
    fn eight_mi300x_have_room_for_their_windows() {
        let machine = Machine::new("mi300x", 1_966_080, |all| all.to_vec());
        insta::assert_snapshot!("eight_mi300x", machine.line());
    }

    /// The words that are about GPUs, and those that they need, given to QEMU: it misses the card, and nothing else.
    #[test]
    fn qemu_understands_every_word() {
        let machine = Machine::new("two_rtx", 64, |all| vec![all[1]]);
        let all = machine.line().replace("accel=kvm", "accel=tcg").replace("-cpu host", "-cpu max");
        let needed =
            ["-nodefaults", "-S", "-display", "-sandbox", "-machine", "-cpu", "-smp", "-m ", "-object", "-global"];
        let about = |line: &&str| {
            needed.iter().any(|word| line.starts_with(word))
                || line.contains("pcie-root-port")
                || line.contains("vfio-pci")
        };
        let words = all.lines().filter(about).flat_map(str::split_ascii_whitespace);
        let ran = std::process::Command::new(PROGRAM).args(words).stdin(std::process::Stdio::null()).output();
        let Ok(ran) = ran else {
            // Past the test harness, which would swallow it.
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "SKIPPED qemu_understands_every_word: {PROGRAM} is not there");
            return;
        };
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains("-device vfio-pci,host=0000:41:00.0,id=card1.0"), "{said}");
        assert!(said.contains("no such host device") && said.lines().count() <= 2, "{said}");
    }

    #[test]
    fn guests_see_gpus_in_the_order_of_their_spec() {
        let machine = Machine::new("mi300x", 65_536, |all| vec![all[2], all[0]]);
        let line = machine.line();
        let at = |address: &str| line.find(&format!("vfio-pci,host={address}")).expect("it is there");
        assert!(at("0000:46:00.0") < at("0000:05:00.0"), "{line}");
    }

    #[test]
    fn more_memory_than_the_node_has_comes_from_others_too() {
        let machine = Machine::new("hgx_h100", 1_966_080, |all| vec![all[0]]);
        assert!(machine.line().contains(",host-nodes=0,policy=preferred"), "{}", machine.line());
    }

    #[test]
    fn without_gpus_nothing_is_said_of_them() {
        let passed = Passed::default();
        let spec = test_spec();
        assert_eq!((passed.machine_words(), passed.locked(&spec), passed.cpus()), ("", None, None));
        assert!(passed.memory_words(&spec).is_empty() && passed.device_words().is_empty());
        assert!(passed.files().is_empty() && passed.reads().is_empty());
    }
}
