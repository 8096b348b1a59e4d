//! Waking the reader of files when something happens in their folders. What is missed is found by looking now and
//! then, so that a file system without notices only costs time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::{Condvar, Mutex};

use super::position::FileId;

/// Beyond so many files all are looked at.
const PATHS_MAX: usize = 4096;
/// Folders watched at most; the others are looked at now and then.
const FOLDERS_MAX: usize = 2048;

/// What has happened since somebody asked.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Files that were written to.
    pub paths: HashSet<PathBuf>,
    /// Too many to be named.
    pub all: bool,
    /// Names came, went or changed.
    pub names: bool,
    poked: bool,
}

impl Notices {
    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.all && !self.names && !self.poked
    }
}

/// Wakes the reader for another reason: it shall stop, or has other sources.
#[derive(Clone, Default)]
pub(super) struct Poke(Arc<(Mutex<Notices>, Condvar)>);

impl Poke {
    pub(super) fn poke(&self) {
        self.0.0.lock().poked = true;
        self.0.1.notify_one();
    }

    fn take(&self, event: notify::Result<Event>) {
        let mut notices = self.0.0.lock();
        match event {
            Ok(event) => match event.kind {
                EventKind::Access(_) => return,
                EventKind::Modify(notify::event::ModifyKind::Data(_)) if notices.paths.len() < PATHS_MAX => {
                    notices.paths.extend(event.paths);
                }
                EventKind::Modify(notify::event::ModifyKind::Data(_)) => notices.all = true,
                EventKind::Modify(notify::event::ModifyKind::Metadata(_)) => return,
                EventKind::Any
                | EventKind::Create(_)
                | EventKind::Modify(_)
                | EventKind::Remove(_)
                | EventKind::Other => notices.names = true,
            },
            Err(_) => {
                notices.all = true;
                notices.names = true;
            }
        }
        self.0.1.notify_one();
    }
}

/// Watches folders.
pub(super) struct Waking {
    poke: Poke,
    watcher: Option<RecommendedWatcher>,
    /// What is watched: a folder that was removed and made again is another one.
    folders: BTreeMap<PathBuf, FileId>,
}

impl Waking {
    /// Without folders yet.
    pub(super) fn new(poke: Poke) -> Waking {
        let for_events = poke.clone();
        let watcher = notify::recommended_watcher(move |event| for_events.take(event));
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "no notices of changes: files are looked at each second"));
        Waking { poke, watcher: watcher.ok(), folders: BTreeMap::new() }
    }

    /// Watches those of these that are folders, and no others.
    pub(super) fn watch(&mut self, names: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let metadata = names.iter().filter_map(|name| Some((name, fs::metadata(name).ok()?)));
        let folders = metadata.filter(|(_, metadata)| metadata.is_dir());
        let folders: BTreeMap<&PathBuf, FileId> = folders.map(|(name, it)| (name, FileId::of(&it))).collect();
        self.folders.retain(|name, id| {
            let is_there = folders.get(name) == Some(id);
            if !is_there {
                // It may have been removed, and its watch with it.
                let _ = watcher.unwatch(name);
            }
            is_there
        });
        // The system watches a folder once, under whichever of its names; to end that under one ends it under all.
        let mut ids: HashSet<FileId> = self.folders.values().copied().collect();
        for (folder, id) in folders {
            if self.folders.len() >= FOLDERS_MAX || !ids.insert(id) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder.clone(), id)),
                Err(error) => tracing::debug!(%error, folder = %folder.display(), "not watched"),
            }
        }
    }

    /// Waits until something happens, at most so long.
    pub(super) fn wait(&self, at_most: Duration) -> Notices {
        let (lock, condition) = &*self.poke.0;
        let mut notices = lock.lock();
        if notices.is_empty() {
            condition.wait_for(&mut notices, at_most);
        }
        std::mem::take(&mut *notices)
    }
}

/// Whether a part of a pattern stands for several names.
pub(super) fn has_wildcards(part: Component<'_>) -> bool {
    part.as_os_str().to_string_lossy().contains(['*', '?', '['])
}

/// The folder that a pattern's files lie in, as far as it has no wildcards: watched so that the first file is seen.
pub(super) fn fixed_folder(pattern: &str) -> PathBuf {
    let mut folder = PathBuf::new();
    for part in Path::new(pattern).parent().into_iter().flat_map(Path::components) {
        if has_wildcards(part) {
            break;
        }
        folder.push(part);
    }
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_two_names_is_watched_as_long_as_one_of_them_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("own"), folder.path().join("link"));
        fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        for left in [&own, &link] {
            let mut waking = Waking::new(Poke::default());
            waking.watch(&BTreeSet::from([own.clone(), link.clone()]));
            waking.watch(&BTreeSet::from([left.clone()]));
            waking.wait(Duration::ZERO);
            fs::write(own.join("file"), "").unwrap();
            assert!(waking.wait(Duration::from_secs(60)).names, "{}", left.display());
            fs::remove_file(own.join("file")).unwrap();
        }
    }
}
