//! What the log says after the snapshot, record by record.

use std::io;
use std::path::{Path, PathBuf};

use watchfire_model::{Histogram, Sample, Timestamp};

use super::{Known, Loaded, RecoveryReport, io_error};
use crate::backfill::Hours;
use crate::batch::SourcePosition;
use crate::bytes::Damaged;
use crate::chunk::Codec;
use crate::delete::Deletion;
use crate::engine::OpenError;
use crate::kind::SeriesKind;
use crate::limits::TimeBounds;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::resting::LogBuilder;
use crate::series::{Numbers, SeriesState};
use crate::wal::record::{self, AdditivePoints, Replay};
use crate::wal::segment::{self, SegmentError};

/// Applies the log from the cut on; gives the number that the next record gets, and the length of the log read.
pub(super) fn replay(
    loaded: &mut Loaded,
    files: &[(u64, PathBuf)],
    codec: &mut Codec,
    positions: &mut Positions,
    report: &mut RecoveryReport,
) -> Result<(u64, u64), OpenError> {
    let mut log_bytes = 0;
    let mut replayer = Replayer {
        registry: &loaded.registry,
        positions,
        known: &mut loaded.known,
        log: LogBuilder::default(),
        lsn: 0,
        payload_at: 0,
        source_is_taken: true,
        fills: false,
        hole_is_open: false,
        left_to_queue: 0,
        codec,
        points: 0,
        orphans: 0,
    };
    // Numbers of records begin with 1.
    let mut expected = loaded.cut.max(1);
    for (index, (first, path)) in files.iter().enumerate() {
        let last_file = index + 1 == files.len();
        if files.get(index + 1).is_some_and(|(next, _)| *next <= loaded.cut) {
            continue;
        }
        let file_bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
        log_bytes += file_bytes;
        replayer.log.begin_file(file_bytes);
        note_missing(expected, *first, files, &mut replayer, report);
        expected = expected.max(*first);
        let found = segment::read(path, last_file, |record| {
            if record.lsn < loaded.cut {
                return Ok(());
            }
            note_missing(expected, record.lsn, files, &mut replayer, report);
            expected = record.lsn + 1;
            (replayer.lsn, replayer.payload_at) = (record.lsn, record.payload_at);
            let understood = record::read(record.payload, &mut replayer);
            report.records += u64::from(understood.is_ok());
            report.records_lost += u64::from(understood.is_err());
            understood
        });
        let found = found.map_err(|error| segment_error(path, error))?;
        if last_file {
            settle(path, found.good_end).map_err(io_error(path))?;
        }
        report.damages.extend(found.damages);
        replayer.log.end_of_file(found.bytes);
    }
    replayer.log.distribute(&replayer.known.series);
    report.points = replayer.points;
    report.orphans = replayer.orphans;
    report.records_left_to_queue = replayer.left_to_queue;
    Ok((expected.max(loaded.contains + 1), log_bytes))
}

/// Counts the records that are missing between the expected one and the next one that is there.
fn note_missing(
    expected: u64,
    found: u64,
    files: &[(u64, PathBuf)],
    replayer: &mut Replayer,
    report: &mut RecoveryReport,
) {
    if found > expected {
        report.records_missing += found - expected;
        if expected >= durable_before(files) {
            replayer.hole_is_open = true;
        } else {
            report.records_lost += found - expected;
        }
    }
}

/// All records below this were durable, as the records themselves say.
fn durable_before(files: &[(u64, PathBuf)]) -> u64 {
    let mut durable = 0;
    for (_, path) in files {
        let _ = segment::read(path, false, |record| {
            durable = durable.max(record.synced);
            Ok(())
        });
    }
    durable
}

