//! What a recovery leaves for later: distributions as they lie in a snapshot, and what the log says of counts and
//! observations, and last of samples.
//!
//! To take a day of a thousand distributions apart costs a second and more, and to merge what the log says of them
//! again as much. Nobody shall wait for all of them who needs one, or none: a recovery looks at checksums and outlines
//! only, and the first who needs the numbers of a series (see `SeriesState::numbers`) makes them of what rests. Samples
//! are read and gathered in buckets of some series; to pack them takes as long again.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::backfill::Hours;
use crate::bytes::{Cursor, Damaged};
use crate::chunk::{Codec, with_codec};
use crate::distribution::Distribution;
use crate::engine::Engine;
use crate::recovery::RestingSamples;
use crate::series::{Dated, Numbers, Series, SeriesState};
use crate::snapshot::read::SnapshotSeries;
use crate::wal::record::AdditivePoints;

/// What records say is taken over so much at a time.
const STRETCH: u32 = 1 << 16;
/// About the bytes of a file of the log for each thing that is said of a series.
const SAID_BYTES: usize = 8;
/// Threads that take over what rests.
const THREADS_MAX: usize = 8;
/// Fewer series are not worth a thread.
const SHARE_MIN: usize = 64;

/// What is not in the numbers of a series yet.
#[derive(Default)]
pub(crate) struct Resting {
    /// Of a distribution, what it was at the snapshot.
    stored: Option<Stored>,
    /// What the log says of it after that.
    log: Option<OfLog>,
    /// Of a series of samples, those that the log has last.
    samples: Option<InBucket>,
}

/// Where a series stands in a snapshot. The bytes stay in the file: its checksum was right a moment ago, and it can be read
/// until then even if a newer snapshot takes its place.
struct Stored {
    snapshot: Arc<File>,
    place: Range<u64>,
}

/// Samples of one series among those of others.
pub(crate) struct InBucket {
    bucket: Arc<RestingSamples>,
    /// Its place among the series of the bucket.
    place: u32,
}

/// What the log says of one series, as far as it is not applied.
struct OfLog {
    log: Arc<RestingLog>,
    /// Its place in the list of all series.
    series: u32,
    /// The part that comes next, and how much of that is applied.
    part: u32,
    applied: u32,
}

/// What the log says of counts and observations, in its own bytes.
struct RestingLog {
    /// In the order of the log.
    parts: Vec<LogPart>,
    /// When it was read, milliseconds.
    now: i64,
}

/// What some records of a file say, one after another.
pub(crate) struct LogPart {
    file: Arc<Vec<u8>>,
    /// In the order of the log.
    all: Vec<(u32, Said)>,
    /// The same by series, of each in the order of the log.
    by_series: Vec<u32>,
    /// Where those of each series begin in that; the last one is the end.
    starts: Vec<u32>,
    /// How much parts before it say.
    before: u32,
}

/// What a record says of a series.
#[derive(Clone, Copy)]
enum Said {
    Points {
        fills: bool,
        at: u32,
        count: u32,
        second_before: u32,
    },
    /// What backfills put into these bucket seconds, which are whole hours, goes: `after < second <= until`.
    Cleared {
        after: u32,
        until: u32,
    },
}

impl Resting {
    /// Notes what a snapshot says of a distribution. An error if its outline is not that of one.
    pub(crate) fn put_stored(&mut self, series: &SnapshotSeries) -> Result<(), Damaged> {
        Distribution::check(&mut Cursor::new(series.numbers))?;
        let place = series.numbers_at..series.numbers_at + series.numbers.len() as u64;
        self.stored = Some(Stored { snapshot: series.snapshot.clone(), place });
        Ok(())
    }

    /// Notes where its samples are: those of a place in a bucket.
    pub(crate) fn put_samples(&mut self, bucket: Arc<RestingSamples>, place: u32) {
        self.samples = Some(InBucket { bucket, place });
    }

    /// Its samples, which do not rest from now on.
    pub(crate) fn take_samples(&mut self) -> Option<InBucket> {
        self.samples.take()
    }

    /// Puts counts and observations into the numbers of its series, which are empty if there is something from a snapshot, or
    /// only know what lies in blocks; of the log, what stands before a place of it. Says whether something is left.
    pub(crate) fn settle_into(&mut self, numbers: &mut Numbers, before: u32) -> bool {
        if let Some(stored) = self.stored.take() {
            match stored.read() {
                Ok(mut stored) => {
                    if let Numbers::Distribution(known) = numbers {
                        stored.take_stored(known);
                    }
                    *numbers = Numbers::Distribution(Box::new(stored));
                }
                // The outline was looked at and the checksum was right: the disk went bad meanwhile.
                Err(error) => tracing::error!(%error, "a distribution of a snapshot cannot be read; it begins anew"),
            }
        }
        self.log.as_mut().is_some_and(|of_log| of_log.settle_into(numbers, before))
    }

    /// Memory that it takes for itself; that of the log is not counted, it goes within moments.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Resting>()
    }
}

impl InBucket {
    /// Puts the samples into their series.
    pub(crate) fn settle_into(self, state: &mut SeriesState) {
        self.bucket.with(self.place, |run| with_codec(|codec| state.push_run(run, codec)));
    }
}

