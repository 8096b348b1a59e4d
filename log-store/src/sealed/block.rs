//! A sealed block: what it spans, and its file, opened when it is needed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::directory::{BlockInfo, Directory};
use super::read::{BlockError, BlockFile};
use super::section::{ReadSections, Section};

/// A block that a search may look into.
#[derive(Debug)]
pub(crate) struct SealedBlock {
    pub info: BlockInfo,
    pub path: PathBuf,
    /// Length of the file.
    pub bytes: u64,
    /// Read at first use.
    directory: OnceLock<Arc<Directory>>,
    /// The manifest does not name it any more: the file goes when the last search has left it.
    is_doomed: AtomicBool,
}

impl Drop for SealedBlock {
    fn drop(&mut self) {
        if self.is_doomed.load(Ordering::Relaxed)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            // The next start deletes it.
            tracing::warn!(path = %self.path.display(), %error, "cannot delete a block");
        }
    }
}

impl SealedBlock {
    pub fn new(info: BlockInfo, path: PathBuf, bytes: u64) -> SealedBlock {
        SealedBlock { info, path, bytes, directory: OnceLock::new(), is_doomed: AtomicBool::new(false) }
    }

    /// Lets the file go when nobody uses it any more.
    pub fn doom(&self) {
        self.is_doomed.store(true, Ordering::Relaxed);
    }

    /// Opens the file and reads the directory, if that has not been done.
    pub fn open(&self) -> Result<(Arc<Directory>, BlockFile), String> {
        let name = |reason: String| format!("{}: {reason}", self.path.display());
        let file = BlockFile::open(&self.path).map_err(name)?;
        if let Some(directory) = self.directory.get() {
            return Ok((Arc::clone(directory), file));
        }
        let directory = file.directory().map_err(|error| name(error.to_string()))?;
        if directory.info != self.info {
            return Err(name("it is not the block that the manifest names".to_owned()));
        }
        let directory = Arc::new(directory);
        Ok((Arc::clone(self.directory.get_or_init(|| directory)), file))
    }
}

/// Reads a whole file that no manifest vouches for: every section of it must be sound.
pub(crate) fn verify(path: &Path) -> Result<BlockInfo, BlockError> {
    let file = BlockFile::open(path).map_err(BlockError::Damaged)?;
    let directory = file.directory()?;
    let mut damage = None;
    let mut check = |section: &Section| {
        if damage.is_none() {
            damage = file.section(section).err();
        }
    };
    for column in &directory.columns {
        column.presence.section().into_iter().for_each(&mut check);
        column.layout.each_section(&mut check);
    }
    match damage {
        Some(reason) => Err(BlockError::Damaged(reason)),
        None => Ok(directory.info),
    }
}
