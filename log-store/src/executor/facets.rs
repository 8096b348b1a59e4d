//! Facets over all blocks of a snapshot: which fields there are, and their most frequent values.

use hashbrown::HashMap;
use rayon::prelude::*;
use watchfire_model::Level;
use watchfire_model::record::{Core, PATH_SEPARATOR};

use super::block::{BlockView, Failure};
use super::budget::Budget;
use super::eval::eval;
use super::leaf::Leaf;
use super::run::{Extent, Part, report_damage, rows_inside};
use super::unasked::Unasked;
use crate::facets::{Facet, FacetsRequest, FacetsResponse};
use crate::query::{Field, Path, Test};
use crate::search::SearchError;
use crate::store::ValueCount;
use crate::values::Bits;

/// The record's own fields whose values are told without being asked for.
const OWN: [Field; 4] = [Field::Level, Field::Core(Core::Service), Field::Core(Core::Source), Field::Core(Core::Host)];
/// Different values of a field that nobody asked for; one with more is only counted.
pub(super) const FEW: usize = 1024;
/// Fields that nobody asked for, at most.
const FIELDS_MAX: usize = 200;
/// Different values of a field that are counted; past it the rarer half is dropped.
const VALUES_MAX: usize = 1 << 16;
/// Bytes of such values.
const VALUE_BYTES_MAX: usize = 16 << 20;

/// Values and how often they came.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: HashMap<Box<str>, u64>,
    bytes: usize,
    is_approximate: bool,
}

impl Counts {
    pub fn add(&mut self, text: &str, times: u64) {
        if let Some(count) = self.counts.get_mut(text) {
            *count += times;
            return;
        }
        self.bytes += text.len() + 48;
        self.counts.insert(text.into(), times);
        if self.counts.len() > VALUES_MAX || self.bytes > VALUE_BYTES_MAX {
            self.drop_rare();
        }
    }

    fn drop_rare(&mut self) {
        self.is_approximate = true;
        let mut all: Vec<(Box<str>, u64)> = std::mem::take(&mut self.counts).into_iter().collect();
        let by_count = |(_, count): &(Box<str>, u64)| std::cmp::Reverse(*count);
        if all.len() > VALUES_MAX / 2 {
            all.select_nth_unstable_by_key(VALUES_MAX / 2, by_count);
            all.truncate(VALUES_MAX / 2);
        }
        all.sort_unstable_by_key(by_count);
        self.bytes = 0;
        for (text, count) in all {
            if self.bytes + text.len() > VALUE_BYTES_MAX / 2 {
                break;
            }
            self.bytes += text.len() + 48;
            self.counts.insert(text, count);
        }
    }

    fn merge(&mut self, other: Counts) {
        self.is_approximate |= other.is_approximate;
        other.counts.into_iter().for_each(|(text, count)| self.add(&text, count));
    }

    fn most_frequent(self, limit: usize) -> Vec<ValueCount> {
        let of = |(value, count): (Box<str>, u64)| ValueCount { value: value.into(), count };
        let mut values: Vec<ValueCount> = self.counts.into_iter().map(of).collect();
        values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        values.truncate(limit);
        values
    }
}

/// What is known of a field.
#[derive(Debug, Default)]
pub(super) struct Of {
    pub records: u64,
    /// It turned out to have too many values to count them unasked.
    pub is_many: bool,
    pub counts: Counts,
}

/// What the blocks so far came to.
#[derive(Debug, Default)]
struct Tally {
    total: u64,
    fields: HashMap<Field, Of>,
    taken: usize,
}

impl Tally {
    fn account(mut self, before: usize, budget: &Budget) -> Result<Tally, SearchError> {
        self.taken = self.fields.values().map(|of| of.counts.bytes + 128).sum();
        budget.take(self.taken)?;
        budget.give(before);
        Ok(self)
    }
}

/// One question: everything that its threads share.
struct Facets<'a> {
    request: &'a FacetsRequest,
    budget: &'a Budget,
    upper: u64,
    /// Whose values are counted, and beside them those that are only shown if they are few.
    fields: Vec<Field>,
    unasked: Unasked,
}

