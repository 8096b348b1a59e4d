//! One turn of the reader of files: lines of some files, and where each of them stands when they are stored.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_model::{Timestamp, service_of_file};
use watchfire_queue::Checkpoint;

use super::cut::{Cutter, End, Framing};
use super::entries::Entries;
use super::position::{FileId, HEAD_BYTES, Head, Position, Tail};
use super::settings::FileSource;
use super::tracked::{OpenFault, Standing, Tracked};
use crate::formats::Format;
use crate::gather::{Gathered, Gatherer, Origin};
use crate::intake::Intake;

/// Bytes of records that one turn takes.
pub(super) const TURN_BYTES: usize = 1 << 20;
/// Positions that become durable together.
pub(super) const STEPS_MAX: usize = 200;
/// Read from one file at once, unless a line is longer.
const READ_BYTES: usize = 512 << 10;
/// Lines that wait for others are records after so long without more.
const QUIET_AFTER_MS: i64 = 500;
/// A line without its end is one after so long, or sooner if its file has lost its name.
const LAST_AFTER_MS: i64 = 60_000;
const LAST_OF_GONE_AFTER_MS: i64 = 5000;

/// What came of a turn.
pub(super) enum Outcome {
    /// Something is stored.
    Moved,
    /// There was nothing to do.
    Idle,
    /// The queue takes nothing now.
    Refused,
}

/// What came of reading one file.
pub(super) enum Read {
    /// All of it that is whole was taken, or as much as a turn takes; at `due_ms` the rest is looked at again.
    Done { due_ms: Option<i64> },
    /// What is whole was taken; it is packed, and what follows cannot be unpacked.
    Damaged(String),
    /// It is not what it was.
    Changed,
    /// It could not be read.
    Failed(OpenFault),
}

/// A change of a position that becomes durable with the turn.
pub(super) enum Step {
    /// A file stands here.
    Place { id: FileId, before: Option<Vec<u8>>, position: Position, records: u64, bytes: u64 },
    /// A position is forgotten.
    Forget { key: Vec<u8>, before: Vec<u8> },
    /// What was read of contents that no file has now.
    Keep { key: Vec<u8>, value: Vec<u8> },
    /// A source was met.
    Meet { key: Vec<u8>, before: Option<Vec<u8>>, value: Vec<u8> },
}

/// Lines and positions that are stored together.
#[derive(Default)]
pub(super) struct Turn {
    gathered: Gathered,
    pub steps: Vec<Step>,
    /// Files that are followed from now on.
    pub adopted: Vec<Tracked>,
    /// Files that are followed no longer.
    pub dropped: Vec<FileId>,
    /// Files that have more than was taken.
    pub more: Vec<FileId>,
    visited: Vec<FileId>,
}

impl Turn {
    /// Whether there is nothing to store.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.gathered.batches.is_empty()
    }

    /// Whether it has taken enough.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.gathered.bytes() >= bytes || self.steps.len() >= STEPS_MAX
    }

    /// Lines of a file are looked for.
    pub(super) fn visits(&mut self, id: FileId) {
        self.visited.push(id);
    }

    /// The files that were looked at.
    pub(super) fn visited(&self) -> impl Iterator<Item = FileId> + use<> {
        self.visited.clone().into_iter()
    }

    /// There is more of a file.
    pub(super) fn has_more(&mut self, id: FileId) {
        self.more.push(id);
    }

    /// A file stands here from now on.
    pub(super) fn place(&mut self, id: FileId, before: Option<Vec<u8>>, position: Position) {
        self.steps.push(Step::Place { id, before, position, records: 0, bytes: 0 });
    }

    /// A file is followed from now on, from its position.
    pub(super) fn adopt(&mut self, file: Tracked) {
        self.place(file.id, file.stored.clone(), file.position.clone());
        self.adopted.push(file);
    }

    /// Whether the turn says where a file stands.
    pub(super) fn places(&self, file: FileId) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Place { id, .. } if *id == file))
    }

    /// A position is not needed any more, unless the turn says by now where another file stands that has its inode.
    pub(super) fn forget(&mut self, key: Vec<u8>, before: Vec<u8>) {
        if FileId::of_key(&key).is_none_or(|id| !self.places(id)) {
            self.steps.push(Step::Forget { key, before });
        }
    }

    /// No file has these contents now; a copy of them is read from here. `was`: the file that had them, if it may come
    /// back. `is_kept`: the queue has it already.
    pub(super) fn keep(&mut self, position: &Position, was: Option<FileId>, is_kept: impl FnOnce(&[u8]) -> bool) {
        let key = position.past_key();
        if position.tells_copies() && !is_kept(&key) {
            self.steps.push(Step::Keep { key, value: Position { was, ..position.clone() }.encode() });
        }
    }

    /// A source was met: what was there before it is what its settings say of the first start.
    pub(super) fn meet(&mut self, key: Vec<u8>, before: Option<Vec<u8>>, value: Vec<u8>) {
        self.steps.push(Step::Meet { key, before, value });
    }

    /// The steps, for the queue: one per key, as an inode that is given up may have a new file in the same turn.
    pub(super) fn checkpoints(&self) -> Vec<Checkpoint> {
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut checkpoints: Vec<Checkpoint> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let (key, before, after) = match step {
                Step::Place { id, before, position, .. } => (id.key(), before.clone(), Some(position.encode())),
                Step::Forget { key, before } => (key.clone(), Some(before.clone()), None),
                Step::Keep { key, value } => (key.clone(), None, Some(value.clone())),
                Step::Meet { key, before, value } => (key.clone(), before.clone(), Some(value.clone())),
            };
            match places.get(&key).and_then(|at| checkpoints.get_mut(*at)) {
                Some(earlier) => earlier.after = after,
                None => {
                    places.insert(key.clone(), checkpoints.len());
                    checkpoints.push(Checkpoint { key, before, after });
                }
            }
        }
        checkpoints
    }

    /// The lines.
    pub(super) fn take_gathered(&mut self) -> Gathered {
        std::mem::take(&mut self.gathered)
    }
}

