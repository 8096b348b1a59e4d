//! `/api/v1/import/logs`: files sent piece by piece, each byte stored once however often it is sent.
//!
//! Who sends knows a file by its first bytes and says from which position a piece is; the position behind the last
//! whole record becomes durable in the frame of those records, and is answered. A piece from elsewhere is answered 409
//! with the position that is right. So an import that was interrupted, on either side, goes on where it stood, and the
//! same file again adds nothing. A file of which nothing was stored, as all of it was too old, may begin anew.
//!
//! ```text
//! key   = "i" | file 16 bytes, of which the first 8 are made from the file's first line
//! value = version u8 = 2 | flags u8 | position u64 | head length u32 | head hash 16 bytes | tail length u16 | tail hash 16
//!         | stored u64 | too old u64 (records that were stored, and refused as too old)
//!         flags: passing over 1 the rest of a cut line, 32 and 64 further parts of a line of a container's stdout, stderr
//! ```
//! Version 1 ends with the hash: what of the file was stored is not known, and taken for all.
//! Integers little-endian; hashes are XXH3 of 128 bits, written big-endian in hexadecimal outside.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use watchfire_queue::{AppendError, Checkpoint};
use xxhash_rust::xxh3::xxh3_128;

use super::HttpState;
use super::error::{ApiError, json};
use super::ingest::{answer, find_format, write_errors};
use super::request::{Job, Parameters, with_body};
use crate::formats::{Format, Parsers};
use crate::gather::{Gathered, Gatherer, Origin, Reason};
use crate::sources::cut::{Cut, Cutter, End, Framing};
use crate::sources::entries::{self, Entries};
use crate::sources::multiline::Multiline;
use crate::sources::skipping::Skipping;

/// First byte of the keys of imports.
const KEYS: &[u8] = b"i";
const VERSION: u8 = 2;
const VERSION_WITHOUT_COUNTS: u8 = 1;
/// How many bytes before its position tell that a file is the one that was imported.
const TAIL_BYTES: usize = 1024;
/// Bytes of records that one piece is taken for; what is left of it is sent again.
const RECORDS_BYTES_MAX: usize = 3 << 20;
const PARAMETERS: [&str; 7] = ["file", "position", "head_bytes", "head_hash", "format", "multiline", "end"];

/// A file as far as it is imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Imported {
    position: u64,
    skipping: Skipping,
    head_bytes: u32,
    head_hash: u128,
    tail_bytes: u16,
    tail_hash: u128,
    /// Records of it that were stored.
    stored: u64,
    /// Records of it that were refused as too old.
    too_old: u64,
}

impl Imported {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.skipping.flags()];
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.head_bytes.to_le_bytes());
        out.extend_from_slice(&self.head_hash.to_le_bytes());
        out.extend_from_slice(&self.tail_bytes.to_le_bytes());
        out.extend_from_slice(&self.tail_hash.to_le_bytes());
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(&self.too_old.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Imported> {
        let [version @ (VERSION | VERSION_WITHOUT_COUNTS), flags, rest @ ..] = bytes else { return None };
        let (position, rest) = rest.split_first_chunk()?;
        let (head_bytes, rest) = rest.split_first_chunk()?;
        let (head_hash, rest) = rest.split_first_chunk()?;
        let (tail_bytes, rest) = rest.split_first_chunk()?;
        let (tail_hash, rest) = rest.split_first_chunk()?;
        let (stored, too_old) = match *version {
            VERSION_WITHOUT_COUNTS => (u64::from_le_bytes(*position), 0),
            _ => {
                let (stored, rest) = rest.split_first_chunk()?;
                (u64::from_le_bytes(*stored), u64::from_le_bytes(rest.try_into().ok()?))
            }
        };
        Some(Imported {
            position: u64::from_le_bytes(*position),
            skipping: Skipping::of_flags(*flags),
            head_bytes: u32::from_le_bytes(*head_bytes),
            head_hash: u128::from_le_bytes(*head_hash),
            tail_bytes: u16::from_le_bytes(*tail_bytes),
            tail_hash: u128::from_le_bytes(*tail_hash),
            stored,
            too_old,
        })
    }

    /// Whether it may begin anew: all that there was of it was refused, for what may be otherwise today.
    fn may_begin_anew(&self) -> bool {
        self.stored == 0 && self.too_old > 0
    }

    /// With the records that were made of a piece.
    fn with_records(self, gathered: &Gathered) -> Imported {
        let stored: usize = gathered.batches.iter().map(|part| part.batch.len()).sum();
        Imported {
            stored: self.stored.saturating_add(stored as u64),
            too_old: self.too_old.saturating_add(gathered.reasons[Reason::TooOld as usize].into()),
            ..self
        }
    }

    /// Behind a piece of which so many bytes were taken.
    fn behind(self, taken: &[u8], skipping: Skipping) -> Imported {
        if taken.is_empty() {
            return Imported { skipping, ..self };
        }
        let tail = taken.get(taken.len().saturating_sub(TAIL_BYTES)..).unwrap_or(taken);
        Imported {
            position: self.position.saturating_add(taken.len() as u64),
            skipping,
            tail_bytes: u16::try_from(tail.len()).unwrap_or(u16::MAX),
            tail_hash: xxh3_128(tail),
            ..self
        }
    }
}

