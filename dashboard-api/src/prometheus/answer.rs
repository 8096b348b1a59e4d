//! The answer of a query, written while it is sent: series are let go as they are written, and no whole body stands beside
//! them.

use axum::body::Bytes;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Answer, Held, MatrixSeries, Notes, Outcome, PointValue};

use super::reply::Reply;
use super::write::{self, PointTimes};
use crate::error::ApiError;
use crate::pieces::{PIECE_BYTES, Pieces};

/// What is left to be written.
pub(super) struct Written {
    left: Left,
    at: Timestamp,
    times: PointTimes,
    /// A series was written.
    begun: bool,
    /// `,"stats":…` or nothing.
    stats: String,
    notes: Notes,
    /// The head, until it is written.
    head: Option<Reply>,
    /// What the answer takes of the memory for queries.
    _memory: Held,
}

/// What series and points are taken to need when room is made for them; most need less.
const SERIES_BYTES: usize = 320;
const POINT_BYTES: usize = 44;

enum Left {
    Vector(std::vec::IntoIter<(LabelSet, PointValue)>),
    Matrix(std::vec::IntoIter<MatrixSeries>),
    /// Everything is written.
    Nothing,
}

impl Written {
    /// Of an answer at a time.
    pub(super) fn new(answer: Answer, at: Timestamp, stats: String) -> Written {
        let mut head = Reply::new();
        head.data().push(b'{');
        let left = match answer.outcome {
            Outcome::Vector(series) => {
                head.data().extend_from_slice(br#""resultType":"vector","result":["#);
                Left::Vector(series.into_iter())
            }
            Outcome::Matrix(series) => {
                head.data().extend_from_slice(br#""resultType":"matrix","result":["#);
                Left::Matrix(series.into_iter())
            }
            single @ (Outcome::Scalar(_) | Outcome::Text(_)) => {
                write::outcome(head.data(), &single, at);
                Left::Nothing
            }
        };
        let Answer { notes, memory, .. } = answer;
        Written {
            left,
            at,
            times: PointTimes::default(),
            begun: false,
            stats,
            notes,
            head: Some(head),
            _memory: memory,
        }
    }

    /// About what the next piece takes, bytes: one that grows is copied again and again.
    fn room(&self) -> usize {
        match &self.left {
            Left::Vector(series) => PIECE_BYTES.min(series.len() * SERIES_BYTES),
            Left::Matrix(series) => {
                let points = series.as_slice().first().map_or(0, |first| first.values.len());
                let of_series = SERIES_BYTES + points * POINT_BYTES;
                // The last one goes beyond what is enough.
                (series.len() * of_series).min(PIECE_BYTES + of_series)
            }
            Left::Nothing => 0,
        }
    }

    /// Writes the next series; false if there is none.
    fn series(&mut self, out: &mut Vec<u8>) -> bool {
        let separator = if self.begun { &b","[..] } else { b"" };
        match &mut self.left {
            Left::Vector(series) => {
                let Some(next) = series.next() else { return false };
                out.extend_from_slice(separator);
                write::vector_series(out, &next, self.at);
            }
            Left::Matrix(series) => {
                let Some(next) = series.next() else { return false };
                out.extend_from_slice(separator);
                write::range_series(out, &next, &mut self.times);
            }
            Left::Nothing => return false,
        }
        self.begun = true;
        true
    }
}

impl Pieces for Written {
    fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let is_list = !matches!(self.left, Left::Nothing);
        let (mut piece, is_first) = match self.head.take() {
            Some(head) => (head, true),
            None => (Reply::after(Vec::new()), false),
        };
        piece.data().reserve(self.room());
        if !is_first && !is_list {
            return Ok(None);
        }
        while self.series(piece.data()) {
            if piece.data().len() >= PIECE_BYTES {
                return Ok(Some(std::mem::take(piece.data()).into()));
            }
        }
        if is_list {
            piece.data().push(b']');
        }
        self.left = Left::Nothing;
        piece.data().extend_from_slice(self.stats.as_bytes());
        piece.data().push(b'}');
        Ok(Some(piece.finish(&self.notes).into()))
    }

    fn is_done(&self) -> bool {
        self.head.is_none() && matches!(self.left, Left::Nothing)
    }
}
