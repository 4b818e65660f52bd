//! One stream: a task that reads the feed and hands chunks to the connection, as fast as that takes them.

use std::{cell::Cell, convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use dewpoint_api::{EventGap, EventsEnd};
use dewpoint_control::{Control, Error, Grant};
use dewpoint_store::feed::{Cursor, Event, Happened, Thing, What};
use futures_util::stream;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    Cut, Events, Objects, Place, Wanted, read,
    wire::{Frames, shown},
};

/// Most events of a chunk, and the same when each carries what it is about.
const CHUNK: usize = 256;
const CHUNK_OF_OBJECTS: usize = 16;
/// How long a stream that has told all there is leaves the server alone before it looks again.
const BREATH: Duration = Duration::from_millis(10);
/// How long a client may take for the last words when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a stream is made of.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) place: Place,
    pub(crate) control: Control,
    /// Whose it is, and the token it was asked for with: when that is good no more, it ends.
    pub(crate) grant: Arc<Grant>,
    pub(crate) token: String,
    pub(crate) wanted: Wanted,
    pub(crate) objects: Option<Objects>,
    pub(crate) from: Cursor,
    /// How often something is sent when nothing happens.
    pub(crate) keep_alive: Duration,
    /// The connection under it.
    pub(crate) cut: Option<Arc<Cut>>,
}

enum Piece {
    More(Bytes),
    Last(Bytes),
}

/// Why a stream is over.
enum Over {
    /// Its client is told why.
    Ended(EventsEnd),
    /// Its client has left.
    Left,
}

/// The body of an answer that tells all that happens from now on.
pub(crate) fn follow(events: &Events, follower: Follower) -> Body {
    let (pieces, taken) = mpsc::channel(2);
    let mut stopping = events.stopping();
    let stopped = async move {
        // The sender lives as long as the server.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    tokio::spawn(follower.run(pieces, stopped));
    Body::from_stream(stream::unfold(Some(taken), |taken| async {
        let mut taken = taken?;
        match taken.recv().await? {
            Piece::More(bytes) => Some((Ok::<_, Infallible>(bytes), Some(taken))),
            Piece::Last(bytes) => Some((Ok(bytes), None)),
        }
    }))
}

impl Follower {
    async fn run(mut self, pieces: mpsc::Sender<Piece>, stopped: impl Future<Output = ()>) {
        // Kept for the last words, so that they wait behind one piece at most.
        let Ok(last) = pieces.clone().reserve_owned().await else { return };
        let over = tokio::select! {
            biased;
            () = stopped => Over::Ended(EventsEnd::Stopping),
            over = self.tell(&pieces) => over,
        };
        let Over::Ended(reason) = over else { return };
        let Self { place, cut, from, .. } = self;
        let mut words = Frames::default();
        words.end(reason, from);
        last.send(Piece::Last(words.into_bytes()));
        drop(place);
        // A client that takes nothing is cut off in any case, but a server that ends does not wait for that. Its answer says
        // that it is the connection's last.
        if let Some(cut) = cut
            && reason == EventsEnd::Stopping
            && timeout(LAST_WORDS, cut.over()).await.is_err()
        {
            cut.now();
        }
    }

    /// Tells what happens until the stream is over. `self.from` is the place after what was handed over.
    async fn tell(&mut self, pieces: &mpsc::Sender<Piece>) -> Over {
        let feed = Arc::clone(self.control.store().feed());
        let most = if self.objects.is_some() { CHUNK_OF_OBJECTS } else { CHUNK };
        let mut begins = true;
        let mut known = None;
        let mut alive = Instant::now() + self.keep_alive;
        loop {
            let (mut frames, is_revoked) = (Frames::default(), Cell::new(false));
            let got = read(&feed, self.from, most, |event| {
                is_revoked.set(is_revoked.get() || self.is_its_end(event));
                event.concerns(self.grant.account) && self.wanted.meets(event)
            });
            if is_revoked.get() || self.is_refused().await {
                return Over::Ended(EventsEnd::Token);
            }
            match got.gap {
                // At the beginning it is told and passed over.
                Some(EventGap::TooOld) if !begins => return Over::Ended(EventsEnd::TooSlow),
                Some(reason) => frames.gap(reason, got.from),
                None if begins => frames.position(got.from),
                None => {}
            }
            if !frames.is_empty() {
                known = Some(got.from);
            }
            begins = false;
            let is_full = got.events.len() == most;
            for event in got.events {
                known = Some(got.next.after(&event));
                let mut event = shown(event, got.next);
                if let Some(objects) = &self.objects {
                    objects.put_into(&mut event).await;
                }
                frames.event(&event);
            }
            if frames.is_empty() && alive <= Instant::now() {
                match known == Some(got.next) {
                    true => frames.comment(),
                    false => frames.position(got.next),
                }
                known = Some(got.next);
            }
            if !frames.is_empty() {
                if pieces.send(Piece::More(frames.into_bytes())).await.is_err() {
                    return Over::Left;
                }
                alive = Instant::now() + self.keep_alive;
            }
            self.from = got.next;
            if !is_full {
                tokio::time::sleep(BREATH).await;
                tokio::select! {
                    () = feed.grown(self.from) => {}
                    () = tokio::time::sleep_until(alive) => {}
                    () = pieces.closed() => return Over::Left,
                }
            }
        }
    }

    /// Whether the event takes the token away that the stream was asked for with.
    fn is_its_end(&self, event: &Event) -> bool {
        let What::Change(change) = &event.what else { return false };
        change.happened == Happened::Gone && change.thing == Thing::Token(self.grant.token)
    }

    /// Whether the token is good no more. A store that does not answer says nothing about it.
    async fn is_refused(&self) -> bool {
        matches!(self.control.authenticate(&self.token).await, Err(Error::Unauthenticated))
    }
}
