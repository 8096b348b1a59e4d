//! Finding the store again: the manifest says what there is; files say the rest where the manifest is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lost::{self, Lost};
use super::manifest::{BlockEntry, Manifest, ManifestError, ManifestState, load, unfinished};
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
    /// The manifest was damaged and is made anew.
    pub is_damaged: bool,
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
    let path = dir.join(MANIFEST);
    let loaded = load(&path).map_err(|error| match error {
        ManifestError::Io(error) => RecoverError::Io(error),
        ManifestError::Newer(version) => RecoverError::Newer { what: path.display().to_string(), version },
    })?;
    // What a crash left of a manifest that was to replace this one, if there is any.
    let _ = std::fs::remove_file(unfinished(&path));
    let files = files(dir)?;
    let mut state = loaded.state.clone();
    let unnamed = Unnamed::read(&state, &files)?;
    let is_damaged = loaded.is_damaged || (loaded.is_new && !files.is_empty()) || unnamed.tell_of_lost_edits(&state);
    if is_damaged {
        tracing::error!(path = %path.display(), bytes = loaded.damaged_bytes, "the manifest is damaged; the blocks tell the rest");
    }
    let spoilt = unnamed.spoilt.clone();
    unnamed.adopt_merged(&mut state, &files);
    if is_damaged {
        unnamed.adopt_after_damage(&mut state);
    } else {
        unnamed.adopt_next_cuts(&mut state);
    }
    state.next_block = state.next_block.max(files.keys().last().map_or(0, |id| id + 1));
    for (id, path) in files.iter().filter(|(id, _)| !state.blocks.contains_key(id)) {
        if is_damaged && spoilt.contains(id) {
            let aside = path.with_extension("damaged");
            tracing::error!(path = %aside.display(), "a damaged block that the manifest does not name is set aside");
            std::fs::rename(path, aside)?;
            continue;
        }
        tracing::info!(path = %path.display(), "a block that was not finished, or is of no more use, is deleted");
        std::fs::remove_file(path)?;
        // Refused unless it is empty.
        path.parent().into_iter().for_each(|day| drop(std::fs::remove_dir(day)));
    }
    let snapshot = snapshot_of(dir, &state);
    let is_changed = loaded.is_new || loaded.is_old || is_damaged || state != loaded.state;
    let manifest = if is_changed { renew(&path, state)? } else { Manifest::reopen(&path, state)? };
    Ok(Recovered { manifest, snapshot, is_damaged })
}

/// A full disk does not keep the store from opening: it can be searched, and owes its manifest.
fn renew(path: &Path, state: ManifestState) -> io::Result<Manifest> {
    match Manifest::create(path, state.clone()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            tracing::warn!(path = %path.display(), %error, "no room for the manifest; it is written with the next block");
            Ok(Manifest::owed(path, state))
        }
        other => other,
    }
}

