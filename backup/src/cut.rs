//! The files of a backup while it is made: linked beside the data, so that nothing that happens later can change them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A file of the cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CutFile {
    /// Below the data folder, with `/` between its parts.
    pub name: String,
    /// Where it can be read.
    pub path: PathBuf,
    /// So much of it belongs to the cut; what was appended later does not.
    pub bytes: u64,
}

/// Files in a folder of their own, on the file system of the data; the folder goes when this is dropped.
#[derive(Debug)]
pub struct Cut {
    staging: PathBuf,
    pub(crate) files: Vec<CutFile>,
}

impl Cut {
    /// Begins with nothing in `staging`, which is made anew; what an interrupted backup left there goes.
    ///
    /// Errors: the file system refuses.
    pub fn begin(staging: &Path) -> io::Result<Cut> {
        remove(staging)?;
        fs::create_dir_all(staging)?;
        Ok(Cut { staging: staging.to_owned(), files: Vec::new() })
    }

    /// A folder in the cut for somebody who writes files into it; to be named in [`Cut::add_written`] then.
    pub fn room(&self, name: &str) -> PathBuf {
        self.staging.join(name)
    }

    /// Adds the files that somebody wrote into [`Cut::room`].
    ///
    /// Errors: the file system refuses.
    pub fn add_written(&mut self, name: &str) -> io::Result<()> {
        let room = self.room(name);
        let files = &mut self.files;
        walk(&room, name, &mut |path, name| {
            let bytes = fs::metadata(path)?.len();
            files.push(CutFile { name, path: path.to_owned(), bytes });
            Ok(())
        })
    }

    /// Links a file, or every file below a folder, with the length that it has now, under `name`. Files may grow
    /// meanwhile, and new ones may come; `skip` says which names are left out (locks, half-made files). What is not
    /// there adds nothing.
    ///
    /// Errors: the file system refuses; a file that is deleted under our hands is one, too.
    pub fn link(&mut self, from: &Path, name: &str, skip: impl Fn(&str) -> bool) -> io::Result<()> {
        let (staging, files) = (&self.staging, &mut self.files);
        let mut link_one = |path: &Path, name: String| {
            if skip(&name) {
                return Ok(());
            }
            let linked = staging.join(&name);
            if let Some(parent) = linked.parent() {
                fs::create_dir_all(parent)?;
            }
            // The length is read before the link is made, so that it is never more than what is there.
            let bytes = fs::metadata(path)?.len();
            match fs::hard_link(path, &linked) {
                // File systems without links: then it is copied.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => drop(fs::copy(path, &linked)?),
                other => other?,
            }
            files.push(CutFile { name, path: linked, bytes });
            Ok(())
        };
        match fs::metadata(from) {
            Ok(metadata) if metadata.is_file() => link_one(from, name.to_owned()),
            Ok(_) => walk(from, name, &mut link_one),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes back all that was added under a name.
    ///
    /// Errors: the file system refuses.
    pub fn unlink(&mut self, name: &str) -> io::Result<()> {
        self.files.retain(|file| {
            let rest = file.name.strip_prefix(name);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        remove(&self.staging.join(name))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        // What stays is removed by the next backup.
        let _ = remove(&self.staging);
    }
}

/// Removes a file or a folder with all in it, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Visits every file below a folder with its name; in the order of names, so that a backup of the same data is the
/// same stream.
pub(crate) fn walk(
    folder: &Path,
    name: &str,
    visit: &mut dyn FnMut(&Path, String) -> io::Result<()>,
) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let own = entry.file_name();
        let own = own.to_str().ok_or_else(|| io::Error::other(format!("{}: not UTF-8", entry.path().display())))?;
        let name = if name.is_empty() { own.to_owned() } else { format!("{name}/{own}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &name, visit)?;
        } else if kind.is_file() {
            visit(&entry.path(), name)?;
        }
    }
    Ok(())
}

/// Syncs a folder, so that the names in it are durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
