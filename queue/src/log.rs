//! What committer, readers and janitor share: the list of segments, the durable end, and the newest frames.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::error::Damage;

/// Committed records in memory, shared by all readers.
#[derive(Debug)]
pub(crate) struct Frame {
    pub first_offset: u64,
    pub count: u32,
    pub records: Vec<u8>,
}

impl Frame {
    pub(crate) fn end_offset(&self) -> u64 {
        self.first_offset + u64::from(self.count)
    }
}

/// A segment file, as far as it is durable.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub first_offset: u64,
    pub end_offset: u64,
    /// Durable bytes; what may lie behind them in the file does not count.
    pub bytes: u64,
    /// Bytes of its key file, 0 while there is none.
    pub keys_bytes: u64,
}

/// Guarded by one mutex, held for short sections without any IO.
#[derive(Debug)]
pub(crate) struct LogState {
    /// In the order of offsets; the last one is being written to.
    pub segments: VecDeque<Segment>,
    /// Offset after the last durable record.
    pub next_offset: u64,
    /// No more will come.
    pub closed: bool,
    /// The newest frames, without gaps between them and up to `next_offset`.
    tail: VecDeque<Arc<Frame>>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    /// Where the living readers stand.
    readers: Vec<Weak<AtomicU64>>,
}

/// Where a reader finds what it wants next.
pub(crate) enum Place {
    /// In memory: the frame with that offset and those after it, up to about the wanted bytes.
    Memory(Vec<Arc<Frame>>),
    /// In this segment.
    File(Segment),
    /// Nowhere: it is lost, and goes on at this offset.
    Gap(u64),
    /// It was deleted; the queue begins at this offset.
    Deleted(u64),
    /// Not there yet.
    NotYet,
}

impl LogState {
    pub(crate) fn new(segments: VecDeque<Segment>, next_offset: u64, tail_bytes_max: usize) -> LogState {
        LogState {
            segments,
            next_offset,
            closed: false,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
            readers: Vec::new(),
        }
    }

    /// Offset of the oldest record that is kept.
    pub(crate) fn first_offset(&self) -> u64 {
        self.segments.front().map_or(self.next_offset, |segment| segment.first_offset)
    }

    /// Bytes of all segments and their key files.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes + segment.keys_bytes).sum()
    }

    /// Makes durable frames visible; they follow what is there.
    pub(crate) fn publish(&mut self, frames: Vec<Frame>, file_bytes: u64) {
        let slowest = self.slowest_reader();
        for frame in frames {
            self.next_offset = frame.end_offset();
            // A frame of checkpoints alone is nothing to a reader.
            if slowest.is_some() && frame.count > 0 {
                self.tail_bytes += frame.records.capacity();
                self.tail.push_back(Arc::new(frame));
            }
        }
        let next_offset = self.next_offset;
        if let Some(active) = self.segments.back_mut() {
            active.end_offset = next_offset;
            active.bytes += file_bytes;
        }
        while let Some(oldest) = self.tail.front() {
            let is_read = slowest.is_none_or(|position| oldest.end_offset() <= position);
            if !is_read && self.tail_bytes <= self.tail_bytes_max {
                break;
            }
            self.tail_bytes -= oldest.records.capacity();
            self.tail.pop_front();
        }
    }

    /// Begins a segment at the end. A jump of the offset leaves a gap.
    pub(crate) fn begin_segment(&mut self, segment: Segment) {
        if segment.first_offset != self.next_offset {
            self.tail.clear();
            self.tail_bytes = 0;
        }
        self.next_offset = segment.first_offset;
        self.segments.push_back(segment);
    }

    /// Where the record at `offset` is.
    pub(crate) fn find(&self, offset: u64, wanted_bytes: usize) -> Place {
        if offset >= self.next_offset {
            return Place::NotYet;
        }
        let first_offset = self.first_offset();
        if offset < first_offset {
            return Place::Deleted(first_offset);
        }
        let frames = self.tail_from(offset, wanted_bytes);
        if !frames.is_empty() {
            return Place::Memory(frames);
        }
        let after = self.segments.partition_point(|segment| segment.first_offset <= offset);
        match after.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(segment) if offset < segment.end_offset => Place::File(segment.clone()),
            _ => Place::Gap(self.segments.get(after).map_or(self.next_offset, |segment| segment.first_offset)),
        }
    }

    fn tail_from(&self, offset: u64, wanted_bytes: usize) -> Vec<Arc<Frame>> {
        if self.tail.front().is_none_or(|oldest| oldest.first_offset > offset) {
            return Vec::new();
        }
        let start = self.tail.partition_point(|frame| frame.end_offset() <= offset);
        let mut bytes = 0;
        let mut frames = Vec::new();
        for frame in self.tail.range(start..) {
            bytes += frame.records.len();
            if !frames.is_empty() && bytes > wanted_bytes {
                break;
            }
            frames.push(Arc::clone(frame));
        }
        frames
    }

    /// Takes note of a reader, for which the newest frames are kept.
    pub(crate) fn add_reader(&mut self, position: &Arc<AtomicU64>) {
        self.readers.push(Arc::downgrade(position));
    }

    fn slowest_reader(&mut self) -> Option<u64> {
        let mut slowest = None;
        self.readers.retain(|reader| {
            let Some(position) = reader.upgrade() else { return false };
            let position = position.load(Ordering::Relaxed);
            slowest = Some(slowest.map_or(position, |other: u64| other.min(position)));
            true
        });
        slowest
    }
}

