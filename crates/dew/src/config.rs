//! The configuration: flags and environment over the file over the defaults.

mod llama;
mod models;
mod network;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use dewpoint_control::{Catalogue, ControlConfig, WhenOff, catalogue::CatalogueFile};
use dewpoint_server::{ConnectionLimits, Limits, PublicUrl, ServerConfig};
use ipnet::IpNet;
pub(crate) use network::{Choice, NetworkFile, lacks};
use serde::Deserialize;

use crate::{
    args::{EngineName, Fixtures, LimitsName, ServeArgs, WhenOffName},
    failure::Failure,
};

/// Everything `dew serve` needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) engine: EngineName,
    pub(crate) image_dir: PathBuf,
    pub(crate) database_url: Option<String>,
    pub(crate) fixtures: Option<Fixtures>,
    pub(crate) stock: Option<PathBuf>,
    pub(crate) server: ServerConfig,
    pub(crate) control: ControlConfig,
    pub(crate) catalogue: Catalogue,
    pub(crate) network: NetworkFile,
    pub(crate) images: ImagesFile,
    pub(crate) qemu: QemuFile,
    pub(crate) tls: Option<TlsSource>,
    pub(crate) dns: DnsSettings,
}

/// Where names are told, if they are, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DnsSettings {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) limits: dewpoint_dns::Limits,
}

/// Where the certificate of HTTPS comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsSource {
    /// The server makes one for itself and keeps it in the data directory.
    Generated,
    /// The operator gives one.
    Files {
        /// The chain, PEM.
        cert: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
    },
}

/// The configuration file. Unknown members are an error: a setting that is silently not obeyed helps nobody.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConfigFile {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    engine: Option<EngineName>,
    image_dir: Option<PathBuf>,
    database_url: Option<String>,
    fixtures: Option<Fixtures>,
    limits: Option<LimitsName>,
    public_url: Option<String>,
    /// Networks of proxies whose `x-forwarded-for` counts.
    trusted_proxies: Vec<IpNet>,
    quota: QuotaFile,
    hosts: HostsFile,
    gpus: GpusFile,
    audit: AuditFile,
    network: NetworkFile,
    dns: DnsFile,
    images: ImagesFile,
    qemu: QemuFile,
    catalogue: CatalogueSource,
    tls: TlsFile,
    connections: ConnectionsFile,
    /// Models that others serve.
    models: Vec<models::ModelFile>,
    inference: models::InferenceFile,
    llama: llama::LlamaFile,
    /// Seconds after which a guest that reported nothing counts as `unknown`.
    readiness_limit_seconds: Option<u64>,
    /// Seconds for which a retry without an `Idempotency-Key` is known as one.
    retry_horizon_seconds: Option<u64>,
}

/// `[quota]`: how much an account may have.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QuotaFile {
    droplets: Option<u64>,
    volumes: Option<u64>,
    reserved_ips: Option<u64>,
}

/// `[hosts]`: how much is promised of hosts of which that is counted.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HostsFile {
    /// Virtual processors for each of a host's.
    cpu_overcommit: Option<f64>,
    /// Memory; 1.0 promises none twice, less leaves some to the host itself.
    memory_overcommit: Option<f64>,
    /// Whether a QEMU host without GPUs is counted too.
    count: Option<bool>,
}

/// `[gpus]`: GPUs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GpusFile {
    /// What becomes of those of a Droplet that is off.
    when_off: Option<WhenOffName>,
}

/// `[audit]`: how much of the audit log is kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AuditFile {
    /// For how many days.
    days: Option<u32>,
    /// Most entries.
    entries: Option<u64>,
}

/// `[dns]`: names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DnsFile {
    /// The name servers that new domains name.
    nameservers: Option<Vec<String>>,
    /// Where names are told, over UDP and TCP; nowhere when it is not given.
    listen: Option<SocketAddr>,
    /// Questions a second that one network may ask over UDP.
    udp_per_second: Option<u32>,
}

/// `[qemu]`: what holds machines' processes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QemuFile {
    /// The cgroup (version 2) below which machines get theirs, such as `/sys/fs/cgroup/dewpoint`.
    pub(crate) cgroup: Option<PathBuf>,
    /// The number of the first machine's user.
    pub(crate) first_uid: Option<u32>,
}

/// `[images]`: custom images, which are fetched from addresses that callers give.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImagesFile {
    /// QEMU: networks they may be fetched from beside the open Internet, such as `10.1.0.0/16`.
    pub(crate) allow_from: Vec<IpNet>,
}

