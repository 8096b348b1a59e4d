//! `POST /parse/auto` and `POST /parse/{format}`: raw lines in, parsed records out.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{Request, StatusCode};

use super::HttpState;
use super::error::{ApiError, json};
use super::ingest::{answer, find_format};
use super::request::{Job, Parameters, with_body};
use crate::formats::Format;
use crate::gather::{Echo, Gathered, Gatherer, Place, Reason};
use crate::json::{Node, Tape, scan};
use crate::json_text::{write_record, write_text};
use crate::sources::cut::End;
use crate::sources::multiline::Multiline;
use watchfire_log_store::document::{Document, Names};
use watchfire_model::LogRecord;

pub(super) async fn parse(
    State(state): State<Arc<HttpState>>,
    Path(format): Path<String>,
    request: Request<Body>,
) -> Response {
    answer(take(&state, format, request).await)
}

/// Longest body, bytes, and most lines of it: the answer shows every record. [`super::ingest`] takes more.
const BODY_BYTES_MAX: usize = 4 << 20;
const LINES_MAX: usize = 10_000;

/// What is to be parsed.
enum Raw {
    /// `{"raw_log": "…"}` or one line of text.
    One(String),
    /// `{"raw_logs": […]}` or several lines of text.
    Several(Vec<String>),
    /// Text that is an export of the journal.
    Journal,
}

struct Parsed {
    gathered: Gathered,
    echoes: Vec<Echo>,
    one: bool,
}

async fn take(state: &HttpState, format: String, request: Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &["store"])?;
    let store = match Parameters::text(&parameters.store) {
        None | Some("true" | "1" | "yes") => true,
        Some("false" | "0" | "no") => false,
        Some(other) => {
            let message = format!("`store` is true or false, not `{}`", other.escape_debug());
            return Err(ApiError::bad_request("bad_parameter", message));
        }
    };
    let work = move |job: Job<'_>| {
        let format = if format == "auto" { None } else { Some(find_format(job.parsers, &format)?) };
        if job.body.len() > BODY_BYTES_MAX {
            return Err(too_much(format!("the body is longer than {BODY_BYTES_MAX} bytes")));
        }
        let raw = match read_json(job.body, job.content_type)? {
            Some(raw) => raw,
            None if format == Some(Format::Journald) => Raw::Journal,
            None => lines_of(job.body),
        };
        let mut gatherer = Gatherer::new(job.parsers, &job.intake.ids, job.worker, job.origin).with_echoes();
        let one = match &raw {
            Raw::One(line) => {
                gatherer.text(line.as_bytes(), format);
                true
            }
            Raw::Several(lines) if lines.len() > LINES_MAX => {
                return Err(too_much(format!("{} lines are more than {LINES_MAX}", lines.len())));
            }
            Raw::Several(lines) => {
                for line in lines {
                    gatherer.text(line.as_bytes(), format);
                }
                false
            }
            Raw::Journal => {
                gatherer.journal_entries(job.body, Multiline::Off, End::Last);
                false
            }
        };
        let echoes = gatherer.take_echoes();
        let one = one || matches!(raw, Raw::Journal) && echoes.len() == 1;
        if echoes.len() > LINES_MAX {
            return Err(too_much(format!("{} entries are more than {LINES_MAX}", echoes.len())));
        }
        Ok(Parsed { gathered: gatherer.finish(), echoes, one })
    };
    let (Parsed { mut gathered, echoes, one }, parsers) = with_body(&state.intake, request, parameters, work).await?;
    if echoes.is_empty() {
        return Err(ApiError::bad_request("empty", "the body has no line"));
    }
    let mut refused_later = None;
    let mut repeats = HashMap::new();
    if store {
        let before = gathered.rejected;
        let submitted = state.intake.submit(&mut gathered, &state.counters, &parsers).await;
        let submitted = submitted.map_err(|error| ApiError::of_queue(&error))?;
        repeats.extend(submitted.repeats);
        if gathered.rejected > before {
            refused_later = Some(gathered.rejected - before);
        }
    }
    if let (true, Some(Echo { record: None, refused: Some((reason, message)), .. })) = (one, echoes.first()) {
        return Err(match reason {
            Reason::TooLong => ApiError::of_record(*reason, message),
            _ => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "not_of_format", message),
        });
    }
    // Should the queue have taken only a part, the last ones are those that are missing.
    let stored_of = echoes.iter().filter(|echo| echo.refused.is_none()).count() - refused_later.unwrap_or(0) as usize;
    let mut stored_so_far = 0;
    let deadline = state.intake.visible_deadline();
    let mut parts = Vec::with_capacity(echoes.len());
    for echo in &echoes {
        let mut stored = store && echo.refused.is_none();
        let mut repeated = Repeated::No;
        if stored {
            if let Some(original) = repeats.get(&(stored_so_far as u64)) {
                repeated = Repeated::Of(state.intake.stored(*original, deadline).await.map(Box::new));
            }
            stored_so_far += 1;
            stored = stored_so_far <= stored_of;
        }
        let format = echo.format.map(|format| parsers.name(format));
        parts.push(show(echo, format, stored, &repeated));
    }
    let none_parsed = echoes.iter().all(|echo| echo.record.is_none());
    let status = if none_parsed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = match (one, parts.pop()) {
        (true, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            format!("{{\"results\":[{}]}}", parts.join(","))
        }
    };
    Ok(json(status, body))
}

