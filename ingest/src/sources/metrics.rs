//! Figures of what is read from this machine; the label `source` is the configured path, or the kind of source.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics of all sources.
#[derive(Clone)]
pub struct SourceMetrics {
    lines: IntCounterVec,
    bytes: IntCounterVec,
    restarts: IntCounterVec,
    lost_bytes: IntCounterVec,
    lag_bytes: IntGaugeVec,
    files: IntGaugeVec,
    closed_folders: IntGaugeVec,
}

/// Those of one source.
#[derive(Clone)]
pub struct SourceFigures {
    /// Records read.
    pub records: IntCounter,
    /// Bytes read.
    pub bytes: IntCounter,
    /// Files begun anew, as they were cut or replaced.
    pub restarts: IntCounter,
    /// Bytes that were seen and were gone before they were read.
    pub lost_bytes: IntCounter,
    /// Bytes that are there and not stored yet.
    pub lag_bytes: IntGauge,
    /// Files that are followed.
    pub files: IntGauge,
    /// Folders of it that may not be entered or listed.
    pub closed_folders: IntGauge,
}

impl SourceMetrics {
    /// Registers them. Errors: one of the names is taken.
    pub fn new(registry: &Registry) -> Result<SourceMetrics, prometheus::Error> {
        let counter = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["source"]);
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["source"]);
        let metrics = SourceMetrics {
            lines: counter(
                "watchfire_source_records_total",
                "Records read from files, the journal and standard input.",
            )?,
            bytes: counter("watchfire_source_bytes_total", "Bytes of them.")?,
            restarts: counter(
                "watchfire_source_restarts_total",
                "Files read from their beginning again, as they were cut or replaced.",
            )?,
            lost_bytes: counter(
                "watchfire_source_lost_bytes_total",
                "Bytes of files that were deleted or cut before they were read, and that no copy has.",
            )?,
            lag_bytes: gauge("watchfire_source_lag_bytes", "Bytes that are there and not stored yet.")?,
            files: gauge("watchfire_source_files", "Files that are followed.")?,
            closed_folders: gauge(
                "watchfire_source_closed_folders",
                "Folders of a source that may not be entered or listed: files in them are not read.",
            )?,
        };
        let all: [Box<dyn Collector>; 7] = [
            Box::new(metrics.lines.clone()),
            Box::new(metrics.bytes.clone()),
            Box::new(metrics.restarts.clone()),
            Box::new(metrics.lost_bytes.clone()),
            Box::new(metrics.lag_bytes.clone()),
            Box::new(metrics.files.clone()),
            Box::new(metrics.closed_folders.clone()),
        ];
        for collector in all {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Those of the source with this name.
    pub fn of(&self, source: &str) -> SourceFigures {
        let label = &[source];
        SourceFigures {
            records: self.lines.with_label_values(label),
            bytes: self.bytes.with_label_values(label),
            restarts: self.restarts.with_label_values(label),
            lost_bytes: self.lost_bytes.with_label_values(label),
            lag_bytes: self.lag_bytes.with_label_values(label),
            files: self.files.with_label_values(label),
            closed_folders: self.closed_folders.with_label_values(label),
        }
    }

    /// Files that are followed, and folders of them that may not be entered or listed, over all sources; `None` where there
    /// is none.
    pub fn followed(&self) -> Option<(f64, f64)> {
        let sum = |gauges: &IntGaugeVec| -> Option<f64> {
            let families = gauges.collect();
            let figures = families.iter().flat_map(|family| family.get_metric());
            figures.map(|figure| figure.get_gauge().get_value()).reduce(|sum, figure| sum + figure)
        };
        sum(&self.files).zip(sum(&self.closed_folders))
    }

    /// The source is no more: its gauges go, so that nothing old is shown; its counters stay.
    pub fn forget(&self, source: &str) {
        // An error means that there was none.
        let _ = self.lag_bytes.remove_label_values(&[source]);
        let _ = self.files.remove_label_values(&[source]);
        let _ = self.closed_folders.remove_label_values(&[source]);
    }
}
