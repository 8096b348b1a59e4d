//! What a file is that rotation has left under one of its names: one that is known, a copy or a packed form of what was
//! read under another inode, or one that nobody has read.
//!
//! Inodes do not tell, as they are given to new files at once; names do not, as they move on; and a folder can be met
//! between any two steps of a rotation. So the contents tell: how they begin, and what stands before the position up to
//! which they were read. As long as a file has the same contents, its copy waits: rotation may still be writing the
//! one, or just about to cut or delete the other. When the original has other contents, or is gone, what was read of it
//! passes to the copy.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Files;
use super::known::Known;
use super::listing::{Look, first_position, is_blank};
use crate::sources::content::{Content, Holds};
use crate::sources::packed::has_packed_name;
use crate::sources::position::{FILE_KEYS, FileId, HEAD_BYTES, Position, is_numbered_name};
use crate::sources::rest::{Entry, Folders, millis};
use crate::sources::tracked::{Begun, OpenFault, Standing, Tracked};
use crate::sources::waking::fixed_folder;

/// By so much the clock of file systems may be behind.
const FILE_CLOCK_LAG: Duration = Duration::from_millis(20);
/// Files that are being packed are looked at again after so long.
const PACKING_PAUSE_MS: i64 = 200;
/// Originals that were read no further may still turn out to be others that only begin so.
const ALIKE_BYTES_MAX: u64 = 64 << 10;
/// Files that are kept as not asked for, at the first start.
const UNASKED_MAX: usize = 1000;
/// Of the files that may be open, the part for those that were just judged: one in so many.
const HELD_PART: usize = 4;

/// What was found of a file, when it had this name, size and time.
pub(super) struct Judged {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
    pub finding: Finding,
    /// If it is not decided what it is: its handle and the place of its source. It is read if it goes.
    pub held: Option<(Content, usize)>,
}

impl Judged {
    /// Whether the file was found with this size.
    pub(super) fn has_size(&self, bytes: u64) -> bool {
        self.bytes == bytes
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// There is nothing to be read in it.
    Done,
    /// It has no name that rotation gives to a file that is asked for.
    Unrelated,
    /// Another file has the same contents: it is one of two until there is more that no file has. Whether it may also
    /// turn out that they only begin alike.
    Copy { kept: u64, may_differ: bool },
    /// It is not decided yet whether it is a copy.
    Alike(Since),
}

/// Since when it is not decided what a file is, and since when it has its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub first_ms: i64,
    pub changed_ms: i64,
}

/// A file to be judged.
pub(super) struct Candidate {
    pub entry: Entry,
    pub source: usize,
    /// Names that it may have had.
    names: Vec<PathBuf>,
    /// Whether its own name is asked for.
    pub is_asked_for: bool,
}

/// What contents are a copy of.
#[derive(Debug)]
pub(super) enum Original {
    /// Of nothing that is known, however it goes on.
    None,
    /// Of nothing, if that is all.
    Unlike,
    /// Of a file that is there.
    There { may_differ: bool },
    /// Of what was read of a file that is not: its place.
    Gone(usize),
    /// The same, of a file under a name that is asked for.
    Moved(usize),
    /// It is too early to tell.
    Undecided(Since),
}

impl Files {
    /// Whether a file that is asked for, and of which nothing is known, may be what rotation has made of another, or
    /// a copy of one.
    pub(super) fn is_to_be_judged(&self, entry: &Entry, source: usize, look: &mut Look) -> bool {
        let is_known = match self.tracked.get(&entry.id) {
            Some(file) if file.begun == Begun::Alike => return true,
            Some(file) => !file.position.packed && (file.path == entry.path || !is_blank(file)),
            None => self.record_of(entry).is_some_and(|record| record.tells_copies() || record.at > 0),
        };
        if is_known {
            return false;
        }
        let originals = self.originals(&entry.path, source);
        originals.iter().any(|name| self.is_there(name, look)) || self.begins_like_read(entry, look)
    }

    /// Whether a name is one of a file.
    fn is_there(&self, name: &Path, look: &mut Look) -> bool {
        self.by_path.contains_key(name) || look.folders.at(name).is_some()
    }

