//! A sealed block: what it spans, and its file, opened when it is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

use super::directory::{BlockInfo, Directory};
use super::kept::KeptDistinct;
use super::read::{BlockError, BlockFile, KeptTemplates};
use super::section::{ReadSections, Section};

/// A block that a search may look into.
#[derive(Debug)]
pub(crate) struct SealedBlock {
    pub info: BlockInfo,
    pub path: PathBuf,
    /// Length of the file.
    pub bytes: u64,
    /// Read at first use, let go when others are used more.
    directory: Mutex<Option<Arc<Directory>>>,
    /// As long as the directory.
    templates: Arc<KeptTemplates>,
    /// As long as the directory.
    pub distinct: Arc<KeptDistinct>,
    /// When it was used last, in ticks of the store.
    used_at: AtomicI64,
    /// The manifest does not name it any more: the file goes when the last search has left it.
    is_doomed: AtomicBool,
    /// Something of it cannot be read: its file is not the one that the manifest names, or somebody has met a damaged part.
    is_unreadable: AtomicBool,
    /// Its first or last bytes are not what they should be; nothing is lost by that.
    has_damaged_ends: AtomicBool,
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
        SealedBlock {
            info,
            path,
            bytes,
            directory: Mutex::new(None),
            templates: Arc::default(),
            distinct: Arc::default(),
            used_at: AtomicI64::new(i64::MIN),
            is_doomed: AtomicBool::new(false),
            is_unreadable: AtomicBool::new(false),
            has_damaged_ends: AtomicBool::new(false),
        }
    }

    /// Lets the file go when nobody uses it any more.
    pub fn doom(&self) {
        self.is_doomed.store(true, Ordering::Relaxed);
    }

    /// Remembers that a part of it cannot be read, for whoever looks at the health of the store.
    pub fn note_damage(&self) {
        self.is_unreadable.store(true, Ordering::Relaxed);
    }

    /// Whether something of it is known not to be readable.
    pub fn is_unreadable(&self) -> bool {
        self.is_unreadable.load(Ordering::Relaxed)
    }

    /// Whether damage is known that it has.
    pub fn is_damaged(&self) -> bool {
        self.is_unreadable() || self.has_damaged_ends.load(Ordering::Relaxed)
    }

    /// Opens the file and reads the directory, if that has not been done.
    pub fn open(&self) -> Result<(Arc<Directory>, BlockFile), String> {
        let name = |reason: String| format!("{}: {reason}", self.path.display());
        let file = BlockFile::open_with(&self.path, Arc::clone(&self.templates)).map_err(name)?;
        self.used_at.store(i64::MAX, Ordering::Relaxed);
        if let Some(directory) = &*self.directory.lock() {
            return Ok((Arc::clone(directory), file));
        }
        let directory = file.directory().map_err(|error| name(error.to_string()))?;
        if directory.info != self.info {
            return Err(name("it is not the block that the manifest names".to_owned()));
        }
        if file.has_damaged_ends.get() {
            tracing::error!(path = %self.path.display(), "the first or last bytes of a block are damaged; all of it can still be read");
            self.has_damaged_ends.store(true, Ordering::Relaxed);
        }
        let directory = Arc::new(directory);
        *self.directory.lock() = Some(Arc::clone(&directory));
        Ok((directory, file))
    }

    /// When the directory was used last, and about the memory that it takes; `None` if it is not in memory. A use
    /// since the last call counts as one at `now`.
    pub fn directory_use(&self, now: i64) -> Option<(i64, usize)> {
        if self.used_at.load(Ordering::Relaxed) == i64::MAX {
            self.used_at.store(now, Ordering::Relaxed);
        }
        let directory = self.directory.lock().as_ref().map(|directory| directory.memory())?;
        let bytes = directory + self.templates.memory() + self.distinct.memory();
        Some((self.used_at.load(Ordering::Relaxed), bytes))
    }

    /// Lets the directory go; the next use reads it again.
    pub fn forget_directory(&self) {
        *self.directory.lock() = None;
        self.templates.forget();
        self.distinct.forget();
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
