//! The name server: the domains and records in the store, told to whoever asks by the DNS protocol (RFC 1034, 1035).
//!
//! A packet is read and judged by `message.rs`, answered from one snapshot of the store by `lookup.rs` (domains) or
//! `reverse.rs` (names of the pools' addresses), and goes back within the size the asker can take. Nothing is kept between two
//! questions: what the API has changed is told at once. Every look at the store finds its rows by an index.
//!
//! The messages themselves are hickory's. Sockets are our own (`listen.rs`), since hickory's server takes as many connections
//! and keeps as many packets at work as anybody sends.

mod budget;
mod listen;
mod lookup;
mod message;
mod rdata;
mod reverse;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dewpoint_control::Control;
use dewpoint_store::{Error as StoreError, Tx};

pub use listen::{CannotListen, Limits, Listening, listen};

use crate::message::{Question, Read, Reply};

/// By which way a question came, which says how much an answer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A packet each way: at most what the asker takes, and no more than 1232 bytes.
    Udp,
    /// A connection: up to 65,535 bytes.
    Tcp,
}

/// What answers questions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Names {
    control: Control,
    /// Whether the last question met a store that failed: told once.
    failing: Arc<AtomicBool>,
}

impl Names {
    /// Answers from what `control` knows.
    pub fn new(control: Control) -> Self {
        Self { control, failing: Arc::default() }
    }

    /// The answer to a packet, whole; `None` for what is no question at all.
    pub async fn answer(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let reply = match unbroken(|| message::read(packet))? {
            Read::Nothing => return None,
            Read::Refused(reply) => reply,
            Read::Asked(question) => self.look_up(question).await,
        };
        unbroken(|| reply.encode(transport))
    }

    /// The answer to somebody who asks too much: to ask again over TCP. As long as the question.
    pub fn put_off(packet: &[u8]) -> Option<Vec<u8>> {
        unbroken(|| match message::read(packet) {
            Read::Nothing => None,
            Read::Refused(reply) => Some(reply.encode(Transport::Udp)),
            Read::Asked(question) => Some(question.put_off().encode(Transport::Udp)),
        })?
    }

    async fn look_up(&self, question: Question) -> Reply {
        let (control, asked) = (self.control.clone(), question.clone());
        let found = self.control.store().read(move |tx: &mut dyn Tx| match reverse::answer(tx, &control, &asked)? {
            Some(told) => Ok(Some(told)),
            None => lookup::answer(tx, primary(&control), &asked),
        });
        match found.await {
            Ok(Some(told)) => {
                self.failing.store(false, Ordering::Relaxed);
                question.told(told)
            }
            Ok(None) => question.refused(),
            Err(error) => {
                self.failed(&error);
                question.failed()
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "Questions for names cannot be answered: {error}");
        }
    }
}

/// What `work` comes to; nothing when it panics, so that a packet that brings a fault to light is one packet without an answer and
/// not the end of who reads them.
fn unbroken<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// The name server that zones name as their first.
fn primary(control: &Control) -> &str {
    control.config().nameservers.first().map_or("localhost", String::as_str)
}
