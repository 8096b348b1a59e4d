//! How far sources have been read: the newest value of each key, durable in the same frame as the records it covers.
//!
//! A source (a tailed file, an import) hands in a batch together with where it stands after it; both become durable
//! by one write, so that a crash neither loses nor doubles a line. What the bytes mean is the source's business. The
//! first frame of each segment names all values, later frames name what changed: so the newest segment is enough to
//! know them all, and segments can be deleted.
//!
//! ```text
//! block = (key length u8 | value length u16 | updated_ms i64 | key | value)*     a value of length 0 is forgotten
//! ```

use std::collections::BTreeMap;

/// Longest key, bytes.
pub const CHECKPOINT_KEY_BYTES_MAX: usize = 64;
/// Longest value, bytes.
pub const CHECKPOINT_VALUE_BYTES_MAX: usize = 8 << 10;

const ENTRY_BYTES: usize = 11;

/// A step of a source: it stood at `before`, and stands at `after` when the batch is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which source. At most [`CHECKPOINT_KEY_BYTES_MAX`].
    pub key: Vec<u8>,
    /// What must be stored for the key now, or the batch is refused; `None`: nothing.
    pub before: Option<Vec<u8>>,
    /// What is stored from then on; `None` forgets the key. Not empty, at most [`CHECKPOINT_VALUE_BYTES_MAX`].
    pub after: Option<Vec<u8>>,
}

impl Checkpoint {
    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> usize {
        ENTRY_BYTES + self.key.len() + self.after.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn is_oversized(&self) -> bool {
        let value = self.after.as_ref().map_or(1, Vec::len);
        self.key.len() > CHECKPOINT_KEY_BYTES_MAX || value == 0 || value > CHECKPOINT_VALUE_BYTES_MAX
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    value: Vec<u8>,
    updated_ms: i64,
}

/// The newest value of each key.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    by_key: BTreeMap<Vec<u8>, Kept>,
    bytes: usize,
    /// Those not updated for longest go when there are more bytes than these.
    bytes_max: usize,
    forgotten_early: u64,
}

impl Checkpoints {
    /// None yet; they may take `bytes_max` on disk.
    pub(crate) fn new(bytes_max: usize) -> Checkpoints {
        Checkpoints { bytes_max, ..Checkpoints::default() }
    }

    /// The newest value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.by_key.get(key).map(|kept| kept.value.as_slice())
    }

    /// Keys that begin with `prefix`, and their values.
    pub(crate) fn with_prefix(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let from = self.by_key.range::<[u8], _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, kept)| (key.clone(), kept.value.clone()))
            .collect()
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Bytes of the block that names all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys forgotten because there were too many.
    pub(crate) fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// The block that names all of them.
    pub(crate) fn block(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        for (key, kept) in &self.by_key {
            put(&mut out, key, &kept.value, kept.updated_ms);
        }
        out
    }

    /// Takes the changes of a block in.
    pub(crate) fn apply_block(&mut self, block: &[u8]) {
        for Entry { key, value, updated_ms } in entries(block) {
            self.set(key, value, updated_ms);
        }
        self.fit();
    }

    fn set(&mut self, key: &[u8], value: &[u8], updated_ms: i64) {
        if let Some(old) = self.by_key.remove(key) {
            self.bytes -= ENTRY_BYTES + key.len() + old.value.len();
        }
        if !value.is_empty() {
            self.bytes += ENTRY_BYTES + key.len() + value.len();
            self.by_key.insert(key.to_vec(), Kept { value: value.to_vec(), updated_ms });
        }
    }

    /// Makes room, a sixteenth at a time, so that the search for the oldest is rare.
    fn fit(&mut self) {
        if self.bytes <= self.bytes_max {
            return;
        }
        let mut by_age: Vec<(i64, Vec<u8>)> =
            self.by_key.iter().map(|(key, kept)| (kept.updated_ms, key.clone())).collect();
        by_age.sort_unstable();
        let wanted = self.bytes_max - self.bytes_max / 16;
        let mut count = 0u64;
        for (_, key) in by_age {
            if self.bytes <= wanted {
                break;
            }
            self.set(&key, &[], 0);
            count += 1;
        }
        self.forgotten_early += count;
        tracing::warn!(count, "too many sources: the positions of those not read for longest are forgotten");
    }
}

/// Adds a change to a block; `None` forgets the key.
pub(crate) fn put_checkpoint(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>, now_ms: i64) {
    put(out, key, value.unwrap_or_default(), now_ms);
}

