//! Contents that no file has now: copied before they were cut, packed, or deleted. What was read of them is kept, as
//! their copy may be found later.

use std::collections::HashMap;
use std::path::PathBuf;

use prometheus::IntCounter;

use super::Files;
use crate::sources::position::{FileId, PAST_KEYS, Position};
use crate::sources::turn::Turn;

/// Kept of one name, and of all.
const OF_NAME_MAX: usize = 128;
const PAST_MAX: usize = 5000;
/// What no copy was found of after so long is told to be lost.
const LOST_AFTER_MS: i64 = 10_000;

/// Bytes that were seen and are gone.
pub(super) struct Missing {
    /// What was read of their contents; as long as that is kept, no copy was found.
    key: Vec<u8>,
    name: PathBuf,
    bytes: u64,
    since_ms: i64,
    lost_bytes: IntCounter,
}

impl Files {
    /// A file has other contents now, or is gone: what was read of it is kept for a copy.
    pub(super) fn give_up(&self, id: FileId, position: &Position, stored: Option<Vec<u8>>, turn: &mut Turn) {
        turn.keep(position, Some(id), |key| self.intake.queue.checkpoint(key).is_some());
        if let Some(stored) = stored {
            turn.forget(id.key(), stored);
        }
    }

    /// So many bytes behind a position were seen and cannot be read there any more.
    pub(super) fn miss_bytes(&mut self, position: &Position, bytes: u64, source: usize, now_ms: i64) {
        let Some(source) = self.sources.get(source).filter(|_| bytes > 0 && position.tells_copies()) else { return };
        self.missing.push(Missing {
            key: position.past_key(),
            name: position.path.clone(),
            bytes,
            since_ms: now_ms,
            lost_bytes: source.figures.lost_bytes.clone(),
        });
    }

    /// Tells and counts what is lost: no copy of it was found.
    pub(super) fn tell_missing(&mut self, now_ms: i64) {
        let queue = &self.intake.queue;
        self.missing.retain(|missing| {
            let is_found = queue.checkpoint(&missing.key).is_none();
            let is_lost = !is_found && now_ms.saturating_sub(missing.since_ms) >= LOST_AFTER_MS;
            if is_lost {
                tracing::warn!(
                    file = %missing.name.display(), bytes = missing.bytes,
                    "deleted or cut before its end was read, and no copy of it was found: its last lines are lost"
                );
                missing.lost_bytes.inc_by(missing.bytes);
            }
            !is_found && !is_lost
        });
    }

    /// Forgets the oldest of what is kept when there is too much of it.
    pub(super) fn bound_past(&self, turn: &mut Turn) {
        let mut past: Vec<(Position, Vec<u8>, Vec<u8>)> = Vec::new();
        for (key, stored) in self.intake.queue.checkpoints(PAST_KEYS) {
            past.extend(Position::decode(&stored).map(|position| (position, key, stored)));
        }
        past.sort_by_key(|(position, ..)| std::cmp::Reverse(position.modified_ms));
        let mut counts: HashMap<PathBuf, usize> = HashMap::new();
        for (at, (position, key, stored)) in past.into_iter().enumerate() {
            let count = counts.entry(position.path).or_default();
            *count += 1;
            if *count > OF_NAME_MAX || at >= PAST_MAX {
                turn.forget(key, stored);
            }
        }
    }
}
