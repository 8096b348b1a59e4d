//! Writing the bytes of a record.

use super::{
    Core, DEPTH_MAX, LogRecord, MARK_IMPORTED, PATH_SEPARATOR, ROOT_TAG, Root, VERSION, VERSION_WITH_MARKS, Value,
    ValueRef,
};
use crate::{Level, Timestamp};

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
            Value::Int(int) => put_number(out, 3, int.to_le_bytes()),
            Value::Float(float) => put_number(out, 4, float.to_le_bytes()),
            Value::Text(text) => put_tagged(out, 5, text.as_bytes()),
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
    let mut inner = Vec::new();
    fill(&mut inner);
    put_tagged(out, tag, &inner);
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

/// A tag, a length, and so many bytes.
#[inline]
fn put_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    if let Ok(length @ 0..0x80) = u8::try_from(bytes.len()) {
        out.extend_from_slice(&[tag, length]);
    } else {
        out.push(tag);
        put_varint(out, bytes.len());
    }
    out.extend_from_slice(bytes);
}

/// A tag and the eight bytes of a number.
#[inline]
fn put_number(out: &mut Vec<u8>, tag: u8, bytes: [u8; 8]) {
    let mut all = [tag; 9];
    all[1..].copy_from_slice(&bytes);
    out.extend_from_slice(&all);
}

/// Appends one record to a buffer. A column may be written once only.
pub struct RecordWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the record starts.
    start: usize,
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
        let start = out.len();
        out.push(VERSION);
        out.push(level as u8);
        out.extend_from_slice(&timestamp.millis().to_le_bytes());
        out.extend_from_slice(&accepted_at.millis().to_le_bytes());
        out.extend_from_slice(&received_bytes.to_le_bytes());
        RecordWriter { out, start }
    }

    /// Marks the record as imported: it is counted at its event time.
    pub fn mark_imported(&mut self) {
        if let Some([version, level, ..]) = self.out.get_mut(self.start..) {
            *version = VERSION_WITH_MARKS;
            *level |= MARK_IMPORTED;
        }
    }

    /// One of the record's own texts.
    pub fn core(&mut self, column: Core, text: &str) {
        put_tagged(self.out, column as u8, text.as_bytes());
    }

    /// A leaf with a plain value. `path` joins names by [`PATH_SEPARATOR`].
    pub fn leaf(&mut self, root: Root, path: &str, value: ValueRef<'_>) {
        self.leaf_name(root, path);
        let out = &mut *self.out;
        match value {
            ValueRef::Null => out.push(0),
            ValueRef::Bool(bool) => out.push(1 + u8::from(bool)),
            ValueRef::Int(int) => put_number(out, 3, int.to_le_bytes()),
            ValueRef::Float(float) => put_number(out, 4, float.to_le_bytes()),
            ValueRef::Text(text) => put_tagged(out, 5, text.as_bytes()),
            ValueRef::Array(values) => put_tagged(out, 6, values.bytes()),
            ValueRef::Object(members) => put_tagged(out, 7, members.bytes()),
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
        put_tagged(self.out, ROOT_TAG + root as u8, path.as_bytes());
    }
}
impl LogRecord {
    /// Appends the byte form of this record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = RecordWriter::new(out, self.timestamp, self.accepted_at, self.level, self.received_bytes);
        if self.imported {
            writer.mark_imported();
        }
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
}
