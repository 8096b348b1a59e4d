//! Exact sums of what counters counted, to compare them with the logs that they were derived from.

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Matcher};

use crate::engine::Engine;
use crate::increments::Sums;
use crate::select::SelectError;
use crate::series::TimeRange;

/// What one series of a counter counted in a range of whole seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct CountedSeries {
    /// Its labels, the metric name included.
    pub labels: LabelSet,
    /// Events counted as they were accepted, dated by that time.
    pub live: f64,
    /// Events that came late, dated by event time.
    pub late: f64,
    /// Events put in by [`Engine::backfill`], dated by event time.
    pub filled: f64,
    /// Whether all of the range is still known. Else a part of it was pruned, and the sums are of the rest.
    pub whole: bool,
}

impl Engine {
    /// The events of every series of a counter in a range, second by second, its left end not inside. Both ends are
    /// taken as whole seconds (rounded up): an event accepted in `(11:59:59, 12:00:00]` is of the second 12:00:00.
    ///
    /// The sums add the counts themselves, so whole counts are exact up to 2^53. Series of other kinds are left out.
    pub fn counted(&self, metric: &str, range: TimeRange) -> Result<Vec<CountedSeries>, SelectError> {
        // Everything up to now; a view shows nothing that the sums need to be asked for.
        let views = self.select(&[Matcher::equal(METRIC_NAME, metric)], range)?;
        let counted = views.into_iter().filter_map(|view| {
            let sums =
                view.counted(|increments, loads, codec| increments.sums(range.start, range.end, loads, codec))?;
            let Sums { live, late, filled, whole } = sums;
            Some(CountedSeries { labels: view.labels, live, late, filled, whole })
        });
        Ok(counted.collect())
    }
}
