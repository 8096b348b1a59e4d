//! Can a crash have left this end of a log?
//!
//! A write that was cut off leaves each sector as it was to be or as it was before, and before there were zeros, or no file.
//! So where all sectors of a record were written and its checksum is wrong, or where the number of another one stands in its
//! place, somebody else has written there: the record was whole once, and may have been promised.

use super::segment::{RECORD_BYTES_MAX, RECORD_HEAD_BYTES};

/// What a disk writes as a whole, bytes.
const SECTOR_BYTES: usize = 512;

/// Whether a crash can have left what stands in a file from a place on, where the record `expected` was to be written and
/// is not whole. In doubt it can.
pub(super) fn can_be_torn(bytes: &[u8], at: usize, expected: u64) -> bool {
    let Some(head) = bytes.get(at..at + RECORD_HEAD_BYTES) else { return true };
    let (length, number) = (&head[..4], &head[8..16]);
    let is_of_one_sector = (at + 8) / SECTOR_BYTES == (at + 15) / SECTOR_BYTES;
    if number != expected.to_le_bytes() {
        // Half of it may have been written.
        return expected == 0 || !is_of_one_sector || number.iter().all(|byte| *byte == 0);
    }
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let end = at + RECORD_HEAD_BYTES + length.min(RECORD_BYTES_MAX);
    let Some(record) = bytes.get(at..end) else { return true };
    let first = SECTOR_BYTES - at % SECTOR_BYTES;
    let (first, others) = record.split_at(first.min(record.len()));
    let has_zeros_alone = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    // Cut off within its last sector, it has zeros behind what was written.
    record.last() == Some(&0) || has_zeros_alone(first) || others.chunks(SECTOR_BYTES).any(has_zeros_alone)
}
