//! The series that a recording rule writes, and what one evaluation does to them.
//!
//! Invariant: an evaluation that fails changes nothing; a series that a rule gave the last time and does not give now
//! ends with a staleness marker.

use std::sync::Arc;

use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{InstantValues, PointValue};

use crate::rule::RecordingRule;
use crate::samples::SeriesSample;

/// Why the results of a query could not be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// Two results give one series.
    #[error(
        "two results are the same series {labels} once the rule's labels are applied; keep a label that tells them apart"
    )]
    Twins { labels: LabelSet },
    /// The limit of the group.
    #[error("{count} series, and the group's limit is {limit}; raise it, or let the query give fewer")]
    TooMany { count: usize, limit: usize },
}

/// The series that a rule wrote the last time, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    series: Vec<LabelSet>,
}

impl Recorded {
    /// Adds the samples of an evaluation whose query was asked at `at`; `limit` 0 is none.
    pub fn step(
        &mut self,
        rule: &RecordingRule,
        results: &InstantValues,
        at: Timestamp,
        limit: usize,
        out: &mut Vec<SeriesSample>,
    ) -> Result<(), RecordError> {
        let values = results.values.iter();
        let mut now: Vec<(LabelSet, PointValue)> =
            values.map(|(labels, value)| (rule.series_labels(labels), PointValue::Float(*value))).collect();
        for (place, histogram) in &results.histograms {
            if let Some((_, value)) = now.get_mut(*place) {
                *value = PointValue::Histogram(Arc::clone(histogram));
            }
        }
        now.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = now.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(RecordError::Twins { labels: pair[0].0.clone() });
        }
        if limit > 0 && now.len() > limit {
            return Err(RecordError::TooMany { count: now.len(), limit });
        }
        let before = std::mem::replace(&mut self.series, now.iter().map(|(labels, _)| labels.clone()).collect());
        let gone = before.into_iter().filter(|labels| self.series.binary_search(labels).is_err());
        end(gone, at, out);
        out.extend(now.into_iter().map(|(labels, value)| SeriesSample { labels, at, value }));
        Ok(())
    }

    /// Ends all of them: the rule is gone.
    pub fn end(self, at: Timestamp, out: &mut Vec<SeriesSample>) {
        end(self.series.into_iter(), at, out);
    }
}

fn end(series: impl Iterator<Item = LabelSet>, at: Timestamp, out: &mut Vec<SeriesSample>) {
    let value = PointValue::Float(f64::from_bits(STALE_NAN_BITS));
    out.extend(series.map(|labels| SeriesSample { labels, at, value: value.clone() }));
}
