//! Which files are asked for, under which names: those that the patterns of a source match, and those that symbolic links
//! among these lead to, in whatever folder they are.
//!
//! A file that a link leads to is followed where it is: that folder is watched, and rotated files are looked for beside
//! it. Its records and its position have the name of the link. A link is remembered as long as files of the name that it
//! led to are left, so that what was rotated is read though the link is gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Files;
use super::listing::Look;
use crate::sources::link::way_from;
use crate::sources::packed::has_packed_name;
use crate::sources::position::{FILE_KEYS, PAST_KEYS, Position, is_rotated_name};
use crate::sources::rest::{self, Folders};
use crate::sources::waking::fixed_folder;

/// The links that are asked for, by the files that they lead to.
#[derive(Default)]
pub(super) struct Links(HashMap<PathBuf, Link>);

struct Link {
    /// Its name; of several the first.
    name: PathBuf,
    source: usize,
    /// When it was seen that it is gone.
    gone_ms: Option<i64>,
}

impl Links {
    /// The position of a file of which nothing was read yet, under the name that is asked for.
    pub(super) fn named(&self, path: &Path) -> Position {
        match self.0.get(path) {
            Some(link) => Position { path: link.name.clone(), target: Some(path.to_owned()), ..Position::default() },
            None => Position { path: path.to_owned(), ..Position::default() },
        }
    }

    /// Whether a file has the name, or the place, that one had that was read to a position.
    pub(super) fn is_name_of(&self, path: &Path, position: &Position) -> bool {
        position.path == path
            || position.place() == path
            || self.0.get(path).is_some_and(|link| link.name == position.path)
    }

    /// The files that they lead to.
    pub(super) fn targets(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.keys()
    }

    /// The source of a link that led to a file that was made at `born_ms`, and is gone.
    pub(super) fn gone_from(&self, path: &Path, born_ms: i64) -> Option<usize> {
        let link = self.0.get(path)?;
        link.gone_ms.is_some_and(|gone_ms| born_ms <= gone_ms).then_some(link.source)
    }

    /// Whether a file that was made at `born_ms` is only asked for by a link that was gone by then.
    pub(super) fn was_gone_before(&self, path: &Path, born_ms: i64) -> bool {
        self.0.get(path).and_then(|link| link.gone_ms).is_some_and(|gone_ms| born_ms > gone_ms)
    }

    /// The files that links led to that are gone, and when that was seen.
    pub(super) fn gone(&self) -> impl Iterator<Item = (&PathBuf, i64)> {
        self.0.iter().filter_map(|(target, link)| Some((target, link.gone_ms?)))
    }

    /// Those that links of one source lead to.
    pub(super) fn targets_of(&self, source: usize) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().filter(move |(_, link)| link.source == source).map(|(target, _)| target)
    }

    /// The links of a source that are there, and where they lead.
    pub(super) fn there(&self, source: usize) -> impl Iterator<Item = (&PathBuf, &PathBuf)> {
        let links = self.0.iter().filter(move |(_, link)| link.gone_ms.is_none() && link.source == source);
        links.map(|(target, link)| (&link.name, target))
    }

    fn leads_to(&self, path: &Path, source: usize) -> bool {
        self.0.get(path).is_some_and(|link| link.source == source)
    }
}

impl Files {
    /// Files that are asked for, each once, and the place of their source. Their folders are watched before they are
    /// listed, so that what happens after is heard of.
    pub(super) fn find(&mut self, now_ms: i64) -> Vec<(PathBuf, usize)> {
        let (mut watched, mut found, mut seen) = (BTreeSet::new(), Vec::new(), HashSet::new());
        let mut links = HashMap::new();
        for (source, settings) in self.sources.iter().map(|source| &source.settings).enumerate() {
            watched.extend(settings.paths.iter().map(|path| fixed_folder(path)));
            for name in settings.list().0 {
                watched.extend(name.parent().map(Path::to_owned));
                let Some(way) = way_from(&name) else {
                    if seen.insert(name.clone()) {
                        found.push((name, source));
                    }
                    continue;
                };
                watched.extend(way.folders);
                if !has_packed_name(&way.target) && seen.insert(way.target.clone()) {
                    links.insert(way.target.clone(), Link { name, source, gone_ms: None });
                    found.push((way.target, source));
                }
            }
        }
        if !self.knows_orphans {
            self.recall_links(now_ms);
        }
        for (target, link) in std::mem::take(&mut self.links.0) {
            let folder = target.parent().filter(|folder| folder.is_dir());
            if let Some(folder) = folder.filter(|_| !seen.contains(&target)) {
                watched.insert(folder.to_owned());
                links.insert(target, Link { gone_ms: link.gone_ms.or(Some(now_ms)), ..link });
            }
        }
        self.links = Links(links);
        self.waking.watch(&watched);
        found
    }

