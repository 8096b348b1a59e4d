//! The points of a file of the log, on all cores, once the heads of its records are read and all their series known.
//!
//! Counts and observations are only looked at: each thread takes some of the records, and what they say stays resting.
//! Samples of a series have to come in their order: of some records at a time each thread reads a share and sorts the samples by
//! shards of the engine, then each takes the samples of a shard, in the order of the shares. Those of a shard are so few that they
//! are sorted by series within the processor's caches.

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::{Histogram, Sample, Timestamp};

use super::Known;
use super::numbering::{Entry, Lookup, Numbering};
use crate::backfill::Hours;
use crate::bytes::Damaged;
use crate::chunk::{Codec, with_codec};
use crate::cores;
use crate::delete::Deletion;
use crate::kind::SeriesKind;
use crate::limits::TimeBounds;
use crate::resting::LogPart;
use crate::wal::record::{self, AdditivePoints, Points, PointsAt};

/// A thread is not worth it for fewer bytes of log.
const SHARE_MIN: usize = 1 << 18;
/// Shares of a thread: one that is held up leaves some to the others.
const SHARES_PER_THREAD: usize = 4;
/// Bytes of the log whose samples are gathered before they go to their series: two or three million samples, so that a series
/// of many is met once instead of with each of its samples.
const GATHERED_BYTES: usize = 8 << 20;
/// A sample takes about so many bytes of the log.
const SAMPLE_BYTES: usize = 3;

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
    let threads = cores::threads().min(bytes / SHARE_MIN + 1);
    let mut taken = Taken::default();
    let numbering = Numbering::of(known);
    let of_threads = shares(pending, bytes.div_ceil(threads));
    let counts = cores::on_all(of_threads, |share| take_counts(file, share, known, &numbering));
    let mut samples: Vec<SamplesAt> = Vec::with_capacity(pending.len());
    for mut of_share in counts {
        samples.append(&mut of_share.samples);
        taken.points += of_share.points;
        taken.orphans += of_share.orphans;
        taken.senseless.append(&mut of_share.senseless);
        taken.parts.push(of_share.part);
    }
    for (some, samples) in windows(pending, &samples) {
        take_samples(file, some, samples, known, &numbering, &mut taken);
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
    taken: &mut Taken,
) {
    let bytes: usize = some.iter().map(|record| record.payload.len()).sum();
    let mut samples = samples;
    let with_places = |share| {
        let share: &[Pending] = share;
        let (of_share, rest) = samples.split_at(share.len().min(samples.len()));
        samples = rest;
        (share, of_share)
    };
    let of_share = bytes.div_ceil(cores::threads() * SHARES_PER_THREAD).max(SHARE_MIN);
    let work: Vec<(&[Pending], &[SamplesAt])> = shares(some, of_share).into_iter().map(with_places).collect();
    let read = cores::on_all(work, |(records, samples)| read_samples(file, records, samples, numbering));
    let deleted = some.first().and_then(|record| record.deleted.as_ref());
    let of_shards = numbering.of_shards().iter().enumerate().collect();
    let orphans = cores::on_all(of_shards, |(shard, places)| {
        with_codec(|codec| {
            let mut putting = Putting { shard, places, known, codec, orphans: 0 };
            if let Some(deletion) = deleted {
                putting.delete(deletion, numbering);
            }
            putting.put(&read);
            putting.orphans
        })
    });
    taken.orphans += orphans.into_iter().sum::<u64>();
    for share in read {
        taken.points += share.points;
        taken.orphans += share.orphans;
        taken.senseless.extend(share.senseless);
    }
}

/// A sample of a series of a shard.
struct Point {
    /// Place of the series among those of the shard.
    series: u32,
    /// Place of its time among those that were read. Samples of a record have few times.
    time: u32,
    value: f64,
}

/// A native histogram of a series of a shard, with its time in milliseconds.
struct Native {
    series: u32,
    at: i64,
    histogram: Histogram,
}

/// What some records have for the series of a shard, in the order of the log.
#[derive(Default)]
struct OfShard {
    samples: Vec<Point>,
    natives: Vec<Native>,
}

/// What was read of a share of records.
struct Read<'n> {
    lookup: Lookup<'n>,
    times: Vec<i64>,
    of_shards: Vec<OfShard>,
    /// How many samples a shard will have, about.
    expected: usize,
    points: u64,
    orphans: u64,
    senseless: Vec<(u64, u64)>,
}

fn read_samples<'n>(file: &[u8], records: &[Pending], samples: &[SamplesAt], numbering: &'n Numbering) -> Read<'n> {
    let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let of_shards: Vec<OfShard> = numbering.of_shards().iter().map(|_| OfShard::default()).collect();
    let expected = bytes / SAMPLE_BYTES / of_shards.len().max(1);
    let (lookup, times) = (numbering.lookup(), Vec::new());
    let mut read = Read { lookup, times, of_shards, expected, points: 0, orphans: 0, senseless: Vec::new() };
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

