//! All that was read of files and of contents that no file has now, found by the names of the files.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use watchfire_queue::Queue;

use crate::sources::position::{FILE_KEYS, FileId, Head, PAST_KEYS, Position};
use crate::sources::rest;

/// What was read of some contents: of a file, or of none that is still there.
pub(super) struct Read {
    pub key: Vec<u8>,
    pub stored: Vec<u8>,
    /// The file that has them, as far as that is known.
    pub id: Option<FileId>,
    pub position: Position,
    /// It passed to a copy.
    pub is_taken: bool,
}

/// All that was read, by the names that the files had or may have had before.
#[derive(Default)]
pub(super) struct Known {
    pub reads: Vec<Read>,
    by_name: HashMap<PathBuf, Vec<usize>>,
    /// Plain contents that are known up to the position, by their beginnings; and how long those are.
    by_head: HashMap<Head, Vec<usize>>,
    head_lengths: BTreeSet<u16>,
}

impl Known {
    /// As the queue has it.
    pub(super) fn new(queue: &dyn Queue) -> Known {
        let mut known = Known::default();
        for prefix in [FILE_KEYS, PAST_KEYS] {
            for (key, stored) in queue.checkpoints(prefix) {
                known.insert(key, stored);
            }
        }
        known
    }

    fn insert(&mut self, key: Vec<u8>, stored: Vec<u8>) {
        let Some(position) = Position::decode(&stored) else { return };
        let at = self.reads.len();
        for path in [Some(&position.path), position.target.as_ref()].into_iter().flatten() {
            for name in rest::original_names(path).into_iter().chain([path.clone()]) {
                self.by_name.entry(name).or_default().push(at);
            }
        }
        if position.tells_copies() && !position.packed && position.at > 0 && position.tail.length > 0 {
            self.by_head.entry(position.head).or_default().push(at);
            self.head_lengths.insert(position.head.length);
        }
        self.reads.push(Read { id: FileId::of_key(&key), key, stored, position, is_taken: false });
    }

    /// Places of what was read of plain files that began like this one.
    pub(super) fn begun_like(&self, start: &[u8]) -> Vec<usize> {
        let starts = self.head_lengths.iter().filter_map(|length| start.get(..usize::from(*length)));
        starts.filter_map(|start| self.by_head.get(&Head::of(start))).flatten().copied().collect()
    }

    /// Places of what was read of files with one of these names.
    pub(super) fn of(&self, names: &[PathBuf]) -> Vec<usize> {
        let mut places: Vec<usize> =
            names.iter().filter_map(|name| self.by_name.get(name)).flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}
