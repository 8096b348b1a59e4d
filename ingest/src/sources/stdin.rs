//! Standard input: `app | watchfire serve --stdin`. What comes is passed on to standard output unchanged and stored.
//!
//! One thread reads and passes on, another stores; between them is little, so that a full queue holds the writer back
//! rather than filling our memory. There is no position: what was read and is not durable when the machine fails is
//! lost, as in every pipe.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use watchfire_model::Timestamp;

use super::cut::{Cutter, End, Framing};
use super::entries::Entries;
use super::metrics::{SourceFigures, SourceMetrics};
use super::multiline::Multiline;
use super::skipping::Skipping;
use crate::formats::Format;
use crate::gather::{Gatherer, Origin};
use crate::intake::Intake;
use crate::metrics::SourceCounters;

/// Name of the source.
const NAME: &str = "stdin";
/// Read at once, bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces between the two threads.
const PIECES_MAX: usize = 16;
/// Lines that wait for others are records after so long without more.
const QUIET_AFTER: Duration = Duration::from_millis(500);

/// How standard input is taken.
#[derive(Clone, Debug)]
pub struct StdinSource {
    /// Service of its records.
    pub service: String,
    /// Format of its lines, by name; found out line by line if it is not given.
    pub format: Option<String>,
    /// Which lines are joined.
    pub multiline: Multiline,
}

/// Takes standard input until it ends or this is stopped.
pub struct StdinReader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl StdinReader {
    /// Starts the threads. The answer comes when the input has ended, or cannot be read further, and all of it is durable.
    ///
    /// Errors: there are no threads left.
    pub fn start(
        source: StdinSource,
        intake: Arc<Intake>,
        metrics: &SourceMetrics,
        runtime: Handle,
    ) -> io::Result<(StdinReader, oneshot::Receiver<io::Result<()>>)> {
        let (pieces, taken) = sync_channel(PIECES_MAX);
        let (ended, has_ended) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        // Nobody joins it: it sleeps in a read that nothing can end but the input.
        std::thread::Builder::new().name("stdin".into()).spawn(move || pass_on(&pieces))?;
        let (counters, figures) = (intake.metrics.source(NAME), metrics.of(NAME));
        let storing = Storing { source, intake, counters, figures, runtime, stop: stop.clone() };
        let thread = std::thread::Builder::new().name("stdin-store".into()).spawn(move || {
            if let Some(end) = storing.run(&taken) {
                // Nobody may wait for it.
                let _ = ended.send(end);
            }
        })?;
        Ok((StdinReader { stop, thread }, has_ended))
    }

    /// Stores what was read, and ends. Blocks.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the reader of standard input panicked");
        }
    }
}

/// Reads, writes the same bytes to standard output, hands them over, and last why there are no more, if that is a fault.
fn pass_on(pieces: &SyncSender<io::Result<Vec<u8>>>) {
    let (mut input, mut output) = (io::stdin().lock(), Some(io::stdout()));
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match input.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::warn!(%error, "standard input cannot be read");
                // Whoever stores may have been stopped.
                let _ = pieces.send(Err(error));
                return;
            }
        };
        let bytes = piece.get(..count).unwrap_or_default();
        if let Some(open) = &mut output
            && let Err(error) = open.write_all(bytes).and_then(|()| open.flush())
        {
            tracing::info!(%error, "nobody reads our standard output any more; lines are only stored from now on");
            output = None;
        }
        if pieces.send(Ok(bytes.to_vec())).is_err() {
            return;
        }
    }
}

struct Storing {
    source: StdinSource,
    intake: Arc<Intake>,
    counters: SourceCounters,
    figures: SourceFigures,
    runtime: Handle,
    stop: Arc<AtomicBool>,
}

impl Storing {
    /// Stores until the input ends, and says how it did; `None` if it is stopped before.
    fn run(&self, pieces: &Receiver<io::Result<Vec<u8>>>) -> Option<io::Result<()>> {
        let format = self.source.format.as_deref().and_then(|name| self.intake.parsers.load().find(name));
        let framing = Framing::of(format, self.source.multiline);
        let mut cutter = Cutter::new(framing, self.intake.limits.line_bytes);
        let mut held: Vec<u8> = Vec::new();
        let mut outcome = Ok(());
        loop {
            let is_stopping = self.stop.load(Ordering::Acquire);
            let end = match pieces.recv_timeout(if is_stopping { Duration::ZERO } else { QUIET_AFTER }) {
                Ok(Ok(piece)) => {
                    held.extend_from_slice(&piece);
                    End::Open
                }
                Ok(Err(error)) => {
                    outcome = Err(error);
                    End::Open
                }
                Err(RecvTimeoutError::Timeout) if is_stopping => End::Last,
                Err(RecvTimeoutError::Timeout) => End::Quiet,
                Err(RecvTimeoutError::Disconnected) => End::Last,
            };
            self.store(&mut held, &mut cutter, end);
            if end == End::Last {
                return (!is_stopping).then_some(outcome);
            }
        }
    }

    /// Stores what is whole.
    fn store(&self, held: &mut Vec<u8>, cutter: &mut Cutter, end: End) {
        let parsers = self.intake.parsers.load_full();
        let format = self.source.format.as_deref().and_then(|name| parsers.find(name));
        let host = super::host_name();
        let origin = Origin {
            service: Some(&self.source.service),
            source: Some(NAME),
            host: host.as_deref(),
            by_position: true,
            ..self.intake.origin(Timestamp::now())
        };
        let mut at = 0;
        let mut gathered = self.intake.with_worker(|worker| {
            let mut gatherer = Gatherer::new(&parsers, &self.intake.ids, worker, origin);
            match format {
                Some(Format::Journald) => {
                    let (multiline, limit) = (self.source.multiline, self.intake.limits.line_bytes);
                    let mut entries = Entries::of(held, multiline, limit, cutter.skipping.is_in_line(), end);
                    while let Some(stretch) = entries.next_stretch() {
                        stretch.iter().for_each(|entry| gatherer.cut(&entry.cut(), format));
                    }
                    at = entries.taken().bytes;
                    cutter.skipping = Skipping::default().with_line(entries.taken().skipping);
                }
                _ => {
                    while let Some(cut) = cutter.next(held, &mut at, end) {
                        gatherer.cut(&cut, format);
                    }
                }
            }
            gatherer.finish()
        });
        let records = u64::from(gathered.total);
        if records > 0 {
            self.runtime.block_on(self.intake.submit_patiently(&mut gathered, &self.counters, &parsers));
        }
        self.figures.records.inc_by(records);
        self.figures.bytes.inc_by(at as u64);
        held.drain(..at);
    }
}
