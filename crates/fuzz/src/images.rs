//! Images and seed disks.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use dewpoint_engine::qemu::doors;

/// The largest disk that is taken here.
const MOST: u64 = 100 << 30;
/// More than any header that is taken has to be looked at.
const READ_MAX: u64 = 16 << 20;

/// A file that counts what is read of it: memory and time are bounded by that.
struct Counted<'a> {
    file: Cursor<&'a [u8]>,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Asked for, not only there: a buffer was made for all of it.
        self.read += buffer.len() as u64;
        assert!(self.read <= READ_MAX, "more than {READ_MAX} bytes were made room for");
        self.file.read(buffer)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The first byte chooses the format, the rest is the file. A disk that is taken has a size within the limit.
pub(crate) fn header(data: &[u8]) {
    let Some((format, image)) = data.split_first() else { return };
    let mut file = Counted { file: Cursor::new(image), read: 0 };
    match doors::image_header(usize::from(*format), &mut file, MOST) {
        Ok(size) => {
            assert!((1..=MOST).contains(&size), "a disk of {size} bytes");
            let again = doors::image_header(usize::from(*format), &mut Cursor::new(image), size - 1);
            assert!(again.is_err(), "it is over the limit and was taken");
        }
        Err(why) => assert!((1..2000).contains(&why.len()), "{why:?}"),
    }
}

/// A download: what it is, unpacked. What is plain comes out as it came in.
pub(crate) fn download(data: &[u8]) {
    const MOST: usize = 1 << 20;
    match doors::unpacked(data, MOST) {
        Ok((format, unpacked)) => {
            assert!(doors::FORMATS.iter().any(|known| format.to_lowercase().contains(known)), "{format}");
            let packed = data.starts_with(b"\x1f\x8b") || data.starts_with(b"BZh");
            assert!(packed || unpacked == data[..data.len().min(MOST)], "it was changed on its way");
        }
        Err(why) => assert!((1..2000).contains(&why.len()), "{why:?}"),
    }
}

/// User data on the seed disk: the same bytes, whatever they are, and a disk of the same size.
pub(crate) fn seed(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > 65_536 {
        return;
    }
    let disk = doors::seed_disk(text).expect("there is room for user data");
    assert_eq!(disk.len(), 512 * 1024);
    let at = |needle: &[u8]| disk.windows(needle.len()).any(|window| window == needle);
    // A file's clusters lie one behind the other on a fresh disk.
    assert!(text.is_empty() || at(data), "the user data is not on the disk");
}
