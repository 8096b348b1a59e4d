//! The walk over the frames of a segment file, which goes on behind damaged places.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Damage;
use crate::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};

/// How much is read at once, at least.
const CHUNK_BYTES: usize = 256 << 10;
/// Of frames of this length only the headers are read where nothing else is wanted.
const LONG_FRAME_BYTES: u64 = 64 << 10;

/// What the walk meets next.
pub(crate) enum Step {
    /// A good frame; keys, checkpoints and records by [`FrameWalk::bytes`].
    Frame { header: FrameHeader, keys: Range<usize>, checkpoints: Range<usize>, records: Range<usize> },
    /// Lost offsets; the walk goes on behind them.
    Damage(Damage),
    /// Nothing good up to the limit. `junk_bytes` lie between the last good frame and the limit.
    End { junk_bytes: u64 },
}

/// A walk over the frames of one segment.
pub(crate) struct FrameWalk {
    file: File,
    path: PathBuf,
    epoch: u64,
    /// Where the next frame begins.
    position: u64,
    /// Where the walk ends.
    limit: u64,
    /// The offset that the next frame should begin with.
    expected: u64,
    /// Frames from this offset on are left-overs of failed commits.
    end_offset: u64,
    /// Its first `filled` bytes are those of the file from `buffer_start` on.
    buffer: Vec<u8>,
    buffer_start: u64,
    filled: usize,
}

impl FrameWalk {
    /// Walks over the frames that lie in the first `limit` bytes and have offsets in `first_offset..end_offset`.
    pub(crate) fn open(
        path: &Path,
        epoch: u64,
        first_offset: u64,
        end_offset: u64,
        limit: u64,
    ) -> io::Result<FrameWalk> {
        Ok(FrameWalk {
            file: File::open(path)?,
            path: path.to_owned(),
            epoch,
            position: FILE_HEADER_BYTES as u64,
            limit,
            expected: first_offset,
            end_offset,
            buffer: Vec::new(),
            buffer_start: 0,
            filled: 0,
        })
    }

    /// More of the file is durable now.
    pub(crate) fn extend(&mut self, end_offset: u64, limit: u64) {
        self.end_offset = end_offset;
        self.limit = limit;
    }

    /// Offset after the last good or damaged frame.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Goes past the frames that end at or before an offset, by their headers: what may be wrong within them is of no more
    /// interest. It stops where a header cannot be read, as the next step will say.
    pub(crate) fn pass(&mut self, offset: u64) -> io::Result<()> {
        let mut ahead = CHUNK_BYTES as u64;
        while let Some(header) = self.bare_header_at(self.position, ahead)? {
            let (end_offset, frame_bytes) = (header.end_offset(), header.frame_bytes());
            let is_whole = frame_bytes <= self.limit - self.position;
            if header.first_offset != self.expected || end_offset > offset.min(self.end_offset) || !is_whole {
                break;
            }
            self.position += frame_bytes;
            self.expected = end_offset;
            ahead = if frame_bytes < LONG_FRAME_BYTES { CHUNK_BYTES as u64 } else { FRAME_HEADER_BYTES as u64 };
        }
        Ok(())
    }

    /// Bytes of the frame met last.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The next frame, damage, or the end. After the end it can be asked again when the limit has grown.
    pub(crate) fn next(&mut self) -> io::Result<Step> {
        let mut at = self.position;
        loop {
            let Some((header, start)) = self.header_at(at)? else {
                match self.next_header(at + 1)? {
                    Some(next) => {
                        at = next;
                        continue;
                    }
                    None => return Ok(Step::End { junk_bytes: self.limit.saturating_sub(self.position) }),
                }
            };
            if header.first_offset < self.expected {
                // Left over from a commit that failed; what replaced it has been met before.
                at += header.frame_bytes();
                continue;
            }
            if header.first_offset > self.expected {
                // The frames between have no readable header. This frame is met again by the next call.
                self.position = at;
                return Ok(Step::Damage(self.skip_to(header.first_offset, !header.continues)));
            }
            let body = start + FRAME_HEADER_BYTES..start + header.frame_bytes() as usize;
            if crc32fast::hash(&self.buffer[body.clone()]) != header.body_crc {
                let Some(next) = self.next_header(at + header.frame_bytes())? else {
                    return Ok(Step::End { junk_bytes: self.limit - self.position });
                };
                self.position = next;
                let continues = self.header_at(next)?.is_some_and(|(header, _)| header.continues);
                return Ok(Step::Damage(self.skip_to(header.end_offset(), !continues)));
            }
            self.position = at + header.frame_bytes();
            self.expected = header.end_offset();
            let checkpoints = body.start + header.keys_bytes();
            let records = checkpoints + header.checkpoint_bytes as usize;
            return Ok(Step::Frame {
                header,
                keys: body.start..checkpoints,
                checkpoints: checkpoints..records,
                records: records..body.end,
            });
        }
    }

