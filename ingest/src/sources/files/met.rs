//! Sources in force, and what is kept of one that was met.

use std::time::{Duration, SystemTime};

use watchfire_queue::Queue;
use xxhash_rust::xxh3::xxh3_128;

use crate::sources::metrics::{SourceFigures, SourceMetrics};
use crate::sources::settings::FileSource;

/// A source in force.
pub(super) struct Source {
    pub settings: FileSource,
    pub figures: SourceFigures,
    /// It was never met before.
    pub is_new: bool,
    /// It was met by a version that did not keep which rotated files it had read; that, as it is stored.
    pub older: Option<Vec<u8>>,
    /// When it was met first, as far as that is known.
    pub met: Option<SystemTime>,
}

impl Source {
    pub(super) fn new(settings: FileSource, queue: &dyn Queue, metrics: &SourceMetrics) -> Source {
        let stored = queue.checkpoint(&key_of(&settings));
        let met = stored.as_deref().and_then(met_of);
        let is_new = stored.is_none();
        let older = stored.filter(|stored| stored.first() != Some(&MET_VERSION));
        Source { figures: metrics.of(settings.name()), is_new, older, met, settings }
    }
}

/// What is kept of a source that was met: version u8 = 3, milliseconds i64. Version 1 has no time, before version 3 it
/// was not kept which rotated files were read.
const MET_VERSION: u8 = 3;

pub(super) fn met_at(time_ms: i64) -> Vec<u8> {
    [&[MET_VERSION][..], &time_ms.to_le_bytes()].concat()
}

fn met_of(value: &[u8]) -> Option<SystemTime> {
    let [2..=MET_VERSION, time @ ..] = value else { return None };
    time_of(i64::from_le_bytes(time.try_into().ok()?))
}

pub(super) fn time_of(ms: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(ms).ok()?))
}

/// The key that says that a source was met.
pub(super) fn key_of(source: &FileSource) -> Vec<u8> {
    [&b"s"[..], &xxh3_128(source.name().as_bytes()).to_le_bytes()].concat()
}