fn put(out: &mut Vec<u8>, key: &[u8], value: &[u8], updated_ms: i64) {
    // Lengths are checked when the batch is handed in.
    out.push(key.len() as u8);
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(&updated_ms.to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

struct Entry<'a> {
    key: &'a [u8],
    value: &'a [u8],
    updated_ms: i64,
}

/// The entries of a block; a cut block ends the walk.
fn entries(block: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let (key_length, after) = rest.split_first()?;
        let (value_length, after) = after.split_first_chunk::<2>()?;
        let (updated_ms, after) = after.split_first_chunk::<8>()?;
        let (key, after) = after.split_at_checked(usize::from(*key_length))?;
        let (value, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*value_length)))?;
        rest = after;
        Some(Entry { key, value, updated_ms: i64::from_le_bytes(*updated_ms) })
    })
}

/// What recovery finds of checkpoints, from the newest segment back to one that names all of them.
#[derive(Default)]
pub(crate) struct Found {
    /// Blocks of the segments read so far, the newest segment first, each in its own order.
    segments: Vec<Vec<Vec<u8>>>,
    /// A block that names all was met: older segments have nothing to add.
    pub(crate) is_whole: bool,
}

impl Found {
    /// Starts with a segment that is older than those before.
    pub(crate) fn begin_segment(&mut self) {
        self.segments.push(Vec::new());
    }

    /// A frame of this segment.
    pub(crate) fn frame(&mut self, names_all: bool, block: &[u8]) {
        let Some(blocks) = self.segments.last_mut() else { return };
        if names_all {
            blocks.clear();
            self.is_whole = true;
        }
        if !block.is_empty() {
            blocks.push(block.to_vec());
        }
    }

    /// All values.
    pub(crate) fn finish(self, bytes_max: usize) -> Checkpoints {
        let mut all = Checkpoints::new(bytes_max);
        self.segments.into_iter().rev().flatten().for_each(|block| all.apply_block(&block));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_counts_and_a_block_comes_back() {
        let mut all = Checkpoints::new(1 << 20);
        let mut block = Vec::new();
        put_checkpoint(&mut block, b"a", Some(b"1"), 5);
        put_checkpoint(&mut block, b"ab", Some(b"2"), 6);
        put_checkpoint(&mut block, b"b", Some(b"3"), 7);
        put_checkpoint(&mut block, b"a", Some(b"44"), 8);
        put_checkpoint(&mut block, b"b", None, 9);
        all.apply_block(&block);
        assert_eq!((all.get(b"a"), all.get(b"b"), all.len()), (Some(&b"44"[..]), None, 2));
        assert_eq!(all.with_prefix(b"a").len(), 2);
        assert_eq!(all.with_prefix(b"ab"), [(b"ab".to_vec(), b"2".to_vec())]);
        let whole = all.block();
        assert_eq!(whole.len(), all.bytes());
        let mut again = Checkpoints::new(1 << 20);
        again.apply_block(&whole);
        assert_eq!(again.by_key, all.by_key);
        for cut in 0..whole.len() {
            Checkpoints::new(1 << 20).apply_block(&whole[..cut]);
        }
    }

    #[test]
    fn those_not_updated_for_longest_make_room() {
        let mut all = Checkpoints::new(1000);
        for n in 0..200u8 {
            let mut block = Vec::new();
            put_checkpoint(&mut block, &[n], Some(b"value"), i64::from(n));
            all.apply_block(&block);
        }
        assert!(all.bytes() <= 1000 && all.bytes() > 900, "{}", all.bytes());
        assert_eq!((all.get(&[0]), all.get(&[199])), (None, Some(&b"value"[..])));
        assert_eq!(all.forgotten_early() + all.len() as u64, 200);
    }

    #[test]
    fn recovery_goes_back_to_the_block_that_names_all() {
        let block = |key: &[u8], value: &[u8]| {
            let mut out = Vec::new();
            put_checkpoint(&mut out, key, Some(value), 1);
            out
        };
        let mut found = Found::default();
        found.begin_segment();
        found.frame(false, &block(b"new", b"3"));
        assert!(!found.is_whole);
        found.begin_segment();
        found.frame(false, &block(b"stray", b"0"));
        found.frame(true, &block(b"old", b"1"));
        found.frame(false, &block(b"new", b"2"));
        assert!(found.is_whole);
        let all = found.finish(1000);
        assert_eq!((all.get(b"old"), all.get(b"new"), all.len()), (Some(&b"1"[..]), Some(&b"3"[..]), 2));
    }
}
