//! What is read, as the configuration says it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::multiline::Multiline;

/// Where a file that is met at the first start is begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// All of it is read.
    #[default]
    Beginning,
    /// Only what is written from now on.
    End,
}

/// One entry of `sources.files`.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSource {
    /// Paths with wildcards; all of them are one source.
    pub paths: Vec<String>,
    /// What of them is left out.
    pub exclude: Vec<Pattern>,
    /// Service of its records; the file's name up to its first dot if it is not given.
    pub service: Option<String>,
    /// Format of its lines, by name; found out line by line if it is not given.
    pub format: Option<String>,
    /// Which lines are joined.
    pub multiline: Multiline,
    /// Where files that are there at the first start are begun.
    pub start: Start,
    /// Whether files that were rotated before the first start are read first, also packed ones.
    pub read_rotated: bool,
}

impl FileSource {
    /// Its name in metrics: the first path.
    pub fn name(&self) -> &str {
        self.paths.first().map_or("", String::as_str)
    }

    /// Whether a file is left out: by a pattern for its whole path, or for its name.
    pub fn excludes(&self, path: &Path) -> bool {
        let name = path.file_name().map(Path::new);
        self.exclude
            .iter()
            .any(|pattern| pattern.matches_path(path) || name.is_some_and(|name| pattern.matches_path(name)))
    }

    /// The files that are there now, in order; and how many names could not be looked at.
    pub fn list(&self) -> (Vec<PathBuf>, usize) {
        let (mut found, mut failed) = (Vec::new(), 0);
        for path in &self.paths {
            // Patterns are checked when the configuration is read.
            let Ok(paths) = glob::glob(path) else { continue };
            for path in paths {
                match path {
                    Ok(path) if !self.excludes(&path) && !super::packed::has_packed_name(&path) => found.push(path),
                    Ok(_) => {}
                    Err(_) => failed += 1,
                }
            }
        }
        found.sort();
        found.dedup();
        (found, failed)
    }

    /// Files that would be read if their names were UTF-8: patterns pass over such names.
    pub fn list_unreadable(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in self.paths.iter().map(Path::new) {
            let name = path.file_name().and_then(|name| Pattern::new(name.to_str()?).ok());
            let (Some(pattern), Some(folder)) = (name, path.parent().and_then(Path::to_str)) else { continue };
            // A `**` at the end stands for no folder too, which `glob` leaves out.
            let folders = [Some(folder), folder.strip_suffix("**")].into_iter().flatten();
            let folders = folders.map(|folder| if folder.is_empty() { "." } else { folder });
            let folders = folders.filter_map(|folder| glob::glob(folder).ok()).flatten().flatten();
            let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
            for path in entries.map(|entry| entry.path()).filter(|path| path.file_name().is_some_and(is_not_utf8)) {
                // As it is shown, which patterns can be held against.
                let shown = PathBuf::from(path.to_string_lossy().into_owned());
                let is_meant = shown.file_name().is_some_and(|name| pattern.matches_path(Path::new(name)));
                if is_meant && !self.excludes(&shown) && !super::packed::has_packed_name(&shown) && path.is_file() {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Whether a path is one of this source.
    pub fn matches(&self, path: &Path) -> bool {
        let of = |text: &String| Pattern::new(text).is_ok_and(|pattern| pattern.matches_path(path));
        self.paths.iter().any(of) && !self.excludes(path)
    }
}

fn is_not_utf8(name: &OsStr) -> bool {
    name.to_str().is_none()
}

/// `sources.journald`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalSource {
    /// Only these units; all when empty.
    pub units: Vec<String>,
    /// A folder of journal files instead of this machine's.
    pub directory: Option<PathBuf>,
    /// Where the journal is begun at the first start.
    pub start: Start,
}