/// Answers over `parts`; records from number `upper` on are left out.
pub(crate) fn facets(
    parts: &[Part],
    request: &FacetsRequest,
    upper: u64,
    budget: &Budget,
) -> Result<FacetsResponse, SearchError> {
    let (fields, unasked) = match &request.fields {
        Some(fields) => (fields.clone(), Vec::new()),
        None => (OWN.to_vec(), leaves(parts, request, budget)?),
    };
    let facets = Facets { request, budget, upper, fields, unasked: Unasked::new(unasked) };
    let tallies = parts.par_iter().map(|part| {
        budget.check()?;
        if !part.extent().is_some_and(|extent| extent.overlaps(request.range)) {
            return Ok(Tally::default());
        }
        budget.count_block();
        report_damage(part.with(budget, |view, extent| facets.tally_part(view, extent)), budget)?.account(0, budget)
    });
    let mut tally = tallies.try_reduce(Tally::default, |a, b| facets.merge(a, b))?;
    let mut facet = |field: &Field| {
        let of = tally.fields.remove(field).unwrap_or_default();
        Facet {
            field: field.clone(),
            records: of.records,
            is_approximate: of.counts.is_approximate,
            values: (!of.is_many).then(|| of.counts.most_frequent(request.limit)),
        }
    };
    let mut shown: Vec<Facet> = facets.fields.iter().map(&mut facet).collect();
    let mut others: Vec<Facet> = facets.unasked.fields.iter().map(facet).filter(|facet| facet.records > 0).collect();
    others.sort_by_cached_key(|facet| (std::cmp::Reverse(facet.records), facet.field.to_string()));
    shown.append(&mut others);
    let cost = budget.cost();
    Ok(FacetsResponse { total: tally.total, total_exact: cost.damaged_blocks == 0, facets: shown, cost })
}

/// The fields below the objects of the records that there are, those of most records.
fn leaves(parts: &[Part], request: &FacetsRequest, budget: &Budget) -> Result<Vec<Field>, SearchError> {
    let mut values: HashMap<Field, u64> = HashMap::new();
    for part in parts {
        budget.check()?;
        if !part.extent().is_some_and(|extent| extent.overlaps(request.range)) {
            continue;
        }
        let found = part.with(budget, |view, _| {
            let field = |root, path: &str| Field::Leaf(root, Path::new(&path.replace(PATH_SEPARATOR, ".")));
            Ok(view.leaves().into_iter().map(|(root, path, count)| (field(root, path), count)).collect::<Vec<_>>())
        });
        // Damage is told when the values are read.
        for (field, count) in found.unwrap_or_default() {
            *values.entry(field).or_default() += count;
        }
    }
    let mut fields: Vec<(Field, u64)> = values.into_iter().collect();
    fields.sort_by_cached_key(|(field, count)| (std::cmp::Reverse(*count), field.to_string()));
    fields.truncate(FIELDS_MAX);
    Ok(fields.into_iter().map(|(field, _)| field).collect())
}

impl Facets<'_> {
    fn tally_part(&self, view: &dyn BlockView, extent: Extent) -> Result<Tally, Failure> {
        let inside = rows_inside(view, extent, self.request.range, self.upper)?;
        let rows = eval(&self.request.query.root, view, &inside, self.budget)?;
        let mut tally = Tally { total: rows.count() as u64, ..Tally::default() };
        if rows.is_empty() {
            return Ok(tally);
        }
        for field in &self.fields {
            self.budget.check()?;
            tally.fields.insert(field.clone(), of_field(view, field, &rows)?);
        }
        let unasked = self.unasked.find(view, &rows, self.budget)?;
        tally.fields.extend(unasked.into_iter().map(|(at, of)| (self.unasked.fields[at].clone(), of)));
        Ok(tally)
    }

    fn merge(&self, mut a: Tally, b: Tally) -> Result<Tally, SearchError> {
        self.budget.check()?;
        let before = a.taken + b.taken;
        a.total += b.total;
        for (field, theirs) in b.fields {
            let is_asked = self.fields.contains(&field);
            let mine = a.fields.entry(field).or_default();
            mine.records += theirs.records;
            mine.counts.merge(theirs.counts);
            mine.is_many |= theirs.is_many || (!is_asked && mine.counts.counts.len() > FEW);
            if mine.is_many {
                mine.counts = Counts::default();
            }
        }
        a.account(before, self.budget)
    }
}

/// Records that have a field, and its values.
fn of_field(view: &dyn BlockView, field: &Field, rows: &Bits) -> Result<Of, Failure> {
    let mut of = Of::default();
    match field {
        Field::Level => {
            of.records = rows.count() as u64;
            for (level, count) in Level::ALL.iter().zip(view.count_levels(rows)?).filter(|(_, count)| *count > 0) {
                of.counts.add(level.as_str(), count);
            }
        }
        Field::Timestamp | Field::AcceptedAt | Field::Seq => of.records = rows.count() as u64,
        Field::Core(_) | Field::Leaf(..) => {
            let mut having = view.leaf(&Leaf::Field(field, &Test::Exists), rows)?;
            having.and(rows);
            of.records = having.count() as u64;
            if of.records > 0 {
                view.values(field, rows, &mut |text, times| of.counts.add(text, times))?;
            }
        }
    }
    Ok(of)
}
