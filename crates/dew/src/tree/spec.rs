//! What a command is, as data: its words, its parameters, and where each goes in a request. The files in `groups/` are made of
//! these; `parse.rs` makes clap's commands of them, `call.rs` requests.

use std::{future::Future, pin::Pin};

use anyhow::Result;

use super::{given::Given, kind::Kind, session::Session};
use crate::output::Table;

/// A word with commands below it: `dew droplet`.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) verbs: Vec<Verb>,
    pub(crate) groups: Vec<Group>,
}

/// A command: `dew droplet create`.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) about: &'static str,
    /// Lines of examples, under its help.
    pub(crate) examples: &'static str,
    pub(crate) params: Vec<Param>,
    pub(crate) call: Call,
    /// What it asks to be confirmed, as the end of "Delete …?"; `None`: nothing is lost.
    pub(crate) destroys: Option<&'static str>,
    /// Whether there is `--wait`, and what for.
    pub(crate) waits: Waits,
    /// What runs instead of the plain request.
    pub(crate) own: Option<Own>,
}

/// The request a command makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    /// `{droplet}` stands for the parameter of that name.
    pub(crate) path: &'static str,
    /// A member of the body that is always the same, such as an action's `type`.
    pub(crate) fixed: Option<(&'static str, &'static str)>,
    /// Query parameters that are always the same.
    pub(crate) query: &'static [(&'static str, &'static str)],
    pub(crate) table: Option<&'static Table>,
    /// Whether its answer is a page of many.
    pub(crate) is_paged: bool,
}

/// Whether a command can wait for what it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    No,
    /// Until its actions have ended.
    Actions,
    /// Until its Droplets are active, answer to SSH, or are ready.
    Droplets,
}

/// A command with steps of its own.
pub(crate) type Own =
    for<'a> fn(&'a mut Session, &'a Verb, &'a Given) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Something one gives a command.
#[derive(Debug)]
pub(crate) struct Param {
    /// A flag's name without dashes, or a positional's in lower case.
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) is_flag: bool,
    pub(crate) is_many: bool,
    /// Whether commas are part of a value that may be given several times.
    pub(crate) keeps_commas: bool,
    /// Whether it comes after `--`.
    pub(crate) is_last: bool,
    pub(crate) short: Option<char>,
    pub(crate) is_required: bool,
    /// Instead of required: one of this flag and the positional, never both.
    pub(crate) instead_of: Option<&'static str>,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the path, for its own name.
    Path,
    /// In the query, under this name.
    Query(&'static str),
    /// In the body, at this path, such as `backup_policy.plan`.
    Body(&'static str),
    /// Nowhere by itself: code reads it.
    Code,
}

/// A group of commands.
pub(crate) fn group(name: &'static str, aliases: &'static [&'static str], about: &'static str) -> Group {
    Group { name, aliases, about, verbs: Vec::new(), groups: Vec::new() }
}

impl Group {
    pub(crate) fn verbs(mut self, verbs: impl IntoIterator<Item = Verb>) -> Self {
        self.verbs.extend(verbs);
        self
    }

    pub(crate) fn groups(mut self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.groups.extend(groups);
        self
    }
}

fn verb(name: &'static str, about: &'static str, method: &'static str, path: &'static str) -> Verb {
    let call = Call { method, path, fixed: None, query: &[], table: None, is_paged: false };
    let (params, waits) = (Vec::new(), Waits::No);
    Verb { name, aliases: &[], about, examples: "", params, call, destroys: None, waits, own: None }
}

/// A command that shows what is there.
pub(crate) fn get(name: &'static str, about: &'static str, path: &'static str) -> Verb {
    verb(name, about, "GET", path)
}

/// A command that lists what there is, page by page.
pub(crate) fn list(name: &'static str, about: &'static str, path: &'static str) -> Verb {
    let mut verb = get(name, about, path);
    verb.call.is_paged = true;
    verb
}

/// A command that makes or starts something.
pub(crate) fn post(name: &'static str, about: &'static str, path: &'static str) -> Verb {
    verb(name, about, "POST", path)
}

/// A command that puts something in the place of what was there.
pub(crate) fn put(name: &'static str, about: &'static str, path: &'static str) -> Verb {
    verb(name, about, "PUT", path)
}

/// A command that changes a part.
pub(crate) fn patch(name: &'static str, about: &'static str, path: &'static str) -> Verb {
    verb(name, about, "PATCH", path)
}

/// A command that removes something.
pub(crate) fn delete(name: &'static str, about: &'static str, path: &'static str) -> Verb {
    verb(name, about, "DELETE", path)
}

/// A command with steps of its own.
pub(crate) fn own(name: &'static str, about: &'static str, run: Own) -> Verb {
    Verb { own: Some(run), ..verb(name, about, "", "") }
}

impl Verb {
    pub(crate) fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) fn examples(mut self, examples: &'static str) -> Self {
        self.examples = examples;
        self
    }

    pub(crate) fn with(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        self.params.extend(params);
        self
    }

    /// What its answer holds.
    pub(crate) fn shows(mut self, table: &'static Table) -> Self {
        self.call.table = Some(table);
        self
    }

    pub(crate) fn fixed(mut self, member: &'static str, value: &'static str) -> Self {
        self.call.fixed = Some((member, value));
        self
    }

    pub(crate) fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.call.query = query;
        self
    }

    pub(crate) fn destroys(mut self, what: &'static str) -> Self {
        self.destroys = Some(what);
        self
    }

    pub(crate) fn waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    pub(crate) fn run(mut self, own: Own) -> Self {
        self.own = Some(own);
        self
    }
}

/// What a request is about: a positional whose value stands in the path.
pub(crate) fn id(name: &'static str, kind: Kind) -> Param {
    let help = kind.described();
    Param { place: Place::Path, is_required: true, is_flag: false, ..flag(name, kind, Place::Path, help) }
}

/// A positional that goes elsewhere.
pub(crate) fn arg(name: &'static str, kind: Kind, place: Place, help: &'static str) -> Param {
    Param { is_required: true, is_flag: false, ..flag(name, kind, place, help) }
}

/// A flag.
pub(crate) fn flag(name: &'static str, kind: Kind, place: Place, help: &'static str) -> Param {
    Param {
        name,
        aliases: &[],
        help,
        kind,
        place,
        is_flag: true,
        is_many: false,
        keeps_commas: false,
        is_last: false,
        short: None,
        is_required: false,
        instead_of: None,
    }
}

/// A flag that is there or not.
pub(crate) fn switch(name: &'static str, place: Place, help: &'static str) -> Param {
    flag(name, Kind::Switch, place, help)
}

impl Param {
    /// It must be given.
    pub(crate) fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// It need not be given.
    pub(crate) fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// Several may be given: as words, or with commas between.
    pub(crate) fn many(mut self) -> Self {
        self.is_many = true;
        self
    }

    /// It may be given several times; commas are part of it.
    pub(crate) fn repeated(mut self) -> Self {
        (self.is_many, self.keeps_commas) = (true, true);
        self
    }

    /// It comes after `--`.
    pub(crate) fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// One letter that stands for it.
    pub(crate) fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// It stands for that positional, and the other way round.
    pub(crate) fn instead_of(mut self, other: &'static str) -> Self {
        self.instead_of = Some(other);
        self
    }
}
