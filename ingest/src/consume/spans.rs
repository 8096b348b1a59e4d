//! Which records each extraction rule has counted as they came: what a backfill must leave alone.
//!
//! A rule counts from the batch on with which it came into force, until the one with which it went. A metric so has
//! spans of queue offsets; records outside of them were never counted for it. They are kept in a small file:
//! `{"watchfire_extraction":1,"crc":"…","epoch":…,"metrics":{"NAME":[[from,to],[from,null]]}}`. `crc` is the CRC-32 of the
//! file with eight zeros in its place; files of before have none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The file's name.
const FILE: &str = "spans.json";
/// Version of the file.
const VERSION: u32 = 1;
/// What stands before the checksum, and where it must begin.
const CRC_KEY: &[u8] = b"\"crc\":\"";
const CRC_KEY_WITHIN: usize = 48;
const NO_CRC: &[u8; 8] = b"00000000";

/// Offsets `from..to`; without an end the rule is in force.
type Span = (u64, Option<u64>);

/// What is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(rename = "watchfire_extraction")]
    version: u32,
    /// Filled in when it is written.
    #[serde(default)]
    crc: String,
    /// Of the queue; offsets of another queue say nothing.
    epoch: u64,
    metrics: BTreeMap<String, Vec<Span>>,
    /// Below this nothing is known, as the file was damaged: all counts as counted.
    #[serde(default)]
    unknown_below: u64,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "watchfire_extraction")]
    version: u32,
}

/// Why the spans cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file was written by a newer version.
    #[error("{}: version {version} was written by a newer program; use that one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// The spans of all metrics. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct LiveSpans(Arc<Mutex<State>>);

struct State {
    path: PathBuf,
    content: Content,
    /// Not written yet.
    is_dirty: bool,
    was_damaged: bool,
}

impl LiveSpans {
    /// Reads the file in a folder, which is made if it is not there; `epoch` is that of the queue, whose next record
    /// gets `next_offset`. A damaged file is set aside, and everything before counts as counted: then a backfill does
    /// too little, and never too much.
    ///
    /// Errors: see [`SpansError`].
    pub fn open(dir: &Path, epoch: u64, next_offset: u64) -> Result<LiveSpans, SpansError> {
        let path = dir.join(FILE);
        let failed = |source| SpansError::Io { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        // What a crash left of a change, if there is any.
        let _ = fs::remove_file(unfinished(&path));
        let empty = Content { version: VERSION, crc: String::new(), epoch, metrics: BTreeMap::new(), unknown_below: 0 };
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(empty.clone()),
            Err(error) => return Err(failed(error)),
            Ok(text) => match (serde_json::from_slice::<Head>(&text), serde_json::from_slice(&text)) {
                _ if !has_right_crc(&text) => Err("a wrong checksum".to_owned()),
                (Ok(Head { version }), _) if version > VERSION => return Err(SpansError::Newer { path, version }),
                (_, content) => content.map_err(|error| error.to_string()),
            },
        };
        let was_damaged = read.is_err();
        let content = match read {
            Ok(content) => content,
            Err(reason) => {
                let aside = path.with_extension("damaged");
                tracing::error!(path = %path.display(), %reason, aside = %aside.display(), "which records were counted is not known any more");
                fs::rename(&path, &aside).map_err(failed)?;
                Content { unknown_below: next_offset, ..empty.clone() }
            }
        };
        let content = if content.epoch == epoch { content } else { empty };
        Ok(LiveSpans(Arc::new(Mutex::new(State { path, content, is_dirty: was_damaged, was_damaged }))))
    }

    /// Whether the file was damaged when it was opened, and is begun anew.
    pub fn was_damaged(&self) -> bool {
        self.0.lock().was_damaged
    }

    /// From this offset on exactly these metrics are counted. Durable when this returns, or tried again by the next
    /// call; what cannot be written is logged.
    pub fn note(&self, metrics: &[&str], offset: u64) {
        let mut state = self.0.lock();
        state.is_dirty |= state.content.change(metrics, offset);
        if state.is_dirty {
            match state.write() {
                Ok(()) => state.is_dirty = false,
                Err(error) => {
                    tracing::error!(%error, path = %state.path.display(), "which records were counted cannot be written")
                }
            }
        }
    }

    /// Whether a call of [`LiveSpans::note`] waits to be written.
    pub fn is_behind(&self) -> bool {
        self.0.lock().is_dirty
    }

    /// The offsets that a metric was counted at, ascending; the last may have no end yet.
    pub fn of(&self, metric: &str) -> Counted {
        let content = &self.0.lock().content;
        let mut spans = content.metrics.get(metric).cloned().unwrap_or_default();
        if content.unknown_below > 0 {
            spans.insert(0, (0, Some(content.unknown_below)));
        }
        Counted(spans)
    }
}

/// The spans of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted(Vec<Span>);

impl Counted {
    /// Where its answer may change.
    pub fn edges(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(from, to)| [Some(*from), *to]).flatten()
    }

    /// Whether the record at an offset was counted as it came.
    pub fn contains(&self, offset: u64) -> bool {
        self.0.iter().any(|(from, to)| *from <= offset && to.is_none_or(|to| offset < to))
    }
}

/// A file that is to replace the one at `path`.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Where the checksum stands in a file that has one.
fn place_of_crc(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let head = text.get(..text.len().min(CRC_KEY_WITHIN))?;
    let start = head.windows(CRC_KEY.len()).position(|window| window == CRC_KEY)? + CRC_KEY.len();
    let end = start + NO_CRC.len();
    (end <= text.len()).then_some(start..end)
}

