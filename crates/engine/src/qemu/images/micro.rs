//! micro-x64: the smallest system that is a Droplet, made of a dozen Debian packages.
//!
//! Debian's cloud kernel, an initramfs with the drivers ([`initramfs`]), and a root disk with a static busybox, dropbear and
//! the scripts of `micro/`. QEMU starts the kernel itself; SSH answers about three seconds later without KVM.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::{
    DiskFormat, ImageError, ImageManifest, apt, cpio, elf, run,
    store::{DirectBootFiles, Draft, list},
};

/// The image's name.
pub const MICRO: &str = "micro-x64";

pub(super) const KERNEL_PACKAGE: &str = "linux-image-cloud-amd64";

/// What goes into the root disk, with all it depends on.
const PACKAGES: [&str; 3] = ["busybox-static", "dropbear-bin", "e2fsprogs"];

/// Goes there with its libraries alone: the rest of what it depends on (perl, to begin with) is for its installation.
const AGENT_PACKAGE: &str = "qemu-guest-agent";

/// The programs of those packages that are taken, and where they go.
const PROGRAMS: [(&str, &str); 4] =
    [("dropbear", "usr/sbin"), ("dropbearkey", "usr/bin"), ("resize2fs", "sbin"), ("qemu-ga", "usr/sbin")];

/// The kernel's command line: says little, restarts after a panic, and leaves out work at start that a small guest can
/// do without (patching itself for one processor, testing its ciphers).
pub(super) const COMMAND_LINE: &str =
    "console=ttyS0 quiet panic=-1 noreplace-smp rcupdate.rcu_expedited=1 cryptomgr.notests";

/// The drivers the guest needs, in no order; what they depend on comes with them.
const DRIVERS: [&str; 9] =
    ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "vfat", "nls_cp437", "nls_ascii", "button", "evdev"];

/// The drivers that volumes need, and the file systems on them. They are on the root disk: SSH does not wait for them.
const VOLUME_DRIVERS: [&str; 3] = ["virtio_scsi", "sd_mod", "xfs"];

const DIRECTORIES: [&str; 19] = [
    "bin",
    "sbin",
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "root",
    "etc/dewpoint",
    "etc/acpi/PWRF",
    "etc/dropbear",
    "lib64",
    "lib/x86_64-linux-gnu",
    "usr/bin",
    "usr/sbin",
    "var/log",
    "var/lib/dewpoint",
    "mnt",
    "home",
];

/// Programs that others look for in /sbin.
const IN_SBIN: [&str; 7] = ["init", "reboot", "poweroff", "halt", "getty", "acpid", "modprobe"];

const LIBRARIES: &str = "lib/x86_64-linux-gnu";

/// What is written for it, where it goes and with which mode.
const SCRIPTS: [(&str, &str, u32); 9] = [
    ("etc/dewpoint/boot.sh", include_str!("micro/boot.sh"), 0o755),
    ("etc/dewpoint/late.sh", include_str!("micro/late.sh"), 0o755),
    ("etc/dewpoint/stop.sh", include_str!("micro/stop.sh"), 0o755),
    ("etc/dewpoint/ssh.sh", include_str!("micro/ssh.sh"), 0o755),
    ("etc/dewpoint/agent.sh", include_str!("micro/agent.sh"), 0o755),
    ("etc/dewpoint/volume.sh", include_str!("micro/volume.sh"), 0o755),
    ("usr/sbin/chpasswd", include_str!("micro/chpasswd.sh"), 0o755),
    ("etc/acpi/PWRF/00000080", include_str!("micro/power-button.sh"), 0o755),
    ("etc/inittab", include_str!("micro/inittab"), 0o644),
];

const EARLY_INIT: &str = include_str!("micro/early-init.sh");

