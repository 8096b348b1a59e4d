//! What a recovery leaves for later: distributions as they lie in a snapshot, and what the log says of counts and
//! observations.
//!
//! To take a day of a thousand distributions apart costs a second and more, and to merge what the log says of them
//! again as much. Nobody shall wait for all of them who needs one, or none: a recovery looks at checksums and outlines
//! only, and the first who needs the numbers of a series (see `SeriesState::numbers`) makes them of what rests.

use std::ops::Range;
use std::sync::Arc;

use crate::backfill::Hours;
use crate::bytes::{Cursor, Damaged};
use crate::chunk::Codec;
use crate::distribution::Distribution;
use crate::engine::Engine;
use crate::series::{Dated, Numbers, Series};
use crate::snapshot::read::SnapshotSeries;
use crate::wal::record::AdditivePoints;

/// What records say is taken over so much at a time.
const STRETCH: u32 = 1 << 16;
/// About the bytes of a file of the log for each thing that is said of a series, at least.
const SAID_BYTES: usize = 16;

/// What is not in the numbers of a series yet.
#[derive(Default)]
pub(crate) struct Resting {
    /// Of a distribution, what it was at the snapshot.
    stored: Option<Stored>,
    /// What the log says of it after that.
    log: Option<OfLog>,
}

/// A section of a snapshot, which many series share, and the bytes of one.
struct Stored {
    section: Arc<Vec<u8>>,
    place: Range<usize>,
}

/// The part of the log that is about one series.
struct OfLog {
    log: Arc<RestingLog>,
    /// Places in its order.
    places: Range<u32>,
}

/// What the log says of counts and observations, in its own bytes.
#[derive(Default)]
struct RestingLog {
    /// The files, whole.
    files: Vec<Vec<u8>>,
    /// In the order of the log.
    all: Vec<(u32, Said)>,
    /// The same by series, of each in the order of the log.
    by_series: Vec<u32>,
}

/// What a record says of a series.
#[derive(Clone, Copy)]
enum Said {
    /// Points, in a file that is known by how many were read before it.
    Points { file: u32, fills: bool, at: u32, count: u32, second_before: u32 },
    /// What backfills put into these bucket seconds, which are whole hours, goes: `after < second <= until`.
    Cleared { after: u32, until: u32 },
}

impl Resting {
    /// Notes what a snapshot says of a distribution. An error if its outline is not that of one.
    pub(crate) fn put_stored(&mut self, series: &SnapshotSeries) -> Result<(), Damaged> {
        Distribution::check(&mut Cursor::new(series.numbers))?;
        let place = series.numbers_at..series.numbers_at + series.numbers.len();
        self.stored = Some(Stored { section: series.section.clone(), place });
        Ok(())
    }

    /// Puts it into the numbers of its series, which are empty if there is something from a snapshot; of the log, what
    /// stands before a place of it. Says whether something is left.
    pub(crate) fn settle_into(&mut self, numbers: &mut Numbers, before: u32) -> bool {
        if let Some(Stored { section, place }) = self.stored.take() {
            let bytes = section.get(place).unwrap_or_default();
            match Distribution::read_from(&mut Cursor::new(bytes)) {
                Ok(stored) => *numbers = Numbers::Distribution(Box::new(stored)),
                // The outline was looked at and the checksum was right: this would be a mistake of ours.
                Err(error) => tracing::error!(%error, "a distribution of a snapshot cannot be read"),
            }
        }
        let Some(OfLog { log, places }) = &mut self.log else { return false };
        // That of the thread may be in use by whoever needs the numbers.
        let mut codec = Codec::default();
        let of_series = log.by_series.get(places.start as usize..places.end as usize).unwrap_or_default();
        for place in of_series.iter().take_while(|place| **place < before) {
            places.start += 1;
            if let Some((_, said)) = log.all.get(*place as usize) {
                said.apply(&log.files, numbers, &mut codec);
            }
        }
        places.start < places.end
    }

    /// Memory that it takes for itself, of the section its own part; that of the log is not counted, it goes within moments.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Resting>() + self.stored.as_ref().map_or(0, |stored| stored.place.len())
    }
}

