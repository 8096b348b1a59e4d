//! The background thread: seals what was cut, and does what is due.

use std::collections::{HashSet, VecDeque};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use watchfire_model::failpoint;

use super::archive::Archiver;
use super::manifest::{BlockEntry, Edit, Manifest, sync_dir};
use super::shared::{Backlog, Cut, DAY_MS, Message, Shared};
use crate::open_block::Rows;
use crate::sealed::block::SealedBlock;
use crate::sealed::directory::BlockInfo;
use crate::sealed::write::encode_block;

/// Wait before a failed write is tried again; doubled up to the maximum.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Everything that writes to the store's folder.
pub(crate) struct Sealer {
    pub shared: Arc<Shared>,
    pub manifest: Manifest,
    /// Blocks that could not be read when they were to be merged.
    pub unreadable: HashSet<u64>,
    /// Where records go before they are dropped, if anywhere.
    pub archive: Option<Archiver>,
}

/// Runs until told to stop.
pub(crate) fn run(mut sealer: Sealer, messages: Receiver<Message>) {
    let mut cuts: VecDeque<Cut> = VecDeque::new();
    let mut flushes: Vec<Sender<Result<(), String>>> = Vec::new();
    let mut retry = RETRY;
    let mut retry_at: Option<Instant> = None;
    loop {
        let message = match retry_at {
            Some(at) => messages.recv_timeout(at.saturating_duration_since(Instant::now())),
            None if cuts.is_empty() => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            None => messages.try_recv().map_err(|error| match error {
                crossbeam_channel::TryRecvError::Empty => RecvTimeoutError::Timeout,
                crossbeam_channel::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
        };
        match message {
            Ok(Message::Seal(cut)) => cuts.push_back(cut),
            Ok(Message::Tick) => {
                let now = sealer.shared.take_tick();
                let result = sealer.maintain(now);
                // A day that cannot get into the archive is not dropped either.
                if result.is_ok() && sealer.shared.backlog.lock().archive_error.is_none() {
                    sealer.shared.upkeep_ms.store(now.millis(), Ordering::Relaxed);
                }
                sealer.note(result, |backlog| &mut backlog.upkeep_error);
            }
            Ok(Message::Flush(done)) => flushes.push(done),
            Ok(Message::Still(work)) => work(),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => retry_at = None,
        }
        if retry_at.is_none()
            && let Some(cut) = cuts.front()
        {
            let sealed = sealer.seal(cut);
            let error = sealed.as_ref().err().map(io::Error::to_string);
            sealer.note(sealed, |backlog| &mut backlog.seal_error);
            match error {
                None => {
                    cuts.pop_front();
                    retry = RETRY;
                    sealer.shared.backlog.lock().pending -= 1;
                    sealer.shared.backlog_shrank.notify_all();
                }
                Some(error) => {
                    retry_at = Some(Instant::now() + retry);
                    retry = (retry * 2).min(RETRY_MAX);
                    flushes.drain(..).for_each(|done| drop(done.send(Err(error.clone()))));
                }
            }
        }
        if cuts.is_empty() {
            flushes.drain(..).for_each(|done| drop(done.send(Ok(()))));
        }
    }
    sealer.shared.backlog.lock().is_closed = true;
    sealer.shared.backlog_shrank.notify_all();
}

impl Sealer {
    /// Counts and logs a failure; forgets the last one of its kind after a success.
    fn note(&self, result: io::Result<()>, kind: fn(&mut Backlog) -> &mut Option<String>) {
        let mut backlog = self.shared.backlog.lock();
        let last_error = kind(&mut backlog);
        match result {
            Ok(()) => *last_error = None,
            Err(error) => {
                tracing::error!(%error, "the log store cannot write; it tries again");
                self.shared.counters.write_errors.fetch_add(1, Ordering::Relaxed);
                *last_error = Some(error.to_string());
            }
        }
    }

    /// Writes what was cut as one block per day, names them in the manifest, and swaps them in.
    fn seal(&mut self, cut: &Cut) -> io::Result<()> {
        let guards: Vec<_> = cut.chunks.iter().map(|chunk| chunk.rows.read()).collect();
        let parts: Vec<&Rows> = guards.iter().map(|guard| &**guard).collect();
        let days = split_by_day(&parts);
        let mut blocks = Vec::with_capacity(days.len());
        for (number, (day, order)) in days.iter().enumerate() {
            let info = BlockInfo {
                id: self.manifest.state.next_block + number as u64,
                day: *day,
                cut: (cut.start, cut.end),
                cut_blocks: days.len() as u32,
                ..BlockInfo::default()
            };
            blocks.push(self.write(&parts, order, info)?);
        }
        drop(parts);
        drop(guards);
        failpoint::hit("log_store.seal_before_manifest");
        self.manifest.append(Edit {
            sealed_offset: cut.end,
            next_block: self.manifest.state.next_block + blocks.len() as u64,
            removed: Vec::new(),
            added: blocks.iter().map(|block| entry(block)).collect(),
            lost: cut.lost.clone(),
        })?;
        failpoint::hit("log_store.manifest");
        self.shared.update(|snapshot| snapshot.replace(&cut.chunks, &[], &blocks));
        self.shared.sealed_offset.store(cut.end, Ordering::Release);
        self.shared.counters.sealed_blocks.fetch_add(blocks.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Encodes rows as a block and writes its file, synced.
    pub fn write(&self, parts: &[&Rows], order: &[(u32, u32)], info: BlockInfo) -> io::Result<Arc<SealedBlock>> {
        let (info, bytes) = encode_block(parts, order, info);
        let dir = day_dir(&self.shared.config.dir, info.day);
        let is_new = !dir.exists();
        std::fs::create_dir_all(&dir)?;
        let path = dir.join(file_name(info.id));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        sync_dir(&dir)?;
        if is_new {
            sync_dir(&self.shared.config.dir)?;
        }
        Ok(Arc::new(SealedBlock::new(info, path, bytes.len() as u64)))
    }
}

pub(crate) fn entry(block: &SealedBlock) -> BlockEntry {
    BlockEntry { info: block.info.clone(), bytes: block.bytes }
}

/// The folder of a day.
pub(crate) fn day_dir(dir: &Path, day: i64) -> PathBuf {
    let midnight = watchfire_model::Timestamp::from_millis(day.saturating_mul(DAY_MS)).to_rfc3339();
    // Days beyond the calendar share its first and last.
    dir.join(midnight.get(..10).unwrap_or("day"))
}

/// The file of a block.
pub(crate) fn file_name(id: u64) -> String {
    format!("{id:016x}.wfb")
}

/// Part and row of every row, by day, each in the order of (time, number).
pub(crate) fn split_by_day(parts: &[&Rows]) -> Vec<(i64, Vec<(u32, u32)>)> {
    let mut rows: Vec<(i64, u64, u32, u32)> = Vec::with_capacity(parts.iter().map(|rows| rows.len()).sum());
    for (part, of_part) in parts.iter().enumerate() {
        let places = of_part.timestamps.iter().zip(&of_part.seqs).enumerate();
        rows.extend(places.map(|(row, (time, seq))| (*time, *seq, part as u32, row as u32)));
    }
    // Records of each sender are mostly in order; the stable sort makes use of such runs.
    rows.sort();
    let day = |row: &(i64, u64, u32, u32)| row.0.div_euclid(DAY_MS);
    let days = rows.chunk_by(|a, b| day(a) == day(b));
    days.map(|of_day| {
        let order = of_day.iter().map(|(_, _, part, row)| (*part, *row)).collect();
        (of_day.first().map_or(0, day), order)
    })
    .collect()
}
