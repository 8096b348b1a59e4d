//! What people and programs may see of the targets.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::{LabelSet, Timestamp};

use crate::metadata::Families;

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
    pub refused: Vec<(&'static str, u64)>,
    /// What it says about its metrics.
    pub families: Arc<Families>,
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
