//! `/api/v1/metrics/range`: an answer that is sent as it is written, so that no whole text stands beside its values.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeTuple, Serializer};
use serde_json::json;
use watchfire_model::Timestamp;
use watchfire_query_lang::{Answer, Asked as When, EvalError, Held, MatrixSeries, Outcome, RangeSteps};

use super::{Labels, Number, OF_PROMETHEUS, evaluate, read_query, read_step};
use crate::asked_by::AskedBy;
use crate::error::ApiError;
use crate::params::Params;
use crate::pieces::{PIECE_BYTES, Pieces, in_pieces};
use crate::state::Api;

/// Points of a range that names no step, about.
const DEFAULT_POINTS: i64 = 250;
/// The range that names no start.
const DEFAULT_RANGE_MS: i64 = 3_600_000;
/// Steps that people read easily, milliseconds.
const NICE_STEPS_MS: [i64; 16] = [
    1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000,
    14_400_000, 43_200_000, 86_400_000,
];

pub(super) async fn range(State(api): State<Arc<Api>>, by: AskedBy, params: Params) -> Result<Response, ApiError> {
    params.only(&[&["query", "start", "end", "step"], &OF_PROMETHEUS])?;
    let query = read_query(&api, &params).await?;
    let now = Timestamp::now();
    let end = params.time("end", now)?.unwrap_or(now);
    let start = params.time("start", now)?.unwrap_or_else(|| end.plus_millis(-DEFAULT_RANGE_MS));
    if end < start {
        return Err(ApiError::bad_parameter("start", "the start lies after the end"));
    }
    let step = params.get("step").map(|text| read_step("step", text)).transpose()?;
    let step_ms = step.unwrap_or_else(|| default_step_ms(end.since(start)));
    let when = When::Range(RangeSteps { start, end, step_ms });
    let written = evaluate(&api, move |api, limits| {
        let answer = by.evaluate(api, query.text(), when, || api.metrics.answer(&query, when, limits))?;
        let (text, promql) = (json!(query.text()), json!(api.metrics.promql(&query, when)));
        let (start, end) = (start.millis(), end.millis());
        let head = format!(r#""query":{text},"promql":{promql},"start":{start},"end":{end},"step":{step_ms}"#);
        Written::new(head, answer)
    });
    in_pieces(written.await?, "application/json").await
}

/// The step of a range that names none: about [`DEFAULT_POINTS`] points.
fn default_step_ms(range_ms: i64) -> i64 {
    let wanted = range_ms / DEFAULT_POINTS;
    NICE_STEPS_MS.into_iter().find(|step| *step >= wanted).unwrap_or(wanted)
}

/// An answer, and what of it is left to be written.
struct Written {
    /// What stands before the series, until it is written.
    head: Option<Vec<u8>>,
    left: std::vec::IntoIter<MatrixSeries>,
    /// A series was written.
    begun: bool,
    is_done: bool,
    /// What the answer takes of the memory for queries.
    _memory: Held,
}

impl Written {
    /// `head`: the members that stand before the series.
    fn new(head: String, answer: Answer) -> Result<Written, EvalError> {
        let Answer { outcome: Outcome::Matrix(series), memory, .. } = answer else {
            return Err(EvalError::Type { reason: "the query gives no values over a range".to_owned() });
        };
        let head = format!("{{{head},\"result\":[");
        Ok(Written {
            head: Some(head.into_bytes()),
            left: series.into_iter(),
            begun: false,
            is_done: false,
            _memory: memory,
        })
    }
}

impl Pieces for Written {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.is_done {
            return Ok(None);
        }
        let mut piece = self.head.take().unwrap_or_default();
        for series in self.left.by_ref() {
            if std::mem::replace(&mut self.begun, true) {
                piece.push(b',');
            }
            serde_json::to_writer(&mut piece, &Shown(&series)).map_err(ApiError::internal)?;
            if piece.len() >= PIECE_BYTES {
                return Ok(Some(piece.into()));
            }
        }
        piece.extend_from_slice(b"]}");
        self.is_done = true;
        Ok(Some(piece.into()))
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

/// A series; of a native histogram the number of its observations.
struct Shown<'a>(&'a MatrixSeries);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let MatrixSeries { labels, values, histograms } = self.0;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("labels", &Labels(labels))?;
        if histograms.is_empty() {
            map.serialize_entry("values", &Points(values))?;
        } else {
            let counts = histograms.iter().map(|(at, histogram)| (*at, histogram.count()));
            let mut all: Vec<_> = values.iter().copied().chain(counts).collect();
            all.sort_by_key(|(at, _)| *at);
            map.serialize_entry("values", &Points(&all))?;
        }
        map.end()
    }
}

struct Points<'a>(&'a [(Timestamp, f64)]);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (at, value) in self.0 {
            list.serialize_element(&Point(*at, *value))?;
        }
        list.end()
    }
}

struct Point(Timestamp, f64);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&self.0.millis())?;
        pair.serialize_element(&Number(self.1))?;
        pair.end()
    }
}
