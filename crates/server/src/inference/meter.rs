//! What `/metrics` tells of models: how long until the first token, how fast tokens come, how long requests wait, and how much
//! of everything; by model and by key, and by upstream.
//!
//! A key has counts of its own as long as fewer than [`PAIRS_MOST`] pairs of a model and a key are known since the start; any
//! more are counted together with the key `other`, so that no number of keys makes `/metrics` longer than that.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use dewpoint_api::TokenId;
use dewpoint_inference::Condition;

/// Most pairs of a model and a key that are counted apart.
const PAIRS_MOST: usize = 256;
/// Upper bounds of times, in microseconds.
const TIMES_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];
/// Upper bounds of tokens a second.
const RATES: [u64; 14] = [1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 500, 1000, 5000];

/// How often values lay below which bound.
#[derive(Debug)]
struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; N], beyond: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    fn count(&self, bounds: &[u64; N], value: u64) {
        let place = bounds.partition_point(|bound| *bound < value);
        self.buckets.get(place).unwrap_or(&self.beyond).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn render(&self, text: &mut String, name: &str, labels: &str, bounds: &[u64; N], told: impl Fn(u64) -> String) {
        let mut so_far = 0;
        for (bound, count) in bounds.iter().zip(&self.buckets) {
            so_far += count.load(Relaxed);
            line(text, format_args!("{name}_bucket{{{labels},le=\"{}\"}} {so_far}", told(*bound)));
        }
        so_far += self.beyond.load(Relaxed);
        line(text, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {so_far}"));
        line(text, format_args!("{name}_sum{{{labels}}} {}", told(self.sum.load(Relaxed))));
        line(text, format_args!("{name}_count{{{labels}}} {so_far}"));
    }

    fn is_empty(&self) -> bool {
        self.beyond.load(Relaxed) == 0 && self.buckets.iter().all(|bucket| bucket.load(Relaxed) == 0)
    }
}

/// Counts of one model asked with one key.
#[derive(Debug, Default)]
pub(super) struct Meter {
    first_token: Histogram<16>,
    queued: Histogram<16>,
    rate: Histogram<14>,
    requests: AtomicU64,
    errors: AtomicU64,
    tokens_in: AtomicU64,
    tokens_out: AtomicU64,
}

impl Meter {
    pub(super) fn first_token_after(&self, time: Duration) {
        self.first_token.count(&TIMES_US, micros(time));
    }

    pub(super) fn queued_for(&self, time: Duration) {
        self.queued.count(&TIMES_US, micros(time));
    }

    /// So many tokens came in this time after the first one.
    pub(super) fn came(&self, tokens: u64, time: Duration) {
        if tokens > 0 && !time.is_zero() {
            let rate = u128::from(tokens) * 1_000_000 / time.as_micros().max(1);
            self.rate.count(&RATES, u64::try_from(rate).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn ended(&self, is_error: bool, tokens_in: u64, tokens_out: u64) {
        self.requests.fetch_add(1, Relaxed);
        self.errors.fetch_add(u64::from(is_error), Relaxed);
        self.tokens_in.fetch_add(tokens_in, Relaxed);
        self.tokens_out.fetch_add(tokens_out, Relaxed);
    }
}

/// Counts of one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamMeter {
    label: String,
    asked: AtomicU64,
    failed: AtomicU64,
    tokens_in: AtomicU64,
    tokens_out: AtomicU64,
}

impl UpstreamMeter {
    pub(super) fn new(label: String) -> Self {
        let zero = || AtomicU64::new(0);
        Self { label, asked: zero(), failed: zero(), tokens_in: zero(), tokens_out: zero() }
    }

    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn used(&self, tokens_in: u64, tokens_out: u64) {
        self.tokens_in.fetch_add(tokens_in, Relaxed);
        self.tokens_out.fetch_add(tokens_out, Relaxed);
    }
}

/// Rides in the extensions of an answer: which upstream gave it, and when it was asked.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) by: Arc<UpstreamMeter>,
    pub(super) asked_at: Instant,
    /// How long the request waited there for its turn.
    pub(super) queued: Duration,
}

type Pairs = HashMap<(Arc<str>, Option<TokenId>), Arc<Meter>>;

/// All counts.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pairs: RwLock<Pairs>,
    /// Held while a pair is added.
    adding: Mutex<()>,
}

impl Meters {
    /// The counts of this model asked with this key.
    pub(super) fn of(&self, model: &Arc<str>, key: TokenId) -> Arc<Meter> {
        let known = |pair: &(Arc<str>, Option<TokenId>)| {
            self.pairs.read().unwrap_or_else(PoisonError::into_inner).get(pair).cloned()
        };
        let pair = (Arc::clone(model), Some(key));
        if let Some(meter) = known(&pair) {
            return meter;
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.pairs.read().unwrap_or_else(PoisonError::into_inner).len();
        let pair = match count {
            _ if known(&pair).is_some() => pair,
            ..PAIRS_MOST => pair,
            // Models that come and go must not make it longer either.
            PAIRS_MOST.. if count < 2 * PAIRS_MOST => (Arc::clone(model), None),
            PAIRS_MOST.. => (Arc::from("other"), None),
        };
        let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pairs.entry(pair).or_default())
    }

    /// As Prometheus reads it.
    pub(super) fn render(&self, text: &mut String) {
        let pairs = self.pairs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut pairs: Vec<(String, Arc<Meter>)> = pairs
            .into_iter()
            .map(|((model, key), meter)| {
                let key = key.map_or_else(|| "other".to_owned(), |key| key.to_string());
                (format!("model=\"{}\",key=\"{key}\"", escaped(&model)), meter)
            })
            .collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        if pairs.is_empty() {
            return;
        }
        type Read = fn(&Meter) -> &AtomicU64;
        let counters: [(&str, &str, Read); 4] = [
            ("dewpoint_chat_requests_total", "Requests for a model.", |meter| &meter.requests),
            ("dewpoint_chat_errors_total", "Those that ended in an error, also in mid-stream.", |meter| &meter.errors),
            ("dewpoint_chat_tokens_in_total", "Tokens of requests.", |meter| &meter.tokens_in),
            ("dewpoint_chat_tokens_out_total", "Tokens of answers.", |meter| &meter.tokens_out),
        ];
        for (name, help, read) in counters {
            head(text, name, help, "counter");
            for (labels, meter) in &pairs {
                line(text, format_args!("{name}{{{labels}}} {}", read(meter).load(Relaxed)));
            }
        }
        type Times = fn(&Meter) -> &Histogram<16>;
        let times: [(&str, &str, Times); 2] = [
            ("dewpoint_chat_first_token_seconds", "From the request to the first token of a stream.", |meter| {
                &meter.first_token
            }),
            ("dewpoint_chat_queue_seconds", "How long requests waited until a model began with them.", |meter| {
                &meter.queued
            }),
        ];
        for (name, help, read) in times {
            head(text, name, help, "histogram");
            for (labels, meter) in pairs.iter().filter(|(_, meter)| !read(meter).is_empty()) {
                read(meter).render(text, name, labels, &TIMES_US, seconds);
            }
        }
        let name = "dewpoint_chat_tokens_per_second";
        head(text, name, "How fast the tokens of a stream came after the first one.", "histogram");
        for (labels, meter) in pairs.iter().filter(|(_, meter)| !meter.rate.is_empty()) {
            meter.rate.render(text, name, labels, &RATES, |rate| rate.to_string());
        }
    }
}

/// The counts of upstreams, by their models.
pub(super) fn render_upstreams(text: &mut String, all: &[(String, Arc<UpstreamMeter>, Condition)]) {
    if all.is_empty() {
        return;
    }
    type Read = fn(&UpstreamMeter, Condition) -> u64;
    let lines: [(&str, &str, &str, Read); 6] = [
        ("dewpoint_upstream_requests_total", "Requests given to an upstream.", "counter", |meter, _| {
            meter.asked.load(Relaxed)
        }),
        ("dewpoint_upstream_errors_total", "Those that it failed.", "counter", |meter, _| meter.failed.load(Relaxed)),
        ("dewpoint_upstream_tokens_in_total", "Tokens of requests it answered.", "counter", |meter, _| {
            meter.tokens_in.load(Relaxed)
        }),
        ("dewpoint_upstream_tokens_out_total", "Tokens of its answers.", "counter", |meter, _| {
            meter.tokens_out.load(Relaxed)
        }),
        ("dewpoint_upstream_up", "1 when requests go to it as usual.", "gauge", |_, is| u64::from(is.is_well)),
        ("dewpoint_upstream_busy", "Requests that it has.", "gauge", |_, is| u64::from(is.busy)),
    ];
    for (name, help, kind, read) in lines {
        head(text, name, help, kind);
        for (model, meter, condition) in all {
            let labels =
                format_args!("model=\"{}\",upstream=\"{}\"", escaped(model), escaped(&meter.label)).to_string();
            line(text, format_args!("{name}{{{labels}}} {}", read(meter, *condition)));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what}");
}

/// A label's value as Prometheus wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> TokenId {
        TokenId(Uuid::from_u128(number))
    }

    #[test]
    fn counts_are_told_by_model_and_key() {
        let meters = Meters::default();
        let meter = meters.of(&Arc::from("a \"model\""), key(1));
        meter.first_token_after(Duration::from_micros(1_500));
        meter.queued_for(Duration::ZERO);
        meter.came(50, Duration::from_secs(1));
        meter.ended(true, 3, 51);
        let mut text = String::new();
        meters.render(&mut text);
        let labels = format!("model=\"a \\\"model\\\"\",key=\"{}\"", key(1));
        for expected in [
            format!("dewpoint_chat_requests_total{{{labels}}} 1"),
            format!("dewpoint_chat_errors_total{{{labels}}} 1"),
            format!("dewpoint_chat_tokens_out_total{{{labels}}} 51"),
            format!("dewpoint_chat_first_token_seconds_bucket{{{labels},le=\"0.001000\"}} 0"),
            format!("dewpoint_chat_first_token_seconds_bucket{{{labels},le=\"0.002500\"}} 1"),
            format!("dewpoint_chat_first_token_seconds_sum{{{labels}}} 0.001500"),
            format!("dewpoint_chat_tokens_per_second_bucket{{{labels},le=\"50\"}} 1"),
            format!("dewpoint_chat_queue_seconds_count{{{labels}}} 1"),
        ] {
            assert!(text.lines().any(|line| line == expected), "no line {expected:?} in\n{text}");
        }
    }

    #[test]
    fn no_number_of_keys_or_models_makes_it_longer_than_its_bound() {
        let meters = Meters::default();
        let model: Arc<str> = Arc::from("a");
        for number in 0..1000 {
            meters.of(&model, key(number)).ended(false, 1, 1);
        }
        let pairs = meters.pairs.read().expect("no panic").len();
        assert_eq!(pairs, PAIRS_MOST + 1, "and one for all others");
        let others = meters.of(&model, key(5000));
        assert_eq!(others.requests.load(Relaxed), 1000 - PAIRS_MOST as u64);
        for number in 0..1000 {
            meters.of(&Arc::from(format!("model-{number}")), key(1)).ended(false, 1, 1);
        }
        let pairs = meters.pairs.read().expect("no panic").len();
        assert_eq!(pairs, 2 * PAIRS_MOST + 1);
    }
}