/// `[tls]`: HTTPS.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsFile {
    /// With a certificate of the server's own making.
    generate: bool,
    /// The certificate; relative to the configuration file.
    cert: Option<PathBuf>,
    /// Its key; relative to the configuration file.
    key: Option<PathBuf>,
}

/// `[connections]`: how many there may be, and how long their clients are waited for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConnectionsFile {
    most: Option<usize>,
    most_per_address: Option<usize>,
    handshake_seconds: Option<f64>,
    head_seconds: Option<f64>,
    head_bytes: Option<usize>,
    idle_seconds: Option<f64>,
    body_seconds: Option<f64>,
    body_bytes_per_second: Option<u32>,
    write_seconds: Option<f64>,
}

/// `[catalogue]`: a file of the built-in catalogue's form.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CatalogueSource {
    /// The file; relative to the configuration file.
    file: Option<PathBuf>,
    /// Whether it stands alone instead of extending the built-in one.
    replace: bool,
}

/// Puts flags, environment, file and defaults together. Fails with a sentence that names the setting.
pub(crate) fn settings(args: ServeArgs) -> Result<Settings> {
    let (file, beside) = match &args.config {
        Some(path) => (read(path)?, path.parent().map(Path::to_owned).unwrap_or_default()),
        None => (ConfigFile::default(), PathBuf::new()),
    };
    let engine = args.engine.or(file.engine).unwrap_or(EngineName::Auto);
    if engine == EngineName::Incus {
        bail!(Failure::not_yet("--engine incus"));
    }
    let data_dir = match args.data_dir.or(file.data_dir) {
        Some(dir) => dir,
        None => default_data_dir()?,
    };
    let data_dir = std::path::absolute(&data_dir).with_context(|| format!("--data-dir {}", data_dir.display()))?;
    let image_dir = image_dir(Some(data_dir.clone()), args.image_dir.or(file.image_dir))?;
    let public_url = match args.public_url.or(file.public_url) {
        Some(text) => Some(PublicUrl::parse(&text).context("--public-url")?),
        None => None,
    };
    let limits = match args.limits.or(file.limits).unwrap_or(LimitsName::Off) {
        LimitsName::Off => Limits::Off,
        LimitsName::Digitalocean => Limits::DigitalOcean,
    };
    let mut control = control_config(&file.quota, &file.network, file.readiness_limit_seconds)?;
    keep_audit(&mut control, &file.audit)?;
    count(&mut control, &file.hosts)?;
    control.gpus_when_off = match args.gpus_when_off.or(file.gpus.when_off).unwrap_or(WhenOffName::Keep) {
        WhenOffName::Keep => WhenOff::Keep,
        WhenOffName::Free => WhenOff::Free,
    };
    if let Some(names) = &file.dns.nameservers {
        control.nameservers = dewpoint_control::domains::nameservers(names).context("dns.nameservers")?;
    }
    let dns = dns_settings(&file.dns)?;
    let defaults = ServerConfig::default();
    let retry_horizon = file.retry_horizon_seconds.map_or(defaults.retry_horizon, Duration::from_secs);
    let trusted_proxies = file.trusted_proxies;
    let connections = connections(&file.connections)?;
    let tls = tls_source((args.tls || file.tls.generate, args.tls_cert, args.tls_key), file.tls, &beside)?;
    let models = models::models(file.models)?;
    let inference = models::inference(&file.inference)?;
    let llama = llama::llama(file.llama, &beside)?;
    let kept = Some(data_dir.clone());
    let server = ServerConfig {
        public_url,
        data_dir: kept,
        limits,
        trusted_proxies,
        retry_horizon,
        connections,
        models,
        inference,
        llama,
        ..defaults
    };
    let default_listen = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 8080);
    Ok(Settings {
        listen: args.listen.or(file.listen).unwrap_or(default_listen),
        data_dir,
        engine,
        image_dir,
        database_url: args.database_url.or(file.database_url),
        fixtures: args.fixtures.or(file.fixtures),
        stock: args.stock,
        server,
        control,
        catalogue: catalogue(&file.catalogue, &beside)?,
        network: file.network,
        qemu: file.qemu,
        images: file.images,
        tls,
        dns,
    })
}

