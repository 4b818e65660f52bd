//! What serving adds to computing: tokens per second through `dew-llama`, beside a bare loop of llama.cpp on the same model and
//! threads, in turns; and what four clients at once get beside one.
//!
//! Other programs on the machine make all times longer, so what counts are the ratios, of times on the clock and of time that
//! the processor spent. Environment: `DEW_TEST_MODEL` (needed), `DEW_BENCH_THREADS` (1), `DEW_BENCH_PAIRS` (5),
//! `DEW_BENCH_PROMPT` (words, 400), `DEW_BENCH_TOKENS` (128).
#![expect(clippy::print_stdout, reason = "figures are for whoever runs it")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    num::NonZeroU32,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use llama_cpp_2::{
    LogOptions,
    context::{LlamaContext, params::LlamaContextParams},
    llama_backend::LlamaBackend,
    llama_batch::LlamaBatch,
    model::{LlamaModel, params::LlamaModelParams},
    sampling::LlamaSampler,
    token::{LlamaToken, logit_bias::LlamaLogitBias},
};
use serde_json::{Value, json};

/// Tokens of prompts that are computed at once, as dew-llama does.
const BATCH: usize = 512;
/// The model's tokens that would end an answer.
const ENDS: [&str; 2] = ["0", "2"];

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Run {
    prompt: Took,
    answer: Took,
}

/// Tokens, and what they took.
#[derive(Clone, Copy, Debug)]
struct Took {
    tokens: f64,
    clock: f64,
    processor: f64,
}

impl Took {
    fn since(tokens: usize, begun: Instant, before: Duration, now: Duration) -> Self {
        let processor = now.saturating_sub(before).as_secs_f64();
        Self { tokens: tokens as f64, clock: begun.elapsed().as_secs_f64(), processor }
    }

    fn by_clock(self) -> f64 {
        self.tokens / self.clock
    }

    fn by_processor(self) -> f64 {
        self.tokens / self.processor
    }
}

struct Sizes {
    threads: i32,
    pairs: usize,
    prompt: usize,
    tokens: usize,
}

fn main() -> anyhow::Result<()> {
    let number = |name: &str, usual: usize| -> anyhow::Result<usize> {
        std::env::var(name).map_or(Ok(usual), |text| text.parse().with_context(|| format!("{name} is no number")))
    };
    let sizes = Sizes {
        threads: i32::try_from(number("DEW_BENCH_THREADS", 1)?)?,
        pairs: number("DEW_BENCH_PAIRS", 5)?,
        prompt: number("DEW_BENCH_PROMPT", 400)?,
        tokens: number("DEW_BENCH_TOKENS", 128)?,
    };
    let path = PathBuf::from(std::env::var_os("DEW_TEST_MODEL").context("DEW_TEST_MODEL names the model")?);
    llama_cpp_2::send_logs_to_tracing(LogOptions::default().with_logs_enabled(false));
    let backend = LlamaBackend::init()?;
    let model = LlamaModel::load_from_file(&backend, &path, &LlamaModelParams::default())?;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(2048))
        .with_n_batch(u32::try_from(BATCH)?)
        .with_n_ubatch(u32::try_from(BATCH)?)
        .with_n_threads(sizes.threads)
        .with_n_threads_batch(sizes.threads)
        .with_no_perf(true);
    let mut context = model.new_context(&backend, params.clone())?;
    let four = params.with_n_seq_max(4).with_kv_unified(false);
    let mut four = model.new_context(&backend, four)?;
    let server = Server::start(&path, sizes.threads)?;

    println!(
        "{} threads, {} pairs in turns, prompts of about {} words, answers of {} tokens",
        sizes.threads, sizes.pairs, sizes.prompt, sizes.tokens
    );
    let (mut bare, mut served) = (Vec::new(), Vec::new());
    for round in 0..=sizes.pairs {
        let text = text(round, sizes.prompt);
        let through = server.run(&text, sizes.tokens)?;
        let alone = bare_run(&model, &mut context, &text, through.prompt.tokens as usize, sizes.tokens)?;
        // The first of both finds caches cold.
        if round > 0 {
            bare.push(alone);
            served.push(through);
        }
    }
    report("prompt", &bare, &served, |run| run.prompt);
    report("answer", &bare, &served, |run| run.answer);
    clients(&server, &model, &mut four, &sizes)
}

