//! From waiting appends to the frames of one commit: offsets, duplicates, checkpoints, limits. No IO happens here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::batch::Batch;
use crate::checkpoint::{Checkpoints, put_checkpoint};
use crate::dedup::DedupIndex;
use crate::error::AppendError;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, KEY_BYTES, put_key};
use crate::log::Frame;
use crate::shared::{Answer, Appended, Duplicate, Request};
use crate::sidecar::KeptKey;

/// Appends are joined to one frame up to this many bytes of records; a larger one gets a frame of its own.
const JOINED_BYTES: usize = 128 << 10;
/// A commit stops taking appends in beyond this many bytes.
const COMMIT_BYTES: u64 = 16 << 20;

/// What a plan must stay within.
pub(crate) struct Room {
    /// Bytes that the active segment takes before the next one begins.
    pub segment_bytes: u64,
    /// Whether the active segment is empty: then a single frame always fits.
    pub segment_is_empty: bool,
    /// Bytes of disk that are left.
    pub disk_bytes: u64,
    /// What to tell those that do not fit on the disk.
    pub full: AppendError,
}

/// A frame that waits to be written: header and keys in `head`, and the records.
pub(crate) struct PlannedFrame {
    pub frame: Frame,
    keys: Vec<u8>,
    key_count: u32,
    checkpoints: Vec<u8>,
    names_all: bool,
}

impl PlannedFrame {
    fn bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + self.keys.len() + self.checkpoints.len() + self.frame.records.len()) as u64
    }

    /// Header, keys and checkpoints as they are written before the records.
    pub(crate) fn head(&self, epoch: u64, accepted_ms: i64, continues: bool) -> Vec<u8> {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.keys);
        hasher.update(&self.checkpoints);
        hasher.update(&self.frame.records);
        let header = FrameHeader {
            epoch,
            first_offset: self.frame.first_offset,
            accepted_ms,
            record_count: self.frame.count,
            key_count: self.key_count,
            records_bytes: self.frame.records.len() as u32,
            body_crc: hasher.finalize(),
            checkpoint_bytes: self.checkpoints.len() as u32,
            continues,
            names_all: self.names_all,
        };
        let mut head = Vec::with_capacity(FRAME_HEADER_BYTES + self.keys.len() + self.checkpoints.len());
        head.extend_from_slice(&header.encode());
        head.extend_from_slice(&self.keys);
        head.extend_from_slice(&self.checkpoints);
        head
    }
}

/// The bytes of a frame without records that names all checkpoints.
pub(crate) fn checkpoints_frame(epoch: u64, first_offset: u64, now_ms: i64, all: &[u8]) -> Vec<u8> {
    let frame = Frame { first_offset, count: 0, records: Vec::new() };
    let planned = PlannedFrame { frame, keys: Vec::new(), key_count: 0, checkpoints: all.to_vec(), names_all: true };
    planned.head(epoch, now_ms, false)
}

/// An answer that is given after the commit.
pub(crate) struct Pending {
    pub answer: Answer,
    pub result: Result<Appended, AppendError>,
    /// It holds only if the commit succeeds.
    pub needs_commit: bool,
}

/// One commit.
#[derive(Default)]
pub(crate) struct Plan {
    pub frames: Vec<PlannedFrame>,
    pub pending: Vec<Pending>,
    pub bytes: u64,
    pub permits: usize,
    pub duplicates: u64,
    pub refused: u64,
    /// Where sources stand after this commit, as far as it moves them.
    pub moved: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The next append needs a new segment.
    pub segment_is_full: bool,
}

impl Plan {
    /// Takes appends in from the front of `waiting` as long as they fit into one commit.
    pub(crate) fn new(
        waiting: &mut VecDeque<Request>,
        dedup: &mut DedupIndex,
        checkpoints: &Checkpoints,
        epoch: u64,
        next_offset: u64,
        now_ms: i64,
        room: &Room,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut offset = next_offset;
        while let Some(request) = waiting.pop_front() {
            let most_bytes = (request.batch.bytes() + FRAME_HEADER_BYTES) as u64;
            let is_first = plan.frames.is_empty();
            if plan.bytes + most_bytes > room.segment_bytes && !(is_first && room.segment_is_empty) {
                plan.segment_is_full = true;
                waiting.push_front(request);
                break;
            }
            if plan.bytes + most_bytes > COMMIT_BYTES && !is_first {
                waiting.push_front(request);
                break;
            }
            offset = plan.take(request, dedup, checkpoints, epoch, next_offset, offset, now_ms, room);
        }
        plan
    }

