//! A file that lines are appended to by a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

/// Most bytes that wait to be written; as many may be under way.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Room that is kept for what comes next.
const ROOM_BYTES: usize = 64 << 10;

/// Lines that are not in their file.
#[derive(Clone)]
pub(crate) struct Lost {
    /// The disk was slower than they came.
    pub(crate) waiting: IntCounter,
    /// The file cannot be written.
    pub(crate) unwritten: IntCounter,
}

/// An open file. What waits is written before it is dropped.
pub(crate) struct JsonFile {
    shared: Arc<Shared>,
    lost: Lost,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Guards what waits; held while bytes are copied in memory.
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    is_closed: bool,
}

impl JsonFile {
    /// Opens or makes it.
    pub(crate) fn open(path: &Path, lost: &Lost) -> io::Result<JsonFile> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let shared = Arc::new(Shared::default());
        let writer = Writer { file, path: path.to_owned(), lost: lost.unwritten.clone(), is_torn: false, fails: false };
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("json-log".into()).spawn(move || writer.run(&of_thread))?;
        Ok(JsonFile { shared, lost: lost.clone(), thread: Some(thread) })
    }

    /// Has a line written, which ends with a line end; it is lost if too much waits already.
    pub(crate) fn append(&self, line: &[u8]) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.lines.len() + line.len() > WAITING_BYTES_MAX {
            drop(waiting);
            return self.lost.waiting.inc();
        }
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        self.shared.news.notify_one();
    }
}

impl Drop for JsonFile {
    fn drop(&mut self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.news.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread that writes a log of JSON panicked");
        }
    }
}

/// What the thread has.
struct Writer {
    file: File,
    path: PathBuf,
    lost: IntCounter,
    /// The file ends within a line.
    is_torn: bool,
    /// The last write failed.
    fails: bool,
}

impl Writer {
    fn run(mut self, shared: &Shared) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = shared.waiting.lock();
            while waiting.lines.is_empty() {
                if waiting.is_closed {
                    return;
                }
                shared.news.wait(&mut waiting);
            }
            std::mem::swap(&mut waiting.lines, &mut lines);
            drop(waiting);
            self.write(&lines);
            lines.clear();
            lines.shrink_to(ROOM_BYTES);
        }
    }

    fn write(&mut self, lines: &[u8]) {
        // What was cut short stays a line of its own.
        let mended = if self.is_torn { self.put(b"\n") } else { (0, Ok(())) };
        let (written, done) = match mended {
            (_, Ok(())) => self.put(lines),
            failed => failed,
        };
        match done {
            Ok(()) if self.fails => tracing::info!(path = %self.path.display(), "the log of JSON is written again"),
            Ok(()) => {}
            Err(error) => {
                let rest = lines.get(written..).unwrap_or_default();
                self.lost.inc_by(rest.iter().filter(|byte| **byte == b'\n').count() as u64);
                if !self.fails {
                    tracing::error!(path = %self.path.display(), %error, "a log of JSON cannot be written; its lines are lost");
                }
                self.fails = true;
                return;
            }
        }
        self.fails = false;
    }

    /// Writes as much as can be written; answers how much that was.
    fn put(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.is_torn = bytes.get(written - 1).is_some_and(|last| *last != b'\n');
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}
