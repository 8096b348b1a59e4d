//! The files that blocks lie in: which there are, how one is written, and when it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use watchfire_model::failpoint;

use super::extent::{Piece, Place, put_extent};
use super::recent::Recent;
use crate::bytes::{Cursor, Damaged};
use crate::wal::segment::{self, Damage};
use crate::wal::sync_folder;

const MAGIC: &[u8; 6] = b"WFBLK\0";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 20;
/// A file is followed by the next one at this length, bytes; places in it are 32 bits.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Damaged places of a file that are told apart. Where there are more, those beyond it are not counted.
const DAMAGES_MAX: usize = 4096;

/// A file of extents, immutable.
pub(crate) struct BlockFile {
    number: u64,
    path: PathBuf,
    file: File,
    bytes: u64,
    damaged: Mutex<Unreadable>,
    pub(super) shared: Arc<Shared>,
}

/// What all files have in common.
#[derive(Default)]
pub(super) struct Shared {
    /// What was read last.
    pub(super) recent: Recent,
    /// How often samples were asked for that cannot be read.
    gaps_met: AtomicU64,
}

/// What of a file could not be read.
#[derive(Default)]
struct Unreadable {
    /// Where it lies, [`DAMAGES_MAX`] places at most.
    places: BTreeSet<u32>,
    samples: u64,
}

impl BlockFile {
    fn open(path: PathBuf, number: u64, shared: &Arc<Shared>) -> io::Result<BlockFile> {
        let file = File::open(&path)?;
        let bytes = file.metadata()?.len();
        let mut head = [0u8; HEAD_BYTES];
        file.read_exact_at(&mut head, 0)?;
        if head != *self::head(number) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin as a block of this version"));
        }
        Ok(BlockFile { number, path, file, bytes, damaged: Mutex::default(), shared: Arc::clone(shared) })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The bytes of an extent. Errors: the disk said no, or the file is shorter than it was.
    pub(crate) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut bytes, u64::from(place.at))?;
        Ok(bytes)
    }

    /// Samples of it are lost to whoever asks for them. A place counts once, however often it is met.
    pub(crate) fn tell_damaged(&self, place: Place, samples: u32, reason: &dyn std::fmt::Display) {
        self.shared.gaps_met.fetch_add(1, Ordering::Relaxed);
        let mut damaged = self.damaged.lock();
        if damaged.places.len() >= DAMAGES_MAX || !damaged.places.insert(place.at) {
            return;
        }
        damaged.samples += u64::from(samples);
        if damaged.places.len() == 1 {
            let (path, at, bytes) = (self.path.display(), place.at, place.bytes);
            tracing::error!(%path, at, bytes, %reason, "samples of a block cannot be read; all others are served");
        }
    }
}

impl std::fmt::Debug for BlockFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

fn head(number: u64) -> Box<[u8; HEAD_BYTES]> {
    let mut head = Box::new([0u8; HEAD_BYTES]);
    head[..6].copy_from_slice(MAGIC);
    head[6..8].copy_from_slice(&VERSION.to_le_bytes());
    head[8..16].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&head[..16]);
    head[16..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Whether anything but the list of all files holds a file: memory names it.
fn is_in_use(file: &Arc<BlockFile>) -> bool {
    Arc::strong_count(file) > 1
}

/// The name of the block with this number.
fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("block-{number:020}.blk"))
}

/// All block files of a folder.
pub(crate) struct Blocks {
    folder: PathBuf,
    files: Mutex<Files>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Files {
    by_number: BTreeMap<u64, Arc<BlockFile>>,
    next: u64,
    /// What the newest snapshot names, or those before it: they may be needed to go back to one.
    named: BTreeSet<u64>,
    /// Extents of files that are not there or cannot be used, and their bytes, by number of the file.
    missing: BTreeMap<u64, u64>,
    /// Why files cannot be used.
    unusable: BTreeMap<u64, String>,
    /// Samples that could not be read of files that are gone.
    damaged_before: u64,
}

/// Figures of all files of a folder.
pub(crate) struct BlockSizes {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Samples that could not be read, also of files that are gone by now.
    pub(crate) damaged_samples: u64,
    /// The files that memory names, and of which some could not be read.
    pub(crate) damaged: Vec<PathBuf>,
}

impl Blocks {
    /// Looks what is there. A file that cannot be used is told when something names it.
    pub(crate) fn open(folder: &Path) -> io::Result<Blocks> {
        let shared = Arc::default();
        let mut files = Files { next: 1, ..Files::default() };
        for (number, path) in segment::numbered(folder, "block-", ".blk")? {
            files.next = number.saturating_add(1);
            if std::fs::metadata(&path)?.len() < HEAD_BYTES as u64 {
                // A crash came before its first bytes.
                forget_file(&path);
                continue;
            }
            match BlockFile::open(path, number, &shared) {
                Ok(file) => drop(files.by_number.insert(number, Arc::new(file))),
                Err(error) => drop(files.unusable.insert(number, error.to_string())),
            }
        }
        // Which of them the snapshots name is not looked up: the next two snapshots tell.
        files.named = files.by_number.keys().copied().collect();
        Ok(Blocks { folder: folder.to_owned(), files: Mutex::new(files), shared })
    }

    /// How often samples were asked for that cannot be read: grows with each question that meets such.
    pub(crate) fn gaps_met(&self) -> u64 {
        self.shared.gaps_met.load(Ordering::Relaxed)
    }

