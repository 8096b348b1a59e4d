//! Links all of which lead into folders that are not there: so it is where the folder of the links was mounted into a
//! container, and those that they lead to were not.

use std::collections::BTreeMap;

use super::Files;

/// Sources whose links lead nowhere, by name, and whether that was told: a link may be a moment older than its target.
pub(super) type Astray = BTreeMap<String, bool>;

impl Files {
    /// Warns once of each source whose links all lead nowhere, as long as it is so.
    pub(super) fn tell_astray(&mut self) {
        let mut found = Astray::new();
        for (at, source) in self.sources.iter().enumerate() {
            let name = source.settings.name();
            let mut links = self.links.there(at).peekable();
            let Some((link, target)) = links.peek().copied() else { continue };
            if links.any(|(_, target)| target.parent().is_some_and(|folder| folder.exists())) {
                continue;
            }
            let was_told = self.astray.get(name).copied();
            if was_told == Some(false) {
                tracing::warn!(
                    source = name, link = %link.display(), target = %target.display(),
                    "all links lead to folders that are not there: nothing is read; in a container, mount these folders too, at the \
                     same places"
                );
            }
            found.insert(name.to_owned(), was_told.is_some());
        }
        self.astray = found;
    }
}
