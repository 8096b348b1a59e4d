//! The points of a file of the log, on all cores, once the heads of its records are read and all their series known.
//!
//! Counts and observations are only looked at: each thread takes some of the records, and what they say stays resting.
//! Samples of a series have to come in their order: of some records at a time each thread reads a share and sorts the samples into
//! buckets of series that rank behind each other, then each takes the samples of a bucket, in the order of the shares (see
//! [`gather`](super::gather)).

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::Histogram;

use super::Known;
use super::gather::{BUCKETS_PER_THREAD, Bucket, Gathered, Leave, OfBucket, Rooms};
use super::numbering::{Entry, Lookup, Numbering};
use crate::backfill::Hours;
use crate::bytes::Damaged;
use crate::chunk::with_codec;
use crate::cores;
use crate::delete::Deletion;
use crate::resting::LogPart;
use crate::wal::columns::SampleColumns;
use crate::wal::record::{self, AdditivePoints, Points, PointsAt};

/// A thread is not worth it for fewer bytes of log.
const SHARE_MIN: usize = 1 << 18;
/// Shares of a thread: one that is held up leaves some to the others.
const SHARES_PER_THREAD: usize = 4;
/// Bytes of the log whose samples are gathered before they go to their series, so that a series of many is met once instead of with
/// each of its samples: more than a log gets, by default, until a snapshot takes its place. The last ones rest as they are gathered,
/// which makes a start short.
const GATHERED_BYTES: usize = 96 << 20;
/// Series whose samples a thread deletes at once.
const DELETED_AT_ONCE: usize = 1024;
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

impl SamplesAt {
    /// How many bytes of the record they take, and what else stands there.
    fn bytes(self, record: &Pending) -> usize {
        match self {
            SamplesAt::Nowhere => 0,
            SamplesAt::Among(place) | SamplesAt::Behind(place) => place.bytes_behind(record.payload.len()),
        }
    }
}

/// Takes the points of these records of a file; of that only the payloads are wanted. `last_file`: no others follow.
pub(super) fn take_points(file: &Arc<Vec<u8>>, pending: &[Pending], known: &Known, last_file: bool) -> Taken {
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
    let mut buckets = Bucket::of_all(numbering.places().len(), cores::threads() * BUCKETS_PER_THREAD);
    let names = Names { known, numbering: &numbering, rooms: &Rooms::default() };
    let mut windows = windows(pending, &samples).peekable();
    while let Some((some, samples)) = windows.next() {
        let leave = match windows.peek() {
            Some((next, _)) if next.iter().all(|record| record.deleted.is_none()) => Leave::Parts,
            None if last_file => Leave::All,
            Some(_) | None => Leave::Nothing,
        };
        take_samples(file, some, samples, &names, &mut buckets, leave, &mut taken);
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
    fn sample(&mut self, _: u64, _: i64, _: f64) {
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
            Some(record) if record.counts_are_taken && record.lsn > contains_lsn => {
                self.part.points(place, points, record.payload.start, record.fills)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The series that are known, what numbers stand for them, and room to sort their samples in.
#[derive(Clone, Copy)]
struct Names<'k> {
    known: &'k Known,
    numbering: &'k Numbering,
    rooms: &'k Rooms,
}

/// Takes the samples of some records: reads them in shares, and puts them into their series.
fn take_samples(
    file: &[u8],
    some: &[Pending],
    samples: &[SamplesAt],
    names: &Names,
    buckets: &mut Vec<Bucket>,
    leave: Leave,
    taken: &mut Taken,
) {
    let Names { known, numbering, rooms } = *names;
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
    let width = buckets.first().map_or(1, Bucket::width);
    let many = buckets.len();
    let read = cores::on_all(work, |(records, samples)| read_samples(file, records, samples, numbering, (many, width)));
    if let Some(deletion) = some.first().and_then(|record| record.deleted.as_ref()) {
        delete(deletion, known, numbering);
    }
    let mut gathered = Vec::with_capacity(read.len());
    for share in read {
        taken.points += share.points;
        taken.orphans += share.orphans;
        taken.senseless.extend(share.senseless);
        gathered.push(share.gathered);
    }
    let series_of = |rank: u32| known.series.get(*numbering.places().get(rank as usize)? as usize);
    let with_parts = std::mem::take(buckets).into_iter().zip(Gathered::by_bucket(gathered)).collect();
    let put = cores::on_all(with_parts, |(mut bucket, parts): (Bucket, Vec<OfBucket>)| {
        let orphans = bucket.put(parts, rooms, series_of, leave);
        (bucket, orphans)
    });
    for (bucket, orphans) in put {
        taken.orphans += orphans;
        buckets.push(bucket);
    }
}

fn delete(deletion: &Deletion, known: &Known, numbering: &Numbering) {
    cores::on_all(deletion.ids.chunks(DELETED_AT_ONCE).collect(), |ids| {
        let mut lookup = numbering.lookup();
        for series in ids.iter().filter_map(|id| known.series.get(lookup.find(*id)?.place as usize)) {
            let mut state = series.state.lock();
            with_codec(|codec| state.remove_samples(deletion.after, deletion.until, codec));
        }
    });
}

/// What was read of a share of records.
struct Read<'n> {
    lookup: Lookup<'n>,
    gathered: Gathered,
    points: u64,
    orphans: u64,
    senseless: Vec<(u64, u64)>,
}

fn read_samples<'n>(
    file: &[u8],
    records: &[Pending],
    samples: &[SamplesAt],
    numbering: &'n Numbering,
    (buckets, width): (usize, u32),
) -> Read<'n> {
    let bytes: usize = records.iter().zip(samples).map(|(record, samples)| samples.bytes(record)).sum();
    let gathered = Gathered::new(buckets, width, bytes / SAMPLE_BYTES);
    let mut room = SampleColumns::default();
    let mut read = Read { lookup: numbering.lookup(), gathered, points: 0, orphans: 0, senseless: Vec::new() };
    for (record, samples) in records.iter().zip(samples) {
        let payload = file.get(record.payload.clone()).unwrap_or_default();
        let understood = match samples {
            SamplesAt::Nowhere => Ok(()),
            SamplesAt::Among(place) => record::read_counts(payload, *place, &mut read).map(drop),
            SamplesAt::Behind(place) => record::read_samples(payload, *place, &mut room, &mut read),
        };
        if understood.is_err() {
            read.senseless.push(record.place);
        }
    }
    read
}

