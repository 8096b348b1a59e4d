//! A search over all blocks of a snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rayon::prelude::*;
use watchfire_model::{Level, LogRecord, Timestamp};

use super::block::{BlockView, Failure, Place, Wanted};
use super::budget::Budget;
use super::collect::Tally;
use super::eval::eval;
use super::open::OpenView;
use super::ranking::{Bar, Ranking};
use super::sealed::SealedView;
use crate::cursor::Cursor;
use crate::histogram::Bars;
use crate::open_block::{Chunk, Rows};
use crate::query::{Expr, Field, Node, Query, Span, Test};
use crate::sealed::block::SealedBlock;
use crate::search::{Bucket, Histogram, Hit, Order, SearchError, SearchRequest, SearchResponse, TimeRange};
use crate::store::ValueCount;
use crate::values::Bits;

/// A block of a snapshot.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Open(Arc<Chunk>),
    Sealed(Arc<SealedBlock>),
}

/// Event times and numbers that a part spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub time_min: i64,
    pub time_max: i64,
    pub seq_min: u64,
    pub seq_max: u64,
}

impl Extent {
    pub fn is_inside(&self, range: TimeRange) -> bool {
        let (start, end) = (range.start.millis(), range.end.millis());
        start <= self.time_min && (self.time_max < end || end == i64::MAX)
    }

    pub fn overlaps(&self, range: TimeRange) -> bool {
        let (start, end) = (range.start.millis(), range.end.millis());
        self.time_max >= start && (self.time_min < end || end == i64::MAX)
    }
}

impl Part {
    /// What it spans at this moment; `None` if it is empty. An open chunk may grow.
    pub(super) fn extent(&self) -> Option<Extent> {
        match self {
            Part::Open(chunk) => Extent::of_rows(&chunk.rows.read()),
            Part::Sealed(block) => Some(Extent {
                time_min: block.info.time_min,
                time_max: block.info.time_max,
                seq_min: block.info.seq_min,
                seq_max: block.info.seq_max,
            }),
        }
    }

    /// Runs `work` on the part as it is now. Open chunks are locked against appending meanwhile.
    pub(super) fn with<T: Default>(
        &self,
        budget: &Budget,
        work: impl FnOnce(&dyn BlockView, Extent) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self {
            Part::Open(chunk) => {
                let rows = chunk.rows.read();
                match Extent::of_rows(&rows) {
                    Some(extent) => work(&OpenView { rows: &rows, len: rows.len(), budget }, extent),
                    None => Ok(T::default()),
                }
            }
            Part::Sealed(block) => {
                let Some(extent) = self.extent() else { return Ok(T::default()) };
                let result = SealedView::open(block, budget).and_then(|view| work(&view, extent));
                if let Err(Failure::Damaged(_)) = result {
                    block.note_damage();
                }
                result
            }
        }
    }
}

impl Extent {
    /// Whether one of its records can have a sequence number within these bounds.
    fn has_seqs(&self, (lowest, highest): (i64, i64)) -> bool {
        let number = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
        number(self.seq_max) >= lowest && number(self.seq_min) <= highest
    }

    fn of_rows(rows: &Rows) -> Option<Extent> {
        let (first, last) = (rows.seqs.first()?, rows.seqs.last()?);
        Some(Extent { time_min: rows.time_min, time_max: rows.time_max, seq_min: *first, seq_max: *last })
    }
}

/// Rows of a block inside a range of time and below a number.
pub(super) fn rows_inside(view: &dyn BlockView, extent: Extent, range: TimeRange, upper: u64) -> Result<Bits, Failure> {
    use super::block::Integer;
    let (start, end) = (range.start.millis(), range.end.millis());
    let mut rows = Bits::all(view.rows());
    if !extent.is_inside(range) {
        if end == i64::MIN {
            return Ok(Bits::none(view.rows()));
        }
        // The end of all time includes the last millisecond that there is.
        let last = if end == i64::MAX { i64::MAX } else { end - 1 };
        rows.and(&view.integers(Integer::Timestamp, start, last)?);
    }
    if extent.seq_max >= upper {
        let last = upper.checked_sub(1).map_or(-1, |last| i64::try_from(last).unwrap_or(i64::MAX));
        rows.and(&view.integers(Integer::Seq, 0, last)?);
    }
    Ok(rows)
}

