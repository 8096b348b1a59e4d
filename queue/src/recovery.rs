//! Opening a folder: what is there, what is damaged, where to go on.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::checkpoint::{Checkpoints, Found};
use crate::config::QueueConfig;
use crate::consumers::Consumers;
use crate::dedup::DedupIndex;
use crate::disk::Disk;
use crate::error::{Damage, OpenError, RecoveryReport, TornTail};
use crate::frame::{CHECKPOINTS_SINCE_VERSION, FILE_HEADER_BYTES, FileHeader, FileKind, HeaderFault, VERSION, keys};
use crate::janitor::{KeysOfDeleted, STATE_FILE};
use crate::log::{DamageLog, Segment, segment_path};
use crate::sidecar::{KeptKey, SegmentKeys};
use crate::state_file::StateFile;
use crate::walk::{FrameWalk, Step};

/// What recovery hands to the running queue.
pub(crate) struct Recovered {
    pub epoch: u64,
    pub segments: VecDeque<Segment>,
    /// Keys of full segments that have no key file yet.
    pub unkept: Vec<SegmentKeys>,
    pub keys_of_deleted: BTreeMap<u64, KeysOfDeleted>,
    pub dedup: DedupIndex,
    pub consumers: Consumers,
    pub checkpoints: Checkpoints,
    pub damage: DamageLog,
    /// Offset that the next record gets; it can lie behind the end of the last segment.
    pub next_offset: u64,
    /// Whether the last segment can be written to.
    pub last_is_usable: bool,
    pub report: RecoveryReport,
}