/// Tells this recipe from those of other versions of dew: a digest of all that it consists of.
fn recipe() -> String {
    let mut hasher = Sha256::new();
    for text in [include_str!("micro.rs"), EARLY_INIT].into_iter().chain(SCRIPTS.map(|(_, text, _)| text)) {
        hasher.update(text);
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `image_dir` holds the image as [`build_micro`] would build it, but for newer packages.
pub fn has_current_micro(image_dir: &Path) -> Result<bool, ImageError> {
    let recipe = Some(recipe());
    Ok(list(image_dir)?.iter().any(|image| image.slug.as_str() == MICRO && image.recipe == recipe))
}

/// Builds the image into `image_dir`, in the place of an older one; machines made from that keep it.
///
/// Needs [`super::PACKAGES_FOR_MICRO`] and a Debian mirror; no root rights, unless apt has no package lists yet. `progress`
/// is told each step. Takes some five seconds.
pub fn build_micro(image_dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<ImageManifest, ImageError> {
    let draft = Draft::start(image_dir, MICRO)?;
    let work = draft.work();
    progress("fetching Debian packages");
    let mut packages = apt::closure(&PACKAGES)?;
    packages.push(apt::kernel_behind(KERNEL_PACKAGE)?);
    packages.push(AGENT_PACKAGE.to_owned());
    packages.extend(apt::libraries_behind(AGENT_PACKAGE)?);
    packages.sort();
    packages.dedup();
    let built_from = apt::download(&packages, &work.join("packages"))?;
    progress("unpacking them");
    let parts = work.join("parts");
    apt::unpack(&work.join("packages"), &parts)?;
    let files = apt::index(&parts)?;
    let busybox = read(find(&files, "busybox")?)?;

    progress("making the initramfs");
    let initrd = work.join("initrd");
    fs::write(&initrd, initramfs(&busybox, &files)?).map_err(ImageError::file(&initrd))?;
    let kernel = work.join("kernel");
    fs::copy(kernel_file(&files)?, &kernel).map_err(ImageError::file(&kernel))?;

    progress("making the root disk");
    let root = work.join("root");
    fill_root(&root, &busybox, &files)?;
    make_disk(work, &root, "64M")?;

    let disk = draft.keep("disk.qcow2", "disk", ".qcow2")?;
    let manifest = ImageManifest {
        slug: draft.slug().clone(),
        disk: disk.name,
        format: DiskFormat::Qcow2,
        sha256: disk.sha256,
        file_bytes: disk.file_bytes,
        min_disk_gib: 1,
        distribution: "Debian".to_owned(),
        built_from,
        recipe: Some(recipe()),
        direct_boot: Some(DirectBootFiles {
            kernel: draft.keep("kernel", "kernel", "")?.name,
            initrd: draft.keep("initrd", "initrd", ".cpio")?.name,
            command_line: COMMAND_LINE.to_owned(),
        }),
    };
    draft.publish(&manifest)?;
    Ok(manifest)
}

/// An initramfs that loads the drivers, mounts the first disk and starts `/sbin/init` on it.
pub(super) fn initramfs(busybox: &[u8], files: &BTreeMap<String, PathBuf>) -> Result<Vec<u8>, ImageError> {
    let mut archive = cpio::Archive::default();
    for name in ["bin", "dev", "proc", "sys", "disk", "modules"] {
        archive.directory(name);
    }
    archive.program("bin/busybox", busybox);
    for name in ["sh", "mount", "insmod", "usleep", "switch_root"] {
        archive.link(&format!("bin/{name}"), "busybox");
    }
    archive.program("init", EARLY_INIT.as_bytes());
    let mut order = Vec::new();
    for driver in DRIVERS {
        load_order(driver, files, &mut order)?;
    }
    for driver in &order {
        archive.file(&format!("modules/{driver}.ko"), &read(find(files, &format!("{driver}.ko"))?)?);
    }
    archive.file("modules/order", format!("{}\n", order.join("\n")).as_bytes());
    Ok(archive.finish())
}

/// Puts `driver` into `order` behind what it depends on; one that is built into the kernel is passed over.
fn load_order(driver: &str, files: &BTreeMap<String, PathBuf>, order: &mut Vec<String>) -> Result<(), ImageError> {
    let Some(path) = files.get(&format!("{driver}.ko")) else { return Ok(()) };
    if order.iter().any(|loaded| loaded == driver) {
        return Ok(());
    }
    for needed in depends(&read(path)?) {
        load_order(&needed, files, order)?;
    }
    order.push(driver.to_owned());
    Ok(())
}

/// The drivers that a driver's file names under `depends=`.
fn depends(driver: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = driver.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let rest = &driver[at + KEY.len()..];
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    let names = String::from_utf8_lossy(&rest[..end]).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

pub(super) fn kernel_file(files: &BTreeMap<String, PathBuf>) -> Result<&Path, ImageError> {
    let kernel = files.iter().find(|(name, _)| name.starts_with("vmlinuz-"));
    kernel.map(|(_, path)| path.as_path()).ok_or_else(|| ImageError::Invalid("the packages hold no kernel".to_owned()))
}

fn fill_root(root: &Path, busybox: &[u8], files: &BTreeMap<String, PathBuf>) -> Result<(), ImageError> {
    for directory in DIRECTORIES {
        let path = root.join(directory);
        fs::create_dir_all(&path).map_err(ImageError::file(&path))?;
    }
    for (directory, mode) in [("", 0o755), ("tmp", 0o1777), ("root", 0o700)] {
        set_mode(&root.join(directory), mode)?;
    }
    put(root, "bin/busybox", busybox, 0o755)?;
    let listed = run(Command::new(root.join("bin/busybox")).arg("--list"))?;
    for name in String::from_utf8_lossy(&listed).lines().filter(|name| *name != "busybox") {
        link(root, &format!("bin/{name}"), "/bin/busybox")?;
    }
    for name in IN_SBIN {
        link(root, &format!("sbin/{name}"), "/bin/busybox")?;
    }
    let mut libraries = BTreeSet::new();
    for (name, directory) in PROGRAMS {
        let program = read(find(files, name)?)?;
        collect_libraries(&program, files, &mut libraries)?;
        put(root, &format!("{directory}/{name}"), &program, 0o755)?;
    }
    for name in &libraries {
        put(root, &format!("{LIBRARIES}/{name}"), &read(find(files, name)?)?, 0o755)?;
    }
    link(root, "lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")?;
    fill_modules(root, files)?;
    for (name, contents, mode) in SCRIPTS {
        put(root, name, contents.as_bytes(), mode)?;
    }
    for (name, contents, mode) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
        ("etc/shadow", "root:*:1::::::\n", 0o600),
        ("etc/group", "root:x:0:\n", 0o644),
        ("etc/shells", "/bin/sh\n", 0o644),
        // What mount tries when it is told no type; the kernel loads the driver of one it does not know yet.
        ("etc/filesystems", "ext4\nvfat\nxfs\n", 0o644),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644),
        (
            "etc/os-release",
            "ID=micro\nNAME=\"Dewpoint micro\"\nPRETTY_NAME=\"Dewpoint micro\"\nID_LIKE=debian\n",
            0o644,
        ),
    ] {
        put(root, name, contents.as_bytes(), mode)?;
    }
    link(root, "etc/resolv.conf", "/run/resolv.conf")
}

/// Puts the volumes' drivers where modprobe finds them; what the initramfs has loaded before need not be there again.
fn fill_modules(root: &Path, files: &BTreeMap<String, PathBuf>) -> Result<(), ImageError> {
    let mut wanted = Vec::new();
    for driver in VOLUME_DRIVERS {
        load_order(driver, files, &mut wanted)?;
    }
    let kernel = kernel_file(files)?;
    let release = kernel.file_name().and_then(|name| name.to_str()?.strip_prefix("vmlinuz-"));
    let release = release.ok_or_else(|| ImageError::Invalid(format!("{} names no release", kernel.display())))?;
    let directory = format!("lib/modules/{release}");
    let path = root.join(&directory);
    fs::create_dir_all(&path).map_err(ImageError::file(&path))?;
    for driver in &wanted {
        let name = format!("{driver}.ko");
        put(root, &format!("{directory}/{name}"), &read(find(files, &name)?)?, 0o644)?;
    }
    run(Command::new(root.join("bin/busybox")).args(["depmod", "-b"]).arg(root).arg(release)).map(drop)
}

/// Adds every library that `program` asks for, and those that they ask for.
fn collect_libraries(
    program: &[u8],
    files: &BTreeMap<String, PathBuf>,
    found: &mut BTreeSet<String>,
) -> Result<(), ImageError> {
    for name in elf::needed(program).unwrap_or_default() {
        if found.insert(name.clone()) {
            collect_libraries(&read(find(files, &name)?)?, files, found)?;
        }
    }
    Ok(())
}

/// Turns the tree `root` into `disk.qcow2` in `work`: one ext4 file system, everything root's.
pub(super) fn make_disk(work: &Path, root: &Path, size: &str) -> Result<(), ImageError> {
    let (raw, qcow2) = (work.join("disk.raw"), work.join("disk.qcow2"));
    let mut mke2fs = tool("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-L", "root", "-E", "root_owner=0:0", "-d"]);
    run(mke2fs.arg(root).arg(&raw).arg(size))?;
    if !geteuid().is_root() {
        give_to_root(work, root, &raw)?;
    }
    run(Command::new("qemu-img").args(["convert", "-O", "qcow2"]).arg(&raw).arg(&qcow2))?;
    fs::remove_file(&raw).map_err(ImageError::file(&raw))
}

/// mke2fs copies the owners it finds, which are ours when we are not root.
fn give_to_root(work: &Path, root: &Path, raw: &Path) -> Result<(), ImageError> {
    let mut commands = String::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(ImageError::file(&directory))? {
            let path = entry.map_err(ImageError::file(&directory))?.path();
            let inside = path.strip_prefix(root).map_err(|error| ImageError::Invalid(error.to_string()))?;
            for field in ["uid", "gid"] {
                commands.push_str(&format!("set_inode_field \"/{}\" {field} 0\n", inside.display()));
            }
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
    }
    let script = work.join("owners");
    fs::write(&script, commands).map_err(ImageError::file(&script))?;
    run(tool("debugfs").arg("-w").arg("-f").arg(&script).arg(raw)).map(drop)
}

/// A tool that is in /usr/sbin, where a user's search path may not lead.
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    match ["/usr/sbin", "/sbin"].map(|directory| Path::new(directory).join(name)).into_iter().find(|p| p.exists()) {
        Some(found) => Command::new(found),
        None => command,
    }
}