    /// What the queue has of the inode of a file, if that is of a file of its kind.
    fn record_of(&self, entry: &Entry) -> Option<Position> {
        let record = Position::decode(&self.intake.queue.checkpoint(&entry.id.key())?)?;
        (record.packed == has_packed_name(&entry.path)).then_some(record)
    }

    /// Judges all files that rotation has left, and those of `asked_for` that are no others.
    pub(super) fn judge_rotated(&mut self, asked_for: Vec<(Entry, usize)>, look: &mut Look) {
        for path in self.folders_of_interest() {
            look.folders.beside(&path);
        }
        self.forget_gone(look);
        let mut candidates = self.candidates(asked_for, look);
        // What is plain first: what is packed may be a copy of it.
        candidates.sort_by(|one, other| {
            let order = |it: &Candidate| (has_packed_name(&it.entry.path), it.entry.modified);
            order(one).cmp(&order(other)).then_with(|| one.entry.path.cmp(&other.entry.path))
        });
        for packed in [false, true] {
            let of_kind = |it: &&Candidate| has_packed_name(&it.entry.path) == packed;
            let mut known: Option<Known> = None;
            for candidate in candidates.iter().filter(of_kind) {
                self.judge(candidate, known.get_or_insert_with(|| Known::new(self.intake.queue.as_ref())), look);
                self.store_if_full(look);
            }
            self.store(look);
        }
        if std::mem::replace(&mut self.bounded, self.kept) != self.kept {
            self.bound_past(&mut look.turn);
        }
    }

    /// Paths in the folders that may hold what rotation has left.
    fn folders_of_interest(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.by_path.keys().chain(self.links.targets()).cloned().collect();
        for pattern in self.sources.iter().flat_map(|source| &source.settings.paths) {
            let folder = Path::new(pattern).parent().unwrap_or(Path::new(""));
            if folder == fixed_folder(pattern) || folder.as_os_str().is_empty() {
                paths.push(PathBuf::from(pattern));
            }
        }
        paths
    }

    /// What was judged and is gone: contents that no file has.
    fn forget_gone(&mut self, look: &mut Look) {
        let there: HashSet<FileId> = look.folders.all().map(|entry| entry.id).collect();
        let is_gone = |(id, judged): &(&FileId, &Judged)| !there.contains(id) && look.folders.has_listed(&judged.path);
        let gone: Vec<FileId> = self.judged.iter().filter(is_gone).map(|(id, _)| *id).collect();
        for id in gone {
            let Some(judged) = self.judged.remove(&id).filter(|_| !self.tracked.contains_key(&id)) else { continue };
            let is_ours = judged.finding == Finding::Done;
            if let Some((content, source)) = judged.held {
                self.read_gone(id, judged.path, content, source, look);
                continue;
            }
            let stored = self.intake.queue.checkpoint(&id.key()).filter(|_| is_ours);
            if let Some((position, stored)) = stored.and_then(|stored| Some((Position::decode(&stored)?, stored))) {
                self.give_up(id, &position, Some(stored), &mut look.turn);
                self.store_if_full(look);
            }
        }
        self.store(look);
    }

    fn candidates(&mut self, asked_for: Vec<(Entry, usize)>, look: &mut Look) -> Vec<Candidate> {
        let mut found = Vec::new();
        let asked_ids: HashSet<FileId> = asked_for.iter().map(|(entry, _)| entry.id).collect();
        for (entry, source) in asked_for {
            // One that came after the names that are asked for were listed was not known to be one of them.
            let is_new = self.judged.get(&entry.id).is_none_or(|judged| judged.finding == Finding::Unrelated);
            if !is_new && self.is_judged(&entry) {
                continue;
            }
            let mut names = self.family(&entry.path).map(|(_, names)| names).unwrap_or_default();
            // Beside no original, plain names that look rotated are those of files of their own; `moved` compares them with all
            // that is gone.
            if !has_packed_name(&entry.path) && !names.iter().any(|name| self.is_there(name, look)) {
                names.clear();
            }
            found.push(Candidate { entry, source, names, is_asked_for: true });
        }
        let others = look.folders.all().filter(|entry| !asked_ids.contains(&entry.id));
        let mut found_ids = HashSet::new();
        for entry in others.filter(|entry| !self.tracked.contains_key(&entry.id)).cloned().collect::<Vec<_>>() {
            // A folder may have been listed under two names.
            if self.is_judged(&entry) || found_ids.contains(&entry.id) {
                continue;
            }
            // It got a link's name after the link was followed last, and the link has gone since.
            let unread = self.links.gone_from(&entry.path, millis(entry.born));
            let unread = unread.filter(|_| self.record_of(&entry).is_none());
            let family = unread.map(|source| (source, Vec::new())).or_else(|| self.family(&entry.path));
            let is_asked_for = unread.is_some();
            match family {
                None => self.note(&entry, Finding::Unrelated),
                // It came after the names that are asked for were listed.
                Some((source, _)) if !is_asked_for && self.is_asked_for(&entry.path, source) => {
                    self.judge_soon(look);
                }
                Some((source, names)) => {
                    found_ids.insert(entry.id);
                    found.push(Candidate { entry, source, names, is_asked_for });
                }
            }
        }
        found
    }

