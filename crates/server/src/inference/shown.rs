//! Models of the store as clients of `/dew/v1/models` see them.

use dewpoint_api::{ServedByDroplets, ServedFile, ServedModel, ServedModelState};
use dewpoint_store::{ModelFile, ModelRecord, ModelSource, ModelState};

use super::{Inference, Source};

/// Of a model that another server on this store has just added.
const NOT_YET: &str = "this server has only just learned of it, and takes it over within a second.";

impl Inference {
    /// A model of the store, with what is known of it here.
    pub(crate) fn shown(&self, record: ModelRecord) -> ServedModel {
        let models = self.models();
        let model = models.iter().find(|model| model.name == record.name);
        let ModelRecord { name, owner: owned_by, source, state, why, created_at, .. } = record;
        let begins = match state {
            ModelState::Copying => ServedModelState::Copying,
            ModelState::Kept => ServedModelState::Waiting,
            ModelState::Failed => ServedModelState::Failed,
        };
        let mut shown =
            ServedModel { name, owned_by, created_at, state: begins.into(), why, file: None, droplets: None };
        match (model.map(|model| &model.source), source) {
            (Some(Source::Local(local)), ModelSource::File(_)) => {
                let (state, why, file) = local.shown();
                (shown.state, shown.why, shown.file) = (state.into(), why, Some(file));
            }
            (_, ModelSource::File(file)) => {
                let ModelFile { from, bytes, sha256, facts, keeper: _ } = file;
                shown.file = Some(ServedFile { from, bytes, bytes_copied: 0, sha256, facts, pid: None });
            }
            (found, ModelSource::Droplets { tag, port }) => {
                if model.is_some_and(|model| model.is_ready()) {
                    shown.state = ServedModelState::Ready.into();
                } else if let Some(Source::Droplets(by_tag)) = found {
                    shown.why = Some(by_tag.why_not());
                }
                shown.droplets = Some(ServedByDroplets { tag, port });
            }
        }
        if model.is_none() && shown.state == ServedModelState::Waiting {
            shown.why = Some(NOT_YET.to_owned());
        }
        shown
    }
}
