//! The embedded queue: opening, appending, consumers, figures, closing.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::commit::{Active, Committer};
use crate::config::QueueConfig;
use crate::disk::Disk;
use crate::error::{AppendError, OpenError, RecoveryReport};
use crate::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::janitor::Janitor;
use crate::log::{LogState, segment_path};
use crate::reader::Reader;
use crate::recovery::{Recovered, recover};
use crate::shared::{Appended, Request, Shared};

/// The smallest disk limit, bytes.
pub const DISK_LIMIT_MIN: u64 = 1 << 20;
const LOCK_FILE: &str = "lock";

/// A durable log in a folder of its own. Share it in an `Arc`; dropping it closes it.
pub struct EmbeddedQueue {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

/// Keeps segments from being deleted; see [`EmbeddedQueue::hold`].
pub struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.consumers.lock().holds -= 1;
        self.0.tidy();
    }
}

struct Threads {
    committer: JoinHandle<()>,
    janitor: JoinHandle<()>,
    /// Held as long as files may change.
    _lock: File,
}

/// Figures of a queue. The `_total` ones count since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Made when the folder was made.
    pub epoch: u64,
    /// Offset of the oldest record that is kept.
    pub first_offset: u64,
    /// Offset that the next record gets.
    pub next_offset: u64,
    /// Segment files.
    pub segments: usize,
    /// Bytes of segments and keys on disk.
    pub disk_bytes: u64,
    /// The most that they may take.
    pub disk_limit_bytes: u64,
    /// Keys that are remembered.
    pub dedup_keys: u64,
    /// Keys forgotten before their time because there were too many.
    pub dedup_forgotten_early_total: u64,
    /// Records appended.
    pub records_total: u64,
    /// Their bytes, with four for the length of each.
    pub record_bytes_total: u64,
    /// Records that were there already.
    pub duplicates_total: u64,
    /// Group commits, each with one fdatasync.
    pub commits_total: u64,
    /// Time spent in fdatasync, nanoseconds.
    pub sync_nanos_total: u64,
    /// Appends refused because the disk limit was reached.
    pub full_total: u64,
    /// Failures of the system to write, sync or delete.
    pub io_errors_total: u64,
    /// Whether the system refuses writes: since the last failure nothing was written for long enough.
    pub write_failing: bool,
    /// Acknowledged records that are damaged on disk, and that not all consumers had taken before.
    pub lost_records_total: u64,
    /// Places where they were.
    pub damaged_ranges_total: u64,
    /// Segments deleted after all consumers had released them.
    pub segments_deleted_total: u64,
    /// Sources whose position is kept.
    pub checkpoints: u64,
    /// Positions forgotten because there were too many.
    pub checkpoints_forgotten_total: u64,
    /// Each consumer with the offset below which it needs nothing.
    pub consumers: BTreeMap<String, u64>,
}

impl EmbeddedQueue {
    /// Opens the queue in `config.dir`, or makes one there. `now_ms` is the time, milliseconds since the epoch.
    ///
    /// A cut-off end of the newest segment is removed. Damage elsewhere is reported and skipped by readers.
    ///
    /// # Errors
    /// When another process has the folder, a file is of a newer version or of another queue, or the system refuses.
    pub fn open(config: QueueConfig, now_ms: i64) -> Result<(EmbeddedQueue, RecoveryReport), OpenError> {
        EmbeddedQueue::open_on(Disk::default(), config, now_ms)
    }

