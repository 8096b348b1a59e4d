//! Writing a message, field by field.

/// Appends a number as a varint.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends fields to a message. A field with its default value is left out, as proto3 does.
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    /// Appends to these bytes.
    pub fn new(out: &'o mut Vec<u8>) -> Writer<'o> {
        Writer { out }
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        put_varint(self.out, u64::from(number) << 3 | wire_type);
    }

    /// A text or bytes.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        if !value.is_empty() {
            self.tag(number, 2);
            put_varint(self.out, value.len() as u64);
            self.out.extend_from_slice(value);
        }
    }

    /// An `int64`, or any number that fits one.
    pub fn signed(&mut self, number: u32, value: i64) {
        if value != 0 {
            self.tag(number, 0);
            put_varint(self.out, value.cast_unsigned());
        }
    }

    /// A number as a varint, also 0.
    pub fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        put_varint(self.out, value);
    }

    /// A `sint32` or `sint64`, also 0.
    pub fn zigzag(&mut self, number: u32, value: i64) {
        self.varint(number, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// A number of eight bytes, or the bits of a `double`, also 0.
    pub fn fixed64(&mut self, number: u32, value: u64) {
        self.tag(number, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Fields that are written already.
    pub fn raw(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    /// A `double`. Zero is left out, the negative one is not.
    pub fn double(&mut self, number: u32, value: f64) {
        if value.to_bits() != 0 {
            self.fixed64(number, value.to_bits());
        }
    }

    /// Repeated `double`s, packed.
    pub fn doubles(&mut self, number: u32, values: impl ExactSizeIterator<Item = f64>) {
        if values.len() > 0 {
            self.tag(number, 2);
            put_varint(self.out, values.len() as u64 * 8);
            values.for_each(|value| self.out.extend_from_slice(&value.to_le_bytes()));
        }
    }

    /// A message within, also an empty one.
    pub fn message(&mut self, number: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.tag(number, 2);
        let begun = self.out.len();
        write(&mut Writer { out: self.out });
        let length = self.out.len() - begun;
        let mut head = Vec::with_capacity(10);
        put_varint(&mut head, length as u64);
        // Messages within are short; moving them costs less than measuring them first.
        self.out.splice(begun..begun, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, Message};

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let mut message = Writer::new(&mut out);
        message.bytes(1, b"text");
        message.bytes(2, b"");
        message.signed(3, -1);
        message.signed(4, 0);
        message.double(5, -0.0);
        message.message(6, |inner| inner.double(1, 1.5));
        message.message(16, |_| {});
        message.varint(7, 0);
        message.fixed64(8, 0);
        message.zigzag(8, -2);
        message.raw(&[0x48, 5]);
        message.doubles(10, [].into_iter());
        message.doubles(11, [1.5].into_iter());
        let mut inner = Vec::new();
        Writer::new(&mut inner).double(1, 1.5);
        let mut fields = Message::new(&out);
        let mut next = || fields.next().expect("a message");
        assert_eq!(next(), Some((1, Field::Bytes(b"text"))));
        assert_eq!(next(), Some((3, Field::Varint(u64::MAX))));
        assert_eq!(next(), Some((5, Field::Fixed64(1 << 63))));
        assert_eq!(next(), Some((6, Field::Bytes(&inner))));
        assert_eq!(next(), Some((16, Field::Bytes(b""))));
        assert_eq!(next(), Some((7, Field::Varint(0))));
        assert_eq!(next(), Some((8, Field::Fixed64(0))));
        assert_eq!(next(), Some((8, Field::Varint(3))));
        assert_eq!(next(), Some((9, Field::Varint(5))));
        assert_eq!(next(), Some((11, Field::Bytes(&1.5f64.to_le_bytes()))));
        assert_eq!(next(), None);
    }
}
