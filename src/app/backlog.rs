//! What was accepted before the start, and how far it is counted. Until it is, numbers of logs are too small.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire_ingest::consume::Progress;

/// A count that stands still for so long does not go on by itself.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Between two lines about a wait.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Records that were accepted before the start.
#[derive(Clone)]
pub struct Backlog {
    counted: Arc<Progress>,
    until: u64,
}

impl Backlog {
    /// Records below the offset `until`, counted by a consumer.
    pub fn new(counted: Arc<Progress>, until: u64) -> Backlog {
        Backlog { counted, until }
    }

    /// Whether all of it is counted.
    pub fn is_counted(&self) -> bool {
        self.counted.next_offset() >= self.until
    }

    /// Whoever waits for it.
    pub fn waiter(self, now: Instant) -> Waiter {
        let stands_at = self.counted.next_offset();
        Waiter { backlog: self, stands_at, moved: now, told: now }
    }
}

/// Waits for a backlog, but not for ever: rules that see too little are better than rules that see nothing.
pub struct Waiter {
    backlog: Backlog,
    stands_at: u64,
    moved: Instant,
    told: Instant,
}

impl Waiter {
    /// Whether rules are evaluated from now on.
    pub fn may_begin(&mut self, now: Instant) -> bool {
        if self.backlog.is_counted() {
            return true;
        }
        let (at, until) = (self.backlog.counted.next_offset(), self.backlog.until);
        if at != self.stands_at {
            (self.stands_at, self.moved) = (at, now);
        }
        if now.saturating_duration_since(self.moved) >= STUCK_AFTER {
            tracing::warn!(
                at,
                until,
                "rules are evaluated though records of before the start are not counted, as counting stands still: \
                 numbers of logs are too small; /api/v1/health says what is wrong"
            );
            return true;
        }
        if now.saturating_duration_since(self.told) >= TELL_EVERY {
            self.told = now;
            tracing::info!(at, until, "rules wait until the records of before the start are counted");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;
    use watchfire_ingest::metrics::IngestMetrics;
    use watchfire_queue::{EmbeddedQueue, QueueConfig};

    #[test]
    fn a_wait_ends_when_all_is_counted_or_nothing_moves() {
        let folder = tempfile::tempdir().expect("a folder");
        let (queue, _) = EmbeddedQueue::open(QueueConfig::new(folder.path()), 1).expect("opens");
        let metrics = IngestMetrics::new(&Registry::new()).expect("registers");
        let counted = Arc::new(Progress::new("metrics", Arc::new(queue), 7, &metrics));
        let begun = Instant::now();
        assert!(Backlog::new(counted.clone(), 7).waiter(begun).may_begin(begun));
        let mut waiter = Backlog::new(counted, 8).waiter(begun);
        assert!(!waiter.may_begin(begun));
        assert!(!waiter.may_begin(begun + STUCK_AFTER - Duration::from_millis(1)));
        assert!(waiter.may_begin(begun + STUCK_AFTER));
    }
}
