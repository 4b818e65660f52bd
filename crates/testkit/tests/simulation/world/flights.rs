//! Requests under way: sent, answered, lost, and sent again.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use super::World;
use crate::{
    clients::{Aim, Mark},
    promises::{Broken, describe, promise},
};

/// What a client got: the status, and the body if it was read.
pub(super) type Got = (u16, Option<String>);

/// A request under way.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) number: u64,
    pub(super) wish: usize,
    pub(super) task: JoinHandle<()>,
    /// What of its answer is seen.
    pub(super) fate: Reply,
    /// What it looks for was told to be gone before it was sent.
    pub(super) gone_before: bool,
    /// How many faults of the store there had been when it was sent.
    pub(super) store_faults: u64,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Seen,
    /// The client is gone when it comes, and the server notices.
    Unread,
    /// It is lost behind the server, which takes it for delivered.
    Lost,
}

impl World {
    pub(super) fn send(&mut self) {
        let now = self.app.now();
        let again = !self.clients.again.is_empty() && self.dice.one_in(2);
        let wish = if again {
            let index = self.dice.below(self.clients.again.len());
            self.tally.retries += 1;
            self.clients.again.remove(index)
        } else {
            self.to_send -= 1;
            self.clients.wish(&mut self.dice, now)
        };
        let fate = match self.dice.permille(self.luck.lose_reply) {
            true => *self.dice.pick(&[Reply::Unread, Reply::Lost]),
            false => Reply::Seen,
        };
        self.fly(wish, fate);
    }

    fn fly(&mut self, number_of_wish: usize, fate: Reply) {
        let wish = &mut self.clients.wishes[number_of_wish];
        let mut request = Request::builder()
            .method(wish.method)
            .uri(&wish.path)
            .header(header::HOST, "dew.test")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.tokens[wish.who]));
        match &wish.mark {
            Mark::Key(key) => request = request.header("idempotency-key", key),
            Mark::Counts => request = request.header("x-stainless-retry-count", wish.sends.to_string()),
            Mark::Nothing => {}
        }
        wish.sends += 1;
        let body = if wish.body.is_null() { Body::empty() } else { Body::from(wish.body.to_string()) };
        let request = request.body(body).expect("a request");
        self.tally.requests += 1;
        let number = self.tally.requests;
        self.trace.line(format!("#{number} {} as {}, to be {fate:?}", describe(wish), wish.who));
        let (edge, mailbox) = (self.app.edge().clone(), Arc::clone(&self.mailbox));
        let task = tokio::spawn(async move {
            let response = edge.oneshot(request).await.expect("it never fails");
            let status = response.status().as_u16();
            let text = match fate {
                Reply::Unread => None,
                Reply::Seen | Reply::Lost => {
                    let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
                    Some(String::from_utf8(bytes.to_vec()).expect("answers are UTF-8"))
                }
            };
            mailbox.lock().expect("nobody panics with the mailbox").push((number, (status, text)));
        });
        let store_faults = self.store_faults;
        let gone_before = match &self.clients.wishes[number_of_wish].aim {
            Aim::Look(kind, id) => {
                self.clients.things.iter().any(|thing| thing.kind == *kind && thing.id == *id && thing.gone)
            }
            _ => false,
        };
        self.flying.push(Flying { number, wish: number_of_wish, task, fate, gone_before, store_faults });
    }

    pub(super) fn answered(&mut self, number: u64, (status, text): Got) -> Result<(), Broken> {
        // Who has left is not told.
        let Some(index) = self.flying.iter().position(|flying| flying.number == number) else { return Ok(()) };
        let flying = self.flying.remove(index);
        *self.tally.answers.entry(status).or_default() += 1;
        self.trace.line(format!("#{number} {:?}: {status} {}", flying.fate, text.as_deref().unwrap_or_default()));
        let wish = flying.wish;
        let excused = self.store_faults > flying.store_faults;
        let what = describe(&self.clients.wishes[wish]);
        promise!(status < 500 || excused, "{status} without a fault of the store: {what}");
        promise!(
            [200, 201, 202, 204, 404, 409, 422].contains(&status) || status >= 500,
            "{status} is no answer to {what}"
        );
        if flying.fate != Reply::Seen {
            self.was_not_seen(wish, flying.fate == Reply::Unread);
            return Ok(());
        }
        if status >= 500 {
            self.send_again(wish);
        }
        let body = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
        promise!(status != 200 || !flying.gone_before, "what was told to be gone is there again: {what}");
        self.look_is_right(wish, status)?;
        self.clients.learn(wish, status, &body).map_err(Broken)
    }

    /// What was promised is there when it is looked for, and what was told to be gone is not.
    fn look_is_right(&mut self, wish: usize, status: u16) -> Result<(), Broken> {
        let Aim::Look(kind, id) = self.clients.wishes[wish].aim.clone() else { return Ok(()) };
        let Some(thing) = self.clients.thing(kind, &id).cloned() else { return Ok(()) };
        // The answer may be older than what was told meanwhile: the end looks at all of them again.
        promise!(
            status != 404 || thing.doomed || self.luck.engine_errors > 0,
            "{thing:?} is not found, and nobody has removed it"
        );
        Ok(())
    }

    pub(super) fn was_not_seen(&mut self, wish: usize, known: bool) {
        self.tally.replies_not_seen += 1;
        self.clients.wishes[wish].losses_known &= known;
        self.send_again(wish);
    }

    /// Most of what may not have been heard is sent again.
    fn send_again(&mut self, wish: usize) {
        let is_post = self.clients.wishes[wish].method == "POST";
        if is_post && self.clients.wishes[wish].sends < 5 && !self.dice.one_in(5) {
            self.clients.again.push(wish);
        }
    }

    /// Sends one of the wishes once more and waits for its answer.
    pub(crate) async fn ask_again(&mut self, wish: usize) -> Result<(), Broken> {
        self.fly(wish, Reply::Seen);
        self.settle().await
    }
}
