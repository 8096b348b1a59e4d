//! The series of an answer: all samples in one message, or packed chunks in frames.
//!
//! ```text
//! ReadResponse         1 results*      QueryResult    1 series*     Series  1 labels*  2 samples*  4 histograms*
//! ChunkedReadResponse  1 series*  2 query index       ChunkedSeries 1 labels*  2 chunks*
//! Label 1 name 2 value    Sample 1 value (double) 2 time (ms)    Chunk 1 min time 2 max time 4 data
//!                                                                   3 type (1 XOR, 3 float histograms)
//! frame = uvarint length | crc32c of the message, big-endian | ChunkedReadResponse
//! ```
//! Series come in the order of their labels, as whoever merges them with others expects.

use std::sync::Arc;

use axum::body::Bytes;
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use watchfire_engine::{Engine, SeriesKind, SeriesView};
use watchfire_exposition::native::put_histogram;
use watchfire_model::{Histogram, LabelSet, Sample, Timestamp};
use watchfire_protobuf::{Writer, put_varint};
use watchfire_query_lang::Limits;

use super::native;
use super::request::Query;
use super::xor::{self, CHUNK_SAMPLES};
use crate::error::ApiError;
use crate::pieces::{PIECE_BYTES, Pieces};
use crate::state::Api;

/// A frame is closed at this length, bytes, as with Prometheus.
const FRAME_BYTES: usize = 1 << 20;
/// Longest answer in one message, bytes: all of it is in memory, twice while it is packed.
const WHOLE_BYTES_MAX: usize = 128 << 20;
/// Of a counter of events, which has a sample per second with events, the total is told at least so often.
const TOTAL_EVERY_MS: i64 = 60_000;
/// A counter of events without any for so long says nothing more.
const QUIET_MS: i64 = 86_400_000;

/// The series of a query that can be told, by their labels.
fn found(engine: &Engine, query: &Query) -> Result<Vec<SeriesView>, ApiError> {
    let found = engine.select(&query.matchers, query.range);
    let mut views = found.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_data", error.to_string()))?;
    views.retain(|view| view.kind() != SeriesKind::Distribution);
    views.sort_by(|a, b| a.labels().cmp(b.labels()));
    views.dedup_by(|a, b| a.labels() == b.labels());
    Ok(views)
}

/// What a series has to tell in a range; no time is in both.
#[derive(Default)]
struct Run {
    samples: Vec<Sample>,
    natives: Vec<(Timestamp, Histogram)>,
}

impl Run {
    /// Replaces what was told of another one.
    fn read(&mut self, view: &SeriesView, query: &Query) {
        self.samples.clear();
        self.natives.clear();
        if query.labels_only {
            return;
        }
        view.samples_and_natives(query.range.start, query.range.end, &mut self.samples, &mut self.natives);
        if view.kind() == SeriesKind::Increments {
            fill(view, query, &mut self.samples);
        }
    }

    fn len(&self) -> usize {
        self.samples.len() + self.natives.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn chunks(&self) -> Chunks<'_> {
        Chunks { samples: &self.samples, natives: &self.natives }
    }
}

/// A packed chunk.
struct Chunk {
    first: Timestamp,
    last: Timestamp,
    /// As the protocol numbers it.
    encoding: i64,
    data: Vec<u8>,
}

/// What is left of a run to be packed, in the order of times.
struct Chunks<'r> {
    samples: &'r [Sample],
    natives: &'r [(Timestamp, Histogram)],
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let first_native = self.natives.first().map(|(at, _)| *at);
        let until_native = match first_native {
            Some(native) => self.samples.partition_point(|sample| sample.timestamp < native),
            None => self.samples.len(),
        };
        let (floats, samples) = self.samples.split_at_checked(until_native.min(CHUNK_SAMPLES))?;
        if let [first, ..] = floats {
            self.samples = samples;
            let last = floats.last().unwrap_or(first).timestamp;
            return Some(Chunk { first: first.timestamp, last, encoding: 1, data: xor::encode(floats) });
        }
        let first_float = self.samples.first().map(|sample| sample.timestamp);
        let until_float = match first_float {
            Some(float) => self.natives.partition_point(|(at, _)| *at < float),
            None => self.natives.len(),
        };
        let length = native::chunk_length(self.natives.get(..until_float)?);
        let (chunk, natives) = self.natives.split_at_checked(length)?;
        let (first, last) = (chunk.first()?.0, chunk.last()?.0);
        self.natives = natives;
        Some(Chunk { first, last, encoding: 3, data: native::encode(chunk) })
    }
}

/// Repeats the total of a counter of events while nothing happens: elsewhere a series without a sample for five minutes
/// is taken for one that has ended.
fn fill(view: &SeriesView, query: &Query, out: &mut Vec<Sample>) {
    let end = query.range.end.millis().min(Timestamp::now().millis());
    let events = std::mem::take(out);
    let first = events.first().map_or(end, |event| event.timestamp.millis());
    let mut from = query.range.start.millis().saturating_add(1).max(first.saturating_sub(QUIET_MS));
    for event in events.iter().map(Some).chain([None]) {
        let until = event.map_or(end.saturating_add(1), |event| event.timestamp.millis());
        let mut next = from.saturating_add(TOTAL_EVERY_MS - 1).div_euclid(TOTAL_EVERY_MS) * TOTAL_EVERY_MS;
        while next < until.min(from.saturating_add(QUIET_MS)) {
            let at = Timestamp::from_millis(next);
            out.extend(view.total_at(at).map(|total| Sample { timestamp: at, value: total }));
            next += TOTAL_EVERY_MS;
        }
        from = until.saturating_add(1);
        out.extend(event);
    }
}

