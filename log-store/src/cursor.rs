//! Where a walk through results stands, as an opaque text.

use watchfire_model::Timestamp;

/// The place behind the last hit of a page.
///
/// `upper` bounds the walk: records accepted after its first page (`seq >= upper`) are not part of it, so each
/// record is seen once while new ones arrive. A cursor knows which search it belongs to, and from which moment that
/// search took its relative times: whoever reads `start=1h` for a further page takes it from `now` of the cursor, so
/// that all pages are of one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Event time of the last hit.
    pub timestamp: Timestamp,
    /// Its sequence number.
    pub seq: u64,
    /// Records from this sequence number on came after the walk began.
    pub upper: u64,
    /// Whether the walk goes from new to old.
    pub newest_first: bool,
    /// [`SearchRequest::fingerprint`](crate::SearchRequest::fingerprint) of the walk.
    pub search: u64,
    /// The moment that the walk's relative times were taken from.
    pub now: Timestamp,
}

/// A text that is no cursor of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor; pass `next_cursor` of an answer unchanged")]
pub struct CursorError;

/// First byte of every cursor.
const VERSION: u8 = 3;
/// Version, order, five numbers, checksum.
const BYTES: usize = 1 + 1 + 5 * 8 + 4;

impl Cursor {
    /// Reads what [`Cursor::encode`] wrote.
    pub fn decode(text: &str) -> Result<Cursor, CursorError> {
        let text = text.as_bytes();
        if text.len() != BYTES * 2 {
            return Err(CursorError);
        }
        let mut bytes = [0u8; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16)).ok_or(CursorError);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        let (body, sum) = bytes.split_at(BYTES - 4);
        if body.first() != Some(&VERSION) || crc32fast::hash(body).to_le_bytes() != *sum {
            return Err(CursorError);
        }
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&body[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        Ok(Cursor {
            newest_first: body[1] != 0,
            timestamp: Timestamp::from_millis(number(2) as i64),
            seq: number(10),
            upper: number(18),
            search: number(26),
            now: Timestamp::from_millis(number(34) as i64),
        })
    }

    /// The text to hand out.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend([VERSION, u8::from(self.newest_first)]);
        let times = [self.timestamp, self.now].map(|time| time.millis() as u64);
        for number in [times[0], self.seq, self.upper, self.search, times[1]] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let mut text = String::with_capacity(BYTES * 2);
        for byte in bytes {
            text.extend([byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit(u32::from(*digit), 16)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_read_back(
            (time, seq, upper, search, now) in any::<(i64, u64, u64, u64, i64)>(),
            newest_first: bool,
            at in 0usize..BYTES * 2,
        ) {
            let (timestamp, now) = (Timestamp::from_millis(time), Timestamp::from_millis(now));
            let cursor = Cursor { timestamp, seq, upper, newest_first, search, now };
            let text = cursor.encode();
            prop_assert_eq!(Cursor::decode(&text), Ok(cursor));
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
            prop_assert_eq!(Cursor::decode(&String::from_utf8(damaged).expect("hex")), Err(CursorError));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _ = Cursor::decode(&text);
        }
    }
}
