//! The journal: what must survive the process and is no series.
//!
//! One small file, `rules.journal`: a header, then an entry per change of an alert (not per evaluation). It is
//! rewritten when most of it is history. Where each alert stands is the last entry that names it.
//!
//! ```text
//! header  "WFRULESJ" | version u32 | crc32 u32 over the twelve bytes before
//! ```
//!
//! Invariants: what [`Journal::append`] was given is on the disk when it returns; an entry is read back whole
//! or not at all; a file is replaced only by one that was synced before.

mod entry;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use watchfire_model::{LabelSet, Timestamp, failpoint};

pub(crate) use entry::{Entry, RuleKey, StoredAlert, clock, forget, put};

/// The file's name.
pub(crate) const FILE: &str = "rules.journal";
const MAGIC: &[u8; 8] = b"WFRULESJ";
const VERSION: u32 = 1;
const FILE_HEADER_BYTES: usize = 16;
/// Largest journal that is read, bytes.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// A journal below this many entries is not worth rewriting.
const REWRITE_ENTRIES_MIN: usize = 1024;
/// Rewritten when it has this many times the entries it needs.
const REWRITE_FACTOR: usize = 4;

/// Why the journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refuses.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The file was written by a newer version.
    #[error("{path} has version {found}, this program reads up to {VERSION}; use the newer program", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// What was found on opening that should not be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalReport {
    /// How many alerts were remembered.
    pub alerts: usize,
    /// Bytes of an unfinished write that were cut off the end.
    pub cut_bytes: u64,
    /// Damaged places, as offset and length; what stood between good entries there is lost, and the damaged
    /// file is kept beside the journal. A header that is not whole is one of them, of any length.
    pub damaged: Vec<(u64, u64)>,
}

/// Where everything stood when the journal was last written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Replayed {
    pub alerts: BTreeMap<(u64, LabelSet), StoredAlert>,
    /// The newest time an entry tells of.
    pub last_seen: Option<Timestamp>,
}

impl Replayed {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Put(alert) => {
                self.last_seen = self.last_seen.max(Some(alert.evaluated_at));
                self.alerts.insert((alert.rule.exact, alert.labels.clone()), alert);
            }
            Entry::Forget { rule, labels } => {
                self.alerts.remove(&(rule, labels));
            }
            Entry::Clock(at) => self.last_seen = self.last_seen.max(Some(at)),
        }
    }
}

/// The open file.
pub(crate) struct Journal {
    dir: PathBuf,
    /// `None`: nothing is to survive, and nothing is written.
    file: Option<File>,
    /// Length of the good part.
    bytes: u64,
    entries: usize,
    /// Rewriting pays from this many entries on.
    rewrite_at: usize,
    /// The file may lack changes or end in half an entry, and must be rewritten.
    is_behind: bool,
}

impl Journal {
    /// One that remembers nothing.
    pub fn nowhere() -> Journal {
        Journal { dir: PathBuf::new(), file: None, bytes: 0, entries: 0, rewrite_at: usize::MAX, is_behind: false }
    }

    /// Opens or creates the journal, and its folder.
    pub fn open(dir: &Path) -> Result<(Journal, Replayed, JournalReport), JournalError> {
        let path = dir.join(FILE);
        let failed = |action, source| JournalError::Io { path: path.clone(), action, source };
        fs::create_dir_all(dir).map_err(|source| failed("make the folder of", source))?;
        // What a crash left of a rewrite, if there is any.
        let _ = fs::remove_file(unfinished(dir));
        let Some(content) = read_file(&path).map_err(|source| failed("read", source))? else {
            let file = replace(dir, &header(), &[]).map_err(|source| failed("create", source))?;
            let journal = Journal::over(dir, file, FILE_HEADER_BYTES as u64, 0);
            return Ok((journal, Replayed::default(), JournalReport::default()));
        };
        let has_good_header = check_header(&path, &content)?;
        let header_bytes = content.len().min(FILE_HEADER_BYTES) as u64;
        let mut scan = scan(content.get(FILE_HEADER_BYTES..).unwrap_or_default());
        if !has_good_header {
            scan.damaged.insert(0, (0, header_bytes));
        }
        let mut replayed = Replayed::default();
        scan.entries.drain(..).for_each(|(_, entry)| replayed.apply(entry));
        let file = OpenOptions::new().append(true).open(&path).map_err(|source| failed("open", source))?;
        let mut journal = Journal::over(dir, file, scan.good_bytes, scan.count);
        if !scan.damaged.is_empty() {
            fs::copy(&path, dir.join(format!("{FILE}.damaged"))).map_err(|source| failed("set aside", source))?;
            journal
                .rewrite(replayed.alerts.values(), replayed.last_seen)
                .map_err(|source| failed("rewrite", source))?;
        } else if scan.cut_bytes > 0 {
            let cut =
                journal.file.iter().try_for_each(|file| file.set_len(journal.bytes).and_then(|()| file.sync_all()));
            cut.map_err(|source| failed("cut the end of", source))?;
        }
        let report = JournalReport { alerts: replayed.alerts.len(), cut_bytes: scan.cut_bytes, damaged: scan.damaged };
        Ok((journal, replayed, report))
    }

