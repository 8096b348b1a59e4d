//! From memory to blocks, and from blocks to others: what is written anew of a layer, and how it takes its place.

use std::io;
use std::sync::Arc;

use watchfire_model::{Sample, Timestamp};

use super::stored::{Span, Stored, open_piece};
use super::{Cumulative, at_second};
use crate::blocks::{BlockFile, BlockWriter, Merge, Piece};
use crate::bytes::put_value;
use crate::chunk::{Chunk, Codec};

/// Seconds of a chunk that is packed anew.
const PIECE_SECONDS: usize = 128;
const DAY_SECONDS: i64 = 86_400;
/// What came for seconds in blocks is merged early where it takes at least one part in so many of what is written for it.
const WORTH_ONE_IN: usize = 16;

/// What of a layer is to be written.
#[derive(Default)]
pub(crate) struct Leaving {
    /// Sealed chunks that it begins with in memory, each with the total before it.
    chunks: Vec<(f64, Arc<Chunk>)>,
    rewrites: Vec<Rewrite>,
}

/// Neighbouring spans that are written anew as they were, or with what came for their seconds since.
struct Rewrite {
    spans: Vec<Span>,
    since: Vec<(u32, f64)>,
}

/// Where what left a layer lies in the file being written.
pub(crate) struct Left {
    leaving: Leaving,
    /// Of the chunks.
    spans: Vec<Span>,
    /// Of each rewriting; `None` if what was there cannot be read.
    rewritten: Vec<Option<Vec<Span>>>,
}

/// A piece that is put together.
struct OwnPiece {
    /// The total before it.
    before: f64,
    seconds: u32,
    first: i64,
    last: i64,
    bytes: Vec<u8>,
}

impl OwnPiece {
    fn of(before: f64, chunk: &[u8], (seconds, first, last): (u32, i64, i64)) -> OwnPiece {
        let mut bytes = Vec::with_capacity(chunk.len() + 9);
        put_value(&mut bytes, before);
        bytes.extend_from_slice(chunk);
        OwnPiece { before, seconds, first, last, bytes }
    }

    fn of_chunk(before: f64, chunk: &Chunk) -> OwnPiece {
        OwnPiece::of(before, chunk.bytes(), (chunk.count() as u32, chunk.first(), chunk.last()))
    }

    fn piece(&self) -> Piece<'_> {
        Piece { samples: self.seconds, first: self.first, last: self.last, bytes: &self.bytes }
    }
}

/// Puts pieces that follow each other into a file, and says what they are there. A day has a span of its own, so that it
/// can go when it is over.
fn put(pieces: &[OwnPiece], writer: &mut BlockWriter) -> io::Result<Vec<Span>> {
    let mut spans = Vec::new();
    for of_day in pieces.chunk_by(|a, b| day_of(a.last) == day_of(b.last)) {
        let (Some(first), Some(last)) = (of_day.first(), of_day.last()) else { continue };
        let place = writer.put(of_day.iter().map(OwnPiece::piece))?;
        let seconds = of_day.iter().map(|piece| piece.seconds).sum();
        // Seconds of a counter are 32 bits.
        let (before, first, last) = (first.before, first.first as u32, last.last as u32);
        spans.push(Span { file: None, place, seconds, first, last, before });
    }
    Ok(spans)
}

fn day_of(second: i64) -> i64 {
    second.div_euclid(DAY_SECONDS)
}

impl Leaving {
    /// Writes all of it. Errors: the disk said no.
    pub(crate) fn write(self, writer: &mut BlockWriter, codec: &mut Codec) -> io::Result<Left> {
        let rewritten = self.rewrites.iter().map(|rewrite| rewrite.write(writer, codec)).collect::<io::Result<_>>()?;
        let pieces: Vec<OwnPiece> =
            self.chunks.iter().map(|(before, chunk)| OwnPiece::of_chunk(*before, chunk)).collect();
        Ok(Left { spans: put(&pieces, writer)?, leaving: self, rewritten })
    }
}

impl Rewrite {
    fn write(&self, writer: &mut BlockWriter, codec: &mut Codec) -> io::Result<Option<Vec<Span>>> {
        self.pieces(codec).map(|pieces| put(&pieces, writer)).transpose()
    }

