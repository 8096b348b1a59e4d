//! The write-ahead log: what was accepted, in files of bounded size.
//!
//! A record is written by one `write`; who needs it durable calls `sync_to`, and one `fdatasync` serves all who
//! wait (group commit). Numbers of records (`lsn`) ascend by one.

mod again;
pub(crate) mod columns;
pub(crate) mod definitions;
mod holds;
mod output;
pub(crate) mod packed;
pub(crate) mod record;
pub(crate) mod segment;
mod stretches;
#[cfg(test)]
mod tests;
mod torn;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use parking_lot::Mutex;
use watchfire_model::failpoint;

use crate::bytes::put_varint;
use crate::series::Series;
use crate::wal::again::Again;
use crate::wal::definitions::Definitions;
use crate::wal::output::Output;
use crate::wal::packed::{Columnar, Packer};
use crate::wal::record::Groups;
use crate::wal::stretches::Stretches;

pub(crate) use crate::wal::holds::Hold;
use crate::wal::holds::Holds;

/// The log does not know the series.
pub(crate) const UNDEFINED: u16 = 0;
/// The series is defined in a snapshot, or in what an earlier process logged.
pub(crate) const DEFINED_BEFORE: u16 = 1;
const FIRST_STRETCH: u16 = 2;
/// A stretch of the log is at least this long, bytes. Each defines the series again that it uses and that no
/// snapshot holds, so that a damaged record costs its series this much of the log, and not all of it.
const STRETCH_BYTES: u64 = 4 << 20;
/// A stretch is at least this many times as long as the definitions in it.
const STRETCH_PER_DEFINITIONS: u64 = 8;

/// What the lock of the log guards.
struct State {
    /// None if the disk had no room for it; the log is broken then.
    file: Option<Output>,
    file_first_lsn: u64,
    /// Files before the current one that no `fdatasync` has covered yet.
    unsynced: Vec<Arc<File>>,
    next_lsn: u64,
    /// Length of the current stretch and of the definitions in it, bytes, before they are packed.
    stretch_bytes: u64,
    definition_bytes: u64,
    /// What is to be defined once more.
    again: Again,
    /// Where the next record is put together.
    buffer: Vec<u8>,
    packer: Packer,
}

/// The log.
pub(crate) struct Wal {
    folder: PathBuf,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Only one thread syncs at a time; the others wait here and find the work done.
    syncing: Mutex<()>,
    /// All records below this are durable.
    synced: AtomicU64,
    /// All records below this are written.
    written: AtomicU64,
    /// Bytes written since the start, and those that the start found behind its snapshot; as many as a start reads once they are
    /// unpacked.
    appended: AtomicU64,
    /// Number of the current stretch; changes under the lock of the state.
    stretch: AtomicU16,
    /// Where stretches began.
    stretches: Stretches,
    /// Series with smaller numbers are in a snapshot.
    in_snapshot_below: AtomicU64,
    /// Somebody follows the log who reads no snapshots: each stretch defines all series that it uses.
    is_followed: AtomicBool,
    /// What is not to be deleted yet.
    holds: Holds,
    /// A write or a sync failed in a way that leaves memory ahead of the files: only a snapshot mends it.
    broken: AtomicBool,
    /// Nothing here has to survive a power cut.
    is_never_synced: AtomicBool,
}

/// A series that a record uses and that has to be defined (again), with its key.
pub(crate) struct Undefined<'b> {
    pub(crate) series: &'b Series,
    pub(crate) key: &'b [u8],
}

