//! The points of a file of the log, on all cores, once the heads of its records are read and all their series known.
//!
//! Counts and observations are only looked at: each thread takes some of the records, and what they say stays resting.
//! Samples of a series have to come in their order: each thread goes over all records, and takes the series that are its.

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::{Histogram, Sample, Timestamp};

use super::Known;
use super::numbering::{Entry, Lookup, Numbering};
use crate::backfill::Hours;
use crate::bytes::Damaged;
use crate::chunk::{Codec, with_codec};
use crate::delete::Deletion;
use crate::kind::SeriesKind;
use crate::limits::TimeBounds;
use crate::resting::LogPart;
use crate::wal::record::{self, AdditivePoints, Points, PointsAt};

const THREADS_MAX: usize = 8;
/// A thread is not worth it for fewer bytes of log.
const SHARE_MIN: usize = 1 << 18;
/// Samples that a thread gathers before it puts them into their series: 16 MB, for which a series of many is met once
/// instead of with each of its samples.
const GATHERED_MAX: usize = 1 << 19;
/// A native histogram counts for as many.
const NATIVE_WEIGHT: usize = 64;

/// A record whose head is read.
pub(super) struct Pending {
    pub(super) lsn: u64,
    /// Where its payload stands in the file.
    pub(super) payload: Range<usize>,
    /// Where counts and observations begin in that; nowhere if it has no points at all.
    pub(super) counts: Option<PointsAt>,
    pub(super) counts_are_taken: bool,
    /// They are of a backfill.
    pub(super) fills: bool,
    /// Of these series (places in the list of all) what backfills put into these hours goes before.
    pub(super) cleared: Vec<(u32, Hours)>,
    /// These samples are deleted.
    pub(super) deleted: Option<Deletion>,
}

/// What the points of a file lead to.
#[derive(Default)]
pub(super) struct Taken {
    /// In the order of the log.
    pub(super) parts: Vec<LogPart>,
    pub(super) points: u64,
    /// Points whose series nothing defines.
    pub(super) orphans: u64,
    /// Payloads that cannot be understood.
    pub(super) senseless: Vec<Range<usize>>,
}

/// Where the samples of a record are.
#[derive(Clone, Copy)]
enum SamplesAt {
    /// There are none, or the record makes no sense up to there.
    Nowhere,
    /// Among counts and observations, as in records of before.
    Among(PointsAt),
    Behind(PointsAt),
}

/// Takes the points of these records of a file.
pub(super) fn take_points(file: &Arc<Vec<u8>>, pending: &[Pending], known: &Known) -> Taken {
    if pending.is_empty() {
        return Taken::default();
    }
    let bytes: usize = pending.iter().map(|record| record.payload.len()).sum();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
    let threads = cores.min(bytes / SHARE_MIN + 1);
    let mut taken = Taken::default();
    let numbering = Numbering::of(known, threads);
    let counts = on_all(shares(pending, bytes.div_ceil(threads)), |share| take_counts(file, share, known, &numbering));
    let mut samples: Vec<SamplesAt> = Vec::with_capacity(pending.len());
    for mut of_share in counts {
        samples.append(&mut of_share.samples);
        taken.points += of_share.points;
        taken.orphans += of_share.orphans;
        taken.senseless.append(&mut of_share.senseless);
        taken.parts.push(of_share.part);
    }
    let of_threads = on_all((0..threads).collect(), |turn| {
        let all = pending.iter().zip(&samples);
        with_codec(|codec| take_samples(file, all, Turn::new(turn, known, &numbering, codec)))
    });
    for (points, orphans, senseless) in of_threads {
        taken.points += points;
        taken.orphans += orphans;
        taken.senseless.extend(senseless);
    }
    taken
}

/// Does the work for each of the inputs, each on a thread of its own; the last one on this.
fn on_all<I: Send, O: Send>(mut inputs: Vec<I>, work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let Some(last) = inputs.pop() else { return Vec::new() };
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> = inputs.into_iter().map(|input| scope.spawn(move || work(input))).collect();
        let last = work(last);
        // A thread that panics takes the whole opening with it, as it would without threads.
        let others =
            others.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.collect::<Vec<O>>().into_iter().chain([last]).collect()
    })
}

