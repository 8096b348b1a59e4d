//! From a text of many records to batches for the queue, with what was wrong with which record.

mod entries;
mod gathered;
mod joined;
mod json;
mod lines;

use std::borrow::Cow;

use watchfire_model::{Level, LogRecord, RecordView, Timestamp};
use watchfire_queue::DedupKey;

pub use gathered::{Echo, Gathered, GatheredBatch, Place, Reason, RecordError};

use crate::draft::Draft;
use crate::formats::container::{self, Wrapping};
use crate::formats::{Format, Parsers, journald};
use crate::id::{IdMaker, RequestKey, key_of_request};
use crate::json::{JsonErrorKind, Node};
use crate::normalise::{Context, Marks, Normaliser, Reject};
use crate::sources::cut::{Cut, End};
use crate::sources::multiline::Multiline;
use crate::sources::streams::StreamRecord;
use lines::Lines;

/// Size at which a batch is full and the next one begins, bytes.
const BATCH_BYTES: usize = 4 << 20;
/// Room for what a record's bytes have beside its text.
const RECORD_OVERHEAD_BYTES: usize = 160;

/// A body that is no list of records at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not JSON.
    #[error("{kind}")]
    Json {
        /// What is wrong.
        kind: JsonErrorKind,
        /// Byte offset into the body.
        at: usize,
    },
    /// JSON, but neither object nor list.
    #[error("expected a JSON object, a list of objects, or one object per line")]
    NotRecords,
}

/// What is known of a whole text.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// When it was accepted.
    pub now: Timestamp,
    /// Records of an earlier time are refused.
    pub oldest: Option<Timestamp>,
    /// Service, for records that name none.
    pub service: Option<&'a str>,
    /// Source, for records that name none.
    pub source: Option<&'a str>,
    /// Host, for records that name none.
    pub host: Option<&'a str>,
    /// The request's `Idempotency-Key`.
    pub idempotency_key: Option<RequestKey<'a>>,
    /// Longest record, bytes.
    pub line_max: usize,
    /// Its records are told apart by where they stand in their source: an id of their own is kept, and no key.
    pub by_position: bool,
    /// Its records are counted at their event time, however young they are.
    pub imported: bool,
}

/// Memory that a worker may hold on to between texts, bytes.
const WORKER_BYTES_MAX: usize = 1 << 20;

/// Memory for parsing, reused from text to text.
#[derive(Default)]
pub struct Worker {
    /// The parsed line.
    pub draft: Draft,
    /// Its canonical form.
    pub normaliser: Normaliser,
}

impl Worker {
    /// Whether it holds so much memory after an unusual text that it is better not kept.
    pub fn is_bloated(&self) -> bool {
        self.draft.tape.held_bytes() > WORKER_BYTES_MAX
    }
}

/// What becomes of an entry of the journal over the limit of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LongEntry {
    /// Its longest fields are cut, as lines of files are.
    Cut,
    /// Its sender is told.
    Refused,
}

/// Turns one text into batches.
pub struct Gatherer<'a> {
    parsers: &'a Parsers,
    ids: &'a IdMaker,
    worker: &'a mut Worker,
    origin: Origin<'a>,
    out: Gathered,
    echoes: Option<Vec<Echo>>,
    /// Asked before the batches grow by so many bytes; false stops the work.
    grow: Option<&'a mut dyn FnMut(usize) -> bool>,
}

