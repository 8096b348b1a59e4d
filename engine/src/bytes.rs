//! Reading and writing the integers of our byte layouts; reading never panics.

/// Bytes that end too early or hold what they must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes are damaged: {0}")]
pub struct Damaged(pub &'static str);

/// Appends an unsigned LEB128 integer.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, small magnitudes short.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends a value: integers below 2^52 as varints, anything else as its eight bytes. Bit-exact.
///
/// ```text
/// varint (zigzag(i) + 1) for an integer i, or varint 0 and 8 bytes
/// ```
pub(crate) fn put_value(out: &mut Vec<u8>, value: f64) {
    let integer = value as i64;
    if (integer as f64).to_bits() == value.to_bits() && integer.unsigned_abs() < 1 << 52 {
        put_varint(out, zigzag(integer) + 1);
    } else {
        out.push(0);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// The seven low bits of each byte, together.
#[inline]
const fn sevens(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
    (word & 0x0fff_ffff) | ((word >> 4) & 0x00ff_ffff_f000_0000)
}

/// A place in bytes that came from a disk.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Damaged("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Damaged("it ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Damaged> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Damaged> {
        self.u64().map(f64::from_bits)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        if let Some(word) = self.rest.first_chunk() {
            let word = u64::from_le_bytes(*word);
            // Of the first byte that none follows.
            let bits = (!word & 0x8080_8080_8080_8080).trailing_zeros() + 1;
            if let Some(above) = 64u32.checked_sub(bits) {
                self.rest = self.rest.get(bits as usize / 8..).unwrap_or_default();
                return Ok(sevens(word & (u64::MAX >> above)));
            }
        }
        self.long_varint()
    }

    /// One that is near the end, or nearly as long as there are any.
    #[cold]
    fn long_varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Damaged("an integer is too long"));
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged("an integer is too long"))
    }

    /// A count or length that must not exceed `limit`.
    pub(crate) fn length(&mut self, limit: usize) -> Result<usize, Damaged> {
        let value = self.varint()?;
        usize::try_from(value).ok().filter(|length| *length <= limit).ok_or(Damaged("a length is too large"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.varint()?).map_err(|_| Damaged("an integer is too large"))
    }

    #[inline]
    pub(crate) fn zigzag(&mut self) -> Result<i64, Damaged> {
        self.varint().map(unzigzag)
    }

    pub(crate) fn value(&mut self) -> Result<f64, Damaged> {
        match self.varint()? {
            0 => self.f64(),
            code => Ok(unzigzag(code - 1) as f64),
        }
    }

    /// Steps over a value.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<(), Damaged> {
        match self.varint()? {
            0 => self.take(size_of::<f64>()).map(drop),
            _ => Ok(()),
        }
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.length(self.rest.len())?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint_bytes(value: u64) -> usize {
        (64 - value.leading_zeros() as usize).div_ceil(7).max(1)
    }

    proptest! {
        #[test]
        fn integers_and_values_read_back(u in (any::<u64>(), 0u32..64).prop_map(|(u, shift)| u >> shift), i in any::<i64>(), bits in any::<u64>(), small in -1000i64..1000) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, u);
            put_zigzag(&mut bytes, i);
            for value in [f64::from_bits(bits), small as f64, -0.0, f64::INFINITY, f64::NAN, 4503599627370496.0] {
                put_value(&mut bytes, value);
            }
            let mut cursor = Cursor::new(&bytes);
            for end in 0..10 {
                let (mut cut, whole) = (Cursor::new(bytes.get(..end).unwrap_or_default()), varint_bytes(u) <= end);
                prop_assert_eq!(cut.varint().is_ok(), whole, "{} bytes", end);
            }
            prop_assert_eq!(cursor.varint(), Ok(u));
            prop_assert_eq!(cursor.zigzag(), Ok(i));
            let mut skipping = cursor;
            prop_assert!((0..6).all(|_| skipping.skip_value().is_ok()) && skipping.is_empty());
            for value in [f64::from_bits(bits), small as f64, -0.0, f64::INFINITY, f64::NAN, 4503599627370496.0] {
                prop_assert_eq!(cursor.value().map(f64::to_bits), Ok(value.to_bits()));
            }
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor::new(&bytes);
            while cursor.varint().is_ok() && cursor.value().is_ok() && cursor.text().is_ok() {}
        }
    }
}
