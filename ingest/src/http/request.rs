//! A request taken apart: its parameters, and its body handed to the work on it.

use std::sync::Arc;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode, Uri};
use watchfire_model::{Timestamp, nearest};

use super::body;
use super::decode::Encoding;
use super::error::ApiError;
use crate::formats::Parsers;
use crate::gather::{Gathered, Origin, Worker};
use crate::id::{RequestKey, fingerprint};
use crate::intake::{Intake, Share};
use crate::sources::cut::End;
use crate::sources::multiline::Multiline;

/// Bodies up to this length are parsed where they arrive; longer ones leave the async threads.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Parameters that all endpoints know.
const COMMON: [&str; 3] = ["service", "source", "host"];

/// Parameters of the address.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) source: Option<String>,
    pub(super) service: Option<String>,
    pub(super) host: Option<String>,
    pub(super) format: Option<String>,
    pub(super) store: Option<String>,
    pub(super) multiline: Option<String>,
    pub(super) start: Option<String>,
    pub(super) file: Option<String>,
    pub(super) position: Option<String>,
    pub(super) head_bytes: Option<String>,
    pub(super) head_hash: Option<String>,
    pub(super) end: Option<String>,
    pub(super) again: Option<String>,
}

impl Parameters {
    /// Reads those that all endpoints know and the `further` ones of this endpoint.
    ///
    /// Errors: one is not known, or given twice.
    pub(super) fn of(uri: &Uri, further: &[&'static str]) -> Result<Parameters, ApiError> {
        let mut parameters = Parameters::default();
        if uri.query().is_none() {
            return Ok(parameters);
        }
        let wrong = |message: String| ApiError::bad_request("bad_parameter", message);
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        for (name, value) in pairs.map_err(|error| wrong(error.body_text()))?.0 {
            let known = || COMMON.iter().chain(further).copied();
            let Some(slot) = known().find(|known| *known == name).and_then(|name| parameters.slot(name)) else {
                let name = name.escape_debug();
                let error = wrong(format!("unknown parameter `{name}`"));
                return Err(error.with_hint(match nearest(&name.to_string(), known()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("known are {}", known().collect::<Vec<&str>>().join(", ")),
                }));
            };
            if slot.replace(value).is_some() {
                return Err(wrong(format!("parameter `{name}` is given twice")));
            }
        }
        Ok(parameters)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "service" => &mut self.service,
            "source" => &mut self.source,
            "host" => &mut self.host,
            "format" => &mut self.format,
            "store" => &mut self.store,
            "multiline" => &mut self.multiline,
            "start" => &mut self.start,
            "file" => &mut self.file,
            "position" => &mut self.position,
            "head_bytes" => &mut self.head_bytes,
            "head_hash" => &mut self.head_hash,
            "end" => &mut self.end,
            "again" => &mut self.again,
            _ => return None,
        })
    }

    /// An absent parameter is an empty one.
    pub(super) fn text(parameter: &Option<String>) -> Option<&str> {
        parameter.as_deref().filter(|text| !text.is_empty())
    }

    /// Says what a parameter must be.
    pub(super) fn wrong(name: &str, what: &str) -> ApiError {
        ApiError::bad_request("bad_parameter", format!("`{name}` must be {what}"))
    }

    /// Whose stack traces are joined, if that is said.
    pub(super) fn multiline(&self) -> Result<Option<Multiline>, ApiError> {
        let Some(name) = Parameters::text(&self.multiline) else { return Ok(None) };
        let names = || Multiline::NAMES.map(|(name, _)| name).join(", ");
        let multiline = Multiline::parse(name);
        multiline.map(Some).ok_or_else(|| Parameters::wrong("multiline", &format!("one of {}", names())))
    }

    /// What may come behind a body, if that is said.
    pub(super) fn end(&self) -> Result<Option<End>, ApiError> {
        match Parameters::text(&self.end) {
            None => Ok(None),
            Some("false") => Ok(Some(End::Open)),
            // All lines are here, but the last one may be half of one.
            Some("lines") => Ok(Some(End::Quiet)),
            Some("true") => Ok(Some(End::Last)),
            Some(_) => Err(Parameters::wrong("end", "true, lines or false")),
        }
    }
}