pub(super) fn find<'a>(files: &'a BTreeMap<String, PathBuf>, name: &str) -> Result<&'a Path, ImageError> {
    let found = files.get(name).map(PathBuf::as_path);
    found.ok_or_else(|| ImageError::Invalid(format!("the packages hold no {name}")))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(ImageError::file(path))
}

fn put(root: &Path, name: &str, contents: &[u8], mode: u32) -> Result<(), ImageError> {
    let path = root.join(name);
    fs::write(&path, contents).map_err(ImageError::file(&path))?;
    set_mode(&path, mode)
}

fn link(root: &Path, name: &str, target: &str) -> Result<(), ImageError> {
    let path = root.join(name);
    symlink(target, &path).map_err(ImageError::file(&path))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), ImageError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(ImageError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_loaded_behind_what_they_depend_on() {
        let top = tempfile::tempdir().expect("a directory");
        for (name, needs) in [("virtio_blk", "virtio-ring,virtio"), ("virtio", "virtio_ring"), ("virtio_ring", "")] {
            let text = format!("x\0depends={needs}\0name={name}\0");
            fs::write(top.path().join(format!("{name}.ko")), text).expect("written");
        }
        let files = apt::index(top.path()).expect("an index");
        let mut order = Vec::new();
        for driver in ["virtio_blk", "virtio", "built_in"] {
            load_order(driver, &files, &mut order).expect("an order");
        }
        assert_eq!(order, ["virtio_ring", "virtio", "virtio_blk"]);
    }
}
