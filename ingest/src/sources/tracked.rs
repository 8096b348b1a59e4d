//! One followed file: its handle, where it was read up to, and what is known of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::content::Content;
use super::packed::Unpacker;
use super::position::{FileId, HEAD_BYTES, Position, TAIL_BYTES};
use super::rest::millis;

/// Looked at of what is not read of a file that is gone; a line without an end may be so long.
const REST_BYTES: usize = 64 << 10;

/// Where the file is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Under a name that is asked for.
    Live,
    /// Under another name: what is left of it is read, then it is let go.
    Moved,
    /// Nowhere: only our handle keeps it.
    Deleted,
}

/// What is known of the contents of a file when it is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It was looked whether they begin like something that was read.
    Known,
    /// There were none yet.
    Empty,
    /// There were none, and now they begin like something that was read: they are compared with that first.
    Alike,
}

/// What is open.
enum Input {
    Plain(Arc<File>),
    Packed(Unpacker),
}

/// A followed file.
pub(super) struct Tracked {
    pub id: FileId,
    /// Where it is.
    pub path: PathBuf,
    /// The name under which it was met first: the records' source.
    pub name: String,
    /// Its place among the sources.
    pub source: usize,
    /// Up to where its lines are stored.
    pub position: Position,
    /// That, as the queue has it.
    pub stored: Option<Vec<u8>>,
    pub standing: Standing,
    pub begun: Begun,
    /// Size and time of change when it was last looked at.
    pub seen: (u64, SystemTime),
    /// The largest size that these contents had when they were read.
    pub reached: u64,
    /// When it last grew.
    pub grown_ms: i64,
    /// When it must be looked at even if nothing happens.
    pub due_ms: Option<i64>,
    /// Whether it waits for its turn.
    pub is_ready: bool,
    /// Whether lines of it were stored in this run.
    pub was_read: bool,
    /// Whether a failure was told, so that it is told once.
    pub failing: bool,
    /// Size and time of change with which it could not be unpacked further.
    damaged: Option<(u64, SystemTime)>,
    input: Option<Input>,
}

/// Why a file cannot be read now.
#[derive(Debug)]
pub(super) enum OpenFault {
    /// Another file has its name, or none.
    Gone,
    /// The system refuses.
    Refused(io::Error),
}

/// What was read.
pub(super) struct Window<'b> {
    /// The bytes from the position on.
    pub bytes: &'b [u8],
    /// Whether the file ends behind them.
    pub ended: bool,
    /// Why what is packed cannot be read further, if that is so.
    pub fault: Option<String>,
    /// Its first bytes, read afterwards.
    pub head: Vec<u8>,
    /// The bytes just before the position, read afterwards.
    pub before: Vec<u8>,
    /// Its size, unpacked for plain files only.
    pub size: u64,
    /// Whether any name is left.
    pub has_names: bool,
}

impl Window<'_> {
    /// Whether the bytes and the first bytes, which were read at two moments, are of one file: it was not cut and
    /// written anew in between.
    pub(super) fn is_of_one_file(&self, at: u64) -> bool {
        let behind = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(self.bytes.len());
        if self.head.len() < behind.min(HEAD_BYTES) {
            // It was cut, and nothing came since.
            return false;
        }
        let Some(head) = usize::try_from(at).ok().and_then(|at| self.head.get(at..)) else { return true };
        let both = head.len().min(self.bytes.len());
        head.get(..both) == self.bytes.get(..both)
    }

    /// The bytes before a position that lies so many bytes further on.
    pub(super) fn before(&self, taken: usize) -> Vec<u8> {
        let taken = self.bytes.get(..taken).unwrap_or(self.bytes);
        let missing = TAIL_BYTES.saturating_sub(taken.len());
        let kept = self.before.get(self.before.len().saturating_sub(missing)..).unwrap_or_default();
        [kept, taken.get(taken.len().saturating_sub(TAIL_BYTES)..).unwrap_or(taken)].concat()
    }
}