    /// All its pieces; `None`, and told, if they cannot be read.
    fn pieces(&self, codec: &mut Codec) -> Option<Vec<OwnPiece>> {
        let mut out = Vec::new();
        let (mut since, mut added) = (self.since.as_slice(), 0.0);
        for (number, span) in self.spans.iter().enumerate() {
            let extent = span.extent()?;
            let loaded = extent.load()?;
            let moved = span.moved(&loaded);
            let ends_at = self.spans.get(number + 1).map(|next| i64::from(next.first));
            for (at, piece) in loaded.pieces().enumerate() {
                let ends_at = loaded.piece(at + 1).map(|next| next.first).or(ends_at);
                let many =
                    ends_at.map_or(since.len(), |end| since.partition_point(|(second, _)| i64::from(*second) < end));
                let (of_piece, rest) = since.split_at(many);
                since = rest;
                let opened = open_piece(&piece).and_then(|(before, chunk)| {
                    let before = before + moved + added;
                    if of_piece.is_empty() {
                        let is = (piece.samples, piece.first, piece.last);
                        out.push(OwnPiece::of(before, chunk, is));
                        return Ok(());
                    }
                    let mut run = Vec::new();
                    codec.decode_range(chunk, i64::MIN, i64::MAX, &mut run)?;
                    merge(&mut run, of_piece);
                    pack(&run, before, codec, &mut out);
                    Ok(())
                });
                if let Err(reason) = opened {
                    extent.tell_damaged(&reason);
                    return None;
                }
                added += of_piece.iter().map(|(_, count)| count).sum::<f64>();
            }
        }
        Some(out)
    }
}

/// Adds counts to a run of seconds.
fn merge(run: &mut Vec<Sample>, since: &[(u32, f64)]) {
    run.extend(since.iter().map(|(second, count)| at_second(*second, *count)));
    run.sort_by_key(|sample| sample.timestamp);
    run.dedup_by(|next, kept| {
        let same = next.timestamp == kept.timestamp;
        if same {
            kept.value += next.value;
        }
        same
    });
}

/// Packs a run of seconds, no piece of it in two days.
fn pack(run: &[Sample], before: f64, codec: &mut Codec, out: &mut Vec<OwnPiece>) {
    let day = |at: Timestamp| day_of(at.millis());
    let mut before = before;
    for of_day in run.chunk_by(|a, b| day(a.timestamp) == day(b.timestamp)) {
        for part in of_day.chunks(PIECE_SECONDS) {
            out.extend(codec.seal(part).map(|chunk| OwnPiece::of_chunk(before, &chunk)));
            before += part.iter().map(|sample| sample.value).sum::<f64>();
        }
    }
}

impl Left {
    /// How many seconds left memory by it.
    fn seconds(&self) -> u64 {
        self.leaving.chunks.iter().map(|(_, chunk)| chunk.count() as u64).sum()
    }
}

impl Stored {
    /// Has spans that were written anew take the place of those before, if they still stand there. Gives what was added
    /// to their seconds.
    fn replace(&mut self, rewrite: &Rewrite, new: Vec<Span>, file: &Arc<BlockFile>) -> Option<f64> {
        let old = rewrite.spans.first()?;
        let at = self.spans.partition_point(|span| span.first < old.first);
        let have = self.spans.get(at..at + rewrite.spans.len())?;
        let is_same = |(a, b): (&Span, &Span)| {
            let same_file = a.file.as_ref().zip(b.file.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
            same_file && a.place == b.place
        };
        if !have.iter().zip(&rewrite.spans).all(is_same) {
            return None;
        }
        // What was pruned may have got counts meanwhile; and seconds before these, by what was merged with them.
        let moved = have.first()?.before - old.before;
        let new =
            new.into_iter().map(|span| Span { file: Some(Arc::clone(file)), before: span.before + moved, ..span });
        let many = new.len();
        self.spans.splice(at..at + rewrite.spans.len(), new);
        let added = rewrite.since.iter().map(|(_, count)| count).sum::<f64>();
        self.spans.iter_mut().skip(at + many).for_each(|span| span.before += added);
        Some(added)
    }
}

impl Cumulative {
    /// What has to be written so that everything packed before a second is in blocks. Whoever asks says what became of
    /// it: by [`Cumulative::put_left`] or [`Cumulative::stays`].
    pub(crate) fn leaving(&mut self, before: i64, merge: Merge, codec: &mut Codec) -> Option<Leaving> {
        let chunks = self.packed.iter().take_while(|packed| packed.chunk.last() < before);
        let chunks = chunks.map(|packed| (packed.before, Arc::clone(&packed.chunk))).collect();
        let rewrites = self.stored.as_mut().map_or_else(Vec::new, |stored| stored.begin_merging(merge, codec));
        let leaving = Leaving { chunks, rewrites };
        (!leaving.chunks.is_empty() || !leaving.rewrites.is_empty()).then_some(leaving)
    }

    /// The spans of a day, if there is more than one.
    pub(crate) fn scattered(&self, day: i64) -> Option<Leaving> {
        let spans = &self.stored.as_ref()?.spans;
        let of = |span: &Span| day_of(i64::from(span.last));
        let from = spans.partition_point(|span| of(span) < day);
        let to = spans.partition_point(|span| of(span) <= day);
        let spans =
            spans.get(from..to).filter(|spans| spans.len() > 1 && spans.iter().all(|span| span.file.is_some()))?;
        Some(Leaving { chunks: Vec::new(), rewrites: vec![Rewrite { spans: spans.to_vec(), since: Vec::new() }] })
    }

