//! An append-only file of checksummed entries: the notification log on disk. It does not know what entries mean.
//!
//! ```text
//! file   := "WFNOTIFY", version u32, crc u32 of the 12 bytes before, entry ...
//! entry  := marker u32, length u32, crc u32 of length and payload, payload
//! ```
//!
//! All numbers are little-endian. An entry that was torn by a crash stands at the end and is cut off. One that is
//! damaged in the middle is found by its checksum; the next good one is found by its marker, and a copy of the
//! damaged file is kept beside. The file is compacted by writing a new one and renaming it over the old.
//!
//! Version 2 knows more kinds of entries than version 1 and is otherwise the same, so a file of version 1 is read
//! as it is, and its header is raised before anything is appended: an older program then refuses it instead of
//! taking new entries for damage.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use watchfire_model::failpoint;

/// The version of the format that this code writes.
pub const VERSION: u32 = 2;
const MAGIC: [u8; 8] = *b"WFNOTIFY";
const HEADER_BYTES: usize = 16;
const MARKER: u32 = 0x8ee7_9bd1;
const FRAME_BYTES: usize = 12;
/// Longest payload; longer ones are not written, and a length beyond it is damage.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// Why the notification log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalOpenError {
    /// The system refused.
    #[error("cannot open the notification log {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was written by a newer version of this program.
    #[error(
        "the notification log {} has version {found}, this program reads up to {VERSION}; start the newer program again, or move the file away (alerts that fire are then told again)",
        path.display()
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// Why the file could not be replaced.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The old file stays in force; more can be appended to it if its last commit succeeded.
    #[error("cannot write a new notification log, the old one stays: {0}")]
    OldStays(std::io::Error),
    /// The new file is in its place, but may not be after a power cut.
    #[error("the new notification log may not survive a power cut: {0}")]
    Unknown(std::io::Error),
}

/// What was found in the file when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalRecovery {
    /// Good entries.
    pub entries: u64,
    /// Bytes of an unfinished entry that were cut off the end.
    pub torn_bytes: u64,
    /// Bytes of damaged entries that were passed over.
    pub damaged_bytes: u64,
    /// The header was damaged, or the file ended within it.
    pub header_damaged: bool,
    /// Where the file with the damage was kept.
    pub damaged_copy: Option<PathBuf>,
}

impl JournalRecovery {
    /// Whether anything else than an unfinished entry at the end was found. Then the file is worth being written anew.
    pub fn is_damaged(&self) -> bool {
        self.damaged_bytes > 0 || self.header_damaged
    }
}

/// The open file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    // Entries that the next `commit` writes.
    pending: Vec<u8>,
}

impl Journal {
    /// Opens or makes the file, and hands each good payload to `replay`, in order. A payload that `replay` refuses
    /// counts as damaged.
    pub fn open(
        path: &Path,
        mut replay: impl FnMut(&[u8]) -> bool,
    ) -> Result<(Journal, JournalRecovery), JournalOpenError> {
        let io = |source| JournalOpenError::Io { path: path.to_owned(), source };
        // What a crash left of a rewrite, if there is any.
        let _ = std::fs::remove_file(unfinished(path));
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let mut recovery = JournalRecovery::default();
        let mut at = 0;
        let mut is_older = false;
        match header_version(&bytes) {
            Header::Good(version) if version > VERSION => {
                return Err(JournalOpenError::NewerVersion { path: path.to_owned(), found: version });
            }
            Header::Good(version) => {
                at = HEADER_BYTES;
                is_older = version < VERSION;
            }
            Header::Torn => {
                recovery.torn_bytes = bytes.len() as u64;
                recovery.header_damaged = !is_new;
            }
            // The entries are still found by their markers.
            Header::Damaged => recovery.header_damaged = true,
        }
        let mut good_until = at;
        if recovery.torn_bytes == 0 {
            while let Some(frame) = next_frame(&bytes, at) {
                let skipped = frame.start.saturating_sub(at);
                recovery.damaged_bytes += skipped as u64;
                if replay(frame.payload) {
                    recovery.entries += 1;
                } else {
                    recovery.damaged_bytes += (frame.end - frame.start) as u64;
                }
                at = frame.end;
                good_until = at;
            }
            recovery.torn_bytes = (bytes.len() - good_until) as u64;
        }
        if recovery.is_damaged() {
            let copy = path.with_extension("damaged");
            std::fs::write(&copy, &bytes).map_err(io)?;
            recovery.damaged_copy = Some(copy);
        }
        let mut journal = Journal { path: path.to_owned(), file, len: good_until as u64, pending: Vec::new() };
        if good_until < HEADER_BYTES {
            journal.start_anew().map_err(io)?;
        } else if recovery.torn_bytes > 0 {
            journal.file.set_len(journal.len).and_then(|()| journal.file.sync_data()).map_err(io)?;
        }
        if is_older {
            journal.raise_version().map_err(io)?;
        }
        journal.file.seek(SeekFrom::Start(journal.len)).map_err(io)?;
        Ok((journal, recovery))
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.len
    }

