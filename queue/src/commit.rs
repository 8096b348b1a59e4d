//! The committer: one thread that takes all waiting appends, writes them, syncs once, and answers.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use crate::checkpoint::put_checkpoint;
use crate::dedup::DedupIndex;
use crate::disk::Writer;
use crate::error::AppendError;
use crate::frame::{FILE_HEADER_BYTES, FileHeader, FileKind};
use crate::log::{Frame, Segment, segment_path};
use crate::plan::{Plan, PlannedFrame, Room, checkpoints_frame};
use crate::shared::{GATHER_BYTES, Request, Shared};
use crate::sidecar::SegmentKeys;

/// While writing fails, it is said this often. Not each time: whoever stores the log lines of this process in this very
/// queue would make the next failure out of each.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// A failure counts until a write succeeds this long after it: on a disk that is full but for a little, short appends
/// succeed between longer ones that fail. When nobody appends, a write is tried this often.
const FAILING_FOR: Duration = Duration::from_secs(5);
/// Bytes of that write: as many as are worth a commit.
const TRIED_BYTES: usize = GATHER_BYTES;

/// The segment that is written to.
pub(crate) struct Active {
    pub writer: Writer,
    /// Durable bytes, where the next frame goes.
    pub bytes: u64,
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    dedup: DedupIndex,
    /// `None` after a failure: nothing is written to that file again, the next commit begins a new one.
    active: Option<Active>,
    next_offset: u64,
    waiting: VecDeque<Request>,
    /// How many callers the last commit has shown to be there.
    expected: usize,
    /// The last append that had to be stored was refused for want of room.
    is_full: bool,
    /// When it was last said that writing fails; `None`: the last write succeeded.
    told_at: Option<Instant>,
    /// When writing failed last; `None`: it succeeds.
    failed_at: Option<Instant>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, dedup: DedupIndex, active: Option<Active>, next_offset: u64) -> Committer {
        let committer = Committer {
            shared,
            dedup,
            active,
            next_offset,
            waiting: VecDeque::new(),
            expected: 0,
            is_full: false,
            told_at: None,
            failed_at: None,
        };
        committer.show_keys();
        committer
    }

    /// Works until the queue is closed and nothing waits.
    pub(crate) fn run(mut self) {
        while self.wait() {
            self.commit();
        }
    }

    /// Waits for appends; false when there will be none.
    ///
    /// Callers that were answered a moment ago mostly come back at once. Waiting for them, for a short while, makes
    /// one sync of many: a sync costs far more than a record.
    fn wait(&mut self) -> bool {
        let deadline = Instant::now() + self.shared.config.gather_max;
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox.lock();
        let mut expected = self.expected.max(1);
        let advance = loop {
            let all_are_here = inbox.requests.len() >= expected;
            let is_worth_it = all_are_here || inbox.bytes >= GATHER_BYTES || !self.waiting.is_empty();
            if is_worth_it || inbox.closing || !inbox.advance.is_empty() {
                self.waiting.extend(inbox.requests.drain(..));
                inbox.bytes = 0;
                break std::mem::take(&mut inbox.advance);
            }
            inbox.wake_at = Some(expected);
            if expected == 1 && self.failed_at.is_some() {
                if shared.work.wait_for(&mut inbox, FAILING_FOR).timed_out() {
                    inbox.wake_at = None;
                    MutexGuard::unlocked(&mut inbox, || self.try_a_write());
                }
            } else if expected == 1 {
                shared.work.wait(&mut inbox);
            } else if shared.work.wait_until(&mut inbox, deadline).timed_out() {
                // Those that are here, or the first one that comes.
                expected = 1;
            }
            inbox.wake_at = None;
        };
        let is_over = inbox.closing && self.waiting.is_empty() && advance.is_empty();
        drop(inbox);
        for (offset, done) in advance {
            self.advance(offset, done);
        }
        !is_over
    }

    /// One commit of what waits, or as much of it as fits.
    fn commit(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now_ms = self.shared.now_ms();
        self.dedup.expire(now_ms);
        let mark = self.dedup.mark();
        let room = self.room();
        let mut plan = {
            let checkpoints = self.shared.checkpoints.lock();
            let (epoch, next_offset) = (self.shared.epoch, self.next_offset);
            let mut plan =
                Plan::new(&mut self.waiting, &mut self.dedup, &checkpoints, epoch, next_offset, now_ms, &room);
            if room.segment_is_empty {
                plan.name_all(&checkpoints.block());
            }
            plan
        };
        let mut failure = None;
        if plan.frames.is_empty() {
            if plan.segment_is_full
                && let Err(error) = self.begin_segment(self.next_offset)
            {
                self.refuse_waiting(&Arc::new(error));
            }
        } else {
            match self.write(&plan.frames, now_ms) {
                Ok(()) => self.publish(&mut plan, now_ms),
                Err(error) => {
                    self.dedup.roll_back(mark);
                    failure = Some(self.abandon(error));
                }
            }
        }
        self.count(&plan);
        // Counted before the answers: after them, the callers that came back would be counted twice.
        self.expected = plan.pending.len() + self.waiting.len() + self.shared.inbox.lock().requests.len();
        self.shared.permits.add_permits(plan.permits);
        plan.answer(failure.as_ref());
        if let Some(active) = &mut self.active {
            active.writer.release_pages();
        }
    }

    fn room(&self) -> Room {
        let limit_bytes = self.shared.config.disk_limit_bytes;
        let disk_bytes = self.shared.disk_bytes.load(Ordering::Acquire);
        let used = self.active.as_ref().map_or(FILE_HEADER_BYTES as u64, |active| active.bytes);
        let segment_is_empty = used <= FILE_HEADER_BYTES as u64;
        let named = if segment_is_empty { self.shared.checkpoints.lock().bytes() as u64 } else { 0 };
        Room {
            segment_bytes: self.shared.config.effective_segment_bytes().saturating_sub(used + named),
            segment_is_empty,
            disk_bytes: limit_bytes.saturating_sub(disk_bytes + named),
            full: AppendError::Full { limit_bytes, disk_bytes },
        }
    }

    /// Writes the frames and makes them durable.
    fn write(&mut self, frames: &[PlannedFrame], now_ms: i64) -> io::Result<()> {
        if self.active.is_none() {
            self.begin_segment(self.next_offset)?;
        }
        let Some(active) = &mut self.active else { return Err(io::Error::other("no segment")) };
        let heads: Vec<Vec<u8>> =
            frames.iter().enumerate().map(|(index, frame)| frame.head(self.shared.epoch, now_ms, index > 0)).collect();
        let mut slices: Vec<IoSlice<'_>> = heads
            .iter()
            .zip(frames)
            .flat_map(|(head, planned)| [IoSlice::new(head), IoSlice::new(&planned.frame.records)])
            .collect();
        (self.shared.config.failpoint)("queue.before_write");
        active.writer.append(&mut slices)?;
        (self.shared.config.failpoint)("queue.after_write");
        let started = Instant::now();
        active.writer.sync()?;
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Shared::add(&self.shared.counters.sync_nanos, nanos);
        (self.shared.config.failpoint)("queue.after_sync");
        Ok(())
    }

    /// The commit is durable: readers may see it.
    fn publish(&mut self, plan: &mut Plan, now_ms: i64) {
        self.wrote();
        let frames: Vec<Frame> = plan.frames.drain(..).map(|planned| planned.frame).collect();
        let records: u64 = frames.iter().map(|frame| u64::from(frame.count)).sum();
        let record_bytes: usize = frames.iter().map(|frame| frame.records.len()).sum();
        self.next_offset += records;
        self.publish_checkpoints(plan, now_ms);
        if let Some(active) = &mut self.active {
            active.bytes += plan.bytes;
        }
        self.shared.disk_bytes.fetch_add(plan.bytes, Ordering::AcqRel);
        let mut log = self.shared.log.lock();
        log.publish(frames, plan.bytes);
        self.shared.readable.notify_all();
        drop(log);
        Shared::add(&self.shared.counters.records, records);
        Shared::add(&self.shared.counters.record_bytes, record_bytes as u64);
        Shared::add(&self.shared.counters.commits, 1);
        self.show_keys();
    }

    fn publish_checkpoints(&mut self, plan: &Plan, now_ms: i64) {
        if plan.moved.is_empty() {
            return;
        }
        let mut block = Vec::new();
        for (key, value) in &plan.moved {
            put_checkpoint(&mut block, key, value.as_deref(), now_ms);
        }
        self.shared.checkpoints.lock().apply_block(&block);
    }

    fn count(&mut self, plan: &Plan) {
        Shared::add(&self.shared.counters.duplicates, plan.duplicates);
        Shared::add(&self.shared.counters.full, plan.refused);
        if plan.refused > 0 && !self.is_full {
            tracing::warn!("the queue is full: appends are refused until consumers release records");
        }
        if plan.refused > 0 || plan.bytes > 0 {
            self.is_full = plan.refused > 0;
        }
    }

    /// A write or sync failed. The page cache may now pretend that the data is on disk, so nothing is built on this
    /// file any more: what was durable in it stays, and the next commit begins a new segment.
    fn abandon(&mut self, error: io::Error) -> Arc<io::Error> {
        self.failed(&error);
        if let Some(mut active) = self.active.take() {
            // Best effort: recovery knows left-overs by the offset of the segment that follows.
            if let Err(error) = active.writer.set_length(active.bytes) {
                tracing::warn!(%error, "cannot cut the failed commit off");
            }
        }
        Arc::new(error)
    }

    /// A write has failed: counts it, and says so if it was not said a moment ago.
    fn failed(&mut self, error: &io::Error) {
        Shared::add(&self.shared.counters.io_errors, 1);
        self.failed_at = Some(Instant::now());
        self.shared.counters.write_failing.store(true, Ordering::Relaxed);
        if self.told_at.is_none_or(|told_at| told_at.elapsed() >= TELL_EVERY) {
            self.told_at = Some(Instant::now());
            tracing::error!(%error, "cannot write to the queue; nothing is acknowledged until that succeeds again");
        }
    }

    /// A write has succeeded: what failed before counts no longer, if it is long enough ago.
    fn wrote(&mut self) {
        if self.failed_at.is_none_or(|failed_at| failed_at.elapsed() < FAILING_FOR) {
            return;
        }
        (self.failed_at, self.told_at) = (None, None);
        self.shared.counters.write_failing.store(false, Ordering::Relaxed);
        tracing::info!("the queue can be written again");
    }

    /// Finds out whether the disk takes something again, when nobody else does: by a file beside the segments. What
    /// is left of it after a crash is removed by the next start.
    fn try_a_write(&mut self) {
        let path = self.shared.config.dir.join("room.tmp");
        let written = self.shared.disk.create(&path).and_then(|mut writer| {
            writer.write_all(&mut [IoSlice::new(&[0; TRIED_BYTES])])?;
            writer.sync()
        });
        let removed = self.shared.disk.remove(&path);
        if written.and(removed).is_ok() {
            self.wrote();
        }
    }

    fn refuse_waiting(&mut self, error: &Arc<io::Error>) {
        self.failed(error);
        for request in self.waiting.drain(..) {
            self.shared.permits.add_permits(request.permits as usize);
            let _ = request.answer.send(Err(AppendError::Io(Arc::clone(error))));
        }
    }

    /// Makes a new segment durable and writes there from now on. The full one goes to the janitor.
    pub(crate) fn begin_segment(&mut self, first_offset: u64) -> io::Result<()> {
        // A segment without records gives its name to the new one; what it holds of checkpoints alone goes over.
        let holds_checkpoints = |last: &Segment| last.bytes > FILE_HEADER_BYTES as u64;
        let gives_way = |last: &&Segment| {
            last.first_offset == last.end_offset && (!holds_checkpoints(last) || last.first_offset == first_offset)
        };
        let replaced = self.shared.log.lock().segments.back().filter(gives_way).cloned();
        self.active = None;
        let path = segment_path(&self.shared.config.dir, first_offset);
        (self.shared.config.failpoint)("queue.segment_roll");
        let active = match &replaced {
            Some(last) if holds_checkpoints(last) => replace_segment(&self.shared, first_offset, &path)?,
            Some(empty) => {
                self.shared.disk.remove(&segment_path(&self.shared.config.dir, empty.first_offset))?;
                create_segment(&self.shared, first_offset, &path)?
            }
            None => create_segment(&self.shared, first_offset, &path)?,
        };
        let bytes = active.bytes;
        self.active = Some(active);
        let mut log = self.shared.log.lock();
        if let Some(replaced) = replaced {
            log.segments.pop_back();
            self.shared.disk_bytes.fetch_sub(replaced.bytes, Ordering::AcqRel);
        }
        self.shared.disk_bytes.fetch_add(bytes, Ordering::AcqRel);
        let sealed = log.segments.back().map(|segment| (segment.first_offset, segment.end_offset));
        log.begin_segment(Segment { first_offset, end_offset: first_offset, bytes, keys_bytes: 0 });
        drop(log);
        if let Some((first_offset, end_offset)) = sealed {
            let keys = self.dedup.keys_from(first_offset);
            self.shared.chores.lock().sealed.push(SegmentKeys { first_offset, end_offset, keys });
            self.shared.chore.notify_one();
        }
        Ok(())
    }

    /// Gives no offset below this one: a consumer has seen it used.
    fn advance(&mut self, offset: u64, done: mpsc::Sender<()>) {
        if offset > self.next_offset {
            tracing::error!(
                from = self.next_offset,
                to = offset,
                "a consumer is ahead of the queue; offsets are skipped"
            );
            match self.begin_segment(offset) {
                Ok(()) => self.next_offset = offset,
                Err(error) => {
                    self.abandon(error);
                    self.next_offset = offset;
                }
            }
        }
        let _ = done.send(());
    }

    fn show_keys(&self) {
        let counters = &self.shared.counters;
        counters.dedup_keys.store(self.dedup.len() as u64, Ordering::Relaxed);
        counters.dedup_forgotten_early.store(self.dedup.forgotten_early(), Ordering::Relaxed);
        counters.dedup_oldest_offset.store(self.dedup.oldest_offset().unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for Committer {
    /// Also after a panic: nobody may wait for an answer that will not come.
    fn drop(&mut self) {
        let mut inbox = self.shared.inbox.lock();
        inbox.closing = true;
        inbox.requests.clear();
        inbox.advance.clear();
        drop(inbox);
        self.waiting.clear();
        self.shared.permits.close();
        self.shared.log.lock().closed = true;
        self.shared.readable.notify_all();
    }
}

fn segment_header(shared: &Shared, first_offset: u64) -> [u8; FILE_HEADER_BYTES] {
    let header = FileHeader { epoch: shared.epoch, first_offset, base_ms: shared.now_ms(), ..FileHeader::default() };
    header.encode(FileKind::Segment)
}

/// A new segment file with its header, durable under its name.
fn create_segment(shared: &Shared, first_offset: u64, path: &Path) -> io::Result<Active> {
    let mut writer = shared.disk.create(path)?;
    writer.write_all(&mut [IoSlice::new(&segment_header(shared, first_offset))])?;
    writer.sync()?;
    shared.disk.sync_folder(&shared.config.dir)?;
    Ok(Active { writer, bytes: FILE_HEADER_BYTES as u64 })
}

/// A segment file that takes the place of one of the same name, which held checkpoints and no records: it begins with
/// all of them. The old one is there until the new one is durable.
fn replace_segment(shared: &Shared, first_offset: u64, path: &Path) -> io::Result<Active> {
    let all = shared.checkpoints.lock().block();
    let header = segment_header(shared, first_offset);
    let frame =
        if all.is_empty() { Vec::new() } else { checkpoints_frame(shared.epoch, first_offset, shared.now_ms(), &all) };
    shared.disk.replace(path, &[&header, &frame])?;
    let bytes = (header.len() + frame.len()) as u64;
    Ok(Active { writer: shared.disk.open_at(path, bytes)?, bytes })
}
