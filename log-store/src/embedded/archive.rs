//! The archive: the records of a day as compressed NDJSON, written before the day is dropped.
//!
//! A file is `logs-2026-11-01.STORE.FIRST-LAST.ndjson.zst`, named by the store that wrote it and the numbers of the
//! records that it is about. Blocks are sealed in the order of the queue, so it has every record of its day up to `LAST`
//! that was not in a file before it: a crash between the file and the drop writes nothing twice, and a record that comes
//! for a day long gone gets a file of its own. Numbers mean something within one store only: files of others, or of a
//! data folder that was here before, say nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use watchfire_model::{Timestamp, failpoint};

use super::manifest::sync_dir;
use super::shared::{DAY_MS, Shared};
use crate::document::{Document, Names};
use crate::open_block::Rows;
use crate::sealed::block::SealedBlock;
use crate::sealed::rows::read_rows;

/// Level of the compression: what the archive saves above it is little, and it must not slow the server down.
const LEVEL: i32 = 3;
/// Wait after a failure.
const RETRY: Duration = Duration::from_secs(10);
const SUFFIX: &str = ".ndjson.zst";
/// A file in the making; what a crash left of it is overwritten, or removed at the start.
const UNFINISHED: &str = "unfinished";

/// The file in the store's folder that holds its name in the archive. A backup leaves it out: two stores that go on
/// from one backup are two.
const NAME_FILE: &str = "archive.name";

/// Writes days away, on a thread of its own.
pub(crate) struct Archiver {
    state: Arc<State>,
    /// `None` once it is to end.
    days: Option<Sender<i64>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct State {
    dir: PathBuf,
    /// The name of this store.
    store: String,
    /// Guards what is written and what is asked for.
    progress: Mutex<Progress>,
    is_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Progress {
    /// Of each day, the number up to which its records are in the archive.
    through: BTreeMap<String, u64>,
    /// Days that wait or are being written.
    asked: BTreeSet<i64>,
    /// Blocks that could not be read once. That may pass; what cannot be read the second time is passed over.
    unreadable: BTreeSet<u64>,
    /// Days that could not be written, and when each is tried again: that one was is no comfort to another.
    failed: BTreeMap<i64, Failure>,
}

#[derive(Debug)]
struct Failure {
    retry_at: Instant,
    error: String,
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::Relaxed);
        self.days = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the archiving thread of the log store has failed");
        }
    }
}

impl Archiver {
    /// An archive in `dir`, which is made if it is not there.
    pub fn open(dir: &Path, shared: &Arc<Shared>) -> io::Result<Archiver> {
        std::fs::create_dir_all(dir)?;
        let store = name_of(&shared.config.dir)?;
        let mut through: BTreeMap<String, u64> = BTreeMap::new();
        for file in std::fs::read_dir(dir)? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some((day, rest)) = parse_name(name, &store) else { continue };
            if rest == UNFINISHED {
                std::fs::remove_file(file.path())?;
            } else if let Some(last) = last_of(rest) {
                let known = through.entry(day.to_owned()).or_default();
                *known = last.max(*known);
            }
        }
        let progress = Mutex::new(Progress { through, ..Progress::default() });
        let state = Arc::new(State { dir: dir.to_owned(), store, progress, is_stopped: AtomicBool::new(false) });
        let (days, asked) = crossbeam_channel::unbounded();
        let (of_thread, shared) = (Arc::clone(&state), Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("log-archive".to_owned())
            .spawn(move || run(&of_thread, &shared, &asked))?;
        Ok(Archiver { state, days: Some(days), thread: Some(thread) })
    }

