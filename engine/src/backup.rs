//! One consistent cut of the engine in another folder, while appends go on.
//!
//! A snapshot is written series by series and is exact only together with the log of the time that the writing took.
//! So a backup is a snapshot and the files of the log from its cut to a second cut, taken when the snapshot is done:
//! opened, it holds every record below the second cut and none from it on.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::batch::SourcePosition;
use crate::engine::Engine;
use crate::snapshot;
use crate::wal::{segment, sync_folder};

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// How far each queue is applied in it: exactly the records below `next_offset` are counted. A backup of the queue
    /// that belongs to it must reach at least that far.
    pub sources: Vec<SourcePosition>,
    /// Bytes written.
    pub bytes: u64,
}

impl Engine {
    /// Writes everything that is in the engine into a folder (made if it is not there), as [`Engine::open`] reads it.
    /// When this returns the folder is durable. Appends go on meanwhile; snapshots of our own wait.
    ///
    /// Errors: the folder is not empty, the disk said no, or the log is broken. What was begun stays there then.
    pub fn backup_to(&self, folder: &Path) -> io::Result<BackupReport> {
        let _one = self.checkpointing.lock();
        if self.wal.is_broken() {
            return Err(io::Error::other("an earlier write to the log failed; a snapshot has to succeed first"));
        }
        std::fs::create_dir_all(folder)?;
        if std::fs::read_dir(folder)?.next().is_some() {
            let message = format!("{} is not empty; name a new folder for the backup", folder.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let (cut, head) = self.begin_snapshot()?;
        let temporary = folder.join(snapshot::UNFINISHED);
        let in_snapshot = self.blocks.in_use();
        let mut bytes = self.write_snapshot_file(&temporary, cut, &head, false)?;
        bytes += self.blocks.copy(&in_snapshot, folder)?;
        bytes += self.losses.copy(folder)?;
        let (end, sources) = {
            let positions = self.positions.lock();
            (self.wal.rotate()?, positions.list())
        };
        for (first, path) in segment::list(&self.config.dir)? {
            if first >= cut && first < end {
                bytes += copy(&path, &segment::path_of(folder, first))?;
            }
        }
        std::fs::rename(&temporary, snapshot::path_of(folder, cut))?;
        sync_folder(folder)?;
        Ok(BackupReport { sources, bytes })
    }
}

/// Copies a file that nobody writes to any more. Not a link: whoever opens the backup may cut its last file.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let bytes = std::fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    Ok(bytes)
}
