//! What a search may use: time, memory, and whether anyone still waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::search::{SearchCost, SearchError};

/// Shared by all threads of one search.
#[derive(Debug)]
pub(crate) struct Budget {
    deadline: Option<Instant>,
    time_limit: Duration,
    cancelled: AtomicBool,
    memory_limit: usize,
    memory_used: AtomicUsize,
    blocks: AtomicU64,
    damaged_blocks: AtomicU64,
    read_bytes: AtomicU64,
    decoded_bytes: AtomicU64,
}

impl Budget {
    pub fn new(time_limit: Duration, memory_limit: usize) -> Budget {
        Budget {
            deadline: Instant::now().checked_add(time_limit),
            time_limit,
            cancelled: AtomicBool::new(false),
            memory_limit,
            memory_used: AtomicUsize::new(0),
            blocks: AtomicU64::new(0),
            damaged_blocks: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            decoded_bytes: AtomicU64::new(0),
        }
    }

    /// Asks the search to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether to go on. Called between pieces of work of at most a few milliseconds.
    pub fn check(&self) -> Result<(), SearchError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(SearchError::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(SearchError::TimedOut { limit: self.time_limit });
        }
        Ok(())
    }

    /// Takes memory: for hits for good, for groups until they are merged.
    pub fn take(&self, bytes: usize) -> Result<(), SearchError> {
        let used = self.memory_used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if used > self.memory_limit {
            return Err(SearchError::Memory { limit: self.memory_limit });
        }
        Ok(())
    }

    /// Gives back memory that was taken.
    pub fn give(&self, bytes: usize) {
        self.memory_used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn count_block(&self) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_damaged(&self) {
        self.damaged_blocks.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_bytes(&self, read: usize, decoded: usize) {
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        self.decoded_bytes.fetch_add(decoded as u64, Ordering::Relaxed);
    }

    pub fn cost(&self) -> SearchCost {
        SearchCost {
            blocks: self.blocks.load(Ordering::Relaxed),
            damaged_blocks: self.damaged_blocks.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            decoded_bytes: self.decoded_bytes.load(Ordering::Relaxed),
        }
    }
}
