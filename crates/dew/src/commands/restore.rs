//! `dew restore DIR --data-dir NEW`: a data directory made from a backup.

use std::{
    fs::{File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dewpoint_store::sqlite::Inspection;

use super::serve::{SIMULATOR, STORE};
use crate::{
    backup::{DATA, Manifest, Staged, place, write},
    config::default_data_dir,
    output::tell,
};

/// Flags of `dew restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    dir: PathBuf,
    /// The data directory to make, new or empty [default: /var/lib/dewpoint for root, ~/.local/share/dewpoint otherwise]
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Looks at all of the backup first; then makes the directory beside its place, and puts it there when it is whole.
pub(crate) fn run(args: RestoreArgs) -> Result<()> {
    let target = args.data_dir.map_or_else(default_data_dir, Ok)?;
    let manifest = Manifest::verified(&args.dir)?;
    let kept = args.dir.join(DATA);
    let damage = Inspection::open(&kept.join(STORE)).context("the backup's store cannot be used")?;
    drop(damage);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let staged = Staged::begin(&target, 0o711)?;
    for file in &manifest.files {
        let (from, to) = (place(&kept, &file.path)?, place(staged.path(), &file.path)?);
        let mut source = File::open(&from).with_context(|| format!("cannot read {}", from.display()))?;
        let sha256 = write(&to, &mut source, file.bytes)?;
        if sha256 != file.sha256 {
            bail!("{} changed while it was read. Nothing was restored", from.display());
        }
    }
    for name in [STORE, SIMULATOR] {
        let path = staged.path().join(name);
        if path.exists() {
            dewpoint_pages::seal(&path).with_context(|| format!("cannot write the checksums of {}", path.display()))?;
        }
    }
    // QEMU's own user has to walk there.
    for name in ["machines", "volumes", "layers"] {
        let path = staged.path().join(name);
        if path.exists() {
            let opened = std::fs::set_permissions(&path, Permissions::from_mode(0o711));
            opened.with_context(|| format!("cannot set the mode of {}", path.display()))?;
        }
    }
    let path = staged.finish()?;
    let facts = &manifest.facts;
    tell!("Restored what {} served on {} into {}", facts.data_dir, facts.taken_at, path.display());
    for left_out in &facts.left_out {
        tell!("Not in it: {left_out}");
    }
    tell!(
        "hint: dew check --data-dir {0} looks it over; dew serve --engine {1} --data-dir {0} serves it",
        path.display(),
        facts.engine
    );
    Ok(())
}
