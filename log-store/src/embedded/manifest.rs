//! The manifest: which blocks there are, and up to which offset of the queue they reach.
//!
//! ```text
//! "WFLOGMAN" | version u32 | crc u32 of the 12 bytes before | edit*
//! edit = "WFME" | length u32 | crc u32 | sealed_offset, next_block: varint | removed ids | added blocks | lost
//! ```
//! Edits are appended and synced; a new file with one edit replaces the old one by renaming when it has grown. An
//! edit counts as a whole or not at all. Headers of versions 1 and 2 have no checksum: their first edit follows at once;
//! and their edits know nothing of lost records ([`Lost`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::lost::{self, Lost};
use crate::sealed::directory::BlockInfo;
use crate::sealed::wire::{Wire, WireError, put_varint};

const MAGIC: &[u8; 8] = b"WFLOGMAN";
const EDIT_MAGIC: &[u8; 4] = b"WFME";
/// Version of the format. It is raised with that of the blocks too: a program that does not know them must not open the
/// folder either.
const VERSION: u32 = 3;
const HEADER_BYTES: usize = 16;
/// The last version whose header has no checksum, and the length of that header.
const UNCHECKED_VERSION: u32 = 2;
const UNCHECKED_HEADER_BYTES: usize = 12;
const EDIT_HEADER_BYTES: usize = 12;
/// Length from which the manifest is written anew when it has grown by a factor since the last time.
const COMPACT_FROM: u64 = 1 << 20;
const COMPACT_GROWTH: u64 = 4;
/// Blocks that one edit names at most.
const BLOCKS_MAX: usize = 1 << 24;

/// A block as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub info: BlockInfo,
    /// Length of its file.
    pub bytes: u64,
}

/// A change that happens as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Edit {
    /// The queue must be replayed from here.
    pub sealed_offset: u64,
    /// The next block's number.
    pub next_block: u64,
    pub removed: Vec<u64>,
    pub added: Vec<BlockEntry>,
    /// Records that never came, in the order of the queue.
    pub lost: Vec<Lost>,
}

impl Edit {
    fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        put_varint(&mut payload, self.sealed_offset);
        put_varint(&mut payload, self.next_block);
        put_varint(&mut payload, self.removed.len() as u64);
        self.removed.iter().for_each(|id| put_varint(&mut payload, *id));
        put_varint(&mut payload, self.added.len() as u64);
        for block in &self.added {
            block.info.put(&mut payload);
            put_varint(&mut payload, block.bytes);
        }
        put_varint(&mut payload, self.lost.len() as u64);
        self.lost.iter().for_each(|lost| lost.put(&mut payload));
        let mut out = EDIT_MAGIC.to_vec();
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        out.extend_from_slice(&payload);
        out
    }

    fn decode(payload: &[u8]) -> Result<Edit, WireError> {
        let mut wire = Wire::new(payload);
        let mut edit = Edit { sealed_offset: wire.varint()?, next_block: wire.varint()?, ..Edit::default() };
        for _ in 0..wire.count(BLOCKS_MAX)? {
            edit.removed.push(wire.varint()?);
        }
        for _ in 0..wire.count(BLOCKS_MAX)? {
            edit.added.push(BlockEntry { info: BlockInfo::read(&mut wire)?, bytes: wire.varint()? });
        }
        let is_of_before = wire.is_empty();
        for _ in 0..if is_of_before { 0 } else { wire.count(BLOCKS_MAX)? } {
            edit.lost.push(Lost::read(&mut wire)?);
        }
        if wire.is_empty() { Ok(edit) } else { wire.fail("more than an edit") }
    }
}

/// What all edits come to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct ManifestState {
    pub blocks: BTreeMap<u64, BlockEntry>,
    /// Blocks named once, and not any more.
    pub removed: BTreeSet<u64>,
    pub sealed_offset: u64,
    pub next_block: u64,
    /// Records that never came, in the order of the queue.
    pub lost: Vec<Lost>,
}

impl ManifestState {
    pub fn apply(&mut self, edit: Edit) {
        for id in edit.removed {
            self.blocks.remove(&id);
            self.removed.insert(id);
        }
        for block in edit.added {
            self.next_block = self.next_block.max(block.info.id + 1);
            self.blocks.insert(block.info.id, block);
        }
        self.sealed_offset = self.sealed_offset.max(edit.sealed_offset);
        self.next_block = self.next_block.max(edit.next_block);
        edit.lost.into_iter().for_each(|lost| lost::add(&mut self.lost, lost));
    }

    fn as_edit(&self) -> Edit {
        Edit {
            sealed_offset: self.sealed_offset,
            next_block: self.next_block,
            removed: Vec::new(),
            added: self.blocks.values().cloned().collect(),
            lost: self.lost.clone(),
        }
    }
}