fn crc_of(text: &[u8], place: &std::ops::Range<usize>) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(text.get(..place.start).unwrap_or_default());
    hasher.update(NO_CRC);
    hasher.update(text.get(place.end..).unwrap_or_default());
    format!("{:08x}", hasher.finalize())
}

/// False only if there is a checksum and it is wrong.
fn has_right_crc(text: &[u8]) -> bool {
    place_of_crc(text).is_none_or(|place| text.get(place.clone()) == Some(crc_of(text, &place).as_bytes()))
}

impl Content {
    /// The file.
    fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let crc = String::from_utf8_lossy(NO_CRC).into_owned();
        let mut text = serde_json::to_vec(&Content { crc, ..self.clone() })?;
        if let Some(place) = place_of_crc(&text) {
            let crc = crc_of(&text, &place);
            text.splice(place, crc.into_bytes());
        }
        Ok(text)
    }

    /// Opens and closes spans; true if that changed anything.
    fn change(&mut self, metrics: &[&str], offset: u64) -> bool {
        let mut changed = false;
        for (name, spans) in &mut self.metrics {
            let Some((from, to @ None)) = spans.last_mut() else { continue };
            if metrics.contains(&name.as_str()) {
                // A replay begins earlier than the rule did the first time.
                changed |= offset < *from;
                *from = offset.min(*from);
            } else {
                *to = Some(offset.max(*from));
                changed = true;
            }
        }
        for metric in metrics {
            let spans = self.metrics.entry((*metric).to_owned()).or_default();
            if spans.last().is_none_or(|(_, to)| to.is_some()) {
                spans.push((offset, None));
                changed = true;
            }
        }
        changed
    }
}

impl State {
    fn write(&self) -> io::Result<()> {
        let temporary = unfinished(&self.path);
        let mut file = File::create(&temporary)?;
        file.write_all(&self.content.to_bytes()?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(spans: &LiveSpans, metric: &str, offsets: std::ops::Range<u64>) -> Vec<u64> {
        let of = spans.of(metric);
        offsets.filter(|offset| of.contains(*offset)).collect()
    }

    #[test]
    fn spans_open_and_close_with_the_rules_and_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let spans = LiveSpans::open(dir.path(), 7, 0).expect("opens");
        spans.note(&["a"], 3);
        spans.note(&["a", "b"], 5);
        spans.note(&["b"], 6);
        drop(spans);
        let spans = LiveSpans::open(dir.path(), 7, 0).expect("opens");
        assert_eq!(counted(&spans, "a", 0..12), [3, 4, 5]);
        // After a crash the queue is read again from an earlier place, with the rules of now.
        spans.note(&["b", "a"], 4);
        assert_eq!(counted(&spans, "b", 0..8), [4, 5, 6, 7]);
        assert_eq!(counted(&spans, "a", 0..8), [3, 4, 5, 6, 7]);
        assert_eq!(counted(&spans, "c", 0..8), [0; 0]);
        drop(spans);
        let other_queue = LiveSpans::open(dir.path(), 8, 0).expect("opens");
        assert_eq!(counted(&other_queue, "a", 0..8), [0; 0]);
    }

    #[test]
    fn newer_files_are_refused_and_damaged_ones_cost_only_backfills() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE), r#"{"watchfire_extraction": 2, "other": 1}"#).expect("written");
        assert!(matches!(LiveSpans::open(dir.path(), 1, 0), Err(SpansError::Newer { version: 2, .. })));
        fs::write(dir.path().join(FILE), "no JSON").expect("written");
        let spans = LiveSpans::open(dir.path(), 1, 9).expect("a damaged file does not stop the start");
        spans.note(&["a"], 12);
        assert_eq!(counted(&spans, "a", 7..14), [7, 8, 12, 13]);
        assert!(dir.path().join("spans.damaged").exists());
        assert!(spans.was_damaged());
        assert!(!LiveSpans::open(dir.path(), 1, 9).expect("opens").was_damaged());
    }

    /// Anything that reads as other spans, another queue or a later version would count twice, or stop the start.
    #[test]
    fn every_flipped_byte_and_every_cut_is_told_or_changes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        LiveSpans::open(dir.path(), 71, 0).expect("opens").note(&["a"], 3);
        let whole = fs::read(&path).expect("readable");
        let flips = (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
        let flipped = flips.map(|(at, bit)| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            (format!("byte {at}, bit {bit}"), bytes)
        });
        let cut = (0..whole.len()).map(|length| (format!("cut to {length}"), whole[..length].to_vec()));
        for (what, bytes) in flipped.chain(cut) {
            fs::write(&path, &bytes).expect("writable");
            let spans = LiveSpans::open(dir.path(), 71, 100).unwrap_or_else(|error| panic!("{what}: {error}"));
            let of = counted(&spans, "a", 0..8);
            assert!(spans.was_damaged() || of == [3, 4, 5, 6, 7], "{what}: {of:?}");
            assert!(!spans.was_damaged() || of == [0, 1, 2, 3, 4, 5, 6, 7], "{what}: {of:?}");
        }
        // A file of before has no checksum.
        let before = r#"{"watchfire_extraction":1,"epoch":71,"metrics":{"a":[[3,5]]},"unknown_below":0}"#;
        fs::write(&path, before).expect("writable");
        let spans = LiveSpans::open(dir.path(), 71, 100).expect("opens");
        assert_eq!((counted(&spans, "a", 0..8), spans.was_damaged()), (vec![3, 4], false));
    }
}
