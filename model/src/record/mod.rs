//! A log record, as a tree of values and as the flat bytes that queue and stores keep.
//!
//! The bytes of one record (integers little-endian, `varint` = LEB128):
//!
//! ```text
//! version u8 | level u8 | timestamp i64 | accepted_at i64 | received_bytes u32 | entry*
//! entry  = core  u8 in 1..=7 | varint length | text             (a column of its own: `Core`)
//!        | 0x10 + root u8    | varint length | path | value     (a leaf below a root: `Root`)
//! value  = 0 null | 1 false | 2 true | 3 i64 | 4 f64 | 5 varint length, text
//!        | 6 varint byte length, value*  (array) | 7 varint byte length, (varint length, key, value)*  (object)
//! path   = the names of nested objects, joined by 0x1f; a leaf is never a non-empty object
//! ```
//! Version 1 knows no marks; in version 2 bit 7 of the level says that the record was imported. A record without marks is
//! written as version 1.
//!
//! An array is one leaf; objects inside arrays are kept as values of kind 7, and so is an empty object.

mod read;
mod write;

use crate::{Level, Timestamp};

pub use read::{Encoded, RecordReader, RecordView};
pub use write::RecordWriter;

/// What joins the names of nested objects in a path. It cannot be confused with a dot in a name.
pub const PATH_SEPARATOR: char = '\u{1f}';

/// Version of the byte form.
const VERSION: u8 = 1;
const VERSION_WITH_MARKS: u8 = 2;
const MARK_IMPORTED: u8 = 0x80;
const HEADER_BYTES: usize = 22;
const ROOT_TAG: u8 = 0x10;
/// Deepest nesting of values that is read or written; deeper parts are cut to null.
pub const DEPTH_MAX: usize = 64;

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with decimals, or beyond `i64`.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    Array(Vec<Value>),
    /// Named values; the last of equal names counts.
    Object(Fields),
}

/// Named values in the order in which they came.
pub type Fields = Vec<(String, Value)>;

/// A record with everything in it; the hot paths use [`RecordView`] and [`RecordWriter`] instead.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LogRecord {
    /// When it happened.
    pub timestamp: Timestamp,
    /// When this server accepted it.
    pub accepted_at: Timestamp,
    /// Its severity.
    pub level: Level,
    /// The message, never absent.
    pub message: String,
    /// Who logged it; filled from source, host, or `unknown`.
    pub service: String,
    /// Where it came from.
    pub source: Option<String>,
    /// On which machine.
    pub host: Option<String>,
    /// Opaque unique id.
    pub id: String,
    /// What joins records of one request.
    pub correlation_id: Option<String>,
    /// On whose behalf.
    pub user_id: Option<String>,
    /// Text by name.
    pub tags: Vec<(String, String)>,
    /// Everything else that was sent.
    pub fields: Fields,
    /// Details of an error.
    pub error_details: Fields,
    /// Measured figures.
    pub performance_metrics: Fields,
    /// What analysis added.
    pub insight: Fields,
    /// Size on the wire, bytes.
    pub received_bytes: u32,
    /// Whether it was imported: then it is counted at its event time.
    pub imported: bool,
}

/// A text column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Core {
    /// `message`
    Message = 1,
    /// `service`
    Service = 2,
    /// `source`
    Source = 3,
    /// `host`
    Host = 4,
    /// `id`
    Id = 5,
    /// `correlation_id`
    CorrelationId = 6,
    /// `user_id`
    UserId = 7,
}

impl Core {
    /// All of them, in order of their numbers.
    pub const ALL: [Core; 7] =
        [Core::Message, Core::Service, Core::Source, Core::Host, Core::Id, Core::CorrelationId, Core::UserId];

