//! What a file holds that nobody has read under its inode: how it begins, and whether it is a copy, plain or packed, of
//! contents that were read elsewhere.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::packed::{Unpacker, has_packed_name};
use super::position::{FileId, HEAD_BYTES, Head, Position, TAIL_BYTES};
use super::rest::Entry;
use super::tracked::{OpenFault, before, fault, piece};

/// What is packed and hardly begun counts as being written until nothing came for so long.
const PACKED_AFTER: Duration = Duration::from_secs(2);
/// By so much clocks may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// Whether a file holds what was read up to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It begins so, and has the same before the position.
    Yes,
    /// It ends before that can be told.
    Short,
    /// It does not.
    No,
}

/// A file that was found in its folder, opened: it is the one of its entry, whatever becomes of its names.
pub(super) struct Content {
    pub file: Arc<File>,
    pub packed: bool,
    /// Its first bytes, unpacked.
    pub head: Vec<u8>,
    /// What tells them from others.
    pub begins: Head,
    /// Whether there is no more than that.
    ends: bool,
    bytes: u64,
    modified: SystemTime,
}

impl Content {
    /// Opens it. What is half packed can be judged: its original is still there.
    ///
    /// Errors: another file has its name by now, or what is packed is hardly begun, so that it is too early to tell; or
    /// the system refuses.
    pub(super) fn open(entry: &Entry) -> Result<Content, OpenFault> {
        let file = File::open(&entry.path).map_err(fault)?;
        let metadata = file.metadata().map_err(fault)?;
        if FileId::of(&metadata) != entry.id {
            return Err(OpenFault::Gone);
        }
        Content::of(Arc::new(file), has_packed_name(&entry.path))
    }

    /// What is open. Errors: as for [`Content::open`].
    pub(super) fn of(file: Arc<File>, packed: bool) -> Result<Content, OpenFault> {
        let metadata = file.metadata().map_err(fault)?;
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let bytes = metadata.size();
        let (head, ends) = if packed {
            let (head, ends, has_fault) = packed_head(&file);
            if ends && has_fault && quiet_since(modified) < PACKED_AFTER {
                return Err(OpenFault::Gone);
            }
            (head, ends && !has_fault)
        } else {
            let head = piece(&file, 0, HEAD_BYTES).map_err(fault)?;
            let ends = head.len() < HEAD_BYTES;
            (head, ends)
        };
        let begins = Head::of(&head);
        Ok(Content { file, packed, head, begins, ends, bytes, modified })
    }

    /// Whether it was written to since it was opened: what was told of it may be too old.
    pub(super) fn has_changed(&self) -> bool {
        !self.file.metadata().is_ok_and(|now| {
            now.size() == self.bytes && now.modified().unwrap_or(SystemTime::UNIX_EPOCH) == self.modified
        })
    }

    /// Whether it holds what was read up to a position, all of which may be long ago.
    pub(super) fn holds(&self, position: &Position) -> Holds {
        if self.head.len() < usize::from(position.head.length) {
            // What is packed is whole if it ends without a fault.
            return if self.packed && self.ends { Holds::No } else { Holds::Short };
        }
        // Hashed once, as many positions are compared with it.
        let begins_so = match position.head.length == self.begins.length {
            true => position.head == self.begins,
            false => position.head.fits(&self.head),
        };
        if !begins_so {
            return Holds::No;
        }
        // Of what was not asked for at the first start only the beginning is known.
        if position.finished && position.tail.length == 0 {
            return Holds::Yes;
        }
        match self.before(position.at) {
            Ok(before) if position.tail.length == 0 || position.tail.fits(&before) => Holds::Yes,
            Ok(_) => Holds::No,
            Err(holds) => holds,
        }
    }

    /// Whether all of it stands in another plain file at the same place, as far as its beginning and its end tell.
    pub(super) fn is_part_of(&self, other: &File) -> bool {
        let begins_so = piece(other, 0, self.head.len()).is_ok_and(|there| there == self.head);
        let here = before(&self.file, self.bytes);
        begins_so && here.is_ok_and(|here| before(other, self.bytes).is_ok_and(|there| there == here))
    }

    /// Whether there is a time in how it begins, up to a position, or in what stands before that.
    pub(super) fn is_dated(&self, at: u64) -> bool {
        let at = at.min(self.bytes);
        let head = self.head.get(..usize::try_from(at).unwrap_or(HEAD_BYTES)).unwrap_or(&self.head);
        tells_time(head) || self.before(at).is_ok_and(|before| tells_time(&before))
    }

