//! From a file to a model in memory. What the file says of itself is checked before llama.cpp reads it, and so is whether
//! it fits into memory.

use std::{fs, fs::File, io::BufReader, path::Path};

use anyhow::{Context as _, bail, ensure};
use dewpoint_gguf::Header;
use llama_cpp_2::{
    LogOptions,
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
    token::LlamaToken,
};

use crate::{args::Args, machine, marks::Marks, template::Template};

/// How many tokens of prompts are computed at once.
pub const BATCH: u32 = 512;
/// Most tokens of one conversation when nobody says.
const USUAL_CONTEXT: u32 = 8192;
const MIB: u64 = 1024 * 1024;

/// A model in memory, and what is to be known of it.
#[derive(Debug)]
pub struct Loaded {
    /// What it is called.
    pub name: String,
    /// llama.cpp, begun.
    pub backend: LlamaBackend,
    /// The model.
    pub model: LlamaModel,
    /// How conversations are put to it.
    pub template: Template,
    /// The text of its first token, with which templates may begin.
    pub bos: String,
    /// Which tokens are marks of conversations and neither text nor an end of one.
    pub marks: Vec<bool>,
    /// The texts of marks, which clients may write and not mean.
    pub mark_texts: Marks,
    /// Tokens that one conversation may have.
    pub context: u32,
    /// Conversations at once.
    pub parallel: u32,
    /// Threads that compute.
    pub threads: u32,
    /// How the numbers of a text are made of its tokens' (`<architecture>.pooling_type`); `None`: it makes text.
    pub pooling: Option<i32>,
}

/// Checks and loads the model.
///
/// Fails, in words for the person who chose it, when the file is no sound model, or does not fit into memory.
pub fn load(args: &Args) -> anyhow::Result<Loaded> {
    if let Some(lacking) = machine::lacks() {
        bail!("this processor has no {lacking}, which dew-llama is built for");
    }
    let header = read_header(&args.model)?;
    let file = fs::metadata(&args.model)?.len();
    let made_for = header.context_length.and_then(|length| u32::try_from(length).ok()).unwrap_or(USUAL_CONTEXT);
    let context = args.context.unwrap_or(USUAL_CONTEXT.min(made_for));
    if let Some(wanted) = args.context {
        ensure!(wanted <= made_for, "the model was made for {made_for} tokens, and --context asks for {wanted}");
    }
    let needed = Memory::of(&header, file, context, args.parallel);
    needed.fits(args.memory_mib.map(|mib| mib.saturating_mul(MIB)), machine::free_memory())?;

    llama_cpp_2::send_logs_to_tracing(LogOptions::default());
    let backend = LlamaBackend::init().context("llama.cpp cannot be begun")?;
    let model = LlamaModel::load_from_file(&backend, &args.model, &LlamaModelParams::default()).with_context(|| {
        format!("llama.cpp cannot load a {} model from {}", header.architecture, args.model.display())
    })?;
    let vocab = model.vocab();
    ensure!(vocab.n_tokens() > 0, "the model has no vocabulary");
    let text = |token: LlamaToken| match token.0 {
        0.. => String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned(),
        _ => String::new(),
    };
    let (bos, eos) = (text(vocab.bos()), text(vocab.eos()));
    let (template, warning) = Template::new(header.chat_template.as_deref(), bos.clone(), eos);
    let pooling = model.meta_val_str(&format!("{}.pooling_type", header.architecture)).ok();
    let pooling = pooling.and_then(|text| text.parse::<i32>().ok()).filter(|kind| (1..=3).contains(kind));
    if let Some(warning) = warning.filter(|_| pooling.is_none()) {
        eprintln!("dew-llama: {warning}");
    }
    let marks = vocab.tokens().map(|token| vocab.is_control(token) && !vocab.is_eog(token)).collect();
    let mark_texts = Marks::of(&vocab);
    let threads = args.threads.unwrap_or_else(machine::threads);
    let (name, parallel) = (args.name.clone(), args.parallel);
    eprintln!(
        "dew-llama: {name} is loaded: {parallel} conversations of {context} tokens, {threads} threads, {} MiB",
        needed.all() / MIB
    );
    Ok(Loaded { name, backend, template, bos, marks, mark_texts, context, parallel, threads, pooling, model })
}