impl Wal {
    /// Goes on in a new file whose first record has this number; `appended` bytes stand before it.
    ///
    /// Without room on the disk for that file the log begins broken: all that was logged can be read.
    pub(crate) fn start(
        folder: &Path,
        segment_bytes: u64,
        next_lsn: u64,
        appended: u64,
        create: CreateFile,
    ) -> io::Result<Wal> {
        let file = match create(folder, next_lsn) {
            Ok(file) => Some(Output::new(file)),
            Err(error) if is_no_room(&error) => {
                tracing::error!(%error, "the engine's log cannot go on; numbers are refused until the disk has room");
                None
            }
            Err(error) => return Err(error),
        };
        let broken = AtomicBool::new(file.is_none());
        Ok(Wal {
            folder: folder.to_owned(),
            segment_bytes,
            state: Mutex::new(State {
                file,
                file_first_lsn: next_lsn,
                unsynced: Vec::new(),
                next_lsn,
                stretch_bytes: 0,
                definition_bytes: 0,
                again: Again::default(),
                buffer: Vec::new(),
                packer: Packer::default(),
            }),
            syncing: Mutex::new(()),
            synced: AtomicU64::new(next_lsn),
            written: AtomicU64::new(next_lsn),
            appended: AtomicU64::new(appended),
            stretch: AtomicU16::new(FIRST_STRETCH),
            stretches: Stretches::begun_at(next_lsn),
            in_snapshot_below: AtomicU64::new(0),
            is_followed: AtomicBool::new(false),
            holds: Holds::default(),
            broken,
            is_never_synced: AtomicBool::new(false),
        })
    }

    /// From now on nothing waits for the disk.
    pub(crate) fn never_sync(&self) {
        self.is_never_synced.store(true, Ordering::Relaxed);
    }

    /// Writes a record that has nothing behind its head; see `append`.
    pub(crate) fn append_head(&self, head: &[u8]) -> io::Result<u64> {
        self.append(head, &[], &Columnar::default())
    }

    /// Writes a record and gives its number; `points` are its groups and columns. After an error nothing of it stands in
    /// the log, or the log is marked broken.
    pub(crate) fn append(&self, head: &[u8], undefined: &[Undefined], points: &Columnar) -> io::Result<u64> {
        if self.is_broken() {
            return Err(io::Error::other("an earlier write to the log failed; a snapshot has to succeed first"));
        }
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.file.as_ref().is_some_and(|file| file.bytes() >= self.segment_bytes) {
            self.next_file(state)?;
        }
        failpoint::hit("engine.wal_append");
        state.buffer.clear();
        let (mut lsn, mut length) = (state.next_lsn, RecordLength::default());
        if state.again.is_due() {
            let (again, packer) = (&state.again, &mut state.packer);
            length.add(put_packed(
                &mut state.buffer,
                lsn,
                self.synced(),
                packer,
                |out| again.put_heads(out),
                &Groups::none(),
            )?);
            lsn += 1;
        }
        // Two batches may both have met a series undefined; the one that is written first defines it.
        let defined: Vec<&Undefined> = undefined.iter().filter(|it| self.wants_definition(it.series)).collect();
        let is_new = defined.iter().any(|it| it.series.defined.load(Ordering::Relaxed) == UNDEFINED);
        let (mut news, packer) = (Vec::new(), &mut state.packer);
        let put_heads = |out: &mut Vec<u8>| {
            out.extend_from_slice(head);
            put_varint(out, defined.len() as u64);
            let start = out.len();
            let mut definitions = Definitions::default();
            for wanted in &defined {
                definitions.put(wanted.series.id, wanted.series.kind, wanted.key, out);
            }
            let end = out.len();
            if is_new {
                news.extend_from_slice(&out[start..end]);
            }
            end - start
        };
        length.add(put_packed(&mut state.buffer, lsn, self.synced(), packer, put_heads, points)?);
        let Some(file) = &mut state.file else { return Err(io::Error::other("the log has no file")) };
        if let Err(error) = file.write(&mut state.buffer) {
            if file.cut().is_err() {
                // Half a record may stand there.
                self.mark_broken();
            }
            return Err(error);
        }
        let stretch = self.stretch.load(Ordering::Relaxed);
        defined.iter().for_each(|it| it.series.defined.store(stretch, Ordering::Relaxed));
        let written = state.buffer.len() as u64;
        state.again.wrote(written);
        if is_new {
            state.again.note(defined.len() as u64, &news);
        }
        state.stretch_bytes += length.all;
        state.definition_bytes += length.definitions;
        if state.stretch_bytes >= STRETCH_BYTES.max(state.definition_bytes * STRETCH_PER_DEFINITIONS) {
            self.begin_stretch(state, lsn + 1);
        }
        self.appended.fetch_add(length.all, Ordering::Relaxed);
        state.next_lsn = lsn + 1;
        self.written.store(lsn + 1, Ordering::Release);
        if state.buffer.capacity() > 1 << 22 {
            state.buffer = Vec::new();
            state.packer.shrink();
        }
        Ok(lsn)
    }

