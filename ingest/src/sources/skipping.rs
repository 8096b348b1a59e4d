//! What is passed over behind something that was cut: kept with the position, so that a restart in the middle of it goes
//! on passing over it.

use crate::formats::container::Stream;

/// The rest of a line (or of an entry of a journal), and further parts of lines of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipping(u8);

const LINE: u8 = 1;
const STDOUT: u8 = 32;
const STDERR: u8 = 64;

impl Skipping {
    /// As flags of a position.
    pub fn flags(self) -> u8 {
        self.0
    }

    /// Of the flags of a position, others among them.
    pub fn of_flags(flags: u8) -> Skipping {
        Skipping(flags & (LINE | STDOUT | STDERR))
    }

    /// Whether the source stands in a line, or an entry, that is passed over up to its end.
    pub fn is_in_line(self) -> bool {
        self.0 & LINE != 0
    }

    /// The same, but for what is said of the line.
    pub(crate) fn with_line(self, is_in_line: bool) -> Skipping {
        self.with(LINE, is_in_line)
    }

    /// Whether lines of the stream are passed over up to the one that is no part.
    pub(super) fn is_in_parts(self, stream: Stream) -> bool {
        self.0 & of_stream(stream) != 0
    }

    /// The same, but for what is said of the stream.
    pub(super) fn with_parts(self, stream: Stream, is_in_parts: bool) -> Skipping {
        self.with(of_stream(stream), is_in_parts)
    }

    /// The same, but for parts of lines of both streams.
    pub(super) fn without_parts(self) -> Skipping {
        self.with(STDOUT | STDERR, false)
    }

    fn with(self, flag: u8, is_set: bool) -> Skipping {
        Skipping(if is_set { self.0 | flag } else { self.0 & !flag })
    }
}

fn of_stream(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => STDOUT,
        Stream::Stderr => STDERR,
    }
}
