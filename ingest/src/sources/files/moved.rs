//! Files under names that are asked for that hold what was read under another inode: a program wrote a new file and
//! renamed it over the old one, or the file came from another folder, another file system or a backup.
//!
//! Such a file goes on where the other one was read up to, if that is gone. Beside an original that is still there it is
//! a file of its own; as the original may be just about to go, and the copy not written to its end, it waits a moment.
//!
//! In doubt a file is read: lines that come twice are better than lines that are lost. What a program writes anew each
//! night may be the same each time, so text goes on only if there is a time in it, or the file has the time of the other.

use super::Files;
use super::asked::Links;
use super::judging::{Candidate, Finding, Original, Since};
use super::known::{Known, Read};
use super::listing::Look;
use crate::sources::content::{Content, Holds};
use crate::sources::packed::has_packed_name;
use crate::sources::position::{FileId, HEAD_BYTES, Position, Tail};
use crate::sources::rest::{self, Entry, Folders, millis};
use crate::sources::skipping::Skipping;
use crate::sources::tracked::{Begun, Standing, Tracked, before, end_of_lines, piece};

/// So long a file waits that holds what another one does that is there; and one that does not hold all of that, when it
/// was written to last.
const ALIKE_PAUSE_MS: i64 = 2000;
/// So long at most, if there is nothing to see whether it is a part of the other.
const ALIKE_PAUSE_MAX_MS: i64 = 10_000;

/// What became of a file that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// No name leads to it, and all its whole lines are stored.
    Gone,
    /// The file that is compared with it has its name, and it has another one; all its whole lines are stored.
    Renamed,
    /// One of these, but its last lines are being read.
    Ending,
    /// It is there.
    There,
}

/// What comparing a file with all that was read has shown.
#[derive(Default)]
struct Compared {
    /// It goes on where this was read up to: the largest position, and its place.
    goes_on: Option<(u64, usize)>,
    /// It is a part of this.
    part: Option<(u64, usize)>,
    /// One that it may be the copy of is read to its end.
    is_ending: bool,
    /// It may still grow, or its original go: up to where that was read.
    waits: Option<u64>,
    /// When the last file that had its name was written to, and whether that is gone. One that was rotated before tells
    /// nothing.
    last: Option<(i64, bool)>,
}

impl Files {
    /// Whether a file of which nothing is known begins like something that was read.
    pub(super) fn begins_like_read(&self, entry: &Entry, look: &mut Look) -> bool {
        let known = look.known.get_or_insert_with(|| Known::new(self.intake.queue.as_ref()));
        if known.reads.is_empty() || has_packed_name(&entry.path) {
            return false;
        }
        Content::open(entry).is_ok_and(|content| !self.alike(&content, known).is_empty())
    }

    /// Places of what was read that contents begin like, or that begins like them, if they are hardly begun.
    fn alike(&self, content: &Content, known: &Known) -> Vec<usize> {
        let mut places = known.begun_like(&content.head);
        let length = content.head.len();
        if (1..HEAD_BYTES).contains(&length) && content.is_dated(content.bytes()) {
            let begins_so = |id: FileId| {
                let head = self.tracked.get(&id).filter(|_| self.open.contains(&id)).and_then(Tracked::head_now);
                head.is_some_and(|head| head.starts_with(&content.head))
            };
            let longer =
                known.reads.iter().enumerate().filter(|(_, read)| usize::from(read.position.head.length) > length);
            places.extend(longer.filter(|(_, read)| read.id.is_some_and(begins_so)).map(|(place, _)| place));
        }
        places
    }

    /// Whether a file that was empty when it was met is not read in this turn: it is still empty, or begins like
    /// something that was read, and is compared with that when folders are listed next.
    pub(super) fn awaits_look(&mut self, id: FileId) -> bool {
        let is_live = |file: &&mut Tracked| file.standing == Standing::Live && file.begun != Begun::Known;
        let Some(file) = self.tracked.get_mut(&id).filter(is_live) else { return false };
        let Ok(content) = file.content() else { return false };
        if content.head.is_empty() {
            return true;
        }
        let known = self.known.take().unwrap_or_else(|| Known::new(self.intake.queue.as_ref()));
        let is_alike = !self.alike(&content, &known).is_empty();
        self.known = Some(known);
        if let Some(file) = self.tracked.get_mut(&id) {
            file.begun = if is_alike { Begun::Alike } else { Begun::Known };
        }
        if is_alike {
            self.list_at_ms = self.list_at_ms.min(self.listed_ms.saturating_add(self.list_pause_ms));
        }
        is_alike
    }

