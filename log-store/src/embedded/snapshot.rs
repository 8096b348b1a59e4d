//! Which blocks there are at a moment. Swapped as a whole, so that a search finds each record exactly once.

use std::sync::Arc;

use crate::executor::run::Part;
use crate::open_block::Chunk;

/// All blocks, in order of the queue: sealed ones, chunks that wait to be sealed, the chunk that is appended to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Not sealed yet; only the last is appended to.
    pub chunks: Vec<Arc<Chunk>>,
}

impl Snapshot {
    /// The blocks to search.
    pub fn parts(&self) -> Vec<Part> {
        self.chunks.iter().map(|chunk| Part::Open(Arc::clone(chunk))).collect()
    }
}