impl Said {
    fn apply(self, files: &[Vec<u8>], numbers: &mut Numbers, codec: &mut Codec) {
        match self {
            Said::Points { file, fills, at, count, second_before } => {
                let bytes = files.get(file as usize).and_then(|bytes| bytes.get(at as usize..)).unwrap_or_default();
                let points = AdditivePoints { at: 0, bytes, count, second_before };
                for (second, late, value) in points.iter() {
                    let dated = if fills { Dated::Filled } else { Dated::of(late) };
                    numbers.add(second, value, dated, codec);
                }
            }
            Said::Cleared { after, until } => numbers.clear_filled(after, until, codec),
        }
    }
}

/// Gathers what the log says while it is read.
#[derive(Default)]
pub(crate) struct LogBuilder {
    log: RestingLog,
    /// How much of it is of files before the current one.
    before_file: usize,
}

impl LogBuilder {
    /// Points of a series (a place in the list of all), in a record whose payload begins here in its file. `fills`: they
    /// are of a backfill.
    pub(crate) fn points(
        &mut self,
        series: u32,
        points: AdditivePoints,
        payload_at: usize,
        fills: bool,
    ) -> Result<(), Damaged> {
        let too_long = |_| Damaged("a file of the log is too long");
        let at = u32::try_from(payload_at + points.at).map_err(too_long)?;
        let file = u32::try_from(self.log.files.len()).map_err(too_long)?;
        let (count, second_before) = (points.count, points.second_before);
        self.log.all.push((series, Said::Points { file, fills, at, count, second_before }));
        Ok(())
    }

    /// What backfills put into these hours of a series goes.
    pub(crate) fn cleared(&mut self, series: u32, hours: &Hours) {
        self.log.all.push((series, Said::Cleared { after: hours.after, until: hours.until }));
    }

    /// A file of this length begins.
    pub(crate) fn begin_file(&mut self, bytes: u64) {
        // Memory that is not used is not taken, and to grow by copying costs more than all the rest.
        self.log.all.reserve(usize::try_from(bytes).unwrap_or_default() / SAID_BYTES);
    }

    /// A file is at its end; these are its bytes.
    pub(crate) fn end_of_file(&mut self, bytes: Vec<u8>) {
        let is_used = self.log.all.len() > self.before_file;
        self.before_file = self.log.all.len();
        self.log.files.push(if is_used { bytes } else { Vec::new() });
    }

    /// Gives each series its part.
    pub(crate) fn distribute(mut self, series: &[Arc<Series>]) {
        let mut ends = vec![0u32; series.len() + 1];
        for (place, _) in &self.log.all {
            if let Some(count) = ends.get_mut(*place as usize + 1) {
                *count += 1;
            }
        }
        // Ends of the parts before, and so the beginnings.
        ends.iter_mut().fold(0, |sum, end| {
            *end += sum;
            *end
        });
        let mut by_series = vec![0u32; self.log.all.len()];
        for (number, (place, _)) in (0u32..).zip(&self.log.all) {
            if let Some(next) = ends.get_mut(*place as usize) {
                if let Some(entry) = by_series.get_mut(*next as usize) {
                    *entry = number;
                }
                *next += 1;
            }
        }
        self.log.by_series = by_series;
        let log = Arc::new(self.log);
        let mut start = 0;
        for (series, end) in series.iter().zip(ends) {
            if end > start {
                series.state.lock().resting().log = Some(OfLog { log: log.clone(), places: start..end });
            }
            start = end;
        }
    }
}

impl Engine {
    /// Makes the numbers of all series of what an opening has left resting, until `go_on` says no. They are made at
    /// their first use in any case; this is for a thread that has nothing else to do.
    pub fn take_over(&self, go_on: impl Fn() -> bool) {
        let mut resting: Vec<Arc<Series>> = Vec::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            let series = shard.live().iter().filter_map(|slot| shard.slot(slot));
            resting.extend(series.filter(|series| series.state.lock().rests()).cloned());
        }
        // All series a stretch of the log at a time: its bytes are met together, and stay in the processor's caches.
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
}
