//! Conversations computed together: one thread, one llama.cpp context, a sequence in it for each place.
//!
//! Every turn of the loop takes in what was asked, gives free places to what waits, decodes one batch (the last token of each
//! conversation that speaks, and a share of the prompts that are still read), and lets each answer hear its token. So answers
//! join and leave at every token, and one that nobody listens to any more is gone before the next.
//!
//! ```text
//! waiting ──place──> reading its prompt ──last token of it──> speaking, a token a step ──end, stop, limit, gone──> place free
//! ```
//! A place keeps what was computed in it, for the next conversation that begins the same ([`slots`](crate::slots)).

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, TryRecvError},
    },
};

use anyhow::Context as _;
use dewpoint_inference::{Completion, Sampling, Step, Token, sse};
use llama_cpp_2::{
    context::{LlamaContext, params::LlamaContextParams},
    llama_batch::LlamaBatch,
    token::LlamaToken,
};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    load::{BATCH, Loaded},
    sampler::{Chosen, Sampler},
    slots,
    stats::{Stats, Wait, add},
};

/// How many tokens of prompts are read in a step while others speak, who wait for it.
const BUSY_SHARE: usize = 64;
/// From how many tokens on a prompt is read once for all choices of an answer.
const READ_ONCE: usize = 32;

/// What the engine is told.
#[derive(Debug)]
pub enum Order {
    /// To answer.
    Answer(Box<Job>),
    /// To end, with what is not answered yet told so.
    Stop,
}

/// An answer that was asked for.
#[derive(Debug)]
pub struct Job {
    /// What hears the tokens.
    pub completion: Completion,
    /// What is asked, in tokens; at least one, and fewer than the model holds.
    pub prompt: Vec<LlamaToken>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What they have to follow.
    pub grammar: Option<String>,
    /// What chance follows from when the request has no seed.
    pub seed: u64,
    /// Whether likelihoods are told.
    pub tells_likelihoods: bool,
    /// Whether tokens that are no text, such as marks of calls, are heard as their names.
    pub hears_marks: bool,
    /// Whether chunks are wanted, or one answer.
    pub streams: bool,
    /// How long it has to wait.
    pub wait: Arc<Wait>,
    /// Who hears of it. Gone, it is dropped.
    pub reply: UnboundedSender<Event>,
}

/// What becomes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// More of a stream, in whole events.
    Events(String),
    /// All of an answer, as JSON.
    Answer(String),
    /// The request cannot be followed by this model.
    Refused(String),
    /// It broke; nothing more comes.
    Failed(String),
}

/// Why an answer ends before its end.
enum Trouble {
    Refused(String),
    Failed(String),
}

struct Running {
    job: Box<Job>,
    /// The next choice that has no place yet.
    next: usize,
}

struct Slot {
    /// What llama.cpp remembers in this sequence.
    tokens: Vec<LlamaToken>,
    used: u64,
    task: Option<Task>,
}

/// One choice in its place.
struct Task {
    job: u64,
    choice: usize,
    sampler: Sampler,
    /// What was chosen and not computed yet; `None` while the prompt is read.
    next: Option<LlamaToken>,
    /// Where in the batch the token is that the next one follows from.
    row: Option<i32>,
    /// How many tokens of it are in the batch.
    sent: usize,
}

/// The loop and all it needs.
pub struct Engine<'model> {
    loaded: &'model Loaded,
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    slots: Vec<Slot>,
    jobs: BTreeMap<u64, Running>,
    /// Answers with choices that have no place.
    waiting: VecDeque<u64>,
    stats: &'model Stats,
    /// Jobs so far, and places given so far.
    numbered: u64,
    given: u64,
    /// Tests say which conversations, by their tokens so far, no step can have in it.
    #[cfg(test)]
    spoils: Option<fn(&[LlamaToken]) -> bool>,
}

