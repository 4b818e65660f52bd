//! `dew check`: whether store and engine agree, what it means where they do not, and what can be put right.

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use dewpoint_clock::SystemClock;
use dewpoint_control::check::{self, Finding};
use dewpoint_engine::{
    Engine,
    qemu::{self, QemuConfig, QemuEngine},
    sim::{self, SimEngine},
    survey::Survey,
};
use dewpoint_store::{
    models,
    sqlite::{self, Inspection},
};

use super::{
    data_dir::DataDir,
    serve::{SIMULATOR, STORE},
};
use crate::{
    args::EngineName,
    config::{default_data_dir, image_dir},
    output::{is_unread, print, tell},
};

/// What was found could not be put right, or `--repair` was not given.
const FOUND: u8 = 1;
/// It could not be looked at.
const NOT_CHECKED: u8 = 2;
/// How often what can be put right is put right: one thing may have hidden another.
const ROUNDS: u32 = 4;
/// How often a running server is looked at before what is found is said: it may have been at it.
const LOOKS: u32 = 3;

const AFTER: &str = "Without --repair nothing is changed, and a server may be running. With it the server has to be stopped.

Ends with 0 when nothing is wrong or all of it was put right, with 1 when something is left, with 2 when it could not look.";

/// Flags of `dew check`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct CheckArgs {
    /// Where everything is kept [default: /var/lib/dewpoint for root, ~/.local/share/dewpoint otherwise]
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR")]
    data_dir: Option<std::path::PathBuf>,
    /// Where base images are [default: DATA_DIR/images]
    #[arg(long, env = "DEW_IMAGE_DIR", value_name = "DIR")]
    image_dir: Option<std::path::PathBuf>,
    /// Whose machines to look at; auto takes that which there are files of
    #[arg(long, env = "DEW_ENGINE", value_enum, default_value = "auto")]
    engine: EngineName,
    /// Put right what can be without a person
    #[arg(long)]
    repair: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Report,
}

/// Looks, says what it found, and how it went as an exit code.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    match look(args) {
        Ok(left) if left.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FOUND),
        Err(error) => {
            tell!("dew: {error:#}");
            ExitCode::from(NOT_CHECKED)
        }
    }
}

fn look(args: &CheckArgs) -> Result<Vec<Finding>> {
    let dir = args.data_dir.clone().map_or_else(default_data_dir, Ok)?;
    let dir = std::path::absolute(&dir).with_context(|| dir.display().to_string())?;
    if !dir.join(STORE).exists() {
        bail!("{} is not there: --data-dir names where a server keeps everything", dir.join(STORE).display());
    }
    let engine = engine_of(args.engine, &dir)?;
    let mut found = findings(&dir, engine)?;
    for _ in 1..LOOKS {
        if found.is_empty() {
            break;
        }
        // Only what is there each time is said.
        let again = findings(&dir, engine)?;
        found.retain(|finding| again.contains(finding));
    }
    if args.repair && found.iter().any(|finding| finding.repairable) {
        found = repair(args, &dir, engine)?;
    }
    report(args.output, &found)?;
    Ok(found)
}

fn engine_of(named: EngineName, dir: &Path) -> Result<EngineName> {
    Ok(match named {
        EngineName::Incus => bail!(crate::failure::Failure::not_yet("--engine incus")),
        EngineName::Auto if dir.join(SIMULATOR).exists() => EngineName::Sim,
        EngineName::Auto => EngineName::Qemu,
        named => named,
    })
}

fn findings(dir: &Path, engine: EngineName) -> Result<Vec<Finding>> {
    let store = dir.join(STORE);
    let damage = Inspection::damage(&store)?;
    if !damage.is_empty() {
        let finding = |what: String| Finding {
            rule: "store-damaged".to_owned(),
            subject: STORE.to_owned(),
            what,
            why: "the server does not start on it".to_owned(),
            remedy: format!(
                "restore a backup (dew restore). If another program wrote to {STORE}, or it is a copy put in its place, \
                 remove {STORE}-sums to have it as it is"
            ),
            repairable: false,
            mend: None,
        };
        return Ok(damage.into_iter().map(finding).collect());
    }
    let inspection = Inspection::open(&store)?;
    inspection.check_version()?;
    let (mut all, books) = inspection.read(|tx| Ok((check::row_findings(tx)?, check::books(tx)?)))?;
    let models = inspection.read(|tx| models::model_all(tx))?;
    all.extend(dewpoint_server::models_without_file(dir, &models).into_iter().map(without_file));
    let seen: Survey = match engine {
        EngineName::Sim => sim::survey(&dir.join(SIMULATOR))?,
        _ => qemu::survey(dir)?,
    };
    all.extend(check::findings(&books, &seen));
    Ok(all)
}

fn without_file(model: String) -> Finding {
    Finding {
        rule: "model-file-missing".to_owned(),
        what: format!("the file of the model {model} is not in the data directory"),
        why: "it cannot be served, as after a restore: a backup has no files of models".to_owned(),
        remedy: format!("`dew model delete {model}`, and add it again"),
        subject: model,
        repairable: false,
        mend: None,
    }
}

/// Puts right what can be, and returns what is left.
fn repair(args: &CheckArgs, dir: &Path, engine: EngineName) -> Result<Vec<Finding>> {
    let data_dir = DataDir::open(dir).context("--repair needs the server stopped")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for _ in 0..ROUNDS {
        let found = findings(dir, engine)?;
        if !found.iter().any(|finding| finding.repairable) {
            break;
        }
        let closing = runtime.block_on(async {
            let store = sqlite::open(&data_dir.join(STORE))?;
            let closing = store.closing();
            let engine = open_engine(args, dir, engine).await?;
            for finding in found.iter().filter(|finding| finding.repairable) {
                match check::mend(&store, engine.as_ref(), finding).await {
                    Ok(()) => tell!("Put right: {} ({})", finding.what, finding.remedy),
                    Err(error) => tell!("Cannot put right: {}: {:#}", finding.what, anyhow::Error::from(error)),
                }
            }
            Ok::<_, anyhow::Error>(closing)
        })?;
        closing.wait(std::time::Duration::from_secs(60));
    }
    findings(dir, engine)
}

async fn open_engine(args: &CheckArgs, dir: &Path, engine: EngineName) -> Result<Arc<dyn Engine>> {
    let clock = Arc::new(SystemClock);
    Ok(match engine {
        EngineName::Sim => Arc::new(SimEngine::open(&dir.join(SIMULATOR), clock)?),
        _ => {
            let images = image_dir(Some(dir.to_owned()), args.image_dir.clone())?;
            Arc::new(QemuEngine::open(QemuConfig::new(dir, images, clock)).await.context("QEMU cannot be used")?)
        }
    })
}

/// How findings are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Report {
    /// For people
    #[default]
    Table,
    /// An array of findings
    Json,
}

fn report(format: Report, found: &[Finding]) -> Result<()> {
    if format == Report::Json {
        // What it ends with is said all the same.
        return print(&(serde_json::to_string_pretty(found)? + "\n")).or_else(|error| match is_unread(&error) {
            true => Ok(()),
            false => Err(error),
        });
    }
    for finding in found {
        let kind = if finding.repairable { "--repair" } else { "to do" };
        tell!(
            "{} ({}): {}\n  why it matters: {}\n  {kind}: {}",
            finding.rule,
            finding.subject,
            finding.what,
            finding.why,
            finding.remedy
        );
    }
    match found.len() {
        0 => tell!("Nothing is wrong."),
        1 => tell!("1 thing is wrong."),
        many => tell!("{many} things are wrong."),
    }
    Ok(())
}
