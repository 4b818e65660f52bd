//! Which place a conversation gets: the one that remembers most of it, without another's memory being lost for little.

use llama_cpp_2::token::LlamaToken;

/// How many tokens have to be saved before a copy of what another place remembers is worth it.
const WORTH_COPYING: usize = 32;

/// What a place remembers.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    pub(crate) tokens: &'a [LlamaToken],
    /// Whether somebody speaks there.
    pub(crate) taken: bool,
    /// When it was last given, by a count.
    pub(crate) used: u64,
}

/// Where a conversation goes, and how it begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: usize,
    /// Another place whose memory is copied there first.
    pub(crate) copy: Option<usize>,
    /// How many tokens of the prompt are remembered then.
    pub(crate) known: usize,
}

/// Chooses a free place for `prompt`; `None` when all are taken.
pub(crate) fn choose(slots: &[Memory<'_>], prompt: &[LlamaToken]) -> Option<Place> {
    // The last token of a prompt is computed in any case: what follows it is asked of it.
    let common = |slot: &Memory<'_>| {
        let both = slot.tokens.iter().zip(prompt).take_while(|(one, other)| one == other).count();
        both.min(prompt.len().saturating_sub(1))
    };
    let free = || slots.iter().enumerate().filter(|(_, slot)| !slot.taken);
    let (best, memory) = free().max_by_key(|(_, slot)| (common(slot), std::cmp::Reverse(slot.used)))?;
    // It goes on where it stopped: little of what is remembered there is lost.
    if common(memory) * 2 >= memory.tokens.len() {
        let better = from_another(slots, best, common(memory), &common);
        return Some(better.unwrap_or(Place { slot: best, copy: None, known: common(memory) }));
    }
    let (oldest, memory) = free().min_by_key(|(_, slot)| slot.used)?;
    let known = common(memory);
    Some(from_another(slots, oldest, known, &common).unwrap_or(Place { slot: oldest, copy: None, known }))
}

fn from_another(
    slots: &[Memory<'_>],
    slot: usize,
    known: usize,
    common: &dyn Fn(&Memory<'_>) -> usize,
) -> Option<Place> {
    let (source, most) = slots.iter().map(common).enumerate().max_by_key(|(_, most)| *most)?;
    (source != slot && most >= known + WORTH_COPYING).then_some(Place { slot, copy: Some(source), known: most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(range: std::ops::Range<i32>) -> Vec<LlamaToken> {
        range.map(LlamaToken).collect()
    }

    fn memory(tokens: &[LlamaToken], taken: bool, used: u64) -> Memory<'_> {
        Memory { tokens, taken, used }
    }

    #[test]
    fn a_conversation_goes_on_where_it_is_remembered() {
        let (own, other) = (tokens(0..50), tokens(100..200));
        let slots = [memory(&other, false, 1), memory(&own, false, 2)];
        assert_eq!(choose(&slots, &tokens(0..80)), Some(Place { slot: 1, copy: None, known: 50 }));
        assert_eq!(
            choose(&slots, &tokens(0..50)),
            Some(Place { slot: 1, copy: None, known: 49 }),
            "the last one is computed"
        );
        let taken = [memory(&other, true, 1), memory(&own, true, 2)];
        assert_eq!(choose(&taken, &tokens(0..80)), None);
    }

    #[test]
    fn a_new_one_takes_the_place_used_longest_ago_and_copies_a_long_beginning() {
        let (long, old) = (tokens(0..300), tokens(500..600));
        let slots = [memory(&long, false, 2), memory(&old, false, 1)];
        let short: Vec<LlamaToken> = [tokens(0..10), tokens(900..950)].concat();
        assert_eq!(choose(&slots, &short), Some(Place { slot: 1, copy: None, known: 0 }));
        let shared: Vec<LlamaToken> = [tokens(0..100), tokens(900..950)].concat();
        assert_eq!(choose(&slots, &shared), Some(Place { slot: 1, copy: Some(0), known: 100 }));
        let busy = [memory(&long, true, 2), memory(&[], false, 0)];
        assert_eq!(choose(&busy, &shared), Some(Place { slot: 1, copy: Some(0), known: 100 }));
    }
}