impl<'model> Engine<'model> {
    /// With nothing to do yet. Fails when llama.cpp cannot have the memory.
    pub fn new(loaded: &'model Loaded, stats: &'model Stats) -> anyhow::Result<Self> {
        let threads = i32::try_from(loaded.threads).unwrap_or(1);
        let each = loaded.context.next_multiple_of(256);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(each.saturating_mul(loaded.parallel)))
            .with_n_batch(BATCH)
            .with_n_ubatch(BATCH)
            .with_n_seq_max(loaded.parallel)
            // Each place has its own share of the memory: what others remember costs nobody time.
            .with_kv_unified(false)
            .with_no_perf(true)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let context = loaded.model.new_context(&loaded.backend, params);
        let context = context.context("llama.cpp cannot have the memory for its conversations")?;
        let slot = |_| Slot { tokens: Vec::new(), used: 0, task: None };
        Ok(Self {
            loaded,
            context,
            batch: LlamaBatch::new(BATCH as usize, 1),
            slots: (0..loaded.parallel).map(slot).collect(),
            jobs: BTreeMap::new(),
            waiting: VecDeque::new(),
            stats,
            numbered: 0,
            given: 0,
            #[cfg(test)]
            spoils: None,
        })
    }

    /// Works until it is told to stop, or nobody is left who could ask.
    pub fn run(mut self, orders: &Receiver<Order>) {
        loop {
            if !self.take_in(orders) {
                let all: Vec<u64> = self.jobs.keys().copied().collect();
                for job in all {
                    self.fail(job, Trouble::Failed("the model is being stopped".to_owned()));
                }
                return;
            }
            self.forget_the_gone();
            self.give_places();
            self.count();
            self.step();
        }
    }

    /// Takes what was asked since the last turn; waits when there is nothing to do. `false`: to stop.
    fn take_in(&mut self, orders: &Receiver<Order>) -> bool {
        loop {
            let order = if self.jobs.is_empty() {
                self.count();
                orders.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                orders.try_recv()
            };
            match order {
                Ok(Order::Answer(job)) => {
                    self.numbered += 1;
                    add(&self.stats.requests, 1);
                    self.jobs.insert(self.numbered, Running { job, next: 0 });
                    self.waiting.push_back(self.numbered);
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn forget_the_gone(&mut self) {
        let gone = self.jobs.iter().filter(|(_, running)| running.job.reply.is_closed()).map(|(number, _)| *number);
        for number in gone.collect::<Vec<_>>() {
            add(&self.stats.gone, 1);
            self.drop_job(number);
        }
    }

    fn drop_job(&mut self, number: u64) -> Option<Running> {
        self.waiting.retain(|waiting| *waiting != number);
        for slot in &mut self.slots {
            slot.task.take_if(|task| task.job == number);
        }
        self.jobs.remove(&number)
    }

    fn fail(&mut self, number: u64, trouble: Trouble) {
        add(&self.stats.failed, 1);
        if let Some(running) = self.drop_job(number) {
            let event = match trouble {
                Trouble::Refused(message) => Event::Refused(message),
                Trouble::Failed(message) => {
                    eprintln!("dew-llama: an answer broke off: {message}");
                    Event::Failed(message)
                }
            };
            // Whoever is gone needs no telling.
            let _ = running.job.reply.send(event);
        }
    }

    fn count(&self) {
        let running = self.slots.iter().filter(|slot| slot.task.is_some()).count();
        let left =
            |number: &u64| self.jobs.get(number).map_or(0, |running| running.job.completion.choices() - running.next);
        self.stats.running.store(running as u64, Relaxed);
        self.stats.queued.store(self.waiting.iter().map(left).sum::<usize>() as u64, Relaxed);
    }

    /// Gives free places to choices that wait: one of each answer in turn, the longest waiting first.
    fn give_places(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(number) = self.waiting.pop_front() else { return };
            if self.is_read_by_another(number) {
                self.waiting.push_back(number);
                continue;
            }
            let Some(running) = self.jobs.get(&number) else { continue };
            let memories: Vec<slots::Memory<'_>> = self
                .slots
                .iter()
                .map(|slot| slots::Memory { tokens: &slot.tokens, taken: slot.task.is_some(), used: slot.used })
                .collect();
            let Some(place) = slots::choose(&memories, &running.job.prompt) else {
                self.waiting.push_front(number);
                return;
            };
            match self.settle(number, place) {
                Ok(true) => self.waiting.push_back(number),
                Ok(false) => {}
                Err(trouble) => self.fail(number, trouble),
            }
        }
    }

    /// Whether the prompt of an answer is being read for another of its choices, who shares it when it is done.
    fn is_read_by_another(&self, number: u64) -> bool {
        let Some(running) = self.jobs.get(&number) else { return false };
        let length = running.job.prompt.len();
        let reads = |slot: &Slot| {
            slot.task.as_ref().is_some_and(|task| task.job == number && task.next.is_none())
                && slot.tokens.len() + 1 < length
        };
        length >= READ_ONCE && self.slots.iter().any(reads)
    }

    /// Puts the next choice of an answer into a place; whether the answer has more of them.
    fn settle(&mut self, number: u64, place: slots::Place) -> Result<bool, Trouble> {
        let Some(running) = self.jobs.get_mut(&number) else { return Ok(false) };
        let job = &mut running.job;
        let choice = running.next;
        running.next += 1;
        let sampler = Sampler::new(
            &self.loaded.model,
            job.sampling.clone(),
            choice,
            job.seed,
            job.grammar.as_deref(),
            job.tells_likelihoods,
        );
        let sampler = sampler.map_err(|error| Trouble::Refused(error.to_string()))?;
        let known = remember(&mut self.context, &mut self.slots, place);
        if choice == 0 {
            job.wait.is_over();
            job.completion.remembered(known as u64);
        }
        add(&self.stats.cached_tokens, known);
        self.given += 1;
        let slot = &mut self.slots[place.slot];
        slot.used = self.given;
        slot.task = Some(Task { job: number, choice, sampler, next: None, row: None, sent: 0 });
        Ok(running.next < job.completion.choices())
    }

    /// Computes one batch, and lets the answers hear what follows.
    fn step(&mut self) {
        self.fill();
        if self.batch.n_tokens() == 0 {
            return;
        }
        add(&self.stats.steps, 1);
        match self.decode() {
            Ok(()) => {
                if self.slots.iter().filter(|slot| slot.task.as_ref().is_some_and(|task| task.row.is_some())).count()
                    > 1
                {
                    add(&self.stats.shared_steps, 1);
                }
                for slot in 0..self.slots.len() {
                    self.note(slot);
                    self.hear(slot);
                }
            }
            Err(error) => self.one_by_one(&error),
        }
    }

    /// Has llama.cpp compute the batch.
    fn decode(&mut self) -> Result<(), String> {
        let decoded = self.context.decode(&mut self.batch).map_err(|error| error.to_string());
        #[cfg(test)]
        if let Some(spoils) = self.spoils {
            let sent = |slot: &&Slot| slot.task.as_ref().is_some_and(|task| task.sent > 0);
            if self.slots.iter().filter(sent).any(|slot| spoils(&slot.tokens)) {
                // Computed all the same: what a failed step leaves behind has to be taken back.
                return Err("spoilt".to_owned());
            }
        }
        decoded
    }

    /// Puts into the batch what is to be computed: a token of each who speaks, and prompts in equal shares.
    fn fill(&mut self) {
        self.batch.clear();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let Some(task) = &mut slot.task else { continue };
            (task.row, task.sent) = (None, 0);
            if let Some(token) = task.next {
                put(&mut self.batch, task, token, slot.tokens.len(), number, true);
            }
        }
        let reading =
            self.slots.iter().filter(|slot| slot.task.as_ref().is_some_and(|task| task.next.is_none())).count();
        let speaking = usize::try_from(self.batch.n_tokens()).unwrap_or(0);
        let room = if speaking == 0 { BATCH as usize } else { BUSY_SHARE.max(reading) };
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let Some(task) = slot.task.as_mut().filter(|task| task.next.is_none()) else { continue };
            let Some(running) = self.jobs.get(&task.job) else { continue };
            let prompt = &running.job.prompt;
            let until = prompt.len().min(slot.tokens.len() + (room / reading).max(1));
            for (at, token) in prompt.iter().enumerate().take(until).skip(slot.tokens.len()) {
                put(&mut self.batch, task, *token, at, number, at + 1 == prompt.len());
            }
        }
    }

    /// Notes that what a place had in the batch is computed.
    fn note(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        let Some(task) = &mut slot.task else { return };
        match task.next.take_if(|_| task.sent > 0) {
            Some(token) => slot.tokens.push(token),
            None => {
                let Some(running) = self.jobs.get(&task.job) else { return };
                let known = slot.tokens.len();
                slot.tokens.extend_from_slice(&running.job.prompt[known..known + task.sent]);
                add(&self.stats.prompt_tokens, task.sent);
            }
        }
    }

    /// Chooses the next token of a place and tells it to its answer.
    fn hear(&mut self, number: usize) {
        let Some(task) = &mut self.slots[number].task else { return };
        let Some(row) = task.row else { return };
        let (job, choice) = (task.job, task.choice);
        let Some(running) = self.jobs.get_mut(&job) else { return };
        let (context, loaded) = (&self.context, self.loaded);
        // Marks of conversations are no text. Some models write calls with marks of their own.
        let free = running.job.hears_marks && running.job.grammar.is_none();
        let banned = if free { &[] } else { loaded.marks.as_slice() };
        let heard = catch_unwind(AssertUnwindSafe(|| {
            let chosen = task.sampler.choose(context.get_logits_ith(row), banned).map_err(|error| error.to_string())?;
            let vocab = loaded.model.vocab();
            let next = (!vocab.is_eog(chosen.token)).then_some(chosen.token);
            let token = next.map(|_| told(loaded, &chosen, running.job.hears_marks));
            let step = running.job.completion.hear(choice, token);
            running.say(step);
            Ok::<_, String>(next)
        }));
        let over = running.job.completion.is_over(choice);
        match heard {
            Ok(Ok(next)) => {
                add(&self.stats.tokens_made, usize::from(next.is_some()));
                task.next = next;
                if over {
                    self.slots[number].task = None;
                }
                if running.job.completion.turn().is_none()
                    && let Some(running) = self.drop_job(job)
                {
                    running.finish();
                }
            }
            Ok(Err(message)) => self.fail(job, Trouble::Failed(message)),
            Err(_) => self.fail(job, Trouble::Failed("the answer could not be put together".to_owned())),
        }
    }

    /// Computes each place by itself after a batch that could not be, so that only the one ends that cannot.
    fn one_by_one(&mut self, all: &str) {
        eprintln!("dew-llama: a step failed ({all}); its conversations are tried one by one");
        for number in 0..self.slots.len() {
            let Some(task) = self.slots[number].task.as_ref() else { continue };
            let job = task.job;
            // What of the failed batch may be there is taken back.
            let known = self.slots[number].tokens.len();
            let mut result = keep(&mut self.context, number, known).then_some(()).ok_or_else(|| all.to_owned());
            if result.is_ok() {
                let rest = self.slots.iter_mut().enumerate().filter(|(other, _)| *other != number);
                let aside: Vec<(usize, Option<Task>)> = rest.map(|(other, slot)| (other, slot.task.take())).collect();
                self.fill();
                result = self.decode();
                if result.is_ok() {
                    self.note(number);
                    self.hear(number);
                }
                for (other, task) in aside {
                    self.slots[other].task = task;
                }
            }
            if let Err(message) = result {
                self.slots[number].tokens.clear();
                keep(&mut self.context, number, 0);
                self.fail(job, Trouble::Failed(format!("llama.cpp could not compute it: {message}")));
            }
        }
        // Answers may have ended meanwhile whose other choices were set aside.
        let jobs = &self.jobs;
        for slot in &mut self.slots {
            slot.task.take_if(|task| !jobs.contains_key(&task.job));
        }
    }
}

