//! Reading committed records, from memory when one keeps up and from the files otherwise.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Records;
use crate::error::{Damage, ReadError};
use crate::log::{Frame, Place, Segment, segment_path};
use crate::shared::Shared;
use crate::walk::{FrameWalk, Step};

/// Small frames are joined up to this size, so that consumers have work of a useful size.
const JOINED_BYTES: usize = 1 << 20;
/// A frame of this size is handed out as it is, without a copy.
const ALONE_BYTES: usize = 128 << 10;

/// Committed records with consecutive offsets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadBatch {
    frame: Arc<Frame>,
    first_offset: u64,
    skipped_bytes: usize,
    lost_before: u64,
    epoch: u64,
}

impl ReadBatch {
    /// A batch of an adapter: `records` lie as [`Batch`](crate::Batch) lays them, the first one has `first_offset`.
    pub fn new(epoch: u64, first_offset: u64, batch: crate::Batch) -> ReadBatch {
        let frame = Frame { first_offset, count: batch.count, records: batch.records };
        ReadBatch { frame: Arc::new(frame), first_offset, skipped_bytes: 0, lost_before: 0, epoch }
    }

    /// Offset of the first record.
    pub fn first_offset(&self) -> u64 {
        self.first_offset
    }

    /// Offset after the last record: where to go on.
    pub fn next_offset(&self) -> u64 {
        self.frame.end_offset()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        (self.next_offset() - self.first_offset) as usize
    }

    /// Whether there is no record. Readers never hand out such a batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the records, and what it keeps in memory with them.
    pub fn bytes(&self) -> usize {
        self.frame.records.len()
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        Records { rest: self.frame.records.get(self.skipped_bytes..).unwrap_or_default() }
    }

    /// Number of offsets right before this batch whose records are damaged and were skipped.
    pub fn lost_before(&self) -> u64 {
        self.lost_before
    }

    /// The epoch of the queue that the offsets belong to.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The partition that the offsets belong to; the embedded queue has only partition 0.
    pub fn partition(&self) -> u32 {
        0
    }
}

/// A place in the queue that moves forward. It sees durable records only. For one thread; make one per consumer.
pub struct Reader {
    shared: Arc<Shared>,
    /// Offset of the next wanted record.
    position: u64,
    /// Offset before the damage that was skipped since the last batch.
    expected: u64,
    /// The same for the committer, which keeps frames in memory for living readers.
    published: Arc<AtomicU64>,
    file: Option<FileCursor>,
}

