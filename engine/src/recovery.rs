//! Opening a folder: the newest good snapshot, then what the log says after it.
//!
//! Records can be missing in the middle for two reasons. A power cut can drop any page that no `fdatasync` covered:
//! then nothing behind the hole was promised to a queue either, and counts derived from offsets behind it are left
//! out, so that the queue gives them again, hole and all. Or bytes of the durable part went bad: the queue may have
//! forgotten those records, so everything else is applied and the loss is told. Which of the two it is follows
//! from the records themselves: each says up to where the log was durable when it was written.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::{Sample, Timestamp};

use crate::backfill::Hours;
use crate::batch::SourcePosition;
use crate::bytes::{Cursor, Damaged};
use crate::chunk::{Codec, with_codec};
use crate::config::EngineConfig;
use crate::engine::OpenError;
use crate::kind::SeriesKind;
use crate::limits::TimeBounds;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::series::{Dated, Numbers, Series};
use crate::snapshot::{self, SnapshotError, SnapshotHead};
use crate::wal::record::{self, Replay, Replayed};
use crate::wal::segment::{self, Damage, SegmentError};

/// What was found when a folder was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The snapshot that was read.
    pub snapshot: Option<PathBuf>,
    /// Series after the recovery.
    pub series: u64,
    /// Records of the log that were applied.
    pub records: u64,
    /// Points in them.
    pub points: u64,
    /// Points whose series nothing defines: it was pruned, or its definition was damaged.
    pub orphans: u64,
    /// Records that are missing between those that were found.
    pub records_missing: u64,
    /// Of these and of those that could not be understood, the ones that had been durable: nobody has them any more.
    pub records_lost: u64,
    /// Records whose counts were left to the queue, which still has them, because of others missing before them.
    pub records_left_to_queue: u64,
    /// The places that could not be read. A torn tail is what a crash leaves, and loses nothing acknowledged.
    pub damages: Vec<Damage>,
}

/// What a recovery leads to.
pub(crate) struct Recovered {
    pub(crate) registry: Registry,
    pub(crate) positions: Positions,
    pub(crate) next_lsn: u64,
    /// Series with numbers below this are in the snapshot.
    pub(crate) in_snapshot_below: u64,
    pub(crate) snapshot_bytes: u64,
    /// Length of the log that was read.
    pub(crate) log_bytes: u64,
    pub(crate) report: RecoveryReport,
}

/// Series by their number, with the last record of the log that they contain already.
type ById = HashMap<u64, (Arc<Series>, u64), foldhash::fast::RandomState>;

/// What a snapshot gave.
struct Loaded {
    registry: Registry,
    by_id: ById,
    cut: u64,
    /// The last record that any of it contains.
    contains: u64,
    head: SnapshotHead,
    damages: Vec<Damage>,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path, source }
}

/// Reads the folder.
pub(crate) fn recover(config: &EngineConfig) -> Result<Recovered, OpenError> {
    let files = segment::list(&config.dir).map_err(io_error(&config.dir))?;
    let mut report = RecoveryReport::default();
    let loaded = choose_snapshot(config, &files, &mut report)?;
    let mut positions = Positions::default();
    for source in &loaded.head.sources {
        positions.restore(source);
    }
    loaded.registry.continue_from(loaded.head.next_id);
    let (next_lsn, log_bytes) = with_codec(|codec| replay(&loaded, &files, codec, &mut positions, &mut report))?;
    for note in &loaded.head.metrics {
        loaded.registry.catalogue.describe(&note.name, Some(note.sample_type), note.help.as_deref());
    }
    report.series = loaded.registry.len() as u64;
    let snapshot_bytes = report.snapshot.as_ref().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |m| m.len());
    let in_snapshot_below = loaded.head.next_id;
    Ok(Recovered {
        registry: loaded.registry,
        positions,
        next_lsn,
        in_snapshot_below,
        snapshot_bytes,
        log_bytes,
        report,
    })
}

/// The newest snapshot that is whole and that the log continues; without one, what can be saved of the newest.
fn choose_snapshot(
    config: &EngineConfig,
    files: &[(u64, PathBuf)],
    report: &mut RecoveryReport,
) -> Result<Loaded, OpenError> {
    let mut snapshots = snapshot::list(&config.dir).map_err(io_error(&config.dir))?;
    snapshots.reverse();
    // Without a file there is nothing to continue with; then any snapshot will do.
    let log_starts = files.first().map_or(0, |(first, _)| *first);
    for (cut, path) in &snapshots {
        if log_starts > *cut {
            continue;
        }
        match load(config, path, false) {
            Ok(loaded) => {
                report.snapshot = Some(path.clone());
                return Ok(loaded);
            }
            Err(SnapshotError::Io(source)) => return Err(io_error(path)(source)),
            Err(SnapshotError::NewerVersion(version)) => {
                return Err(OpenError::NewerVersion { file: path.clone(), version });
            }
            Err(SnapshotError::Damaged(offset, what)) => report.damages.push(damage_of(path, offset, 0, what)),
        }
    }
    if log_starts <= 1 {
        return Ok(Loaded {
            registry: Registry::new(config),
            by_id: ById::default(),
            cut: 0,
            contains: 0,
            head: SnapshotHead::default(),
            damages: Vec::new(),
        });
    }
    // The log alone is not the whole; counting from a part of it would be worse than saying so.
    let Some((_, path)) = snapshots.first() else {
        return Err(OpenError::SnapshotMissing { folder: config.dir.clone() });
    };
    let loaded = load(config, path, true).map_err(|error| match error {
        SnapshotError::Io(source) => io_error(path)(source),
        SnapshotError::NewerVersion(version) => OpenError::NewerVersion { file: path.clone(), version },
        SnapshotError::Damaged(..) => OpenError::SnapshotMissing { folder: config.dir.clone() },
    })?;
    report.snapshot = Some(path.clone());
    report.damages.extend(loaded.damages.iter().cloned());
    Ok(loaded)
}

