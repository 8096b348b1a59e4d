//! The parts of the server, opened in the order in which data flows backwards: who is read from comes last.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::watch;
use watchfire_alerting::decide::Policy;
use watchfire_alerting::{Alerting, Heartbeat, Receiver, Settings};
use watchfire_dashboard_api::Api;
use watchfire_dashboard_api::backtest::turns;
use watchfire_dashboard_api::error::ApiError;
use watchfire_dashboard_api::notices::Notices;
use watchfire_dashboard_api::roles::{Here, Role, Roles};
use watchfire_dashboard_api::saved::file::Saved;
use watchfire_dashboard_api::state::{QueryLimits, long_forms, remote_reads};
use watchfire_dashboard_api::tail::TailHub;
use watchfire_engine::{Engine, SeriesKind};
use watchfire_ingest::consume::{ExtractorSlot, LiveSpans, MetricsConsumer, Progress};
use watchfire_ingest::intake::{Intake, Limits};
use watchfire_ingest::metrics::IngestMetrics;
use watchfire_ingest::own_log::OwnLog;
use watchfire_ingest::sources::metrics::SourceMetrics;
use watchfire_ingest::syslog::{serve_tcp, serve_udp};
use watchfire_json_log::{JsonLogs, Opened};
use watchfire_log_store::EmbeddedStore;
use watchfire_metrics_backend::Cluster;
use watchfire_model::Timestamp;
use watchfire_query_lang::{LocalMetrics, MetricsRead, QueryMemory};
use watchfire_queue::{EmbeddedQueue, Queue};
use watchfire_remote_write::RemoteWrite;
use watchfire_rules::{EngineSink, RuleEngine, RuleEngineConfig, RuleSet};
use watchfire_scrape::{Scraper, ScraperLimits};

use super::backlog::Backlog;
use super::canary::Canary;
use super::recount::{RecountMetrics, Recounter};
use super::reload::Reloader;
use super::rules_loop::RulesLoop;
use super::sources::Sources;
use super::stores::{LogPath, Stores, failed, spawn};
use super::turn::Turns;
use super::upkeep::Upkeep;
use super::{backup, health, open_files, own_metrics};
use crate::config::Config;
use crate::load::{self, SyslogSocket};
use crate::receivers;

/// A consumer that still fails when the end has taken so long leaves the rest to the next start.
const FAILING_DRAIN_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether the consumers have ended.
const DRAIN_LOOK: Duration = Duration::from_millis(5);
/// Where it is kept how far other servers have our samples, in the data folder.
pub const REMOTE_WRITE: &str = "remote-write";

