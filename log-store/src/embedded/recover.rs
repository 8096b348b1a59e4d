//! Finding the store again: the manifest says what there is; files say the rest where the manifest is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{BlockEntry, Loaded, Manifest, ManifestError, load};
use super::sealer::{day_dir, file_name};
use super::snapshot::Snapshot;
use crate::sealed::block::{SealedBlock, verify};
use crate::sealed::directory::BlockInfo;
use crate::sealed::read::BlockError;

/// Name of the manifest's file.
const MANIFEST: &str = "MANIFEST";

/// What was found.
pub(crate) struct Recovered {
    pub manifest: Manifest,
    pub snapshot: Snapshot,
    /// Blocks whose file is missing or of another length.
    pub damaged_blocks: u64,
}

/// Why nothing can be found.
#[derive(Debug)]
pub(crate) enum RecoverError {
    Io(io::Error),
    Newer { what: String, version: u32 },
}

impl From<io::Error> for RecoverError {
    fn from(error: io::Error) -> RecoverError {
        RecoverError::Io(error)
    }
}

/// Reads the manifest, mends it from the files if it is damaged, and deletes files that it does not name.
pub(crate) fn recover(dir: &Path) -> Result<Recovered, RecoverError> {
    let manifest_path = dir.join(MANIFEST);
    let loaded = load(&manifest_path).map_err(|error| match error {
        ManifestError::Io(error) => RecoverError::Io(error),
        ManifestError::Newer(version) => RecoverError::Newer { what: manifest_path.display().to_string(), version },
    })?;
    let files = files(dir)?;
    let before = loaded.state.clone();
    if loaded.damaged_bytes > 0 {
        tracing::error!(bytes = loaded.damaged_bytes, "the manifest of the log store is damaged; blocks tell the rest");
    }
    let is_new = loaded.is_new;
    let is_damaged = loaded.damaged_bytes > 0;
    let mut state = adopt(loaded, &files)?;
    state.next_block = state.next_block.max(files.keys().last().map_or(0, |id| id + 1));
    for (id, path) in files.iter().filter(|(id, _)| !state.blocks.contains_key(id)) {
        tracing::info!(id, path = %path.display(), "a block that was not finished, or is not needed any more, is deleted");
        std::fs::remove_file(path)?;
    }
    let mut damaged_blocks = 0;
    let mut snapshot = Snapshot::default();
    let mut blocks = Vec::with_capacity(state.blocks.len());
    for entry in state.blocks.values() {
        let path = block_path(dir, &entry.info);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() == entry.bytes => {}
            found => {
                damaged_blocks += 1;
                let found =
                    found.map_or_else(|error| error.to_string(), |metadata| format!("{} bytes", metadata.len()));
                tracing::error!(path = %path.display(), wanted = entry.bytes, %found, "a block is damaged");
            }
        }
        blocks.push(Arc::new(SealedBlock::new(entry.info.clone(), path, entry.bytes)));
    }
    snapshot.replace(&[], &[], &blocks);
    let is_changed = is_new || is_damaged || state != before;
    let manifest =
        if is_changed { Manifest::create(&manifest_path, state)? } else { Manifest::reopen(&manifest_path, state)? };
    Ok(Recovered { manifest, snapshot, damaged_blocks })
}

fn block_path(dir: &Path, info: &BlockInfo) -> PathBuf {
    day_dir(dir, info.day).join(file_name(info.id))
}

/// Every block's file in the folders of days, by the number in its name.
fn files(dir: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut files = BTreeMap::new();
    for folder in std::fs::read_dir(dir)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let path = file?.path();
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".wfb"));
            if let Some(id) = id.and_then(|id| u64::from_str_radix(id, 16).ok()) {
                files.insert(id, path);
            }
        }
        // Refused unless it is empty.
        let _ = std::fs::remove_dir(folder.path());
    }
    Ok(files)
}

