//! How commands ask a running server: which one, with which token, and what its refusals mean to the person who asked.

use std::{env, fs, io::Read, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Args;
use dewpoint_server::PublicUrl;
use serde_json::Value;

use crate::{
    commands::tls::CERTIFICATE,
    config::default_data_dir,
    contexts::Contexts,
    failure::{Failure, Kind},
    output::{COMMON, Json, OutputArgs, Table, tell},
};

/// Where a server is unless one is named.
pub(crate) const USUAL_URL: &str = "http://127.0.0.1:8080";
/// The file of the admin token, in the data directory.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(60);
/// How long a server may take to make what it then sends.
const TIME_TO_MAKE: Duration = Duration::from_secs(900);
/// Objects of a page.
const PER_PAGE: usize = 200;

pub(crate) const TOKEN_HELP: &str =
    "The token is the one in DEW_TOKEN or DIGITALOCEAN_ACCESS_TOKEN, else the context's (`dew auth`);
for a server on this host, if there is neither, the admin token in its data directory.";

/// Flags of every command that asks a server. The token is no flag: others could read it in the list of processes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClientArgs {
    /// The server [env: DEW_URL, DIGITALOCEAN_API_URL] [default: the context's, else http://127.0.0.1:8080]
    #[arg(short = 'u', long, visible_alias = "api-url", value_name = "URL", global = true, help_heading = COMMON)]
    pub(crate) url: Option<String>,
    /// The context to use: a server and its token, as `dew auth init` keeps them [env: DEW_CONTEXT]
    #[arg(long, value_name = "NAME", global = true, help_heading = COMMON)]
    pub(crate) context: Option<String>,
    /// Certificates to trust (PEM) besides the well-known ones [env: DEW_CA_CERT] [default: SSL_CERT_FILE, or this host's server's own]
    #[arg(long, value_name = "FILE", global = true, help_heading = COMMON)]
    pub(crate) ca_cert: Option<PathBuf>,
    /// The data directory of a server on this host, for its admin token and its certificate [env: DEW_DATA_DIR]
    #[arg(long, value_name = "DIR", global = true, help_heading = COMMON)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl ClientArgs {
    /// A command with these flags.
    pub(crate) fn augment(command: clap::Command) -> clap::Command {
        // Flags of a group do not say what the command is.
        let about = command.get_about().cloned().unwrap_or_default();
        let after = command.get_after_help().cloned().unwrap_or_else(|| TOKEN_HELP.into());
        Self::augment_args(command).about(about).after_help(after)
    }

    /// These flags, and where they say nothing those that stood earlier on the command line, and then the environment.
    pub(crate) fn or(self, earlier: &Self) -> Self {
        let said = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            url: self.url.or_else(|| earlier.url.clone()),
            context: self
                .context
                .or_else(|| earlier.context.clone())
                .or_else(|| said("DEW_CONTEXT")?.into_string().ok()),
            ca_cert: self
                .ca_cert
                .or_else(|| earlier.ca_cert.clone())
                .or_else(|| said("DEW_CA_CERT").map(PathBuf::from)),
            data_dir: self
                .data_dir
                .or_else(|| earlier.data_dir.clone())
                .or_else(|| said("DEW_DATA_DIR").map(PathBuf::from)),
            output: self.output,
        }
    }

    /// The data directory of a server on this host.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        self.data_dir.clone().map_or_else(default_data_dir, Ok)
    }
}

/// A server that can be asked.
pub(crate) struct Client {
    sdk: dewpoint_client::Client,
    url: PublicUrl,
    token: String,
    /// Where the token comes from, in words.
    origin: String,
    ca_cert: Option<PathBuf>,
    is_here: bool,
}