    /// Puts an entry into the next commit.
    pub fn append(&mut self, payload: &[u8]) {
        put_frame(&mut self.pending, payload);
    }

    /// Writes what was appended and waits until it is on disk.
    ///
    /// After an error the end of the file is unknown: nothing may be appended until [`Journal::rewrite`] succeeds.
    pub fn commit(&mut self) -> std::io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.file.write_all(&pending)?;
        failpoint::hit("alerting.journal");
        self.file.sync_data()?;
        self.len += pending.len() as u64;
        Ok(())
    }

    /// Replaces the file by one with these payloads; what was appended and not committed is dropped.
    pub fn rewrite(&mut self, payloads: impl Iterator<Item = Vec<u8>>) -> Result<(), RewriteError> {
        self.pending.clear();
        let temporary = unfinished(&self.path);
        let (file, len) = write_new(&temporary, payloads).map_err(RewriteError::OldStays)?;
        failpoint::hit("alerting.compact");
        std::fs::rename(&temporary, &self.path).map_err(RewriteError::OldStays)?;
        self.file = file;
        self.len = len;
        sync_dir(&self.path).map_err(RewriteError::Unknown)
    }

    /// Makes every further write to the present file fail.
    #[cfg(test)]
    pub(crate) fn break_file(&mut self) {
        self.file = File::open(&self.path).expect("it is there");
    }

    /// Writes the present version over an older one. Needs no room; if it is torn, the entries are still found.
    fn raise_version(&mut self) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header())?;
        self.file.sync_data()
    }

    fn start_anew(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header())?;
        self.file.sync_all()?;
        self.len = HEADER_BYTES as u64;
        sync_dir(&self.path)
    }
}

/// A log that is being written anew.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// A whole file, on disk. Returns it, open at its end, and its length.
fn write_new(path: &Path, payloads: impl Iterator<Item = Vec<u8>>) -> std::io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut buffer = header();
    let mut len = 0u64;
    for payload in payloads {
        put_frame(&mut buffer, &payload);
        if buffer.len() >= 1 << 20 {
            file.write_all(&buffer)?;
            len += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.write_all(&buffer)?;
    len += buffer.len() as u64;
    file.sync_all()?;
    Ok((file, len))
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

enum Header {
    Good(u32),
    Torn,
    Damaged,
}

fn header_version(bytes: &[u8]) -> Header {
    let Some((head, _)) = bytes.split_at_checked(HEADER_BYTES) else { return Header::Torn };
    match (number_at(head, 8), number_at(head, 12)) {
        (Some(version), Some(crc)) if head.starts_with(&MAGIC) && crc == crc32fast::hash(&head[..12]) => {
            Header::Good(version)
        }
        _ => Header::Damaged,
    }
}

fn put_frame(out: &mut Vec<u8>, payload: &[u8]) {
    // A message's limits keep its payload far below this.
    debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX, "payloads are bounded by the limits of messages");
    let Ok(len) = u32::try_from(payload.len()) else { return };
    out.extend_from_slice(&MARKER.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&frame_crc(len, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

fn frame_crc(len: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

struct Frame<'a> {
    start: usize,
    end: usize,
    payload: &'a [u8],
}

/// The first good frame at or after `from`.
fn next_frame(bytes: &[u8], from: usize) -> Option<Frame<'_>> {
    let mut start = from;
    loop {
        if let Some(frame) = frame_at(bytes, start) {
            return Some(frame);
        }
        let rest = bytes.get(start + 1..)?;
        let marker = MARKER.to_le_bytes();
        start += 1 + rest.windows(marker.len()).position(|window| window == marker)?;
    }
}

fn frame_at(bytes: &[u8], start: usize) -> Option<Frame<'_>> {
    let head = bytes.get(start..start.checked_add(FRAME_BYTES)?)?;
    if number_at(head, 0)? != MARKER {
        return None;
    }
    let len = number_at(head, 4)?;
    let payload_start = start + FRAME_BYTES;
    let end = payload_start.checked_add(usize::try_from(len).ok()?)?;
    let payload = bytes.get(payload_start..end)?;
    (frame_crc(len, payload) == number_at(head, 8)?).then_some(Frame { start, end, payload })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}
