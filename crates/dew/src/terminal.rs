//! The terminal a command talks to: its keys as they are pressed, and a screen that is as it was when a command leaves it.

use std::io::{self, Read as _, Write as _};

use anyhow::Result;
use nix::sys::termios::{LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use terminal_size::{Height, Width};
use tokio::sync::mpsc;

/// What a terminal is taken for that does not tell: columns and lines.
const USUAL: (u16, u16) = (80, 24);

/// How the terminal takes keys; as it was when this is dropped.
pub(crate) struct Keys(Termios);

impl Keys {
    /// Every key is handed on as it is, Ctrl-C too.
    pub(crate) fn raw() -> Result<Self> {
        Self::change(cfmakeraw)
    }

    /// Keys come without Enter and are not shown; Ctrl-C still interrupts.
    fn silent() -> Result<Self> {
        Self::change(|flags| flags.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO))
    }

    fn change(change: impl FnOnce(&mut Termios)) -> Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut flags = before.clone();
        change(&mut flags);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &flags)?;
        Ok(Self(before))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// What is typed in this terminal. A thread reads it, since nothing can call a read off; it ends with the process.
pub(crate) fn keys() -> mpsc::UnboundedReceiver<Vec<u8>> {
    let (typed, keys) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = io::stdin().read(&mut buffer) {
            if typed.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    keys
}

/// A screen of a command's own. What stood in the terminal before is there again when this is dropped.
pub(crate) struct Screen(Option<Keys>);

impl Screen {
    /// Takes the terminal; its keys too where they come from one.
    pub(crate) fn enter() -> Result<Self> {
        let keys = Keys::silent().ok();
        show("\x1b[?1049h\x1b[?25l")?;
        Ok(Self(keys))
    }

    /// Whether keys are read: standard input is a terminal.
    pub(crate) fn has_keys(&self) -> bool {
        self.0.is_some()
    }

    /// Shows these lines in place of what is shown, as much of them as there is room for. Nothing flickers: what stays the same
    /// is written over itself.
    pub(crate) fn draw(&self, text: &str) -> Result<()> {
        let (columns, lines) =
            terminal_size::terminal_size().map_or(USUAL, |(Width(columns), Height(lines))| (columns, lines));
        show(&frame(text, columns.into(), lines.into()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // As above.
        let _ = show("\x1b[?25h\x1b[?1049l");
    }
}

/// What draws these lines from the top left, cut to this many columns and lines.
fn frame(text: &str, columns: usize, lines: usize) -> String {
    let rows = text.lines().take(lines).map(|line| line.chars().take(columns).collect::<String>());
    // The rest of each line and what is below the last one is emptied; no line break behind the last one, which would scroll.
    format!("\x1b[H{}\x1b[J", rows.map(|row| format!("{row}\x1b[K")).collect::<Vec<_>>().join("\r\n"))
}

fn show(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_to_the_terminal_and_never_scrolls_it() {
        assert_eq!(frame("abcdef\ngh\nij\n", 4, 2), "\x1b[Habcd\x1b[K\r\ngh\x1b[K\x1b[J");
        assert_eq!(frame("a\n", 80, 24), "\x1b[Ha\x1b[K\x1b[J");
    }
}
