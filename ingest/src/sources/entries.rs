//! Entries of a journal, those of a stack trace joined: systemd stores each line that a service writes as an entry of
//! its own, and entries of other services lie between them.
//!
//! What is given out is a stretch of entries that is whole: none of its records goes on behind it. So a source never
//! stands behind an entry that is not stored, and what comes behind the stretch is looked at again with more bytes.

use std::collections::{HashMap, VecDeque};

use super::cut::{Cut, Cutter, End, Framing, GROUP_LINES_MAX};
use super::multiline::{Joiner, Multiline, Verdict};
use super::skipping::Skipping;
use crate::formats::journald::{self, Outline, Stream};

/// An entry that waits for others of its stream does so until the journal is this much further, microseconds.
const QUIET_AFTER_US: i64 = 500_000;
/// Entries of many streams that go on all the time wait for each other no longer than this, microseconds.
const HELD_US_MAX: i64 = 2_000_000;
/// A message of several lines has its length before it.
const LENGTH_BYTES: usize = 8;
/// Most entries that wait.
const HELD_MAX: usize = 4096;

/// What one record is made of.
#[derive(Debug)]
pub struct Entry<'b> {
    /// Its only entry, or the first one.
    pub first: Cut<'b>,
    /// Messages of the others.
    lines: Vec<&'b [u8]>,
    /// The first one with the messages of all, if there are several.
    joined: Option<Vec<u8>>,
    has_trace: bool,
}

impl Entry<'_> {
    fn join(&mut self) {
        if !self.lines.is_empty() {
            let outline = journald::outline(self.first.text);
            let mut message = outline.message.unwrap_or_default().to_vec();
            for line in self.lines.drain(..) {
                message.push(b'\n');
                message.extend_from_slice(line);
            }
            // A trace says more of its level than what all lines have.
            let without_level = self.has_trace && outline.has_usual_level();
            self.joined = Some(journald::with_message(self.first.text, &message, without_level));
        }
    }

    /// Whether it is one entry, and nothing lies within.
    pub fn is_single(&self) -> bool {
        self.joined.is_none()
    }

    /// As one entry.
    pub fn cut(&self) -> Cut<'_> {
        match &self.joined {
            Some(text) => Cut { text, has_trace: self.has_trace, ..self.first },
            None => self.first,
        }
    }
}

/// Gives the entries of some bytes, stretch by stretch.
pub struct Entries<'b> {
    cutter: Cutter,
    multiline: Multiline,
    /// Longest record, bytes.
    limit: usize,
    buffer: &'b [u8],
    end: End,
    /// Up to here entries were cut.
    at: usize,
    /// In order; none is given out.
    held: Vec<Held<'b>>,
    /// Records that may go on, by what writes them.
    open: HashMap<Stream<'b>, Open>,
    taken: Taken<'b>,
}

/// What is done with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken<'b> {
    /// Bytes.
    pub bytes: usize,
    /// The rest of an entry that was cut is passed over, as [`Skipping::is_in_line`] says it.
    pub skipping: bool,
    /// Cursor of the last entry that has one.
    pub cursor: Option<&'b [u8]>,
}

/// An entry that is not given out yet.
struct Held<'b> {
    cut: Cut<'b>,
    outline: Outline<'b>,
    /// Where the next one begins.
    end: usize,
    /// The entry whose record it belongs to, if it does not begin one.
    joins: Option<usize>,
    has_trace: bool,
}

/// A record that may go on.
struct Open {
    joiner: Joiner,
    /// Its first entry.
    first: usize,
    /// Entries that belong to it only if the next one does.
    unclear: Vec<usize>,
    lines: usize,
    bytes: usize,
    /// Time of its newest entry.
    newest_us: Option<i64>,
}

