//! What the executor asks of a block, open or sealed.

use watchfire_model::LogRecord;

use super::columns::ColumnView;
use super::leaf::Leaf;
use super::ranking::{Ranked, Ranking};
use crate::query::LevelSet;
use crate::search::SearchError;
use crate::values::Bits;

/// Why a block gives no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its file cannot be read: this block is left out, the search goes on.
    Damaged(String),
    /// The whole search ends.
    Stop(SearchError),
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Failure {
        Failure::Stop(error)
    }
}

/// Which of a record's own integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    Timestamp,
    AcceptedAt,
    Seq,
}

/// Where a record stands in the order by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub time_ms: i64,
    pub seq: u64,
    pub row: u32,
}

/// Which places of a block are wanted: the first `count` in the order, behind `after`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub newest_first: bool,
    pub count: usize,
    /// Only what comes after this (time, seq) in the order.
    pub after: Option<(i64, u64)>,
}

impl Wanted {
    /// Whether a place lies behind `after`.
    pub fn is_behind(&self, time_ms: i64, seq: u64) -> bool {
        match self.after {
            None => true,
            Some(after) if self.newest_first => (time_ms, seq) < after,
            Some(after) => (time_ms, seq) > after,
        }
    }

    /// Leaves the first `count` of `places`, in order.
    pub fn cut(&self, places: &mut Vec<Place>) {
        self.cut_by(places, |place| *place);
    }

    /// [`Wanted::cut`] for anything that has a place.
    pub fn cut_by<T>(&self, items: &mut Vec<T>, place: impl Fn(&T) -> Place) {
        let compare = |a: &T, b: &T| {
            let order = place(a).cmp(&place(b));
            if self.newest_first { order.reverse() } else { order }
        };
        if items.len() > self.count && self.count > 0 {
            items.select_nth_unstable_by(self.count - 1, compare);
        }
        items.truncate(self.count);
        items.sort_unstable_by(compare);
    }
}

/// Level counts of some rows, by ranges of time.
pub(crate) type BarCounts = [u64; 8];

/// A block under search. Row sets have as many rows as the block.
pub(crate) trait BlockView: ColumnView {
    fn rows(&self) -> usize;

    /// Which of `candidates` pass a leaf. The more expensive it is, the more it should look at candidates only.
    fn leaf(&self, leaf: &Leaf<'_>, candidates: &Bits) -> Result<Bits, Failure>;

    /// [`BlockView::leaf`] in some of the block's own columns (see [`ColumnView::own`]).
    fn leaf_in(&self, own: &[usize], leaf: &Leaf<'_>, candidates: &Bits) -> Result<Bits, Failure>;

    /// About what [`BlockView::leaf`] costs; the cheaper is asked first.
    fn leaf_cost(&self, leaf: &Leaf<'_>) -> u32;

    /// Rows whose level is in the set.
    fn levels(&self, wanted: LevelSet) -> Result<Bits, Failure>;

    /// Rows whose integer lies in `low..=high`.
    fn integers(&self, which: Integer, low: i64, high: i64) -> Result<Bits, Failure>;

    /// Level counts of the rows in the set.
    fn count_levels(&self, rows: &Bits) -> Result<[u64; 8], Failure>;

    /// Adds level counts of the rows in the set to the bar of their time.
    fn count_bars(&self, rows: &Bits, bars: &crate::histogram::Bars, counts: &mut [BarCounts]) -> Result<(), Failure>;

    /// The wanted places among the rows in the set, in order.
    fn places(&self, rows: &Bits, wanted: &Wanted) -> Result<Vec<Place>, Failure>;

    /// The first `wanted.count` rows of the set in an order by field, in any order among themselves; those that come
    /// after `bar` may be left out.
    fn ranked(&self, rows: &Bits, wanted: &Ranking<'_>, bar: Option<Ranked>) -> Result<Vec<Ranked>, Failure>;

    /// Calls `count` with each template of messages (variables as `<*>`) and how many rows of the set have it; gives
    /// how many rows are of none.
    fn templates(&self, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<u64, Failure>;

    /// The records of some rows (ascending).
    fn records(&self, rows: &[u32]) -> Result<Vec<LogRecord>, Failure>;
}
