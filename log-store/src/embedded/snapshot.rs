//! Which blocks there are at a moment. Swapped as a whole, so that a search finds each record exactly once.

use std::sync::Arc;

use super::lost::Lost;
use crate::executor::run::Part;
use crate::open_block::Chunk;
use crate::sealed::block::SealedBlock;
use crate::search::TimeRange;

/// All blocks: sealed ones, chunks that wait to be sealed, the chunk that is appended to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Not sealed yet, in order of the queue; only the last is appended to.
    pub chunks: Vec<Arc<Chunk>>,
    /// Newest first, by their last event time.
    pub sealed: Vec<Arc<SealedBlock>>,
    /// Records that never came, in the order of the queue.
    pub lost: Vec<Lost>,
}

impl Snapshot {
    /// The blocks to search, about newest first.
    pub fn parts(&self) -> Vec<Part> {
        let chunks = self.chunks.iter().rev().map(|chunk| Part::Open(Arc::clone(chunk)));
        chunks.chain(self.sealed.iter().map(|block| Part::Sealed(Arc::clone(block)))).collect()
    }

    /// Whether no record of a range of event times is missing that was accepted, as far as can be known.
    pub fn is_whole(&self, range: TimeRange) -> bool {
        !self.lost.iter().any(|lost| lost.may_be_in(range))
    }

    /// Puts sealed blocks in place of chunks and other blocks.
    pub fn replace(&mut self, chunks: &[Arc<Chunk>], blocks: &[u64], by: &[Arc<SealedBlock>]) {
        self.chunks.retain(|chunk| !chunks.iter().any(|gone| Arc::ptr_eq(gone, chunk)));
        self.sealed.retain(|block| !blocks.contains(&block.info.id));
        self.sealed.extend(by.iter().cloned());
        self.sealed.sort_by_key(|block| (std::cmp::Reverse(block.info.time_max), block.info.id));
    }
}
