//! What `dew doctor` says of GPUs: each with what it is, where it is, whether a Droplet can have it, and if not, what to change.

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use clap::Args;
use dewpoint_clock::{Clock as _, SystemClock};
use dewpoint_gpu::{GpuHost, Inventory, PciAddress, Seen, State, Sysfs, ledger::Parked};

use crate::config::default_data_dir;

/// Flags about GPUs.
#[derive(Debug, Args)]
pub(crate) struct GpuArgs {
    /// Only put a parked GPU back, which was repaired: it is reset and returned to its driver
    #[arg(long, value_name = "ADDRESS")]
    unpark: Option<PciAddress>,
    /// Look for GPUs below DIR/sys and DIR/proc, as on another host
    #[arg(long, value_name = "DIR", hide = true)]
    sysfs: Option<PathBuf>,
}

impl GpuArgs {
    /// The GPUs that are meant, with what a server on `data_dir` wrote down of them.
    pub(super) fn host(&self, dir: Option<PathBuf>) -> Result<GpuHost> {
        let data_dir = dir.map_or_else(default_data_dir, Ok)?;
        Ok(match &self.sysfs {
            Some(root) => GpuHost::at(root, &data_dir, Arc::new(Sysfs::new(root))),
            None => GpuHost::new(&data_dir),
        })
    }

    /// Puts back the GPU that was named, if one was; says what was done.
    pub(super) fn unpark(&self, host: &GpuHost) -> Result<Option<String>> {
        let Some(gpu) = self.unpark else { return Ok(None) };
        host.put_back(gpu, SystemClock.now())?;
        Ok(Some(format!("GPU {gpu} was reset and is with its driver again: machines can have it")))
    }
}

/// The lines, as of the other subjects.
pub(super) fn lines(host: &GpuHost) -> Result<Vec<String>> {
    let (seen, inventory) = (host.look()?, host.inventory()?);
    let mut lines: Vec<String> = seen.iter().flat_map(gpu).collect();
    if lines.is_empty() {
        lines.push(line("gpu", "none", "no GPU of NVIDIA, AMD or Intel is on this host's PCI buses"));
    }
    let vanished =
        host.ledger()?.parked.into_iter().filter(|parked| seen.iter().all(|seen| seen.gpu.address != parked.device));
    lines.extend(vanished.flat_map(|lost| {
        let switch = inventory.switches.iter().any(|switch| switch.address == lost.device);
        let what = if switch { "an NVSwitch" } else { "not on this host any more" };
        let mut lines = vec![line("gpu", "parked", &format!("{}: {what}", lost.device))];
        lines.extend(parked(&lost));
        lines
    }));
    lines.extend(switches(&inventory));
    Ok(lines)
}

/// A GPU's line, and what is in its way.
fn gpu(seen: &Seen) -> Vec<String> {
    let Seen { gpu, state, machine } = seen;
    let memory = match gpu.memory_mib {
        0 => "memory not known".to_owned(),
        mib => format!("{} GiB", mib / 1024),
    };
    let model = if gpu.model.contains(':') { format!("{}, which no size names", gpu.model) } else { gpu.model.clone() };
    let groups: Vec<String> = gpu.groups.iter().map(u32::to_string).collect();
    let group =
        if groups.is_empty() { "no IOMMU group".to_owned() } else { format!("IOMMU group {}", groups.join(", ")) };
    let driver = gpu.driver().map_or("no driver".to_owned(), |driver| format!("driver {driver}"));
    let node = gpu.node.map_or("NUMA node not known".to_owned(), |node| format!("NUMA node {node}"));
    let mut sentence = format!("{} {} ({model}), {memory}, {group}, {driver}, {node}", gpu.address, gpu.name);
    if gpu.functions.len() > 1 {
        let others: Vec<String> = gpu.functions[1..].iter().map(|function| function.address.to_string()).collect();
        sentence.push_str(&format!("; goes with {}", others.join(", ")));
    }
    if let Some(machine) = machine {
        sentence.push_str(&format!("; machine {machine} has it"));
    }
    match state {
        State::Ready => vec![line("gpu", if machine.is_some() { "taken" } else { "ready" }, &sentence)],
        State::Parked(since) => [line("gpu", "parked", &sentence)].into_iter().chain(parked(since)).collect(),
        State::Unusable(found) => {
            let told = found.iter().flat_map(|found| [below("why", &found.why), below("hint", &found.remedy)]);
            [line("gpu", "no", &sentence)].into_iter().chain(told).collect()
        }
    }
}

