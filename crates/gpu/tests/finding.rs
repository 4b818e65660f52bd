//! What is found on recorded hosts: their GPUs, and what is in the way of each.

use dewpoint_gpu::{Gpu, Inventory, PciAddress, recorded::RecordedHost};

fn look(name: &str) -> Inventory {
    Inventory::look(&RecordedHost::new(name).root()).expect("a look")
}

/// What is found when a recorded host's lines are a little different.
fn look_at(name: &str, change: impl Fn(&str) -> String) -> Inventory {
    let lines = change(dewpoint_gpu::recorded::lines(name));
    assert_ne!(lines, dewpoint_gpu::recorded::lines(name), "the change changes something");
    Inventory::look(&RecordedHost::of(&lines).root()).expect("a look")
}

fn at(text: &str) -> PciAddress {
    text.parse().expect("an address")
}

fn obstacles(gpu: &Gpu) -> Vec<String> {
    gpu.obstacles.iter().map(ToString::to_string).collect()
}

fn obstacles_of(inventory: &Inventory, address: &str) -> Vec<String> {
    obstacles(inventory.gpu(at(address)).expect("the GPU"))
}

#[test]
fn eight_h100_are_ready_each_with_its_own_group_and_the_node_it_is_on() {
    let found = look("hgx_h100");
    assert_eq!(found.gpus.len(), 8);
    for gpu in &found.gpus {
        assert_eq!((gpu.model.as_str(), gpu.memory_mib, gpu.driver()), ("nvidia_h100", 81_920, Some("nvidia")));
        assert_eq!((gpu.functions.len(), gpu.groups.len()), (1, 1));
        assert_eq!(obstacles(gpu), [""; 0], "{}", gpu.address);
    }
    let nodes: Vec<Option<u32>> = found.gpus.iter().map(|gpu| gpu.node).collect();
    assert_eq!(nodes, [0, 0, 0, 0, 1, 1, 1, 1].map(Some));
    assert_eq!(found.nodes[1].cpus, "56-111,168-223");
    assert_eq!(found.nodes[1].memory_mib, 1_048_576);
}

#[test]
fn nvswitches_go_with_all_eight_and_with_no_fewer() {
    let found = look("hgx_h100");
    let all: Vec<PciAddress> = found.gpus.iter().map(|gpu| gpu.address).collect();
    assert_eq!(found.switches_of(&all).len(), 4);
    assert!(found.switches_of(&all[..7]).is_empty());
    assert!(found.gpu(at("0000:05:00.0")).is_none(), "a switch is no GPU");
    assert!(look("mi300x").switches_of(&[]).is_empty());
}

#[test]
fn of_two_cards_the_consoles_is_the_hosts_and_the_other_is_ready_with_its_sound() {
    let found = look("two_rtx");
    let why = obstacles_of(&found, "0000:01:00.0");
    assert!(why[0].starts_with("it drives this host's console: the firmware chose it"), "{why:?}");
    assert!(why[1].contains("the host uses it: Xorg (1204)"), "{why:?}");
    let free = found.gpu(at("0000:41:00.0")).expect("the other");
    assert_eq!(obstacles(free), [""; 0]);
    assert_eq!(free.model, "nvidia_rtx6000_ada");
    let functions: Vec<PciAddress> = free.functions.iter().map(|function| function.address).collect();
    assert_eq!(functions, [at("0000:41:00.0"), at("0000:41:00.1")]);
    assert!(found.switches.is_empty());
}

#[test]
fn a_frame_buffer_or_a_lit_screen_is_a_console_too() {
    let with_buffer = look_at("two_rtx", |lines| lines.replace("minor=1", "minor=1 fb=1"));
    let why = obstacles_of(&with_buffer, "0000:41:00.0");
    assert!(why[0].contains("the kernel's frame buffer fb1 is on it"), "{why:?}");
    let with_screen = look_at("two_rtx", |lines| lines.replace("minor=1", "minor=1 screen=card1-HDMI-A-2"));
    let why = obstacles_of(&with_screen, "0000:41:00.0");
    assert!(why[0].contains("its connector card1-HDMI-A-2 shows a picture"), "{why:?}");
}

#[test]
fn an_mi300x_is_known_though_it_says_it_is_an_accelerator() {
    let found = look("mi300x");
    assert_eq!(found.gpus.len(), 8);
    let first = &found.gpus[0];
    assert_eq!((first.model.as_str(), first.memory_mib, first.driver()), ("amd_mi300x", 196_608, Some("amdgpu")));
    assert_eq!(obstacles(first), [""; 0]);
    assert_eq!(first.functions[0].windows, [256 << 30, 2 << 20]);
}

