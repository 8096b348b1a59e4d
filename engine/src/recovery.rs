//! Opening a folder: what the log says is done again.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::{Sample, Timestamp};

use crate::bytes::Damaged;
use crate::chunk::{Codec, with_codec};
use crate::config::EngineConfig;
use crate::engine::OpenError;
use crate::kind::SeriesKind;
use crate::limits::TimeBounds;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::series::{Numbers, Series};
use crate::wal::record::{self, Replay, Replayed};
use crate::wal::segment::{self, Damage, SegmentError};

/// What was found when a folder was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Series after the recovery.
    pub series: u64,
    /// Records of the log that were applied.
    pub records: u64,
    /// Points in them.
    pub points: u64,
    /// Points whose series nothing defines, because its definition was damaged.
    pub orphans: u64,
    /// Records that are missing between those that were found.
    pub records_missing: u64,
    /// The places that could not be read. A torn tail is what a crash leaves, and loses nothing acknowledged.
    pub damages: Vec<Damage>,
}

/// What a recovery leads to.
pub(crate) struct Recovered {
    pub(crate) next_lsn: u64,
    pub(crate) positions: Positions,
    pub(crate) report: RecoveryReport,
}

struct Replayer<'r> {
    registry: &'r Registry,
    by_id: HashMap<u64, Arc<Series>, foldhash::fast::RandomState>,
    current: Option<Arc<Series>>,
    lsn: u64,
    codec: &'r mut Codec,
    points: u64,
    orphans: u64,
}

impl Replay for Replayer<'_> {
    fn define(&mut self, id: u64, kind: SeriesKind, key: &[u8]) -> Result<(), Damaged> {
        let series = self.registry.insert(id, kind, key, Numbers::new(kind.class()), true, 0)?;
        self.by_id.insert(id, series);
        Ok(())
    }

    fn group(&mut self, id: u64) {
        if self.current.as_ref().is_none_or(|series| series.id != id) {
            self.current = self.by_id.get(&id).cloned();
        }
    }

    fn point(&mut self, point: Replayed) {
        let Some(series) = &self.current else {
            self.orphans += 1;
            return;
        };
        self.points += 1;
        let mut state = series.state.lock();
        match (point, &mut state.numbers) {
            (Replayed::Sample { at, value }, Numbers::Samples(samples)) => {
                let sample = Sample { timestamp: Timestamp::from_millis(at), value };
                // It was accepted once; if it is there already, a snapshot brought it.
                let _ = samples.push(sample, &TimeBounds::ALL, self.codec);
            }
            (Replayed::Additive { second, late, value }, numbers) => {
                if self.lsn > series.contains_lsn.load(Ordering::Relaxed) {
                    numbers.add(second, value, late, self.codec);
                }
            }
            (Replayed::Sample { .. }, _) => self.orphans += 1,
        }
    }
}

/// Reads the folder into the registry.
pub(crate) fn recover(config: &EngineConfig, registry: &Registry) -> Result<Recovered, OpenError> {
    let at = |path: &Path| {
        let path: PathBuf = path.to_owned();
        move |source: io::Error| OpenError::Io { path, source }
    };
    let mut positions = Positions::default();
    let mut report = RecoveryReport::default();
    let files = segment::list(&config.dir).map_err(at(&config.dir))?;
    let mut expected = 0u64;
    with_codec(|codec| {
        let mut replayer =
            Replayer { registry, by_id: HashMap::default(), current: None, lsn: 0, codec, points: 0, orphans: 0 };
        for (index, (first, path)) in files.iter().enumerate() {
            let last_file = index + 1 == files.len();
            let found = segment::read(path, last_file, |lsn, payload| {
                replayer.lsn = lsn;
                if expected > 0 {
                    report.records_missing += lsn.saturating_sub(expected);
                }
                expected = lsn + 1;
                replayer.current = None;
                let source = record::read(payload, &mut replayer)?;
                report.records += 1;
                if let Some(source) = source {
                    positions.applied(&source, lsn);
                }
                Ok(())
            });
            let found = found.map_err(|error| match error {
                SegmentError::Io(source) => at(path)(source),
                SegmentError::NewerVersion(version) => OpenError::NewerVersion { file: path.clone(), version },
            })?;
            if last_file {
                settle(path, found.good_end).map_err(at(path))?;
            }
            report.damages.extend(found.damages);
            expected = expected.max(*first);
        }
        report.points = replayer.points;
        report.orphans = replayer.orphans;
        Ok(())
    })?;
    report.series = registry.len() as u64;
    Ok(Recovered { next_lsn: expected.max(1), positions, report })
}

/// Cuts what is not whole off the last file and makes the rest durable; a file without records goes.
fn settle(path: &Path, good_end: u64) -> io::Result<()> {
    if good_end <= segment::HEAD_BYTES as u64 {
        return std::fs::remove_file(path);
    }
    let file = std::fs::File::options().write(true).open(path)?;
    file.set_len(good_end)?;
    file.sync_all()
}
