//! A raw disk becomes a qcow2 file while it comes down the line, so that a large one is written once and read never.
//!
//! The disk's content is copied and never interpreted. What is written, in this order:
//!
//! ```text
//! cluster 0       the header; written last, so that a file that was cut off is no image
//! 1 ..            the disk's clusters that are not zero, as they come
//! then            L2 tables, the L1 table, refcount blocks, the refcount table
//! ```
//!
//! Source: QEMU's docs/interop/qcow2.txt, version 3, clusters of 64 KiB, refcounts of 16 bits.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use nix::fcntl::OFlag;

use super::{
    problem::Problem,
    space::Space,
    unpack::{fill, is_zero},
};
use crate::Error;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Entries of 8 bytes in a cluster.
const ENTRIES: usize = CLUSTER / 8;
/// Refcounts of 2 bytes in a cluster.
const REFCOUNTS: u64 = CLUSTER as u64 / 2;
/// In table entries: the cluster has one owner.
const COPIED: u64 = 1 << 63;
/// A disk's size is counted in these.
const SECTOR: u64 = 512;

/// What is read, and written, at once.
const CHUNK: usize = 4 << 20;
/// What memory that goes to a disk past the page cache must be aligned to.
const ALIGNMENT: usize = 4096;
/// How much is written between looks at the room that is left.
const LOOK: u64 = 64 << 20;

/// Writes `source` as a qcow2 file at `target` and makes it durable. Fails when it has more than `most` bytes.
///
/// Reading and writing take turns on two threads, and the page cache is left out where the file system allows: it would cost
/// more than the disk.
pub(super) fn write(source: &mut dyn Read, target: &Path, space: &Space, most: u64) -> Result<(), Problem> {
    let mut writer = Writer::create(target, space.clone()).map_err(Problem::of_writing(target))?;
    let (full, arriving) = sync_channel::<Chunk>(1);
    let (spent, empty) = sync_channel::<Chunk>(3);
    let (size, writer) = thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let written = writer.put_all(&arriving, &spent, target);
            written.map(|()| writer)
        });
        let read = read_all(source, &full, &empty, most);
        drop(full);
        // The writer's problem first: it is what the reader stopped for.
        let writer = writing.join().map_err(|_| Error::host("write an image", "a thread panicked"))??;
        Ok::<_, Problem>((read?, writer))
    })?;
    writer.finish(size, target).map_err(Problem::of_writing(target))
}

/// Reads `source` to its end, chunk by chunk, and returns how many bytes it had.
fn read_all(
    source: &mut dyn Read,
    full: &SyncSender<Chunk>,
    empty: &Receiver<Chunk>,
    most: u64,
) -> Result<u64, Problem> {
    let mut fresh = vec![Chunk::new(), Chunk::new(), Chunk::new()];
    let mut size = 0;
    loop {
        let Some(mut chunk) = fresh.pop().or_else(|| empty.recv().ok()) else { return Ok(size) };
        let buffer = chunk.whole();
        let count = fill(source, buffer)?;
        size += count as u64;
        if size > most {
            return Err(Problem::Refused(super::too_large(most)));
        }
        let used = count.next_multiple_of(CLUSTER);
        buffer[count..used].fill(0);
        chunk.used = used;
        let last = count < CHUNK;
        if full.send(chunk).is_err() || last {
            return Ok(size);
        }
    }
}

/// Memory for a piece of the disk, aligned.
struct Chunk {
    memory: Vec<u8>,
    start: usize,
    used: usize,
}

impl Chunk {
    fn new() -> Self {
        let memory = vec![0; CHUNK + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start, used: 0 }
    }

    fn whole(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + CHUNK]
    }

    fn used(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.used]
    }
}

/// A qcow2 file that grows at its end.
struct Writer {
    file: File,
    space: Space,
    /// The number of the file's next cluster.
    next: u64,
    /// Bytes written since the last look at the room that is left.
    unlooked: u64,
    /// For each cluster of the disk where it is in the file, in bytes; 0 for zeros.
    places: Vec<u64>,
}

