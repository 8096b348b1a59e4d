//! Which group of an aggregation each series belongs to.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use watchfire_model::LabelSet;

use super::column::{Column, describes_metric};
use super::context::Context;
use super::limits::EvalError;
use crate::ast::Grouping;

/// The group of each column that was placed, and the labels of the groups.
pub(super) struct Groups<'g> {
    pub of: Vec<usize>,
    pub labels: Vec<LabelSet>,
    grouping: &'g Grouping,
    /// Of a grouping by labels: those, sorted, each once, and where in a label set each stood last.
    names: Vec<(&'g str, usize)>,
    /// Groups by their labels.
    table: HashTable<usize>,
    hasher: foldhash::fast::RandomState,
}

impl<'g> Groups<'g> {
    /// The groups of columns.
    pub fn new(ctx: &Context, grouping: &'g Grouping, columns: &[Column]) -> Result<Groups<'g>, EvalError> {
        let mut groups = Groups::of_none(grouping);
        groups.of.reserve(columns.len());
        for column in columns {
            ctx.guard.tick()?;
            let (group, _) = groups.place(&column.labels, false);
            groups.of.push(group);
        }
        Ok(groups)
    }

    /// Before there is any column.
    pub fn of_none(grouping: &'g Grouping) -> Groups<'g> {
        let mut names: Vec<(&str, usize)> = Vec::new();
        if !grouping.without {
            names.extend(grouping.labels.iter().map(|label| (label.as_str(), 0)));
            names.sort_unstable();
            names.dedup();
        }
        let hasher = foldhash::fast::RandomState::default();
        Groups { of: Vec::new(), labels: Vec::new(), grouping, names, hasher, table: HashTable::new() }
    }

    /// The columns of each group.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.labels.len()];
        for (column, group) in self.of.iter().enumerate() {
            members[*group].push(column);
        }
        members
    }

    /// The group of a label set, and whether it is new; with `loses_name` as if what describes the metric was not there.
    pub fn place(&mut self, labels: &LabelSet, loses_name: bool) -> (usize, bool) {
        let Groups { labels: groups, grouping, names, table, hasher, .. } = self;
        if grouping.without {
            let is_listed = |name: &str| grouping.labels.iter().any(|label| label == name);
            let kept = labels.iter().filter(|(name, _)| !is_listed(name) && !describes_metric(name));
            return place_in(groups, table, hasher, labels, kept);
        }
        if names.is_empty() {
            let is_new = groups.is_empty();
            if is_new {
                groups.push(LabelSet::empty());
            }
            return (0, is_new);
        }
        // Series of a metric have a label at the same place, mostly.
        let shared = labels.shared();
        for (name, at) in names.iter_mut() {
            if shared.get(*at).is_none_or(|(have, _)| **have != **name) {
                *at = shared.binary_search_by(|(have, _)| (**have).cmp(*name)).unwrap_or(usize::MAX);
            }
        }
        let kept = names.iter().filter(|(name, _)| !loses_name || !describes_metric(name));
        let kept = kept.filter_map(|(_, at)| shared.get(*at)).map(|(name, value)| (&**name, &**value));
        place_in(groups, table, hasher, labels, kept)
    }
}

/// The group that has what is kept of labels, and whether it is new.
fn place_in<'l>(
    groups: &mut Vec<LabelSet>,
    table: &mut HashTable<usize>,
    hasher: &foldhash::fast::RandomState,
    labels: &LabelSet,
    kept: impl Iterator<Item = (&'l str, &'l str)> + Clone,
) -> (usize, bool) {
    // Most fall into a group that is there: labels are compared where they are, not copied.
    let hash = hash_of(hasher, kept.clone());
    if let Some(group) = table.find(hash, |group| are(&groups[*group], kept.clone())) {
        return (*group, false);
    }
    let group = groups.len();
    groups.push(labels.retain(|name| kept.clone().any(|(kept, _)| kept == name)));
    table.insert_unique(hash, group, |group| hash_of(hasher, groups[*group].iter()));
    (group, true)
}

fn are<'l>(labels: &LabelSet, mut wanted: impl Iterator<Item = (&'l str, &'l str)>) -> bool {
    labels.iter().all(|label| wanted.next().is_some_and(|wanted| wanted == label)) && wanted.next().is_none()
}

fn hash_of<'l>(hasher: &foldhash::fast::RandomState, labels: impl Iterator<Item = (&'l str, &'l str)>) -> u64 {
    let mut state = hasher.build_hasher();
    labels.for_each(|(_, value)| value.hash(&mut state));
    state.finish()
}