struct FileCursor {
    segment_first_offset: u64,
    walk: FrameWalk,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, position: u64) -> Reader {
        let published = Arc::new(AtomicU64::new(position));
        shared.log.lock().add_reader(&published);
        Reader { shared, position, expected: position, published, file: None }
    }

    /// Offset of the record that comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next records; waits for them up to `timeout`, then answers `None`.
    ///
    /// Damaged records are skipped, logged and counted; the batch after them says how many. Blocks the thread.
    ///
    /// # Errors
    /// [`ReadError::Deleted`] once when the position is not there any more, [`ReadError::Io`] when the system cannot
    /// read, [`ReadError::Closed`] when the queue is closed and all of it has been read.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<ReadBatch>, ReadError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.find(deadline)? {
                Place::Memory(frames) => {
                    self.file = None;
                    return Ok(self.hand_out(frames));
                }
                Place::File(segment) => {
                    if let Some(frame) = self.read_file(&segment)? {
                        return Ok(self.hand_out(vec![Arc::new(frame)]));
                    }
                }
                Place::Gap(next_offset) => {
                    self.report(Damage {
                        segment: self.shared.config.dir.clone(),
                        first_offset: self.position,
                        next_offset,
                        certain: true,
                    });
                }
                Place::Deleted(first_offset) => {
                    let wanted = self.position;
                    self.move_to(first_offset);
                    self.expected = first_offset;
                    return Err(ReadError::Deleted { wanted, first_offset });
                }
                Place::NotYet => return Ok(None),
            }
        }
    }

    /// Waits until there is something, or until the deadline.
    fn find(&mut self, deadline: Option<Instant>) -> Result<Place, ReadError> {
        let mut log = self.shared.log.lock();
        loop {
            match log.find(self.position, JOINED_BYTES) {
                Place::NotYet if log.closed => return Err(ReadError::Closed),
                Place::NotYet => {}
                place => return Ok(place),
            }
            match deadline {
                Some(deadline) if self.shared.readable.wait_until(&mut log, deadline).timed_out() => {
                    return Ok(log.find(self.position, JOINED_BYTES));
                }
                Some(_) => {}
                None => self.shared.readable.wait(&mut log),
            }
        }
    }

    /// The frames, which follow each other, as one batch from the position on.
    fn hand_out(&mut self, mut frames: Vec<Arc<Frame>>) -> Option<ReadBatch> {
        if frames.first().is_some_and(|first| first.records.len() >= ALONE_BYTES) {
            frames.truncate(1);
        } else if let Some(large) = frames.iter().position(|frame| frame.records.len() >= ALONE_BYTES) {
            frames.truncate(large);
        }
        let first = frames.first()?;
        let frame = if frames.len() == 1 {
            Arc::clone(first)
        } else {
            let mut records = Vec::with_capacity(frames.iter().map(|frame| frame.records.len()).sum());
            frames.iter().for_each(|frame| records.extend_from_slice(&frame.records));
            let count = frames.iter().map(|frame| frame.count).sum();
            Arc::new(Frame { first_offset: first.first_offset, count, records })
        };
        let first_offset = self.position.max(frame.first_offset);
        let mut records = Records { rest: &frame.records };
        for _ in frame.first_offset..first_offset {
            records.next();
        }
        let skipped_bytes = frame.records.len() - records.rest.len();
        let lost_before = first_offset - self.expected;
        let batch = ReadBatch { first_offset, skipped_bytes, lost_before, epoch: self.shared.epoch, frame };
        self.move_to(batch.next_offset());
        self.expected = self.position;
        Some(batch)
    }

    /// The frames from the position on, joined up to a useful size. `None` if the position moved over damage.
    fn read_file(&mut self, segment: &Segment) -> Result<Option<Frame>, ReadError> {
        let path = segment_path(&self.shared.config.dir, segment.first_offset);
        let io_error = |path: &Path, source| ReadError::Io { path: path.to_owned(), source };
        let mut cursor = match self.file.take() {
            Some(cursor)
                if cursor.segment_first_offset == segment.first_offset && cursor.walk.expected() <= self.position =>
            {
                cursor
            }
            _ => {
                let (first_offset, end_offset, bytes) = (segment.first_offset, segment.end_offset, segment.bytes);
                match FrameWalk::open(&path, self.shared.epoch, first_offset, end_offset, bytes) {
                    Ok(mut walk) => {
                        walk.pass(self.position).map_err(|source| io_error(&path, source))?;
                        FileCursor { segment_first_offset: first_offset, walk }
                    }
                    // Deleted since it was found: looking again says so.
                    Err(_) if self.shared.log.lock().first_offset() > first_offset => return Ok(None),
                    Err(source) => return Err(io_error(&path, source)),
                }
            }
        };
        cursor.walk.extend(segment.end_offset, segment.bytes);
        let mut joined: Option<Frame> = None;
        loop {
            match cursor.walk.next().map_err(|source| io_error(&path, source))? {
                Step::Frame { header, records, .. } => {
                    if header.end_offset() <= self.position {
                        continue;
                    }
                    let bytes = cursor.walk.bytes(records);
                    match &mut joined {
                        None => {
                            let (first_offset, count) = (header.first_offset, header.record_count);
                            joined = Some(Frame { first_offset, count, records: bytes.to_vec() });
                        }
                        Some(frame) => {
                            frame.records.extend_from_slice(bytes);
                            frame.count += header.record_count;
                        }
                    }
                    if joined.as_ref().is_some_and(|frame| frame.records.len() >= ALONE_BYTES) {
                        break;
                    }
                }
                Step::Damage(mut damage) => {
                    damage.first_offset = damage.first_offset.max(self.position);
                    if joined.is_none() {
                        self.report(damage);
                        continue;
                    }
                    self.shared.damage.lock().met(&damage);
                    break;
                }
                Step::End { .. } => {
                    if joined.is_none() {
                        // Nothing readable up to the end of the segment.
                        self.report(Damage {
                            segment: path,
                            first_offset: self.position,
                            next_offset: segment.end_offset,
                            certain: true,
                        });
                        return Ok(None);
                    }
                    break;
                }
            }
        }
        self.file = Some(cursor);
        Ok(joined)
    }

    /// Counts lost records and goes on behind them.
    fn report(&mut self, damage: Damage) {
        self.shared.damage.lock().met(&damage);
        self.move_to(damage.next_offset.max(self.position));
    }

    fn move_to(&mut self, position: u64) {
        self.position = position;
        self.published.store(position, Ordering::Relaxed);
    }
}