/// Reads the folder. It is locked by the caller, and only a torn tail and temporary files are changed.
pub(crate) fn recover(config: &QueueConfig, disk: &Disk, now_ms: i64) -> Result<Recovered, OpenError> {
    let files = Files::list(&config.dir)?;
    for temporary in &files.temporary {
        disk.remove(temporary).map_err(|source| io_error("remove", temporary, source))?;
    }
    let mut report = RecoveryReport::default();
    let state = read_state(config, &mut report)?;
    let mut segments = files.segments(config, &mut report)?;
    let epoch = match (&state, segments.iter().find_map(|segment| segment.epoch)) {
        (Some(state), _) => state.epoch,
        (None, Some(epoch)) => epoch,
        (None, None) if segments.iter().all(SegmentFile::is_unborn) => new_epoch(now_ms),
        (None, None) => return Err(OpenError::Unreadable { dir: config.dir.clone() }),
    };
    report.created = state.is_none() && segments.iter().all(SegmentFile::is_unborn);
    for segment in &segments {
        if let Some(found) = segment.epoch.filter(|found| *found != epoch) {
            return Err(OpenError::OtherQueue { path: segment.path.clone(), found, expected: epoch });
        }
    }
    // A power failure while a segment was made leaves a file without anything in it.
    let mut begin_offset = 0;
    while let Some(last) = segments.pop_if(|last| last.is_unborn()) {
        begin_offset = last.first_offset;
        tracing::warn!(path = %last.path.display(), "a segment that was being made, or was cut to nothing, is removed");
        disk.remove(&last.path).map_err(|source| io_error("remove", &last.path, source))?;
        report.damaged_files.retain(|path| *path != last.path);
    }
    let state = state.unwrap_or_else(|| StateFile { epoch, used_offsets: 0, consumers: BTreeMap::new() });
    if report.created {
        let path = config.dir.join(STATE_FILE);
        state.write(disk, &path, now_ms).map_err(|source| io_error("write", &path, source))?;
    }

    let mut kept = files.read_keys(epoch, &mut report)?;
    let mut checkpoints = Found::default();
    let mut checked = Checked { epoch, checkpoints: &mut checkpoints, report: &mut report };
    let mut found = VecDeque::new();
    let mut unkept = Vec::new();
    // The newest first, as the newest checkpoints count.
    for (at, file) in segments.iter().enumerate().rev() {
        let follower = segments.get(at + 1).map(|next| next.first_offset);
        let known = kept.get(&file.first_offset).map(|(keys, bytes)| (keys.end_offset, *bytes));
        let (segment, keys) = checked.segment(file, follower, known)?;
        if let Some(keys) = keys {
            if follower.is_some() {
                unkept.push(keys.clone());
            }
            kept.insert(file.first_offset, (keys, 0));
        }
        found.push_front(segment);
    }
    for (before, after) in found.iter().zip(found.iter().skip(1)) {
        let is_known =
            |damage: &Damage| damage.first_offset <= before.end_offset && damage.next_offset >= after.first_offset;
        if before.end_offset < after.first_offset && !report.damaged.iter().any(is_known) {
            report.damaged.push(Damage {
                segment: segment_path(&config.dir, before.first_offset),
                first_offset: before.end_offset,
                next_offset: after.first_offset,
                certain: true,
            });
        }
    }

    let end_offset = found.back().map_or(begin_offset, |last| last.end_offset);
    let next_offset = state.consumers.values().copied().fold(end_offset.max(state.used_offsets), u64::max);
    if next_offset > end_offset && !report.created {
        let last = found.back().map_or_else(|| config.dir.clone(), |last| segment_path(&config.dir, last.first_offset));
        report.damaged.push(Damage { segment: last, first_offset: end_offset, next_offset, certain: true });
    }
    report.damaged.sort_by_key(|damage| damage.first_offset);

    let mut dedup = DedupIndex::new(config.dedup_window_ms, config.effective_keys_max());
    let mut newest_ms = i64::MIN;
    for kept_key in kept.values().flat_map(|(keys, _)| &keys.keys) {
        // Times ascend, though clocks may step back; the same key twice can only come from a lost state.
        newest_ms = newest_ms.max(kept_key.accepted_ms);
        let is_young = newest_ms.saturating_add(config.dedup_window_ms) > now_ms;
        if is_young && dedup.offset_of(kept_key.key).is_none() {
            dedup.insert(KeptKey { accepted_ms: newest_ms, ..*kept_key });
        }
    }
    dedup.expire(now_ms);

    let mut damage = DamageLog::default();
    report.damaged.iter().for_each(|range| damage.found_at_start(range));
    report.damaged_records = damage.lost_records(0);
    report.segments = found.len();
    report.first_offset = found.front().map_or(next_offset, |segment| segment.first_offset);
    report.next_offset = next_offset;
    report.dedup_keys = dedup.len();
    let is_current = |last: &SegmentFile| last.epoch.is_some() && last.version == VERSION;
    let last_is_usable = segments.last().is_some_and(is_current) && next_offset == end_offset && !found.is_empty();
    let is_deleted = |first_offset: &u64| !found.iter().any(|segment| segment.first_offset == *first_offset);
    let keys_of_deleted = kept
        .iter()
        .filter(|(first_offset, _)| is_deleted(first_offset))
        .map(|(first_offset, (keys, bytes))| {
            (*first_offset, KeysOfDeleted { end_offset: keys.end_offset, bytes: *bytes })
        })
        .collect();
    Ok(Recovered {
        epoch,
        segments: found,
        unkept,
        keys_of_deleted,
        dedup,
        consumers: Consumers::recovered(&state.consumers),
        checkpoints: checkpoints.finish(config.checkpoint_bytes_max()),
        damage,
        next_offset,
        last_is_usable,
        report,
    })
}

/// The names in the folder.
#[derive(Default)]
struct Files {
    segments: BTreeMap<u64, PathBuf>,
    keys: BTreeMap<u64, PathBuf>,
    temporary: Vec<PathBuf>,
}

/// A segment file and what its header says.
struct SegmentFile {
    path: PathBuf,
    first_offset: u64,
    bytes: u64,
    /// `None` if the header is damaged.
    epoch: Option<u64>,
    /// Of its format.
    version: u32,
}