/// What the work on a body is given.
pub(super) struct Job<'a> {
    pub(super) body: &'a [u8],
    pub(super) parsers: &'a Parsers,
    pub(super) intake: &'a Intake,
    pub(super) worker: &'a mut Worker,
    pub(super) origin: Origin<'a>,
    pub(super) content_type: &'a [u8],
    pub(super) share: &'a mut Share,
}

/// Reads the body of a request and does some work on it, off the async threads if it is long or packed.
///
/// Also gives the parsers that were in force. Errors: no such body, or those of the work.
pub(super) async fn with_body<R: Send + 'static>(
    intake: &Arc<Intake>,
    request: Request<Body>,
    parameters: Parameters,
    work: impl FnOnce(Job<'_>) -> Result<R, ApiError> + Send + 'static,
) -> Result<(R, Arc<Parsers>), ApiError> {
    if intake.is_draining() {
        return Err(ApiError::draining());
    }
    let (parts, body) = request.into_parts();
    let encoding = body::encoding(&parts.headers)?;
    let mut share = Share::new(Arc::clone(intake));
    let packed = body::read(&parts.headers, body, intake, &mut share).await?;
    let parsers = intake.parsers.load_full();
    if encoding == Encoding::Identity && packed.len() <= INLINE_BYTES_MAX {
        let result = run(intake, &parsers, &parts.headers, &parameters, &packed, &mut share, work)?;
        return Ok((result, parsers));
    }
    let Ok(permit) = Arc::clone(&intake.cpu).acquire_owned().await else {
        return Err(ApiError::draining());
    };
    let intake = Arc::clone(intake);
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let result = match encoding {
            Encoding::Identity => run(&intake, &parsers, &parts.headers, &parameters, &packed, &mut share, work),
            packing => {
                let limit = intake.limits.decompressed_bytes;
                let unpacked = body::unpack(packing, &packed, limit, Vec::new(), &mut share)?;
                run(&intake, &parsers, &parts.headers, &parameters, &unpacked, &mut share, work)
            }
        };
        result.map(|result| (result, parsers))
    });
    match task.await {
        Ok(result) => result,
        Err(_) => Err(ApiError::not_now("internal", "the work on the body was stopped")),
    }
}

fn run<R>(
    intake: &Intake,
    parsers: &Parsers,
    headers: &HeaderMap,
    parameters: &Parameters,
    body: &[u8],
    share: &mut Share,
    work: impl FnOnce(Job<'_>) -> Result<R, ApiError>,
) -> Result<R, ApiError> {
    let idempotency_key = headers.get("idempotency-key").map(|key| key.as_bytes()).filter(|key| !key.is_empty());
    let idempotency_key = idempotency_key.map(|key| {
        let Parameters { service, source, host, format, multiline, end, .. } = parameters;
        // They decide which lines are a record. Their values tell them apart, so that neither has to have a place.
        let joined = [multiline, end].into_iter().map(Option::as_deref).filter(Option::is_some);
        let said = [service, source, host, format].into_iter().map(Option::as_deref).chain(joined);
        RequestKey { key, contents: fingerprint(body, said) }
    });
    let origin = Origin {
        service: Parameters::text(&parameters.service),
        source: Parameters::text(&parameters.source),
        host: Parameters::text(&parameters.host),
        idempotency_key,
        ..intake.origin(Timestamp::now())
    };
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    intake.with_worker(|worker| work(Job { body, parsers, intake, worker, origin, content_type, share }))
}

/// An error if there was no memory for the records of a body.
pub(super) fn check_memory(gathered: &Gathered, share: &Share) -> Result<(), ApiError> {
    match (gathered.no_memory, share.is_hopeless()) {
        (false, _) => Ok(()),
        (true, false) => Err(body::busy()),
        (true, true) => {
            let message = "the records of this body take too much memory at once";
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).with_hint("send less at once"))
        }
    }
}

/// Whether a content type says "one JSON value per line".
pub(super) fn is_json_lines(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/json-lines",
    ]
    .iter()
    .any(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
}