impl Running {
    fn say(&mut self, step: Step) {
        if !self.job.streams {
            return self.job.completion.gather(step);
        }
        let events: String = self.job.completion.chunks(step).iter().map(|chunk| sse::event(chunk)).collect();
        if !events.is_empty() {
            let _ = self.job.reply.send(Event::Events(events));
        }
    }

    fn finish(self) {
        let Job { completion, reply, streams, .. } = *self.job;
        let last = if streams {
            let usage = completion.last_chunk().map(|chunk| sse::event(&chunk)).unwrap_or_default();
            Event::Events(usage + sse::DONE)
        } else {
            Event::Answer(completion.answer())
        };
        let _ = reply.send(last);
    }
}

fn put(batch: &mut LlamaBatch<'_>, task: &mut Task, token: LlamaToken, at: usize, slot: usize, last: bool) {
    let (at, slot) = (i32::try_from(at).unwrap_or(i32::MAX), i32::try_from(slot).unwrap_or(0));
    // What does not fit any more waits for the next step.
    if batch.add(token, at, &[slot], last).is_ok() {
        task.sent += 1;
        if last {
            task.row = Some(batch.n_tokens() - 1);
        }
    }
}

/// Brings a place to what it is to begin with; how many tokens of the prompt are known there.
fn remember(context: &mut LlamaContext<'_>, slots: &mut [Slot], place: slots::Place) -> usize {
    let mut known = place.known;
    if let Some(source) = place.copy {
        let ids = (i32::try_from(source).unwrap_or(0), i32::try_from(place.slot).unwrap_or(0));
        keep(context, place.slot, 0);
        let tokens = slots[source].tokens.clone();
        slots[place.slot].tokens =
            if context.kv_cache_seq_cp(ids.0, ids.1, None, None).is_ok() { tokens } else { Vec::new() };
        known = known.min(slots[place.slot].tokens.len());
    }
    if !keep(context, place.slot, known) {
        // Some models remember a conversation as a whole or not at all.
        keep(context, place.slot, 0);
        known = 0;
    }
    slots[place.slot].tokens.truncate(known);
    known
}