    /// Links of the last run: they may be gone, and files be left that they led to.
    fn recall_links(&mut self, now_ms: i64) {
        for prefix in [FILE_KEYS, PAST_KEYS] {
            for position in self.intake.queue.checkpoints(prefix).iter().filter_map(|(_, it)| Position::decode(it)) {
                let Some(target) = position.target.filter(|target| !self.links.0.contains_key(target)) else {
                    continue;
                };
                let source = self.sources.iter().position(|source| source.settings.matches(&position.path));
                if let Some(source) = source {
                    let gone_ms = self.kept_gone_ms(&target).or(Some(now_ms));
                    self.links.0.insert(target, Link { name: position.path, source, gone_ms });
                }
            }
        }
    }

    /// Forgets links that are gone, and of which no file is left.
    pub(super) fn forget_links(&mut self, look: &mut Look) {
        self.links.0.retain(|target, link| {
            let is_one = |path: &Path| path == target || is_rotated_name(target, path);
            let is_left = |folders: &mut Folders| {
                folders.beside(target).is_some_and(|files| files.iter().any(|file| is_one(&file.path)))
            };
            link.gone_ms.is_none() || is_left(&mut look.folders)
        });
    }

    /// Sources have other places now, or are gone.
    pub(super) fn move_links(&mut self, now_at: &[Option<usize>]) {
        let sources = &self.sources;
        self.links.0.retain(|_, link| {
            let source = now_at.get(link.source).copied().flatten();
            link.source = source.unwrap_or(link.source);
            source.and_then(|at| sources.get(at)).is_some_and(|source| source.settings.matches(&link.name))
        });
    }

    /// Names of files that are asked for, of which rotation may have made this one.
    pub(super) fn originals(&self, path: &Path, source: usize) -> Vec<PathBuf> {
        let Some(settings) = self.sources.get(source).map(|source| &source.settings) else { return Vec::new() };
        let is_asked_for = |name: &PathBuf| !has_packed_name(name) && settings.matches(name);
        let mut names = rest::original_names(path);
        let Some(link) = self.links.0.get(path).filter(|link| link.gone_ms.is_none()) else {
            names.retain(|name| is_asked_for(name) || self.links.leads_to(name, source));
            return names;
        };
        // What a link leads to is the file of the link's name: only as that can it be what rotation has made of others.
        names.retain(|name| self.links.leads_to(name, source));
        names.extend(rest::original_names(&link.name).into_iter().filter(is_asked_for));
        names
    }

    /// The source and the names of files that are asked for, of which rotation may have made this one; those of links
    /// come last.
    pub(super) fn family(&self, path: &Path) -> Option<(usize, Vec<PathBuf>)> {
        (0..self.sources.len()).find_map(|source| {
            let mut names = self.originals(path, source);
            let links: Vec<PathBuf> =
                names.iter().filter_map(|name| self.links.0.get(name)).map(|link| link.name.clone()).collect();
            names.extend(links);
            (!names.is_empty()).then_some((source, names))
        })
    }

    /// Whether a path is one that rotation gives to a file that is followed.
    pub(super) fn is_rotated(&self, path: &Path, source: usize) -> bool {
        self.originals(path, source).iter().any(|name| self.by_path.contains_key(name))
    }

    /// Whether a file is asked for under its own name, or that of a link that is there.
    pub(super) fn is_asked_for(&self, path: &Path, source: usize) -> bool {
        let matches = || self.sources.get(source).is_some_and(|source| source.settings.matches(path));
        let has_link = || self.links.0.get(path).is_some_and(|link| link.gone_ms.is_none() && link.source == source);
        !has_packed_name(path) && (has_link() || matches())
    }

    /// The source that asks for what was read to a position.
    pub(super) fn source_of(&self, position: &Position) -> Option<usize> {
        let asks_for = |name: &Path| self.sources.iter().position(|source| source.settings.matches(name));
        asks_for(&position.path).or_else(|| position.target.as_deref().and_then(asks_for))
    }

    /// Whether it can be seen whether a file is still there: its folder can be listed. The folder that a link led to can
    /// go together with the link, as those of a pod do.
    pub(super) fn is_in_sight(&self, position: &Position, place: &Path, folders: &mut Folders) -> bool {
        let is_missing =
            |path: &Path| fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        folders.beside(place).is_some()
            || position.target.is_some()
                && folders.beside(&position.path).is_some()
                && is_missing(&position.path)
                && place.parent().is_some_and(is_missing)
    }
}
