//! One value as it lies in a column: its tag, and its bytes not looked into.

use watchfire_model::record::{Encoded, ValueRef};

/// Kinds of values; the numbers are those of the record's byte form, and stand on disk.
pub(crate) mod tag {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INT: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const TEXT: u8 = 5;
    pub const ARRAY: u8 = 6;
    pub const OBJECT: u8 = 7;
    /// How many kinds there are.
    pub const COUNT: usize = 8;

    /// Whether values of this kind have bytes of their own.
    pub const fn has_bytes(tag: u8) -> bool {
        tag >= TEXT
    }
}

/// A value whose text has not been checked again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
    Array(&'a [u8]),
    Object(&'a [u8]),
}

impl<'a> Raw<'a> {
    pub fn of(value: ValueRef<'a>) -> Raw<'a> {
        match value {
            ValueRef::Null => Raw::Null,
            ValueRef::Bool(bool) => Raw::Bool(bool),
            ValueRef::Int(int) => Raw::Int(int),
            ValueRef::Float(float) => Raw::Float(float),
            ValueRef::Text(text) => Raw::Text(text.as_bytes()),
            ValueRef::Array(list) => Raw::Array(list.bytes()),
            ValueRef::Object(object) => Raw::Object(object.bytes()),
        }
    }

    /// The checked value; `None` if its bytes are damaged.
    pub fn value(self) -> Option<ValueRef<'a>> {
        Some(match self {
            Raw::Null => ValueRef::Null,
            Raw::Bool(bool) => ValueRef::Bool(bool),
            Raw::Int(int) => ValueRef::Int(int),
            Raw::Float(float) => ValueRef::Float(float),
            Raw::Text(text) => ValueRef::Text(std::str::from_utf8(text).ok()?),
            Raw::Array(bytes) => ValueRef::Array(Encoded::check_values(bytes).ok()?),
            Raw::Object(bytes) => ValueRef::Object(Encoded::check_members(bytes).ok()?),
        })
    }

    pub fn tag(self) -> u8 {
        match self {
            Raw::Null => tag::NULL,
            Raw::Bool(false) => tag::FALSE,
            Raw::Bool(true) => tag::TRUE,
            Raw::Int(_) => tag::INT,
            Raw::Float(_) => tag::FLOAT,
            Raw::Text(_) => tag::TEXT,
            Raw::Array(_) => tag::ARRAY,
            Raw::Object(_) => tag::OBJECT,
        }
    }

    /// The number's bits; 0 for other kinds.
    pub fn bits(self) -> u64 {
        match self {
            Raw::Int(int) => int as u64,
            Raw::Float(float) => float.to_bits(),
            _ => 0,
        }
    }

    /// The value's own bytes; empty for kinds without.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Raw::Text(bytes) | Raw::Array(bytes) | Raw::Object(bytes) => bytes,
            _ => &[],
        }
    }

    /// From a tag and what [`Raw::bits`] and [`Raw::bytes`] gave; `None` for an unknown tag.
    pub fn from_parts(tag: u8, bits: u64, bytes: &'a [u8]) -> Option<Raw<'a>> {
        Some(match tag {
            tag::NULL => Raw::Null,
            tag::FALSE => Raw::Bool(false),
            tag::TRUE => Raw::Bool(true),
            tag::INT => Raw::Int(bits as i64),
            tag::FLOAT => Raw::Float(f64::from_bits(bits)),
            tag::TEXT => Raw::Text(bytes),
            tag::ARRAY => Raw::Array(bytes),
            tag::OBJECT => Raw::Object(bytes),
            _ => return None,
        })
    }
}