/// The one HTTP client, set up for this server.
fn sdk(
    url: &PublicUrl,
    token: &str,
    ca_cert: Option<&PathBuf>,
    is_here: bool,
    timeout: Duration,
) -> Result<dewpoint_client::Client> {
    let mut builder = dewpoint_client::Client::builder().base_url(url.as_str()).token(token).timeout(timeout);
    builder = builder.user_agent(concat!("dew/", env!("CARGO_PKG_VERSION")));
    // Whoever asks this host is told at once that nobody is there.
    builder = builder.retries(if is_here { 0 } else { 2 });
    if url.is_secure()
        && let Some(path) = ca_cert
    {
        builder = builder.ca_certificate_file(path);
    }
    let failed = |error: dewpoint_client::Error| match ca_cert {
        Some(path) => Failure::usage(format!("{error} (certificates: {})", path.display())),
        None => Failure::usage(error.to_string()),
    };
    Ok(builder.build().map_err(failed)?)
}

/// Bytes that come over the network, for code that reads them one after the other.
struct Streamed {
    runtime: tokio::runtime::Runtime,
    stream: dewpoint_client::ByteStream,
    chunk: bytes::Bytes,
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                None => return Ok(0),
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(std::io::Error::other(error)),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

/// What a server answered: never a refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its body; null when it had none.
    pub(crate) body: Json,
    limits: [Option<String>; 3],
}

impl Answer {
    /// What is left of the caller's requests: the headers `ratelimit-limit`, `ratelimit-remaining`, `ratelimit-reset`.
    pub(crate) fn limits(&self) -> &[Option<String>; 3] {
        &self.limits
    }
}

impl Client {
    /// The server and the token that flags, environment, contexts and this host's data directory name.
    pub(crate) fn new(args: &ClientArgs) -> Result<Self> {
        let contexts = Contexts::load()?;
        let context = contexts.get(args.context.as_deref())?;
        let environment =
            || ["DEW_URL", "DIGITALOCEAN_API_URL"].into_iter().find_map(|name| non_empty(name).map(|url| (name, url)));
        // A context that was named is meant: the environment does not turn its token to another server.
        let named = args.url.clone().map(|url| ("--url", url));
        let named = named.or_else(|| args.context.is_none().then(environment).flatten());
        let of_context = named.is_none();
        let (from, url) = named
            .or_else(|| context.map(|(_, entry)| ("the context's url", entry.url.clone())))
            .unwrap_or(("the usual address", USUAL_URL.to_owned()));
        let context = context.filter(|_| of_context);
        let url = parsed(from, &url)?;
        let kept = context.map(|(name, entry)| (name, entry.token.as_str()));
        let (token, origin) = token(args, kept, is_loopback(&url.host()))?;
        let ca_cert = context.and_then(|(_, entry)| entry.ca_cert.clone());
        Self::asking(args, url, token, origin, ca_cert)
    }

    /// A server and a token that are tried before they are kept.
    pub(crate) fn with_token(
        args: &ClientArgs,
        url: &str,
        token: &str,
        origin: &str,
        ca_cert: Option<PathBuf>,
    ) -> Result<Self> {
        Self::asking(args, parsed("--url", url)?, token.to_owned(), origin.to_owned(), ca_cert)
    }

    fn asking(
        args: &ClientArgs,
        url: PublicUrl,
        token: String,
        origin: String,
        ca_cert: Option<PathBuf>,
    ) -> Result<Self> {
        let is_here = is_loopback(&url.host());
        if !is_here && !url.is_secure() {
            tell!("dew: warning: the token travels unencrypted to {}; https:// is safer", url.host());
        }
        let ca_cert = certificates(args, ca_cert, is_here)?;
        let sdk = sdk(&url, &token, ca_cert.as_ref(), is_here, TIME)?;
        Ok(Self { sdk, url, token, origin, ca_cert, is_here })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The token it is asked with.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The certificates it is trusted by, when they are not the well-known ones.
    pub(crate) fn ca_cert(&self) -> Option<&PathBuf> {
        self.ca_cert.as_ref()
    }

    /// Whether the server is on this host.
    pub(crate) fn is_here(&self) -> bool {
        self.is_here
    }

    /// Asks, and gives what was answered; a refusal is a [`Failure`].
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        self.send_with(method, path, query, body, &[]).await
    }

