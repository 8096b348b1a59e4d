//! Which file it is, and how far the server has it: by its first bytes, and by those before the position.

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::failure::Failure;
use crate::server::Server;

/// How many first bytes tell files apart.
pub(super) const HEAD_BYTES: usize = 64 << 10;
/// How much of the first line is looked at.
const START_BYTES: usize = 1024;

/// A file as far as the server has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Known {
    /// Its name there.
    pub(super) file: String,
    /// Everything before is stored.
    pub(super) position: u64,
    /// Its first bytes when it was met.
    pub(super) head: Sample,
    /// The bytes before the position.
    pub(super) tail: Sample,
    /// Records of it that were refused, and may be sent again.
    pub(super) refused: u64,
    /// Records of it that were refused, whose places are not known.
    pub(super) unplaced: u64,
}

/// A part of a file that was refused.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Place {
    pub(super) from: u64,
    /// Behind it.
    pub(super) to: u64,
}

/// Some bytes of a file, as a hash.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sample {
    /// How many.
    pub(super) bytes: usize,
    /// Their hash, in hexadecimal.
    hash: String,
}

impl Sample {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Sample {
        Sample { bytes: bytes.len(), hash: format!("{:032x}", xxh3_128(bytes)) }
    }

    /// Whether the bytes are those.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes.len() && self.hash == format!("{:032x}", xxh3_128(bytes))
    }

    /// The hash, for the server.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

#[derive(Deserialize)]
struct Answer {
    files: Vec<Known>,
}

#[derive(Deserialize)]
struct AnswerWithPlaces {
    files: Vec<KnownPlaces>,
}

#[derive(Deserialize)]
struct KnownPlaces {
    places: Vec<Place>,
}

/// The first half of a file's name at the server: files that begin with the same line share it.
pub(super) fn start_of(head: &[u8]) -> String {
    let start = head.get(..START_BYTES).unwrap_or(head);
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let hash = format!("{:032x}", xxh3_128(line));
    hash.get(..16).unwrap_or_default().to_owned()
}

/// The second half, for a file that the server does not have; `others` are files with the same first bytes that it is not.
pub(super) fn name_of(head: &[u8], others: usize) -> String {
    let mut text = head.to_vec();
    text.extend_from_slice(&others.to_le_bytes());
    let hash = format!("{:032x}", xxh3_128(&text));
    hash.get(..16).unwrap_or_default().to_owned()
}

/// The files of the server that this one may be, the one that is imported furthest first, and of such the most whole one.
pub(super) async fn candidates(server: &Server, head: &[u8], format: Option<&str>) -> Result<Vec<Known>, Failure> {
    let start = start_of(head);
    let answer: Answer =
        server.ask("/api/v1/import/logs", &[("start", Some(start.as_str())), ("format", format)], None).await?;
    let fits = |known: &Known| head.get(..known.head.bytes).is_some_and(|head| known.head.is_of(head));
    let mut found: Vec<Known> = answer.files.into_iter().filter(fits).collect();
    found.sort_by_key(|known| (std::cmp::Reverse(known.position), known.refused + known.unplaced));
    Ok(found)
}

/// Where the refused lines of a file stand, in its order.
pub(super) async fn places(server: &Server, file: &str) -> Result<Vec<Place>, Failure> {
    let answer: AnswerWithPlaces = server.ask("/api/v1/import/logs", &[("file", Some(file))], None).await?;
    Ok(answer.files.into_iter().next().map(|file| file.places).unwrap_or_default())
}
