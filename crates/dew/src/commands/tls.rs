//! The certificate of HTTPS: given and read again when it changes, or made here and kept in the data directory.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use dewpoint_clock::{Clock as _, SystemClock};
use dewpoint_server::{Certificate, Generated, Tls, is_host};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::data_dir::DataDir;
use crate::{
    config::{Settings, TlsSource},
    output::tell,
};

/// The certificate that is made here. Everybody may read it: it is what clients are told to trust.
pub(crate) const CERTIFICATE: &str = "tls-cert.pem";
/// Its key.
const KEY: &str = "tls-key.pem";
/// How long before its end a certificate made here is replaced, at a start.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often the files of a given certificate are looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// HTTPS, and what its certificate comes from.
pub(super) struct Https {
    tls: Tls,
    files: Option<Files>,
}

impl Https {
    /// The certificate that the settings name, good now; `None` when HTTPS is not asked for.
    pub(super) fn open(settings: &Settings, data_dir: &DataDir) -> Result<Option<Self>> {
        let (certificate, files) = match &settings.tls {
            None => return Ok(None),
            Some(TlsSource::Generated) => (own(&hosts(settings), data_dir)?, None),
            Some(TlsSource::Files { cert, key }) => {
                let files = Files {
                    cert: cert.clone(),
                    key: key.clone(),
                    state: state(cert, key),
                    hangup: signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?,
                };
                let certificate = read(cert, key)?;
                tracing::info!("HTTPS with {}: {}", cert.display(), described(&certificate));
                (certificate, Some(files))
            }
        };
        Ok(Some(Self { tls: Tls::new(&certificate), files }))
    }

    /// What to serve with. A given certificate is read again, in the background, when its files change and at SIGHUP.
    pub(super) fn keep(self, mut stopped: watch::Receiver<bool>) -> Tls {
        if let Some(mut files) = self.files {
            let tls = self.tls.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = files.follow(&tls) => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        }
        self.tls
    }
}

/// A given certificate and its key.
struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// As they were when they were read last.
    state: State,
    hangup: Signal,
}

/// What tells that a file was written or replaced: its time, size and inode. `None`: it is not there.
type State = [Option<(i64, i64, u64, u64)>; 2];

fn state(cert: &Path, key: &Path) -> State {
    let of = |metadata: Metadata| (metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino());
    [cert, key].map(|path| fs::metadata(path).ok().map(of))
}

impl Files {
    /// Shows what is new, for ever.
    async fn follow(&mut self, tls: &Tls) {
        let mut looks = tokio::time::interval(LOOKED_AT_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = looks.tick() => false,
                _ = self.hangup.recv() => true,
            };
            let (cert, key, before) = (self.cert.clone(), self.key.clone(), self.state);
            // A file system may take its time.
            let looking = tokio::task::spawn_blocking(move || {
                let state = state(&cert, &key);
                let found = (asked || state != before).then(|| read(&cert, &key));
                (state, found)
            });
            let Ok((state, found)) = looking.await else { continue };
            self.state = state;
            match found {
                None => {}
                Some(Ok(certificate)) => {
                    tls.show(&certificate);
                    tracing::info!("New connections see the certificate anew: {}", described(&certificate));
                }
                Some(Err(error)) => {
                    tracing::error!("The certificate cannot be read anew, so the one before is kept: {error:#}");
                }
            }
        }
    }
}

/// Reads a given certificate and its key. Fails with the file that is at fault, and why.
fn read(cert: &Path, key: &Path) -> Result<Certificate> {
    let text = |flag: &str, path: &Path| fs::read(path).with_context(|| format!("{flag} {}", path.display()));
    let (chain, secret) = (text("--tls-cert", cert)?, text("--tls-key", key)?);
    let certificate = Certificate::from_pem(&chain, &secret, SystemClock.now()).map_err(|error| {
        let (flag, path) = if error.is_of_key() { ("--tls-key", key) } else { ("--tls-cert", cert) };
        anyhow!("{flag} {}: {error}", path.display())
    })?;
    if fs::metadata(key).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0) {
        tracing::warn!("Everybody on this host may read the key of the certificate: chmod 600 {}", key.display());
    }
    Ok(certificate)
}

/// The certificate made here, or a new one when there is none that is good for these hosts for a while.
fn own(hosts: &[String], data_dir: &DataDir) -> Result<Certificate> {
    let (cert, key, now) = (data_dir.join(CERTIFICATE), data_dir.join(KEY), SystemClock.now());
    let kept = match (read_kept(&cert)?, read_kept(&key)?) {
        (Some(chain), Some(secret)) => Certificate::from_pem(&chain, &secret, now + RENEWED_BEFORE),
        (None, _) | (_, None) => return make(hosts, data_dir, None),
    };
    let why = match kept {
        Ok(kept) => match hosts.iter().find(|host| !kept.is_for(host)) {
            None => {
                tracing::info!("HTTPS with {}: {}", cert.display(), described(&kept));
                return Ok(kept);
            }
            Some(host) => format!("The one before is not for {host}"),
        },
        Err(error) => format!("The one before is of no use any longer ({error})"),
    };
    make(hosts, data_dir, Some(&why))
}

fn read_kept(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn make(hosts: &[String], data_dir: &DataDir, why: Option<&str>) -> Result<Certificate> {
    let now = SystemClock.now();
    let made = Generated::new(hosts, now).context("cannot make a certificate")?;
    // The key first: a certificate without its key is made anew at the next start.
    data_dir.write_secret(KEY, &made.key)?;
    let path = data_dir.write_public(CERTIFICATE, &made.certificate)?;
    let certificate = Certificate::from_pem(made.certificate.as_bytes(), made.key.as_bytes(), now)
        .context("the certificate made here cannot be used")?;
    let path = path.display();
    let (names, about) = (hosts.join(", "), described(&certificate));
    match why {
        None => tracing::info!("A certificate was made for {names}: {about}"),
        Some(why) => tracing::warn!("A new certificate was made for {names}: {about}. {why}"),
    }
    tell!(
        "Clients have to be told to trust {path}:\n\
         \x20 export SSL_CERT_FILE={path}        gradient, httpx, doctl, Terraform, dew\n\
         \x20 export REQUESTS_CA_BUNDLE={path}   pydo, requests\n\
         \x20 curl --cacert {path} …"
    );
    Ok(certificate)
}

/// Under which names and addresses clients may call this server, as far as it knows.
fn hosts(settings: &Settings) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let listen = settings.listen.ip().to_canonical();
    let here = (!listen.is_unspecified()).then(|| listen.to_string());
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let public = settings.server.public_url.as_ref().map(|url| url.host());
    for host in [here, name, public].into_iter().flatten() {
        if is_host(&host) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// What a person compares and should know of a certificate.
fn described(certificate: &Certificate) -> String {
    format!("SHA-256 {}, good until {}", certificate.fingerprint(), certificate.ends())
}
