//! The task of a target: waits until a scrape is due, asks, has the answer stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot, watch};
use watchfire_engine::Engine;
use watchfire_json_log::JsonLogs;
use watchfire_json_log::scrape::FailedScrape;
use watchfire_model::{LabelSet, Timestamp};

use crate::client::HttpClient;
use crate::config::ScrapeConfig;
use crate::fetch::{Answer, BodyLimit, BodyMemory, Request, fetch};
use crate::negotiate;
use crate::own_metrics::ScrapeMetrics;
use crate::scrape::{Of, ScrapeError, Series};
use crate::snapshot::{Health, LastScrape, Refused};
use crate::target::Target;

/// A scrape that begins so little after it was due bears the time at which it was due, milliseconds: samples at even
/// distances take less room.
const TOLERANCE_MS: i64 = 10;

/// The header that tells a target how long it may take.
const TIMEOUT_HEADER: &str = "X-Prometheus-Scrape-Timeout-Seconds";

/// What all targets share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    /// Who may read bodies at a time.
    pub(crate) cpu: Arc<Semaphore>,
    pub(crate) memory: BodyMemory,
    /// Largest body of jobs without a limit of their own, bytes.
    pub(crate) body_bytes_max: usize,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) logs: Arc<JsonLogs>,
}

/// A job in force.
pub(crate) struct Job {
    pub(crate) config: ScrapeConfig,
    pub(crate) client: Arc<HttpClient>,
    accept: String,
    /// Spreads the targets of servers that scrape the same ones.
    seed: u64,
}

impl Job {
    pub(crate) fn new(config: ScrapeConfig, seed: u64) -> Job {
        let client = Arc::new(HttpClient::new(config.http.clone()));
        let accept = negotiate::accept(&config.protocols, config.names.escaping);
        Job { config, client, accept, seed }
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Job) -> bool {
        // The rest is made of these.
        self.config == other.config && self.seed == other.seed
    }
}

/// How a target is scraped, until that changes.
pub(crate) struct Plan {
    pub(crate) job: Arc<Job>,
    pub(crate) target: Target,
    /// The job has more targets than it may: they are not scraped, and show why.
    pub(crate) over_limit: Option<usize>,
}

/// How the task of a target ends.
pub(crate) enum End {
    /// The target has gone: its series end.
    Gone,
    /// The server stops: they go on after its next start.
    Stopped,
}

/// The task of a target.
pub(crate) struct Runner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plan: watch::Receiver<Arc<Plan>>,
    pub(crate) end: oneshot::Receiver<End>,
    pub(crate) last: Arc<Mutex<LastScrape>>,
}

impl Runner {
    pub(crate) async fn run(mut self) {
        let mut plan = self.plan.borrow_and_update().clone();
        let mut series = Series::default();
        let mut last_at = Timestamp::default();
        let end = loop {
            let due = due(&plan, Timestamp::now(), last_at);
            let wait = Duration::from_millis(due.since(Timestamp::now()).max(0).unsigned_abs());
            tokio::select! {
                end = &mut self.end => break end,
                changed = self.plan.changed() => {
                    if changed.is_err() {
                        // Whoever lets the plan go has said how to end.
                        break (&mut self.end).await;
                    }
                    let next = self.plan.borrow_and_update().clone();
                    if !Arc::ptr_eq(&next.job, &plan.job) {
                        series.forget_rules();
                    }
                    plan = next;
                    continue;
                }
                () = tokio::time::sleep(wait) => {}
            }
            let at = time_of(&plan, due, last_at);
            last_at = at;
            let begun = Instant::now();
            let answer = tokio::select! {
                end = &mut self.end => break end,
                answer = ask(&self.shared, &plan) => answer,
            };
            let took = begun.elapsed();
            let Some((next, last)) = store(&self.shared, series, plan.clone(), at, took, answer).await else { return };
            series = next;
            self.note(last);
        };
        if let Ok(End::Gone) = end {
            let engine = self.shared.engine.clone();
            let at = Timestamp::now().max(last_at.plus_millis(1));
            let ended = tokio::task::spawn_blocking(move || series.end(&engine, at)).await;
            if let Err(error) = ended {
                tracing::error!(%error, "ending the series of a target panicked");
            }
        }
    }

