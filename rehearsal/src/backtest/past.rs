//! The past, read in stretches: a rule asks for one moment after the other, and what it asks is evaluated for many of them at
//! once, by the same evaluator.

use std::collections::HashMap;

use parking_lot::Mutex;
use watchfire_engine::{FamilyInfo, MetricInfo, TimeRange};
use watchfire_model::{LabelSet, Matcher, Timestamp};
use watchfire_query_lang::{Answer, Asked, EvalError, Limits, MetricsRead, Query, RangeSeries, RangeSteps};
use watchfire_rules::{GroupDefaults, RuleSet};

use super::interval_ms;

/// Times of the first stretch of a query; each one after it has twice as many.
const TIMES_FIRST: i64 = 32;
/// Most times of a stretch.
const TIMES_MAX: i64 = 4096;
/// Most points that all stretches together hold, and those of a query may always hold.
const POINTS_MAX: usize = 8_000_000;
const POINTS_MIN: usize = 10_000;
/// What depends on the times of a whole range, and so is different for a moment and a stretch.
const OF_RANGES: [&str; 4] = ["start(", "end(", "step(", "range("];

/// See the module.
pub(super) struct Past<'m> {
    metrics: &'m dyn MetricsRead,
    /// Nobody asks for later times.
    end: Timestamp,
    /// How far apart each query is asked, milliseconds; queries that are asked at several rhythms are not here.
    steps_ms: HashMap<String, i64>,
    /// By the text of the query; held while one of them is read, as one thread asks.
    stretches: Mutex<HashMap<String, Stretch>>,
}

/// What a query gives at some times.
struct Stretch {
    start: Timestamp,
    /// Distance of two times, milliseconds; positive.
    step_ms: i64,
    /// How many times are here.
    times: i64,
    /// Series, and how many of their points were passed.
    series: Vec<(RangeSeries, usize)>,
}

impl<'m> Past<'m> {
    /// Reads from here, up to this time, for these rules.
    pub fn new(metrics: &'m dyn MetricsRead, end: Timestamp, rules: &RuleSet, defaults: GroupDefaults) -> Past<'m> {
        let mut rhythms: HashMap<String, Option<(usize, i64)>> = HashMap::new();
        for (number, group) in rules.groups().iter().enumerate() {
            for rule in &group.rules {
                let step_ms = interval_ms(group, rule, defaults);
                let rhythm = rhythms.entry(rule.query().text().to_owned()).or_insert(Some((number, step_ms)));
                if *rhythm != Some((number, step_ms)) {
                    *rhythm = None;
                }
            }
        }
        let is_even = |text: &str| OF_RANGES.iter().all(|word| !text.contains(word));
        let steps_ms = rhythms.into_iter().filter(|(text, _)| is_even(text));
        let steps_ms = steps_ms.filter_map(|(text, rhythm)| Some((text, rhythm?.1.max(1)))).collect();
        Past { metrics, end, steps_ms, stretches: Mutex::default() }
    }

    /// Reads the stretch that begins at `at`; `None` if the query cannot be read so.
    fn read(&self, query: &Query, at: Timestamp, step_ms: i64, times: i64, limits: &Limits) -> Option<Stretch> {
        let left = self.end.since(at) / step_ms + 1;
        let mut times = times.min(TIMES_MAX).min(left);
        while times > 1 {
            let end = at.plus_millis((times - 1).saturating_mul(step_ms));
            match self.metrics.range(query, RangeSteps { start: at, end, step_ms }, limits) {
                Ok(series) => {
                    let series = series.into_iter().map(|series| (series, 0)).collect();
                    return Some(Stretch { start: at, step_ms, times, series });
                }
                // It may be too much for so many times, and not for fewer.
                Err(_) => times /= 8,
            }
        }
        None
    }

    /// How many times are read after a stretch.
    fn times_after(&self, stretch: &Stretch) -> i64 {
        let points_max = (POINTS_MAX / self.steps_ms.len().max(1)).max(POINTS_MIN);
        let fitting = i64::try_from(points_max / stretch.series.len().max(1)).unwrap_or(TIMES_MAX);
        (stretch.times * 2).min(fitting).max(2)
    }
}

impl Stretch {
    /// The values at a time; `None` if it is none of the stretch.
    fn values_at(&mut self, at: Timestamp) -> Option<Vec<(LabelSet, f64)>> {
        let since = at.since(self.start);
        if since < 0 || since % self.step_ms != 0 || since / self.step_ms >= self.times {
            return None;
        }
        let mut values = Vec::new();
        for ((labels, points), passed) in &mut self.series {
            while points.get(*passed).is_some_and(|(time, _)| *time < at) {
                *passed += 1;
            }
            if let Some((_, value)) = points.get(*passed).filter(|(time, _)| *time == at) {
                values.push((labels.clone(), *value));
            }
        }
        Some(values)
    }
}

impl MetricsRead for Past<'_> {
    fn instant(&self, query: &Query, at: Timestamp, limits: &Limits) -> Result<Vec<(LabelSet, f64)>, EvalError> {
        let Some(step_ms) = self.steps_ms.get(query.text()) else { return self.metrics.instant(query, at, limits) };
        let mut stretches = self.stretches.lock();
        let stretch = stretches.get_mut(query.text());
        let times = stretch.as_ref().map_or(TIMES_FIRST, |stretch| self.times_after(stretch));
        if let Some(values) = stretch.and_then(|stretch| stretch.values_at(at)) {
            return Ok(values);
        }
        // What was read before goes before more is read.
        stretches.remove(query.text());
        let Some(mut next) = self.read(query, at, *step_ms, times, limits) else {
            return self.metrics.instant(query, at, limits);
        };
        let values = next.values_at(at).unwrap_or_default();
        stretches.insert(query.text().to_owned(), next);
        Ok(values)
    }

    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError> {
        self.metrics.range(query, steps, limits)
    }

    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
        self.metrics.answer(query, asked, limits)
    }

    fn promql(&self, query: &Query, asked: Asked) -> Option<String> {
        self.metrics.promql(query, asked)
    }

    fn series(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<LabelSet>, EvalError> {
        self.metrics.series(selectors, range)
    }

    fn label_names(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<String>, EvalError> {
        self.metrics.label_names(selectors, range)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, EvalError> {
        self.metrics.label_values(name, selectors, range)
    }

    fn metrics(&self, prefix: &str) -> Result<Vec<MetricInfo>, EvalError> {
        self.metrics.metrics(prefix)
    }

    fn families(&self, prefix: &str) -> Result<Vec<FamilyInfo>, EvalError> {
        self.metrics.families(prefix)
    }
}
