//! One scrape: from an answer, or the lack of one, to samples in the engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use watchfire_engine::{
    AppendError, AppendReport, BatchSeries, Engine, MetricType, SampleBatch, SeriesHandle, SeriesKind,
};
use watchfire_exposition::Parser;
use watchfire_exposition::custom_buckets::{self, Beside};
use watchfire_exposition::protobuf::{self, ProtobufError, Wanted};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{LabelSet, Timestamp};

use crate::config::{HistogramConfig, ScrapeConfig};
use crate::fetch::{Answer, FetchError};
use crate::metadata::Families;
use crate::natives::{self, TooFine};
use crate::negotiate::{ContentTypeError, Form, form_of};
use crate::remembered::{BodyError, Counts, Remembered};
use crate::snapshot::{Health, LastScrape, Refused};

/// Series that tell of the scrapes of a target, in Prometheus' order.
const REPORTED: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// Why a scrape failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    ContentType(#[from] ContentTypeError),
    #[error("{0}")]
    Body(#[from] BodyError),
    #[error("{0}")]
    Protobuf(#[from] ProtobufError),
    #[error("{0}")]
    TooFine(#[from] TooFine),
    #[error("the job has {targets} targets, more than `target_limit` {limit}")]
    TargetLimit { targets: usize, limit: u64 },
    #[error("the samples cannot be written: {0}")]
    Storage(String),
}

/// What a scrape is one of.
pub(crate) struct Of<'s> {
    /// Labels of the target.
    pub(crate) target: &'s LabelSet,
    /// The job.
    pub(crate) config: &'s ScrapeConfig,
    /// Which histograms are read of this target.
    pub(crate) histograms: HistogramConfig,
    /// The time of the scrape.
    pub(crate) at: Timestamp,
}

/// A target's memory of its series, those that report on it with them.
#[derive(Default)]
pub(crate) struct Series {
    remembered: Remembered,
    reported: [Option<SeriesHandle>; REPORTED.len()],
    families: Arc<Families>,
}

impl Series {
    /// The rules of the job have changed.
    pub(crate) fn forget_rules(&mut self) {
        self.remembered.forget_rules();
    }

    /// Reads an answer that took so long and stores what it shows, how the scrape went, and what has ended. Blocks until
    /// that is durable; `cpu` is given back before the wait.
    pub(crate) fn store(
        &mut self,
        engine: &Engine,
        of: &Of<'_>,
        took: Duration,
        answer: Result<Answer, ScrapeError>,
        cpu: OwnedSemaphorePermit,
    ) -> LastScrape {
        let mut batch = SampleBatch::new(Timestamp::now());
        let mut counts = Counts::default();
        let read = answer.and_then(|answer| self.read(answer, of, &mut batch, &mut counts));
        let shown = match &read {
            Ok(()) => batch.len(),
            Err(_) => 0,
        };
        match &read {
            Ok(()) => self.remembered.succeed(of.at, &mut batch),
            Err(_) => {
                batch.clear(Timestamp::now());
                self.remembered.fail(of.at, &mut batch);
            }
        }
        let up = if read.is_ok() { 1.0 } else { 0.0 };
        let values = [up, took.as_secs_f64(), counts.scraped as f64, counts.kept as f64, counts.added as f64];
        let reported = self.report(of, values, &mut batch);
        drop(cpu);
        let stored = engine.append_samples(&batch);
        let described = self.remembered.keep_fresh(engine, &batch);
        for (handle, named) in self.reported.iter_mut().zip(reported).filter(|(handle, _)| handle.is_none()) {
            *handle = named.and_then(|named| engine.handle_of(&batch, named));
        }
        let error = match (read, stored.as_ref().err().or(described.as_ref().err())) {
            (Err(error), _) => Some(error),
            (Ok(()), Some(AppendError::Log(error))) => Some(ScrapeError::Storage(error.to_string())),
            (Ok(()), None) => None,
        };
        LastScrape {
            health: if error.is_none() { Health::Up } else { Health::Down },
            is_unanswered: matches!(error, Some(ScrapeError::Fetch(_))),
            error: error.map(|error| error.to_string()),
            at: Some(of.at),
            took,
            samples: counts.scraped,
            samples_kept: counts.kept,
            refused: stored.map(|report| refused(&report, &batch, shown)).unwrap_or_default(),
            families: self.families.clone(),
        }
    }

    fn read(
        &mut self,
        mut answer: Answer,
        of: &Of<'_>,
        batch: &mut SampleBatch,
        counts: &mut Counts,
    ) -> Result<(), ScrapeError> {
        let form = form_of(answer.content_type.as_deref(), of.config.fallback_protocol)?;
        let body = answer.unpack()?;
        match form {
            Form::Text(format) => self.take(Parser::new(body, format), Beside::default(), of, batch, counts)?,
            Form::Protobuf => {
                let HistogramConfig { natives, classic, .. } = of.histograms;
                let mut written = protobuf::write(body, Wanted { natives, classic })?;
                let natives = std::mem::take(&mut written.natives);
                let beside = Beside { natives, of_classic: std::mem::take(&mut written.of_classic) };
                self.take(written.parser(), beside, of, batch, counts)?;
            }
        }
        if let Some(families) = self.remembered.families() {
            self.families = families;
        }
        Ok(())
    }

    /// Reads a text, and the native histograms beside it, with histograms as they are wanted.
    fn take(
        &mut self,
        parser: Parser<'_>,
        mut beside: Beside,
        of: &Of<'_>,
        batch: &mut SampleBatch,
        counts: &mut Counts,
    ) -> Result<(), ScrapeError> {
        // What is too fine is counted as Prometheus does, and fails afterwards.
        let fits;
        if of.histograms.convert {
            let mut converted =
                custom_buckets::convert(parser, beside, of.histograms.classic).map_err(BodyError::Parse)?;
            let mut natives = std::mem::take(&mut converted.natives);
            fits = natives::coarsen_all(&mut natives, of.histograms);
            self.remembered.read(converted.parser(), natives, of, batch, counts)?;
        } else {
            fits = natives::coarsen_all(&mut beside.natives, of.histograms);
            self.remembered.read(parser, beside.natives, of, batch, counts)?;
        }
        Ok(fits?)
    }

    /// Adds how the scrape went.
    fn report(
        &self,
        of: &Of<'_>,
        values: [f64; REPORTED.len()],
        batch: &mut SampleBatch,
    ) -> [Option<BatchSeries>; REPORTED.len()] {
        let mut named = [None; REPORTED.len()];
        for (at, (name, value)) in REPORTED.into_iter().zip(values).enumerate() {
            let series = match self.reported.get(at) {
                Some(Some(handle)) => Ok(batch.series_again(handle)),
                _ => {
                    let own = std::iter::once((METRIC_NAME, name));
                    let mut pairs: Vec<(&str, &str)> = own.chain(of.target.iter()).collect();
                    batch.series_of(SeriesKind::Samples(MetricType::Gauge), &mut pairs)
                }
            };
            // A target's labels hold no `__name__`, so that this is a label set.
            let Ok(series) = series else { continue };
            // Who watches a target that shows too much has to see whether it is there.
            batch.beyond_limits(series);
            batch.push(series, of.at, value);
            if let Some(slot) = named.get_mut(at) {
                *slot = Some(series);
            }
        }
        named
    }

    /// The target has gone: all its series end. Blocks.
    pub(crate) fn end(&mut self, engine: &Engine, at: Timestamp) {
        let mut batch = SampleBatch::new(Timestamp::now());
        self.remembered.fail(at, &mut batch);
        for handle in self.reported.iter().flatten() {
            let named = batch.series_again(handle);
            batch.push(named, at, f64::from_bits(STALE_NAN_BITS));
        }
        if let Err(error) = engine.append_samples(&batch) {
            tracing::warn!(%error, "the series of a target that has gone were not ended; they end by themselves");
        }
    }
}

/// Which of the first points were not stored, by reason.
fn refused(report: &AppendReport, batch: &SampleBatch, shown: usize) -> Vec<Refused> {
    let mut refused: Vec<Refused> = Vec::new();
    // What ends a series that goes on under another rule is refused rightly.
    for (point, reason) in report.rejected.iter().filter(|(point, _)| (*point as usize) < shown) {
        let at = refused.iter().position(|have| have.reason == *reason).unwrap_or_else(|| {
            refused.push(Refused::new(*reason));
            refused.len() - 1
        });
        if let Some(refused) = refused.get_mut(at) {
            refused.add(batch.metric_of(*point).unwrap_or_default());
        }
    }
    refused
}
