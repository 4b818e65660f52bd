//! Why a GPU cannot be handed to a guest, and what to change.

use std::fmt;

/// One thing in the way, in two clauses for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is in the way.
    pub why: String,
    /// What to change.
    pub remedy: String,
}

impl Obstacle {
    pub(crate) fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: remedy.into() }
    }

    /// Several in one text.
    pub fn all(obstacles: &[Self]) -> String {
        let texts: Vec<String> = obstacles.iter().map(Self::to_string).collect();
        texts.join(". Also: ")
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.remedy)
    }
}
