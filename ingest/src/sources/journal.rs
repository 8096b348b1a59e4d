//! The journal of systemd: `journalctl -o export` is followed, and the cursor of the last stored entry is kept in the
//! frame of its records, so that each entry is stored once, also over a crash.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use watchfire_model::Timestamp;
use watchfire_queue::{AppendError, CHECKPOINT_VALUE_BYTES_MAX, Checkpoint};

use super::cut::{Cut, End};
use super::entries::{Entries, Entry, Taken};
use super::metrics::{SourceFigures, SourceMetrics};
use super::settings::{JournalSource, Start};
use crate::formats::{Format, journald};
use crate::gather::{Gatherer, Origin};
use crate::intake::Intake;
use crate::metrics::SourceCounters;

/// Name of the source, and key of its checkpoint; its value is the version 1 and the cursor.
const NAME: &str = "journald";
const KEY: &[u8] = b"journald";
const VERSION: u8 = 1;
/// Read at once, bytes.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces between who reads and who stores.
const PIECES_MAX: usize = 4;
/// Entries that wait for others are records after so long without more.
const QUIET_AFTER: Duration = Duration::from_millis(500);
/// First and longest wait before `journalctl` is started again, or the queue asked again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Follows the journal until it is stopped.
pub struct JournalReader {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Guards the running `journalctl`.
    child: Mutex<Option<Child>>,
    /// Signalled when it shall stop.
    stopping: Condvar,
    sleep: Mutex<()>,
}

impl JournalReader {
    /// Starts the thread.
    ///
    /// Errors: there are no threads left.
    pub fn start(
        source: JournalSource,
        intake: Arc<Intake>,
        metrics: &SourceMetrics,
        runtime: Handle,
    ) -> std::io::Result<JournalReader> {
        let shared = Arc::new(Shared::default());
        let (counters, figures) = (intake.metrics.source(NAME), metrics.of(NAME));
        let journal = Journal { shared: shared.clone(), source, intake, counters, figures, runtime };
        let thread = std::thread::Builder::new().name(NAME.into()).spawn(move || journal.run())?;
        Ok(JournalReader { shared, thread })
    }

    /// Ends it; entries that are not durable yet are read again at the next start. Blocks.
    pub fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(child) = self.shared.child.lock().as_mut() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        self.shared.stopping.notify_all();
        if self.thread.join().is_err() {
            tracing::error!("the reader of the journal panicked");
        }
    }
}

struct Journal {
    shared: Arc<Shared>,
    source: JournalSource,
    intake: Arc<Intake>,
    counters: SourceCounters,
    figures: SourceFigures,
    runtime: Handle,
}