/// Records that follow each other, in shares of about so many bytes.
fn shares(pending: &[Pending], bytes: usize) -> Vec<&[Pending]> {
    let (mut shares, mut rest) = (Vec::new(), pending);
    while !rest.is_empty() {
        let mut sum = 0;
        let many = rest.iter().take_while(|record| {
            let is_first = sum == 0;
            sum += record.payload.len().max(1);
            is_first || sum <= bytes
        });
        let (share, after) = rest.split_at(many.count());
        shares.push(share);
        rest = after;
    }
    shares
}

/// What counts and observations of some records lead to.
struct OfShare {
    part: LogPart,
    samples: Vec<SamplesAt>,
    points: u64,
    orphans: u64,
    senseless: Vec<Range<usize>>,
}

fn take_counts(file: &Arc<Vec<u8>>, share: &[Pending], known: &Known, numbering: &Numbering) -> OfShare {
    let bytes = share.iter().map(|record| record.payload.len()).sum();
    let mut counts = Counts {
        part: LogPart::new(file.clone(), bytes),
        lookup: numbering.lookup(),
        of: None,
        has_samples: false,
        points: 0,
        orphans: 0,
    };
    let (mut samples, mut senseless) = (Vec::with_capacity(share.len()), Vec::new());
    for record in share {
        record.cleared.iter().for_each(|(series, hours)| counts.part.cleared(*series, hours));
        (counts.of, counts.has_samples) = (Some(record), false);
        let payload = file.get(record.payload.clone()).unwrap_or_default();
        let Some(place) = record.counts else {
            samples.push(SamplesAt::Nowhere);
            continue;
        };
        samples.push(match record::read_counts(payload, place, &mut counts) {
            Ok(_) if counts.has_samples => SamplesAt::Among(place),
            Ok(place) => SamplesAt::Behind(place),
            Err(_) => {
                senseless.push(record.payload.clone());
                SamplesAt::Nowhere
            }
        });
    }
    counts.part.sort(known.series.len());
    OfShare { part: counts.part, samples, points: counts.points, orphans: counts.orphans, senseless }
}

/// Takes counts and observations; samples are for later.
struct Counts<'k> {
    part: LogPart,
    lookup: Lookup<'k>,
    of: Option<&'k Pending>,
    has_samples: bool,
    points: u64,
    orphans: u64,
}