    /// Whether a followed file holds all that was read of another one.
    pub(super) fn holds_what_was_read(&mut self, id: FileId) -> bool {
        let entry = self.tracked.get(&id).and_then(|file| rest::entry_of(file.path.clone()));
        let Some(entry) = entry.filter(|entry| entry.id == id && !has_packed_name(&entry.path)) else { return false };
        let Ok(content) = Content::open(&entry) else { return false };
        let known = self.known.get_or_insert_with(|| Known::new(self.intake.queue.as_ref()));
        let others = known.begun_like(&content.head).into_iter().filter_map(|place| known.reads.get(place));
        others
            .filter(|read| may_be_of(&self.links, read, &entry, &content))
            .any(|read| content.holds(&read.position) == Holds::Yes)
    }

    /// Of what gone file a file under a name that is asked for is the copy; `unlike` if of none.
    pub(super) fn moved_from(
        &self,
        candidate: &Candidate,
        content: &Content,
        known: &Known,
        look: &mut Look,
        unlike: Original,
    ) -> Original {
        let since = self.undecided_since(&candidate.entry, look.now_ms);
        let found = self.compare(&candidate.entry, content, known, look, since);
        if found.is_ending || found.waits > found.goes_on.map(|(at, _)| at) {
            return Original::Undecided(since);
        }
        if let Some((_, place)) = found.goes_on.or(found.part) {
            return Original::Moved(place);
        }
        if found.last.is_some_and(|(_, is_gone)| is_gone) {
            self.tell_replaced(candidate);
        }
        unlike
    }

    fn compare(&self, entry: &Entry, content: &Content, known: &Known, look: &mut Look, since: Since) -> Compared {
        let mut found = Compared::default();
        let first_for_ms = look.now_ms.saturating_sub(since.first_ms);
        let is_quiet = look.now_ms.saturating_sub(since.changed_ms) >= ALIKE_PAUSE_MS;
        for place in self.alike(content, known) {
            let Some(read) = known.reads.get(place).filter(|read| may_be_of(&self.links, read, entry, content)) else {
                continue;
            };
            let (position, fate) = (&read.position, self.fate_of(read, entry, &mut look.folders));
            let holds = content.holds(position);
            let mut waits = false;
            tracing::debug!(
                file = %entry.path.display(), other = %position.path.display(), id = ?read.id, at = position.at, ?holds,
                ?fate, "compared with what was read"
            );
            match (holds, fate) {
                (Holds::Yes, Fate::Gone | Fate::Renamed) => {
                    found.goes_on = found.goes_on.max(Some((position.at, place)))
                }
                (Holds::Yes | Holds::Short, Fate::Ending) => found.is_ending = true,
                (Holds::Yes, Fate::There) => waits = first_for_ms < ALIKE_PAUSE_MS,
                (Holds::Short, Fate::There | Fate::Gone | Fate::Renamed) => {
                    match self.is_part_of(content, read, &mut look.folders) {
                        Some(true) => {
                            waits = !is_quiet;
                            if fate != Fate::There {
                                found.part = found.part.max(Some((position.at, place)));
                            }
                        }
                        Some(false) => {}
                        None => waits = !is_quiet && first_for_ms < ALIKE_PAUSE_MAX_MS,
                    }
                }
                (Holds::No, _) => {}
            }
            if waits {
                found.waits = found.waits.max(Some(position.at));
            }
            if self.links.is_name_of(&entry.path, position) {
                found.last = found.last.max(Some((position.modified_ms, fate == Fate::Gone)));
            }
        }
        found
    }

    /// Since when it is not decided whether a file is a copy.
    fn undecided_since(&self, entry: &Entry, now_ms: i64) -> Since {
        let begun = Since { first_ms: now_ms, changed_ms: now_ms };
        let Some(judged) = self.judged.get(&entry.id) else { return begun };
        match judged.finding {
            Finding::Alike(since) if judged.has_size(entry.bytes) => since,
            Finding::Alike(since) => Since { changed_ms: now_ms, ..since },
            Finding::Done | Finding::Unrelated | Finding::Copy { .. } => begun,
        }
    }

