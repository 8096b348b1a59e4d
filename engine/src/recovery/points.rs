//! The points of a file of the log, on all cores, once the heads of its records are read and all their series known.
//!
//! Counts and observations are only looked at: each thread takes some of the records, and what they say stays resting.
//! Samples of a series have to come in their order: of some records at a time each thread reads a share, then each takes the
//! samples of the series that are its, in the order of the shares.

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
/// Bytes of the log whose samples are gathered before they go to their series: a million samples or so, so that a series of
/// many is met once instead of with each of its samples.
const GATHERED_BYTES: usize = 3 << 20;

/// A record whose head is read.
pub(super) struct Pending {
    pub(super) lsn: u64,
    /// Where its payload stands among those of the file.
    pub(super) payload: Range<usize>,
    /// Where it begins in the file, and its length there.
    pub(super) place: (u64, u64),
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
    /// Where records begin in the file that cannot be understood, and their lengths.
    pub(super) senseless: Vec<(u64, u64)>,
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

/// Takes the points of these records of a file; of that only the payloads are wanted.
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
    for (some, samples) in windows(pending, &samples) {
        take_samples(file, some, samples, known, &numbering, threads, &mut taken);
    }
    taken
}

/// Records that follow each other with what is known of each, as many as are gathered at once. One that deletes is the first of
/// its window: what came before it is in the series by then.
fn windows<'p>(
    pending: &'p [Pending],
    samples: &'p [SamplesAt],
) -> impl Iterator<Item = (&'p [Pending], &'p [SamplesAt])> {
    let mut rest = (pending, samples);
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let belongs = |(number, record): &(usize, &Pending)| {
            bytes += record.payload.len();
            *number == 0 || bytes <= GATHERED_BYTES && record.deleted.is_none()
        };
        let many = rest.0.iter().enumerate().take_while(belongs).count();
        let (records, samples) = (rest.0.split_at_checked(many)?, rest.1.split_at_checked(many)?);
        rest = (records.1, samples.1);
        (many > 0).then_some((records.0, samples.0))
    })
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
    senseless: Vec<(u64, u64)>,
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
                senseless.push(record.place);
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

/// Takes the samples of some records: reads them in shares, and puts them into their series.
fn take_samples(
    file: &[u8],
    some: &[Pending],
    samples: &[SamplesAt],
    known: &Known,
    numbering: &Numbering,
    threads: usize,
    taken: &mut Taken,
) {
    let bytes: usize = some.iter().map(|record| record.payload.len()).sum();
    let mut samples = samples;
    let with_places = |share: &[Pending]| {
        let (of_share, rest) = samples.split_at(share.len().min(samples.len()));
        samples = rest;
        of_share
    };
    let of_records = shares(some, bytes.div_ceil(threads).max(SHARE_MIN));
    let places: Vec<&[SamplesAt]> = of_records.iter().copied().map(with_places).collect();
    let work = of_records.into_iter().zip(places).collect();
    let read: Vec<Read> = on_all(work, |(records, samples)| read_samples(file, records, samples, numbering, threads));
    let deleted = some.first().and_then(|record| record.deleted.as_ref());
    let orphans = on_all((0..threads).collect(), |turn| {
        with_codec(|codec| {
            let mut turn = Turn { turn, known, codec, orphans: 0 };
            if let Some(deletion) = deleted {
                turn.delete(deletion, numbering);
            }
            turn.put(&read);
            turn.orphans
        })
    });
    taken.orphans += orphans.into_iter().sum::<u64>();
    for share in read {
        taken.points += share.points;
        taken.orphans += share.orphans;
        taken.senseless.extend(share.senseless);
    }
}

/// A sample, or a native histogram with its time, and the place of its series.
struct Point<T> {
    place: u32,
    value: T,
}

/// What some records have for the series of one turn, in the order of the log.
#[derive(Default)]
struct OfTurn {
    samples: Vec<Point<Sample>>,
    natives: Vec<Point<(i64, Histogram)>>,
}