    pub(crate) fn open_on(
        disk: Disk,
        config: QueueConfig,
        now_ms: i64,
    ) -> Result<(EmbeddedQueue, RecoveryReport), OpenError> {
        if config.disk_limit_bytes < DISK_LIMIT_MIN {
            let disk_limit_bytes = config.disk_limit_bytes;
            return Err(OpenError::LimitTooSmall { disk_limit_bytes, least: DISK_LIMIT_MIN });
        }
        let dir = config.dir.clone();
        let failed = |doing, path: &Path, source| OpenError::Io { doing, path: path.to_owned(), source };
        make_folder(&disk, &dir).map_err(|source| failed("make", &dir, source))?;
        let lock = lock(&dir)?;

        let Recovered {
            epoch,
            segments,
            unkept,
            keys_of_deleted,
            dedup,
            consumers,
            checkpoints,
            damage,
            next_offset,
            last_is_usable,
            report,
        } = recover(&config, &disk, now_ms)?;
        let last = segments.back().filter(|_| last_is_usable).cloned();
        let active = last
            .map(|last| {
                let path = segment_path(&dir, last.first_offset);
                let writer = disk.open_at(&path, last.bytes).map_err(|source| failed("open", &path, source))?;
                Ok(Active { writer, bytes: last.bytes })
            })
            .transpose()?;
        let log = LogState::new(segments, next_offset, config.tail_bytes);
        let shared = Shared::new(config, disk, epoch, now_ms, log, damage, consumers, checkpoints);
        shared.chores.lock().sealed.extend(unkept);

        let must_begin = active.is_none();
        let mut committer = Committer::new(Arc::clone(&shared), dedup, active, next_offset);
        if must_begin {
            committer.begin_segment(next_offset).map_err(|source| failed("begin a segment in", &dir, source))?;
        }
        let janitor = Janitor::new(Arc::clone(&shared), keys_of_deleted);
        let threads = Threads {
            committer: spawn("queue-commit", || committer.run()).map_err(|source| failed("serve", &dir, source))?,
            janitor: spawn("queue-janitor", || janitor.run()).map_err(|source| failed("serve", &dir, source))?,
            _lock: lock,
        };
        for path in &report.damaged_files {
            tracing::error!(path = %path.display(), "a file of the queue is damaged; the rest is used");
        }
        tracing::info!(
            dir = %dir.display(),
            is_new = report.created,
            records = report.next_offset - report.first_offset,
            next_offset = report.next_offset,
            torn_bytes = report.torn_tail.as_ref().map_or(0, |torn| torn.bytes),
            "queue opened"
        );
        Ok((EmbeddedQueue { shared, threads: Mutex::new(Some(threads)) }, report))
    }

    /// Appends a batch. `Ok` means that its records are on disk, even if the power fails in the next instant.
    ///
    /// Records whose key was seen within the configured window, or stands earlier in the batch, are not stored
    /// again; the answer says where the first one is. Its checkpoints become durable with it. Waits while too much is in flight. If the future is dropped,
    /// the batch may be stored or not.
    ///
    /// # Errors
    /// See [`AppendError`]. Nothing of the batch is acknowledged then; after [`AppendError::Io`] it may yet be found
    /// after a restart.
    pub async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let bytes = (batch.bytes() + FRAME_HEADER_BYTES) as u64;
        let limit_bytes = self.shared.config.effective_segment_bytes() - FILE_HEADER_BYTES as u64;
        if bytes > limit_bytes || batch.is_oversized() {
            let is_of_disk_limit = bytes > limit_bytes && self.shared.config.is_segment_cut();
            return Err(AppendError::TooLarge { bytes, limit_bytes, is_of_disk_limit });
        }
        if batch.does_nothing() {
            let first_offset = self.shared.log.lock().next_offset;
            return Ok(Appended { epoch: self.shared.epoch, first_offset, accepted: 0, duplicates: Vec::new() });
        }
        let permits = self.shared.permits_for(batch.bytes());
        // The committer gives the permits back when it has taken the batch in and answered.
        self.shared.permits.acquire_many(permits).await.map_err(|_| AppendError::Closed)?.forget();
        let (answer, answered) = oneshot::channel();
        self.shared.submit(Request { batch, permits, answer })?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// A reader that begins at an offset. It keeps nothing from being deleted: [`EmbeddedQueue::register`] does.
    pub fn reader(&self, from_offset: u64) -> Reader {
        Reader::new(Arc::clone(&self.shared), from_offset)
    }

    /// A consumer is there, and has stored all below `offset`. Segments are deleted only when all consumers of this
    /// and the last run are registered and have released them.
    ///
    /// If the offset is beyond the end, records that this consumer has seen are lost here: offsets are skipped, so
    /// that none is given twice. Blocks until then; call it at start.
    pub fn register(&self, consumer: &str, offset: u64) {
        let is_ahead = offset > self.shared.log.lock().next_offset;
        if is_ahead {
            let (done, is_done) = mpsc::channel();
            let mut inbox = self.shared.inbox.lock();
            if !inbox.closing {
                inbox.advance.push((offset, done));
                self.shared.work.notify_one();
                drop(inbox);
                // An error means that the queue has closed meanwhile.
                let _ = is_done.recv();
            }
        }
        let had_all_below = {
            let mut consumers = self.shared.consumers.lock();
            consumers.register(consumer, offset);
            consumers.are_back().then(|| consumers.had_all_below())
        };
        if let Some(had_all_below) = had_all_below {
            self.shared.damage.lock().judge(had_all_below);
        }
        self.shared.tidy();
    }

