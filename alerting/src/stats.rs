//! Counters, for the metrics page.

use crate::notification::Target;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of durations, in seconds.
pub const DURATION_BUCKETS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Durations, counted by [`DURATION_BUCKETS`].
#[derive(Debug, Default)]
pub(crate) struct Durations {
    // One per bound, and one for what is longer.
    counts: [AtomicU64; DURATION_BUCKETS.len() + 1],
    sum_micros: AtomicU64,
}

impl Durations {
    pub(crate) fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = DURATION_BUCKETS.partition_point(|bound| *bound < seconds);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn snapshot(&self) -> DurationsSnapshot {
        let mut count = 0;
        let mut cumulative = [0; DURATION_BUCKETS.len()];
        for (at, bucket) in self.counts.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(slot) = cumulative.get_mut(at) {
                *slot = count;
            }
        }
        DurationsSnapshot { cumulative, count, sum_seconds: self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

/// Durations as Prometheus shows a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DurationsSnapshot {
    /// How many were at most as long as the bound at the same place of [`DURATION_BUCKETS`].
    pub cumulative: [u64; DURATION_BUCKETS.len()],
    /// How many there were.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum_seconds: f64,
}

/// Counters of one target, kept while the process runs.
#[derive(Debug, Default)]
pub(crate) struct TargetCounters {
    pub(crate) notifications: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) attempts: Durations,
    pub(crate) deliveries: Durations,
}

impl TargetCounters {
    pub(crate) fn snapshot(&self, target: &Target, queue: QueueDepth) -> TargetStats {
        TargetStats {
            target: target.clone(),
            notifications_total: self.notifications.load(Ordering::Relaxed),
            delivered_total: self.delivered.load(Ordering::Relaxed),
            failed_total: self.failed.load(Ordering::Relaxed),
            retries_total: self.retries.load(Ordering::Relaxed),
            refused_total: self.refused.load(Ordering::Relaxed),
            queue,
            attempt_duration: self.attempts.snapshot(),
            delivery_delay: self.deliveries.snapshot(),
        }
    }
}

/// What waits for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that wait or are under way.
    pub messages: usize,
    /// About how many bytes they take.
    pub bytes: usize,
    /// Messages under way.
    pub in_flight: usize,
}

/// Counters of one target since the start of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetStats {
    /// Whose they are.
    pub target: Target,
    /// Messages of which at least one attempt was made.
    pub notifications_total: u64,
    /// Messages that arrived.
    pub delivered_total: u64,
    /// Messages that were given up.
    pub failed_total: u64,
    /// Attempts after the first of a message.
    pub retries_total: u64,
    /// Messages for which the queue had no room (they are decided again).
    pub refused_total: u64,
    /// What waits.
    pub queue: QueueDepth,
    /// How long attempts took, failed ones too.
    pub attempt_duration: DurationsSnapshot,
    /// From the decision to the delivery.
    pub delivery_delay: DurationsSnapshot,
}

/// Counters of the notification log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Bytes of the file.
    pub bytes: u64,
    /// Messages whose end is not known yet.
    pub open_messages: u64,
    /// Groups, per target, in which something fires.
    pub flows: u64,
    /// Rewrites of the file since the start of the process.
    pub compactions_total: u64,
    /// Failures to write it since the start of the process.
    pub errors_total: u64,
    /// Whether all is on disk; `false` from a failure to write until the file could be rewritten.
    pub durable: bool,
    /// Resolved alerts dropped because their target refused too many of them.
    pub dropped_total: u64,
}

/// All counters.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingStats {
    /// By target.
    pub targets: Vec<TargetStats>,
    /// The notification log.
    pub log: LogStats,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_cumulatively() {
        let durations = Durations::default();
        for millis in [1, 30, 100_000] {
            durations.add(Duration::from_millis(millis));
        }
        let snapshot = durations.snapshot();
        assert_eq!((snapshot.count, snapshot.cumulative[0], snapshot.cumulative[12]), (3, 1, 2));
        assert!((snapshot.sum_seconds - 100.031).abs() < 1e-9);
    }
}
