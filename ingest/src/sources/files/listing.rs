//! Which files there are, and what became of those that are not where they were.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Files, LIST_EVERY_MS, LOST_NAMES_MAX, Source, key_of, met_at, time_of};
use crate::sources::packed::has_packed_name;
use crate::sources::position::{FILE_KEYS, FileId, Head, Position, Tail, is_numbered_name};
use crate::sources::rest::{self, Entry, Folders};
use crate::sources::settings::Start;
use crate::sources::tracked::{Standing, Tracked, before, end_of_lines};
use crate::sources::turn::{STEPS_MAX, Turn};
use crate::sources::waking::fixed_folder;

/// What a file that was never read is a copy of.
pub(super) enum Original {
    /// Of none.
    None,
    /// Of one that is still read itself, or it is too early to tell.
    Wait,
    /// Of one that is gone, and was read up to here.
    Read(Position),
}

/// One look at the folders: what they hold, and what is to become durable of it.
struct Look {
    folders: Folders,
    turn: Turn,
    now_ms: i64,
    /// Of a source and a folder: files made since the source was met that are not asked for.
    newborn: HashMap<(usize, PathBuf), Vec<Entry>>,
    /// Names under which files are or were followed.
    seen_names: Option<HashSet<PathBuf>>,
}

/// Which of the files that rotation has left are meant.
#[derive(Clone, Copy)]
pub(super) enum Since {
    /// Those written to at or after this time.
    Written(SystemTime),
    /// Those made at or after this time.
    Made(SystemTime),
}

impl Since {
    /// What came after a file that was read up to a position; `None` if it is not known when that was.
    pub(super) fn read_to(position: &Position) -> Option<Since> {
        (position.modified_ms > 0).then(|| time_of(position.modified_ms)).flatten().map(Since::Written)
    }

    fn written_ms(self) -> Option<i64> {
        let Since::Written(time) = self else { return None };
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    fn holds(self, entry: &Entry) -> bool {
        match self {
            Since::Written(time) => entry.modified >= time,
            Since::Made(time) => entry.born >= time,
        }
    }
}

/// Files that are being packed are looked at again after so long.
const UNDECIDED_PAUSE_MS: i64 = 500;

/// By so much the clock of file systems may be behind.
const FILE_CLOCK_LAG: Duration = Duration::from_millis(20);

impl Look {
    /// [`Files::adopt_unseen`] within this look.
    fn adopt_unseen(&mut self, files: &mut Files, name: &Path, since: Since, source: usize) {
        files.adopt_unseen(name, since, source, &mut self.folders, &mut self.turn, self.now_ms);
    }
}

impl Files {
    /// Lists the folders: new files, new names, names that are gone.
    pub(super) fn list(&mut self, now_ms: i64) {
        self.list_at_ms = now_ms + LIST_EVERY_MS;
        self.listed_ms = now_ms;
        let mut look = Look {
            folders: Folders::default(),
            turn: Turn::default(),
            now_ms,
            newborn: HashMap::new(),
            seen_names: None,
        };
        let undecided = std::mem::take(&mut self.undecided);
        let mut watched = BTreeSet::new();
        let mut found: Vec<(PathBuf, usize)> = Vec::new();
        for (at, source) in self.sources.iter().enumerate() {
            watched.extend(source.settings.paths.iter().map(|path| fixed_folder(path)));
            found.extend(source.settings.list().0.into_iter().map(|path| (path, at)));
        }
        watched.extend(found.iter().filter_map(|(path, _)| path.parent().map(Path::to_owned)));
        watched.retain(|folder| folder.is_dir());
        let mut live = BTreeSet::new();
        for (path, source) in found {
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            let id = FileId::of(&metadata);
            // A name of a file that was met under another one is only a second name.
            if metadata.is_file() && live.insert(id) {
                self.meet(id, path, source, &metadata, &mut look);
            }
        }
        self.waking.watch(&watched);
        self.unreadable.tell(&self.sources);
        if self.lost_names.len() > LOST_NAMES_MAX {
            self.lost_names.clear();
        }
        let others: Vec<FileId> = self.tracked.keys().filter(|id| !live.contains(id)).copied().collect();
        others.into_iter().for_each(|id| self.miss(id, &mut look));
        if !std::mem::replace(&mut self.knows_orphans, true) {
            self.find_orphans(&mut look);
        }
        for (id, (name, since, source)) in undecided {
            let entry = look.folders.beside(&name).and_then(|entries| entries.iter().find(|entry| entry.id == id));
            match entry.cloned() {
                Some(entry) => self.adopt_if_unseen(entry, &name, since, source, &mut look.turn, now_ms),
                None => self.decide(id, &mut look.turn),
            }
        }
        if !self.undecided.is_empty() {
            self.list_at_ms = self.list_at_ms.min(now_ms + UNDECIDED_PAUSE_MS);
        }
        for source in self.sources.iter_mut().filter(|source| source.is_new) {
            look.turn.meet(key_of(&source.settings), met_at(now_ms));
            (source.is_new, source.met) = (false, time_of(now_ms));
        }
        self.commit_surely(look.turn);
    }

