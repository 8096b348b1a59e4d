//! Reading the bytes of a record in place: checked once, then without checks.

use super::{
    Column, Core, DEPTH_MAX, HEADER_BYTES, LogRecord, MARK_IMPORTED, ROOT_TAG, RecordError, Root, VERSION,
    VERSION_WITH_MARKS, ValueRef,
};
use crate::{Level, Timestamp};

/// Checked bytes of an array's values or an object's members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoded<'a>(&'a [u8]);

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

/// A record that is checked while it is read: for who reads all of it just once.
pub struct RecordReader<'a> {
    cursor: Unchecked<'a>,
    damage: Option<RecordError>,
}

impl<'a> RecordReader<'a> {
    /// Checks the header.
    pub fn new(bytes: &'a [u8]) -> Result<RecordReader<'a>, RecordError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RecordError { what: "shorter than its header", at: bytes.len() });
        }
        let marks = match bytes[0] {
            VERSION => 0,
            VERSION_WITH_MARKS => MARK_IMPORTED,
            _ => return Err(RecordError { what: "unknown version", at: 0 }),
        };
        if Level::from_u8(bytes[1] & !marks).is_none() {
            return Err(RecordError { what: "unknown level", at: 1 });
        }
        Ok(RecordReader { cursor: Unchecked::new(bytes, HEADER_BYTES), damage: None })
    }

    /// Checks and gives the next entry; `None` at the end.
    #[inline(always)]
    pub fn next_entry(&mut self) -> Result<Option<(Column<'a>, ValueRef<'a>)>, RecordError> {
        if self.cursor.at_end() {
            return Ok(None);
        }
        match self.cursor.entry() {
            Ok(entry) => Ok(Some(entry)),
            Err(error) => {
                self.damage = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Checks what was not read yet; the record can be read without checks now. Errors: that, or an earlier one.
    pub fn finish(mut self) -> Result<RecordView<'a>, RecordError> {
        while self.next_entry()?.is_some() {}
        match self.damage {
            Some(damage) => Err(damage),
            None => Ok(RecordView { bytes: self.cursor.bytes }),
        }
    }
}

impl<'a> RecordView<'a> {
    /// Checks every entry, so that reading cannot fail afterwards.
    pub fn parse(bytes: &'a [u8]) -> Result<RecordView<'a>, RecordError> {
        RecordReader::new(bytes)?.finish()
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
        Level::from_u8(self.bytes[1] & !MARK_IMPORTED).unwrap_or_default()
    }

    /// Whether it was imported: then it is counted at its event time.
    pub fn is_imported(&self) -> bool {
        self.bytes[1] & MARK_IMPORTED != 0
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
            imported: self.is_imported(),
            ..LogRecord::default()
        };
        for (column, value) in self.entries() {
            record.put(column, value);
        }
        record
    }
}
/// Reads entries and values. `CHECKED` says that a cursor which was not has read these bytes to their end before:
/// only [`RecordReader`], [`Encoded::check_values`] and [`Encoded::check_members`] make what others read.
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

    #[inline]
    fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[cold]
    fn fail<T>(&self, what: &'static str) -> Result<T, RecordError> {
        Err(RecordError { what, at: self.at })
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, RecordError> {
        let Some(byte) = self.bytes.get(self.at) else { return self.fail("cut short") };
        self.at += 1;
        Ok(*byte)
    }

    #[inline(always)]
    fn eight(&mut self) -> Result<[u8; 8], RecordError> {
        let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return self.fail("cut short");
        };
        self.at += 8;
        Ok(*eight)
    }

    #[inline(always)]
    fn block(&mut self) -> Result<&'a [u8], RecordError> {
        let length = match self.byte()? {
            short @ 0..0x80 => usize::from(short),
            low => self.long_length(low)?,
        };
        let end = self.at.checked_add(length);
        let Some(block) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return self.fail("a length beyond the end");
        };
        self.at += length;
        Ok(block)
    }

    /// The rest of a length of several bytes that begins with this one.
    #[inline(never)]
    fn long_length(&mut self, low: u8) -> Result<usize, RecordError> {
        let mut length = usize::from(low & 0x7f);
        for shift in (7..35).step_by(7) {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        self.fail("a length of more than five bytes")
    }

    #[inline(always)]
    fn text(&mut self) -> Result<&'a str, RecordError> {
        let block = self.block()?;
        if CHECKED || is_ascii(block) {
            // SAFETY: ASCII is UTF-8. Other bytes were read by an unchecked cursor before, in the same steps, which
            // refuses texts that are not UTF-8; nothing can change them while they are borrowed.
            return Ok(unsafe { std::str::from_utf8_unchecked(block) });
        }
        match std::str::from_utf8(block) {
            Ok(text) => Ok(text),
            Err(_) => self.fail("text that is not UTF-8"),
        }
    }

    // Inlined with all it calls: who checks a record needs no value of it, who reads it no error.
    #[inline(always)]
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

    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<ValueRef<'a>, RecordError> {
        Ok(match self.byte()? {
            0 => ValueRef::Null,
            1 => ValueRef::Bool(false),
            2 => ValueRef::Bool(true),
            3 => ValueRef::Int(i64::from_le_bytes(self.eight()?)),
            4 => ValueRef::Float(f64::from_le_bytes(self.eight()?)),
            5 => ValueRef::Text(self.text()?),
            kind @ (6 | 7) => return self.container(kind, depth),
            _ => return self.fail("unknown kind of value"),
        })
    }

    /// A list (6) or an object (7).
    #[inline(never)]
    fn container(&mut self, kind: u8, depth: usize) -> Result<ValueRef<'a>, RecordError> {
        if depth > DEPTH_MAX {
            return self.fail("nested too deep");
        }
        let block = self.block()?;
        let mut inner = Cursor::<CHECKED>::new(block, 0);
        Ok(if kind == 6 {
            if !CHECKED {
                inner.check_values(depth)?;
            }
            ValueRef::Array(Encoded(block))
        } else {
            if !CHECKED {
                inner.check_members(depth)?;
            }
            ValueRef::Object(Encoded(block))
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

/// Whether all bytes are ASCII; quick for the short texts that records are made of.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let (eights, _) = bytes.as_chunks::<8>();
            let all = eights.iter().fold(word(first) | word(last), |all, eight| all | word(eight));
            all & HIGHS == 0
        }
        _ => bytes.iter().fold(0, |all, byte| all | byte) < 0x80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_where_ascii_is_told() {
        for length in 0..40 {
            let mut bytes = vec![0x7f; length];
            assert!(is_ascii(&bytes));
            for at in 0..length {
                bytes[at] = 0x80;
                assert!(!is_ascii(&bytes), "{at} of {length}");
                bytes[at] = 0x7f;
            }
        }
    }
}
