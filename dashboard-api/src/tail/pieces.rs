//! What readers of the live tail are sent, made once for all who ask the same.
//!
//! A batch may hold megabytes and a thousand readers may watch, so nobody makes more of a batch at a time than a
//! piece; and a piece is kept for a while, so that the readers who come next need not make it again.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use axum::extract::ws::Utf8Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use watchfire_log_store::document::{Document, Names};
use watchfire_log_store::query::{Query, matches};
use watchfire_model::{LogRecord, RecordView};

use super::Stored;

/// Bytes of stored records after which a piece ends; one record is a piece however large it is.
const PIECE_BYTES: usize = 32 << 10;
/// Most pieces that are kept.
const KEPT_MAX: usize = 256;
/// Bytes of pieces that are kept; the newest one is kept however large it is.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// How a record is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// D2: the record itself, `seq` as integer id, the level in upper case.
    Flat,
    /// D4: `{topic, payload}`.
    Envelope,
}

impl Shape {
    fn text(self, seq: u64, record: &LogRecord) -> Utf8Bytes {
        let document = |names| Document { record, seq: Some(seq), names };
        match self {
            Shape::Envelope => text(&Envelope { topic: "logs.insights", payload: document(Names::Canonical) }),
            Shape::Flat => text(&document(Names::D2)),
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'static str,
    payload: Document<'a>,
}

/// What is sent, as JSON.
pub fn text(value: &impl Serialize) -> Utf8Bytes {
    // A record has text keys only, so that it always serialises.
    Utf8Bytes::from(serde_json::to_string(value).unwrap_or_default())
}

/// A stretch of a batch, as those see it who ask the same.
#[derive(Debug)]
pub struct Piece {
    /// A text for each record that meets the filter, oldest first.
    pub messages: Vec<Utf8Bytes>,
    /// The index in the batch of the first record behind the piece.
    pub end: usize,
    bytes: usize,
}

impl Piece {
    fn make(batch: &dyn Stored, start: usize, filter: &Query, shape: Shape) -> Piece {
        let mut piece = Piece { messages: Vec::new(), end: start, bytes: 0 };
        let mut seq = batch.first_seq() + start as u64;
        let mut stored_bytes = 0;
        batch.visit_from(start, &mut |bytes| {
            if let Ok(view) = RecordView::parse(bytes)
                && matches(filter, &view, seq)
            {
                let text = shape.text(seq, &view.to_record());
                piece.bytes += text.len();
                piece.messages.push(text);
            }
            seq += 1;
            piece.end += 1;
            stored_bytes += bytes.len();
            stored_bytes < PIECE_BYTES
        });
        // A batch that ends before its count would be asked for the same place for ever.
        piece.end = piece.end.max(start + 1);
        piece
    }
}

/// A piece that is there or in the making.
struct Kept {
    first_seq: u64,
    start: usize,
    filter: Arc<Query>,
    shape: Shape,
    piece: Arc<OnceLock<Arc<Piece>>>,
}

/// The pieces that were asked for last.
#[derive(Default)]
pub struct Pieces(Mutex<VecDeque<Kept>>);

impl Pieces {
    /// The piece of a batch that begins at a record. Readers share it if they have the very same filter.
    pub fn get(&self, batch: &dyn Stored, start: usize, filter: &Arc<Query>, shape: Shape) -> Arc<Piece> {
        let first_seq = batch.first_seq();
        let is_it = |kept: &Kept| {
            (kept.first_seq, kept.start, kept.shape) == (first_seq, start, shape) && Arc::ptr_eq(&kept.filter, filter)
        };
        let piece = {
            let mut all = self.0.lock();
            let found = all.iter().rev().find(|kept| is_it(kept)).map(|kept| kept.piece.clone());
            found.unwrap_or_else(|| {
                let piece: Arc<OnceLock<Arc<Piece>>> = Arc::default();
                all.push_back(Kept { first_seq, start, filter: filter.clone(), shape, piece: piece.clone() });
                make_room(&mut all);
                piece
            })
        };
        piece.get_or_init(|| Arc::new(Piece::make(batch, start, filter, shape))).clone()
    }

    /// Forgets all pieces: nobody watches.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.0.lock().iter().map(bytes).sum()
    }
}

fn bytes(kept: &Kept) -> usize {
    kept.piece.get().map_or(0, |piece| piece.bytes)
}

fn make_room(all: &mut VecDeque<Kept>) {
    let mut total: usize = all.iter().map(bytes).sum();
    while all.len() > KEPT_MAX || total > KEPT_BYTES_MAX {
        let Some(oldest) = all.pop_front() else { return };
        total -= bytes(&oldest).min(total);
    }
}

#[cfg(test)]
mod tests {
    use watchfire_log_store::query::parse;
    use watchfire_model::{Level, Timestamp};

