//! `dew doctor`: what this host can do, and what to change where it cannot.

mod gpus;
mod network;

use std::{io::Write as _, path::PathBuf, sync::Arc};

use anyhow::Result;
use clap::Args;
use dewpoint_clock::SystemClock;
use dewpoint_engine::{
    Engine as _,
    qemu::{Accelerator, Held, QemuConfig, QemuEngine, images},
};

use super::image::build_command;
use crate::{config::image_dir, output::out};

/// Flags of `dew doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Where everything is kept [default: /var/lib/dewpoint for root, ~/.local/share/dewpoint otherwise]
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where base images are [default: DATA_DIR/images]
    #[arg(long, env = "DEW_IMAGE_DIR", value_name = "DIR")]
    image_dir: Option<PathBuf>,
    /// The server's configuration file (TOML), for what it says of networks
    #[arg(long, env = "DEW_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    gpus: gpus::GpuArgs,
}

/// Says what works and what does not; fails when QEMU cannot run a guest here.
pub(crate) fn run(args: DoctorArgs) -> Result<()> {
    let gpu_host = args.gpus.host(args.data_dir.clone())?;
    if let Some(done) = args.gpus.unpark(&gpu_host)? {
        writeln!(out(), "{done}")?;
        return Ok(());
    }
    let dir = image_dir(args.data_dir, args.image_dir)?;
    // What is damaged there is told of like everything else.
    let mut gpus = gpus::lines(&gpu_host).unwrap_or_else(|error| vec![format!("gpu      no      {error}")]);
    let network = network::lines(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = out();
    // The probe runs in a directory of its own, so that a running server's machines are not touched.
    let scratch = tempfile::Builder::new().prefix("dew-doctor-").tempdir()?;
    open_to_others(scratch.path())?;
    let found = runtime.block_on(async {
        let engine = QemuEngine::open(QemuConfig::new(scratch.path(), &dir, Arc::new(SystemClock))).await?;
        let hosts = engine.hosts().await?;
        Ok::<_, dewpoint_engine::Error>((
            engine.version().to_owned(),
            engine.acceleration().await,
            hosts,
            engine.held(),
        ))
    });
    let works = match &found {
        Ok((version, acceleration, hosts, held)) => {
            writeln!(out, "qemu     ok      {version}")?;
            writeln!(out, "speed    {:<7} {}", acceleration.accelerator.to_string(), acceleration.reason)?;
            if acceleration.reason.contains("Permission denied") {
                writeln!(out, "         hint: QEMU's user may not open /dev/kvm; its group, often kvm, may")?;
            }
            for host in hosts {
                writeln!(
                    out,
                    "host     {:<7} {} processors, {} MiB of memory",
                    host.name, host.vcpus, host.memory_mib
                )?;
            }
            for Held { subject, whole, words } in held {
                writeln!(out, "held     {:<7} {subject}: {words}", if *whole { "ok" } else { "less" })?;
            }
            true
        }
        Err(error) => {
            writeln!(out, "qemu     no      {error}")?;
            writeln!(out, "         hint: apt-get install {}", images::PACKAGES_TO_RUN.join(" "))?;
            false
        }
    };
    let translated = matches!(&found, Ok((_, acceleration, ..)) if acceleration.accelerator == Accelerator::Tcg);
    if translated && gpus.iter().any(|line| line.starts_with("gpu      ready")) {
        gpus.push(
            "         hint: guests run without KVM here (see speed), and none is started with a GPU then".to_owned(),
        );
    }
    for line in gpus {
        writeln!(out, "{line}")?;
    }
    let images = images::list(&dir).unwrap_or_default();
    match images.is_empty() {
        true => writeln!(out, "images   none    in {}; `{}` makes one", dir.display(), build_command(&dir))?,
        false => {
            let names: Vec<&str> = images.iter().map(|image| image.slug.as_str()).collect();
            writeln!(out, "images   {:<7} {} in {}", names.len(), names.join(", "), dir.display())?;
        }
    }
    for line in network {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "engine   {}", if works { "`dew serve` takes qemu" } else { "`dew serve` takes sim" })?;
    if works { Ok(()) } else { anyhow::bail!("QEMU cannot run a guest on this host") }
}

/// Lets QEMU's own user walk into the directory.
fn open_to_others(dir: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711))?)
}
