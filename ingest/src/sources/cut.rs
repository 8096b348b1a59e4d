//! From the bytes of a source to the texts of its records: lines, lines that belong together, entries of a journal.
//!
//! A [`Cutter`] looks at bytes from where the source stands and gives what is whole; it keeps nothing but whether it
//! is in the middle of something that was cut. What is not whole yet is looked at again with more bytes, so a source
//! never stands behind a line that is not stored, and no half line is held in memory.

use super::multiline::{Joiner, Multiline, Verdict};
use super::skipping::Skipping;
use super::streams::Streams;
use crate::formats::Format;
use crate::formats::container::{self, Stream, Wrapped};
use crate::formats::journald::{self, Extent};

/// Most lines of one record.
pub const GROUP_LINES_MAX: usize = 2000;

/// What may still come behind the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// More, at any moment.
    Open,
    /// Nothing came for a while: lines that wait for others are records now, half lines are not.
    Quiet,
    /// Nothing: what is left is a line too.
    Last,
}

/// How a source is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Lines, with those of a stack trace joined.
    Lines(Multiline),
    /// The same, and lines of containers are joined by what is inside of them. `format`: what all lines are said to be.
    Containers {
        /// Whose traces.
        multiline: Multiline,
        /// One of containers, or none.
        format: Option<Format>,
    },
    /// Entries of the journal's export format.
    Journal,
}

impl Framing {
    /// Of lines of a format, or of whatever they are.
    pub fn of(format: Option<Format>, multiline: Multiline) -> Framing {
        match format {
            Some(Format::Journald) => Framing::Journal,
            None | Some(Format::Docker | Format::Cri) => Framing::Containers { multiline, format },
            Some(_) => Framing::Lines(multiline),
        }
    }
}

/// One record's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// Its bytes, without the line end.
    pub text: &'a [u8],
    /// Whether it was cut to the longest allowed; of lines of a container, whether the last line of a stream that is in parts
    /// was.
    pub truncated: bool,
    /// Whether there is a stack trace in it.
    pub has_trace: bool,
    /// These are lines of a container, of one record or several that lie among each other.
    pub streams: Option<Joining>,
}

/// How lines of a container are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Whose traces.
    pub multiline: Multiline,
    /// What is passed over at their begin.
    pub skipping: Skipping,
}

impl<'a> Cut<'a> {
    /// Text that is no trace.
    pub(super) fn of(text: &'a [u8], truncated: bool) -> Cut<'a> {
        Cut { text, truncated, has_trace: false, streams: None }
    }
}

/// Cuts one source.
#[derive(Clone, Copy, Debug)]
pub struct Cutter {
    framing: Framing,
    /// Longest record, bytes.
    limit: usize,
    /// What is passed over behind something that was cut.
    pub skipping: Skipping,
}

/// A line in the buffer.
struct Line<'a> {
    text: &'a [u8],
    /// Where the next one starts.
    end: usize,
    truncated: bool,
}

impl Cutter {
    /// Records longer than `limit` are cut.
    pub fn new(framing: Framing, limit: usize) -> Cutter {
        Cutter { framing, limit: limit.max(1), skipping: Skipping::default() }
    }

    /// How many bytes must be looked at together so that something is always found: more than the longest record.
    pub fn window_bytes(&self) -> usize {
        match self.framing {
            Framing::Lines(_) | Framing::Containers { .. } => self.limit.saturating_mul(2).saturating_add(64 << 10),
            Framing::Journal => self.limit.saturating_mul(4).saturating_add(256 << 10),
        }
    }

