//! A file as a stream of unpacked bytes, read ahead by a thread of its own.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// Read and handed over at once, bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces read ahead.
const PIECES_MAX: usize = 4;

/// The bytes of a file from its beginning.
pub(super) struct Bytes {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// What came and was not taken.
    pub(super) held: Vec<u8>,
    /// Nothing more will come.
    pub(super) ended: bool,
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
        let input: Box<dyn Read + Send> =
            if super::is_stdin(path) { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        let mut input = BufReader::with_capacity(256 << 10, Counted { inner: input, read: read.clone() });
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        // It ends when nobody takes its pieces any more; nobody joins it, as it may sleep in a read of stdin.
        std::thread::Builder::new().name("read".into()).spawn(move || {
            let outcome = unpacked(&mut input).and_then(|mut input| hand_over(&mut input, &sender));
            if let Err(error) = outcome {
                // Nobody may be there to hear it.
                let _ = sender.blocking_send(Err(error));
            }
        })?;
        Ok(Bytes { pieces, held: Vec::new(), ended: false })
    }

    /// Holds at least so many bytes, or all that there are.
    pub(super) async fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.held.len() < wanted && !self.ended {
            match self.pieces.recv().await {
                Some(piece) => self.held.extend_from_slice(&piece?),
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// Passes over so many bytes; false if there are fewer. Gives the last `kept` of them.
    pub(super) async fn skip(&mut self, mut count: u64, kept: usize) -> io::Result<Option<Vec<u8>>> {
        let mut tail: Vec<u8> = Vec::new();
        while count > 0 {
            self.fill(1).await?;
            if self.held.is_empty() {
                return Ok(None);
            }
            let taken = usize::try_from(count).unwrap_or(usize::MAX).min(self.held.len());
            let piece = self.held.drain(..taken);
            tail.extend(piece);
            let surplus = tail.len().saturating_sub(kept);
            tail.drain(..surplus);
            count -= taken as u64;
        }
        Ok(Some(tail))
    }
}

/// The input without its packing, as its first bytes tell.
fn unpacked<'r, R: io::BufRead + Send>(input: &'r mut R) -> io::Result<Box<dyn Read + Send + 'r>> {
    let start = input.fill_buf()?;
    let (is_gzip, is_zstd) = (start.starts_with(&[0x1f, 0x8b]), start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    if is_gzip {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)));
    }
    if is_zstd {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(input)?));
    }
    Ok(Box::new(input))
}

fn hand_over(input: &mut dyn Read, pieces: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        Read::take(&mut *input, PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if piece.is_empty() || pieces.blocking_send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}
