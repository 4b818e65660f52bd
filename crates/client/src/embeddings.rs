//! Embeddings: where texts lie among others.

use std::borrow::Borrow;

use dewpoint_api::{EmbeddingRequest, EmbeddingResponse};

use crate::{
    Call, Client, Kept,
    call::Read,
    envelope, operations as op,
    request::{Destination, Request},
};

/// Embeddings. Made by [`Client::embeddings`].
#[derive(Clone, Debug)]
pub struct Embeddings(Client);

impl Client {
    /// Where texts lie among others, as a model sees them.
    pub fn embeddings(&self) -> Embeddings {
        Embeddings(self.clone())
    }
}

impl Embeddings {
    /// `POST /v1/embeddings`: a vector for each text.
    ///
    /// ```no_run
    /// # async fn example(client: dewpoint_client::Client) -> dewpoint_client::Result<()> {
    /// use dewpoint_client::models::{EmbeddingRequest, Vector};
    ///
    /// let wanted = EmbeddingRequest::new("dewpoint-scripted", "What is the dew point?");
    /// let answer = client.embeddings().create(&wanted).await?;
    /// if let Some(Vector::Numbers(numbers)) = answer.data.first().map(|one| &one.embedding) {
    ///     println!("{} numbers", numbers.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn create(&self, wanted: impl Borrow<EmbeddingRequest>) -> Call<Kept<EmbeddingResponse>> {
        let read: Read<Kept<EmbeddingResponse>> = envelope::whole;
        let request = Request::of(&op::INFERENCE_CREATE_EMBEDDING, &[]).json(wanted.borrow());
        let request = Request { goes_to: Destination::Inference, ..request };
        Call::new(self.0.clone(), request, read)
    }
}
