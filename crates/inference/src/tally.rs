//! What an answer cost, read from a copy of it while it passes by: tokens where the answer tells them, and a count of what
//! looks like tokens where it does not.
//!
//! Answers pass byte for byte, so an upstream is not asked for its `usage` when the client did not ask. A chunk of a stream that
//! says something is then counted as one token, which is how engines send them, and four bytes of a request as one token of its
//! messages. Both are estimates and are told as such.

use serde::{Deserialize, de::IgnoredAny};

use crate::Usage;

/// How many bytes of a request are taken for a token of its messages, when nobody says.
const BYTES_OF_TOKEN: u64 = 4;

/// Tokens of a request of so many bytes, roughly.
pub fn estimate_of_request(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_OF_TOKEN)
}

/// Reads events of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Chunks that say something: text, a refusal, thoughts, parts of a call.
    pub spoken: u64,
    /// What the stream tells of its use.
    pub usage: Option<Usage>,
    /// Whether an event told of an error.
    pub has_failed: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Told>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<Said>,
    #[serde(default)]
    reasoning_content: Option<Said>,
    #[serde(default)]
    reasoning: Option<Said>,
    #[serde(default)]
    refusal: Option<Said>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
}

/// Whether a text has anything in it; it is not kept.
struct Said(bool);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Said;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Said, E> {
                Ok(Said(!text.is_empty()))
            }
            fn visit_unit<E>(self) -> Result<Said, E> {
                Ok(Said(false))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut parts: A) -> Result<Said, A::Error> {
                let mut any = false;
                while parts.next_element::<IgnoredAny>()?.is_some() {
                    any = true;
                }
                Ok(Said(any))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl From<Told> for Usage {
    fn from(told: Told) -> Self {
        Self { prompt: told.prompt_tokens, completion: told.completion_tokens, ..Self::default() }
    }
}

impl Delta {
    fn speaks(&self) -> bool {
        let said = |text: &Option<Said>| text.as_ref().is_some_and(|said| said.0);
        said(&self.content)
            || said(&self.reasoning_content)
            || said(&self.reasoning)
            || said(&self.refusal)
            || self.tool_calls.is_some()
    }
}

impl Tally {
    /// Looks at whole events. What is no chunk is passed over. How many of them say something.
    pub fn look(&mut self, events: &[u8]) -> u64 {
        let before = self.spoken;
        for line in events.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { continue };
            self.spoken +=
                u64::from(chunk.choices.iter().flatten().any(|one| one.delta.as_ref().is_some_and(Delta::speaks)));
            self.has_failed |= chunk.error.is_some();
            if let Some(told) = chunk.usage {
                self.usage = Some(told.into());
            }
        }
        self.spoken - before
    }
}

/// What an answer that is no stream says of its use. `None` where it says nothing; `Err` when it is no JSON object at all.
pub fn usage_of_answer(body: &[u8]) -> Result<Option<Usage>, NoAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        usage: Option<Told>,
    }
    // A list would do for a struct, its members by their places.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(NoAnswer);
    }
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => Ok(answer.usage.map(Usage::from)),
        // Its members may be of other shapes; an object it has to be.
        Err(_) => match serde_json::from_slice::<std::collections::HashMap<String, IgnoredAny>>(body) {
            Ok(_) => Ok(None),
            Err(_) => Err(NoAnswer),
        },
    }
}

/// The text is no JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_that_say_something_are_counted_and_others_are_not() {
        let mut tally = Tally::default();
        let events = concat!(
            ": alive\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\n\"}}],\"usage\":null}\n\n",
            "data:{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{}]}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: garbage\n\ndata: [1]\n\ndata: [DONE]\n\n",
        );
        assert_eq!(tally.look(events.as_bytes()), 3);
        assert_eq!(tally, Tally { spoken: 3, usage: None, has_failed: false });
    }

    #[test]
    fn a_streams_own_word_counts_the_last_one_most() {
        let mut tally = Tally::default();
        tally.look(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n");
        tally.look(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9,\"x\":{}}}\n\n");
        assert_eq!(tally.usage.map(|usage| (usage.prompt, usage.completion)), Some((3, 9)));
        assert!(!tally.has_failed);
        tally.look(b"data: {\"error\":{\"message\":\"no\"}}\n\n");
        assert!(tally.has_failed);
    }

    #[test]
    fn an_answer_is_an_object_whatever_else_it_is() {
        let usage = usage_of_answer(b"{\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}").expect("an object");
        assert_eq!(usage.map(|usage| (usage.prompt, usage.completion)), Some((3, 0)));
        assert_eq!(usage_of_answer(b"{\"usage\":\"much\"}"), Ok(None));
        for no in ["", "[]", "<html>", "{\"cut\":", "1"] {
            assert_eq!(usage_of_answer(no.as_bytes()), Err(NoAnswer), "{no}");
        }
        assert_eq!((estimate_of_request(0), estimate_of_request(9)), (0, 3));
    }
}
