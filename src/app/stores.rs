//! What holds data: the engine, and the queue with the log store behind it.

use std::sync::Arc;
use std::thread::JoinHandle;

use watchfire_dashboard_api::roles::{Role, Roles};
use watchfire_dashboard_api::tail::{Stored, TailHub};
use watchfire_engine::{Engine, EngineConfig};
use watchfire_ingest::consume::{Progress, StoreConsumer, Tail};
use watchfire_ingest::metrics::IngestMetrics;
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::Timestamp;
use watchfire_queue::{EmbeddedQueue, QueueConfig, ReadBatch, RecoveryReport};
use watchfire_remote_write::RemoteWrite;

use super::backup;
use super::parts::REMOTE_WRITE;
use crate::config::Config;

const DAY_MS: i64 = 86_400_000;

/// What holds data.
pub struct Stores {
    /// Series.
    pub engine: Arc<Engine>,
    /// Records.
    pub logs: LogPath,
}

/// The queue, the log store, and the thread that hands records from the one to the other.
pub struct LogPath {
    /// Accepted records.
    pub queue: Arc<EmbeddedQueue>,
    /// What was found in its folder.
    pub of_queue: RecoveryReport,
    /// Records to search.
    pub store: Arc<EmbeddedStore>,
    /// How far the thread is.
    pub progress: Arc<Progress>,
    /// Runs already, where records are stored.
    pub thread: Option<JoinHandle<()>>,
}

impl Stores {
    /// Opens both sides at the same time: what the engine's log says is read while the log store takes in what it had
    /// not sealed, so a start takes as long as the longer of the two. Blocks.
    pub fn open(
        config: &Config,
        roles: Roles,
        tail: &Arc<TailHub>,
        metrics: &IngestMetrics,
        now: Timestamp,
    ) -> Result<Stores, String> {
        let (engine, logs) = std::thread::scope(|scope| {
            let engine = scope.spawn(|| Engine::open(engine_config(config), now));
            let logs = LogPath::open(config, roles, tail, metrics, now);
            (engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), logs)
        });
        // The queue says best that another process has the folder.
        let logs = logs?;
        match engine {
            Ok((engine, recovered)) => {
                let (series, records, points) = (recovered.series, recovered.records, recovered.points);
                tracing::info!(series, records, points, "engine opened");
                Ok(Stores { engine: Arc::new(engine), logs })
            }
            Err(error) => {
                logs.stop();
                Err(error.to_string())
            }
        }
    }
}

impl LogPath {
    fn open(
        config: &Config,
        roles: Roles,
        tail: &Arc<TailHub>,
        metrics: &IngestMetrics,
        now: Timestamp,
    ) -> Result<LogPath, String> {
        let (queue, of_queue) =
            EmbeddedQueue::open(queue_config(config), now.millis()).map_err(|error| error.to_string())?;
        let queue = Arc::new(queue);
        // Only now is the folder ours.
        backup::tidy(&config.data_dir);
        let store = EmbeddedStore::open(store_config(config), now).map_err(|error| error.to_string())?;
        let store = Arc::new(store);
        let consumer = StoreConsumer::new(queue.clone(), store.clone(), publish_to(tail), metrics);
        let progress = consumer.progress();
        let thread = roles.has(Role::Dashboard).then(|| spawn("to-store", move || consumer.run()).map_err(failed));
        let thread = thread.transpose()?;
        Ok(LogPath { queue, of_queue, store, progress, thread })
    }

    /// Ends the thread after the batch at hand. Blocks.
    fn stop(self) {
        self.progress.stop();
        if self.thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the consumer of the log store panicked");
        }
    }
}

/// A thread with a name.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Why the server cannot start.
pub fn failed(error: std::io::Error) -> String {
    format!("a thread could not be started: {error}")
}

fn queue_config(config: &Config) -> QueueConfig {
    QueueConfig {
        disk_limit_bytes: config.queue_disk_limit_bytes,
        failpoint: watchfire_model::failpoint::hit,
        ..QueueConfig::new(config.data_dir.join("queue"))
    }
}

fn engine_config(config: &Config) -> EngineConfig {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    EngineConfig {
        memory_ms: config.metrics.memory_ms,
        retention_ms: config.metrics.retention_ms,
        memory_limit_bytes: whole(config.metrics.memory_limit_bytes),
        max_series: whole(config.metrics.max_series),
        snapshot_log_bytes: config.metrics.snapshot_log_bytes,
        log_held_from: RemoteWrite::log_held_from(&config.data_dir.join(REMOTE_WRITE), &config.remote_write),
        // The metric name is a label to the engine, and none to the user.
        labels_per_series: whole(config.limits.labels_per_series).saturating_add(1),
        ..EngineConfig::new(config.data_dir.join("engine"))
    }
}

fn store_config(config: &Config) -> StoreConfig {
    let days = (config.logs.retention_ms + DAY_MS - 1) / DAY_MS;
    let defaults = StoreConfig::new(config.data_dir.join("logs"));
    // The queue keeps records until a block holds them: several blocks that are not full, or not written yet, fit into it.
    let block_bytes = usize::try_from(config.queue_disk_limit_bytes / 16).unwrap_or(usize::MAX);
    StoreConfig {
        block_bytes: defaults.block_bytes.min(block_bytes),
        retention_days: u32::try_from(days).unwrap_or(u32::MAX),
        disk_limit_bytes: config.logs.disk_limit_bytes,
        seal_age_ms: config.logs.seal_after_ms,
        archive_dir: config.logs.archive_dir.clone(),
        ..defaults
    }
}

/// A batch of the queue, as the live tail reads it.
struct Tailed(ReadBatch);

impl Stored for Tailed {
    fn first_seq(&self) -> u64 {
        self.0.first_offset()
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn visit_from(&self, start: usize, visit: &mut dyn FnMut(&[u8]) -> bool) {
        // Whether it was given up does not matter here.
        let _ = self.0.records().skip(start).all(visit);
    }
}

/// What happens to a batch that searches find: who watches sees it.
fn publish_to(tail: &Arc<TailHub>) -> Tail {
    let tail = tail.clone();
    Box::new(move |batch| tail.publish(|| Arc::new(Tailed(batch.clone()))))
}