impl Journal {
    fn run(self) {
        let mut wait = RETRY.0;
        while !self.is_stopped() {
            let started = std::time::Instant::now();
            if let Err(problem) = self.follow() {
                tracing::warn!(%problem, "the journal cannot be followed; it is tried again");
            }
            // One that ran for a while had not failed for good.
            if started.elapsed() > RETRY.1 {
                wait = RETRY.0;
            }
            self.sleep(wait);
            wait = (wait * 2).min(RETRY.1);
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    fn sleep(&self, time: Duration) {
        let mut sleep = self.shared.sleep.lock();
        if !self.is_stopped() {
            self.shared.stopping.wait_for(&mut sleep, time);
        }
    }

    fn stored(&self) -> Option<Vec<u8>> {
        self.intake.queue.checkpoint(KEY)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("journalctl");
        command.args(["--output=export", "--quiet", "--no-pager"]);
        if let Some(directory) = &self.source.directory {
            command.arg("--directory").arg(directory);
        }
        for unit in &self.source.units {
            command.arg(format!("--unit={unit}"));
        }
        command.stdin(Stdio::null());
        command
    }

    /// Follows the journal until `journalctl` ends.
    fn follow(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| {
            format!("journalctl cannot be run: {error}; install systemd, or remove `sources.journald`")
        };
        if self.stored().is_none() && self.source.start == Start::End {
            let newest = self.command().arg("--lines=1").output().map_err(failed)?.stdout;
            if let Some(cursor) = journald::cursor(&newest) {
                self.append(&mut Vec::new(), Some(cursor.to_vec()));
            }
        }
        let mut command = self.command();
        command.args(["--follow", "--no-tail"]);
        if let Some([VERSION, cursor @ ..]) = self.stored().as_deref() {
            command.arg(format!("--after-cursor={}", String::from_utf8_lossy(cursor)));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let output = child.stdout.take();
        let mut complaints = child.stderr.take();
        *self.shared.child.lock() = Some(child);
        if let Some(output) = output.filter(|_| !self.is_stopped()) {
            self.take(output).map_err(|error| format!("what it prints cannot be read: {error}"))?;
        }
        let ended = self.shared.child.lock().take();
        let mut said = String::new();
        if let Some(mut child) = ended {
            let _ = child.kill();
            let status = child.wait().map_err(failed)?;
            if let Some(complaints) = &mut complaints {
                // What it says about its end is only shown.
                let _ = complaints.take(4096).read_to_string(&mut said);
            }
            if !self.is_stopped() {
                return Err(format!("journalctl has ended ({status}): {}", said.trim()));
            }
        }
        Ok(())
    }

    /// Stores entries as they come, until there are no more.
    fn take(&self, output: ChildStdout) -> std::io::Result<()> {
        let (pieces, taken) = sync_channel(PIECES_MAX);
        // It ends with the output, at the latest when `journalctl` is killed, or with nobody to take the pieces.
        std::thread::Builder::new().name("journald-read".into()).spawn(move || read(output, &pieces))?;
        let mut held: Vec<u8> = Vec::new();
        let mut skipping = false;
        loop {
            let end = match taken.recv_timeout(QUIET_AFTER) {
                Ok(piece) => {
                    held.extend_from_slice(&piece);
                    End::Open
                }
                Err(RecvTimeoutError::Timeout) if held.is_empty() => continue,
                Err(RecvTimeoutError::Timeout) => End::Quiet,
                // What may go on is read again.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let line_bytes = self.intake.limits.line_bytes;
            let mut entries = Entries::of(&held, self.source.multiline, line_bytes, skipping, end);
            let stretches: Vec<Vec<Entry<'_>>> = std::iter::from_fn(|| entries.next_stretch()).collect();
            let taken = entries.taken();
            if !stretches.is_empty() && !self.store(&stretches, taken) {
                return Ok(());
            }
            let bytes = taken.bytes;
            skipping = taken.skipping;
            held.drain(..bytes);
        }
    }

    /// Stores entries; false if it is stopped before.
    fn store(&self, stretches: &[Vec<Entry<'_>>], taken: Taken<'_>) -> bool {
        let mut entries: Vec<Cut<'_>> = stretches.iter().flatten().map(Entry::cut).collect();
        let bytes = entries.iter().map(|entry| entry.text.len() as u64).sum();
        let Some(stored) = self.append(&mut entries, taken.cursor.map(<[u8]>::to_vec)) else { return false };
        self.figures.records.inc_by(stored);
        self.figures.bytes.inc_by(bytes);
        true
    }

    /// Brings entries into the queue together with the cursor of the last one that has one, however long that takes; gives
    /// how many were stored, none if it is stopped before.
    fn append(&self, entries: &mut Vec<Cut<'_>>, cursor: Option<Vec<u8>>) -> Option<u64> {
        let mut wait = RETRY.0;
        while !self.is_stopped() {
            let parsers = self.intake.parsers.load_full();
            let origin = Origin { by_position: true, ..self.intake.origin(Timestamp::now()) };
            let mut gathered = self.intake.with_worker(|worker| {
                let mut gatherer = Gatherer::new(&parsers, &self.intake.ids, worker, origin);
                entries.iter().for_each(|entry| gatherer.cut(entry, Some(Format::Journald)));
                gatherer.finish()
            });
            let checkpoint = cursor.as_ref().map(|cursor| {
                let mut after = [&[VERSION], &cursor[..]].concat();
                after.truncate(CHECKPOINT_VALUE_BYTES_MAX);
                Checkpoint { key: KEY.to_vec(), before: self.stored(), after: Some(after) }
            });
            let checkpoints = checkpoint.into_iter().collect();
            let appended = self.intake.append_moving(&mut gathered, checkpoints, &self.counters, &parsers);
            match self.runtime.block_on(appended) {
                Ok(()) => {
                    if let Some(first) = gathered.errors.first() {
                        let (refused, first) = (gathered.rejected, &first.message);
                        tracing::warn!(refused, %first, "entries of the journal were refused");
                    }
                    return Some(u64::from(gathered.total.saturating_sub(gathered.rejected)));
                }
                Err(error @ AppendError::TooLarge { .. }) if !entries.is_empty() => {
                    tracing::warn!(%error, entries = entries.len(), "entries of the journal were not stored");
                    entries.clear();
                }
                Err(_) => {
                    self.sleep(wait);
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
        None
    }
}

/// Hands over what is printed, until there is no more or nobody takes it.
fn read(mut output: ChildStdout, pieces: &SyncSender<Vec<u8>>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match output.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if pieces.send(piece.get(..count).unwrap_or_default().to_vec()).is_err() {
            return;
        }
    }
}
