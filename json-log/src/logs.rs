//! All files of a configuration, put in force and replaced as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Serialize;

use crate::file::{JsonFile, Lost};
use crate::query::LoggedQuery;
use crate::scrape::FailedScrape;

/// The files that lines are written to. Shared by all who write.
pub struct JsonLogs {
    /// Held by who writes for the time of a copy in memory.
    in_force: RwLock<Opened>,
    lost: Lost,
}

/// Files that are open, and not yet in force.
#[derive(Default)]
pub struct Opened {
    files: BTreeMap<PathBuf, JsonFile>,
    of_queries: Option<PathBuf>,
}

/// A file that cannot be opened for writing.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {} cannot be opened for writing: {error}; name another file, or make its folder", path.display())]
pub struct OpenError {
    /// The key that names it.
    pub key: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// What the system says.
    pub error: std::io::Error,
}

impl JsonLogs {
    /// Without files. Errors: a name of our metrics is taken.
    pub fn new(registry: &Registry) -> Result<JsonLogs, prometheus::Error> {
        let lost = IntCounterVec::new(
            Opts::new(
                "watchfire_json_log_lost_lines_total",
                "Lines of `query_log_file` and `scrape_failure_log_file` that were not written.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(lost.clone()))?;
        let lost =
            Lost { waiting: lost.with_label_values(&["queue_full"]), unwritten: lost.with_label_values(&["write"]) };
        Ok(JsonLogs { in_force: RwLock::default(), lost })
    }

    /// Opens the file for queries, if there is one, and those for failed scrapes; nothing changes yet. Blocks.
    pub fn open<'p>(
        &self,
        queries: Option<&'p Path>,
        scrapes: impl Iterator<Item = &'p Path>,
    ) -> Result<Opened, OpenError> {
        let mut opened = Opened { of_queries: queries.map(Path::to_owned), ..Opened::default() };
        let queries = queries.map(|path| ("global.query_log_file", path));
        let scrapes = scrapes.map(|path| ("scrape_failure_log_file", path));
        for (key, path) in queries.into_iter().chain(scrapes) {
            if !opened.files.contains_key(path) {
                let file = JsonFile::open(path, &self.lost);
                let file = file.map_err(|error| OpenError { key, path: path.to_owned(), error })?;
                opened.files.insert(path.to_owned(), file);
            }
        }
        Ok(opened)
    }

    /// Lines go to these files from now on; what waits for those before is written first. Blocks.
    pub fn put_in_force(&self, opened: Opened) {
        // They are closed when the lock is free again.
        let before = std::mem::replace(&mut *self.in_force.write(), opened);
        drop(before);
    }

    /// Writes a query down, if queries are.
    pub fn query(&self, query: &LoggedQuery<'_>) {
        let in_force = self.in_force.read();
        if let Some(file) = in_force.of_queries.as_ref().and_then(|path| in_force.files.get(path)) {
            append(file, &query.line());
        }
    }

    /// Writes a failed scrape into this file.
    pub fn failed_scrape(&self, path: &Path, scrape: &FailedScrape<'_>) {
        if let Some(file) = self.in_force.read().files.get(path) {
            append(file, &scrape.line());
        }
    }
}

fn append(file: &JsonFile, line: &impl Serialize) {
    // Texts and finite numbers can always be written as JSON.
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        file.append(&line);
    }
}

#[cfg(test)]
mod tests;
