//! Why an engine could not do what it was asked.

use std::{fmt, net::Ipv4Addr};

use crate::{GpuAddress, ImageName, MachineId, VolumeId};

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
    /// [`crate::Engine::change`]
    Change,
    /// [`crate::Engine::rebuild`]
    Rebuild,
    /// [`crate::Engine::set_password`]
    SetPassword,
    /// [`crate::Engine::destroy`]
    Destroy,
    /// [`crate::Storage::snapshot`]
    Snapshot,
    /// [`crate::Storage::snapshot_volume`]
    SnapshotVolume,
    /// [`crate::Storage::import`]
    Import,
    /// [`crate::Storage::remove_image`]
    RemoveImage,
    /// [`crate::Storage::ensure_volume`]
    EnsureVolume,
    /// [`crate::Storage::attach`]
    Attach,
    /// [`crate::Storage::detach`]
    Detach,
    /// [`crate::Storage::resize_volume`]
    ResizeVolume,
    /// [`crate::Storage::remove_volume`]
    RemoveVolume,
    /// [`crate::Engine::apply_network`]
    ApplyNetwork,
    /// [`crate::Engine::take_gpus`]
    TakeGpus,
    /// [`crate::Engine::give_back_gpus`]
    GiveBackGpus,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ensure => "make",
            Self::PowerOn => "start",
            Self::PowerOff => "power off",
            Self::Shutdown => "shut down",
            Self::Change => "change",
            Self::Rebuild => "rebuild",
            Self::SetPassword => "set the password of",
            Self::Destroy => "destroy",
            Self::Snapshot => "take a snapshot of",
            Self::SnapshotVolume => "take a snapshot of a volume of",
            Self::Import => "import an image for",
            Self::RemoveImage => "remove an image of",
            Self::EnsureVolume => "make a volume for",
            Self::Attach => "attach a volume to",
            Self::Detach => "detach a volume from",
            Self::ResizeVolume => "resize a volume of",
            Self::RemoveVolume => "remove a volume of",
            Self::ApplyNetwork => "settle the network of",
            Self::TakeGpus => "take GPUs for",
            Self::GiveBackGpus => "give back the GPUs of",
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
    /// What was fetched is no image that may be used; the text is for the one who gave the address.
    #[error("{0}")]
    ImportRefused(String),
    /// There is no such volume; [`crate::Storage::ensure_volume`] comes first.
    #[error("there is no volume {0}")]
    NoSuchVolume(VolumeId),
    /// A volume of this name exists and was made from another spec.
    #[error("volume {0} exists with another specification")]
    VolumeConflict(VolumeId),
    /// The volume is attached, and not to the machine that was meant.
    #[error("volume {volume} is attached to machine {machine}")]
    VolumeElsewhere {
        /// Which volume.
        volume: VolumeId,
        /// Where it is.
        machine: MachineId,
    },
    /// The public address cannot be bound on this host (taken by another program, for example).
    #[error("address {0} cannot be used on this host")]
    AddressUnusable(Ipv4Addr),
    /// No device of the asked kind is free.
    #[error("no free device: {0}")]
    NoDevice(String),
    /// A GPU cannot be handed to a machine; the text says why and what to change.
    #[error("GPU {gpu} cannot be handed to a machine: {why}")]
    GpuUnusable {
        /// Which.
        gpu: GpuAddress,
        /// Why not, and what to change.
        why: String,
    },
    /// A GPU is another machine's.
    #[error("GPU {gpu} is machine {machine}'s")]
    GpuTaken {
        /// Which.
        gpu: GpuAddress,
        /// Whose it is.
        machine: MachineId,
    },
    /// The guest was asked for something and did not do it in time.
    #[error("the guest of machine {0} did not do what it was asked in time")]
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
            | Self::ImportRefused(_)
            | Self::NoSuchVolume(_)
            | Self::VolumeConflict(_)
            | Self::VolumeElsewhere { .. }
            | Self::AddressUnusable(_)
            | Self::NoDevice(_)
            | Self::GpuUnusable { .. }
            | Self::GpuTaken { .. }
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
