//! Lists of values, as rules that tell what begins alike once: a model that writes one of a thousand values is then held to as
//! many beginnings as there are different next characters, and not to a thousand at each token.

use serde_json::Value;

use super::{MOST_VALUES, Rules, literal};
use crate::{Refusal, asked::invalid};

impl Rules<'_> {
    /// The rule of one of these values, of which there is at least one.
    pub(super) fn among(&mut self, values: &[Value], at: &str) -> Result<String, Refusal> {
        self.values += values.len();
        if self.values > MOST_VALUES {
            let problem = format!("comes to more than {MOST_VALUES} values; this model cannot be held to them.");
            return Err(invalid(at, problem));
        }
        let mut texts: Vec<Vec<char>> = values.iter().map(|value| value.to_string().chars().collect()).collect();
        texts.sort_unstable();
        texts.dedup();
        let one = self.one_of(&texts, 0, at)?;
        self.rule(one, at)
    }

    /// What goes on after the first `from` characters, which are the same in all of these texts. They are sorted, and no two are
    /// the same.
    fn one_of(&mut self, texts: &[Vec<char>], from: usize, at: &str) -> Result<String, Refusal> {
        let told = |text: &[char]| literal(&text.iter().collect::<String>());
        let ([first, rest @ ..], [.., last]) = (texts, texts) else { return Ok(told(&[])) };
        if rest.is_empty() {
            return Ok(told(&first[from..]));
        }
        let alike = first[from..].iter().zip(&last[from..]).take_while(|(one, other)| one == other).count();
        let parts_at = from + alike;
        // The first may be what the others begin with, as 1 is of 10.
        let (ends, others) = if first.len() == parts_at { (true, rest) } else { (false, texts) };
        // Before those in it, so that no text is followed deeper than there may be rules.
        let place = self.reserve(at)?;
        let mut parts = Vec::new();
        for group in others.chunk_by(|one, other| one[parts_at] == other[parts_at]) {
            parts.push(self.one_of(group, parts_at, at)?);
        }
        let (name, body) = &mut self.made[place];
        *body = if ends { format!("({})?", parts.join(" | ")) } else { parts.join(" | ") };
        Ok(if alike == 0 { name.clone() } else { format!("{} {name}", told(&first[from..parts_at])) })
    }
}
