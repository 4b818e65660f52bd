//! `dew backup DIR`: a running server's state, as it is at one moment, in a directory.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dewpoint_api::{BackupFacts, BackupFrame};

use crate::{
    backup::{DATA, Manifest, ManifestFile, Staged, place, size, write},
    client::{Client, ClientArgs, TOKEN_HELP},
    output::{print, tell},
};

/// The longest line between files.
const LINE_MAX: u64 = 1 << 20;

/// Flags of `dew backup`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub(crate) struct BackupArgs {
    /// Where to put it: a directory that is new or empty
    dir: PathBuf,
    #[command(flatten)]
    client: ClientArgs,
}

/// Fetches a backup and puts it in its place once it is whole.
pub(crate) fn run(args: BackupArgs, earlier: &ClientArgs) -> Result<()> {
    let client = args.client.or(earlier);
    let output = client.output.clone().or(earlier.output.clone());
    let staged = Staged::begin(&args.dir, 0o700)?;
    let client = Client::new(&client)?;
    tell!("Asking {} for a backup; it lets go of what it is at while it copies", client.url());
    let mut stream = BufReader::with_capacity(1 << 18, client.backup()?);
    let mut files = Vec::new();
    let facts = receive(&mut stream, &staged, &mut files)?;
    let manifest = Manifest { facts, files };
    manifest.write(staged.path())?;
    let dir = staged.finish()?;
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    tell!("The backup is whole: {} files, {}, in {}", manifest.files.len(), size(bytes), dir.display());
    for left_out in &manifest.facts.left_out {
        tell!("Not in it: {left_out}");
    }
    match output.is_for_programs() {
        true => print(&(serde_json::to_string_pretty(&[manifest])? + "\n")),
        false => Ok(()),
    }
}

fn receive(stream: &mut impl BufReadAll, staged: &Staged, files: &mut Vec<ManifestFile>) -> Result<BackupFacts> {
    let root = staged.path().join(DATA);
    loop {
        match stream.frame()? {
            BackupFrame::File { path, bytes } => {
                let target = place(&root, &path)?;
                let sha256 = write(&target, stream, bytes)?;
                match stream.frame()? {
                    BackupFrame::Sum { sha256: sent } if sent == sha256 => {}
                    BackupFrame::Sum { .. } => bail!("{path} came otherwise than it was sent; try again"),
                    BackupFrame::Failed { reason } => bail!("the server could not go on: {reason}"),
                    BackupFrame::File { .. } | BackupFrame::End(_) => {
                        bail!("the server sent {path} without its checksum")
                    }
                }
                tell!("  {path}  {}", size(bytes));
                files.push(ManifestFile { path, bytes, sha256 });
            }
            BackupFrame::End(facts) => return Ok(facts),
            BackupFrame::Failed { reason } => bail!("the server could not go on: {reason}"),
            BackupFrame::Sum { .. } => bail!("the server sent a checksum of nothing"),
        }
    }
}

/// A stream of frames and files.
trait BufReadAll: Read + Sized {
    fn frame(&mut self) -> Result<BackupFrame>;
}

impl<R: Read> BufReadAll for BufReader<R> {
    fn frame(&mut self) -> Result<BackupFrame> {
        let mut line = Vec::new();
        self.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).context("the backup is cut off")?;
        if line.last() != Some(&b'\n') {
            bail!("the backup is cut off: the server went away, or ran into an error that its log tells");
        }
        serde_json::from_slice(&line).context("the server sent something that is no backup")
    }
}