    /// Takes one append in; returns the offset after it.
    #[expect(clippy::too_many_arguments, reason = "the loop's state, and this is its body")]
    fn take(
        &mut self,
        request: Request,
        dedup: &mut DedupIndex,
        checkpoints: &Checkpoints,
        epoch: u64,
        durable_offset: u64,
        offset: u64,
        now_ms: i64,
        room: &Room,
    ) -> u64 {
        self.permits += request.permits as usize;
        let mut batch = request.batch;
        if let Some((error, needs_commit)) = self.misplaced(&batch, checkpoints) {
            self.pending.push(Pending { answer: request.answer, result: Err(error), needs_commit });
            return offset;
        }
        if let Some(used_at) = used_for_other_contents(&batch, dedup) {
            let needs_commit = used_at >= durable_offset;
            self.pending.push(Pending { answer: request.answer, result: Err(AppendError::Reused), needs_commit });
            return offset;
        }
        let mark = dedup.mark();
        let mut duplicates = Vec::new();
        let mut fresh_keys = Vec::with_capacity(batch.keys.len());
        for (index, key) in &batch.keys {
            if let Some(offset) = dedup.offset_of(*key) {
                duplicates.push(Duplicate { index: *index, offset });
                continue;
            }
            let place = index - duplicates.len() as u32;
            dedup.insert(KeptKey { key: *key, offset: offset + u64::from(place), accepted_ms: now_ms });
            fresh_keys.push((place, *key));
        }
        let accepted = batch.count - duplicates.len() as u32;
        if let (Some(claim), Some(last)) = (batch.claim, accepted.checked_sub(1))
            && dedup.find(claim).is_none()
        {
            dedup.insert(KeptKey { key: claim, offset: offset + u64::from(last), accepted_ms: now_ms });
            fresh_keys.push((last, claim));
        }
        if !duplicates.is_empty() {
            batch.records = batch.records_without(duplicates.iter().map(|duplicate| duplicate.index));
        }
        let mut moves = Vec::new();
        for checkpoint in &batch.checkpoints {
            put_checkpoint(&mut moves, &checkpoint.key, checkpoint.after.as_deref(), now_ms);
        }
        if accepted > 0 || !moves.is_empty() {
            let bytes = (batch.records.len() + fresh_keys.len() * KEY_BYTES + moves.len()) as u64;
            if self.bytes + bytes + FRAME_HEADER_BYTES as u64 > room.disk_bytes {
                dedup.roll_back(mark);
                self.refused += 1;
                let result = Err(room.full.clone());
                self.pending.push(Pending { answer: request.answer, result, needs_commit: false });
                return offset;
            }
            self.put(offset, accepted, batch.records, &fresh_keys, &moves);
            self.moved.extend(batch.checkpoints.into_iter().map(|checkpoint| (checkpoint.key, checkpoint.after)));
        }
        self.duplicates += duplicates.len() as u64;
        let of_this_commit = |duplicate: &Duplicate| duplicate.offset >= durable_offset;
        let needs_commit = accepted > 0 || !moves.is_empty() || duplicates.iter().any(of_this_commit);
        let appended = Appended { epoch, first_offset: offset, accepted, duplicates };
        self.pending.push(Pending { answer: request.answer, result: Ok(appended), needs_commit });
        offset + u64::from(accepted)
    }

    /// Why a batch cannot be taken: one of its sources stands elsewhere. Also whether this holds only if the commit
    /// succeeds.
    fn misplaced(&self, batch: &Batch, checkpoints: &Checkpoints) -> Option<(AppendError, bool)> {
        batch.checkpoints.iter().find_map(|checkpoint| {
            let moved = self.moved.get(&checkpoint.key);
            let current = match moved {
                Some(current) => current.as_deref(),
                None => checkpoints.get(&checkpoint.key),
            };
            (current != checkpoint.before.as_deref()).then(|| {
                let (key, current) = (checkpoint.key.clone(), current.map(<[u8]>::to_vec));
                (AppendError::Moved { key, current }, moved.is_some())
            })
        })
    }

    /// The first frame of a segment names all checkpoints: `all` is their block, and the frame's own come after it.
    pub(crate) fn name_all(&mut self, all: &[u8]) {
        if let Some(first) = self.frames.first_mut() {
            first.checkpoints.splice(0..0, all.iter().copied());
            first.names_all = true;
            self.bytes += all.len() as u64;
        }
    }

    /// Puts records into the last frame if they are few, or into one of their own.
    fn put(&mut self, offset: u64, count: u32, records: Vec<u8>, keys: &[(u32, crate::batch::DedupKey)], moves: &[u8]) {
        let joins = |last: &&mut PlannedFrame| last.frame.records.len() + records.len() <= JOINED_BYTES;
        let (planned, bytes_before) = match self.frames.last_mut().filter(joins) {
            Some(last) => {
                let bytes = last.bytes();
                last.frame.records.extend_from_slice(&records);
                (last, bytes)
            }
            None => {
                let frame = Frame { first_offset: offset, count: 0, records };
                let (keys, checkpoints) = (Vec::new(), Vec::new());
                self.frames.push(PlannedFrame { frame, keys, key_count: 0, checkpoints, names_all: false });
                (self.frames.last_mut().expect("just pushed"), 0)
            }
        };
        for (place, key) in keys {
            put_key(&mut planned.keys, planned.frame.count + place, *key);
        }
        planned.checkpoints.extend_from_slice(moves);
        planned.key_count += keys.len() as u32;
        planned.frame.count += count;
        self.bytes += planned.bytes() - bytes_before;
    }

    /// Gives all answers. `failure` is what those get that needed the commit.
    pub(crate) fn answer(self, failure: Option<&Arc<std::io::Error>>) {
        for pending in self.pending {
            let result = match failure {
                Some(error) if pending.needs_commit => Err(AppendError::Io(Arc::clone(error))),
                _ => pending.result,
            };
            // The caller may have gone away; its records stay.
            let _ = pending.answer.send(result);
        }
    }
}

/// Offset of a record that had a key of this batch, for other contents.
fn used_for_other_contents(batch: &Batch, dedup: &DedupIndex) -> Option<u64> {
    let keys = batch.claim.iter().chain(batch.keys.iter().map(|(_, key)| key));
    keys.filter(|key| key.contents != 0).find_map(|key| {
        let (kept, offset) = dedup.find(*key)?;
        kept.contradicts(*key).then_some(offset)
    })
}