    /// A file is there under a name that is asked for.
    fn meet(&mut self, id: FileId, path: PathBuf, source: usize, metadata: &Metadata, look: &mut Look) {
        if let Some(file) = self.tracked.get_mut(&id) {
            if file.path != path {
                if self.by_path.get(&file.path) == Some(&id) {
                    self.by_path.remove(&file.path);
                }
                file.path.clone_from(&path);
            }
            (file.standing, file.source) = (Standing::Live, source);
            self.by_path.insert(path, id);
            return;
        }
        let stored = self.intake.queue.checkpoint(&id.key());
        // Files are followed as text: what was packed had the inode before.
        let known = stored.as_deref().and_then(Position::decode).filter(|known| !known.packed && !known.undecided);
        let is_new = known.is_none();
        let (name, after) = (path.clone(), self.lost_names.get(&path).copied());
        let position = known.unwrap_or_else(|| Position { path: path.clone(), ..Position::default() });
        let mut file = Tracked::new(id, path.clone(), source, position, look.now_ms);
        file.stored = stored;
        // Which files came after it can be asked before it is looked at.
        file.seen.1 = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let modified_ms = file.modified_ms();
        self.by_path.insert(path.clone(), id);
        self.tracked.insert(id, file);
        if is_new && self.sources.get(source).is_some_and(|source| source.is_new) {
            self.first_meeting(id, &path, source, metadata.len(), look);
        } else if is_new && look.turn.steps.len() < STEPS_MAX {
            // So that it is known if it is renamed before it is read, and which files came after it.
            look.turn.place(id, self.stored(id), Position { path, modified_ms, ..Position::default() });
        }
        self.make_ready(id);
        // Others may have had the name since it was lost, and lost it too.
        match after {
            Some(after) => look.adopt_unseen(self, &name, Since::Written(after), source),
            None if is_new => self.adopt_first(&name, source, look),
            None => {}
        }
    }

    /// A file that was never read, at the start: the source says where it is begun.
    fn first_meeting(&mut self, id: FileId, path: &Path, source: usize, size: u64, look: &mut Look) {
        let Some(settings) = self.sources.get(source).map(|source| source.settings.clone()) else { return };
        let head = rest::head_of(path).map(|head| Head::of(&head)).unwrap_or_default();
        let at = match settings.start {
            Start::Beginning => 0,
            Start::End => end_of_lines(path, size).unwrap_or(size),
        };
        for entry in rest::rotated(&mut look.folders, path) {
            let is_asked_for = settings.matches(&entry.path) && !has_packed_name(&entry.path);
            if self.is_known(&entry) || is_asked_for || settings.excludes(&entry.path) || look.turn.places(entry.id) {
                continue;
            }
            let packed = has_packed_name(&entry.path);
            let head = rest::head_of(&entry.path).map(|head| Head::of(&head)).unwrap_or_default();
            let position = Position { packed, head, path: path.to_owned(), ..Position::default() };
            if settings.read_rotated {
                let mut file = Tracked::new(entry.id, entry.path, source, position, look.now_ms);
                file.standing = Standing::Moved;
                look.turn.adopt(file);
            } else if look.turn.steps.len() < STEPS_MAX {
                // Not asked for, and so not read when the next file is rotated either.
                let stored = self.intake.queue.checkpoint(&entry.id.key());
                look.turn.place(entry.id, stored, Position { at: entry.bytes, finished: true, ..position });
            }
        }
        if settings.read_rotated || settings.start == Start::End || look.turn.steps.len() < STEPS_MAX {
            let tail = File::open(path).and_then(|file| before(&file, at)).map(|before| Tail::of(&before));
            let position = Position { at, head, tail: tail.unwrap_or_default(), ..Position::default() };
            look.turn.place(id, self.stored(id), Position { path: path.to_owned(), ..position });
        }
    }

