//! From a draft to the canonical record: which member is what, the event's time, the level, the id; and its bytes.
//!
//! Two steps, so that nothing is written that is then refused: [`Normaliser::decide`] looks, [`Normaliser::write`]
//! writes. Nothing that was sent is dropped: of several names for one thing the first in the list of names wins and
//! the others stay fields; a member that clashes with a field of the same name keeps its container's name in front.

mod shape;
mod write;

use watchfire_model::{Level, Timestamp};

use crate::draft::Draft;
use crate::formats::container::Wrapping;
use crate::id::{self, ID_BYTES, IdMaker};
use crate::json::{Node, NodeIndex, Span};
use crate::names::Slot;
use crate::timestamp;
use shape::{Candidate, Shape};

/// How far ahead of our clock an event's time may lie, milliseconds.
const AHEAD_MAX_MS: i64 = 600_000;

/// What is known of a record beside its text.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// When it was accepted.
    pub now: Timestamp,
    /// Records of an earlier time are refused; `None` keeps all.
    pub oldest: Option<Timestamp>,
    /// Service, for records that name none.
    pub service: Option<&'a str>,
    /// Source, for records that name none.
    pub source: Option<&'a str>,
    /// Host, for records that name none.
    pub host: Option<&'a str>,
    /// Size as received, bytes.
    pub received_bytes: u32,
    /// The message of a record without one; `None` refuses it.
    pub message: Option<&'a str>,
    /// What had to be done to the text before it could be parsed.
    pub marks: Marks,
    /// What is told of a line of a container around it.
    pub wrapping: Option<&'a Wrapping>,
    /// It is counted at its event time, however young it is.
    pub imported: bool,
    /// Remembered by the queue if the record has no id of its own; the id is then made from it.
    pub request_key: Option<[u8; 16]>,
}

impl Context<'_> {
    /// A context with nothing known but the time.
    pub fn at(now: Timestamp) -> Context<'static> {
        Context {
            now,
            oldest: None,
            service: None,
            source: None,
            host: None,
            received_bytes: 0,
            message: None,
            marks: Marks::default(),
            wrapping: None,
            imported: false,
            request_key: None,
        }
    }
}

/// What had to be done to a text before it could be parsed; each mark becomes a field that is `true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Cut to the longest line allowed: `fields.truncated`.
    pub truncated: bool,
    /// Bytes that are no UTF-8 were replaced by U+FFFD: `fields.invalid_utf8`.
    pub invalid_utf8: bool,
}

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// It has no message.
    #[error("the record has no `message`")]
    NoMessage,
    /// Its time is before the retention.
    #[error("the record's time {timestamp} is before {oldest}, where retention ends")]
    TooOld {
        /// Time of the record.
        timestamp: Timestamp,
        /// Earliest time that is kept.
        oldest: Timestamp,
    },
}

/// What was decided about the last draft.
#[derive(Clone, Copy, Debug)]
struct Decision {
    timestamp: Timestamp,
    /// The time is its own.
    is_dated: bool,
    /// The member whose value could not be a time, or lay too far ahead.
    raw_time: Option<RawTime>,
    level: Level,
    /// The member whose value could not be a level.
    raw_level: Option<NodeIndex>,
    id: IdSource,
}

/// A time that was sent and could not be used.
#[derive(Clone, Copy, Debug)]
enum RawTime {
    /// The value of a member.
    Sent(NodeIndex),
    /// What the format itself had read.
    Read(Timestamp),
}

/// Where the id comes from.
#[derive(Clone, Copy, Debug)]
enum IdSource {
    /// The record itself.
    Own(NodeIndex),
    /// Made here: reserved, or from the request's key.
    Made([u8; ID_BYTES]),
}

/// Brings records into their canonical form. Reused from record to record; it holds memory, not text.
#[derive(Default)]
pub struct Normaliser {
    shape: Shape,
    decision: Option<Decision>,
    /// Room for the path of nested fields.
    path: String,
    /// Room for numbers that become texts.
    number: String,
    /// Id of the record written last.
    id: String,
}

impl Normaliser {
    /// Finds out what the draft's members are; gives what the queue is to remember, if anything.
    ///
    /// `input` is the text that the draft was parsed from. Errors: the record is refused.
    pub fn decide(
        &mut self,
        draft: &Draft,
        input: &str,
        context: &Context<'_>,
        ids: &IdMaker,
    ) -> Result<Option<[u8; 16]>, Reject> {
        self.decision = None;
        self.shape.read(draft, input);
        if self.shape.candidate(Slot::Message).is_none()
            && self.shape.structured(Slot::Message).is_none()
            && context.message.is_none()
        {
            return Err(Reject::NoMessage);
        }
        let (timestamp, raw_time) = self.event_time(draft, input, context);
        if let Some(oldest) = context.oldest.filter(|oldest| timestamp < *oldest) {
            return Err(Reject::TooOld { timestamp, oldest });
        }
        let (level, raw_level) = self.level(draft, input);
        let (id, key) = match self.shape.candidate(Slot::Id) {
            Some(candidate) => {
                self.number.clear();
                let id = scalar_text(draft, input, candidate.value, &mut self.number).unwrap_or_default();
                (IdSource::Own(candidate.value), Some(id::key_of_id(id)))
            }
            None => match context.request_key {
                Some(key) => (IdSource::Made(id::from_key(&key)), Some(key)),
                None => (IdSource::Made(ids.make(context.now)), None),
            },
        };
        let has_read = draft.timestamp.or(draft.leading_time).is_some();
        let says_time = self.shape.candidate(Slot::Timestamp).is_some() || has_read;
        let is_dated = says_time && raw_time.is_none() || usable_time(context).is_some();
        self.decision = Some(Decision { timestamp, is_dated, raw_time, level, raw_level, id });
        Ok(key)
    }

