//! Chance as a value, like time: ids and secrets come from here, so that a seeded run is the same one every time.

use std::sync::{Mutex, PoisonError};

use uuid::{Builder, Uuid};

use crate::Error;

/// Where everything random of the control plane comes from.
#[derive(Debug, Default)]
pub struct Random(Source);

#[derive(Debug, Default)]
enum Source {
    /// The operating system's.
    #[default]
    System,
    /// A sequence that its seed determines.
    Seeded(Mutex<u64>),
}

impl Random {
    /// A sequence that `seed` determines: for simulations only, since whoever knows the seed knows every secret.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Mutex::new(seed)))
    }

    /// A new version 4 UUID.
    pub fn uuid(&self) -> Uuid {
        match &self.0 {
            Source::System => Uuid::new_v4(),
            Source::Seeded(state) => {
                let mut bytes = [0; 16];
                fill_seeded(state, &mut bytes);
                Builder::from_random_bytes(bytes).into_uuid()
            }
        }
    }

    /// Random bytes. Fails when the system has no randomness to give.
    pub(crate) fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        match &self.0 {
            Source::System => getrandom::fill(bytes)
                .map_err(|error| Error::Store(dewpoint_store::Error::Database(format!("no randomness: {error}")))),
            Source::Seeded(state) => {
                fill_seeded(state, bytes);
                Ok(())
            }
        }
    }
}

/// SplitMix64, eight bytes at a time.
fn fill_seeded(state: &Mutex<u64>, bytes: &mut [u8]) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    for chunk in bytes.chunks_mut(8) {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_ids_again_and_another_seed_gives_others() {
        let ids = |seed| {
            let random = Random::seeded(seed);
            [random.uuid(), random.uuid()]
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert_ne!(ids(1)[0], ids(1)[1]);
        assert_eq!(ids(1)[0].get_version_num(), 4);
    }

    #[test]
    fn the_system_s_ids_are_never_the_same() {
        let random = Random::default();
        assert_ne!(random.uuid(), random.uuid());
    }
}