    /// A followed file is under no name that is asked for.
    fn miss(&mut self, id: FileId, look: &mut Look) {
        let Some(file) = self.tracked.get_mut(&id) else { return };
        if self.by_path.get(&file.path) == Some(&id) {
            self.by_path.remove(&file.path);
        }
        // What is packed now is another file, which has the inode of one that is gone, or the other way round.
        let is_it = |entry: &&Entry| entry.id == id && has_packed_name(&entry.path) == file.position.packed;
        let found = look.folders.beside(&file.path).and_then(|entries| entries.iter().find(is_it)).cloned();
        match found {
            // The name is not asked for any more.
            Some(entry) if entry.path == file.path && file.standing == Standing::Live => self.drop_file(id),
            Some(entry) => {
                let (name, source) = (file.path.clone(), file.source);
                let was_live = file.standing == Standing::Live;
                self.by_path.insert(entry.path.clone(), id);
                file.path = entry.path;
                file.standing = Standing::Moved;
                self.make_ready(id);
                if was_live {
                    self.lost_names.insert(name.clone(), entry.modified);
                    look.adopt_unseen(self, &name, Since::Written(entry.modified), source);
                }
            }
            None => {
                let (name, source) = (file.path.clone(), file.source);
                let written = file.seen.1.max(time_of(file.position.modified_ms).unwrap_or(SystemTime::UNIX_EPOCH));
                let was_live = file.standing == Standing::Live;
                if file.is_open() {
                    // It may have gone to another folder.
                    file.standing = if file.has_no_names() { Standing::Deleted } else { Standing::Moved };
                    self.make_ready(id);
                } else {
                    self.lose(id, look);
                }
                if was_live && written > SystemTime::UNIX_EPOCH {
                    self.lost_names.insert(name.clone(), written);
                    look.adopt_unseen(self, &name, Since::Written(written), source);
                }
            }
        }
    }

    /// Files that had the name after one that has lost it, and lost it too before anybody looked: rotated since
    /// then, and never read.
    pub(super) fn adopt_unseen(
        &mut self,
        name: &Path,
        since: Since,
        source: usize,
        folders: &mut Folders,
        turn: &mut Turn,
        now_ms: i64,
    ) {
        // Of what is older others may have said that it is still to be decided.
        for entry in rest::rotated(folders, name).into_iter().filter(|entry| since.holds(entry)) {
            self.adopt_if_unseen(entry, name, since, source, turn, now_ms);
        }
    }

    fn adopt_if_unseen(
        &mut self,
        entry: Entry,
        name: &Path,
        since: Since,
        source: usize,
        turn: &mut Turn,
        now_ms: i64,
    ) {
        // Two files may have been written to at what is one moment to the file system.
        if !since.holds(&entry) || turn.places(entry.id) || self.tracked.contains_key(&entry.id) {
            return self.decide(entry.id, turn);
        }
        if self.is_known(&entry) {
            return;
        }
        let packed = has_packed_name(&entry.path);
        let Some(head) = rest::settled_head(&entry) else {
            return self.decide_later(entry.id, name, packed, since, source, turn);
        };
        if self.is_copy(name, source, packed, &head) {
            return self.decide(entry.id, turn);
        }
        let position = Position { packed, head: Head::of(&head), path: name.to_owned(), ..Position::default() };
        let mut file = Tracked::new(entry.id, entry.path, source, position, now_ms);
        (file.standing, file.stored) = (Standing::Moved, self.intake.queue.checkpoint(&entry.id.key()));
        turn.adopt(file);
    }

