//! What the log says after the snapshot: the heads of its records are looked at on all cores and applied one by one; the series
//! that they define and their points follow on all cores.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::Timestamp;

use super::heads::{Begins, Defined, Head};
use super::points::{Pending, take_points};
use super::{ENTERED_AT_ONCE, Known, Loaded, RecoveryReport, io_error};
use crate::backfill::Hours;
use crate::batch::SourcePosition;
use crate::bytes::Damaged;
use crate::engine::OpenError;
use crate::entering::{Entering, Entrant};
use crate::exemplars::Exemplars;
use crate::notes::MetricNote;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::resting::{self, LogPart};
use crate::series::{Numbers, SeriesState};
use crate::wal::segment::{self, Damage, ReadRecord, Records, SegmentError};

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
        files,
        report,
        cut: loaded.cut,
        // Numbers of records begin with 1.
        expected: loaded.cut.max(1),
        pending: Vec::new(),
        hole_is_open: false,
        left_to_queue: 0,
        notes: Vec::new(),
    };
    let mut parts: Vec<LogPart> = Vec::new();
    for (index, (first, path)) in files.iter().enumerate() {
        let last_file = index + 1 == files.len();
        if files.get(index + 1).is_some_and(|(next, _)| *next <= loaded.cut) {
            continue;
        }
        replayer.note_missing(*first);
        replayer.expected = replayer.expected.max(*first);
        let found = segment::read_by(path, last_file, &mut replayer).map_err(|error| segment_error(path, error))?;
        log_bytes += found.payloads.len() as u64;
        let take = || {
            replayer.enter_defined();
            let pending = std::mem::take(&mut replayer.pending);
            take_points(&Arc::new(found.payloads), &pending, replayer.known, last_file)
        };
        let taken = if last_file {
            let (settled, taken) = beside(|| settle(path, found.good_end), take);
            settled.map_err(io_error(path))?;
            taken
        } else {
            take()
        };
        let report = &mut *replayer.report;
        // No later file tells how many records stood in its damaged end: one at least.
        let ends_damaged = found.damages.last().is_some_and(|last| !last.torn_tail && last.offset >= found.good_end);
        report.records_lost += u64::from(last_file && ends_damaged);
        report.damages.extend(found.damages);
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
    let Replayer { expected, known, left_to_queue, notes, report, .. } = replayer;
    resting::distribute(parts, &known.series, now.millis());
    report.records_left_to_queue = left_to_queue;
    Ok((expected.max(loaded.contains + 1), log_bytes, notes))
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

/// Waits for a disk on a thread of its own, while the work is done; nobody is told of either before both are.
fn beside<T>(disk: impl FnOnce() -> io::Result<()> + Send, work: impl FnOnce() -> T) -> (io::Result<()>, T) {
    std::thread::scope(|scope| {
        let waiting = std::thread::Builder::new().spawn_scoped(scope, disk);
        let done = work();
        let panicked = |_| Err(io::Error::other("it could not be made durable"));
        (waiting.and_then(|thread| thread.join().unwrap_or_else(panicked)), done)
    })
}

/// What heads of records lead to, one after another.
struct Replayer<'r> {
    registry: &'r Registry,
    exemplars: &'r Exemplars,
    positions: &'r mut Positions,
    known: &'r mut Known,
    /// Series that are defined and not known yet.
    entering: Entering<'r>,
    /// Numbers of all that were not known when a head that defines them was looked at.
    defined: HashSet<u64, foldhash::fast::RandomState>,
    files: &'r [(u64, PathBuf)],
    report: &'r mut RecoveryReport,
    /// The snapshot contains all records below this one.
    cut: u64,
    /// The record that comes next, if none is missing.
    expected: u64,
    /// Those of the current file whose points are to be taken.
    pending: Vec<Pending>,
    /// Records that were not durable are missing: what is derived from offsets behind them is left to the queue.
    hole_is_open: bool,
    left_to_queue: u64,
    notes: Vec<MetricNote>,
}

impl Replayer<'_> {
    /// Counts the records that are missing between the expected one and the next one that is there.
    fn note_missing(&mut self, found: u64) {
        if found > self.expected {
            self.report.records_missing += found - self.expected;
            if self.expected >= durable_before(self.files) {
                self.hole_is_open = true;
            } else {
                self.report.records_lost += found - self.expected;
            }
        }
    }

    /// Enters the series that are defined.
    fn enter_defined(&mut self) {
        self.known.add_all(self.entering.enter());
    }

    /// Notes that numbers are derived from these offsets; says whether they are taken.
    fn takes(&mut self, source: Option<&SourcePosition>, lsn: u64) -> bool {
        let Some(source) = source else { return true };
        let next = self.positions.next(&source.queue, source.epoch, source.partition).unwrap_or(0);
        if self.hole_is_open && source.first_offset > next {
            self.left_to_queue += 1;
            return false;
        }
        self.positions.applied(source, lsn);
        true
    }

    /// The series of whose hours a backfill takes the place of what is there.
    fn cleared_by(&mut self, hours: &Hours, lsn: u64) -> Vec<(u32, Hours)> {
        self.enter_defined();
        let series = self.registry.series_of_metric(&hours.metric);
        let known = series.iter().filter_map(|series| self.known.by_id.get(&series.id));
        known.filter(|(_, contains_lsn)| lsn > *contains_lsn).map(|(place, _)| (*place, hours.clone())).collect()
    }

    fn define(&mut self, head: &Head) {
        for (Defined { id, kind, hash, shard, .. }, key) in head.defined() {
            // What was known before its head was looked at is not among them.
            if !self.defined.insert(*id) {
                continue;
            }
            let state = SeriesState::new(Numbers::new(kind.class()));
            let (id, kind, place) = (*id, *kind, (*hash, *shard));
            self.entering.add(Entrant { id, kind, key, place, state, contains_lsn: 0 });
            if self.entering.key_bytes() > ENTERED_AT_ONCE {
                self.enter_defined();
            }
        }
    }
}

impl Records for Replayer<'_> {
    type Looked = Head;

    fn look(&self, payload: &[u8]) -> Head {
        Head::of(payload, self.known, self.registry)
    }

    fn take(&mut self, record: ReadRecord, mut head: Head) -> Result<(), Damaged> {
        let lsn = record.lsn;
        if lsn < self.cut {
            return Ok(());
        }
        self.note_missing(lsn);
        self.expected = lsn + 1;
        let mut pending = Pending {
            lsn,
            payload: record.payload_at..record.payload_at + record.payload.len(),
            place: (record.offset, record.bytes),
            counts: None,
            counts_are_taken: true,
            fills: false,
            cleared: Vec::new(),
            deleted: None,
        };
        match std::mem::replace(&mut head.begins, Begins::Nowhere) {
            Begins::Nowhere => {}
            Begins::Batch(source) => pending.counts_are_taken = self.takes(source.as_ref(), lsn),
            Begins::Backfill(hours) => (pending.fills, pending.cleared) = (true, self.cleared_by(&hours, lsn)),
            Begins::Deletion(deletion) => pending.deleted = Some(deletion),
        }
        self.define(&head);
        head.exemplars.drain(..).for_each(|(series, exemplar)| self.exemplars.restore(&series, exemplar));
        self.notes.append(&mut head.notes);
        self.report.records += u64::from(head.points.is_ok());
        self.report.records_lost += u64::from(head.points.is_err());
        pending.counts = head.points?;
        self.pending.push(pending);
        Ok(())
    }
}