    fn begin_stretch(&self, state: &mut State, first_lsn: u64) {
        (state.stretch_bytes, state.definition_bytes) = (0, 0);
        let stretch = self.stretch.load(Ordering::Relaxed);
        let next = stretch.checked_add(1).unwrap_or(FIRST_STRETCH);
        self.stretch.store(next, Ordering::Relaxed);
        self.stretches.push(first_lsn);
    }

    /// Whether a record that uses the series has to define it.
    pub(crate) fn wants_definition(&self, series: &Series) -> bool {
        match series.defined.load(Ordering::Relaxed) {
            UNDEFINED => true,
            stretch => {
                stretch != self.stretch.load(Ordering::Relaxed)
                    && (series.id >= self.in_snapshot_below.load(Ordering::Relaxed)
                        || self.is_followed.load(Ordering::Relaxed))
            }
        }
    }

    /// From now on the log defines what it uses also for those who read no snapshots. Gives the number of the next record.
    pub(crate) fn follow(&self) -> u64 {
        let mut state = self.state.lock();
        if !self.is_followed.swap(true, Ordering::Relaxed) {
            let next_lsn = state.next_lsn;
            self.begin_stretch(&mut state, next_lsn);
        }
        state.next_lsn
    }

    /// Where stretches began.
    pub(crate) fn stretches(&self) -> &Stretches {
        &self.stretches
    }

    /// Keeps the log from this record on until the hold moves or goes.
    pub(crate) fn hold(&self, from: u64) -> Hold {
        self.holds.hold(from)
    }

    /// Series with numbers below this are in a snapshot, which defines them as well.
    pub(crate) fn in_snapshot(&self, below: u64) {
        self.in_snapshot_below.fetch_max(below, Ordering::Relaxed);
    }

    /// Makes all records up to and with this one durable.
    pub(crate) fn sync_to(&self, lsn: u64) -> io::Result<()> {
        if self.synced.load(Ordering::Acquire) > lsn {
            return Ok(());
        }
        let _one = self.syncing.lock();
        if self.synced.load(Ordering::Acquire) > lsn {
            return Ok(());
        }
        let (mut files, upto) = {
            let mut state = self.state.lock();
            let mut files = std::mem::take(&mut state.unsynced);
            files.extend(state.file.as_ref().map(|output| output.file().clone()));
            (files, state.next_lsn)
        };
        if self.is_never_synced.load(Ordering::Relaxed) {
            files.clear();
        }
        for file in &files {
            failpoint::hit("engine.wal_sync");
            if let Err(error) = file.sync_data() {
                // After a failed sync the kernel may have dropped the pages: trying again would prove nothing.
                self.mark_broken();
                return Err(error);
            }
        }
        self.synced.store(upto, Ordering::Release);
        if self.is_broken() { Err(io::Error::other("the log is broken")) } else { Ok(()) }
    }

