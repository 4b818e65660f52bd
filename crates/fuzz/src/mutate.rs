//! Mutations that need no coverage: what can be tried anywhere, the same for the same seed.

/// Makes inputs out of others.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 16] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\"",
    b"\\",
    b"\\u0000",
    b"%00",
    b"%2e%2e%2f",
    b"[[[[[[[[",
    b"{\"a\":",
    b"null",
    b"-1",
    b"1e309",
    b"18446744073709551616",
    b"\r\n",
    b"\xc3\x28",
];

impl Mutator {
    /// Begins at this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let drawn = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap_or_default() % bound.max(1)
    }

    /// `input` changed in one to four places; `other` lends a piece now and then.
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(16)).min(bytes.len()).max(at);
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap_or_default(),
                2 => drop(bytes.drain(at..end)),
                3 => bytes.truncate(at),
                4 => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                5 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                6 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    bytes.splice(at..(at + piece.len()).min(bytes.len()), piece.iter().copied());
                }
                _ if !other.is_empty() => {
                    let from = self.below(other.len());
                    let piece = &other[from..(from + 1 + self.below(64)).min(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                _ => {}
            }
        }
        bytes
    }
}