impl<'a> Gatherer<'a> {
    /// Starts with nothing gathered.
    pub fn new(parsers: &'a Parsers, ids: &'a IdMaker, worker: &'a mut Worker, origin: Origin<'a>) -> Gatherer<'a> {
        worker.draft.tape.set_limit(origin.line_max);
        Gatherer { parsers, ids, worker, origin, out: Gathered::default(), echoes: None, grow: None }
    }

    /// How many refused records are named one by one so far.
    pub fn named_errors(&self) -> usize {
        self.out.errors.len()
    }

    /// Says of the errors behind the first so many in which line they are.
    fn place_errors(&mut self, named: usize, line: usize) {
        self.out.errors.iter_mut().skip(named).for_each(|error| error.line = Some(line));
    }

    /// How many records were seen so far.
    pub fn total(&self) -> u32 {
        self.out.total
    }

    /// How many of them were refused.
    pub fn rejected(&self) -> u32 {
        self.out.rejected
    }

    /// Adds to what was gathered before.
    pub fn onto(self, gathered: Gathered) -> Gatherer<'a> {
        Gatherer { out: gathered, ..self }
    }

    /// Bytes of the batch at hand.
    pub fn bytes(&self) -> usize {
        self.out.bytes()
    }

    /// Asks before its batches grow; if the answer is no, what comes is [`Gathered::no_memory`] and nothing else.
    pub fn bounded_by(self, grow: &'a mut dyn FnMut(usize) -> bool) -> Gatherer<'a> {
        Gatherer { grow: Some(grow), ..self }
    }

    /// Keeps a copy of each record, to be shown to its sender.
    pub fn with_echoes(self) -> Gatherer<'a> {
        Gatherer { echoes: Some(Vec::new()), ..self }
    }

    /// The copies, in order, one for each record seen.
    pub fn take_echoes(&mut self) -> Vec<Echo> {
        self.echoes.take().unwrap_or_default()
    }

    /// What was gathered.
    pub fn finish(mut self) -> Gathered {
        if self.out.no_memory {
            return Gathered { no_memory: true, total: self.out.total, ..Gathered::default() };
        }
        self.out.batches.retain(|gathered| !gathered.batch.is_empty());
        if let Some(request) = self.origin.idempotency_key.filter(|_| !self.origin.by_position) {
            self.out.batches.iter_mut().for_each(|gathered| gathered.batch.claim(request.of_request()));
        }
        self.out
    }

    /// Lines of text, each of the given format or of the one that is found. Blank lines are none.
    pub fn text_lines(&mut self, body: &[u8], format: Option<Format>) {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if container::unwrap(Lines::of(body).next().unwrap_or_default(), format).is_some() {
            // A line of a container may be in parts.
            self.joined_lines(body, format, Multiline::Off, End::Last);
            return;
        }
        self.make_room(body.len());
        for (number, line) in (1..).zip(Lines::of(body)) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let named = self.named_errors();
            if line.len() > self.origin.line_max {
                self.too_long(line.len());
            } else {
                self.text_line(line, format, Marks::default());
            }
            self.place_errors(named, number);
        }
    }

    fn journal_entry(&mut self, entry: &Cut<'_>, long: LongEntry) {
        let (length, line_max) = (entry.text.len(), self.origin.line_max);
        match journald::parse_entry(entry.text, line_max, entry.truncated, &mut self.worker.draft) {
            Ok(_) if length > line_max && long == LongEntry::Refused => self.too_long(length),
            Ok(marks) => {
                if entry.has_trace {
                    self.worker.draft.level.get_or_insert(Level::Error);
                }
                self.record("", Format::Journald, length.min(line_max), None, marks, None);
            }
            Err(error) => self.refuse(Reason::Malformed, || error.to_string()),
        }
    }

    /// One text, a line or several that belong together, with the limit of a line.
    pub fn text(&mut self, text: &[u8], format: Option<Format>) {
        let text = text.trim_ascii_end();
        if text.len() > self.origin.line_max {
            self.too_long(text.len());
        } else {
            self.text_line(text, format, Marks::default());
        }
    }

    /// One line (or one text of several lines that belong together), however long. Bytes that are no UTF-8 are replaced, which is
    /// marked.
    pub fn text_line(&mut self, line: &[u8], format: Option<Format>, mut marks: Marks) {
        if let Some(wrapped) = container::unwrap(line, format) {
            return self.stream_record(&StreamRecord::of(wrapped, 0, line.len()), marks);
        }
        let text = text_of(line);
        marks.invalid_utf8 |= matches!(text, Cow::Owned(_));
        let now = self.origin.now;
        let format = match format {
            None => self.parsers.parse_auto(&text, now, &mut self.worker.draft),
            Some(format) => match self.parsers.parse_as(format, &text, now, &mut self.worker.draft) {
                Ok(()) => format,
                Err(error) => return self.refuse(Reason::Malformed, || error.to_string()),
            },
        };
        self.record(&text, format, line.len(), Some(&text), marks, None);
    }

    /// The record that lies in the draft.
    fn record(
        &mut self,
        input: &str,
        format: Format,
        received: usize,
        message: Option<&str>,
        marks: Marks,
        wrapping: Option<&Wrapping>,
    ) {
        if received > self.origin.line_max || self.worker.draft.tape.is_overflowed() {
            return self.too_long(received);
        }
        if !matches!(self.worker.draft.tape.node(0), Node::Object { .. }) {
            return self.refuse(Reason::Malformed, || "expected a JSON object".to_owned());
        }
        let Origin { now, oldest, service, source, host, idempotency_key, by_position, imported, .. } = self.origin;
        let context = Context {
            now,
            oldest,
            service,
            source,
            host,
            received_bytes: u32::try_from(received).unwrap_or(u32::MAX),
            message,
            marks,
            wrapping,
            imported,
            request_key: idempotency_key.map(|request| key_of_request(request.key, self.out.total)),
        };
        let Worker { draft, normaliser } = &mut *self.worker;
        match normaliser.decide(draft, input, &context, self.ids) {
            Ok(key) => {
                let is_dated = normaliser.is_dated();
                let key = key.filter(|_| !by_position).map(|key| match idempotency_key {
                    Some(request) if context.request_key == Some(key) => {
                        DedupKey::new(key).with_contents(request.contents)
                    }
                    // An id of its own is kept, whatever it stands for.
                    Some(_) | None => DedupKey::new(key),
                });
                let full = self.out.batches.last().is_none_or(|last| last.batch.bytes() >= BATCH_BYTES);
                if full {
                    // The first batch is about as long as the text, which is accounted for.
                    if !self.out.batches.is_empty() && !self.grow.as_mut().is_none_or(|grow| grow(BATCH_BYTES)) {
                        self.out.no_memory = true;
                    }
                    if self.out.no_memory {
                        self.out.batches.clear();
                    }
                    self.out.batches.push(GatheredBatch::with_room(received + RECORD_OVERHEAD_BYTES));
                }
                if let Some(last) = self.out.batches.last_mut() {
                    last.count(format, key.is_some());
                    let echoes = &mut self.echoes;
                    last.batch.push_with(key, |out| {
                        let from = out.len();
                        normaliser.write(draft, input, &context, out);
                        if let Some(echoes) = echoes {
                            echoes.push(Echo { format: Some(format), record: read_back(out, from), refused: None });
                        }
                    });
                }
                self.out.undated += u32::from(!is_dated);
                self.out.last_id.clear();
                self.out.last_id.push_str(normaliser.last_id());
                self.out.total += 1;
            }
            Err(reject) => {
                let reason = match reject {
                    Reject::NoMessage => Reason::NoMessage,
                    Reject::TooOld { .. } => Reason::TooOld,
                };
                let record = self.echoes.is_some().then(|| {
                    let mut out = Vec::new();
                    let kept = Context { oldest: None, ..context };
                    if normaliser.decide(draft, input, &kept, self.ids).is_ok() {
                        normaliser.write(draft, input, &kept, &mut out);
                    }
                    read_back(&out, 0)
                });
                self.refuse(reason, || reject.to_string());
                if let Some(last) = self.echoes.as_mut().and_then(|echoes| echoes.last_mut()) {
                    last.format = Some(format);
                    last.record = record.flatten();
                }
            }
        }
    }

    /// Room for the records of a text of this size, up to a batch.
    pub fn make_room(&mut self, bytes: usize) {
        let bytes = (bytes + bytes / 4).min(BATCH_BYTES + BATCH_BYTES / 4);
        if self.out.batches.is_empty() && bytes > 0 {
            self.out.batches.push(GatheredBatch::with_room(bytes));
        }
    }

    fn too_long(&mut self, length: usize) {
        let limit = self.origin.line_max;
        self.refuse(Reason::TooLong, || {
            format!("the record has {length} bytes, more than the {limit} of `limits.line`")
        });
    }

    fn refuse(&mut self, reason: Reason, message: impl FnOnce() -> String) {
        let index = self.out.total;
        self.out.total += 1;
        match &mut self.echoes {
            None => self.out.reject(index, reason, message),
            Some(echoes) => {
                let message = message();
                self.out.reject(index, reason, || message.clone());
                echoes.push(Echo { format: None, record: None, refused: Some((reason, message)) });
            }
        }
    }
}

/// Bytes as text; what is no UTF-8 is replaced, and only then it is a copy. All is looked at at once first, as
/// `from_utf8_lossy` goes byte by byte.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The record whose bytes start at `from`.
fn read_back(bytes: &[u8], from: usize) -> Option<LogRecord> {
    RecordView::parse(bytes.get(from..)?).ok().map(|view| view.to_record())
}
