//! The whole engine as one file, from which the log goes on.
//!
//! ```text
//! file    = "WFSNP\0" | version u16 | cut u64 | crc32 u32 of that | section*
//! section = length u32 | crc32 u32 | payload
//! payload = 1 | varint next id | varint sources, source* | notes of metrics
//!         | 2 | lsn u64 | varint series, (varint id, u8 kind, bytes key, bytes numbers, bytes extents if kind says so)*
//!         | 4 | exemplars                             (see `exemplars::bytes`)
//!         | 3 | varint series in all                                            (always the last section)
//! ```
//! `cut` is the number of the first record of the log that the snapshot does not wholly contain. Series are
//! written some at a time while appends go on: counts and observations of a section contain exactly the
//! records up to its `lsn`, samples may be met again and are known then. So before a snapshot takes its
//! name, the log is durable up to the last `lsn`; otherwise a power cut could leave counts without their offsets.

pub(crate) mod read;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use watchfire_model::failpoint;

use crate::batch::SourcePosition;
use crate::bytes::{put_bytes, put_varint};
use crate::engine::Engine;
use crate::notes::{self, MetricNote};
use crate::wal::record::put_source;
use crate::wal::{segment, sync_folder};

const MAGIC: &[u8; 6] = b"WFSNP\0";
/// 10 since native histograms keep their empty buckets, 9 since observations may lie in blocks, 8 since counts may, 7 since exemplars, 6 since native histograms may lie in blocks, 5 since floats may, 4 since native histograms, 3 since the
/// fourth form of histograms of distributions, 2 since backfills and the third one; all of them and 1 are read.
const VERSION: u16 = 10;
/// Beside the kind of a series: some of it lies in blocks.
const HAS_EXTENTS: u8 = 0x80;
/// The name of a snapshot that is being written.
pub(crate) const UNFINISHED: &str = "snapshot.tmp";
const HEAD_BYTES: usize = 20;
const HEAD: u8 = 1;
const SERIES: u8 = 2;
const END: u8 = 3;
const EXEMPLARS: u8 = 4;
/// A section ends when it is this long, or has this many series; so long appends of counts wait for it.
const SECTION_BYTES: usize = 1 << 20;
const SECTION_SERIES: u32 = 1024;
/// Longest section that is read.
const SECTION_BYTES_MAX: u32 = 1 << 30;
/// The log is synced in between after this many sections.
const SYNC_EVERY: u32 = 64;

/// The name of the snapshot with this cut.
pub(crate) fn path_of(folder: &Path, cut: u64) -> PathBuf {
    folder.join(format!("snapshot-{cut:020}.snap"))
}

/// The snapshots of a folder by their cut, ascending.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    segment::numbered(folder, "snapshot-", ".snap")
}

/// What the first section says.
#[derive(Default)]
pub(crate) struct SnapshotHead {
    pub(crate) next_id: u64,
    pub(crate) sources: Vec<SourcePosition>,
    pub(crate) metrics: Vec<MetricNote>,
}

impl Engine {
    /// Writes a snapshot and deletes what it makes superfluous; the snapshot before it is kept, with its log.
    ///
    /// Appends go on meanwhile. Errors leave everything as it was.
    pub fn checkpoint(&self) -> io::Result<()> {
        let _one = self.checkpointing.lock();
        let temporary = self.config.dir.join(UNFINISHED);
        let done = self.checkpoint_by(&temporary);
        if done.is_err() {
            // On a full disk it would be in the way; if it was not made or stays, nothing is lost.
            let _ = std::fs::remove_file(&temporary);
        }
        done
    }