impl Stored {
    fn read(&self) -> io::Result<Distribution> {
        let wrong = |Damaged(what)| io::Error::new(io::ErrorKind::InvalidData, what);
        let length = usize::try_from(self.place.end - self.place.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.snapshot.read_exact_at(&mut bytes, self.place.start)?;
        Distribution::read_from(&mut Cursor::new(&bytes)).map_err(wrong)
    }
}

impl OfLog {
    /// Puts what stands before a place of the log into the numbers. Says whether something is left.
    fn settle_into(&mut self, numbers: &mut Numbers, before: u32) -> bool {
        numbers.see_time(self.log.now);
        with_codec(|codec| {
            while let Some(part) = self.log.parts.get(self.part as usize) {
                for place in part.of_series(self.series).iter().skip(self.applied as usize) {
                    if part.before.saturating_add(*place) >= before {
                        return true;
                    }
                    self.applied += 1;
                    if let Some((_, said)) = part.all.get(*place as usize) {
                        said.apply(&part.file, numbers, codec);
                    }
                }
                (self.part, self.applied) = (self.part + 1, 0);
            }
            false
        })
    }
}

impl Said {
    fn apply(self, file: &[u8], numbers: &mut Numbers, codec: &mut Codec) {
        match self {
            Said::Points { fills, at, count, second_before } => {
                let points =
                    AdditivePoints { at: 0, bytes: file.get(at as usize..).unwrap_or_default(), count, second_before };
                for (second, late, value) in points.iter() {
                    let dated = if fills { Dated::Filled } else { Dated::of(late) };
                    numbers.add(second, value, dated, codec);
                }
            }
            Said::Cleared { after, until } => numbers.clear_filled(after, until, codec),
        }
    }
}

impl LogPart {
    /// Nothing yet of a file; this many bytes of it will be read.
    pub(crate) fn new(file: Arc<Vec<u8>>, bytes: usize) -> LogPart {
        // Memory that is not used is not taken, and to grow by copying costs more than all the rest.
        let all = Vec::with_capacity(bytes / SAID_BYTES);
        LogPart { file, all, by_series: Vec::new(), starts: Vec::new(), before: 0 }
    }

    /// Points of a series (a place in the list of all), in a record whose payload begins here in its file. `fills`: they
    /// are of a backfill.
    pub(crate) fn points(
        &mut self,
        series: u32,
        points: AdditivePoints,
        payload_at: usize,
        fills: bool,
    ) -> Result<(), Damaged> {
        let at = u32::try_from(payload_at + points.at).map_err(|_| Damaged("a file of the log is too long"))?;
        let (count, second_before) = (points.count, points.second_before);
        self.all.push((series, Said::Points { fills, at, count, second_before }));
        Ok(())
    }

    /// What backfills put into these hours of a series goes.
    pub(crate) fn cleared(&mut self, series: u32, hours: &Hours) {
        self.all.push((series, Said::Cleared { after: hours.after, until: hours.until }));
    }

    /// Finds out what is said of each of so many series.
    pub(crate) fn sort(&mut self, series: usize) {
        let mut starts = vec![0u32; series + 1];
        for (place, _) in &self.all {
            if let Some(count) = starts.get_mut(*place as usize + 1) {
                *count += 1;
            }
        }
        starts.iter_mut().fold(0, |sum, start| {
            *start += sum;
            *start
        });
        let (mut next, mut by_series) = (starts.clone(), vec![0u32; self.all.len()]);
        for (number, (place, _)) in (0u32..).zip(&self.all) {
            if let Some(next) = next.get_mut(*place as usize) {
                if let Some(entry) = by_series.get_mut(*next as usize) {
                    *entry = number;
                }
                *next += 1;
            }
        }
        (self.starts, self.by_series) = (starts, by_series);
    }

    fn of_series(&self, series: u32) -> &[u32] {
        let at = |place: usize| self.starts.get(place).map_or(self.by_series.len(), |start| *start as usize);
        self.by_series.get(at(series as usize)..at(series as usize + 1)).unwrap_or_default()
    }
}

/// Gives each series what the log says of it; the parts are in the order of the log. `now` in milliseconds.
pub(crate) fn distribute(mut parts: Vec<LogPart>, series: &[Arc<Series>], now: i64) {
    parts.retain(|part| !part.all.is_empty());
    let mut before = 0u32;
    for part in &mut parts {
        part.before = before;
        before = before.saturating_add(u32::try_from(part.all.len()).unwrap_or(u32::MAX));
    }
    let log = Arc::new(RestingLog { parts, now });
    for (number, series) in (0u32..).zip(series) {
        if log.parts.iter().any(|part| !part.of_series(number).is_empty()) {
            let of_log = OfLog { log: log.clone(), series: number, part: 0, applied: 0 };
            series.state.lock().resting().log = Some(of_log);
        }
    }
}

impl Engine {
    /// Makes the numbers of all series of what an opening has left resting, until `go_on` says no, on all cores. They are
    /// made at their first use in any case; this is for who has nothing else to do.
    pub fn take_over(&self, go_on: impl Fn() -> bool + Sync) {
        let mut resting: Vec<Arc<Series>> = Vec::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            let series = shard.live().iter().filter_map(|slot| shard.slot(slot));
            resting.extend(series.filter(|series| series.state.lock().rests()).cloned());
        }
        // Samples rest together that are of series with numbers beside each other.
        resting.sort_unstable_by_key(|series| series.id);
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
        let share = resting.len().div_ceil(threads).max(SHARE_MIN);
        let go_on = &go_on;
        std::thread::scope(|scope| {
            let mut shares = resting.chunks(share);
            let first = shares.next();
            shares.for_each(|share| drop(scope.spawn(move || settle_all(share.to_vec(), go_on))));
            settle_all(first.unwrap_or_default().to_vec(), go_on);
        });
    }
}

/// All of the series a stretch of the log at a time: its bytes are met together, and stay in the processor's caches.
fn settle_all(mut resting: Vec<Arc<Series>>, go_on: &impl Fn() -> bool) {
    let mut before = 0u32;
    while !resting.is_empty() {
        before = before.saturating_add(STRETCH);
        let mut stopped = false;
        resting.retain(|series| {
            stopped = stopped || !go_on();
            !stopped && series.state.lock().settle(before)
        });
    }
}
