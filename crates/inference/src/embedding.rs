//! Embeddings: what may be asked, and the scripted model's, which follow from the text alone.
//!
//! Texts that share words lie near each other: a vector is the sum of one for each token, of length 1. So a search over a few
//! sentences finds what a person would, and a test can rely on every number.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Refusal,
    asked::invalid,
    scripted::CONTEXT,
    token::{Dice, cut},
};

/// Most inputs of a request.
const INPUTS_MOST: usize = 2048;
/// How long the scripted model's vectors are unless the request says otherwise, and at most.
const DIMENSIONS: usize = 384;

/// The body of a request for embeddings. Members it does not know are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct EmbeddingAsked {
    /// Which model.
    pub model: String,
    input: Option<Input>,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<u64>,
    /// Who asks: read only to refuse what is no text.
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

/// A text, texts, the numbers of tokens, or lists of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

impl Input {
    /// Each input as its tokens.
    fn tokens(&self) -> Vec<Vec<Vec<u8>>> {
        let numbers = |list: &Vec<u32>| list.iter().map(|number| number.to_le_bytes().to_vec()).collect();
        match self {
            Self::Text(text) => vec![cut(text)],
            Self::Texts(texts) => texts.iter().map(|text| cut(text)).collect(),
            Self::Tokens(list) => vec![numbers(list)],
            Self::TokenLists(lists) => lists.iter().map(numbers).collect(),
        }
    }
}

impl EmbeddingAsked {
    /// The scripted model's answer. Refuses what is out of bounds, and an input that the model cannot hold.
    pub fn answer(&self) -> Result<Value, Refusal> {
        let is_base64 = match self.encoding_format.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => return Err(invalid("encoding_format", "is float or base64.")),
        };
        let dimensions = match self.dimensions {
            None => DIMENSIONS,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|asked| (1..=DIMENSIONS).contains(asked))
                .ok_or_else(|| invalid("dimensions", format!("is from 1 to {DIMENSIONS} with this model.")))?,
        };
        let input = self.input.as_ref().ok_or_else(|| invalid("input", "is required."))?.tokens();
        if input.is_empty() || input.len() > INPUTS_MOST {
            return Err(invalid("input", format!("has from 1 to {INPUTS_MOST} texts.")));
        }
        let mut used = 0;
        let mut data = Vec::with_capacity(input.len());
        for (index, tokens) in input.iter().enumerate() {
            if tokens.is_empty() {
                return Err(invalid("input", "has no empty text."));
            }
            let length = tokens.len() as u64;
            if length > CONTEXT {
                return Err(Refusal::TooLong { context: CONTEXT, prompt: length, answer: 0 });
            }
            used += length;
            let vector = vector(tokens, dimensions);
            let told = if is_base64 { json!(packed(&vector)) } else { json!(vector) };
            data.push(json!({ "object": "embedding", "index": index, "embedding": told }));
        }
        Ok(json!({
            "object": "list", "data": data, "model": self.model,
            "usage": { "prompt_tokens": used, "total_tokens": used },
        }))
    }
}

/// The sum of the tokens' own directions, of length 1.
fn vector(tokens: &[Vec<u8>], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0_f64; DIMENSIONS];
    for token in tokens {
        let word = token.trim_ascii().to_ascii_lowercase();
        let mut dice = Dice::of(&[b"embedding", &word]);
        for place in &mut sum {
            // From -1 to 1 in steps that a double holds exactly.
            let roll = u32::try_from(dice.roll() >> 32).unwrap_or(0);
            *place += f64::from(roll) / f64::from(u32::MAX / 2) - 1.0;
        }
    }
    sum.truncate(dimensions);
    let length = sum.iter().map(|one| one * one).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    #[expect(clippy::cast_possible_truncation, reason = "vectors are told in single precision")]
    sum.into_iter().map(|one| (one / length) as f32).collect()
}

/// Single-precision numbers, little-endian, in base64 as clients unpack them. For other embeddings than the script's too.
pub fn packed(vector: &[f32]) -> String {
    BASE64_STANDARD.encode(vector.iter().flat_map(|one| one.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(more: &Value) -> EmbeddingAsked {
        let mut body = json!({ "model": "m" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(body).expect("well-formed")
    }

    fn vectors(input: &Value) -> Vec<Vec<f64>> {
        let answer = asked(&json!({ "input": input })).answer().expect("it is answered");
        let data = answer["data"].as_array().expect("a list").clone();
        data.iter().map(|one| serde_json::from_value(one["embedding"].clone()).expect("numbers")).collect()
    }

    fn nearness(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_length_one_and_texts_that_share_words_are_near() {
        let found = vectors(&json!(["the cat sat on the mat", "the cat sat on a chair", "stock prices fell"]));
        for vector in &found {
            assert_eq!(vector.len(), DIMENSIONS);
            assert!((nearness(vector, vector) - 1.0).abs() < 1e-5);
        }
        assert!(nearness(&found[0], &found[1]) > nearness(&found[0], &found[2]) + 0.3);
        assert_eq!(found, vectors(&json!(["the cat sat on the mat", "the cat sat on a chair", "stock prices fell"])));
        assert_eq!(vectors(&json!("a")), vectors(&json!(["a"])));
        assert_eq!(vectors(&json!([1, 2])).len(), 1);
        assert_eq!(vectors(&json!([[1, 2], [3]])).len(), 2);
    }

    #[test]
    fn base64_holds_the_same_numbers() {
        assert_eq!(packed(&[1.0]), "AACAPw==");
        assert_eq!(packed(&[1.0, -2.0]), "AACAPwAAAMA=");
        assert_eq!(packed(&[1.0, -2.0, 0.5]), "AACAPwAAAMAAAAA/");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (more, member) in [
            (json!({}), "input "),
            (json!({ "input": [] }), "input "),
            (json!({ "input": "" }), "input "),
            (json!({ "input": ["a", ""] }), "input "),
            (json!({ "input": "a", "dimensions": 0 }), "dimensions "),
            (json!({ "input": "a", "dimensions": 385 }), "dimensions "),
            (json!({ "input": "a", "encoding_format": "hex" }), "encoding_format "),
        ] {
            let refusal = asked(&more).answer().expect_err("it cannot be").to_string();
            assert!(refusal.starts_with(member), "{refusal}");
        }
        let long = "a ".repeat(9000);
        assert!(matches!(asked(&json!({ "input": long })).answer(), Err(Refusal::TooLong { .. })));
        let short = asked(&json!({ "input": "a", "dimensions": 8 })).answer().expect("fewer are possible");
        assert_eq!(short["data"][0]["embedding"].as_array().map(Vec::len), Some(8));
    }
}
