//! What the log says after the snapshot: the heads of its records one by one, the series that they define and their points on
//! all cores.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::{LabelSet, Timestamp};

use super::points::{Pending, take_points};
use super::{Known, Loaded, RecoveryReport, io_error};
use crate::backfill::Hours;
use crate::batch::SourcePosition;
use crate::delete::Deletion;
use crate::engine::OpenError;
use crate::entering::Entering;
use crate::exemplars::{Exemplar, Exemplars};
use crate::kind::SeriesKind;
use crate::notes::MetricNote;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::resting::{self, LogPart};
use crate::wal::definitions::Labels;
use crate::wal::record::{self, Heads};
use crate::wal::segment::{self, Damage, SegmentError};

/// Keys of series that are gathered before they are entered, bytes.
const GATHERED_BYTES: usize = 8 << 20;

/// Applies the log from the cut on; gives the number that the next record gets, the length of the log read, and what it
/// says about metrics, in order.
pub(super) fn replay(
    loaded: &mut Loaded,
    files: &[(u64, PathBuf)],
    positions: &mut Positions,
    report: &mut RecoveryReport,
    now: Timestamp,
) -> Result<(u64, u64, Vec<MetricNote>), OpenError> {
    let mut log_bytes = 0;
    let mut replayer = Replayer {
        registry: &loaded.registry,
        exemplars: &loaded.exemplars,
        positions,
        known: &mut loaded.known,
        entering: Entering::new(&loaded.registry),
        defined: HashSet::default(),
        lsn: 0,
        source_is_taken: true,
        fills: false,
        cleared: Vec::new(),
        deleted: None,
        hole_is_open: false,
        left_to_queue: 0,
        notes: Vec::new(),
    };
    let mut parts: Vec<LogPart> = Vec::new();
    // Numbers of records begin with 1.
    let mut expected = loaded.cut.max(1);
    for (index, (first, path)) in files.iter().enumerate() {
        let last_file = index + 1 == files.len();
        if files.get(index + 1).is_some_and(|(next, _)| *next <= loaded.cut) {
            continue;
        }
        note_missing(expected, *first, files, &mut replayer, report);
        expected = expected.max(*first);
        let mut pending: Vec<Pending> = Vec::new();
        let found = segment::read(path, last_file, |record| {
            if record.lsn < loaded.cut {
                return Ok(());
            }
            note_missing(expected, record.lsn, files, &mut replayer, report);
            expected = record.lsn + 1;
            replayer.lsn = record.lsn;
            let counts = record::read_head(record.payload, &mut replayer);
            report.records += u64::from(counts.is_ok());
            report.records_lost += u64::from(counts.is_err());
            pending.push(Pending {
                lsn: record.lsn,
                payload: record.payload_at..record.payload_at + record.payload.len(),
                place: (record.offset, record.bytes),
                counts: counts?,
                counts_are_taken: replayer.source_is_taken,
                fills: replayer.fills,
                cleared: std::mem::take(&mut replayer.cleared),
                deleted: replayer.deleted.take(),
            });
            Ok(())
        });
        let found = found.map_err(|error| segment_error(path, error))?;
        if last_file {
            settle(path, found.good_end).map_err(io_error(path))?;
        }
        report.damages.extend(found.damages);
        log_bytes += found.payloads.len() as u64;
        replayer.enter_defined();
        let taken = take_points(&Arc::new(found.payloads), &pending, replayer.known);
        report.points += taken.points;
        report.orphans += taken.orphans;
        report.records -= taken.senseless.len() as u64;
        report.records_lost += taken.senseless.len() as u64;
        report.damages.extend(taken.senseless.into_iter().map(|(offset, bytes)| Damage {
            file: path.clone(),
            offset,
            bytes,
            reason: segment::SENSELESS.to_owned(),
            torn_tail: false,
        }));
        parts.extend(taken.parts);
    }
    let Replayer { left_to_queue, notes, .. } = replayer;
    resting::distribute(parts, &loaded.known.series, now.millis());
    report.records_left_to_queue = left_to_queue;
    Ok((expected.max(loaded.contains + 1), log_bytes, notes))
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

/// What heads of records lead to, one after another.
struct Replayer<'r> {
    registry: &'r Registry,
    exemplars: &'r Exemplars,
    positions: &'r mut Positions,
    known: &'r mut Known,
    /// Series that are defined and not known yet, and their numbers.
    entering: Entering<'r>,
    defined: HashSet<u64, foldhash::fast::RandomState>,
    lsn: u64,
    /// Counts and observations of the current record are applied.
    source_is_taken: bool,
    /// The current record is a backfill.
    fills: bool,
    /// The series of whose hours it takes the place of what is there.
    cleared: Vec<(u32, Hours)>,
    /// The samples that it deletes.
    deleted: Option<Deletion>,
    /// Records that were not durable are missing: what is derived from offsets behind them is left to the queue.
    hole_is_open: bool,
    left_to_queue: u64,
    notes: Vec<MetricNote>,
}

impl Replayer<'_> {
    /// Enters the series that are defined.
    fn enter_defined(&mut self) {
        self.defined.clear();
        for (id, series) in self.entering.enter() {
            self.known.add(id, series, 0);
        }
    }
}

impl Heads for Replayer<'_> {
    fn begin(&mut self, source: Option<&SourcePosition>) {
        (self.source_is_taken, self.fills) = (true, false);
        self.cleared.clear();
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
        self.cleared.clear();
        self.enter_defined();
        for series in self.registry.series_of_metric(&hours.metric) {
            let Some((place, contains_lsn)) = self.known.by_id.get(&series.id) else { continue };
            if self.lsn > *contains_lsn {
                self.cleared.push((*place, hours.clone()));
            }
        }
    }

    fn delete(&mut self, deletion: Deletion) {
        (self.source_is_taken, self.fills) = (true, false);
        self.cleared.clear();
        self.deleted = Some(deletion);
    }

    fn exemplar(&mut self, _: u64, series: LabelSet, exemplar: Exemplar) {
        self.exemplars.restore(&series, exemplar);
    }

    fn notes(&mut self, notes: Vec<MetricNote>) {
        self.notes.extend(notes);
    }

    fn define(&mut self, id: u64, kind: SeriesKind, labels: &Labels) {
        // A number stands for one series for ever: what each stretch of the log says again is known.
        if self.known.by_id.contains_key(&id) || !self.defined.insert(id) {
            return;
        }
        self.registry.continue_from(id.saturating_add(1));
        self.entering.add(id, kind, labels);
        if self.entering.key_bytes() > GATHERED_BYTES {
            self.enter_defined();
        }
    }
}
