//! How much an import may take of the host.

use std::time::Duration;

/// What one import may use. The defaults suit a host of any size: what bounds them is the largest image that is taken.
#[derive(Clone, Debug)]
pub struct ImportLimits {
    /// Most bytes of the answer, of what it unpacks to, and of the disk inside: 100 GB, as the public service takes (IMG-4).
    pub max_bytes: u64,
    /// Bytes that stay free on the disk under the data directory.
    pub keep_free: u64,
    /// How long a look-up of a name, and a connection, may take.
    pub connect: Duration,
    /// How long the other end may be silent.
    pub idle: Duration,
    /// How long the whole download may take, by the engine's clock.
    pub download: Duration,
    /// Bytes a second that have to arrive, on the average of each [`ImportLimits::patience`]: few servers may not hold all places.
    pub slowest: u64,
    /// How long the other end may be slower than that.
    pub patience: Duration,
    /// How often in a row a download that broke is taken up again.
    pub retries: u32,
    /// The pause before the first time, by the engine's clock; it doubles with each.
    pub retry_pause: Duration,
    /// How long one run of `qemu-img` may take, by the engine's clock.
    pub qemu_img: Duration,
    /// Processor time of one run of `qemu-img`.
    pub qemu_img_cpu: Duration,
    /// Address space of one run of `qemu-img`, in bytes.
    pub qemu_img_memory: u64,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            max_bytes: 100_000_000_000,
            keep_free: 1 << 30,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            download: Duration::from_secs(6 * 3600),
            slowest: 128 << 10,
            patience: Duration::from_secs(5 * 60),
            retries: 5,
            retry_pause: Duration::from_secs(1),
            qemu_img: Duration::from_secs(2 * 3600),
            qemu_img_cpu: Duration::from_secs(3600),
            qemu_img_memory: 2 << 30,
        }
    }
}
