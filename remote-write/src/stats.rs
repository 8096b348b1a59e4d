//! What people see of a destination.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use watchfire_model::Timestamp;

/// Why samples are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// `write_relabel_configs` leave their series out.
    Relabelled,
    /// They are older than `sample_age_limit`.
    TooOld,
    /// The log is not kept for them any longer: the receiver was away for too long.
    HoldLimit,
    /// Nothing says what their series is called.
    Nameless,
    /// They are native histograms, and `send_native_histograms` is not true.
    NativeHistogram,
    /// They are exemplars for version 2.0, which takes none without a sample, and no sample of their series is at hand.
    ExemplarAlone,
}

impl Dropped {
    /// Each with its word in metrics.
    pub const ALL: [(Dropped, &'static str); 6] = [
        (Dropped::Relabelled, "relabelled"),
        (Dropped::TooOld, "too_old"),
        (Dropped::HoldLimit, "hold_limit"),
        (Dropped::Nameless, "nameless"),
        (Dropped::NativeHistogram, "native_histogram"),
        (Dropped::ExemplarAlone, "exemplar_alone"),
    ];
}

/// Figures of a destination; totals count from the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationStats {
    /// Its name.
    pub name: String,
    /// Its address, without what is secret in it.
    pub url: String,
    /// Samples in its shards.
    pub pending: u64,
    /// Samples that were sent and taken.
    pub sent_total: u64,
    /// Samples that the receiver refused for good.
    pub failed_total: u64,
    /// Samples that were not sent, by reason, in the order of [`Dropped::ALL`].
    pub dropped_total: [u64; 6],
    /// Samples of requests that had to be sent again.
    pub retried_total: u64,
    /// Records of the log that were damaged or gone before they were read.
    pub lost_records_total: u64,
    /// Bytes of requests that were taken.
    pub bytes_total: u64,
    /// Latest time of a sample that was read, milliseconds; 0 if there is none.
    pub highest_read_ms: i64,
    /// Latest time of a sample that was taken, milliseconds.
    pub highest_sent_ms: i64,
    /// How long ago what is not settled yet was taken in.
    pub lag: Duration,
    /// Shards.
    pub shards: u64,
    /// Bytes of the log that are kept for it.
    pub held_bytes: u64,
    /// Why the last request failed, while none has succeeded since.
    pub last_error: Option<String>,
    /// When samples were given up last as the receiver refused them, and what it said.
    pub refused: Option<(Timestamp, String)>,
}

/// The same while it changes.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) pending: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
    dropped: [AtomicU64; 6],
    pub(crate) retried: AtomicU64,
    pub(crate) lost_records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) highest_read_ms: AtomicI64,
    pub(crate) highest_sent_ms: AtomicI64,
    pub(crate) lag_ms: AtomicU64,
    pub(crate) shards: AtomicU64,
    pub(crate) held_bytes: AtomicU64,
    /// Time in requests since somebody asked, microseconds.
    pub(crate) busy_us: AtomicU64,
    pub(crate) failing: AtomicBool,
    pub(crate) last_error: Mutex<Option<String>>,
    /// When samples were given up last, and what the receiver said.
    pub(crate) refused: Mutex<Option<(Timestamp, String)>>,
    /// When a refusal was told last.
    pub(crate) refusal_told: Mutex<Option<Instant>>,
}

impl Figures {
    pub(crate) fn give_up(&self, why: Dropped, samples: u64) {
        if let Some((total, _)) = self.dropped.iter().zip(Dropped::ALL).find(|(_, (reason, _))| *reason == why) {
            total.fetch_add(samples, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, name: &str, url: &str) -> DestinationStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DestinationStats {
            name: name.to_owned(),
            url: url.to_owned(),
            pending: count(&self.pending),
            sent_total: count(&self.sent),
            failed_total: count(&self.failed),
            dropped_total: std::array::from_fn(|reason| count(&self.dropped[reason])),
            retried_total: count(&self.retried),
            lost_records_total: count(&self.lost_records),
            bytes_total: count(&self.bytes),
            highest_read_ms: self.highest_read_ms.load(Ordering::Relaxed),
            highest_sent_ms: self.highest_sent_ms.load(Ordering::Relaxed),
            lag: Duration::from_millis(count(&self.lag_ms)),
            shards: count(&self.shards),
            held_bytes: count(&self.held_bytes),
            last_error: self.last_error.lock().clone(),
            refused: self.refused.lock().clone(),
        }
    }
}
