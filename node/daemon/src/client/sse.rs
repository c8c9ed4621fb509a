//! Server-sent events, as the HTML standard has them (section 9.2.6), without any I/O: bytes go in
//! as they arrive, whole events come out.

/// The longest line or event taken, bytes; a node's events are far below it.
const LIMIT: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The last `id` seen on the stream, by this event or an earlier one; empty if there was none.
    pub id: String,
    /// The `event` field; `message` without one.
    pub event: String,
    /// The `data` lines, joined by line feeds.
    pub data: String,
}

/// The stream holds a line or an event that is too long to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {LIMIT} bytes")]
pub struct TooLarge;

/// Cuts a byte stream into events. How the bytes are cut into chunks makes no difference.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The last line ended in CR, so an LF right after it belongs to that line end.
    after_cr: bool,
    /// The first line has been seen, so that a byte order mark counts no more.
    started: bool,
    id: String,
    event: String,
    data: String,
    has_data: bool,
}

impl SseParser {
    /// Takes the next bytes and appends the events they complete to `out`.
    ///
    /// # Errors
    /// [`TooLarge`] when a line or an event grows beyond 16 MiB; the stream is of no use then.
    pub fn push(&mut self, bytes: &[u8], out: &mut impl Extend<SseEvent>) -> Result<(), TooLarge> {
        for &byte in bytes {
            let skip = self.after_cr && byte == b'\n';
            self.after_cr = false;
            if skip {
                continue;
            }
            match byte {
                b'\n' => self.end_line(out)?,
                b'\r' => {
                    self.after_cr = true;
                    self.end_line(out)?;
                }
                _ if self.line.len() >= LIMIT => return Err(TooLarge),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, out: &mut impl Extend<SseEvent>) -> Result<(), TooLarge> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = text.as_ref();
        if !self.started {
            self.started = true;
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(out);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "data" => {
                if self.data.len() + value.len() >= LIMIT {
                    return Err(TooLarge);
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // A comment (empty field name), `retry`, or a field that is not known.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, out: &mut impl Extend<SseEvent>) {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            let event = if event.is_empty() {
                "message".to_owned()
            } else {
                event
            };
            out.extend([SseEvent {
                id: self.id.clone(),
                event,
                data,
            }]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::default();
        let mut out = Vec::new();
        for chunk in chunks {
            parser.push(chunk, &mut out).unwrap();
        }
        out
    }

    fn event(id: &str, event: &str, data: &str) -> SseEvent {
        SseEvent {
            id: id.into(),
            event: event.into(),
            data: data.into(),
        }
    }

    #[test]
    fn fields_comments_and_several_data_lines() {
        let got =
            parse(&[b": hello\nid: 7\nevent: step\ndata: a\ndata:b\nretry: 10\n\n\n\ndata: c\n\n"]);
        assert_eq!(
            got,
            [event("7", "step", "a\nb"), event("7", "message", "c")]
        );
    }

    #[test]
    fn every_line_ending_counts_once() {
        let expected = [event("", "message", "a\nb")];
        for text in [
            "data: a\ndata: b\n\n",
            "data: a\rdata: b\r\r",
            "data: a\r\ndata: b\r\n\r\n",
        ] {
            assert_eq!(parse(&[text.as_bytes()]), expected, "{text:?}");
        }
        assert_eq!(
            parse(&[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]),
            expected
        );
    }

    #[test]
    fn an_unfinished_event_is_not_reported() {
        assert!(parse(&[b"data: a\ndata: b\n"]).is_empty());
        assert!(parse(&[b"event: step\nid: 3\n\n"]).is_empty());
    }

    #[test]
    fn a_character_may_be_cut_in_two_and_a_mark_may_lead() {
        let text = "\u{feff}data: größe\n\n".as_bytes();
        let chunks: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(parse(&chunks), [event("", "message", "größe")]);
    }

    #[test]
    fn an_empty_data_line_is_an_event_and_an_id_with_nul_is_not_an_id() {
        assert_eq!(
            parse(&[b"id: a\nid: b\0\ndata\n\n"]),
            [event("a", "message", "")]
        );
    }

    #[test]
    fn endless_lines_are_refused() {
        let mut parser = SseParser::default();
        let mut out: Vec<SseEvent> = Vec::new();
        let chunk = vec![b'x'; LIMIT];
        assert_eq!(parser.push(&chunk, &mut out), Ok(()));
        assert_eq!(parser.push(b"x", &mut out), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn chunking_makes_no_difference(
            lines in prop::collection::vec(
                prop_oneof!["(data|event|id|)(: ?)?[a-zä\u{1f980}]{0,6}", Just(String::new())],
                0..20,
            ),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 20),
            cuts in prop::collection::vec(1usize..9, 1..60),
        ) {
            let mut text = String::new();
            for (line, end) in lines.iter().zip(&ends) {
                text.push_str(line);
                text.push_str(end);
            }
            let whole = parse(&[text.as_bytes()]);
            let mut rest = text.as_bytes();
            let mut chunks = Vec::new();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            prop_assert_eq!(parse(&chunks), whole);
        }
    }
}
