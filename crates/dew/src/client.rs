//! How commands ask a running server: which one, with which token, and what its refusals mean to the person who asked.

use std::{env, fmt, fs, io::Read, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dewpoint_api::{Collection, ErrorBody, Resource};
use dewpoint_server::PublicUrl;
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, Body,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::{commands::tls::CERTIFICATE, config::default_data_dir, output::Format};

/// Where a server is unless one is named.
const USUAL_URL: &str = "http://127.0.0.1:8080";
/// The file of the admin token, in the data directory.
const ADMIN_TOKEN: &str = "admin-token";
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(60);
/// How long a server may take to make what it then sends.
const TIME_TO_MAKE: Duration = Duration::from_secs(900);
/// Objects of a page.
const PER_PAGE: usize = 200;

/// Flags of every command that asks a server. The token is no flag: others could read it in the list of processes.
#[derive(Debug, Args)]
#[command(
    after_help = "The token is the one in DEW_TOKEN. Without it, for a server on this host, it is the admin token in the data directory."
)]
pub(crate) struct ClientArgs {
    /// The server [default: http://127.0.0.1:8080]
    #[arg(long, env = "DEW_URL", value_name = "URL", global = true)]
    url: Option<String>,
    /// Certificates to trust (PEM) instead of the well-known ones [default: SSL_CERT_FILE, or this host's server's own]
    #[arg(long, env = "DEW_CA_CERT", value_name = "FILE", global = true)]
    ca_cert: Option<PathBuf>,
    /// The data directory of a server on this host, for its admin token and its certificate
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, global = true)]
    pub(crate) output: Format,
}

/// A server that can be asked.
pub(crate) struct Client {
    agent: Agent,
    url: PublicUrl,
    bearer: String,
    /// Where the token comes from, in words.
    origin: String,
}

