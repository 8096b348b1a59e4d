//! Opening a folder: the newest good snapshot, then what the log says after it.
//!
//! Records can be missing in the middle for two reasons. A power cut can drop any page that no `fdatasync` covered:
//! then nothing behind the hole was promised to a queue either, and counts derived from offsets behind it are left
//! out, so that the queue gives them again, hole and all. Or bytes of the durable part went bad: the queue may have
//! forgotten those records, so everything else is applied and the loss is told. Which of the two it is follows
//! from the records themselves: each says up to where the log was durable when it was written.

mod gather;
mod heads;
mod numbering;
mod points;
mod replay;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::Timestamp;

use crate::blocks::Blocks;
use crate::bytes::{Cursor, Damaged};
use crate::chunk::with_codec;
use crate::config::EngineConfig;
use crate::engine::OpenError;
use crate::entering::{Entered, Entering, Entrant};
use crate::exemplars::Exemplars;
use crate::fingerprint::Fingerprint;
use crate::key;
use crate::kind::SeriesKind;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::series::{Numbers, Series, SeriesState};
use crate::snapshot::read::{SnapshotError, SnapshotSeries};
use crate::snapshot::{self, SnapshotHead};
use crate::wal::segment::{self, Damage};

pub(crate) use self::gather::RestingSamples;

/// Keys of series that are gathered before they are entered, bytes.
const ENTERED_AT_ONCE: usize = 8 << 20;

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
    /// Those of them by which something is lost that had been durable.
    pub losses: Vec<Damage>,
    /// Damaged snapshots in whose place the one before them, or the log, had everything.
    pub replaced: Vec<Damage>,
}

/// What a recovery leads to.
pub(crate) struct Recovered {
    pub(crate) registry: Registry,
    pub(crate) exemplars: Exemplars,
    pub(crate) positions: Positions,
    pub(crate) next_lsn: u64,
    /// Series with numbers below this are in the snapshot.
    pub(crate) in_snapshot_below: u64,
    pub(crate) snapshot_bytes: u64,
    /// Length of the log that was read.
    pub(crate) log_bytes: u64,
    pub(crate) report: RecoveryReport,
}

/// The series that are known, and the numbers that the log has for them.
#[derive(Default)]
struct Known {
    /// Each once.
    series: Vec<Arc<Series>>,
    /// By number, the place of a series, and the last record of the log that it contains already. A series that went and
    /// came again has several numbers.
    by_id: HashMap<u64, (u32, u64), foldhash::fast::RandomState>,
}

impl Known {
    /// Notes that a number stands for a series, which contains the log up to a record.
    fn add(&mut self, id: u64, series: Arc<Series>, contains_lsn: u64) {
        // A series takes more than four bytes of memory.
        let next = self.series.len() as u32;
        let own = series.id;
        let place = if own == id { None } else { self.by_id.get(&own).map(|(place, _)| *place) };
        let (found, _) = *self.by_id.entry(id).or_insert((place.unwrap_or(next), contains_lsn));
        if found == next {
            self.series.push(series);
        }
    }

    fn add_all(&mut self, entered: impl Iterator<Item = Entered>) {
        let (_, most) = entered.size_hint();
        self.by_id.reserve(most.unwrap_or(0));
        entered.for_each(|Entered { id, contains_lsn, series }| self.add(id, series, contains_lsn));
    }
}

