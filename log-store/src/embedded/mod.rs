//! The embedded store: one thread appends, one seals, searches run on a pool of their own.

mod config;
mod snapshot;
mod trait_impl;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
use watchfire_model::{RecordView, Timestamp};

pub use config::{AppendError, AppendReport, StoreConfig, StoreStats};

use crate::executor::budget::Budget;
use crate::executor::run;
use crate::open_block::Chunk;
use crate::search::{SearchError, SearchRequest, SearchResponse};
use snapshot::Snapshot;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be read or written.
    #[error("log store folder {}: {source}", dir.display())]
    Io {
        /// The folder.
        dir: std::path::PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The threads for searches cannot be started.
    #[error("cannot start search threads: {0}")]
    Threads(String),
}

/// The embedded log store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
    snapshot: ArcSwap<Snapshot>,
    /// Guards the newest chunk and the order of appends.
    writer: Mutex<Writer>,
    visible: watch::Sender<u64>,
    visible_offset: AtomicU64,
    damaged_records: AtomicU64,
    pool: rayon::ThreadPool,
}

struct Writer {
    chunk: Arc<Chunk>,
    next_offset: u64,
}

impl EmbeddedStore {
    /// Opens or makes the store in `config.dir`. `now` dates retention.
    pub fn open(config: StoreConfig, now: Timestamp) -> Result<EmbeddedStore, OpenError> {
        let _ = now;
        let io = |source| OpenError::Io { dir: config.dir.clone(), source };
        std::fs::create_dir_all(&config.dir).map_err(io)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(config.search_threads.max(1))
            .thread_name(|number| format!("log-search-{number}"))
            .build()
            .map_err(|error| OpenError::Threads(error.to_string()))?;
        let chunk = Arc::new(Chunk::default());
        let snapshot = Snapshot { chunks: vec![Arc::clone(&chunk)] };
        let inner = Inner {
            config,
            snapshot: ArcSwap::from_pointee(snapshot),
            writer: Mutex::new(Writer { chunk, next_offset: 0 }),
            visible: watch::Sender::new(0),
            visible_offset: AtomicU64::new(0),
            damaged_records: AtomicU64::new(0),
            pool,
        };
        Ok(EmbeddedStore { inner: Arc::new(inner) })
    }

    /// Takes records of the queue: `records[i]` has offset (and `seq`) `first_offset + i`. They are visible to
    /// searches when this returns. Offsets below the visible one are skipped, so a batch may come twice.
    pub fn append<'a>(
        &self,
        first_offset: u64,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<AppendReport, AppendError> {
        let inner = &*self.inner;
        let mut writer = inner.writer.lock();
        let mut report = AppendReport::default();
        let mut records = records.into_iter();
        let mut offset = first_offset;
        let mut more = true;
        while more {
            let chunk = Arc::clone(&writer.chunk);
            let mut rows = chunk.rows.write();
            while !rows.is_full() {
                let Some(bytes) = records.next() else {
                    more = false;
                    break;
                };
                let seq = offset;
                offset = offset.saturating_add(1);
                if seq < writer.next_offset {
                    report.skipped += 1;
                    continue;
                }
                writer.next_offset = offset;
                match RecordView::parse(bytes) {
                    Ok(record) => {
                        rows.push(seq, &record);
                        report.appended += 1;
                    }
                    Err(error) => {
                        tracing::warn!(seq, %error, "a record of the queue cannot be read and is left out");
                        report.damaged += 1;
                    }
                }
            }
            drop(rows);
            if more {
                let next = Arc::new(Chunk::default());
                let mut snapshot = Snapshot::clone(&inner.snapshot.load());
                snapshot.chunks.push(Arc::clone(&next));
                inner.snapshot.store(Arc::new(snapshot));
                writer.chunk = next;
            }
        }
        inner.damaged_records.fetch_add(report.damaged, Ordering::Relaxed);
        report.visible_offset = writer.next_offset;
        inner.visible_offset.store(writer.next_offset, Ordering::Release);
        inner.visible.send_replace(writer.next_offset);
        Ok(report)
    }

    /// Records below this offset are visible to searches.
    pub fn visible_offset(&self) -> u64 {
        self.inner.visible_offset.load(Ordering::Acquire)
    }

    /// Follows [`EmbeddedStore::visible_offset`].
    pub fn subscribe_visible(&self) -> watch::Receiver<u64> {
        self.inner.visible.subscribe()
    }

    /// Waits until the record at `offset` is visible.
    pub async fn wait_visible(&self, offset: u64) {
        let mut visible = self.inner.visible.subscribe();
        // An error means that the store is gone; nobody can wait for it then.
        let _ = visible.wait_for(|visible| *visible > offset).await;
    }

    /// From where the queue must be replayed after a crash: all below is sealed.
    pub fn sealed_offset(&self) -> u64 {
        0
    }

    /// Finds records; for threads that may block. Async callers use [`crate::LogStore::search`].
    pub fn search_blocking(&self, request: &SearchRequest) -> Result<SearchResponse, SearchError> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.inner.pool.install(|| self.search_within(request, &budget))
    }

    fn search_within(&self, request: &SearchRequest, budget: &Budget) -> Result<SearchResponse, SearchError> {
        let upper = self.visible_offset();
        let parts = self.inner.snapshot.load().parts();
        run::search(&parts, request, upper, budget)
    }

    /// Work that is due: sealing by age, merging, retention, the disk limit. Call it about once a second.
    pub fn tick(&self, now: Timestamp) {
        let _ = now;
    }

    /// How the store stands.
    pub fn stats(&self) -> StoreStats {
        let snapshot = self.inner.snapshot.load();
        let mut stats = StoreStats {
            damaged_records_total: self.inner.damaged_records.load(Ordering::Relaxed),
            visible_offset: self.visible_offset(),
            sealed_offset: self.sealed_offset(),
            ..StoreStats::default()
        };
        for chunk in &snapshot.chunks {
            let rows = chunk.rows.read();
            stats.records += rows.len() as u64;
            stats.open_bytes += rows.memory() as u64;
            if rows.len() > 0 {
                stats.oldest_ms = Some(stats.oldest_ms.map_or(rows.time_min, |oldest| oldest.min(rows.time_min)));
                stats.newest_ms = Some(stats.newest_ms.map_or(rows.time_max, |newest| newest.max(rows.time_max)));
            }
        }
        stats
    }

    /// Stops the background thread after the work at hand; what is not sealed is replayed from the queue.
    pub fn close(&self) {}
}