    /// The file that an extent of a snapshot names; what it names there is noted as missing if it is not there.
    pub(crate) fn named(&self, number: u64, bytes: u32) -> Option<Arc<BlockFile>> {
        let mut files = self.files.lock();
        let found = files.by_number.get(&number).cloned();
        if found.is_none() {
            *files.missing.entry(number).or_default() += u64::from(bytes);
        }
        found
    }

    /// What was named and is not there, each file once.
    pub(crate) fn take_missing(&self) -> Vec<Damage> {
        let mut files = self.files.lock();
        let missing = std::mem::take(&mut files.missing);
        let damage = |(number, bytes)| Damage {
            file: path_of(&self.folder, number),
            offset: 0,
            bytes,
            reason: files.unusable.get(&number).cloned().unwrap_or_else(|| "the file is not there".to_owned()),
            torn_tail: false,
        };
        missing.into_iter().map(damage).collect()
    }

    /// Begins a new file.
    pub(super) fn begin(&self) -> io::Result<BlockWriter> {
        let number = {
            let mut files = self.files.lock();
            files.next = files.next.saturating_add(1);
            files.next - 1
        };
        let path = path_of(&self.folder, number);
        let mut out = BufWriter::with_capacity(1 << 18, File::create(&path)?);
        out.write_all(&*head(number))?;
        Ok(BlockWriter { number, path, out, at: HEAD_BYTES as u64, buffer: Vec::new() })
    }

    /// Figures of this moment.
    pub(crate) fn sizes(&self) -> BlockSizes {
        let files = self.files.lock();
        let (count, before) = (files.by_number.len() as u64, files.damaged_before);
        let mut sizes = BlockSizes { files: count, bytes: 0, damaged_samples: before, damaged: Vec::new() };
        for file in files.by_number.values() {
            sizes.bytes += file.bytes;
            let samples = file.damaged.lock().samples;
            sizes.damaged_samples += samples;
            if samples > 0 && is_in_use(file) {
                sizes.damaged.push(file.path.clone());
            }
        }
        sizes
    }

    /// The files that memory names at present.
    pub(crate) fn in_use(&self) -> Vec<Arc<BlockFile>> {
        let files = self.files.lock();
        files.by_number.values().filter(|file| is_in_use(file)).cloned().collect()
    }

    /// Deletes what neither memory, nor the snapshot that was just taken, nor the one before it names.
    /// `in_snapshot` is what memory named when it was begun.
    pub(crate) fn delete_unnamed(&self, in_snapshot: &[Arc<BlockFile>]) -> io::Result<()> {
        let mut files = self.files.lock();
        let in_snapshot: BTreeSet<u64> = in_snapshot.iter().map(|file| file.number).collect();
        let before = std::mem::replace(&mut files.named, in_snapshot);
        let gone: Vec<u64> = files
            .by_number
            .iter()
            .filter(|(number, file)| !is_in_use(file) && !files.named.contains(number) && !before.contains(number))
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            failpoint::hit("engine.block_delete");
            std::fs::remove_file(path_of(&self.folder, number))?;
            let gone = files.by_number.remove(&number);
            files.damaged_before += gone.map_or(0, |file| file.damaged.lock().samples);
        }
        Ok(())
    }

    /// Copies files to another folder; gives their bytes.
    pub(crate) fn copy(&self, some: &[Arc<BlockFile>], folder: &Path) -> io::Result<u64> {
        let mut bytes = 0;
        for file in some {
            let to = path_of(folder, file.number);
            bytes += std::fs::copy(&file.path, &to)?;
            File::open(to)?.sync_all()?;
        }
        Ok(bytes)
    }
}

/// A block in the making. What a crash leaves of it is named by nothing.
pub(crate) struct BlockWriter {
    number: u64,
    path: PathBuf,
    out: BufWriter<File>,
    at: u64,
    buffer: Vec<u8>,
}

impl BlockWriter {
    pub(super) fn is_full(&self) -> bool {
        self.at >= FILE_BYTES_MAX
    }

    /// Writes pieces of one series, ascending; says where they lie.
    pub(crate) fn put<'p>(&mut self, pieces: impl Iterator<Item = Piece<'p>> + Clone) -> io::Result<Place> {
        self.buffer.clear();
        put_extent(pieces, &mut self.buffer);
        let too_long = |_| io::Error::other("the samples of a series are too many for a block");
        let place = Place {
            at: u32::try_from(self.at).map_err(too_long)?,
            bytes: u32::try_from(self.buffer.len()).map_err(too_long)?,
        };
        self.out.write_all(&self.buffer)?;
        self.at += u64::from(place.bytes);
        Ok(place)
    }

    /// Makes it durable and known. If that fails nothing of it is left: on a full disk it would be in the way.
    pub(super) fn finish(self, blocks: &Blocks) -> io::Result<Arc<BlockFile>> {
        failpoint::hit("engine.block_write");
        let BlockWriter { number, path, out, .. } = self;
        let durable = out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_folder(&blocks.folder))
            .and_then(|()| BlockFile::open(path.clone(), number, &blocks.shared));
        let file = Arc::new(durable.inspect_err(|_| forget_file(&path))?);
        blocks.files.lock().by_number.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// Takes it back.
    pub(super) fn give_up(self) {
        forget_file(&self.path);
    }
}

/// Removes a file that nothing names; it may stay.
fn forget_file(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Checks what an extent begins with; gives the rest.
pub(super) fn checked(bytes: &[u8]) -> Result<Cursor<'_>, Damaged> {
    let mut cursor = Cursor::new(bytes);
    let crc = cursor.u32()?;
    if crc == crc32fast::hash(cursor.rest()) { Ok(cursor) } else { Err(Damaged("the checksum is wrong")) }
}