    /// The same with headers.
    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let method = http::Method::from_bytes(method.as_bytes())
            .map_err(|_| Failure::usage(format!("{method} is no method of HTTP")))?;
        let mut call = self.sdk.raw().request_text(method, path, body);
        for (name, value) in query {
            call = call.query(name, value);
        }
        for (name, value) in headers {
            call = call.header(name, value);
        }
        let answer = call.answer().await.map_err(|error| self.failure(&error))?;
        let limits = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
            .map(|name| answer.headers.get(name).and_then(|value| Some(value.to_str().ok()?.to_owned())));
        let body = match answer.value {
            empty if empty.trim().is_empty() => Json::Null,
            text => serde_json::from_str(&text).unwrap_or(Json::Text(text)),
        };
        Ok(Answer { body, limits })
    }

    /// Asks for what is there.
    pub(crate) async fn get(&self, path: &str) -> Result<Json> {
        Ok(self.send("GET", path, &[], None).await?.body)
    }

    /// Every object of a collection, page by page.
    pub(crate) async fn list(&self, path: &str, query: &[(String, String)], table: &Table) -> Result<Vec<Json>> {
        let mut found = Vec::new();
        for page in 1_usize.. {
            let mut query = query.to_vec();
            query.extend([("per_page".to_owned(), PER_PAGE.to_string()), ("page".to_owned(), page.to_string())]);
            let answer = self.send("GET", path, &query, None).await?.body;
            if !answer.has(table.many) && !answer.has(table.one) {
                return Err(Failure::new(Kind::Other, self.not_ours()).into());
            }
            let objects = table.objects(&answer);
            let count = objects.len();
            found.extend(objects);
            let total = answer.at("meta.total").number().and_then(|total| usize::try_from(total).ok());
            if count < PER_PAGE || total.is_some_and(|total| found.len() >= total) {
                break;
            }
        }
        Ok(found)
    }

    /// A backup as it comes, which may take long to begin.
    pub(crate) fn backup(&self) -> Result<impl Read + use<>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let patient = sdk(&self.url, &self.token, self.ca_cert.as_ref(), self.is_here, TIME_TO_MAKE)?;
        let stream = runtime.block_on(patient.dewpoint().backup()).map_err(|error| self.failure(&error))?;
        Ok(Streamed { runtime, stream, chunk: bytes::Bytes::new() })
    }

    /// The end of what a Droplet wrote to its serial console.
    pub(crate) async fn console(&self, droplet: u64) -> Result<Vec<u8>> {
        Ok(self.sdk.dewpoint().droplets().console(droplet).await.map_err(|error| self.failure(&error))?)
    }

    /// The same, and then what it goes on to write.
    pub(crate) async fn console_follow(&self, droplet: u64) -> Result<dewpoint_client::ByteStream> {
        Ok(self.sdk.dewpoint().droplets().console_follow(droplet).await.map_err(|error| self.failure(&error))?)
    }

    /// A model's answer as it comes.
    pub(crate) async fn chat(
        &self,
        wanted: &dewpoint_client::chat::CreateCompletion,
    ) -> Result<dewpoint_client::chat::ChatStream> {
        Ok(self.sdk.chat().completions().stream(wanted).await.map_err(|error| self.failure(&error))?)
    }

    /// Types into a Droplet's serial console; not done when there were too many requests.
    pub(crate) async fn type_into(&self, droplet: u64, text: &str) -> Result<bool> {
        match self.sdk.dewpoint().droplets().type_into(droplet, text).await {
            Ok(()) => Ok(true),
            Err(error) if error.refusal().is_some_and(|refusal| refusal.status.as_u16() == 429) => Ok(false),
            Err(error) => Err(self.failure(&error).into()),
        }
    }

    /// What went wrong, for the person who asked, and what to do about it.
    pub(crate) fn failure(&self, error: &dewpoint_client::Error) -> Failure {
        let url = self.url.as_str();
        let Some(refusal) = error.refusal() else {
            let kind = match error {
                dewpoint_client::Error::Connection(_) | dewpoint_client::Error::Timeout(_) => Kind::Unreachable,
                dewpoint_client::Error::Config(_) => Kind::Usage,
                _ => Kind::Other,
            };
            let text = error.to_string();
            let hint = (kind == Kind::Unreachable).then(|| hint(&text));
            return Failure::new(kind, format!("cannot ask {url}: {text}")).maybe_hint(hint);
        };
        let status = refusal.status.as_u16();
        if refusal.id.is_empty() {
            return Failure::new(Kind::Other, format!("{}: it answered {status}", self.not_ours()));
        }
        let (kind, hint) = match status {
            401 => (
                Kind::Denied,
                Some(format!(
                    "{} is not known there, or has ended: set DEW_TOKEN to one that is, or run `dew init`",
                    self.origin
                )),
            ),
            403 => (
                Kind::Denied,
                Some(format!(
                    "{} may not do this: `dew token list` shows what tokens may; accounts are for full tokens of the first account",
                    self.origin
                )),
            ),
            404 => (Kind::NotFound, None),
            429 => (Kind::Other, Some("`dew account ratelimit` says when there are more requests".to_owned())),
            _ => (Kind::Other, None),
        };
        let named = refusal.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
        Failure::new(kind, format!("{url} answered {status}: {}{named}", refusal.message)).maybe_hint(hint)
    }

    fn not_ours(&self) -> String {
        format!("{} does not answer as this API does", self.url.as_str())
    }
}

