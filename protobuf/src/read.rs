//! Reading a message where it lies: fields in their order, nothing copied, nothing recursive.

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field begins before the end of its message and ends behind it.
    #[error("a field is cut off, or its length is a lie")]
    Cut,
    /// A number of more than 64 bits.
    #[error("a number has more than ten bytes")]
    LongVarint,
    /// A wire type that is not in use any more, or never was; or field number 0.
    #[error("a field has a tag that no protocol buffer has")]
    Tag,
    /// A field that is known, with another wire type.
    #[error("a field is not of the type that its message gives it")]
    Type,
    /// A number that is larger than its field can hold.
    #[error("a number is out of range")]
    Range,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'b> {
    /// A number of any kind but the fixed ones.
    Varint(u64),
    /// A `double`, or a number of eight bytes.
    Fixed64(u64),
    /// A `float`, or a number of four bytes.
    Fixed32(u32),
    /// A text, a message, or packed numbers.
    Bytes(&'b [u8]),
}

impl<'b> Field<'b> {
    /// A text, a message, or packed numbers. Errors: it is none.
    pub fn bytes(self) -> Result<&'b [u8], Malformed> {
        if let Field::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed::Type) }
    }

    /// A `double`. Errors: it is none.
    pub fn double(self) -> Result<f64, Malformed> {
        if let Field::Fixed64(bits) = self { Ok(f64::from_bits(bits)) } else { Err(Malformed::Type) }
    }

    /// A `uint64`, an enum or a bool. Errors: it is none.
    pub fn unsigned(self) -> Result<u64, Malformed> {
        if let Field::Varint(number) = self { Ok(number) } else { Err(Malformed::Type) }
    }

    /// An `int64`: two's complement in a varint.
    pub fn signed(self) -> Result<i64, Malformed> {
        self.unsigned().map(u64::cast_signed)
    }
}

/// The fields of a message that are still to be read.
#[derive(Clone, Copy)]
pub struct Message<'b> {
    rest: &'b [u8],
}

/// How long the run of fields is that a message begins with, all of them bytes and of this number (below 16).
pub fn leading_run(bytes: &[u8], number: u8) -> Result<usize, Malformed> {
    let mut rest = bytes;
    while let [tag, behind_tag @ ..] = rest
        && *tag == number << 3 | 2
    {
        let (length, text) = varint(behind_tag)?;
        let length = usize::try_from(length).map_err(|_| Malformed::Cut)?;
        rest = text.get(length..).ok_or(Malformed::Cut)?;
    }
    Ok(bytes.len() - rest.len())
}

impl<'b> Message<'b> {
    /// All of them.
    pub fn new(bytes: &'b [u8]) -> Message<'b> {
        Message { rest: bytes }
    }

    /// The next field and its number; `None` at the end.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it can fail, and is called with `?`; an iterator would go on")]
    pub fn next(&mut self) -> Result<Option<(u64, Field<'b>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed::Tag);
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Cut)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Cut)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err(Malformed::Tag),
        };
        Ok(Some((number, field)))
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Cut)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = varint(self.rest)?;
        self.rest = rest;
        Ok(number)
    }
}

/// A number at the front, and what follows it.
///
/// Errors: it is not whole, or longer than any number.
#[inline]
pub fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    // Tags, lengths and references are nearly all of one byte.
    if let [only @ 0..0x80, rest @ ..] = bytes {
        return Ok((u64::from(*only), rest));
    }
    let mut number = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Ok((number, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() < 10 { Malformed::Cut } else { Malformed::LongVarint })
}

/// The numbers of a repeated field, packed or one by one. What is malformed is the last item.
pub fn numbers(field: Field<'_>) -> impl Iterator<Item = Result<u64, Malformed>> {
    let (mut single, mut packed) = match field {
        Field::Varint(number) => (Some(Ok(number)), &[][..]),
        Field::Bytes(bytes) => (None, bytes),
        Field::Fixed64(_) | Field::Fixed32(_) => (Some(Err(Malformed::Type)), &[][..]),
    };
    std::iter::from_fn(move || {
        if let Some(single) = single.take() {
            return Some(single);
        }
        if packed.is_empty() {
            return None;
        }
        match varint(packed) {
            Ok((number, rest)) => {
                packed = rest;
                Some(Ok(number))
            }
            Err(error) => {
                packed = &[];
                Some(Err(error))
            }
        }
    })
}

