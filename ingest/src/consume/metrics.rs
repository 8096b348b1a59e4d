//! Records to the engine, as counts and observations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use watchfire_engine::{ApplyError, ApplyReport, Engine, Rejection, SourcePosition, TimeRange};
use watchfire_model::Matcher;
use watchfire_model::labels::METRIC_NAME;
use watchfire_queue::{Batches, Positions, Queue, ReadBatch};

use super::{LiveSpans, Progress};
use crate::extract::{BatchReport, Extractor, REQUEST_DURATION};
use crate::metrics::IngestMetrics;

/// Name of the embedded queue in the engine's log.
pub const QUEUE_NAME: &str = "embedded";

/// Takes metrics out of records and hands them to the engine.
pub struct MetricsConsumer {
    queue: Arc<dyn Queue>,
    engine: Arc<Engine>,
    extractor: Extractor,
    replacement: ExtractorSlot,
    spans: LiveSpans,
    metrics: IngestMetrics,
    progress: Arc<Progress>,
    /// When it was last told that the engine refuses something.
    refused_told: Option<Instant>,
}

/// Records that are counted together when they wait, bytes, and how long they are gathered: each series of them is then
/// found and locked once.
const GATHERED_MAX: (usize, Duration) = (4 << 20, Duration::from_millis(20));

/// Between two lines about what the engine refuses.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Puts other extraction rules in force while the consumer runs, from the next batch on.
#[derive(Clone, Default)]
pub struct ExtractorSlot(Arc<Mutex<Option<Extractor>>>);

impl ExtractorSlot {
    /// The next batch is taken by this one.
    pub fn replace(&self, extractor: Extractor) {
        *self.0.lock() = Some(extractor);
    }
}

impl MetricsConsumer {
    /// Name of the consumer at the queue.
    pub const NAME: &'static str = "metrics";

    /// Registers at the queue with what the engine holds safely; `spans` is told what each rule counts.
    pub fn new(
        queue: Arc<dyn Queue>,
        engine: Arc<Engine>,
        extractor: Extractor,
        spans: LiveSpans,
        metrics: IngestMetrics,
    ) -> MetricsConsumer {
        let epoch = queue.stats().epoch;
        let durable = engine.durable_offset(QUEUE_NAME, epoch, 0).unwrap_or(0);
        queue.register(Self::NAME, &Positions::from([(0, durable)]));
        let next = engine.applied(QUEUE_NAME, epoch, 0).unwrap_or_else(|| queue.stats().first_offset);
        let progress = Arc::new(Progress::new(Self::NAME, Arc::clone(&queue), next, &metrics));
        MetricsConsumer {
            queue,
            engine,
            extractor,
            replacement: ExtractorSlot::default(),
            spans,
            metrics,
            progress,
            refused_told: None,
        }
    }

    /// How far it is, and the way to stop it.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The way to give it other rules.
    pub fn slot(&self) -> ExtractorSlot {
        self.replacement.clone()
    }

    /// Runs until it is stopped or the queue is closed and read to its end. Blocks the thread.
    pub fn run(mut self) {
        let epoch = self.queue.stats().epoch;
        let mut released = 0;
        self.know_routes();
        let mut from = self.progress.next_offset();
        loop {
            self.spans.note(&self.extractor.metrics(), from);
            let mut batches = self.queue.batches(&Positions::from([(0, from)]));
            let (queue, engine) = (Arc::clone(&self.queue), Arc::clone(&self.engine));
            let mut release = || {
                let durable = engine.durable_offset(QUEUE_NAME, epoch, 0).unwrap_or(0);
                if durable > released {
                    released = durable;
                    queue.release(Self::NAME, 0, durable);
                }
            };
            let progress = Arc::clone(&self.progress);
            let again_from = loop {
                let Some(batch) = progress.next(&mut *batches, &mut release) else { return };
                match self.take(batch, &mut *batches) {
                    Taken::Applied => release(),
                    Taken::ReadAgain(offset) => break offset,
                    Taken::Stopped => return,
                }
            };
            tracing::warn!(from = again_from, "reading the queue again from where the engine stands");
            from = again_from;
        }
    }

