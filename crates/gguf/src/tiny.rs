//! Tiny models of no meaning, made from a seed: what they say is always the same, and no text anybody would miss.

use crate::write::{Builder, Value};

/// Most tokens a tiny model holds.
pub const CONTEXT: u32 = 512;
/// How many numbers stand for one of its tokens.
const WIDTH: u32 = 64;
const HEADS: u32 = 4;
const HEADS_OF_KEYS: u32 = 2;
const HIDDEN: u32 = 128;
const LAYERS: u32 = 2;

/// How conversations are put to it: each message between two tokens of their own.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The kinds of tokens, as files number them.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

/// Chance that is the same for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    /// From -1 to 1, evenly.
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let top = (mixed ^ (mixed >> 31)) >> 40;
        // 24 bits, which a float holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
        let share = top as f32 / (1 << 24) as f32;
        share * 2.0 - 1.0
    }

    fn weights(&mut self, count: u32, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.roll() * scale).collect()
    }
}

/// A token: its text, how gladly it is made of others, and its kind.
type Token = (Vec<u8>, f32, i32);

/// Three tokens of no text, one for each byte, two around messages, and pieces of words.
fn vocabulary() -> Vec<Token> {
    let mut tokens: Vec<Token> =
        vec![(b"<unk>".to_vec(), 0.0, UNKNOWN), (b"<s>".to_vec(), 0.0, CONTROL), (b"</s>".to_vec(), 0.0, CONTROL)];
    tokens.extend((0..=255_u8).map(|byte| (format!("<0x{byte:02X}>").into_bytes(), 0.0, BYTE)));
    tokens.extend(["<|im_start|>", "<|im_end|>"].map(|text| (text.as_bytes().to_vec(), 0.0, CONTROL)));
    let mut pieces: Vec<String> = vec!["\u{2581}".to_owned()];
    pieces.extend((b'!'..=b'~').map(|letter| char::from(letter).to_string()));
    for piece in ["th", "the", "an", "and", "in", "ing", "er", "on", "re", "at", "en", "or", "es", "is", "it", "hi"] {
        pieces.push(piece.to_owned());
        pieces.push(format!("\u{2581}{piece}"));
    }
    pieces.sort_by_key(String::len);
    pieces.dedup();
    // Longer ones are made more gladly, and each needs a score of its own.
    let mut score = -1000.0;
    for piece in pieces {
        score += 1.0;
        tokens.push((piece.into_bytes(), score, NORMAL));
    }
    tokens
}

/// A whole file: architecture `llama`, two layers, a vocabulary of a few hundred tokens with one for each byte, weights of
/// chance, 32-bit floats, less than a MiB. The same for the same seed.
#[must_use]
pub fn model(seed: u64) -> Vec<u8> {
    let vocabulary = vocabulary();
    let count = u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
    let end_of_turn = vocabulary.iter().position(|token| token.0 == b"<|im_end|>").unwrap_or(2);
    let mut file = Builder::default()
        .pair("general.architecture", Value::Text("llama".to_owned()))
        .pair("general.name", Value::Text(format!("tiny {seed}")))
        .pair("general.file_type", Value::U32(0));
    for (key, value) in [
        ("context_length", CONTEXT),
        ("embedding_length", WIDTH),
        ("block_count", LAYERS),
        ("feed_forward_length", HIDDEN),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", HEADS_OF_KEYS),
        ("rope.dimension_count", WIDTH / HEADS),
        ("vocab_size", count),
    ] {
        file = file.pair(&format!("llama.{key}"), Value::U32(value));
    }
    file = file
        .pair("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5))
        .pair("tokenizer.ggml.model", Value::Text("llama".to_owned()))
        .pair("tokenizer.ggml.pre", Value::Text("default".to_owned()))
        .pair("tokenizer.ggml.tokens", Value::Texts(vocabulary.iter().map(|token| token.0.clone()).collect()))
        .pair("tokenizer.ggml.scores", Value::F32s(vocabulary.iter().map(|token| token.1).collect()))
        .pair("tokenizer.ggml.token_type", Value::I32s(vocabulary.iter().map(|token| token.2).collect()))
        .pair("tokenizer.ggml.unknown_token_id", Value::U32(0))
        .pair("tokenizer.ggml.bos_token_id", Value::U32(1))
        .pair("tokenizer.ggml.eos_token_id", Value::U32(u32::try_from(end_of_turn).unwrap_or(2)))
        .pair("tokenizer.ggml.add_bos_token", Value::Bool(true))
        .pair("tokenizer.chat_template", Value::Text(CHAT_TEMPLATE.to_owned()));
    let mut dice = Dice(seed);
    let mut tensor = |file: Builder, name: &str, (across, down): (u32, u32), scale: f32| {
        let weights = dice.weights(across * down, scale);
        file.tensor(name, &[across.into(), down.into()], &weights)
    };
    let ones = vec![1.0; WIDTH as usize];
    let keys = WIDTH / HEADS * HEADS_OF_KEYS;
    file = tensor(file, "token_embd.weight", (WIDTH, count), 1.0);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        file = file.tensor(&name("attn_norm"), &[WIDTH.into()], &ones);
        file = tensor(file, &name("attn_q"), (WIDTH, WIDTH), 0.3);
        file = tensor(file, &name("attn_k"), (WIDTH, keys), 0.3);
        file = tensor(file, &name("attn_v"), (WIDTH, keys), 0.3);
        file = tensor(file, &name("attn_output"), (WIDTH, WIDTH), 0.3);
        file = file.tensor(&name("ffn_norm"), &[WIDTH.into()], &ones);
        file = tensor(file, &name("ffn_gate"), (WIDTH, HIDDEN), 0.3);
        file = tensor(file, &name("ffn_up"), (WIDTH, HIDDEN), 0.3);
        file = tensor(file, &name("ffn_down"), (HIDDEN, WIDTH), 0.3);
    }
    file = file.tensor("output_norm.weight", &[WIDTH.into()], &ones);
    tensor(file, "output.weight", (WIDTH, count), 0.5).build()
}
