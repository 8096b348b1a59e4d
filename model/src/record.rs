//! A log record, as a tree of values and as the flat bytes that queue and stores keep.
//!
//! The bytes of one record (integers little-endian, `varint` = LEB128):
//!
//! ```text
//! version u8 = 1 | level u8 | timestamp i64 | accepted_at i64 | received_bytes u32 | entry*
//! entry  = core  u8 in 1..=7 | varint length | text             (a column of its own: `Core`)
//!        | 0x10 + root u8    | varint length | path | value     (a leaf below a root: `Root`)
//! value  = 0 null | 1 false | 2 true | 3 i64 | 4 f64 | 5 varint length, text
//!        | 6 varint byte length, value*  (array) | 7 varint byte length, (varint length, key, value)*  (object)
//! path   = the names of nested objects, joined by 0x1f; a leaf is never a non-empty object
//! ```
//! An array is one leaf; objects inside arrays are kept as values of kind 7, and so is an empty object.

use crate::{Level, Timestamp};

/// What joins the names of nested objects in a path. It cannot be confused with a dot in a name.
pub const PATH_SEPARATOR: char = '\u{1f}';

/// Version of the byte form.
const VERSION: u8 = 1;
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

/// Checked bytes of an array's values or an object's members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoded<'a>(&'a [u8]);

/// Bytes that are no record of a version that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged record: {what} at byte {at}")]
pub struct RecordError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, from the start of the record.
    pub at: usize,
}

impl Value {
    /// Appends the byte form of this value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_nested(out, 0);
    }

    fn encode_nested(&self, out: &mut Vec<u8>, depth: usize) {
        match self {
            Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => out.push(0),
            Value::Null => out.push(0),
            Value::Bool(false) => out.push(1),
            Value::Bool(true) => out.push(2),
            Value::Int(int) => {
                out.push(3);
                out.extend_from_slice(&int.to_le_bytes());
            }
            Value::Float(float) => {
                out.push(4);
                out.extend_from_slice(&float.to_le_bytes());
            }
            Value::Text(text) => {
                out.push(5);
                put_text(out, text);
            }
            Value::Array(values) => put_block(out, 6, |out| {
                for value in values {
                    value.encode_nested(out, depth + 1);
                }
            }),
            Value::Object(members) => put_block(out, 7, |out| {
                for (name, value) in members {
                    put_text(out, name);
                    value.encode_nested(out, depth + 1);
                }
            }),
        }
    }
}

/// Writes a tag, the byte length of what `fill` appends, and that.
fn put_block(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let mut inner = Vec::new();
    fill(&mut inner);
    put_varint(out, inner.len());
    out.extend_from_slice(&inner);
}

fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends one record to a buffer. A column may be written once only.
pub struct RecordWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> RecordWriter<'a> {
    /// Starts a record at the end of `out`.
    pub fn new(
        out: &'a mut Vec<u8>,
        timestamp: Timestamp,
        accepted_at: Timestamp,
        level: Level,
        received_bytes: u32,
    ) -> RecordWriter<'a> {
        out.push(VERSION);
        out.push(level as u8);
        out.extend_from_slice(&timestamp.millis().to_le_bytes());
        out.extend_from_slice(&accepted_at.millis().to_le_bytes());
        out.extend_from_slice(&received_bytes.to_le_bytes());
        RecordWriter { out }
    }

    /// One of the record's own texts.
    pub fn core(&mut self, column: Core, text: &str) {
        self.out.push(column as u8);
        put_text(self.out, text);
    }

    /// A leaf with a plain value. `path` joins names by [`PATH_SEPARATOR`].
    pub fn leaf(&mut self, root: Root, path: &str, value: ValueRef<'_>) {
        self.leaf_name(root, path);
        let out = &mut *self.out;
        match value {
            ValueRef::Null => out.push(0),
            ValueRef::Bool(bool) => out.push(1 + u8::from(bool)),
            ValueRef::Int(int) => {
                out.push(3);
                out.extend_from_slice(&int.to_le_bytes());
            }
            ValueRef::Float(float) => {
                out.push(4);
                out.extend_from_slice(&float.to_le_bytes());
            }
            ValueRef::Text(text) => {
                out.push(5);
                put_text(out, text);
            }
            ValueRef::Array(Encoded(bytes)) => {
                out.push(6);
                put_varint(out, bytes.len());
                out.extend_from_slice(bytes);
            }
            ValueRef::Object(Encoded(bytes)) => {
                out.push(7);
                put_varint(out, bytes.len());
                out.extend_from_slice(bytes);
            }
        }
    }

    /// A tree of values below a root: objects become leaves of their own, names joined.
    pub fn tree(&mut self, root: Root, name: &str, value: &Value) {
        let mut path = name.to_owned();
        self.tree_below(root, &mut path, value, 0);
    }

    fn tree_below(&mut self, root: Root, path: &mut String, value: &Value, depth: usize) {
        match value {
            Value::Object(members) if !members.is_empty() && depth < DEPTH_MAX => {
                let length = path.len();
                for (name, value) in members {
                    path.push(PATH_SEPARATOR);
                    path.push_str(name);
                    self.tree_below(root, path, value, depth + 1);
                    path.truncate(length);
                }
            }
            value => {
                self.leaf_name(root, path);
                value.encode_nested(self.out, depth);
            }
        }
    }

    fn leaf_name(&mut self, root: Root, path: &str) {
        self.out.push(ROOT_TAG + root as u8);
        put_text(self.out, path);
    }
}

impl LogRecord {
    /// Appends the byte form of this record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = RecordWriter::new(out, self.timestamp, self.accepted_at, self.level, self.received_bytes);
        writer.core(Core::Message, &self.message);
        writer.core(Core::Service, &self.service);
        writer.core(Core::Id, &self.id);
        let optional = [
            (Core::Source, &self.source),
            (Core::Host, &self.host),
            (Core::CorrelationId, &self.correlation_id),
            (Core::UserId, &self.user_id),
        ];
        for (column, text) in optional {
            if let Some(text) = text {
                writer.core(column, text);
            }
        }
        for (name, value) in &self.tags {
            writer.leaf(Root::Tags, name, ValueRef::Text(value));
        }
        let trees = [
            (Root::Fields, &self.fields),
            (Root::ErrorDetails, &self.error_details),
            (Root::PerformanceMetrics, &self.performance_metrics),
            (Root::Insight, &self.insight),
        ];
        for (root, fields) in trees {
            for (name, value) in fields {
                writer.tree(root, name, value);
            }
        }
    }

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

