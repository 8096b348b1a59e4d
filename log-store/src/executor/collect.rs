//! Counting and picking over blocks: totals, levels, bars, the first places of an order.

use watchfire_model::record::ValueRef;
use watchfire_model::{LogRecord, Value};

use super::block::{BarCounts, Place, Wanted};
use super::ranking::{Ranked, Ranking};
use crate::query::scalar_text;

/// What the blocks so far came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub levels: [u64; 8],
    pub bars: Vec<BarCounts>,
    /// First places by time, each with the number of its block.
    pub places: Vec<(Place, usize)>,
    /// First places by a field.
    pub ranked: Vec<(Ranked, usize)>,
}

impl Tally {
    /// Adds what other blocks came to.
    pub fn merge(mut self, other: Tally, wanted: &Wanted, ranking: Option<&Ranking<'_>>) -> Tally {
        for (mine, theirs) in self.levels.iter_mut().zip(other.levels) {
            *mine += theirs;
        }
        if self.bars.is_empty() {
            self.bars = other.bars;
        } else {
            for (mine, theirs) in self.bars.iter_mut().zip(&other.bars) {
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
            }
        }
        self.places.extend(other.places);
        wanted.cut_by(&mut self.places, |(place, _)| *place);
        self.ranked.extend(other.ranked);
        if let Some(ranking) = ranking {
            ranking.cut_by(&mut self.ranked, |(ranked, _)| *ranked);
        }
        self
    }

    pub fn total(&self) -> u64 {
        self.levels.iter().sum()
    }
}

/// Calls `count` with the text of a value: of a list with each different text in it, not at all for null and objects.
pub(crate) fn count_text(value: ValueRef<'_>, times: u64, count: &mut dyn FnMut(&str, u64)) {
    match value {
        ValueRef::Text(text) => count(text, times),
        ValueRef::Array(_) => {
            let mut texts = Vec::new();
            add_texts(value, &mut texts);
            texts.sort_unstable();
            texts.dedup();
            texts.iter().for_each(|text| count(text, times));
        }
        value => {
            if let Some(text) = scalar_text(value) {
                count(&text, times);
            }
        }
    }
}

fn add_texts(value: ValueRef<'_>, texts: &mut Vec<String>) {
    match value {
        ValueRef::Text(text) => texts.push(text.to_owned()),
        ValueRef::Array(values) => values.values().for_each(|value| add_texts(value, texts)),
        value => texts.extend(scalar_text(value)),
    }
}

/// About the memory of a record, bytes.
pub(crate) fn memory_of(record: &LogRecord) -> usize {
    let texts = [Some(&record.message), Some(&record.service), Some(&record.id)];
    let optional = [&record.source, &record.host, &record.correlation_id, &record.user_id].map(Option::as_ref);
    let texts: usize = texts.into_iter().chain(optional).flatten().map(String::len).sum();
    let tags: usize = record.tags.iter().map(|(name, value)| 48 + name.len() + value.len()).sum();
    let fields = [&record.fields, &record.error_details, &record.performance_metrics, &record.insight];
    size_of::<LogRecord>() + texts + tags + fields.into_iter().map(|fields| memory_of_fields(fields)).sum::<usize>()
}

fn memory_of_fields(fields: &[(String, Value)]) -> usize {
    fields.iter().map(|(name, value)| size_of::<(String, Value)>() + name.len() + memory_of_value(value)).sum()
}

fn memory_of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Text(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + memory_of_value(value)).sum(),
        Value::Object(fields) => memory_of_fields(fields),
    }
}
