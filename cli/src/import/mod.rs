//! `watchfire import logs`: files to a running server, each line stored once however often the command is run.
//!
//! The server keeps how far each file is imported together with its records. A file is known by its first bytes, so
//! its name does not matter; a file that has grown adds what is new. Interrupted on either side, the import goes on
//! where it stood.
//!
//! `watchfire import metrics`: samples with their times. A series has one value per time, so nothing has to be kept of
//! how far a file is: the same file again adds nothing by itself.

mod file;
mod kind;
mod known;
mod metrics;
mod progress;
mod send;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use watchfire_model::service_of_file;

use crate::failure::{Failure, Outcome};
use crate::patience::Patience;
use crate::server::Connection;
use progress::Progress;
use send::Fault;

/// How long a server that was there is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examples of the help.
pub const LOGS_HELP: &str = "Examples:
  watchfire import logs access.log* old.log.zst
  watchfire import logs --service shop --format json archive/
  zstd -dc old.log.zst | watchfire import logs --service shop -
  journalctl -o export --since yesterday \\
      | watchfire import logs --format journald -

Exit codes: 0 good, 1 rejected, 2 usage, 4 server not reached, 5 interrupted, some lines were refused, or files not read or only in part";

/// `import`
#[derive(Args, Clone, Debug)]
pub struct Import {
    #[command(subcommand)]
    verb: ImportVerb,
}

/// What is imported.
#[derive(Subcommand, Clone, Debug)]
enum ImportVerb {
    /// Log files, packed ones (gzip, zstd) too, and whole folders.
    ///
    /// Lines are dated by the time that stands in them: right in graphs, unseen by rules. The same file again adds
    /// nothing, whatever its name; one that has grown adds what is new, and lines that the server refused are tried
    /// again. When the server goes away meanwhile the import says so and waits for a minute, and a later call goes on
    /// where this one stopped. Of a packed file that is cut off or damaged all lines that can be unpacked are imported. A
    /// file that begins like a longer one that was imported may be a part of it: that is said, and --as-new imports it.
    ///
    /// Of a file that may still be written (changed within the last hour, not packed) the end is left for the next call
    /// if it may go on: a line without its end, a line that is written in parts, an entry of a journal, and if it was changed
    /// a moment ago an error or a stack trace. That is said, and --final takes it. What is no text (xz, zip, tar, pictures) is refused when it is named,
    /// and passed over in a folder.
    #[command(after_help = LOGS_HELP)]
    Logs(Logs),
    /// Files of metrics with times, OpenMetrics or Prometheus' text format, packed ones (gzip, zstd) too.
    ///
    /// Times may come in any order, as far back as metrics are kept. What a file says about a metric holds for it, as in a
    /// scrape. The same file again adds nothing. Lines that cannot be taken are told with their numbers, all others are
    /// kept.
    #[command(after_help = metrics::HELP)]
    Metrics(metrics::Metrics),
}

