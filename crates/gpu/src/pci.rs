//! One PCI function as sysfs shows it. Source: Linux, `Documentation/ABI/testing/sysfs-bus-pci` and `PCI/sysfs-pci.rst`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::PciAddress;

/// One function of a PCI device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub address: PciAddress,
    /// Its maker's number.
    pub vendor: u16,
    /// Its maker's number for it.
    pub device: u16,
    /// What kind of thing it is, three bytes: `0x030200` is a 3D controller.
    pub class: u32,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Its IOMMU group; none without an IOMMU.
    pub group: Option<u32>,
    /// The NUMA node it is on.
    pub node: Option<u32>,
    /// The sizes of its memory windows that a guest sees above 4 GiB, in bytes.
    pub windows: Vec<u64>,
    /// Whether the firmware gave each of its memory windows a place.
    pub placed: bool,
    /// Whether the kernel knows a way to reset it alone.
    pub can_reset: bool,
    /// How many virtual functions it is split into.
    pub virtual_functions: u32,
    /// Whether it is a virtual function itself.
    pub is_virtual: bool,
    /// Whether the firmware showed its picture on it.
    pub boot_vga: bool,
}

impl Function {
    /// Whether it only leads to others: the host keeps it, and a group is no less a guest's for it. So a bridge to another bus,
    /// and a host bridge that no driver has, as AMD's processors put beside each. (An NVSwitch says bridge too, of another kind.)
    pub fn is_bridge(&self) -> bool {
        match self.class >> 8 {
            0x0604 => true,
            0x0600 => self.driver.is_none(),
            _ => false,
        }
    }

    /// Maker and device as two numbers: `10de:2330`.
    pub fn numbers(&self) -> String {
        format!("{:04x}:{:04x}", self.vendor, self.device)
    }

    /// Reads all of a host, in the order of their addresses. A host without PCI has none.
    pub(crate) fn all(root: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(root.join(DEVICES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let address = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(address) = address
                && let Some(function) = Self::read(root, address)
            {
                found.push(function);
            }
        }
        found.sort_by_key(|function: &Self| function.address);
        Ok(found)
    }

    /// `None` when it is not there, or went while it was looked at.
    pub(crate) fn read(root: &Path, address: PciAddress) -> Option<Self> {
        let at = directory(root, address);
        let number = |name: &str| hex(&text(&at, name)?);
        let (windows, placed) = windows(&text(&at, "resource").unwrap_or_default());
        Some(Self {
            address,
            vendor: u16::try_from(number("vendor")?).ok()?,
            device: u16::try_from(number("device")?).ok()?,
            class: u32::try_from(number("class")?).ok()?,
            driver: driver(root, address),
            group: link(&at, "iommu_group").and_then(|name| name.parse().ok()),
            // -1 where the firmware does not say.
            node: text(&at, "numa_node").and_then(|node| node.parse().ok()),
            windows,
            placed,
            can_reset: at.join("reset").exists(),
            virtual_functions: text(&at, "sriov_numvfs").and_then(|count| count.parse().ok()).unwrap_or(0),
            is_virtual: at.join("physfn").exists(),
            boot_vga: text(&at, "boot_vga").as_deref() == Some("1"),
        })
    }
}

const DEVICES: &str = "sys/bus/pci/devices";

/// Where a function's files are.
pub(crate) fn directory(root: &Path, address: PciAddress) -> PathBuf {
    root.join(DEVICES).join(address.to_string())
}

/// The driver that has a function now.
pub(crate) fn driver(root: &Path, address: PciAddress) -> Option<String> {
    link(&directory(root, address), "driver")
}

/// A file's text without the spaces around it.
pub(crate) fn text(directory: &Path, name: &str) -> Option<String> {
    fs::read_to_string(directory.join(name)).ok().map(|text| text.trim().to_owned())
}

/// The last name of what a link leads to.
fn link(directory: &Path, name: &str) -> Option<String> {
    fs::read_link(directory.join(name)).ok()?.file_name()?.to_str().map(str::to_owned)
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// Flags of a line of `resource`. Source: Linux, `include/linux/ioport.h`.
const MEMORY: u64 = 0x200;
const WIDE: u64 = 0x10_0000;
const UNSET: u64 = 0x2000_0000;

/// The sizes of the 64-bit memory windows, and whether all memory windows have a place. The first six lines are the windows.
fn windows(resource: &str) -> (Vec<u64>, bool) {
    let (mut sizes, mut placed) = (Vec::new(), true);
    for line in resource.lines().take(6) {
        let mut numbers = line.split_ascii_whitespace().map(|word| hex(word).unwrap_or(0));
        let (Some(start), Some(end), Some(flags)) = (numbers.next(), numbers.next(), numbers.next()) else { continue };
        if flags & MEMORY == 0 || end <= start {
            continue;
        }
        placed &= flags & UNSET == 0 && start != 0;
        if flags & WIDE != 0 {
            sizes.push(end - start + 1);
        }
    }
    (sizes, placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_as_large_as_from_their_first_byte_to_their_last() {
        let text = "0x000038c000000000 0x000038c000ffffff 0x000000000014220c\n\
                    0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
                    0x000038a000000000 0x000038bfffffffff 0x000000000014220c\n\
                    0x00000000a0000000 0x00000000a0ffffff 0x0000000000040200\n\
                    0x0000000000003000 0x000000000000307f 0x0000000000040101\n";
        assert_eq!(windows(text), (vec![16 << 20, 128 << 30], true));
        let unplaced = "0x0000000000000000 0x0000001fffffffff 0x000000002014220c\n";
        assert_eq!(windows(unplaced), (vec![128 << 30], false));
        assert_eq!(windows(""), (Vec::new(), true));
    }
}