impl Points for Read<'_> {
    fn sample(&mut self, id: u64, at: i64, value: f64) {
        match self.lookup.ranks(id) {
            Some((rank, _)) => {
                self.points += 1;
                self.gathered.samples(rank, at, &[value]);
            }
            None => self.orphans += 1,
        }
    }

    /// Those of series whose numbers follow each other, at one time, go on together.
    fn samples(&mut self, SampleColumns { ids, times, values, .. }: &SampleColumns) {
        let mut begin = 0;
        while let (Some(&id), Some(&at)) = (ids.get(begin), times.get(begin)) {
            let Some((rank, most)) = self.lookup.ranks(id) else {
                self.orphans += 1;
                begin += 1;
                continue;
            };
            let others = ids[begin..].iter().zip(&times[begin..]).take(most);
            let many = (id..).zip(others).take_while(|(next, (id, time))| *next == **id && **time == at).count();
            self.points += many as u64;
            self.gathered.samples(rank, at, values.get(begin..begin + many).unwrap_or_default());
            begin += many;
        }
    }

    fn native(&mut self, id: u64, at: i64, histogram: &Histogram) {
        match self.lookup.ranks(id) {
            Some((rank, _)) => {
                self.points += 1;
                self.gathered.native(rank, at, histogram.clone());
            }
            None => self.orphans += 1,
        }
    }

    fn additive(&mut self, _: u64, _: AdditivePoints) -> Result<(), Damaged> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    struct Nobody;

    impl record::Heads for Nobody {
        fn begin(&mut self, _: Option<&crate::batch::SourcePosition>) {}
        fn begin_backfill(&mut self, _: &Hours) {}
        fn delete(&mut self, _: Deletion) {}
        fn exemplar(&mut self, _: u64, _: watchfire_model::LabelSet, _: crate::Exemplar) {}
        fn notes(&mut self, _: Vec<crate::notes::MetricNote>) {}
        fn define(&mut self, _: u64, _: crate::kind::SeriesKind, _: &crate::wal::definitions::Labels) {}
    }

    proptest! {
        #[test]
        fn samples_go_to_their_series_together_as_one_by_one(
            samples in prop::collection::vec((0u64..300, 0usize..90, 0i64..2), 0..40),
            missing in 0u64..300,
        ) {
            let all = (0..300).filter(|id| *id != missing).map(|id| (id, (id % 200) as u32, 0)).collect();
            let numbering = Numbering::of_all(all, 300);
            let mut columns = SampleColumns::default();
            for (first, many, at) in samples {
                for id in first..first + many as u64 {
                    columns.ids.push(id);
                    columns.times.push(at);
                    columns.values.push(columns.values.len() as f64);
                }
            }
            let of = |take: &dyn Fn(&mut Read)| {
                let gathered = Gathered::new(5, 64, 0);
                let mut read =
                    Read { lookup: numbering.lookup(), gathered, points: 0, orphans: 0, senseless: Vec::new() };
                take(&mut read);
                (read.points, read.orphans, Gathered::by_bucket(vec![read.gathered]).collect::<Vec<_>>())
            };
            let together = of(&|read| read.samples(&columns));
            let one_by_one = of(&|read| columns.iter().for_each(|(id, at, value)| read.sample(id, at, value)));
            prop_assert_eq!(together, one_by_one);
        }
    }
}
