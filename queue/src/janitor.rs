//! The janitor: a thread that keeps keys of full segments in files, deletes what all consumers have released, and
//! writes the state file. None of it is on the way of an append.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::frame::FILE_HEADER_BYTES;
use crate::log::{keys_path, segment_path};
use crate::shared::Shared;
use crate::sidecar::SegmentKeys;
use crate::state_file::StateFile;

/// How soon a failed chore is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often expired keys are looked for when nothing happens.
const IDLE: Duration = Duration::from_secs(60);

/// The name of the state file.
pub(crate) const STATE_FILE: &str = "queue.state";

/// The key file of a segment that is deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeysOfDeleted {
    pub end_offset: u64,
    pub bytes: u64,
}

pub(crate) struct Janitor {
    shared: Arc<Shared>,
    /// Full segments whose keys are not in a file yet, by first offset.
    sealed: BTreeMap<u64, SegmentKeys>,
    /// Key files without a segment, by first offset.
    keys_of_deleted: BTreeMap<u64, KeysOfDeleted>,
}

impl Janitor {
    pub(crate) fn new(shared: Arc<Shared>, keys_of_deleted: BTreeMap<u64, KeysOfDeleted>) -> Janitor {
        let bytes: u64 = keys_of_deleted.values().map(|keys| keys.bytes).sum();
        shared.disk_bytes.fetch_add(bytes, Ordering::AcqRel);
        Janitor { shared, sealed: BTreeMap::new(), keys_of_deleted }
    }

    /// Works until it is told to stop, and then once more.
    pub(crate) fn run(mut self) {
        let mut patience = IDLE;
        loop {
            let is_stopping = self.wait(patience);
            patience = match self.tidy(is_stopping) {
                Ok(()) => IDLE,
                Err(error) => {
                    Shared::add(&self.shared.counters.io_errors, 1);
                    tracing::error!(%error, "cannot tidy the queue folder; it is tried again");
                    RETRY
                }
            };
            if is_stopping {
                return;
            }
        }
    }

    /// Waits for something to do; true when it is the last time.
    fn wait(&mut self, patience: Duration) -> bool {
        let mut chores = self.shared.chores.lock();
        if chores.sealed.is_empty() && !chores.released && !chores.stopping {
            self.shared.chore.wait_for(&mut chores, patience);
        }
        chores.released = false;
        for segment in chores.sealed.drain(..) {
            self.sealed.insert(segment.first_offset, segment);
        }
        chores.stopping
    }

    /// All chores, each of them tried: on a full disk keys may not fit before something is deleted.
    fn tidy(&mut self, is_stopping: bool) -> io::Result<()> {
        let kept = self.keep_keys();
        let deleted = self.delete_released(is_stopping);
        let dropped = self.drop_expired_keys();
        kept.and(deleted).and(dropped)
    }

    /// Writes the state file when it has to be, and then deletes what all have released.
    fn delete_released(&mut self, is_stopping: bool) -> io::Result<()> {
        let names_changed = std::mem::take(&mut self.shared.consumers.lock().names_changed);
        let deletable = self.deletable();
        if names_changed || is_stopping || !deletable.is_empty() {
            let written = self.write_state();
            self.shared.consumers.lock().names_changed |= names_changed && written.is_err();
            // What a full disk refuses must not keep the disk full. An old state file is a careful one.
            match written {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    tracing::warn!(%error, "no room for the state file")
                }
                other => other?,
            }
        }
        self.delete(&deletable)
    }

    /// Writes the keys of full segments to their files.
    fn keep_keys(&mut self) -> io::Result<()> {
        while let Some(entry) = self.sealed.first_entry() {
            let first_offset = *entry.key();
            (self.shared.config.failpoint)("queue.keys_sidecar");
            let path = keys_path(&self.shared.config.dir, first_offset);
            let bytes = entry.get().write(&self.shared.disk, &path, self.shared.epoch)?;
            entry.remove();
            let mut log = self.shared.log.lock();
            if let Some(segment) = log.segments.iter_mut().find(|segment| segment.first_offset == first_offset) {
                let before = std::mem::replace(&mut segment.keys_bytes, bytes);
                self.shared.disk_bytes.fetch_add(bytes, Ordering::AcqRel);
                self.shared.disk_bytes.fetch_sub(before, Ordering::AcqRel);
            }
        }
        Ok(())
    }

    /// First offsets of segments that nobody needs and whose keys are kept; never the one that is written to.
    fn deletable(&self) -> Vec<u64> {
        let Some(released) = self.shared.consumers.lock().released() else { return Vec::new() };
        let log = self.shared.log.lock();
        // The first frame of a segment names all checkpoints; until it is there, those of the one before count.
        let is_begun = log.segments.back().is_some_and(|last| last.bytes > FILE_HEADER_BYTES as u64);
        let full = log.segments.len().saturating_sub(if is_begun { 1 } else { 2 });
        let is_deletable = |segment: &&crate::log::Segment| segment.end_offset <= released && segment.keys_bytes > 0;
        log.segments.iter().take(full).take_while(is_deletable).map(|segment| segment.first_offset).collect()
    }

    /// Deletes the oldest segments, which are those at `first_offsets`.
    fn delete(&mut self, first_offsets: &[u64]) -> io::Result<()> {
        for first_offset in first_offsets {
            (self.shared.config.failpoint)("queue.segment_delete");
            // Out of the list first: a reader that does not find the file then knows why.
            let Some(segment) = self.shared.log.lock().segments.pop_front() else { break };
            let removed = self.shared.disk.remove(&segment_path(&self.shared.config.dir, *first_offset));
            let mut log = self.shared.log.lock();
            if let Err(error) = removed {
                log.segments.push_front(segment);
                return Err(error);
            }
            let first_kept = log.first_offset();
            drop(log);
            let had_all_below = self.shared.consumers.lock().had_all_below();
            self.shared.damage.lock().forget_below(first_kept, had_all_below);
            self.shared.disk_bytes.fetch_sub(segment.bytes, Ordering::AcqRel);
            Shared::add(&self.shared.counters.segments_deleted, 1);
            let keys = KeysOfDeleted { end_offset: segment.end_offset, bytes: segment.keys_bytes };
            self.keys_of_deleted.insert(segment.first_offset, keys);
        }
        if first_offsets.is_empty() { Ok(()) } else { self.shared.disk.sync_folder(&self.shared.config.dir) }
    }

    /// Removes key files of deleted segments whose keys are all forgotten.
    fn drop_expired_keys(&mut self) -> io::Result<()> {
        let oldest = self.shared.counters.dedup_oldest_offset.load(Ordering::Relaxed);
        let mut is_changed = false;
        while let Some(entry) = self.keys_of_deleted.first_entry()
            && entry.get().end_offset <= oldest
        {
            self.shared.disk.remove(&keys_path(&self.shared.config.dir, *entry.key()))?;
            self.shared.disk_bytes.fetch_sub(entry.get().bytes, Ordering::AcqRel);
            entry.remove();
            is_changed = true;
        }
        if is_changed { self.shared.disk.sync_folder(&self.shared.config.dir) } else { Ok(()) }
    }

    fn write_state(&self) -> io::Result<()> {
        let used_offsets = self.shared.log.lock().next_offset;
        let consumers = self.shared.consumers.lock().offsets();
        let state = StateFile { epoch: self.shared.epoch, used_offsets, consumers };
        state.write(&self.shared.disk, &self.shared.config.dir.join(STATE_FILE), self.shared.now_ms())
    }
}
