//! What a model writes, held back until it is judged: a watcher sees whole sentences, and none that the
//! ethics gate refuses.

use pagi_api::goal::ProgressSink;
use pagi_policy::{EthicsGate, Refusal, Subject, Verdict};

use crate::trace::Trace;

/// So much of the text before a sentence is judged with it, bytes.
const WINDOW: usize = 4 * 1024;

/// One turn's text on its way to the watcher.
pub(crate) struct Held<'a> {
    gate: &'a EthicsGate,
    sink: Option<&'a ProgressSink>,
    text: String,
    shown: usize,
    refusal: Option<Refusal>,
}

impl<'a> Held<'a> {
    pub(crate) fn new(gate: &'a EthicsGate, sink: Option<&'a ProgressSink>) -> Self {
        Self {
            gate,
            sink,
            text: String::new(),
            shown: 0,
            refusal: None,
        }
    }

    /// Takes what the model wrote next; shows the sentences that are whole now.
    pub(crate) fn push(&mut self, delta: &str) {
        self.text.push_str(delta);
        let fresh = self.text.get(self.shown..).unwrap_or_default();
        if let Some(length) = last_end(fresh) {
            self.show(self.shown + length);
        }
    }

    /// Shows the rest, and judges the whole.
    pub(crate) fn finish(mut self) -> Option<Refusal> {
        if self.refusal.is_none()
            && let Verdict::Refused(refusal) = self.gate.judge(Subject::Output(&self.text))
        {
            self.refusal = Some(refusal);
        }
        self.show(self.text.len());
        self.refusal
    }

    fn show(&mut self, end: usize) {
        if self.refusal.is_some() || end <= self.shown {
            return;
        }
        let from = (0..=self.shown.saturating_sub(WINDOW))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        let judged = self.text.get(from..end).unwrap_or_default();
        match self.gate.judge(Subject::Output(judged)) {
            Verdict::Allowed => {
                Trace::wrote(
                    self.sink,
                    self.text.get(self.shown..end).unwrap_or_default(),
                );
                self.shown = end;
            }
            Verdict::Refused(refusal) => self.refusal = Some(refusal),
        }
    }
}

/// Where the last whole sentence of `text` ends.
fn last_end(text: &str) -> Option<usize> {
    let mut end = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let spaced = c.is_whitespace() && ".!?…:;".contains(before);
        if c == '\n' || spaced || "。！？".contains(c) {
            end = Some(at + c.len_utf8());
        }
        before = c;
    }
    end
}

#[cfg(test)]
mod tests {
    use pagi_api::goal::Progress;
    use pagi_policy::EthicsConfig;

    use super::*;

    fn said(deltas: &[&str]) -> (String, bool) {
        let gate = EthicsGate::new(EthicsConfig::default()).unwrap();
        let (sink, mut shown) = tokio::sync::mpsc::channel(64);
        let mut held = Held::new(&gate, Some(&sink));
        deltas.iter().for_each(|delta| held.push(delta));
        let refused = held.finish().is_some();
        let mut text = String::new();
        while let Ok(Progress::Text { delta }) = shown.try_recv() {
            text.push_str(&delta);
        }
        (text, refused)
    }

    #[test]
    fn sentences_are_shown_whole_and_the_rest_at_the_end() {
        assert_eq!(
            said(&["The sum ", "is 3.5 today", ". More", " soon"]),
            ("The sum is 3.5 today. More soon".to_owned(), false)
        );
        assert_eq!(last_end("It is 3.5 o'cl"), None);
        assert_eq!(last_end("One. Two"), Some(5));
        assert_eq!(last_end("Größe! ja"), Some(9));
    }

    #[test]
    fn what_the_gate_refuses_is_never_shown() {
        let (shown, refused) = said(&[
            "Gladly. ",
            "To build a bo",
            "mb at home that kills people, mix ",
            "the following. Then",
        ]);
        assert!(refused);
        assert_eq!(shown, "Gladly. ");
    }
}
