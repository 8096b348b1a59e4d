//! Label texts, each kept once for the whole engine and freed when no series uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

/// Freed texts are looked for when this many may have become free.
const SWEEP_AT: usize = 4096;

/// Memory of a text beside its bytes: its counts and what the allocator rounds up to, its place in the table.
const TEXT_BYTES: usize = 24 + 26;

/// The table of texts. Its own locks are never held while another lock is taken.
#[derive(Default)]
pub(crate) struct Texts {
    texts: DashMap<Arc<str>, (), foldhash::fast::RandomState>,
    released: AtomicUsize,
    /// Memory of all of them.
    bytes: AtomicUsize,
}

impl Texts {
    /// The shared text with this content.
    pub(crate) fn intern(&self, text: &str) -> Arc<str> {
        if let Some(have) = self.texts.get(text) {
            return have.key().clone();
        }
        match self.texts.entry(text.into()) {
            Entry::Occupied(have) => have.key().clone(),
            Entry::Vacant(place) => {
                self.bytes.fetch_add(TEXT_BYTES + text.len(), Ordering::Relaxed);
                place.insert(()).key().clone()
            }
        }
    }

    /// Says that a holder let go of a text.
    pub(crate) fn released(&self, count: usize) {
        self.released.fetch_add(count, Ordering::Relaxed);
    }

    /// Drops the texts that nobody holds, if enough were released since the last time.
    pub(crate) fn sweep(&self) {
        if self.released.load(Ordering::Relaxed) < SWEEP_AT.min(self.texts.len() / 8 + 1) {
            return;
        }
        self.released.store(0, Ordering::Relaxed);
        self.texts.retain(|text, ()| {
            let is_held = Arc::strong_count(text) > 1;
            if !is_held {
                self.bytes.fetch_sub(TEXT_BYTES + text.len(), Ordering::Relaxed);
            }
            is_held
        });
        if self.texts.capacity() > 4 * self.texts.len() + 4096 {
            self.texts.shrink_to_fit();
        }
    }

    /// Memory of all texts, those that are free but not swept yet included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many distinct texts there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_unused_ones_go() {
        let texts = Texts::default();
        let a = texts.intern("api");
        assert!(Arc::ptr_eq(&a, &texts.intern("api")));
        let b = texts.intern("web");
        drop(b);
        texts.released(1);
        assert_eq!(texts.bytes(), 2 * (TEXT_BYTES + 3));
        texts.sweep();
        assert_eq!((texts.len(), texts.bytes()), (1, TEXT_BYTES + 3));
        assert!(Arc::ptr_eq(&a, &texts.intern("api")));
    }
}
