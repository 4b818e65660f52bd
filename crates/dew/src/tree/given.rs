//! What was given on the command line, by the parameters' names.

use clap::ArgMatches;

/// The values of one command's parameters, as texts.
#[derive(Debug)]
pub(crate) struct Given(ArgMatches);

impl Given {
    pub(crate) fn new(matches: ArgMatches) -> Self {
        Self(matches)
    }

    /// One value; `None` when it was not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    /// Every value of it, none when it was not given.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.try_get_many::<String>(name).ok().flatten().into_iter().flatten().map(String::as_str).collect()
    }

    /// A switch, or a flag that takes true or false.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.0.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
    }

    /// A whole number, which clap has looked at; parameters keep its text.
    pub(crate) fn whole(&self, name: &str) -> Option<u64> {
        let read = self.0.try_get_one::<u64>(name).ok().flatten().copied();
        read.or_else(|| self.text(name)?.parse().ok())
    }
}
