//! The file of the log that is written to.
//!
//! It is longer than what stands in it, by zeros that were written beforehand. A record that takes the place of such zeros changes
//! neither the length of the file nor where it lies on the disk: who waits for it to be durable waits for one write instead of
//! two, the second of which would be that of the file's metadata.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::segment::HEAD_BYTES;

/// The zeros behind what stands in a file are at most this part of it,
const ROOM_PART: u64 = 64;
/// but no fewer than these, bytes,
const ROOM_MIN: u64 = 16 << 10;
/// and no more than these.
const ROOM_MAX: u64 = 1 << 20;
/// A file ends where a page of the system's cache does.
const PAGE_BYTES: u64 = 4 << 10;

/// A file, and how much of it is written.
pub(super) struct Output {
    file: Arc<File>,
    /// Where the next record goes.
    bytes: u64,
    /// From there to here are zeros.
    room_end: u64,
}

impl Output {
    /// A file of which only the head stands.
    pub(super) fn new(file: File) -> Output {
        Output { file: Arc::new(file), bytes: HEAD_BYTES as u64, room_end: HEAD_BYTES as u64 }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// How much is written, its head included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes records, which are left as they are. After an error a part of them may stand there, until the file is cut.
    pub(super) fn write(&mut self, records: &mut Vec<u8>) -> io::Result<()> {
        let length = records.len();
        let end = self.bytes + length as u64;
        let is_done = end > self.room_end && {
            let room = (end / ROOM_PART).clamp(ROOM_MIN, ROOM_MAX);
            let room_end = (end + room).next_multiple_of(PAGE_BYTES);
            // Both are short.
            records.resize((room_end - self.bytes) as usize, 0);
            let written = self.file.write_all_at(records, self.bytes);
            records.truncate(length);
            if written.is_ok() {
                self.room_end = room_end;
            }
            written.is_ok()
        };
        if !is_done {
            // On a disk without room for zeros they may fit by themselves.
            self.file.write_all_at(records, self.bytes)?;
            self.room_end = self.room_end.max(end);
        }
        self.bytes = end;
        Ok(())
    }

    /// Ends the file behind what is written.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.room_end = self.bytes;
        Ok(())
    }
}
