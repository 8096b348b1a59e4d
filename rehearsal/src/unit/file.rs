//! A test file becomes tests, or a list of everything that is wrong with it.

use std::collections::BTreeMap;

use watchfire_engine::{MetricType, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::ast::ValueType;
use watchfire_query_lang::series::{SeriesError, parse_labels, parse_values};
use watchfire_query_lang::{PointValue, Query};
use watchfire_rules::External;
use watchfire_yaml::faults::Faults;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{self, Fault, Node, Place};

use super::fields::{duration, expected_texts, float, start_time};

/// Distance between two evaluations where the file says nothing.
const EVALUATE_EVERY_MS: i64 = 60_000;
/// Most evaluations of one test; more is taken for a mistake.
const EVALUATIONS_MAX: i64 = 10_000_000;

/// A file of tests.
#[derive(Debug, Default)]
pub struct TestFile {
    /// Patterns of names of rule files.
    pub rule_files: Vec<String>,
    /// Distance between two evaluations, in milliseconds; positive.
    pub evaluation_interval_ms: i64,
    /// Groups in the order in which they are evaluated; others come first.
    pub group_eval_order: Vec<String>,
    /// Numbers may be next to those expected.
    pub fuzzy_compare: bool,
    /// In the order of the file.
    pub tests: Vec<TestGroup>,
}

/// Input, and what is expected of it at some times.
#[derive(Debug)]
pub struct TestGroup {
    /// As it is called; it may have no name.
    pub name: Option<String>,
    /// Where it begins.
    pub(super) place: Place,
    /// Distance between two values of the input, in milliseconds; positive.
    pub(super) interval_ms: i64,
    /// The time from which all others count.
    pub(super) start: Timestamp,
    pub(super) external: External,
    pub(super) input: Vec<Input>,
    pub(super) alerts: Vec<AlertTest>,
    pub(super) queries: Vec<QueryTest>,
}

/// A series that the test begins with.
#[derive(Debug)]
pub(super) struct Input {
    pub place: Place,
    pub kind: SeriesKind,
    pub labels: LabelSet,
    pub values: Vec<Option<PointValue>>,
}

/// Which alerts of a name fire at a time.
#[derive(Debug)]
pub(super) struct AlertTest {
    pub place: Place,
    pub at_ms: i64,
    pub name: String,
    pub expected: Vec<AlertTexts>,
}

/// What an alert says of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AlertTexts {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// What a query gives at a time.
#[derive(Debug)]
pub(super) struct QueryTest {
    pub place: Place,
    pub at_ms: i64,
    pub query: Query,
    pub expected: Vec<(LabelSet, PointValue)>,
}

impl TestFile {
    /// Reads a file.
    ///
    /// Errors: everything that is wrong in it, in the order of the file.
    pub fn parse(text: &str) -> Result<TestFile, Vec<Fault>> {
        let (root, mut faults) = tree::parse_verbatim(text)?;
        let file = read(&root, &mut faults);
        if faults.is_empty() { Ok(file) } else { Err(faults.sorted()) }
    }
}

impl TestGroup {
    /// The longest time after the start at which something is expected, in milliseconds.
    pub(super) fn until_ms(&self) -> i64 {
        let times = self.alerts.iter().map(|test| test.at_ms).chain(self.queries.iter().map(|test| test.at_ms));
        times.max().unwrap_or(0)
    }
}

fn read(root: &Node, faults: &mut Faults) -> TestFile {
    let mut top = Section::new("", Some(root), faults);
    let rule_files = top.texts("rule_files").into_iter().map(|(name, _)| name.to_owned()).collect();
    let evaluation_interval_ms =
        duration(&mut top, "evaluation_interval").filter(|ms| *ms > 0).unwrap_or(EVALUATE_EVERY_MS);
    let mut order: Vec<String> = Vec::new();
    for (name, place) in top.texts("group_eval_order") {
        if order.iter().any(|have| have == name) {
            top.fault(place, format!("group `{name}` stands twice in `group_eval_order`; keep one of them"));
        }
        order.push(name.to_owned());
    }
    let fuzzy_compare = top.parsed("fuzzy_compare", "true or false", |text| text.parse().ok()).unwrap_or(false);
    let mut tests = Vec::new();
    for node in top.only_list("tests") {
        tests.push(test(node, evaluation_interval_ms, top.faults()));
    }
    top.finish();
    TestFile { rule_files, evaluation_interval_ms, group_eval_order: order, fuzzy_compare, tests }
}

fn test(node: &Node, evaluation_interval_ms: i64, faults: &mut Faults) -> TestGroup {
    let mut section = Section::new("tests[]", Some(node), faults);
    let name = section.text("name").filter(|name| !name.is_empty()).map(str::to_owned);
    let interval_ms = duration(&mut section, "interval").filter(|ms| *ms > 0).unwrap_or(evaluation_interval_ms);
    let start = section.parsed("start_timestamp", "a time (write 2026-01-31T10:00:00Z, or unix seconds)", start_time);
    let url = section.text("external_url").unwrap_or_default().to_owned();
    let (labels, path) = section.section("external_labels");
    let pairs = Section::new(&path, labels, section.faults()).free_texts();
    let labels = LabelSet::from_pairs(pairs.iter().map(|(name, value, _)| (*name, *value))).unwrap_or_else(|error| {
        section.fault(labels.map_or(node.place, |labels| labels.place), format!("`{path}`: {error}"));
        LabelSet::empty()
    });
    let mut input: Vec<Input> = Vec::new();
    for node in section.only_list("input_series") {
        let Some(read) = series(node, section.faults()) else { continue };
        // As promtool does, the last one of a name counts.
        input.retain(|have| have.labels != read.labels);
        input.push(read);
    }
    let alerts = section.only_list("alert_rule_test");
    let alerts: Vec<AlertTest> = alerts.into_iter().filter_map(|node| alert_test(node, section.faults())).collect();
    let queries = section.only_list("promql_expr_test");
    let queries: Vec<QueryTest> = queries.into_iter().filter_map(|node| query_test(node, section.faults())).collect();
    let group = TestGroup {
        name,
        place: node.place,
        interval_ms,
        start: start.unwrap_or_default(),
        external: External { labels, url },
        input,
        alerts,
        queries,
    };
    if group.until_ms() / evaluation_interval_ms > EVALUATIONS_MAX {
        let message = "the rules would be evaluated more than 10 million times; take a longer `evaluation_interval`";
        section.fault(node.place, message);
    }
    section.finish();
    group
}

/// Points a fault of a text into the scalar that holds it.
fn at(node: &Node, key: &'static str, fault: &SeriesError) -> Fault {
    Fault { place: node.at(key).place_at(fault.offset), message: format!("in `{key}`: {fault}") }
}

fn series(node: &Node, faults: &mut Faults) -> Option<Input> {
    let mut section = Section::new("input_series[]", Some(node), faults);
    let name = section.required_text("series");
    let text = section.text("values").unwrap_or_default();
    let kinds = "samples, increments (counted events) or observations (of a distribution)";
    let kind = section.parsed("kind", kinds, |text| match text {
        "samples" => Some(SeriesKind::Samples(MetricType::Untyped)),
        "increments" => Some(SeriesKind::Increments),
        "observations" => Some(SeriesKind::Distribution),
        _ => None,
    });
    let labels = name
        .and_then(|name| parse_labels(name).map_err(|fault| section.faults().push(at(node, "series", &fault))).ok());
    let values = parse_values(text).map_err(|fault| section.faults().push(at(node, "values", &fault))).ok();
    let kind = kind.unwrap_or(SeriesKind::Samples(MetricType::Untyped));
    let has_histograms = values.iter().flatten().any(|value| matches!(value, Some(PointValue::Histogram(_))));
    if !matches!(kind, SeriesKind::Samples(_)) && has_histograms {
        section.fault(node.at("values").place, "histograms are `samples`; remove `kind`");
    }
    section.finish();
    Some(Input { place: node.place, kind, labels: labels?, values: values? })
}

fn alert_test(node: &Node, faults: &mut Faults) -> Option<AlertTest> {
    let mut section = Section::new("alert_rule_test[]", Some(node), faults);
    let at_ms = duration(&mut section, "eval_time").unwrap_or(0);
    let name = section.required_text("alertname").map(str::to_owned);
    let mut expected = Vec::new();
    for node in section.only_list("exp_alerts") {
        let mut alert = Section::new("exp_alerts[]", Some(node), section.faults());
        let mut labels = expected_texts(&mut alert, "exp_labels");
        labels.extend(name.clone().map(|name| (watchfire_rules::rule::ALERT_NAME.to_owned(), name)));
        let annotations = expected_texts(&mut alert, "exp_annotations");
        alert.finish();
        expected.push(AlertTexts { labels, annotations });
    }
    section.finish();
    Some(AlertTest { place: node.place, at_ms, name: name?, expected })
}

fn query_test(node: &Node, faults: &mut Faults) -> Option<QueryTest> {
    let mut section = Section::new("promql_expr_test[]", Some(node), faults);
    let query = section.required_text("expr").and_then(|_| expression(&mut section));
    let at_ms = duration(&mut section, "eval_time").unwrap_or(0);
    let mut expected = Vec::new();
    for node in section.only_list("exp_samples") {
        expected.extend(sample(node, section.faults()));
    }
    section.finish();
    Some(QueryTest { place: node.place, at_ms, query: query?, expected })
}

fn expression(section: &mut Section<'_>) -> Option<Query> {
    let (text, node) = (section.text("expr")?, section.node("expr")?);
    match watchfire_query_lang::parse(text) {
        Ok(query) if matches!(query.value_type(), ValueType::Scalar | ValueType::Vector) => Some(query),
        Ok(query) => {
            let message = format!("`expr` gives a {}; a test wants a number per series", query.value_type().name());
            section.fault(node.place_at(0), message);
            None
        }
        Err(error) => {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            section.fault(node.place_at(error.offset), format!("in `expr`: {}{hint}", error.message));
            None
        }
    }
}

fn sample(node: &Node, faults: &mut Faults) -> Option<(LabelSet, PointValue)> {
    let mut section = Section::new("exp_samples[]", Some(node), faults);
    let labels = parse_labels(section.text("labels").unwrap_or_default());
    let value = section.parsed("value", "a number (write 1, 1.5e3, .inf or .nan)", float);
    let histogram = section.text("histogram").filter(|text| !text.is_empty()).map(parse_values);
    let labels = labels.map_err(|fault| section.faults().push(at(node, "labels", &fault))).ok();
    let value = match histogram {
        None => Some(PointValue::Float(value.unwrap_or(0.0))),
        Some(Ok(values)) => match values.as_slice() {
            [Some(one @ PointValue::Histogram(_))] => Some(one.clone()),
            _ => {
                section.fault(node.at("histogram").place, "`histogram` must be one histogram: {{sum:1 count:2}}");
                None
            }
        },
        Some(Err(fault)) => {
            section.faults().push(at(node, "histogram", &fault));
            None
        }
    };
    section.finish();
    Some((labels?, value?))
}
