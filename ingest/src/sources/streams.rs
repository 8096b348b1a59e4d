//! Lines of a container that belong together: parts of one line, and those of a stack trace, stream by stream, as both
//! streams stand in one file.

use std::collections::VecDeque;

use super::cut::{Joining, behind_passed};
use super::multiline::{Joiner, Multiline, Verdict};
use super::skipping::Skipping;
use crate::formats::Format;
use crate::formats::container::{self, Stream, Wrapped, Wrapping};

/// A trace waits no longer for further lines of its stream, milliseconds between what the lines themselves say.
const TRACE_WAITS_MS: i64 = 500;
/// A part of a line waits no longer for the rest.
const PART_WAITS_MS: i64 = 60_000;

/// One record of a container.
#[derive(Debug)]
pub(crate) struct StreamRecord {
    /// What the container wrote.
    pub text: Vec<u8>,
    /// What is told of its first line.
    pub wrapping: Wrapping,
    /// Whether there is a stack trace in it.
    pub has_trace: bool,
    /// Whether there is more of its last line, which is passed over or a record of its own.
    pub truncated: bool,
    /// Bytes of its lines as received.
    pub received: usize,
    /// Where its first line begins and its last one ends.
    from: usize,
    to: usize,
    /// When its last line was written.
    last_ms: i64,
}

impl StreamRecord {
    pub(crate) fn of(line: Wrapped<'_>, from: usize, to: usize) -> StreamRecord {
        StreamRecord {
            last_ms: line.wrapping.time.millis(),
            text: line.text.into_owned(),
            wrapping: line.wrapping,
            has_trace: false,
            truncated: false,
            received: to - from,
            from,
            to,
        }
    }

    fn append(&mut self, next: &StreamRecord) {
        self.text.extend_from_slice(&next.text);
        self.received += next.received;
        self.truncated |= next.truncated;
        (self.to, self.last_ms) = (next.to, next.last_ms);
    }
}

/// One stream.
#[derive(Default)]
struct Open {
    /// A line of which there is more.
    part: Option<StreamRecord>,
    /// Lines that belong together, and may have more.
    group: Option<(StreamRecord, Joiner)>,
    /// Lines behind those that are not decided about.
    unclear: Vec<StreamRecord>,
}

impl Open {
    fn take_line(&mut self, line: StreamRecord, multiline: Multiline, closed: &mut Vec<StreamRecord>) {
        let mut lines = VecDeque::from([line]);
        while let Some(line) = lines.pop_front() {
            let Some((record, joiner)) = &mut self.group else {
                if line.text.trim_ascii().is_empty() {
                    continue;
                }
                let joiner = Joiner::begin(multiline, &line.text);
                match joiner.is_closed() {
                    true => closed.push(line),
                    false => self.group = Some((line, joiner)),
                }
                continue;
            };
            match joiner.next(&line.text) {
                Verdict::Joins => {
                    for next in self.unclear.drain(..).chain([line]) {
                        record.text.push(b'\n');
                        record.append(&next);
                    }
                }
                Verdict::Unclear => self.unclear.push(line),
                Verdict::Begins => {
                    lines.push_front(line);
                    self.close_group(closed).into_iter().rev().for_each(|line| lines.push_front(line));
                }
            }
        }
    }

    /// Closes the group; gives the lines behind it.
    fn close_group(&mut self, closed: &mut Vec<StreamRecord>) -> Vec<StreamRecord> {
        if let Some((record, joiner)) = self.group.take() {
            closed.push(StreamRecord { has_trace: joiner.has_trace(), ..record });
        }
        std::mem::take(&mut self.unclear)
    }

    /// No further line joins.
    fn close_groups(&mut self, multiline: Multiline, closed: &mut Vec<StreamRecord>) {
        while self.group.is_some() {
            for line in self.close_group(closed) {
                self.take_line(line, multiline, closed);
            }
        }
    }

    /// What is there is all.
    fn close(&mut self, multiline: Multiline, closed: &mut Vec<StreamRecord>) {
        if let Some(part) = self.part.take() {
            self.take_line(part, multiline, closed);
        }
        self.close_groups(multiline, closed);
    }

    /// A line of the other stream was written then: what is too old for that waits no longer.
    fn close_if_older(&mut self, now_ms: i64, multiline: Multiline, closed: &mut Vec<StreamRecord>) {
        let is_over = |last: &StreamRecord, waits_ms: i64| now_ms.saturating_sub(last.last_ms) > waits_ms;
        match (&self.part, self.unclear.last(), &self.group) {
            (Some(part), ..) if is_over(part, PART_WAITS_MS) => self.close(multiline, closed),
            (None, Some(last), _) | (None, None, Some((last, _))) if is_over(last, TRACE_WAITS_MS) => {
                self.close_groups(multiline, closed);
            }
            _ => {}
        }
    }

