//! Why an engine could not do what it was asked.

use std::{fmt, net::Ipv4Addr};

use crate::{ImageName, MachineId};

/// What an engine was doing. Names steps in errors and picks calls in the simulator's faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`crate::Engine::ensure`]
    Ensure,
    /// [`crate::Engine::power`] to on
    PowerOn,
    /// [`crate::Engine::power`] to off
    PowerOff,
    /// [`crate::Engine::power`] by asking the guest
    Shutdown,
    /// [`crate::Engine::readdress`]
    Readdress,
    /// [`crate::Engine::destroy`]
    Destroy,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ensure => "make",
            Self::PowerOn => "start",
            Self::PowerOff => "power off",
            Self::Shutdown => "shut down",
            Self::Readdress => "readdress",
            Self::Destroy => "destroy",
        })
    }
}

/// Why an engine could not do it. [`Error::is_transient`] says whether asking again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such machine; [`crate::Engine::ensure`] comes first.
    #[error("there is no machine {0}")]
    NoSuchMachine(MachineId),
    /// A machine of this number exists and was made from another spec.
    #[error("machine {0} exists with another specification")]
    SpecConflict(MachineId),
    /// The base image is not on this host.
    #[error("image {0} is not on this host")]
    ImageMissing(ImageName),
    /// The base image's file is not a usable image.
    #[error("image {image} cannot be used: {problem}")]
    ImageInvalid {
        /// Which image.
        image: ImageName,
        /// What is wrong with it.
        problem: String,
    },
    /// The public address cannot be bound on this host (taken by another program, for example).
    #[error("address {0} cannot be used on this host")]
    AddressUnusable(Ipv4Addr),
    /// No device of the asked kind is free.
    #[error("no free device: {0}")]
    NoDevice(String),
    /// The guest was asked to go off and did not in time.
    #[error("the guest of machine {0} did not shut down in time")]
    GuestIgnored(MachineId),
    /// The machine's process ended when it should have run; the text is its last words.
    #[error("machine {id} died: {last_words}")]
    Died {
        /// Which machine.
        id: MachineId,
        /// The end of its error output.
        last_words: String,
    },
    /// The host's disk is full.
    #[error("the disk under {path} is full")]
    DiskFull {
        /// Where the engine was writing.
        path: String,
    },
    /// Something on the host failed.
    #[error("cannot {operation}: {problem}")]
    Host {
        /// What was being done.
        operation: &'static str,
        /// What went wrong, with its cause.
        problem: String,
        /// Whether doing it again may work.
        transient: bool,
    },
}

impl Error {
    /// Whether the same call may succeed a little later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Host { transient, .. } => *transient,
            Self::NoSuchMachine(_)
            | Self::SpecConflict(_)
            | Self::ImageMissing(_)
            | Self::ImageInvalid { .. }
            | Self::AddressUnusable(_)
            | Self::NoDevice(_)
            | Self::GuestIgnored(_)
            | Self::Died { .. }
            | Self::DiskFull { .. } => false,
        }
    }

    /// A host error that will not go away by itself.
    pub fn host(operation: &'static str, problem: impl fmt::Display) -> Self {
        Self::Host { operation, problem: problem.to_string(), transient: false }
    }
}