/// What was found in a manifest's file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Loaded {
    pub state: ManifestState,
    /// Bytes that are no edits; some edits are lost with them. A write that the system did not finish looks alike.
    pub damaged_bytes: usize,
    /// Edits may be missing: the file is damaged, or was cut before its first edit.
    pub is_damaged: bool,
    /// There was none.
    pub is_new: bool,
    /// It is of an earlier version, and must be written anew before anything is added.
    pub is_old: bool,
}

/// Why a manifest cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("version {0}")]
    Newer(u32),
}

/// Reads a manifest. Damage is skipped, as far as the next edit that is sound.
pub(crate) fn load(path: &Path) -> Result<Loaded, ManifestError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Loaded { is_new: true, ..Loaded::default() });
        }
        Err(error) => return Err(error.into()),
    };
    let mut loaded = Loaded::default();
    let mut at = match header_of(&bytes) {
        Header::Good { version, .. } if version > VERSION => return Err(ManifestError::Newer(version)),
        Header::Good { version, bytes } => {
            loaded.is_old = version < VERSION;
            bytes
        }
        Header::Damaged => {
            loaded.is_damaged = true;
            0
        }
    };
    // The first edit is written together with the header.
    loaded.is_damaged |= bytes.len() <= at;
    while at < bytes.len() {
        match edit_at(&bytes, at) {
            Some((edit, end)) => {
                loaded.state.apply(edit);
                at = end;
            }
            None => {
                loaded.damaged_bytes += 1;
                at += 1;
            }
        }
    }
    loaded.is_damaged |= loaded.damaged_bytes > 0;
    Ok(loaded)
}

/// How a file begins.
enum Header {
    /// Of this version, and so long.
    Good { version: u32, bytes: usize },
    /// Of no version that can be believed; edits may stand anywhere.
    Damaged,
}

fn header_of(file: &[u8]) -> Header {
    let mut wire = Wire::new(file);
    let (magic, version, crc) = (wire.take(MAGIC.len()), wire.u32(), wire.u32());
    let (Ok(magic), Ok(version)) = (magic, version) else { return Header::Damaged };
    let checked = file.get(..HEADER_BYTES - 4).unwrap_or_default();
    if magic == MAGIC && crc == Ok(crc32fast::hash(checked)) {
        return Header::Good { version, bytes: HEADER_BYTES };
    }
    let is_unchecked = (1..=UNCHECKED_VERSION).contains(&version)
        && file.get(UNCHECKED_HEADER_BYTES..).is_some_and(|edits| edits.starts_with(EDIT_MAGIC));
    if magic == MAGIC && is_unchecked {
        return Header::Good { version, bytes: UNCHECKED_HEADER_BYTES };
    }
    Header::Damaged
}

/// A header of the present version.
fn header() -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header
}

fn edit_at(bytes: &[u8], at: usize) -> Option<(Edit, usize)> {
    let mut wire = Wire::new(bytes.get(at..)?);
    if wire.take(4).ok()? != EDIT_MAGIC {
        return None;
    }
    let (length, crc) = (wire.u32().ok()? as usize, wire.u32().ok()?);
    let payload = wire.take(length).ok()?;
    let is_sound = crc32fast::hash(payload) == crc;
    let edit = is_sound.then(|| Edit::decode(payload).ok()).flatten()?;
    Some((edit, at + EDIT_HEADER_BYTES + length))
}

/// A manifest that is appended to.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    /// `None`: it was not written when it was due, as the disk had no room, and is before anything else.
    file: Option<File>,
    length: u64,
    /// Its length when it was written anew.
    compact_length: u64,
    pub state: ManifestState,
    /// The file's end may be half an edit: it must be written anew before anything else.
    is_torn: bool,
}

impl Manifest {
    /// Writes a manifest of `state` in place of what is there.
    pub fn create(path: &Path, state: ManifestState) -> io::Result<Manifest> {
        let (file, length) = write_new(path, &state)?;
        let path = path.to_owned();
        Ok(Manifest { path, file: Some(file), length, compact_length: length, state, is_torn: false })
    }

    /// The same on a disk without room: `state` is in force, and on the disk with the first edit. Until then a start
    /// finds it from the files again, as this one did.
    pub fn owed(path: &Path, state: ManifestState) -> Manifest {
        Manifest { path: path.to_owned(), file: None, length: 0, compact_length: 0, state, is_torn: false }
    }

