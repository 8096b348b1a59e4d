//! Which files there are, and what became of those that are not where they were.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;

use watchfire_model::Timestamp;

use super::known::Known;
use super::met::{Source, key_of, met_at, time_of};
use super::{Files, LIST_EVERY_MS, LIST_PAUSE_MS};
use crate::sources::content::{Content, Holds};
use crate::sources::position::{FILE_KEYS, FileId, HEAD_BYTES, Head, Position, Tail};
use crate::sources::rest::{self, Entry, Folders};
use crate::sources::settings::Start;
use crate::sources::tracked::{Begun, Standing, Tracked, before, end_of_lines, piece};
use crate::sources::turn::{STEPS_MAX, Turn};

/// One look at the folders: what they hold, and what is to become durable of it.
pub(super) struct Look {
    pub folders: Folders,
    pub turn: Turn,
    pub now_ms: i64,
    /// Rotated files that were there at the first start and are not asked for.
    pub unasked: usize,
    /// What was read before this look, once it was asked for.
    pub known: Option<Known>,
    /// Handles of files of which it is not decided what they are.
    pub held: usize,
}

impl Files {
    /// Lists the folders: new files, new names, names that are gone.
    ///
    /// Files that rotation has left are judged after all others, when it is stored what became of those: by then it is
    /// known which contents are in files that are followed, and which are in none.
    pub(super) fn list(&mut self, now_ms: i64) {
        self.list_at_ms = now_ms + LIST_EVERY_MS;
        self.listed_ms = now_ms;
        let found = self.find(now_ms);
        let mut look =
            Look { folders: Folders::default(), turn: Turn::default(), now_ms, unasked: 0, known: None, held: 0 };
        let (mut live, mut rotated) = (HashSet::new(), Vec::new());
        for (path, source) in found {
            let Some(entry) = look.folders.at(&path) else {
                // It came a moment ago, or goes just now.
                if path.is_file() {
                    self.list_at_ms = self.list_at_ms.min(now_ms + LIST_PAUSE_MS);
                }
                continue;
            };
            // A name of a file that was met under another one is only a second name.
            if !live.insert(entry.id) {
                continue;
            }
            if self.is_to_be_judged(&entry, source, &mut look) {
                self.drop_file(entry.id);
                rotated.push((entry, source));
            } else {
                self.meet(&entry, source, &mut look);
            }
        }
        self.unreadable.tell(&self.sources);
        self.tell_barred(&look);
        let others: Vec<FileId> = self.tracked.keys().filter(|id| !live.contains(id)).copied().collect();
        others.into_iter().for_each(|id| self.miss(id, &mut look));
        if !std::mem::replace(&mut self.knows_orphans, true) {
            self.find_orphans(&mut look);
        }
        self.store(&mut look);
        self.judge_rotated(rotated, &mut look);
        self.forget_links(&mut look);
        self.keep_gone(&mut look);
        self.tell_missing(now_ms);
        for source in self.sources.iter_mut().filter(|source| source.is_new || source.older.is_some()) {
            let met = source.met.or(time_of(now_ms));
            let met_ms = met.and_then(|met| met.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
            let met_ms = met_ms.and_then(|met| i64::try_from(met.as_millis()).ok()).unwrap_or(now_ms);
            look.turn.meet(key_of(&source.settings), source.older.take(), met_at(met_ms));
            (source.is_new, source.met) = (false, met);
        }
        self.store(&mut look);
        // Large folders in which much happens do not take all the time.
        let took_ms = Timestamp::now().millis().saturating_sub(now_ms);
        self.list_pause_ms = took_ms.saturating_mul(5).clamp(LIST_PAUSE_MS, LIST_EVERY_MS);
    }

    /// Commits what the look has found so far.
    pub(super) fn store(&mut self, look: &mut Look) {
        self.commit_surely(std::mem::take(&mut look.turn));
    }

    /// Commits when it is much.
    pub(super) fn store_if_full(&mut self, look: &mut Look) {
        if look.turn.steps.len() >= STEPS_MAX {
            self.store(look);
        }
    }

    /// A file is there under a name that is asked for.
    pub(super) fn meet(&mut self, entry: &Entry, source: usize, look: &mut Look) {
        let (id, path) = (entry.id, &entry.path);
        // Files are followed as text: what was packed had the inode before. And so had what nobody has read, if it had
        // another name: it is met anew, and found as a copy if it is somewhere else.
        let is_same = |file: &&mut Tracked| !file.position.packed && (file.path == *path || !is_blank(file));
        if let Some(file) = self.tracked.get_mut(&id).filter(is_same) {
            if file.path != *path {
                if self.by_path.get(&file.path) == Some(&id) {
                    self.by_path.remove(&file.path);
                }
                file.path.clone_from(path);
                // It may be another one, which has its inode.
                self.make_ready(id);
            }
            self.by_path.insert(path.clone(), id);
            if let Some(file) = self.tracked.get_mut(&id) {
                (file.standing, file.source) = (Standing::Live, source);
            }
            return;
        }
        self.drop_file(id);
        let stored = self.intake.queue.checkpoint(&id.key());
        let known = stored.as_deref().and_then(Position::decode);
        let (known, before) = match known {
            Some(known) if known.packed => (None, Some(known)),
            known => (known.filter(|known| known.tells_copies() || known.at > 0), None),
        };
        if let Some(before) = before {
            look.turn.keep(&before, None, |key| self.intake.queue.checkpoint(key).is_some());
        }
        let is_new = known.is_none();
        let named = self.links.named(path);
        let mut position = known.unwrap_or_else(|| named.clone());
        if position.path == named.path {
            position.target.clone_from(&named.target);
        }
        let mut file = Tracked::new(id, path.clone(), source, position, look.now_ms);
        (file.stored, file.seen.1) = (stored.clone(), entry.modified);
        let first = is_new.then(|| first_position(entry, named, self.start_of(source)));
        if first.as_ref().is_some_and(|first| first.at == 0 && first.head.length == 0) {
            file.begun = Begun::Empty;
        }
        self.by_path.insert(path.clone(), id);
        self.tracked.insert(id, file);
        if let Some(first) = first {
            look.turn.place(id, stored, first);
            self.store_if_full(look);
        }
        self.make_ready(id);
    }

    /// Where a file of a source is begun that was never met.
    pub(super) fn start_of(&self, source: usize) -> Start {
        match self.sources.get(source) {
            Some(source) if source.is_new => source.settings.start,
            _ => Start::Beginning,
        }
    }

    /// A followed file is under no name that is asked for.
    fn miss(&mut self, id: FileId, look: &mut Look) {
        let Some(file) = self.tracked.get(&id) else { return };
        if self.by_path.get(&file.path) == Some(&id) {
            self.by_path.remove(&file.path);
        }
        let is_in_sight = self.is_in_sight(&file.position, &file.path, &mut look.folders);
        match look.folders.with_id(&file.path, id, file.position.packed) {
            // It goes just now, or gets another name.
            Some(entry) if entry.is_past => self.list_at_ms = self.list_at_ms.min(look.now_ms + LIST_PAUSE_MS),
            // The name is not asked for any more.
            Some(entry) if entry.path == file.path && file.standing == Standing::Live && !self.lost_its_link(file) => {
                self.drop_file(id);
            }
            // Nothing is known of it that could tell whether it is still the same.
            Some(entry) if is_blank(file) && self.family(&entry.path).is_some() => self.drop_file(id),
            Some(entry) => {
                self.by_path.insert(entry.path.clone(), id);
                self.set_standing(id, Standing::Moved, Some(entry.path));
            }
            // It may have gone to another folder.
            None if file.has_no_names() => self.set_standing(id, Standing::Deleted, None),
            None if file.is_open() => self.set_standing(id, Standing::Moved, None),
            // Its folder cannot be read now.
            None if !is_in_sight => {}
            None => self.lose(id, look),
        }
    }

    /// Whether a file is where it was, and the link that led to it is gone, or leads to another one.
    fn lost_its_link(&self, file: &Tracked) -> bool {
        let asks_for = |source: &Source| source.settings.matches(&file.position.path);
        file.position.target.is_some() && self.sources.get(file.source).is_some_and(asks_for)
    }

    /// Where a file is; what is new there is read.
    fn set_standing(&mut self, id: FileId, standing: Standing, path: Option<PathBuf>) {
        let Some(file) = self.tracked.get_mut(&id) else { return };
        let path = path.unwrap_or_else(|| file.path.clone());
        if (file.standing, &file.path) != (standing, &path) {
            (file.standing, file.path) = (standing, path);
            self.make_ready(id);
        }
    }

    /// A file that is not open is gone: a copy may hold what was not read.
    fn lose(&mut self, id: FileId, look: &mut Look) {
        let Some(file) = self.tracked.get(&id) else { return };
        let (position, stored, source) = (file.position.clone(), file.stored.clone(), file.source);
        let bytes = file.unread_bytes();
        self.miss_bytes(&position, bytes, source, look.now_ms);
        self.give_up(id, &position, stored, &mut look.turn);
        self.drop_file(id);
    }

    /// Files of the last run that are under other names now, or gone. Those under names that rotation gives are judged
    /// with all others.
    fn find_orphans(&mut self, look: &mut Look) {
        for (key, stored) in self.intake.queue.checkpoints(FILE_KEYS) {
            let (Some(id), Some(position)) = (FileId::of_key(&key), Position::decode(&stored)) else { continue };
            let Some(source) = self.source_of(&position).filter(|_| !self.tracked.contains_key(&id)) else { continue };
            if !self.is_in_sight(&position, position.place(), &mut look.folders) {
                continue;
            }
            let found = look.folders.of_position(&position, id);
            if found.as_ref().is_some_and(|entry| position.finished || self.family(&entry.path).is_some()) {
                continue;
            }
            let content = found.and_then(|entry| Some((Content::open(&entry).ok()?, entry)));
            match content.filter(|(content, _)| content.holds(&position) == Holds::Yes) {
                Some((_, entry)) => {
                    let mut file = Tracked::new(id, entry.path, source, position, look.now_ms);
                    (file.stored, file.standing) = (Some(stored), Standing::Moved);
                    self.tracked.insert(id, file);
                    self.make_ready(id);
                }
                // Its folder is there and it is not.
                None => self.give_up(id, &position, Some(stored), &mut look.turn),
            }
            self.store_if_full(look);
        }
    }
}

/// Whether nothing is known of a file that could tell whether another one has its inode now.
pub(super) fn is_blank(file: &Tracked) -> bool {
    !file.is_open() && !file.position.tells_copies()
}

/// Where a file that was never read is begun. How it begins is kept with that, so that a copy is known by it.
pub(super) fn first_position(entry: &Entry, named: Position, start: Start) -> Position {
    let file =
        File::open(&entry.path).ok().filter(|file| file.metadata().is_ok_and(|now| FileId::of(&now) == entry.id));
    let at = match start {
        Start::Beginning => 0,
        Start::End => file.as_ref().and_then(|file| end_of_lines(file, entry.bytes).ok()).unwrap_or(entry.bytes),
    };
    let head = file.as_ref().and_then(|file| piece(file, 0, HEAD_BYTES).ok());
    let tail = file.as_ref().and_then(|file| before(file, at).ok());
    Position {
        at,
        head: head.map(|head| Head::of(&head)).unwrap_or_default(),
        tail: tail.map(|tail| Tail::of(&tail)).unwrap_or_default(),
        modified_ms: rest::millis(entry.modified),
        ..named
    }
}