/// Prints the rates of both and the median of the ratios of pairs.
fn report(what: &str, bare: &[Run], served: &[Run], of: impl Fn(&Run) -> Took) {
    let rates = |runs: &[Run], rate: fn(Took) -> f64| median(runs.iter().map(|run| rate(of(run))).collect());
    let ratio = |rate: fn(Took) -> f64| {
        median(served.iter().zip(bare).map(|(one, other)| rate(of(one)) / rate(of(other))).collect())
    };
    println!(
        "{what}: bare {:.1} tokens/s, through dew-llama {:.1} tokens/s; ratio {:.3} by the clock, {:.3} by processor time",
        rates(bare, Took::by_clock),
        rates(served, Took::by_clock),
        ratio(Took::by_clock),
        ratio(Took::by_processor),
    );
}

/// One client and four in turns, and the same of llama.cpp alone.
fn clients(server: &Server, model: &LlamaModel, context: &mut LlamaContext<'_>, sizes: &Sizes) -> anyhow::Result<()> {
    let (mut served, mut bare) = (Vec::new(), Vec::new());
    for round in 0..sizes.pairs {
        served.push((server.together(1, 1000 + round, sizes.tokens)?, server.together(4, 2000 + round, sizes.tokens)?));
        bare.push((bare_together(model, context, 1, sizes.tokens)?, bare_together(model, context, 4, sizes.tokens)?));
    }
    for (what, runs) in [("through dew-llama", served), ("bare", bare)] {
        let rate = |of: fn(&(Took, Took)) -> f64| median(runs.iter().map(of).collect());
        println!(
            "clients {what}: one {:.1} tokens/s, four {:.1} tokens/s in all; ratio {:.2} by the clock, {:.2} by processor time",
            rate(|(one, _)| one.by_clock()),
            rate(|(_, four)| four.by_clock()),
            rate(|(one, four)| four.by_clock() / one.by_clock()),
            rate(|(one, four)| four.by_processor() / one.by_processor()),
        );
    }
    Ok(())
}