    /// Whether what was found of a file still holds.
    fn is_judged(&self, entry: &Entry) -> bool {
        let Some(judged) = self.judged.get(&entry.id) else { return false };
        let is_same = judged.bytes == entry.bytes && judged.modified == entry.modified;
        match judged.finding {
            Finding::Unrelated => judged.path == entry.path,
            Finding::Done => is_same && has_packed_name(&judged.path) == has_packed_name(&entry.path),
            Finding::Copy { kept, may_differ } => is_same && !may_differ && kept == self.kept,
            Finding::Alike(_) => false,
        }
    }

    fn note(&mut self, entry: &Entry, finding: Finding) {
        let (path, bytes, modified) = (entry.path.clone(), entry.bytes, entry.modified);
        self.judged.insert(entry.id, Judged { path, bytes, modified, finding, held: None });
    }

    fn held_max(&self) -> usize {
        self.intake.limits.followed_open / HELD_PART
    }

    /// It is not decided what a file is; if it goes meanwhile, it is read.
    fn note_undecided(&mut self, candidate: &Candidate, since: Since, content: Content, look: &mut Look) {
        self.note(&candidate.entry, Finding::Alike(since));
        if look.held < self.held_max()
            && let Some(judged) = self.judged.get_mut(&candidate.entry.id)
        {
            judged.held = Some((content, candidate.source));
            look.held += 1;
        }
        self.judge_soon(look);
    }

    /// A file went before it was decided what it is: it is read whole.
    fn read_gone(&self, id: FileId, path: PathBuf, content: Content, source: usize, look: &mut Look) {
        let position = self.links.named(&path);
        let mut file = Tracked::new(id, path, source, position, look.now_ms);
        (file.stored, file.standing) = (self.intake.queue.checkpoint(&id.key()), Standing::Moved);
        file.hold(content);
        look.turn.adopt(file);
    }