    /// Extracts from a batch, and from those behind it that are there already, and applies it all at once.
    fn take(&mut self, batch: ReadBatch, batches: &mut dyn Batches) -> Taken {
        let replacement = self.replacement.0.lock().take();
        if let Some(extractor) = replacement {
            self.extractor = extractor;
            self.know_routes();
            self.spans.note(&self.extractor.metrics(), batch.first_offset());
        } else if self.spans.is_behind() {
            self.spans.note(&self.extractor.metrics(), batch.first_offset());
        }
        let first_offset = batch.first_offset();
        let (mut last, mut bytes, begun) = (batch, 0, Instant::now());
        let mut report = BatchReport::default();
        loop {
            report.add(self.extractor.collect(last.first_offset(), last.records()));
            bytes += last.bytes();
            if bytes >= GATHERED_MAX.0 || begun.elapsed() >= GATHERED_MAX.1 {
                break;
            }
            let Some(more) = self.progress.more(batches) else { break };
            last = more;
        }
        let derived = self.extractor.take(SourcePosition {
            queue: QUEUE_NAME.to_owned(),
            epoch: last.epoch(),
            partition: last.partition(),
            first_offset,
            next_offset: last.next_offset(),
        });
        let mut overlap = None;
        let applied = self.progress.retry(
            "apply metrics",
            |error: &ApplyError| matches!(error, ApplyError::Overlap { .. }),
            || {
                self.engine.apply(&derived).inspect_err(|error| {
                    if let ApplyError::Overlap { applied } = error {
                        overlap = Some(*applied);
                    }
                })
            },
        );
        match (applied, overlap) {
            (Some(applied), _) => {
                self.count(&report);
                self.tell_refused(&applied);
                self.progress.took(&last);
                Taken::Applied
            }
            (None, Some(applied)) => Taken::ReadAgain(applied),
            (None, None) => Taken::Stopped,
        }
    }

    fn count(&self, report: &BatchReport) {
        let BatchReport { late, unusable, damaged } = *report;
        self.metrics.late.inc_by(late);
        self.metrics.extract_errors.inc_by(unusable);
        if damaged > 0 {
            tracing::error!(records = damaged, "records could not be read and are not counted");
        }
    }

    /// Counts what the engine did not take, and tells it once a minute.
    fn tell_refused(&mut self, applied: &ApplyReport) {
        let refused: u64 = applied.rejected.iter().map(|(_, points)| points).sum();
        if refused == 0 {
            return;
        }
        self.metrics.derived_refused.inc_by(refused);
        // A rule whose type was changed: the series that are there are of the other kind.
        let of_other_kind = applied.rejected.iter().filter(|(reason, _)| *reason == Rejection::KindMismatch);
        self.metrics.extract_errors.inc_by(of_other_kind.map(|(_, points)| points).sum());
        if self.refused_told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.refused_told = Some(Instant::now());
            tracing::warn!(refused, reasons = ?applied.rejected, "counts of records were refused by the engine");
        }
    }

    /// Tells the extractor which routes the engine has already.
    fn know_routes(&mut self) {
        let matchers = [Matcher::equal(METRIC_NAME, REQUEST_DURATION)];
        match self.engine.select(&matchers, TimeRange::ALWAYS) {
            Ok(series) => {
                for view in series {
                    let labels = view.labels();
                    self.extractor
                        .know_route(labels.get("service").unwrap_or_default(), labels.get("route").unwrap_or_default());
                }
            }
            Err(error) => tracing::warn!(%error, "the routes known before are not known now"),
        }
    }
}

/// What became of a batch.
enum Taken {
    Applied,
    /// The engine stands elsewhere: at this offset.
    ReadAgain(u64),
    Stopped,
}
