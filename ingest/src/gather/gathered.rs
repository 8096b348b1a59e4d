//! What was gathered from a text: batches, and what was refused.

use watchfire_model::LogRecord;
use watchfire_queue::Batch;

use crate::formats::Format;

/// Errors that an answer names one by one; the others are only counted.
const ERRORS_MAX: usize = 100;

/// Why a record was refused; the label `reason` of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Not of the format that it should have.
    Malformed,
    /// No message.
    NoMessage,
    /// Before the retention.
    TooOld,
    /// Longer than the limit.
    TooLong,
    /// No room in the queue.
    QueueFull,
    /// Its request's key was used before, for another body.
    KeyReused,
    /// The queue could not write.
    QueueError,
    /// A datagram that came faster than the queue could take it.
    Dropped,
}

impl Reason {
    /// All of them, in order of their numbers.
    pub const ALL: [Reason; 8] = [
        Reason::Malformed,
        Reason::NoMessage,
        Reason::TooOld,
        Reason::TooLong,
        Reason::QueueFull,
        Reason::KeyReused,
        Reason::QueueError,
        Reason::Dropped,
    ];

    /// As the counter's label writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::NoMessage => "no_message",
            Reason::TooOld => "too_old",
            Reason::TooLong => "too_long",
            Reason::QueueFull => "queue_full",
            Reason::KeyReused => "key_reused",
            Reason::QueueError => "queue_error",
            Reason::Dropped => "dropped",
        }
    }
}

/// A place in a text; lines and columns from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in bytes.
    pub column: usize,
    /// Bytes before it.
    pub offset: usize,
}

impl Place {
    /// Of a byte offset.
    pub fn of(text: &[u8], offset: usize) -> Place {
        let before = text.get(..offset.min(text.len())).unwrap_or_default();
        let line_from = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Place { line: memchr::memchr_iter(b'\n', before).count() + 1, column: before.len() - line_from + 1, offset }
    }
}

/// A record that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its position among the records of the request, from 0.
    pub index: u32,
    /// The line of the text in which it begins, from 1, where that is known.
    pub line: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub message: String,
}

/// What came of a text: batches for the queue, and what was refused.
#[derive(Default)]
pub struct Gathered {
    /// Batches in order; none is empty.
    pub batches: Vec<GatheredBatch>,
    /// Records seen, refused ones too.
    pub total: u32,
    /// Records refused.
    pub rejected: u32,
    /// The first hundred of them.
    pub errors: Vec<RecordError>,
    /// Where the first line is wrong, if the text was JSON lines and the first record refused is malformed.
    pub first_wrong: Option<Place>,
    /// Refused records by [`Reason`].
    pub reasons: [u32; Reason::ALL.len()],
    /// Accepted records that say no usable time, and have got that of their arrival.
    pub undated: u32,
    /// Whether the body was one object and no list.
    pub single: bool,
    /// Whether the memory for the records was refused; then nothing is gathered.
    pub no_memory: bool,
    /// Id of the record accepted last.
    pub last_id: String,
}

/// A batch, and what is to be counted when the queue has taken it.
#[derive(Clone, Default)]
pub struct GatheredBatch {
    /// The records.
    pub batch: Batch,
    /// Records by [`Format::index`].
    pub formats: Vec<u32>,
    /// Position in the batch and format of the records that may turn out to be repeats.
    pub keyed: Vec<(u32, Format)>,
}

impl RecordError {
    /// The reason's word, where the words do not say it, and the words: for answers that have no place for the word.
    pub fn full_message(&self) -> String {
        match self.reason {
            Reason::Malformed | Reason::NoMessage => self.message.clone(),
            Reason::TooOld
            | Reason::TooLong
            | Reason::QueueFull
            | Reason::KeyReused
            | Reason::QueueError
            | Reason::Dropped => {
                format!("{}: {}", self.reason.as_str(), self.message)
            }
        }
    }
}

impl Gathered {
    /// Bytes of the batch at hand.
    pub fn bytes(&self) -> usize {
        self.batches.last().map_or(0, |last| last.batch.bytes())
    }

    /// Notes a refused record.
    pub fn reject(&mut self, index: u32, reason: Reason, message: impl FnOnce() -> String) {
        self.rejected += 1;
        if let Some(count) = self.reasons.get_mut(reason as usize) {
            *count += 1;
        }
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(RecordError { index, line: None, reason, message: message() });
        }
    }
}

impl GatheredBatch {
    pub(super) fn with_room(bytes: usize) -> GatheredBatch {
        GatheredBatch {
            batch: Batch::with_capacity(bytes),
            formats: vec![0; Format::BUILT_IN.len()],
            keyed: Vec::new(),
        }
    }

    /// Adds the record that `write` appends.
    pub fn push(&mut self, format: Format, write: impl FnOnce(&mut Vec<u8>)) {
        self.count(format, false);
        self.batch.push_with(None, write);
    }

    pub(super) fn count(&mut self, format: Format, keyed: bool) {
        if keyed {
            self.keyed.push((self.batch.len() as u32, format));
        }
        let at = format.index();
        if self.formats.len() <= at {
            self.formats.resize(at + 1, 0);
        }
        self.formats[at] += 1;
    }
}

/// A record as it is shown to its sender.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Its format; `None` if it is not of the one that was asked for.
    pub format: Option<Format>,
    /// The canonical record; `None` if there is none.
    pub record: Option<LogRecord>,
    /// Why it was refused, if it was.
    pub refused: Option<(Reason, String)>,
}