impl Writer {
    fn create(target: &Path, space: Space) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        // Some file systems cannot; their files are written as any other.
        let file =
            options.clone().custom_flags(OFlag::O_DIRECT.bits()).open(target).or_else(|_| options.open(target))?;
        Ok(Self { file, space, next: 1, unlooked: 0, places: Vec::new() })
    }

    fn put_all(&mut self, arriving: &Receiver<Chunk>, spent: &SyncSender<Chunk>, target: &Path) -> Result<(), Problem> {
        for chunk in arriving {
            if self.unlooked >= LOOK {
                self.space.check(LOOK)?;
                self.unlooked = 0;
            }
            self.put(chunk.used()).map_err(Problem::of_writing(target))?;
            // A reader that is done wants none back.
            let _ = spent.send(chunk);
        }
        Ok(())
    }

    /// Writes the clusters that are not zero, neighbours at once.
    fn put(&mut self, clusters: &[u8]) -> io::Result<()> {
        let mut rest = clusters;
        while !rest.is_empty() {
            let run = rest.chunks(CLUSTER).take_while(|cluster| !is_zero(cluster)).map(<[u8]>::len).sum();
            let (data, after) = rest.split_at(run);
            self.file.write_all_at(data, self.next << CLUSTER_BITS)?;
            let first = self.next;
            self.next += (run / CLUSTER) as u64;
            self.places.extend((first..self.next).map(|cluster| cluster << CLUSTER_BITS));
            self.unlooked += run as u64;
            let zeros = after.chunks(CLUSTER).take_while(|cluster| is_zero(cluster)).count();
            self.places.resize(self.places.len() + zeros, 0);
            rest = &after[zeros * CLUSTER..];
        }
        Ok(())
    }

    /// Writes the tables, makes all that durable, and then the header.
    fn finish(mut self, size: u64, target: &Path) -> io::Result<()> {
        // Tables are not aligned in memory.
        self.file = OpenOptions::new().write(true).open(target)?;
        let mut l1 = Vec::new();
        for places in std::mem::take(&mut self.places).chunks(ENTRIES) {
            if places.iter().all(|place| *place == 0) {
                l1.push(0);
                continue;
            }
            l1.push((self.next << CLUSTER_BITS) | COPIED);
            self.put_table(places.iter().map(|place| if *place == 0 { 0 } else { place | COPIED }))?;
        }
        let l1_table = self.next << CLUSTER_BITS;
        let l1_size = u32::try_from(l1.len()).map_err(io::Error::other)?;
        self.put_table(l1.into_iter())?;

        // The refcount blocks and their table count themselves as well.
        let (mut blocks, mut table) = (0, 0);
        let mut clusters = self.next;
        while clusters > blocks * REFCOUNTS || blocks > table * ENTRIES as u64 {
            blocks = clusters.div_ceil(REFCOUNTS);
            table = blocks.div_ceil(ENTRIES as u64);
            clusters = self.next + blocks + table;
        }
        let first_block = self.next;
        for block in 0..blocks {
            let used = (clusters - block * REFCOUNTS).min(REFCOUNTS);
            let counts: Vec<u8> = (0..REFCOUNTS).flat_map(|cluster| u16::from(cluster < used).to_be_bytes()).collect();
            self.put_cluster(&counts)?;
        }
        let refcount_table = self.next << CLUSTER_BITS;
        self.put_table((first_block..first_block + blocks).map(|block| block << CLUSTER_BITS))?;
        self.file.sync_data()?;

        let header = Header {
            size: size.next_multiple_of(SECTOR),
            l1_size,
            l1_table,
            refcount_table,
            refcount_table_clusters: u32::try_from(table).map_err(io::Error::other)?,
        };
        self.file.write_all_at(&header.bytes(), 0)?;
        self.file.sync_all()
    }

    fn put_table(&mut self, entries: impl Iterator<Item = u64>) -> io::Result<()> {
        let bytes: Vec<u8> = entries.flat_map(u64::to_be_bytes).collect();
        bytes.chunks(CLUSTER).try_for_each(|cluster| self.put_cluster(cluster))
    }

    /// Appends a cluster, filled up with zeros.
    fn put_cluster(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut cluster = bytes.to_vec();
        cluster.resize(CLUSTER, 0);
        self.file.write_all_at(&cluster, self.next << CLUSTER_BITS)?;
        self.next += 1;
        Ok(())
    }
}

