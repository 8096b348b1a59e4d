//! What of a series goes to a block, and comes back from one.

use std::sync::Arc;

use super::{Packed, Samples};
use crate::chunk::{Chunk, Codec};

impl Samples {
    /// The sealed chunks that end before a time. If everything does, what is still open is sealed for it: the series is
    /// quiet, and nothing of it need stay.
    pub(crate) fn chunks_before(&mut self, time: i64, codec: &mut Codec) -> Vec<Arc<Chunk>> {
        if self.newest_float().is_some_and(|newest| newest < time) {
            self.seal_all(codec);
        }
        let sealed = self.packed.as_ref().map_or(&[][..], |packed| &packed.sealed);
        sealed.iter().take_while(|chunk| chunk.last() < time).cloned().collect()
    }

    fn seal_all(&mut self, codec: &mut Codec) {
        let mut run = Vec::new();
        let packed: &mut Packed = self.packed.get_or_insert_default();
        packed.read_tail(i64::MIN, i64::MAX, codec, &mut run);
        run.append(&mut self.raw);
        self.raw = Vec::new();
        packed.tail = Vec::new();
        packed.tail_count = 0;
        packed.sealed.extend(codec.seal(&run).map(Arc::new));
    }

    /// Takes chunks out if they are the first ones; else nothing changes.
    pub(crate) fn take_first(&mut self, chunks: &[Arc<Chunk>]) -> bool {
        let Some(packed) = &mut self.packed else { return false };
        let first = packed.sealed.get(..chunks.len()).unwrap_or_default();
        if first.is_empty() || !first.iter().zip(chunks).all(|(mine, other)| Arc::ptr_eq(mine, other)) {
            return false;
        }
        packed.sealed.drain(..chunks.len());
        packed.sealed.shrink_to_fit();
        if packed.is_empty() {
            self.packed = None;
        }
        true
    }

    /// Drops native histograms before a time, which have no blocks; says how many went.
    pub(crate) fn prune_natives(&mut self, horizon: i64) -> u64 {
        let before = self.count();
        if let Some(natives) = &mut self.natives {
            natives.prune(horizon);
            self.natives.take_if(|natives| natives.is_empty());
        }
        before - self.count()
    }

    /// Puts chunks before everything else.
    pub(crate) fn put_before(&mut self, chunks: Vec<Arc<Chunk>>) {
        if !chunks.is_empty() {
            self.packed.get_or_insert_default().sealed.splice(..0, chunks);
        }
    }
}
