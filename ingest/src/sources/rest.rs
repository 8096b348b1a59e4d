//! Finding what is left of a file that is not where it was: renamed, copied before it was cut, packed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::packed::{Unpacker, has_packed_name};
use super::position::{FileId, HEAD_BYTES, Position, TAIL_BYTES, is_numbered_name, is_rotated_name};
use super::tracked::before;

/// Lists of a folder in which something happens all the time.
const LISTS_MAX: usize = 8;

/// A file of a folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: FileId,
    pub path: PathBuf,
    pub bytes: u64,
    pub modified: SystemTime,
    /// When it was made, or written to last if that was before: a copy may have the time of its original.
    pub born: SystemTime,
}

/// Folders as they are at one moment, each read once.
#[derive(Default)]
pub(super) struct Folders(HashMap<PathBuf, Option<Vec<Entry>>>);

impl Folders {
    /// The files of the folder that a path lies in; `None` if it cannot be read.
    pub(super) fn beside(&mut self, path: &Path) -> Option<&[Entry]> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.0.entry(folder.to_owned()).or_insert_with(|| settled(|| list(folder))).as_deref()
    }
}

/// Lists a folder until two lists in a row are equal. While files are renamed, one list can miss a file that was there
/// all the time, between its old name and its new one; taken for gone, it would be forgotten and read once more. So
/// what any of the lists has is there.
fn settled(mut list: impl FnMut() -> Option<Vec<Entry>>) -> Option<Vec<Entry>> {
    let mut entries = list()?;
    for _ in 1..LISTS_MAX {
        let mut again = list()?;
        let is_same = again.len() == entries.len()
            && again.iter().zip(&entries).all(|(one, other)| (one.id, &one.path) == (other.id, &other.path));
        let ids: HashSet<FileId> = again.iter().map(|entry| entry.id).collect();
        again.extend(entries.into_iter().filter(|entry| !ids.contains(&entry.id)));
        entries = again;
        if is_same {
            break;
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
    }
    Some(entries)
}

/// One list of a folder, by name.
fn list(folder: &Path) -> Option<Vec<Entry>> {
    let entries = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
        let path = entry.path();
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let born = metadata.created().map_or(modified, |created| created.min(modified));
        Some(Entry { id: FileId::of(&metadata), path, bytes: metadata.len(), modified, born })
    });
    let mut entries: Vec<Entry> = entries.collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Some(entries)
}

