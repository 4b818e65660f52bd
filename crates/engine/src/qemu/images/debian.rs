//! debian-12-x64: a whole Debian 12 with cloud-init, made by mmdebstrap.
//!
//! QEMU starts the kernel itself with the micro image's initramfs, so the disk is one plain file system without a boot
//! loader, and the guest starts as its systemd. The kernel is therefore the image's: one that is installed inside a guest is
//! not the one that runs there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::geteuid;

use super::{
    DiskFormat, ImageError, ImageManifest, apt,
    micro::{KERNEL_PACKAGE, find, initramfs, kernel_file, make_disk, read},
    run,
    store::{DirectBootFiles, Draft},
};

/// The image's name.
pub const DEBIAN: &str = "debian-12-x64";

const SUITE: &str = "bookworm";

/// Beside what every Debian has: cloud-init and what it runs, SSH, and what one expects on a server.
const PACKAGES: &str = "systemd-sysv,systemd-resolved,dbus,udev,kmod,cloud-init,openssh-server,iproute2,iputils-ping,\
                        e2fsprogs,cloud-guest-utils,ca-certificates,curl,less,vim-tiny,sudo,\
                        qemu-guest-agent";

/// Settings of cloud-init: the seed disk is the only source, root has the keys as on the public service, and what costs
/// seconds without KVM and shows nobody anything is left out.
const CLOUD_SETTINGS: &str = "datasource_list: [NoCloud]
disable_root: false
ssh_deletekeys: true
ssh_genkeytypes: [ed25519]
ssh: {emit_keys_to_console: false}
no_ssh_fingerprints: true
manage_etc_hosts: true
growpart: {mode: 'off'}
resize_rootfs: true
apt: {preserve_sources_list: true}
locale: false
grub_dpkg: {enabled: false}
system_info: {network: {renderers: [networkd]}}
";

/// Tells the host that SSH listens, as soon as it does; the port can be held by one program at a time, so not for long.
const SSH_UNIT: &str = "[Unit]
Description=Tell the host that SSH listens
After=ssh.service
ConditionPathExists=/dev/virtio-ports/org.dewpoint.report.0
[Service]
ExecStart=timeout 10 sh -c 'echo ssh > /dev/virtio-ports/org.dewpoint.report.0'
[Install]
WantedBy=multi-user.target
";

/// Units that only cost time in a guest that may have no network: they fetch, wait, or look after what is not there.
const UNWANTED_UNITS: [&str; 5] =
    ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service", "e2scrub_all.timer", "man-db.timer"];

const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 noreplace-smp cryptomgr.notests net.ifnames=0";

/// Builds the image into `image_dir`, in the place of an older one; machines made from that keep it.
///
/// Needs [`super::PACKAGES_FOR_DEBIAN`], a Debian mirror and root. `progress` is told each step. Takes some two minutes and
/// 2 GB of disk.
pub fn build_debian(image_dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<ImageManifest, ImageError> {
    if !geteuid().is_root() {
        return Err(ImageError::Invalid(format!("building {DEBIAN} needs root")));
    }
    let draft = Draft::start(image_dir, DEBIAN)?;
    let work = draft.work();
    progress("fetching the kernel");
    let mut packages = apt::closure(&["busybox-static"])?;
    packages.push(apt::kernel_behind(KERNEL_PACKAGE)?);
    let mut built_from = apt::download(&packages, &work.join("packages"))?;
    let parts = work.join("parts");
    apt::unpack(&work.join("packages"), &parts)?;
    let files = apt::index(&parts)?;
    let initrd = work.join("initrd");
    let busybox = read(find(&files, "busybox")?)?;
    fs::write(&initrd, initramfs(&busybox, &files)?).map_err(ImageError::file(&initrd))?;
    let kernel = work.join("kernel");
    fs::copy(kernel_file(&files)?, &kernel).map_err(ImageError::file(&kernel))?;

    progress("installing Debian 12; this takes a minute or two");
    let root = work.join("root");
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--mode=root", "--variant=minbase", "--aptopt=Acquire::Languages \"none\""]);
    mmdebstrap.arg(format!("--include={PACKAGES}"));
    run(mmdebstrap.args([SUITE.as_ref(), root.as_os_str()]))?;
    built_from.push(format!("{SUITE} with {PACKAGES}"));
    finish_root(&root, &parts)?;

    progress("making the root disk");
    make_disk(work, &root, "2G")?;
    let disk = draft.keep("disk.qcow2", "disk", ".qcow2")?;
    let manifest = ImageManifest {
        slug: draft.slug().clone(),
        disk: disk.name,
        format: DiskFormat::Qcow2,
        sha256: disk.sha256,
        file_bytes: disk.file_bytes,
        min_disk_gib: 2,
        distribution: "Debian".to_owned(),
        built_from,
        recipe: None,
        direct_boot: Some(DirectBootFiles {
            kernel: draft.keep("kernel", "kernel", "")?.name,
            initrd: draft.keep("initrd", "initrd", ".cpio")?.name,
            command_line: COMMAND_LINE.to_owned(),
        }),
    };
    draft.publish(&manifest)?;
    Ok(manifest)
}

/// What mmdebstrap leaves open: the running kernel's drivers, cloud-init's settings, the file system table.
fn finish_root(root: &Path, parts: &Path) -> Result<(), ImageError> {
    let modules = ["lib/modules", "usr/lib/modules"].map(|below| parts.join(below)).into_iter().find(|p| p.is_dir());
    let modules = modules.ok_or_else(|| ImageError::Invalid("the kernel's package holds no drivers".to_owned()))?;
    run(Command::new("cp").arg("-a").arg(&modules).arg(root.join("usr/lib/")))?;
    for entry in fs::read_dir(&modules).map_err(ImageError::file(&modules))? {
        let release = entry.map_err(ImageError::file(&modules))?.file_name();
        run(Command::new("chroot").arg(root).arg("depmod").arg(release))?;
    }
    run(Command::new("chroot").arg(root).args(["systemctl", "--quiet", "mask"]).args(UNWANTED_UNITS))?;
    let write = |name: &str, text: &str| {
        let path: PathBuf = root.join(name);
        fs::write(&path, text).map_err(ImageError::file(&path))
    };
    write("etc/systemd/system/dewpoint-ssh.service", SSH_UNIT)?;
    let enabled = ["systemd-networkd", "dewpoint-ssh"];
    run(Command::new("chroot").arg(root).args(["systemctl", "--quiet", "enable"]).args(enabled))?;
    write("etc/cloud/cloud.cfg.d/90-dewpoint.cfg", CLOUD_SETTINGS)?;
    write("etc/cloud/ds-identify.cfg", "policy: enabled\n")?;
    write("etc/fstab", "/dev/vda / ext4 noatime,errors=remount-ro 0 0\n")?;
    write("etc/hostname", "localhost\n")?;
    write("etc/machine-id", "uninitialized\n")?;
    for leftover in ["etc/resolv.conf", "var/lib/dbus/machine-id"] {
        // Not every build leaves them.
        let _ = fs::remove_file(root.join(leftover));
    }
    let resolver = root.join("etc/resolv.conf");
    symlink("../run/systemd/resolve/stub-resolv.conf", &resolver).map_err(ImageError::file(&resolver))?;
    for name in fs::read_dir(root.join("etc/ssh")).map_err(ImageError::file(root))? {
        let path = name.map_err(ImageError::file(root))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")) {
            fs::remove_file(&path).map_err(ImageError::file(&path))?;
        }
    }
    Ok(())
}