impl<'b> Entries<'b> {
    /// Of bytes behind those that are done with; `limit` is that of a record.
    pub fn of(buffer: &'b [u8], multiline: Multiline, limit: usize, skipping: bool, end: End) -> Entries<'b> {
        let mut cutter = Cutter::new(Framing::Journal, limit);
        cutter.skipping = Skipping::default().with_line(skipping);
        let taken = Taken { skipping, ..Taken::default() };
        let (held, open) = (Vec::new(), HashMap::new());
        Entries { cutter, multiline, limit, buffer, end, at: 0, held, open, taken }
    }

    /// What was given out so far, and what was passed over.
    pub fn taken(&self) -> Taken<'b> {
        self.taken
    }

    /// The next stretch; `None` if there is no whole one yet.
    pub fn next_stretch(&mut self) -> Option<Vec<Entry<'b>>> {
        loop {
            // Also behind what was just given out: whoever begins there anew decides the same.
            let ready = self.ready();
            if ready > 0 {
                return Some(self.give(ready));
            }
            match self.cutter.next(self.buffer, &mut self.at, self.end) {
                Some(cut) => self.hold(cut),
                None if self.held.is_empty() => {
                    (self.taken.bytes, self.taken.skipping) = (self.at, self.cutter.skipping.is_in_line());
                    return None;
                }
                None => {
                    let held_bytes = self.buffer.len().saturating_sub(self.taken.bytes);
                    if self.end == End::Open && held_bytes < self.cutter.window_bytes() {
                        return None;
                    }
                    self.close_all();
                    return Some(self.give(self.held.len()));
                }
            }
        }
    }

    /// Takes up an entry.
    fn hold(&mut self, cut: Cut<'b>) {
        let outline = if self.multiline == Multiline::Off { Outline::default() } else { journald::outline(cut.text) };
        self.close_quiet(outline.time_us);
        let index = self.held.len();
        self.held.push(Held { cut, outline, end: self.at, joins: None, has_trace: false });
        // The rest of what was cut is not kept, so nothing before it may be looked at again.
        if cut.truncated || self.cutter.skipping.is_in_line() {
            self.close_all();
            return;
        }
        self.place_all(VecDeque::from([index]));
    }

    /// Finds the records of entries of one stream, in order.
    fn place_all(&mut self, mut waiting: VecDeque<usize>) {
        while let Some(index) = waiting.pop_front() {
            // Those that turned out not to belong to a record may begin the next one.
            for unclear in self.place(index).into_iter().rev() {
                waiting.push_front(unclear);
            }
        }
    }

    /// Finds the record of an entry. Gives entries that have to be placed anew, the given one among them.
    fn place(&mut self, index: usize) -> Vec<usize> {
        let Some(Held { cut, outline, .. }) = self.held.get(index) else { return Vec::new() };
        let Some((stream, message)) = outline.line() else { return Vec::new() };
        let (entry_bytes, time_us) = (cut.text.len(), outline.time_us);
        let Some(open) = self.open.get_mut(&stream) else {
            let joiner = Joiner::begin(self.multiline, message);
            if !joiner.is_closed() {
                let bytes = entry_bytes + LENGTH_BYTES;
                let open = Open { joiner, first: index, unclear: Vec::new(), lines: 1, bytes, newest_us: time_us };
                self.open.insert(stream, open);
            }
            return Vec::new();
        };
        // A line feed behind the one before.
        let bytes = open.bytes + 1 + message.len();
        let fits = open.lines < GROUP_LINES_MAX && bytes <= self.limit;
        let verdict = if fits { open.joiner.next(message) } else { Verdict::Begins };
        match verdict {
            Verdict::Joins | Verdict::Unclear => {
                (open.lines, open.bytes, open.newest_us) = (open.lines + 1, bytes, time_us.or(open.newest_us));
                open.unclear.push(index);
                if verdict == Verdict::Joins {
                    let (first, has_trace) = (open.first, open.joiner.has_trace());
                    for at in open.unclear.drain(..) {
                        if let Some(joined) = self.held.get_mut(at) {
                            joined.joins = Some(first);
                        }
                    }
                    if let Some(held) = self.held.get_mut(first) {
                        held.has_trace = has_trace;
                    }
                }
                Vec::new()
            }
            Verdict::Begins => {
                let mut anew = self.open.remove(&stream).map(|open| open.unclear).unwrap_or_default();
                anew.push(index);
                anew
            }
        }
    }

    /// Ends records that nothing was added to for a while, now that the journal is at this time.
    fn close_quiet(&mut self, now_us: Option<i64>) {
        let oldest_us = self.held.first().and_then(|held| held.outline.time_us);
        let (Some(now), Some(oldest)) = (now_us, oldest_us) else { return };
        if now.saturating_sub(oldest) > QUIET_AFTER_US {
            self.close(|open| open.newest_us.is_some_and(|newest| now.saturating_sub(newest) > QUIET_AFTER_US));
        }
    }

    fn close_all(&mut self) {
        self.close(|_| true);
    }

    /// Ends these records. Entries behind them of which it was not clear whether they belong to them may begin others, which are
    /// ended too if they are of these.
    fn close(&mut self, is_over: impl Fn(&Open) -> bool) {
        loop {
            let over: Vec<Open> = self.open.extract_if(|_, open| is_over(open)).map(|(_, open)| open).collect();
            if over.is_empty() {
                return;
            }
            over.into_iter().for_each(|open| self.place_all(open.unclear.into()));
        }
    }

    /// How many entries can be given out.
    fn ready(&mut self) -> usize {
        let newest = self.held.len().saturating_sub(1);
        let mut open = self.open.values();
        match (open.next(), open.next()) {
            (None, _) => return self.held.len(),
            // Only the newest entry waits.
            (Some(only), None) if only.first == newest => return newest,
            _ => {}
        }
        let time_us = |held: Option<&Held<'_>>| held.and_then(|held| held.outline.time_us);
        let span_us = match (time_us(self.held.first()), time_us(self.held.last())) {
            (Some(oldest), Some(newest)) => newest.saturating_sub(oldest),
            _ => 0,
        };
        if self.held.len() < HELD_MAX && span_us < HELD_US_MAX {
            return 0;
        }
        match self.whole_stretch() {
            0 => {
                self.close_all();
                self.held.len()
            }
            whole => whole,
        }
    }

    /// The most entries from the first on that are whole records.
    fn whole_stretch(&self) -> usize {
        let open_from = self.open.values().map(|open| open.first).min().unwrap_or(self.held.len());
        let mut joined_from = usize::MAX;
        for (at, held) in self.held.iter().enumerate().rev() {
            joined_from = joined_from.min(held.joins.unwrap_or(usize::MAX));
            if at <= open_from && joined_from >= at {
                return at;
            }
        }
        0
    }

    /// Gives out the first entries.
    fn give(&mut self, count: usize) -> Vec<Entry<'b>> {
        let mut records: Vec<Entry<'b>> = Vec::with_capacity(count);
        let mut record_of = vec![0; count];
        for (at, held) in self.held.drain(..count).enumerate() {
            self.taken.bytes = held.end;
            self.taken.cursor = journald::cursor(held.cut.text).or(self.taken.cursor);
            let message = held.outline.message.unwrap_or_default();
            let first = held.joins.and_then(|first| record_of.get(first).copied());
            match first.and_then(|first| records.get_mut(first)) {
                Some(record) => record.lines.push(message),
                None => {
                    record_of[at] = records.len();
                    records.push(Entry { first: held.cut, lines: Vec::new(), joined: None, has_trace: held.has_trace });
                }
            }
        }
        self.taken.skipping = self.held.is_empty() && self.cutter.skipping.is_in_line();
        for open in self.open.values_mut() {
            open.first -= count;
            open.unclear.iter_mut().for_each(|at| *at -= count);
        }
        for held in &mut self.held {
            held.joins = held.joins.map(|first| first - count);
        }
        records.iter_mut().for_each(Entry::join);
        records
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    /// Lines as `STREAM MILLISECONDS MESSAGE`, as entries.
    fn export(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let mut parts = line.splitn(3, ' ');
            let (stream, time, message) = (parts.next(), parts.next(), parts.next());
            let time: i64 = time.and_then(|time| time.parse().ok()).expect("a time");
            journald::write_field(&mut out, "__CURSOR", format!("c{at}").as_bytes());
            journald::write_field(&mut out, "__REALTIME_TIMESTAMP", format!("{}", time * 1000).as_bytes());
            journald::write_field(&mut out, "_STREAM_ID", stream.unwrap_or_default().as_bytes());
            journald::write_field(&mut out, "MESSAGE", message.unwrap_or_default().as_bytes());
            out.push(b'\n');
        }
        out
    }

    /// The messages of all records, lines with ` | ` between, of bytes that come in pieces; each stretch in brackets.
    fn read(multiline: Multiline, text: &[u8], piece: usize, at_end: End) -> String {
        let (mut start, mut have, mut skipping, mut out) = (0, 0, false, String::new());
        while have < text.len() {
            have = have.saturating_add(piece).min(text.len());
            let end = if have == text.len() { at_end } else { End::Open };
            let mut entries = Entries::of(&text[start..have], multiline, 2000, skipping, end);
            while let Some(stretch) = entries.next_stretch() {
                for entry in stretch {
                    let cut = entry.cut();
                    let message = String::from_utf8_lossy(journald::outline(cut.text).message.unwrap_or_default());
                    let mark = if cut.has_trace { "!" } else { "" };
                    writeln!(out, "{mark}{}", message.replace('\n', " | ")).expect("strings take all");
                }
            }
            skipping = entries.taken().skipping;
            start += entries.taken().bytes;
        }
        out
    }

    const TRACE: [&str; 8] = [
        "a 0 java.lang.IllegalStateException: no",
        "b 0 GET / 200",
        "a 0 \tat shop.Main.main(Main.java:3)",
        "b 1 Traceback (most recent call last):",
        "a 1 Caused by: java.io.IOException",
        "b 1   File \"a.py\", line 1, in f",
        "a 1 \t... 3 more",
        "b 2 KeyError: 'a'",
    ];
    const JOINED: &str = "!java.lang.IllegalStateException: no | \tat shop.Main.main(Main.java:3) | \
                          Caused by: java.io.IOException | \t... 3 more\n\
                          GET / 200\n\
                          !Traceback (most recent call last): |   File \"a.py\", line 1, in f | KeyError: 'a'\n";

    #[test]
    fn traces_of_streams_between_each_other_are_joined() {
        let text = export(&TRACE);
        for piece in [usize::MAX, 50, 333] {
            assert_eq!(read(Multiline::Auto, &text, piece, End::Last), JOINED, "{piece}");
            assert_eq!(read(Multiline::Auto, &text, piece, End::Quiet), JOINED, "{piece}");
            assert_eq!(read(Multiline::Off, &text, piece, End::Open).lines().count(), TRACE.len(), "{piece}");
        }
        assert_eq!(read(Multiline::Auto, &text, usize::MAX, End::Open), "", "they may go on");
        // Of a process, too; what is of nobody stays apart.
        for (name, records) in [("_PID=", 3), ("OTHER=", TRACE.len())] {
            let text = String::from_utf8_lossy(&text).replace("_STREAM_ID=", name).into_bytes();
            assert_eq!(read(Multiline::Auto, &text, usize::MAX, End::Last).lines().count(), records, "{name}");
        }
    }

    #[test]
    fn nothing_is_taken_before_what_goes_on() {
        let text = export(&TRACE[..7]);
        let entries = |end| {
            let mut entries = Entries::of(&text, Multiline::Auto, 2000, false, end);
            let count = std::iter::from_fn(|| entries.next_stretch()).flatten().count();
            (count, entries.taken().bytes, entries.taken().cursor.map(<[u8]>::to_vec))
        };
        assert_eq!(entries(End::Open), (0, 0, None));
        assert_eq!(entries(End::Last), (3, text.len(), Some(b"c6".to_vec())));
    }

    #[test]
    fn who_is_quiet_holds_up_nobody() {
        let text = export(&["a 0 ERROR failed", "b 100 x", "b 700 y", "c 800 ERROR z"]);
        assert_eq!(read(Multiline::Auto, &text, usize::MAX, End::Open), "ERROR failed\nx\ny\n");
        // Streams that go on all the time wait for each other only for a while.
        let lines: Vec<String> = (0..40).map(|n| format!("{} {} ERROR {n}", ["a", "b"][n % 2], n * 100)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let given = read(Multiline::Auto, &export(&lines), usize::MAX, End::Open).lines().count();
        assert!((20..40).contains(&given), "{given}");
    }

    #[test]
    fn what_turns_out_to_be_no_message_begins_a_record() {
        let lines =
            ["b 0 a.BException: c", "b 400 x", "b 400 Traceback (most recent call last):", "b 400 y", "a 1200 z"];
        let joined = "a.BException: c\nx\n!Traceback (most recent call last): | y\n";
        let text = export(&lines);
        for piece in [usize::MAX, 50, 1] {
            assert_eq!(read(Multiline::Auto, &text, piece, End::Open), format!("{joined}z\n"), "by time, {piece}");
            let text = export(&lines[..4]);
            assert_eq!(read(Multiline::Auto, &text, piece, End::Last), joined, "at the end, {piece}");
        }
    }

    #[test]
    fn a_record_has_so_many_bytes() {
        let mut lines = vec!["a 0 ERROR x".to_owned()];
        lines.extend((0..100).map(|_| format!("a 0 \tat d.e({}.java:1)", "F".repeat(100))));
        let text = export(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let mut entries = Entries::of(&text, Multiline::Auto, 2000, false, End::Last);
        let found: Vec<_> = std::iter::from_fn(|| entries.next_stretch()).flatten().collect();
        assert!(found.len() > 4 && found.iter().all(|entry| entry.cut().text.len() <= 2000), "{}", found.len());
    }

    #[test]
    fn an_entry_that_is_cut_ends_what_waits() {
        let mut text = export(&["a 0 ERROR x"]);
        let long = "z".repeat(2_000_000);
        text.extend_from_slice(&export(&[&format!("b 0 {long}")]));
        text.extend_from_slice(&export(&["a 0 \tat d.e(F.java:1)"]));
        // Only in pieces it is longer than what is looked at together.
        for (piece, records) in [(usize::MAX, 2), (100_000, 3)] {
            let found = read(Multiline::Auto, &text, piece, End::Last);
            assert_eq!(found.lines().count(), records, "{piece}");
        }
    }

    proptest! {
        /// Nothing is lost or doubled, and what comes out does not depend on how the bytes came in.
        #[test]
        fn pieces_do_not_matter(
            lines in prop::collection::vec(("[abc]", 0..3i64, "(x|ERROR y|\tat d\\.e\\(F\\.java:1\\)|a\\.BException: c||Traceback \\(most recent call last\\):|  in)"), 0..40),
            piece in 1..400usize,
        ) {
            let mut time = 0;
            let lines: Vec<String> = lines.into_iter().map(|(stream, step, message)| {
                time += step * 200;
                format!("{stream} {time} {message}")
            }).collect();
            let text = export(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let whole = read(Multiline::Auto, &text, usize::MAX, End::Last);
            let mut sorted: Vec<&str> = whole.lines().flat_map(|line| line.trim_start_matches('!').split(" | ")).collect();
            let mut wanted: Vec<&str> = lines.iter().map(|line| line.splitn(3, ' ').last().unwrap()).collect();
            sorted.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(sorted, wanted);
            prop_assert_eq!(read(Multiline::Auto, &text, piece, End::Last), whole);
        }
    }
}
