//! Lines of a text of which those that belong together are one record.

use std::borrow::Cow;

use watchfire_model::Level;

use super::{Format, Gatherer, LongEntry, Marks, Place, text_of};
use crate::formats::container::{self, Wrapping};
use crate::sources::cut::{self, Cut, Cutter, End, Framing};
use crate::sources::multiline::Multiline;
use crate::sources::skipping::Skipping;
use crate::sources::streams::{self, StreamRecord};

impl Gatherer<'_> {
    /// Lines of text, those of a stack trace joined; `end` says what may come behind them. Says how many bytes are done
    /// with: lines behind those may belong to what comes next.
    ///
    /// What is by itself is treated as in [`Gatherer::text_lines`]. Nobody remembers between two texts that a line is passed
    /// over: one that is too long is done with when all of it is there.
    pub fn joined_lines(&mut self, body: &[u8], format: Option<Format>, multiline: Multiline, end: End) -> usize {
        let mut cutter = Cutter::new(Framing::of(format, multiline), self.origin.line_max);
        let mut at = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        self.make_room(body.len());
        let mut done = at;
        while let Some(cut) = cutter.next(body, &mut at, end) {
            let named = self.named_errors();
            let from = (cut.text.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
            if end == End::Open && !ends_passing(cutter, body, at) {
                return from;
            }
            done = at;
            if cut.truncated && cut.streams.is_none() {
                let line = body.get(from..).unwrap_or_default();
                self.too_long(memchr::memchr(b'\n', line).unwrap_or(line.len()));
            } else if cut.streams.is_some() || memchr::memchr(b'\n', cut.text).is_some() {
                self.cut(&cut, format);
            } else {
                self.text_line(cut.text, format, Marks::default());
            }
            if self.named_errors() > named {
                self.place_errors(named, Place::of(body, from).line);
            }
        }
        if end == End::Open && cutter.skipping != Skipping::default() { done } else { at }
    }

    /// One text of a source that cannot be told that a line is not of its format: then it is kept whole.
    pub fn cut(&mut self, cut: &Cut<'_>, format: Option<Format>) {
        if format == Some(Format::Journald) {
            return self.journal_entry(cut, LongEntry::Cut);
        }
        if let Some(joining) = cut.streams {
            for record in streams::records(cut.text, joining, cut.truncated, format) {
                self.stream_record(&record, Marks::default());
            }
            return;
        }
        let marks = Marks { truncated: cut.truncated, ..Marks::default() };
        match container::unwrap(cut.text, format) {
            Some(wrapped) => self.stream_record(&StreamRecord::of(wrapped, 0, cut.text.len()), marks),
            None => self.joined(cut.text, cut.has_trace, format, cut.text.len(), marks, None),
        }
    }

    /// A record of a container. One without text is none.
    pub(super) fn stream_record(&mut self, record: &StreamRecord, mut marks: Marks) {
        let text = cut::cut(&record.text, self.origin.line_max);
        marks.truncated |= record.truncated || text.len() < record.text.len();
        if !text.trim_ascii().is_empty() {
            let received = record.received.min(self.origin.line_max);
            self.joined(text, record.has_trace, None, received, marks, Some(&record.wrapping));
        }
    }

    /// One line, or several that belong together.
    fn joined(
        &mut self,
        text: &[u8],
        has_trace: bool,
        format: Option<Format>,
        received: usize,
        mut marks: Marks,
        wrapping: Option<&Wrapping>,
    ) {
        let text = text_of(text);
        marks.invalid_utf8 |= matches!(text, Cow::Owned(_));
        let text = plain_ends(text);
        let (now, draft) = (self.origin.now, &mut self.worker.draft);
        // The format is that of the first line; what joins it goes on with its message.
        let first_end = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
        let first = text.get(..first_end).unwrap_or_default();
        let asked = format.filter(|format| self.parsers.parse_as(*format, first, now, draft).is_ok());
        let found = match (asked, format) {
            (Some(format), _) => format,
            (None, None) => self.parsers.parse_auto(first, now, draft),
            (None, Some(_)) => {
                // An error cannot be: every text is of this format.
                let _ = self.parsers.parse_as(Format::Unknown, first, now, draft);
                Format::Unknown
            }
        };
        if first.len() < text.len() {
            draft.lengthen_message(&text, first.len());
        }
        if has_trace && found == Format::Unknown {
            draft.level.get_or_insert(Level::Error);
        }
        self.record(&text, wrapping.map_or(found, |wrapping| wrapping.format), received, Some(&text), marks, wrapping);
    }
}

/// Whether what is passed over behind something that was cut ends within the body.
fn ends_passing(mut cutter: Cutter, body: &[u8], mut at: usize) -> bool {
    while cutter.skipping != Skipping::default() {
        if cutter.next(body, &mut at, End::Open).is_none() {
            return cutter.skipping == Skipping::default();
        }
    }
    true
}

/// Lines that belong together, without what some end with before their LF: within a message it would only be in the way.
fn plain_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_joined = memchr::memchr(b'\n', text.as_bytes()).is_some();
    if is_joined && text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { text }
}
