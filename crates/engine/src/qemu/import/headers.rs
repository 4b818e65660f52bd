//! What an image's header says, read by us before QEMU opens the file: whether it stands alone, and how large its disk is.
//!
//! A header that leads to another file could show a guest any file of this host. QEMU's own checks come after these and
//! behind a sandbox; here is only what must never reach them.

use std::io::{self, Read, Seek, SeekFrom};

use super::{problem::Problem, unpack::Format};

/// The size in bytes of the disk in `image`, which is of `format` and stands alone; else why it is refused.
pub(in crate::qemu) fn check(format: Format, image: &mut (impl Read + Seek), most: u64) -> Result<u64, Problem> {
    let result = match format {
        Format::Raw => image.seek(SeekFrom::End(0)).map_err(Flaw::from),
        Format::Qcow2 => qcow2(image),
        Format::Vhdx => vhdx(image),
        Format::Vdi => vdi(image),
        Format::Vmdk => vmdk(image),
    };
    let refused =
        |why: String| Err(Problem::Refused(format!("it is a {} image that cannot be taken: {why}", format.name())));
    match result {
        Ok(0) => refused("its disk has no size".to_owned()),
        Ok(size) if size > most => refused(super::too_large(most)),
        Ok(size) => Ok(size),
        Err(Flaw::Said(why)) => refused(why.to_owned()),
        Err(Flaw::Read(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            refused("it ends too early".to_owned())
        }
        Err(Flaw::Read(error)) => Err(crate::Error::host("read an image", error).into()),
    }
}

#[derive(Debug)]
enum Flaw {
    Said(&'static str),
    Read(io::Error),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

fn ensure(holds: bool, flaw: &'static str) -> Result<(), Flaw> {
    if holds { Ok(()) } else { Err(Flaw::Said(flaw)) }
}

const BACKED: &str = "it has a backing file";
const DAMAGED: &str = "its header is damaged";
const NEWER: &str = "it uses features that are not known here";

/// `length` bytes at `offset`.
fn bytes(image: &mut (impl Read + Seek), offset: u64, length: usize) -> Result<Bytes, Flaw> {
    image.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    image.read_exact(&mut bytes)?;
    Ok(Bytes(bytes))
}

/// A piece of a file, read by offsets that lie within it.
struct Bytes(Vec<u8>);

impl Bytes {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.0[at..at + N]);
        array
    }

    fn be32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    fn be64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }

    fn le32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn le64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
}

/// Source: QEMU's docs/interop/qcow2.txt.
fn qcow2(image: &mut (impl Read + Seek)) -> Result<u64, Flaw> {
    const DATA_FILE: u32 = 0x4441_5441;
    const BACKING_FORMAT: u32 = 0xe279_2aca;
    let header = bytes(image, 0, 104)?;
    ensure(header.0.starts_with(b"QFI\xfb"), DAMAGED)?;
    let version = header.be32(4);
    ensure(matches!(version, 2 | 3), "it is of a version other than 2 and 3")?;
    ensure(header.be64(8) == 0 && header.be32(16) == 0, BACKED)?;
    let cluster_bits = header.be32(20);
    ensure((9..=21).contains(&cluster_bits), DAMAGED)?;
    let cluster = 1_u64 << cluster_bits;
    let size = header.be64(24);
    ensure(header.be32(32) == 0, "it is encrypted")?;
    // Enough first-level entries for the disk, and no more of them than QEMU takes.
    let per_entry = u128::from(cluster) * u128::from(cluster / 8);
    let l1_size = u128::from(header.be32(36));
    ensure(l1_size * per_entry >= u128::from(size) && l1_size <= 4 << 20, DAMAGED)?;
    let aligned = |at: usize| header.be64(at) % cluster == 0 && header.be64(at) != 0;
    ensure((size == 0 || aligned(40)) && aligned(48), DAMAGED)?;
    ensure((1..=8 << 20).contains(&(u64::from(header.be32(56)) * cluster)), DAMAGED)?;
    ensure(header.be32(60) <= 65_536, "it has too many snapshots")?;
    let mut extensions = 72;
    if version == 3 {
        let incompatible = header.be64(72);
        ensure(incompatible & 0b100 == 0, "its data is in another file")?;
        ensure(incompatible & 0b10 == 0, "it is marked as corrupt")?;
        // What is left: dirty, compression type, extended L2 entries.
        ensure(incompatible & !0b1_1001 == 0, NEWER)?;
        // Autoclear bit 1: the external data file is raw.
        ensure(header.be64(88) & 0b10 == 0, "its data is in another file")?;
        ensure(header.be32(96) <= 6, DAMAGED)?;
        let length = u64::from(header.be32(100));
        ensure((104..=cluster).contains(&length) && length % 8 == 0, DAMAGED)?;
        extensions = length;
    }
    // Header extensions: kind and length, then the content, filled up to 8 bytes.
    while extensions + 8 <= cluster {
        let extension = bytes(image, extensions, 8)?;
        match extension.be32(0) {
            0 => break,
            DATA_FILE => return Err(Flaw::Said("its data is in another file")),
            BACKING_FORMAT => return Err(Flaw::Said(BACKED)),
            _ => extensions += 8 + u64::from(extension.be32(4)).next_multiple_of(8),
        }
        ensure(extensions <= cluster, DAMAGED)?;
    }
    Ok(size)
}