/// `GET`: the imported files that begin with a line like this. A `format` is looked up, as if a piece came with it: of a
/// file that is there already none does.
pub(super) async fn known(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(list(&state, &request))
}

/// `POST`: a piece of a file.
pub(super) async fn piece(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(take(&state, request).await)
}

fn list(state: &HttpState, request: &Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &["start", "format"])?;
    let format_name = Parameters::text(&parameters.format).filter(|name| *name != "auto");
    format(&state.intake.parsers.load(), format_name)?;
    let start = hexadecimal::<8>("start", parameters.start.as_deref())?;
    let mut body = String::from("{\"files\":[");
    for (key, value) in state.intake.queue.checkpoints(&[KEYS, &start].concat()) {
        let (Some(file), Some(imported)) = (key.strip_prefix(KEYS), Imported::decode(&value)) else { continue };
        if !body.ends_with('[') {
            body.push(',');
        }
        let file: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
        let Imported { position, head_bytes, head_hash, tail_bytes, tail_hash, stored, too_old, .. } = imported;
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "{{\"file\":\"{file}\",\"position\":{position},\"head\":{{\"bytes\":{head_bytes},\"hash\":\"{head_hash:032x}\"}},\
             \"tail\":{{\"bytes\":{tail_bytes},\"hash\":\"{tail_hash:032x}\"}},\"stored\":{stored},\"too_old\":{too_old}}}"
        );
    }
    body.push_str("]}");
    Ok(json(StatusCode::OK, body))
}

/// What a piece is, as its sender says.
struct Piece {
    key: Vec<u8>,
    position: u64,
    head_bytes: u32,
    head_hash: u128,
    format: Option<String>,
    multiline: Option<Multiline>,
    end: End,
}

impl Piece {
    fn of(parameters: &Parameters) -> Result<Piece, ApiError> {
        let file = hexadecimal::<16>("file", parameters.file.as_deref())?;
        let wrong = Parameters::wrong;
        let number = |name: &'static str, text: &Option<String>| {
            text.as_deref().unwrap_or_default().parse::<u64>().map_err(|_| wrong(name, "a number of bytes"))
        };
        Ok(Piece {
            key: [KEYS, &file].concat(),
            position: number("position", &parameters.position)?,
            head_bytes: u32::try_from(number("head_bytes", &parameters.head_bytes)?)
                .map_err(|_| wrong("head_bytes", "below 4 GiB"))?,
            head_hash: u128::from_be_bytes(hexadecimal::<16>("head_hash", parameters.head_hash.as_deref())?),
            format: Parameters::text(&parameters.format).filter(|name| *name != "auto").map(str::to_owned),
            multiline: parameters.multiline()?,
            end: parameters.end()?.unwrap_or(End::Open),
        })
    }
}

