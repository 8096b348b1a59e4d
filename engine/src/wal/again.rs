//! Definitions that are to be written once more: were the only record damaged that defines a series, all that the log says of it
//! would be lost with it.

use crate::bytes::put_varint;
use crate::wal::record::put_head;

/// What is written again stands at least so many bytes behind the first time: what damages a sector takes one of them.
const BEHIND_BYTES: u64 = 4096;

/// Definitions of records, one behind the other.
#[derive(Default)]
struct Written {
    many: u64,
    bytes: Vec<u8>,
}

/// What has been defined in one record so far.
#[derive(Default)]
pub(super) struct Again {
    /// To be written with a record to come, and how much was written behind it.
    old: Written,
    behind: u64,
    /// What came meanwhile.
    young: Written,
}

impl Again {
    /// Notes what a record defines, as it stands there: that it can follow on other definitions, its first label set has to be whole.
    pub(super) fn note(&mut self, many: u64, definitions: &[u8]) {
        self.young.many += many;
        self.young.bytes.extend_from_slice(definitions);
    }

    /// Whether something is to be written before the next record.
    pub(super) fn is_due(&self) -> bool {
        self.old.many > 0 && self.behind >= BEHIND_BYTES
    }

    /// Appends what stands before the points of a record that defines all that is due; gives the length of the
    /// definitions in it.
    pub(super) fn put_heads(&self, out: &mut Vec<u8>) -> usize {
        put_head(None, out);
        put_varint(out, self.old.many);
        out.extend_from_slice(&self.old.bytes);
        self.old.bytes.len()
    }

    /// So many bytes were written, behind all that was noted before. What was due is among them.
    pub(super) fn wrote(&mut self, bytes: u64) {
        if self.is_due() {
            self.old = Written::default();
        }
        if self.old.many == 0 {
            self.old = std::mem::take(&mut self.young);
            self.behind = 0;
        }
        self.behind += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_written_again_and_nothing_right_behind_the_first_time() {
        let mut again = Again::default();
        // Length of each record, and how many series it defines; what is written before it.
        let steps = [
            (5000, 1, 0),
            (100, 0, 0),
            (4000, 2, 0),
            (100, 4, 1),
            (5000, 0, 0),
            // The four were young when these two went, and stand far enough behind now.
            (10, 0, 2),
            (4990, 8, 0),
            (5000, 0, 4),
            (5000, 0, 8),
            (5000, 0, 0),
        ];
        for (number, (bytes, many, wanted)) in steps.into_iter().enumerate() {
            let mut out = Vec::new();
            let written = if again.is_due() { again.put_heads(&mut out) } else { 0 };
            assert_eq!(written, wanted, "record {number}");
            again.wrote(bytes);
            again.note(many, &vec![0; many as usize]);
        }
    }
}