/// The image directory that host commands work on, by the same rules as the server's.
pub(crate) fn image_dir(data_dir: Option<PathBuf>, image_dir: Option<PathBuf>) -> Result<PathBuf> {
    let dir = match (image_dir, data_dir) {
        (Some(dir), _) => dir,
        (None, Some(data_dir)) => data_dir.join("images"),
        (None, None) => default_data_dir()?.join("images"),
    };
    std::path::absolute(&dir).with_context(|| format!("--image-dir {}", dir.display()))
}

/// What a configuration file says of networks, and what the control plane makes of it; the defaults without one.
pub(crate) fn network_of(config: Option<&Path>) -> Result<(NetworkFile, ControlConfig)> {
    let file = config.map(read).transpose()?.unwrap_or_default();
    let control = control_config(&file.quota, &file.network, None)?;
    Ok((file.network, control))
}

fn read(path: &Path) -> Result<ConfigFile> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the configuration {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the configuration {} cannot be used", path.display()))
}

pub(crate) fn default_data_dir() -> Result<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/dewpoint"));
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let share = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    share.map(|share| share.join("dewpoint")).context("there is no HOME to keep data under: give --data-dir")
}

fn control_config(quota: &QuotaFile, network: &NetworkFile, readiness_limit: Option<u64>) -> Result<ControlConfig> {
    let defaults = ControlConfig::default();
    let prefix = network.default_vpc_prefix.unwrap_or(defaults.default_vpc_prefix);
    if !(16..=28).contains(&prefix) {
        bail!("network.default_vpc_prefix is {prefix}: it must be from 16 to 28");
    }
    Ok(ControlConfig {
        droplet_limit: quota.droplets.unwrap_or(defaults.droplet_limit),
        volume_limit: quota.volumes.unwrap_or(defaults.volume_limit),
        reserved_ip_limit: quota.reserved_ips.unwrap_or(defaults.reserved_ip_limit),
        public_v4_pool: network.public_v4_pool.map(|pool| (pool.network(), pool.prefix_len())),
        public_v6_pool: network.public_v6_pool.unwrap_or(defaults.public_v6_pool),
        reserved_v4_pool: network
            .reserved_v4_pool
            .map_or(defaults.reserved_v4_pool, |pool| (pool.network(), pool.prefix_len())),
        reserved_v6_pool: network.reserved_v6_pool.unwrap_or(defaults.reserved_v6_pool),
        address_quarantine: network.address_quarantine_seconds.map_or(defaults.address_quarantine, Duration::from_secs),
        default_vpc_prefix: prefix,
        readiness_limit: readiness_limit.map_or(defaults.readiness_limit, Duration::from_secs),
        ..defaults
    })
}

fn dns_settings(file: &DnsFile) -> Result<DnsSettings> {
    let mut limits = dewpoint_dns::Limits::default();
    if let Some(questions) = file.udp_per_second {
        if questions == 0 {
            bail!("dns.udp_per_second must be at least 1");
        }
        limits.udp_per_second = questions;
    }
    Ok(DnsSettings { listen: file.listen, limits })
}

fn keep_audit(config: &mut ControlConfig, audit: &AuditFile) -> Result<()> {
    if audit.days == Some(0) || audit.entries == Some(0) {
        bail!("audit.days and audit.entries must be at least 1: the audit log cannot be turned off");
    }
    if let Some(days) = audit.days {
        config.audit_keep = Duration::from_secs(u64::from(days) * 24 * 3600);
    }
    config.audit_most = audit.entries.unwrap_or(config.audit_most);
    Ok(())
}

fn count(config: &mut ControlConfig, hosts: &HostsFile) -> Result<()> {
    /// More than anybody means.
    const MOST: f64 = 1000.0;
    let ratio = |name: &str, asked: Option<f64>, usual: f64| match asked {
        Some(ratio) if ratio > 0.0 && ratio <= MOST => Ok(ratio),
        Some(ratio) => bail!("hosts.{name} is {ratio}: it must be more than 0 and at most {MOST}"),
        None => Ok(usual),
    };
    let usual = config.overcommit;
    config.overcommit.vcpus = ratio("cpu_overcommit", hosts.cpu_overcommit, usual.vcpus)?;
    config.overcommit.memory = ratio("memory_overcommit", hosts.memory_overcommit, usual.memory)?;
    config.count_hosts = hosts.count.unwrap_or(config.count_hosts);
    Ok(())
}