/// The bytes that a parameter writes in hexadecimal.
fn hexadecimal<const N: usize>(name: &str, text: Option<&str>) -> Result<[u8; N], ApiError> {
    let wrong = || ApiError::bad_request("bad_parameter", format!("`{name}` must be {} hexadecimal digits", 2 * N));
    let text = text.filter(|text| text.len() == 2 * N && text.is_ascii()).ok_or_else(wrong)?;
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * at..2 * at + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

/// What was taken of a piece.
struct Taken {
    gathered: Gathered,
    behind: Imported,
}

async fn take(state: &HttpState, request: Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &PARAMETERS)?;
    let piece = Piece::of(&parameters)?;
    let queue = &state.intake.queue;
    let before = queue.checkpoint(&piece.key);
    let known = before.as_deref().and_then(Imported::decode);
    let at = known.filter(|known| piece.position > 0 || !known.may_begin_anew()).unwrap_or(Imported {
        head_bytes: piece.head_bytes,
        head_hash: piece.head_hash,
        ..Imported::default()
    });
    let (key, framed) = (piece.key.clone(), piece);
    // A piece from elsewhere is read as well, so that the right one can follow on the same connection.
    let work = move |job: Job<'_>| match at.position == framed.position {
        true => gather(job, &framed, at),
        false => Err(elsewhere(at.position)),
    };
    let (Taken { mut gathered, behind }, parsers) = with_body(&state.intake, request, parameters, work).await?;
    let formats = super::ingest::formats(&gathered, &parsers);
    let accepted: usize = gathered.batches.iter().map(|part| part.batch.len()).sum();
    if behind != at {
        let checkpoint = Checkpoint { key: key.clone(), before, after: Some(behind.encode()) };
        let appended =
            state.intake.append_moving(&mut gathered, vec![checkpoint], &state.import_counters, &parsers).await;
        match appended {
            Ok(()) => {}
            Err(AppendError::Moved { current, .. }) => {
                return Err(elsewhere(current.as_deref().and_then(Imported::decode).unwrap_or_default().position));
            }
            Err(error) => return Err(ApiError::of_queue(&error)),
        }
    }
    let mut body = format!(
        "{{\"status\":\"accepted\",\"position\":{},\"accepted\":{accepted},\"undated\":{},\"rejected\":{}",
        behind.position, gathered.undated, gathered.rejected
    );
    write_errors(&gathered, &mut body);
    write_reasons(&gathered, &mut body);
    body.push_str(&formats);
    body.push('}');
    Ok(json(StatusCode::ACCEPTED, body))
}

/// How many records were refused for which reason, as a member of the answer.
fn write_reasons(gathered: &Gathered, out: &mut String) {
    let counts = Reason::ALL.iter().map(|reason| (reason.as_str(), gathered.reasons[*reason as usize]));
    let members: Vec<String> =
        counts.filter(|(_, count)| *count > 0).map(|(reason, count)| format!("\"{reason}\":{count}")).collect();
    // Writing to a string cannot fail.
    let _ = write!(out, ",\"reasons\":{{{}}}", members.join(","));
}

fn elsewhere(position: u64) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "moved", format!("this file is imported up to position {position}"))
        .with_extra(format!(",\"position\":{position}"))
}

/// The records of a piece, as many as are taken at once.
fn gather(job: Job<'_>, piece: &Piece, at: Imported) -> Result<Taken, ApiError> {
    let format = format(job.parsers, piece.format.as_deref())?;
    let line_max = job.origin.line_max;
    let origin = Origin { by_position: true, imported: true, ..job.origin };
    let mut gatherer = Gatherer::new(job.parsers, &job.intake.ids, job.worker, origin);
    gatherer.make_room(job.body.len());
    let mut gathering = Gathering { gatherer, format, lines: Lines::of(job.body), refused_lines: Vec::new() };
    let (taken, skipping) = match format {
        Some(Format::Journald) => {
            // Unlike lines, entries are of a format that is always given.
            let multiline = piece.multiline.unwrap_or_default();
            gathering.entries(Entries::of(job.body, multiline, line_max, at.skipping.is_in_line(), piece.end))
        }
        _ => {
            let multiline = piece.multiline.unwrap_or(match format {
                None | Some(Format::Docker | Format::Cri) => Multiline::Auto,
                Some(_) => Multiline::Off,
            });
            let mut cutter = Cutter::new(Framing::of(format, multiline), line_max);
            cutter.skipping = at.skipping;
            gathering.lines(cutter, at.position == 0, piece.end)
        }
    };
    let taken_bytes = job.body.get(..taken).unwrap_or(job.body);
    let Gathering { gatherer, refused_lines, .. } = gathering;
    let mut gathered = gatherer.finish();
    gathered.errors.iter_mut().zip(refused_lines).for_each(|(error, line)| error.line = Some(line));
    let behind = at.behind(taken_bytes, skipping).with_records(&gathered);
    Ok(Taken { gathered, behind })
}

