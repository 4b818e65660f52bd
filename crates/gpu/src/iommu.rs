//! Whether the host can keep a guest's GPU to the guest's memory, and whether the kernel has the driver that hands it over.

use std::{fs, path::Path};

use crate::{console::names, hardware::VFIO, obstacle::Obstacle, pci};

/// What is in the way on this host, of every GPU alike.
pub(crate) fn obstacles(root: &Path) -> Vec<Obstacle> {
    [iommu(root), driver(root)].into_iter().flatten().collect()
}

fn iommu(root: &Path) -> Option<Obstacle> {
    if !names(&root.join("sys/kernel/iommu_groups")).is_empty() {
        return None;
    }
    let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let command_line = pci::text(&root.join("proc"), "cmdline").unwrap_or_default();
    let amd = cpuinfo.contains("AuthenticAMD");
    let off = command_line
        .split_ascii_whitespace()
        .find(|word| ["intel_iommu=off", "amd_iommu=off", "iommu=off"].contains(word));
    let asked = command_line.split_ascii_whitespace().any(|word| word.starts_with("intel_iommu=on"));
    let remedy = match (off, amd, asked) {
        (Some(word), ..) => format!("take {word} from the kernel's command line"),
        (None, true, _) => {
            "switch on the IOMMU (AMD-Vi, SVM) in the firmware; the kernel takes it by itself, iommu=pt makes it faster"
                .to_owned()
        }
        (None, false, true) => "the kernel was told to (intel_iommu=on): switch on VT-d in the firmware".to_owned(),
        (None, false, false) => {
            "switch on VT-d in the firmware and boot the kernel with intel_iommu=on iommu=pt".to_owned()
        }
    };
    Some(Obstacle::new("this host has no IOMMU at work, so a guest's GPU could write to the host's memory", remedy))
}

fn driver(root: &Path) -> Option<Obstacle> {
    if root.join("sys/bus/pci/drivers").join(VFIO).exists() {
        return None;
    }
    let release = pci::text(&root.join("proc/sys/kernel"), "osrelease").unwrap_or_default();
    let modules = root.join("lib/modules").join(release);
    let lists =
        ["modules.dep", "modules.builtin"].map(|list| fs::read_to_string(modules.join(list)).unwrap_or_default());
    // Loaded when the first GPU is taken.
    let known = lists.iter().any(|list| list.contains("/vfio-pci.ko"));
    let remedy = "boot a kernel that has it (Debian's linux-image-amd64 does, its cloud kernels do not)";
    (!known).then(|| Obstacle::new("this kernel has no vfio-pci driver", remedy))
}
