//! Figures over all blocks of a snapshot: groups by texts and steps of time, block by block.
//!
//! Counts by few values come from sets of rows and their bits alone; everything else goes through pairs of (row,
//! group), into which the texts and numbers of the fields are merged in the order of rows.

use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::hash_map::{Entry, HashMap};
use rayon::prelude::*;
use watchfire_model::Level;

use super::block::{BlockView, Failure};
use super::budget::Budget;
use super::columns::Partition;
use super::distinct::{Distinct, hash_text};
use super::eval::eval;
use super::figures::Making;
use super::groups::Groups;
use super::run::{Extent, Part, range_of, report_damage, rows_inside};
use crate::histogram::Bars;
use crate::query::{Field, Number};
use crate::search::{SearchError, TimeRange};
use crate::stats::{Figure, Measure, ROWS_MAX, STEPS_MAX, StatsRequest, StatsResponse, StatsRow};
use crate::values::Bits;

/// Most values of a field that are counted by sets of rows.
const SETS_MAX: usize = 64;
/// Most combinations of such sets, each over all runs of rows; past it pairs are quicker.
const COUNTS_MAX: usize = 1 << 14;

/// Hashes of texts that are counted together.
const HASHES_AT_ONCE: usize = 1 << 15;

/// A value per field; `None` for records without one.
type Key = Box<[Option<Box<str>>]>;

/// The figures of a group by bar.
type ByBar = BTreeMap<u32, Vec<Making>>;

/// Runs of rows in one bar.
type Runs = [(Range<usize>, usize)];

/// What the blocks so far came to: by key, then by bar.
#[derive(Debug, Default)]
struct Tally {
    groups: HashMap<Key, ByBar>,
    /// Memory that was taken of the budget.
    taken: usize,
}

impl Tally {
    fn memory(&self) -> usize {
        let of_key = |key: &Key| key.iter().flatten().map(|text| text.len()).sum::<usize>() + key.len() * 16 + 64;
        let of_making = |making: &Making| size_of::<Making>() + making.memory();
        let of_bars = |bars: &ByBar| {
            bars.values().map(|makings| 48 + makings.iter().map(of_making).sum::<usize>()).sum::<usize>()
        };
        self.groups.iter().map(|(key, bars)| of_key(key) + of_bars(bars)).sum()
    }

    /// Takes the memory of what has come together, in place of `before`.
    fn account(mut self, before: usize, budget: &Budget) -> Result<Tally, SearchError> {
        self.taken = self.memory();
        budget.take(self.taken)?;
        budget.give(before);
        Ok(self)
    }

    fn merge(mut self, mut other: Tally, budget: &Budget) -> Result<Tally, SearchError> {
        budget.check()?;
        if self.groups.len() < other.groups.len() {
            std::mem::swap(&mut self, &mut other);
        }
        if other.groups.is_empty() {
            return Ok(self);
        }
        let before = self.taken + other.taken;
        for (key, bars) in other.groups {
            match self.groups.entry(key) {
                Entry::Vacant(entry) => _ = entry.insert(bars),
                Entry::Occupied(mut entry) => bars.into_iter().for_each(|(bar, makings)| {
                    merge_into(entry.get_mut(), bar, makings);
                }),
            }
        }
        self.account(before, budget)
    }
}

fn merge_into(bars: &mut ByBar, bar: u32, makings: Vec<Making>) {
    match bars.get_mut(&bar) {
        None => _ = bars.insert(bar, makings),
        Some(mine) => mine.iter_mut().zip(makings).for_each(|(mine, theirs)| mine.merge(theirs)),
    }
}

/// One question: everything that its threads share.
struct Stats<'a> {
    request: &'a StatsRequest,
    budget: &'a Budget,
    bars: Option<Bars>,
    upper: u64,
    only_counts: bool,
}

/// Answers over `parts`; records from number `upper` on are left out.
pub(crate) fn stats(
    parts: &[Part],
    request: &StatsRequest,
    upper: u64,
    budget: &Budget,
) -> Result<StatsResponse, SearchError> {
    let bars = request.step_ms.map(|step_ms| steps(parts, request.range, step_ms)).transpose()?;
    let only_counts = request.measures.iter().all(|measure| *measure == Measure::Count);
    let stats = Stats { request, budget, bars, upper, only_counts };
    let tallies = parts.par_iter().map(|part| {
        budget.check()?;
        if !part.extent().is_some_and(|extent| extent.overlaps(request.range)) {
            return Ok(Tally::default());
        }
        budget.count_block();
        let tally = part.with(budget, |view, extent| stats.tally_part(view, extent));
        report_damage(tally, budget)?.account(0, budget)
    });
    let tally = tallies.try_reduce(Tally::default, |a, b| a.merge(b, budget))?;
    let groups = tally.groups.len() as u64;
    let rows = stats.rows(tally)?;
    let cost = budget.cost();
    Ok(StatsResponse { rows, groups, is_exact: cost.damaged_blocks == 0, cost })
}

