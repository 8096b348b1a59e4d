//! `/api/v1/import/logs`: files sent piece by piece, each byte stored once however often it is sent.
//!
//! Who sends knows a file by its first bytes and says from which position a piece is; the position behind the last
//! whole record becomes durable in the frame of those records, and is answered. A piece from elsewhere is answered 409
//! with the position that is right. So an import that was interrupted, on either side, goes on where it stood, and the
//! same file again adds nothing. Where lines were refused is kept, too: those are sent once more (`again=true`), and what
//! is taken of them is forgotten in the frame of its records.

mod imported;
mod refused;

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use watchfire_queue::{AppendError, Checkpoint};

use imported::Imported;
use refused::{Refused, Stretch};

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
/// Bytes of records that one piece is taken for; what is left of it is sent again.
const RECORDS_BYTES_MAX: usize = 3 << 20;
const PARAMETERS: [&str; 8] = ["file", "position", "head_bytes", "head_hash", "format", "multiline", "end", "again"];

/// `GET`: the imported files that begin with a line like this, or one of them with the places of its refused lines. A
/// `format` is looked up, as if a piece came with it: of a file that is there already none does.
pub(super) async fn known(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(list(&state, &request))
}

/// `POST`: a piece of a file.
pub(super) async fn piece(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(take(&state, request).await)
}

fn list(state: &HttpState, request: &Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &["start", "file", "format"])?;
    let format_name = Parameters::text(&parameters.format).filter(|name| *name != "auto");
    format(&state.intake.parsers.load(), format_name)?;
    let (prefix, with_places) = match parameters.file.as_deref() {
        file @ Some(_) => (hexadecimal::<16>("file", file)?.to_vec(), true),
        None => (hexadecimal::<8>("start", parameters.start.as_deref())?.to_vec(), false),
    };
    let mut body = String::from("{\"files\":[");
    for (key, value) in state.intake.queue.checkpoints(&[KEYS, &prefix].concat()) {
        let (Some(file), Some(imported)) = (key.strip_prefix(KEYS), Imported::decode(&value)) else { continue };
        if !body.ends_with('[') {
            body.push(',');
        }
        let file: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
        let Imported { position, head_bytes, head_hash, tail_bytes, tail_hash, refused, .. } = imported;
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "{{\"file\":\"{file}\",\"position\":{position},\"head\":{{\"bytes\":{head_bytes},\"hash\":\"{head_hash:032x}\"}},\
             \"tail\":{{\"bytes\":{tail_bytes},\"hash\":\"{tail_hash:032x}\"}},\"refused\":{},\"unplaced\":{}",
            refused.records(),
            refused.unplaced
        );
        if with_places {
            let place = |Stretch { from, to, .. }: &Stretch| format!("{{\"from\":{from},\"to\":{to}}}");
            let places: Vec<String> = refused.stretches().iter().map(place).collect();
            let _ = write!(body, ",\"places\":[{}]", places.join(","));
        }
        body.push('}');
    }
    body.push_str("]}");
    Ok(json(StatusCode::OK, body))
}

/// What a piece is, as its sender says.
#[derive(Clone)]
struct Piece {
    key: Vec<u8>,
    position: u64,
    head_bytes: u32,
    head_hash: u128,
    format: Option<String>,
    multiline: Option<Multiline>,
    end: End,
    /// Its lines were refused before.
    is_again: bool,
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
            is_again: match Parameters::text(&parameters.again) {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(wrong("again", "true or false")),
            },
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
    /// Up to where.
    position: u64,
    behind: Imported,
}

async fn take(state: &HttpState, request: Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &PARAMETERS)?;
    let piece = Piece::of(&parameters)?;
    let queue = &state.intake.queue;
    let before = queue.checkpoint(&piece.key);
    let at = before.as_deref().and_then(Imported::decode).unwrap_or(Imported {
        head_bytes: piece.head_bytes,
        head_hash: piece.head_hash,
        ..Imported::default()
    });
    let (key, framed, stood) = (piece.key.clone(), piece, at.clone());
    // A piece from elsewhere is read as well, so that the right one can follow on the same connection.
    let work = move |job: Job<'_>| match at.position == framed.position {
        _ if framed.is_again => gather_again(job, &framed, at),
        true => gather(job, &framed, at),
        false => Err(elsewhere(at.position)),
    };
    let (Taken { mut gathered, position, behind }, parsers) =
        with_body(&state.intake, request, parameters, work).await?;
    let formats = super::ingest::formats(&gathered, &parsers);
    let accepted: usize = gathered.batches.iter().map(|part| part.batch.len()).sum();
    if behind != stood {
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
        "{{\"status\":\"accepted\",\"position\":{position},\"accepted\":{accepted},\"undated\":{},\"rejected\":{},\"unplaced\":{}",
        gathered.undated,
        gathered.rejected,
        behind.refused.unplaced.saturating_sub(stood.refused.unplaced)
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

fn nothing_refused_at(position: u64) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "moved", format!("no refused lines of this file begin at position {position}"))
        .with_extra(format!(",\"position\":{position}"))
        .with_hint("GET with `file` says where they begin")
}

