//! Contexts: servers and their tokens under names, kept in one file of this user's (0600), below the XDG configuration
//! directory.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The context that is there without a name being given.
pub(crate) const DEFAULT: &str = "default";

/// What the file holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use; none in a file without contexts.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    contexts: BTreeMap<String, Entry>,
}

/// One server and how to ask it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) url: String,
    pub(crate) token: String,
    /// Certificates to trust, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_cert: Option<PathBuf>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("url", &self.url).field("ca_cert", &self.ca_cert).finish_non_exhaustive()
    }
}

/// Where the file is: `dewpoint/config.toml` below `XDG_CONFIG_HOME` or `~/.config`.
pub(crate) fn path() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    base.map(|base| base.join("dewpoint/config.toml")).ok_or_else(|| {
        Failure::usage("there is no place for contexts: neither HOME nor XDG_CONFIG_HOME is set")
            .hint("set HOME, or give the server and the token as DEW_URL and DEW_TOKEN")
            .into()
    })
}

impl Contexts {
    /// What the file says; nothing when there is none.
    pub(crate) fn load() -> Result<Self> {
        let Ok(path) = path() else { return Ok(Self::default()) };
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} cannot be understood", path.display())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Self::default()),
            // A home that this user may not look into is as good as none.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the file, whole or not at all, readable by this user alone.
    pub(crate) fn save(&self) -> Result<()> {
        let path = path()?;
        let half = path.with_extension("toml.new");
        let write = || -> std::io::Result<()> {
            if let Some(dir) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            }
            let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&half)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(toml::to_string(self).map_err(std::io::Error::other)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&half, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The name of the context in use.
    pub(crate) fn current(&self) -> &str {
        self.context.as_deref().unwrap_or(DEFAULT)
    }

    /// The context of this name, or the one in use. `None` when no name was given and there is none.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<Option<(&str, &Entry)>> {
        match (self.contexts.get_key_value(name.unwrap_or(self.current())), name) {
            (Some((name, entry)), _) => Ok(Some((name, entry))),
            (None, None) => Ok(None),
            (None, Some(name)) => Err(self.unknown(name).into()),
        }
    }

    /// Every context by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.contexts.iter()
    }

    /// Puts a context in, or in the place of one of its name, and uses it.
    pub(crate) fn put(&mut self, name: &str, entry: Entry) {
        self.contexts.insert(name.to_owned(), entry);
        self.context = Some(name.to_owned());
    }

    /// Uses another context from now on.
    pub(crate) fn switch(&mut self, name: &str) -> Result<()> {
        if !self.contexts.contains_key(name) {
            return Err(self.unknown(name).into());
        }
        self.context = Some(name.to_owned());
        Ok(())
    }

    /// Forgets a context and its token. The default one is in use when it was this one.
    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        if self.contexts.remove(name).is_none() {
            return Err(self.unknown(name).into());
        }
        if self.context.as_deref() == Some(name) {
            self.context = None;
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
        let hint = match known.is_empty() {
            true => format!("`dew auth init --context {name}` makes it"),
            false => format!("there are {}; `dew auth init --context {name}` makes it", known.join(", ")),
        };
        Failure::usage(format!("there is no context {name}")).hint(hint)
    }
}