    /// The next record at or behind `at`, which is moved behind it, and over what is none. `None`: there is no whole one
    /// yet.
    pub fn next<'b>(&mut self, buffer: &'b [u8], at: &mut usize, end: End) -> Option<Cut<'b>> {
        match self.framing {
            Framing::Lines(multiline) | Framing::Containers { multiline, .. } => {
                self.next_lines(multiline, buffer, at, end)
            }
            Framing::Journal => self.next_entry(buffer, at, end),
        }
    }

    fn next_lines<'b>(&mut self, multiline: Multiline, buffer: &'b [u8], at: &mut usize, end: End) -> Option<Cut<'b>> {
        if self.skipping.is_in_line() {
            let rest = buffer.get(*at..).unwrap_or_default();
            match memchr::memchr(b'\n', rest) {
                Some(found) => {
                    *at += found + 1;
                    self.skip_line(false);
                }
                None => {
                    *at = buffer.len();
                    return None;
                }
            }
        }
        loop {
            let line = self.line(buffer, at, end)?;
            if line.text.trim_ascii().is_empty() {
                self.skip_line(line.truncated);
                *at = line.end;
                if line.truncated {
                    return None;
                }
                continue;
            }
            if let Some(wrapped) = self.unwrap(&line) {
                if let Some(behind) = behind_passed(self.skipping, &wrapped) {
                    (*at, self.skipping) = (line.end, behind);
                    continue;
                }
                return self.streams(multiline, wrapped, &line, buffer, at, end);
            }
            let joiner = Joiner::begin(multiline, line.text);
            if line.truncated || joiner.is_closed() {
                self.skip_line(line.truncated && buffer.get(line.end.wrapping_sub(1)) != Some(&b'\n'));
                *at = line.end;
                return Some(Cut::of(line.text, line.truncated));
            }
            return self.group(joiner, &line, buffer, at, end);
        }
    }

    fn skip_line(&mut self, is_in_line: bool) {
        self.skipping = self.skipping.with_line(is_in_line);
    }

    /// The lines that belong to a first one.
    fn group<'b>(
        &mut self,
        mut joiner: Joiner,
        first: &Line<'b>,
        buffer: &'b [u8],
        at: &mut usize,
        end: End,
    ) -> Option<Cut<'b>> {
        let from = (first.text.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
        let (mut text_end, mut group_end) = (from + first.text.len(), first.end);
        let mut next = first.end;
        let mut lines = 1;
        loop {
            let line = match self.line(buffer, &mut next, end) {
                Some(line) => line,
                None if end == End::Open => return None,
                None => break,
            };
            let line_end = (line.text.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize) + line.text.len();
            match joiner.next(line.text) {
                Verdict::Begins => break,
                Verdict::Unclear => {}
                Verdict::Joins if lines == GROUP_LINES_MAX || line.truncated || line_end - from > self.limit => break,
                Verdict::Joins => {
                    lines += 1;
                    (text_end, group_end) = (line_end, line.end);
                }
            }
            next = line.end;
        }
        *at = group_end;
        Some(Cut { has_trace: joiner.has_trace(), ..Cut::of(buffer.get(from..text_end)?, false) })
    }

    /// The line inside a line of a container.
    fn unwrap<'b>(&self, line: &Line<'b>) -> Option<Wrapped<'b>> {
        match self.framing {
            Framing::Containers { format, .. } if !line.truncated => container::unwrap(line.text, format),
            Framing::Containers { .. } | Framing::Lines(_) | Framing::Journal => None,
        }
    }

    /// The lines of a container from a first one on, up to where nothing of either stream is in the middle of something.
    fn streams<'b>(
        &mut self,
        multiline: Multiline,
        first: Wrapped<'_>,
        first_line: &Line<'b>,
        buffer: &'b [u8],
        at: &mut usize,
        end: End,
    ) -> Option<Cut<'b>> {
        let from = *at;
        let mut streams = Streams::new(Joining { multiline, skipping: self.skipping });
        streams.push(first, 0, first_line.end - from);
        if streams.whole_up_to(first_line.end - from).is_some() {
            *at = first_line.end;
            return Some(Cut::of(first_line.text, false));
        }
        let (mut next, mut lines, mut too_long) = (first_line.end, 1, None);
        let length = loop {
            if let Some(length) = streams.whole_up_to(next - from) {
                break length;
            }
            let start = next;
            let Some(line) = self.line(buffer, &mut next, end) else {
                if end == End::Quiet {
                    streams.close_groups();
                }
                break match end {
                    End::Open => return None,
                    End::Quiet => streams.whole_up_to(start - from)?,
                    End::Last => start - from,
                };
            };
            let is_blank = line.text.trim_ascii().is_empty() && !line.truncated;
            next = line.end;
            if is_blank {
                continue;
            }
            match self.unwrap(&line) {
                Some(wrapped) if lines < GROUP_LINES_MAX && line.end - from <= self.limit => {
                    streams.push(wrapped, start - from, line.end - from);
                }
                wrapped => {
                    // A line in parts is not cut for what stands before it.
                    streams.close_all_groups();
                    break streams.whole_up_to(start - from).unwrap_or_else(|| {
                        let stream = wrapped.map(|wrapped| wrapped.wrapping.stream);
                        let is_long = |stream: &Stream| streams.part_bytes(*stream) + line.end - start > self.limit;
                        too_long = Some(stream.filter(is_long));
                        start - from
                    });
                }
            }
            lines += 1;
        };
        let joining = Joining { multiline, skipping: self.skipping };
        self.skipping = streams.skipping_behind(length);
        if let Some(Some(stream)) = too_long {
            self.skipping = self.skipping.with_parts(stream, true);
        }
        *at = from + length;
        Some(Cut { streams: Some(joining), ..Cut::of(buffer.get(from..*at)?, too_long.is_some()) })
    }

    /// The line at `at`, which is moved over bytes of zero: holes that a cut file leaves.
    fn line<'b>(&self, buffer: &'b [u8], at: &mut usize, end: End) -> Option<Line<'b>> {
        let zeros = buffer.get(*at..)?.iter().take_while(|byte| **byte == 0).count();
        *at += zeros;
        let rest = buffer.get(*at..)?;
        // Two more for a line end.
        let window = rest.get(..self.limit.saturating_add(2)).unwrap_or(rest);
        if let Some(found) = memchr::memchr(b'\n', window) {
            let text = without_end(rest.get(..found)?);
            let truncated = text.len() > self.limit;
            let text = if truncated { cut(text, self.limit) } else { text };
            return Some(Line { text, end: *at + found + 1, truncated });
        }
        if rest.len() > self.limit.saturating_add(1) {
            return Some(Line { text: cut(rest, self.limit), end: *at + self.limit, truncated: true });
        }
        if end < End::Last || rest.is_empty() {
            return None;
        }
        let text = without_end(rest);
        Some(Line { text: cut(text, self.limit), end: buffer.len(), truncated: text.len() > self.limit })
    }

    /// The next entry. A damaged one is given too, up to where the next one surely begins; its parser says what is
    /// wrong with it.
    fn next_entry<'b>(&mut self, buffer: &'b [u8], at: &mut usize, end: End) -> Option<Cut<'b>> {
        if self.skipping.is_in_line() {
            let Some(found) = journald::next_entry(buffer, *at) else {
                // What may be the start of the mark stays.
                *at = buffer.len().saturating_sub(journald::NEXT_ENTRY_BYTES).max(*at);
                return None;
            };
            *at = found;
            self.skip_line(false);
        }
        let mut rest = buffer.get(*at..)?;
        while let Some(behind) = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n")) {
            rest = behind;
        }
        *at = buffer.len().saturating_sub(rest.len());
        if rest.is_empty() {
            return None;
        }
        let (next, fault_at) = match journald::extent(rest) {
            Extent::Whole { fields, length } => {
                *at += length;
                return Some(Cut::of(rest.get(..fields)?, false));
            }
            Extent::Damaged { at } => (journald::behind_damage(rest, at), at),
            // Only at the end it is known that a field that goes on is cut off.
            Extent::Open { at } if end == End::Last => (journald::next_entry(rest, at), at),
            Extent::Open { at } => (None, at),
        };
        if let Some(length) = next.or((end == End::Last).then_some(rest.len())) {
            *at += length;
            return Some(Cut::of(rest.get(..length)?, false));
        }
        // Longer than what is looked at together: what is there of its fields is kept, and the next entry is searched for.
        let window = rest.get(..self.window_bytes().saturating_sub(1))?;
        let next = journald::next_entry(window, fault_at);
        self.skip_line(next.is_none());
        *at += next.unwrap_or(window.len().saturating_sub(journald::NEXT_ENTRY_BYTES));
        Some(Cut::of(window.get(..next.unwrap_or(window.len()))?, true))
    }
}

/// What is passed over behind this line of a container, if it is itself passed over.
pub(super) fn behind_passed(skipping: Skipping, line: &Wrapped<'_>) -> Option<Skipping> {
    let stream = line.wrapping.stream;
    skipping.is_in_parts(stream).then(|| skipping.with_parts(stream, line.is_part))
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// At most `limit` bytes, not in the middle of a character.
pub(crate) fn cut(text: &[u8], limit: usize) -> &[u8] {
    let Some(part) = text.get(..limit).filter(|part| part.len() < text.len()) else { return text };
    let continues = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let end = (part.len().saturating_sub(3)..=part.len()).rev().find(|at| !continues(*at)).unwrap_or(part.len());
    part.get(..end).unwrap_or(part)
}

#[cfg(test)]
mod tests;
