//! Models, and the keys to ask them with. Answers of models are [`crate::chat`]'s.

use dewpoint_api::{GenAiModel, InferenceModel, ModelKey, ModelKeyRequest, TokenId};

use crate::{
    Call, Kept, List,
    envelope::Envelope,
    operations as op,
    request::{Destination, Request},
};

groups! {
    /// Models that can be asked, as the API lists them.
    Models;
    /// What there is around asking models.
    Inference;
    /// Model access keys: each is good for asking models, and for nothing else.
    ApiKeys;
}

leads! { Inference {
    /// Model access keys.
    api_keys -> ApiKeys;
} }

impl Models {
    /// `GET /v2/gen-ai/models`: the models that can be asked. Needs a token of the API; [`Inference::models`] needs a model key.
    pub fn list(&self) -> List<GenAiModel> {
        self.0.list(&op::GENAI_LIST_MODELS, &[])
    }
}

impl Inference {
    /// `GET /v1/models`: the models that can be asked, all at once. Takes the key for models, and goes to their address.
    pub fn models(&self) -> Call<Vec<Kept<InferenceModel>>> {
        let request = Request { goes_to: Destination::Inference, ..Request::of(&op::INFERENCE_LIST_MODELS, &[]) };
        Call::new(self.0.clone(), request, |body| Envelope::open(body)?.many("data"))
    }
}

impl ApiKeys {
    /// `GET /v2/gen-ai/models/api_keys`: without their secrets.
    pub fn list(&self) -> List<ModelKey> {
        self.0.list(&op::GENAI_LIST_MODEL_API_KEYS, &[])
    }

    /// `POST /v2/gen-ai/models/api_keys`: the secret is in this answer alone (`secret_key`). The real service retired this (410).
    pub fn create(&self, name: &str) -> Call<Kept<ModelKey>> {
        self.0.one_from(&op::GENAI_CREATE_MODEL_API_KEY, &[], &named(name))
    }

    /// `PUT /v2/gen-ai/models/api_keys/{api_key_uuid}`: calls it otherwise.
    pub fn update(&self, key: TokenId, name: &str) -> Call<Kept<ModelKey>> {
        self.0.one_from(&op::GENAI_UPDATE_MODEL_API_KEY, &[&key], &named(name))
    }

    /// `PUT /v2/gen-ai/models/api_keys/{api_key_uuid}/regenerate`: another secret, in this answer alone; the old one is refused
    /// at once.
    #[doc(alias = "update_regenerate")]
    pub fn regenerate(&self, key: TokenId) -> Call<Kept<ModelKey>> {
        self.0.one(&op::GENAI_REGENERATE_MODEL_API_KEY, &[&key])
    }

    /// `DELETE /v2/gen-ai/models/api_keys/{api_key_uuid}`: the key as it was; it is refused at once.
    pub fn delete(&self, key: TokenId) -> Call<Kept<ModelKey>> {
        self.0.one(&op::GENAI_DELETE_MODEL_API_KEY, &[&key])
    }
}

fn named(name: &str) -> ModelKeyRequest {
    ModelKeyRequest { name: Some(name.to_owned()), ..ModelKeyRequest::default() }
}
