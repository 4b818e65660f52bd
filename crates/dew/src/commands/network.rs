//! `dew network`: the real network of a data directory on this host, shown and taken down. And what `dew serve` needs of it.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use dewpoint_engine::qemu::RealNetwork;
use dewpoint_network::linux::{self, Tools};
use dewpoint_store::{Store, Tx, droplets};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::data_dir::DataDir;
use crate::{
    config::{Choice, Settings, default_data_dir, lacks},
    output::out,
};

/// Flags of `dew network`.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    #[command(subcommand)]
    command: NetworkCommand,
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// Show the network namespace, its devices and addresses; beside a running server, too
    Show(DataDirArgs),
    /// Remove namespace, devices and rules of a server that is stopped; the next start makes them again
    Down(DataDirArgs),
}

#[derive(Debug, Args)]
struct DataDirArgs {
    /// Where everything is kept [default: /var/lib/dewpoint for root, ~/.local/share/dewpoint otherwise]
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDirArgs {
    fn path(self) -> Result<PathBuf> {
        self.data_dir.map_or_else(default_data_dir, Ok)
    }
}

/// What is written down of a network in the data directory before it is made, so that it can be found and removed.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Made {
    namespace: String,
    host_device: String,
}

/// The file of it.
const MADE: &str = "network.json";

impl Made {
    fn of(network: &RealNetwork) -> Self {
        let wire = &network.wire;
        Self { namespace: wire.name.clone(), host_device: wire.uplink.host_device.clone() }
    }

    fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(MADE);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => {
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                serde_json::from_str(&text).map(Some).with_context(|| format!("cannot read {}", path.display()))
            }
        }
    }
}

/// Shows or removes.
pub(crate) fn run(args: NetworkArgs) -> Result<()> {
    match args.command {
        NetworkCommand::Show(args) => show(&args.path()?),
        NetworkCommand::Down(args) => down(&args.path()?),
    }
}

fn show(data_dir: &Path) -> Result<()> {
    let mut out = out();
    let Some(Made { namespace, host_device }) = Made::read(data_dir)? else {
        writeln!(out, "network    none: no real network was made for {}", data_dir.display())?;
        return Ok(());
    };
    writeln!(out, "namespace  {namespace} (`ip netns exec {namespace} …` runs something in it)")?;
    writeln!(out, "host       {host_device}")?;
    let listed = Command::new("ip").args(["-brief", "-n", &namespace, "address"]).output();
    let listed = listed.context("cannot run `ip` (apt-get install iproute2)")?;
    if !listed.status.success() {
        let said = String::from_utf8_lossy(&listed.stderr).trim().to_owned();
        writeln!(out, "devices    none to be seen: {said}")?;
        return Ok(());
    }
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        writeln!(out, "device     {line}")?;
    }
    Ok(())
}

fn down(data_dir: &Path) -> Result<()> {
    if !data_dir.exists() {
        bail!("{} is no data directory: --data-dir names one", data_dir.display());
    }
    // Held to the end, so that no server starts meanwhile.
    let held = DataDir::open(data_dir).context("the network is in use")?;
    let Some(Made { namespace, .. }) = Made::read(data_dir)? else {
        writeln!(out(), "Nothing to remove: no real network was made for {}", data_dir.display())?;
        return Ok(());
    };
    let told = match linux::down(&Tools::default(), &namespace)? {
        None => format!("The network {namespace} was not there"),
        Some(removed) if removed.taps.is_empty() => format!("The network {namespace} is removed"),
        Some(removed) => format!(
            "The network {namespace} is removed. Machines that still run are cut off until they are powered off and on: {}",
            removed.taps.join(", ")
        ),
    };
    let path = held.join(MADE);
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(writeln!(out(), "{told}")?)
}

/// Says whether links will be real, and writes down what is about to be made.
pub(super) fn choose(settings: &Settings, data_dir: &DataDir) -> Result<Option<RealNetwork>> {
    let choice = settings.network.choose(&settings.control, &lacks())?;
    let before = Made::read(&settings.data_dir)?;
    match choice {
        Choice::Real(real) => {
            let made = Made::of(&real);
            if let Some(before) = before.filter(|before| before.namespace != made.namespace) {
                bail!(
                    "the network of {} is the namespace {}, and network.namespace is now {}: run `dew network down --data-dir {}` \
                     first",
                    settings.data_dir.display(),
                    before.namespace,
                    made.namespace,
                    settings.data_dir.display()
                );
            }
            data_dir.write_public(MADE, &serde_json::to_string(&made)?)?;
            let (pool, gateway) = real.wire.public_v4;
            tracing::info!("Networks are real: {pool} by {gateway}, in the network namespace {}", made.namespace);
            Ok(Some(*real))
        }
        Choice::Loopback { why, is_less: false } => {
            tracing::info!("Networks are loopback ones: {why}");
            Ok(None)
        }
        Choice::Loopback { why, is_less: true } => {
            tracing::warn!("Networks are loopback ones, and VPCs lead nowhere: {why}");
            Ok(None)
        }
    }
}

/// Refuses to start with Droplets whose public address cannot be had: by real links when it is not in the pool, over loopback
/// when this host has not got it. They were made with another setting.
pub(super) async fn check_addresses(store: &Store, real: Option<Ipv4Net>) -> Result<()> {
    let all = store.read(|tx: &mut dyn Tx| droplets::droplet_links_of_all(tx)).await?;
    let can_be_had = |address: Ipv4Addr| match real {
        Some(pool) => pool.contains(&address),
        None => address.is_loopback() || TcpListener::bind((address, 0)).is_ok(),
    };
    let public = all.iter().filter_map(|links| links.public_v4.map(|address| (links.id, address)));
    let strangers: Vec<_> = public.filter(|(_, address)| !can_be_had(*address)).collect();
    let Some((first, address)) = strangers.first() else { return Ok(()) };
    let now = match real {
        Some(pool) => format!("networks are real now, with addresses from {pool}"),
        None => "networks are loopback ones now".to_owned(),
    };
    bail!(
        "{now}, and {} of the Droplets have others (the first is {first}, with {address}): start with the [network] settings \
         they were made with and delete them, or name another --data-dir",
        strangers.len()
    )
}
