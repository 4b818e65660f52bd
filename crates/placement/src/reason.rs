//! Why a machine has no place, for people.

use std::{collections::BTreeMap, fmt};

/// What a single host is short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Short {
    /// It could not have such a machine if it were empty.
    TooSmall,
    /// It has no, or too few, GPUs of that model.
    NoSuchGpus,
    /// It has them, and others have them or they are unhealthy.
    GpusTaken,
    /// Its processors are promised.
    Vcpus,
    /// Its memory is promised.
    Memory,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no host, there or at all.
    NoHost {
        /// The region that was asked for.
        region: Option<String>,
    },
    /// Hosts that are short of the same.
    Hosts {
        /// How many.
        count: usize,
        /// Of what.
        short: Short,
    },
}

/// Every reason why there is no place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    no_host: Option<Reason>,
    short: BTreeMap<Short, usize>,
    placed: usize,
}

impl Refusal {
    pub(crate) fn of(reason: Reason) -> Self {
        Self { no_host: Some(reason), ..Self::default() }
    }

    pub(crate) fn count(&mut self, short: Short) {
        *self.short.entry(short).or_default() += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.no_host.is_none() && self.short.is_empty()
    }

    pub(crate) fn after(self, placed: usize) -> Self {
        Self { placed, ..self }
    }

    /// How many machines of the same wish had a place before this one had none.
    pub fn placed(&self) -> usize {
        self.placed
    }

    /// Whether waiting can help: somewhere only what others have is missing.
    pub fn may_pass(&self) -> bool {
        self.short.keys().any(|short| matches!(short, Short::GpusTaken | Short::Vcpus | Short::Memory))
    }

    /// The reasons, those that say most about the way out last.
    pub fn reasons(&self) -> Vec<Reason> {
        let hosts = self.short.iter().map(|(&short, &count)| Reason::Hosts { count, short });
        self.no_host.iter().cloned().chain(hosts).collect()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost { region: Some(region) } => write!(f, "there is no host in {region}"),
            Self::NoHost { region: None } => write!(f, "there is no host"),
            Self::Hosts { count, short } => {
                let (noun, has, is) = if *count == 1 { ("host", "has", "is") } else { ("hosts", "have", "are") };
                match short {
                    Short::TooSmall => write!(f, "{count} {noun} {is} too small"),
                    Short::NoSuchGpus => write!(f, "{count} {noun} {has} not so many GPUs of this model"),
                    Short::GpusTaken => write!(f, "{count} {noun} {has} too few of these GPUs free"),
                    Short::Vcpus => write!(f, "{count} {noun} {has} too few processors free"),
                    Short::Memory => write!(f, "{count} {noun} {has} too little memory free"),
                }
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons().iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            reason.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
