//! Real packets between guests of namespaces that the tests make themselves.
//!
//! A guest is a namespace whose device is the other side of a pair, in place of a tap and a QEMU; tests of frames hold the tap
//! itself. They need the right to make network namespaces and fail without it, unless `DEW_TEST_NO_NETWORK=1` says that there is
//! none.

mod agree;
mod bench;
mod firewalls;
mod frames;
mod lab;
mod life;
mod metadata;
mod probe;
mod reach;
mod reserved;