    fn checkpoint_by(&self, temporary: &Path) -> io::Result<()> {
        let folder = &self.config.dir;
        let (cut, head) = self.begin_snapshot()?;
        let in_snapshot = self.blocks.in_use();
        let was_broken = self.wal.is_broken();
        let before = list(folder)?.into_iter().rfind(|(have, _)| *have < cut);
        let bytes = self.write_snapshot_file(temporary, cut, &head, was_broken)?;
        if !was_broken {
            self.wal.sync()?;
        }
        if self.unsettled.load(Ordering::Relaxed) {
            // Once this snapshot has its name nobody meets the damage again.
            self.losses.write()?;
        }
        failpoint::hit("engine.snapshot_rename");
        std::fs::rename(temporary, path_of(folder, cut))?;
        sync_folder(folder)?;
        if was_broken {
            self.wal.mend(cut);
        }
        self.wal.in_snapshot(head.next_id);
        self.snapshot_bytes.store(bytes, Ordering::Relaxed);
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        // Without the snapshot before, a later recovery cannot meet the damaged log that this one has settled.
        let unsettled = self.unsettled.load(Ordering::Relaxed);
        let keep = if unsettled { cut } else { before.map_or(0, |(cut, _)| cut) };
        for (have, path) in list(folder)? {
            if have < keep {
                std::fs::remove_file(path)?;
            }
        }
        self.wal.delete_before(keep)?;
        self.blocks.delete_unnamed(&in_snapshot)?;
        self.unsettled.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The cut from which a snapshot that is written now is continued by the log, and what its head says.
    pub(crate) fn begin_snapshot(&self) -> io::Result<(u64, SnapshotHead)> {
        let positions = self.positions.lock();
        let cut = self.wal.rotate()?;
        let head = SnapshotHead {
            next_id: self.registry.next_id(),
            sources: positions.list(),
            metrics: self.registry.catalogue.notes(),
        };
        Ok((cut, head))
    }

    /// Writes a snapshot into a file and syncs it; gives its length. `broken`: the log is not to be synced.
    pub(crate) fn write_snapshot_file(
        &self,
        path: &Path,
        cut: u64,
        head: &SnapshotHead,
        broken: bool,
    ) -> io::Result<u64> {
        // What still rests would be taken over under the locks of a section.
        self.take_over(|| true);
        let mut out = BufWriter::with_capacity(1 << 18, File::create(path)?);
        self.write_snapshot(cut, head, broken, &mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }

    fn write_snapshot(&self, cut: u64, head: &SnapshotHead, broken: bool, out: &mut impl Write) -> io::Result<()> {
        let mut start = Vec::with_capacity(HEAD_BYTES);
        start.extend_from_slice(MAGIC);
        start.extend_from_slice(&VERSION.to_le_bytes());
        start.extend_from_slice(&cut.to_le_bytes());
        start.extend_from_slice(&crc32fast::hash(&start).to_le_bytes());
        out.write_all(&start)?;
        let mut payload = Vec::new();
        put_head(head, &mut payload);
        put_section(out, &payload)?;
        let (mut written, mut sections) = (0u64, 0u32);
        let (mut numbers, mut series_bytes) = (Vec::new(), Vec::new());
        for shard in &self.registry.shards {
            let mut slot = 0;
            loop {
                payload.clear();
                series_bytes.clear();
                let mut count = 0;
                let lsn = {
                    // Nobody adds counts or observations while this is held.
                    let _ordered = self.positions.lock();
                    let shard = shard.read();
                    while slot < shard.slots_end() && count < SECTION_SERIES && series_bytes.len() < SECTION_BYTES {
                        if let Some(series) = shard.slot(slot) {
                            let mut state = series.state.lock();
                            put_varint(&mut series_bytes, series.id);
                            // What rests may bring something back from blocks.
                            state.settle(u32::MAX);
                            let has_extents = if state.has_blocks() { HAS_EXTENTS } else { 0 };
                            series_bytes.push(series.kind.code() | has_extents);
                            numbers.clear();
                            shard.key_of(series, &mut numbers);
                            put_bytes(&mut series_bytes, &numbers);
                            numbers.clear();
                            state.numbers().write(&mut numbers);
                            put_bytes(&mut series_bytes, &numbers);
                            if state.has_blocks() {
                                numbers.clear();
                                state.write_blocks(&mut numbers);
                                put_bytes(&mut series_bytes, &numbers);
                            }
                            count += 1;
                        }
                        slot += 1;
                    }
                    self.wal.next_lsn() - 1
                };
                if count == 0 {
                    break;
                }
                failpoint::hit("engine.snapshot_write");
                payload.push(SERIES);
                payload.extend_from_slice(&lsn.to_le_bytes());
                put_varint(&mut payload, u64::from(count));
                payload.extend_from_slice(&series_bytes);
                put_section(out, &payload)?;
                written += u64::from(count);
                sections += 1;
                if sections.is_multiple_of(SYNC_EVERY) && !broken {
                    self.wal.sync()?;
                }
            }
        }
        for exemplars in self.exemplars.pieces(SECTION_BYTES) {
            payload.clear();
            payload.push(EXEMPLARS);
            payload.extend_from_slice(&exemplars);
            put_section(out, &payload)?;
        }
        payload.clear();
        payload.push(END);
        put_varint(&mut payload, written);
        put_section(out, &payload)?;
        out.flush()
    }
}

fn put_head(head: &SnapshotHead, out: &mut Vec<u8>) {
    out.push(HEAD);
    put_varint(out, head.next_id);
    put_varint(out, head.sources.len() as u64);
    head.sources.iter().for_each(|source| put_source(source, out));
    notes::put(&head.metrics, out);
}

fn put_section(out: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= SECTION_BYTES_MAX)
        .ok_or_else(|| io::Error::other("a section of a snapshot is too long"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32fast::hash(payload).to_le_bytes())?;
    out.write_all(payload)
}