/// Makes llama.cpp forget all but the first `known` tokens of a sequence; whether it could.
fn keep(context: &mut LlamaContext<'_>, slot: usize, known: usize) -> bool {
    let (slot, from) = (u32::try_from(slot).unwrap_or(0), u32::try_from(known).unwrap_or(0));
    context.clear_kv_cache_seq(Some(slot), Some(from), None).unwrap_or(false)
}

/// A token as answers hear it.
fn told(loaded: &Loaded, chosen: &Chosen, marks: bool) -> Token {
    let vocab = loaded.model.vocab();
    let bytes = |token| vocab.token_to_piece(token, marks, None);
    let top = chosen.top.iter().map(|(token, logprob)| (vocab.token_to_piece(*token, true, None), *logprob));
    Token { bytes: bytes(chosen.token), logprob: chosen.logprob, top: top.collect() }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use dewpoint_inference::{Asked, Named, Prompt};
    use serde_json::{Value, json};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::{asking, testing::tiny};

    /// A greedy answer of twelve tokens to this text, and where it is told.
    fn job(text: &str) -> (Order, UnboundedReceiver<Event>) {
        // Without the tokens that end an answer.
        let body = json!({ "messages": [{ "role": "user", "content": text }], "max_tokens": 12, "temperature": 0,
                           "logit_bias": { "2": -100, "260": -100 } });
        let asked: Asked = serde_json::from_value(body).expect("a request");
        let put = asking::put(tiny(), &asked).expect("a prompt");
        let prompt = Prompt { tokens: put.prompt.len() as u64, context: u64::from(tiny().context) };
        let named = Named { id: "chatcmpl-1".to_owned(), created: 0 };
        let (reply, events) = unbounded_channel();
        let job = Job {
            completion: Completion::new(&asked, named, prompt, put.form).expect("it fits"),
            prompt: put.prompt,
            sampling: asked.sampling(),
            grammar: None,
            seed: 1,
            tells_likelihoods: false,
            hears_marks: false,
            streams: false,
            wait: Arc::new(Wait::begin()),
            reply,
        };
        (Order::Answer(Box::new(job)), events)
    }

    fn content(event: Option<Event>) -> Result<String, String> {
        match event {
            Some(Event::Answer(text)) => {
                let answer: Value = serde_json::from_str(&text).expect("JSON");
                Ok(answer["choices"][0]["message"]["content"].as_str().expect("a text").to_owned())
            }
            Some(Event::Failed(why)) => Err(why),
            other => panic!("no answer: {other:?}"),
        }
    }

    /// What all of them are answered, asked at once; then the first one once more.
    fn answers(texts: &[&str], spoils: Option<fn(&[LlamaToken]) -> bool>) -> (Vec<Result<String, String>>, Stats) {
        let stats = Stats::default();
        let (orders, taken) = mpsc::channel();
        let ask = |text: &&str| {
            let (order, events) = job(text);
            orders.send(order).expect("there is an engine, or will be");
            events
        };
        // Before the engine runs, so that its first step has all of them.
        let mut events: Vec<_> = texts.iter().map(ask).collect();
        let told = thread::scope(|threads| {
            let stats = &stats;
            threads.spawn(move || {
                let mut engine = Engine::new(tiny(), stats).expect("an engine");
                engine.spoils = spoils;
                engine.run(&taken);
            });
            let mut told: Vec<_> = events.iter_mut().map(|events| content(events.blocking_recv())).collect();
            told.push(content(ask(&texts[0]).blocking_recv()));
            orders.send(Order::Stop).expect("it runs");
            told
        });
        (told, stats)
    }

    #[test]
    fn of_three_conversations_the_one_that_cannot_be_computed_fails_and_the_others_do_not_notice() {
        /// The one that says `~`, once it has said some tokens.
        fn spoils(tokens: &[LlamaToken]) -> bool {
            let vocab = tiny().model.vocab();
            let begins = |token: &LlamaToken| vocab.token_to_piece(*token, false, None) == b"~";
            tokens.iter().position(begins).is_some_and(|at| tokens.len() > at + 20)
        }
        let texts = ["tell me of rain", "~ I break", "and of the wind"];
        let alone = |text: &str| answers(&[text], None).0.remove(0).expect("an answer");
        let (told, stats) = answers(&texts, Some(spoils));
        assert_eq!(told[0].as_ref(), Ok(&alone(texts[0])));
        assert_eq!(told[2].as_ref(), Ok(&alone(texts[2])));
        assert_eq!(told[3], told[0], "the places can be used again");
        let why = told[1].as_ref().expect_err("it fails");
        assert!(why.contains("could not compute it: spoilt"), "{why}");
        assert_eq!(stats.failed.load(Relaxed), 1);
        assert!(stats.shared_steps.load(Relaxed) > 0, "they were computed together");
        assert!(alone(texts[1]).chars().count() > 1, "and alone it can be computed");
    }
}