/// Source: VirtualBox's VDICore.h as QEMU's block/vdi.c reads it.
fn vdi(image: &mut (impl Read + Seek)) -> Result<u64, Flaw> {
    let header = bytes(image, 0, 512)?;
    ensure(header.array(0x40) == [0x7f, 0x10, 0xda, 0xbe], DAMAGED)?;
    ensure(header.le32(0x44) == 0x0001_0001, "it is of a version other than 1.1")?;
    ensure(matches!(header.le32(0x4c), 1 | 2), "it depends on another image")?;
    ensure(header.array(0x1a8) == [0_u8; 16] && header.array(0x1b8) == [0_u8; 16], "it depends on another image")?;
    ensure(header.le32(0x168) == 512 && header.le32(0x178) == 1 << 20, DAMAGED)?;
    let size = header.le64(0x170);
    let blocks = u64::from(header.le32(0x180));
    ensure(blocks << 20 >= size && u64::from(header.le32(0x184)) <= blocks, DAMAGED)?;
    Ok(size)
}

/// Source: the VMDK specification 5.0, and QEMU's block/vmdk.c for what it reads.
fn vmdk(image: &mut (impl Read + Seek)) -> Result<u64, Flaw> {
    const SECTOR: u64 = 512;
    /// Where QEMU looks for a parent, whatever the header says.
    const USUAL: u64 = SECTOR;
    const MOST: u64 = 64 * 1024;
    let header = bytes(image, 0, 512)?;
    ensure(header.0.starts_with(b"KDMV"), DAMAGED)?;
    ensure((1..=3).contains(&header.le32(4)), "it is of a version other than 1 to 3")?;
    let (capacity, grain) = (header.le64(12), header.le64(20));
    let (place, length) = (header.le64(28), header.le64(36));
    // Without a size of its own the file is a description that leads to others.
    ensure(capacity != 0, "it is only a description of other files")?;
    ensure(grain.is_power_of_two() && (8..=4096).contains(&grain), DAMAGED)?;
    ensure(place != 0 && length != 0 && length <= MOST / SECTOR && place < 1 << 40, "it has no description inside")?;
    for (offset, length) in [(place * SECTOR, length * SECTOR), (USUAL, 20 * SECTOR)] {
        image.seek(SeekFrom::Start(offset))?;
        let mut text = Vec::new();
        image.take(length).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(text.split(|byte| *byte == 0).next().unwrap_or_default()).to_lowercase();
        vmdk_description(&text, offset == place * SECTOR)?;
    }
    capacity.checked_mul(SECTOR).ok_or(Flaw::Said(DAMAGED))
}

fn vmdk_description(text: &str, must_be_one: bool) -> Result<(), Flaw> {
    ensure(!text.contains("parentfilenamehint"), BACKED)?;
    if !must_be_one && !text.starts_with("# disk descriptorfile") {
        return Ok(());
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.split_once('=').filter(|(before, _)| before.trim() == name));
        line.map(|(_, value)| value.trim().trim_matches('"'))
    };
    ensure(value("parentcid").is_none_or(|parent| parent == "ffffffff"), BACKED)?;
    let alone = matches!(value("createtype"), Some("monolithicsparse" | "streamoptimized"));
    ensure(alone, "it is not in one file (monolithicSparse or streamOptimized)")?;
    let access = ["rw ", "rdonly ", "noaccess "];
    let extents = text.lines().filter(|line| access.iter().any(|word| line.trim_start().starts_with(word)));
    let sparse = extents.clone().all(|line| line.split_whitespace().nth(2) == Some("sparse"));
    ensure(extents.count() <= 1 && sparse, "its data is in other files")
}

