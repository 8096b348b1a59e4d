//! An engine to rehearse on: empty, in a folder that goes with it, taking samples of any time.

use std::sync::Arc;

use watchfire_engine::{Engine, EngineConfig, SampleBatch};
use watchfire_model::Timestamp;
use watchfire_query_lang::LocalMetrics;
use watchfire_rules::EngineSink;

/// No time is so far away.
const ANY_TIME_MS: i64 = i64::MAX / 4;

/// See the module.
pub(crate) struct Stage {
    engine: Arc<Engine>,
    /// Where rules read.
    pub metrics: LocalMetrics,
    /// Where they write.
    pub sink: EngineSink,
    /// Removed last.
    _folder: tempfile::TempDir,
}

impl Stage {
    /// An empty one, at this time.
    ///
    /// Errors: the folder for temporary files cannot be written.
    pub fn open(now: Timestamp) -> Result<Stage, String> {
        let failed = |why: String| format!("a folder to rehearse in cannot be made: {why}");
        let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let config = EngineConfig {
            out_of_order_ms: ANY_TIME_MS,
            future_ms: ANY_TIME_MS,
            retention_ms: ANY_TIME_MS,
            memory_ms: ANY_TIME_MS,
            labels_per_series: usize::MAX,
            is_durable: false,
            ..EngineConfig::new(folder.path())
        };
        let (engine, _) = Engine::open(config, now).map_err(|error| failed(error.to_string()))?;
        let engine = Arc::new(engine);
        let (metrics, sink) = (LocalMetrics::new(engine.clone()), EngineSink::new(engine.clone()));
        Ok(Stage { engine, metrics, sink, _folder: folder })
    }

    /// Takes samples in.
    ///
    /// Errors: the first that is refused.
    pub fn append(&self, batch: &SampleBatch) -> Result<(), String> {
        if batch.is_empty() {
            return Ok(());
        }
        let report = self.engine.append_samples(batch).map_err(|error| error.to_string())?;
        match report.rejected.first() {
            None => Ok(()),
            Some((_, why)) => Err(format!("an input sample was refused: {why}")),
        }
    }
}
