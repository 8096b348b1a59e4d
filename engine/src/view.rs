//! One selected series, to be read.

use std::sync::Arc;

use watchfire_model::{Histogram, LabelSet, Sample, Timestamp};

use crate::blocks::{Loads, forget_what_was_before};
use crate::chunk::{Codec, with_codec};
use crate::columns::Columns;
use crate::distribution::{Distribution, DistributionWindow};
use crate::increments::Increments;
use crate::kind::SeriesKind;
use crate::series::{Layers, Numbers, Series};
use crate::shard::TOGETHER;

/// The views one after another, for who reads them all: their memory is asked for some series ahead.
pub fn in_turn(views: &[SeriesView]) -> impl Iterator<Item = &SeriesView> {
    views.chunks(TOGETHER).flat_map(|group| {
        for ask in [Series::prefetch, Series::prefetch_numbers, Series::prefetch_packed] {
            group.iter().for_each(|view| ask(&view.series));
        }
        group
    })
}

/// A series that a query selected. Cheap to clone and to keep; it copies nothing until it is read, and each
/// read sees what is there at that moment.
#[derive(Clone)]
pub struct SeriesView {
    pub(crate) labels: LabelSet,
    pub(crate) series: Arc<Series>,
    pub(crate) layers: Layers,
    /// Whether some of what was selected lay on disk.
    pub(crate) reads_disk: bool,
}

impl SeriesView {
    /// Its labels, the metric name included.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The number of its series, which no other one has or will have; a series that comes again may have another one.
    pub fn number(&self) -> u64 {
        self.series.id
    }

    /// What its numbers are.
    pub fn kind(&self) -> SeriesKind {
        self.series.kind
    }

    /// Whether, of the times that it was selected for, something has to be read from a disk.
    pub fn reads_disk(&self) -> bool {
        self.reads_disk
    }

    /// Appends the samples with `start < time <= end`, ascending.
    ///
    /// Of increments: the running total at the end of each second with events. Of a distribution: nothing.
    pub fn samples(&self, start: Timestamp, end: Timestamp, out: &mut Vec<Sample>) {
        match self.series.kind {
            SeriesKind::Samples(_) => self.read(start, end, out, None),
            SeriesKind::Increments => self.totals(start, end, out),
            SeriesKind::Distribution => {}
        }
    }

    /// Samples: appends those with `start < time <= end` and the native histograms beside them, each ascending; no time is
    /// in both. Of increments as [`SeriesView::samples`].
    pub fn samples_and_natives(
        &self,
        start: Timestamp,
        end: Timestamp,
        out: &mut Vec<Sample>,
        natives: &mut Vec<(Timestamp, Histogram)>,
    ) {
        if !matches!(self.series.kind, SeriesKind::Samples(_)) {
            return self.samples(start, end, out);
        }
        let mut found = Vec::new();
        self.read(start, end, out, Some(&mut found));
        natives.extend(found.into_iter().map(|(at, histogram)| (Timestamp::from_millis(at), histogram)));
    }

    /// Samples: whether any with `start < time <= end` is a native histogram. Reads only where the first and the last one do
    /// not tell.
    pub fn has_natives(&self, start: Timestamp, end: Timestamp) -> bool {
        if !matches!(self.kind(), SeriesKind::Samples(_)) {
            return false;
        }
        let (from, until) = (start.millis(), end.millis());
        let mut state = self.series.state.lock();
        let stored = state.stored().map_or(Some(false), |stored| stored.has_natives(from, until));
        let in_memory = match state.numbers() {
            Numbers::Samples(samples) => samples.has_natives_in(from, until),
            Numbers::Increments(_) | Numbers::Distribution(_) => return false,
        };
        drop(state);
        match (stored, in_memory) {
            (Some(true), _) | (_, Some(true)) => return true,
            (Some(false), Some(false)) => return false,
            (None, _) | (_, None) => {}
        }
        let mut natives = Vec::new();
        self.read(start, end, &mut Vec::new(), Some(&mut natives));
        !natives.is_empty()
    }