/// Answers of as many sequences at once by llama.cpp alone, each after a short prompt.
fn bare_together(
    model: &LlamaModel,
    context: &mut LlamaContext<'_>,
    sequences: i32,
    tokens: usize,
) -> anyhow::Result<Took> {
    const PROMPT: i32 = 40;
    let pid = std::process::id();
    context.clear_kv_cache();
    let mut batch = LlamaBatch::new(BATCH, 1);
    for sequence in 0..sequences {
        for at in 0..PROMPT {
            batch.add(LlamaToken(1000 + at * 7 + sequence), at, &[sequence], at + 1 == PROMPT)?;
        }
    }
    context.decode(&mut batch)?;
    let biases = ENDS.iter().filter_map(|end| Some(LlamaLogitBias::new(LlamaToken(end.parse().ok()?), -100.0)));
    let biases: Vec<_> = biases.collect();
    let mut sampler = LlamaSampler::chain_simple([
        LlamaSampler::logit_bias(model.vocab().n_tokens(), &biases),
        LlamaSampler::greedy(),
    ]);
    let mut next: Vec<LlamaToken> =
        (1..=sequences).map(|sequence| sampler.sample(context, sequence * PROMPT - 1)).collect();
    let (begun, before) = (Instant::now(), processor(pid)?);
    for at in (PROMPT..).take(tokens - 1) {
        batch.clear();
        for (sequence, token) in (0..).zip(&next) {
            batch.add(*token, at, &[sequence], true)?;
        }
        context.decode(&mut batch)?;
        for (row, token) in (0..).zip(&mut next) {
            *token = sampler.sample(context, row);
        }
    }
    Ok(Took::since((tokens - 1) * next.len(), begun, before, processor(pid)?))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A text that begins like no other, so that nothing of it is remembered.
fn text(round: usize, words: usize) -> String {
    let words = (0..words)
        .map(|word| ["river", "stone", "seven", "light", "under", "green", "house"][(word * word + round) % 7]);
    format!("{round}: {}", words.collect::<Vec<_>>().join(" "))
}

/// Time that the processor spent on a process and what it started.
fn processor(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // User and system time, in hundredths of a second.
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}

/// Prompt and answer by llama.cpp alone, the likeliest token each time.
fn bare_run(
    model: &LlamaModel,
    context: &mut LlamaContext<'_>,
    text: &str,
    prompt: usize,
    tokens: usize,
) -> anyhow::Result<Run> {
    let vocab = model.vocab();
    let mut asked = vocab.tokenize(text.as_bytes(), true, false);
    // As many as the template makes of it.
    asked.resize(prompt, *asked.first().context("a text has tokens")?);
    let pid = std::process::id();
    context.clear_kv_cache();
    let mut batch = LlamaBatch::new(BATCH, 1);
    let biases = ENDS.iter().filter_map(|end| Some(LlamaLogitBias::new(LlamaToken(end.parse().ok()?), -100.0)));
    let biases: Vec<_> = biases.collect();
    let mut sampler =
        LlamaSampler::chain_simple([LlamaSampler::logit_bias(vocab.n_tokens(), &biases), LlamaSampler::greedy()]);
    let (begun, before) = (Instant::now(), processor(pid)?);
    for (place, piece) in asked.chunks(BATCH).enumerate() {
        batch.clear();
        for (at, token) in piece.iter().enumerate() {
            let at = place * BATCH + at;
            batch.add(*token, i32::try_from(at)?, &[0], at + 1 == asked.len())?;
        }
        context.decode(&mut batch)?;
    }
    let mut next = sampler.sample(context, batch.n_tokens() - 1);
    let read = Took::since(asked.len(), begun, before, processor(pid)?);
    let (begun, before) = (Instant::now(), processor(pid)?);
    for at in 0..tokens - 1 {
        batch.clear();
        batch.add(next, i32::try_from(asked.len() + at)?, &[0], true)?;
        context.decode(&mut batch)?;
        next = sampler.sample(context, 0);
    }
    Ok(Run { prompt: read, answer: Took::since(tokens - 1, begun, before, processor(pid)?) })
}

struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(model: &Path, threads: i32) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_dew-llama"));
        command
            .arg("--model")
            .arg(model)
            .arg("--socket")
            .arg(directory.path().join("socket"))
            .args(["--name", "bench"]);
        command.args(["--threads", &threads.to_string(), "--context", "2048", "--parallel", "4"]);
        let child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, directory };
        while !server.ask("GET", "/health", "").is_ok_and(|mut answer| {
            let mut line = String::new();
            answer.read_line(&mut line).is_ok() && line.contains(" 200 ")
        }) {
            ensure!(server.child.try_wait()?.is_none(), "dew-llama ended");
            thread::park_timeout(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(self.directory.path().join("socket"))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        Ok(BufReader::new(stream))
    }

    /// A stream of `tokens` tokens.
    fn stream(&self, text: &str, tokens: usize) -> anyhow::Result<BufReader<UnixStream>> {
        let bias: Value =
            ENDS.iter().map(|end| ((*end).to_owned(), json!(-100))).collect::<serde_json::Map<_, _>>().into();
        let body = json!({ "messages": [{ "role": "user", "content": text }], "stream": true, "temperature": 0, "max_tokens": tokens,
            "logit_bias": bias, "stream_options": { "include_usage": true } });
        self.ask("POST", "/v1/chat/completions", &body.to_string())
    }

    fn run(&self, text: &str, tokens: usize) -> anyhow::Result<Run> {
        let pid = self.child.id();
        let (begun, before) = (Instant::now(), processor(pid)?);
        let mut stream = self.stream(text, tokens)?;
        until(&mut stream, "\"content\":\"\"")?;
        let mut read = Took::since(0, begun, before, processor(pid)?);
        let (begun, before) = (Instant::now(), processor(pid)?);
        let rest = until(&mut stream, "\"finish_reason\":\"length\"");
        let answer = Took::since(tokens - 1, begun, before, processor(pid)?);
        rest?;
        let mut last = String::new();
        stream.read_to_string(&mut last)?;
        let usage =
            last.lines().filter_map(|line| line.strip_prefix("data: ")).find(|line| line.contains("prompt_tokens"));
        let usage: Value = serde_json::from_str(usage.context("usage is told")?)?;
        read.tokens = usage["usage"]["prompt_tokens"].as_f64().context("a count")?;
        ensure!(
            usage["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64() < Some(64),
            "a prompt was remembered"
        );
        Ok(Run { prompt: read, answer })
    }

    /// All tokens of as many clients at once, from the first one's first token to the last one's last.
    fn together(&self, clients: usize, round: usize, tokens: usize) -> anyhow::Result<Took> {
        let mut streams = Vec::new();
        for client in 0..clients {
            // Short prompts: it is answers that are looked at.
            streams.push(self.stream(&text(round * 10 + client, 8), tokens)?);
        }
        let pid = self.child.id();
        until(&mut streams[0], "\"content\":\"\"")?;
        let (begun, before) = (Instant::now(), processor(pid)?);
        for stream in &mut streams {
            until(stream, "\"finish_reason\":\"length\"")?;
        }
        Ok(Took::since((tokens - 1) * clients, begun, before, processor(pid)?))
    }
}

/// Reads lines until one has `wanted` in it.
fn until(stream: &mut BufReader<UnixStream>, wanted: &str) -> anyhow::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("the stream ended before {wanted}");
        }
        if line.contains(wanted) {
            return Ok(());
        }
    }
}
