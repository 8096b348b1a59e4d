//! Reading: which series match, what metrics, labels and values there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use roaring::RoaringBitmap;
use watchfire_model::{LabelSet, Matcher};

use crate::catalogue::{FamilyInfo, MetricInfo};
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::matching::{Prepared, select};
use crate::series::{Layers, Series, TimeRange};
use crate::shard::Shard;
use crate::view::SeriesView;

/// Why a selection was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Without a single matcher everything would be read.
    #[error("a selection needs at least one matcher")]
    NoMatcher,
}

/// Series that were selected and are looked at one by one.
pub struct OneByOne {
    /// Shard, slot and what was in it.
    found: std::vec::IntoIter<(usize, u32, Arc<Series>)>,
    range: TimeRange,
}

impl OneByOne {
    /// The next series that can have something to say about these times and was not removed meanwhile.
    pub fn next(&mut self, engine: &Engine) -> Option<SeriesView> {
        let shards = &engine.registry.shards;
        self.found.find_map(|(shard, slot, series)| {
            view(&series, self.range, Layers::All, || shards.get(shard)?.read().passing_labels_of(slot, &series))
        })
    }
}

/// A series as a query sees it, if it can have something to say about these times and still has labels.
fn view(
    series: &Arc<Series>,
    range: TimeRange,
    layers: Layers,
    labels: impl FnOnce() -> Option<LabelSet>,
) -> Option<SeriesView> {
    let reads_disk = {
        let mut state = series.state.lock();
        state.overlaps(range, layers).then(|| state.reads_disk(range))?
    };
    Some(SeriesView { labels: labels()?, series: series.clone(), layers, reads_disk })
}

