//! Alerts as series: `ALERTS{alertname, alertstate, …} = 1` and `ALERTS_FOR_STATE = active_at` in seconds.
//!
//! Written at each evaluation, but not more often than every 15 s unless something changed, and ended by a
//! staleness marker.

use std::collections::BTreeSet;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{AlertState, LabelSet, Timestamp};
use watchfire_query_lang::PointValue;

use crate::alert_set::Tracked;

/// Shortest distance between two samples of an unchanged alert of a running server, in milliseconds.
pub(crate) const SAMPLE_EVERY_MS: i64 = 15_000;

/// A sample and the series it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSample {
    /// The series.
    pub labels: LabelSet,
    /// When.
    pub at: Timestamp,
    /// A number or a native histogram.
    pub value: PointValue,
}

/// Why samples could not be written.
#[derive(Debug, thiserror::Error)]
#[error("samples of rules were not written: {reason}")]
pub struct SinkError {
    /// What the store says.
    pub reason: String,
    /// Whether the same samples may be taken later.
    pub retry: bool,
    /// The metrics of the samples that were refused; empty: all of them.
    pub refused: BTreeSet<String>,
}

/// Where rules write their series: the local engine, or a remote cluster.
pub trait SampleSink: Send + Sync {
    /// Stores the samples; durable when it returns. May block.
    fn write(&self, samples: &[SeriesSample]) -> Result<(), SinkError>;
}

/// The samples that an evaluation at `now` adds for an alert, whatever its state; none for an unchanged one that has a
/// sample younger than `every_ms`.
pub(crate) fn sample(
    labels: &LabelSet,
    tracked: &mut Tracked,
    now: Timestamp,
    every_ms: i64,
    out: &mut Vec<SeriesSample>,
) {
    let state = tracked.life.state();
    match (state, tracked.sampled) {
        (AlertState::Resolved, None) => {}
        (AlertState::Resolved, Some(_)) => end(labels, tracked, now, out),
        (AlertState::Pending | AlertState::Firing, Some((before, at)))
            if before == state && now.since(at) < every_ms => {}
        (AlertState::Pending | AlertState::Firing, before) => {
            if let Some((before, _)) = before.filter(|(before, _)| *before != state) {
                push(out, alerts(labels, before), now, f64::from_bits(STALE_NAN_BITS));
            }
            push(out, alerts(labels, state), now, 1.0);
            push(out, for_state(labels), now, tracked.life.active_at().millis() as f64 / 1000.0);
            tracked.sampled = Some((state, now));
        }
    }
}

/// Ends the series of an alert.
pub(crate) fn end(labels: &LabelSet, tracked: &mut Tracked, now: Timestamp, out: &mut Vec<SeriesSample>) {
    if let Some((state, _)) = tracked.sampled.take() {
        push(out, alerts(labels, state), now, f64::from_bits(STALE_NAN_BITS));
        push(out, for_state(labels), now, f64::from_bits(STALE_NAN_BITS));
    }
}

fn push(out: &mut Vec<SeriesSample>, labels: LabelSet, timestamp: Timestamp, value: f64) {
    out.push(SeriesSample { labels, at: timestamp, value: PointValue::Float(value) });
}

fn alerts(labels: &LabelSet, state: AlertState) -> LabelSet {
    labels.with(METRIC_NAME, "ALERTS").with("alertstate", state.as_str())
}

fn for_state(labels: &LabelSet) -> LabelSet {
    labels.with(METRIC_NAME, "ALERTS_FOR_STATE")
}
