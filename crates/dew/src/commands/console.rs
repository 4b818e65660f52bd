//! `dew logs` and `dew console`: a Droplet's serial console.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    failure::{Failure, Kind as Failed},
    output::{out, print, say, tell},
    terminal::{Keys, keys},
    tree::{given::Given, kind::Kind, session::Session, spec::Verb, wait},
};

/// Ctrl-], which leaves.
const LEAVE: u8 = 0x1d;
/// Most bytes that are typed at once.
const TYPED_MOST: usize = 4096;
/// Between two times that something is typed: what comes meanwhile goes together.
const PAUSE: Duration = Duration::from_millis(50);
/// Before it is typed again, when there were too many requests.
const PATIENCE: Duration = Duration::from_secs(1);

/// The engine a Droplet runs on; nothing at a server that does not tell.
pub(super) async fn engine(session: &Session, id: &str) -> Result<Option<String>> {
    match session.client.get(&format!("/dew/v1/droplets/{id}")).await {
        Ok(story) => Ok(Some(story.at("engine").cell())),
        Err(error) if wait::is_untold(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The Droplet's number.
async fn droplet(session: &Session, name: &str) -> Result<u64> {
    let id = Kind::Droplet.value(&session.client, name).await?.to_string();
    id.parse().map_err(|_| Failure::usage(format!("{id} is no Droplet's id")).into())
}

/// What a server or a token that has no consoles means to the person who asked.
fn untold(error: anyhow::Error) -> anyhow::Error {
    match wait::is_untold(&error) {
        true => Failure::new(Failed::Other, "this server, or this token, does not tell of serial consoles")
            .hint("a full token of a Dewpoint server does")
            .into(),
        false => error,
    }
}

/// `dew logs`: the end of what was written, and with `--follow` what is written then.
pub(crate) async fn logs(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let name = given.text("droplet").unwrap_or_default();
    let id = droplet(session, name).await?;
    if !given.is_on("follow") {
        let log = session.client.console(id).await.map_err(untold)?;
        if log.is_empty() {
            return Err(Failure::new(Failed::NotFound, format!("Droplet {name} has written nothing yet")).into());
        }
        return print(&harmless(&String::from_utf8_lossy(&log)));
    }
    let (mut stream, mut text) = (session.client.console_follow(id).await.map_err(untold)?, Text::default());
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| session.client.failure(&error))?;
        print(&harmless(&text.take(&piece)))?;
    }
    Ok(())
}

/// What a guest wrote, without what would do more to a terminal than show text.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().filter(|char| !char.is_control() || matches!(char, '\n' | '\t')).collect()
}

/// Text that comes in pieces, which may end within a character.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    /// The text so far; the beginning of a character waits for the rest of it.
    fn take(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.0) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.0.len(),
        };
        let rest = self.0.split_off(whole);
        String::from_utf8_lossy(&std::mem::replace(&mut self.0, rest)).into_owned()
    }
}

/// `dew console`: this terminal is the Droplet's, until Ctrl-].
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let name = given.text("droplet").unwrap_or_default();
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::usage("a console needs a terminal, and this is none")
            .hint(format!("`dew logs {name} --follow` shows what it writes, `dew ssh {name}` logs in"))
            .into());
    }
    let id = droplet(session, name).await?;
    let mut stream = session.client.console_follow(id).await.map_err(untold)?;
    let mut ended = signal(SignalKind::terminate())?;
    let raw = Keys::raw()?;
    say(format_args!("The serial console of {name}. Ctrl-] leaves it; Enter may bring its login.\r\n"));
    let typing = typing(session, id, keys());
    let showing = async {
        while let Some(piece) = stream.next().await {
            show(&piece.map_err(|error| session.client.failure(&error))?)?;
        }
        Err(Failure::new(Failed::Other, format!("the console of {name} ended: it is off, or the server ends"))
            .hint(format!("`dew droplet get {name}` says which"))
            .into())
    };
    let left = tokio::select! {
        left = showing => left,
        left = typing => left,
        _ = ended.recv() => Err(session.interrupted().into()),
    };
    drop(raw);
    tell!();
    left
}

fn show(bytes: &[u8]) -> Result<()> {
    let mut out = out();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Sends what is typed, one request after the other, until Ctrl-].
async fn typing(session: &Session, id: u64, mut keys: mpsc::UnboundedReceiver<Vec<u8>>) -> Result<()> {
    let mut text = Text::default();
    while let Some(mut typed) = keys.recv().await {
        while typed.len() < TYPED_MOST / 2
            && let Ok(more) = keys.try_recv()
        {
            typed.extend(more);
        }
        let leaves = typed.iter().position(|key| *key == LEAVE);
        let input = text.take(&typed[..leaves.unwrap_or(typed.len())]);
        while !input.is_empty() && !session.client.type_into(id, &input).await? {
            tokio::time::sleep(PATIENCE).await;
        }
        if leaves.is_some() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    // The terminal is gone.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\tc\u{9b}d"), "a[2Jb\n\tcd");
    }

    #[test]
    fn a_character_that_comes_in_two_pieces_is_one() {
        let mut text = Text::default();
        let bytes = "né€".as_bytes();
        let taken: String = bytes.iter().map(|byte| text.take(&[*byte])).collect();
        assert_eq!(taken, "né€");
        assert_eq!(text.take(b"\xffa"), "\u{fffd}a");
    }
}