    /// Goes on with a manifest that was loaded without damage.
    pub fn reopen(path: &Path, state: ManifestState) -> io::Result<Manifest> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let path = path.to_owned();
        Ok(Manifest { path, file: Some(file), length, compact_length: 0, state, is_torn: false })
    }

    /// Appends an edit; it is in force, and on the disk, when this returns.
    pub fn append(&mut self, edit: Edit) -> io::Result<()> {
        let is_long = self.length > COMPACT_FROM.max(self.compact_length.saturating_mul(COMPACT_GROWTH));
        let Some(file) = self.file.as_ref().filter(|_| !self.is_torn && !is_long) else {
            let mut state = self.state.clone();
            state.apply(edit);
            state.removed.clear();
            let (file, length) = write_new(&self.path, &state)?;
            (self.file, self.length, self.compact_length) = (Some(file), length, length);
            (self.state, self.is_torn) = (state, false);
            return Ok(());
        };
        let bytes = edit.encode();
        self.is_torn = true;
        file.write_all_at(&bytes, self.length)?;
        file.sync_data()?;
        self.is_torn = false;
        self.length += bytes.len() as u64;
        self.state.apply(edit);
        Ok(())
    }
}

/// Where a manifest is written before it takes the place of the one at `path`.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn write_new(path: &Path, state: &ManifestState) -> io::Result<(File, u64)> {
    let temporary = unfinished(path);
    let mut bytes = header();
    bytes.extend_from_slice(&state.as_edit().encode());
    let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(dir) = path.parent() {
        sync_dir(dir)?;
    }
    Ok((file, bytes.len() as u64))
}

/// Makes names of a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(id: u64) -> BlockEntry {
        let info = BlockInfo { id, day: 3, rows: 1, level_counts: [0, 0, 1, 0, 0, 0, 0, 0], ..BlockInfo::default() };
        BlockEntry { info, bytes: id * 10 }
    }

    fn lost(id: u64) -> Lost {
        Lost { start: id * 100, end: id * 100 + 3, records: 3, time_min: i64::MIN, time_max: id as i64 }
    }

    fn written(path: &Path, edits: u64) -> Vec<ManifestState> {
        let mut manifest = Manifest::create(path, ManifestState::default()).expect("writable");
        let mut states = vec![manifest.state.clone()];
        for id in 1..=edits {
            let removed = if id % 3 == 0 { vec![id - 1] } else { Vec::new() };
            let edit = Edit {
                sealed_offset: id * 100,
                next_block: id + 1,
                removed,
                added: vec![block(id)],
                lost: vec![lost(id)],
            };
            manifest.append(edit).expect("writable");
            states.push(manifest.state.clone());
        }
        states
    }

    #[test]
    fn what_is_cut_off_is_as_if_it_had_not_been_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("MANIFEST");
        let states = written(&path, 5);
        let whole = std::fs::read(&path).expect("readable");
        for length in HEADER_BYTES..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("writable");
            let loaded = load(&path).expect("readable");
            let is_a_state = loaded.state == ManifestState::default() || states.contains(&loaded.state);
            assert!(is_a_state, "cut to {length}");
        }
        std::fs::write(&path, &whole).expect("writable");
        let loaded = load(&path).expect("readable");
        assert_eq!((Some(&loaded.state), loaded.damaged_bytes), (states.last(), 0));
    }

    #[test]
    fn a_flipped_byte_costs_one_edit() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("MANIFEST");
        written(&path, 6);
        let whole = std::fs::read(&path).expect("readable");
        for at in HEADER_BYTES..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&path, &bytes).expect("writable");
            let loaded = load(&path).expect("readable");
            assert!(loaded.damaged_bytes > 0, "byte {at}");
            assert!(loaded.state.sealed_offset >= 500, "byte {at}");
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("MANIFEST");
        written(&path, 1);
        let mut bytes = std::fs::read(&path).expect("readable");
        bytes[8] = 9;
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, &bytes).expect("writable");
        assert!(matches!(load(&path), Err(ManifestError::Newer(9))));
    }

    /// Every byte of the header, each of its bits: of this version and of those before.
    #[test]
    fn a_damaged_header_is_no_newer_version_and_costs_no_edit() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("MANIFEST");
        let states = written(&path, 3);
        let now = std::fs::read(&path).expect("readable");
        let before = [&MAGIC[..], &2u32.to_le_bytes(), &now[HEADER_BYTES..]].concat();
        for whole in [now, before] {
            std::fs::write(&path, &whole).expect("writable");
            let loaded = load(&path).expect("readable");
            assert_eq!((Some(&loaded.state), loaded.is_damaged), (states.last(), false));
            for (at, bit) in (0..UNCHECKED_HEADER_BYTES).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&path, &bytes).expect("writable");
                let loaded = load(&path).unwrap_or_else(|error| panic!("byte {at}, bit {bit}: {error}"));
                assert_eq!(Some(&loaded.state), states.last(), "byte {at}, bit {bit}");
                let is_old = whole[8] == 2;
                // 2 with a bit fewer or more may be another old version; then nothing is lost by that.
                assert!(loaded.is_damaged || is_old && loaded.is_old, "byte {at}, bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("MANIFEST");
            let mut file = header();
            file.extend_from_slice(&bytes);
            std::fs::write(&path, &file).expect("writable");
            prop_assert!(load(&path).is_ok());
        }
    }
}