/// Steps over the range; over the records that there are, where it has no end.
fn steps(parts: &[Part], range: TimeRange, step_ms: i64) -> Result<Bars, SearchError> {
    let (start, end) = range_of(parts, range);
    Bars::stepped(start, end, step_ms, STEPS_MAX).ok_or(SearchError::Steps { limit: STEPS_MAX })
}

impl Stats<'_> {
    fn makings(&self) -> Vec<Making> {
        self.request.measures.iter().map(Making::of).collect()
    }

    fn tally_part(&self, view: &dyn BlockView, extent: Extent) -> Result<Tally, Failure> {
        let inside = rows_inside(view, extent, self.request.range, self.upper)?;
        let rows = eval(&self.request.query.root, view, &inside, self.budget)?;
        let mut tally = Tally::default();
        if rows.is_empty() {
            return Ok(tally);
        }
        let runs = match &self.bars {
            None => vec![(0..view.rows(), 0)],
            Some(bars) => view.bar_runs(bars)?,
        };
        if self.only_counts
            && let Some(partitions) = self.partitions(view, COUNTS_MAX / runs.len().max(1))?
        {
            self.count_sets(&rows, &partitions, &runs, &mut Vec::new(), &mut tally);
            return Ok(tally);
        }
        if self.request.by.is_empty() && self.bars.is_none() {
            tally.groups.insert(Key::default(), BTreeMap::from([(0, self.one_group(view, &rows)?)]));
            return Ok(tally);
        }
        self.by_pairs(view, &rows, &runs, &mut tally)?;
        Ok(tally)
    }

    /// The rows by each field, if all of them together are at most `combinations`.
    fn partitions(&self, view: &dyn BlockView, combinations: usize) -> Result<Option<Vec<Partition>>, Failure> {
        let mut partitions = Vec::with_capacity(self.request.by.len());
        let mut left = combinations;
        for field in &self.request.by {
            match view.partition(field, SETS_MAX.min(left))? {
                Some(partition) => {
                    left /= partition.len().max(1);
                    partitions.push(partition);
                }
                None => return Ok(None),
            }
        }
        Ok((left > 0).then_some(partitions))
    }

    /// Counts the rows of each combination of sets in each run.
    fn count_sets(
        &self,
        rows: &Bits,
        partitions: &[Partition],
        runs: &Runs,
        key: &mut Vec<Option<Box<str>>>,
        tally: &mut Tally,
    ) {
        let Some((partition, others)) = partitions.split_first() else {
            let bars = tally.groups.entry(key.clone().into()).or_default();
            for (range, bar) in runs {
                let records = rows.count_range(range.clone()) as u64;
                if records > 0 {
                    let makings = bars.entry(*bar as u32).or_insert_with(|| self.makings());
                    makings.iter_mut().for_each(|making| making.add_records(records));
                }
            }
            return;
        };
        for (name, set) in partition {
            let mut of_set = set.clone();
            of_set.and(rows);
            if !of_set.is_empty() {
                key.push(name.as_deref().map(Into::into));
                self.count_sets(&of_set, others, runs, key, tally);
                key.pop();
            }
        }
    }

    /// Everything is one group: no row needs to know which.
    fn one_group(&self, view: &dyn BlockView, rows: &Bits) -> Result<Vec<Making>, Failure> {
        let mut makings = self.makings();
        let records = rows.count() as u64;
        makings.iter_mut().for_each(|making| making.add_records(records));
        for (field, is_text) in self.fields() {
            let mut of_field = self.of_field(&mut makings, field, is_text);
            if is_text {
                let distinct = self.distinct(view, rows, field)?;
                of_field.iter_mut().for_each(|making| making.add_distinct(&distinct));
            } else {
                for (_, number) in view.numbers(field, rows)? {
                    of_field.iter_mut().for_each(|making| making.add_number(number));
                }
            }
        }
        Ok(makings)
    }

    /// The different texts of a field; of a whole block they may be known, and are kept.
    fn distinct(&self, view: &dyn BlockView, rows: &Bits, field: &Field) -> Result<Distinct, Failure> {
        let mut distinct = Distinct::default();
        if *field == Field::Level {
            let counts = view.count_levels(rows)?;
            let there = Level::ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
            there.for_each(|(level, _)| distinct.add(hash_text(level.as_str())));
            return Ok(distinct);
        }
        let is_whole = rows.count() == view.rows();
        if is_whole && let Some(kept) = view.kept_distinct(field) {
            distinct.add_kept(&kept);
            return Ok(distinct);
        }
        let mut hashes = Vec::with_capacity(HASHES_AT_ONCE.min(rows.count()));
        view.values(field, rows, &mut |text, _| {
            hashes.push(hash_text(text));
            if hashes.len() >= HASHES_AT_ONCE {
                distinct.add_all(&hashes);
                hashes.clear();
            }
        })?;
        distinct.add_all(&hashes);
        if is_whole {
            view.keep_distinct(field, &|| distinct.kept());
        }
        Ok(distinct)
    }

    fn by_pairs(&self, view: &dyn BlockView, rows: &Bits, runs: &Runs, tally: &mut Tally) -> Result<(), Failure> {
        let mut groups = Groups::by_bar(rows, runs);
        for field in &self.request.by {
            self.budget.check()?;
            groups.refine(view.texts(field, rows)?);
        }
        let mut makings: Vec<Vec<Making>> = (0..groups.len()).map(|_| self.makings()).collect();
        for (makings, records) in makings.iter_mut().zip(groups.counts()) {
            makings.iter_mut().for_each(|making| making.add_records(records));
        }
        for (field, is_text) in self.fields() {
            self.budget.check()?;
            let mut of_groups: Vec<_> =
                makings.iter_mut().map(|makings| self.of_field(makings, field, is_text)).collect();
            if is_text {
                let texts = view.texts(field, rows)?;
                groups.join(&texts.pairs, |group, id| {
                    let hash = texts.hash(id);
                    of_groups[group].iter_mut().for_each(|making| making.add_text(hash));
                });
            } else {
                let numbers: Vec<(u32, Number)> = view.numbers(field, rows)?;
                groups.join(&numbers, |group, number| {
                    of_groups[group].iter_mut().for_each(|making| making.add_number(number));
                });
            }
        }
        for (group, makings) in makings.into_iter().enumerate() {
            let (bar, key) = groups.key(group);
            merge_into(tally.groups.entry(key).or_default(), bar, makings);
        }
        Ok(())
    }

    /// The fields that are measured, each once for its texts and once for its numbers.
    fn fields(&self) -> Vec<(&Field, bool)> {
        let mut fields = Vec::new();
        for wanted in self.request.measures.iter().filter_map(subject) {
            if !fields.contains(&wanted) {
                fields.push(wanted);
            }
        }
        fields
    }

    /// Those of a group's figures that are made from a field.
    fn of_field<'m>(&self, makings: &'m mut [Making], field: &Field, is_text: bool) -> Vec<&'m mut Making> {
        let measures = makings.iter_mut().zip(&self.request.measures);
        measures.filter(|(_, measure)| subject(measure) == Some((field, is_text))).map(|(making, _)| making).collect()
    }

    fn rows(&self, mut tally: Tally) -> Result<Vec<StatsRow>, SearchError> {
        if tally.groups.is_empty() && self.request.by.is_empty() && self.bars.is_none() {
            // Nothing matches: that is a count of 0, not no answer.
            tally.groups.insert(Key::default(), BTreeMap::from([(0, self.makings())]));
        }
        let mut ranked: Vec<(Option<Number>, Key, ByBar)> =
            tally.groups.into_iter().map(|(key, bars)| (over_all_bars(&bars).value, key, bars)).collect();
        ranked.sort_by(|(a, key_a, _), (b, key_b, _)| {
            let by_value = match (a, b) {
                (Some(a), Some(b)) => super::quantile::order(*b, *a),
                (a, b) => a.is_none().cmp(&b.is_none()),
            };
            by_value.then_with(|| key_order(key_a).cmp(key_order(key_b)))
        });
        ranked.truncate(self.request.limit);
        let mut rows: Vec<(u32, StatsRow)> = Vec::new();
        for (_, key, bars) in ranked {
            for (bar, makings) in bars {
                if rows.len() == ROWS_MAX {
                    return Err(SearchError::Rows { limit: ROWS_MAX });
                }
                let by = key.iter().map(|text| text.as_deref().map(str::to_owned)).collect();
                let figures = makings.iter().map(Making::figure).collect();
                rows.push((bar, StatsRow { by, time_ms: self.bars.map(|bars| bars.start_of(bar as usize)), figures }));
            }
        }
        // Stable: the groups of one time stay in their order.
        rows.sort_by_key(|(bar, _)| *bar);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

/// What a measure is made from, and whether from its texts.
fn subject(measure: &Measure) -> Option<(&Field, bool)> {
    match measure {
        Measure::Count => None,
        Measure::Distinct(field) => Some((field, true)),
        Measure::Sum(field)
        | Measure::Avg(field)
        | Measure::Min(field)
        | Measure::Max(field)
        | Measure::Quantile(field, _) => Some((field, false)),
    }
}

/// The first figure of a group over all of its bars.
fn over_all_bars(bars: &ByBar) -> Figure {
    let mut firsts = bars.values().filter_map(|makings| makings.first());
    let Some(first) = firsts.next() else { return Figure { value: None, is_approximate: false } };
    if bars.len() == 1 {
        return first.figure();
    }
    let mut all = first.clone();
    firsts.for_each(|making| all.merge(making.clone()));
    all.figure()
}

/// Keys in ascending order, what is absent last.
fn key_order(key: &Key) -> impl Iterator<Item = (bool, &str)> {
    key.iter().map(|text| (text.is_none(), text.as_deref().unwrap_or_default()))
}