fn segment_error(path: &Path, error: SegmentError) -> OpenError {
    match error {
        SegmentError::Io(source) => io_error(path)(source),
        SegmentError::NewerVersion(version) => OpenError::NewerVersion { file: path.to_owned(), version },
    }
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

struct Replayer<'r> {
    registry: &'r Registry,
    positions: &'r mut Positions,
    known: &'r mut Known,
    /// What is said of counts and observations.
    log: LogBuilder,
    lsn: u64,
    /// Where the payload of the current record begins in its file.
    payload_at: usize,
    /// Counts and observations of the current record are applied.
    source_is_taken: bool,
    /// The current record is a backfill.
    fills: bool,
    /// Records that were not durable are missing: what is derived from offsets behind them is left to the queue.
    hole_is_open: bool,
    left_to_queue: u64,
    codec: &'r mut Codec,
    points: u64,
    orphans: u64,
}

impl Replay for Replayer<'_> {
    fn begin(&mut self, source: Option<&SourcePosition>) {
        (self.source_is_taken, self.fills) = (true, false);
        let Some(source) = source else { return };
        let next = self.positions.next(&source.queue, source.epoch, source.partition).unwrap_or(0);
        if self.hole_is_open && source.first_offset > next {
            self.source_is_taken = false;
            self.left_to_queue += 1;
        } else {
            self.positions.applied(source, self.lsn);
        }
    }

    fn begin_backfill(&mut self, hours: &Hours) {
        (self.source_is_taken, self.fills) = (true, true);
        for series in self.registry.series_of_metric(&hours.metric) {
            let Some((place, contains_lsn)) = self.known.by_id.get(&series.id) else { continue };
            if self.lsn > *contains_lsn {
                self.log.cleared(*place, hours);
            }
        }
    }

    fn delete(&mut self, deletion: &Deletion) {
        (self.source_is_taken, self.fills) = (true, false);
        for id in &deletion.ids {
            let known = self.known.by_id.get(id).and_then(|(place, _)| self.known.series.get(*place as usize));
            if let Some(series) = known {
                series.state.lock().remove_samples(deletion.after, deletion.until, self.codec);
            }
        }
    }

    fn define(&mut self, id: u64, kind: SeriesKind, key: &[u8]) -> Result<(), Damaged> {
        let state = SeriesState::new(Numbers::new(kind.class()));
        let series = self.registry.insert(id, kind, key, state, true)?;
        self.known.add(id, series, 0);
        Ok(())
    }

    fn samples(&mut self, id: u64, samples: &[(i64, f64)]) {
        let Some(series) = self.known.by_id.get(&id).and_then(|(place, _)| self.known.series.get(*place as usize))
        else {
            self.orphans += samples.len() as u64;
            return;
        };
        self.points += samples.len() as u64;
        if !matches!(series.kind, SeriesKind::Samples(_)) {
            self.orphans += samples.len() as u64;
            return;
        }
        let mut state = series.state.lock();
        for (at, value) in samples {
            let sample = Sample { timestamp: Timestamp::from_millis(*at), value: *value };
            // It was accepted once; if it is there already, the snapshot brought it.
            let _ = state.push(sample, &TimeBounds::ALL, self.codec);
        }
    }

    fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        let Some(series) = self.known.by_id.get(&id).and_then(|(place, _)| self.known.series.get(*place as usize))
        else {
            self.orphans += 1;
            return;
        };
        self.points += 1;
        if matches!(series.kind, SeriesKind::Samples(_)) {
            // It was accepted once; if it is there already, the snapshot brought it.
            let _ = series.state.lock().push_native(at, histogram, &TimeBounds::ALL, self.codec);
        } else {
            self.orphans += 1;
        }
    }

    fn additive(&mut self, id: u64, points: AdditivePoints) -> Result<(), Damaged> {
        let Some((place, contains_lsn)) = self.known.by_id.get(&id) else {
            self.orphans += u64::from(points.count);
            return Ok(());
        };
        self.points += u64::from(points.count);
        if self.source_is_taken && self.lsn > *contains_lsn {
            self.log.points(*place, points, self.payload_at, self.fills)?;
        }
        Ok(())
    }
}