impl Files {
    fn list(dir: &Path) -> Result<Files, OpenError> {
        let mut files = Files::default();
        for entry in fs::read_dir(dir).map_err(|source| io_error("list", dir, source))? {
            let path = entry.map_err(|source| io_error("list", dir, source))?.path();
            let offset = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            match (path.extension().and_then(|extension| extension.to_str()), offset) {
                (Some("seg"), Some(offset)) => drop(files.segments.insert(offset, path)),
                (Some("keys"), Some(offset)) => drop(files.keys.insert(offset, path)),
                (Some("tmp"), _) => files.temporary.push(path),
                _ => {}
            }
        }
        Ok(files)
    }

    fn segments(&self, config: &QueueConfig, report: &mut RecoveryReport) -> Result<Vec<SegmentFile>, OpenError> {
        let mut found = Vec::new();
        for first_offset in self.segments.keys().copied() {
            let path = segment_path(&config.dir, first_offset);
            let mut head = [0; FILE_HEADER_BYTES];
            let read = |path: &Path, head: &mut [u8]| -> io::Result<(u64, usize)> {
                let mut file = fs::File::open(path)?;
                let bytes = file.metadata()?.len();
                let wanted = head.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
                file.read_exact(&mut head[..wanted])?;
                Ok((bytes, wanted))
            };
            let (bytes, filled) = read(&path, &mut head).map_err(|source| io_error("read", &path, source))?;
            let (epoch, version) = match FileHeader::decode(FileKind::Segment, &head[..filled]) {
                Ok(header) => (Some(header.epoch), header.version),
                Err(HeaderFault::Newer(version)) => return Err(newer(path, version)),
                Err(HeaderFault::Damaged) => {
                    report.damaged_files.push(path.clone());
                    (None, VERSION)
                }
            };
            found.push(SegmentFile { path, first_offset, bytes, epoch, version });
        }
        Ok(found)
    }

    /// The key files, each with its size.
    fn read_keys(
        &self,
        epoch: u64,
        report: &mut RecoveryReport,
    ) -> Result<BTreeMap<u64, (SegmentKeys, u64)>, OpenError> {
        let mut kept = BTreeMap::new();
        for (first_offset, path) in &self.keys {
            let bytes = fs::read(path).map_err(|source| io_error("read", path, source))?;
            match SegmentKeys::decode(&bytes, epoch) {
                Ok(keys) if keys.first_offset == *first_offset => {
                    kept.insert(*first_offset, (keys, bytes.len() as u64));
                }
                Err(HeaderFault::Newer(version)) => return Err(newer(path.clone(), version)),
                Ok(_) | Err(HeaderFault::Damaged) => report.damaged_files.push(path.clone()),
            }
        }
        Ok(kept)
    }
}

impl SegmentFile {
    /// Whether nothing was ever written to it but a part of the header: frames follow only when that is durable.
    fn is_unborn(&self) -> bool {
        self.epoch.is_none() && self.bytes <= FILE_HEADER_BYTES as u64
    }
}

/// The checks of the segments, newest first.
struct Checked<'a> {
    epoch: u64,
    /// Where sources stand, as far as it was found.
    checkpoints: &'a mut Found,
    report: &'a mut RecoveryReport,
}