#[test]
fn a_group_that_holds_something_else_is_named_with_what_it_holds() {
    let found = look("shared_group");
    let why = obstacles_of(&found, "0000:03:00.0");
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(
        why[0].contains("its IOMMU group 9 holds something else: 0000:04:00.0 (nvme), 0000:05:00.0 (igc)"),
        "{why:?}"
    );
    assert!(why[0].contains("ACS"), "{why:?}");
    assert_eq!(obstacles_of(&found, "0000:01:00.0"), [""; 0], "a port above it is nothing else");
    let beside = look_at("shared_group", |lines| format!("{lines}0000:00:01.1 1022:1482 060000 group=2\n"));
    assert_eq!(obstacles_of(&beside, "0000:01:00.0"), [""; 0], "nor a host bridge that does nothing");
    let switch = look_at("shared_group", |lines| format!("{lines}0000:06:00.0 10de:22a3 068000 group=2\n"));
    assert!(obstacles_of(&switch, "0000:01:00.0")[0].contains("0000:06:00.0 (10de:22a3)"), "but an NVSwitch is");
    let two = look_at("shared_group", |lines| lines.replace("driver=nvidia group=9", "driver=nvidia group=2"));
    assert!(obstacles_of(&two, "0000:01:00.0")[0].contains("0000:03:00.0 (nvidia)"), "another GPU is something else");
}

#[test]
fn without_an_iommu_it_is_said_what_to_switch_on() {
    let found = look("no_iommu");
    let why = obstacles_of(&found, "0000:21:00.0");
    assert!(why[0].contains("intel_iommu=on iommu=pt"), "{why:?}");
    assert!(why[1].contains("Above 4G Decoding"), "{why:?}");
    let other = found.gpu(at("0000:22:00.0")).expect("the older card");
    assert_eq!((other.model.as_str(), other.memory_mib), ("10de:1db6", 32_768));
    assert!(obstacles(other)[1].contains("the kernel knows no way to reset it"), "{:?}", obstacles(other));
    let asked = look_at("no_iommu", |lines| lines.replace("cmdline quiet", "cmdline intel_iommu=on"));
    assert!(obstacles_of(&asked, "0000:21:00.0")[0].contains("was told to (intel_iommu=on): switch on VT-d"));
    let off = look_at("no_iommu", |lines| lines.replace("cmdline quiet", "cmdline iommu=off"));
    assert!(obstacles_of(&off, "0000:21:00.0")[0].contains("take iommu=off from the kernel's command line"));
    let amd = look_at("no_iommu", |lines| lines.replace("GenuineIntel", "AuthenticAMD"));
    assert!(obstacles_of(&amd, "0000:21:00.0")[0].contains("AMD-Vi"));
}

#[test]
fn a_kernel_without_vfio_is_told() {
    let found = look_at("mi300x", |lines| lines.replace("vfio module\n", ""));
    assert!(obstacles_of(&found, "0000:05:00.0")[0].contains("this kernel has no vfio-pci driver"));
}

#[test]
fn a_gpu_that_a_process_has_open_is_the_hosts_until_that_ends() {
    let open = |what: &str| {
        let lines = format!("{}process {what}\n", dewpoint_gpu::recorded::lines("hgx_h100"));
        Inventory::look(&RecordedHost::of(&lines).root()).expect("a look")
    };
    let found = open("python3 (77) /dev/nvidia2 /dev/nvidiactl");
    let why = obstacles_of(&found, "0000:3a:00.0");
    assert!(why[0].contains("the host uses it: python3 (77)"), "{why:?}");
    assert_eq!(obstacles_of(&found, "0000:2a:00.0"), [""; 0], "no other GPU is");
    let found = open("nv-fabricmanage (9) /dev/nvidia0 /dev/nvidia-nvswitch0");
    assert!(obstacles_of(&found, "0000:18:00.0")[0].contains("systemctl disable --now nvidia-fabricmanager"));
    let found = open("qemu-system-x86 (5) /dev/vfio/43 /dev/vfio/vfio");
    assert!(obstacles_of(&found, "0000:2a:00.0")[0].contains("qemu-system-x86 (5)"), "another program's guest has it");
}

#[test]
fn virtual_functions_are_no_gpus_and_in_the_way_of_theirs() {
    let found = look_at("mi300x", |lines| lines.replace("renderD128", "renderD128 vfs=2"));
    let why = obstacles_of(&found, "0000:05:00.0");
    assert!(why[0].contains("write 0 to /sys/bus/pci/devices/0000:05:00.0/sriov_numvfs"), "{why:?}");
}

#[test]
fn an_ordinary_machine_has_none() {
    assert_eq!(look("ordinary"), Inventory::default());
    let nothing = tempfile::tempdir().expect("a directory");
    assert_eq!(Inventory::look(nothing.path()).expect("a look"), Inventory::default(), "nor one without PCI");
}
