//! Packed files (gzip, zstd), read at positions that count their unpacked bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

/// Read at once, bytes.
const PIECE_BYTES: usize = 64 << 10;

/// How a file is packed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

impl Packing {
    /// `None`: it is not packed, or in no way that we know.
    pub fn of(start: &[u8]) -> Option<Packing> {
        match start {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            _ => None,
        }
    }
}

/// Whether a name says that the file is packed: such files are never followed as text.
pub fn has_packed_name(path: &Path) -> bool {
    let endings = ["gz", "zst", "bz2", "xz", "lz4", "zip"];
    path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The bytes of a file from a place of its own on.
struct Bytes {
    file: Arc<File>,
    at: u64,
}

impl Read for Bytes {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let filled = self.file.read_at(room, self.at)?;
        self.at = self.at.saturating_add(filled as u64);
        Ok(filled)
    }
}

/// The unpacked bytes of a file, read forwards. Holds the part between two reads, which the reader bounds.
pub struct Unpacker {
    decoder: Box<dyn Read + Send>,
    /// Unpacked bytes not given up yet, and the position of the first.
    held: Vec<u8>,
    held_from: u64,
    ended: bool,
    /// Why it ends, if not because all is unpacked.
    fault: Option<io::Error>,
}

impl Unpacker {
    /// Opens a packed file.
    ///
    /// Errors: it cannot be read, or is not packed in a way that we know.
    pub fn open(path: &Path) -> io::Result<Unpacker> {
        Unpacker::of(Arc::new(File::open(path)?))
    }

    /// The unpacked bytes of a file that is open. Its cursor is not used, so it can be unpacked several times.
    ///
    /// Errors: it cannot be read, or is not packed in a way that we know.
    pub fn of(file: Arc<File>) -> io::Result<Unpacker> {
        let mut start = [0; 4];
        let filled = file.read_at(&mut start, 0)?;
        let file = BufReader::new(Bytes { file, at: 0 });
        let decoder: Box<dyn Read + Send> = match Packing::of(start.get(..filled).unwrap_or_default()) {
            Some(Packing::Gzip) => Box::new(MultiGzDecoder::new(file)),
            Some(Packing::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, "neither gzip nor zstd")),
        };
        Ok(Unpacker { decoder, held: Vec::new(), held_from: 0, ended: false, fault: None })
    }

    /// Why no more could be unpacked than was read, if it is not the end: the file is cut off or damaged.
    pub fn fault(&self) -> Option<String> {
        let at = self.held_from + self.held.len() as u64;
        self.fault.as_ref().map(|error| format!("cut off or damaged behind byte {at} of what is unpacked: {error}"))
    }

    /// The bytes from `at` on, up to `wanted` of them, and whether nothing can be unpacked behind them: the file ends, or
    /// has a [`fault`](Unpacker::fault). What lies before is given up, and must not be asked for again.
    pub fn read_at(&mut self, at: u64, wanted: usize) -> (&[u8], bool) {
        loop {
            let skipped = usize::try_from(at.saturating_sub(self.held_from)).unwrap_or(usize::MAX).min(self.held.len());
            self.held.drain(..skipped);
            self.held_from += skipped as u64;
            if self.ended || self.held_from == at && self.held.len() >= wanted {
                break;
            }
            let filled = self.held.len();
            self.held.resize(filled + PIECE_BYTES, 0);
            let read = self.decoder.read(&mut self.held[filled..]);
            self.held.truncate(filled + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => (self.ended, self.fault) = (true, Some(error)),
            }
        }
        if self.held_from < at {
            return (&[], true);
        }
        let given = self.held.get(..wanted).unwrap_or(&self.held);
        (given, self.ended && given.len() == self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn both_packings_are_read_from_any_position() {
        let dir = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let gzip = dir.path().join("a.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&gzip).unwrap(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap();
        let zst = dir.path().join("a.zst");
        std::fs::write(&zst, zstd::encode_all(&text[..], 1).unwrap()).unwrap();
        for path in [gzip, zst] {
            assert!(has_packed_name(&path));
            let mut unpacker = Unpacker::open(&path).unwrap();
            let mut at = 12_345usize;
            loop {
                let (piece, ended) = unpacker.read_at(at as u64, 50_000);
                assert_eq!(piece, &text[at..text.len().min(at + 50_000)]);
                at += piece.len() / 2 + 1;
                if ended {
                    break;
                }
            }
            assert_eq!(unpacker.read_at(999_999, 5), (&[][..], true));
            assert_eq!(unpacker.fault(), None);
        }
        for (name, packed) in [("c.gz", dir.path().join("a.gz")), ("c.zst", dir.path().join("a.zst"))] {
            let path = dir.path().join(name);
            let packed = std::fs::read(packed).unwrap();
            std::fs::write(&path, &packed[..packed.len() - 4]).unwrap();
            let mut unpacker = Unpacker::open(&path).unwrap();
            let (piece, ended) = unpacker.read_at(0, text.len() + 1);
            assert_eq!((piece.len() > 1000, ended), (true, true), "{name}");
            assert_eq!(piece, &text[..piece.len()]);
            assert!(unpacker.fault().unwrap().starts_with("cut off or damaged behind byte "));
        }
        let plain = dir.path().join("b.gz");
        std::fs::write(&plain, b"no").unwrap();
        assert!(Unpacker::open(&plain).is_err());
    }
}