/// Which damage was found already, so that each lost record is counted once.
#[derive(Debug, Default)]
pub(crate) struct DamageLog {
    ranges: BTreeMap<u64, u64>,
    /// Of them, those of which nobody knows yet whether they cost anything: not all consumers have come.
    unjudged: Vec<(u64, u64)>,
    lost_of_deleted: u64,
    pub ranges_total: u64,
}

impl DamageLog {
    /// Takes in a damage that the start has found.
    pub(crate) fn found_at_start(&mut self, damage: &Damage) {
        if self.add(damage) {
            let (segment, certain) = (damage.segment.display(), damage.certain);
            let (first_offset, next_offset) = (damage.first_offset, damage.next_offset);
            tracing::warn!(%segment, first_offset, next_offset, certain, "records of the queue are damaged on disk");
            self.unjudged.push((first_offset, next_offset));
        }
    }

    /// Says what the damage costs that the start has found: all consumers are there.
    pub(crate) fn judge(&mut self, had_all_below: u64) {
        for (first_offset, next_offset) in std::mem::take(&mut self.unjudged) {
            match lost_of(first_offset, next_offset, had_all_below) {
                0 => tracing::warn!(
                    first_offset,
                    next_offset,
                    "all consumers had taken the damaged records of the queue before: nothing is lost"
                ),
                records => tracing::error!(
                    first_offset,
                    next_offset,
                    records,
                    "damaged records of the queue are lost: not all consumers had taken them; they are skipped"
                ),
            }
        }
    }

    /// Takes in, and tells, a damage that a reader has met.
    pub(crate) fn met(&mut self, damage: &Damage) {
        if self.add(damage) {
            tracing::error!(
                segment = %damage.segment.display(),
                first_offset = damage.first_offset,
                next_offset = damage.next_offset,
                certain = damage.certain,
                "records of the queue are damaged and skipped"
            );
        }
    }

    /// Whether it is new.
    fn add(&mut self, damage: &Damage) -> bool {
        let before = self.ranges.range(..damage.next_offset).next_back();
        let is_known = before.is_some_and(|(_, end)| *end > damage.first_offset);
        if damage.first_offset >= damage.next_offset || is_known {
            return false;
        }
        self.ranges.insert(damage.first_offset, damage.next_offset);
        self.ranges_total += 1;
        true
    }

    /// Records that are damaged and that not all consumers had.
    pub(crate) fn lost_records(&self, had_all_below: u64) -> u64 {
        self.lost_of_deleted + lost_of_all(&self.ranges, had_all_below)
    }

    /// Forgets the ranges of deleted segments; the counts stay.
    pub(crate) fn forget_below(&mut self, offset: u64, had_all_below: u64) {
        let kept = self.ranges.split_off(&offset);
        self.lost_of_deleted += lost_of_all(&std::mem::replace(&mut self.ranges, kept), had_all_below);
    }
}

fn lost_of_all(ranges: &BTreeMap<u64, u64>, had_all_below: u64) -> u64 {
    ranges.iter().map(|(first, next)| lost_of(*first, *next, had_all_below)).sum()
}

fn lost_of(first_offset: u64, next_offset: u64, had_all_below: u64) -> u64 {
    next_offset.saturating_sub(first_offset.max(had_all_below))
}

/// Path of the segment that begins at an offset.
pub(crate) fn segment_path(dir: &Path, first_offset: u64) -> PathBuf {
    dir.join(format!("{first_offset:020}.seg"))
}

/// Path of the keys of that segment.
pub(crate) fn keys_path(dir: &Path, first_offset: u64) -> PathBuf {
    dir.join(format!("{first_offset:020}.keys"))
}
