//! What comes down the line: how it is packed, and what kind of disk image it is. By the first bytes, never by a name.

use std::io::{self, Cursor, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use super::problem::Problem;

/// The kinds of disk image that are taken (IMG-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::qemu) enum Format {
    Raw,
    Qcow2,
    Vhdx,
    Vdi,
    Vmdk,
}

impl Format {
    /// Its name to QEMU.
    pub(in crate::qemu) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhdx => "vhdx",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
        }
    }
}

/// How many bytes are looked at: past where an ISO image says that it is one.
const HEAD: u64 = 64 * 1024;

/// Looks at the first bytes of `download` and returns what it is, unpacked, from its first byte on.
pub(in crate::qemu) fn open(
    mut download: impl Read + Send + 'static,
) -> Result<(Format, Box<dyn Read + Send>), Problem> {
    let head = head(&mut download)?;
    let mut unpacked: Box<dyn Read + Send> = match packing(&head)? {
        Packing::Plain => {
            let format = format(&head)?;
            return Ok((format, Box::new(Cursor::new(head).chain(download))));
        }
        Packing::Gzip => Box::new(MultiGzDecoder::new(Cursor::new(head).chain(download))),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(Cursor::new(head).chain(download))),
    };
    let head = self::head(&mut unpacked)?;
    if packing(&head)? != Packing::Plain {
        return Err(Problem::Refused("it is compressed more than once".to_owned()));
    }
    Ok((format(&head)?, Box::new(Cursor::new(head).chain(unpacked))))
}

fn head(source: &mut impl Read) -> Result<Vec<u8>, Problem> {
    let mut head = Vec::new();
    source.take(HEAD).read_to_end(&mut head).map_err(Problem::of_reading)?;
    Ok(head)
}

#[derive(Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Bzip2,
}

fn packing(head: &[u8]) -> Result<Packing, Problem> {
    let other = |name: &str| Err(Problem::Refused(format!("it is packed with {name}; only gzip and bzip2 are taken")));
    match head {
        [0x1f, 0x8b, 8, ..] => Ok(Packing::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Ok(Packing::Bzip2),
        // No block at all: nothing, packed.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Ok(Packing::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => other("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => other("zstd"),
        [b'P', b'K', 3, 4, ..] => other("zip"),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => other("7-Zip"),
        _ if head.get(257..262) == Some(b"ustar") => other("tar"),
        _ => Ok(Packing::Plain),
    }
}

fn format(head: &[u8]) -> Result<Format, Problem> {
    let refused = |text: &str| Err(Problem::Refused(text.to_owned()));
    if head.is_empty() {
        return refused("there is nothing at that address");
    }
    if head.starts_with(b"QFI\xfb") {
        return Ok(Format::Qcow2);
    }
    if head.starts_with(b"vhdxfile") {
        return Ok(Format::Vhdx);
    }
    if head.starts_with(b"KDMV") {
        return Ok(Format::Vmdk);
    }
    if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) {
        return Ok(Format::Vdi);
    }
    if head.starts_with(b"COWD") || head.starts_with(b"# Disk DescriptorFile") {
        return refused(
            "it is only the description of a VMDK image, whose content is in other files; give a VMDK of one file",
        );
    }
    if head.starts_with(b"conectix") {
        return refused("it is a VHD image; turn it into VHDX or qcow2 first");
    }
    if head.get(510..512) == Some(&[0x55, 0xaa]) {
        return Ok(Format::Raw);
    }
    if std::str::from_utf8(&head[..head.len().min(256)]).is_ok_and(|text| !text.contains('\0')) {
        return refused("it is a text or a web page and not a disk image");
    }
    refused("it is no disk image: of no kind that is taken, and with neither a partition table nor a boot sector")
}

/// Fills as much of `buffer` as the source has; fewer bytes than asked for are its end.
pub(in crate::qemu) fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, Problem> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Problem::of_reading(error)),
        }
    }
    Ok(filled)
}

/// Whether all of `bytes` are zero: the first is, and each is as the one before it. As fast as memory is compared.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [first, rest @ ..] => *first == 0 && bytes[..rest.len()] == *rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(bytes: &[u8]) -> Result<(Format, Vec<u8>), String> {
        let (format, mut source) = open(Cursor::new(bytes.to_vec())).map_err(|problem| problem.to_string())?;
        let mut all = Vec::new();
        source.read_to_end(&mut all).map_err(|error| error.to_string())?;
        Ok((format, all))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).expect("packed");
        packed
    }

    #[test]
    fn what_it_is_shows_in_its_first_bytes_packed_or_not() {
        let mut disk = vec![7; 200_000];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        for packed in [disk.clone(), gzip(&disk), [gzip(&disk[..100_000]), gzip(&disk[100_000..])].concat()] {
            assert_eq!(opened(&packed), Ok((Format::Raw, disk.clone())));
        }
        let mut vdi = vec![0; 512];
        vdi[64..68].copy_from_slice(&[0x7f, 0x10, 0xda, 0xbe]);
        for (bytes, format) in [
            (b"QFI\xfb\0\0\0\x03".as_slice(), Format::Qcow2),
            (b"vhdxfile", Format::Vhdx),
            (b"KDMV\x01", Format::Vmdk),
            (vdi.as_slice(), Format::Vdi),
        ] {
            assert_eq!(opened(bytes).expect("an image").0, format);
            assert_eq!(opened(&gzip(bytes)).expect("an image").0, format);
        }
    }

    #[test]
    fn what_it_is_not_is_said() {
        let cases = [
            (b"<!DOCTYPE html>".to_vec(), "a web page"),
            (Vec::new(), "nothing at that address"),
            (gzip(&gzip(b"x")), "more than once"),
            (b"# Disk DescriptorFile\nversion=1".to_vec(), "other files"),
            (vec![0xfd, b'7', b'z', b'X', b'Z', 0, 0], "xz"),
            (vec![0; 4096], "boot sector"),
            (gzip(&[1; 9000])[..60].to_vec(), "ends too early"),
        ];
        for (bytes, expected) in cases {
            let said = opened(&bytes).expect_err(expected);
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn zeros_are_told_from_one_bit() {
        let mut bytes = vec![0; 65_536];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 1, 65_535] {
            bytes[at] = 1;
            assert!(!is_zero(&bytes));
            bytes[at] = 0;
        }
    }
}