/// The certificate that flags name, or else the file; the file's paths are relative to it.
fn tls_source(
    (asked, cert, key): (bool, Option<PathBuf>, Option<PathBuf>),
    file: TlsFile,
    beside: &Path,
) -> Result<Option<TlsSource>> {
    let cert = cert.or_else(|| file.cert.map(|path| beside.join(path)));
    let key = key.or_else(|| file.key.map(|path| beside.join(path)));
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsSource::Files { cert, key })),
        (None, None) => Ok(asked.then_some(TlsSource::Generated)),
        (Some(_), None) => bail!("--tls-cert (tls.cert) needs the certificate's key: give --tls-key (tls.key)"),
        (None, Some(_)) => bail!("--tls-key (tls.key) needs its certificate: give --tls-cert (tls.cert)"),
    }
}

/// The limits of connections, each of them more than nothing.
fn connections(file: &ConnectionsFile) -> Result<ConnectionLimits> {
    /// Less than hyper takes.
    const HEAD_MIN: usize = 8192;
    /// A week: more than a connection lives, and less than a timer holds.
    const LONGEST: f64 = 7.0 * 24.0 * 3600.0;
    let most = |name: &str, asked: Option<usize>, usual: usize| match asked {
        Some(0) => bail!("connections.{name} must be at least 1"),
        asked => Ok(asked.unwrap_or(usual)),
    };
    let time = |name: &str, asked: Option<f64>, usual: Duration| match asked {
        Some(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        Some(seconds) => bail!("connections.{name} is {seconds}: it must be more than 0 and at most {LONGEST}"),
        None => Ok(usual),
    };
    let usual = ConnectionLimits::default();
    let head_bytes = file.head_bytes.unwrap_or(usual.head_bytes);
    if !(HEAD_MIN..=1024 * 1024).contains(&head_bytes) {
        bail!("connections.head_bytes is {head_bytes}: it must be from {HEAD_MIN} to 1048576");
    }
    let body_rate = file.body_bytes_per_second.unwrap_or(usual.body_rate);
    if body_rate == 0 {
        bail!("connections.body_bytes_per_second must be at least 1");
    }
    Ok(ConnectionLimits {
        most: most("most", file.most, usual.most)?,
        most_per_address: most("most_per_address", file.most_per_address, usual.most_per_address)?,
        handshake_time: time("handshake_seconds", file.handshake_seconds, usual.handshake_time)?,
        head_time: time("head_seconds", file.head_seconds, usual.head_time)?,
        head_bytes,
        idle_time: time("idle_seconds", file.idle_seconds, usual.idle_time)?,
        body_time: time("body_seconds", file.body_seconds, usual.body_time)?,
        body_rate,
        write_time: time("write_seconds", file.write_seconds, usual.write_time)?,
    })
}

fn catalogue(source: &CatalogueSource, beside: &Path) -> Result<Catalogue> {
    let Some(file) = &source.file else { return Ok(Catalogue::built_in()) };
    let path = beside.join(file);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read the catalogue {}", path.display()))?;
    let result = match source.replace {
        true => Catalogue::parse(&text),
        false => CatalogueFile::parse(&text).and_then(|more| Catalogue::built_in().extend(more)),
    };
    result.with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_an_error_and_not_ignored() {
        let error = toml::from_str::<ConfigFile>("lisen = \"127.0.0.1:1\"").expect_err("a slip");
        assert!(error.to_string().contains("lisen"), "{error}");
    }

    #[test]
    fn the_readmes_configuration_is_taken_and_shows_the_defaults() {
        let readme = include_str!("../../../README.md");
        let (_, rest) = readme.split_once("All of it is optional:\n\n```toml\n").expect("the configuration");
        let (text, _) = rest.split_once("```").expect("its end");
        let file: ConfigFile = toml::from_str(text).expect("as this version reads it");
        assert_eq!(connections(&file.connections).expect("good limits"), ConnectionLimits::default());
        let (usual, mut shown) = (ControlConfig::default(), ControlConfig::default());
        keep_audit(&mut shown, &file.audit).expect("good ones");
        assert_eq!((shown.audit_keep, shown.audit_most), (usual.audit_keep, usual.audit_most));
        let (usual, mut shown) = (ControlConfig::default(), ControlConfig::default());
        count(&mut shown, &file.hosts).expect("good ones");
        assert_eq!((shown.overcommit, shown.count_hosts), (usual.overcommit, usual.count_hosts));
        assert_eq!(file.gpus.when_off, Some(WhenOffName::Keep));
        assert_eq!(file.trusted_proxies, Vec::<IpNet>::new());
        assert_eq!(dns_settings(&file.dns).expect("good ones").limits, dewpoint_dns::Limits::default());
    }

    #[test]
    fn networks_for_images_are_networks() {
        let file: ConfigFile =
            toml::from_str("[images]\nallow_from = [\"10.1.0.0/16\", \"::1/128\"]").expect("networks");
        assert_eq!(file.images.allow_from.len(), 2);
        assert!(toml::from_str::<ConfigFile>("[images]\nallow_from = [\"everywhere\"]").is_err());
    }

    #[test]
    fn limits_of_connections_are_more_than_nothing() {
        let read = |text: &str| connections(&toml::from_str(text).expect("its shape"));
        assert_eq!(read("").expect("nothing said"), ConnectionLimits::default());
        let said = read("most = 5\nhead_seconds = 0.5\nbody_bytes_per_second = 10").expect("good ones");
        assert_eq!((said.most, said.head_time, said.body_rate), (5, Duration::from_millis(500), 10));
        for bad in [
            "most = 0",
            "most_per_address = 0",
            "idle_seconds = 0",
            "write_seconds = -1",
            "head_seconds = nan",
            "body_seconds = 1e300",
            "head_bytes = 100",
            "body_bytes_per_second = 0",
        ] {
            let name = bad.split(' ').next().expect("a name");
            let error = read(bad).expect_err(bad).to_string();
            assert!(error.contains(&format!("connections.{name}")), "{error}");
        }
    }

    #[test]
    fn hosts_are_promised_once_in_memory_and_four_times_in_processors_unless_the_file_says_otherwise() {
        let read = |text: &str| {
            let mut config = ControlConfig::default();
            count(&mut config, &toml::from_str(text).expect("its shape")).map(|()| config)
        };
        let usual = read("").expect("nothing said");
        assert_eq!((usual.overcommit.vcpus, usual.overcommit.memory, usual.count_hosts), (4.0, 1.0, false));
        let said = read("cpu_overcommit = 2.5\nmemory_overcommit = 0.9\ncount = true").expect("good ones");
        assert_eq!((said.overcommit.vcpus, said.overcommit.memory, said.count_hosts), (2.5, 0.9, true));
        for bad in ["cpu_overcommit = 0.0", "memory_overcommit = -1.0", "memory_overcommit = nan"] {
            let name = bad.split(' ').next().expect("a name");
            assert!(read(bad).expect_err(bad).to_string().contains(&format!("hosts.{name}")), "{bad}");
        }
    }

    #[test]
    fn names_are_told_where_the_file_says_and_nowhere_without_it() {
        let read = |text: &str| dns_settings(&toml::from_str(text).expect("its shape"));
        assert_eq!(read("").expect("nothing said").listen, None);
        let said = read("listen = \"127.0.0.1:5353\"\nudp_per_second = 7").expect("good ones");
        assert_eq!(said.listen, Some("127.0.0.1:5353".parse().expect("an address")));
        assert_eq!(said.limits.udp_per_second, 7);
        assert!(read("udp_per_second = 0").expect_err("none").to_string().contains("dns.udp_per_second"));
    }

    #[test]
    fn a_certificate_needs_its_key_and_flags_outrank_the_file() {
        let file = || TlsFile { generate: true, cert: Some("a.pem".into()), key: Some("a.key".into()) };
        let files = |cert: &str, key: &str| Some(TlsSource::Files { cert: cert.into(), key: key.into() });
        let source = |flags, file| tls_source(flags, file, Path::new("/etc/dew"));
        assert_eq!(source((false, None, None), TlsFile::default()).expect("none"), None);
        assert_eq!(source((true, None, None), TlsFile::default()).expect("its own"), Some(TlsSource::Generated));
        assert_eq!(source((true, None, None), file()).expect("files"), files("/etc/dew/a.pem", "/etc/dew/a.key"));
        let flags = (false, Some("b.pem".into()), Some("b.key".into()));
        assert_eq!(source(flags, file()).expect("files"), files("b.pem", "b.key"));
        assert!(source((false, Some("b.pem".into()), None), TlsFile::default()).is_err());
        assert!(source((false, None, Some("b.key".into())), TlsFile::default()).is_err());
    }

    #[test]
    fn a_vpc_prefix_out_of_bounds_is_refused() {
        let network = NetworkFile { default_vpc_prefix: Some(8), ..NetworkFile::default() };
        assert!(control_config(&QuotaFile::default(), &network, None).is_err());
    }
}