/// The records of the next piece of a file, as many as are taken at once.
fn gather(job: Job<'_>, piece: &Piece, at: Imported) -> Result<Taken, ApiError> {
    let body = job.body;
    let read = read(job, piece, at.skipping, at.refused.clone())?;
    let taken = body.get(..read.taken).unwrap_or(body);
    let behind = Imported { refused: read.refused, ..at.behind(taken, read.skipping) };
    Ok(Taken { gathered: read.gathered, position: behind.position, behind })
}

/// The records of a piece of lines that were refused before.
fn gather_again(job: Job<'_>, piece: &Piece, at: Imported) -> Result<Taken, ApiError> {
    let Some((before, stretch, behind)) = at.refused.split(piece.position) else {
        return Err(nothing_refused_at(piece.position));
    };
    let length = usize::try_from(stretch.to - stretch.from).unwrap_or(usize::MAX);
    // Whole records end where it ends.
    let end = if job.body.len() >= length { End::Last } else { End::Open };
    let job = Job { body: job.body.get(..length).unwrap_or(job.body), ..job };
    let read = read(job, &Piece { end, ..piece.clone() }, stretch.skipping, before)?;
    let from = stretch.from + read.taken as u64;
    let records = stretch.records.saturating_sub(read.gathered.total.into()).max(1);
    let rest = Stretch { from, records, skipping: read.skipping, ..stretch };
    let rest = (from < stretch.to).then_some(rest);
    let refused = read.refused.with(rest.as_slice()).with(behind);
    Ok(Taken { gathered: read.gathered, position: from, behind: Imported { refused, ..at } })
}

/// What was read of a piece.
struct Read {
    gathered: Gathered,
    /// Bytes that are done with.
    taken: usize,
    /// What is passed over behind them.
    skipping: Skipping,
    refused: Refused,
}

/// Reads a piece; `refused` is what was refused before it.
fn read(job: Job<'_>, piece: &Piece, skipping: Skipping, refused: Refused) -> Result<Read, ApiError> {
    let format = format(job.parsers, piece.format.as_deref())?;
    let line_max = job.origin.line_max;
    let origin = Origin { by_position: true, imported: true, ..job.origin };
    let mut gatherer = Gatherer::new(job.parsers, &job.intake.ids, job.worker, origin);
    gatherer.make_room(job.body.len());
    let lines = Lines::of(job.body);
    let base = piece.position;
    let mut gathering = Gathering { gatherer, format, lines, refused_lines: Vec::new(), base, refused };
    let (taken, skipping) = match format {
        Some(Format::Journald) => {
            // Unlike lines, entries are of a format that is always given.
            let multiline = piece.multiline.unwrap_or_default();
            gathering.entries(Entries::of(job.body, multiline, line_max, skipping.is_in_line(), piece.end))
        }
        _ => {
            let multiline = piece.multiline.unwrap_or(match format {
                None | Some(Format::Docker | Format::Cri) => Multiline::Auto,
                Some(_) => Multiline::Off,
            });
            let mut cutter = Cutter::new(Framing::of(format, multiline), line_max);
            cutter.skipping = skipping;
            gathering.lines(cutter, piece.end)
        }
    };
    let Gathering { gatherer, refused_lines, refused, .. } = gathering;
    let mut gathered = gatherer.finish();
    gathered.errors.iter_mut().zip(refused_lines).for_each(|(error, line)| error.line = Some(line));
    Ok(Read { gathered, taken, skipping, refused })
}

/// The records of a piece while they are taken.
struct Gathering<'g, 'b> {
    gatherer: Gatherer<'g>,
    format: Option<Format>,
    lines: Lines<'b>,
    /// Where the records begin that were refused.
    refused_lines: Vec<usize>,
    /// Where in the file the body begins.
    base: u64,
    refused: Refused,
}

