//! The command line: every flag has an environment twin, and both outrank the configuration file.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::client::ClientArgs;

/// Your own Droplet cloud: the DigitalOcean v2 API for Droplets, on hardware you own or perfectly simulated.
#[derive(Debug, Parser)]
#[command(name = "dew", version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Build, add and list this host's base images.
    Image(crate::commands::image::ImageArgs),
    /// Say what this host can do, and what to change where it cannot.
    Doctor(crate::commands::doctor::DoctorArgs),
    /// Show or remove the real network that machines have on this host.
    Network(crate::commands::network::NetworkArgs),
    /// Make, list and revoke the access tokens of your account.
    Token(crate::commands::token::TokenArgs),
    /// Write down everything a running server has, as it is at one moment.
    Backup(crate::commands::backup::BackupArgs),
    /// Make a data directory from a backup.
    Restore(crate::commands::restore::RestoreArgs),
    /// Find where store and engine disagree, say what it means, and put right what is safe.
    Check(crate::commands::check::CheckArgs),
    /// Keep a server and a token for all other commands.
    Init(crate::commands::auth::InitArgs),
    /// Contexts: servers and their tokens under names.
    Auth(crate::commands::auth::AuthArgs),
    /// Print what makes a shell complete commands, names and ids.
    Completion(crate::commands::completion::CompletionArgs),
    /// What to complete, for the scripts of `dew completion`.
    #[command(name = "__complete", hide = true)]
    Complete(crate::commands::completion::CompleteArgs),
    /// The command reference or the man pages, made from the commands.
    #[command(name = "__reference", hide = true)]
    Reference(crate::commands::reference::ReferenceArgs),
}

impl Command {
    /// Whether it is a client of a server, and so has the flags that name one.
    pub(crate) const fn asks_a_server(&self) -> bool {
        match self {
            Self::Token(_) | Self::Backup(_) | Self::Init(_) | Self::Auth(_) => true,
            Self::Serve(_)
            | Self::Image(_)
            | Self::Doctor(_)
            | Self::Network(_)
            | Self::Restore(_)
            | Self::Check(_) => false,
            Self::Completion(_) | Self::Complete(_) | Self::Reference(_) => false,
        }
    }
}

const SERVE_EXAMPLES: &str = "Examples:
  dew serve --engine sim                      the simulator, for CI and for trying things
  dew serve --engine qemu --data-dir /srv/dew real machines on this host
  DEW_LISTEN=127.0.0.1:0 dew serve            a free port, printed once it is known
  dew serve --tls --listen 0.0.0.0:8443       HTTPS with a certificate made here, for other hosts too

The first start of an empty data directory makes an admin token: from DEW_BOOTSTRAP_TOKEN when that is set, otherwise a new
one, printed once and written to DATA_DIR/admin-token.

DEW_LOG sets what is logged to standard error: error, warn, info (default), debug, or a filter such as
info,dewpoint_server=debug.";

/// Flags of `dew serve`. `None` means: not given, so the configuration file or the default decides.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Address and port to serve on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "DEW_LISTEN", value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where everything is kept [default: /var/lib/dewpoint for root, ~/.local/share/dewpoint otherwise]
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What makes the machines; auto takes qemu when it can run a guest, else sim [default: auto]
    #[arg(long, env = "DEW_ENGINE", value_enum)]
    pub(crate) engine: Option<EngineName>,
    /// Where base images are [default: DATA_DIR/images]
    #[arg(long, env = "DEW_IMAGE_DIR", value_name = "DIR")]
    pub(crate) image_dir: Option<PathBuf>,
    /// A PostgreSQL store instead of the SQLite file in the data directory
    #[arg(long, env = "DEW_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// A configuration file (TOML); flags and environment outrank it
    #[arg(long, env = "DEW_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Load the objects that the public documentation's examples refer to
    #[arg(long, env = "DEW_FIXTURES", value_enum)]
    pub(crate) fixtures: Option<Fixtures>,
    /// Request limits: none, or the real service's [default: off]
    #[arg(long, env = "DEW_LIMITS", value_enum)]
    pub(crate) limits: Option<LimitsName>,
    /// Hosts and GPUs of the simulator, as PUT /dew/v1/stock takes them (JSON); without it there is plenty
    #[arg(long, env = "DEW_STOCK", value_name = "FILE")]
    pub(crate) stock: Option<PathBuf>,
    /// What becomes of the GPUs of a Droplet that is off [default: keep]
    #[arg(long, env = "DEW_GPUS_WHEN_OFF", value_enum)]
    pub(crate) gpus_when_off: Option<WhenOffName>,
    /// What links in answers begin with [default: what the client called]
    #[arg(long, env = "DEW_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Serve HTTPS, with a certificate of the server's own making unless --tls-cert names one
    #[arg(long, env = "DEW_TLS", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) tls: bool,
    /// Serve HTTPS with this certificate: PEM, the server's own first; read again when it changes, and at SIGHUP
    #[arg(long, env = "DEW_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert: PEM, without a password
    #[arg(long, env = "DEW_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// The engines one can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    /// QEMU when it can run a guest here, otherwise the simulator
    Auto,
    /// A QEMU process for each Droplet, on this host
    Qemu,
    /// The simulator
    Sim,
    /// An Incus cluster (not yet)
    Incus,
}

/// Sets of objects to load at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fixtures {
    /// What the public documentation's examples refer to
    Docs,
}

/// What becomes of the GPUs of a Droplet that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenOffName {
    /// They stay its own
    Keep,
    /// They are given back, and taken again when it is powered on, if there are any then
    Free,
}

/// Which request limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LimitsName {
    /// None; the headers are sent all the same
    Off,
    /// 5000 an hour and 250 a minute for each token
    Digitalocean,
}

/// The whole command line: what is declared here, the groups of `groups/`, and the flags of those before their names.
pub(crate) fn command() -> clap::Command {
    let flags = ClientArgs::augment(clap::Command::new("flags"));
    let flags = flags.get_arguments().map(|arg| arg.clone().global(false));
    let command =
        Args::command().args(flags.collect::<Vec<_>>()).subcommand_required(true).arg_required_else_help(true);
    command.subcommands(crate::tree::commands())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of a command and of all below it, without what every command has.
    fn help(command: &clap::Command, words: &str) -> String {
        let shown = command.clone().term_width(100).bin_name(words).render_help().to_string();
        let parts = shown.split("\n\n").filter(|part| !part.starts_with("Common options:"));
        let mut text = format!("$ {words} --help\n{}\n\n", parts.collect::<Vec<_>>().join("\n\n").trim_end());
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            text += &help(below, &format!("{words} {}", below.get_name()));
        }
        text
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_is_as_it_was_agreed() {
        let mut root = command();
        root.build();
        let shown = root.get_subcommands().filter(|below| !below.is_hide_set());
        for group in shown.filter(|below| !["help", "compute"].contains(&below.get_name())) {
            let text = help(group, &format!("dew {}", group.get_name()));
            insta::assert_snapshot!(format!("help-{}", group.get_name()), text);
        }
        let compute = root.find_subcommand("compute").and_then(|compute| compute.find_subcommand("image"));
        insta::assert_snapshot!("help-compute-image", help(compute.expect("images"), "dew compute image"));
        insta::assert_snapshot!("help", root.term_width(100).render_help().to_string());
    }
}
