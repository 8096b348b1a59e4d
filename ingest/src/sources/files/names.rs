//! Names that are not UTF-8: patterns pass over them, so such files are not read, and somebody must hear of it.

use std::collections::HashSet;
use std::path::PathBuf;

use super::Source;

/// Most names that are remembered.
const TOLD_MAX: usize = 10_000;

/// Files that are not read because of their names, as far as they were told.
#[derive(Default)]
pub(super) struct Unreadable {
    told: HashSet<PathBuf>,
}

impl Unreadable {
    /// Warns of each such file once, as long as it is there.
    pub(super) fn tell(&mut self, sources: &[Source]) {
        let found = sources.iter().flat_map(|source| source.settings.list_unreadable()).take(TOLD_MAX);
        let found: HashSet<PathBuf> = found.collect();
        for file in found.difference(&self.told) {
            tracing::warn!(?file, "not read: its name is not UTF-8; rename the file");
        }
        self.told = found;
    }
}