/// Everything that is open. Cheap to share.
pub struct Parts {
    /// Which of them run.
    pub roles: Roles,
    /// Folder of all data.
    pub data_dir: PathBuf,
    /// Accepted records.
    pub queue: Arc<EmbeddedQueue>,
    /// Series.
    pub engine: Arc<Engine>,
    /// Who answers queries.
    pub metrics: Arc<dyn MetricsRead>,
    /// The same, where it is another cluster.
    pub cluster: Option<Arc<Cluster>>,
    /// Where queries and failed scrapes are written down.
    pub json_logs: Arc<JsonLogs>,
    /// Records to search.
    pub store: Arc<EmbeddedStore>,
    /// Rules and their alerts.
    pub rules: Arc<RuleEngine>,
    /// Who tells people, where that is a role of this process.
    pub alerting: Option<Arc<Alerting>>,
    /// What all ways in share.
    pub intake: Arc<Intake>,
    /// What is read from this machine.
    pub sources: Mutex<Sources>,
    /// How much they read.
    pub source_metrics: SourceMetrics,
    /// Who asks other servers for their metrics.
    pub scraper: Arc<Scraper>,
    /// Who sends samples to other servers.
    pub remote_write: RemoteWrite,
    /// Live tail.
    pub tail: Arc<TailHub>,
    /// Our own metrics.
    pub registry: Registry,
    /// Other extraction rules are put here.
    pub extraction: ExtractorSlot,
    /// Which records each of them has counted.
    pub spans: LiveSpans,
    /// Saved searches.
    pub saved: Arc<Saved>,
    /// By part, the files (of the engine: the places) that were found damaged at the start.
    pub damaged_files: [(&'static str, u64); 7],
    /// Records below this offset were accepted before the start; until they are visible we are not ready.
    pub replay_until: u64,
    backlog: Backlog,
    progress: [Arc<Progress>; 2],
    /// The thread of the one, if this process stores records, and the other, which is started last.
    consumers: Mutex<Option<(Option<JoinHandle<()>>, MetricsConsumer)>>,
    /// Label `instance` of our own metrics.
    pub instance: String,
    /// Whether the last reload was good, and when the last good one was, milliseconds.
    pub reload_successful: Arc<AtomicBool>,
    /// See above.
    pub reload_success_ms: Arc<AtomicI64>,
    /// What whoever looks at the server should know.
    pub notices: Arc<Notices>,
    /// A backup is being made.
    pub backing_up: Turns,
    /// Stored records are being counted again, or the past is being filled.
    pub recounting: Turns,
    /// Figures of the last count.
    pub recount_metrics: RecountMetrics,
    /// When the engine last pruned what is due, milliseconds.
    pub engine_upkeep_ms: AtomicI64,
    /// Lines of our own that are measured, if that is on.
    pub canary: Option<Arc<Canary>>,
    /// Who is pinged while all is well, if anybody is.
    pub heartbeat: Option<Arc<Heartbeat>>,
    /// Where async work runs.
    pub runtime: Handle,
}

/// What runs until it is stopped.
pub struct Running {
    consumers: Vec<JoinHandle<()>>,
    rules: Option<RulesLoop>,
    upkeep: Upkeep,
    own_logs: Option<tokio::task::JoinHandle<()>>,
    /// The canary and the dead man's switch.
    watch: tokio::task::JoinSet<()>,
    syslog: tokio::task::JoinSet<()>,
}

impl Parts {
    /// Opens or makes everything in the data folder. Blocks.
    pub fn open(config: &Config, roles: Roles, rules: &RuleSet, runtime: &Handle) -> Result<Parts, String> {
        let now = Timestamp::now();
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|error| {
            format!("the data folder {} cannot be made: {error}; choose another with --data-dir", dir.display())
        })?;
        let registry = Registry::new();
        let json_logs = Arc::new(JsonLogs::new(&registry).map_err(|error| error.to_string())?);
        json_logs.put_in_force(load::json_logs(config, &json_logs)?);
        let ingest_metrics = IngestMetrics::new(&registry).map_err(|error| error.to_string())?;
        let tail = Arc::new(TailHub::default());
        let Stores { engine, logs } = Stores::open(config, roles, &tail, &ingest_metrics, now)?;
        let LogPath { queue, of_queue, store, progress: to_store, thread: to_store_thread } = logs;
        let canary =
            config.canary_every_ms.map(|every_ms| Canary::new(every_ms, engine.clone(), store.clone(), &registry));
        let canary = canary.transpose().map_err(|error| error.to_string())?.map(Arc::new);
        let settings = || alerting_settings(config, canary.as_ref().map(Canary::receiver));
        let alerting = roles.has(Role::Alerting).then(|| Alerting::open(settings(), runtime, now));
        let (alerting, of_alerting) = alerting.transpose().map_err(|error| error.to_string())?.unzip();
        let rule_config = RuleEngineConfig {
            dir: dir.join("rules"),
            defaults: load::group_defaults(config),
            limits: load::query_limits(config),
        };
        let (rules, of_rules) = RuleEngine::open(rule_config, rules, now).map_err(|error| error.to_string())?;
        let saved = Saved::open(dir.join("saved.json")).map_err(|error| error.to_string())?;
        let shared_queue: Arc<dyn Queue> = queue.clone();
        let extractor = load::extractor(config)?;
        let counted = extractor.counted();
        for name in counted.iter().filter(|name| matches!(engine.metric_kind(name), Some(SeriesKind::Samples(_)))) {
            tracing::warn!(
                metric = name,
                "it is counted from logs, and has samples that were pushed or scraped: those of the same labels are not shown"
            );
        }
        engine.keep_for_counts(counted);
        let next_offset = queue.stats().next_offset;
        let spans =
            LiveSpans::open(&dir.join("extraction"), queue.epoch(), next_offset).map_err(|error| error.to_string())?;
        let damaged_files = [
            ("queue", of_queue.damaged_files.len() as u64),
            ("engine", engine.stats().recovered_damages),
            ("log_store", store.stats().damaged_manifests),
            (
                "alerting",
                of_alerting.map_or(0, |report| {
                    [report.log, report.silences].iter().filter(|file| file.is_damaged()).count() as u64
                }),
            ),
            ("rules", u64::from(!of_rules.damaged.is_empty())),
            ("saved", u64::from(saved.was_damaged())),
            ("extraction", u64::from(spans.was_damaged())),
        ];
        let metrics_consumer = MetricsConsumer::new(
            shared_queue.clone(),
            engine.clone(),
            extractor,
            spans.clone(),
            ingest_metrics.clone(),
        );
        let intake = Intake::new(
            shared_queue,
            load::parsers(config)?,
            intake_limits(config, roles),
            Some(config.logs.retention_ms),
            ingest_metrics,
            store.subscribe_visible(),
            store.clone(),
        );
        let intake = Arc::new(intake);
        let scraper =
            Scraper::new(engine.clone(), scraper_limits(config), &registry, json_logs.clone(), runtime.clone())
                .map_err(|error| error.to_string())?;
        let progress = [to_store, metrics_consumer.progress()];
        let counted = progress[1].clone();
        let replay_until = queue.stats().next_offset;
        let backlog = Backlog::new(counted.clone(), replay_until);
        let backlog_sent = backlog.clone();
        let counted_until = move || {
            let now = Timestamp::now();
            if !backlog_sent.is_counted() {
                // What was accepted before the start is not counted yet, and nobody knows how old it is.
                return Timestamp::from_millis(0);
            }
            now.plus_millis(-((counted.lag(now).seconds * 1000.0) as i64))
        };
        let remote_write =
            RemoteWrite::new(engine.clone(), dir.join(REMOTE_WRITE), Arc::new(counted_until), runtime.clone());
        let cluster = config.metrics.backend.as_ref();
        let cluster = cluster.map(|address| Cluster::new(address, engine.clone(), runtime.clone()).map(Arc::new));
        let cluster = cluster.transpose()?;
        let metrics: Arc<dyn MetricsRead> = match &cluster {
            Some(cluster) => cluster.clone(),
            None => Arc::new(LocalMetrics::new(engine.clone())),
        };
        let source_metrics = SourceMetrics::new(&registry).map_err(|error| error.to_string())?;
        let sources = Mutex::new(Sources::new(intake.clone(), source_metrics.clone(), runtime.clone()));
        Ok(Parts {
            roles,
            data_dir: dir.clone(),
            replay_until,
            backlog,
            progress,
            extraction: metrics_consumer.slot(),
            spans,
            consumers: Mutex::new(Some((to_store_thread, metrics_consumer))),
            instance: config.listen.first().map_or_else(String::new, ToString::to_string),
            reload_successful: Arc::new(AtomicBool::new(true)),
            notices: Arc::default(),
            backing_up: Turns::default(),
            recounting: Turns::default(),
            recount_metrics: RecountMetrics::new(&registry).map_err(|error| error.to_string())?,
            reload_success_ms: Arc::new(AtomicI64::new(now.millis())),
            engine_upkeep_ms: AtomicI64::new(now.millis()),
            heartbeat: config
                .dead_mans_switch
                .as_ref()
                .map(|switch| Arc::new(Heartbeat::new(switch.url.clone(), load::duration(switch.every_ms)))),
            canary,
            runtime: runtime.clone(),
            queue,
            engine,
            metrics,
            cluster,
            store,
            rules: Arc::new(rules.with_logs(json_logs.clone())),
            json_logs,
            alerting: alerting.map(Arc::new),
            saved: Arc::new(saved),
            intake,
            scraper: Arc::new(scraper),
            remote_write,
            sources,
            source_metrics,
            tail,
            registry,
            damaged_files,
        })
    }

    /// Starts consumers, rules, upkeep, syslog listeners, what reads from this machine, and the storing of our own logs. To be called once.
    pub fn start(
        self: &Arc<Parts>,
        config: &Config,
        own_logs: OwnLog,
        syslog_sockets: Vec<SyslogSocket>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Running, String> {
        own_metrics::register(self).map_err(|error| error.to_string())?;
        let mut consumers = Vec::new();
        if let Some((to_store, metrics)) = self.consumers.lock().take() {
            consumers.extend(to_store);
            if self.roles.has(Role::Metrics) {
                consumers.push(spawn("to-engine", move || metrics.run()).map_err(failed)?);
            }
        }
        let sink = Arc::new(EngineSink::new(self.engine.clone()));
        let backlog = self.roles.has(Role::Metrics).then(|| self.backlog.clone());
        let rules = self.alerting.clone().map(|alerting| {
            RulesLoop::start(self.rules.clone(), self.metrics.clone(), sink, alerting, backlog).map_err(failed)
        });
        let rules = rules.transpose()?;
        let mut syslog = tokio::task::JoinSet::new();
        for socket in syslog_sockets {
            match socket {
                SyslogSocket::Udp(socket) => syslog.spawn(serve_udp(socket, self.intake.clone(), stopping.clone())),
                SyslogSocket::Tcp(listener) => syslog.spawn(serve_tcp(listener, self.intake.clone(), stopping.clone())),
            };
        }
        let upkeep = Upkeep::start(self).map_err(failed)?;
        // Its files are read and synced.
        tokio::task::block_in_place(|| self.begin_to_take(config))?;
        let own_logs = self.roles.has(Role::Ingestion).then(|| tokio::spawn(own_logs.run(self.intake.clone())));
        let watch = self.watch_ourselves();
        Ok(Running { consumers, rules, upkeep, own_logs, watch, syslog })
    }

    /// Takes from where the configuration says from now on, and sends samples where it says; also at a reload. Blocks.
    ///
    /// Errors: a source or a destination that cannot be begun; the others go on.
    pub fn begin_to_take(&self, config: &Config) -> Result<(), String> {
        let mut done = Ok(());
        if self.roles.has(Role::Ingestion) {
            let sources = self.sources.lock().set(config);
            done = sources.map_err(|error| format!("a source could not be started; restart the server: {error}"));
        }
        if self.roles.has(Role::Metrics) {
            self.scraper.apply(&config.scrape, &config.external_labels);
            let sent = self.remote_write.apply(&config.remote_write, &config.external_labels);
            done = done
                .and(sent.map_err(|error| format!("a destination could not be begun; restart the server: {error}")));
        }
        done
    }

    /// Starts the canary and the dead man's switch, where they are on.
    fn watch_ourselves(self: &Arc<Parts>) -> tokio::task::JoinSet<()> {
        let mut watch = tokio::task::JoinSet::new();
        if let Some(canary) = self.canary.clone() {
            let intake = self.intake.clone();
            watch.spawn(async move { canary.run(&intake).await });
        }
        if let Some(heartbeat) = self.heartbeat.clone() {
            let parts = self.clone();
            watch.spawn(async move { heartbeat.run(|| health::check(parts.clone())).await });
        }
        watch
    }

    /// What the endpoints answer from.
    pub fn api(self: &Arc<Parts>, config: &Config, reloader: &Arc<Reloader>, started: Instant) -> Api {
        let intake = self.intake.clone();
        let (for_health, for_queue, for_backup, for_snapshot) =
            (self.clone(), self.clone(), self.clone(), self.clone());
        let verifying = Recounter::new(self.clone(), reloader.clone());
        let filling = verifying.clone();
        let (reloader, for_rules, for_targets) = (reloader.clone(), reloader.clone(), reloader.clone());
        let for_receivers = self.alerting.clone();
        Api {
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            json_logs: self.json_logs.clone(),
            engine: self.engine.clone(),
            scraper: self.scraper.clone(),
            tail: self.tail.clone(),
            registry: self.registry.clone(),
            health: Arc::new(move || health::read(&for_health)),
            queue_status: Arc::new(move || health::queue_status(&for_queue)),
            rules: self.rules.clone(),
            reached: Arc::new(move || receivers::reached(&for_targets.config())),
            rule_settings: Arc::new(move || {
                let config = for_rules.config();
                (load::group_defaults(&config), load::external(&config))
            }),
            backtests: turns(),
            receivers: Arc::new(move |named| match &for_receivers {
                Some(alerting) => alerting.receivers_for(named),
                // Nobody is told from here.
                None => named.to_vec(),
            }),
            silences: self.alerting.as_ref().map(|alerting| alerting.silences().clone()),
            reload: Arc::new(move || reloader.reload()),
            unpack: Arc::new(move |encoding, packed| unpack(&intake, encoding, packed)),
            notices: self.notices.clone(),
            saved: self.saved.clone(),
            remote_reads: remote_reads(),
            known_queries: Default::default(),
            long_forms: long_forms(),
            reading: Default::default(),
            backup: Arc::new(move || backup::begin(&for_backup)),
            admin_api: config.admin_api,
            snapshot: Arc::new(move || backup::snapshot(&for_snapshot)),
            verify: Arc::new(move |start, end| verifying.verify(start, end)),
            backfill: Arc::new(move |metric, start, end| filling.backfill(metric, start, end)),
            started,
            limits: QueryLimits {
                samples: config.limits.query_samples,
                timeout: load::duration(config.limits.query_timeout_ms),
                memory: QueryMemory::new(config.limits.query_memory_bytes),
                labels_per_series: usize::try_from(config.limits.labels_per_series).unwrap_or(usize::MAX),
                retention_ms: config.metrics.retention_ms,
                subquery_step_ms: config.subquery_step_ms,
            },
        }
    }

    /// Those of store and engine that run here have taken in all records below this offset.
    pub fn taken_in(&self) -> u64 {
        let [to_store, to_engine] = &self.progress;
        let running = [(Role::Dashboard, to_store), (Role::Metrics, to_engine)].into_iter();
        let running = running.filter(|(role, _)| self.roles.has(*role));
        running.map(|(_, progress)| progress.next_offset()).min().unwrap_or(u64::MAX)
    }

    /// What requests can be answered here.
    pub fn here(&self) -> Here {
        Here { roles: self.roles, has_backend: self.cluster.is_some() }
    }

    /// Name, records and seconds that each consumer is behind.
    pub fn lags(&self) -> [(&'static str, watchfire_ingest::consume::Lag); 2] {
        let now = Timestamp::now();
        [0, 1].map(|at| (self.progress[at].name(), self.progress[at].lag(now)))
    }

    /// Closes what holds data, upstream first. Blocks.
    pub fn close(&self) {
        self.queue.close();
        if let Err(error) = self.engine.close() {
            tracing::error!(%error, "the engine could not be synced; what is missing is counted again from the queue");
        }
        self.store.close();
        // What waits is written.
        self.json_logs.put_in_force(Opened::default());
    }
}

impl Running {
    /// Ends everything that runs, upstream first: what was accepted is still taken in.
    pub async fn stop(mut self, parts: &Arc<Parts>) {
        parts.scraper.stop().await;
        while self.syslog.join_next().await.is_some() {}
        self.watch.abort_all();
        // The lines of the last moments are on stderr only.
        self.own_logs.inspect(tokio::task::JoinHandle::abort);
        let parts = parts.clone();
        let joined = tokio::task::spawn_blocking(move || {
            parts.sources.lock().stop();
            self.rules.into_iter().for_each(RulesLoop::stop);
            // The consumers read what is left, then find the queue closed.
            parts.queue.close();
            drain(self.consumers, &parts.progress);
            self.upkeep.stop();
            parts.remote_write.stop();
        })
        .await;
        if let Err(error) = joined {
            tracing::error!(%error, "stopping failed");
        }
    }
}

/// Waits until the consumers have taken in what is left. Those that cannot, as the disk is full, do not hold up the end for ever.
fn drain(consumers: Vec<JoinHandle<()>>, progress: &[Arc<Progress>]) {
    let begun = Instant::now();
    while consumers.iter().any(|thread| !thread.is_finished()) {
        if begun.elapsed() >= FAILING_DRAIN_MAX {
            progress.iter().for_each(|consumer| consumer.stop_if_failing());
        }
        std::thread::sleep(DRAIN_LOOK);
    }
    for thread in consumers {
        if thread.join().is_err() {
            tracing::error!("a consumer panicked");
        }
    }
}

fn alerting_settings(config: &Config, canary: Option<Receiver>) -> Settings {
    let policy = Policy { repeat_interval_ms: config.alerting.repeat_interval_ms, ..Policy::default() };
    let receivers = receivers::settings(config, canary);
    Settings { receivers, policy, ..Settings::new(config.data_dir.join("alerting")) }
}

fn scraper_limits(config: &Config) -> ScraperLimits {
    let body_bytes = usize::try_from(config.limits.decompressed_bytes).unwrap_or(usize::MAX);
    let readers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    ScraperLimits { body_bytes, bodies_bytes: body_bytes.saturating_mul(2), readers }
}

fn intake_limits(config: &Config, roles: Roles) -> Limits {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    // Where nobody keeps records to be searched, nobody waits for it.
    let visible_timeout = if roles.has(Role::Dashboard) { Limits::default().visible_timeout } else { Duration::ZERO };
    Limits {
        visible_timeout,
        body_bytes: whole(config.limits.body_bytes),
        decompressed_bytes: whole(config.limits.decompressed_bytes),
        line_bytes: whole(config.limits.line_bytes),
        followed_open: open_files::followed(open_files::raise()),
        ..Limits::default()
    }
}

/// Unpacks a body by the decoder of those who take logs in.
fn unpack(intake: &Arc<Intake>, encoding: &[u8], packed: &[u8]) -> Result<(Vec<u8>, Box<dyn Send>), ApiError> {
    watchfire_ingest::http::unpack(intake, encoding, packed).map_err(|refusal| {
        let error = ApiError::new(refusal.status, refusal.error, refusal.message);
        ApiError { hint: refusal.hint, ..error }
    })
}
