//! A cut as a stream, and a stream as a folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tar::{Archive, Builder, EntryType, Header};

use crate::cut::{Cut, CutFile, sync_folder};
use crate::manifest::{BYTES_MAX, FILE, FileEntry, Manifest, ManifestError, Summing, is_inside};

/// Why a cut was not written out.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Reading a file or writing the stream failed.
    #[error("{name}: {source}")]
    Io {
        /// Which file.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes a cut as a stream; `program` is our version, `created` the time of the cut in RFC 3339.
///
/// Errors: reading or writing failed; then the stream has no list at its end, and is no backup.
pub fn pack(cut: &Cut, program: &str, created: &str, out: impl Write) -> Result<Manifest, PackError> {
    let mut manifest = Manifest::new(program, created);
    let mut builder = Builder::new(out);
    for file in &cut.files {
        let entry = put_file(&mut builder, file).map_err(|source| PackError::Io { name: file.name.clone(), source })?;
        manifest.files.insert(file.name.clone(), entry);
    }
    let list = |source| PackError::Io { name: FILE.to_owned(), source };
    let text = manifest.to_json().map_err(|error| list(error.into()))?;
    put(&mut builder, FILE, text.len() as u64, text.as_slice()).map_err(list)?;
    builder.into_inner().and_then(|mut out| out.flush()).map_err(list)?;
    Ok(manifest)
}

fn put_file(builder: &mut Builder<impl Write>, file: &CutFile) -> io::Result<FileEntry> {
    let mut from = Summing::new(File::open(&file.path)?.take(file.bytes));
    put(builder, &file.name, file.bytes, &mut from)?;
    let entry = from.entry();
    // A shorter file would have shifted everything behind it.
    if entry.bytes == file.bytes { Ok(entry) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn put(builder: &mut Builder<impl Write>, name: &str, bytes: u64, from: impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o600);
    builder.append_data(&mut header, name, from)
}

/// Why a stream did not become a backup.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The folder has something in it already.
    #[error("{} is not empty; name a new folder for the backup", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The stream cannot be read, or a file cannot be written.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system says.
        source: io::Error,
    },
    /// The stream names a place outside the folder, or something that is no file.
    #[error("the stream has `{name}`, which is no file inside a backup")]
    Outside {
        /// Its name.
        name: String,
    },
    /// The stream broke off, or does not hold what its list says.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Looks whether a backup can go into a folder: it is not there, or empty.
///
/// Errors: see [`UnpackError`].
pub fn expect_empty(dir: &Path) -> Result<(), UnpackError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(UnpackError::NotEmpty { dir: dir.to_owned() }),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(UnpackError::Io { doing: format!("reading {}", dir.display()), source }),
    }
}

/// Writes a stream of [`pack`] into a folder that is empty or not there, syncs it, and compares it with its list. A
/// folder that an error leaves behind has no list, so that nobody takes it for a backup.
///
/// Errors: see [`UnpackError`].
pub fn unpack(stream: impl Read, dir: &Path) -> Result<Manifest, UnpackError> {
    let failed = |doing: String| move |source| UnpackError::Io { doing, source };
    fs::create_dir_all(dir).map_err(failed(format!("making {}", dir.display())))?;
    expect_empty(dir)?;
    let reading = || failed("reading the backup's stream".to_owned());
    let mut found = Manifest::new("", "");
    let mut archive = Archive::new(stream);
    for entry in archive.entries().map_err(reading())? {
        let mut entry = entry.map_err(reading())?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_list = name == FILE;
        if entry.header().entry_type() != EntryType::Regular || !(is_list || is_inside(&name)) {
            return Err(UnpackError::Outside { name });
        }
        let written = if is_list { write_list(&mut entry, dir) } else { write_file(&mut entry, &dir.join(&name)) };
        let file = written.map_err(failed(format!("writing {name}")))?;
        if !is_list {
            found.files.insert(name, file);
        }
    }
    finish(dir, &found)
}

/// Name of the list until everything was compared with it.
fn unfinished_list(dir: &Path) -> PathBuf {
    dir.join(format!("{FILE}.unfinished"))
}

fn write_list(from: &mut impl Read, dir: &Path) -> io::Result<FileEntry> {
    write_file(&mut from.take(BYTES_MAX), &unfinished_list(dir))
}

fn write_file(from: &mut impl Read, path: &Path) -> io::Result<FileEntry> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut to = Summing::new(File::create_new(path)?);
    io::copy(from, &mut to)?;
    let entry = to.entry();
    to.into_inner().sync_all()?;
    Ok(entry)
}

/// Gives the list its name if the stream held exactly what it says.
fn finish(dir: &Path, found: &Manifest) -> Result<Manifest, UnpackError> {
    let failed = |source| UnpackError::Io { doing: format!("finishing {}", dir.display()), source };
    let unfinished = unfinished_list(dir);
    if !unfinished.exists() {
        return Err(ManifestError::Missing { dir: dir.to_owned() }.into());
    }
    let list = dir.join(FILE);
    fs::rename(&unfinished, &list).map_err(failed)?;
    let manifest = match Manifest::read(dir) {
        Ok(manifest) if manifest.files == found.files => manifest,
        other => {
            // Refused or not, without its list it is no backup.
            fs::rename(&list, &unfinished).map_err(failed)?;
            other?;
            let files = vec!["the stream does not hold the files of its list".to_owned()];
            return Err(ManifestError::Damaged { files }.into());
        }
    };
    sync_folders(dir).map_err(failed)?;
    Ok(manifest)
}

/// Syncs a folder and those below.
pub(crate) fn sync_folders(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(dir)
}
