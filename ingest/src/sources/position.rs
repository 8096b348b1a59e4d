//! Where a file was read up to, and what makes it that file: kept as a checkpoint in the queue.
//!
//! ```text
//! key   = "f" | device u64 | inode u64, or "p" | hash of the value 16 bytes, if no file has these contents now
//! value = version u8 = 3, 4 or 5 | flags u8 | at u64 | head length u16 | head hash 16 bytes
//!         | tail length u16 | tail hash 16 bytes | modified i64 (milliseconds since the epoch)
//!         | device u64 | inode u64, of the file that had them (version 4, or flag 16; under the keys "p")
//!         | target length u16 | target (version 5: the path is that of a symbolic link, and leads there) | path
//!         flags: 1 passing over the rest of a cut line, 2 packed, 4 read to its end for good, 8 not decided yet
//!         (no longer written), 16 the file that had the contents is known (version 5), 32 and 64 passing over further
//!         parts of a line of a container's stdout, stderr
//! ```
//! Integers little-endian. `at` counts unpacked bytes. Version 1 has neither tail nor time, version 2 no time.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::packed::has_packed_name;
use super::skipping::Skipping;

/// First bytes of the keys of files.
pub const FILE_KEYS: &[u8] = b"f";
/// First bytes of the keys of contents that no file has now: a copy of them may come to light.
pub const PAST_KEYS: &[u8] = b"p";
/// How many first bytes tell files apart.
pub const HEAD_BYTES: usize = 1024;
/// Longer paths are kept cut; they only help to find what was renamed.
const PATH_BYTES_MAX: usize = 1024;
const VERSION_WITH_TARGET: u8 = 5;
const VERSION_WITH_FILE: u8 = 4;
const VERSION: u8 = 3;
const VERSION_WITHOUT_TIME: u8 = 2;
const VERSION_WITHOUT_TAIL: u8 = 1;
/// How many bytes before the position tell that what was read is still there.
pub const TAIL_BYTES: usize = 1024;

/// Which file it is to the system, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

impl FileId {
    /// Of a file.
    pub fn of(metadata: &std::fs::Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The key of its checkpoint.
    pub fn key(self) -> Vec<u8> {
        [FILE_KEYS, &self.bytes()].concat()
    }

    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.device.to_le_bytes());
        bytes[8..].copy_from_slice(&self.inode.to_le_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8; 16]) -> FileId {
        let bits = u128::from_le_bytes(*bytes);
        FileId { device: bits as u64, inode: (bits >> 64) as u64 }
    }

    /// The file whose checkpoint has this key.
    pub fn of_key(key: &[u8]) -> Option<FileId> {
        let bytes = key.strip_prefix(FILE_KEYS)?.try_into().ok()?;
        Some(FileId::of_bytes(bytes))
    }
}

/// The first bytes of a file, as a hash. Grows with the file up to [`HEAD_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// How many bytes.
    pub length: u16,
    /// Their hash.
    pub hash: u128,
}

impl Head {
    /// Of a file that begins with `start`.
    pub fn of(start: &[u8]) -> Head {
        let start = start.get(..HEAD_BYTES).unwrap_or(start);
        Head { length: start.len() as u16, hash: xxh3_128(start) }
    }

    /// Whether a file that begins with `start` can be the same, grown.
    pub fn fits(&self, start: &[u8]) -> bool {
        start.get(..usize::from(self.length)).is_some_and(|start| self.length == 0 || xxh3_128(start) == self.hash)
    }
}

/// The bytes just before a position, as a hash: up to [`TAIL_BYTES`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How many bytes; none if they are not known.
    pub length: u16,
    /// Their hash.
    pub hash: u128,
}

impl Tail {
    /// Of a position that these bytes lie before.
    pub fn of(before: &[u8]) -> Tail {
        let tail = before.get(before.len().saturating_sub(TAIL_BYTES)..).unwrap_or(before);
        Tail { length: tail.len() as u16, hash: xxh3_128(tail) }
    }

    /// Whether these bytes can lie before the position.
    pub fn fits(&self, before: &[u8]) -> bool {
        let tail = before.len().checked_sub(usize::from(self.length)).and_then(|from| before.get(from..));
        tail.is_some_and(|tail| self.length == 0 || xxh3_128(tail) == self.hash)
    }
}

/// Where a file was read up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Everything before is stored; counts unpacked bytes.
    pub at: u64,
    /// What is passed over from there on, as a part of it is stored.
    pub skipping: Skipping,
    /// The file is packed.
    pub packed: bool,
    /// There will be nothing more.
    pub finished: bool,
    /// Whether it was never read was not known: earlier versions kept that.
    pub undecided: bool,
    /// How the file begins.
    pub head: Head,
    /// What stands before the position.
    pub tail: Tail,
    /// When it was written to last, as far as that was seen; milliseconds since the epoch, 0 if it was not.
    pub modified_ms: i64,
    /// Of contents that no file has: the file that had them. It may come back.
    pub was: Option<FileId>,
    /// The name under which it is asked for, or where it was.
    pub path: PathBuf,
    /// Where that led to, if it is a symbolic link.
    pub target: Option<PathBuf>,
}

