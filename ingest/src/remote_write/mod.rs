//! Prometheus' remote-write, 1.0 and 2.0: from the bytes of a request to samples of the engine.
//!
//! Sources: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and `remote_write_spec_2_0`.
//!
//! A message is read where it lies (`watchfire_protobuf`); its series become a batch of the engine ([`gather`]), and what cannot be
//! taken of it is told series by series while the rest is stored.

mod gather;
mod histogram;
mod outcome;
mod v1;
mod v2;

use watchfire_engine::{AppendError, Engine, Spellings};
use watchfire_model::Timestamp;

pub(crate) use gather::{About, Gathered};
pub(crate) use outcome::Outcome;
use watchfire_protobuf::Malformed;

/// Which of the two messages a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// Why a body was not taken at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is no such message.
    #[error("{place}: {what}")]
    Malformed {
        /// Where: the message, or the series by its number.
        place: Place,
        /// What is wrong there.
        what: Malformed,
    },
    /// It is the other version's message.
    #[error("the body is a message of remote-write {0}, not of the version that its Content-Type names")]
    OtherVersion(&'static str),
    /// Its texts do not begin with the empty one.
    #[error("the first of `symbols` must be the empty text")]
    Symbols,
    /// A piece of it could not be stored.
    #[error("the log cannot be written")]
    NotStored,
    /// There is no memory for it at the moment.
    #[error("too many bodies are being worked on")]
    NoMemory,
}

/// A part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Request,
    Series(u32),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Request => write!(f, "the request"),
            Place::Series(index) => write!(f, "series {index}"),
        }
    }
}

impl From<Malformed> for ReadError {
    fn from(what: Malformed) -> ReadError {
        ReadError::Malformed { place: Place::Request, what }
    }
}

impl ReadError {
    fn in_series(index: u32) -> impl Fn(Malformed) -> ReadError + Copy {
        move |what| ReadError::Malformed { place: Place::Series(index), what }
    }
}

/// Reads a message that arrived at `now`. `spellings` tells which series are known by what senders call them; `grow` is
/// asked before the result grows by so many bytes, and refuses by false.
pub(crate) fn read<'g>(
    version: Version,
    body: &[u8],
    now: Timestamp,
    spellings: Option<Spellings<'g>>,
    grow: &'g mut dyn FnMut(usize) -> bool,
) -> Result<Gathered<'g>, ReadError> {
    let mut gathered = Gathered::new(now, spellings, grow).of_version(version).expecting(body.len());
    read_into(version, body, &mut gathered)?;
    Ok(gathered)
}

fn read_into(version: Version, body: &[u8], into: &mut Gathered<'_>) -> Result<(), ReadError> {
    match version {
        Version::V1 => v1::read(body, into),
        Version::V2 => v2::read(body, into),
    }
}

/// Why a message was not stored, or not all of it: to send it again does no harm.
pub(crate) enum PiecesError {
    /// It could not be read.
    Read(ReadError),
    /// It could not be stored.
    Append(AppendError),
}

/// Reads a message of which [`read`] said that it is one and [`Gathered::is_for_pieces`], and stores it piece by piece, in
/// bounded memory.
pub(crate) fn store_in_pieces(
    version: Version,
    body: &[u8],
    now: Timestamp,
    engine: &Engine,
    grow: &mut dyn FnMut(usize) -> bool,
) -> Result<Outcome, PiecesError> {
    let gathered = Gathered::new(now, None, grow).of_version(version).in_pieces(engine);
    let mut gathered = gathered.map_err(PiecesError::Read)?;
    if let Err(error) = read_into(version, body, &mut gathered) {
        return Err(gathered.failure().map_or(PiecesError::Read(error), PiecesError::Append));
    }
    let stored = gathered.store(engine).map_err(PiecesError::Append)?;
    // Without what is known nothing can be gone.
    debug_assert!(stored.is_some(), "all series are named by their labels");
    Ok(stored.unwrap_or_default())
}

#[cfg(test)]
mod tests;
