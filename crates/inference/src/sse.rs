//! Server-sent events as inference frames them: `data: ` and a line, a blank line; the end is `data: [DONE]` (INF-2).

use bytes::Bytes;

/// What ends a stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// One event.
pub fn event(line: &str) -> String {
    format!("data: {line}\n\n")
}

/// The event that tells of a failure in mid-stream: with a truthy `error`, on which clients raise (INF-6).
pub fn error_event(message: &str) -> String {
    event(&serde_json::json!({ "error": { "message": message, "type": "server_error" } }).to_string())
}

/// Cuts a stream that arrives in pieces into whole events, byte for byte: what of one has not arrived yet is kept back, so that
/// a stream that breaks never leaves half an event before the one that says so.
#[derive(Debug, Default)]
pub struct Cutter {
    held: Vec<u8>,
    /// How far `held` was looked through.
    seen: usize,
    done: bool,
}

/// An event grew beyond what one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless;

impl Cutter {
    /// Most bytes of an event.
    pub const MOST: usize = 4 * 1024 * 1024;

    /// Takes the next piece and gives all events that are whole now, as they came; empty when there is none. A piece of whole
    /// events is given back itself.
    pub fn push(&mut self, piece: &Bytes) -> Result<Bytes, Endless> {
        if self.held.is_empty() {
            let whole = self.whole(piece, 0);
            self.held.extend_from_slice(&piece[whole..]);
            self.seen = self.held.len();
            return if self.held.len() > Self::MOST { Err(Endless) } else { Ok(piece.slice(..whole)) };
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(piece);
        // A blank line may have begun with the last bytes of the piece before.
        let whole = self.whole(&held, self.seen.saturating_sub(3));
        self.held = held.split_off(whole);
        self.seen = self.held.len();
        if self.held.len() > Self::MOST { Err(Endless) } else { Ok(held.into()) }
    }

    /// Where the last whole event ends.
    fn whole(&mut self, bytes: &[u8], mut from: usize) -> usize {
        let mut whole = 0;
        while let Some(end) = blank_line(bytes, from) {
            self.done |= is_done(&bytes[whole..end]);
            (whole, from) = (end, end);
        }
        whole
    }

    /// Whether the event was among those given that ends the stream.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// Where the first blank line behind `from` ends. Lines end with LF or CRLF.
fn blank_line(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(step) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
        let next = at + step + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

fn is_done(event: &[u8]) -> bool {
    event
        .split(|byte| *byte == b'\n')
        .any(|line| line.strip_prefix(b"data:").is_some_and(|data| data.trim_ascii_start().starts_with(b"[DONE]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_arrives_whole_events_come_out_and_every_byte_of_them() {
        let stream = b": alive\n\ndata: {\"a\":1}\n\nid: 7\r\ndata: {\"b\":\"\\n\"}\r\n\r\ndata: [DONE]\n\n".to_vec();
        for width in 1..=stream.len() {
            let (mut cutter, mut out) = (Cutter::default(), Vec::new());
            for piece in stream.chunks(width).map(Bytes::copy_from_slice) {
                assert!(!cutter.is_done(), "not before its last byte");
                let events = cutter.push(&piece).expect("short events");
                assert!(events.is_empty() || events.ends_with(b"\n\n") || events.ends_with(b"\r\n\r\n"), "{width}");
                out.extend(events);
            }
            assert_eq!((out.as_slice(), cutter.is_done()), (stream.as_slice(), true), "{width}");
        }
    }

    #[test]
    fn half_an_event_is_kept_back_and_one_without_end_is_refused() {
        let mut cutter = Cutter::default();
        let mut push = |piece: &'static str| cutter.push(&piece.into());
        assert_eq!(push("data: 1\n\ndata: 2\n"), Ok("data: 1\n\n".into()));
        assert_eq!(push("\n"), Ok("data: 2\n\n".into()));
        assert!(!cutter.is_done());
        assert_eq!(cutter.push(&vec![b'x'; Cutter::MOST + 1].into()), Err(Endless));
    }

    #[test]
    fn an_error_event_has_a_truthy_error_inf_6() {
        let event = error_event("it \"broke\"\nhere");
        let json: serde_json::Value =
            serde_json::from_str(event.trim_end().strip_prefix("data: ").expect("an event")).expect("one line of JSON");
        assert_eq!(json["error"]["message"], "it \"broke\"\nhere");
    }
}
