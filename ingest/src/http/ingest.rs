//! `POST /ingest` and `POST /ingest/raw`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};

use super::HttpState;
use super::charset::Charset;
use super::error::{ApiError, json};
use super::request::{Job, Parameters, check_memory, is_json_lines, with_body};
use crate::formats::{Format, Parsers};
use crate::gather::{Gathered, Gatherer, Reason};
use crate::intake::Submitted;
use crate::json_text::write_text;
use crate::sources::cut::End;
use crate::sources::multiline::Multiline;

/// One JSON object, a list, or one object per line.
pub(super) async fn ingest(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(take_json(&state, request, Status::Accepted).await)
}

/// Lines of text.
pub(super) async fn ingest_raw(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(take_lines(&state, request).await)
}

pub(super) fn answer(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(IntoResponse::into_response)
}

/// The word in the answer, by the document that the endpoint comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// `/ingest`: `accepted`, the id is the record's.
    Accepted,
    /// D2's `/data/fast`: `queued`, the id is the record's number.
    Queued,
}

/// The records of a JSON body, parsed.
pub(super) fn gather_json(job: Job<'_>) -> Result<Gathered, ApiError> {
    let Job { body, parsers, intake, worker, origin, content_type, share } = job;
    let mut grow = |bytes| share.take(bytes);
    let mut gatherer = Gatherer::new(parsers, &intake.ids, worker, origin).bounded_by(&mut grow);
    match gatherer.json(body, is_json_lines(content_type)) {
        Ok(()) => {
            let gathered = gatherer.finish();
            check_memory(&gathered, share)?;
            Ok(gathered)
        }
        Err(error) => {
            intake.metrics.rejected(Reason::Malformed, 1);
            let error = ApiError::of_body(&error, body);
            let is_text = !matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
            Err(if is_text { error.with_hint("lines of text are taken at /ingest/raw") } else { error })
        }
    }
}

pub(super) async fn take_json(state: &HttpState, request: Request<Body>, status: Status) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &[])?;
    let (mut gathered, parsers) = with_body(&state.intake, request, parameters, gather_json).await?;
    nothing_sent(&gathered)?;
    let submitted = state.intake.submit(&mut gathered, &state.counters, &parsers).await;
    let submitted = submitted.map_err(|error| ApiError::of_queue(&error))?;
    if gathered.single {
        return single(&gathered, &submitted, status);
    }
    several(&gathered, &submitted, status, String::new())
}

async fn take_lines(state: &HttpState, request: Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &["format", "multiline", "end"])?;
    let name = parameters.format.clone().filter(|name| !name.is_empty() && name != "auto");
    let (multiline, end) = (parameters.multiline()?.unwrap_or(Multiline::Off), parameters.end()?);
    let work = move |job: Job<'_>| {
        let format = match &name {
            None => None,
            // Here the address is right, only what it asks for is not.
            Some(name) => {
                Some(find_format(job.parsers, name).map_err(|error| error.with_status(StatusCode::BAD_REQUEST))?)
            }
        };
        let charset = Charset::of(job.content_type)?;
        if format == Some(Format::Journald) && charset != Charset::Utf8 {
            let message = "entries of a journal are UTF-8, whatever their Content-Type says";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "charset", message)
                .with_hint("send them without a `charset`"));
        }
        let text = charset.text(job.body, job.share)?;
        let mut grow = |bytes| job.share.take(bytes);
        let gatherer = Gatherer::new(job.parsers, &job.intake.ids, job.worker, job.origin);
        let mut gatherer = gatherer.bounded_by(&mut grow);
        let mut taken = text.len();
        match format {
            Some(Format::Journald) => {
                taken = gatherer.journal_entries(&text, multiline, end.unwrap_or(End::Last));
            }
            format if multiline == Multiline::Off && end.is_none() => gatherer.text_lines(&text, format),
            format => taken = gatherer.joined_lines(&text, format, multiline, end.unwrap_or(End::Last)),
        }
        let taken = charset.bytes_before(&text, taken);
        let gathered = gatherer.finish();
        check_memory(&gathered, job.share)?;
        Ok(Lines { gathered, taken })
    };
    let (Lines { mut gathered, taken }, parsers) = with_body(&state.intake, request, parameters, work).await?;
    if end.is_none() {
        nothing_sent(&gathered)?;
    }
    let formats = formats(&gathered, &parsers);
    let submitted = state.intake.submit(&mut gathered, &state.counters, &parsers).await;
    let submitted = submitted.map_err(|error| ApiError::of_queue(&error))?;
    match end {
        None => several(&gathered, &submitted, Status::Accepted, formats),
        // Where a piece ends has to be told whatever is in it.
        Some(_) => {
            let counts = counts(&gathered, &submitted) + &formats;
            let body = format!("{{\"status\":\"accepted\"{counts},\"taken_bytes\":{taken}}}");
            Ok(json(StatusCode::ACCEPTED, body))
        }
    }
}

