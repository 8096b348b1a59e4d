//! The list of a backup's files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// Name of the list's file.
pub const FILE: &str = "WATCHFIRE-BACKUP.json";
/// Version of the list.
const VERSION: u32 = 1;
/// Largest list that is read, bytes.
pub(crate) const BYTES_MAX: u64 = 256 << 20;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this list.
    #[serde(rename = "watchfire_backup")]
    version: u32,
    /// Version of the program that made it.
    pub program: String,
    /// When the cut was made, RFC 3339.
    pub created: String,
    /// Name (with `/` between its parts) → length and checksum.
    pub files: BTreeMap<String, FileEntry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// XXH3 of its bytes, 64 bits, as 16 hex digits.
    pub xxh3: String,
}

/// Why a folder is no whole backup.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is no list: this is no backup, or one that was not finished.
    #[error("{}: there is no {FILE}; this is no backup, or one that broke off", dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
    },
    /// The list cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The list's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was made by a later version of the program.
    #[error("this backup is of version {version}, made by watchfire {program}; restore it with that one")]
    Newer {
        /// Version of the list.
        version: u32,
        /// Version of the program.
        program: String,
    },
    /// A file is missing or not what it was; all of them.
    #[error("damaged files of the backup: {} ({})", files.len(), files.join("; "))]
    Damaged {
        /// Each with what is wrong.
        files: Vec<String>,
    },
    /// The list names a file outside the backup.
    #[error("the list names `{name}`, which is no place inside a backup")]
    Outside {
        /// The name.
        name: String,
    },
}

impl Manifest {
    /// An empty list.
    pub(crate) fn new(program: &str, created: &str) -> Manifest {
        Manifest { version: VERSION, program: program.to_owned(), created: created.to_owned(), files: BTreeMap::new() }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// As it stands in its file.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }

    /// Reads the list of a backup in a folder, without looking at the files.
    ///
    /// Errors: it is not there, not readable, of a later version, or names places outside the folder.
    pub fn read(dir: &Path) -> Result<Manifest, ManifestError> {
        let path = dir.join(FILE);
        let unreadable = |reason: String| ManifestError::Unreadable { path: path.clone(), reason };
        let mut text = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ManifestError::Missing { dir: dir.to_owned() });
            }
            Err(error) => return Err(unreadable(error.to_string())),
            Ok(file) => {
                file.take(BYTES_MAX).read_to_end(&mut text).map_err(|error| unreadable(error.to_string()))?;
            }
        }
        let head: Head = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if head.version > VERSION {
            return Err(ManifestError::Newer { version: head.version, program: head.program });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        match manifest.files.keys().find(|name| !is_inside(name)) {
            Some(name) => Err(ManifestError::Outside { name: name.clone() }),
            None => Ok(manifest),
        }
    }

    /// Reads every file of the backup and compares it with the list. Errors: all that differ.
    pub fn check(&self, dir: &Path) -> Result<(), ManifestError> {
        let damage = self.files.iter().filter_map(|(name, wanted)| {
            let found = File::open(dir.join(name)).and_then(checksum);
            match found {
                Ok(found) if found == *wanted => None,
                Ok(found) if found.bytes != wanted.bytes => {
                    Some(format!("{name}: {} bytes instead of {}", found.bytes, wanted.bytes))
                }
                Ok(_) => Some(format!("{name}: wrong checksum")),
                Err(error) => Some(format!("{name}: {error}")),
            }
        });
        let files: Vec<String> = damage.collect();
        if files.is_empty() { Ok(()) } else { Err(ManifestError::Damaged { files }) }
    }
}

/// What every version of the list has.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "watchfire_backup")]
    version: u32,
    #[serde(default)]
    program: String,
}

/// Whether a name leads to a place below the folder that it is joined to.
pub(crate) fn is_inside(name: &str) -> bool {
    !name.is_empty()
        && name != FILE
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']))
}

/// Length and checksum of all that a reader gives.
fn checksum(mut from: impl Read) -> io::Result<FileEntry> {
    let mut sum = Summing::new(io::sink());
    io::copy(&mut from, &mut sum)?;
    Ok(sum.entry())
}

/// A writer that sums up what passes.
pub(crate) struct Summing<W> {
    to: W,
    bytes: u64,
    hash: Xxh3,
}

impl<W> Summing<W> {
    pub fn new(to: W) -> Summing<W> {
        Summing { to, bytes: 0, hash: Xxh3::new() }
    }

    pub fn entry(&self) -> FileEntry {
        FileEntry { bytes: self.bytes, xxh3: format!("{:016x}", self.hash.digest()) }
    }

    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: io::Write> io::Write for Summing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.to.write(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The same for what is read.
impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.to.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_outside_are_known() {
        for name in ["queue/segment", "a", "logs/2026-01-02/x.wfb"] {
            assert!(is_inside(name), "{name}");
        }
        for name in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", "a\\b", "a\0b", FILE] {
            assert!(!is_inside(name), "{name}");
        }
    }
}
