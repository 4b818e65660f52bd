//! Whether this host's QEMU can run a guest at all, and whether KVM can be trusted with one.
//!
//! A `/dev/kvm` that opens proves little: in some nested hosts it hangs, or fails at the first instruction it has to
//! emulate. So a guest of 208 bytes runs under it, and only if it comes to its end in time is KVM taken.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};

use super::{
    command::{PROGRAM, SANDBOX},
    contain::{Cell, Containment, ProbeError},
    disk::QEMU_IMG,
    layout::{io_error, write_atomically},
};
use crate::Error;

/// The oldest QEMU that is known to work.
const OLDEST: (u32, u32) = (7, 2);

/// What runs a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator: slow, and works everywhere.
    Tcg,
}

impl Accelerator {
    /// Its name on QEMU's command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The processor a guest sees.
    pub(super) fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            // Five-level page tables would only make the translator walk further.
            Self::Tcg => "max,la57=off",
        }
    }

    /// How long the probe guest may take. It needs a tenth of a second on an idle host.
    fn probe_limit(self) -> Duration {
        match self {
            Self::Kvm => Duration::from_secs(2),
            Self::Tcg => Duration::from_secs(20),
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
    }
}

/// Which accelerator machines run under, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceleration {
    /// The choice.
    pub accelerator: Accelerator,
    /// One clause for an operator: "a probe guest ran under KVM".
    pub reason: String,
}

/// Runs the probe guest where `wanted` leaves a choice.
pub(super) async fn choose(wanted: Option<Accelerator>, rom: &Path, containment: &Containment) -> Acceleration {
    if let Some(accelerator) = wanted {
        return Acceleration { accelerator, reason: "the configuration says so".to_owned() };
    }
    let tcg = |reason: String| Acceleration { accelerator: Accelerator::Tcg, reason };
    if !Path::new("/dev/kvm").exists() {
        return tcg("this host has no /dev/kvm".to_owned());
    }
    match run_probe(Accelerator::Kvm, rom, containment).await {
        Ok(()) => Acceleration { accelerator: Accelerator::Kvm, reason: "a probe guest ran under KVM".to_owned() },
        Err(ProbeError::Failed(reason) | ProbeError::Silent(reason)) => {
            tcg(format!("a probe guest did not run under KVM: {reason}"))
        }
    }
}

/// Fails, saying what to install or change, unless QEMU is here. Writes the probe guest. Returns QEMU's version.
pub(super) async fn check_qemu(rom: &Path) -> Result<String, Error> {
    let (version, _) = tokio::try_join!(version_of(PROGRAM, "qemu-system-x86"), version_of(QEMU_IMG, "qemu-utils"))?;
    let number = parse_version(&version).ok_or_else(|| Error::host("read QEMU's version", &version))?;
    if number < OLDEST {
        let (major, minor) = OLDEST;
        return Err(Error::host("use this QEMU", format_args!("{version} is older than {major}.{minor}")));
    }
    write_atomically(rom, &probe_rom(), 0o644).map_err(|error| io_error("write the probe guest", rom, &error))?;
    Ok(version)
}

async fn version_of(program: &str, package: &str) -> Result<String, Error> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| {
        Error::host("run QEMU", format_args!("{program}: {error}; install Debian's package {package}"))
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// "QEMU emulator version 7.2.22 (Debian …)" is (7, 2).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_once("version ")?.1.split('.');
    let mut number = || numbers.next()?.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    Some((number()?, number()?))
}

/// Runs the probe guest, held as a machine is.
pub(super) async fn run_probe(
    accelerator: Accelerator,
    rom: &Path,
    containment: &Containment,
) -> Result<(), ProbeError> {
    let machine = format!("q35,accel={}", accelerator.name());
    let mut words = ["-nodefaults", "-no-user-config", "-display", "none", "-sandbox", SANDBOX, "-m", "16"].to_vec();
    words.insert(0, PROGRAM);
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    words.extend(["-machine", &machine, "-cpu", accelerator.cpu()].map(str::to_owned));
    words.extend(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-bios"].map(str::to_owned));
    words.push(rom.display().to_string());
    let read: Vec<PathBuf> = vec![rom.to_path_buf()];
    let cell = Cell::reading(containment.user.clone(), rom.parent().unwrap_or(Path::new("/")), read);
    let pipes = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    };
    let failed = |error: std::io::Error| ProbeError::Failed(error.to_string());
    let child = containment.spawn(&words, &cell, pipes).map_err(failed)?;
    let limit = accelerator.probe_limit();
    let silent = |_| ProbeError::Silent(format!("a probe guest was not done after {limit:?}"));
    let output = timeout(limit, child.wait_with_output()).await.map_err(silent)?.map_err(failed)?;
    if output.status.code() == Some(PROBE_STATUS) {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(ProbeError::Failed(words.lines().next().map_or_else(|| output.status.to_string(), str::to_owned)))
}

/// QEMU's exit status when the guest writes 0x10 to the exit device: twice that and one.
const PROBE_STATUS: i32 = 33;

/// The probe guest as a ROM of 64 KiB: its code at the start, and at the reset vector a jump there.
fn probe_rom() -> Vec<u8> {
    let mut rom = vec![0xf4; 64 * 1024];
    rom[..PROBE_CODE.len()].copy_from_slice(&PROBE_CODE);
    let reset = rom.len() - 16;
    rom[reset..reset + 5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
    rom
}

/// Assembled from `probe.s`, which says what each part proves.
const PROBE_CODE: [u8; 208] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x60, 0xfc, 0xbf, 0x00, 0x10, //
    0xb9, 0x00, 0x18, 0xf3, 0xab, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0xc7, 0x06, 0x00, 0x20, 0x03, //
    0x30, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x8c, 0xc8, 0x8e, 0xd8, 0xbe, 0x98, 0x00, 0xbf, 0x00, //
    0x70, 0xb9, 0x38, 0x00, 0xf3, 0xa4, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x7e, 0x00, 0x31, 0xc0, 0x8e, //
    0xd8, 0x0f, 0x20, 0xe0, 0x66, 0x0d, 0x20, 0x06, 0x00, 0x00, 0x0f, 0x22, 0xe0, 0x66, 0xb8, 0x00, //
    0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8, 0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x66, 0x0d, //
    0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x66, 0x83, 0xe0, 0xfb, 0x66, 0x0d, 0x03, //
    0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, 0x66, 0xea, 0x00, 0x70, 0x00, 0x00, 0x08, 0x00, 0x0f, 0x00, //
    0x88, 0x00, 0x0f, 0x00, 0x8d, 0x74, 0x26, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
    0x00, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x20, 0x00, 0x48, 0xc7, 0xc4, 0x00, 0x90, 0x00, 0x00, 0x31, //
    0xc0, 0x31, 0xd2, 0xbb, 0x01, 0x00, 0x00, 0x00, 0x31, 0xc9, 0xf0, 0x48, 0x0f, 0xc7, 0x0c, 0x25, //
    0x00, 0x80, 0x00, 0x00, 0xf3, 0x0f, 0x6f, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00, 0xf3, 0x0f, 0x7f, //
    0x04, 0x25, 0x20, 0x80, 0x00, 0x00, 0x66, 0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4, 0xeb, 0xfd, //
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_qemu_says() {
        assert_eq!(parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"), Some((7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.0.50"), Some((10, 0)));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn the_probe_guest_starts_at_the_reset_vector() {
        let rom = probe_rom();
        assert_eq!(rom.len(), 65_536);
        assert_eq!(rom[65_520..65_525], [0xea, 0, 0, 0, 0xf0]);
        assert_eq!(rom[0], 0xfa);
    }
}