/// What a snapshot gave.
struct Loaded {
    registry: Registry,
    exemplars: Exemplars,
    known: Known,
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
pub(crate) fn recover(config: &EngineConfig, blocks: &Blocks, now: Timestamp) -> Result<Recovered, OpenError> {
    let files = segment::list(&config.dir).map_err(io_error(&config.dir))?;
    let mut report = RecoveryReport::default();
    let mut loaded = choose_snapshot(config, blocks, &files, &mut report)?;
    report.damages.extend(blocks.take_missing());
    let mut positions = Positions::default();
    for source in &loaded.head.sources {
        positions.restore(source);
    }
    loaded.registry.continue_from(loaded.head.next_id);
    let outside_of_log = report.damages.len();
    let (next_lsn, log_bytes, notes) = replay::replay(&mut loaded, &files, &mut positions, &mut report, now)?;
    // What is damaged of the log has cost nothing that was promised unless records are lost.
    let of_log = if report.records_lost > 0 { report.damages.len() } else { outside_of_log };
    report.losses = report.damages.iter().take(of_log).filter(|damage| !damage.torn_tail).cloned().collect();
    // What the log says is newer. A metric may have its first series only in the log.
    for note in loaded.head.metrics.iter().chain(&notes) {
        loaded.registry.catalogue.restore(note);
    }
    report.series = loaded.registry.len() as u64;
    let snapshot_bytes = report.snapshot.as_ref().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |m| m.len());
    let in_snapshot_below = loaded.head.next_id;
    Ok(Recovered {
        registry: loaded.registry,
        exemplars: loaded.exemplars,
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
    blocks: &Blocks,
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
        match load(config, blocks, path, false) {
            Ok(loaded) => {
                report.snapshot = Some(path.clone());
                return Ok(loaded);
            }
            Err(SnapshotError::Io(source)) => return Err(io_error(path)(source)),
            Err(SnapshotError::NewerVersion(version)) => {
                return Err(OpenError::NewerVersion { file: path.clone(), version });
            }
            Err(SnapshotError::Damaged(offset, what)) => report.replaced.push(damage_of(path, offset, 0, what)),
        }
    }
    if log_starts <= 1 {
        return Ok(Loaded {
            registry: Registry::new(config),
            exemplars: Exemplars::default(),
            known: Known::default(),
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
    let loaded = load(config, blocks, path, true).map_err(|error| match error {
        SnapshotError::Io(source) => io_error(path)(source),
        SnapshotError::NewerVersion(version) => OpenError::NewerVersion { file: path.clone(), version },
        SnapshotError::Damaged(..) => OpenError::SnapshotMissing { folder: config.dir.clone() },
    })?;
    report.snapshot = Some(path.clone());
    let others = std::mem::take(&mut report.replaced).into_iter().filter(|damage| damage.file != *path);
    report.damages.extend(others.chain(loaded.damages.iter().cloned()));
    Ok(loaded)
}

fn damage_of(path: &Path, offset: u64, bytes: u64, what: Damaged) -> Damage {
    Damage { file: path.to_owned(), offset, bytes, reason: what.0.to_owned(), torn_tail: false }
}

fn load(config: &EngineConfig, blocks: &Blocks, path: &Path, salvage: bool) -> Result<Loaded, SnapshotError> {
    let (registry, exemplars) = (Registry::new(config), Exemplars::default());
    let (mut known, mut entering) = (Known::default(), Entering::new(&registry));
    let mut contains = 0;
    let mut damages = Vec::new();
    let (cut, head) = snapshot::read::read(
        path,
        salvage,
        |series| Found::of(series, blocks, &registry),
        |all| {
            for Found { id, kind, key, place, state, lsn } in all {
                contains = contains.max(lsn);
                entering.add(Entrant { id, kind, key: &key, place, state, contains_lsn: lsn });
            }
            if entering.key_bytes() > ENTERED_AT_ONCE {
                known.add_all(entering.enter());
            }
        },
        |series, exemplar| exemplars.restore(&series, exemplar),
        |offset, bytes, what| damages.push(damage_of(path, offset, bytes, what)),
    )?;
    known.add_all(entering.enter());
    Ok(Loaded { registry, exemplars, known, cut, contains, head, damages })
}

/// A series of a snapshot, taken apart as far as it has to be at once.
struct Found {
    id: u64,
    kind: SeriesKind,
    key: Box<[u8]>,
    place: (Fingerprint, usize),
    state: SeriesState,
    lsn: u64,
}

impl Found {
    fn of(series: SnapshotSeries, blocks: &Blocks, registry: &Registry) -> Result<Found, Damaged> {
        key::checked_pairs(series.key)?;
        let place = registry.place_of(series.key);
        let kind = series.kind;
        let mut state = if kind == SeriesKind::Distribution {
            let mut state = SeriesState::new(Numbers::new(kind.class()));
            state.resting().put_stored(&series)?;
            state
        } else {
            let mut cursor = Cursor::new(series.numbers);
            SeriesState::new(with_codec(|codec| Numbers::read_from(kind.class(), &mut cursor, codec))?)
        };
        if let Some(extents) = series.extents {
            with_codec(|codec| state.read_blocks(extents, blocks, codec))?;
        }
        Ok(Found { id: series.id, kind, key: series.key.into(), place, state, lsn: series.lsn })
    }
}
