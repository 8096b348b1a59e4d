//! The native histograms of one series, beside its floats: runs of them, of which the last one takes more.
//!
//! A histogram is told as its changes from the one before (see [`run`]); a run ends where the kind of buckets changes, or
//! with its size. Out of order, a run is written anew.
//!
//! Which empty buckets a histogram has is what it would have in a chunk of Prometheus, as results depend on it: all that
//! continue each other have the buckets of all of them. So where one comes with a bucket that has no place yet, those
//! that it continues are written anew with that one, empty. What continues nothing has its own buckets only: then a run
//! ends, too, unless they are the same. Chunks of Prometheus also end with their size, which is another one here.
//! Source: `tsdb/chunkenc/histogram.go` and `tsdb/head_append.go` of Prometheus.
//!
//! Invariant: times ascend strictly from run to run.

mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use watchfire_model::{Histogram, ResetHint};

use crate::blocks::{Piece, forget_what_was_before};
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::limits::Rejection;
use crate::samples::Pushed;
use run::{Layout, State};
pub(crate) use run::{put_one, read_one};

/// Most histograms of a run: a reader has to walk through all of them.
const RUN_MAX: u32 = 120;
/// Bytes and histograms from which a run is not written anew for further buckets: a chunk of Prometheus would not have
/// gone on so long.
const GROWING_BYTES: usize = 1024;
const GROWING_COUNT: u32 = 10;
/// No chunk of Prometheus goes on over a multiple of this.
const CHUNK_MS: i64 = 2 * 60 * 60 * 1000;

/// Some histograms one after the other. All but the last one of a series are sealed.
#[derive(Clone)]
pub(crate) struct Run {
    first: i64,
    last: i64,
    count: u32,
    bytes: Vec<u8>,
}

/// The histograms of one series.
#[derive(Default)]
pub(crate) struct Natives {
    runs: Vec<Arc<Run>>,
    /// From what the next point of the last run is told; read again from the run when it is not there.
    open: Option<Box<State>>,
}

impl Run {
    /// Checks bytes from a disk by reading them.
    pub(crate) fn of(bytes: &[u8]) -> Result<Run, Damaged> {
        let mut run = Run { first: 0, last: i64::MIN, count: 0, bytes: bytes.to_vec() };
        run::read(bytes, |state| {
            state.histogram()?;
            let at = state.at();
            if run.count == 0 {
                run.first = at;
            } else if at <= run.last {
                return Err(Damaged("the times of histograms do not ascend"));
            }
            (run.last, run.count) = (at, run.count + 1);
            Ok(run.count <= RUN_MAX)
        })?;
        if run.count == 0 || run.count > RUN_MAX {
            return Err(Damaged("a run of histograms has none, or too many"));
        }
        Ok(run)
    }

    /// How many histograms.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// As it goes to a block.
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece { samples: self.count, first: self.first, last: self.last, bytes: &self.bytes }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Run>() + 16 + self.bytes.capacity()
    }
}

/// Appends the histograms of a run with `start < time <= end`, ascending.
pub(crate) fn read_run(bytes: &[u8], start: i64, end: i64, out: &mut Vec<(i64, Histogram)>) -> Result<(), Damaged> {
    let read = run::read(bytes, |state| {
        if state.at() > start && state.at() <= end {
            out.push((state.at(), state.histogram()?));
        }
        Ok(state.at() < end)
    });
    read.map(drop)
}

/// How a histogram comes to stand behind the last one of a run.
#[derive(Clone, Copy, PartialEq)]
enum Fit {
    /// It has the same buckets, or continues the last one and lacks only empty ones.
    InPlace,
    /// It continues the last one and has buckets that have no place.
    Grows,
    /// It does not: a run ends.
    Not,
}

/// Whether a histogram continues the one before it, as far as that is noted.
fn continues((before_at, before): (i64, ResetHint), at: i64, hint: ResetHint) -> bool {
    let is_counted_on = match hint {
        ResetHint::NotReset => true,
        ResetHint::Gauge => before == ResetHint::Gauge,
        ResetHint::Unknown | ResetHint::Reset => false,
    };
    is_counted_on && before_at.div_euclid(CHUNK_MS) == at.div_euclid(CHUNK_MS)
}

