//! Links that are gone: who removes one ends following, so what comes to be where it led is not read from then on. What was
//! there before is, as names of containers go when these do. When it was seen is kept, so that a start tells a link
//! that went before from one that went while nobody looked.
//!
//! ```text
//! key = "l" | hash of the path that the link led to, 16 bytes      value = when it was seen, milliseconds i64
//! ```
//! Integers little-endian.

use std::collections::HashMap;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::Files;
use super::listing::Look;

/// First bytes of the keys.
const KEYS: &[u8] = b"l";

fn key_of(target: &Path) -> Vec<u8> {
    [KEYS, &xxh3_128(target.as_os_str().as_encoded_bytes()).to_le_bytes()].concat()
}

impl Files {
    /// When it was seen that the link is gone that led to a path, if that was in an earlier run.
    pub(super) fn kept_gone_ms(&self, target: &Path) -> Option<i64> {
        let stored = self.intake.queue.checkpoint(&key_of(target))?;
        stored.try_into().ok().map(i64::from_le_bytes)
    }

    /// Keeps which links are gone, and forgets those that are back, or of which nothing is left.
    pub(super) fn keep_gone(&mut self, look: &mut Look) {
        let mut stored: HashMap<Vec<u8>, Vec<u8>> = self.intake.queue.checkpoints(KEYS).into_iter().collect();
        for (target, gone_ms) in self.links.gone() {
            let key = key_of(target);
            if stored.remove(&key).is_none() {
                look.turn.meet(key, None, gone_ms.to_le_bytes().to_vec());
            }
        }
        stored.into_iter().for_each(|(key, before)| look.turn.forget(key, before));
    }
}