/// The blocks of a manifest. Those are known to be damaged whose file is missing or of another length.
fn snapshot_of(dir: &Path, state: &ManifestState) -> Snapshot {
    let mut blocks = Vec::with_capacity(state.blocks.len());
    for entry in state.blocks.values() {
        let path = block_path(dir, &entry.info);
        let block = SealedBlock::new(entry.info.clone(), path, entry.bytes);
        match std::fs::metadata(&block.path) {
            Ok(metadata) if metadata.len() == entry.bytes => {}
            found => {
                let found =
                    found.map_or_else(|error| error.to_string(), |metadata| format!("{} bytes", metadata.len()));
                tracing::error!(path = %block.path.display(), wanted = entry.bytes, %found, "a block is damaged");
                block.note_damage();
            }
        }
        blocks.push(Arc::new(block));
    }
    let mut snapshot = Snapshot::default();
    snapshot.replace(&[], &[], &blocks);
    snapshot.lost.clone_from(&state.lost);
    snapshot
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

/// Files that the manifest does not name.
struct Unnamed {
    /// Those that are sound from the first byte to the last, and on the disk for sure.
    sound: BTreeMap<u64, BlockEntry>,
    /// Those that are not.
    spoilt: BTreeSet<u64>,
}

impl Unnamed {
    fn read(state: &ManifestState, files: &BTreeMap<u64, PathBuf>) -> Result<Unnamed, RecoverError> {
        let mut unnamed = Unnamed { sound: BTreeMap::new(), spoilt: BTreeSet::new() };
        for (id, path) in files.iter().filter(|(id, _)| !state.blocks.contains_key(id)) {
            match verify(path) {
                Ok(info) if info.id == *id => {
                    File::open(path)?.sync_all()?;
                    unnamed.sound.insert(*id, BlockEntry { info, bytes: std::fs::metadata(path)?.len() });
                }
                Err(BlockError::Newer { version }) => {
                    return Err(RecoverError::Newer { what: path.display().to_string(), version });
                }
                Ok(_) | Err(BlockError::Damaged(_)) => {
                    unnamed.spoilt.insert(*id);
                }
            }
        }
        Ok(unnamed)
    }

    /// Whether the manifest lacks edits though all of it is sound: it was cut between two. A crash leaves of blocks that
    /// were never named only those of the next stretch, and a merged one whose sources were named.
    fn tell_of_lost_edits(&self, state: &ManifestState) -> bool {
        self.sound.values().filter(|block| block.info.id >= state.next_block).any(|block| {
            let sources = &block.info.merged_from;
            sources.iter().any(|id| *id >= state.next_block)
                || sources.is_empty() && block.info.cut.0 > state.sealed_offset
        })
    }

    /// Takes up merged blocks whose sources are named but gone: the edit that named the merged one is lost.
    fn adopt_merged(&self, state: &mut ManifestState, files: &BTreeMap<u64, PathBuf>) {
        for block in self.sound.values() {
            let sources = &block.info.merged_from;
            if sources.iter().any(|id| state.blocks.contains_key(id) && !files.contains_key(id)) {
                sources.iter().for_each(|id| drop(state.blocks.remove(id)));
                state.blocks.insert(block.info.id, block.clone());
            }
        }
    }

    /// Takes up the blocks of the next stretches of the queue, if all of a stretch are there: they were written, but
    /// the process died before they were named.
    fn adopt_next_cuts(&self, state: &mut ManifestState) {
        let cuts = self.plain_cuts(|_| true);
        while let Some((cut, blocks)) = cuts.iter().find(|(cut, _)| cut.0 == state.sealed_offset && cut.0 < cut.1)
            && is_whole(blocks)
        {
            state.sealed_offset = cut.1;
            lost_of(*cut, blocks).into_iter().for_each(|lost| lost::add(&mut state.lost, lost));
            state.blocks.extend(blocks.iter().map(|block| (block.info.id, (*block).clone())));
        }
    }

    /// Takes up everything whose edit may be lost.
    ///
    /// A stretch of the queue is sealed only after the one before it was named, and blocks are merged only after
    /// they were named. So only the last stretch may be unfinished: it counts if all its blocks are there.
    fn adopt_after_damage(&self, state: &mut ManifestState) {
        let all = || state.blocks.values().chain(self.sound.values());
        let replaced: BTreeSet<u64> = all().flat_map(|block| block.info.merged_from.iter().copied()).collect();
        let is_lost = |block: &BlockEntry| {
            let id = block.info.id;
            let is_copy = block.info.merged_from.iter().any(|source| state.blocks.contains_key(source));
            !state.blocks.contains_key(&id) && !state.removed.contains(&id) && !is_copy
        };
        let merged = self.sound.values().filter(|block| is_lost(block) && !block.info.merged_from.is_empty());
        let merged: Vec<BlockEntry> = merged.filter(|block| !replaced.contains(&block.info.id)).cloned().collect();
        let cuts = self.plain_cuts(|block| is_lost(block) && !replaced.contains(&block.info.id));
        let of_merged = all().filter(|block| !block.info.merged_from.is_empty()).map(|block| block.info.cut.1);
        let of_whole = cuts.iter().filter(|(_, blocks)| is_whole(blocks)).map(|(cut, _)| cut.1);
        let sealed = of_merged.chain(of_whole).fold(state.sealed_offset, u64::max);
        let plain = cuts.iter().filter(|(cut, _)| cut.1 <= sealed).flat_map(|(_, blocks)| blocks.iter().copied());
        let lost = cuts.iter().filter(|(cut, blocks)| cut.1 <= sealed && is_whole(blocks));
        let lost: Vec<Lost> = lost.filter_map(|(cut, blocks)| lost_of(*cut, blocks)).collect();
        let found: Vec<BlockEntry> = plain.cloned().chain(merged).collect();
        state.sealed_offset = sealed;
        lost.into_iter().for_each(|lost| lost::add(&mut state.lost, lost));
        state.blocks.extend(found.into_iter().map(|block| (block.info.id, block)));
    }

    /// Blocks that were not merged, by the stretch of the queue that they are of.
    fn plain_cuts(&self, is_wanted: impl Fn(&BlockEntry) -> bool) -> BTreeMap<(u64, u64), Vec<&BlockEntry>> {
        let mut cuts: BTreeMap<(u64, u64), Vec<&BlockEntry>> = BTreeMap::new();
        for block in self.sound.values().filter(|block| block.info.merged_from.is_empty() && is_wanted(block)) {
            cuts.entry(block.info.cut).or_default().push(block);
        }
        cuts
    }
}

fn is_whole(blocks: &[&BlockEntry]) -> bool {
    blocks.first().is_some_and(|block| block.info.cut_blocks as usize == blocks.len())
}

/// What never came of a stretch of the queue, by the blocks that it became.
fn lost_of(cut: (u64, u64), blocks: &[&BlockEntry]) -> Option<Lost> {
    let there: u64 = blocks.iter().map(|block| u64::from(block.info.rows)).sum();
    let records = cut.1.saturating_sub(cut.0).saturating_sub(there);
    let time_min = blocks.iter().map(|block| block.info.time_min).min()?;
    let time_max = blocks.iter().map(|block| block.info.time_max).max()?;
    (records > 0).then_some(Lost { start: cut.0, end: cut.1, records, time_min, time_max })
}