impl<'a> Encoded<'a> {
    /// The values of a list.
    pub fn values(self) -> impl Iterator<Item = ValueRef<'a>> {
        let mut cursor = Checked::new(self.0, 0);
        std::iter::from_fn(move || (!cursor.at_end()).then(|| cursor.value(0).ok()).flatten())
    }

    /// The members of an object.
    pub fn members(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        let mut cursor = Checked::new(self.0, 0);
        std::iter::from_fn(move || {
            if cursor.at_end() {
                return None;
            }
            Some((cursor.text().ok()?, cursor.value(0).ok()?))
        })
    }

    /// The bytes, as they stand in a record.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Checks the values of a list read from elsewhere (a column, say).
    pub fn check_values(bytes: &'a [u8]) -> Result<Encoded<'a>, RecordError> {
        Unchecked::new(bytes, 0).check_values(0)?;
        Ok(Encoded(bytes))
    }

    /// Checks the members of an object read from elsewhere.
    pub fn check_members(bytes: &'a [u8]) -> Result<Encoded<'a>, RecordError> {
        Unchecked::new(bytes, 0).check_members(0)?;
        Ok(Encoded(bytes))
    }
}

/// A record read in place.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    bytes: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Checks every entry, so that reading cannot fail afterwards.
    pub fn parse(bytes: &'a [u8]) -> Result<RecordView<'a>, RecordError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RecordError { what: "shorter than its header", at: bytes.len() });
        }
        if bytes[0] != VERSION {
            return Err(RecordError { what: "unknown version", at: 0 });
        }
        if Level::from_u8(bytes[1]).is_none() {
            return Err(RecordError { what: "unknown level", at: 1 });
        }
        let mut cursor = Unchecked::new(bytes, HEADER_BYTES);
        while !cursor.at_end() {
            cursor.entry()?;
        }
        Ok(RecordView { bytes })
    }

    fn i64_at(&self, at: usize) -> i64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        i64::from_le_bytes(eight)
    }

    /// When it happened.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.i64_at(2))
    }

    /// When this server accepted it.
    pub fn accepted_at(&self) -> Timestamp {
        Timestamp::from_millis(self.i64_at(10))
    }

    /// Its severity.
    pub fn level(&self) -> Level {
        Level::from_u8(self.bytes[1]).unwrap_or_default()
    }

    /// Size on the wire, bytes.
    pub fn received_bytes(&self) -> u32 {
        u32::from_le_bytes([self.bytes[18], self.bytes[19], self.bytes[20], self.bytes[21]])
    }

    /// Every column that this record has, with its value, in the order of writing.
    pub fn entries(&self) -> impl Iterator<Item = (Column<'a>, ValueRef<'a>)> + use<'a> {
        let mut cursor = Checked::new(self.bytes, HEADER_BYTES);
        std::iter::from_fn(move || (!cursor.at_end()).then(|| cursor.entry().ok()).flatten())
    }

    /// One of the record's own texts.
    pub fn core(&self, wanted: Core) -> Option<&'a str> {
        self.entries().find_map(|(column, value)| match (column, value) {
            (Column::Core(core), ValueRef::Text(text)) if core == wanted => Some(text),
            _ => None,
        })
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// An owned copy, as a tree.
    pub fn to_record(&self) -> LogRecord {
        let mut record = LogRecord {
            timestamp: self.timestamp(),
            accepted_at: self.accepted_at(),
            level: self.level(),
            received_bytes: self.received_bytes(),
            ..LogRecord::default()
        };
        for (column, value) in self.entries() {
            record.put(column, value);
        }
        record
    }
}

/// Reads entries and values. `CHECKED` says that a cursor which was not has read these bytes to their end before:
/// only [`RecordView::parse`], [`Encoded::check_values`] and [`Encoded::check_members`] make what others read.
struct Cursor<'a, const CHECKED: bool> {
    bytes: &'a [u8],
    at: usize,
}

type Checked<'a> = Cursor<'a, true>;
type Unchecked<'a> = Cursor<'a, false>;