    /// Remembers, over a crash too, that a file may have to be read.
    fn decide_later(&mut self, id: FileId, name: &Path, packed: bool, since: Since, source: usize, turn: &mut Turn) {
        let stored = self.intake.queue.checkpoint(&id.key());
        let is_kept = stored.as_deref().and_then(Position::decode).is_some_and(|known| known.undecided);
        if self.undecided.len() >= LOST_NAMES_MAX {
            return;
        }
        self.undecided.insert(id, (name.to_owned(), since, source));
        if let Some(modified_ms) = since.written_ms().filter(|_| !is_kept) {
            let path = name.to_owned();
            turn.place(id, stored, Position { undecided: true, packed, modified_ms, path, ..Position::default() });
        }
    }

    /// A file is not to be read, or is read already.
    fn decide(&self, id: FileId, turn: &mut Turn) {
        let stored = self.intake.queue.checkpoint(&id.key());
        if let Some(stored) = stored.filter(|stored| Position::decode(stored).is_some_and(|known| known.undecided))
            && !turn.places(id)
        {
            turn.forget(id.key(), stored);
        }
    }

    /// Whether a file that begins so is a copy of one that is followed, or, packed, of one that was.
    fn is_copy(&self, name: &Path, source: usize, packed: bool, head: &[u8]) -> bool {
        let fits = |begins: Head| begins.tells_copies() && begins.fits(head);
        let is_of = |file: &Tracked| {
            // One that was not read yet is told by what it begins with now.
            let is_unread = !file.position.head.tells_copies() && file.position.path == name;
            fits(file.position.head) || is_unread && rest::head_of(&file.path).is_ok_and(|now| fits(Head::of(&now)))
        };
        self.tracked.values().any(|file| file.source == source && is_of(file))
            || packed
                && (self.intake.queue.checkpoints(FILE_KEYS).iter())
                    .filter_map(|(_, stored)| Position::decode(stored))
                    .any(|known| known.path == name && fits(known.head))
    }

    /// Files that had a name before anybody has seen one under it: made since the source was met, and rotated since.
    fn adopt_first(&mut self, name: &Path, source: usize, look: &mut Look) {
        let Some(Source { settings, met: Some(met), is_new: false, .. }) = self.sources.get(source) else { return };
        let Some(folder) = name.parent() else { return };
        let since = met.checked_sub(FILE_CLOCK_LAG).unwrap_or(*met);
        let newborn = look.newborn.entry((source, folder.to_owned())).or_insert_with(|| {
            let entries = look.folders.beside(name).unwrap_or_default().iter();
            entries.filter(|entry| entry.born >= since && !settings.matches(&entry.path)).cloned().collect()
        });
        if !newborn.iter().any(|entry| is_numbered_name(name, &entry.path) && !self.is_known(entry)) {
            return;
        }
        let seen = look.seen_names.get_or_insert_with(|| {
            let stored = self.intake.queue.checkpoints(FILE_KEYS);
            stored.iter().filter_map(|(_, value)| Position::decode(value)).map(|position| position.path).collect()
        });
        if !seen.contains(name) {
            look.adopt_unseen(self, name, Since::Made(since), source);
        }
    }

    /// Whether it is known what was read of a file.
    fn is_known(&self, entry: &Entry) -> bool {
        self.tracked.contains_key(&entry.id) || self.stored_of(entry).is_some()
    }

    /// Up to where a file was read, as the queue has it; what is known of its inode may be of one that had it before.
    fn stored_of(&self, entry: &Entry) -> Option<Position> {
        let stored = self.intake.queue.checkpoint(&entry.id.key())?;
        let known = Position::decode(&stored)
            .filter(|known| !known.undecided && known.packed == has_packed_name(&entry.path))?;
        rest::head_of(&entry.path).is_ok_and(|head| known.head.fits(&head)).then_some(known)
    }

    /// A file that is not open is gone: a copy may hold what was not read.
    fn lose(&mut self, id: FileId, look: &mut Look) {
        let Some(file) = self.tracked.get(&id) else { return };
        if let Some(copy) = self.copy_of(&file.position, file.source, &mut look.folders, look.now_ms) {
            look.turn.adopt(copy);
        } else if file.unread_bytes() > 0 {
            tracing::warn!(file = %file.name, bytes = file.unread_bytes(), "deleted before its end was read");
        }
        if let Some(stored) = file.stored.clone() {
            look.turn.forget(id.key(), stored);
        }
        self.drop_file(id);
    }

