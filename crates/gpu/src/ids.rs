//! Which GPU a pair of PCI numbers is: those that sizes name, and by the host's own list of names the rest.

use std::{fs, path::Path};

use crate::pci::Function;

/// A GPU that sizes sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// As sizes name it: `nvidia_h100`.
    pub slug: &'static str,
    /// As people do.
    pub name: &'static str,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Whether it reaches its neighbours over NVSwitches.
    pub switched: bool,
}

pub(crate) const NVIDIA: u16 = 0x10de;
pub(crate) const AMD: u16 = 0x1002;
pub(crate) const INTEL: u16 = 0x8086;

const GIB: u64 = 1024;

/// Source of the numbers: the PCI ID repository (pci.ids), sections 10de and 1002; of the memory, the makers' data sheets.
/// Cards with more memory than the size promises are sold as that size.
const MODELS: &[(u16, u16, Model)] = &[
    (NVIDIA, 0x2330, model("nvidia_h100", "NVIDIA H100 SXM5 80GB", 80, true)),
    (NVIDIA, 0x2339, model("nvidia_h100", "NVIDIA H100 SXM5 94GB", 94, true)),
    (NVIDIA, 0x2331, model("nvidia_h100", "NVIDIA H100 PCIe 80GB", 80, false)),
    (NVIDIA, 0x2321, model("nvidia_h100", "NVIDIA H100 NVL 94GB", 94, false)),
    (NVIDIA, 0x2335, model("nvidia_h200", "NVIDIA H200 SXM 141GB", 141, true)),
    (NVIDIA, 0x233b, model("nvidia_h200", "NVIDIA H200 NVL 141GB", 141, false)),
    (NVIDIA, 0x26b9, model("nvidia_l40s", "NVIDIA L40S", 48, false)),
    (NVIDIA, 0x26b1, model("nvidia_rtx6000_ada", "NVIDIA RTX 6000 Ada", 48, false)),
    (NVIDIA, 0x27b2, model("nvidia_rtx4000_ada", "NVIDIA RTX 4000 Ada", 20, false)),
    (NVIDIA, 0x27b0, model("nvidia_rtx4000_ada", "NVIDIA RTX 4000 SFF Ada", 20, false)),
    (AMD, 0x74a1, model("amd_mi300x", "AMD Instinct MI300X", 192, false)),
    (AMD, 0x74a5, model("amd_mi325x", "AMD Instinct MI325X", 256, false)),
    (AMD, 0x75a0, model("amd_mi350x", "AMD Instinct MI350X", 288, false)),
];

/// NVSwitches: of the A100's and of the H100's boards.
const SWITCHES: &[u16] = &[0x1af1, 0x22a3];

const fn model(slug: &'static str, name: &'static str, memory_gib: u64, switched: bool) -> Model {
    Model { slug, name, memory_mib: memory_gib * GIB, switched }
}

/// The GPU of these numbers, if sizes sell it.
pub(crate) fn known(vendor: u16, device: u16) -> Option<Model> {
    MODELS.iter().find(|(at, number, _)| (*at, *number) == (vendor, device)).map(|(_, _, model)| *model)
}

/// What a GPU is called of which only the maker is known.
pub(crate) fn maker(vendor: u16) -> &'static str {
    match vendor {
        NVIDIA => "NVIDIA GPU",
        AMD => "AMD GPU",
        INTEL => "Intel GPU",
        _ => "GPU",
    }
}

/// Whether it is an NVSwitch.
pub(crate) fn is_switch(function: &Function) -> bool {
    function.vendor == NVIDIA && SWITCHES.contains(&function.device)
}

/// Whether it is a GPU, and not the picture of a management controller: one that sizes sell, whatever it says it is (an MI300X
/// says accelerator, `12`), or a display controller (`03`) or accelerator of a maker of GPUs.
pub(crate) fn is_gpu(function: &Function) -> bool {
    let kind = function.class >> 16;
    let maker = [NVIDIA, AMD, INTEL].contains(&function.vendor);
    known(function.vendor, function.device).is_some()
        || (maker && (kind == 0x03 || (kind == 0x12 && function.vendor != INTEL)))
}

/// What the host's own list of PCI names calls it, if the host has one. Source: pci.ids(5).
pub(crate) fn listed(root: &Path, vendor: u16, device: u16) -> Option<String> {
    let lists = ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"];
    let text = lists.iter().find_map(|list| fs::read(root.join(list)).ok())?;
    let text = String::from_utf8_lossy(&text);
    let (vendor, device) = (format!("{vendor:04x}  "), format!("\t{device:04x}  "));
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&vendor));
    let maker = lines.next()?.strip_prefix(&vendor)?.trim();
    let mut own = lines.take_while(|line| line.starts_with(['\t', '#']));
    let name = own.find_map(|line| line.strip_prefix(&device))?.trim();
    Some(format!("{maker} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_no_size_names_is_called_as_the_hosts_list_calls_it() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(listed(root.path(), NVIDIA, 0x2204), None);
        let directory = root.path().join("usr/share/misc");
        fs::create_dir_all(&directory).expect("directories");
        let text = "# names\n10dd  Another\n\t2204  Not this\n10de  NVIDIA Corporation\n\t2203  Before\n\
                    \t2204  GA102 [GeForce RTX 3090]\n\t\t10de 147d  Founders Edition\n10df  Emulex\n\t2205  Not this\n";
        fs::write(directory.join("pci.ids"), text).expect("written");
        assert_eq!(listed(root.path(), NVIDIA, 0x2204).as_deref(), Some("NVIDIA Corporation GA102 [GeForce RTX 3090]"));
        assert_eq!(listed(root.path(), NVIDIA, 0x2205), None);
    }

    #[test]
    fn no_pair_of_numbers_is_two_gpus() {
        let mut pairs: Vec<(u16, u16)> = MODELS.iter().map(|(vendor, device, _)| (*vendor, *device)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), MODELS.len());
    }
}
