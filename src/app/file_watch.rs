//! Files that are read again when they change: keys and users.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::reload::Reloader;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: inode, size, time of change in nanoseconds. `None`: not there.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Remembers in which state files were.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<PathBuf, Stamp>);

impl Seen {
    /// Whether any of the files is in another state than when it was last asked. The first time nothing has changed.
    pub fn changed<'f>(&mut self, files: impl Iterator<Item = &'f Path>) -> bool {
        let now: BTreeMap<PathBuf, Stamp> = files.map(|file| (file.to_owned(), stamp(file))).collect();
        let known = |(file, stamp): (&PathBuf, &Stamp)| self.0.get(file).is_some_and(|before| before != stamp);
        let changed = now.iter().any(known);
        self.0 = now;
        changed
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Looks at the files each second until we stop.
pub async fn run(reloader: Arc<Reloader>, mut stopping: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stopping.changed() => return,
        }
        let reloader = reloader.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || reloader.look_at_files()).await {
            tracing::error!(%error, "looking at changed files panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.txt");
        let mut seen = Seen::default();
        let mut changed = || seen.changed([file.as_path()].into_iter());
        assert!(!changed() && !changed());
        std::fs::write(&file, "a").expect("the folder can be written");
        assert!(changed() && !changed());
        std::fs::write(folder.path().join("new"), "b").expect("the folder can be written");
        std::fs::rename(folder.path().join("new"), &file).expect("both are there");
        assert!(changed() && !changed());
        std::fs::remove_file(&file).expect("it is there");
        assert!(changed() && !changed());
    }
}
