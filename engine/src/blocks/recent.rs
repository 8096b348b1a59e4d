//! Extents that were read last: windows of a query that follow each other lie in the same ones.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::extent::{Loaded, Place};

/// Memory that they may take, bytes.
const BYTES_MAX: usize = 8 << 20;
/// How many there may be.
const ENTRIES_MAX: usize = 64;

/// Those of all files, the one used last first.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Entry>>);

struct Entry {
    file: u64,
    place: Place,
    loaded: Arc<Loaded>,
}

impl Recent {
    pub(super) fn get(&self, file: u64, place: Place) -> Option<Arc<Loaded>> {
        let mut entries = self.0.lock();
        let at = entries.iter().position(|entry| entry.file == file && entry.place == place)?;
        if at > 0
            && let Some(entry) = entries.remove(at)
        {
            entries.push_front(entry);
        }
        entries.front().map(|entry| Arc::clone(&entry.loaded))
    }

    pub(super) fn put(&self, file: u64, place: Place, loaded: &Arc<Loaded>) {
        let mut entries = self.0.lock();
        entries.push_front(Entry { file, place, loaded: Arc::clone(loaded) });
        let mut bytes: usize = entries.iter().map(|entry| entry.loaded.memory_bytes()).sum();
        while entries.len() > ENTRIES_MAX || bytes > BYTES_MAX {
            let Some(oldest) = entries.pop_back() else { return };
            bytes -= oldest.loaded.memory_bytes();
        }
    }
}