/// Skips a damaged block, but counts it.
pub(super) fn report_damage<T: Default>(result: Result<T, Failure>, budget: &Budget) -> Result<T, SearchError> {
    match result {
        Ok(value) => Ok(value),
        Err(Failure::Stop(error)) => Err(error),
        Err(Failure::Damaged(reason)) => {
            tracing::error!(%reason, "a block cannot be read and is left out of a search");
            budget.count_damaged();
            Ok(T::default())
        }
    }
}

/// One search: everything that its threads share.
struct Search<'a> {
    request: &'a SearchRequest,
    /// That of the request; what lies before the page is left out if nothing is counted.
    range: TimeRange,
    budget: &'a Budget,
    wanted: Wanted,
    ranking: Option<Ranking<'a>>,
    bar: Bar,
    bars: Option<Bars>,
    upper: u64,
    /// No match has a number outside of these bounds.
    seqs: (i64, i64),
    /// Among the newest that are wanted are none older than this; blocks of older ones are only counted.
    newest_from: AtomicI64,
}

/// Runs a search over `parts`; records from number `upper` on are left out.
pub(crate) fn search(
    parts: &[Part],
    request: &SearchRequest,
    upper: u64,
    budget: &Budget,
) -> Result<SearchResponse, SearchError> {
    let upper = request.cursor.map_or(upper, |cursor| cursor.upper.min(upper));
    let page_end = request.offset.saturating_add(request.limit);
    let wanted = Wanted {
        newest_first: request.order != Order::OldestFirst,
        // One more tells whether there is a next page.
        count: if request.limit == 0 { 0 } else { page_end.saturating_add(1) },
        after: request.cursor.map(|cursor| (cursor.timestamp.millis(), cursor.seq)),
    };
    let ranking = match &request.order {
        Order::NewestFirst | Order::OldestFirst => None,
        Order::ByField { .. } if request.cursor.is_some() => return Err(SearchError::CursorWithSort),
        Order::ByField { field, descending } => Some(Ranking { field, descending: *descending, count: wanted.count }),
    };
    if let Some(cursor) = &request.cursor
        && (cursor.newest_first != wanted.newest_first || cursor.search != request.fingerprint())
    {
        return Err(SearchError::CursorMismatch);
    }
    let is_page_only = !request.with_totals && ranking.is_none();
    let bars = (request.buckets > 0 && !is_page_only).then(|| bars_over(parts, request));
    let range = if is_page_only { behind(request) } else { request.range };
    let newest_from = AtomicI64::new(i64::MIN);
    let (bar, seqs) = (Bar::default(), request.query.seq_bounds());
    let search = Search { request, range, budget, wanted, ranking, bar, bars, upper, seqs, newest_from };
    let mut tally = if is_page_only { search.page(parts)? } else { search.tally(parts)? };

    let is_more = tally.places.len() > page_end;
    let page: Vec<(Place, usize)> = match ranking {
        None => tally.places.iter().copied().take(page_end).skip(request.offset).collect(),
        Some(ranking) => {
            tally.ranked.sort_unstable_by(|(a, _), (b, _)| ranking.compare(a, b));
            let page = tally.ranked.iter().take(page_end).skip(request.offset);
            page.map(|(ranked, part)| (ranked.place, *part)).collect()
        }
    };
    let next_cursor = page.last().filter(|_| is_more).map(|(place, _)| {
        let timestamp = Timestamp::from_millis(place.time_ms);
        let newest_first = search.wanted.newest_first;
        Cursor { timestamp, seq: place.seq, upper, newest_first, search: request.fingerprint(), now: request.now }
            .encode()
    });
    let hits = fetch(parts, &page, budget)?;
    let cost = budget.cost();
    Ok(SearchResponse {
        total: tally.total(),
        total_exact: cost.damaged_blocks == 0,
        hits,
        next_cursor,
        histogram: search.bars.map(|bars| histogram(&bars, &tally)),
        levels: tally.levels,
        cost,
    })
}

