//! The one thing here that Rust's own words cannot say: which tap a file of `/dev/net/tun` is.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use nix::{
    errno::Errno,
    libc::{self, IFF_NO_PI, IFF_TAP, IFF_VNET_HDR},
};

use super::Error;

nix::ioctl_readwrite_bad!(
    /// Makes the tap of this name, or takes one that exists and is nobody's.
    tunsetiff,
    libc::TUNSETIFF,
    libc::ifreq
);

/// Makes the tap `name` in the namespace of the calling thread and opens it.
///
/// It is there as long as somebody holds the file: a QEMU that outlives its server keeps its taps, one that dies leaves none.
/// Frames come with the header of virtio, 10 bytes, which QEMU asks for and sets as it likes.
pub(super) fn open(name: &str) -> Result<OwnedFd, Error> {
    let doing = format!("making the tap {name}");
    let opened =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK).open("/dev/net/tun");
    let file = match opened {
        Ok(file) => file,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::ENXIO)) => {
            return Err(Error::Kernel(
                "/dev/net/tun is not there: load the module (`modprobe tun`), then try again".into(),
            ));
        }
        Err(error) => return Err(Error::io(doing, error)),
    };
    match attach(&file, name) {
        Ok(()) => Ok(file.into()),
        Err(Errno::EBUSY) => Err(Error::Taken(format!("the tap {name} is in use by another process"))),
        Err(error) => Err(Error::io(doing, io::Error::from(error))),
    }
}

fn attach(file: &File, name: &str) -> Result<(), Errno> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // One place stays zero: the kernel reads a C string.
    if name.len() >= ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let flags = (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR) as libc::c_short;
    let mut request = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    #[expect(unsafe_code, reason = "TUNSETIFF has no safe face")]
    // SAFETY: the file is open, and the kernel reads and writes one whole `ifreq`, which is ours alone through the call.
    unsafe { tunsetiff(file.as_raw_fd(), &raw mut request) }.map(drop)
}
