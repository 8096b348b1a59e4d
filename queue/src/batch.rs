//! A batch of opaque records on its way into the queue, and the walk over records that lie in one buffer.
//!
//! ```text
//! records = (length u32 | bytes)*        integers little-endian
//! ```

use crate::checkpoint::Checkpoint;
use crate::frame::{CONTENTS_SINCE_VERSION, u32_at};

/// Bytes before each record.
const LENGTH_BYTES: usize = 4;

/// What makes a record the same as an earlier one: a hash made by the caller, of which 96 bits count, and a
/// fingerprint of what the key may stand for.
///
/// On disk: the hash, 12 bytes, and the fingerprint u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DedupKey {
    pub(crate) hash: [u8; DedupKey::HASH_BYTES],
    /// 0: it may stand for anything.
    pub(crate) contents: u32,
}

impl DedupKey {
    const HASH_BYTES: usize = 12;

    /// A key that may stand for anything: what has it first counts.
    pub fn new(hash: [u8; 16]) -> DedupKey {
        DedupKey { hash: *hash.first_chunk().expect("16 bytes are more than 12"), contents: 0 }
    }

    /// The same key, for these contents only: while it is remembered, a batch that has it with another fingerprint is
    /// refused. A fingerprint of 0 counts as 1.
    #[must_use]
    pub fn with_contents(self, fingerprint: u32) -> DedupKey {
        DedupKey { contents: fingerprint.max(1), ..self }
    }

    /// Whether both stand for different contents, as far as that is known.
    pub(crate) fn contradicts(self, other: DedupKey) -> bool {
        self.contents != 0 && other.contents != 0 && self.contents != other.contents
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (hash, contents) = bytes.split_at_mut(DedupKey::HASH_BYTES);
        hash.copy_from_slice(&self.hash);
        contents.copy_from_slice(&self.contents.to_le_bytes());
        bytes
    }

    /// Of a file of this version: before version 3 all 16 bytes were hash, and nothing was known of contents.
    pub(crate) fn from_bytes(bytes: [u8; 16], version: u32) -> DedupKey {
        let key = DedupKey::new(bytes);
        match version {
            0..CONTENTS_SINCE_VERSION => key,
            _ => DedupKey { contents: u32_at(&bytes, DedupKey::HASH_BYTES), ..key },
        }
    }
}

/// Records that are appended together: all of them become durable, or none.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) records: Vec<u8>,
    pub(crate) keys: Vec<(u32, DedupKey)>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) claim: Option<DedupKey>,
    pub(crate) count: u32,
    oversized: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// An empty batch with room for records of `bytes` in all.
    pub fn with_capacity(bytes: usize) -> Batch {
        Batch { records: Vec::with_capacity(bytes), ..Batch::default() }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8], key: Option<DedupKey>) {
        self.push_with(key, |out| out.extend_from_slice(record));
    }

    /// Adds the record that `write` appends to the buffer it is given, and returns what `write` returns.
    ///
    /// # Panics
    /// If `write` removes bytes that were there before.
    pub fn push_with<R>(&mut self, key: Option<DedupKey>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.begin();
        let result = write(&mut self.records);
        self.finish(start, key);
        result
    }

    /// Like [`Batch::push_with`], but an error of `write` leaves the batch as it was.
    ///
    /// # Errors
    /// Those of `write`.
    ///
    /// # Panics
    /// If `write` removes bytes that were there before.
    pub fn try_push_with<R, E>(
        &mut self,
        key: Option<DedupKey>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<R, E>,
    ) -> Result<R, E> {
        let start = self.begin();
        let result = write(&mut self.records);
        match result {
            Ok(_) => self.finish(start, key),
            Err(_) => self.records.truncate(start - LENGTH_BYTES),
        }
        result
    }

    fn begin(&mut self) -> usize {
        self.records.extend_from_slice(&[0; LENGTH_BYTES]);
        self.records.len()
    }

    fn finish(&mut self, start: usize, key: Option<DedupKey>) {
        assert!(self.records.len() >= start, "the writer of a record only appends");
        let length = u32::try_from(self.records.len() - start).unwrap_or_else(|_| {
            self.oversized = true;
            0
        });
        self.records[start - LENGTH_BYTES..start].copy_from_slice(&length.to_le_bytes());
        if let Some(key) = key {
            self.keys.push((self.count, key));
        }
        match self.count.checked_add(1) {
            Some(count) => self.count = count,
            None => self.oversized = true,
        }
    }

    /// Moves a source on together with the records of this batch. The whole batch is refused if the source does not
    /// stand where the checkpoint says.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.oversized |= checkpoint.is_oversized();
        self.checkpoints.push(checkpoint);
    }

    /// Remembers this key together with the batch, also if none of its records has it: the key of a request that the
    /// whole batch is of. It makes no record a repeat; the batch is refused if it was used for other contents.
    pub fn claim(&mut self, key: DedupKey) {
        self.claim = Some(key);
    }

    /// Whether it neither stores a record nor moves a source.
    pub fn does_nothing(&self) -> bool {
        self.is_empty() && self.checkpoints.is_empty()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the records, their keys and its checkpoints take on disk, without the frame around them.
    pub fn bytes(&self) -> usize {
        let checkpoints: usize = self.checkpoints.iter().map(Checkpoint::bytes).sum();
        let keys = self.keys.len() + usize::from(self.claim.is_some());
        self.records.len() + keys * crate::frame::KEY_BYTES + checkpoints
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        Records { rest: &self.records }
    }

    /// Whether a record or the number of records is beyond what any frame can hold.
    pub(crate) fn is_oversized(&self) -> bool {
        self.oversized
    }

    /// The records without those at `dropped`, which ascends.
    pub(crate) fn records_without(&self, dropped: impl Iterator<Item = u32>) -> Vec<u8> {
        let mut kept = Vec::with_capacity(self.records.len());
        let mut dropped = dropped.peekable();
        for (index, record) in (0u32..).zip(self.records()) {
            if dropped.next_if_eq(&index).is_none() {
                kept.extend_from_slice(&(record.len() as u32).to_le_bytes());
                kept.extend_from_slice(record);
            }
        }
        kept
    }
}

/// The records that lie one after the other in a buffer.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.rest = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_writer_leaves_the_batch_as_it_was() {
        let mut batch = Batch::new();
        batch.push(b"one", None);
        let failed: Result<(), &str> = batch.try_push_with(Some(DedupKey::new([1; 16])), |out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        batch.push(b"", Some(DedupKey::new([2; 16])));
        assert_eq!(batch.records().collect::<Vec<_>>(), [&b"one"[..], b""]);
        assert_eq!(batch.keys, [(1, DedupKey::new([2; 16]))]);
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn dropped_records_leave_the_others_in_order() {
        let mut batch = Batch::new();
        for text in ["a", "bb", "", "dddd"] {
            batch.push(text.as_bytes(), None);
        }
        let kept = batch.records_without([0, 2].into_iter());
        assert_eq!(Records { rest: &kept }.collect::<Vec<_>>(), [&b"bb"[..], b"dddd"]);
    }

    #[test]
    fn a_cut_buffer_ends_the_walk() {
        let mut batch = Batch::new();
        batch.push(b"whole", None);
        batch.push(b"cut", None);
        let cut = &batch.records[..batch.records.len() - 1];
        assert_eq!(Records { rest: cut }.collect::<Vec<_>>(), [b"whole"]);
    }
}