/// The part of the range that can have hits behind the cursor.
fn behind(request: &SearchRequest) -> TimeRange {
    let TimeRange { start, end } = request.range;
    match &request.cursor {
        None => request.range,
        Some(cursor) if cursor.newest_first => TimeRange { start, end: end.min(cursor.timestamp.plus_millis(1)) },
        Some(cursor) => TimeRange { start: start.max(cursor.timestamp), end },
    }
}

impl Search<'_> {
    fn merge(&self, a: Tally, b: Tally) -> Tally {
        a.merge(b, &self.wanted, self.ranking.as_ref())
    }

    /// The places of the page alone: blocks in the order of time, until no further one can have any.
    fn page(&self, parts: &[Part]) -> Result<Tally, SearchError> {
        let newest_first = self.wanted.newest_first;
        let with_extent = parts.iter().enumerate().filter_map(|(number, part)| Some((number, part, part.extent()?)));
        let mut ordered: Vec<_> = with_extent.filter(|(_, _, extent)| self.may_match(*extent)).collect();
        if newest_first {
            ordered.sort_by_key(|(_, _, extent)| std::cmp::Reverse(extent.time_max));
        } else {
            ordered.sort_by_key(|(_, _, extent)| extent.time_min);
        }
        let mut tally = Tally::default();
        for group in ordered.chunks(rayon::current_num_threads().max(1)) {
            let last = self.wanted.count.checked_sub(1).and_then(|last| tally.places.get(last));
            let is_behind = |(_, _, extent): &(usize, &Part, Extent)| match last {
                Some((last, _)) if newest_first => extent.time_max < last.time_ms,
                Some((last, _)) => extent.time_min > last.time_ms,
                None => self.wanted.count == 0,
            };
            if group.first().is_some_and(is_behind) {
                break;
            }
            let tallies = group.par_iter().map(|(number, part, _)| self.tally_block(part, *number));
            let found = tallies.try_reduce(Tally::default, |a, b| Ok(self.merge(a, b)))?;
            tally = self.merge(tally, found);
        }
        Ok(tally)
    }

    fn tally_block(&self, part: &Part, number: usize) -> Result<Tally, SearchError> {
        self.budget.check()?;
        self.budget.count_block();
        report_damage(part.with(self.budget, |view, extent| self.tally_part(view, extent, number)), self.budget)
    }

    fn tally(&self, parts: &[Part]) -> Result<Tally, SearchError> {
        let tallies = parts.par_iter().enumerate().map(|(number, part)| {
            self.budget.check()?;
            let Some(extent) = part.extent().filter(|extent| self.may_match(*extent)) else {
                return Ok(Tally::default());
            };
            if let Part::Sealed(block) = part
                && self.is_told_by_counts(extent)
            {
                self.budget.count_block();
                if block.is_unreadable() {
                    // They count, but who asks for them does not get all.
                    self.budget.count_damaged();
                }
                let mut tally = Tally { levels: block.info.level_counts, ..Tally::default() };
                if let Some(bars) = &self.bars {
                    tally.bars = vec![[0; 8]; bars.count];
                    tally.bars[bars.bar_of(extent.time_min)] = block.info.level_counts;
                }
                return Ok(tally);
            }
            self.tally_block(part, number)
        });
        tallies.try_reduce(Tally::default, |a, b| Ok(self.merge(a, b)))
    }

    /// Whether a block may have matches of the range.
    fn may_match(&self, extent: Extent) -> bool {
        extent.overlaps(self.range) && extent.has_seqs(self.seqs)
    }

    /// Whether all records of a block match, are of one bar, and none is among those that are wanted.
    fn is_told_by_counts(&self, extent: Extent) -> bool {
        let is_one_bar = |bars: &Bars| bars.bar_of(extent.time_min) == bars.bar_of(extent.time_max);
        self.request.query.root.expr == Expr::All
            && extent.is_inside(self.request.range)
            && extent.seq_max < self.upper
            && self.bars.as_ref().is_none_or(is_one_bar)
            && !self.may_be_wanted(extent)
    }

    /// Whether a block may have hits of this page.
    fn may_be_wanted(&self, extent: Extent) -> bool {
        self.wanted.count > 0
            && (self.ranking.is_some()
                || !self.wanted.newest_first
                || extent.time_max >= self.newest_from.load(Ordering::Relaxed))
    }

    fn tally_part(&self, view: &dyn BlockView, extent: Extent, part: usize) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let inside = rows_inside(view, extent, self.range, self.upper)?;
        let rows = eval(&self.request.query.root, view, &inside, self.budget)?;
        if rows.is_empty() {
            return Ok(tally);
        }
        if self.request.with_totals {
            tally.levels = view.count_levels(&rows)?;
        }
        if let Some(bars) = &self.bars {
            tally.bars = vec![[0; 8]; bars.count];
            view.count_bars(&rows, bars, &mut tally.bars)?;
        }
        if !self.may_be_wanted(extent) {
            return Ok(tally);
        }
        match &self.ranking {
            None => {
                let places = view.places(&rows, &self.wanted)?;
                // As many as are wanted: nothing older than the last of them can be wanted.
                if let Some(last) = self.wanted.count.checked_sub(1).and_then(|last| places.get(last)) {
                    self.newest_from.fetch_max(last.time_ms, Ordering::Relaxed);
                }
                tally.places = places.into_iter().map(|place| (place, part)).collect();
            }
            Some(ranking) => {
                let ranked = view.ranked(&rows, ranking, self.bar.worst(ranking))?;
                self.bar.raise(ranking, &ranked);
                tally.ranked = ranked.into_iter().map(|ranked| (ranked, part)).collect();
            }
        }
        Ok(tally)
    }
}

