//! `dew ssh`: logs in to a Droplet with this system's ssh, wherever the server says that it is reached.

use std::{net::SocketAddr, os::unix::process::CommandExt as _, process::Command};

use anyhow::Result;

use super::console::engine;
use crate::{
    failure::{Failure, Kind as Failed},
    output::Json,
    tables::address,
    tree::{given::Given, kind::Kind, session::Session, spec::Verb, wait},
};

/// Where a Droplet's SSH is.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    user: String,
    host: String,
    port: Option<String>,
    /// What known hosts call it, where its address may be another Droplet's tomorrow.
    alias: Option<String>,
}

/// Becomes ssh. Comes back only when it cannot.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let words = arguments(&target(session, given).await?, given);
    let error = Command::new("ssh").args(&words).exec();
    Err(Failure::new(Failed::Other, format!("cannot run ssh: {error}"))
        .hint("install OpenSSH's client, such as Debian's openssh-client")
        .into())
}

async fn target(session: &Session, given: &Given) -> Result<Target> {
    let named = given.text("droplet").unwrap_or_default();
    let (user, name) = named.split_once('@').map_or((None, named), |(user, name)| (Some(user), name));
    let user = given.text("ssh-user").or(user).unwrap_or("root").to_owned();
    let id = Kind::Droplet.value(&session.client, name).await?;
    let droplet = session.client.get(&format!("/v2/droplets/{id}")).await?.at("droplet").clone();
    let port = given.text("ssh-port").map(str::to_owned);
    if given.is_on("ssh-private-ip") {
        let host = some(address(&droplet, "v4", "private"), &droplet, "private")?;
        return Ok(Target { user, host, port, alias: None });
    }
    if let Some(forwarded) = forwarded(session, &id.to_string()).await? {
        let alias = Some(format!("dewpoint-droplet-{id}"));
        let port = port.or_else(|| (forwarded.port() != 22).then(|| forwarded.port().to_string()));
        return Ok(Target { user, host: forwarded.ip().to_string(), port, alias });
    }
    if engine(session, &id.to_string()).await?.as_deref() == Some("sim") {
        return Err(Failure::new(Failed::Other, format!("Droplet {name} is simulated: there is nothing to log in to"))
            .hint("`dew serve --engine qemu` makes Droplets that one can log in to")
            .into());
    }
    let host = some(address(&droplet, "v4", "public"), &droplet, "public")?;
    Ok(Target { user, host, port, alias: None })
}

fn some(address: String, droplet: &Json, kind: &str) -> Result<String> {
    match address.is_empty() {
        false => Ok(address),
        true => Err(Failure::new(
            Failed::Other,
            format!("the Droplet has no {kind} address: it is {}", droplet.at("status").cell()),
        )
        .hint("`dew droplet get` shows how it is; a Droplet has addresses once it is active")
        .into()),
    }
}

/// Where the server forwards the Droplet's port 22; nothing at a server that forwards none, or does not tell.
async fn forwarded(session: &Session, id: &str) -> Result<Option<SocketAddr>> {
    let access = match session.client.get(&format!("/dew/v1/droplets/{id}/access")).await {
        Ok(access) => access,
        Err(error) if wait::is_untold(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let ports = access.at("ports").list();
    let ssh = ports.iter().find(|port| port.at("guest_port").number() == Some(22));
    let found: Option<SocketAddr> = ssh.and_then(|port| port.at("host").cell().parse().ok());
    if found.is_some_and(|found| found.ip().is_loopback()) && !session.client.is_here() {
        return Err(Failure::new(
            Failed::Other,
            format!("the Droplet is reached from the server's own host alone ({})", session.client.url()),
        )
        .hint("log in there first, or give the server addresses of its own (docs/networks.md)")
        .into());
    }
    Ok(found)
}

/// The words after `ssh`.
fn arguments(target: &Target, given: &Given) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(alias) = &target.alias {
        words.extend([
            "-o".to_owned(),
            format!("HostKeyAlias={alias}"),
            "-o".to_owned(),
            "StrictHostKeyChecking=accept-new".to_owned(),
        ]);
    }
    if let Some(port) = &target.port {
        words.extend(["-p".to_owned(), port.clone()]);
    }
    if let Some(key) = given.text("ssh-key-path") {
        words.extend(["-i".to_owned(), key.to_owned()]);
    }
    if given.is_on("ssh-agent-forwarding") {
        words.push("-A".to_owned());
    }
    words.extend(given.all("options").into_iter().map(str::to_owned));
    words.push(format!("{}@{}", target.user, target.host));
    words.extend(given.text("ssh-command").map(str::to_owned));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &[&str]) -> Given {
        let matches = crate::args::command().get_matches_from([&["dew", "ssh"], words].concat());
        Given::new(crate::tree::parse::called(&matches).1.clone())
    }

    #[test]
    fn a_forwarded_port_is_gone_to_under_a_name_that_stays_the_droplets() {
        let target = Target {
            user: "root".to_owned(),
            host: "127.64.0.2".to_owned(),
            port: Some("20022".to_owned()),
            alias: Some("dewpoint-droplet-7".to_owned()),
        };
        let words =
            arguments(&target, &given(&["web-1", "--ssh-key-path", "k", "--ssh-command", "uptime", "--", "-v"]));
        assert_eq!(
            words.join(" "),
            "-o HostKeyAlias=dewpoint-droplet-7 -o StrictHostKeyChecking=accept-new -p 20022 -i k -v root@127.64.0.2 uptime"
        );
    }

    #[test]
    fn a_public_address_is_gone_to_as_ssh_would() {
        let target = Target { user: "core".to_owned(), host: "203.0.113.7".to_owned(), port: None, alias: None };
        assert_eq!(arguments(&target, &given(&["web-1"])), ["core@203.0.113.7"]);
    }
}