    fn judge(&mut self, candidate: &Candidate, known: &mut Known, look: &mut Look) {
        let entry = &candidate.entry;
        let content = match Content::open(entry) {
            Ok(content) => content,
            // It is being packed, or renamed.
            Err(OpenFault::Gone) => return self.judge_soon(look),
            Err(OpenFault::Refused(error)) => return self.note_refused(entry, &error),
        };
        let stored = self.intake.queue.checkpoint(&entry.id.key());
        let record = stored.as_deref().and_then(Position::decode);
        let is_blank = record.as_ref().is_some_and(|record| record.undecided || !record.tells_copies());
        if let (Some(record), Some(stored)) = (&record, &stored)
            && !is_blank
        {
            // What was read to its end and not written to since need not be unpacked at each start.
            let is_as_read = record.finished && record.modified_ms == millis(entry.modified);
            let is_same = || is_as_read && record.head.fits(&content.head) || content.holds(record) == Holds::Yes;
            if record.packed == content.packed && is_same() {
                return match record.finished || !content.packed && entry.bytes <= record.at {
                    true => self.note(entry, Finding::Done),
                    false => self.follow(candidate, content, record.clone(), look),
                };
            }
            tracing::debug!(file = %entry.path.display(), at = record.at, "another file has the inode of one that was read");
            self.give_up(entry.id, record, Some(stored.clone()), &mut look.turn);
        }
        if content.head.is_empty() {
            return self.note(entry, Finding::Done);
        }
        let original = self.original_of(candidate, &content, known, &mut look.folders);
        let original = match original {
            Original::None | Original::Unlike if candidate.is_asked_for && !content.packed => {
                self.moved_from(candidate, &content, known, look, original)
            }
            original => original,
        };
        tracing::debug!(file = %entry.path.display(), id = ?entry.id, ?original, "a rotated file is judged");
        match original {
            Original::None => self.meet_unread(candidate, content, is_blank, look),
            // What was compared with all that was read stays so, however much is written behind it.
            Original::Unlike if candidate.names.is_empty() => self.meet_unread(candidate, content, is_blank, look),
            Original::Undecided(since) => self.note_undecided(candidate, since, content, look),
            Original::Moved(place) => {
                let Some(read) = known.reads.get_mut(place) else { return };
                self.go_on(candidate, content, read, look);
            }
            // What was told of it may be of another moment than what was told of the others.
            _ if content.has_changed() => self.judge_soon(look),
            Original::There { may_differ } => self.note(entry, Finding::Copy { kept: self.kept, may_differ }),
            Original::Unlike => self.meet_unread(candidate, content, is_blank, look),
            Original::Gone(place) => {
                let Some(read) = known.reads.get_mut(place) else { return };
                read.is_taken = true;
                let (key, stored, position) = (read.key.clone(), read.stored.clone(), read.position.clone());
                self.take_over(candidate, content, position, look);
                look.turn.forget(key, stored);
            }
        }
    }

    /// It is too early to tell what a file is.
    fn judge_soon(&mut self, look: &Look) {
        self.list_at_ms = self.list_at_ms.min(look.now_ms + PACKING_PAUSE_MS.max(self.list_pause_ms));
    }

    fn note_refused(&mut self, entry: &Entry, error: &std::io::Error) {
        if !self.judged.contains_key(&entry.id) {
            tracing::warn!(file = %entry.path.display(), %error, "a rotated file cannot be read; it is tried again");
        }
        self.note(entry, Finding::Copy { kept: self.kept, may_differ: true });
    }

    /// What the contents of a file are a copy of.
    fn original_of(&self, candidate: &Candidate, content: &Content, known: &Known, folders: &mut Folders) -> Original {
        let mut gone: Option<(u64, usize)> = None;
        let mut is_sure = content.head.len() == HEAD_BYTES;
        for place in known.of(&candidate.names) {
            let Some(read) = known.reads.get(place).filter(|read| read.id != Some(candidate.entry.id)) else {
                continue;
            };
            let position = &read.position;
            let holds = if position.tells_copies() { content.holds(position) } else { Holds::Short };
            if holds == Holds::No {
                continue;
            }
            is_sure = false;
            let there = read.id.and_then(|id| self.place_of(id, position, folders));
            let may_differ = position.at < ALIKE_BYTES_MAX;
            match (holds, there) {
                (Holds::Yes, _) if read.is_taken => return Original::There { may_differ },
                (Holds::Yes, Some(_)) => return Original::There { may_differ },
                (Holds::Yes, None) => gone = gone.max(Some((position.at, place))),
                // It may be half written.
                (Holds::Short, Some(entry)) if self.begins_like(&entry, content) => {
                    return Original::There { may_differ: true };
                }
                // Packed and damaged before its end: there is nothing in it that was not read.
                (Holds::Short, None)
                    if content.packed && position.tells_copies() && position.head.fits(&content.head) =>
                {
                    return Original::There { may_differ: false };
                }
                (Holds::Short, _) | (Holds::No, _) => {}
            }
        }
        let none = if is_sure { Original::None } else { Original::Unlike };
        gone.map_or(none, |(_, place)| Original::Gone(place))
    }

    /// Where a file is that was read to a position, if it is still there.
    pub(super) fn place_of(&self, id: FileId, position: &Position, folders: &mut Folders) -> Option<Entry> {
        if let Some(entry) = folders.of_position(position, id) {
            return Some(entry);
        }
        let file = self.tracked.get(&id).filter(|file| file.position.packed == position.packed)?;
        let (bytes, modified) = file.seen;
        Some(Entry { id, path: file.path.clone(), bytes, modified, born: modified, is_past: true })
    }

