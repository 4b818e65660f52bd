//! Where a machine goes: hosts and a size in, a choice or the reason against it out. No I/O.

use dewpoint_engine::{GpuState, Host, HostGpus};

use crate::catalogue::SizeEntry;

/// What a machine needs of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs<'a> {
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How many GPUs it wants, and of which model.
    pub gpus: Option<(u32, &'a str)>,
}

impl<'a> Needs<'a> {
    /// What a Droplet of this size needs.
    pub fn of(size: &'a SizeEntry) -> Self {
        let gpus = size.gpu().map(|gpu| (gpu.count, gpu.model.as_str()));
        Self { vcpus: size.spec.vcpus, memory_mib: size.spec.memory_mib, gpus }
    }
}

/// A host that could have such a machine if it were empty; `None` when none is large enough, or has as many GPUs of the model.
pub fn place<'h>(hosts: &'h [Host], needs: Needs<'_>) -> Option<&'h Host> {
    let fits = |host: &&Host| {
        host.vcpus >= needs.vcpus
            && host.memory_mib >= needs.memory_mib
            && needs.gpus.is_none_or(|gpus| has(host, gpus))
    };
    hosts.iter().find(fits)
}

/// Whether a host has so many GPUs of a model. One that is parked is there, and may be put back; one that its host cannot give
/// to anybody does not count.
fn has(host: &Host, (count, model): (u32, &str)) -> bool {
    let HostGpus::These(gpus) = &host.gpus else { return true };
    let usable = gpus.iter().filter(|gpu| gpu.model == model && !matches!(gpu.state, GpuState::Unusable(_)));
    usable.count() >= count as usize
}

#[cfg(test)]
mod tests {
    use dewpoint_engine::HostGpu;

    use super::*;

    fn gpu(address: &str, model: &str, state: GpuState) -> HostGpu {
        let address = address.parse().expect("an address");
        HostGpu { address, model: model.to_owned(), memory_mib: 81_920, node: None, state }
    }

    #[test]
    fn a_machine_goes_to_the_first_host_that_is_large_enough() {
        let host = |name: &str, vcpus| Host { name: name.into(), vcpus, memory_mib: 4096, gpus: HostGpus::NONE };
        let hosts = [host("small", 1), host("large", 8)];
        let needs = |vcpus, gpus| Needs { vcpus, memory_mib: 1024, gpus };
        assert_eq!(place(&hosts, needs(2, None)).map(|host| host.name.as_str()), Some("large"));
        assert_eq!(place(&hosts, needs(16, None)), None);
        assert_eq!(place(&hosts, needs(1, Some((1, "nvidia_h100")))), None);
    }

    #[test]
    fn a_size_needs_as_many_gpus_of_its_model_as_can_be_given_at_all() {
        let gpus = vec![
            gpu("0000:01:00.0", "nvidia_h100", GpuState::Ready),
            gpu("0000:02:00.0", "nvidia_h100", GpuState::Parked("its reset failed".to_owned())),
            gpu("0000:03:00.0", "nvidia_h100", GpuState::Unusable("it drives the console".to_owned())),
            gpu("0000:04:00.0", "nvidia_l40s", GpuState::Ready),
        ];
        let host = Host { name: "h1".into(), vcpus: 64, memory_mib: 65_536, gpus: HostGpus::These(gpus) };
        let fits = |count, model| {
            place(std::slice::from_ref(&host), Needs { vcpus: 1, memory_mib: 1, gpus: Some((count, model)) }).is_some()
        };
        assert!(fits(2, "nvidia_h100") && fits(1, "nvidia_l40s"));
        assert!(!fits(3, "nvidia_h100") && !fits(1, "amd_mi300x"));
    }
}