    /// Samples: replaces what is in `out` by those with `start < time <= end`. Says false, and reads nothing, where there is
    /// anything but floats: native histograms among them, counts, a distribution.
    pub fn columns(&self, start: Timestamp, end: Timestamp, out: &mut Columns) -> bool {
        let (from, until) = (start.millis(), end.millis());
        out.clear();
        let mut state = self.series.state.lock();
        let stored = state.stored().map(|stored| stored.within(from, until)).unwrap_or_default();
        match state.numbers() {
            Numbers::Samples(samples) if !samples.has_natives() && !stored.has_natives() => {
                samples.read_columns(from, until, out);
            }
            Numbers::Samples(_) | Numbers::Increments(_) | Numbers::Distribution(_) => return false,
        }
        drop(state);
        if stored.has_floats() {
            let mut samples = Vec::new();
            with_codec(|codec| stored.read(from, until, codec, &mut samples));
            out.put_before(&samples);
        }
        true
    }

    /// Samples: the newest with `start < time <= end`, where it is at hand and there is nothing but floats; else `None`,
    /// though there may be one.
    pub fn newest(&self, start: Timestamp, end: Timestamp) -> Option<Sample> {
        let mut state = self.series.state.lock();
        let stored = state.stored().and_then(|stored| stored.newest());
        let newest = match state.numbers() {
            Numbers::Samples(samples) if !samples.has_natives() => samples.newest_raw(start.millis(), end.millis())?,
            Numbers::Samples(_) | Numbers::Increments(_) | Numbers::Distribution(_) => return None,
        };
        // Histograms that lie on disk may be newer than the floats in memory.
        stored.is_none_or(|stored| stored < newest.timestamp.millis()).then_some(newest)
    }

    /// Increments: what somebody asks of them; see [`SeriesView::asked`].
    pub(crate) fn counted<T>(&self, ask: impl Fn(&Increments, &mut Loads, &mut Codec) -> T) -> Option<T> {
        with_codec(|codec| {
            self.asked(|numbers, loads| match numbers {
                Numbers::Increments(increments) => Some(ask(increments, loads, codec)),
                Numbers::Samples(_) | Numbers::Distribution(_) => None,
            })
        })
    }

    /// Distributions: what somebody asks of them; see [`SeriesView::asked`].
    fn distributed<T>(&self, ask: impl Fn(&Distribution, &mut Loads) -> T) -> Option<T> {
        self.asked(|numbers, loads| match numbers {
            Numbers::Distribution(distribution) => Some(ask(distribution, loads)),
            Numbers::Samples(_) | Numbers::Increments(_) => None,
        })
    }

    /// What somebody asks of numbers, if they are of the right kind. What lies on disk is read while nobody waits for the
    /// series, and it is asked again; so the question must not leave anything behind.
    fn asked<T>(&self, mut ask: impl FnMut(&Numbers, &mut Loads) -> Option<T>) -> Option<T> {
        let mut loads = Loads::default();
        loop {
            let answer = ask(self.series.state.lock().numbers(), &mut loads);
            if !loads.fetch() {
                return answer;
            }
        }
    }

    /// Increments: appends the running totals of a range.
    fn totals(&self, start: Timestamp, end: Timestamp, out: &mut Vec<Sample>) {
        let totals = self.counted(|increments, loads, codec| {
            let mut totals = Vec::new();
            increments.totals(start, end, loads, codec, &mut totals);
            totals
        });
        out.extend(totals.into_iter().flatten());
    }

