//! A file as a stream of unpacked bytes, read ahead by a thread of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

/// Read and handed over at once, bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces read ahead.
const PIECES_MAX: usize = 4;

/// A file that was not changed for so long is not written to any more.
const STILL_WRITTEN: Duration = Duration::from_secs(3600);
/// The lines of a stack trace are written within such a time.
const WRITTEN_NOW: Duration = Duration::from_secs(10);

/// What may come behind the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Nothing.
    Over,
    /// The rest of what is not whole: half a line, a part of one, half an entry.
    Possible,
    /// That, and lines that belong to those that are there.
    Going,
}

/// The bytes of a file from its beginning.
pub(super) struct Bytes {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// What came and was not taken.
    pub(super) held: Vec<u8>,
    /// Line ends that were passed.
    pub(super) lines: u64,
    /// Nothing more will come.
    pub(super) ended: bool,
    /// Why nothing more comes, if it is not the end of the file.
    fault: Option<io::Error>,
    /// If it is not packed.
    growth: Growth,
    is_packed: Arc<AtomicBool>,
}

/// Counts what the unpacking has used of the file, so that a fault can say where it is.
struct Located<R> {
    inner: R,
    at: u64,
}

impl<R: BufRead> Read for Located<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(room)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Located<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
        self.inner.consume(count);
    }
}

/// Counts what is read of the file itself, packed or not.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(room)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Bytes {
    /// Opens a file, or stdin; `read` grows by what is read of it.
    pub(super) fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<Bytes> {
        let (input, growth): (Box<dyn Read + Send>, Growth) = if super::is_stdin(path) {
            (Box::new(io::stdin()), Growth::Over)
        } else {
            let file = File::open(path)?;
            let growth = growth_of(&file);
            (Box::new(file), growth)
        };
        let is_packed = Arc::new(AtomicBool::new(false));
        let found_packed = is_packed.clone();
        let input = BufReader::with_capacity(256 << 10, Counted { inner: input, read: read.clone() });
        let mut input = Located { inner: input, at: 0 };
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        // It ends when nobody takes its pieces any more; nobody joins it, as it may sleep in a read of stdin.
        std::thread::Builder::new().name("read".into()).spawn(move || {
            let is_packed = input.fill_buf().is_ok_and(|start| is_gzip(start) || is_zstd(start));
            // Read by who has got the first piece, or the end.
            found_packed.store(is_packed, Ordering::Release);
            let outcome = unpacked(&mut input).and_then(|mut input| hand_over(&mut input, &sender));
            if let Err(error) = outcome {
                let why = if is_packed { "cut off or damaged" } else { "cannot be read" };
                let what = format!("{why} behind byte {}: {error}", input.at);
                // Nobody may be there to hear it.
                let _ = sender.blocking_send(Err(io::Error::new(error.kind(), what)));
            }
        })?;
        Ok(Bytes { pieces, held: Vec::new(), lines: 0, ended: false, fault: None, growth, is_packed })
    }

    /// Whether the file ends here only because it cannot be read further.
    pub(super) fn is_damaged(&self) -> bool {
        self.fault.is_some()
    }

    /// What may come behind its end; known once some of it was read.
    pub(super) fn growth(&self) -> Growth {
        if self.is_packed.load(Ordering::Acquire) { Growth::Over } else { self.growth }
    }

    /// The fault that has ended it, if any did.
    pub(super) fn fault(&mut self) -> io::Result<()> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// Holds at least so many bytes, or all that there are.
    pub(super) async fn fill(&mut self, wanted: usize) {
        while self.held.len() < wanted && !self.ended {
            match self.pieces.recv().await {
                Some(Ok(piece)) => self.held.extend_from_slice(&piece),
                Some(Err(fault)) => (self.ended, self.fault) = (true, Some(fault)),
                None => self.ended = true,
            }
        }
    }

    /// Passes over so many bytes; false if there are fewer. Gives the last `kept` of them.
    pub(super) async fn skip(&mut self, mut count: u64, kept: usize) -> Option<Vec<u8>> {
        let mut tail: Vec<u8> = Vec::new();
        while count > 0 {
            self.fill(1).await;
            if self.held.is_empty() {
                return None;
            }
            let taken = usize::try_from(count).unwrap_or(usize::MAX).min(self.held.len());
            let begin = tail.len();
            tail.extend(self.held.drain(..taken));
            self.lines += tail.iter().skip(begin).filter(|byte| **byte == b'\n').count() as u64;
            let surplus = tail.len().saturating_sub(kept);
            tail.drain(..surplus);
            count -= taken as u64;
        }
        Some(tail)
    }
}

/// What may come behind the end of a file now. A program that writes little may keep the end of a line back for long.
fn growth_of(file: &File) -> Growth {
    let Ok(modified) = file.metadata().and_then(|metadata| metadata.modified()) else { return Growth::Over };
    match modified.elapsed() {
        Ok(age) if age >= STILL_WRITTEN => Growth::Over,
        Ok(age) if age >= WRITTEN_NOW => Growth::Possible,
        // A time in the future is as good as now.
        Ok(_) | Err(_) => Growth::Going,
    }
}

fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

fn is_zstd(start: &[u8]) -> bool {
    start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// The input without its packing, as its first bytes tell.
fn unpacked<'r, R: io::BufRead + Send>(input: &'r mut R) -> io::Result<Box<dyn Read + Send + 'r>> {
    let start = input.fill_buf()?;
    if is_gzip(start) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)));
    }
    if is_zstd(start) {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(input)?));
    }
    Ok(Box::new(input))
}

fn hand_over(input: &mut dyn Read, pieces: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        // What was read before a fault is in the piece.
        let outcome = Read::take(&mut *input, PIECE_BYTES as u64).read_to_end(&mut piece);
        let (is_end, is_taken) = (piece.is_empty(), piece.is_empty() || pieces.blocking_send(Ok(piece)).is_ok());
        outcome?;
        if is_end || !is_taken {
            return Ok(());
        }
    }
}