    use super::*;

    struct Batch(Vec<Vec<u8>>);

    impl Batch {
        /// Records of about `bytes` each; every second one is an error.
        fn of(count: usize, bytes: usize) -> Batch {
            let record = |at: usize| {
                let level = if at.is_multiple_of(2) { Level::Error } else { Level::Info };
                let record =
                    LogRecord { message: format!("{at} {}", "x".repeat(bytes)), level, ..LogRecord::default() };
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                bytes
            };
            Batch((0..count).map(record).collect())
        }
    }

    impl Stored for Batch {
        fn first_seq(&self) -> u64 {
            1000
        }

        fn count(&self) -> usize {
            self.0.len()
        }

        fn bytes(&self) -> usize {
            self.0.iter().map(Vec::len).sum()
        }

        fn visit_from(&self, start: usize, visit: &mut dyn FnMut(&[u8]) -> bool) {
            let _ = self.0.iter().skip(start).all(|record| visit(record));
        }
    }

    fn filter(text: &str) -> Arc<Query> {
        Arc::new(parse(text, Timestamp::now()).expect("a query"))
    }

    #[test]
    fn the_pieces_of_a_batch_are_small_and_together_all_of_it() {
        for (count, bytes) in [(1, 10), (1000, 100), (7, 100_000), (100_000, 0)] {
            let (batch, pieces, errors) = (Batch::of(count, bytes), Pieces::default(), filter("level:error"));
            let (mut start, mut seqs) = (0, Vec::new());
            while start < batch.count() {
                let piece = pieces.get(&batch, start, &errors, Shape::Envelope);
                let stored: usize = batch.0[start..piece.end].iter().map(Vec::len).sum();
                assert!(stored < PIECE_BYTES + bytes + 100, "{stored} bytes in a piece");
                seqs.extend(piece.messages.iter().map(|text| {
                    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
                    value["payload"]["seq"].as_u64().expect("a number")
                }));
                start = piece.end;
            }
            let expected: Vec<u64> = (1000..).step_by(2).take(count.div_ceil(2)).collect();
            assert_eq!(seqs, expected, "{count} records of {bytes}");
        }
    }

    #[test]
    fn who_asks_the_same_shares_and_what_is_kept_is_bounded() {
        let (batch, pieces, all) = (Batch::of(2000, 20_000), Pieces::default(), filter(""));
        let first = pieces.get(&batch, 0, &all, Shape::Flat);
        assert!(Arc::ptr_eq(&first, &pieces.get(&batch, 0, &all, Shape::Flat)));
        assert!(!Arc::ptr_eq(&first, &pieces.get(&batch, 0, &all, Shape::Envelope)));
        let mut start = 0;
        while start < batch.count() {
            start = pieces.get(&batch, start, &all, Shape::Flat).end;
            assert!(pieces.bytes() <= KEPT_BYTES_MAX + (64 << 10), "{} bytes", pieces.bytes());
        }
        assert!(!Arc::ptr_eq(&first, &pieces.get(&batch, 0, &all, Shape::Flat)), "the first one is long gone");
    }
}
