//! Models that make numbers of texts (embeddings) and no text: each text is computed by itself.

use std::{num::NonZeroU32, sync::mpsc::Receiver};

use anyhow::Context as _;
use llama_cpp_2::{
    context::{
        LlamaContext,
        params::{LlamaContextParams, LlamaPoolingType},
    },
    llama_batch::LlamaBatch,
    token::LlamaToken,
};
use tokio::sync::oneshot;

use crate::{
    load::Loaded,
    stats::{Stats, add},
};

/// Texts whose numbers are asked for.
#[derive(Debug)]
pub struct Texts {
    /// Each in tokens, none of which has more than the model holds.
    pub texts: Vec<Vec<LlamaToken>>,
    /// Who hears of them: as many lists of numbers, or why there are none. Gone, they are dropped.
    pub reply: oneshot::Sender<Result<Vec<Vec<f32>>, String>>,
}

/// Computes what is asked until nobody is left who could ask.
///
/// Fails when llama.cpp cannot have the memory.
pub fn run(loaded: &Loaded, orders: &Receiver<Texts>, stats: &Stats, ready: impl FnOnce()) -> anyhow::Result<()> {
    let threads = i32::try_from(loaded.threads).unwrap_or(1);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(loaded.context))
        // Some models read a text in both directions, and so as a whole.
        .with_n_batch(loaded.context)
        .with_n_ubatch(loaded.context)
        .with_embeddings(true)
        .with_pooling_type(LlamaPoolingType::from(loaded.pooling.unwrap_or(1)))
        .with_no_perf(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context =
        loaded.model.new_context(&loaded.backend, params).context("llama.cpp cannot have the memory for its texts")?;
    ready();
    while let Ok(asked) = orders.recv() {
        add(&stats.requests, 1);
        let mut made = Vec::new();
        let mut trouble = None;
        for text in &asked.texts {
            if asked.reply.is_closed() {
                add(&stats.gone, 1);
                break;
            }
            match one(&mut context, text) {
                Ok(numbers) => made.push(numbers),
                Err(error) => trouble = Some(format!("llama.cpp could not compute it: {error:#}")),
            }
            add(&stats.steps, 1);
            add(&stats.prompt_tokens, text.len());
        }
        add(&stats.failed, usize::from(trouble.is_some()));
        // Whoever is gone needs no telling.
        let _ = asked.reply.send(trouble.map_or(Ok(made), Err));
    }
    Ok(())
}

/// The numbers of one text, of length 1 together.
fn one(context: &mut LlamaContext<'_>, text: &[LlamaToken]) -> anyhow::Result<Vec<f32>> {
    let mut batch = LlamaBatch::new(text.len(), 1);
    for (at, token) in text.iter().enumerate() {
        batch.add(*token, i32::try_from(at)?, &[0], true)?;
    }
    context.clear_kv_cache();
    context.decode(&mut batch)?;
    let numbers = context.embeddings_seq_ith(0)?;
    let length = numbers.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    anyhow::ensure!(length.is_finite() && length > 0.0, "the model's weights made numbers that are none");
    Ok(numbers.iter().map(|number| (f64::from(*number) / length) as f32).collect())
}