impl Engine {
    /// The series that satisfy all matchers and can have something to say about these times, in no order.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<SeriesView>, SelectError> {
        self.select_layers(matchers, range, Layers::All)
    }

    /// The same, without a trace of counts and observations that came late: neither in what the views give nor in
    /// which series there are. For rules, which must not fire on what is over.
    pub fn select_live(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<SeriesView>, SelectError> {
        self.select_layers(matchers, range, Layers::Live)
    }

    fn select_layers(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        layers: Layers,
    ) -> Result<Vec<SeriesView>, SelectError> {
        let mut views = Vec::new();
        self.each_selected(matchers, |shard, _, slot, series| {
            views.extend(view(series, range, layers, || Some(shard.labels_of(slot, series))));
        })?;
        Ok(views)
    }

    /// The series that satisfy all matchers, whose labels are made as each is asked for and not kept: the texts of very
    /// many take no memory together.
    pub fn select_one_by_one(&self, matchers: &[Matcher], range: TimeRange) -> Result<OneByOne, SelectError> {
        let mut found = Vec::new();
        self.each_selected(matchers, |_, shard, slot, series| found.push((shard, slot, series.clone())))?;
        Ok(OneByOne { found: found.into_iter(), range })
    }

    fn each_selected(
        &self,
        matchers: &[Matcher],
        mut put: impl FnMut(&Shard, usize, u32, &Arc<Series>),
    ) -> Result<(), SelectError> {
        if matchers.is_empty() {
            return Err(SelectError::NoMatcher);
        }
        let prepared: Vec<Prepared> = matchers.iter().map(Prepared::new).collect();
        for (number, shard) in self.registry.shards.iter().enumerate() {
            let shard = shard.read();
            shard.each_series(&select(&*shard, &prepared), is_locked, |slot, series| put(&shard, number, slot, series));
        }
        Ok(())
    }

    /// The metrics whose name begins so, sorted by name.
    pub fn metrics(&self, prefix: &str) -> Vec<MetricInfo> {
        self.registry.catalogue.list(prefix)
    }

    /// What the series of the metric of this name hold, if it has any.
    pub fn metric_kind(&self, name: &str) -> Option<SeriesKind> {
        self.registry.catalogue.kind(name)
    }

    /// The metric families whose name begins so, sorted by name. A metric that is a part of one, as `x_bucket` is of the
    /// histogram `x`, is not among them.
    pub fn families(&self, prefix: &str) -> Vec<FamilyInfo> {
        self.registry.catalogue.families(prefix)
    }

    /// The family that the metric of this name is a part of, or the metric itself.
    pub fn family_of(&self, metric: &str) -> Option<FamilyInfo> {
        self.registry.catalogue.family_of(metric)
    }

    /// Keeps names of metrics for what is counted: from now on no other samples begin a series under them.
    pub fn keep_for_counts(&self, metrics: impl IntoIterator<Item = String>) {
        *self.registry.counted.write() = metrics.into_iter().collect();
    }

    /// Whether a name is kept for what is counted.
    pub fn is_kept_for_counts(&self, metric: &str) -> bool {
        self.registry.counted.read().contains(metric)
    }

    /// The values of a label among the series that satisfy all matchers (all series, if there are none) and can have
    /// something to say about these times, sorted.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
        let prepared: Vec<Prepared> = matchers.iter().map(Prepared::new).collect();
        let mut values = BTreeSet::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            let pairs = shard.pairs.name(name.as_bytes()).and_then(|name| shard.pairs.pairs_of(name));
            let chosen = (!prepared.is_empty()).then(|| chosen(&shard, &prepared, range));
            for pair in pairs.into_iter().flatten() {
                let value = std::str::from_utf8(shard.pairs.value_of(pair)).unwrap_or_default();
                if values.contains(value) {
                    continue;
                }
                let wanted = match (&chosen, shard.pairs.postings(pair)) {
                    (Some(chosen), Some(postings)) => !chosen.is_disjoint(&postings.to_bitmap()),
                    (None, _) => is_there(&shard, pair, range),
                    (Some(_), None) => false,
                };
                if wanted {
                    values.insert(value.to_owned());
                }
            }
        }
        values.into_iter().collect()
    }

    /// The names of labels among the series that satisfy all matchers (all series, if there are none) and can have something
    /// to say about these times, sorted.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
        let prepared: Vec<Prepared> = matchers.iter().map(Prepared::new).collect();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            if prepared.is_empty() {
                for (name, of_name) in shard.pairs.names() {
                    if !names.contains(&**name) && of_name.iter().any(|pair| is_there(&shard, pair, range)) {
                        names.insert(name.to_string());
                    }
                }
                continue;
            }
            let mut pairs: BTreeSet<u32> = BTreeSet::new();
            for series in chosen(&shard, &prepared, range).iter().filter_map(|slot| shard.slot(slot)) {
                pairs.extend(series.pairs.iter().copied());
            }
            names.extend(pairs.iter().filter_map(|pair| shard.pairs.texts(*pair)).map(|(name, _)| name.to_string()));
        }
        names.into_iter().collect()
    }
}

/// The series of a shard that satisfy matchers and can have something to say about these times.
fn chosen(shard: &Shard, prepared: &[Prepared], range: TimeRange) -> RoaringBitmap {
    let chosen = select(shard, prepared);
    if range == TimeRange::ALWAYS {
        return chosen;
    }
    let mut of_range = RoaringBitmap::new();
    shard.each_series(&chosen, is_locked, |slot, series| {
        if series.state.lock().overlaps(range, Layers::All) {
            of_range.insert(slot);
        }
    });
    of_range
}

/// Whether any series with this label pair can have something to say about these times: mostly the first one can.
fn is_there(shard: &Shard, pair: u32, range: TimeRange) -> bool {
    range == TimeRange::ALWAYS
        || shard.pairs.postings(pair).is_some_and(|postings| {
            postings.any(|slot| shard.slot(slot).is_some_and(|series| series.state.lock().overlaps(range, Layers::All)))
        })
}

/// Reads a little of a series.
fn is_locked(series: &Series) -> u32 {
    u32::from(series.state.is_locked())
}
