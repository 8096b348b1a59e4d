//! How far the import is: a bar with rate and time left on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use watchfire_model::text::{count, is_or_are, was_or_were};

use crate::number;
use crate::text::safe;

/// How often a line is written where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How the server calls the reason for refusing what it would not keep.
const TOO_OLD: &str = "too_old";

/// What the server made of a piece of a file.
#[derive(Clone, Copy, Default)]
pub(super) struct Piece<'p> {
    pub(super) accepted: u64,
    /// Of these, how many are in no known format.
    pub(super) plain: u64,
    /// Of these, how many say no time.
    pub(super) undated: u64,
    pub(super) refused: u64,
    /// Of these, how many the server cannot tell apart from what it has stored.
    pub(super) unplaced: u64,
    /// How many for which reason, where the server says so.
    pub(super) reasons: Option<&'p BTreeMap<String, u64>>,
    /// The first line that was refused, by its number in the file, and why.
    pub(super) first: Option<(u64, &'p str)>,
}

/// What was refused of one file.
#[derive(Default)]
struct File {
    name: String,
    refused: u64,
    reasons: BTreeMap<String, u64>,
    first: Option<(u64, String)>,
    /// Refused by this import or an earlier one, with no place that the server has kept.
    unplaced: u64,
    /// Refused by earlier imports, and stored now.
    stored_again: u64,
    /// Refused by earlier imports, and not sent again.
    not_tried: u64,
}

impl File {
    fn took(&mut self, piece: &Piece<'_>) {
        self.unplaced += piece.unplaced;
        self.refused += piece.refused;
        for (reason, count) in piece.reasons.into_iter().flatten() {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
        if self.first.is_none() {
            self.first = piece.first.map(|(line, why)| (line, why.to_owned()));
        }
    }

    /// How much was refused and why, in words.
    fn refusals(&self) -> Option<String> {
        if self.refused == 0 {
            return None;
        }
        let reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let first = self.first.as_ref().map(|(line, why)| format!("; the first is line {line}: {why}"));
        let (lines, were) = (count(self.refused, "line"), was_or_were(self.refused));
        let mut told = format!("{}: {lines} {were} refused{reasons}{}", self.name, first.unwrap_or_default());
        if self.refused > self.unplaced {
            told += if self.reasons.contains_key(TOO_OLD) {
                "; once the server's `logs.retention_days` reaches back to them, the same command imports them"
            } else {
                "; the same command tries them again, and stores nothing else twice"
            };
        }
        Some(told)
    }

    /// Which lines are not sent again by themselves.
    fn unplaced(&self) -> Option<String> {
        (self.unplaced > 0).then(|| {
            let (lines, were) = (count(self.unplaced, "line"), was_or_were(self.unplaced));
            format!(
                "{}: {lines} {were} refused whose places the server does not know any more (too many, or among what it has stored); \
                 --as-new imports the whole file once more (what is stored of it already is there twice then)",
                self.name
            )
        })
    }

    /// What became of lines that were refused before.
    fn tried_again(&self) -> [Option<String>; 2] {
        let stored = (self.stored_again > 0).then(|| {
            let (lines, were) = (count(self.stored_again, "line"), was_or_were(self.stored_again));
            let are = is_or_are(self.stored_again);
            format!("{}: {lines} that {were} refused before {are} stored now", self.name)
        });
        let left = (self.not_tried > 0).then(|| {
            let (lines, were) = (count(self.not_tried, "line"), was_or_were(self.not_tried));
            format!(
                "{}: {lines} that {were} refused before {were} not tried again, as standard input cannot be read from its begin; \
                 import it as a file",
                self.name
            )
        });
        [stored, left]
    }
}

/// What was done so far.
pub(super) struct Progress {
    /// What is imported: a record, a sample.
    what: &'static str,
    bar: Option<ProgressBar>,
    begun: Instant,
    said: Instant,
    files: usize,
    files_begun: usize,
    bytes: u64,
    bytes_read: Arc<AtomicU64>,
    accepted: u64,
    /// Records in no known format.
    plain: u64,
    /// Those and others that say no time.
    undated: u64,
    rejected: u64,
    file: File,
    known: usize,
    /// Lines that earlier imports have left.
    left_before: u64,
    duplicates: u64,
    passed_over: usize,
}

impl Progress {
    /// Of so many files, of so many bytes in all, that hold each a `what` or more.
    pub(super) fn new(what: &'static str, files: usize, bytes: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(bytes);
            let style = ProgressStyle::with_template("{wide_bar} {percent:>3}%  {bytes_per_sec}  {eta} left\n{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        Progress {
            what,
            bar,
            begun: now,
            said: now,
            files,
            files_begun: 0,
            bytes,
            bytes_read: Arc::default(),
            accepted: 0,
            plain: 0,
            undated: 0,
            rejected: 0,
            file: File::default(),
            known: 0,
            left_before: 0,
            duplicates: 0,
            passed_over: 0,
        }
    }

    /// Grows by what is read of the files.
    pub(super) fn bytes_read(&self) -> &Arc<AtomicU64> {
        &self.bytes_read
    }

