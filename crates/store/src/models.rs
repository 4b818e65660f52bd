//! Models that were added while the server runs. They are the server's, not one account's; the account is who added them, and
//! whose Droplets are meant where Droplets serve one.

use std::{fmt, str::FromStr, sync::Arc};

use dewpoint_api::{AccountId, ModelFacts, TagName};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Made, Page, Row, Tx, Window, counters, feed::Thing, row::corrupt};

/// A row of `models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRecord {
    /// What requests call it.
    pub name: String,
    /// Who added it.
    pub account: AccountId,
    /// Who runs it, as `/v1/models` tells it.
    pub owner: String,
    /// What answers for it.
    pub source: ModelSource,
    /// How far it is.
    pub state: ModelState,
    /// Why it is no further, when it failed.
    pub why: Option<String>,
    /// How often it has changed.
    pub revision: u64,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What answers for a model, as the column `source` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelSource {
    /// A file in the data directory of one server.
    File(ModelFile),
    /// Every Droplet of the account with this tag that is active.
    Droplets {
        /// The tag.
        tag: TagName,
        /// The port they answer on.
        port: u16,
    },
}

/// A model's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Where it is copied from.
    pub from: String,
    /// The server in whose data directory it is.
    pub keeper: String,
    /// How long it is.
    pub bytes: u64,
    /// Of its bytes, in lower-case hex; `None` until they are copied.
    pub sha256: Option<String>,
    /// What its header says.
    pub facts: ModelFacts,
}

/// How far a model is, as far as the store knows: whether it is loaded is known to who serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// Its file is being copied.
    Copying,
    /// There is all it takes to serve it.
    Kept,
    /// It cannot be served.
    Failed,
}

impl ModelState {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ModelState {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Copying, Self::Kept, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| corrupt("state of a model", &text))
    }
}

const COLUMNS: &str = "name, account_id, owner, source, state, why, revision, created_at";

fn read(row: &mut Row<'_>) -> Result<ModelRecord, Error> {
    Ok(ModelRecord {
        name: row.next()?,
        account: row.next()?,
        owner: row.next()?,
        source: serde_json::from_str(&row.next::<String>()?).map_err(|error| corrupt("source of a model", &error))?,
        state: row.next::<String>()?.parse()?,
        why: row.next()?,
        revision: row.next()?,
        created_at: row.next()?,
    })
}

fn thing(name: &str) -> Thing {
    Thing::Model(Arc::from(name))
}

fn json(source: &ModelSource) -> Result<String, Error> {
    serde_json::to_string(source).map_err(|error| corrupt("source of a model", &error))
}

/// Adds a model; [`Error::Duplicate`] when there is one of that name.
pub fn model_insert(tx: &mut dyn Tx, model: &ModelRecord) -> Result<(), Error> {
    tx.note(Made::Model(model.name.clone()));
    let sql = format!("INSERT INTO models ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let values = [
        (&model.name).into(),
        model.account.into(),
        (&model.owner).into(),
        json(&model.source)?.into(),
        model.state.as_str().into(),
        model.why.as_ref().into(),
        model.revision.into(),
        model.created_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(model.account, thing(&model.name));
    Ok(())
}

/// The model of this name, or `None`.
pub fn model_get(tx: &mut dyn Tx, name: &str) -> Result<Option<ModelRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM models WHERE name = $1"), &[name.into()], read)
}

/// All models, oldest first.
pub fn model_all(tx: &mut dyn Tx) -> Result<Vec<ModelRecord>, Error> {
    tx.query_all(&format!("SELECT {COLUMNS} FROM models ORDER BY created_at, name"), &[], read)
}

/// A page of all models, oldest first.
pub fn model_list(tx: &mut dyn Tx, window: Window) -> Result<Page<ModelRecord>, Error> {
    counters::page(tx, COLUMNS, "FROM models WHERE 1 = 1", "created_at, name", &[], window, read)
}

/// Writes how far a model is, if it still is the one that was added at `created_at`; whether it is.
pub fn model_progress(
    tx: &mut dyn Tx,
    name: &str,
    created_at: Timestamp,
    (state, why): (ModelState, Option<&str>),
    source: &ModelSource,
) -> Result<bool, Error> {
    let sql = "UPDATE models SET state = $1, why = $2, source = $3, revision = revision + 1
               WHERE name = $4 AND created_at = $5";
    let values = [state.as_str().into(), why.into(), json(source)?.into(), name.into(), created_at.into()];
    tx.change_one(sql, &values, thing(name))
}

/// Removes a model; what it was, or `None` when there is no such.
pub fn model_delete(tx: &mut dyn Tx, name: &str) -> Result<Option<ModelRecord>, Error> {
    let sql = format!("DELETE FROM models WHERE name = $1 RETURNING {COLUMNS}");
    let deleted = tx.query_opt(&sql, &[name.into()], read)?;
    if let Some(model) = &deleted {
        tx.gone(model.account, thing(name));
    }
    Ok(deleted)
}
