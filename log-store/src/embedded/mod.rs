//! The embedded store: one thread appends, one seals, searches run on threads of their own.

mod archive;
mod config;
mod lanes;
mod lost;
mod maintain;
mod manifest;
mod recover;
mod sealer;
mod shared;
mod sizes;
mod snapshot;
mod trait_impl;
mod visit;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tokio::sync::watch;
use watchfire_model::Timestamp;

pub use config::{AppendError, AppendReport, ColumnSize, StoreConfig, StoreStats};
pub use visit::{VisitRange, VisitReport};

use crate::executor::budget::Budget;
use crate::executor::{facets, run, stats};
use crate::facets::{FacetsRequest, FacetsResponse};
use crate::search::{SearchError, SearchRequest, SearchResponse};
use crate::stats::{StatsRequest, StatsResponse};
use archive::Archiver;
use lanes::{Lanes, Work};
use recover::{RecoverError, Recovered, recover};
use sealer::Sealer;
use shared::{Counters, Message, Shared};
use writer::Writer;

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
    /// The folder of the archive cannot be made or read.
    #[error("`logs.archive.dir`: the folder {} cannot be made or read: {source}; write another path", dir.display())]
    Archive {
        /// The folder.
        dir: std::path::PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder was written by a later version of the program.
    #[error("{what} is of version {version}, written by a later version of this program; use that one")]
    Newer {
        /// Which file.
        what: String,
        /// Its version.
        version: u32,
    },
    /// The threads of the store cannot be started.
    #[error("cannot start the threads of the log store: {0}")]
    Threads(String),
}

/// Why the open block could not be sealed on demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// A block cannot be written; it is tried again.
    #[error("a block cannot be written: {0}")]
    Write(String),
    /// The store was closed.
    #[error("the log store is closed")]
    Closed,
}

/// The embedded log store. Cheap to clone; all clones are one store.
///
/// Dropping the last clone stops its threads; what is not sealed then is replayed from the queue.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Guards the newest chunk and the order of appends.
    writer: Mutex<Writer>,
    visible: watch::Sender<u64>,
    visible_offset: AtomicU64,
    /// Records below it were accepted before anybody asks; until they are visible no total is exact.
    expected_until: AtomicU64,
    messages: Sender<Message>,
    /// The sealing thread, until it is joined.
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    lanes: Lanes,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn stop(&self) {
        // The thread may be gone already.
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the sealing thread of the log store has failed");
        }
    }
}

impl EmbeddedStore {
    /// Opens or makes the store in `config.dir`. Nothing is read but the manifest, so it takes milliseconds. `now`
    /// dates the first round of retention, which runs in the background.
    pub fn open(config: StoreConfig, now: Timestamp) -> Result<EmbeddedStore, OpenError> {
        let io = |source| OpenError::Io { dir: config.dir.clone(), source };
        std::fs::create_dir_all(&config.dir).map_err(io)?;
        let recovered = recover(&config.dir).map_err(|error| match error {
            RecoverError::Io(source) => io(source),
            RecoverError::Newer { what, version } => OpenError::Newer { what, version },
        })?;
        let Recovered { manifest, mut snapshot, is_damaged } = recovered;
        let sealed_offset = manifest.state.sealed_offset;
        let threads = |error: &dyn std::fmt::Display| OpenError::Threads(error.to_string());
        let lanes = Lanes::new(config.search_threads).map_err(|error| threads(&error))?;
        let newest = snapshot.sealed.iter().max_by_key(|block| block.info.seq_max);
        let writer = Writer::new(sealed_offset, newest.map(|block| block.info.time_max));
        snapshot.chunks.push(writer.chunk());
        let counters = Counters { damaged_manifests: AtomicU64::new(u64::from(is_damaged)), ..Counters::default() };
        let shared = Arc::new(Shared::new(config, snapshot, sealed_offset, counters));
        let (messages, received) = crossbeam_channel::unbounded();
        let archive = match &shared.config.archive_dir {
            Some(dir) => {
                Some(Archiver::open(dir, &shared).map_err(|source| OpenError::Archive { dir: dir.clone(), source })?)
            }
            None => None,
        };
        let sealer = Sealer { shared: Arc::clone(&shared), manifest, unreadable: Default::default(), archive };
        let thread = std::thread::Builder::new()
            .name("log-seal".to_owned())
            .spawn(move || sealer::run(sealer, received))
            .map_err(|error| threads(&error))?;
        let inner = Inner {
            shared,
            writer: Mutex::new(writer),
            visible: watch::Sender::new(sealed_offset),
            visible_offset: AtomicU64::new(sealed_offset),
            expected_until: AtomicU64::new(0),
            messages,
            thread: Mutex::new(Some(thread)),
            lanes,
        };
        let store = EmbeddedStore { inner: Arc::new(inner) };
        store.tick(now);
        Ok(store)
    }

    /// Takes records of the queue: `records[i]` has offset (and `seq`) `first_offset + i`. They are visible to
    /// searches when this returns. Offsets below the visible one are skipped, so a batch may come twice.
    ///
    /// Waits for up to a second when sealing is behind; then it is an error, and the same batch may be given again.
    pub fn append<'a>(
        &self,
        first_offset: u64,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<AppendReport, AppendError> {
        let inner = &*self.inner;
        let mut writer = inner.writer.lock();
        let result = writer.append(&inner.shared, &inner.messages, first_offset, records.into_iter());
        inner.visible_offset.store(writer.next_offset(), Ordering::Release);
        inner.visible.send_replace(writer.next_offset());
        drop(writer);
        result
    }

