//! One request to a server, its answer read within limits.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_model::text::with_causes;

use crate::client::HttpClient;

/// Memory for bodies is given out by so many bytes.
const STEP_BYTES: usize = 64 << 10;

/// What is asked for.
pub(crate) struct Request<'r> {
    pub(crate) url: &'r Url,
    pub(crate) accept: &'r str,
    pub(crate) packed: bool,
    /// A header that tells a time in seconds.
    pub(crate) announced: (&'static str, Duration),
    pub(crate) timeout: Duration,
    pub(crate) body_limit: BodyLimit,
}

/// The largest body, unpacked, and what of the configuration says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: usize,
    pub(crate) key: &'static str,
}

/// Memory for the bodies of all answers that are being worked on.
#[derive(Clone)]
pub(crate) struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    pub(crate) fn new(bytes: usize) -> BodyMemory {
        BodyMemory(Arc::new(Semaphore::new((bytes / STEP_BYTES).max(1))))
    }

    fn share(&self) -> Share {
        Share { memory: self.clone(), held: None, bytes: 0 }
    }
}

/// What one body holds of it.
struct Share {
    memory: BodyMemory,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Share {
    /// Takes memory for a body that has grown to so many bytes.
    fn grow_to(&mut self, bytes: usize) -> Result<(), FetchError> {
        let steps = bytes.saturating_sub(self.bytes).div_ceil(STEP_BYTES);
        let permits = u32::try_from(steps).map_err(|_| FetchError::Memory)?;
        let more = self.memory.0.clone().try_acquire_many_owned(permits).map_err(|_| FetchError::Memory)?;
        self.bytes += steps * STEP_BYTES;
        match &mut self.held {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        Ok(())
    }
}

/// An answer with success.
pub(crate) struct Answer {
    /// The header, if it is a text.
    pub(crate) content_type: Option<String>,
    body: Vec<u8>,
    is_packed: bool,
    body_limit: BodyLimit,
    share: Share,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error("the body is larger than {} bytes; raise `{}` if it shall be", limit.bytes, limit.key)]
    TooLarge { limit: BodyLimit },
    #[error("the bodies of all targets together need more memory than there is for them")]
    Memory,
    #[error("the body is packed as `{0}`, which was not asked for")]
    Packing(String),
    #[error("the body cannot be unpacked: {0}")]
    Unpack(String),
    #[error("{0}")]
    Http(String),
}

/// Asks a server.
pub(crate) async fn fetch(
    client: &Arc<HttpClient>,
    memory: &BodyMemory,
    request: &Request<'_>,
) -> Result<Answer, FetchError> {
    let asked = ask(client, memory, request);
    tokio::time::timeout(request.timeout, asked).await.unwrap_or(Err(FetchError::Late(request.timeout)))
}

async fn ask(client: &Arc<HttpClient>, memory: &BodyMemory, request: &Request<'_>) -> Result<Answer, FetchError> {
    let mut asking = client.get(request.url).await.map_err(FetchError::Http)?;
    let (name, duration) = request.announced;
    asking = asking.header(ACCEPT, request.accept).header(name, duration.as_secs_f64().to_string());
    asking = asking.header(ACCEPT_ENCODING, if request.packed { "gzip" } else { "identity" });
    let http = |error: reqwest::Error| FetchError::Http(with_causes(&error.without_url()));
    let mut response = asking.send().await.map_err(http)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let is_packed = is_packed(response.headers())?;
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut share = memory.share();
    let body = read_body(&mut response, request.body_limit, &mut share).await.map_err(|error| match error {
        ReadError::Fetch(error) => error,
        ReadError::Http(error) => http(error),
    })?;
    Ok(Answer { content_type, body, is_packed, body_limit: request.body_limit, share })
}

enum ReadError {
    Fetch(FetchError),
    Http(reqwest::Error),
}

async fn read_body(response: &mut Response, limit: BodyLimit, share: &mut Share) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(ReadError::Http)? {
        let length = body.len() + piece.len();
        if length > limit.bytes {
            return Err(ReadError::Fetch(FetchError::TooLarge { limit }));
        }
        share.grow_to(length).map_err(ReadError::Fetch)?;
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn is_packed(headers: &HeaderMap) -> Result<bool, FetchError> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(false) };
    match encoding.to_str().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Ok("gzip" | "x-gzip") => Ok(true),
        Ok("identity" | "") => Ok(false),
        _ => Err(FetchError::Packing(String::from_utf8_lossy(encoding.as_bytes()).chars().take(40).collect())),
    }
}

impl Answer {
    /// The body, unpacked. Its memory is counted as long as the answer lives. Takes CPU time.
    pub(crate) fn unpack(&mut self) -> Result<&[u8], FetchError> {
        if std::mem::take(&mut self.is_packed) {
            let packed = std::mem::take(&mut self.body);
            self.body = unpack(&packed, self.body_limit, &mut self.share)?;
        }
        Ok(&self.body)
    }
}

fn unpack(packed: &[u8], limit: BodyLimit, share: &mut Share) -> Result<Vec<u8>, FetchError> {
    let mut decoder = MultiGzDecoder::new(packed);
    let (mut body, mut piece) = (Vec::new(), vec![0; STEP_BYTES]);
    loop {
        let length = decoder.read(&mut piece).map_err(|error| FetchError::Unpack(error.to_string()))?;
        if length == 0 {
            return Ok(body);
        }
        if body.len() + length > limit.bytes {
            return Err(FetchError::TooLarge { limit });
        }
        // Both bodies are there for a while.
        share.grow_to(packed.len() + body.len() + length)?;
        body.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
}
