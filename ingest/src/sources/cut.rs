//! From the bytes of a source to the texts of its records: lines, lines that belong together, entries of a journal.
//!
//! A [`Cutter`] looks at bytes from where the source stands and gives what is whole; it keeps nothing but whether it
//! is in the middle of something that was cut. What is not whole yet is looked at again with more bytes, so a source
//! never stands behind a line that is not stored, and no half line is held in memory.

use super::multiline::{Joiner, Multiline, Verdict};
use super::streams::Streams;
use crate::formats::Format;
use crate::formats::container::{self, Wrapped};
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
    /// Whether it was cut to the longest allowed.
    pub truncated: bool,
    /// Whether there is a stack trace in it.
    pub has_trace: bool,
    /// These are lines of a container, of one record or several that lie among each other; traces of these languages are
    /// joined.
    pub streams: Option<Multiline>,
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
    /// The rest of something that was cut is passed over.
    pub skipping: bool,
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
        Cutter { framing, limit: limit.max(1), skipping: false }
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
        if self.skipping {
            let rest = buffer.get(*at..).unwrap_or_default();
            match memchr::memchr(b'\n', rest) {
                Some(found) => {
                    *at += found + 1;
                    self.skipping = false;
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
                self.skipping = line.truncated;
                *at = line.end;
                if self.skipping {
                    return None;
                }
                continue;
            }
            if let Some(wrapped) = self.unwrap(&line) {
                return self.streams(multiline, wrapped, &line, buffer, at, end);
            }
            let joiner = Joiner::begin(multiline, line.text);
            if line.truncated || joiner.is_closed() {
                self.skipping = line.truncated && buffer.get(line.end.wrapping_sub(1)) != Some(&b'\n');
                *at = line.end;
                return Some(Cut::of(line.text, line.truncated));
            }
            return self.group(joiner, &line, buffer, at, end);
        }
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
        &self,
        multiline: Multiline,
        first: Wrapped<'_>,
        first_line: &Line<'b>,
        buffer: &'b [u8],
        at: &mut usize,
        end: End,
    ) -> Option<Cut<'b>> {
        let from = *at;
        let mut streams = Streams::new(multiline);
        streams.push(first, 0, first_line.end - from);
        if streams.whole_up_to(first_line.end - from).is_some() {
            *at = first_line.end;
            return Some(Cut::of(first_line.text, false));
        }
        let (mut next, mut lines) = (first_line.end, 1);
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
                Some(_) | None => break start - from,
            }
            lines += 1;
        };
        *at = from + length;
        Some(Cut { streams: Some(multiline), ..Cut::of(buffer.get(from..*at)?, false) })
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
        if self.skipping {
            let Some(found) = journald::next_entry(buffer, *at) else {
                // What may be the start of the mark stays.
                *at = buffer.len().saturating_sub(journald::NEXT_ENTRY_BYTES).max(*at);
                return None;
            };
            *at = found;
            self.skipping = false;
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
        self.skipping = next.is_none();
        *at += next.unwrap_or(window.len().saturating_sub(journald::NEXT_ENTRY_BYTES));
        Some(Cut::of(window.get(..next.unwrap_or(window.len()))?, true))
    }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 40;

    /// All records of a text that comes in pieces of these lengths.
    fn cut_all(framing: Framing, text: &[u8], pieces: &[usize], at_end: End) -> Vec<(Vec<u8>, bool)> {
        let mut cutter = Cutter::new(framing, LIMIT);
        let (mut start, mut have) = (0, 0);
        let mut found = Vec::new();
        let mut pieces = pieces.iter().copied().cycle();
        loop {
            have = (have + pieces.next().unwrap_or(usize::MAX / 2).max(1)).min(text.len());
            let end = if have == text.len() { at_end } else { End::Open };
            let mut at = 0;
            // As a reader does: only what is not used up is looked at again.
            while let Some(cut) = cutter.next(&text[start..have], &mut at, end) {
                found.push((cut.text.to_vec(), cut.truncated));
            }
            start += at;
            if have == text.len() {
                return found;
            }
        }
    }

    fn lines(text: &[u8], at_end: End) -> Vec<(String, bool)> {
        let found = cut_all(Framing::Lines(Multiline::Off), text, &[usize::MAX / 2], at_end);
        found.into_iter().map(|(text, truncated)| (String::from_utf8(text).unwrap(), truncated)).collect()
    }

    #[test]
    fn ends_holes_and_halves_of_lines() {
        let texts = |text: &[u8], end| lines(text, end).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
        assert_eq!(texts(b"a\r\nb\n\n  \nc", End::Open), ["a", "b"]);
        assert_eq!(texts(b"a\nc", End::Quiet), ["a"]);
        assert_eq!(texts(b"a\nc\r", End::Last), ["a", "c"]);
        assert_eq!(texts(b"\0\0\0a\nb\0c\n\0\0\n\0", End::Last), ["a", "b\0c"]);
        let hole = [&vec![0; 5000][..], b"after\n"].concat();
        assert_eq!(texts(&hole, End::Open), ["after"]);
    }

    #[test]
    fn a_long_line_is_cut_once() {
        let long = "x".repeat(LIMIT);
        for (text, expected) in [
            (format!("{long}\nb\n"), vec![(long.clone(), false), ("b".into(), false)]),
            (format!("{long}\r\nb\n"), vec![(long.clone(), false), ("b".into(), false)]),
            (format!("{long}y\nb\n"), vec![(long.clone(), true), ("b".into(), false)]),
            (format!("{long}{long}{long}{long}\nb\n"), vec![(long.clone(), true), ("b".into(), false)]),
            (format!("{}ü\nb\n", &long[1..]), vec![(long[1..].into(), true), ("b".into(), false)]),
        ] {
            assert_eq!(lines(text.as_bytes(), End::Open), expected, "{text:?}");
        }
    }

    #[test]
    fn an_entry_longer_than_all_that_is_looked_at_is_cut_and_the_next_one_found() {
        let window = Cutter::new(Framing::Journal, LIMIT).window_bytes();
        let long = [b"__CURSOR=a\nMESSAGE=m\nCORE=".to_vec(), vec![b'x'; 2 * window], b"\n\n".to_vec()].concat();
        let text = [&long[..], b"__CURSOR=b\nMESSAGE=n\n\n"].concat();
        for pieces in [vec![1000], vec![window / 2, 7]] {
            let found = cut_all(Framing::Journal, &text, &pieces, End::Open);
            assert_eq!(found.len(), 2);
            assert!(found[0].1 && found[0].0.starts_with(b"__CURSOR=a\nMESSAGE=m\n"));
            assert_eq!(found[1], (b"__CURSOR=b\nMESSAGE=n\n".to_vec(), false));
        }
    }

    #[test]
    fn a_trace_waits_for_the_next_line_or_for_quiet() {
        let framing = Framing::Lines(Multiline::Java);
        let text = b"ERROR x\na.BException: c\n\tat d\nnext\n";
        let texts = |end| cut_all(framing, text, &[3], end).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
        assert_eq!(texts(End::Open), [&b"ERROR x\na.BException: c\n\tat d"[..], b"next"]);
        let open = &text[..text.len() - 5];
        assert!(cut_all(framing, open, &[5], End::Open).is_empty());
        assert_eq!(cut_all(framing, open, &[5], End::Quiet).len(), 1);
    }

    #[test]
    fn a_trace_is_bounded() {
        let text = format!("ERROR x\n{}", "\tat d.e(F.java:1)\n".repeat(50));
        let found = cut_all(Framing::Lines(Multiline::Auto), text.as_bytes(), &[7], End::Last);
        assert!(found.iter().all(|(text, _)| text.len() <= LIMIT));
        let rows: usize = found.iter().map(|(text, _)| text.split(|byte| *byte == b'\n').count()).sum();
        assert_eq!(rows, 51, "nothing is lost");
    }

    proptest! {
        /// What comes out does not depend on how the bytes came in.
        #[test]
        fn pieces_do_not_matter(
            text in "([ab\\t\\n\\r\\x00é]|ERROR |\tat x\n|Traceback \\(most recent call last\\):\n|panic: \n|E: \n){0,60}",
            pieces in prop::collection::vec(1..50usize, 1..5),
            multiline in 0..7usize,
        ) {
            let framing = Framing::Lines(Multiline::NAMES[multiline].1);
            let whole = cut_all(framing, text.as_bytes(), &[usize::MAX / 2], End::Last);
            prop_assert_eq!(cut_all(framing, text.as_bytes(), &pieces, End::Last), whole);
        }

        #[test]
        fn journal_pieces_do_not_matter(
            entries in prop::collection::vec(("[A-Z_]{1,8}", prop::collection::vec(any::<u8>(), 0..60)), 0..12),
            pieces in prop::collection::vec(1..90usize, 1..5),
        ) {
            let mut text = Vec::new();
            for (name, value) in &entries {
                journald::write_field(&mut text, "__CURSOR", b"x");
                journald::write_field(&mut text, name, value);
                text.push(b'\n');
            }
            let whole = cut_all(Framing::Journal, &text, &[usize::MAX / 2], End::Last);
            prop_assert_eq!(cut_all(Framing::Journal, &text, &pieces, End::Last), whole);
        }

        /// Nothing good is lost behind what is damaged, however it comes in.
        #[test]
        fn good_entries_behind_damaged_ones_come_out(
            entries in prop::collection::vec((any::<bool>(), 0..6usize, prop::collection::vec(any::<u8>(), 0..60)), 0..12),
            pieces in prop::collection::vec(1..90usize, 1..5),
        ) {
            let (mut text, mut good) = (Vec::new(), Vec::new());
            for (number, (with_bytes, damage, value)) in entries.iter().enumerate() {
                let stray = [&b""[..], b"stray\n", b"CAPITALS\n", b"-- a: b\r\n", b"HALF\n\x09\0\0\0\0\0\0\0abc\n", b""][*damage];
                let from = text.len();
                journald::write_field(&mut text, "__CURSOR", number.to_string().as_bytes());
                if *with_bytes {
                    journald::write_field(&mut text, "BYTES", value);
                }
                text.extend_from_slice(stray);
                if stray.is_empty() {
                    good.push(text[from..].to_vec());
                }
                text.push(b'\n');
                if *damage == 5 {
                    text.extend_from_slice(b"between two\n");
                }
            }
            let whole = cut_all(Framing::Journal, &text, &[usize::MAX / 2], End::Last);
            let found: Vec<_> = whole.iter().map(|(entry, _)| entry.clone()).filter(|entry| good.contains(entry)).collect();
            prop_assert_eq!(found, good);
            prop_assert_eq!(cut_all(Framing::Journal, &text, &pieces, End::Last), whole);
        }

        #[test]
        fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..400), pieces in prop::collection::vec(1..50usize, 1..5)) {
            cut_all(Framing::Journal, &text, &pieces, End::Last);
            cut_all(Framing::Lines(Multiline::Auto), &text, &pieces, End::Last);
        }
    }
}
