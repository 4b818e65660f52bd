//! `dew logs` and `dew console`: a Droplet's serial console.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    failure::{Failure, Kind as Failed},
    output::print,
    tree::{given::Given, kind::Kind, session::Session, spec::Verb, wait},
};

/// Between two looks at what was written.
const PAUSE: Duration = Duration::from_millis(200);

/// The engine a Droplet runs on; nothing at a server that does not tell.
pub(super) async fn engine(session: &Session, id: &str) -> Result<Option<String>> {
    match session.client.get(&format!("/dew/v1/droplets/{id}")).await {
        Ok(story) => Ok(Some(story.at("engine").cell())),
        Err(error) if wait::is_untold(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `dew logs`: the end of what was written, from the file in which the server keeps it.
pub(crate) async fn logs(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let name = given.text("droplet").unwrap_or_default();
    let id = Kind::Droplet.value(&session.client, name).await?.to_string();
    let path = log_path(session, name, &id).await?;
    let mut file = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(Failed::NotFound, format!("Droplet {name} has written nothing yet")),
        _ => Failure::new(Failed::Other, format!("cannot read {path}: {error}")).hint("the server's user can read it"),
    })?;
    let mut seen = 0;
    loop {
        // It is begun again when it has grown large.
        if file.metadata()?.len() < seen {
            file = File::open(&path).with_context(|| format!("cannot read {path}"))?;
            seen = 0;
        }
        file.seek(SeekFrom::Start(seen))?;
        let mut bytes = Vec::new();
        seen += u64::try_from(file.read_to_end(&mut bytes)?).unwrap_or(u64::MAX);
        print(&harmless(&String::from_utf8_lossy(&bytes)))?;
        if !given.is_on("follow") {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn log_path(session: &Session, name: &str, id: &str) -> Result<String> {
    let access = match session.client.get(&format!("/dew/v1/droplets/{id}/access")).await {
        Ok(access) => access,
        Err(error) if wait::is_untold(&error) => {
            return Err(Failure::new(Failed::Other, "this server, or this token, does not tell of serial consoles")
                .hint("a full token of a Dewpoint server does")
                .into());
        }
        Err(error) => return Err(error),
    };
    match access.at("console_log").cell() {
        none if none.is_empty() => {
            Err(Failure::new(Failed::NotFound, format!("Droplet {name} has no serial console: its engine keeps none"))
                .hint("`dew serve --engine qemu` keeps what each Droplet writes")
                .into())
        }
        path if !session.client.is_here() => {
            Err(Failure::new(Failed::Other, format!("the server keeps it on its own host, in {path}"))
                .hint("run `dew logs` there")
                .into())
        }
        path => Ok(path),
    }
}

/// What a guest wrote, without what would do more to a terminal than show text.
fn harmless(text: &str) -> String {
    text.chars().filter(|char| !char.is_control() || matches!(char, '\n' | '\t')).collect()
}

/// `dew console`: says plainly that there is none yet.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let name = given.text("droplet").unwrap_or_default();
    Kind::Droplet.value(&session.client, name).await?;
    Err(Failure::usage("not yet: the server does not hand out serial consoles for typing")
        .hint(format!("`dew logs {name} --follow` shows what it writes, `dew ssh {name}` logs in"))
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\tc\u{9b}d"), "a[2Jb\n\tcd");
    }
}