/// What was read of a share of records.
struct Read<'n> {
    lookup: Lookup<'n>,
    of_turns: Vec<OfTurn>,
    points: u64,
    orphans: u64,
    senseless: Vec<(u64, u64)>,
}

fn read_samples<'n>(
    file: &[u8],
    records: &[Pending],
    samples: &[SamplesAt],
    numbering: &'n Numbering,
    threads: usize,
) -> Read<'n> {
    let of_turns = (0..threads).map(|_| OfTurn::default()).collect();
    let mut read = Read { lookup: numbering.lookup(), of_turns, points: 0, orphans: 0, senseless: Vec::new() };
    for (record, samples) in records.iter().zip(samples) {
        let payload = file.get(record.payload.clone()).unwrap_or_default();
        let understood = match samples {
            SamplesAt::Nowhere => Ok(()),
            SamplesAt::Among(place) => record::read_counts(payload, *place, &mut read).map(drop),
            SamplesAt::Behind(place) => record::read_samples(payload, *place, &mut read),
        };
        if understood.is_err() {
            read.senseless.push(record.place);
        }
    }
    read
}

impl Read<'_> {
    /// The place of the series of a number, and who takes so many points of it.
    fn place(&mut self, id: u64, points: usize) -> Option<(u32, &mut OfTurn)> {
        let found = self.lookup.find(id);
        *(if found.is_some() { &mut self.points } else { &mut self.orphans }) += points as u64;
        let entry = found?;
        self.of_turns.get_mut(entry.turn).map(|of_turn| (entry.place, of_turn))
    }
}

impl Points for Read<'_> {
    fn samples(&mut self, id: u64, samples: &[(i64, f64)]) {
        let Some((place, of_turn)) = self.place(id, samples.len()) else { return };
        let point = |(at, value): &(i64, f64)| {
            let value = Sample { timestamp: Timestamp::from_millis(*at), value: *value };
            Point { place, value }
        };
        of_turn.samples.extend(samples.iter().map(point));
    }

    fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        let Some((place, of_turn)) = self.place(id, 1) else { return };
        of_turn.natives.push(Point { place, value: (at, histogram.clone()) });
    }

    fn additive(&mut self, _: u64, _: AdditivePoints) -> Result<(), Damaged> {
        Ok(())
    }
}

/// One of some threads that put samples into series, each into those of its shards.
struct Turn<'t> {
    turn: usize,
    known: &'t Known,
    codec: &'t mut Codec,
    orphans: u64,
}

impl Turn<'_> {
    /// Puts what was read into the series, one after another, each in the order of the log.
    fn put(&mut self, read: &[Read]) {
        let mine: Vec<&OfTurn> = read.iter().filter_map(|share| share.of_turns.get(self.turn)).collect();
        let samples: Vec<&[Point<Sample>]> = mine.iter().map(|of| &*of.samples).collect();
        let by_series = BySeries::of(&samples, self.known.series.len());
        for (series, run) in by_series.runs().filter_map(|(place, run)| Some((self.known.series.get(place)?, run))) {
            if matches!(series.kind, SeriesKind::Samples(_)) {
                // They were accepted once; if they are there already, the snapshot brought them.
                series.state.lock().push_run(run, self.codec);
            } else {
                self.orphans += run.len() as u64;
            }
        }
        for Point { place, value: (at, histogram) } in mine.iter().flat_map(|of| &of.natives) {
            match self.known.series.get(*place as usize).filter(|series| matches!(series.kind, SeriesKind::Samples(_)))
            {
                Some(series) => {
                    let _ = series.state.lock().push_native(*at, histogram, &TimeBounds::ALL, self.codec);
                }
                None => self.orphans += 1,
            }
        }
    }

    fn delete(&mut self, deletion: &Deletion, numbering: &Numbering) {
        let mut lookup = numbering.lookup();
        for id in &deletion.ids {
            let entry = lookup.find(*id).filter(|entry| entry.turn == self.turn);
            if let Some(series) = entry.and_then(|entry| self.known.series.get(entry.place as usize)) {
                series.state.lock().remove_samples(deletion.after, deletion.until, self.codec);
            }
        }
    }
}