/// Reads files of one source.
pub(super) struct Reader<'a> {
    pub intake: &'a Arc<Intake>,
    pub source: &'a FileSource,
    pub host: Option<&'a str>,
    /// So many bytes of records are enough.
    pub turn_bytes: usize,
    pub now_ms: i64,
}

impl Reader<'_> {
    /// Takes lines of a file into the turn.
    pub(super) fn read(&self, file: &mut Tracked, buffer: &mut Vec<u8>, turn: &mut Turn) -> Read {
        let parsers = self.intake.parsers.load_full();
        let format = self.source.format.as_deref().and_then(|name| parsers.find(name));
        let mut cutter = Cutter::new(Framing::of(format, self.source.multiline), self.intake.limits.line_bytes);
        let mut wanted = READ_BYTES;
        loop {
            cutter.skipping = file.position.skipping;
            let window = match file.read(buffer, wanted) {
                Ok(window) => window,
                Err(fault) => return Read::Failed(fault),
            };
            let (position, is_packed) = (&file.position, file.position.packed);
            if !is_packed {
                if window.size != file.seen.0 {
                    file.seen.0 = window.size;
                    file.grown_ms = self.now_ms;
                }
                let is_same = position.head.fits(&window.head) && position.tail.fits(&window.before);
                if window.size < position.at || !is_same {
                    return Read::Changed;
                }
                if !window.is_of_one_file(position.at) {
                    // Cut and written anew while it was read: what it is now is read next time.
                    turn.has_more(file.id);
                    return Read::Done { due_ms: None };
                }
                file.reached = file.reached.max(window.size);
                if !window.has_names {
                    file.standing = Standing::Deleted;
                }
            }
            let end = match (is_packed && window.ended, &window.fault) {
                (true, None) => End::Last,
                // The last line may be half of one.
                (true, Some(_)) => End::Quiet,
                (false, _) => self.end(file, window.ended),
            };
            let starts_with_mark = position.at == 0 && window.bytes.starts_with(b"\xef\xbb\xbf");
            let mut at = if starts_with_mark { 3 } else { 0 };
            let (mut records, mut is_full) = (0, false);
            let service = self.source.service.as_deref().unwrap_or_else(|| service_of(&file.name));
            let origin = Origin {
                service: Some(service),
                source: Some(&file.name),
                host: self.host,
                by_position: true,
                ..self.intake.origin(Timestamp::from_millis(self.now_ms))
            };
            let gathered = turn.take_gathered();
            turn.gathered = self.intake.with_worker(|worker| {
                let mut gatherer = Gatherer::new(&parsers, &self.intake.ids, worker, origin).onto(gathered);
                let before = gatherer.total();
                match format {
                    Some(Format::Journald) => {
                        let (rest, passes) =
                            (window.bytes.get(at..).unwrap_or_default(), position.skipping.is_in_line());
                        let (multiline, limit) = (self.source.multiline, self.intake.limits.line_bytes);
                        let mut entries = Entries::of(rest, multiline, limit, passes, end);
                        while !is_full && let Some(stretch) = entries.next_stretch() {
                            stretch.iter().for_each(|entry| gatherer.cut(&entry.cut(), format));
                            is_full = gatherer.bytes() >= self.turn_bytes;
                        }
                        at += entries.taken().bytes;
                        cutter.skipping = position.skipping.with_line(entries.taken().skipping);
                    }
                    _ => {
                        while !is_full && let Some(cut) = cutter.next(window.bytes, &mut at, end) {
                            gatherer.cut(&cut, format);
                            is_full = gatherer.bytes() >= self.turn_bytes;
                        }
                    }
                }
                records = u64::from(gatherer.total() - before);
                gatherer.finish()
            });
            if window.ended && !is_packed {
                // Zeros at the end may be room that the writer has made and fills later.
                let taken = window.bytes.get(..at).unwrap_or_default();
                at -= taken.iter().rev().take_while(|byte| **byte == 0).count();
            }
            let left = window.bytes.len().saturating_sub(at);
            if left == 0 && window.ended && end != End::Open {
                // Of a container that has died in such a line no further part will come: the next line is another one.
                cutter.skipping = cutter.skipping.without_parts();
            }
            let is_waiting = left > 0 || cutter.skipping != cutter.skipping.without_parts();
            if at == 0 && !window.ended && wanted < cutter.window_bytes() {
                wanted = cutter.window_bytes();
                continue;
            }
            let finished = is_packed && window.ended && window.fault.is_none() && left == 0;
            if at > 0 || cutter.skipping != position.skipping || finished && !position.finished {
                let has_whole_head = is_packed || usize::from(position.head.length) == HEAD_BYTES;
                let position = Position {
                    at: position.at.saturating_add(at as u64),
                    skipping: cutter.skipping,
                    packed: is_packed,
                    finished,
                    undecided: false,
                    head: if has_whole_head { position.head } else { Head::of(&window.head) },
                    tail: if at == 0 { position.tail } else { tail_of(&window.before(at)) },
                    modified_ms: file.modified_ms(),
                    was: None,
                    path: position.path.clone(),
                    target: position.target.clone(),
                };
                let (id, before) = (file.id, file.stored.clone());
                turn.steps.push(Step::Place { id, before, position, records, bytes: at as u64 });
            }
            if is_full || !window.ended {
                turn.has_more(file.id);
                return Read::Done { due_ms: None };
            }
            if let Some(fault) = window.fault {
                return Read::Damaged(fault);
            }
            return Read::Done { due_ms: is_waiting.then(|| self.due_ms(file, end)).flatten() };
        }
    }

    /// What may follow behind what was read.
    fn end(&self, file: &Tracked, ended: bool) -> End {
        let quiet_ms = self.now_ms.saturating_sub(file.grown_ms);
        if !ended || quiet_ms < QUIET_AFTER_MS {
            End::Open
        } else if quiet_ms < last_after_ms(file) {
            End::Quiet
        } else {
            End::Last
        }
    }

    /// When a rest that waits for more will wait no longer.
    fn due_ms(&self, file: &Tracked, end: End) -> Option<i64> {
        match end {
            End::Open => Some(file.grown_ms.saturating_add(QUIET_AFTER_MS)),
            End::Quiet => Some(file.grown_ms.saturating_add(last_after_ms(file))),
            End::Last => None,
        }
    }
}

/// What tells that the file is still the one that was read; zeros do not, as they may be filled.
fn tail_of(before: &[u8]) -> Tail {
    if before.ends_with(&[0]) { Tail::default() } else { Tail::of(before) }
}

fn last_after_ms(file: &Tracked) -> i64 {
    if file.standing == Standing::Live { LAST_AFTER_MS } else { LAST_OF_GONE_AFTER_MS }
}

/// The service of a file whose source names none.
fn service_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    service_of_file(name).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_that_is_given_up_is_its_new_files_in_either_order() {
        let id = FileId { device: 1, inode: 7 };
        let (before, new) = (b"old".to_vec(), Position { undecided: true, ..Position::default() });
        for forgets_first in [true, false] {
            let mut turn = Turn::default();
            if forgets_first {
                turn.forget(id.key(), before.clone());
            }
            turn.place(id, Some(before.clone()), new.clone());
            turn.forget(id.key(), before.clone());
            let checkpoints = turn.checkpoints();
            let [checkpoint] = checkpoints.as_slice() else { panic!("{} steps", checkpoints.len()) };
            assert_eq!((&checkpoint.before, &checkpoint.after), (&Some(before.clone()), &Some(new.encode())));
        }
    }
}
