//! Runs a test: input and evaluations in the order of time, then what is expected against what is there.

use std::collections::BTreeMap;

use watchfire_engine::SampleBatch;
use watchfire_model::time::format_duration_ms;
use watchfire_model::{AlertState, Timestamp};
use watchfire_query_lang::{Asked, Limits, MetricsRead, Outcome, PointValue};
use watchfire_rules::{GroupDefaults, Health, RuleEngine, RuleSet};

use super::Failure;
use super::compare::{alerts_differ, samples_differ};
use super::file::{AlertTest, AlertTexts, Input, QueryTest, TestFile, TestGroup};
use crate::stage::Stage;

/// Runs one of the file's tests with these rules; answers what did not come out as expected.
///
/// Errors: the test could not be run at all.
pub fn run(file: &TestFile, group: &TestGroup, rules: &RuleSet) -> Result<Vec<Failure>, String> {
    let mut rules = rules.clone().with_external(group.external.clone());
    // As with promtool, a group that is not named has the rank of the first.
    rules.sort_groups_by(|group| file.group_eval_order.iter().position(|name| *name == group.name).unwrap_or(0));
    let interval_ms = file.evaluation_interval_ms;
    let defaults = GroupDefaults { check_interval_ms: interval_ms, query_offset_ms: 0 };
    let limits = Limits { default_step_ms: interval_ms, ..Limits::default() };
    let mut run = Run {
        group,
        stage: Stage::open(group.start)?,
        rules: RuleEngine::rehearse(&rules, defaults, limits.clone(), group.start),
        limits,
        is_fuzzy: file.fuzzy_compare,
        fed: vec![0; group.input.len()],
        failures: Vec::new(),
    };
    run.evaluate(interval_ms);
    Ok(run.failures)
}

struct Run<'t> {
    group: &'t TestGroup,
    stage: Stage,
    rules: RuleEngine,
    limits: Limits,
    is_fuzzy: bool,
    /// How many values of each series are in.
    fed: Vec<usize>,
    failures: Vec<Failure>,
}

impl Run<'_> {
    fn evaluate(&mut self, interval_ms: i64) {
        let mut tests: Vec<&AlertTest> = self.group.alerts.iter().collect();
        tests.sort_by_key(|test| test.at_ms);
        let mut tests = tests.into_iter().peekable();
        let mut now_ms = 0;
        while now_ms <= self.group.until_ms() {
            if !self.round(now_ms) {
                return;
            }
            // What is asked between two evaluations is answered from the first one.
            while let Some(test) = tests.next_if(|test| test.at_ms < now_ms.saturating_add(interval_ms)) {
                self.check_alerts(test);
            }
            now_ms = now_ms.saturating_add(interval_ms);
        }
        for test in &self.group.queries {
            self.check_query(test);
        }
    }

    /// Takes input in and evaluates all rules; `false` if that failed.
    fn round(&mut self, now_ms: i64) -> bool {
        let now = self.group.start.plus_millis(now_ms);
        if let Err((input, why)) = self.feed(now) {
            let series = self.group.input.get(input).map(|input| (input.place, input.labels.to_string()));
            let (place, labels) = series.unwrap_or_default();
            self.fail(place, format!("{labels} at {}: {why}", format_duration_ms(now_ms)));
            return false;
        }
        let mut round = self.rules.evaluate_all(now, &self.stage.metrics, &self.stage.sink);
        let written = round.unwritten.write(&self.stage.sink);
        if round.failed == 0 && written.is_ok() {
            return true;
        }
        let place = self.group.place;
        for rule in self.rules.rules_snapshot().into_iter().flat_map(|group| group.rules) {
            if let (Health::Err, Some(why)) = (rule.health, rule.last_error) {
                let at = format_duration_ms(now_ms);
                self.fail(place, format!("rule `{}` cannot be evaluated at {at}: {why}", rule.rule.name()));
            }
        }
        false
    }

    /// Takes in the values up to this time; an error names the series.
    fn feed(&mut self, now: Timestamp) -> Result<(), (usize, String)> {
        let mut batch = SampleBatch::new(now);
        for (number, input) in self.group.input.iter().enumerate() {
            let Some(fed) = self.fed.get_mut(number) else { continue };
            batch.clear(now);
            *fed = put(input, *fed, self.group, now, &mut batch);
            self.stage.append(&batch).map_err(|why| (number, why))?;
        }
        Ok(())
    }

    fn check_alerts(&mut self, test: &AlertTest) {
        let firing = self.rules.alerts_snapshot().into_iter().map(|snapshot| snapshot.alert);
        let firing = firing.filter(|alert| alert.state == AlertState::Firing && alert.rule == test.name);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let got: Vec<AlertTexts> = firing
            .map(|alert| AlertTexts {
                labels: alert.labels.iter().map(owned).collect(),
                annotations: alert.annotations.into_iter().collect::<BTreeMap<_, _>>(),
            })
            .collect();
        if let Some(difference) = alerts_differ(&test.expected, got) {
            let at = format_duration_ms(test.at_ms);
            self.fail(test.place, format!("alert `{}` at {at} is not as expected\n{difference}", test.name));
        }
    }

    fn check_query(&mut self, test: &QueryTest) {
        let asked = Asked::Instant(self.group.start.plus_millis(test.at_ms));
        let title = format!("`{}` at {}", test.query.text().trim(), format_duration_ms(test.at_ms));
        let got = match self.stage.metrics.answer(&test.query, asked, &self.limits).map(|answer| answer.outcome) {
            Ok(Outcome::Scalar(value)) => vec![(watchfire_model::LabelSet::empty(), PointValue::Float(value))],
            Ok(Outcome::Vector(values)) => values,
            Ok(Outcome::Text(_) | Outcome::Matrix(_)) => {
                return self.fail(test.place, format!("{title} gives no numbers"));
            }
            Err(error) => return self.fail(test.place, format!("{title} cannot be evaluated: {error}")),
        };
        if let Some(difference) = samples_differ(&test.expected, got, self.is_fuzzy) {
            self.fail(test.place, format!("{title} is not as expected\n{difference}"));
        }
    }

    fn fail(&mut self, place: watchfire_yaml::tree::Place, message: String) {
        let name = self.group.name.as_ref().map(|name| format!("test `{name}`: ")).unwrap_or_default();
        self.failures.push(Failure { line: place.line, column: place.column, message: name + &message });
    }
}

/// Puts the values of a series from the `from`th on up to this time into a batch; answers how many are in now.
fn put(input: &Input, from: usize, group: &TestGroup, now: Timestamp, batch: &mut SampleBatch) -> usize {
    let time = |nth: usize| {
        let nth = i64::try_from(nth).unwrap_or(i64::MAX);
        group.start.plus_millis(nth.saturating_mul(group.interval_ms))
    };
    let series = batch.series(input.kind, &input.labels);
    let mut nth = from;
    while let Some(value) = input.values.get(nth)
        && time(nth) <= now
    {
        match value {
            None => {}
            Some(PointValue::Float(value)) => batch.push(series, time(nth), *value),
            Some(PointValue::Histogram(histogram)) => batch.push_native(series, time(nth), (**histogram).clone()),
        }
        nth += 1;
    }
    nth
}
