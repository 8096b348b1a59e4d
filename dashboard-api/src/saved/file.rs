//! Saved searches and queries on disk: one small file of JSON, replaced as a whole.
//!
//! ```text
//! {"watchfire": "saved", "version": 1, "saved": {NAME: {"saved_at": TIME, "q": …, …}}}
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use watchfire_model::Timestamp;

/// What the file says it is.
const KIND: &str = "saved";
/// Version that is written; later ones are refused.
const VERSION: u64 = 1;
/// Most entries.
pub const ENTRIES_MAX: usize = 1000;
/// Most bytes of an entry, as JSON.
pub const ENTRY_BYTES_MAX: usize = 16 << 10;
/// Most bytes of the file.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Longest name, characters.
pub const NAME_CHARS_MAX: usize = 100;

/// An entry: what was sent, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it was saved.
    pub saved_at: Timestamp,
    /// The members that were sent.
    pub members: Map<String, Value>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It was written by a later version.
    #[error("{} is of version {version}, written by a later version of this program; use that one, or move the file away to begin without saved searches", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
}

/// Why something was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// There are too many.
    #[error("there are {ENTRIES_MAX} saved searches already; delete some")]
    TooMany,
    /// All of them together are too long.
    #[error("all saved searches together would be longer than {FILE_BYTES_MAX} bytes; delete some")]
    TooLarge,
    /// The file cannot be written; what was there before is still there.
    #[error("the file of saved searches cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// All entries. What is in memory is on disk.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    /// The file was damaged when it was opened.
    was_damaged: bool,
    /// Guards the entries and the file: one change at a time.
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Saved {
    /// Reads the file; there need be none yet. A damaged one is set aside as `saved.damaged`, and nothing is saved then.
    pub fn open(path: PathBuf) -> Result<Saved, OpenError> {
        // What a crash left of a change, if there is any.
        let _ = std::fs::remove_file(unfinished(&path));
        let read = match std::fs::read(&path) {
            Ok(bytes) => read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let was_damaged = matches!(read, Err(Fault::Damaged(_)));
        let entries = match read {
            Ok(entries) => entries,
            Err(Fault::Newer(version)) => return Err(OpenError::Newer { path, version }),
            Err(Fault::Damaged(reason)) => {
                let aside = path.with_extension("damaged");
                tracing::error!(path = %path.display(), aside = %aside.display(), %reason, "the file of saved searches is damaged and set aside; there are none now");
                std::fs::rename(&path, aside).map_err(|source| OpenError::Io { path: path.clone(), source })?;
                BTreeMap::new()
            }
        };
        Ok(Saved { path, was_damaged, entries: Mutex::new(entries) })
    }

    /// Whether the file was damaged when it was opened.
    pub fn was_damaged(&self) -> bool {
        self.was_damaged
    }

    /// All of them by name.
    pub fn list(&self) -> Vec<(String, Entry)> {
        self.entries.lock().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<Entry> {
        self.entries.lock().get(name).cloned()
    }

    /// Keeps an entry, in place of one of its name; true if there was none. It is on disk when this returns. Blocks.
    pub fn put(&self, name: &str, entry: Entry) -> Result<bool, SaveError> {
        let mut entries = self.entries.lock();
        let mut changed = entries.clone();
        let is_new = changed.insert(name.to_owned(), entry).is_none();
        if changed.len() > ENTRIES_MAX {
            return Err(SaveError::TooMany);
        }
        let text = text_of(&changed);
        if text.len() > FILE_BYTES_MAX {
            return Err(SaveError::TooLarge);
        }
        replace(&self.path, text.as_bytes())?;
        *entries = changed;
        Ok(is_new)
    }

    /// Takes an entry out; false if there is none. Blocks.
    pub fn delete(&self, name: &str) -> Result<bool, SaveError> {
        let mut entries = self.entries.lock();
        let mut changed = entries.clone();
        if changed.remove(name).is_none() {
            return Ok(false);
        }
        replace(&self.path, text_of(&changed).as_bytes())?;
        *entries = changed;
        Ok(true)
    }
}

/// Whether a text may name an entry.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    let edge = |c: char| c == ' ' || c == '.';
    !name.is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && name.chars().all(plain)
        && !name.starts_with(edge)
        && !name.ends_with(edge)
}

fn text_of(entries: &BTreeMap<String, Entry>) -> String {
    let entry = |entry: &Entry| {
        let mut members = entry.members.clone();
        members.insert("saved_at".to_owned(), json!(entry.saved_at.to_rfc3339()));
        Value::Object(members)
    };
    let saved: Map<String, Value> = entries.iter().map(|(name, of)| (name.clone(), entry(of))).collect();
    json!({"watchfire": KIND, "version": VERSION, "saved": saved}).to_string()
}

/// What is wrong with the bytes of a file.
#[derive(Debug)]
enum Fault {
    Newer(u64),
    Damaged(String),
}

fn read(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, Fault> {
    let damaged = Fault::Damaged;
    let file: Value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if file["watchfire"] != KIND {
        return Err(damaged("no file of saved searches".to_owned()));
    }
    match file["version"].as_u64() {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(Fault::Newer(version)),
        _ => return Err(damaged("no version".to_owned())),
    }
    let saved = file["saved"].as_object().ok_or_else(|| damaged("`saved` is no object".to_owned()))?;
    let mut entries = BTreeMap::new();
    for (name, entry) in saved {
        let mut members = entry.as_object().cloned().ok_or_else(|| damaged(format!("`{name}` is no object")))?;
        let saved_at = members.remove("saved_at");
        let saved_at = saved_at.as_ref().and_then(Value::as_str).and_then(Timestamp::parse_date_time);
        let saved_at = saved_at.ok_or_else(|| damaged(format!("`{name}` has no time")))?;
        if !is_name(name) {
            return Err(damaged(format!("`{name}` is no name")));
        }
        entries.insert(name.clone(), Entry { saved_at, members });
    }
    Ok(entries)
}

/// A file that is to replace the one at `path`.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

/// Puts a new file in place of the old one: whoever reads it, also after a power cut, sees one or the other.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = unfinished(path);
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(q: &str) -> Entry {
        let members = Map::from_iter([("q".to_owned(), json!(q))]);
        Entry { saved_at: Timestamp::from_millis(1_714_550_400_123), members }
    }

    #[test]
    fn what_is_saved_is_there_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("saved.json");
        let saved = Saved::open(path.clone()).expect("opens");
        assert!(saved.put("errors", entry("level:error")).expect("written"));
        assert!(!saved.put("errors", entry("level:>=error")).expect("written"));
        assert!(saved.put("b", entry("x")).expect("written"));
        assert!(saved.delete("b").expect("written"));
        assert!(!saved.delete("b").expect("nothing to write"));
        let again = Saved::open(path.clone()).expect("opens");
        assert_eq!(again.list(), [("errors".to_owned(), entry("level:>=error"))]);
        assert_eq!(again.get("errors"), Some(entry("level:>=error")));
        // A file that was being written when the power went is not looked at.
        std::fs::write(dir.path().join("saved.json.new"), b"{").expect("written");
        assert_eq!(Saved::open(path).expect("opens").list().len(), 1);
    }

    #[test]
    fn newer_files_are_refused_and_damaged_ones_are_set_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("saved.json");
        for (text, told) in [
            ("", "EOF while parsing"),
            ("{", "EOF while parsing"),
            ("{}", "no file of saved searches"),
            (r#"{"watchfire":"saved","saved":{}}"#, "no version"),
            (r#"{"watchfire":"saved","version":1,"saved":[]}"#, "`saved` is no object"),
            (r#"{"watchfire":"saved","version":1,"saved":{"a":{}}}"#, "`a` has no time"),
        ] {
            match read(text.as_bytes()) {
                Err(Fault::Damaged(reason)) => assert!(reason.contains(told), "{text}: {reason}"),
                other => panic!("{text}: {other:?}"),
            }
            std::fs::write(&path, text).expect("written");
            let saved = Saved::open(path.clone()).expect("it does not stop the start");
            assert_eq!((saved.list(), saved.was_damaged()), (Vec::new(), true), "{text}");
            assert_eq!(std::fs::read(path.with_extension("damaged")).expect("kept"), text.as_bytes());
            saved.put("errors", entry("level:error")).expect("written");
            assert!(!Saved::open(path.clone()).expect("opens").was_damaged(), "{text}");
        }
        std::fs::write(&path, r#"{"watchfire":"saved","version":2,"saved":{}}"#).expect("written");
        let error = Saved::open(path.clone()).expect_err("it is refused").to_string();
        assert!(error.contains("a later version") && error.contains("move the file away"), "{error}");
        let kept = r#"{"watchfire":"saved","version":1,"saved":{"errors":{"saved_at":"2024-05-01T08:00:00.123Z","q":"level:error"}}}"#;
        std::fs::write(&path, kept).expect("written");
        assert_eq!(Saved::open(path).expect("version 1 is read").list(), [("errors".to_owned(), entry("level:error"))]);
    }

    #[test]
    fn there_is_a_limit() {
        let dir = tempfile::tempdir().expect("a folder");
        let saved = Saved::open(dir.path().join("saved.json")).expect("opens");
        let long = "x".repeat(ENTRY_BYTES_MAX);
        let mut count = 0;
        let refused = loop {
            match saved.put(&format!("n{count}"), entry(&long)) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, SaveError::TooLarge), "{refused}");
        assert_eq!(saved.list().len(), count, "nothing of what was refused is kept");
    }

    #[test]
    fn names() {
        for good in ["errors", "Errors of checkout", "ärger-2.0", "a_b"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", " a", "a ", ".", "..", ".a", "a/b", "a\nb", "a\"b", &"x".repeat(101)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
