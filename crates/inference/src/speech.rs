//! One choice as it is spoken: tokens in, text out, until an end, a stop sequence or the limit.
//!
//! Text is held back while it may be the beginning of a stop sequence, and bytes while they are part of a character.

use crate::token::Token;

/// Why a choice ended (behaviour rule INF-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

impl Finish {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// What can be said after a token: text, the tokens that it is of, and whether that was all.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) finish: Option<Finish>,
}

/// A choice on its way.
#[derive(Debug)]
pub(crate) struct Speech {
    stops: Vec<String>,
    most: u64,
    spoken: u64,
    /// What is not said yet, and its tokens with the place in it where each ends.
    held: Vec<u8>,
    tokens: Vec<(usize, Token)>,
    /// Whether the first of them is said in part.
    begun: bool,
    over: bool,
}

impl Speech {
    /// At most `most` tokens, until one of `stops`, none of which is empty.
    pub(crate) fn new(stops: Vec<String>, most: u64) -> Self {
        Self { stops, most, spoken: 0, held: Vec::new(), tokens: Vec::new(), begun: false, over: false }
    }

    /// How many tokens were made, those held back or dropped with a stop sequence too.
    pub(crate) fn spoken(&self) -> u64 {
        self.spoken
    }

    /// Whether it ended.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the model's next token; `None`: it has no more to say.
    pub(crate) fn hear(&mut self, token: Option<Token>) -> Said {
        let Some(token) = token else { return self.end(self.held.len(), Finish::Stop) };
        self.spoken += 1;
        self.held.extend_from_slice(&token.bytes);
        self.tokens.push((self.held.len(), token));
        if let Some(cut) = self.stops.iter().filter_map(|stop| find(&self.held, stop.as_bytes())).min() {
            return self.end(cut, Finish::Stop);
        }
        if self.spoken >= self.most {
            return self.end(self.held.len(), Finish::Length);
        }
        let (text, tokens) = self.take(self.sayable(), false);
        Said { text, tokens, finish: None }
    }

    /// How much of what is held cannot become part of a stop sequence and ends with a whole character.
    fn sayable(&self) -> usize {
        let begun = |stop: &String| {
            let stop = stop.as_bytes();
            let longest = stop.len().saturating_sub(1).min(self.held.len());
            (1..=longest).rev().find(|length| self.held.ends_with(&stop[..*length])).unwrap_or(0)
        };
        let kept = self.stops.iter().map(begun).max().unwrap_or(0);
        let end = self.held.len() - kept;
        match std::str::from_utf8(&self.held[..end]) {
            Ok(_) => end,
            // Only an unfinished character is waited for; what can never become one is said as it is.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => end,
        }
    }

    fn end(&mut self, at: usize, finish: Finish) -> Said {
        self.over = true;
        let (text, tokens) = self.take(at, true);
        Said { text, tokens, finish: Some(finish) }
    }

    /// Takes what is held up to `at` with its tokens: those that end there, at an end also the one that is cut in two.
    fn take(&mut self, at: usize, cut: bool) -> (String, Vec<Token>) {
        let rest = self.held.split_off(at);
        let text = String::from_utf8_lossy(&std::mem::replace(&mut self.held, rest)).into_owned();
        let mut begins = 0;
        let mut first_is_begun = self.begun;
        let whole = self.tokens.iter().take_while(|(ends, _)| {
            let is_said = *ends <= at || (cut && (begins < at || first_is_begun));
            if is_said {
                (begins, first_is_begun) = (*ends, false);
            }
            is_said
        });
        let whole = whole.count();
        self.begun = at > begins || (self.begun && whole == 0);
        let said = self.tokens.drain(..whole).map(|(_, token)| token).collect();
        for (ends, _) in &mut self.tokens {
            *ends = ends.saturating_sub(at);
        }
        (text, said)
    }
}

/// Where `wanted` begins in `text`.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::cut;

    fn token(bytes: &[u8]) -> Token {
        Token { bytes: bytes.to_vec(), logprob: Some(-0.5), top: Vec::new() }
    }

    /// Says these tokens; the deltas, the tokens that were told, and the end.
    fn speak(tokens: &[&[u8]], stops: &[&str], most: u64) -> (Vec<String>, Vec<u8>, Option<Finish>) {
        let mut speech = Speech::new(stops.iter().map(ToString::to_string).collect(), most);
        let (mut deltas, mut told, mut finish) = (Vec::new(), Vec::new(), None);
        for token_now in tokens.iter().map(|bytes| Some(token(bytes))).chain([None]) {
            if speech.is_over() {
                break;
            }
            let said = speech.hear(token_now);
            if !said.text.is_empty() {
                deltas.push(said.text);
            }
            told.extend(said.tokens.into_iter().flat_map(|token| token.bytes));
            finish = said.finish;
        }
        (deltas, told, finish)
    }

    #[test]
    fn a_stop_sequence_ends_it_also_across_tokens_and_nothing_of_it_is_said() {
        let (deltas, told, finish) = speak(&[b"one", b" EN", b"D two"], &["END"], 100);
        assert_eq!((deltas.concat().as_str(), finish), ("one ", Some(Finish::Stop)));
        assert_eq!(told, b"one EN", "the token that is cut in two is told, those behind it are not");
        let (deltas, ..) = speak(&[b"one", b" EN", b"d two"], &["END"], 100);
        assert_eq!(deltas, ["one", " ", "ENd two"], "held back until it was clear");
        let (deltas, ..) = speak(&[b"aab"], &["ab", "aab"], 100);
        assert!(deltas.is_empty(), "the earliest counts: {deltas:?}");
        let (deltas, _, finish) = speak(&[b"x", b"y"], &["y!"], 100);
        assert_eq!(
            (deltas.concat().as_str(), finish),
            ("xy", Some(Finish::Stop)),
            "what only began is said at the end"
        );
    }

    #[test]
    fn a_character_is_said_once_it_is_whole() {
        let (deltas, told, _) = speak(&[b"a", b"\xf0\x9f", b"\x98\x80", b"b"], &[], 100);
        assert_eq!(deltas, ["a", "😀", "b"]);
        assert_eq!(told, "a😀b".as_bytes());
        let (deltas, ..) = speak(&[b"a\xff", b"b"], &[], 100);
        assert_eq!(deltas, ["a\u{fffd}", "b"], "what is no character is not waited for");
    }

    #[test]
    fn the_limit_ends_it_and_what_was_held_back_is_said() {
        let (deltas, _, finish) = speak(&[b"a", b"b", b"c"], &["bx"], 2);
        assert_eq!((deltas.concat().as_str(), finish), ("ab", Some(Finish::Length)));
    }

    #[test]
    fn however_a_text_is_cut_what_is_said_is_what_precedes_the_stop() {
        let text = "The quick 😀 brown fox. STOP jumps";
        for width in 1..text.len() {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(width).collect();
            let (deltas, _, finish) = speak(&pieces, &["STOP", "nowhere"], 1000);
            assert_eq!((deltas.concat().as_str(), finish), ("The quick 😀 brown fox. ", Some(Finish::Stop)), "{width}");
        }
        assert!(cut(text).len() > 5);
    }
}
