//! Lines of a text of which those that belong together are one record.

use super::{Format, Gatherer, Marks, Place};
use crate::sources::cut::{Cutter, End, Framing};
use crate::sources::multiline::Multiline;

impl Gatherer<'_> {
    /// Lines of text, those of a stack trace joined; `end` says what may come behind them. Says how many bytes are done
    /// with: lines behind those may belong to what comes next.
    ///
    /// What is by itself is treated as in [`Gatherer::text_lines`].
    pub fn joined_lines(&mut self, body: &[u8], format: Option<Format>, multiline: Multiline, end: End) -> usize {
        let mut cutter = Cutter::new(Framing::Lines(multiline), self.origin.line_max);
        let mut at = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        self.make_room(body.len());
        while let Some(cut) = cutter.next(body, &mut at, end) {
            let named = self.named_errors();
            let from = (cut.text.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
            if cut.truncated {
                let line = body.get(from..).unwrap_or_default();
                self.too_long(memchr::memchr(b'\n', line).unwrap_or(line.len()));
            } else if memchr::memchr(b'\n', cut.text).is_some() {
                self.cut(&cut, format);
            } else {
                self.text_line(cut.text, format, Marks::default());
            }
            if let Some(error) = self.out.errors.get_mut(named) {
                error.line = Some(Place::of(body, from).line);
            }
        }
        at
    }
}