/// The first bytes of a file, unpacked.
pub(super) fn head_of(path: &Path) -> std::io::Result<Vec<u8>> {
    if has_packed_name(path) {
        return Ok(Unpacker::open(path)?.read_at(0, HEAD_BYTES).0.to_vec());
    }
    let mut start = Vec::new();
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// A packed file counts as written to the end when nothing was written for so long: what packs it gives it the time of
/// its original last.
const PACKED_AFTER: Duration = Duration::from_secs(2);
/// What cannot be unpacked after so long stays so.
const DAMAGED_AFTER: Duration = Duration::from_secs(60);

/// How the file of an entry begins, unpacked. `None`: it is being written or renamed, and it is too early to tell.
pub(super) fn settled_head(entry: &Entry) -> Option<Vec<u8>> {
    let metadata = fs::metadata(&entry.path).ok().filter(|metadata| FileId::of(metadata) == entry.id)?;
    let quiet = match metadata.modified().map(|at| at.elapsed()) {
        Ok(Ok(quiet)) => quiet,
        // Clocks differ a little; what is dated far ahead is not being written for that.
        Ok(Err(ahead)) if ahead.duration() < DAMAGED_AFTER => Duration::ZERO,
        Ok(Err(_)) | Err(_) => DAMAGED_AFTER,
    };
    let (head, is_whole) = if has_packed_name(&entry.path) {
        if quiet < PACKED_AFTER {
            return None;
        }
        match Unpacker::open(&entry.path) {
            Ok(mut unpacker) => {
                let head = unpacker.read_at(0, HEAD_BYTES).0.to_vec();
                (head, unpacker.fault().is_none())
            }
            Err(_) => (Vec::new(), false),
        }
    } else {
        match head_of(&entry.path) {
            Ok(head) => (head, true),
            Err(error) => (Vec::new(), error.kind() != std::io::ErrorKind::NotFound),
        }
    };
    // The name may have been given to another file in between.
    let is_same = fs::metadata(&entry.path).is_ok_and(|metadata| FileId::of(&metadata) == entry.id);
    (is_same && (is_whole || quiet >= DAMAGED_AFTER)).then_some(head)
}

/// Whether the file holds what was read up to a position: how it begins, and what stands before the position.
pub(super) fn holds(path: &Path, position: &Position) -> bool {
    if !head_of(path).is_ok_and(|head| position.head.fits(&head)) {
        return false;
    }
    if position.tail.length == 0 {
        return true;
    }
    let from = position.at.saturating_sub(TAIL_BYTES as u64);
    let length = usize::try_from(position.at - from).unwrap_or(TAIL_BYTES);
    let before = if has_packed_name(path) {
        Unpacker::open(path).map(|mut unpacker| unpacker.read_at(from, length).0.to_vec())
    } else {
        File::open(path).and_then(|file| before(&file, position.at))
    };
    before.is_ok_and(|before| position.tail.fits(&before))
}

/// The same file under another name, if it holds what was read and is no shorter.
pub(super) fn renamed(folders: &mut Folders, id: FileId, position: &Position) -> Option<Entry> {
    // What is packed was never followed as text: it only has the inode of a file that is gone.
    let is_it = |entry: &&Entry| entry.id == id && has_packed_name(&entry.path) == position.packed;
    let entry = folders.beside(&position.path)?.iter().find(is_it)?.clone();
    let is_whole = position.packed || entry.bytes >= position.at;
    (is_whole && holds(&entry.path, position)).then_some(entry)
}

/// A copy of the file that `position` is of, which holds what was not read of it; packed copies too. `is_known` says
/// of which files it is known what was read.
pub(super) fn copied(folders: &mut Folders, position: &Position, is_known: impl Fn(&Entry) -> bool) -> Option<Entry> {
    if !position.head.tells_copies() {
        return None;
    }
    let mut candidates: Vec<&Entry> = folders
        .beside(&position.path)?
        .iter()
        .filter(|entry| is_rotated_name(&position.path, &entry.path) && !is_known(entry))
        .filter(|entry| has_packed_name(&entry.path) || entry.bytes >= position.at)
        .collect();
    candidates.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
    candidates.into_iter().find(|entry| holds(&entry.path, position)).cloned()
}

/// Files beside one that rotation has left, the oldest first.
pub(super) fn rotated(folders: &mut Folders, path: &Path) -> Vec<Entry> {
    let mut found: Vec<Entry> = folders
        .beside(path)
        .unwrap_or_default()
        .iter()
        .filter(|entry| is_numbered_name(path, &entry.path))
        .cloned()
        .collect();
    found.sort_by(|one, other| (one.modified, &one.path).cmp(&(other.modified, &other.path)));
    found
}

/// Names under which the file may have been before it got this one: what stands before a `.`, `-`, `_` or `~`.
pub(super) fn original_names(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let ending = path.extension().and_then(|ending| ending.to_str());
    let mut names = Vec::new();
    for (at, _) in name.match_indices(['.', '-', '_', '~']) {
        let start = &name[..at];
        names.push(path.with_file_name(start));
        names.extend(ending.map(|ending| path.with_file_name(format!("{start}.{ending}"))));
    }
    names.retain(|original| is_rotated_name(original, path));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::position::Head;

    #[test]
    fn what_was_renamed_or_copied_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let text = "first line of some length\nsecond line\n";
        fs::write(&path, text).unwrap();
        let id = FileId::of(&fs::metadata(&path).unwrap());
        let position = Position { at: 10, head: Head::of(text.as_bytes()), path: path.clone(), ..Position::default() };
        fs::rename(&path, dir.path().join("app.log.1")).unwrap();
        let find = || renamed(&mut Folders::default(), id, &position).map(|entry| entry.path);
        assert_eq!(find(), Some(dir.path().join("app.log.1")));
        assert!(copied(&mut Folders::default(), &position, |_| true).is_none());
        let found = copied(&mut Folders::default(), &position, |_| false).unwrap();
        assert_eq!(found.id, id);
        let unread = || {
            let position = Position { path: path.clone(), ..Position::default() };
            renamed(&mut Folders::default(), id, &position).map(|entry| entry.path)
        };
        assert_eq!(unread(), Some(dir.path().join("app.log.1")));
        // A packed file that has the inode of one that was never read is not that one.
        fs::rename(dir.path().join("app.log.1"), dir.path().join("app.log.1.gz")).unwrap();
        assert_eq!(unread(), None);
        fs::rename(dir.path().join("app.log.1.gz"), dir.path().join("app.log.1")).unwrap();
        fs::write(dir.path().join("app.log.1"), "other").unwrap();
        assert_eq!(find(), None);
        fs::write(dir.path().join("app.log.2.zst"), zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        let found = copied(&mut Folders::default(), &position, |_| false).unwrap();
        assert_eq!(found.path, dir.path().join("app.log.2.zst"));
        assert_eq!(rotated(&mut Folders::default(), &path).len(), 2);
    }

    /// Lists as they come while files are renamed: each a row of inodes and names.
    #[test]
    fn a_file_that_is_renamed_during_a_list_is_not_missed() {
        let rows: [&[(u64, &str)]; 4] = [
            // 7 was not under its new name yet, then not under its old one any more.
            &[(5, "app.log.1"), (9, "app.log")],
            &[(5, "app.log.2"), (7, "app.log.1"), (9, "app.log")],
            // The other way round.
            &[(5, "app.log.3"), (9, "app.log.1")],
            &[(5, "app.log.3"), (9, "app.log.1")],
        ];
        let entry = |(inode, name): &(u64, &str)| Entry {
            id: FileId { device: 1, inode: *inode },
            path: PathBuf::from(name),
            bytes: 0,
            modified: SystemTime::UNIX_EPOCH,
            born: SystemTime::UNIX_EPOCH,
        };
        for first in 0..2 {
            let mut lists = rows[first..].iter();
            let found = settled(|| lists.next().or(rows.last()).map(|row| row.iter().map(entry).collect())).unwrap();
            let mut found: Vec<_> = found.iter().map(|entry| (entry.id.inode, entry.path.to_str().unwrap())).collect();
            found.sort_unstable();
            assert_eq!(found, [(5, "app.log.3"), (7, "app.log.1"), (9, "app.log.1")], "from list {first} on");
        }
    }

    #[test]
    fn names_before_rotation() {
        let names = |name: &str| original_names(Path::new(name));
        assert!(names("/a/app.log.1").contains(&PathBuf::from("/a/app.log")));
        assert!(names("/a/app-2024.log").contains(&PathBuf::from("/a/app.log")));
        assert!(names("/a/app").is_empty());
    }
}