/// All histograms of a run.
fn all_of(bytes: &[u8], many: usize) -> Result<Vec<(i64, Histogram)>, Damaged> {
    let mut all = Vec::with_capacity(many + 1);
    run::read(bytes, |state| {
        all.push((state.at(), state.histogram()?));
        Ok(true)
    })?;
    Ok(all)
}

/// Runs of these histograms.
fn runs_of(all: &[(i64, Histogram)]) -> Natives {
    let mut natives = Natives::default();
    for (at, histogram) in all {
        natives.append(*at, histogram);
    }
    natives
}

impl Natives {
    /// Time of the newest.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.runs.last().map(|run| run.last)
    }

    /// Time of the oldest.
    pub(crate) fn oldest(&self) -> Option<i64> {
        self.runs.first().map(|run| run.first)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(crate) fn count(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.count)).sum()
    }

    /// Whether there is one at this time.
    pub(crate) fn has(&self, at: i64) -> bool {
        let number = self.runs.partition_point(|run| run.last < at);
        self.runs.get(number).is_some_and(|run| run.first <= at) && {
            let mut found = Vec::new();
            self.read(at.saturating_sub(1), at, &mut found);
            !found.is_empty()
        }
    }

    /// Takes a histogram, whose time the series may have as it says; `follows`: there is no float between the newest and it.
    pub(crate) fn push(&mut self, at: i64, histogram: &Histogram, follows: bool) -> Result<Pushed, Rejection> {
        if self.newest().is_some_and(|last| at <= last) {
            return self.insert(at, histogram);
        }
        let mut histogram = histogram.clone();
        histogram.set_hint(self.hint_of(&histogram, follows));
        if follows || histogram.hint() != ResetHint::Gauge {
            self.append(at, &histogram);
        } else {
            // That it continues nothing is not noted of a gauge.
            self.begin(Layout::of(&histogram), at);
            self.put(at, &histogram);
        }
        Ok(Pushed::Accepted)
    }

    /// What is known of a reset, for a histogram that comes after the newest.
    fn hint_of(&mut self, histogram: &Histogram, follows: bool) -> ResetHint {
        match histogram.hint() {
            ResetHint::Gauge => return ResetHint::Gauge,
            // It continues nothing; whether counts fell the reader finds, who may not have the one before.
            ResetHint::Reset => return ResetHint::Unknown,
            ResetHint::Unknown | ResetHint::NotReset => {}
        }
        let is_of_kind = |state: &&mut State| state.hint() != ResetHint::Gauge && state.layout.is_alike(histogram);
        let before = self.state().filter(|state| follows && is_of_kind(state)).map(|state| state.histogram());
        let Some(Ok(before)) = before else { return ResetHint::Unknown };
        let mut said = histogram.clone();
        said.set_hint(ResetHint::Unknown);
        // A reset is for the reader to find, as one of other buckets may be none: what is noted is that there was none.
        if said.is_reset_after(&before) { ResetHint::Unknown } else { ResetHint::NotReset }
    }

    /// The state after the last histogram.
    fn state(&mut self) -> Option<&mut State> {
        if self.open.is_none() {
            let state = run::read(&self.runs.last()?.bytes, |_| Ok(true));
            // A run from a disk was read once when it came.
            debug_assert!(state.is_ok(), "a run is whole");
            self.open = state.ok().map(Box::new);
        }
        self.open.as_deref_mut()
    }

    /// Whether the last run takes a histogram that comes after it.
    fn fit(&mut self, at: i64, histogram: &Histogram) -> Fit {
        let Some((count, bytes)) = self.runs.last().map(|run| (run.count, run.bytes.len())) else { return Fit::Not };
        if count >= RUN_MAX {
            return Fit::Not;
        }
        let Some(state) = self.state() else { return Fit::Not };
        let layout = &state.layout;
        if !layout.keeps_empty() || !layout.is_alike(histogram) {
            return Fit::Not;
        }
        if layout.is_of(histogram) {
            return Fit::InPlace;
        }
        if !continues((state.at(), state.hint()), at, histogram.hint()) {
            return Fit::Not;
        }
        match layout.holds(histogram) {
            true => Fit::InPlace,
            false if bytes >= GROWING_BYTES && count >= GROWING_COUNT => Fit::Not,
            false => Fit::Grows,
        }
    }

    /// Puts a histogram behind all others.
    fn append(&mut self, at: i64, histogram: &Histogram) {
        match self.fit(at, histogram) {
            Fit::InPlace => {}
            Fit::Grows => self.grow(at, histogram),
            Fit::Not => self.begin(Layout::of(histogram), at),
        }
        self.put(at, histogram);
    }

    /// Begins a run.
    fn begin(&mut self, layout: Layout, at: i64) {
        if let Some(run) = self.runs.last_mut() {
            Arc::make_mut(run).bytes.shrink_to_fit();
        }
        let state = State::new(layout);
        let mut run = Run { first: at, last: at, count: 0, bytes: Vec::new() };
        state.begin(&mut run.bytes);
        self.runs.push(Arc::new(run));
        self.open = Some(Box::new(state));
    }

    /// Gives those of the last run that a histogram continues the buckets that it has beside theirs.
    fn grow(&mut self, at: i64, histogram: &Histogram) {
        let Some(layout) = self.state().map(|state| state.layout.with(histogram)) else { return };
        let Some(run) = self.runs.last() else { return };
        let all = all_of(&run.bytes, run.count as usize);
        debug_assert!(all.is_ok(), "a run is whole");
        // What cannot be read stays as it is.
        let Ok(all) = all else { return self.begin(layout, at) };
        let hint_at = |(at, histogram): &(i64, Histogram)| (*at, histogram.hint());
        let goes_on = |pair: &[(i64, Histogram)]| continues(hint_at(&pair[0]), pair[1].0, pair[1].1.hint());
        let first = all.windows(2).rposition(|pair| !goes_on(pair)).map_or(0, |before| before + 1);
        let (others, continued) = all.split_at(first);
        self.runs.pop();
        self.runs.append(&mut runs_of(others).runs);
        self.begin(layout, continued.first().map_or(at, |(at, _)| *at));
        for (at, histogram) in continued {
            self.put(*at, histogram);
        }
    }

    /// Puts a histogram behind the last one of the last run, which has a place for each of its buckets.
    fn put(&mut self, at: i64, histogram: &Histogram) {
        if let (Some(run), Some(state)) = (self.runs.last_mut(), &mut self.open) {
            // A copy if it is on its way to a block: what goes there stays as it is.
            let run = Arc::make_mut(run);
            state.put(at, histogram, &mut run.bytes);
            (run.last, run.count) = (at, run.count + 1);
        }
    }

    /// Puts a histogram between others.
    fn insert(&mut self, at: i64, histogram: &Histogram) -> Result<Pushed, Rejection> {
        let number = self.runs.partition_point(|run| run.first <= at).saturating_sub(1);
        let Some(run) = self.runs.get(number) else { return Err(Rejection::OutOfOrder) };
        let Ok(mut all) = all_of(&run.bytes, run.count as usize) else { return Err(Rejection::OutOfOrder) };
        let place = match all.binary_search_by_key(&at, |(have, _)| *have) {
            Ok(place) => {
                // It may have got empty buckets here.
                let same = all.get(place).is_some_and(|(_, have)| have.holds_the_same(histogram));
                return if same { Ok(Pushed::Known) } else { Err(Rejection::DuplicateTimestamp) };
            }
            Err(place) => place,
        };
        let mut histogram = histogram.clone();
        let unknown = |hint| if hint == ResetHint::Gauge { hint } else { ResetHint::Unknown };
        histogram.set_hint(unknown(histogram.hint()));
        // Of the one after it nothing is known any more.
        if let Some((_, next)) = all.get_mut(place) {
            next.set_hint(unknown(next.hint()));
        }
        all.insert(place, (at, histogram));
        let last = number + 1 == self.runs.len();
        self.runs.splice(number..=number, runs_of(&all).runs);
        if last {
            self.open = None;
        }
        Ok(Pushed::Accepted)
    }

    /// Appends the histograms with `start < time <= end`, ascending.
    pub(crate) fn read(&self, start: i64, end: i64, out: &mut Vec<(i64, Histogram)>) {
        let from = self.runs.partition_point(|run| run.last <= start);
        for run in self.runs.iter().skip(from).take_while(|run| run.first <= end) {
            let whole = read_run(&run.bytes, start, end, out);
            debug_assert!(whole.is_ok(), "a run is whole");
        }
    }

    /// Removes the histograms with `after < time <= until`.
    pub(crate) fn remove(&mut self, after: i64, until: i64) {
        if until <= after {
            return;
        }
        let first = self.runs.partition_point(|run| run.last <= after);
        let mut end = self.runs.partition_point(|run| run.first <= until);
        // The one that comes after them is not known to continue what is left.
        end += usize::from(self.runs.get(end.wrapping_sub(1)).is_none_or(|run| run.last <= until));
        let end = end.min(self.runs.len());
        let mut left = Vec::new();
        for run in self.runs.get(first..end).unwrap_or_default() {
            let whole = run::read(&run.bytes, |state| {
                if state.at() <= after || state.at() > until {
                    left.push((state.at(), state.histogram()?));
                }
                Ok(true)
            });
            debug_assert!(whole.is_ok(), "a run is whole");
        }
        if let Some((_, next)) = left.iter_mut().find(|(at, _)| *at > until) {
            forget_what_was_before(next);
        }
        self.runs.splice(first..end, runs_of(&left).runs);
        self.open = None;
    }

    /// Drops runs that lie wholly before a time; says how many histograms went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        let old = self.runs.partition_point(|run| run.last < horizon);
        let gone = self.runs.drain(..old).map(|run| u64::from(run.count)).sum();
        if self.runs.is_empty() {
            self.open = None;
        }
        gone
    }

    /// The runs that end before a time, to go to a block: the last one, too, if all is older.
    pub(crate) fn runs_before(&self, time: i64) -> Vec<Arc<Run>> {
        self.runs.iter().take_while(|run| run.last < time).cloned().collect()
    }

    /// Whether these are still the first runs.
    pub(crate) fn begins_with(&self, runs: &[Arc<Run>]) -> bool {
        self.runs.len() >= runs.len() && self.runs.iter().zip(runs).all(|(mine, other)| Arc::ptr_eq(mine, other))
    }

    /// Drops so many runs.
    pub(crate) fn drop_first(&mut self, many: usize) {
        self.runs.drain(..many.min(self.runs.len()));
        self.runs.shrink_to_fit();
        if self.runs.is_empty() {
            self.open = None;
        }
    }

    /// Puts runs before all others.
    pub(crate) fn put_before(&mut self, runs: Vec<Arc<Run>>) {
        self.runs.splice(..0, runs);
    }

    /// Calls back with the end time and memory of each run.
    pub(crate) fn sizes(&self, mut each: impl FnMut(i64, usize)) {
        self.runs.iter().for_each(|run| each(run.last, run.memory_bytes()));
    }

    /// Gives spare room of a series back that has been quiet.
    pub(crate) fn compact(&mut self) {
        self.open = None;
        let open = self.runs.last_mut().and_then(Arc::get_mut);
        open.into_iter().for_each(|run| run.bytes.shrink_to_fit());
        self.runs.shrink_to_fit();
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |state| size_of::<State>() + state.memory_bytes());
        size_of::<Natives>() + self.runs.iter().map(|run| run.memory_bytes()).sum::<usize>() + open
    }

    /// Appends all of it for a snapshot.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.runs.len() as u64);
        self.runs.iter().for_each(|run| put_bytes(out, &run.bytes));
    }

    /// Reads what `write` wrote, and checks it.
    pub(crate) fn read_from(cursor: &mut Cursor) -> Result<Natives, Damaged> {
        let mut natives = Natives::default();
        for _ in 0..cursor.length(1 << 24)? {
            let run = Run::of(cursor.bytes()?)?;
            if natives.newest().is_some_and(|newest| run.first <= newest) {
                return Err(Damaged("runs of histograms do not ascend"));
            }
            natives.runs.push(Arc::new(run));
        }
        Ok(natives)
    }
}
