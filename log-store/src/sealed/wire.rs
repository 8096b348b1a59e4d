//! Integers and bytes as the directory and the manifest write them. Little-endian; `varint` is LEB128.

/// Bytes that end early or say what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged: {what} at byte {at}")]
pub(crate) struct WireError {
    pub what: &'static str,
    pub at: usize,
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A signed number; small ones of either sign are short.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_varint(out, zigzag(number));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Signed numbers as unsigned ones, small ones of either sign small.
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads from the front of a slice; nothing is trusted.
#[derive(Clone, Debug)]
pub(crate) struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Wire<'a> {
    pub fn new(bytes: &'a [u8]) -> Wire<'a> {
        Wire { bytes, at: 0 }
    }

    pub fn fail<T>(&self, what: &'static str) -> Result<T, WireError> {
        Err(WireError { what, at: self.at })
    }

    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(count);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else { return self.fail("cut short") };
        self.at += count;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?.first().copied().unwrap_or(0))
    }

    pub fn u32(&mut self) -> Result<u32, WireError> {
        let mut four = [0; 4];
        four.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(four))
    }

    pub fn u64(&mut self) -> Result<u64, WireError> {
        let mut eight = [0; 8];
        eight.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(eight))
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.bytes.get(self.at) else { return self.fail("cut short") };
            self.at += 1;
            if shift == 63 && *byte > 1 {
                return self.fail("a number beyond 64 bits");
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        self.fail("a number beyond 64 bits")
    }

    pub fn signed(&mut self) -> Result<i64, WireError> {
        Ok(unzigzag(self.varint()?))
    }

    /// A number of things in memory, at most `max`.
    pub fn count(&mut self, max: usize) -> Result<usize, WireError> {
        let number = self.varint()?;
        match usize::try_from(number).ok().filter(|number| *number <= max) {
            Some(number) => Ok(number),
            None => self.fail("a count beyond its limit"),
        }
    }

    pub fn u32_varint(&mut self) -> Result<u32, WireError> {
        let number = self.varint()?;
        u32::try_from(number).or_else(|_| self.fail("a number beyond 32 bits"))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let count = self.count(self.bytes.len())?;
        self.take(count)
    }

    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).or_else(|_| self.fail("text that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(a in any::<u64>(), b in any::<i64>(), small in 0u64..300) {
            let mut out = Vec::new();
            put_varint(&mut out, a);
            put_signed(&mut out, b);
            put_varint(&mut out, small);
            let mut wire = Wire::new(&out);
            prop_assert_eq!((wire.varint(), wire.signed(), wire.varint()), (Ok(a), Ok(b), Ok(small)));
            prop_assert!(wire.is_empty());
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut wire = Wire::new(&bytes);
            while !wire.is_empty() {
                if wire.varint().is_err() || wire.bytes().is_err() { break; }
            }
        }
    }
}
