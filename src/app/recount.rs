//! Counting again, on demand and once an hour, and filling the past of new metrics.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use prometheus::{Gauge, GaugeVec, Opts, Registry};
use watchfire_dashboard_api::maintenance::{Backfilled, LeftOut, Refusal, Verified, VerifiedMetric};
use watchfire_dashboard_api::roles::Role;
use watchfire_engine::TimeRange;
use watchfire_ingest::backfill::backfill;
use watchfire_ingest::extract::{Extractor, RuleKind};
use watchfire_ingest::recount::{Recount, recount};
use watchfire_model::Timestamp;

use super::parts::Parts;
use super::reload::Reloader;
use crate::load;

/// Between the end of what is counted again and now, milliseconds: what was accepted by then is in the queue.
const SETTLED_MS: i64 = 5_000;
/// Wait until both consumers have taken in what was in the queue.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// After the start, and then from one hourly count to the next.
const FIRST: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The hourly count gives way to others within this time.
const GIVEN_UP: Duration = Duration::from_secs(5);
/// The hourly count rests so many times as long as it works: it takes a quarter of a core at most.
const REST: u32 = 3;

/// Figures of the last count.
pub struct RecountMetrics {
    difference: GaugeVec,
    records: Gauge,
    finished: Gauge,
}

impl RecountMetrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<RecountMetrics> {
        let metrics = RecountMetrics {
            difference: GaugeVec::new(
                Opts::new("watchfire_verify_difference", "Counted minus stored in the last hourly count, by metric."),
                &["metric"],
            )?,
            records: Gauge::new("watchfire_verify_records", "Records counted again in the last hourly count.")?,
            finished: Gauge::new(
                "watchfire_verify_last_run_timestamp_seconds",
                "When the last hourly count was finished; 0 for never.",
            )?,
        };
        registry.register(Box::new(metrics.difference.clone()))?;
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.finished.clone()))?;
        Ok(metrics)
    }

    fn set(&self, recount: &Recount) {
        self.difference.reset();
        for metric in &recount.metrics {
            self.difference.with_label_values(&[metric.metric.as_str()]).set(metric.difference());
        }
        self.records.set(recount.records as f64);
        self.finished.set(Timestamp::now().millis() as f64 / 1000.0);
    }
}

/// Counts again and fills, by the rules in force.
#[derive(Clone)]
pub struct Recounter {
    parts: Arc<Parts>,
    reloader: Arc<Reloader>,
}

impl Recounter {
    /// Of a running server.
    pub fn new(parts: Arc<Parts>, reloader: Arc<Reloader>) -> Recounter {
        Recounter { parts, reloader }
    }

    /// Counts what was accepted between two times, as fast as it goes. Blocks.
    pub fn verify(&self, start: Timestamp, end: Timestamp) -> Result<Verified, Refusal> {
        let newest = Timestamp::now().plus_millis(-SETTLED_MS);
        let range = whole_seconds(start, end.min(newest));
        if range.start >= range.end {
            return Err(Refusal::Impossible(format!("there is no whole second to compare: {}", unsettled())));
        }
        let _turn = self.parts.recounting.take_within(GIVEN_UP).ok_or(Refusal::Busy)?;
        let never = &mut || ControlFlow::Continue(());
        let recount = self.recount(range, never)?.ok_or_else(|| Refusal::NotNow("the server is stopping".into()))?;
        Ok(shown(range, left_out(range, end), recount))
    }

