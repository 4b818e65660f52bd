//! The GPUs of this host: which there are, whether a guest can have them, and what to change where it cannot.

#![warn(missing_docs)]

mod address;

pub use address::{NoAddress, PciAddress};