    fn skip_to(&mut self, next_offset: u64, certain: bool) -> Damage {
        let damage = Damage { segment: self.path.clone(), first_offset: self.expected, next_offset, certain };
        self.expected = next_offset;
        damage
    }

    /// The good header at a position, if its whole frame lies before the limit, with its place in the buffer.
    fn header_at(&mut self, at: u64) -> io::Result<Option<(FrameHeader, usize)>> {
        let Some(header) = self.bare_header_at(at, CHUNK_BYTES as u64)? else { return Ok(None) };
        if header.end_offset() > self.end_offset || !self.fill(at, header.frame_bytes(), CHUNK_BYTES as u64)? {
            return Ok(None);
        }
        Ok(Some((header, (at - self.buffer_start) as usize)))
    }

    /// The good header at a position, whatever comes of its frame; so many bytes are read with it if any have to be.
    fn bare_header_at(&mut self, at: u64, ahead: u64) -> io::Result<Option<FrameHeader>> {
        if !self.fill(at, FRAME_HEADER_BYTES as u64, ahead)? {
            return Ok(None);
        }
        let start = (at - self.buffer_start) as usize;
        Ok(FrameHeader::decode(&self.buffer[start..self.filled], self.epoch))
    }

    /// Position of the next good header at or after a position, with an offset that can follow.
    fn next_header(&mut self, mut from: u64) -> io::Result<Option<u64>> {
        while self.fill(from, FRAME_HEADER_BYTES as u64, CHUNK_BYTES as u64)? {
            let start = (from - self.buffer_start) as usize;
            match memchr::memmem::find(&self.buffer[start..self.filled], &FRAME_MAGIC) {
                Some(distance) => {
                    let at = from + distance as u64;
                    if self.header_at(at)?.is_some_and(|(header, _)| header.first_offset >= self.expected) {
                        return Ok(Some(at));
                    }
                    from = at + 1;
                }
                None => from += (self.filled - start - (FRAME_MAGIC.len() - 1)) as u64,
            }
        }
        Ok(None)
    }

    /// Has the bytes `at..at + wanted` in the buffer, and so many from there on if it has to read; false if those that are
    /// wanted are beyond the limit or the file.
    fn fill(&mut self, at: u64, wanted: u64, ahead: u64) -> io::Result<bool> {
        let Some(end) = at.checked_add(wanted).filter(|end| *end <= self.limit) else { return Ok(false) };
        let held = self.buffer_start..self.buffer_start + self.filled as u64;
        if held.start <= at && end <= held.end {
            return Ok(true);
        }
        let mut length = wanted.max(ahead).min(self.limit - at) as usize;
        if held.contains(&at) {
            let from = (at - held.start) as usize;
            self.buffer.copy_within(from..self.filled, 0);
            self.filled -= from;
            length = length.max(self.filled);
        } else {
            self.filled = 0;
        }
        if self.filled == 0 && self.buffer.len() > 4 * CHUNK_BYTES.max(length) {
            self.buffer = Vec::new();
        }
        self.buffer_start = at;
        // Never shorter again: what is read over need not be cleared before.
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        while self.filled < length {
            match self.file.read_at(&mut self.buffer[self.filled..length], at + self.filled as u64) {
                Ok(0) => break,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.filled as u64 >= wanted)
    }
}