    /// Those of the blocks whose records are all in the archive. The days of the others will be written.
    pub fn archived(&self, blocks: Vec<Arc<SealedBlock>>) -> Vec<Arc<SealedBlock>> {
        let now = Instant::now();
        let mut progress = self.state.progress.lock();
        let (archived, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| {
            progress.through.get(&day_label(block.info.day)).is_some_and(|through| block.info.seq_max <= *through)
        });
        if let Some(asked) = &self.days {
            let mut days: BTreeSet<i64> = others.iter().map(|block| block.info.day).collect();
            days.retain(|day| progress.failed.get(day).is_none_or(|failure| failure.retry_at <= now));
            for day in days.into_iter().filter(|day| progress.asked.insert(*day)) {
                // Refused only when the thread is gone.
                let _ = asked.send(day);
            }
        }
        archived
    }

    /// Days of which there are no blocks any more need no archive, and fail no more.
    pub fn forget_days(&self, blocks: &[Arc<SealedBlock>], shared: &Shared) {
        let mut progress = self.state.progress.lock();
        progress.failed.retain(|day, _| blocks.iter().any(|block| block.info.day == *day));
        progress.tell(shared);
    }
}

fn run(state: &State, shared: &Shared, days: &Receiver<i64>) {
    for day in days {
        if state.is_stopped.load(Ordering::Relaxed) {
            return;
        }
        let result = state.write_day(day, shared);
        let mut progress = state.progress.lock();
        progress.asked.remove(&day);
        match result {
            Ok(Some(through)) => {
                progress.through.insert(day_label(day), through);
                progress.failed.remove(&day);
            }
            Ok(None) => {}
            Err(error) => {
                let error = format!("the archive of {} in {}: {error}", day_label(day), state.dir.display());
                tracing::error!("{error}; the day is kept and tried again");
                shared.counters.write_errors.fetch_add(1, Ordering::Relaxed);
                progress.failed.insert(day, Failure { retry_at: Instant::now() + RETRY, error });
            }
        }
        progress.tell(shared);
    }
}

impl Progress {
    /// Has the store tell what fails at present: the oldest day's error.
    fn tell(&self, shared: &Shared) {
        shared.backlog.lock().archive_error = self.failed.values().next().map(|failure| failure.error.clone());
    }
}

impl State {
    /// Writes what is sealed of a day and not in the archive yet. Gives the number up to which it is now; `None` if it
    /// was stopped.
    fn write_day(&self, day: i64, shared: &Shared) -> io::Result<Option<u64>> {
        let label = day_label(day);
        let written = self.progress.lock().through.get(&label).copied();
        let mut blocks: Vec<_> =
            shared.snapshot().sealed.iter().filter(|block| block.info.day == day).cloned().collect();
        blocks.retain(|block| written.is_none_or(|written| block.info.seq_max > written));
        blocks.sort_by_key(|block| (block.info.time_min, block.info.id));
        let Some(last) = blocks.iter().map(|block| block.info.seq_max).max() else { return Ok(written) };
        let path = self.dir.join(self.file_name(&label, UNFINISHED));
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
        encoder.include_checksum(true)?;
        let (mut records, mut first) = (0, u64::MAX);
        for block in &blocks {
            if self.is_stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let (of_block, first_of_block) = match self.rows_of(block)? {
                Some(rows) => write_rows(&rows, written, &mut encoder)?,
                None => continue,
            };
            (records, first) = (records + of_block, first.min(first_of_block));
        }
        let file = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        if records == 0 {
            std::fs::remove_file(&path)?;
        } else {
            self.publish(&path, &label, first, last)?;
            shared.counters.archived_records.fetch_add(records, Ordering::Relaxed);
        }
        Ok(Some(last))
    }

    fn file_name(&self, label: &str, rest: &str) -> String {
        format!("logs-{label}.{}.{rest}", self.store)
    }

    /// The rows of a block; `None` if it cannot be read for the second time: keeping it would not bring them back.
    fn rows_of(&self, block: &SealedBlock) -> io::Result<Option<Rows>> {
        match block.open().and_then(|(directory, file)| read_rows(&directory, &file)) {
            Ok(rows) => Ok(Some(rows)),
            Err(reason) if self.progress.lock().unreadable.insert(block.info.id) => Err(io::Error::other(reason)),
            Err(reason) => {
                tracing::error!(%reason, path = %block.path.display(), "a block cannot be read and is not in the archive");
                block.note_damage();
                Ok(None)
            }
        }
    }