    /// A consumer needs nothing below `offset` any more.
    pub fn release(&self, consumer: &str, offset: u64) {
        let is_news = self.shared.consumers.lock().release(consumer, offset);
        if is_news {
            self.shared.tidy();
        }
    }

    /// A consumer will not come back, and keeps nothing from being deleted.
    pub fn forget(&self, consumer: &str) {
        self.shared.consumers.lock().forget(consumer);
        self.shared.tidy();
    }

    /// Keeps all segments that are there until the answer is dropped, so that the folder can be copied file by file
    /// while appends go on: a copy made then opens as after a crash at that moment.
    pub fn hold(&self) -> Hold {
        self.shared.consumers.lock().holds += 1;
        Hold(Arc::clone(&self.shared))
    }

    /// Where a source stands, durably.
    pub fn checkpoint(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.shared.checkpoints.lock().get(key).map(<[u8]>::to_vec)
    }

    /// Where all sources stand whose keys begin with `prefix`.
    pub fn checkpoints(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.shared.checkpoints.lock().with_prefix(prefix)
    }

    /// The figures now.
    pub fn stats(&self) -> QueueStats {
        let shared = &self.shared;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (first_offset, next_offset, segments) = {
            let log = shared.log.lock();
            (log.first_offset(), log.next_offset, log.segments.len())
        };
        let had_all_below = shared.consumers.lock().had_all_below();
        let (lost_records_total, damaged_ranges_total) = {
            let damage = shared.damage.lock();
            (damage.lost_records(had_all_below), damage.ranges_total)
        };
        let (checkpoints, checkpoints_forgotten_total) = {
            let checkpoints = shared.checkpoints.lock();
            (checkpoints.len() as u64, checkpoints.forgotten_early())
        };
        let counters = &shared.counters;
        QueueStats {
            epoch: shared.epoch,
            first_offset,
            next_offset,
            segments,
            disk_bytes: read(&shared.disk_bytes),
            disk_limit_bytes: shared.config.disk_limit_bytes,
            dedup_keys: read(&counters.dedup_keys),
            dedup_forgotten_early_total: read(&counters.dedup_forgotten_early),
            records_total: read(&counters.records),
            record_bytes_total: read(&counters.record_bytes),
            duplicates_total: read(&counters.duplicates),
            commits_total: read(&counters.commits),
            sync_nanos_total: read(&counters.sync_nanos),
            full_total: read(&counters.full),
            io_errors_total: read(&counters.io_errors),
            write_failing: counters.write_failing.load(Ordering::Relaxed),
            lost_records_total,
            damaged_ranges_total,
            segments_deleted_total: read(&counters.segments_deleted),
            checkpoints,
            checkpoints_forgotten_total,
            consumers: shared.consumers.lock().offsets(),
        }
    }

    /// The epoch: made when the folder was made, and never again the same.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Commits what waits, answers it, stops the threads, and lets go of the folder. Later appends are refused;
    /// readers get what is left, and then [`ReadError::Closed`](crate::ReadError::Closed). Blocks until then.
    pub fn close(&self) {
        let Some(threads) = self.threads.lock().take() else { return };
        self.shared.inbox.lock().closing = true;
        self.shared.work.notify_one();
        let committed = threads.committer.join();
        self.shared.chores.lock().stopping = true;
        self.shared.chore.notify_one();
        let tidied = threads.janitor.join();
        if committed.is_err() || tidied.is_err() {
            tracing::error!("a thread of the queue has panicked");
        }
    }
}

impl Drop for EmbeddedQueue {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Makes the folder, durable under its name.
fn make_folder(disk: &Disk, dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.sync_folder(parent)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let failed = |source| OpenError::Io { doing: "lock", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
