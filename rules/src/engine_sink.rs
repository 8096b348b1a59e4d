//! The samples of rules go into the local engine.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_engine::{BatchSeries, Engine, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};

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
        let Some(newest) = samples.iter().map(|(_, sample)| sample.timestamp).max() else { return Ok(()) };
        let report = self
            .engine
            .append_samples(&batch(samples, newest))
            .map_err(|error| SinkError { reason: error.to_string(), retry: true })?;
        match report.rejected.first() {
            None => Ok(()),
            Some((_, first)) => {
                let reason = format!("{} of {} were refused, the first: {first}", report.rejected.len(), samples.len());
                Err(SinkError { reason, retry: false })
            }
        }
    }
}

fn batch(samples: &[SeriesSample], newest: Timestamp) -> SampleBatch {
    let mut batch = SampleBatch::new(newest);
    let mut known: HashMap<&LabelSet, BatchSeries> = HashMap::new();
    for (labels, sample) in samples {
        let series =
            *known.entry(labels).or_insert_with(|| batch.series(SeriesKind::Samples(MetricType::Gauge), labels));
        batch.push(series, sample.timestamp, sample.value);
    }
    batch
}