    /// Makes everything that is written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.written.load(Ordering::Acquire).checked_sub(1) {
            Some(lsn) if self.synced.load(Ordering::Acquire) <= lsn => self.sync_to(lsn),
            _ => Ok(()),
        }
    }

    /// Begins a new file, from which a snapshot that is taken now will be continued; gives its first number.
    pub(crate) fn rotate(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        if state.next_lsn > state.file_first_lsn || self.is_broken() {
            self.next_file(&mut state)?;
        }
        Ok(state.next_lsn)
    }

    fn next_file(&self, state: &mut State) -> io::Result<()> {
        if state.next_lsn == state.file_first_lsn {
            // A broken file without records, if there is one at all: begin it anew.
            remove_if_there(&segment::path_of(&self.folder, state.next_lsn))?;
        }
        let next = Output::new(create(&self.folder, state.next_lsn)?);
        if let Some(mut before) = state.file.replace(next) {
            // Zeros that stay are read as an end.
            let _ = before.cut();
            state.unsynced.push(before.file().clone());
        }
        state.file_first_lsn = state.next_lsn;
        Ok(())
    }

    /// Deletes the files that hold only records below a number, and none that are held.
    pub(crate) fn delete_before(&self, lsn: u64) -> io::Result<()> {
        let lsn = lsn.min(self.holds.lowest());
        let files = segment::list(&self.folder)?;
        for pair in files.windows(2) {
            if pair[1].0 <= lsn {
                failpoint::hit("engine.wal_delete");
                std::fs::remove_file(&pair[0].1)?;
            }
        }
        Ok(())
    }

    /// The number that the next record gets.
    pub(crate) fn next_lsn(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// All records below this are durable.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether only a snapshot makes the log usable again.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Memory is ahead of the log.
    pub(crate) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// A snapshot with this cut holds everything; the log goes on from it.
    pub(crate) fn mend(&self, cut: u64) {
        let _one = self.syncing.lock();
        let mut state = self.state.lock();
        state.unsynced.clear();
        self.synced.fetch_max(cut, Ordering::AcqRel);
        self.broken.store(false, Ordering::Release);
    }

    /// Bytes written since the start, and those that the start found behind its snapshot, unpacked.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// From now on the disk is full.
    #[cfg(test)]
    pub(crate) fn break_for_test(&self) {
        let full = File::options().write(true).open("/dev/full").expect("opens");
        self.state.lock().file = Some(Output::new(full));
    }

    /// Ends the last file where its records do. Where that fails, the next start does it.
    pub(crate) fn cut(&self) {
        let _ = self.state.lock().file.as_mut().map(Output::cut);
    }

    /// Bytes of all its files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let files = segment::list(&self.folder).unwrap_or_default();
        files.iter().filter_map(|(_, path)| std::fs::metadata(path).ok()).map(|meta| meta.len()).sum()
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Lengths of records before they are packed, bytes.
#[derive(Default)]
struct RecordLength {
    all: u64,
    /// Of the definitions in them.
    definitions: u64,
}

impl RecordLength {
    fn add(&mut self, more: RecordLength) {
        self.all += more.all;
        self.definitions += more.definitions;
    }
}

/// Appends a record to a buffer, packed; `put_heads` writes what stands before the points, and gives the length of the
/// definitions in it.
fn put_packed(
    buffer: &mut Vec<u8>,
    lsn: u64,
    synced: u64,
    packer: &mut Packer,
    put_heads: impl FnOnce(&mut Vec<u8>) -> usize,
    points: &Columnar,
) -> io::Result<RecordLength> {
    let mut length = RecordLength::default();
    segment::put_record(buffer, lsn, synced, |out| {
        let payload = out.len();
        length.definitions = put_heads(out) as u64;
        length.all = (segment::RECORD_HEAD_BYTES + packer.pack(out, payload, points)) as u64;
    })?;
    Ok(length)
}

/// Creates the file of a folder whose first record has this number.
pub(crate) type CreateFile = fn(&Path, u64) -> io::Result<File>;

pub(crate) fn create(folder: &Path, first_lsn: u64) -> io::Result<File> {
    let path = segment::path_of(folder, first_lsn);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    if let Err(error) = file.write_all(&segment::head(first_lsn)).and_then(|()| sync_folder(folder)) {
        // Half a file would be in the way of the next attempt.
        remove_if_there(&path)?;
        return Err(error);
    }
    Ok(file)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether the disk, or our share of it, is full.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
