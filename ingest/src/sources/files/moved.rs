//! Files under names that are asked for that hold what was read under another inode: a program wrote a new file and
//! renamed it over the old one, or the file came from another folder, another file system or a backup.
//!
//! Such a file goes on where the other one was read up to, if that is gone. Beside an original that is still there it is
//! a file of its own; as the original may be just about to go, and the copy not written to its end, it waits a moment.

use super::Files;
use super::judging::{Candidate, Finding, Original};
use super::known::{Known, Read};
use super::listing::Look;
use crate::sources::content::{Content, Holds};
use crate::sources::packed::has_packed_name;
use crate::sources::position::{FileId, HEAD_BYTES, Position};
use crate::sources::rest::{self, Entry, Folders, millis};
use crate::sources::tracked::{Standing, piece};

/// So long a file waits that holds what another one does that is there, or not all of that yet.
const ALIKE_PAUSE_MS: i64 = 1000;
/// An empty file may get the contents of another one so soon.
const EMPTY_PAUSE_MS: i64 = 50;

/// What became of a file that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No name leads to it, and all its whole lines are stored.
    Gone,
    /// No name leads to it; its last lines are being read.
    Ending,
    /// It is there.
    There,
}

impl Files {
    /// Whether a file of which nothing is known begins like something that was read.
    pub(super) fn begins_like_read(&self, entry: &Entry, look: &mut Look) -> bool {
        let known = look.known.get_or_insert_with(|| Known::new(self.intake.queue.as_ref()));
        if known.reads.is_empty() || has_packed_name(&entry.path) {
            return false;
        }
        Content::open(entry).is_ok_and(|content| !known.begun_like(&content.head).is_empty())
    }

    /// Whether a file was made just now and has nothing in it yet. When it has, it may be found to be a copy.
    pub(super) fn is_hardly_made(&self, entry: &Entry, now_ms: i64) -> bool {
        let age_ms = now_ms.saturating_sub(millis(entry.modified));
        let is_new = !self.tracked.contains_key(&entry.id) && self.intake.queue.checkpoint(&entry.id.key()).is_none();
        entry.bytes == 0 && (0..EMPTY_PAUSE_MS).contains(&age_ms) && is_new
    }

    /// Whether a followed file holds all that was read of another one.
    pub(super) fn holds_what_was_read(&self, id: FileId) -> bool {
        let entry = self.tracked.get(&id).and_then(|file| rest::entry_of(file.path.clone()));
        let Some(entry) = entry.filter(|entry| entry.id == id && !has_packed_name(&entry.path)) else { return false };
        let Ok(content) = Content::open(&entry) else { return false };
        let known = Known::new(self.intake.queue.as_ref());
        let others = known.begun_like(&content.head).into_iter().filter_map(|place| known.reads.get(place));
        others.filter(|read| may_be_of(read, &entry)).any(|read| content.holds(&read.position) == Holds::Yes)
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
        let entry = &candidate.entry;
        let mut gone: Option<(u64, usize)> = None;
        let (mut waits, mut is_ending, mut is_replaced) = (false, false, false);
        for place in known.begun_like(&content.head) {
            let Some(read) = known.reads.get(place).filter(|read| may_be_of(read, entry)) else { continue };
            let fate = self.fate_of(read, &mut look.folders);
            let holds = content.holds(&read.position);
            match (holds, fate) {
                (Holds::Yes, Fate::Gone) => gone = gone.max(Some((read.position.at, place))),
                (Holds::Yes | Holds::Short, Fate::Ending) => is_ending = true,
                (Holds::Yes, Fate::There) | (Holds::Short, Fate::There | Fate::Gone) => waits = true,
                (Holds::No, _) => {}
            }
            is_replaced |= holds != Holds::Yes && fate == Fate::Gone && read.position.path == entry.path;
        }
        let since_ms = self.alike_since(entry.id).unwrap_or(look.now_ms);
        if is_ending || gone.is_none() && waits && look.now_ms.saturating_sub(since_ms) < ALIKE_PAUSE_MS {
            return Original::Undecided { since_ms };
        }
        if is_replaced && gone.is_none() {
            self.tell_replaced(candidate);
        }
        gone.map_or(unlike, |(_, place)| Original::Moved(place))
    }

    /// Since when it is not decided whether a file is a copy.
    fn alike_since(&self, id: FileId) -> Option<i64> {
        match self.judged.get(&id)?.finding {
            Finding::Alike { since_ms } => Some(since_ms),
            Finding::Done | Finding::Unrelated | Finding::Copy { .. } => None,
        }
    }

    fn fate_of(&self, read: &Read, folders: &mut Folders) -> Fate {
        let Some(id) = read.id else { return Fate::Gone };
        match self.tracked.get(&id).filter(|file| file.standing == Standing::Deleted) {
            Some(file) if file.rest().contains(&b'\n') => Fate::Ending,
            Some(_) => Fate::Gone,
            None if self.place_of(id, &read.position, folders).is_some() => Fate::There,
            None => Fate::Gone,
        }
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
        let (before, at) = (&read.position.path, read.position.at);
        tracing::info!(
            file = %candidate.entry.path.display(), before = %before.display(), at,
            "holds what was read of a file that is gone: goes on behind that"
        );
        let position = Position { path: candidate.entry.path.clone(), ..read.position.clone() };
        // Half a line at the end of what is gone is read here, when it is whole.
        let half = read.id.and_then(|id| self.tracked.get(&id)).map(|file| file.rest()).filter(|rest| !rest.is_empty());
        let has_half = half.is_some_and(|half| piece(&content.file, at, half.len()).is_ok_and(|here| here == half));
        self.take_over(candidate, content, position, look);
        if has_half {
            look.turn.dropped.extend(read.id);
        }
        if has_half || read.id.is_none() {
            look.turn.forget(read.key.clone(), read.stored.clone());
        }
    }
}

/// Whether a file can be told to be the copy of what was read: little text under another name is not enough, unless
/// its time is the same.
fn may_be_of(read: &Read, entry: &Entry) -> bool {
    let position = &read.position;
    let is_much = position.at >= HEAD_BYTES as u64;
    let is_alike = is_much || position.path == entry.path || position.modified_ms == millis(entry.modified);
    is_alike && !read.is_taken && read.id != Some(entry.id)
}