    fn over(dir: &Path, file: File, bytes: u64, entries: usize) -> Journal {
        Journal {
            dir: dir.to_owned(),
            file: Some(file),
            bytes,
            entries,
            rewrite_at: REWRITE_ENTRIES_MIN,
            is_behind: false,
        }
    }

    /// Appends whole entries; on the disk when it returns.
    ///
    /// After an error the journal is behind until it is rewritten.
    pub fn append(&mut self, entries: &[u8], count: usize) -> io::Result<()> {
        self.write(entries, count)?;
        failpoint::hit("rules.journal");
        self.file.iter().try_for_each(File::sync_data).inspect_err(|_| self.is_behind = true)
    }

    /// As [`Journal::append`], but may be lost when the machine (not the process) dies.
    pub fn append_unsynced(&mut self, entries: &[u8], count: usize) -> io::Result<()> {
        self.write(entries, count)
    }

    fn write(&mut self, entries: &[u8], count: usize) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(error) = file.write_all(entries) {
            self.is_behind = true;
            // Half an entry before the next one would read as damage; if this fails too, the rewrite mends it.
            let _ = file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += entries.len() as u64;
        self.entries += count;
        Ok(())
    }

    /// Whether it should be written anew: it is behind, or most of it is history.
    pub fn wants_rewrite(&self) -> bool {
        self.is_behind || self.entries >= self.rewrite_at
    }

    /// Whether changes are missing in it.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// As after a write that failed.
    #[cfg(test)]
    pub fn break_for_test(&mut self) {
        self.is_behind = true;
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Replaces the file by one with just these alerts, and the time at which rules were last evaluated.
    pub fn rewrite<'a>(
        &mut self,
        alerts: impl IntoIterator<Item = &'a StoredAlert>,
        last_seen: Option<Timestamp>,
    ) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let mut body = Vec::new();
        let mut entries = 0;
        for alert in alerts {
            entries += usize::from(put(&mut body, alert));
        }
        if let Some(last_seen) = last_seen {
            entries += usize::from(clock(&mut body, last_seen));
        }
        self.file = Some(replace(&self.dir, &header(), &body).inspect_err(|_| self.is_behind = true)?);
        self.bytes = (FILE_HEADER_BYTES + body.len()) as u64;
        self.entries = entries;
        self.rewrite_at = REWRITE_ENTRIES_MIN.max(entries * REWRITE_FACTOR);
        self.is_behind = false;
        Ok(())
    }
}

fn header() -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Whether the header is whole, which zeroes, half of it or the begin of something else are not; an error if the
/// journal is of a newer version.
fn check_header(path: &Path, content: &[u8]) -> Result<bool, JournalError> {
    // Cut off within its header, as by a power cut while it was made: there is nothing in it.
    let Some((found, _)) = content.split_first_chunk::<FILE_HEADER_BYTES>() else { return Ok(false) };
    let [.., v0, v1, v2, v3, c0, c1, c2, c3] = *found;
    let is_whole = found.starts_with(MAGIC) && crc32fast::hash(&found[..12]) == u32::from_le_bytes([c0, c1, c2, c3]);
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if is_whole && version > VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), found: version });
    }
    Ok(is_whole)
}

fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than a journal can be"));
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(Some(content))
}

/// A journal that is being written anew.
fn unfinished(dir: &Path) -> PathBuf {
    dir.join(format!("{FILE}.new"))
}

/// Writes a new file beside the old one, syncs it, and puts it in the old one's place.
fn replace(dir: &Path, header: &[u8], body: &[u8]) -> io::Result<File> {
    let (path, new) = (dir.join(FILE), unfinished(dir));
    let mut file = File::create(&new)?;
    file.write_all(header)?;
    file.write_all(body)?;
    file.sync_all()?;
    failpoint::hit("rules.journal.rewrite");
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()?;
    OpenOptions::new().append(true).open(&path)
}

/// What the bytes behind the header hold.
struct Scan {
    /// Each with the offset behind it, in the file.
    entries: Vec<(u64, Entry)>,
    count: usize,
    /// Length of the file up to the end of the last good entry.
    good_bytes: u64,
    cut_bytes: u64,
    damaged: Vec<(u64, u64)>,
}

fn scan(bytes: &[u8]) -> Scan {
    let in_file = |at: usize| (FILE_HEADER_BYTES + at) as u64;
    let mut scan = Scan { entries: Vec::new(), count: 0, good_bytes: in_file(0), cut_bytes: 0, damaged: Vec::new() };
    let mut at = 0;
    while at < bytes.len() {
        if let Some((length, entry)) = entry::read(&bytes[at..]) {
            at += length;
            scan.count += 1;
            scan.entries.push((in_file(at), entry));
            scan.good_bytes = in_file(at);
            continue;
        }
        match (at + 1..bytes.len()).find(|next| entry::read(&bytes[*next..]).is_some()) {
            Some(next) => {
                scan.damaged.push((in_file(at), (next - at) as u64));
                at = next;
            }
            None => {
                scan.cut_bytes = (bytes.len() - at) as u64;
                break;
            }
        }
    }
    scan
}

#[cfg(test)]
mod tests;