impl Position {
    /// Where the file was, whatever links lead there.
    pub fn place(&self) -> &Path {
        self.target.as_deref().unwrap_or(&self.path)
    }

    /// Whether it says anything of the contents that a copy could be known by.
    pub fn tells_copies(&self) -> bool {
        !self.undecided && self.head.length > 0
    }

    /// The key under which it is kept when no file has these contents, whichever had them.
    pub fn past_key(&self) -> Vec<u8> {
        let position = Position { was: None, ..self.clone() };
        [PAST_KEYS, &xxh3_128(&position.encode()).to_le_bytes()].concat()
    }

    /// As the queue keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let version = match (&self.target, self.was) {
            (Some(_), _) => VERSION_WITH_TARGET,
            (None, Some(_)) => VERSION_WITH_FILE,
            (None, None) => VERSION,
        };
        let mut out = vec![version, self.skipping.flags() | flag(self.packed, 2) | flag(self.finished, 4)];
        out[1] |= flag(self.undecided, 8) | flag(self.target.is_some() && self.was.is_some(), 16);
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.head.length.to_le_bytes());
        out.extend_from_slice(&self.head.hash.to_le_bytes());
        out.extend_from_slice(&self.tail.length.to_le_bytes());
        out.extend_from_slice(&self.tail.hash.to_le_bytes());
        out.extend_from_slice(&self.modified_ms.to_le_bytes());
        out.extend(self.was.iter().flat_map(|file| file.bytes()));
        if let Some(target) = &self.target {
            let target = cut_path(target);
            out.extend_from_slice(&(target.len() as u16).to_le_bytes());
            out.extend_from_slice(target);
        }
        out.extend_from_slice(cut_path(&self.path));
        out
    }

    /// What was kept. `None`: of a later version, or damaged.
    pub fn decode(bytes: &[u8]) -> Option<Position> {
        let [version @ VERSION_WITHOUT_TAIL..=VERSION_WITH_TARGET, flags, rest @ ..] = bytes else { return None };
        let (at, rest) = rest.split_first_chunk()?;
        let (head, rest) = sample(rest)?;
        let (tail, rest) = if *version >= VERSION_WITHOUT_TIME { sample(rest)? } else { ((0, 0), rest) };
        let (modified, rest) = if *version >= VERSION { rest.split_first_chunk()? } else { (&[0; 8], rest) };
        let has_file = *version == VERSION_WITH_FILE || *version == VERSION_WITH_TARGET && flags & 16 != 0;
        let (was, rest) = match has_file {
            true => rest.split_first_chunk().map(|(file, rest)| (Some(FileId::of_bytes(file)), rest))?,
            false => (None, rest),
        };
        let (target, path) = if *version == VERSION_WITH_TARGET { target(rest)? } else { (None, rest) };
        Some(Position {
            at: u64::from_le_bytes(*at),
            skipping: Skipping::of_flags(*flags),
            packed: flags & 2 != 0,
            finished: flags & 4 != 0,
            undecided: flags & 8 != 0,
            head: Head { length: head.0, hash: head.1 },
            tail: Tail { length: tail.0, hash: tail.1 },
            modified_ms: i64::from_le_bytes(*modified),
            was,
            path: path_of(path),
            target,
        })
    }
}

