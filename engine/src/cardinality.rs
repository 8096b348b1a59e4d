//! Which labels have many values, and which pairs many series: where memory goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::labels::METRIC_NAME;

use crate::engine::Engine;

/// The label names and pairs that weigh most; each list has the largest first, then by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// How many label pairs there are.
    pub pairs: u64,
    /// Metrics by series.
    pub series_of_metric: Vec<(String, u64)>,
    /// Label names by values.
    pub values_of_name: Vec<(String, u64)>,
    /// Label names by bytes of their values.
    pub bytes_of_name: Vec<(String, u64)>,
    /// `name=value` by series.
    pub series_of_pair: Vec<(String, u64)>,
}

/// The largest of what was counted.
struct Largest {
    most: usize,
    /// By count and then against the alphabet, so that the first is the one to go.
    counted: BTreeSet<(u64, std::cmp::Reverse<String>)>,
}

impl Largest {
    fn new(most: usize) -> Largest {
        Largest { most, counted: BTreeSet::new() }
    }

    /// Counts something; its text is only made if it is among the largest.
    fn add(&mut self, count: u64, text: impl FnOnce() -> String) {
        let is_full = self.counted.len() >= self.most;
        if is_full && self.counted.first().is_none_or(|(least, _)| count < *least) {
            return;
        }
        self.counted.insert((count, std::cmp::Reverse(text())));
        if self.counted.len() > self.most {
            self.counted.pop_first();
        }
    }

    fn list(self) -> Vec<(String, u64)> {
        self.counted.into_iter().rev().map(|(count, text)| (text.0, count)).collect()
    }
}

impl Engine {
    /// Counts values and series by label, and gives the `most` largest of each sort. It looks at every pair once,
    /// name by name, and holds no lock longer than for the pairs of one name in one shard.
    pub fn cardinality(&self, most: usize) -> Cardinality {
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        for shard in &self.registry.shards {
            names.extend(shard.read().pairs.names().map(|(name, _)| name.clone()));
        }
        let mut pairs = 0;
        let (mut by_values, mut by_bytes) = (Largest::new(most), Largest::new(most));
        let (mut by_series, mut by_metric) = (Largest::new(most), Largest::new(most));
        for name in names {
            let series = self.series_by_value(&name);
            let values = series.len() as u64;
            pairs += values;
            by_values.add(values, || name.to_string());
            by_bytes.add(series.keys().map(|value| value.len() as u64).sum(), || name.to_string());
            for (value, count) in &series {
                let value = std::str::from_utf8(value).unwrap_or_default();
                by_series.add(*count, || format!("{name}={value}"));
                if &*name == METRIC_NAME {
                    by_metric.add(*count, || value.to_string());
                }
            }
        }
        Cardinality {
            pairs,
            series_of_metric: by_metric.list(),
            values_of_name: by_values.list(),
            bytes_of_name: by_bytes.list(),
            series_of_pair: by_series.list(),
        }
    }

    /// How many series have each value of a label.
    fn series_by_value(&self, name: &str) -> HashMap<Vec<u8>, u64> {
        let mut series: HashMap<Vec<u8>, u64> = HashMap::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            let of_name = shard.pairs.name(name.as_bytes()).and_then(|name| shard.pairs.pairs_of(name));
            for pair in of_name.into_iter().flatten() {
                if let (Some((_, value)), Some(postings)) = (shard.pairs.texts(pair), shard.pairs.postings(pair)) {
                    *series.entry_ref(value).or_default() += postings.len();
                }
            }
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equals_by_name() {
        let mut largest = Largest::new(3);
        for (text, count) in [("b", 2), ("a", 2), ("z", 9), ("c", 2), ("d", 1)] {
            largest.add(count, || text.to_owned());
        }
        let list = largest.list();
        assert_eq!(list, [("z".to_owned(), 9), ("a".to_owned(), 2), ("b".to_owned(), 2)]);
        let mut none = Largest::new(0);
        none.add(1, || "x".to_owned());
        assert!(none.list().is_empty());
    }
}
