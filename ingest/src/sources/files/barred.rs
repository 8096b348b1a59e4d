//! Folders that may not be entered or listed: what is in them is not read, and somebody must hear of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Files;
use super::listing::Look;
use crate::sources::closed::{Closed, closed};

/// It is looked for them not more often than this, and not for more than this part of the time.
const LOOK_EVERY_MS: i64 = 5000;
const LOOK_PART: i64 = 50;

/// Folders that are closed, as far as they were told.
#[derive(Default)]
pub(super) struct Barred {
    told: BTreeMap<PathBuf, Closed>,
    /// When it is looked for them next.
    pub look_at_ms: i64,
}

impl Files {
    /// Warns of each closed folder once, as long as it is so, and shows how many there are.
    pub(super) fn tell_barred(&mut self, look: &Look) {
        if look.now_ms < self.barred.look_at_ms {
            return;
        }
        let mut found = BTreeMap::new();
        for (at, source) in self.sources.iter().enumerate() {
            let mut folders = source.settings.closed_folders();
            folders.extend(self.links.targets_of(at).filter_map(|path| closed(path.parent()?)));
            source.figures.closed_folders.set(i64::try_from(folders.len()).unwrap_or(i64::MAX));
            found.extend(folders);
        }
        for (folder, closed) in found.iter().filter(|(folder, closed)| self.barred.told.get(*folder) != Some(*closed)) {
            tell(folder, *closed);
        }
        for folder in self.barred.told.keys().filter(|folder| !found.contains_key(*folder)) {
            tracing::info!(folder = %folder.display(), "can be looked into now, or is not asked for any more");
        }
        self.barred.told = found;
        self.tell_astray();
        let now_ms = watchfire_model::Timestamp::now().millis();
        let took_ms = now_ms.saturating_sub(look.now_ms).max(0);
        self.barred.look_at_ms = now_ms.saturating_add(LOOK_EVERY_MS.max(took_ms.saturating_mul(LOOK_PART)));
    }
}

fn tell(folder: &Path, closed: Closed) {
    let folder = folder.display();
    match closed {
        Closed::Entering => tracing::warn!(
            %folder,
            "may not be entered: no file in it is read; give Watchfire's user the rights r and x for it, as with \
             `setfacl -m u:USER:rx`, or run Watchfire as one who has them"
        ),
        Closed::Listing => tracing::warn!(
            %folder,
            "may not be listed: files that wildcards ask for in it, and rotated ones, are not found; give Watchfire's \
             user the rights r and x for it, as with `setfacl -m u:USER:rx`, or run Watchfire as one who has them"
        ),
    }
}
