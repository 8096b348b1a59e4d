//! Counters of what comes in, as Prometheus shows them.

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::formats::{Format, Parsers};
use crate::gather::Reason;
use crate::remote_write::{Outcome, Version};

/// The counters that this crate owns.
#[derive(Clone)]
pub struct IngestMetrics {
    accepted: IntCounterVec,
    rejected: [IntCounter; Reason::ALL.len()],
    /// Records that were there already.
    pub duplicates: IntCounter,
    /// Records dated by event time, as they were older than `metrics.late_after`.
    pub late: IntCounter,
    /// Counts and values of records that the engine did not take.
    pub derived_refused: IntCounter,
    /// Values of extraction rules and durations of requests that could not be used.
    pub extract_errors: IntCounter,
    /// Records that a consumer has not taken in yet.
    pub lag_records: IntGaugeVec,
    /// Age of the oldest of them, seconds.
    pub lag_seconds: GaugeVec,
    /// Open connections of syslog over TCP.
    pub syslog_connections: IntGauge,
    /// Own log lines that did not fit into their buffer.
    pub own_dropped: IntCounter,
    /// Samples that came by remote-write and are stored, by the version of the message.
    pub remote_write_samples: IntCounterVec,
    /// Samples and others that came so and were refused, by reason.
    pub remote_write_rejected: IntCounterVec,
    /// Samples that came by OTLP and are stored.
    pub otlp_samples: IntCounter,
    /// Data points and samples that came so and were refused, by reason.
    pub otlp_rejected: IntCounterVec,
    /// Samples that came as text of the past and are stored.
    pub import_samples: IntCounter,
    /// Lines and samples that came so and were refused, by reason.
    pub import_rejected: IntCounterVec,
}