    fn publish(&self, unfinished: &Path, label: &str, first: u64, last: u64) -> io::Result<()> {
        let path = self.dir.join(self.file_name(label, &format!("{first}-{last}{SUFFIX}")));
        std::fs::rename(unfinished, &path)?;
        sync_dir(&self.dir)?;
        failpoint::hit("log_store.archive");
        tracing::info!(path = %path.display(), "a day is in the archive");
        Ok(())
    }
}

/// Writes the records of a block whose numbers are above `written`; gives how many, and the lowest of the numbers.
fn write_rows(
    rows: &Rows,
    written: Option<u64>,
    out: &mut zstd::Encoder<'_, BufWriter<File>>,
) -> io::Result<(u64, u64)> {
    let (mut records, mut first) = (0, u64::MAX);
    for (row, seq) in rows.seqs.iter().enumerate().filter(|(_, seq)| written.is_none_or(|written| **seq > written)) {
        let record = rows.record(row);
        serde_json::to_writer(&mut *out, &Document { record: &record, seq: None, names: Names::Canonical })?;
        out.write_all(b"\n")?;
        (records, first) = (records + 1, first.min(*seq));
    }
    Ok((records, first))
}

/// `2026-11-01`; a number for days beyond the calendar.
fn day_label(day: i64) -> String {
    let midnight = Timestamp::from_millis(day.saturating_mul(DAY_MS));
    let text = midnight.to_rfc3339();
    match text.get(..10) {
        Some(date) if Timestamp::parse_date_time(&text) == Some(midnight) => date.to_owned(),
        _ => format!("day{day}"),
    }
}

/// The name of a store in its archive, made at the first time: sixteen digits by chance.
fn name_of(store_dir: &Path) -> io::Result<String> {
    let path = store_dir.join(NAME_FILE);
    match std::fs::read_to_string(&path) {
        Ok(name) if name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => return Ok(name),
        // A damaged name is none: what is not dropped yet is written again under the next one.
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {}
        Err(error) => return Err(error),
    }
    // The standard library seeds each `RandomState` from the operating system.
    let name = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let mut file = File::create(&path)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    sync_dir(store_dir)?;
    Ok(name)
}

/// The day of a file that this store wrote, and what stands behind its name.
fn parse_name<'n>(name: &'n str, store: &str) -> Option<(&'n str, &'n str)> {
    let (day, rest) = name.strip_prefix("logs-")?.split_once('.')?;
    Some((day, rest.strip_prefix(store)?.strip_prefix('.')?))
}

/// The number of a file's last record.
fn last_of(rest: &str) -> Option<u64> {
    let (_, last) = rest.strip_suffix(SUFFIX)?.split_once('-')?;
    last.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_day_and_last_number_of_this_store_only() {
        assert_eq!(day_label(20_758), "2026-11-01");
        let read = |name| parse_name(name, "00ff").map(|(day, rest)| (day, last_of(rest)));
        assert_eq!(read("logs-2026-11-01.00ff.17-400.ndjson.zst"), Some(("2026-11-01", Some(400))));
        assert_eq!(read("logs-2026-11-01.00ff.unfinished"), Some(("2026-11-01", None)));
        for other in ["logs-2026-11-01.00fe.17-400.ndjson.zst", "logs-2026-11-01.17-400.ndjson.zst", "notes.txt"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_store_keeps_its_name_unless_it_is_damaged() {
        let dir = tempfile::tempdir().expect("a folder");
        let name = name_of(dir.path()).expect("made");
        assert_eq!(name_of(dir.path()).expect("read"), name);
        std::fs::write(dir.path().join(NAME_FILE), b"\xff").expect("writable");
        assert_ne!(name_of(dir.path()).expect("made anew"), name);
    }
}
