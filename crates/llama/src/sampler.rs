//! Which token comes next: chance among the likely ones, as the request wants it, and as a grammar allows.

use std::collections::HashMap;

use dewpoint_inference::Sampling;
use llama_cpp_2::{
    model::LlamaModel,
    sampling::LlamaSampler,
    token::{LlamaToken, data::LlamaTokenData, data_array::LlamaTokenDataArray},
};

/// How many of the likeliest are told of (INF-5).
const TOLD: usize = 20;
/// Beside the likeliest token one less likely than this share of it is never chosen, unless the request says otherwise: small
/// models give the nonsense in their tails too much.
const MIN_P: f64 = 0.05;
/// How many of the likeliest are held against a grammar before all are.
const FIRST_TRIED: usize = 256;

/// Why no token can be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the grammar of this request cannot be followed; it is too large or leads back to itself")]
    Grammar,
    #[error("no token of this model follows the grammar of this request")]
    Stuck,
    #[error("the model's weights made numbers that are none")]
    NotANumber,
}

/// A token, and when it was asked for how likely it was.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) token: LlamaToken,
    pub(crate) logprob: Option<f64>,
    pub(crate) top: Vec<(LlamaToken, f64)>,
}

/// Chooses the tokens of one choice.
pub(crate) struct Sampler {
    how: Sampling,
    dice: Dice,
    /// How often the answer has each token.
    said: HashMap<i32, u32>,
    grammar: Option<LlamaSampler>,
    tells: bool,
    /// The logits with penalties and biases, where there are any.
    shifted: Vec<f32>,
}

impl Sampler {
    /// For the choice at `index`; `seed` is used when the request has none.
    pub(crate) fn new(
        model: &LlamaModel,
        how: Sampling,
        index: usize,
        seed: u64,
        grammar: Option<&str>,
        tells: bool,
    ) -> Result<Self, Error> {
        let grammar =
            grammar.map(|text| LlamaSampler::grammar(model, text, "root")).transpose().map_err(|_| Error::Grammar)?;
        let seed = how.seed.map_or(seed, |seed| seed as u64);
        // Mixed, so that no seed's chance is another's a step later.
        let dice = Dice(mix(mix(seed) ^ index as u64));
        Ok(Self { how, dice, said: HashMap::new(), grammar, tells, shifted: Vec::new() })
    }

    /// Chooses by the logits of all tokens, never one of `banned`, which has a place for each token or is empty.
    pub(crate) fn choose(&mut self, logits: &[f32], banned: &[bool]) -> Result<Chosen, Error> {
        let plain =
            self.how.logit_bias.is_empty() && self.how.frequency_penalty == 0.0 && self.how.presence_penalty == 0.0;
        let token = if plain {
            self.pick(logits, banned)?
        } else {
            let mut shifted = std::mem::take(&mut self.shifted);
            shifted.clear();
            shifted.extend_from_slice(logits);
            self.shift(&mut shifted);
            let picked = self.pick(&shifted, banned);
            self.shifted = shifted;
            picked?
        };
        if let Some(grammar) = &mut self.grammar {
            // Never one that it does not allow: that would end the whole process.
            grammar.accept(LlamaToken(token));
        }
        *self.said.entry(token).or_default() += 1;
        let (logprob, top) = if self.tells { likelihoods(logits, token) } else { (None, Vec::new()) };
        Ok(Chosen { token: LlamaToken(token), logprob, top })
    }

    fn shift(&self, logits: &mut [f32]) {
        let mut add = |token: i64, by: f64| {
            if let Some(logit) = usize::try_from(token).ok().and_then(|token| logits.get_mut(token)) {
                *logit += by as f32;
            }
        };
        for (token, count) in &self.said {
            add(i64::from(*token), -self.how.presence_penalty - self.how.frequency_penalty * f64::from(*count));
        }
        for (token, bias) in &self.how.logit_bias {
            add(i64::from(*token), *bias);
        }
    }

    fn pick(&mut self, logits: &[f32], banned: &[bool]) -> Result<i32, Error> {
        let (likeliest, most) = likeliest(logits).ok_or(Error::NotANumber)?;
        let token = if self.how.temperature <= 0.0 {
            likeliest
        } else {
            let least = self.least(most);
            let near = (0..).zip(logits).filter(|(_, logit)| **logit >= least && logit.is_finite());
            let mut near: Vec<(i32, f32)> =
                near.filter(|(token, _)| !is_in(banned, *token)).map(|(token, logit)| (token, *logit)).collect();
            if near.is_empty() { likeliest } else { self.draw(&mut near) }
        };
        if !is_in(banned, token) && self.allows(token) { Ok(token) } else { self.pick_allowed(logits, banned) }
    }

    /// The least logit that is likely enough beside the likeliest, whose logit is `most`.
    fn least(&self, most: f32) -> f32 {
        let min_p = self.how.min_p.unwrap_or(MIN_P);
        if min_p > 0.0 { most + (self.how.temperature * min_p.ln()) as f32 } else { f32::NEG_INFINITY }
    }