    fn note(&self, last: LastScrape) {
        let metrics = &self.shared.metrics;
        if last.health == Health::Up {
            metrics.good.inc()
        } else {
            metrics.failed.inc()
        }
        metrics.samples.inc_by(last.samples);
        for refused in &last.refused {
            metrics.refused.with_label_values(&[refused.reason.as_str()]).inc_by(refused.samples);
        }
        let plan = self.plan.borrow();
        // The URL may hold a secret in its parameters.
        let instance = plan.target.identity.labels.get("instance").unwrap_or_default();
        let job = &plan.job.config.job_name;
        if let (true, Some(error), Some(log)) = (last.is_unanswered, &last.error, &plan.job.config.failure_log) {
            let target = &plan.target.shown_url;
            self.shared.logs.failed_scrape(log, &FailedScrape { error, job_name: job, target });
        }
        let mut noted = self.last.lock();
        // The log is told of changes only.
        match &last.error {
            Some(error) if noted.error != last.error => tracing::warn!(job, instance, "scrape failed: {error}"),
            None if noted.health == Health::Down => tracing::info!(job, instance, "scraped again"),
            Some(_) | None => {}
        }
        for refused in &last.refused {
            let is_told = |before: &Refused| before.reason == refused.reason && before.metrics == refused.metrics;
            if !noted.refused.iter().any(is_told) {
                let reason = refused.reason.as_str();
                tracing::warn!(job, instance, reason, "samples of a scrape were refused: {refused}");
            }
        }
        *noted = last;
    }
}

/// When the next scrape is due: each target has its own place within the interval, which does not change.
fn due(plan: &Plan, now: Timestamp, last: Timestamp) -> Timestamp {
    let Target { identity, interval_ms, .. } = &plan.target;
    let place = identity.labels.with("__url__", identity.url.as_str()).fingerprint() ^ plan.job.seed;
    let interval_ms = (*interval_ms).max(1);
    let place = i64::try_from(place % interval_ms.unsigned_abs()).unwrap_or_default();
    let after = now.max(last).millis();
    let since = (after - place).rem_euclid(interval_ms);
    Timestamp::from_millis(after + interval_ms - since)
}

/// The time that a scrape which begins now bears.
fn time_of(plan: &Plan, due: Timestamp, last: Timestamp) -> Timestamp {
    let now = Timestamp::now();
    let late_ms = now.since(due);
    let tolerated = TOLERANCE_MS.min(plan.target.interval_ms / 100);
    let at = if (0..=tolerated).contains(&late_ms) { due } else { now };
    at.max(last.plus_millis(1))
}

async fn ask(shared: &Shared, plan: &Plan) -> Result<Answer, ScrapeError> {
    let config = &plan.job.config;
    if let Some(targets) = plan.over_limit {
        return Err(ScrapeError::TargetLimit { targets, limit: config.limits.targets });
    }
    let limit = usize::try_from(config.limits.body_bytes).unwrap_or(usize::MAX);
    let timeout = Duration::from_millis(plan.target.timeout_ms.unsigned_abs());
    let request = Request {
        url: &plan.target.identity.url,
        accept: &plan.job.accept,
        packed: config.enable_compression,
        announced: (TIMEOUT_HEADER, timeout),
        timeout,
        body_limit: BodyLimit { bytes: if limit == 0 { shared.body_bytes_max } else { limit }, key: "body_size_limit" },
    };
    Ok(fetch(&plan.job.client, &shared.memory, &request).await?)
}

/// Has an answer stored on a thread that may block. `None`: that panicked.
async fn store(
    shared: &Arc<Shared>,
    mut series: Series,
    plan: Arc<Plan>,
    at: Timestamp,
    took: Duration,
    answer: Result<Answer, ScrapeError>,
) -> Option<(Series, LastScrape)> {
    // The semaphore is never closed.
    let cpu = shared.cpu.clone().acquire_owned().await.ok()?;
    let engine = shared.engine.clone();
    let stored = tokio::task::spawn_blocking(move || {
        let Plan { job, target, .. } = &*plan;
        let of = Of { target: &target.identity.labels, config: &job.config, histograms: target.histograms, at };
        let last = series.store(&engine, &of, took, answer, cpu);
        (series, last)
    });
    stored.await.map_err(|error| tracing::error!(%error, "storing a scrape panicked")).ok()
}

/// A number of a label set, by which servers with other external labels scrape at other moments.
pub(crate) fn seed_of(external: &LabelSet) -> u64 {
    external.fingerprint()
}