fn hint(text: &str) -> String {
    match text.contains("certificate") || text.contains("UnknownIssuer") {
        true => "--ca-cert (DEW_CA_CERT) names the certificate to trust; DATA_DIR/tls-cert.pem is one that `dew serve --tls` made",
        false => "is `dew serve` running there? --url (DEW_URL) names another server",
    }
    .to_owned()
}

pub(crate) fn non_empty(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The token, and where it comes from: of the context that was named, else the environment's, else of the context in use, else
/// the one in this host's data directory, which is for a server on this host alone.
fn token(args: &ClientArgs, context: Option<(&str, &str)>, is_here: bool) -> Result<(String, String)> {
    let kept = context.map(|(name, token)| (token.to_owned(), format!("the token of the context {name}")));
    if args.context.is_some()
        && let Some(kept) = kept
    {
        return Ok(kept);
    }
    for name in ["DEW_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"] {
        if let Some(token) = non_empty(name) {
            return Ok((token, format!("the token in {name}")));
        }
    }
    if let Some(kept) = kept {
        return Ok(kept);
    }
    let no_token = |why: String| {
        Failure::new(Kind::Denied, format!("there is no token to ask with{why}")).hint(
            "set DEW_TOKEN, or keep one with `dew auth init`; the first start of `dew serve` prints the admin token and says where it is kept",
        )
    };
    if !is_here {
        return Err(no_token(String::new()).into());
    }
    let path = args.data_dir()?.join(ADMIN_TOKEN);
    match fs::read_to_string(&path) {
        Ok(text) => Ok((text.trim().to_owned(), format!("the token in {}", path.display()))),
        Err(error) => Err(no_token(format!(": DEW_TOKEN is not set, and {}: {error}", path.display())).into()),
    }
}

/// The file of certificates to trust: one that is named, else for a server on this host the one that it made for itself.
/// `None`: the well-known ones.
fn certificates(args: &ClientArgs, of_context: Option<PathBuf>, is_here: bool) -> Result<Option<PathBuf>> {
    let named = args.ca_cert.clone().or(of_context);
    let named = named.or_else(|| non_empty("SSL_CERT_FILE").map(PathBuf::from));
    Ok(match named {
        Some(path) => Some(path),
        None if is_here => Some(args.data_dir()?.join(CERTIFICATE)).filter(|own| own.exists()),
        None => None,
    })
}

fn parsed(from: &str, url: &str) -> Result<PublicUrl> {
    PublicUrl::parse(url).map_err(|error| {
        Failure::usage(format!("{from}: {error}"))
            .hint("a server is such as http://127.0.0.1:8080 or https://dew.example.com")
            .into()
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