fn parked(Parked { device, why, at, .. }: &Parked) -> [String; 2] {
    let remedy = format!(
        "switch the host off and on, or have the card looked at; when it is whole, `dew doctor --unpark {device}` puts it back"
    );
    [below("why", &format!("since {at}: {why}")), below("hint", &remedy)]
}

fn switches(inventory: &Inventory) -> Option<String> {
    let switched = inventory.gpus.iter().filter(|gpu| gpu.switched).count();
    let (fewer, count) = (switched.saturating_sub(1), inventory.switches.len());
    let sentence = format!(
        "NVSwitches: they go to a Droplet with all {switched} GPUs; one with {fewer} or fewer runs without NVLink \
         (in the guest: options nvidia NVreg_NvLinkDisable=1)"
    );
    (count > 0).then(|| line("nvlink", &count.to_string(), &sentence))
}

fn line(subject: &str, word: &str, sentence: &str) -> String {
    format!("{subject:<8} {word:<7} {sentence}")
}

fn below(word: &str, sentence: &str) -> String {
    format!("         {word}: {sentence}")
}

#[cfg(test)]
mod tests {
    use dewpoint_clock::Timestamp;
    use dewpoint_gpu::recorded::{HOSTS, RecordedHost, Step};

    use super::*;

    #[test]
    fn each_recorded_host_is_told_of_as_it_is() {
        for (name, _) in HOSTS {
            let (host, data) = (RecordedHost::new(name), tempfile::tempdir().expect("a directory"));
            let told = lines(&host.gpus(data.path())).expect("lines");
            insta::assert_snapshot!(name, told.join("\n"));
        }
    }

    #[test]
    fn a_gpu_is_told_of_as_taken_as_parked_and_as_ready_again() {
        let (host, data) = (RecordedHost::new("two_rtx"), tempfile::tempdir().expect("a directory"));
        let gpus = host.gpus(data.path());
        let card: PciAddress = "0000:41:00.0".parse().expect("an address");
        let said = || lines(&gpus).expect("lines").join("\n");
        gpus.take(7, &[card]).expect("taken");
        assert!(
            said().contains("gpu      taken   0000:41:00.0") && said().contains("; machine 7 has it"),
            "{}",
            said()
        );
        host.kernel().fail(Step::Reset, None, 1);
        gpus.give_back(7, Timestamp::from_millis(0)).expect("given back");
        assert!(said().contains("gpu      parked  0000:41:00.0"), "{}", said());
        assert!(said().contains("why: since 1970-01-01T00:00:00Z: 0000:41:00.0 was not reset"), "{}", said());
        let args = GpuArgs { unpark: Some(card), sysfs: None };
        assert!(args.unpark(&gpus).expect("put back").is_some());
        assert!(said().contains("gpu      ready   0000:41:00.0"), "{}", said());
        assert!(args.unpark(&gpus).expect_err("it is not parked").to_string().contains("is not parked"));
    }

    #[test]
    fn a_parked_gpu_that_is_gone_is_told_of_too() {
        let (host, data) = (RecordedHost::new("two_rtx"), tempfile::tempdir().expect("a directory"));
        let gpus = host.gpus(data.path());
        gpus.take(7, &["0000:41:00.0".parse().expect("an address")]).expect("taken");
        for function in ["0000:41:00.0", "0000:41:00.1"] {
            std::fs::remove_file(host.root().join("sys/bus/pci/devices").join(function)).expect("it falls off the bus");
        }
        gpus.give_back(7, Timestamp::from_millis(0)).expect("given back");
        let said = lines(&gpus).expect("lines").join("\n");
        assert!(said.contains("gpu      parked  0000:41:00.0: not on this host any more"), "{said}");
    }
}