    /// The field's name outside.
    pub const fn name(self) -> &'static str {
        match self {
            Core::Message => "message",
            Core::Service => "service",
            Core::Source => "source",
            Core::Host => "host",
            Core::Id => "id",
            Core::CorrelationId => "correlation_id",
            Core::UserId => "user_id",
        }
    }

    fn from_u8(number: u8) -> Option<Core> {
        Core::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// An object of the record whose leaves are columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Root {
    /// `tags`
    Tags = 0,
    /// `fields`
    Fields = 1,
    /// `error_details`
    ErrorDetails = 2,
    /// `performance_metrics`
    PerformanceMetrics = 3,
    /// `insight`
    Insight = 4,
}

impl Root {
    /// All of them, in order of their numbers.
    pub const ALL: [Root; 5] = [Root::Tags, Root::Fields, Root::ErrorDetails, Root::PerformanceMetrics, Root::Insight];

    /// The object's name outside.
    pub const fn name(self) -> &'static str {
        match self {
            Root::Tags => "tags",
            Root::Fields => "fields",
            Root::ErrorDetails => "error_details",
            Root::PerformanceMetrics => "performance_metrics",
            Root::Insight => "insight",
        }
    }
}

/// Which column a value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column<'a> {
    /// One of the record's own texts.
    Core(Core),
    /// A leaf: path (names joined by [`PATH_SEPARATOR`]) below a root.
    Leaf(Root, &'a str),
}

/// A value in the bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with decimals.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// The encoded values of a list, checked.
    Array(Encoded<'a>),
    /// The encoded members of an object (inside a list, or empty), checked.
    Object(Encoded<'a>),
}

/// Bytes that are no record of a version that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged record: {what} at byte {at}")]
pub struct RecordError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, from the start of the record.
    pub at: usize,
}

impl LogRecord {
    /// Puts a value read from the bytes of a record where it belongs.
    pub fn put(&mut self, column: Column<'_>, value: ValueRef<'_>) {
        match (column, value) {
            (Column::Core(core), ValueRef::Text(text)) => {
                let text = text.to_owned();
                match core {
                    Core::Message => self.message = text,
                    Core::Service => self.service = text,
                    Core::Id => self.id = text,
                    Core::Source => self.source = Some(text),
                    Core::Host => self.host = Some(text),
                    Core::CorrelationId => self.correlation_id = Some(text),
                    Core::UserId => self.user_id = Some(text),
                }
            }
            (Column::Core(_), _) => {}
            (Column::Leaf(Root::Tags, name), ValueRef::Text(text)) => {
                self.tags.push((name.to_owned(), text.to_owned()))
            }
            (Column::Leaf(Root::Tags, _), _) => {}
            (Column::Leaf(Root::Fields, path), value) => insert(&mut self.fields, path, value),
            (Column::Leaf(Root::ErrorDetails, path), value) => insert(&mut self.error_details, path, value),
            (Column::Leaf(Root::PerformanceMetrics, path), value) => insert(&mut self.performance_metrics, path, value),
            (Column::Leaf(Root::Insight, path), value) => insert(&mut self.insight, path, value),
        }
    }
}
/// Puts a leaf into the tree that its path describes.
fn insert(mut fields: &mut Fields, path: &str, value: ValueRef<'_>) {
    let mut names = path.split(PATH_SEPARATOR).peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            fields.push((name.to_owned(), value.to_value()));
            return;
        }
        let at = fields.iter().position(|(have, value)| have == name && matches!(value, Value::Object(_)));
        let at = at.unwrap_or_else(|| {
            fields.push((name.to_owned(), Value::Object(Vec::new())));
            fields.len() - 1
        });
        let Value::Object(inner) = &mut fields[at].1 else { return };
        fields = inner;
    }
}

impl ValueRef<'_> {
    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(bool) => Value::Bool(bool),
            ValueRef::Int(int) => Value::Int(int),
            ValueRef::Float(float) => Value::Float(float),
            ValueRef::Text(text) => Value::Text(text.to_owned()),
            ValueRef::Array(list) => Value::Array(list.values().map(ValueRef::to_value).collect()),
            ValueRef::Object(object) => {
                Value::Object(object.members().map(|(name, value)| (name.to_owned(), value.to_value())).collect())
            }
        }
    }
}
#[cfg(test)]
mod tests;
