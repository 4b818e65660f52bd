//! Running `ip` and `nft`, a script at a time: a thousand changes are one process.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

use super::{Error, Tools};

/// At most so much of what a program printed is told on.
const TOLD: usize = 600;

impl Tools {
    /// Runs commands of iproute2 one after the other up to the first that fails; none: does nothing.
    pub(super) fn ip(&self, lines: &[String]) -> Result<(), Error> {
        self.ip_unless_gone(lines, |_| false)
    }

    /// The same, but a command that `may_be_gone` says so of may find that its device is no more: a tap goes with its QEMU, at
    /// any time.
    pub(super) fn ip_unless_gone(&self, lines: &[String], may_be_gone: fn(&str) -> bool) -> Result<(), Error> {
        let mut rest = lines;
        while !rest.is_empty() {
            match self.run_ip(&["-batch", "-"], &(rest.join("\n") + "\n")) {
                Err(Error::Refused { said, program, what }) => {
                    let at = failed_line(&said).filter(|_| said.contains("Cannot find device"));
                    match at.filter(|at| rest.get(*at).is_some_and(|line| may_be_gone(line))) {
                        Some(at) => rest = &rest[at + 1..],
                        None => return Err(Error::Refused { program, what, said }),
                    }
                }
                result => return result.map(drop),
            }
        }
        Ok(())
    }

    /// What commands of iproute2 show: JSON, one value after the other.
    pub(super) fn ip_shows(&self, lines: &[&str]) -> Result<Vec<u8>, Error> {
        self.run_ip(&["-json", "-details", "-batch", "-"], &(lines.join("\n") + "\n"))
    }

    /// The same of IPv6, for what shows one family at a time.
    pub(super) fn ip_shows_v6(&self, line: &str) -> Result<Vec<u8>, Error> {
        self.run_ip(&["-6", "-json", "-details", "-batch", "-"], &(line.to_owned() + "\n"))
    }

    fn run_ip(&self, arguments: &[&str], script: &str) -> Result<Vec<u8>, Error> {
        run(&self.ip, "iproute2", arguments, script, |said| {
            let line = failed_line(said).and_then(|at| script.lines().nth(at));
            line.map_or_else(|| arguments.join(" "), |line| format!("`{line}`"))
        })
    }

    /// Puts a whole ruleset in force at once, or nothing of it.
    pub(super) fn nft(&self, ruleset: &str) -> Result<(), Error> {
        run(&self.nft, "nftables", &["-f", "-"], ruleset, |_| {
            "the ruleset, the one before it stays in force".to_owned()
        })
        .map(drop)
    }

    /// Whether this installation's tables are there.
    pub(super) fn nft_has_tables(&self) -> Result<bool, Error> {
        let tables = run(&self.nft, "nftables", &["list", "tables"], "", |_| "to list tables".to_owned())?;
        let tables = String::from_utf8_lossy(&tables);
        Ok(["table bridge dewpoint", "table inet dewpoint"].iter().all(|table| tables.contains(table)))
    }
}

/// Which line of its script `ip` stopped at, from 0: it says "Command failed -:12".
fn failed_line(said: &str) -> Option<usize> {
    let (_, number) = said.rsplit_once("Command failed -:")?;
    number.trim().parse::<usize>().ok()?.checked_sub(1)
}

fn run(
    program: &Path,
    package: &'static str,
    arguments: &[&str],
    script: &str,
    what: impl FnOnce(&str) -> String,
) -> Result<Vec<u8>, Error> {
    let name = program.display().to_string();
    let doing = || format!("running `{name} {}`", arguments.join(" "));
    // Both live in /usr/sbin on many hosts, which is not on every user's PATH.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing { program: name, package });
        }
        Err(error) => return Err(Error::io(doing(), error)),
    };
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // It may print while it still reads, so it is written to beside. One that ends early closes the pipe: no news.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(script.as_bytes())));
        child.wait_with_output()
    });
    let output = output.map_err(|error| Error::io(doing(), error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if said.contains("Operation not permitted") {
        return Err(Error::NotAllowed { doing: doing() });
    }
    let what = what(&said);
    let mut said = if said.is_empty() { output.status.to_string() } else { said };
    if let Some((end, _)) = said.char_indices().nth(TOLD) {
        said.truncate(end);
        said.push('…');
    }
    Err(Error::Refused { program: name, what, said })
}