impl Points for Read<'_> {
    fn samples(&mut self, id: u64, samples: &[(i64, f64)]) {
        let expected = self.expected;
        let Read { lookup, times, of_shards, points, orphans, .. } = self;
        let Some(entry) = lookup.find(id) else {
            *orphans += samples.len() as u64;
            return;
        };
        *points += samples.len() as u64;
        let Some(of_shard) = of_shards.get_mut(entry.shard as usize) else { return };
        if of_shard.samples.capacity() == 0 {
            of_shard.samples.reserve(expected);
        }
        of_shard.samples.extend(samples.iter().map(|(at, value)| {
            if times.last() != Some(at) {
                times.push(*at);
            }
            // A share has some megabytes, and a sample takes a byte of it at least.
            Point { series: entry.in_shard, time: times.len() as u32 - 1, value: *value }
        }));
    }

    fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        let Some(entry) = self.lookup.find(id) else {
            self.orphans += 1;
            return;
        };
        self.points += 1;
        if let Some(of_shard) = self.of_shards.get_mut(entry.shard as usize) {
            of_shard.natives.push(Native { series: entry.in_shard, at, histogram: histogram.clone() });
        }
    }

    fn additive(&mut self, _: u64, _: AdditivePoints) -> Result<(), Damaged> {
        Ok(())
    }
}

/// Puts samples into the series of a shard.
struct Putting<'t> {
    shard: usize,
    /// The places of its series in the list of all.
    places: &'t [u32],
    known: &'t Known,
    codec: &'t mut Codec,
    orphans: u64,
}

impl Putting<'_> {
    /// Puts what was read into the series, one after another, each in the order of the log.
    fn put(&mut self, read: &[Read]) {
        let samples: Vec<(&[i64], &[Point])> =
            read.iter().filter_map(|read| Some((&*read.times, &*read.of_shards.get(self.shard)?.samples))).collect();
        let (places, known) = (self.places, self.known);
        let series_at = |in_shard: usize| known.series.get(*places.get(in_shard)? as usize);
        let by_series = BySeries::of(&samples, places.len());
        for (series, run) in by_series.runs().filter_map(|(place, run)| Some((series_at(place)?, run))) {
            if matches!(series.kind, SeriesKind::Samples(_)) {
                // They were accepted once; if they are there already, the snapshot brought them.
                series.state.lock().push_run(run, self.codec);
            } else {
                self.orphans += run.len() as u64;
            }
        }
        let natives = read.iter().filter_map(|read| read.of_shards.get(self.shard)).flat_map(|of| &of.natives);
        for Native { series, at, histogram } in natives {
            match series_at(*series as usize).filter(|series| matches!(series.kind, SeriesKind::Samples(_))) {
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
            let entry = lookup.find(*id).filter(|entry| entry.shard as usize == self.shard);
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
    /// By the place of a series in its shard, where its samples end.
    ends: Vec<u32>,
}

impl BySeries {
    /// Of some parts, each with its times; there are so many series.
    fn of(parts: &[(&[i64], &[Point])], series: usize) -> BySeries {
        let mut ends = vec![0u32; series];
        // A window of the log has some millions at most.
        for point in parts.iter().flat_map(|(_, points)| *points) {
            if let Some(count) = ends.get_mut(point.series as usize) {
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
        for (times, points) in parts {
            for Point { series, time, value } in *points {
                let Some(next) = ends.get_mut(*series as usize) else { continue };
                if let (Some(place), Some(at)) = (samples.get_mut(*next as usize), times.get(*time as usize)) {
                    *place = Sample { timestamp: Timestamp::from_millis(*at), value: *value };
                }
                *next += 1;
            }
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
        let times: Vec<i64> = (0..1000).rev().collect();
        let points: Vec<Point> =
            (0..1000).map(|at| Point { series: at * 7919 % 13, time: at, value: f64::from(at) }).collect();
        let (first, second) = points.split_at(400);
        let by_series = BySeries::of(&[(&times, first), (&times, second)], 20);
        let found: Vec<(usize, Vec<(i64, f64)>)> = by_series
            .runs()
            .map(|(place, run)| (place, run.iter().map(|one| (one.timestamp.millis(), one.value)).collect()))
            .collect();
        let wanted = (0..13usize).map(|place| {
            let of_place = points.iter().filter(|point| point.series as usize == place);
            (place, of_place.map(|point| (999 - i64::from(point.time), point.value)).collect())
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
        fn define(&mut self, _: u64, _: crate::kind::SeriesKind, _: &crate::wal::definitions::Labels) {}
    }
}
