//! Standard output and standard error, whose readers may go: `dew … | head` has seen enough.
//!
//! Where nobody reads data any more, the command ends as one that is done, with 0 ([`is_unread`]); what is not data is then
//! left unsaid, and the command goes on.

use std::{
    fmt,
    io::{self, ErrorKind, StdoutLock, Write},
};

/// Why a command stops that has nobody to print for.
#[derive(Debug)]
struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads what is printed")
    }
}

impl std::error::Error for Unread {}

/// Standard output; fails with what [`is_unread`] knows when nobody reads it.
pub(crate) struct Out(StdoutLock<'static>);

/// Standard output.
pub(crate) fn out() -> Out {
    Out(io::stdout().lock())
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(unread)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unread)
    }
}

fn unread(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, Unread),
        _ => error,
    }
}

/// Whether a command stopped because nobody reads what it prints, and not for another pipe.
pub(crate) fn is_unread(error: &anyhow::Error) -> bool {
    let of = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Unread>());
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(of))
}

/// Says what is not data on standard error, if somebody hears it.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Says a line that is not data on standard error, as `eprintln!` does, which panics where nobody hears it.
macro_rules! tell {
    () => { $crate::output::say(format_args!("\n")) };
    ($($words:tt)*) => { $crate::output::say(format_args!("{}\n", format_args!($($words)*))) };
}
pub(crate) use tell;