/// The numbers of a repeated field of doubles, packed or one by one. What is malformed is the last item.
pub fn doubles(field: Field<'_>) -> impl Iterator<Item = Result<f64, Malformed>> {
    let (mut single, mut packed) = match field {
        Field::Fixed64(bits) => (Some(Ok(f64::from_bits(bits))), &[][..]),
        Field::Bytes(bytes) => (None, bytes),
        Field::Varint(_) | Field::Fixed32(_) => (Some(Err(Malformed::Type)), &[][..]),
    };
    std::iter::from_fn(move || {
        if let Some(single) = single.take() {
            return Some(single);
        }
        if packed.is_empty() {
            return None;
        }
        match packed.split_first_chunk() {
            Some((number, rest)) => {
                packed = rest;
                Some(Ok(f64::from_le_bytes(*number)))
            }
            None => {
                packed = &[];
                Some(Err(Malformed::Cut))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_in_their_order() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let mut message = Message::new(&bytes);
        assert_eq!(message.next(), Ok(Some((1, Field::Varint(150)))));
        assert_eq!(message.next(), Ok(Some((2, Field::Bytes(b"hi")))));
        assert_eq!(message.next(), Ok(Some((3, Field::Fixed32(1)))));
        assert_eq!(message.next().map(|field| field.map(|(_, value)| value.double())), Ok(Some(Ok(1.0))));
        assert_eq!(message.next(), Ok(None));
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for (bytes, error) in [
            (&[0x12, 5, b'x'][..], Malformed::Cut),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Malformed::Cut),
            (&[0x09, 1, 2], Malformed::Cut),
            (&[0x08], Malformed::Cut),
            (&[0x08, 0x80], Malformed::Cut),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Malformed::LongVarint),
            (&[0x0b], Malformed::Tag),
            (&[0x02, 0], Malformed::Tag),
        ] {
            assert_eq!(Message::new(bytes).next(), Err(error), "{bytes:x?}");
        }
        assert_eq!(Field::Varint(1).bytes(), Err(Malformed::Type));
        assert_eq!(Field::Varint(u64::MAX).signed(), Ok(-1));
    }

    #[test]
    fn repeated_numbers_are_packed_or_not() {
        let all = |field| numbers(field).collect::<Vec<_>>();
        assert_eq!(all(Field::Bytes(&[1, 0x80, 0x01, 3])), [Ok(1), Ok(128), Ok(3)]);
        assert_eq!(all(Field::Varint(7)), [Ok(7)]);
        assert_eq!(all(Field::Bytes(&[1, 0x80])), [Ok(1), Err(Malformed::Cut)]);
        assert_eq!(all(Field::Fixed64(7)), [Err(Malformed::Type)]);
        let all = |field| doubles(field).collect::<Vec<_>>();
        let packed = [1.5f64.to_le_bytes(), 2.0f64.to_le_bytes()].concat();
        assert_eq!(all(Field::Bytes(&packed)), [Ok(1.5), Ok(2.0)]);
        assert_eq!(all(Field::Bytes(&packed[..9])), [Ok(1.5), Err(Malformed::Cut)]);
        assert_eq!(all(Field::Fixed64(0)), [Ok(0.0)]);
        assert_eq!(all(Field::Varint(1)), [Err(Malformed::Type)]);
    }

    #[test]
    fn a_run_ends_where_another_field_begins() {
        let bytes = [0x0a, 1, b'a', 0x0a, 0, 0x12, 1, b'b', 0x0a, 0];
        assert_eq!(leading_run(&bytes, 1), Ok(5));
        assert_eq!(leading_run(&bytes, 2), Ok(0));
        assert_eq!(leading_run(&bytes[..2], 1), Err(Malformed::Cut));
        assert_eq!(leading_run(&[], 1), Ok(0));
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut message = Message::new(&bytes);
            let mut fields = 0;
            while let Ok(Some((_, field))) = message.next() {
                fields += 1;
                prop_assert!(numbers(field).count() <= bytes.len() + 1);
            }
            prop_assert!(fields <= bytes.len());
        }
    }
}