impl Points for Counts<'_> {
    fn samples(&mut self, _: u64, _: &[(i64, f64)]) {
        self.has_samples = true;
    }

    fn native(&mut self, _: u64, _: i64, _: &Histogram) {}

    fn additive(&mut self, id: u64, points: AdditivePoints) -> Result<(), Damaged> {
        let Some(Entry { place, contains_lsn, .. }) = self.lookup.find(id) else {
            self.orphans += u64::from(points.count);
            return Ok(());
        };
        self.points += u64::from(points.count);
        match self.of {
            Some(record) if record.counts_are_taken && record.lsn > *contains_lsn => {
                self.part.points(*place, points, record.payload.start, record.fills)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Takes the samples of the series whose turn it is; gives points, orphans and what makes no sense.
fn take_samples<'p>(
    file: &[u8],
    all: impl Iterator<Item = (&'p Pending, &'p SamplesAt)>,
    mut turn: Turn,
) -> (u64, u64, Vec<Range<usize>>) {
    let mut senseless = Vec::new();
    for (record, samples) in all {
        if let Some(deletion) = &record.deleted {
            turn.delete(deletion);
        }
        let payload = file.get(record.payload.clone()).unwrap_or_default();
        let understood = match samples {
            SamplesAt::Nowhere => Ok(()),
            SamplesAt::Among(place) => record::read_counts(payload, *place, &mut turn).map(drop),
            SamplesAt::Behind(place) => record::read_samples(payload, *place, &mut turn),
        };
        if understood.is_err() && turn.is_first() {
            senseless.push(record.payload.clone());
        }
    }
    turn.put_gathered();
    (turn.points, turn.orphans, senseless)
}

/// A point of the log, until as many are there that it is worth going to each series once.
struct Point {
    place: u32,
    at: i64,
    value: Value,
}

enum Value {
    Number(f64),
    Native(Box<Histogram>),
}

/// One of some threads that take samples, each those of its shards.
struct Turn<'t> {
    turn: usize,
    known: &'t Known,
    lookup: Lookup<'t>,
    codec: &'t mut Codec,
    /// In the order of the log.
    gathered: Vec<Point>,
    weight: usize,
    points: u64,
    orphans: u64,
}

impl<'t> Turn<'t> {
    fn new(turn: usize, known: &'t Known, numbering: &'t Numbering, codec: &'t mut Codec) -> Turn<'t> {
        Turn { turn, known, lookup: numbering.lookup(), codec, gathered: Vec::new(), weight: 0, points: 0, orphans: 0 }
    }

    /// It counts what nobody takes.
    fn is_first(&self) -> bool {
        self.turn == 0
    }

    /// The place of the series of a number, for so many points of it, if it is this one's turn.
    fn place(&mut self, id: u64, points: usize) -> Option<u32> {
        match self.lookup.find(id) {
            Some(entry) if entry.turn == self.turn => {
                self.points += points as u64;
                Some(entry.place)
            }
            Some(_) => None,
            None => {
                self.orphans += if self.is_first() { points as u64 } else { 0 };
                None
            }
        }
    }

    fn gather(&mut self, point: Point, weight: usize) {
        self.gathered.push(point);
        self.weight += weight;
        if self.weight >= GATHERED_MAX {
            self.put_gathered();
        }
    }

    /// Puts what is gathered into its series, one series after another, each in the order of the log.
    fn put_gathered(&mut self) {
        self.gathered.sort_by_key(|point| point.place);
        for points in self.gathered.chunk_by(|one, next| one.place == next.place) {
            let series = points.first().and_then(|point| self.known.series.get(point.place as usize));
            let Some(series) = series.filter(|series| matches!(series.kind, SeriesKind::Samples(_))) else {
                self.orphans += points.len() as u64;
                continue;
            };
            let mut state = series.state.lock();
            for Point { at, value, .. } in points {
                // It was accepted once; if it is there already, the snapshot brought it.
                let _ = match value {
                    Value::Number(value) => {
                        let sample = Sample { timestamp: Timestamp::from_millis(*at), value: *value };
                        state.push(sample, &TimeBounds::ALL, self.codec)
                    }
                    Value::Native(histogram) => state.push_native(*at, histogram, &TimeBounds::ALL, self.codec),
                };
            }
        }
        self.gathered.clear();
        self.weight = 0;
    }

    fn delete(&mut self, deletion: &Deletion) {
        // What came before it is deleted too.
        self.put_gathered();
        for id in &deletion.ids {
            let entry = self.lookup.find(*id).filter(|entry| entry.turn == self.turn);
            if let Some(series) = entry.and_then(|entry| self.known.series.get(entry.place as usize)) {
                series.state.lock().remove_samples(deletion.after, deletion.until, self.codec);
            }
        }
    }
}

impl Points for Turn<'_> {
    fn samples(&mut self, id: u64, samples: &[(i64, f64)]) {
        let Some(place) = self.place(id, samples.len()) else { return };
        for (at, value) in samples {
            self.gather(Point { place, at: *at, value: Value::Number(*value) }, 1);
        }
    }

    fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        let Some(place) = self.place(id, 1) else { return };
        self.gather(Point { place, at, value: Value::Native(Box::new(histogram.clone())) }, NATIVE_WEIGHT);
    }

    fn additive(&mut self, _: u64, _: AdditivePoints) -> Result<(), Damaged> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_records_in_their_order() {
        let pending: Vec<Pending> = (0..50usize)
            .map(|number| Pending {
                lsn: number as u64,
                payload: number * 100..number * 100 + number * 7 % 90,
                counts: record::read_head(&[3, 0, 0], &mut Nobody).expect("a head"),
                counts_are_taken: true,
                fills: false,
                cleared: Vec::new(),
                deleted: None,
            })
            .collect();
        for bytes in [0, 1, 100, 500, 100_000] {
            let shares = shares(&pending, bytes);
            let lsns: Vec<u64> = shares.iter().flat_map(|share| share.iter().map(|record| record.lsn)).collect();
            assert_eq!(lsns, (0..50).collect::<Vec<u64>>(), "{bytes}");
            assert!(shares.iter().all(|share| !share.is_empty()));
        }
        assert_eq!(shares(&pending, 100_000).len(), 1);
    }

    struct Nobody;

    impl record::Heads for Nobody {
        fn begin(&mut self, _: Option<&crate::batch::SourcePosition>) {}
        fn begin_backfill(&mut self, _: &Hours) {}
        fn delete(&mut self, _: Deletion) {}
        fn exemplar(&mut self, _: u64, _: watchfire_model::LabelSet, _: crate::Exemplar) {}
        fn notes(&mut self, _: Vec<crate::notes::MetricNote>) {}
        fn define(&mut self, _: u64, _: crate::kind::SeriesKind, _: &[u8]) -> Result<(), Damaged> {
            Ok(())
        }
    }
}