/// Bars over the range asked for.
fn bars_over(parts: &[Part], request: &SearchRequest) -> Bars {
    let (start, end) = range_of(parts, request.range);
    Bars::over(start, end, request.buckets)
}

/// Start and end of a range; of the records that there are, where the range has no start or end.
pub(super) fn range_of(parts: &[Part], range: TimeRange) -> (i64, i64) {
    let (mut start, mut end) = (range.start.millis(), range.end.millis());
    if start == i64::MIN || end == i64::MAX {
        let extents: Vec<Extent> = parts.iter().filter_map(Part::extent).collect();
        let first = extents.iter().map(|extent| extent.time_min).min().unwrap_or(0);
        let last = extents.iter().map(|extent| extent.time_max).max().unwrap_or(0);
        if start == i64::MIN {
            start = first.min(end);
        }
        if end == i64::MAX {
            end = last.saturating_add(1).max(start);
        }
    }
    (start, end)
}

fn histogram(bars: &Bars, tally: &Tally) -> Histogram {
    let mut histogram = bars.empty();
    for (bucket, levels) in histogram.buckets.iter_mut().zip(&tally.bars) {
        *bucket = Bucket { total: levels.iter().sum(), levels: *levels };
    }
    histogram
}

/// The records of some places, in their order. Records of damaged blocks are left out (and counted).
fn fetch(parts: &[Part], page: &[(Place, usize)], budget: &Budget) -> Result<Vec<Hit>, SearchError> {
    let mut by_part: HashMap<usize, Vec<u32>> = HashMap::new();
    for (place, part) in page {
        by_part.entry(*part).or_default().push(place.row);
    }
    let fetched = by_part.into_par_iter().map(|(number, mut rows)| {
        budget.check()?;
        rows.sort_unstable();
        let Some(part) = parts.get(number) else { return Ok(Vec::new()) };
        let records = report_damage(part.with(budget, |view, _| view.records(&rows)), budget)?;
        Ok(rows.into_iter().zip(records).map(|(row, record)| ((number, row), record)).collect())
    });
    let fetched = fetched.collect::<Result<Vec<Vec<_>>, SearchError>>()?;
    let mut records: HashMap<(usize, u32), LogRecord> = fetched.into_iter().flatten().collect();
    let hits = page
        .iter()
        .filter_map(|(place, part)| records.remove(&(*part, place.row)).map(|record| Hit { seq: place.seq, record }));
    Ok(hits.collect())
}