/// What was read of lines of text.
struct Lines {
    gathered: Gathered,
    /// Bytes that are done with.
    taken: usize,
}

pub(super) fn find_format(parsers: &Parsers, name: &str) -> Result<Format, ApiError> {
    parsers.find(name).ok_or_else(|| {
        let names: Vec<&str> = parsers.names().collect();
        let message = format!("unknown format `{}`; known are {}", name.escape_debug(), names.join(", "));
        ApiError::new(StatusCode::NOT_FOUND, "unknown_format", message)
    })
}

pub(super) fn nothing_sent(gathered: &Gathered) -> Result<(), ApiError> {
    if gathered.total == 0 {
        return Err(ApiError::bad_request("empty", "the body has no record"));
    }
    Ok(())
}

/// The answer to a body that is one object.
fn single(gathered: &Gathered, submitted: &Submitted, status: Status) -> Result<Response, ApiError> {
    use std::fmt::Write;
    if let Some(error) = gathered.errors.first() {
        return Err(ApiError::of_record(error.reason, &error.message));
    }
    let mut body = String::with_capacity(80);
    match status {
        Status::Accepted => {
            body.push_str("{\"status\":\"accepted\",\"id\":");
            write_text(&gathered.last_id, &mut body);
        }
        Status::Queued => {
            // Writing to a string cannot fail.
            let _ =
                write!(body, "{{\"status\":\"queued\",\"id\":{},\"uuid\":", submitted.first_offset.unwrap_or_default());
            write_text(&gathered.last_id, &mut body);
        }
    }
    body.push('}');
    Ok(json(StatusCode::ACCEPTED, body))
}

/// What became of several records, as members of the answer.
fn counts(gathered: &Gathered, submitted: &Submitted) -> String {
    let Submitted { accepted, duplicates, .. } = submitted;
    let mut counts = format!(",\"accepted\":{accepted},\"rejected\":{},\"duplicate\":{duplicates}", gathered.rejected);
    write_errors(gathered, &mut counts);
    counts
}

/// The answer to several records. `more` are further members, as JSON that starts with a comma.
fn several(gathered: &Gathered, submitted: &Submitted, status: Status, more: String) -> Result<Response, ApiError> {
    let Submitted { accepted, duplicates, .. } = submitted;
    let mut counts = counts(gathered, submitted) + &more;
    if gathered.total == 1 && gathered.rejected == 0 {
        counts.push_str(",\"id\":");
        write_text(&gathered.last_id, &mut counts);
    }
    if accepted + duplicates == 0 {
        let first = gathered.errors.first();
        let reason = first.map_or(Reason::Malformed, |error| error.reason);
        let message = first.map_or("no record could be accepted", |error| &error.message);
        let mut error = ApiError::of_record(reason, message);
        error.place = gathered.first_wrong;
        if gathered.total > 1 {
            let all_too_long = gathered.reasons.get(Reason::TooLong as usize) == Some(&gathered.total);
            error.status = if all_too_long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
            error.message = format!("none of {} records could be accepted; the first: {message}", gathered.total);
            if gathered.first_wrong.is_some() {
                error = error.with_hint("write one object per line, each whole on its line, or a list in brackets");
            }
        }
        return Err(error.with_extra(counts));
    }
    let word = match status {
        Status::Accepted => "accepted",
        Status::Queued => "queued",
    };
    Ok(json(StatusCode::ACCEPTED, format!("{{\"status\":\"{word}\"{counts}}}")))
}

/// The refused records, as a member of the answer.
pub(super) fn write_errors(gathered: &Gathered, out: &mut String) {
    use std::fmt::Write;
    out.push_str(",\"errors\":[");
    for (at, error) in gathered.errors.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}{{\"index\":{}", error.index);
        if let Some(line) = error.line {
            let _ = write!(out, ",\"line\":{line}");
        }
        out.push_str(",\"error\":");
        write_text(&error.full_message(), out);
        out.push('}');
    }
    out.push(']');
}

/// Accepted records by format, as a member of the answer.
pub(super) fn formats(gathered: &Gathered, parsers: &Parsers) -> String {
    use std::fmt::Write;
    let mut counts: Vec<u64> = Vec::new();
    for batch in &gathered.batches {
        counts.resize(counts.len().max(batch.formats.len()), 0);
        for (sum, count) in counts.iter_mut().zip(&batch.formats) {
            *sum += u64::from(*count);
        }
    }
    let mut out = String::from(",\"formats\":{");
    for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        if !out.ends_with('{') {
            out.push(',');
        }
        write_text(parsers.name(Format::from_index(index)), &mut out);
        // Writing to a string cannot fail.
        let _ = write!(out, ":{count}");
    }
    out.push('}');
    out
}