    /// The days of which there is more than one span.
    pub(crate) fn scattered_days(&self) -> impl Iterator<Item = i64> {
        let spans = self.stored.as_ref().map_or(&[][..], |stored| stored.spans.as_slice());
        let days = spans.windows(2).map(|pair| (day_of(i64::from(pair[0].last)), day_of(i64::from(pair[1].last))));
        days.filter(|(day, next)| day == next).map(|(day, _)| day)
    }

    /// Has the file take the place of what was written to it, as far as that is still what the layer has; says how many
    /// seconds left memory.
    pub(crate) fn put_left(&mut self, left: Left, file: &Arc<BlockFile>, codec: &mut Codec) -> u64 {
        let mut again = Vec::new();
        let mut added = 0.0;
        // A layer that was brought back meanwhile has taken back what was being merged.
        if let Some(stored) = &mut self.stored {
            let is_merging = stored.merging.take().is_some();
            for (rewrite, new) in left.leaving.rewrites.iter().zip(&left.rewritten) {
                match new.clone().and_then(|new| stored.replace(rewrite, new, file)) {
                    Some(of_it) => added += of_it,
                    None if is_merging => again.extend_from_slice(&rewrite.since),
                    None => {}
                }
            }
            again.iter().for_each(|(second, count)| stored.over.add(*second, *count, codec));
        }
        if added != 0.0 {
            self.shift_memory(added);
        }
        if left.spans.is_empty() || !self.begins_with(&left.leaving.chunks) {
            return 0;
        }
        let seconds = left.seconds();
        // What was pruned, or merged a moment ago, may have moved all totals since they were written.
        let now = self.packed.first().map_or(0.0, |packed| packed.before);
        let moved = now - left.leaving.chunks.first().map_or(0.0, |(before, _)| *before);
        self.packed.drain(..left.leaving.chunks.len());
        self.packed.shrink_to_fit();
        let stored = self.stored.get_or_insert_default();
        let named = |span: Span| Span { file: Some(Arc::clone(file)), before: span.before + moved, ..span };
        stored.spans.extend(left.spans.into_iter().map(named));
        seconds
    }

    /// Nothing was written: all stays where it is.
    pub(crate) fn stays(&mut self, codec: &mut Codec) {
        if let Some(stored) = &mut self.stored {
            stored.take_back_merging(codec);
        }
    }

    fn begins_with(&self, chunks: &[(f64, Arc<Chunk>)]) -> bool {
        let have = self.packed.get(..chunks.len()).unwrap_or_default();
        have.len() == chunks.len() && have.iter().zip(chunks).all(|(have, (_, chunk))| Arc::ptr_eq(&have.chunk, chunk))
    }
}

impl Stored {
    /// Puts what was being merged back to what came since.
    fn take_back_merging(&mut self, codec: &mut Codec) {
        let Some(merging) = self.merging.take() else { return };
        let mut buckets = Vec::new();
        merging.memory_buckets(i64::MIN, i64::MAX, codec, &mut buckets);
        buckets.into_iter().for_each(|(second, count)| self.over.add(second, count, codec));
    }

    /// What came since, by the spans that it belongs to. From now on it is being merged; what belongs to none stays.
    fn begin_merging(&mut self, merge: Merge, codec: &mut Codec) -> Vec<Rewrite> {
        self.take_back_merging(codec);
        let (mut all, mut stays, mut rewrites) = (Vec::new(), Vec::new(), Vec::<Rewrite>::new());
        self.over.memory_buckets(i64::MIN, i64::MAX, codec, &mut all);
        for (second, count) in all {
            let at = self.spans.partition_point(|span| span.first <= second).saturating_sub(1);
            let Some(span) = self.spans.get(at).filter(|span| span.file.is_some()) else {
                stays.push((second, count));
                continue;
            };
            match rewrites.last_mut() {
                Some(rewrite) if rewrite.spans.iter().any(|one| one.first == span.first) => {
                    rewrite.since.push((second, count));
                }
                _ => rewrites.push(Rewrite { spans: vec![span.clone()], since: vec![(second, count)] }),
            }
        }
        let bytes: usize =
            rewrites.iter().flat_map(|rewrite| &rewrite.spans).map(|span| span.place.bytes() as usize).sum();
        if rewrites.is_empty() || merge == Merge::WhereWorthIt && self.over.memory_bytes() * WORTH_ONE_IN < bytes {
            return Vec::new();
        }
        let mut merging = Cumulative::default();
        let of_all = rewrites.iter().flat_map(|rewrite| &rewrite.since);
        of_all.for_each(|(second, count)| merging.add(*second, *count, codec));
        self.merging = Some(Box::new(merging));
        self.over = Cumulative { pruned: self.over.pruned, ..Cumulative::default() };
        stays.into_iter().for_each(|(second, count)| self.over.add(second, count, codec));
        rewrites
    }
}
