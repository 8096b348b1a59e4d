//! A backup as a data folder again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::{Manifest, ManifestError};
use crate::stream::sync_folders;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is not whole.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The data folder has something in it already.
    #[error("{} is not empty; restore into a new folder, or move that one away", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// A file cannot be copied.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Checks the backup in `backup`, and copies it into `data_dir`, which must be empty or not there. The folder has its
/// name only when all is in it and synced, so that a restore that was interrupted leaves no data folder.
///
/// Errors: see [`RestoreError`]; the backup is never changed.
pub fn restore(backup: &Path, data_dir: &Path) -> Result<Manifest, RestoreError> {
    let manifest = Manifest::read(backup)?;
    manifest.check(backup)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::Io { path, source }
    };
    match fs::read_dir(data_dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(RestoreError::NotEmpty { dir: data_dir.to_owned() }),
        Ok(false) => fs::remove_dir(data_dir).map_err(failed(data_dir))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(data_dir)(error)),
    }
    let unfinished = beside(data_dir);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed(&unfinished))?;
    }
    fs::create_dir_all(&unfinished).map_err(failed(&unfinished))?;
    for name in manifest.files.keys() {
        let to = unfinished.join(name);
        copy(&backup.join(name), &to).map_err(failed(&to))?;
    }
    sync_folders(&unfinished).map_err(failed(&unfinished))?;
    fs::rename(&unfinished, data_dir).map_err(failed(data_dir))?;
    if let Some(parent) = data_dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed(parent))?;
    }
    Ok(manifest)
}

/// A name beside the folder, for as long as it is not finished.
fn beside(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    data_dir.with_file_name(name)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}