impl Client {
    /// The server and the token that flags, environment and this host's data directory name.
    pub(crate) fn new(args: &ClientArgs) -> Result<Self> {
        let url = PublicUrl::parse(args.url.as_deref().unwrap_or(USUAL_URL)).context("--url")?;
        let is_here = is_loopback(&url.host());
        let (token, origin) = token(args, is_here)?;
        if !is_here && !url.is_secure() {
            eprintln!("dew: warning: the token travels unencrypted to {}; https:// is safer", url.host());
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIME))
            .user_agent(concat!("dew/", env!("CARGO_PKG_VERSION")));
        if is_here {
            // What is on this host is not asked for through another.
            config = config.proxy(None);
        }
        if url.is_secure()
            && let Some(roots) = trusted(args, is_here)?
        {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { agent: config.build().new_agent(), url, bearer: format!("Bearer {token}"), origin })
    }

    /// Every object of a collection, page by page.
    pub(crate) fn list<T: Resource + DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for page in 1.. {
            let url = format!("{}{path}?per_page={PER_PAGE}&page={page}", self.url.as_str());
            let request = self.agent.get(&url).header("authorization", &self.bearer);
            let answer: Collection<T> = self.read(request.call())?;
            let count = answer.items.len();
            found.extend(answer.items);
            if count < PER_PAGE {
                break;
            }
        }
        Ok(found)
    }

    /// Asks for something to be made.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let url = format!("{}{path}", self.url.as_str());
        let request = self.agent.post(&url).header("authorization", &self.bearer);
        let request = request.header("content-type", "application/json");
        self.read(request.send(serde_json::to_vec(body)?))
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Asks for something that may take long to be sent, and longer to be made.
    pub(crate) fn stream(&self, path: &str) -> Result<impl Read + use<>> {
        let url = format!("{}{path}", self.url.as_str());
        let request = self.agent.post(&url).header("authorization", &self.bearer);
        let request = request.config().timeout_global(None).timeout_recv_response(Some(TIME_TO_MAKE)).build();
        Ok(self.success(request.send_empty())?.into_body().into_reader())
    }

    /// Asks for something to be removed.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.url.as_str());
        self.success(self.agent.delete(&url).header("authorization", &self.bearer).call()).map(drop)
    }

    fn read<T: DeserializeOwned>(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<T> {
        let mut answer = self.success(answer)?;
        let text = answer.body_mut().read_to_string().with_context(|| self.not_ours())?;
        serde_json::from_str(&text).with_context(|| self.not_ours())
    }

    /// The answer if it is a success; else what went wrong and what to do about it.
    fn success(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>> {
        let url = self.url.as_str();
        let mut answer =
            answer.map_err(|error| Refused { text: format!("cannot ask {url}: {error}"), hint: hint(&error) })?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let Ok(body) = serde_json::from_str::<ErrorBody>(&text) else {
            bail!("{}: it answered {status}", self.not_ours());
        };
        let hint = match status {
            401 => Some(format!("{} is not known there, or has ended: set DEW_TOKEN to one that is", self.origin)),
            403 => Some(format!(
                "{} may not do this: it needs a full token; accounts are for full tokens of the first account",
                self.origin
            )),
            _ => None,
        };
        let named = body.request_id.map(|id| format!(" (request {id})")).unwrap_or_default();
        Err(Refused { text: format!("{url} answered {status}: {}{named}", body.message), hint }.into())
    }

    fn not_ours(&self) -> String {
        format!("{} does not answer as a Dewpoint server does", self.url.as_str())
    }
}

/// What went wrong, and what to do next.
#[derive(Debug)]
pub(crate) struct Refused {
    text: String,
    hint: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for Refused {}

fn hint(error: &ureq::Error) -> Option<String> {
    let hint = match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            "--ca-cert (DEW_CA_CERT) names the certificate to trust; DATA_DIR/tls-cert.pem is one that `dew serve --tls` made"
        }
        ureq::Error::Io(error) if error.to_string().contains("invalid peer certificate") => {
            "--ca-cert (DEW_CA_CERT) names the certificate to trust; DATA_DIR/tls-cert.pem is one that `dew serve --tls` made"
        }
        ureq::Error::Io(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Timeout(_) => {
            "is `dew serve` running there? --url (DEW_URL) names another server"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The token, and where it comes from. That of this host's data directory is for a server on this host alone.
fn token(args: &ClientArgs, is_here: bool) -> Result<(String, String)> {
    if let Some(token) = env::var("DEW_TOKEN").ok().filter(|token| !token.trim().is_empty()) {
        return Ok((token.trim().to_owned(), "the token in DEW_TOKEN".to_owned()));
    }
    let no_token = |why: String| Refused {
        text: format!("there is no token to ask with{why}"),
        hint: Some(
            "set DEW_TOKEN; the first start of `dew serve` prints the admin token and says where it is kept".to_owned(),
        ),
    };
    if !is_here {
        return Err(no_token(String::new()).into());
    }
    let path = data_dir(args)?.join(ADMIN_TOKEN);
    match fs::read_to_string(&path) {
        Ok(text) => Ok((text.trim().to_owned(), format!("the token in {}", path.display()))),
        Err(error) => Err(no_token(format!(": DEW_TOKEN is not set, and {}: {error}", path.display())).into()),
    }
}

fn data_dir(args: &ClientArgs) -> Result<PathBuf> {
    args.data_dir.clone().map_or_else(default_data_dir, Ok)
}

/// The certificates to trust: those that are named, else for a server on this host the one that it made for itself.
/// `None`: the well-known ones.
fn trusted(args: &ClientArgs, is_here: bool) -> Result<Option<RootCerts>> {
    let named = args
        .ca_cert
        .clone()
        .or_else(|| env::var_os("SSL_CERT_FILE").filter(|name| !name.is_empty()).map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None if is_here => match data_dir(args)?.join(CERTIFICATE) {
            own if own.exists() => own,
            _ => return Ok(None),
        },
        None => return Ok(None),
    };
    let text = fs::read(&path).with_context(|| format!("cannot read the certificates to trust, {}", path.display()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        bail!(
            "{} holds no certificate to trust: it has to be PEM, beginning with -----BEGIN CERTIFICATE-----",
            path.display()
        );
    }
    Ok(Some(RootCerts::from(certificates)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