fn damage_of(path: &Path, offset: u64, bytes: u64, what: Damaged) -> Damage {
    Damage { file: path.to_owned(), offset, bytes, reason: what.0.to_owned(), torn_tail: false }
}

fn load(config: &EngineConfig, path: &Path, salvage: bool) -> Result<Loaded, SnapshotError> {
    let registry = Registry::new(config);
    let mut by_id = ById::default();
    let mut contains = 0;
    let mut damages = Vec::new();
    let (cut, head) = with_codec(|codec| {
        snapshot::read(
            path,
            salvage,
            |series| {
                let mut cursor = Cursor::new(series.numbers);
                let numbers = Numbers::read_from(series.kind.class(), &mut cursor, codec)?;
                let entered = registry.insert(series.id, series.kind, series.key, numbers, true)?;
                by_id.insert(series.id, (entered, series.lsn));
                contains = contains.max(series.lsn);
                Ok(())
            },
            |offset, bytes, what| damages.push(damage_of(path, offset, bytes, what)),
        )
    })?;
    Ok(Loaded { registry, by_id, cut, contains, head, damages })
}

/// Applies the log from the cut on; gives the number that the next record gets, and the length of the log read.
fn replay(
    loaded: &Loaded,
    files: &[(u64, PathBuf)],
    codec: &mut Codec,
    positions: &mut Positions,
    report: &mut RecoveryReport,
) -> Result<(u64, u64), OpenError> {
    let mut log_bytes = 0;
    let mut replayer = Replayer {
        registry: &loaded.registry,
        positions,
        by_id: loaded.by_id.clone(),
        current: None,
        lsn: 0,
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
        log_bytes += std::fs::metadata(path).map_or(0, |meta| meta.len());
        note_missing(expected, *first, files, &mut replayer, report);
        expected = expected.max(*first);
        let found = segment::read(path, last_file, |record| {
            if record.lsn < loaded.cut {
                return Ok(());
            }
            note_missing(expected, record.lsn, files, &mut replayer, report);
            expected = record.lsn + 1;
            replayer.lsn = record.lsn;
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
    }
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
    by_id: ById,
    current: Option<(Arc<Series>, u64)>,
    lsn: u64,
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
        (self.current, self.source_is_taken, self.fills) = (None, true, false);
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
        (self.current, self.source_is_taken, self.fills) = (None, true, true);
        for series in self.registry.series_of_metric(&hours.metric) {
            let contains_lsn = self.by_id.get(&series.id).map_or(0, |(_, lsn)| *lsn);
            if self.lsn > contains_lsn {
                series.state.lock().numbers.clear_filled(hours.after, hours.until, self.codec);
            }
        }
    }

    fn define(&mut self, id: u64, kind: SeriesKind, key: &[u8]) -> Result<(), Damaged> {
        let series = self.registry.insert(id, kind, key, Numbers::new(kind.class()), true)?;
        self.by_id.entry(id).or_insert((series, 0));
        Ok(())
    }

    fn group(&mut self, id: u64) {
        self.current = self.by_id.get(&id).cloned();
    }

    fn point(&mut self, point: Replayed) {
        let Some((series, contains_lsn)) = &self.current else {
            self.orphans += 1;
            return;
        };
        self.points += 1;
        let mut state = series.state.lock();
        match (point, &mut state.numbers) {
            (Replayed::Sample { at, value }, Numbers::Samples(samples)) => {
                let sample = Sample { timestamp: Timestamp::from_millis(at), value };
                // It was accepted once; if it is there already, the snapshot brought it.
                let _ = samples.push(sample, &TimeBounds::ALL, self.codec);
            }
            (Replayed::Additive { second, late, value }, numbers) => {
                if !self.source_is_taken || self.lsn <= *contains_lsn {
                    return;
                }
                let dated = if self.fills { Dated::Filled } else { Dated::of(late) };
                numbers.add(second, value, dated, self.codec);
            }
            (Replayed::Sample { .. }, _) => self.orphans += 1,
        }
    }
}