impl IngestMetrics {
    /// Registers them. Errors: one of the names is taken.
    pub fn new(registry: &Registry) -> Result<IngestMetrics, prometheus::Error> {
        let accepted = IntCounterVec::new(
            Opts::new(
                "watchfire_records_accepted_total",
                "Log records that were stored, by the way they came and their format.",
            ),
            &["source", "format"],
        )?;
        let rejected = IntCounterVec::new(
            Opts::new("watchfire_records_rejected_total", "Log records that were refused, by reason."),
            &["reason"],
        )?;
        let counter = |name: &str, help: &str| IntCounter::with_opts(Opts::new(name, help));
        let metrics = IngestMetrics {
            rejected: Reason::ALL.map(|reason| rejected.with_label_values(&[reason.as_str()])),
            accepted,
            duplicates: counter("watchfire_records_duplicate_total", "Log records that were there already.")?,
            late: counter(
                "watchfire_late_records_total",
                "Log records counted at their event time, as they were older than metrics.late_after.",
            )?,
            derived_refused: counter(
                "watchfire_derived_refused_total",
                "Counts and values taken out of log records that the engine refused.",
            )?,
            extract_errors: counter(
                "watchfire_extract_errors_total",
                "Values of extraction rules and durations of requests that were no finite number, negative, or of a type that the metric does not have.",
            )?,
            lag_records: IntGaugeVec::new(
                Opts::new("watchfire_queue_lag_records", "Records that a consumer of the queue has not taken in yet."),
                &["consumer"],
            )?,
            lag_seconds: GaugeVec::new(
                Opts::new(
                    "watchfire_queue_lag_seconds",
                    "Age of the oldest record that a consumer has not taken in yet.",
                ),
                &["consumer"],
            )?,
            syslog_connections: IntGauge::with_opts(Opts::new(
                "watchfire_syslog_connections",
                "Open TCP connections of syslog senders.",
            ))?,
            own_dropped: counter(
                "watchfire_own_log_dropped_total",
                "Log lines of this server that did not fit into the buffer before its own store.",
            )?,
            remote_write_samples: IntCounterVec::new(
                Opts::new(
                    "watchfire_remote_write_samples_total",
                    "Samples stored that came by remote-write, by the version of the message.",
                ),
                &["version"],
            )?,
            remote_write_rejected: IntCounterVec::new(
                Opts::new(
                    "watchfire_remote_write_rejected_total",
                    "Samples, histograms and series refused that came by remote-write, by reason.",
                ),
                &["reason"],
            )?,
            otlp_samples: counter("watchfire_otlp_samples_total", "Samples stored that came by OTLP.")?,
            otlp_rejected: IntCounterVec::new(
                Opts::new("watchfire_otlp_rejected_total", "Data points refused that came by OTLP, by reason."),
                &["reason"],
            )?,
            import_samples: counter(
                "watchfire_import_samples_total",
                "Samples stored that came by /api/v1/import, as text with times.",
            )?,
            import_rejected: IntCounterVec::new(
                Opts::new(
                    "watchfire_import_rejected_total",
                    "Lines and samples refused that came by /api/v1/import, by reason.",
                ),
                &["reason"],
            )?,
        };
        let all: [Box<dyn prometheus::core::Collector>; 16] = [
            Box::new(metrics.accepted.clone()),
            Box::new(rejected),
            Box::new(metrics.duplicates.clone()),
            Box::new(metrics.late.clone()),
            Box::new(metrics.derived_refused.clone()),
            Box::new(metrics.extract_errors.clone()),
            Box::new(metrics.lag_records.clone()),
            Box::new(metrics.lag_seconds.clone()),
            Box::new(metrics.syslog_connections.clone()),
            Box::new(metrics.own_dropped.clone()),
            Box::new(metrics.remote_write_samples.clone()),
            Box::new(metrics.remote_write_rejected.clone()),
            Box::new(metrics.otlp_samples.clone()),
            Box::new(metrics.otlp_rejected.clone()),
            Box::new(metrics.import_samples.clone()),
            Box::new(metrics.import_rejected.clone()),
        ];
        for collector in all {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Counts refused records.
    pub fn rejected(&self, reason: Reason, count: u64) {
        if let Some(counter) = self.rejected.get(reason as usize) {
            counter.inc_by(count);
        }
    }

    /// Counts what became of the samples of a remote-write.
    pub(crate) fn count_remote_write(&self, version: Version, outcome: &Outcome) {
        let version = match version {
            Version::V1 => "1.0",
            Version::V2 => "2.0",
        };
        self.remote_write_samples.with_label_values(&[version]).inc_by(outcome.samples + outcome.histograms);
        for (reason, count) in &outcome.refused {
            self.remote_write_rejected.with_label_values(&[*reason]).inc_by(*count);
        }
    }

    /// Counts what became of the samples of OTLP.
    pub(crate) fn count_otlp(&self, outcome: &Outcome) {
        self.otlp_samples.inc_by(outcome.samples);
        for (reason, count) in &outcome.refused {
            self.otlp_rejected.with_label_values(&[*reason]).inc_by(*count);
        }
    }

    /// The counters of one way in.
    pub fn source(&self, source: &'static str) -> SourceCounters {
        let names = Parsers::default();
        let built_in = Format::BUILT_IN.map(|format| self.accepted.with_label_values(&[source, names.name(format)]));
        SourceCounters { source, built_in, accepted: self.accepted.clone() }
    }
}

/// The counters of accepted records of one way in (`http`, `syslog_tcp`, …).
#[derive(Clone)]
pub struct SourceCounters {
    source: &'static str,
    built_in: [IntCounter; Format::BUILT_IN.len()],
    accepted: IntCounterVec,
}

impl SourceCounters {
    /// Counts accepted records of a format.
    pub fn accepted(&self, format: Format, parsers: &Parsers, count: u64) {
        if count == 0 {
            return;
        }
        match self.built_in.get(format.index()) {
            Some(counter) => counter.inc_by(count),
            None => self.accepted.with_label_values(&[self.source, parsers.name(format)]).inc_by(count),
        }
    }
}
