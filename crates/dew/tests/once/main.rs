//! Creates that are asked again, by clients of every kind, while the server is killed around their commit: one effect each
//! (docs/once.md). `DEW_TEST_ROUNDS` says how often; the kills are counted and printed.

mod asking;
mod load;
mod moments;
#[path = "../support/mod.rs"]
mod support;

/// `DEW_TEST_ROUNDS`, or how many rounds make the bounded form.
fn rounds(bounded: u64) -> u64 {
    std::env::var("DEW_TEST_ROUNDS").map_or(bounded, |rounds| rounds.parse().expect("a number"))
}

/// Numbers that look random and are the same in every run (xorshift64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
