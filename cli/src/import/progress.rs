//! How far the import is: a bar with rate and time left on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::number;
use crate::text::safe;

/// How often a line is written where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What was done so far.
pub(super) struct Progress {
    /// What is imported: records, samples.
    what: &'static str,
    bar: Option<ProgressBar>,
    begun: Instant,
    said: Instant,
    files: usize,
    files_begun: usize,
    bytes: u64,
    bytes_read: Arc<AtomicU64>,
    accepted: u64,
    rejected: u64,
    /// Why the first line was refused.
    first_refusal: Option<String>,
    known: usize,
    duplicates: u64,
    passed_over: usize,
}

impl Progress {
    /// Of so many files, of so many bytes in all, that hold `what`.
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
            rejected: 0,
            first_refusal: None,
            known: 0,
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
        if let Some(bar) = &self.bar {
            bar.set_message(safe(&path.display().to_string()).into_owned());
        }
    }

    /// The server has at least a part of the file at hand.
    pub(super) fn was_known(&mut self) {
        self.known += 1;
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
    pub(super) fn took(&mut self, accepted: u64, rejected: u64, why: Option<&str>) {
        self.accepted += accepted;
        self.rejected += rejected;
        if self.first_refusal.is_none() {
            self.first_refusal = why.map(str::to_owned);
        }
        let read = self.bytes_read.load(Ordering::Relaxed);
        match &self.bar {
            Some(bar) => {
                bar.set_position(read.min(self.bytes));
                bar.set_message(format!("{} of {} files, {}", self.files_begun, self.files, self.figures()));
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

    fn figures(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = self.accepted as f64 / seconds;
        format!("{} {} in {seconds:.1} s, {}/s", self.accepted, self.what, number::short(rate.round()))
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
        let plural = if self.files_begun == 1 { "" } else { "s" };
        eprintln!("{} file{plural}: {} imported", self.files_begun, self.figures());
        if self.known > 0 {
            eprintln!(
                "{} of them were imported before, wholly or in part; what was there was not stored again",
                self.known
            );
        }
        if self.duplicates > 0 {
            eprintln!("{} {} were there already", self.duplicates, self.what);
        }
        if self.passed_over > 0 {
            eprintln!("{} of them are no text, and were passed over", self.passed_over);
        }
        if self.rejected > 0 {
            let why = self.first_refusal.as_deref().map(safe).unwrap_or_default();
            eprintln!("refused lines: {}; the first: {why}", self.rejected);
        }
        self.rejected
    }
}