/// Source: Microsoft's MS-VHDX.
fn vhdx(image: &mut (impl Read + Seek)) -> Result<u64, Flaw> {
    const REGIONS: [u64; 2] = [192 << 10, 256 << 10];
    const METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, *b"\xb8\xfe\x57\x5f\x05\x0f\x88\x6e");
    const PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, *b"\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b");
    const SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, *b"\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8");
    const LOCATOR: [u8; 16] = guid(0xa8d3_5f2d, 0xb30b, 0x454d, *b"\xab\xf7\xd3\xd8\x48\x34\xab\x0c");
    let mut size = None;
    // Both copies of the region table: whichever QEMU takes must be sound.
    for place in REGIONS {
        let table = bytes(image, place, 64 << 10)?;
        if !table.0.starts_with(b"regi") {
            continue;
        }
        let count = table.le32(8) as usize;
        ensure(count <= 2047, DAMAGED)?;
        let entry = (0..count).map(|entry| 16 + entry * 32).find(|at| table.array(*at) == METADATA);
        let metadata = table.le64(entry.ok_or(Flaw::Said(DAMAGED))? + 16);
        ensure((1 << 20..1 << 50).contains(&metadata), DAMAGED)?;
        let items = bytes(image, metadata, 64 << 10)?;
        ensure(items.0.starts_with(b"metadata"), DAMAGED)?;
        let count = usize::from(u16::from_le_bytes(items.array(10)));
        ensure(count <= 2047, DAMAGED)?;
        let mut parameters = false;
        for at in (0..count).map(|item| 32 + item * 32) {
            let value = metadata + u64::from(items.le32(at + 16));
            match items.array(at) {
                PARAMETERS => {
                    // Bit 1: it has a parent.
                    ensure(bytes(image, value, 8)?.le32(4) & 0b10 == 0, BACKED)?;
                    parameters = true;
                }
                LOCATOR => return Err(Flaw::Said(BACKED)),
                SIZE => {
                    let found = bytes(image, value, 8)?.le64(0);
                    ensure(size.is_none_or(|size| size == found), DAMAGED)?;
                    size = Some(found);
                }
                _ => {}
            }
        }
        ensure(parameters, DAMAGED)?;
    }
    size.ok_or(Flaw::Said(DAMAGED))
}