impl Tracked {
    /// Whether there are bytes that are not stored, as far as was seen.
    pub(super) fn unread_bytes(&self) -> u64 {
        if self.position.packed {
            return if self.position.finished { 0 } else { self.seen.0 };
        }
        self.seen.0.saturating_sub(self.position.at)
    }

    /// When it was written to last, as far as was seen; milliseconds since the epoch.
    pub(super) fn modified_ms(&self) -> i64 {
        millis(self.seen.1)
    }

    /// Looks at size and time; whether they have changed.
    pub(super) fn look(&mut self, now_ms: i64) -> Result<bool, OpenFault> {
        let metadata = match &self.input {
            Some(Input::Plain(file)) => file.metadata(),
            Some(Input::Packed(_)) | None => fs::metadata(&self.path),
        };
        let metadata = metadata.map_err(fault)?;
        if FileId::of(&metadata) != self.id {
            return Err(OpenFault::Gone);
        }
        let seen = (metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let has_changed = seen != self.seen;
        if has_changed {
            self.seen = seen;
            self.grown_ms = now_ms;
        }
        Ok(has_changed)
    }

    /// What is packed cannot be unpacked further until the file changes. What is unpacked then begins at its beginning.
    pub(super) fn set_damaged(&mut self) {
        self.damaged = Some(self.seen);
        self.close();
    }

    /// Whether it was [damaged](Tracked::set_damaged), and has not changed since.
    pub(super) fn is_still_damaged(&self) -> bool {
        self.damaged == Some(self.seen)
    }

    /// Whether our handle is all that is left of it.
    pub(super) fn has_no_names(&self) -> bool {
        self.plain().is_some_and(|file| file.metadata().is_ok_and(|metadata| metadata.nlink() == 0))
    }

    /// Whether a handle is open.
    pub(super) fn is_open(&self) -> bool {
        self.input.is_some()
    }

    /// Closes the handle; it is opened again when there is something to read.
    pub(super) fn close(&mut self) {
        self.input = None;
    }

    /// The file that was judged is read from this handle, whatever becomes of its name.
    pub(super) fn hold(&mut self, content: Content) {
        let packed = || Unpacker::of(content.file.clone()).ok().map(Input::Packed);
        self.input = if content.packed { packed() } else { Some(Input::Plain(content.file)) };
    }

    /// How the file behind the handle begins now, whatever its names; `None` if none is open.
    pub(super) fn head_now(&self) -> Option<Vec<u8>> {
        self.plain().and_then(|file| piece(file, 0, HEAD_BYTES).ok())
    }

    /// The handle of a plain file, if it is open.
    pub(super) fn plain(&self) -> Option<&Arc<File>> {
        match &self.input {
            Some(Input::Plain(file)) => Some(file),
            Some(Input::Packed(_)) | None => None,
        }
    }

    /// What the file has now, by its handle.
    pub(super) fn content(&mut self) -> Result<Content, OpenFault> {
        match self.open()? {
            Input::Plain(file) => Content::of(file.clone(), false),
            Input::Packed(_) => Err(OpenFault::Gone),
        }
    }

    /// What stands behind the position in the file behind the handle, as much as is needed to see whether there are whole
    /// lines in it.
    pub(super) fn rest(&self) -> Vec<u8> {
        self.plain().and_then(|file| piece(file, self.position.at, REST_BYTES).ok()).unwrap_or_default()
    }

    /// A handle of the file, if its name has not gone to another.
    fn open_same(&self) -> Result<Arc<File>, OpenFault> {
        let file = File::open(&self.path).map_err(fault)?;
        if FileId::of(&file.metadata().map_err(fault)?) != self.id {
            return Err(OpenFault::Gone);
        }
        Ok(Arc::new(file))
    }

    /// Opens it, if it is still the same file.
    fn open(&mut self) -> Result<&mut Input, OpenFault> {
        if self.input.is_none() {
            let input = if self.position.packed {
                Input::Packed(Unpacker::of(self.open_same()?).map_err(fault)?)
            } else {
                Input::Plain(self.open_same()?)
            };
            self.input = Some(input);
        }
        self.input.as_mut().ok_or(OpenFault::Gone)
    }

    /// Reads from the position on, up to `wanted` bytes; `buffer` is room for them. The first bytes and those before the
    /// position are read after those, so that they tell whether the file was replaced in the meantime.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>, wanted: usize) -> Result<Window<'b>, OpenFault> {
        let at = self.position.at;
        match self.open()? {
            Input::Plain(file) => {
                if buffer.len() < wanted {
                    buffer.resize(wanted, 0);
                }
                let room = buffer.get_mut(..wanted).unwrap_or_default();
                let filled = read_full(file, room, at).map_err(OpenFault::Refused)?;
                let metadata = file.metadata().map_err(OpenFault::Refused)?;
                let head = piece(file, 0, HEAD_BYTES).map_err(OpenFault::Refused)?;
                let before = before(file, at).map_err(OpenFault::Refused)?;
                let bytes = buffer.get(..filled).unwrap_or_default();
                let (size, has_names) = (metadata.len(), metadata.nlink() > 0);
                Ok(Window { bytes, ended: filled < wanted, fault: None, head, before, size, has_names })
            }
            Input::Packed(unpacker) => {
                let (bytes, ended) = unpacker.read_at(at, wanted);
                buffer.clear();
                buffer.extend_from_slice(bytes);
                let fault = unpacker.fault().filter(|_| ended);
                let (head, before) = (Vec::new(), Vec::new());
                Ok(Window { bytes: buffer, ended, fault, head, before, size: u64::MAX, has_names: true })
            }
        }
    }
}

