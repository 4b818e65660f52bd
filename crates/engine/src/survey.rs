//! What an engine has, read from its files beside whoever is at work on them: nothing is changed, started or taken up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{ImageName, MachineId, MachineSpec, ObservedVolume, VolumeId};

/// Everything an engine has.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Every machine it has anything of.
    pub machines: BTreeMap<MachineId, SurveyedMachine>,
    /// Every volume that is whole.
    pub volumes: BTreeMap<VolumeId, ObservedVolume>,
    /// Every image it made itself, as far as it can be used.
    pub images: BTreeSet<ImageName>,
    /// Which machines have which GPUs: host and address. None where an engine cannot tell from outside.
    pub gpus: Option<BTreeMap<MachineId, BTreeSet<(String, String)>>>,
    /// What cannot be read, or lacks a file it needs.
    pub damaged: Vec<Damaged>,
}

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurveyedMachine {
    /// Whether it runs.
    pub running: bool,
    /// What it is; none for one that is half made, or cannot be read.
    pub spec: Option<MachineSpec>,
}

/// A part of an engine that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Which part.
    pub part: Part,
    /// What is wrong with it, the file named.
    pub problem: String,
}

/// A part of an engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A machine.
    Machine(MachineId),
    /// A volume.
    Volume(VolumeId),
    /// An image.
    Image(ImageName),
    /// All of it.
    Everything,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(id) => write!(f, "machine {id}"),
            Self::Volume(id) => write!(f, "volume {id}"),
            Self::Image(name) => write!(f, "image {name}"),
            Self::Everything => f.write_str("engine"),
        }
    }
}

impl Survey {
    pub(crate) fn note(&mut self, part: Part, problem: impl fmt::Display) {
        self.damaged.push(Damaged { part, problem: problem.to_string() });
    }
}
