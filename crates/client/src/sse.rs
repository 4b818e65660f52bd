//! Server-sent events: bytes in, events out, however the bytes are cut.
//!
//! After the HTML standard's section on event streams: lines end in LF, CRLF or CR; a line with a colon first is a comment; an
//! empty line ends an event; several `data` lines are one text with LF between; a byte order mark at the start is dropped.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// Its name; empty for a message.
    pub(crate) name: String,
    /// Its data.
    pub(crate) data: String,
}

/// Takes events out of bytes.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    /// The line that is not yet whole.
    line: Vec<u8>,
    /// The last line ended in CR: an LF that follows is part of that end.
    after_cr: bool,
    started: bool,
    event: SseEvent,
    has_data: bool,
}

/// Most bytes of one event. More is no event but a server gone astray.
const EVENT_MAX: usize = 16 * 1024 * 1024;

/// An event is larger than any can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl SseReader {
    /// Takes in `bytes`, and gives the events that are whole now.
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut impl Extend<SseEvent>) -> Result<(), TooLarge> {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (piece, None),
            };
            let follows_cr = std::mem::take(&mut self.after_cr);
            if follows_cr && text.is_empty() && end == Some(b'\n') {
                continue;
            }
            self.line.extend_from_slice(text);
            if self.line.len() + self.event.data.len() > EVENT_MAX {
                return Err(TooLarge);
            }
            if let Some(end) = end {
                self.after_cr = end == b'\r';
                events.extend(self.line_is_whole());
            }
        }
        Ok(())
    }

    fn line_is_whole(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line);
        if !self.started {
            self.started = true;
            if let Some(rest) = text.strip_prefix('\u{feff}') {
                text = rest.to_owned().into();
            }
        }
        if text.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.event.name),
            // A comment, an id, a time to come again, or what is newer than this.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let (mut reader, mut events) = (SseReader::default(), Vec::new());
        for piece in pieces {
            reader.feed(piece, &mut events).expect("no event is large");
        }
        events
    }

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text = "\u{feff}: hello\r\n\r\ndata: {\"é\":\r\ndata: 1}\r\nid: 7\r\n\r\nevent: error\rdata:x\r\rdata\n\ndata: [DONE]\n\n";
        let whole = [event("", "{\"é\":\n1}"), event("error", "x"), event("", ""), event("", "[DONE]")];
        assert_eq!(read(&[text.as_bytes()]), whole);
        for first in 0..text.len() {
            for second in first..text.len() {
                let bytes = text.as_bytes();
                assert_eq!(
                    read(&[&bytes[..first], &bytes[first..second], &bytes[second..]]),
                    whole,
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn an_event_that_is_cut_off_is_none() {
        assert_eq!(read(&[b"data: 1\n\ndata: 2\n"]), [event("", "1")]);
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let (mut reader, mut events) = (SseReader::default(), Vec::new());
        let piece = [b"data: ".as_slice(), &vec![b'x'; 1 << 20], b"\n"].concat();
        let failed = (0..17).find(|_| reader.feed(&piece, &mut events) == Err(TooLarge));
        assert!(failed.is_some() && events.is_empty());
    }
}