fn too_much(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).with_hint("/ingest/raw takes more at once")
}

/// Whether a line's record was stored before.
enum Repeated {
    No,
    /// It was; the stored record, if it could be found.
    Of(Option<Box<LogRecord>>),
}

/// One line's part of the answer.
fn show(echo: &Echo, format: Option<&str>, stored: bool, repeated: &Repeated) -> String {
    let mut out = String::from("{\"format\":");
    match format {
        Some(name) => write_text(name, &mut out),
        None => out.push_str("null"),
    }
    let original = match repeated {
        Repeated::Of(Some(original)) => Some(&**original),
        Repeated::Of(None) | Repeated::No => None,
    };
    if let Some(record) = original.or(echo.record.as_ref()) {
        out.push_str(",\"log\":");
        write_record(Document { record, seq: None, names: Names::Canonical }, &mut out);
    }
    if let Some((_, message)) = &echo.refused {
        out.push_str(",\"error\":");
        write_text(message, &mut out);
    }
    if matches!(repeated, Repeated::Of(_)) {
        out.push_str(",\"duplicate\":true");
    }
    out.push_str(if stored { ",\"stored\":true}" } else { ",\"stored\":false}" });
    out
}

/// The lines that a body names in JSON; `None` if it is the lines itself. An object that has one of the names asks for
/// parsing; it is never a line itself.
fn read_json(body: &[u8], content_type: &[u8]) -> Result<Option<Raw>, ApiError> {
    let says_json = content_type.to_ascii_lowercase().starts_with(b"application/json");
    if says_json || body.trim_ascii_start().starts_with(b"{") {
        match scan_object(body) {
            Ok((text, tape)) => match read_named(text, &tape)? {
                Some(raw) => return Ok(Some(raw)),
                None if says_json => {
                    return Err(no_raw_log("expected `raw_log`, a text, or `raw_logs`, a list of texts"));
                }
                None => {}
            },
            Err(error) if says_json => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The lines of a body.
fn lines_of(body: &[u8]) -> Raw {
    let lines: Vec<String> = body
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    match <[String; 1]>::try_from(lines) {
        Ok([only]) => Raw::One(only),
        Err(lines) => Raw::Several(lines),
    }
}

fn no_raw_log(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("no_raw_log", message)
}

/// A body that is one JSON value.
fn scan_object(body: &[u8]) -> Result<(&str, Tape), ApiError> {
    let malformed = |kind: String, at: usize| ApiError {
        place: Some(Place::of(body, at)),
        ..ApiError::bad_request("malformed_json", kind)
    };
    let text = std::str::from_utf8(body).map_err(|error| malformed("invalid UTF-8".into(), error.valid_up_to()))?;
    let mut tape = Tape::default();
    scan::parse(text, &mut tape).map_err(|error| malformed(error.kind.to_string(), error.at))?;
    Ok((text, tape))
}

/// `raw_log` or `raw_logs` of a JSON object; `None` if it has neither.
fn read_named(text: &str, tape: &Tape) -> Result<Option<Raw>, ApiError> {
    let text_of = |node: Node| match node {
        Node::Text(span) => Some(tape.text(text, span).to_owned()),
        _ => None,
    };
    let member = |wanted: &str| {
        tape.members(0).find(|(name, _)| tape.text(text, *name) == wanted).map(|(_, value)| (value, tape.node(value)))
    };
    match (member("raw_log"), member("raw_logs")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(no_raw_log("give `raw_log` or `raw_logs`, not both")),
        (Some((_, node)), None) => {
            let line = text_of(node).ok_or_else(|| no_raw_log("`raw_log` must be a text"))?;
            Ok(Some(Raw::One(line)))
        }
        (None, Some((list, Node::Array { .. }))) => {
            let lines = tape.values(list).enumerate().map(|(at, item)| {
                let line = text_of(tape.node(item));
                line.ok_or_else(|| no_raw_log(format!("`raw_logs` must be a list of texts; item {at} is none")))
            });
            Ok(Some(Raw::Several(lines.collect::<Result<_, _>>()?)))
        }
        (None, Some(_)) => Err(no_raw_log("`raw_logs` must be a list of texts")),
    }
}