    /// What became of what was read, as far as that matters for a file that holds it.
    fn fate_of(&self, read: &Read, entry: &Entry, folders: &mut Folders) -> Fate {
        let Some(id) = read.id else { return Fate::Gone };
        let file = self.tracked.get(&id);
        let is_deleted = file.is_some_and(|file| file.standing == Standing::Deleted);
        let place = if is_deleted { None } else { self.place_of(id, &read.position, folders) };
        // Its inode may be another file's by now.
        let fate = match place.filter(|place| may_hold(place, read)) {
            Some(_) if self.links.is_name_of(&entry.path, &read.position) => Fate::Renamed,
            Some(_) => return Fate::There,
            None => Fate::Gone,
        };
        let is_ending = file.is_some_and(|file| !file.failing && file.rest().contains(&b'\n'));
        if is_ending { Fate::Ending } else { fate }
    }

    /// Whether all that a file has stands in another one at the same place; `None` if that cannot be looked at any more.
    fn is_part_of(&self, content: &Content, read: &Read, folders: &mut Folders) -> Option<bool> {
        let id = read.id?;
        if let Some(original) = self.tracked.get(&id).and_then(Tracked::plain) {
            return Some(content.is_part_of(original));
        }
        let original = Content::open(&self.place_of(id, &read.position, folders)?).ok()?;
        Some(content.is_part_of(&original.file))
    }

    fn tell_replaced(&self, candidate: &Candidate) {
        tracing::warn!(
            file = %candidate.entry.path.display(), size = candidate.entry.bytes,
            "replaced by a file that begins alike and does not hold all that was read: read from its beginning"
        );
        if let Some(source) = self.sources.get(candidate.source) {
            source.figures.restarts.inc();
        }
    }

    /// A file goes on where another one was read up to that is gone.
    pub(super) fn go_on(&mut self, candidate: &Candidate, content: Content, read: &mut Read, look: &mut Look) {
        read.is_taken = true;
        let is_gone = self.fate_of(read, &candidate.entry, &mut look.folders) != Fate::Renamed;
        let position = position_in(&content, &read.position, self.links.named(&candidate.entry.path));
        let (before, at, size) = (&read.position.path, position.at, content.bytes());
        tracing::info!(
            file = %candidate.entry.path.display(), before = %before.display(), at, size,
            "holds what was read of a file that is gone: goes on behind that"
        );
        // Half a line at the end of what is gone is read here, when it is whole.
        let gone = read.id.and_then(|id| self.tracked.get(&id)).filter(|file| file.standing == Standing::Deleted);
        let half = gone.map(Tracked::rest).filter(|rest| !rest.is_empty());
        let has_half = half.is_some_and(|half| piece(&content.file, at, half.len()).is_ok_and(|here| here == half));
        self.take_over(candidate, content, position, look);
        if has_half {
            look.turn.dropped.extend(read.id);
        }
        // The next file that gets its inode shall not be read from there.
        if is_gone && self.intake.queue.checkpoint(&read.key).as_ref() == Some(&read.stored) {
            look.turn.forget(read.key.clone(), read.stored.clone());
        }
    }
}

/// Where what was read ends in a file that holds it, or a part of it.
fn position_in(content: &Content, read: &Position, named: Position) -> Position {
    let whole = Position { path: named.path, target: named.target, ..read.clone() };
    if content.bytes() >= read.at {
        return whole;
    }
    let at = end_of_lines(&content.file, content.bytes()).unwrap_or(0);
    let tail = before(&content.file, at).map(|tail| Tail::of(&tail)).unwrap_or_default();
    Position { at, tail, head: content.begins, skipping: Skipping::default(), ..whole }
}

/// Whether the file that has an inode may still be the one that was read under it.
fn may_hold(place: &Entry, read: &Read) -> bool {
    place.is_past || Content::open(place).map_or(true, |content| content.holds(&read.position) != Holds::No)
}

/// Whether a file can be told to be the copy of what was read, or that file itself, which was gone for a while.
fn may_be_of(links: &Links, read: &Read, entry: &Entry, content: &Content) -> bool {
    let position = &read.position;
    let has_its_time = position.modified_ms > 0 && position.modified_ms == millis(entry.modified);
    let is_much = position.at >= HEAD_BYTES as u64 || links.is_name_of(&entry.path, position);
    // A file that got the inode of one that was deleted was made after that was written to last.
    let has_come_back = position.was == Some(entry.id) && millis(entry.born) <= position.modified_ms;
    let is_another = !read.is_taken && read.id != Some(entry.id);
    is_another && (has_its_time || has_come_back || is_much && content.is_dated(position.at))
}