/// `import logs`
#[derive(Args, Clone, Debug)]
struct Logs {
    /// Files, folders (all files in them), or `-` for stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Service of lines that name none; the file's name up to its first dot unless said.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where the lines come from; the file's path unless said.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The machine, for lines that name none.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Format of the lines, instead of finding it out: `json`, `logfmt`, `apache_combined`, `journald`, …
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Whose stack traces are joined: auto, java, python, go, rust, dotnet, off.
    #[arg(long, value_name = "LANGUAGE")]
    multiline: Option<String>,
    /// Nobody writes these files any more: their ends are taken as they are.
    #[arg(long = "final")]
    is_final: bool,
    /// These are files of their own, whatever was imported before: what is there already is stored once more.
    #[arg(long = "as-new")]
    is_new: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Import {
    /// Imports it.
    pub async fn run(self) -> Result<Outcome, Failure> {
        match self.verb {
            ImportVerb::Logs(logs) => logs.run().await,
            ImportVerb::Metrics(metrics) => metrics.run().await,
        }
    }
}

impl Logs {
    async fn run(self) -> Result<Outcome, Failure> {
        let server = self.connection.open()?;
        let (files, mut left) = list(&self.files);
        let mut progress = Progress::new("record", files.len(), bytes_of(&files));
        let mut patience = Patience::once_reached(PATIENCE);
        let sent = until_interrupted(async {
            for file in &files {
                let path = &file.path;
                let labels = send::Labels {
                    service: self.service.clone().unwrap_or_else(|| service_of(path)),
                    source: self.source.clone().unwrap_or_else(|| source_of(path)),
                    host: self.host.clone(),
                    format: self.format.clone(),
                    multiline: self.multiline.clone(),
                    is_final: self.is_final,
                    is_new: self.is_new,
                };
                let sent = send::file(&server, path, &labels, &mut patience, &mut progress).await;
                progress.end();
                if let Err(fault) = sent {
                    left.note(file, fault, &mut progress)?;
                }
            }
            Ok(())
        });
        left.is_interrupted = sent.await?;
        let ended = left.end(&mut progress);
        progress.tell_of_plain_text(self.format.as_deref());
        ended
    }
}

/// A file to import.
struct Listed {
    path: PathBuf,
    /// It was named itself, not only its folder.
    is_named: bool,
}

/// Files and folders that were not read to their end.
#[derive(Default)]
struct Left {
    unread: usize,
    /// What is no text, of the files that were named.
    refused: Vec<String>,
    /// Files that may be parts of others.
    shorter: usize,
    is_interrupted: bool,
}

/// Sends files until all are sent or Ctrl-C is pressed; whether it was.
async fn until_interrupted(sending: impl Future<Output = Result<(), Failure>>) -> Result<bool, Failure> {
    tokio::select! {
        sent = sending => sent.map(|()| false),
        Ok(()) = tokio::signal::ctrl_c() => Ok(true),
    }
}

impl Left {
    /// Says why a file is left: it does not keep the others from being read.
    ///
    /// Errors: it is no fault of the file, and would be that of the others too.
    fn note(&mut self, file: &Listed, fault: Fault, progress: &mut Progress) -> Result<(), Failure> {
        let name = file.path.display().to_string();
        match fault {
            Fault::File(problem) => {
                progress.say(&format!("{name}: {problem}"));
                self.unread += 1;
            }
            Fault::Shorter => {
                progress.say(&format!(
                    "{name}: begins like a longer file that was imported. It may be a part of that or another file, so nothing of it \
                     was stored; --as-new imports it as a file of its own"
                ));
                self.shorter += 1;
            }
            Fault::NoText(problem) if file.is_named => {
                progress.say(&format!("{name}: {problem}"));
                self.refused.push(name);
            }
            Fault::NoText(problem) => {
                progress.say(&format!("{name}: passed over: {problem}"));
                progress.passed_over();
            }
            Fault::Server(failure) => {
                progress.finish();
                return Err(failure);
            }
        }
        Ok(())
    }

    /// The end of an import: of some files not all could be read, some lines were refused.
    fn end(self, progress: &mut Progress) -> Result<Outcome, Failure> {
        let rejected = progress.finish();
        if self.is_interrupted {
            let told = "interrupted; what was imported stays, and the same command imports the rest";
            return Ok(Outcome::Partial(told.to_owned()));
        }
        if !self.refused.is_empty() {
            return Err(Failure::Local(format!("what is no text was not imported: {}", self.refused.join(", "))));
        }
        if self.unread > 0 && self.shorter == 0 && !progress.has_read() {
            return Err(Failure::Local("nothing was imported: none of the files could be read".to_owned()));
        }
        let left = [
            ("files that could not be read to their end", self.unread as u64),
            ("files that may be parts of others", self.shorter as u64),
            ("refused lines", rejected),
            ("lines that were refused before", progress.left_before()),
        ];
        let told: Vec<String> =
            left.iter().filter(|(_, many)| *many > 0).map(|(what, many)| format!("{what}: {many}")).collect();
        Ok(if told.is_empty() { Outcome::Complete } else { Outcome::Partial(told.join(", ")) })
    }
}

/// How long the files are together, as they lie there.
fn bytes_of(files: &[Listed]) -> u64 {
    files.iter().map(|file| std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len())).sum()
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The files, those in folders too, in order; folders that could not be listed are left.
fn list(paths: &[PathBuf]) -> (Vec<Listed>, Left) {
    let (mut files, mut left) = (Vec::new(), Left::default());
    for path in paths {
        if is_stdin(path) || !path.is_dir() {
            files.push(Listed { path: path.clone(), is_named: true });
            continue;
        }
        let mut folders = vec![path.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                eprintln!("{}: cannot be listed", folder.display());
                left.unread += 1;
                continue;
            };
            for entry in entries.flatten() {
                // Links are not followed: they may lead in circles.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => found.push(entry.path()),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        found.sort();
        files.extend(found.into_iter().map(|path| Listed { path, is_named: false }));
    }
    (files, left)
}

/// The service of a file that none is said of.
fn service_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    service_of_file(&name).filter(|service| *service != "-").unwrap_or("import").to_owned()
}

fn source_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}