/// The labels of a series, and the external ones whose names it has not.
fn put_labels(view: &SeriesView, external: &LabelSet, series: &mut Writer<'_>) {
    let added = external.iter().filter(|(name, _)| view.labels().get(name).is_none());
    let mut labels: Vec<(&str, &str)> = view.labels().iter().chain(added).collect();
    labels.sort_unstable();
    for (name, value) in labels {
        series.message(1, |label| {
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
        });
    }
}

/// All samples in one message, packed by snappy.
pub(super) fn whole(
    engine: &Engine,
    queries: &[Query],
    external: &LabelSet,
    limits: &Limits,
) -> Result<Vec<u8>, ApiError> {
    let too_much = |what: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "too_large", what)
            .hint("accept the response type STREAMED_XOR_CHUNKS, or ask for less at once")
    };
    let mut body = Vec::new();
    let (mut run, mut told) = (Run::default(), 0u64);
    for query in queries {
        let mut result = Vec::new();
        for view in found(engine, query)? {
            if limits.cancel.is_cancelled() {
                return Err(ApiError::internal("the client has left"));
            }
            run.read(&view, query);
            if run.is_empty() && !query.labels_only {
                continue;
            }
            told += run.len() as u64;
            if told > limits.samples_max {
                return Err(too_much(format!("exceeded sample limit ({})", limits.samples_max)));
            }
            Writer::new(&mut result).message(1, |series| {
                put_labels(&view, external, series);
                for sample in &run.samples {
                    series.message(2, |inner| {
                        // Of zeros there is one in these messages, as there.
                        if sample.value != 0.0 {
                            inner.double(1, sample.value);
                        }
                        inner.signed(2, sample.timestamp.millis());
                    });
                }
                for (at, histogram) in &run.natives {
                    series.message(4, |inner| put_histogram(at.millis(), histogram, inner));
                }
            });
            if body.len() + result.len() > WHOLE_BYTES_MAX {
                return Err(too_much(format!("the answer is longer than {WHOLE_BYTES_MAX} bytes")));
            }
        }
        put_varint(&mut body, 1 << 3 | 2);
        put_varint(&mut body, result.len() as u64);
        body.extend_from_slice(&result);
    }
    snap::raw::Encoder::new().compress_vec(&body).map_err(ApiError::internal)
}

/// Frames of packed chunks, made as they are read by the client.
pub(super) struct Frames {
    api: Arc<Api>,
    queries: std::iter::Enumerate<std::vec::IntoIter<Query>>,
    external: LabelSet,
    /// The query at hand, and its series that are left.
    at: Option<(usize, Query, std::vec::IntoIter<SeriesView>)>,
    run: Run,
    /// Held until the answer is sent or given up.
    _turn: OwnedSemaphorePermit,
}

impl Frames {
    pub(super) fn new(api: Arc<Api>, queries: Vec<Query>, external: LabelSet, turn: OwnedSemaphorePermit) -> Frames {
        let queries = queries.into_iter().enumerate();
        Frames { api, queries, external, at: None, run: Run::default(), _turn: turn }
    }
}

impl Pieces for Frames {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut out = Vec::new();
        while out.len() < PIECE_BYTES {
            let Some((index, query, views)) = &mut self.at else {
                let Some((index, query)) = self.queries.next() else { break };
                let views = found(&self.api.engine, &query)?.into_iter();
                self.at = Some((index, query, views));
                continue;
            };
            match views.next() {
                Some(view) => {
                    self.run.read(&view, query);
                    if !self.run.is_empty() || query.labels_only {
                        put_frames(*index, &view, &self.external, &self.run, &mut out);
                    }
                }
                None => self.at = None,
            }
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }
}

/// The frames of one series; a long one begins again with its labels.
fn put_frames(query_index: usize, view: &SeriesView, external: &LabelSet, run: &Run, out: &mut Vec<u8>) {
    let mut chunks = run.chunks().peekable();
    loop {
        let mut message = Vec::new();
        let mut response = Writer::new(&mut message);
        response.message(1, |series| {
            put_labels(view, external, series);
            let mut bytes = 0;
            while bytes < FRAME_BYTES
                && let Some(chunk) = chunks.next()
            {
                bytes += chunk.data.len();
                series.message(2, |inner| {
                    inner.signed(1, chunk.first.millis());
                    inner.signed(2, chunk.last.millis());
                    inner.signed(3, chunk.encoding);
                    inner.bytes(4, &chunk.data);
                });
            }
        });
        response.signed(2, i64::try_from(query_index).unwrap_or(i64::MAX));
        put_varint(out, message.len() as u64);
        out.extend_from_slice(&crc32c(&message).to_be_bytes());
        out.extend_from_slice(&message);
        if chunks.peek().is_none() {
            return;
        }
    }
}

/// The checksum of Castagnoli's polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut sum, mut bit) = (at as u32, 0);
            while bit < 8 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
                bit += 1;
            }
            table[at] = sum;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| {
        let index = usize::from((sum as u8) ^ byte);
        sum >> 8 ^ TABLE.get(index).copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
