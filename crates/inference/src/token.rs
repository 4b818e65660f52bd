//! What a model says, token by token.

/// A token, and how likely it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Token {
    /// Its bytes: part of a character where one is several tokens.
    pub bytes: Vec<u8>,
    /// The natural logarithm of how likely it was; `None` when it was not among the likeliest twenty.
    pub logprob: Option<f64>,
    /// The likeliest at its place, the likeliest first, twenty at most. Left empty where the request does not ask for them.
    pub top: Vec<(Vec<u8>, f64)>,
}

/// Cuts a text into tokens: words of at most six letters with the space before them, and characters of four bytes in halves,
/// as real vocabularies have both.
pub(crate) fn cut(text: &str) -> Vec<Vec<u8>> {
    const LONGEST: usize = 6;
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    let mut current: Vec<u8> = Vec::new();
    let mut letters = 0;
    for character in text.chars() {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        let goes_on = character.is_alphanumeric() && letters < LONGEST && bytes.len() < 3;
        if !goes_on && !current.is_empty() {
            tokens.push(std::mem::take(&mut current));
            letters = 0;
        }
        if bytes.len() == 4 {
            tokens.extend(bytes.chunks(2).map(<[u8]>::to_vec));
            continue;
        }
        current.extend_from_slice(bytes);
        letters += usize::from(character.is_alphanumeric());
        if !character.is_alphanumeric() && character != ' ' {
            tokens.push(std::mem::take(&mut current));
            letters = 0;
        }
    }
    if !current.is_empty() {
        tokens.push(current);
    }
    tokens
}

/// Numbers that look random and follow from a seed alone (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From everything that makes one answer what it is.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        // FNV-1a; a length before each part, so that no two lists of parts read alike.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for part in parts {
            part.len().to_le_bytes().into_iter().for_each(&mut eat);
            part.iter().copied().for_each(&mut eat);
        }
        Self(hash)
    }

    /// The next number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_of_a_text_are_the_text_and_a_character_may_be_two_of_them() {
        for text in ["", " ", "Hello, world!", "incomprehensibilities", "a  b\n\nc", "é ü 語 😀😀x"] {
            assert_eq!(cut(text).concat(), text.as_bytes(), "{text:?}");
        }
        assert_eq!(cut("Hi 😀").iter().filter(|token| std::str::from_utf8(token).is_err()).count(), 2);
        assert!(cut("one two three").len() >= 3);
    }

    #[test]
    fn dice_follow_from_their_seed() {
        let rolls = |parts: &[&[u8]]| {
            let mut dice = Dice::of(parts);
            [dice.roll(), dice.roll()]
        };
        assert_eq!(rolls(&[b"a", b"b"]), rolls(&[b"a", b"b"]));
        assert_ne!(rolls(&[b"ab", b""]), rolls(&[b"a", b"b"]));
    }
}
