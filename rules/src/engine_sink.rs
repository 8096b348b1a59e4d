//! The samples of rules go into the local engine.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use watchfire_engine::{BatchSeries, Engine, MetricType, SampleBatch, SeriesKind};
use watchfire_model::sample::is_stale;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::PointValue;

use crate::samples::{SampleSink, SeriesSample, SinkError};

/// Writes samples into the engine of this process.
pub struct EngineSink {
    engine: Arc<Engine>,
}

impl EngineSink {
    /// Writes into this engine.
    pub fn new(engine: Arc<Engine>) -> EngineSink {
        EngineSink { engine }
    }
}

impl SampleSink for EngineSink {
    fn write(&self, samples: &[SeriesSample]) -> Result<(), SinkError> {
        let Some(newest) = samples.iter().map(|sample| sample.at).max() else { return Ok(()) };
        let report = self.engine.append_samples(&batch(samples, newest)).map_err(|error| SinkError {
            reason: error.to_string(),
            retry: true,
            refused: BTreeSet::new(),
        })?;
        let of = |number: u32| samples.get(usize::try_from(number).ok()?);
        // A series that one rule gives no more may be given by another.
        let is_end = |number: u32| {
            of(number).is_some_and(|one| matches!(one.value, PointValue::Float(value) if is_stale(value)))
        };
        let refused: Vec<_> = report.rejected.iter().filter(|(number, _)| !is_end(*number)).collect();
        match refused.first() {
            None => Ok(()),
            Some((_, first)) => {
                let reason = format!("{} of {} were refused, the first: {first}", refused.len(), samples.len());
                let metrics =
                    refused.iter().filter_map(|(number, _)| Some(of(*number)?.labels.metric_name().to_owned()));
                Err(SinkError { reason, retry: false, refused: metrics.collect() })
            }
        }
    }
}

fn batch(samples: &[SeriesSample], newest: Timestamp) -> SampleBatch {
    let mut batch = SampleBatch::new(newest);
    let mut known: HashMap<&LabelSet, BatchSeries> = HashMap::new();
    for SeriesSample { labels, at, value } in samples {
        let series =
            *known.entry(labels).or_insert_with(|| batch.series(SeriesKind::Samples(MetricType::Gauge), labels));
        match value {
            PointValue::Float(value) => batch.push(series, *at, *value),
            PointValue::Histogram(histogram) => batch.push_native(series, *at, (**histogram).clone()),
        }
    }
    batch
}