fn read_header(path: &Path) -> anyhow::Result<Header> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let metadata = file.metadata()?;
    ensure!(metadata.is_file(), "{} is no file", path.display());
    let header = dewpoint_gguf::read(BufReader::new(file), metadata.len())
        .with_context(|| format!("{} is no model that can be served", path.display()))?;
    if header.parts > 1 {
        bail!("the model is in {} files; put them into one (llama-gguf-split --merge)", header.parts);
    }
    Ok(header)
}

/// What a model takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    file: u64,
    /// What the conversations are remembered in.
    conversations: u64,
    /// What one step computes in, at the least.
    step: u64,
    parallel: u32,
    context: u32,
}

impl Memory {
    fn of(header: &Header, file: u64, context: u32, parallel: u32) -> Self {
        // Each layer keeps two bytes for each number that its keys and values have; a layer that computes both with the
        // queries at once is taken as the widest it can be.
        let width = header.embedding_length.unwrap_or(0);
        let kept = |layer: u64, part: &str| {
            let name = format!("blk.{layer}.{part}.weight");
            let tensor = header.tensors.iter().find(|tensor| tensor.name == name);
            tensor.and_then(|tensor| tensor.dimensions.get(1).copied()).unwrap_or(width)
        };
        let layers = header.block_count.unwrap_or(0).min(header.tensors.len() as u64);
        let token: u64 = (0..layers)
            .map(|layer| kept(layer, "attn_k").saturating_add(kept(layer, "attn_v")).saturating_mul(2))
            .sum();
        let cells = u64::from(context.next_multiple_of(256)) * u64::from(parallel);
        let vocabulary = header.vocabulary.unwrap_or(0);
        let step = vocabulary.saturating_add(width.saturating_mul(16)).saturating_mul(u64::from(BATCH) * 4);
        Self { file, conversations: token.saturating_mul(cells), step, parallel, context }
    }

    fn all(&self) -> u64 {
        self.file.saturating_add(self.conversations).saturating_add(self.step)
    }

    /// Refuses what is more than the limit, or than what is free, saying both.
    fn fits(&self, limit: Option<u64>, free: Option<u64>) -> anyhow::Result<()> {
        let all = self.all();
        let (least, what) = match (limit, free) {
            (Some(limit), _) if limit < all => (limit, "--memory-mib allows"),
            (_, Some(free)) if free < all => (free, "this machine has free"),
            _ => return Ok(()),
        };
        bail!(
            "the model needs {} MiB of memory ({} for its file, {} for {} conversations of {} tokens, {} to compute in), and {what} {}; \
             --parallel and --context make the conversations fewer and shorter",
            all.div_ceil(MIB),
            self.file.div_ceil(MIB),
            self.conversations.div_ceil(MIB),
            self.parallel,
            self.context,
            self.step.div_ceil(MIB),
            least / MIB,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_memory_is_refused_with_both_numbers() {
        let bytes = dewpoint_gguf::tiny::model(1);
        let header = dewpoint_gguf::read(bytes.as_slice(), bytes.len() as u64).expect("a model");
        let needed = Memory::of(&header, bytes.len() as u64, 512, 4);
        // Two layers of 32 keys and 32 values, two bytes each, for four times 512 tokens.
        assert_eq!(needed.conversations, 2 * (32 + 32) * 2 * 512 * 4);
        assert!(needed.fits(Some(1 << 40), Some(1 << 40)).is_ok() && needed.fits(None, None).is_ok());
        let text = needed.fits(Some(MIB), None).expect_err("too much").to_string();
        assert!(text.contains("--memory-mib allows 1;") && text.contains("4 conversations of 512 tokens"), "{text}");
        let text = needed.fits(Some(1 << 40), Some(0)).expect_err("too much").to_string();
        assert!(text.contains("free 0;"), "{text}");
    }
}
