//! Answers packed as their clients accept it, gzip or zstd, piece by piece as they are made: neither a whole answer nor a
//! whole packed one is in memory for it.

use std::io::{self, Write};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream::try_unfold;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;

/// Shorter answers are sent as they are, bytes.
const LENGTH_MIN: u64 = 1024;
/// Bytes that are packed at once, off the async threads.
const SLICE_BYTES: usize = 256 << 10;
/// Less than this is packed where it is: going to another thread would take longer, bytes.
const INLINE_BYTES: usize = 16 << 10;
/// Both levels favour the clock: answers are read once. Of gzip, 1 leaves half as much again and saves a third of the time.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 1;
/// zstd's usual window is larger than all that it gains with texts like these, bytes as a power of two.
const ZSTD_WINDOW_LOG: u32 = 18;

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

/// Packs what a client accepts packed. To be laid around routes whose answers may be long.
pub(crate) async fn pack(request: Request, next: Next) -> Response {
    let packing = accepted(request.headers()).filter(|_| request.method() != Method::HEAD);
    let mut response = next.run(request).await;
    if !is_packable(&response) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(packing) = packing else { return response };
    let name = match packing {
        Packing::Gzip => "gzip",
        Packing::Zstd => "zstd",
    };
    let encoder = match Encoder::new(packing) {
        Ok(encoder) => encoder,
        Err(error) => {
            tracing::warn!(%error, "an answer cannot be packed");
            return response;
        }
    };
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(packed(body, encoder)))
}

/// Whether it is worth the while, and nobody has done it.
fn is_packable(response: &Response) -> bool {
    let is_short = response.body().size_hint().exact().is_some_and(|length| length < LENGTH_MIN);
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Events are for now; packed they would wait for more of them.
    let is_text =
        kind.starts_with("application/json") || (kind.starts_with("text/") && !kind.starts_with("text/event-stream"));
    let is_plain = !response.headers().contains_key(header::CONTENT_ENCODING);
    is_plain && is_text && !is_short && response.status() != StatusCode::NO_CONTENT
}

/// What a client likes best of what we have; `None` for an answer as it is.
fn accepted(headers: &HeaderMap) -> Option<Packing> {
    let mut best: Option<(Packing, f32)> = None;
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let packing = match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Packing::Gzip,
            "zstd" => Packing::Zstd,
            _ => continue,
        };
        let weight = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
        let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
        let is_better = match best {
            None => weight > 0.0,
            // Of two that are liked alike the quicker one.
            Some((_, have)) => weight > have || (weight == have && packing == Packing::Zstd),
        };
        if is_better {
            best = Some((packing, weight));
        }
    }
    best.map(|(packing, _)| packing)
}

enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    fn new(packing: Packing) -> io::Result<Encoder> {
        Ok(match packing {
            Packing::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(Vec::new(), level)))
            }
            Packing::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Encoder::Zstd(Box::new(encoder))
            }
        })
    }

    /// Takes a slice in; gives what is packed of it and those before.
    fn slice(&mut self, slice: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(slice).map(|()| std::mem::take(encoder.get_mut())),
            Encoder::Zstd(encoder) => encoder.write_all(slice).map(|()| std::mem::take(encoder.get_mut())),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// A body on its way.
struct Packed {
    body: Body,
    /// What came and is not packed yet.
    pending: Bytes,
    /// Not there any more when all is packed.
    encoder: Option<Encoder>,
}

fn packed(body: Body, encoder: Encoder) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    let start = Packed { body, pending: Bytes::new(), encoder: Some(encoder) };
    try_unfold(start, |mut packed| async move {
        while let Some(mut encoder) = packed.encoder.take() {
            if packed.pending.is_empty() {
                match packed.body.frame().await {
                    Some(Ok(frame)) => packed.pending = frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => return Err(io::Error::other(error)),
                    // All but what the encoder looks back on is packed already.
                    None => return Ok(Some((Bytes::from(encoder.finish()?), packed))),
                }
            }
            let slice = packed.pending.split_to(SLICE_BYTES.min(packed.pending.len()));
            let out = if slice.len() < INLINE_BYTES {
                let out = encoder.slice(&slice)?;
                packed.encoder = Some(encoder);
                out
            } else {
                let work = tokio::task::spawn_blocking(move || io::Result::Ok((encoder.slice(&slice)?, encoder)));
                let (out, encoder) = work.await.map_err(io::Error::other)??;
                packed.encoder = Some(encoder);
                out
            };
            if !out.is_empty() {
                return Ok(Some((Bytes::from(out), packed)));
            }
        }
        Ok(None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_liked_best_is_taken() {
        for (value, wanted) in [
            ("gzip", Some(Packing::Gzip)),
            ("gzip, deflate, br, zstd", Some(Packing::Zstd)),
            ("zstd;q=0.5, GZIP;q=0.8", Some(Packing::Gzip)),
            ("gzip;q=0, identity", None),
            ("gzip;q=x", None),
            ("br", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepted(&headers), wanted, "{value}");
        }
    }
}