    /// Draws one of them by chance; there is at least one.
    fn draw(&mut self, near: &mut [(i32, f32)]) -> i32 {
        near.sort_unstable_by(order);
        let most = near.first().map_or(0.0, |(_, logit)| *logit);
        let weights: Vec<f64> =
            near.iter().map(|(_, logit)| (f64::from(logit - most) / self.how.temperature).exp()).collect();
        let all: f64 = weights.iter().sum();
        let (mut kept, mut sum) = (0, 0.0);
        for weight in &weights {
            kept += 1;
            sum += weight;
            if sum >= self.how.top_p * all {
                break;
            }
        }
        let mut left = self.dice.share() * sum;
        for ((token, _), weight) in near.iter().zip(&weights).take(kept) {
            left -= weight;
            if left <= 0.0 {
                return *token;
            }
        }
        near.get(kept.saturating_sub(1)).map_or(0, |(token, _)| *token)
    }

    fn allows(&mut self, token: i32) -> bool {
        self.grammar.as_mut().is_none_or(|grammar| !allowed(grammar, &[(token, 0.0)]).is_empty())
    }

    /// Chooses among what the grammar allows: the likeliest tokens first, all of them when none of those will do.
    fn pick_allowed(&mut self, logits: &[f32], banned: &[bool]) -> Result<i32, Error> {
        let all =
            (0..).zip(logits.iter().copied()).filter(|(token, logit)| logit.is_finite() && !is_in(banned, *token));
        let mut left: Vec<(i32, f32)> = all.collect();
        if let Some(grammar) = &mut self.grammar {
            if left.len() > FIRST_TRIED {
                left.select_nth_unstable_by(FIRST_TRIED, order);
            }
            let among = allowed(grammar, &left[..FIRST_TRIED.min(left.len())]);
            left = if among.is_empty() { allowed(grammar, &left) } else { among };
        }
        left.sort_unstable_by(order);
        let (likeliest, most) = *left.first().ok_or(Error::Stuck)?;
        if self.how.temperature <= 0.0 {
            return Ok(likeliest);
        }
        let least = self.least(most);
        left.retain(|(_, logit)| *logit >= least);
        Ok(self.draw(&mut left))
    }
}

/// The likelier first; of equals the one with the smaller number.
fn order(one: &(i32, f32), other: &(i32, f32)) -> std::cmp::Ordering {
    other.1.total_cmp(&one.1).then(one.0.cmp(&other.0))
}

fn is_in(banned: &[bool], token: i32) -> bool {
    usize::try_from(token).ok().and_then(|token| banned.get(token)).copied().unwrap_or(false)
}

/// Those of the tokens that may follow.
fn allowed(grammar: &mut LlamaSampler, tokens: &[(i32, f32)]) -> Vec<(i32, f32)> {
    let data = tokens.iter().map(|(token, logit)| LlamaTokenData::new(LlamaToken(*token), *logit, 0.0)).collect();
    let mut array = LlamaTokenDataArray::new(data, false);
    grammar.apply(&mut array);
    array.data.iter().filter(|data| data.logit().is_finite()).map(|data| (data.id().0, data.logit())).collect()
}

/// The token with the greatest logit, the first of equals; `None` when no logit is a number.
fn likeliest(logits: &[f32]) -> Option<(i32, f32)> {
    // In lanes, so that the compiler compares several at once.
    const LANES: usize = 16;
    let mut most = [f32::NEG_INFINITY; LANES];
    let chunks = logits.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (most, logit) in most.iter_mut().zip(chunk) {
            *most = if *logit > *most { *logit } else { *most };
        }
    }
    let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let place = logits.iter().position(|logit| *logit == most && logit.is_finite())?;
    Some((i32::try_from(place).ok()?, most))
}

/// How likely `token` was among all of them, when it is one of the likeliest, and the likeliest.
fn likelihoods(logits: &[f32], token: i32) -> (Option<f64>, Vec<(LlamaToken, f64)>) {
    let most = f64::from(likeliest(logits).map_or(0.0, |(_, logit)| logit));
    let all: f64 = logits.iter().filter(|logit| logit.is_finite()).map(|logit| (f64::from(*logit) - most).exp()).sum();
    let of = |logit: f32| f64::from(logit) - most - all.ln();
    let mut top: Vec<(i32, f32)> = (0..).zip(logits.iter().copied()).filter(|(_, logit)| logit.is_finite()).collect();
    if top.len() > TOLD {
        top.select_nth_unstable_by(TOLD, order);
        top.truncate(TOLD);
    }
    top.sort_unstable_by(order);
    let own = top.iter().find(|(other, _)| *other == token).map(|(_, logit)| of(*logit));
    (own, top.into_iter().map(|(token, logit)| (LlamaToken(token), of(logit))).collect())
}

/// Numbers that look random and follow from a seed alone (SplitMix64).
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(number: u64) -> u64 {
    let mut mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