fn cut_path(path: &Path) -> &[u8] {
    let path = path.as_os_str().as_bytes();
    path.get(..PATH_BYTES_MAX).unwrap_or(path)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// Where a link led to, and what stands behind it.
fn target(bytes: &[u8]) -> Option<(Option<PathBuf>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (target, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((Some(path_of(target)), rest))
}

/// A length, a hash, and what stands behind them.
fn sample(bytes: &[u8]) -> Option<((u16, u128), &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk()?;
    Some(((u16::from_le_bytes(*length), u128::from_le_bytes(*hash)), rest))
}

/// Whether a name can be one that rotation gives to a file named `original`: `app.log.1`, `app.log-20240101.gz`,
/// `app-2024.log` for `app.log`.
pub fn is_rotated_name(original: &Path, name: &Path) -> bool {
    let text = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    let (original, name) = (text(original), text(name));
    if original.is_empty() || name.len() <= original.len() {
        return false;
    }
    let stem = original.iter().rposition(|byte| *byte == b'.').and_then(|dot| original.get(..dot)).unwrap_or(&original);
    let joins = |start: &[u8]| {
        name.strip_prefix(start).and_then(<[u8]>::first).is_some_and(|byte| matches!(byte, b'.' | b'-' | b'_' | b'~'))
    };
    joins(&original) || !stem.is_empty() && joins(stem)
}

/// Whether rotation has given the name by itself: behind the original there are only numbers and dates, and an ending
/// of a packed file.
pub fn is_numbered_name(original: &Path, name: &Path) -> bool {
    if !is_rotated_name(original, name) {
        return false;
    }
    let text = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    let (original, mut name) = (text(original), text(name));
    if let Some(end) = name
        .iter()
        .rposition(|byte| *byte == b'.')
        .filter(|_| has_packed_name(Path::new(std::ffi::OsStr::from_bytes(&name))))
    {
        name.truncate(end);
    }
    let shared = original.iter().zip(&name).take_while(|(one, other)| one == other).count();
    let behind = name.get(shared..).unwrap_or_default();
    // `app-2024.log`: what stands behind the number stands in the original too.
    let ending = original.get(shared..).unwrap_or_default();
    let behind = behind.strip_suffix(ending).unwrap_or(behind);
    behind.iter().any(u8::is_ascii_digit) && behind.iter().all(|byte| byte.is_ascii_digit() || b".-_:TZ".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back() {
        let position = Position {
            at: u64::MAX - 1,
            skipping: Skipping::of_flags(97),
            packed: false,
            finished: true,
            undecided: true,
            head: Head::of(b"first bytes"),
            tail: Tail::of(b"last bytes"),
            modified_ms: 1_700_000_000_123,
            was: None,
            path: PathBuf::from("/var/log/app.log"),
            target: None,
        };
        let past = Position { was: Some(FileId { device: 3, inode: u64::MAX }), ..position.clone() };
        let target = Some(PathBuf::from("/var/log/pods/0.log"));
        let (link, past_link) =
            (Position { target: target.clone(), ..position.clone() }, Position { target, ..past.clone() });
        for position in [&past, &link, &past_link] {
            assert_eq!(Position::decode(&position.encode()).as_ref(), Some(position));
        }
        assert_eq!(past.past_key(), position.past_key());
        assert_eq!(past_link.past_key(), link.past_key());
        assert_eq!(Position::decode(&link.encode()[..60]), None);
        let bytes = position.encode();
        assert_eq!(bytes[0], 3);
        assert_eq!(Position::decode(&bytes), Some(position));
        assert_eq!(Position::decode(&bytes[..20]), None);
        // Version 1 had no tail, version 2 no time.
        for (version, length, tail) in [(1, 28, Tail::default()), (2, 46, Tail::of(b"last bytes"))] {
            let old = [&[version], &bytes[1..length], b"/var/log/old.log"].concat();
            let decoded = Position::decode(&old).unwrap();
            assert_eq!((decoded.head, decoded.tail, decoded.modified_ms), (Head::of(b"first bytes"), tail, 0));
            assert_eq!(decoded.path, Path::new("/var/log/old.log"));
        }
        assert_eq!(Position::decode(&[]), None);
        let id = FileId { device: 7, inode: u64::MAX };
        assert_eq!(FileId::of_key(&id.key()), Some(id));
        assert_eq!(FileId::of_key(b"fx"), None);
    }

    #[test]
    fn a_grown_file_is_the_same_and_another_is_not() {
        let head = Head::of(b"one");
        assert!(head.fits(b"one") && head.fits(b"one and more"));
        assert!(!head.fits(b"on") && !head.fits(b"two and more"));
        assert!(Head::of(b"").fits(b"anything"));
        let long = vec![b'x'; 5000];
        assert_eq!(Head::of(&long), Head::of(&long[..HEAD_BYTES]));
    }

    #[test]
    fn what_stands_before_a_position_tells_that_it_is_the_same() {
        let long: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        for (before, other, fits) in [
            (&b"abc"[..], &b"abc"[..], true),
            (b"abc", b"xabc", true),
            (b"abc", b"abd", false),
            (b"abc", b"bc", false),
            (b"", b"anything", true),
            (&long, &long[3000 - TAIL_BYTES..], true),
            (&long, &long[..TAIL_BYTES], false),
        ] {
            assert_eq!(Tail::of(before).fits(other), fits, "{before:?} {other:?}");
        }
    }

    #[test]
    fn names_that_rotation_gives_by_itself() {
        for (name, is) in [
            ("app.log.1", true),
            ("app.log.12.gz", true),
            ("app.log-20240101", true),
            ("app.log-20240101.zst", true),
            ("app-2024-01-01.log", true),
            ("app.log.old", false),
            ("app.log-extra.txt", false),
            ("app.log", false),
        ] {
            assert_eq!(is_numbered_name(Path::new("/a/app.log"), Path::new(name)), is, "{name}");
        }
    }

    #[test]
    fn names_that_rotation_gives() {
        for (name, is) in [
            ("app.log.1", true),
            ("app.log-20240101.gz", true),
            ("app-2024-01-01.log", true),
            ("app.log", false),
            ("apple.log", false),
            ("other.log.1", false),
        ] {
            assert_eq!(is_rotated_name(Path::new("/a/app.log"), Path::new(name)), is, "{name}");
        }
    }
}
