//! Folders as they are at one moment, though files are renamed in them, and the names that rotation gives.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::packed::has_packed_name;
use super::position::{FileId, Position, is_rotated_name};

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
    /// It was there a moment ago, and may be gone or have another name now.
    pub is_past: bool,
}

/// Folders as they are at one moment, each read once.
#[derive(Default)]
pub(super) struct Folders(HashMap<PathBuf, Option<Vec<Entry>>>);

impl Folders {
    /// The files of the folder that a path lies in, by name; `None` if it cannot be read.
    pub(super) fn beside(&mut self, path: &Path) -> Option<&[Entry]> {
        let folder = path.parent().unwrap_or(Path::new(""));
        self.0.entry(folder.to_owned()).or_insert_with(|| settled(|| list(folder))).as_deref()
    }

    /// The file that has a name.
    pub(super) fn at(&mut self, path: &Path) -> Option<Entry> {
        let Some(entries) = self.beside(path) else {
            // Its folder may not be listed, but entered.
            return entry_of(path.to_owned());
        };
        let from = entries.partition_point(|entry| entry.path.as_path() < path);
        let mut named = entries.iter().skip(from).take_while(|entry| entry.path == path);
        named.find(|entry| !entry.is_past).cloned()
    }

    /// The file that has an inode, whatever its name, where files beside `near` are, or beside what that links to.
    /// What is packed was never followed as text: if its inode was known as that, it only has it from a file that is
    /// gone.
    pub(super) fn with_id(&mut self, near: &Path, id: FileId, packed: bool) -> Option<Entry> {
        let is_it = |entry: &&Entry| entry.id == id && has_packed_name(&entry.path) == packed;
        if let Some(found) = self.beside(near).unwrap_or_default().iter().find(is_it) {
            return Some(found.clone());
        }
        let target = fs::read_link(near).and_then(|_| fs::canonicalize(near)).ok()?;
        self.beside(&target)?.iter().find(is_it).cloned()
    }

    /// The file that was read to a position, if it is where it was, or beside that, or beside what its name leads to now.
    pub(super) fn of_position(&mut self, position: &Position, id: FileId) -> Option<Entry> {
        let found = self.with_id(position.place(), id, position.packed);
        found.or_else(|| position.target.as_ref().and_then(|_| self.with_id(&position.path, id, position.packed)))
    }

    /// All that was found in the folders that were listed.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.0.values().flatten().flatten()
    }

    /// Whether the folder of a path was listed.
    pub(super) fn has_listed(&self, path: &Path) -> bool {
        path.parent().and_then(|folder| self.0.get(folder)).is_some_and(Option::is_some)
    }
}

/// Lists a folder until two lists in a row are equal. While files are renamed, one list can miss a file that was there
/// all the time, between its old name and its new one; taken for gone, it would be forgotten and read once more. So
/// what any of the lists has is there.
fn settled(mut list: impl FnMut() -> Option<Vec<Entry>>) -> Option<Vec<Entry>> {
    let mut entries = list()?;
    let mut missed: Vec<Entry> = Vec::new();
    for _ in 1..LISTS_MAX {
        let again = list()?;
        let is_same = again.len() == entries.len()
            && again.iter().zip(&entries).all(|(one, other)| (one.id, &one.path) == (other.id, &other.path));
        let ids: HashSet<FileId> = again.iter().map(|entry| entry.id).collect();
        let before = std::mem::replace(&mut entries, again).into_iter().chain(std::mem::take(&mut missed));
        missed =
            before.filter(|entry| !ids.contains(&entry.id)).map(|entry| Entry { is_past: true, ..entry }).collect();
        if is_same {
            break;
        }
    }
    entries.append(&mut missed);
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Some(entries)
}

/// One list of a folder, by name. The empty path is the working folder.
fn list(folder: &Path) -> Option<Vec<Entry>> {
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(listed).ok()?.flatten();
    let mut entries: Vec<Entry> = entries.filter_map(|entry| entry_of(folder.join(entry.file_name()))).collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Some(entries)
}

/// The file that has a name now.
pub(super) fn entry_of(path: PathBuf) -> Option<Entry> {
    let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let born = metadata.created().map_or(modified, |created| created.min(modified));
    Some(Entry { id: FileId::of(&metadata), path, bytes: metadata.len(), modified, born, is_past: false })
}

/// A file's time, in milliseconds since the epoch.
pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
            is_past: false,
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
