//! Whether store and engine agree, what it means where they do not, and what can be put right without a person.
//!
//! The rules are pure: over rows ([`dewpoint_store::check::row_rules`]) and over what store and engine say there is
//! ([`findings`]). `dew check` looks with them from outside, tests after everything they do, and a lone server's start removes
//! what belongs to nobody by the same ones.

mod gpus;
mod mend;
mod rules;

use dewpoint_engine::{ImageName, MachineId, VolumeId as EngineVolumeId};
use dewpoint_store::{
    Error as StoreError, Tx,
    check::{Books, row_rules},
};
use serde::Serialize;

pub use mend::mend;
pub use rules::{findings, images_there_should_be};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The rule it breaks, for programs: `machine-missing`.
    pub rule: String,
    /// What it is about, as its id: of a Droplet, a volume, an image, a list.
    pub subject: String,
    /// What is wrong, in one sentence.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What `--repair` does about it, or what a person should do.
    pub remedy: String,
    /// Whether `--repair` does it.
    pub repairable: bool,
    /// How.
    #[serde(skip)]
    pub mend: Option<Mend>,
}

/// What puts a finding right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// The statements of the rule of this name.
    Rows(String),
    /// Write down whether the Droplet runs.
    Power(dewpoint_api::DropletId, dewpoint_api::DropletStatus),
    /// Remove a machine of no Droplet.
    Machine(MachineId),
    /// Take back the GPUs of a machine of no Droplet.
    Gpus(MachineId),
    /// Remove a volume that has no row.
    Volume(EngineVolumeId),
    /// Remove an image that has no row.
    Image(ImageName),
    /// Write down where a volume is attached.
    Place(dewpoint_api::VolumeId, Option<dewpoint_api::DropletId>),
    /// Write down how large a volume has become.
    Size(dewpoint_api::VolumeId, u64),
}

/// What is wrong with the rows of the store themselves.
pub fn row_findings(tx: &mut dyn Tx) -> Result<Vec<Finding>, StoreError> {
    let mut all = Vec::new();
    for rule in row_rules() {
        for subject in rule.find(tx)? {
            let repairable = rule.is_mendable();
            all.push(Finding {
                rule: rule.name.clone(),
                what: rule.what.replace("{}", &subject),
                subject,
                why: rule.why.to_owned(),
                remedy: rule.remedy.to_owned(),
                repairable,
                mend: repairable.then(|| Mend::Rows(rule.name.clone())),
            });
        }
    }
    Ok(all)
}

/// Reads what the store says there is.
pub fn books(tx: &mut dyn Tx) -> Result<Books, StoreError> {
    Books::read(tx)
}