/// A GUID as it lies in a file: the first three numbers with their low byte first.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor, process::Command};

    use super::*;
    use crate::qemu::disk::QEMU_IMG;

    const MIB: u64 = 1 << 20;

    /// Bytes to put in the place of others.
    type Change<'a> = (usize, &'a [u8]);

    /// An image as QEMU makes it.
    fn made(arguments: &[&str], size: &str) -> Vec<u8> {
        let top = tempfile::tempdir().expect("a directory");
        let mut create = Command::new(QEMU_IMG);
        create.args(["create", "-q", "-f"]).args(arguments).args(["image", size]);
        let output = create.current_dir(top.path()).output().expect("qemu-img runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(top.path().join("image")).expect("an image")
    }

    fn checked(format: Format, image: &[u8]) -> Result<u64, String> {
        check(format, &mut Cursor::new(image), 100 * MIB).map_err(|problem| problem.to_string())
    }

    /// The image with some bytes changed is refused, and the reason holds these words.
    fn refused(format: Format, image: &[u8], changes: &[Change], words: &str) {
        let mut image = image.to_vec();
        for (at, bytes) in changes {
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        let said = checked(format, &image).expect_err(words);
        assert!(said.contains(words), "{said}, and not {words}");
    }

    #[test]
    fn images_of_every_kind_that_stand_alone_are_taken() {
        let cases: &[(Format, &[&str])] = &[
            (Format::Qcow2, &["qcow2"]),
            (Format::Qcow2, &["qcow2", "-o", "compat=0.10"]),
            (Format::Qcow2, &["qcow2", "-o", "cluster_size=512"]),
            (Format::Qcow2, &["qcow2", "-o", "compression_type=zstd,extended_l2=on,cluster_size=128k"]),
            (Format::Vdi, &["vdi"]),
            (Format::Vdi, &["vdi", "-o", "static=on"]),
            (Format::Vhdx, &["vhdx"]),
            (Format::Vmdk, &["vmdk", "-o", "subformat=monolithicSparse"]),
            (Format::Vmdk, &["vmdk", "-o", "subformat=streamOptimized"]),
        ];
        for (format, arguments) in cases {
            assert_eq!(checked(*format, &made(arguments, "32M")), Ok(32 * MIB), "{arguments:?}");
            let large = checked(*format, &made(arguments, "101M")).expect_err("too large");
            assert!(large.contains("larger than"), "{large}");
        }
    }

    #[test]
    fn a_qcow2_that_is_not_what_it_seems_is_refused() {
        let image = made(&["qcow2"], "32M");
        let cases: &[(&[Change], &str)] = &[
            (&[(8, &[0, 0, 0, 0, 0, 0, 2, 0]), (16, &[0, 0, 0, 11])], "a backing file"),
            (&[(79, &[0b100])], "another file"),
            (&[(95, &[0b10])], "another file"),
            (&[(79, &[0b10])], "corrupt"),
            (&[(72, &[0x80])], "not known"),
            (&[(4, &[0, 0, 0, 4])], "version"),
            (&[(20, &[0, 0, 0, 40])], "damaged"),
            (&[(24, &[0x10, 0, 0, 0, 0, 0, 0, 0])], "damaged"),
            (&[(24, &[0; 8])], "no size"),
            (&[(32, &[0, 0, 0, 1])], "encrypted"),
            (&[(40, &[0, 0, 0, 0, 0, 0, 0, 1])], "damaged"),
            (&[(56, &[0xff; 4])], "damaged"),
            (&[(60, &[0xff; 4])], "snapshots"),
            (&[(96, &[0, 0, 0, 7])], "damaged"),
            (&[(100, &[0, 0, 0, 8])], "damaged"),
            (&[(112, &[0x44, 0x41, 0x54, 0x41])], "another file"),
            (&[(112, &[0xe2, 0x79, 0x2a, 0xca])], "a backing file"),
            (&[(112, &[1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff])], "damaged"),
        ];
        for (changes, words) in cases {
            refused(Format::Qcow2, &image, changes, words);
        }
        assert!(checked(Format::Qcow2, &image[..60]).expect_err("a stump").contains("too early"));
    }

    #[test]
    fn other_images_that_lead_elsewhere_are_refused() {
        let vdi = made(&["vdi"], "32M");
        refused(Format::Vdi, &vdi, &[(0x4c, &[4, 0, 0, 0])], "another image");
        refused(Format::Vdi, &vdi, &[(0x1a8, &[1])], "another image");
        refused(Format::Vdi, &vdi, &[(0x1b8, &[1])], "another image");
        refused(Format::Vdi, &vdi, &[(0x180, &[0; 4])], "damaged");

        let vmdk = made(&["vmdk"], "32M");
        let at = |text: &[u8]| vmdk.windows(text.len()).position(|window| window == text).expect("the text is there");
        refused(Format::Vmdk, &vmdk, &[(12, &[0; 8])], "other files");
        refused(Format::Vmdk, &vmdk, &[(28, &[0; 8])], "no description");
        refused(Format::Vmdk, &vmdk, &[(at(b"parentCID=ffffffff") + 10, b"0")], "a backing file");
        refused(Format::Vmdk, &vmdk, &[(at(b"# The Disk Data Base"), b"parentFileNameHint=\"")], "a backing file");
        refused(Format::Vmdk, &vmdk, &[(at(b"monolithicSparse"), b"monolithicFlat\"\n")], "one file");
        refused(Format::Vmdk, &vmdk, &[(at(b"# Extent"), b"RW 1 FLA\n")], "other files");

        let vhdx = made(&["vhdx"], "32M");
        let guid = [0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d];
        let item = vhdx.windows(8).position(|window| window == guid).expect("file parameters");
        let table = item & !0xffff;
        let value = u32::from_le_bytes([vhdx[item + 16], vhdx[item + 17], vhdx[item + 18], vhdx[item + 19]]) as usize;
        refused(Format::Vhdx, &vhdx, &[(table + value + 4, &[2])], "a backing file");
        refused(Format::Vhdx, &vhdx, &[(item, &[0; 8])], "damaged");
        assert!(checked(Format::Vhdx, &vhdx[..300_000]).expect_err("a stump").contains("too early"));
    }
}