/// The records of a piece while they are taken.
struct Gathering<'g, 'b> {
    gatherer: Gatherer<'g>,
    format: Option<Format>,
    lines: Lines<'b>,
    /// Where the records begin that were refused.
    refused_lines: Vec<usize>,
}

impl<'b> Gathering<'_, 'b> {
    /// Takes lines; says how many bytes are done with, and what is passed over behind them.
    fn lines(&mut self, mut cutter: Cutter, is_begin: bool, end: End) -> (usize, Skipping) {
        let body = self.lines.body;
        let mut taken = if is_begin && body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        while self.gatherer.bytes() < RECORDS_BYTES_MAX
            && let Some(cut) = cutter.next(body, &mut taken, end)
        {
            self.take(&cut, cut.text);
        }
        (taken, cutter.skipping)
    }

    /// The same of entries of a journal.
    fn entries(&mut self, mut entries: Entries<'b>) -> (usize, Skipping) {
        while self.gatherer.bytes() < RECORDS_BYTES_MAX
            && let Some(stretch) = entries.next_stretch()
        {
            stretch.iter().for_each(|entry| self.take(&entry.cut(), entry.first.text));
        }
        let entries::Taken { bytes, skipping, .. } = entries.taken();
        (bytes, Skipping::default().with_line(skipping))
    }

    /// Takes what begins with a part of the body.
    fn take(&mut self, cut: &Cut<'_>, begin: &[u8]) {
        self.gatherer.cut(cut, self.format);
        let named = self.gatherer.named_errors();
        if named > self.refused_lines.len() {
            self.refused_lines.resize(named, self.lines.number_of(begin));
        }
    }
}

/// Numbers of lines of a body, asked for from its begin to its end.
struct Lines<'b> {
    body: &'b [u8],
    /// Up to here they are counted.
    at: usize,
    before: usize,
}

impl<'b> Lines<'b> {
    fn of(body: &'b [u8]) -> Lines<'b> {
        Lines { body, at: 0, before: 0 }
    }

    /// The line, from 1, in which a part of the body begins.
    fn number_of(&mut self, part: &[u8]) -> usize {
        let start = (part.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let passed = self.body.get(self.at..start).unwrap_or_default();
        self.before += memchr::memchr_iter(b'\n', passed).count();
        self.at = self.at.max(start);
        self.before + 1
    }
}

fn format(parsers: &Parsers, name: Option<&str>) -> Result<Option<Format>, ApiError> {
    let find = |name| find_format(parsers, name).map_err(|error| error.with_status(StatusCode::BAD_REQUEST));
    name.map(find).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back() {
        let head = Imported { head_bytes: 70_000, head_hash: 7 << 90, ..Imported::default() };
        let behind = head.behind(b"some bytes", Skipping::of_flags(33));
        assert_eq!((behind.position, behind.tail_bytes, behind.skipping.flags()), (10, 10, 33));
        assert_eq!(Imported::decode(&behind.encode()), Some(behind));
        assert_eq!(behind.behind(b"", behind.skipping), behind);
        assert_eq!(behind.behind(&[1; 5000], Skipping::default()).tail_bytes, 1024);
        assert_eq!(Imported::decode(b""), None);
        // Of an earlier version.
        let counted = Imported { stored: 3, too_old: 4, ..behind };
        let mut old = counted.encode();
        assert_eq!(Imported::decode(&old), Some(counted));
        old[0] = VERSION_WITHOUT_COUNTS;
        old.truncate(old.len() - 16);
        assert_eq!(Imported::decode(&old), Some(Imported { stored: 10, too_old: 0, ..behind }));
    }
}
