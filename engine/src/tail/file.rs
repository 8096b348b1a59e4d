//! A file of the log, read record by record while another one may still write to its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::wal::packed::Unpacker;
use crate::wal::segment::{self, HEAD_BYTES, RECORD_BYTES_MAX, RECORD_HEAD_BYTES, record_at};

/// Read at once, bytes.
const AHEAD_BYTES: usize = 256 << 10;

/// An open file.
pub(super) struct OpenSegment {
    /// Number of its first record.
    pub(super) first: u64,
    file: File,
    /// No record from here on has a smaller number.
    expected: u64,
    /// Where the next record begins in the file.
    at: u64,
    /// Length of the record that was looked at last.
    length: u64,
    /// What is read already, from `at` on.
    ahead: Vec<u8>,
    /// Where `at` is in it.
    used: usize,
    unpacker: Unpacker,
    /// The payload that was looked at last.
    payload: Vec<u8>,
}

/// What is found at a place.
pub(super) enum Look<'f> {
    /// A whole record: number and payload; none of that if it cannot be unpacked.
    Record(u64, &'f [u8]),
    /// None, up to the end of the file.
    End,
}

impl OpenSegment {
    /// The file that holds a record, or the first one behind it.
    pub(super) fn find(folder: &Path, lsn: u64) -> io::Result<OpenSegment> {
        let files = segment::list(folder)?;
        let place = files.partition_point(|(first, _)| *first <= lsn).saturating_sub(1);
        match files.get(place) {
            Some((first, path)) => OpenSegment::open(*first, path),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the log has no files")),
        }
    }

    /// The file behind the one whose first record has this number.
    pub(super) fn after(folder: &Path, first: u64) -> io::Result<Option<OpenSegment>> {
        let files = segment::list(folder)?;
        files.iter().find(|(other, _)| *other > first).map(|(first, path)| OpenSegment::open(*first, path)).transpose()
    }

    fn open(first: u64, path: &Path) -> io::Result<OpenSegment> {
        let file = File::open(path)?;
        Ok(OpenSegment {
            first,
            file,
            expected: first,
            at: HEAD_BYTES as u64,
            length: 0,
            ahead: Vec::new(),
            used: 0,
            unpacker: Unpacker::default(),
            payload: Vec::new(),
        })
    }

    /// The next whole record. What is durable of the log lies in the file as it will stay.
    pub(super) fn look(&mut self) -> io::Result<Look<'_>> {
        if !self.is_whole() {
            // What was read ahead may have been on its way to the disk then.
            self.read_ahead(0)?;
            if !self.is_whole() && !self.find_next()? {
                return Ok(Look::End);
            }
        }
        let Some(record) = record_at(&self.ahead, self.used, self.expected) else { return Ok(Look::End) };
        self.length = (RECORD_HEAD_BYTES + record.payload.len()) as u64;
        self.expected = record.lsn;
        self.payload.clear();
        // Nothing of it makes no sense to whoever reads it, who tells that.
        let _ = self.unpacker.unpack(record.payload, &mut self.payload);
        Ok(Look::Record(record.lsn, &self.payload))
    }

    /// Goes behind the record that was looked at.
    pub(super) fn pass(&mut self) {
        self.at += self.length;
        // It was in memory.
        self.used += self.length as usize;
        self.expected += 1;
        self.length = 0;
    }

    fn is_whole(&self) -> bool {
        record_at(&self.ahead, self.used, self.expected).is_some()
    }

    /// Reads from the place on: what the record there needs, at least so much, and more.
    fn read_ahead(&mut self, least: usize) -> io::Result<()> {
        let mut wanted = AHEAD_BYTES.max(least);
        loop {
            self.ahead.resize(wanted, 0);
            self.used = 0;
            let mut filled = 0;
            while filled < wanted {
                match self.file.read_at(&mut self.ahead[filled..], self.at + filled as u64) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.ahead.truncate(filled);
            let length = self.ahead.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
            let needed = RECORD_HEAD_BYTES + length;
            if length > RECORD_BYTES_MAX || needed <= wanted || filled < wanted {
                return Ok(());
            }
            wanted = needed;
        }
    }

    /// Looks for the next whole record behind a damaged place.
    fn find_next(&mut self) -> io::Result<bool> {
        let rest = self.file.metadata()?.len().saturating_sub(self.at);
        let Ok(rest) = usize::try_from(rest) else { return Ok(false) };
        if rest < RECORD_HEAD_BYTES {
            return Ok(false);
        }
        self.read_ahead(rest)?;
        match (1..self.ahead.len()).find(|at| record_at(&self.ahead, *at, self.expected).is_some()) {
            Some(at) => {
                self.at += at as u64;
                self.used = at;
                Ok(true)
            }
            None => {
                self.ahead = Vec::new();
                self.used = 0;
                Ok(false)
            }
        }
    }
}