struct Header {
    size: u64,
    l1_size: u32,
    l1_table: u64,
    refcount_table: u64,
    refcount_table_clusters: u32,
}

impl Header {
    /// The first cluster: version 3, no backing file, no encryption, no snapshots, no features, no extensions.
    fn bytes(&self) -> Vec<u8> {
        const LENGTH: u32 = 104;
        const REFCOUNT_ORDER: u32 = 4;
        let mut bytes = Vec::with_capacity(CLUSTER);
        bytes.extend(b"QFI\xfb");
        bytes.extend(3_u32.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(CLUSTER_BITS.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes());
        bytes.extend(self.l1_size.to_be_bytes());
        bytes.extend(self.l1_table.to_be_bytes());
        bytes.extend(self.refcount_table.to_be_bytes());
        bytes.extend(self.refcount_table_clusters.to_be_bytes());
        bytes.extend([0; 36]);
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend(LENGTH.to_be_bytes());
        bytes.resize(CLUSTER, 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;
    use crate::qemu::disk::QEMU_IMG;
    use crate::qemu::import::space::Promises;

    /// Writes `disk` and asks QEMU whether the result is sound and the same.
    fn comes_back(disk: &[u8]) -> u64 {
        let top = tempfile::tempdir().expect("a directory");
        let (raw, made) = (top.path().join("raw"), top.path().join("made"));
        fs::write(&raw, disk).expect("written");
        write(&mut &disk[..], &made, &Space::new(top.path(), 0, &Promises::default()), 1 << 40).expect("made");
        let qemu_img = |arguments: &[&str]| {
            let output =
                Command::new(QEMU_IMG).args(arguments).current_dir(top.path()).output().expect("qemu-img runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        };
        qemu_img(&["check", "-q", "-f", "qcow2", "made"]);
        qemu_img(&["compare", "-q", "-f", "raw", "-F", "qcow2", "raw", "made"]);
        fs::metadata(&made).expect("a file").len()
    }

    #[test]
    fn a_disk_comes_back_as_it_was() {
        let cluster = |byte| vec![byte; CLUSTER];
        let (one, two, zeros) = (cluster(1), cluster(2), cluster(0));
        comes_back(&[1; 512]);
        comes_back(&[&zeros[..], &one, &two, &zeros, &zeros, &two, &[3; 1000]].concat());
        comes_back(&[&vec![0; CHUNK][..], &vec![9; CHUNK], &one, &zeros].concat());
    }

    #[test]
    fn zeros_take_no_room() {
        // More than one L2 table covers, so that one of them is left out.
        let mut disk = vec![0; 600 << 20];
        disk[590 << 20] = 1;
        assert!(comes_back(&disk) < 1 << 20);
    }

    #[test]
    fn more_than_is_taken_is_refused() {
        let top = tempfile::tempdir().expect("a directory");
        let space = Space::new(top.path(), 0, &Promises::default());
        let refused = write(&mut io::repeat(1), &top.path().join("made"), &space, 10 << 20);
        assert!(matches!(refused, Err(Problem::Refused(_))), "{refused:?}");
        let full = write(
            &mut io::repeat(1).take(1 << 30),
            &top.path().join("made"),
            &Space::new(top.path(), 1 << 60, &Promises::default()),
            1 << 40,
        );
        assert!(matches!(full, Err(Problem::Host(Error::DiskFull { .. }))), "{full:?}");
    }
}
