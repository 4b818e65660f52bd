//! A `dew` of its own, over a directory that goes with it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

const TOKEN: &str = "dop_v1_of-the-bench";

/// A server that runs until this goes.
pub(crate) struct Dew {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    child: Child,
    _directory: TempDir,
}

impl Dew {
    /// Starts it in front of one upstream.
    pub(crate) fn start(binary: &str, upstream: SocketAddr) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let config = directory.path().join("config.toml");
        let mut file = fs::File::create(&config)?;
        writeln!(
            file,
            "[[models]]\nname = \"stub\"\nupstreams = [{{ url = \"http://{upstream}/v1\" }}]\ncheck = false"
        )?;
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--engine", "sim", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .env("DEW_BOOTSTRAP_TOKEN", TOKEN)
            .env("DEW_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{binary} cannot be run; build it first"))?;
        let mut lines = BufReader::new(child.stderr.take().context("it has a standard error")?).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().with_context(|| format!("dew ended: {said}"))??;
            if let Some((_, rest)) = line.split_once("Serving on http://") {
                break rest.split_whitespace().next().unwrap_or_default().parse()?;
            }
            said.push_str(&line);
            said.push('\n');
        };
        // What it says later is nobody's business, and a full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { address, token: TOKEN.to_owned(), child, _directory: directory })
    }

    /// How much memory it has.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Dew {
    fn drop(&mut self) {
        // It keeps nothing that anybody wants.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