impl<'a, const CHECKED: bool> Cursor<'a, CHECKED> {
    fn new(bytes: &'a [u8], at: usize) -> Cursor<'a, CHECKED> {
        Cursor { bytes, at }
    }

    fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, RecordError> {
        Err(RecordError { what, at: self.at })
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        let Some(byte) = self.bytes.get(self.at) else { return self.fail("cut short") };
        self.at += 1;
        Ok(*byte)
    }

    fn eight(&mut self) -> Result<[u8; 8], RecordError> {
        let Some(bytes) = self.bytes.get(self.at..self.at + 8) else { return self.fail("cut short") };
        self.at += 8;
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        Ok(eight)
    }

    fn block(&mut self) -> Result<&'a [u8], RecordError> {
        let mut length = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
                let Some(end) = end else { return self.fail("a length beyond the end") };
                let block = &self.bytes[self.at..end];
                self.at = end;
                return Ok(block);
            }
        }
        self.fail("a length of more than five bytes")
    }

    fn text(&mut self) -> Result<&'a str, RecordError> {
        let block = self.block()?;
        if CHECKED {
            // SAFETY: these bytes were read by an unchecked cursor before, in the same steps, which refuses texts
            // that are not UTF-8; nothing can change them while they are borrowed.
            return Ok(unsafe { std::str::from_utf8_unchecked(block) });
        }
        match std::str::from_utf8(block) {
            Ok(text) => Ok(text),
            Err(_) => self.fail("text that is not UTF-8"),
        }
    }

    fn entry(&mut self) -> Result<(Column<'a>, ValueRef<'a>), RecordError> {
        let tag = self.byte()?;
        if let Some(core) = Core::from_u8(tag) {
            return Ok((Column::Core(core), ValueRef::Text(self.text()?)));
        }
        let root = tag.checked_sub(ROOT_TAG).and_then(|number| Root::ALL.get(usize::from(number)));
        let Some(root) = root else { return self.fail("unknown kind of entry") };
        let path = self.text()?;
        Ok((Column::Leaf(*root, path), self.value(0)?))
    }

    fn value(&mut self, depth: usize) -> Result<ValueRef<'a>, RecordError> {
        Ok(match self.byte()? {
            0 => ValueRef::Null,
            1 => ValueRef::Bool(false),
            2 => ValueRef::Bool(true),
            3 => ValueRef::Int(i64::from_le_bytes(self.eight()?)),
            4 => ValueRef::Float(f64::from_le_bytes(self.eight()?)),
            5 => ValueRef::Text(self.text()?),
            kind @ (6 | 7) => {
                if depth > DEPTH_MAX {
                    return self.fail("nested too deep");
                }
                let block = self.block()?;
                let mut inner = Cursor::<CHECKED>::new(block, 0);
                if kind == 6 {
                    if !CHECKED {
                        inner.check_values(depth)?;
                    }
                    ValueRef::Array(Encoded(block))
                } else {
                    if !CHECKED {
                        inner.check_members(depth)?;
                    }
                    ValueRef::Object(Encoded(block))
                }
            }
            _ => return self.fail("unknown kind of value"),
        })
    }

    fn check_values(&mut self, depth: usize) -> Result<(), RecordError> {
        while !self.at_end() {
            self.value(depth + 1)?;
        }
        Ok(())
    }

    fn check_members(&mut self, depth: usize) -> Result<(), RecordError> {
        while !self.at_end() {
            self.text()?;
            self.value(depth + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e9f64..1e9).prop_map(Value::Float),
            ".{0,12}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[a-z.]{1,6}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn fields() -> impl Strategy<Value = Fields> {
        prop::collection::btree_map("[a-z.]{1,8}", value(), 0..5).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn records_read_back_as_written(
            (timestamp, accepted) in any::<(i64, i64)>(),
            level in 0u8..8,
            message in ".{0,40}",
            host in prop::option::of(".{0,8}"),
            tags in prop::collection::btree_map(".{1,6}", ".{0,6}", 0..3),
            fields in fields(),
            error_details in fields(),
        ) {
            let record = LogRecord {
                timestamp: Timestamp::from_millis(timestamp),
                accepted_at: Timestamp::from_millis(accepted),
                level: Level::from_u8(level).expect("in range"),
                message, host, fields, error_details,
                tags: tags.into_iter().collect(),
                received_bytes: 7,
                ..LogRecord::default()
            };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let view = RecordView::parse(&bytes).expect("just written");
            prop_assert_eq!(view.to_record(), record);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(view) = RecordView::parse(&bytes) { let _ = view.to_record(); }
        }

        #[test]
        fn a_flipped_byte_is_an_error_or_another_record(at in 0usize..400, bit in 0u8..8, fields in fields()) {
            let mut bytes = Vec::new();
            LogRecord { message: "hello".into(), fields, ..LogRecord::default() }.encode(&mut bytes);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(view) = RecordView::parse(&bytes) { let _ = view.to_record(); }
        }
    }

    #[test]
    fn deep_nesting_is_cut_not_overflowed() {
        let mut value = Value::Int(1);
        for _ in 0..10_000 {
            value = Value::Array(vec![value]);
        }
        let mut bytes = Vec::new();
        let mut writer = RecordWriter::new(&mut bytes, Timestamp::default(), Timestamp::default(), Level::Info, 0);
        writer.tree(Root::Fields, "deep", &value);
        assert!(RecordView::parse(&bytes).is_ok());
        // Dropping a value nested this deep would recurse as deep; take it apart by hand.
        while let Value::Array(mut inner) = value {
            value = inner.pop().unwrap_or(Value::Null);
        }
    }
}
