//! Folders that patterns go through and that may not be entered or listed: patterns pass over them as if nothing were in
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::settings::FileSource;
use super::waking::{fixed_folder, has_wildcards};

/// What may not be done with a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// No file in it may be opened.
    Entering,
    /// Its files cannot be found.
    Listing,
}

impl FileSource {
    /// Folders that may not be entered or listed, though files are asked for in them.
    pub(super) fn closed_folders(&self) -> BTreeMap<PathBuf, Closed> {
        let mut found = BTreeMap::new();
        for pattern in &self.paths {
            let fixed = fixed_folder(pattern);
            found.extend(closed(&fixed));
            let folder = Path::new(pattern).parent().unwrap_or(Path::new(""));
            let (mut through, behind) = match folder.strip_prefix(&fixed) {
                Ok(behind) => (fixed.clone(), behind),
                Err(_) => (PathBuf::new(), folder),
            };
            let mut behind = behind.components().peekable();
            while let Some(part) = behind.next() {
                through.push(part);
                let is_listed = behind.peek().is_none_or(|next| has_wildcards(*next));
                let folders = through.to_str().and_then(|through| glob::glob(through).ok()).into_iter().flatten();
                let closed = folders.flatten().filter_map(|folder| closed(&folder));
                found.extend(closed.filter(|(_, closed)| is_listed || *closed == Closed::Entering));
            }
        }
        found.retain(|folder, _| !self.excludes(&folder.join("any")));
        found
    }
}

/// The folder on the way to this one, or itself, that keeps its files from being found. One that is not there keeps none.
pub(super) fn closed(folder: &Path) -> Option<(PathBuf, Closed)> {
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let may_not_be_entered = |folder: &Path| fs::metadata(folder.join(".")).is_err_and(is_refused);
    if may_not_be_entered(folder) {
        let mut way: Vec<&Path> = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
        way.reverse();
        let first = way.into_iter().find(|folder| may_not_be_entered(folder)).unwrap_or(folder);
        return Some((first.to_owned(), Closed::Entering));
    }
    fs::read_dir(folder).is_err_and(is_refused).then(|| (folder.to_owned(), Closed::Listing))
}