    /// Where what is open begins.
    fn from(&self) -> Option<usize> {
        let group = self.group.as_ref().map(|(record, _)| record.from);
        group.or(self.part.as_ref().map(|part| part.from))
    }
}

/// Joins lines of both streams.
pub(super) struct Streams {
    multiline: Multiline,
    open: [Open; 2],
    closed: Vec<StreamRecord>,
    /// What is passed over at their begin.
    skipping: Skipping,
    /// The same behind lines with which a line that is passed over ends.
    passed: Vec<(usize, Skipping)>,
}

impl Streams {
    pub(super) fn new(joining: Joining) -> Streams {
        let Joining { multiline, skipping } = joining;
        Streams { multiline, open: Default::default(), closed: Vec::new(), skipping, passed: Vec::new() }
    }

    /// The next line, and where it begins and ends.
    pub(super) fn push(&mut self, line: Wrapped<'_>, from: usize, to: usize) {
        let skipping = self.passed.last().map_or(self.skipping, |(_, skipping)| *skipping);
        if let Some(behind) = behind_passed(skipping, &line) {
            if behind != skipping {
                self.passed.push((to, behind));
            }
            return;
        }
        let Streams { multiline, open: [stdout, stderr], closed, .. } = self;
        let (own, other) = match line.wrapping.stream {
            Stream::Stdout => (stdout, stderr),
            Stream::Stderr => (stderr, stdout),
        };
        let is_part = line.is_part;
        let mut line = StreamRecord::of(line, from, to);
        other.close_if_older(line.last_ms, *multiline, closed);
        if let Some(mut part) = own.part.take() {
            part.append(&line);
            line = part;
        }
        match is_part {
            true => own.part = Some(line),
            false => own.take_line(line, *multiline, closed),
        }
    }

    /// No line joins those that are whole.
    pub(super) fn close_groups(&mut self) {
        let Streams { multiline, open, closed, .. } = self;
        open.iter_mut().filter(|open| open.part.is_none()).for_each(|open| open.close_groups(*multiline, closed));
    }

    /// The same, also where the next line is there in part.
    pub(super) fn close_all_groups(&mut self) {
        let Streams { multiline, open, closed, .. } = self;
        open.iter_mut().for_each(|open| open.close_groups(*multiline, closed));
    }

    /// Bytes of the parts of a line that go on.
    pub(super) fn part_bytes(&self, stream: Stream) -> usize {
        let [stdout, stderr] = &self.open;
        let open = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        open.part.as_ref().map_or(0, |part| part.received)
    }

    /// What is passed over behind so many bytes.
    pub(super) fn skipping_behind(&self, bytes: usize) -> Skipping {
        let before = self.passed.iter().rev().find(|(to, _)| *to <= bytes);
        before.map_or(self.skipping, |(_, skipping)| *skipping)
    }

    /// Up to where nothing is open or goes on behind: lines up to there are whole records. `end`: up to where lines were
    /// looked at.
    pub(super) fn whole_up_to(&self, end: usize) -> Option<usize> {
        let to = self.open.iter().filter_map(Open::from).min().unwrap_or(end);
        let is_whole = |record: &StreamRecord| record.to <= to || record.from >= to;
        (to > 0 && self.closed.iter().all(is_whole)).then_some(to)
    }

    /// All records, in the order in which they begin. `truncated`: what is there only in part was cut.
    fn finish(mut self, truncated: bool) -> Vec<StreamRecord> {
        let Streams { multiline, open, closed, .. } = &mut self;
        open.iter_mut().filter_map(|open| open.part.as_mut()).for_each(|part| part.truncated = truncated);
        open.iter_mut().for_each(|open| open.close(*multiline, closed));
        self.closed.sort_by_key(|record| record.from);
        self.closed
    }
}

/// The records of lines that were cut together.
pub(crate) fn records(lines: &[u8], joining: Joining, truncated: bool, format: Option<Format>) -> Vec<StreamRecord> {
    let mut streams = Streams::new(joining);
    let mut from = 0;
    for line in lines.split(|byte| *byte == b'\n') {
        let to = from + line.len() + 1;
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        let zeros = text.iter().take_while(|byte| **byte == 0).count();
        if let Some(wrapped) = container::unwrap(text.get(zeros..).unwrap_or_default(), format) {
            streams.push(wrapped, from, to);
        }
        from = to;
    }
    streams.finish(truncated)
}