    /// A copy of contents that no other file has any more.
    pub(super) fn take_over(&mut self, candidate: &Candidate, content: Content, position: Position, look: &mut Look) {
        let position = Position { packed: content.packed, undecided: false, was: None, ..position };
        if position.finished {
            let position = Position { modified_ms: millis(candidate.entry.modified), ..position };
            let stored = self.intake.queue.checkpoint(&candidate.entry.id.key());
            look.turn.place(candidate.entry.id, stored, position);
            return self.note(&candidate.entry, Finding::Done);
        }
        self.follow(candidate, content, position, look);
    }

    /// A file that nobody has read. `was_met`: under another name it was to be read.
    fn meet_unread(&mut self, candidate: &Candidate, content: Content, was_met: bool, look: &mut Look) {
        let Candidate { entry, source: at, names, is_asked_for } = candidate;
        let Some(source) = self.sources.get(*at) else { return };
        if *is_asked_for {
            let position = first_position(entry, self.links.named(&entry.path), self.start_of(*at));
            return self.follow(candidate, content, position, look);
        }
        let Some(name) = names.iter().find(|name| is_numbered_name(name, &entry.path)).or(names.first()) else {
            return;
        };
        let (packed, head, modified_ms) = (content.packed, content.begins, millis(entry.modified));
        let position = Position { packed, head, modified_ms, ..self.links.named(name) };
        let since_ms = source.met.and_then(|met| met.checked_sub(FILE_CLOCK_LAG)).map_or(i64::MAX, millis);
        let is_ours = is_numbered_name(name, &entry.path) && !source.settings.excludes(&entry.path);
        let is_late = self.links.was_gone_before(name, millis(entry.born));
        let is_since = source.settings.read_rotated || millis(entry.born) >= since_ms;
        let is_old = source.is_new && !source.settings.read_rotated
            || source.older.is_some() && !was_met && modified_ms < self.read_ms(name).unwrap_or(since_ms);
        if is_old {
            // Not asked for, and so not read when the next file is rotated either.
            look.unasked += 1;
            if look.unasked <= UNASKED_MAX {
                let stored = self.intake.queue.checkpoint(&entry.id.key());
                let position = Position { at: entry.bytes, finished: true, ..position };
                look.turn.place(entry.id, stored, position);
            }
            self.note(entry, Finding::Done);
        } else if was_met || is_ours && is_since && (self.is_asked_for(name, *at) || !is_late) {
            self.follow(candidate, content, position, look);
        } else {
            self.note(entry, Finding::Done);
        }
    }

    /// When the newest file that had a name, and was read, was written to.
    fn read_ms(&self, name: &Path) -> Option<i64> {
        let stored = self.intake.queue.checkpoints(FILE_KEYS);
        let positions = stored.iter().filter_map(|(_, stored)| Position::decode(stored));
        positions
            .filter(|position| self.links.is_name_of(name, position) && !position.undecided)
            .map(|it| it.modified_ms)
            .max()
    }

    /// Reads a file from a position on.
    fn follow(&mut self, candidate: &Candidate, content: Content, position: Position, look: &mut Look) {
        let entry = &candidate.entry;
        let mut file = Tracked::new(entry.id, entry.path.clone(), candidate.source, position, look.now_ms);
        file.stored = self.intake.queue.checkpoint(&entry.id.key());
        file.standing = if candidate.is_asked_for { Standing::Live } else { Standing::Moved };
        file.seen.1 = entry.modified;
        if look.turn.adopted.len() < self.held_max() {
            file.hold(content);
        }
        self.judged.remove(&entry.id);
        look.turn.adopt(file);
    }

    /// Whether a file begins with all that is there of some contents: they may be a copy that is not written to its end.
    fn begins_like(&self, entry: &Entry, content: &Content) -> bool {
        let held = self.tracked.get(&entry.id).and_then(Tracked::head_now);
        let head = held.or_else(|| Content::open(entry).ok().map(|original| original.head));
        head.is_some_and(|head| head.starts_with(&content.head))
    }
}