/// Runs `work` on the rows of a part that lie in a range; nothing of a part that is damaged.
pub(crate) fn in_range<T: Default>(
    part: &Part,
    range: TimeRange,
    budget: &Budget,
    work: impl FnOnce(&dyn BlockView, &Bits) -> Result<T, Failure>,
) -> Result<T, SearchError> {
    if !part.extent().is_some_and(|extent| extent.overlaps(range)) {
        return Ok(T::default());
    }
    let inside = |view: &dyn BlockView, extent| work(view, &rows_inside(view, extent, range, u64::MAX)?);
    report_damage(part.with(budget, inside), budget)
}

/// The values of a field in a range, most frequent first.
pub(crate) fn distinct(
    parts: &[Part],
    field: &Field,
    range: TimeRange,
    limit: usize,
    budget: &Budget,
) -> Result<Vec<ValueCount>, SearchError> {
    // A map per thread, not per part: most values come in every part.
    let counted = parts.par_iter().try_fold(Counts::default, |mut counts, part| {
        budget.check()?;
        in_range(part, range, budget, |view, rows| distinct_part(view, rows, field, &mut counts))?;
        Ok(counts)
    });
    let counts = counted.try_reduce(Counts::default, |mut a, mut b| {
        // Into the larger one.
        if a.len() < b.len() {
            std::mem::swap(&mut a, &mut b);
        }
        b.into_iter().for_each(|(value, count)| *a.entry(value).or_default() += count);
        Ok(a)
    })?;
    let mut values: Vec<ValueCount> = counts.into_iter().map(|(value, count)| ValueCount { value, count }).collect();
    values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values.truncate(limit);
    Ok(values)
}

/// How many records have each value.
type Counts = hashbrown::HashMap<String, u64, foldhash::fast::RandomState>;

fn distinct_part(view: &dyn BlockView, rows: &Bits, field: &Field, counts: &mut Counts) -> Result<(), Failure> {
    if *field == Field::Level {
        let levels = view.count_levels(rows)?;
        for (level, count) in Level::ALL.iter().zip(levels).filter(|(_, count)| *count > 0) {
            *counts.entry(level.as_str().to_owned()).or_default() += count;
        }
        return Ok(());
    }
    view.values(field, rows, &mut |value, count| match counts.get_mut(value) {
        Some(have) => *have += count,
        None => drop(counts.insert(value.to_owned(), count)),
    })
}

/// The record with a number.
pub(crate) fn get(parts: &[Part], seq: u64, budget: &Budget) -> Result<Option<Hit>, SearchError> {
    let wanted = i64::try_from(seq).unwrap_or(i64::MAX);
    for part in parts {
        budget.check()?;
        if !part.extent().is_some_and(|extent| (extent.seq_min..=extent.seq_max).contains(&seq)) {
            continue;
        }
        let found = part.with(budget, |view, _| {
            let rows = view.integers(super::block::Integer::Seq, wanted, wanted)?;
            let Some(row) = rows.iter().next() else { return Ok(None) };
            Ok(view.records(&[row as u32])?.pop())
        });
        if let Some(record) = report_damage(found, budget)? {
            return Ok(Some(Hit { seq, record }));
        }
    }
    Ok(None)
}

/// A query for one test of a field.
pub(crate) fn field_query(field: Field, test: Test) -> Query {
    Query { root: Node { span: Span::default(), expr: Expr::Field(field, test) } }
}
