//! What damage has cost: numbers that were durable once and that nobody has any more.
//!
//! A start that finds damage in log or snapshots, or a block gone, settles it by a snapshot of what is left, and the next
//! start meets nothing of it. So it is written down before that snapshot takes its name, and each start tells it again until
//! whoever runs the server knows of it and removes the file.
//!
//! ```text
//! lost.damaged = "watchfire engine losses 1" \n | what to do, for people \n
//!                "since " milliseconds " " the same as a date \n | "places " count \n | "records " count \n
//!                (a place \n)*                                      (the first hundred)
//! ```
//! It is a text of few lines that is written whole, and it is there that counts: where it cannot be understood,
//! something is lost all the same.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use watchfire_model::Timestamp;
use watchfire_model::text::count;

use crate::recovery::RecoveryReport;
use crate::stats::LossStats;
use crate::wal::segment::Damage;
use crate::wal::sync_folder;

/// The name of the file.
const NAME: &str = "lost.damaged";
/// The name that it has while it is written.
const UNFINISHED: &str = "lost.tmp";
const MAGIC: &str = "watchfire engine losses 1";
const REMEDY: &str = "What stood in these places is lost, all else is served. Restore a backup, or remove this file: it is told at each start until then.";
/// Places that are named; those beyond it are counted.
const NAMED_MAX: usize = 100;

/// All that was lost so far, as far as nobody has removed it.
#[derive(Debug)]
pub(crate) struct Losses {
    path: PathBuf,
    /// When the first of them was found; `None` while there are none.
    pub(crate) since: Option<Timestamp>,
    pub(crate) places: u64,
    /// Records of the log, as far as known.
    pub(crate) records: u64,
    named: Vec<String>,
    /// The file does not say all of it yet.
    is_news: bool,
}

impl Losses {
    /// What earlier starts have written down. Errors: there is a file that cannot be read.
    pub(crate) fn read(folder: &Path, now: Timestamp) -> io::Result<Losses> {
        // What a crash left of it; whatever was to be in it is found again.
        let _ = std::fs::remove_file(folder.join(UNFINISHED));
        let path = folder.join(NAME);
        let mut losses = Losses { path, since: None, places: 0, records: 0, named: Vec::new(), is_news: false };
        let bytes = match std::fs::read(&losses.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(losses),
            read => read?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        if lines.next() == Some(MAGIC) {
            let mut figure =
                |name: &str| lines.by_ref().find_map(|line| line.strip_prefix(name)?.split(' ').next()?.parse().ok());
            losses.since = figure("since ").map(Timestamp::from_millis);
            losses.places = figure("places ").map_or(0, i64::unsigned_abs);
            losses.records = figure("records ").map_or(0, i64::unsigned_abs);
            losses.named = lines.map(str::to_owned).take(NAMED_MAX).collect();
        }
        losses.since.get_or_insert(now);
        losses.places = losses.places.max(1);
        Ok(losses)
    }

    /// Takes in what a start has found, unless it was found and written down already, and a crash came before it was settled.
    pub(crate) fn add(&mut self, report: &RecoveryReport, now: Timestamp) {
        let mut found: Vec<String> = report.losses.iter().map(told).collect();
        if found.is_empty() && report.records_lost > 0 {
            found.push(format!("{} of the log: no file has them", count(report.records_lost, "record")));
        }
        found.retain(|place| !self.named.contains(place));
        if found.is_empty() {
            return;
        }
        self.since.get_or_insert(now);
        self.places += found.len() as u64;
        self.records += report.records_lost;
        self.named.extend(found);
        self.named.truncate(NAMED_MAX);
        self.is_news = true;
    }

    /// Writes it down durably, if that was not done.
    pub(crate) fn write(&self) -> io::Result<()> {
        let (Some(since), true) = (self.since, self.is_news) else { return Ok(()) };
        let (places, records) = (self.places, self.records);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let temporary = folder.join(UNFINISHED);
        let mut file = File::create(&temporary)?;
        let head = format!("{MAGIC}\n{REMEDY}\nsince {} {since}\nplaces {places}\nrecords {records}\n", since.millis());
        file.write_all((head + &self.named.join("\n") + "\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        sync_folder(folder)
    }

    /// What is shown of it; `None` if nothing is lost, or the file was removed since all of it `is_settled` by a snapshot.
    pub(crate) fn stats(&self, is_settled: bool) -> Option<LossStats> {
        let since = self.since.filter(|_| !is_settled || self.path.exists())?;
        Some(LossStats { since, places: self.places, file: self.path.clone() })
    }

    /// The file that says all of it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the file to another folder, if there is one; gives its bytes.
    pub(crate) fn copy(&self, folder: &Path) -> io::Result<u64> {
        if !self.path.exists() {
            return Ok(0);
        }
        let to = folder.join(NAME);
        let bytes = std::fs::copy(&self.path, &to)?;
        File::open(to)?.sync_all()?;
        Ok(bytes)
    }
}

fn told(damage: &Damage) -> String {
    let name = damage.file.file_name().unwrap_or_default().display();
    format!("{name} at byte {}, {}: {}", damage.offset, count(damage.bytes, "byte"), damage.reason)
}
