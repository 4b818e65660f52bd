//! Hosts that were written down: a few lines each, made into a directory that looks as sysfs, proc and dev do there.
//!
//! They were written after what such hosts show in public (listings of lspci and sysfs), not copied from machines of ours.
//!
//! ```text
//! cpu GenuineIntel                       the processors' maker
//! cmdline intel_iommu=on iommu=pt        the kernel's command line
//! vfio driver | module                   whether the vfio-pci driver is there, or can be loaded; neither when not said
//! node 0 cpus=0-55,112-167 memory=512G   a NUMA node
//! process nvidia-smi (2311) /dev/nvidia0 a process and what it has open
//! 0000:17:00.0 10de:2330 030200 driver=nvidia group=47 node=0 windows=16M,128G reset minor=0
//! ```
//!
//! A function also takes `boot_vga`, `fb=0`, `drm=card1,renderD128`, `screen=card1-DP-1` (a connector that shows a picture),
//! `unplaced` (its memory has no place) and `vfs=2`.

mod kernel;

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

pub use kernel::{FakeKernel, Step};

/// The recorded hosts: a name, and the lines.
pub const HOSTS: [(&str, &str); 6] = [
    ("hgx_h100", include_str!("../../trees/hgx_h100.txt")),
    ("two_rtx", include_str!("../../trees/two_rtx.txt")),
    ("mi300x", include_str!("../../trees/mi300x.txt")),
    ("shared_group", include_str!("../../trees/shared_group.txt")),
    ("no_iommu", include_str!("../../trees/no_iommu.txt")),
    ("ordinary", include_str!("../../trees/ordinary.txt")),
];

/// The lines of a recorded host. Panics when there is none of that name: it is for tests.
pub fn lines(name: &str) -> &'static str {
    HOSTS.iter().find(|(known, _)| *known == name).map(|(_, lines)| *lines).expect("a recorded host")
}

/// Writes a host below `root`, an empty directory.
pub fn write(root: &Path, lines: &str) -> io::Result<()> {
    let tree = Tree { root };
    tree.file("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n")?;
    tree.directory("sys/bus/pci/devices")?;
    tree.directory("sys/bus/pci/drivers")?;
    tree.directory("sys/kernel/iommu_groups")?;
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "cpu" => tree.file("proc/cpuinfo", &format!("processor\t: 0\nvendor_id\t: {rest}\n"))?,
            "cmdline" => tree.file("proc/cmdline", &format!("BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 ro {rest}\n"))?,
            "vfio" if rest == "driver" => tree.directory("sys/bus/pci/drivers/vfio-pci")?,
            "vfio" => tree.file("lib/modules/6.1.0-28-amd64/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko:\n")?,
            "node" => tree.node(rest)?,
            "process" => tree.process(rest)?,
            _ => tree.function(first, rest)?,
        }
    }
    Ok(())
}

struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    fn directory(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.root.join(path))
    }

    fn file(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(self.root))?;
        fs::write(path, text)
    }

    fn link(&self, path: &str, to: &str) -> io::Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(self.root))?;
        symlink(to, path)
    }

    /// `0 cpus=0-7 memory=64G`
    fn node(&self, rest: &str) -> io::Result<()> {
        let mut words = rest.split_ascii_whitespace();
        let number = words.next().ok_or_else(|| wrong(rest))?;
        let at = format!("sys/devices/system/node/node{number}");
        for word in words {
            match word.split_once('=').ok_or_else(|| wrong(word))? {
                ("cpus", cpus) => self.file(&format!("{at}/cpulist"), &format!("{cpus}\n"))?,
                ("memory", memory) => {
                    let kib = bytes(memory)? / 1024;
                    self.file(&format!("{at}/meminfo"), &format!("Node {number} MemTotal:       {kib} kB\n"))?;
                }
                _ => return Err(wrong(word)),
            }
        }
        Ok(())
    }

    /// `NAME (PID) FILE ...`
    fn process(&self, rest: &str) -> io::Result<()> {
        let mut words = rest.split_ascii_whitespace();
        let (Some(name), Some(pid)) = (words.next(), words.next()) else { return Err(wrong(rest)) };
        let at = format!("proc/{}", pid.trim_matches(['(', ')']));
        self.file(&format!("{at}/comm"), &format!("{name}\n"))?;
        for (number, file) in words.enumerate() {
            self.link(&format!("{at}/fd/{}", number + 3), file)?;
        }
        Ok(())
    }

    fn function(&self, address: &str, rest: &str) -> io::Result<()> {
        let mut words = rest.split_ascii_whitespace();
        let (Some(numbers), Some(class)) = (words.next(), words.next()) else { return Err(wrong(rest)) };
        let (vendor, device) = numbers.split_once(':').ok_or_else(|| wrong(numbers))?;
        let bus = address.rsplit_once(':').ok_or_else(|| wrong(address))?.0;
        let real = format!("sys/devices/pci{bus}/{address}");
        self.link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../devices/pci{bus}/{address}"))?;
        for (name, text) in [("vendor", vendor), ("device", device), ("class", class)] {
            self.file(&format!("{real}/{name}"), &format!("0x{text}\n"))?;
        }
        self.file(&format!("{real}/driver_override"), "(null)\n")?;
        let (mut node, mut windows, mut placed) = ("-1", "", true);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "driver" => {
                    self.directory(&format!("sys/bus/pci/drivers/{value}"))?;
                    self.link(&format!("{real}/driver"), &format!("../../../bus/pci/drivers/{value}"))?;
                    self.file(&format!("{real}/.driver"), value)?;
                }
                "group" => {
                    let group = format!("sys/kernel/iommu_groups/{value}");
                    self.link(&format!("{group}/devices/{address}"), &format!("../../../../{real}"))?;
                    self.link(&format!("{real}/iommu_group"), &format!("../../../kernel/iommu_groups/{value}"))?;
                }
                "node" => node = value,
                "windows" => windows = value,
                "unplaced" => placed = false,
                "reset" => self.file(&format!("{real}/reset"), "")?,
                "boot_vga" => self.file(&format!("{real}/boot_vga"), "1\n")?,
                "fb" => self.directory(&format!("{real}/graphics/fb{value}"))?,
                "vfs" => self.file(&format!("{real}/sriov_numvfs"), &format!("{value}\n"))?,
                "drm" => value.split(',').try_for_each(|node| self.directory(&format!("{real}/drm/{node}")))?,
                "screen" => {
                    let card = value.split_once('-').ok_or_else(|| wrong(word))?.0;
                    self.file(&format!("{real}/drm/{card}/{value}/status"), "connected\n")?;
                    self.file(&format!("{real}/drm/{card}/{value}/enabled"), "enabled\n")?;
                }
                "minor" => {
                    let information =
                        format!("Model: \t\t A GPU\nBus Location: \t {address}\nDevice Minor: \t {value}\n");
                    self.file(&format!("proc/driver/nvidia/gpus/{address}/information"), &information)?;
                }
                _ => return Err(wrong(word)),
            }
        }
        self.file(&format!("{real}/numa_node"), &format!("{node}\n"))?;
        self.file(&format!("{real}/resource"), &resource(windows, placed)?)
    }
}

/// The first lines of `resource`: one 64-bit window after another.
fn resource(windows: &str, placed: bool) -> io::Result<String> {
    let mut text = String::new();
    for (number, window) in (1_u64..).zip(windows.split(',').filter(|window| !window.is_empty())) {
        let size = bytes(window)?;
        let start = if placed { number << 44 } else { 0 };
        let flags: u64 = if placed { 0x0014_220c } else { 0x2014_220c };
        text.push_str(&format!("0x{start:016x} 0x{:016x} 0x{flags:016x}\n", start + size - 1));
    }
    Ok(text)
}

fn bytes(text: &str) -> io::Result<u64> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(wrong(text)),
    };
    Ok(number.parse::<u64>().map_err(|_| wrong(text))? << unit)
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("not understood in a recorded host: {text:?}"))
}

/// A recorded host in a directory that goes away with it, and its kernel.
#[derive(Debug)]
pub struct RecordedHost {
    top: tempfile::TempDir,
    kernel: std::sync::Arc<FakeKernel>,
}

impl RecordedHost {
    /// The host of that name. Panics when it cannot be written: it is for tests.
    pub fn new(name: &str) -> Self {
        Self::of(lines(name))
    }

    /// The host of these lines.
    pub fn of(lines: &str) -> Self {
        let top = tempfile::tempdir().expect("a directory");
        write(top.path(), lines).expect("a host");
        let kernel = std::sync::Arc::new(FakeKernel::new(top.path()));
        Self { top, kernel }
    }

    /// Below which directory its files are.
    pub fn root(&self) -> PathBuf {
        self.top.path().to_path_buf()
    }

    /// What pretends to be its kernel.
    pub fn kernel(&self) -> &std::sync::Arc<FakeKernel> {
        &self.kernel
    }

    /// Its GPUs, with what is written down of them below `data_dir`.
    pub fn gpus(&self, data_dir: &Path) -> crate::GpuHost {
        crate::GpuHost::at(self.root(), data_dir, self.kernel.clone())
    }
}