    /// Whether the record decided last says a usable time.
    pub fn is_dated(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.is_dated)
    }

    /// Id of the record written last.
    pub fn last_id(&self) -> &str {
        &self.id
    }

    /// The record's time, and what was sent if that was no usable time.
    fn event_time(&self, draft: &Draft, input: &str, context: &Context<'_>) -> (Timestamp, Option<RawTime>) {
        let latest = context.now.plus_millis(AHEAD_MAX_MS);
        let else_time = usable_time(context).unwrap_or(context.now);
        if let Some(Candidate { value, .. }) = self.shape.candidate(Slot::Timestamp) {
            let read = match draft.tape.node(value) {
                Node::Int(number) => Timestamp::from_number(number as f64),
                Node::Float(number) => Timestamp::from_number(number),
                Node::Text(span) => timestamp::read(draft.tape.text(input, span), context.now),
                Node::Null
                | Node::Bool(_)
                | Node::Array { .. }
                | Node::Object { .. }
                | Node::Key(_)
                | Node::DeadKey => None,
            };
            return match read.filter(|time| *time <= latest) {
                Some(time) => (time, None),
                None => (else_time, Some(RawTime::Sent(value))),
            };
        }
        if let Some(value) = self.shape.structured(Slot::Timestamp) {
            return (else_time, Some(RawTime::Sent(value)));
        }
        let is_too_old = |time: Timestamp| context.oldest.is_some_and(|oldest| time < oldest);
        match (draft.timestamp, draft.leading_time) {
            (Some(time), _) | (None, Some(time)) if time > latest => (else_time, Some(RawTime::Read(time))),
            (None, Some(time)) if is_too_old(time) => (else_time, Some(RawTime::Read(time))),
            (Some(time), _) | (None, Some(time)) => (time, None),
            (None, None) => {
                let ahead = context.wrapping.map(|wrapping| wrapping.time).filter(|time| *time > latest);
                (else_time, ahead.map(RawTime::Read))
            }
        }
    }

    /// The record's level, and the member whose value was none.
    fn level(&self, draft: &Draft, input: &str) -> (Level, Option<NodeIndex>) {
        let Some(Candidate { value, .. }) = self.shape.candidate(Slot::Level) else {
            return (draft.level.unwrap_or_default(), self.shape.structured(Slot::Level));
        };
        let level = match draft.tape.node(value) {
            Node::Int(number) => numeric_level(number),
            Node::Text(span) => {
                let text = draft.tape.text(input, span);
                let text = undecorated(text);
                Level::parse(text).or_else(|| text.parse().ok().and_then(numeric_level))
            }
            Node::Null
            | Node::Bool(_)
            | Node::Float(_)
            | Node::Array { .. }
            | Node::Object { .. }
            | Node::Key(_)
            | Node::DeadKey => None,
        };
        match level {
            Some(level) => (level, None),
            None => (draft.level.unwrap_or_default(), Some(value)),
        }
    }
}

/// The time that is told around a line of a container, unless it lies too far ahead.
fn usable_time(context: &Context<'_>) -> Option<Timestamp> {
    let latest = context.now.plus_millis(AHEAD_MAX_MS);
    context.wrapping.map(|wrapping| wrapping.time).filter(|time| *time <= latest)
}

/// A level without what stands around it in a line: `[ERROR]`, `error:`.
fn undecorated(text: &str) -> &str {
    let around = |sign: char| sign.is_whitespace() || matches!(sign, '[' | ']' | ':');
    text.trim_matches(around)
}

/// A syslog severity (0 to 7), or a level of pino and bunyan (10 to 60).
fn numeric_level(number: i64) -> Option<Level> {
    match number {
        0..=7 => Level::from_syslog_severity(number as u8),
        10 => Some(Level::Trace),
        20 => Some(Level::Debug),
        30 => Some(Level::Info),
        40 => Some(Level::Warn),
        50 => Some(Level::Error),
        60 => Some(Level::Fatal),
        _ => None,
    }
}

/// The text of a plain value; numbers and truth values are printed into `room`. `None` for null and containers.
fn scalar_text<'a>(draft: &'a Draft, input: &'a str, at: NodeIndex, room: &'a mut String) -> Option<&'a str> {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = match draft.tape.node(at) {
        Node::Text(span) => return Some(draft.tape.text(input, span)),
        Node::Int(int) => write!(room, "{int}"),
        Node::Float(float) => write!(room, "{float}"),
        Node::Bool(bool) => write!(room, "{bool}"),
        Node::Null | Node::Array { .. } | Node::Object { .. } | Node::Key(_) | Node::DeadKey => return None,
    };
    Some(room)
}

/// The text of a key.
fn key_text<'a>(draft: &'a Draft, input: &'a str, span: Span) -> &'a str {
    draft.tape.text(input, span)
}

#[cfg(test)]
mod tests;