    /// How much of a plain file there is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes just before a position; if there are none, because it ends before, what that means.
    fn before(&self, at: u64) -> Result<Vec<u8>, Holds> {
        if !self.packed {
            return if self.bytes < at { Err(Holds::Short) } else { before(&self.file, at).map_err(|_| Holds::Short) };
        }
        let from = at.saturating_sub(TAIL_BYTES as u64);
        let length = usize::try_from(at - from).unwrap_or(TAIL_BYTES);
        let mut unpacker = Unpacker::of(self.file.clone()).map_err(|_| Holds::Short)?;
        let before = unpacker.read_at(from, length).0.to_vec();
        match (before.len() == length, unpacker.fault()) {
            (true, _) => Ok(before),
            (false, Some(_)) => Err(Holds::Short),
            (false, None) => Err(Holds::No),
        }
    }
}

/// For how long nothing was written.
fn quiet_since(modified: SystemTime) -> Duration {
    match modified.elapsed() {
        Ok(quiet) => quiet,
        // Clocks differ a little; what is dated far ahead is not being written for that.
        Err(ahead) if ahead.duration() < CLOCKS_DIFFER => Duration::ZERO,
        Err(_) => CLOCKS_DIFFER,
    }
}

/// Whether there is a time of day or a count of time in a text: `20:03:54`, `T200354`, `1700000000`.
fn tells_time(text: &[u8]) -> bool {
    let is_like = |shape: &'static [u8]| {
        let fits = |(byte, sign): (&u8, &u8)| if *sign == b'0' { byte.is_ascii_digit() } else { byte == sign };
        text.windows(shape.len()).any(|part| part.iter().zip(shape).all(fits))
    };
    is_like(b"00:00:00") || is_like(b"T000000") || is_like(b"0000000000")
}

/// The first bytes, whether there are no more, and whether that is so because of a fault.
fn packed_head(file: &Arc<File>) -> (Vec<u8>, bool, bool) {
    let Ok(mut unpacker) = Unpacker::of(file.clone()) else { return (Vec::new(), true, true) };
    let head = unpacker.read_at(0, HEAD_BYTES).0.to_vec();
    let ends = head.len() < HEAD_BYTES;
    (head, ends, unpacker.fault().is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::position::Tail;
    use super::*;

    fn content(path: &Path) -> Option<Content> {
        let metadata = fs::metadata(path).unwrap();
        let entry = Entry {
            id: FileId::of(&metadata),
            path: path.to_owned(),
            bytes: metadata.len(),
            modified: metadata.modified().unwrap(),
            born: metadata.modified().unwrap(),
            is_past: false,
        };
        Content::open(&entry).ok()
    }

    #[test]
    fn copies_plain_and_packed_are_known_by_what_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let text = |from: u32, to: u32| (from..to).map(|n| format!("line {n:04}\n")).collect::<String>().into_bytes();
        let read = text(0, 300);
        let at = |at: usize| Position {
            at: at as u64,
            head: Head::of(&read),
            tail: Tail::of(&read[..at]),
            ..Position::default()
        };
        let other = [text(0, 200), text(500, 700)].concat();
        for (name, bytes, at, wanted) in [
            ("same", text(0, 300), at(3000), Holds::Yes),
            ("more", text(0, 400), at(3000), Holds::Yes),
            ("cut", text(0, 299), at(3000), Holds::Short),
            ("begins alike", other.clone(), at(3000), Holds::No),
            ("not read so far", other, at(2000), Holds::Yes),
            ("other", text(1, 300), at(2000), Holds::No),
            ("hardly begun", text(0, 3), at(2000), Holds::Short),
        ] {
            let path = dir.path().join("app.log.1");
            fs::write(&path, &bytes).unwrap();
            assert_eq!(content(&path).unwrap().holds(&at), wanted, "{name}");
            // What is packed and whole is not short: it is something else.
            let path = dir.path().join("app.log.1.zst");
            fs::write(&path, zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
            let wanted = if wanted == Holds::Short { Holds::No } else { wanted };
            assert_eq!(content(&path).unwrap().holds(&at), wanted, "{name}, packed");
        }
    }

    #[test]
    fn what_is_still_being_packed_is_not_judged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log.1.zst");
        let packed = zstd::encode_all(&vec![b'x'; 100_000][..], 1).unwrap();
        for (length, is_judged) in [(0, false), (packed.len() / 2, false), (packed.len(), true)] {
            fs::write(&path, &packed[..length]).unwrap();
            assert_eq!(content(&path).is_some(), is_judged, "{length} bytes");
        }
    }
}