/// Samples sorted by their series, each series' in the order they came in: counted first, so that each goes to its place at
/// once.
struct BySeries {
    samples: Vec<Sample>,
    /// By the place of a series, where its samples end.
    ends: Vec<u32>,
}

impl BySeries {
    fn of(parts: &[&[Point<Sample>]], series: usize) -> BySeries {
        let points = || parts.iter().copied().flatten();
        let mut ends = vec![0u32; series];
        // A window of the log has some millions at most.
        for point in points() {
            if let Some(count) = ends.get_mut(point.place as usize) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            // Where they begin, until each is in its place.
            sum += std::mem::replace(end, sum);
        }
        let nothing = Sample { timestamp: Timestamp::from_millis(0), value: 0.0 };
        let mut samples = vec![nothing; sum as usize];
        for point in points() {
            let Some(next) = ends.get_mut(point.place as usize) else { continue };
            if let Some(place) = samples.get_mut(*next as usize) {
                *place = point.value;
            }
            *next += 1;
        }
        BySeries { samples, ends }
    }

    /// The place of each series that has samples, with them.
    fn runs(&self) -> impl Iterator<Item = (usize, &[Sample])> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let all = begins.zip(&self.ends).enumerate();
        all.filter_map(|(place, (begin, end))| {
            let run = self.samples.get(begin as usize..*end as usize).filter(|run| !run.is_empty())?;
            Some((place, run))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(deleting: &[usize]) -> Vec<Pending> {
        let deletion = || Deletion { ids: Vec::new(), after: 0, until: 0 };
        let record = |number: usize| Pending {
            lsn: number as u64,
            payload: number * 100..number * 100 + number * 7 % 90,
            place: (0, 0),
            counts: record::read_head(&[3, 0, 0], &mut Nobody).expect("a head"),
            counts_are_taken: true,
            fills: false,
            cleared: Vec::new(),
            deleted: deleting.contains(&number).then(deletion),
        };
        (0..50usize).map(record).collect()
    }

    #[test]
    fn shares_are_all_records_in_their_order() {
        let pending = records(&[]);
        for bytes in [0, 1, 100, 500, 100_000] {
            let shares = shares(&pending, bytes);
            let lsns: Vec<u64> = shares.iter().flat_map(|share| share.iter().map(|record| record.lsn)).collect();
            assert_eq!(lsns, (0..50).collect::<Vec<u64>>(), "{bytes}");
            assert!(shares.iter().all(|share| !share.is_empty()));
        }
        assert_eq!(shares(&pending, 100_000).len(), 1);
    }

    #[test]
    fn a_deletion_begins_a_window() {
        let pending = records(&[0, 7, 8, 30]);
        let samples = vec![SamplesAt::Nowhere; pending.len()];
        let windows: Vec<(u64, usize)> =
            windows(&pending, &samples).map(|(some, samples)| (some[0].lsn, samples.len())).collect();
        assert_eq!(windows, [(0, 7), (7, 1), (8, 22), (30, 20)]);
    }

    #[test]
    fn samples_are_sorted_by_series_and_stay_in_their_order() {
        let sample = |at: i64| Sample { timestamp: Timestamp::from_millis(at), value: at as f64 };
        let points: Vec<Point<Sample>> =
            (0..1000).map(|at| Point { place: (at * 7919 % 13) as u32, value: sample(at) }).collect();
        let (first, second) = points.split_at(400);
        let by_series = BySeries::of(&[first, second], 20);
        let found: Vec<(usize, Vec<i64>)> = by_series
            .runs()
            .map(|(place, run)| (place, run.iter().map(|sample| sample.timestamp.millis()).collect()))
            .collect();
        let wanted = (0..13usize).map(|place| {
            let of_place = points.iter().filter(|point| point.place as usize == place);
            (place, of_place.map(|point| point.value.timestamp.millis()).collect())
        });
        assert_eq!(found, wanted.collect::<Vec<_>>());
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
