//! What people and programs may see of the targets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use watchfire_engine::Rejection;
use watchfire_model::text::{count, cut, was_or_were};
use watchfire_model::{LabelSet, Timestamp};

use crate::metadata::Families;

/// Metrics of refused samples that are named.
const METRICS_MAX: usize = 3;
/// Longest name of one that is told, bytes.
const METRIC_BYTES_MAX: usize = 200;

/// How a target is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Health {
    /// It was not scraped yet.
    #[default]
    Unknown,
    /// The last scrape was good.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The word of the HTTP API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// What came of the last scrape of a target.
#[derive(Clone, Debug, Default)]
pub struct LastScrape {
    /// How it went.
    pub health: Health,
    /// Why it failed.
    pub error: Option<String>,
    /// It failed for want of an answer, not for what one says.
    pub is_unanswered: bool,
    /// When it began; `None`: never yet.
    pub at: Option<Timestamp>,
    /// How long the target took.
    pub took: Duration,
    /// Samples that it showed.
    pub samples: u64,
    /// Samples that rules left.
    pub samples_kept: u64,
    /// Samples that were not stored, by reason.
    pub refused: Vec<Refused>,
    /// What it says about its metrics.
    pub families: Arc<Families>,
}

impl LastScrape {
    /// What is wrong: why it failed, or else which series were not taken for what only we know of.
    pub fn trouble(&self) -> Option<String> {
        let refused = || {
            let ours = self.refused.iter().filter(|refused| {
                matches!(
                    refused.reason,
                    Rejection::SeriesLimit
                        | Rejection::MemoryLimit
                        | Rejection::KindMismatch
                        | Rejection::LabelsTooLarge
                )
            });
            let told: Vec<String> = ours.map(Refused::to_string).collect();
            (!told.is_empty()).then(|| told.join("; "))
        };
        self.error.clone().or_else(refused)
    }
}

/// Samples of a scrape that were not stored for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reason: Rejection,
    /// How many.
    pub samples: u64,
    /// Their first few metrics.
    pub metrics: Vec<String>,
    /// There are more.
    pub has_more: bool,
}

impl Refused {
    /// None yet.
    pub(crate) fn new(reason: Rejection) -> Refused {
        Refused { reason, samples: 0, metrics: Vec::new(), has_more: false }
    }

    /// Adds a sample of a metric.
    pub(crate) fn add(&mut self, metric: &str) {
        self.samples += 1;
        let metric = cut(metric, METRIC_BYTES_MAX);
        if self.has_more || self.metrics.iter().any(|have| have == metric) {
            return;
        }
        if self.metrics.len() < METRICS_MAX {
            self.metrics.push(metric.to_owned());
        } else {
            self.has_more = true;
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, samples) = (self.reason, count(self.samples, "sample"));
        let metrics: Vec<String> = self.metrics.iter().map(|metric| format!("`{metric}`")).collect();
        let others = if self.has_more { " and others" } else { "" };
        write!(f, "{samples} of {}{others} {} not stored: {reason}", metrics.join(", "), was_or_were(self.samples))?;
        match reason {
            Rejection::KindMismatch | Rejection::LabelsTooLarge => {
                f.write_str("; `metric_relabel_configs` can rename or drop metrics and labels")
            }
            Rejection::DuplicateTimestamp
            | Rejection::OutOfOrder
            | Rejection::TooOld
            | Rejection::TooFarInFuture
            | Rejection::SeriesLimit
            | Rejection::MemoryLimit
            | Rejection::NotCountable => Ok(()),
        }
    }
}

/// A target that is scraped.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// The job that it belongs to.
    pub pool: String,
    /// Labels as discovery gave them.
    pub discovered: LabelSet,
    /// Labels of its samples.
    pub labels: LabelSet,
    /// What is asked for.
    pub url: String,
    /// Time between two scrapes, milliseconds.
    pub interval_ms: i64,
    /// Longest time for one, milliseconds.
    pub timeout_ms: i64,
    /// What came of the last one.
    pub last: LastScrape,
}

/// Something that rules dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// The job that found it.
    pub pool: String,
    /// Labels as discovery gave them.
    pub discovered: LabelSet,
}

/// All targets at a moment, sorted by job and labels.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Those that are scraped.
    pub active: Vec<ActiveTarget>,
    /// Those that rules dropped, as many as are remembered.
    pub dropped: Vec<DroppedTarget>,
    /// How many were dropped, by job.
    pub dropped_counts: Vec<(String, u64)>,
}
