//! Where a destination stands, in files of its own: written after each answer of the receiver, synced now and then.
//!
//! ```text
//! file = "WFRWP\0" | version u16 | names from u64 | sets u32 | set* | sets u32 | set* | crc32 u32 of all that
//! set  = shards u32 | (record u64 | sample u32 | time of totals i64 | series u64)*
//! ```
//! The first sets are what is settled, the others what is under way; version 1 has no others, and is read.
//! There are two of them, replaced as a whole: the newest, and the newest that a power cut cannot take away. What it names of
//! the log is kept; a newer one that is lost costs that some samples are sent again, never that some are not.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use watchfire_engine::LogPosition;

use crate::place::{Place, Settled, UnderWay};

const MAGIC: &[u8; 6] = b"WFRWP\0";
const VERSION: u16 = 2;
/// Longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Endings of the two files.
const NEWEST: &str = "newest";
const SYNCED: &str = "synced";

/// Where a destination stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) names_from: u64,
    pub(crate) settled: Settled,
    pub(crate) under_way: UnderWay,
}

impl Checkpoint {
    /// The place in the log.
    pub(crate) fn position(&self) -> LogPosition {
        let next = self.settled.frontier().log.0;
        LogPosition { next, names_from: self.names_from.min(next) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.names_from.to_le_bytes());
        for sets in [self.settled.sets(), self.under_way.sets()] {
            out.extend_from_slice(&length(sets.len()));
            sets.iter().for_each(|set| put_set(set, &mut out));
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let (body, crc) = bytes.split_last_chunk()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let version = u16::from_le_bytes(take(&mut rest)?);
        if version > VERSION {
            return None;
        }
        let names_from = u64::from_le_bytes(take(&mut rest)?);
        let settled = Settled::of(take_sets(&mut rest)?)?;
        let under_way = if version > 1 { take_sets(&mut rest)? } else { Vec::new() };
        rest.is_empty().then(|| Checkpoint { names_from, settled, under_way: UnderWay::of(under_way) })
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn put_set(set: &[Place], out: &mut Vec<u8>) {
    out.extend_from_slice(&length(set.len()));
    for Place { log: (record, sample), totals: (at, series) } in set {
        out.extend_from_slice(&record.to_le_bytes());
        out.extend_from_slice(&sample.to_le_bytes());
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(&series.to_le_bytes());
    }
}

fn take_sets(rest: &mut &[u8]) -> Option<Vec<Vec<Place>>> {
    (0..u32::from_le_bytes(take(rest)?)).map(|_| take_set(rest)).collect()
}

fn take_set(rest: &mut &[u8]) -> Option<Vec<Place>> {
    let mut set = Vec::new();
    for _ in 0..u32::from_le_bytes(take(rest)?) {
        let log = (u64::from_le_bytes(take(rest)?), u32::from_le_bytes(take(rest)?));
        let totals = (i64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?));
        set.push(Place { log, totals });
    }
    Some(set)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

/// What the files of a destination said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There are none: it is a new one.
    Nothing,
    /// It stands there.
    Place(Checkpoint),
    /// There are some, and none can be read.
    Damaged,
}

/// The files of one destination.
pub(crate) struct Store {
    dir: PathBuf,
    stem: String,
}

impl Store {
    /// Those of the destination of this name, in a folder.
    pub(crate) fn new(dir: &Path, label: &str) -> Store {
        Store { dir: dir.to_owned(), stem: stem_of(label) }
    }

    /// What they say. Of two that are good the further one counts.
    pub(crate) fn load(&self) -> Found {
        let read = [NEWEST, SYNCED].map(|ending| read(&self.path(ending)));
        let best = read.iter().flatten().flatten().max_by_key(|place| place.position().next);
        match best {
            Some(place) => Found::Place(place.clone()),
            None if read.iter().any(Option::is_some) => Found::Damaged,
            None => Found::Nothing,
        }
    }

    /// Replaces the newest one, and with `synced` the other one too.
    pub(crate) fn save(&self, checkpoint: &Checkpoint, synced: bool) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let bytes = checkpoint.encode();
        self.replace(NEWEST, &bytes, false)?;
        if synced { self.replace(SYNCED, &bytes, true) } else { Ok(()) }
    }

    fn replace(&self, ending: &str, bytes: &[u8], synced: bool) -> io::Result<()> {
        let unfinished = self.path(&format!("{ending}.tmp"));
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        if synced {
            file.sync_data()?;
        }
        std::fs::rename(&unfinished, self.path(ending))?;
        if synced { File::open(&self.dir)?.sync_all() } else { Ok(()) }
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", self.stem))
    }
}

fn stem_of(label: &str) -> String {
    Sha256::digest(label.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// `None`: it is not there; `Some(None)`: it cannot be read.
fn read(path: &Path) -> Option<Option<Checkpoint>> {
    let length = std::fs::metadata(path).ok()?.len();
    let bytes = (length <= FILE_BYTES_MAX).then(|| std::fs::read(path).ok()).flatten();
    Some(bytes.and_then(|bytes| Checkpoint::decode(&bytes)))
}

/// Removes the files of destinations that are none of these any more.
pub(crate) fn forget_others(dir: &Path, labels: &[String]) -> io::Result<()> {
    let stems: Vec<String> = labels.iter().map(|label| stem_of(label)).collect();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.split('.').next().unwrap_or_default();
        if !stems.iter().any(|have| have == stem) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checkpoint(record: u64) -> Checkpoint {
        let place = |sample| Place { log: (record, sample), totals: (-5, u64::MAX) };
        let settled = Settled::of(vec![vec![place(1)], vec![place(2), place(3)]]).expect("not empty");
        let under_way = UnderWay::of(vec![vec![place(5)], vec![place(2), place(9)]]);
        Checkpoint { names_from: record / 2, settled, under_way }
    }

    #[test]
    fn what_is_saved_is_loaded_and_the_further_one_counts() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::new(dir.path(), "far");
        assert_eq!(store.load(), Found::Nothing);
        store.save(&checkpoint(10), true).expect("saves");
        store.save(&checkpoint(20), false).expect("saves");
        assert_eq!(store.load(), Found::Place(checkpoint(20)));
        std::fs::write(store.path(NEWEST), b"").expect("writes");
        assert_eq!(store.load(), Found::Place(checkpoint(10)));
        std::fs::write(store.path(SYNCED), b"?").expect("writes");
        assert_eq!(store.load(), Found::Damaged);
        forget_others(dir.path(), &["far".to_owned()]).expect("forgets");
        assert_eq!(store.load(), Found::Damaged);
        forget_others(dir.path(), &["near".to_owned()]).expect("forgets");
        assert_eq!(store.load(), Found::Nothing);
    }

    #[test]
    fn the_version_before_says_nothing_of_requests_under_way() {
        let now = Checkpoint { under_way: UnderWay::default(), ..checkpoint(10) };
        let mut bytes = now.encode();
        // As then: another version, and no second list of sets.
        bytes.truncate(bytes.len() - 8);
        bytes[MAGIC.len()..MAGIC.len() + 2].copy_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(Checkpoint::decode(&bytes), Some(now));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Checkpoint::decode(&bytes);
            let mut whole = [MAGIC.as_slice(), &1u16.to_le_bytes(), &bytes].concat();
            whole.extend_from_slice(&crc32fast::hash(&whole).to_le_bytes());
            let _ = Checkpoint::decode(&whole);
        }
    }
}
