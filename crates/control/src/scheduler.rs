//! Where a machine goes: hosts and a size in, a choice or the reason against it out. No I/O.

use dewpoint_engine::Host;

use crate::catalogue::SizeEntry;

/// What a machine needs of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether it wants a GPU.
    pub gpu: bool,
}

impl Needs {
    /// What a Droplet of this size needs.
    pub fn of(size: &SizeEntry) -> Self {
        Self { vcpus: size.spec.vcpus, memory_mib: size.spec.memory_mib, gpu: size.is_gpu() }
    }
}

/// The host to place such a machine on; `None` when none is large enough, or none has a GPU.
pub fn place(hosts: &[Host], needs: Needs) -> Option<&Host> {
    let fits = |host: &&Host| {
        host.vcpus >= needs.vcpus && host.memory_mib >= needs.memory_mib && (host.gpus.any() || !needs.gpu)
    };
    hosts.iter().find(fits)
}

#[cfg(test)]
mod tests {
    use dewpoint_engine::HostGpus;

    use super::*;

    #[test]
    fn a_machine_goes_to_the_first_host_that_is_large_enough() {
        let host = |name: &str, vcpus| Host { name: name.into(), vcpus, memory_mib: 4096, gpus: HostGpus::NONE };
        let hosts = [host("small", 1), host("large", 8)];
        let needs = |vcpus, gpu| Needs { vcpus, memory_mib: 1024, gpu };
        assert_eq!(place(&hosts, needs(2, false)).map(|host| host.name.as_str()), Some("large"));
        assert_eq!(place(&hosts, needs(16, false)), None);
        assert_eq!(place(&hosts, needs(1, true)), None);
    }
}
