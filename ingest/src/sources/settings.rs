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
    /// All lines of these paths from their beginning, each by itself; nothing else is said.
    pub fn of(paths: Vec<String>) -> FileSource {
        FileSource {
            paths,
            exclude: Vec::new(),
            service: None,
            format: None,
            multiline: Multiline::Off,
            start: Start::Beginning,
            read_rotated: false,
        }
    }

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

/// Most patterns that one with alternatives stands for.
pub const ALTERNATIVES_MAX: usize = 256;

/// Why a pattern's braces do not stand for alternatives.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BraceError {
    /// A brace has none that belongs to it.
    #[error("`{brace}` has no other brace that belongs to it; put one that is meant into brackets: [{brace}]")]
    Alone {
        /// Where it stands, in bytes.
        at: usize,
        /// Which one it is.
        brace: char,
    },
    /// There are too many alternatives.
    #[error(
        "it stands for more than {ALTERNATIVES_MAX} patterns; write * for some of the alternatives, or several entries"
    )]
    TooMany,
}

/// The patterns that one with alternatives (`{a,b}`, also within each other) stands for, in order. Braces without a comma
/// stand for themselves, as those in brackets do (`[{]`).
///
/// Errors: a brace is alone, or there are more than [`ALTERNATIVES_MAX`].
pub fn alternatives(pattern: &str) -> Result<Vec<String>, BraceError> {
    check_braces(pattern)?;
    let (mut whole, mut open) = (Vec::new(), vec![pattern.to_owned()]);
    // The first group is taken apart each time, so that the patterns come in order.
    while let Some(pattern) = open.pop() {
        match first_group(&pattern) {
            Some((from, parts, to)) => {
                let (before, behind) = (&pattern[..from], &pattern[to..]);
                if whole.len() + open.len() + parts.len() > ALTERNATIVES_MAX {
                    return Err(BraceError::TooMany);
                }
                open.extend(parts.iter().rev().map(|part| format!("{before}{part}{behind}")));
            }
            None => whole.push(pattern),
        }
    }
    Ok(whole)
}

/// Braces and commas that do not stand in brackets, and where.
fn signs(pattern: &str) -> Vec<(usize, char)> {
    // Where the brackets end that were met last.
    let (mut found, mut behind) = (Vec::new(), 0);
    for (at, sign) in pattern.char_indices().filter(|(_, sign)| matches!(sign, '{' | '}' | ',' | '[')) {
        if at < behind {
            continue;
        }
        if sign != '[' {
            found.push((at, sign));
            continue;
        }
        // A `]` that comes first is one of the characters that the brackets stand for.
        let first = if pattern[at + 1..].starts_with('!') { 2 } else { 1 };
        let end = pattern[at + 1..].char_indices().skip(first).find(|(_, sign)| *sign == ']');
        behind = end.map_or(behind, |(end, _)| at + 1 + end);
    }
    found
}

fn check_braces(pattern: &str) -> Result<(), BraceError> {
    let mut open = Vec::new();
    for (at, brace) in signs(pattern) {
        match brace {
            '{' => open.push(at),
            '}' if open.pop().is_none() => return Err(BraceError::Alone { at, brace }),
            _ => {}
        }
    }
    open.first().map_or(Ok(()), |at| Err(BraceError::Alone { at: *at, brace: '{' }))
}

/// The first outermost group of alternatives: where it begins, what it has, and where what follows begins.
fn first_group(pattern: &str) -> Option<(usize, Vec<&str>, usize)> {
    // Groups that are open: where each begins, and its commas.
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut first: Option<(usize, Vec<usize>, usize)> = None;
    for (at, sign) in signs(pattern) {
        match sign {
            '{' => open.push((at, Vec::new())),
            ',' => open.iter_mut().last().into_iter().for_each(|(_, commas)| commas.push(at)),
            _ => {
                let (from, commas) = open.pop()?;
                if !commas.is_empty() && first.as_ref().is_none_or(|(first, ..)| from < *first) {
                    first = Some((from, commas, at));
                }
            }
        }
    }
    let (from, commas, end) = first?;
    let starts = [from].into_iter().chain(commas.iter().copied());
    let ends = commas.iter().copied().chain([end]);
    Some((from, starts.zip(ends).map(|(start, end)| &pattern[start + 1..end]).collect(), end + 1))
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
    /// Which entries are joined.
    pub multiline: Multiline,
    /// Where the journal is begun at the first start.
    pub start: Start,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_patterns_of_their_own() {
        for (pattern, wanted) in [
            ("/a/*.log", vec!["/a/*.log"]),
            ("/a/{x,y}/*.{log,txt}", vec!["/a/x/*.log", "/a/x/*.txt", "/a/y/*.log", "/a/y/*.txt"]),
            ("{a,b{1,2},}c", vec!["ac", "b1c", "b2c", "c"]),
            ("{{a,b},{c,d}}", vec!["a", "b", "c", "d"]),
            ("{a}{b,c}", vec!["{a}b", "{a}c"]),
            ("{x{a,b}}", vec!["{xa}", "{xb}"]),
            ("a[{]b,c[}]", vec!["a[{]b,c[}]"]),
            ("{a,[]},]}", vec!["a", "[]},]"]),
            ("{[!]},]x,b}", vec!["[!]},]x", "b"]),
            ("{[é,]{a,b},c}", vec!["[é,]a", "[é,]b", "c"]),
            ("é{ü,ö}", vec!["éü", "éö"]),
            ("a,b", vec!["a,b"]),
        ] {
            assert_eq!(alternatives(pattern).unwrap(), wanted, "{pattern}");
        }
    }

    #[test]
    fn braces_that_are_alone_are_told_with_their_place() {
        for (pattern, at, brace) in
            [("/a/{x,y", 3, '{'), ("/a/{x,{y}", 3, '{'), ("/a/x,y}", 6, '}'), ("{a,b}}", 5, '}'), ("é{", 2, '{')]
        {
            assert_eq!(alternatives(pattern), Err(BraceError::Alone { at, brace }), "{pattern}");
        }
    }

    #[test]
    fn there_are_only_so_many_alternatives() {
        assert_eq!(alternatives(&"{a,b}".repeat(8)).map(|all| all.len()), Ok(256));
        assert_eq!(alternatives(&"{a,b}".repeat(5000)), Err(BraceError::TooMany));
        let many = format!("{{{}}}", ",".repeat(256));
        assert_eq!(alternatives(&many), Err(BraceError::TooMany));
        let nested = "{".repeat(5000) + &"}".repeat(5000);
        assert_eq!(alternatives(&nested).map(|all| all.len()), Ok(1));
    }
}