    /// To be called by who has the turn.
    fn recount(&self, range: TimeRange, pace: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Option<Recount>, Refusal> {
        self.wait_until_caught_up()?;
        let mut extractor = load::extractor(&self.reloader.config()).map_err(Refusal::Failed)?;
        let failed = |error: watchfire_engine::SelectError| Refusal::Failed(error.to_string());
        let spans = &self.parts.spans;
        let live = extractor.metrics().into_iter().map(|metric| (metric.to_owned(), spans.of(metric))).collect();
        recount(&self.parts.store, &self.parts.engine, &mut extractor, &live, range, pace).map_err(failed)
    }

    /// Waits until store and engine have what is in the queue now.
    fn wait_until_caught_up(&self) -> Result<(), Refusal> {
        let next = self.parts.queue.stats().next_offset;
        let begun = Instant::now();
        while self.parts.taken_in() < next {
            if begun.elapsed() > CAUGHT_UP {
                let why = "records of the range are still waiting in the queue; try again when it is empty";
                return Err(Refusal::NotNow(why.to_owned()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Fills a metric's past. Blocks.
    pub fn backfill(&self, metric: &str, start: Timestamp, end: Timestamp) -> Result<Backfilled, Refusal> {
        let config = self.reloader.config();
        let rules: Vec<_> = config.extract.into_iter().filter(|rule| rule.metric == metric).collect();
        let Some(first) = rules.first() else {
            return Err(Refusal::Impossible(format!(
                "the configuration extracts no metric `{metric}` (see `extract`)"
            )));
        };
        if first.kind == RuleKind::Gauge {
            let why = format!("`{metric}` is a gauge: it has only the newest value, and no past to be filled");
            return Err(Refusal::Impossible(why));
        }
        let _turn = self.parts.recounting.take_within(GIVEN_UP).ok_or(Refusal::Busy)?;
        let max_series = rules.iter().map(|rule| rule.max_series).max().unwrap_or_default();
        let faults = |faults: Vec<watchfire_ingest::extract::RuleFault>| {
            Refusal::Failed(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        let mut extractor = Extractor::of_the_past(&rules, Timestamp::now()).map_err(faults)?;
        let (store, engine) = (&self.parts.store, &self.parts.engine);
        let counted = self.parts.spans.of(metric);
        let range = whole_seconds(start, end);
        let filled = backfill(store, engine, &mut extractor, (metric, max_series), &counted, range)
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        tracing::info!(metric, ?filled, "the past of a metric was filled");
        Ok(Backfilled {
            hours: filled.hours,
            records: filled.records,
            counted_before: filled.counted_before,
            filled: filled.filled,
            refused: filled.refused,
            damaged_blocks: filled.damaged_blocks,
        })
    }

    /// Counts the last hour once an hour, slowly.
    pub fn start_hourly(self) -> std::io::Result<Hourly> {
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("recount".into()).spawn(move || {
            let mut wait = FIRST;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = HOUR;
                // Where one of the two is not kept up to date, they would differ for that alone.
                if [Role::Metrics, Role::Dashboard].into_iter().all(|role| self.parts.roles.has(role)) {
                    wait = if self.count_the_hour(&stopped) { HOUR } else { FIRST };
                }
            }
        })?;
        Ok(Hourly { stop, thread })
    }

    /// Whether it was counted, or cannot be; it is tried again soon if others came first.
    fn count_the_hour(&self, stopped: &Receiver<()>) -> bool {
        let Some(turn) = self.parts.recounting.take() else { return false };
        let end = Timestamp::now().plus_millis(-SETTLED_MS);
        let range = whole_seconds(end.plus_millis(-3_600_000), end);
        let mut begun = Instant::now();
        let mut pace = || {
            let rest = begun.elapsed() * REST;
            let goes_on = stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout);
            begun = Instant::now();
            if goes_on && !turn.is_wanted() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        match self.recount(range, &mut pace) {
            Ok(None) => return false,
            Ok(Some(recount)) => {
                self.parts.recount_metrics.set(&recount);
                for metric in recount.metrics.iter().filter(|metric| !metric.agrees()) {
                    tracing::warn!(
                        metric = metric.metric,
                        stored = metric.stored,
                        counted = metric.counted,
                        "what was counted in the last hour is not what is stored; `watchfire verify` tells more"
                    );
                }
            }
            Err(refusal) => tracing::warn!(?refusal, "the last hour could not be counted again"),
        }
        true
    }
}

/// The running thread.
pub struct Hourly {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Hourly {
    /// Ends it soon. Blocks.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the hourly count panicked");
        }
    }
}

/// A range that begins and ends with a second, within the one given.
fn whole_seconds(start: Timestamp, end: Timestamp) -> TimeRange {
    let second = |millis: i64| Timestamp::from_millis(millis.div_euclid(1000) * 1000);
    TimeRange { start: second(start.millis() + 999), end: second(end.millis()) }
}

fn unsettled() -> String {
    format!("what was accepted in the last {} s may still be on its way into store and counters", SETTLED_MS / 1000)
}

/// What of a range that was to end with `asked` was not compared.
fn left_out(range: TimeRange, asked: Timestamp) -> Option<LeftOut> {
    // Whole seconds are compared; a rest of one is no loss if it was asked for to the millisecond.
    let is_settled = asked.millis() - range.end.millis() < 1000;
    (!is_settled).then(|| {
        let wait = (asked.millis() + SETTLED_MS - Timestamp::now().millis()).max(0) / 1000 + 1;
        let hint = format!("to compare it too, ask again in {wait} s, with `until` {}", asked.to_rfc3339());
        LeftOut { until: asked, why: unsettled(), hint }
    })
}

fn shown(range: TimeRange, left_out: Option<LeftOut>, recount: Recount) -> Verified {
    let metrics = recount.metrics.into_iter().map(|metric| VerifiedMetric {
        difference: metric.difference(),
        stored: metric.stored,
        counted: metric.counted,
        whole: metric.whole,
        series: metric.series.iter().map(|one| (format!("{:?}", one.labels), one.stored, one.counted)).collect(),
        metric: metric.metric,
    });
    Verified {
        start: range.start,
        end: range.end,
        left_out,
        records: recount.records,
        damaged_blocks: recount.damaged_blocks,
        metrics: metrics.collect(),
    }
}
