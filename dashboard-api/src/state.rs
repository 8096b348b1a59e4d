//! What the endpoints answer from.

use std::sync::Arc;
use std::time::Instant;

use prometheus::Registry;
use tokio::sync::Semaphore;
use watchfire_alerting::Silences;
use watchfire_engine::Engine;
use watchfire_json_log::JsonLogs;
use watchfire_log_store::LogStore;
use watchfire_model::LabelSet;
use watchfire_query_lang::{Limits, MetricsRead, QueryMemory};
use watchfire_rules::RuleEngine;
use watchfire_scrape::Scraper;

use crate::error::ApiError;
use crate::health::{Health, QueueStatus};
use crate::notices::Notices;
use crate::saved::file::Saved;
use crate::tail::TailHub;

/// Reloads the configuration; answers what was done, or every fault.
pub type Reload = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Unpacks a body whose `Content-Encoding` is given; its memory is counted until the second part is dropped.
pub type Unpack = Arc<dyn Fn(&[u8], &[u8]) -> Result<(Vec<u8>, Box<dyn Send>), ApiError> + Send + Sync>;

/// Who hears of an alert that names some receivers, or none.
pub type Receivers = Arc<dyn Fn(&[String]) -> Vec<String> + Send + Sync>;

/// Handles to the parts; all cheap to share.
pub struct Api {
    /// Answers searches.
    pub store: Arc<dyn LogStore>,
    /// Answers queries.
    pub metrics: Arc<dyn MetricsRead>,
    /// Where queries are written down.
    pub json_logs: Arc<JsonLogs>,
    /// Takes pushed samples, lists what series there are.
    pub engine: Arc<Engine>,
    /// Scrapes other servers.
    pub scraper: Arc<Scraper>,
    /// Queries that were asked before.
    pub known_queries: crate::prometheus::known::KnownQueries,
    /// Places for forms that are long.
    pub long_forms: Arc<Semaphore>,
    /// Turns of queries whose texts are long.
    pub reading: crate::reading::Reading,
    /// Live tail.
    pub tail: Arc<TailHub>,
    /// Our own metrics.
    pub registry: Registry,
    /// A reading of the whole server.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// A reading of the queue.
    pub queue_status: Arc<dyn Fn() -> QueueStatus + Send + Sync>,
    /// Rules, as they stand.
    pub rules: Arc<RuleEngine>,
    /// What nobody is told of; `None` where nobody is told of anything.
    pub silences: Option<Arc<Silences>>,
    /// Who hears of an alert whose rule names these receivers.
    pub receivers: Receivers,
    /// Where this server is reached, as the configuration says now.
    pub reached: Arc<dyn Fn() -> Reached + Send + Sync>,
    /// What rules in force go by.
    pub rule_settings: crate::backtest::RuleSettings,
    /// Turns of backtests.
    pub backtests: Arc<Semaphore>,
    /// `POST /-/reload`.
    pub reload: Reload,
    /// Packed bodies, by the decoder that takes logs in.
    pub unpack: Unpack,
    /// What whoever looks at the server should know.
    pub notices: Arc<Notices>,
    /// Saved searches.
    pub saved: Arc<Saved>,
    /// Turns of remote-read, whose answers may be large.
    pub remote_reads: Arc<Semaphore>,
    /// Makes a cut of everything for `POST /api/v1/backup`.
    pub backup: crate::backup::Begin,
    /// Whether the admin API answers (`admin_api`).
    pub admin_api: bool,
    /// Copies all series into the data folder.
    pub snapshot: crate::prometheus::admin::Snapshot,
    /// Counts stored records again.
    pub verify: crate::maintenance::Verify,
    /// Fills the past of a metric.
    pub backfill: crate::maintenance::Backfill,
    /// When the process started.
    pub started: Instant,
    /// Bounds of queries.
    pub limits: QueryLimits,
}

impl Api {
    /// What series carry that leave this server (`global.external_labels`), as the configuration says now.
    pub(crate) fn external_labels(&self) -> LabelSet {
        (self.rule_settings)().1.labels
    }
}

/// Where a server is reached.
pub struct Reached {
    /// From elsewhere.
    pub url: String,
    /// On this machine.
    pub ports: Vec<u16>,
}

/// Bounds of queries and searches.
#[derive(Clone, Debug)]
pub struct QueryLimits {
    /// Most samples that a query may read.
    pub samples: u64,
    /// Longest time.
    pub timeout: std::time::Duration,
    /// What all queries together may take.
    pub memory: QueryMemory,
    /// Most labels of a pushed series.
    pub labels_per_series: usize,
    /// How long samples are kept, milliseconds.
    pub retention_ms: i64,
    /// Step of subqueries that name none, milliseconds.
    pub subquery_step_ms: i64,
}

/// Turns of remote-read for [`Api::remote_reads`].
pub fn remote_reads() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(crate::prometheus::REMOTE_READS_AT_ONCE))
}

/// Places for [`Api::long_forms`].
pub fn long_forms() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(crate::params::LONG_FORMS_AT_ONCE))
}

impl QueryLimits {
    /// Bounds of one query.
    pub(crate) fn of_query(&self) -> Limits {
        let memory = Some(self.memory.clone());
        let default_step_ms = self.subquery_step_ms;
        Limits { samples_max: self.samples, timeout: self.timeout, memory, default_step_ms, ..Limits::default() }
    }
}