impl Checked<'_> {
    /// A segment that is followed by the one at `follower`, and whose end and key file are `known`. Its keys are
    /// returned if they had to be read from the segment itself.
    fn segment(
        &mut self,
        file: &SegmentFile,
        follower: Option<u64>,
        known: Option<(u64, u64)>,
    ) -> Result<(Segment, Option<SegmentKeys>), OpenError> {
        // The last segment goes on growing, so what is known of it may be too little.
        let known = known.filter(|_| follower.is_some());
        let mut segment = Segment {
            first_offset: file.first_offset,
            end_offset: known.map_or(file.first_offset, |(end_offset, _)| end_offset),
            bytes: file.bytes,
            keys_bytes: known.map_or(0, |(_, bytes)| bytes),
        };
        // Segments of version 1 come before all checkpoints.
        self.checkpoints.is_whole |= file.version < CHECKPOINTS_SINCE_VERSION;
        if known.is_some() && self.checkpoints.is_whole {
            // Whoever reads its records checks them; a start does not wait for that.
            return Ok((segment, None));
        }
        let wants_checkpoints = !self.checkpoints.is_whole;
        if wants_checkpoints {
            self.checkpoints.begin_segment();
        }
        let limit_offset = follower.unwrap_or(u64::MAX);
        let failed = |source| io_error("read", &file.path, source);
        let mut walk =
            FrameWalk::open(&file.path, self.epoch, file.first_offset, limit_offset, file.bytes).map_err(failed)?;
        let mut kept = SegmentKeys { first_offset: file.first_offset, end_offset: file.first_offset, keys: Vec::new() };
        let mut damaged = Vec::new();
        let junk_bytes = loop {
            match walk.next().map_err(failed)? {
                Step::Frame { header, keys: block, checkpoints, .. } => {
                    if wants_checkpoints {
                        self.checkpoints.frame(header.names_all, walk.bytes(checkpoints));
                    }
                    kept.keys.extend(keys(walk.bytes(block), file.version).map(|(index, key)| KeptKey {
                        key,
                        offset: header.first_offset + u64::from(index.min(header.record_count.saturating_sub(1))),
                        accepted_ms: header.accepted_ms,
                    }));
                }
                Step::Damage(damage) => damaged.push(damage),
                Step::End { junk_bytes } => break junk_bytes,
            }
        };
        let good_bytes = file.bytes - junk_bytes.min(file.bytes);
        kept.end_offset = known.map(|(end_offset, _)| end_offset).or(follower).unwrap_or(walk.expected());
        if walk.expected() < kept.end_offset {
            damaged.push(Damage {
                segment: file.path.clone(),
                first_offset: walk.expected(),
                next_offset: kept.end_offset,
                certain: true,
            });
        }
        segment.end_offset = kept.end_offset;
        if junk_bytes > 0 && walk.expected() >= kept.end_offset {
            // Left-overs of a commit that failed or was cut off, or room for others.
            segment.bytes = good_bytes.max(FILE_HEADER_BYTES as u64);
            if follower.is_none() {
                let end = end_without_zeros(&file.path, segment.bytes).map_err(failed)?;
                self.report.torn_tail = (end > segment.bytes).then(|| TornTail {
                    segment: file.path.clone(),
                    position: segment.bytes,
                    bytes: end - segment.bytes,
                });
            }
        }
        self.report.damaged.append(&mut damaged);
        Ok((segment, known.is_none().then_some(kept)))
    }
}

/// Where a file ends from a place on, without the zeros at its end.
fn end_without_zeros(path: &Path, from: u64) -> io::Result<u64> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let (mut at, mut end) = (from, from);
    let mut some = [0; 16 << 10];
    loop {
        let read = file.read(&mut some)?;
        let last = some.iter().take(read).rposition(|byte| *byte != 0);
        end = last.map_or(end, |last| at + last as u64 + 1);
        at += read as u64;
        if read == 0 {
            return Ok(end);
        }
    }
}

fn read_state(config: &QueueConfig, report: &mut RecoveryReport) -> Result<Option<StateFile>, OpenError> {
    let path = config.dir.join(STATE_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", &path, source)),
    };
    match StateFile::decode(&bytes) {
        Ok(state) => Ok(Some(state)),
        Err(HeaderFault::Newer(version)) => Err(newer(path, version)),
        Err(HeaderFault::Damaged) => {
            report.damaged_files.push(path);
            Ok(None)
        }
    }
}

/// Differs from that of any other folder: the time, and the randomness that the standard library's maps start from.
fn new_epoch(now_ms: i64) -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_i64(now_ms);
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn newer(path: PathBuf, version: u32) -> OpenError {
    OpenError::NewerVersion { path, version, supported: VERSION }
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { doing, path: path.to_owned(), source }
}