    /// A copy that holds what was not read of a file.
    pub(super) fn copy_of(
        &self,
        position: &Position,
        source: usize,
        folders: &mut Folders,
        now_ms: i64,
    ) -> Option<Tracked> {
        let is_read = |entry: &Entry| self.stored_of(entry).is_some_and(|known| known.at > 0);
        let entry = rest::copied(folders, position, is_read)?;
        let packed = has_packed_name(&entry.path);
        let mut copy = Tracked::new(entry.id, entry.path, source, Position { packed, ..position.clone() }, now_ms);
        (copy.standing, copy.stored) = (Standing::Moved, self.intake.queue.checkpoint(&copy.id.key()));
        Some(copy)
    }

    /// Files of the last run that are under other names now.
    fn find_orphans(&mut self, look: &mut Look) {
        for (key, stored) in self.intake.queue.checkpoints(FILE_KEYS) {
            let (Some(id), Some(position)) = (FileId::of_key(&key), Position::decode(&stored)) else { continue };
            let source = self.sources.iter().position(|source| source.settings.matches(&position.path));
            let Some(source) = source.filter(|_| !position.finished && !self.tracked.contains_key(&id)) else {
                continue;
            };
            if position.undecided {
                self.undecided.extend(Since::read_to(&position).map(|since| (id, (position.path, since, source))));
                continue;
            }
            if let Some(entry) = rest::renamed(&mut look.folders, id, &position) {
                let (name, modified) = (position.path.clone(), entry.modified);
                let mut file = Tracked::new(id, entry.path, source, position, look.now_ms);
                (file.stored, file.standing) = (Some(stored), Standing::Moved);
                self.tracked.insert(id, file);
                self.make_ready(id);
                look.adopt_unseen(self, &name, Since::Written(modified), source);
                continue;
            }
            let (name, since) = (position.path.clone(), Since::read_to(&position));
            if let Some(copy) = self.copy_of(&position, source, &mut look.folders, look.now_ms) {
                look.turn.adopt(copy);
                look.turn.forget(key, stored);
            } else if look.folders.beside(&position.path).is_some() {
                // Its folder is there and it is not: it will not come back.
                look.turn.forget(key, stored);
            }
            // Others may have had its name since, and lost it too.
            if let Some(since) = since {
                look.adopt_unseen(self, &name, since, source);
            }
        }
    }

    /// Whether a file that was never read is a copy that rotation made of one that was.
    pub(super) fn original_of(&self, id: FileId, now_ms: i64) -> Original {
        let is_unread = |file: &&Tracked| file.position.at == 0 && !file.position.packed;
        let Some(file) = self.tracked.get(&id).filter(is_unread) else {
            return Original::None;
        };
        let originals = rest::original_names(&file.path);
        let originals = originals.iter().filter_map(|name| self.tracked.get(self.by_path.get(name)?));
        let originals = originals.filter(|original| original.id != id);
        let mut head = None;
        for original in originals {
            let head = head.get_or_insert_with(|| rest::head_of(&file.path).unwrap_or_default());
            // One that was not read yet is told by what it begins with now.
            let known = original.position.head;
            let begins =
                if known.tells_copies() { known } else { Head::of(&rest::head_of(&original.path).unwrap_or_default()) };
            if !begins.tells_copies() {
                continue;
            }
            let is_short = head.len() < usize::from(begins.length);
            if is_short && now_ms.saturating_sub(file.grown_ms) < LIST_EVERY_MS {
                return Original::Wait;
            }
            let goes_on = || file.seen.0 < original.position.at || rest::holds(&file.path, &original.position);
            if !is_short && begins.fits(head) && goes_on() {
                // As long as the original is there, its lines are read from it.
                return if original.standing == Standing::Live {
                    Original::Wait
                } else {
                    Original::Read(Position { path: file.path.clone(), ..original.position.clone() })
                };
            }
        }
        Original::None
    }
}
