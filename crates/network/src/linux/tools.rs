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
        if lines.is_empty() {
            return Ok(());
        }
        let script = lines.join("\n") + "\n";
        self.run_ip(&["-batch", "-"], &script).map(drop)
    }

    /// What commands of iproute2 show: JSON, one value after the other.
    pub(super) fn ip_shows(&self, lines: &[&str]) -> Result<Vec<u8>, Error> {
        self.run_ip(&["-json", "-details", "-batch", "-"], &(lines.join("\n") + "\n"))
    }

    fn run_ip(&self, arguments: &[&str], script: &str) -> Result<Vec<u8>, Error> {
        run(&self.ip, "iproute2", arguments, script, |said| {
            // "Command failed -:12" is how it names the line.
            let number =
                said.rsplit_once("Command failed -:").and_then(|(_, number)| number.trim().parse::<usize>().ok());
            let line = number.and_then(|number| script.lines().nth(number.checked_sub(1)?));
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