    /// Appends the samples of a range, and native histograms if somebody wants them: both as they were at one moment.
    fn read(
        &self,
        start: Timestamp,
        end: Timestamp,
        out: &mut Vec<Sample>,
        mut natives: Option<&mut Vec<(i64, Histogram)>>,
    ) {
        let (from, until) = (start.millis(), end.millis());
        with_codec(|codec| {
            let mut state = self.series.state.lock();
            let stored = state.stored().map(|stored| stored.within(from, until)).unwrap_or_default();
            let at = out.len();
            match state.numbers() {
                Numbers::Samples(samples) => {
                    samples.read(from, until, codec, out);
                    if let Some(natives) = &mut natives {
                        samples.read_natives(from, until, natives);
                    }
                }
                Numbers::Increments(_) | Numbers::Distribution(_) => {}
            }
            drop(state);
            // What lies on disk is read while nobody waits for the series. It never changes.
            if stored.has_floats() {
                let in_memory = out.split_off(at);
                stored.read(from, until, codec, out);
                out.extend(in_memory);
            }
            if let Some(natives) = natives.filter(|_| stored.has_natives()) {
                let mut in_memory = std::mem::take(natives);
                stored.read_natives(from, until, natives);
                // What could not be read may have been what it continues.
                in_memory.first_mut().into_iter().for_each(|(_, first)| forget_what_was_before(first));
                natives.append(&mut in_memory);
            }
        });
    }

    /// Increments: the events of the window `(start, end]`, its end rounded up to the whole second. `Some(0.0)`
    /// if there were none but the series had one in the 24 h before `end`; `None` if it had not, and for
    /// other kinds of series.
    pub fn increase(&self, start: Timestamp, end: Timestamp) -> Option<f64> {
        self.counted(|increments, loads, codec| increments.increase(start, end, self.layers, loads, codec)).flatten()
    }

    /// Increments: appends (end of the second, events) for each second of the window that has any.
    pub fn buckets(&self, start: Timestamp, end: Timestamp, out: &mut Vec<(Timestamp, f64)>) {
        let buckets = self.counted(|increments, loads, codec| {
            let mut buckets = Vec::new();
            increments.buckets(start, end, self.layers, loads, codec, &mut buckets);
            buckets
        });
        out.extend(buckets.into_iter().flatten());
    }

    /// Increments: the running total at a time, the current second with it. `None` before the first event, and
    /// for other kinds of series.
    pub fn total_at(&self, at: Timestamp) -> Option<f64> {
        self.counted(|increments, loads, codec| increments.total_at(at, loads, codec)).flatten()
    }

    /// Distributions: the observations of the window `(start, end]`, its end rounded up to the whole second (and
    /// both edges down to 10 s after 10 min, to 1 min after a day). Empty if there were none but the series had
    /// one in the 24 h before `end`; `None` if it had not, and for other kinds of series.
    pub fn histogram(&self, start: Timestamp, end: Timestamp) -> Option<DistributionWindow> {
        self.distributed(|distribution, loads| distribution.window(start, end, self.layers, loads)).flatten()
    }

    /// Distributions: all observations up to a time, the current second with them, late ones apart; a window that only
    /// grows, also by what was pruned since. `None` before the first, and for other kinds of series.
    pub fn running(&self, at: Timestamp) -> Option<DistributionWindow> {
        self.distributed(|distribution, loads| distribution.running(at, loads)).flatten()
    }

    /// Distributions: appends the ends of the intervals within `(start, end]` in which there were observations, late
    /// ones apart. Intervals are seconds, ten seconds after 10 min, minutes after a day.
    pub fn observed_times(&self, start: Timestamp, end: Timestamp, out: &mut Vec<Timestamp>) {
        let times = self.distributed(|distribution, loads| {
            let mut times = Vec::new();
            distribution.times(start, end, loads, &mut times);
            times
        });
        out.extend(times.into_iter().flatten());
    }

    /// Distributions: count and sum of all observations since the series began, late ones apart; they survive a
    /// restart and pruning. `None` for other kinds of series.
    pub fn observed(&self) -> Option<(u64, f64)> {
        self.distributed(|distribution, _| distribution.totals())
    }
}

impl std::fmt::Debug for SeriesView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ({})", self.labels, self.series.kind.as_str())
    }
}
