//! What is read from this machine: files, the journal, standard input; started, reloaded, stopped.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use watchfire_ingest::Intake;
use watchfire_ingest::sources::files::FilesReader;
use watchfire_ingest::sources::journal::JournalReader;
use watchfire_ingest::sources::metrics::SourceMetrics;
use watchfire_ingest::sources::settings::{FileSource, JournalSource};
use watchfire_ingest::sources::stdin::{StdinReader, StdinSource};

use crate::config::Config;

/// The running readers.
pub struct Sources {
    intake: Arc<Intake>,
    metrics: SourceMetrics,
    runtime: Handle,
    files: Option<FilesReader>,
    journal: Option<(JournalSource, JournalReader)>,
    stdin: Option<StdinReader>,
}

impl Sources {
    /// Nothing is read yet.
    pub fn new(intake: Arc<Intake>, metrics: SourceMetrics, runtime: Handle) -> Sources {
        Sources { intake, metrics, runtime, files: None, journal: None, stdin: None }
    }

    /// Reads what the configuration says from now on; also at a reload. Blocks until the journal's reader has ended, if
    /// it is not the same any more.
    ///
    /// Errors: there are no threads left.
    pub fn set(&mut self, config: &Config) -> std::io::Result<()> {
        self.set_files(config.files.clone())?;
        let same = self.journal.as_ref().map(|(source, _)| source) == config.journald.as_ref();
        if same {
            return Ok(());
        }
        if let Some((_, reader)) = self.journal.take() {
            reader.stop();
        }
        if let Some(source) = &config.journald {
            let reader =
                JournalReader::start(source.clone(), self.intake.clone(), &self.metrics, self.runtime.clone())?;
            self.journal = Some((source.clone(), reader));
        }
        Ok(())
    }

    fn set_files(&mut self, sources: Vec<FileSource>) -> std::io::Result<()> {
        match &self.files {
            Some(reader) => reader.replace(sources),
            None if sources.is_empty() => {}
            None => {
                let (intake, metrics) = (self.intake.clone(), self.metrics.clone());
                self.files = Some(FilesReader::start(sources, intake, metrics, self.runtime.clone())?);
            }
        }
        Ok(())
    }

    /// Takes standard input; the answer comes when it has ended and all of it is stored.
    ///
    /// Errors: there are no threads left.
    pub fn take_stdin(&mut self, source: StdinSource) -> std::io::Result<oneshot::Receiver<std::io::Result<()>>> {
        let (reader, ended) = StdinReader::start(source, self.intake.clone(), &self.metrics, self.runtime.clone())?;
        self.stdin = Some(reader);
        Ok(ended)
    }

    /// Ends all of them. Blocks.
    pub fn stop(&mut self) {
        if let Some(stdin) = self.stdin.take() {
            stdin.stop();
        }
        if let Some(files) = self.files.take() {
            files.stop();
        }
        if let Some((_, journal)) = self.journal.take() {
            journal.stop();
        }
    }
}
