//! What this machine has: cores and memory.

use std::{collections::HashSet, fs, thread};

/// How many threads compute when nobody says: one less than there are cores, since llama.cpp's threads wait for each other in
/// loops, and a core that is shared with another program makes all of them slow. (Two threads on two busy cores were seen
/// twelve times slower than one.)
pub fn threads() -> u32 {
    let usable = thread::available_parallelism().map_or(1, usize::from);
    let cores = cores().unwrap_or(usable).min(usable);
    u32::try_from(cores.saturating_sub(1).max(1)).unwrap_or(1)
}

/// Cores, each counted once however many threads it has.
fn cores() -> Option<usize> {
    let mut seen = HashSet::new();
    for entry in fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let siblings = entry.path().join("topology/thread_siblings_list");
        if let Ok(siblings) = fs::read_to_string(siblings) {
            seen.insert(siblings);
        }
    }
    (!seen.is_empty()).then_some(seen.len())
}

/// What llama.cpp is compiled for and this processor does not have; it would end the process in the middle of an answer.
pub fn lacks() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
            ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
            ("F16C", std::arch::is_x86_feature_detected!("f16c")),
            ("FMA", std::arch::is_x86_feature_detected!("fma")),
            // What whoever builds it can switch on (docs/llama.md).
            ("AVX-512", !on(option_env!("GGML_AVX512")) || has_avx512()),
            ("AVX-512 VNNI", !on(option_env!("GGML_AVX512_VNNI")) || std::arch::is_x86_feature_detected!("avx512vnni")),
        ];
        has.into_iter().find(|(_, has)| !has).map(|(name, _)| name)
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Whether a setting of llama.cpp's build was on.
#[cfg(target_arch = "x86_64")]
fn on(setting: Option<&str>) -> bool {
    setting.is_some_and(|value| ["1", "on", "true", "yes"].contains(&value.to_ascii_lowercase().as_str()))
}

/// The parts of AVX-512 that llama.cpp takes together.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512cd")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
}

/// Bytes that can be had without pushing others out: what the kernel says is available, and what the control group leaves.
/// `None` where neither is told.
pub fn free_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    });
    match (machine, group_leaves()) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

fn group_leaves() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup{path}/{name}")).ok()?.trim().parse::<u64>().ok();
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_setting_is_on_as_cmake_reads_it() {
        assert!(["ON", "on", "1", "TRUE"].iter().all(|value| on(Some(value))));
        assert!(![None, Some("OFF"), Some("0"), Some("")].iter().any(|value| on(*value)));
        assert_eq!(lacks(), None, "what runs these tests runs what they were built for");
    }

    #[test]
    fn there_is_a_core_left_for_others_where_there_are_several() {
        let usable = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads() as usize;
        assert!((1..=usable).contains(&threads) && (usable == 1 || threads < usable));
        assert!(free_memory().is_some_and(|bytes| bytes > 0));
    }
}