    /// Says that records below `offset` are on their way, and waited for: until they are visible, sealing leaves them the
    /// processor, as far as it can wait, and no total is exact.
    pub fn expect_until(&self, offset: u64) {
        self.inner.expected_until.store(offset, Ordering::Release);
        self.inner.writer.lock().seal_from(offset);
    }

    /// Records below this offset are visible to searches.
    pub fn visible_offset(&self) -> u64 {
        self.inner.visible_offset.load(Ordering::Acquire)
    }

    /// Whether a search of the records below `upper` meets all that were accepted before the start.
    fn has_expected(&self, upper: u64) -> bool {
        upper >= self.inner.expected_until.load(Ordering::Acquire)
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
        self.inner.shared.sealed_offset.load(Ordering::Acquire)
    }

    /// Finds records; for threads that may block. Async callers use [`crate::LogStore::search`].
    pub fn search_blocking(&self, request: &SearchRequest) -> Result<SearchResponse, SearchError> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.inner.lanes.install(Work::Search, || self.search_within(request, &budget))
    }

    fn search_within(&self, request: &SearchRequest, budget: &Budget) -> Result<SearchResponse, SearchError> {
        let upper = self.visible_offset();
        let snapshot = self.inner.shared.snapshot();
        let mut response = run::search(&snapshot.parts(), request, upper, budget)?;
        response.total_exact &= self.has_expected(upper) && snapshot.is_whole(request.range);
        Ok(response)
    }

    /// Facets of matching records; for threads that may block. Async callers use [`crate::LogStore::facets`].
    pub fn facets_blocking(&self, request: &FacetsRequest) -> Result<FacetsResponse, SearchError> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.inner.lanes.install(Work::Gather, || self.facets_within(request, &budget))
    }

    fn facets_within(&self, request: &FacetsRequest, budget: &Budget) -> Result<FacetsResponse, SearchError> {
        let upper = self.visible_offset();
        let snapshot = self.inner.shared.snapshot();
        let mut response = facets::facets(&snapshot.parts(), request, upper, budget)?;
        response.total_exact &= self.has_expected(upper) && snapshot.is_whole(request.range);
        Ok(response)
    }

    /// Figures over matching records; for threads that may block. Async callers use [`crate::LogStore::stats`].
    pub fn stats_blocking(&self, request: &StatsRequest) -> Result<StatsResponse, SearchError> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.inner.lanes.install(Work::Gather, || self.stats_within(request, &budget))
    }

    fn stats_within(&self, request: &StatsRequest, budget: &Budget) -> Result<StatsResponse, SearchError> {
        let upper = self.visible_offset();
        let snapshot = self.inner.shared.snapshot();
        let mut response = stats::stats(&snapshot.parts(), request, upper, budget)?;
        response.is_exact &= self.has_expected(upper) && snapshot.is_whole(request.range);
        Ok(response)
    }

    /// Starts what is due, in the background: sealing by age, merging, retention, the disk limit. Call it about once
    /// a second; it does not block.
    pub fn tick(&self, now: Timestamp) {
        let inner = &*self.inner;
        // While a batch is being appended the next tick will do.
        if let Some(mut writer) = inner.writer.try_lock() {
            writer.cut_if_aged(&inner.shared, &inner.messages, now);
        }
        if inner.shared.tick(now) {
            // Refused only after the store was closed.
            let _ = inner.messages.send(Message::Tick);
        }
    }

    /// Seals what is open, and waits until all is sealed and everything due has been done. Blocks.
    pub fn flush(&self) -> Result<(), FlushError> {
        let (done, answer) = crossbeam_channel::bounded(1);
        {
            let mut writer = self.inner.writer.lock();
            writer.cut(&self.inner.shared, &self.inner.messages);
            writer.send_waiting(&self.inner.messages);
            self.inner.messages.send(Message::Flush(done)).map_err(|_| FlushError::Closed)?;
        }
        answer.recv().map_err(|_| FlushError::Closed)?.map_err(FlushError::Write)
    }

    /// Does some short work, given the store's folder, while no file in it changes: what is linked then opens as after
    /// a crash at that moment. Sealing waits for it. Blocks.
    pub fn while_still<R: Send + 'static>(
        &self,
        work: impl FnOnce(&std::path::Path) -> R + Send + 'static,
    ) -> Result<R, FlushError> {
        let (done, answer) = crossbeam_channel::bounded(1);
        let dir = self.inner.shared.config.dir.clone();
        let work = Box::new(move || {
            // Whoever asked may be gone.
            let _ = done.send(work(&dir));
        });
        self.inner.messages.send(Message::Still(work)).map_err(|_| FlushError::Closed)?;
        answer.recv().map_err(|_| FlushError::Closed)
    }

    /// How the store stands.
    pub fn stats(&self) -> StoreStats {
        StoreStats { visible_offset: self.visible_offset(), ..self.inner.shared.stats() }
    }

    /// Stops the background thread after the work at hand; what is not sealed is replayed from the queue. Searches
    /// go on.
    pub fn close(&self) {
        self.inner.stop();
    }
}