/// Why, by the system's error.
pub(super) fn fault(error: io::Error) -> OpenFault {
    if error.kind() == io::ErrorKind::NotFound { OpenFault::Gone } else { OpenFault::Refused(error) }
}

/// Fills the room from a place in a file, as far as the file goes.
fn read_full(file: &File, room: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Up to so many bytes from a place on.
pub(super) fn piece(file: &File, at: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; wanted];
    let filled = read_full(file, &mut bytes, at)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// The bytes just before a position, as many as tell whether they are still the same.
pub(super) fn before(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let from = at.saturating_sub(TAIL_BYTES as u64);
    let mut bytes = piece(file, from, TAIL_BYTES)?;
    bytes.truncate(usize::try_from(at - from).unwrap_or(TAIL_BYTES));
    Ok(bytes)
}

/// Where the last whole line of a file ends: what is written from now on starts there.
pub(super) fn end_of_lines(file: &File, size: u64) -> io::Result<u64> {
    const LOOKED_AT: usize = 64 << 10;
    let from = size.saturating_sub(LOOKED_AT as u64);
    let mut tail = vec![0; LOOKED_AT];
    let filled = read_full(file, &mut tail, from)?;
    let tail = tail.get(..filled).unwrap_or_default();
    Ok(memchr::memrchr(b'\n', tail).map_or(size, |at| from + at as u64 + 1))
}

impl Tracked {
    /// A file met at a position; nothing is open yet.
    pub(super) fn new(id: FileId, path: PathBuf, source: usize, position: Position, now_ms: i64) -> Tracked {
        Tracked {
            id,
            name: position.path.display().to_string(),
            path,
            source,
            position,
            stored: None,
            standing: Standing::Live,
            begun: Begun::Known,
            seen: (0, SystemTime::UNIX_EPOCH),
            reached: 0,
            grown_ms: now_ms,
            due_ms: None,
            is_ready: false,
            was_read: false,
            failing: false,
            damaged: None,
            input: None,
        }
    }
}