/// Takes up blocks that the manifest should name, and would if its end (or a part of it) were not lost:
///
/// - the blocks of the next stretch of the queue, if all are there and sound: they were written, but not named;
/// - a merged block whose sources are named but gone;
/// - after damage, blocks of stretches that are sealed, if nothing else has their records.
fn adopt(loaded: Loaded, files: &BTreeMap<u64, PathBuf>) -> Result<super::manifest::ManifestState, RecoverError> {
    let is_damaged = loaded.damaged_bytes > 0 || (loaded.is_new && !files.is_empty());
    let mut state = loaded.state;
    let mut unnamed: BTreeMap<u64, BlockEntry> = BTreeMap::new();
    for (id, path) in files.iter().filter(|(id, _)| !state.blocks.contains_key(id)) {
        match verify(path) {
            Ok(info) if info.id == *id => {
                // It is named below only if it is on the disk for sure.
                File::open(path)?.sync_all()?;
                unnamed.insert(*id, BlockEntry { info, bytes: std::fs::metadata(path)?.len() });
            }
            Err(BlockError::Newer { version }) => {
                return Err(RecoverError::Newer { what: path.display().to_string(), version });
            }
            Ok(_) | Err(BlockError::Damaged(_)) => {}
        }
    }
    let replaced: BTreeSet<u64> =
        state.blocks.values().flat_map(|block| block.info.merged_from.iter().copied()).collect();
    let is_gone = |id: &u64| !files.contains_key(id);
    let merged: Vec<BlockEntry> =
        unnamed.values().filter(|block| !block.info.merged_from.is_empty()).cloned().collect();
    for block in merged {
        let sources = &block.info.merged_from;
        let is_named = sources.iter().any(|id| state.blocks.contains_key(id));
        let are_sources_lost = sources.iter().any(|id| state.blocks.contains_key(id) && is_gone(id));
        let is_only_copy = is_damaged && !is_named && !state.removed.contains(&block.info.id);
        if are_sources_lost || is_only_copy {
            sources.iter().for_each(|id| drop(state.blocks.remove(id)));
            sources.iter().for_each(|id| drop(unnamed.remove(id)));
            unnamed.remove(&block.info.id);
            state.blocks.insert(block.info.id, block);
        }
    }
    if is_damaged {
        let sealed = state.sealed_offset;
        let is_lost = |block: &BlockEntry| {
            let id = block.info.id;
            let is_plain = block.info.merged_from.is_empty() && block.info.cut.1 <= sealed;
            is_plain && !replaced.contains(&id) && !state.removed.contains(&id)
        };
        let lost: Vec<BlockEntry> = unnamed.values().filter(|block| is_lost(block)).cloned().collect();
        for block in lost {
            unnamed.remove(&block.info.id);
            state.blocks.insert(block.info.id, block);
        }
    }
    while let Some(next) = next_cut(&unnamed, state.sealed_offset, is_damaged && loaded.is_new) {
        state.sealed_offset = next.first().map_or(state.sealed_offset, |block| block.info.cut.1);
        for block in next {
            unnamed.remove(&block.info.id);
            state.blocks.insert(block.info.id, block);
        }
    }
    Ok(state)
}

/// The blocks of the stretch that begins at `offset`, if all of them are there. Without any manifest, of the stretch
/// that begins first from there on.
fn next_cut(unnamed: &BTreeMap<u64, BlockEntry>, offset: u64, any_later: bool) -> Option<Vec<BlockEntry>> {
    let mut cuts: BTreeMap<(u64, u64), Vec<BlockEntry>> = BTreeMap::new();
    for block in unnamed.values().filter(|block| block.info.merged_from.is_empty() && block.info.cut.0 >= offset) {
        cuts.entry(block.info.cut).or_default().push(block.clone());
    }
    let is_whole =
        |blocks: &Vec<BlockEntry>| blocks.first().is_some_and(|b| b.info.cut_blocks as usize == blocks.len());
    cuts.into_iter().find(|(cut, blocks)| (any_later || cut.0 == offset) && is_whole(blocks)).map(|(_, blocks)| blocks)
}