    /// The next file's turn.
    pub(super) fn begin(&mut self, path: &Path) {
        self.files_begun += 1;
        self.file = File { name: path.display().to_string(), ..File::default() };
        if let Some(bar) = &self.bar {
            bar.set_message(safe(&path.display().to_string()).into_owned());
        }
    }

    /// The server has at least a part of the file at hand, and has refused so many records of it that have no place.
    pub(super) fn was_known(&mut self, unplaced: u64) {
        self.known += 1;
        self.left_before += unplaced;
        self.file.unplaced += unplaced;
    }

    /// So many records of the file at hand were refused before, and are not sent again.
    pub(super) fn not_tried_again(&mut self, refused: u64) {
        self.left_before += refused;
        self.file.not_tried += refused;
    }

    /// How many lines of files are missing since earlier imports.
    pub(super) fn left_before(&self) -> u64 {
        self.left_before
    }

    /// The server took a piece of what it refused before.
    pub(super) fn took_again(&mut self, piece: Piece<'_>) {
        self.file.stored_again += piece.accepted;
        self.took(piece);
    }

    /// The server had so many of a piece already.
    pub(super) fn had(&mut self, duplicates: u64) {
        self.duplicates += duplicates;
    }

    /// The file at hand is no text.
    pub(super) fn passed_over(&mut self) {
        self.passed_over += 1;
    }

    /// The server took a piece.
    pub(super) fn took(&mut self, piece: Piece<'_>) {
        self.accepted += piece.accepted;
        self.plain += piece.plain;
        self.undated += piece.undated;
        self.rejected += piece.refused;
        self.file.took(&piece);
        let read = self.bytes_read.load(Ordering::Relaxed);
        match &self.bar {
            Some(bar) => {
                bar.set_position(read.min(self.bytes));
                let files = count(self.files, "file");
                bar.set_message(format!("{} of {files}, {}", self.files_begun, self.figures()));
            }
            None if self.said.elapsed() >= SAY_EVERY => {
                self.said = Instant::now();
                let share = if self.bytes > 0 { read as f64 / self.bytes as f64 } else { 0.0 };
                let left =
                    if share > 0.0 { self.begun.elapsed().as_secs_f64() * (1.0 - share).max(0.0) / share } else { 0.0 };
                eprintln!("{} read, {}, about {left:.0} s left", number::percent(share.min(1.0)), self.figures());
            }
            None => {}
        }
    }

    /// The end of a file: says what of it was refused.
    pub(super) fn end(&mut self) {
        let file = std::mem::take(&mut self.file);
        let [stored, left] = file.tried_again();
        for told in [stored, left, file.refusals(), file.unplaced()].into_iter().flatten() {
            self.say(&told);
        }
    }

    /// Whether any file was read, if only in part, or known already.
    pub(super) fn has_read(&self) -> bool {
        self.accepted + self.rejected + self.duplicates > 0 || self.known + self.passed_over > 0
    }

    fn figures(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = self.accepted as f64 / seconds;
        format!("{} in {seconds:.1} s, {}/s", count(self.accepted, self.what), number::short(rate.round()))
    }

    /// A line for people, above the bar.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(safe(text)),
            None => eprintln!("{}", safe(text)),
        }
    }

    /// The end: says what was done, and gives how many lines were refused.
    pub(super) fn finish(&mut self) -> u64 {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        eprintln!("{}: {} imported", count(self.files_begun, "file"), self.figures());
        if self.known > 0 {
            eprintln!(
                "{} of them {} imported before, wholly or in part; what was there was not stored again",
                self.known,
                was_or_were(self.known)
            );
        }
        if self.duplicates > 0 {
            eprintln!("{} {} there already", count(self.duplicates, self.what), was_or_were(self.duplicates));
        }
        if self.passed_over > 0 {
            let (passed_over, are) = (self.passed_over, is_or_are(self.passed_over));
            eprintln!("{passed_over} of them {are} no text, and {} passed over", was_or_were(passed_over));
        }
        self.rejected
    }

    /// Says how many records are of no format that is known, or not of the one that was named, and what can be done; and of how
    /// many, these or others, the time is not known.
    pub(super) fn tell_of_plain_text(&self, format: Option<&str>) {
        if self.plain > 0 {
            let (of, are) = (count(self.accepted, self.what), is_or_are(self.plain));
            match format.filter(|format| *format != "auto") {
                Some(format) => {
                    eprintln!("{} of {of} {are} not of the format {}, and kept as plain text", self.plain, safe(format))
                }
                None => eprintln!(
                    "{} of {of} {are} in no known format, and kept as plain text\nhint: --format says what \
                     they are: json, logfmt, apache_combined, syslog_rfc3164, journald, …; other layouts are described by \
                     `parsers` in the server's configuration, and named --format regex:NAME. What is stored stays as it is: \
                     --as-new with a format stores the same files once more",
                    self.plain
                ),
            }
        }
        if self.undated > 0 {
            let (undated, are) = (count(self.undated, self.what), is_or_are(self.undated));
            let say = if self.undated == 1 { "says" } else { "say" };
            eprintln!("{undated} {say} no usable time, and {are} dated by the time of the import");
        }
    }
}