impl<'b> Gathering<'_, 'b> {
    /// Takes lines; says how many bytes are done with, and what is passed over behind them.
    fn lines(&mut self, mut cutter: Cutter, end: End) -> (usize, Skipping) {
        let body = self.lines.body;
        let mut taken = if self.base == 0 && body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        while self.gatherer.bytes() < RECORDS_BYTES_MAX {
            let (before, skipping) = (taken, cutter.skipping);
            let cut = cutter.next(body, &mut taken, end);
            let begin = cut.map_or(taken, |cut| self.lines.place_of(cut.text));
            let (from, skipping) = self.behind_rest(before, skipping, begin);
            let Some(cut) = cut else { break };
            let outcome = self.take(&cut, cut.text);
            self.note(from, taken, skipping, outcome);
        }
        (taken, cutter.skipping)
    }

    /// The same of entries of a journal.
    fn entries(&mut self, mut entries: Entries<'b>) -> (usize, Skipping) {
        while self.gatherer.bytes() < RECORDS_BYTES_MAX {
            let before = entries.taken();
            let stretch = entries.next_stretch();
            let behind = entries.taken();
            let first = stretch.as_ref().and_then(|stretch| stretch.first());
            let begin = first.map_or(behind.bytes, |entry| self.lines.place_of(entry.first.text));
            let skipping = Skipping::default().with_line(before.skipping);
            let (from, skipping) = self.behind_rest(before.bytes, skipping, begin);
            let Some(stretch) = stretch else { break };
            let outcomes: Vec<Outcome> =
                stretch.iter().map(|entry| self.take(&entry.cut(), entry.first.text)).collect();
            let all = outcomes.iter().fold(Outcome::default(), |all, outcome| all.and(*outcome));
            if all.refused == all.seen {
                self.note(from, behind.bytes, skipping, all);
                continue;
            }
            for (entry, outcome) in stretch.iter().zip(outcomes) {
                // Between the lines of a joined one lie entries of others.
                let outcome = if entry.is_single() { outcome } else { outcome.without_place() };
                let from = self.lines.place_of(entry.first.text);
                self.note(from, from + entry.first.text.len(), Skipping::default(), outcome);
            }
        }
        let entries::Taken { bytes, skipping, .. } = entries.taken();
        (bytes, Skipping::default().with_line(skipping))
    }

    /// Where something begins behind what is passed over of a line, which goes with it if that was refused; and what else is
    /// passed over there.
    fn behind_rest(&mut self, before: usize, skipping: Skipping, begin: usize) -> (usize, Skipping) {
        if !skipping.is_in_line() {
            return (before, skipping);
        }
        self.refused.extend(self.base + before as u64, self.base + begin as u64);
        (begin, skipping.with_line(false))
    }

    /// Keeps the place of what was refused.
    fn note(&mut self, from: usize, to: usize, skipping: Skipping, outcome: Outcome) {
        let records = outcome.refused;
        if records == 0 {
            return;
        }
        if records == outcome.seen {
            let (from, to) = (self.base + from as u64, self.base + to as u64);
            self.refused.add(Stretch { from, to, records, skipping });
        } else {
            self.refused.unplaced = self.refused.unplaced.saturating_add(records);
        }
    }

    /// Takes what begins with a part of the body.
    fn take(&mut self, cut: &Cut<'_>, begin: &[u8]) -> Outcome {
        let (seen, refused) = (self.gatherer.total(), self.gatherer.rejected());
        self.gatherer.cut(cut, self.format);
        let named = self.gatherer.named_errors();
        if named > self.refused_lines.len() {
            self.refused_lines.resize(named, self.lines.number_of(begin));
        }
        let count = |behind: u32, before: u32| u64::from(behind.saturating_sub(before));
        Outcome { seen: count(self.gatherer.total(), seen), refused: count(self.gatherer.rejected(), refused) }
    }
}

/// What became of the records of some lines.
#[derive(Clone, Copy, Default)]
struct Outcome {
    seen: u64,
    refused: u64,
}

impl Outcome {
    fn and(self, other: Outcome) -> Outcome {
        Outcome { seen: self.seen + other.seen, refused: self.refused + other.refused }
    }

    /// The lines are not by themselves.
    fn without_place(self) -> Outcome {
        Outcome { seen: self.seen + 1, ..self }
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

    /// Where a part of the body begins.
    fn place_of(&self, part: &[u8]) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize)
    }

    /// The line, from 1, in which a part of the body begins.
    fn number_of(&mut self, part: &[u8]) -> usize {
        let start = self.place_of(part);
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
