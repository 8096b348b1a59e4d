//! Figures and facets: what any store must answer, worked out record by record.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_log_store::context::ContextRequest;
use watchfire_log_store::facets::{FacetsRequest, FacetsResponse};
use watchfire_log_store::query::{Expr, Field, Node, Number, Query, Span, Test, matches, parse};
use watchfire_log_store::stats::{Measure, StatsRequest, StatsResponse};
use watchfire_log_store::{LogStore, SearchError, TimeRange};
use watchfire_model::{LogRecord, Timestamp};

use crate::naive::{Naive, number, texts};
use crate::suite::NOW;

/// A field with so many different values is not only counted.
const FEW: usize = 1024;

type Key = Vec<Option<String>>;

/// What the records of a group have, by measure.
type Group = Vec<Made>;

#[derive(Clone, Debug, PartialEq)]
enum Made {
    Count(u64),
    Texts(BTreeSet<String>),
    Numbers(Vec<Number>),
}

/// Checks the answer to a question for figures against the records.
pub fn check_stats(naive: &Naive, request: &StatsRequest, response: &StatsResponse, what: &str) {
    let mut groups: BTreeMap<(Key, Option<i64>), Group> = BTreeMap::new();
    for (seq, view) in naive.matching(&request.query, request.range) {
        let time = request.step_ms.map(|step| view.timestamp().millis().div_euclid(step) * step);
        let mut keys: Vec<Key> = vec![Vec::new()];
        for field in &request.by {
            let texts = texts(field, &view);
            let values: Vec<Option<String>> =
                if texts.is_empty() { vec![None] } else { texts.into_iter().map(Some).collect() };
            keys = keys
                .iter()
                .flat_map(|key| values.iter().map(|value| [key.as_slice(), std::slice::from_ref(value)].concat()))
                .collect();
        }
        for key in keys {
            let group = groups.entry((key, time)).or_insert_with(|| request.measures.iter().map(empty).collect());
            for (made, measure) in group.iter_mut().zip(&request.measures) {
                match (made, measure) {
                    (Made::Count(count), _) => *count += 1,
                    (Made::Texts(all), Measure::Distinct(field)) => all.extend(texts(field, &view)),
                    (Made::Numbers(numbers), measure) => {
                        numbers.extend(field_of(measure).and_then(|field| number(field, &view, seq)));
                    }
                    (made, measure) => panic!("{made:?} of {measure:?}"),
                }
            }
        }
    }
    let whole = request.by.is_empty() && request.step_ms.is_none();
    if whole && groups.is_empty() {
        groups.insert((Vec::new(), None), request.measures.iter().map(empty).collect());
    }
    let keys: std::collections::BTreeSet<&Key> = groups.keys().map(|(key, _)| key).collect();
    let counted = if whole && response.groups == 0 { 0 } else { keys.len() as u64 };
    assert_eq!(response.groups, counted, "groups of {what}");
    assert!(response.is_exact, "{what}");
    if request.limit >= keys.len() {
        assert_eq!(response.rows.len(), groups.len(), "rows of {what}: {:?} for {groups:?}", response.rows);
    }
    assert!(response.rows.is_sorted_by_key(|row| row.time_ms), "times of {what}");
    for row in &response.rows {
        let group = groups.get(&(row.by.clone(), row.time_ms));
        let group = group.unwrap_or_else(|| panic!("{row:?} of {what} is no group"));
        for ((made, measure), figure) in group.iter().zip(&request.measures).zip(&row.figures) {
            let expected = figure_of(made, measure);
            let same = match (expected, figure.value) {
                (Some(a), Some(b)) => close(a.as_f64(), b.as_f64(), figure.is_approximate),
                (a, b) => a.is_none() && b.is_none(),
            };
            assert!(
                same,
                "{measure:?} of {:?} {:?} of {what}: {figure:?} instead of {expected:?}",
                row.by, row.time_ms
            );
        }
    }
    check_order(request, response, &groups, what);
}

/// The groups with the largest first figure come first, and none that is larger was left out.
fn check_order(
    request: &StatsRequest,
    response: &StatsResponse,
    groups: &BTreeMap<(Key, Option<i64>), Group>,
    what: &str,
) {
    if request.step_ms.is_some() || request.measures.first() != Some(&Measure::Count) {
        return;
    }
    let mut counts: Vec<Option<Number>> =
        groups.values().map(|group| figure_of(&group[0], &request.measures[0])).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.map(|count| count.as_f64() as u64)));
    counts.truncate(request.limit);
    let shown: Vec<Option<Number>> = response.rows.iter().map(|row| row.figures[0].value).collect();
    assert_eq!(shown, counts, "order of {what}");
}

fn close(a: f64, b: f64, is_approximate: bool) -> bool {
    let allowed = if is_approximate { 0.01 } else { 1e-9 };
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed * a.abs().max(b.abs())
}

fn empty(measure: &Measure) -> Made {
    match measure {
        Measure::Count => Made::Count(0),
        Measure::Distinct(_) => Made::Texts(Default::default()),
        _ => Made::Numbers(Vec::new()),
    }
}

fn field_of(measure: &Measure) -> Option<&Field> {
    match measure {
        Measure::Count => None,
        Measure::Distinct(field)
        | Measure::Sum(field)
        | Measure::Avg(field)
        | Measure::Min(field)
        | Measure::Max(field)
        | Measure::Quantile(field, _) => Some(field),
    }
}

fn figure_of(made: &Made, measure: &Measure) -> Option<Number> {
    let numbers = match made {
        Made::Count(count) => return Some(Number::Int(*count as i64)),
        Made::Texts(texts) => return Some(Number::Int(texts.len() as i64)),
        Made::Numbers(numbers) if numbers.is_empty() => return None,
        Made::Numbers(numbers) => numbers,
    };
    let mut sorted = numbers.clone();
    sorted.sort_by(|a, b| a.compare(*b).expect("NaN is no number here"));
    let sum = || {
        let ints: i128 = sorted.iter().map(|n| if let Number::Int(int) = n { i128::from(*int) } else { 0 }).sum();
        let floats: f64 = sorted.iter().map(|n| if let Number::Float(float) = n { *float } else { 0.0 }).sum();
        ints as f64 + floats
    };
    match measure {
        Measure::Min(_) => sorted.first().copied(),
        Measure::Max(_) => sorted.last().copied(),
        Measure::Sum(_) => Some(Number::float(sum())),
        Measure::Avg(_) => Some(Number::float(sum() / sorted.len() as f64)),
        Measure::Quantile(_, q) => {
            let rank = (q * sorted.len() as f64 * (1.0 - 1e-12)).ceil() as usize;
            sorted.get(rank.max(1) - 1).copied()
        }
        Measure::Count | Measure::Distinct(_) => None,
    }
}

/// Checks the answer to a question for facets against the records.
pub fn check_facets(naive: &Naive, request: &FacetsRequest, response: &FacetsResponse, what: &str) {
    let matching: Vec<_> = naive.matching(&request.query, request.range).collect();
    let total = matching.len() as u64;
    assert_eq!((response.total, response.total_exact), (total, true), "total of {what}");
    if let Some(fields) = &request.fields {
        let shown: Vec<&Field> = response.facets.iter().map(|facet| &facet.field).collect();
        assert_eq!(shown, fields.iter().collect::<Vec<_>>(), "{what}");
    }
    for facet in &response.facets {
        let what = format!("{} of {what}", facet.field);
        let exists =
            Query { root: Node { span: Span::default(), expr: Expr::Field(facet.field.clone(), Test::Exists) } };
        let records = match facet.field {
            Field::Level => total,
            _ => matching.iter().filter(|(seq, view)| matches(&exists, view, *seq)).count() as u64,
        };
        assert_eq!(facet.records, records, "records with {what}");
        assert!(!facet.is_approximate, "{what}");
        let Some(values) = &facet.values else {
            assert!(request.fields.is_none(), "no values of {what}");
            let any = Query::all();
            let all = naive.matching(&any, TimeRange::ALL);
            let different: BTreeSet<String> = all.flat_map(|(_, view)| texts(&facet.field, &view)).collect();
            assert!(different.len() > FEW, "no values of {what}, which has only {}", different.len());
            continue;
        };
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (_, view) in &matching {
            texts(&facet.field, view).into_iter().for_each(|text| *counts.entry(text).or_default() += 1);
        }
        let mut expected: Vec<(String, u64)> = counts.into_iter().collect();
        expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        expected.truncate(request.limit);
        let shown: Vec<(String, u64)> = values.iter().map(|value| (value.value.clone(), value.count)).collect();
        assert_eq!(shown, expected, "values of {what}");
    }
}

fn now() -> Timestamp {
    Timestamp::parse_date_time(NOW).expect("a time")
}

/// Asks a store of the suite's records for figures, facets and neighbours.
pub async fn run(store: &dyn LogStore, naive: &Naive) {
    for q in ["", "error OR refused", "level:>=warn", "-service:api", "status:>=400", "nothing_has_this"] {
        let query = parse(q, now()).expect("a query");
        // The records lie years apart.
        check_questions(store, naive, query, TimeRange::ALL, [None, Some(30 * 86_400_000 + 7)], q).await;
    }
    let range = TimeRange { start: now().plus_millis(-400_000), end: now().plus_millis(-60_000) };
    check_questions(store, naive, Query::all(), range, [Some(60_000), Some(777)], "minutes").await;
    check_steps(store).await;
    check_context(store, naive).await;
}

async fn check_questions(
    store: &dyn LogStore,
    naive: &Naive,
    query: Query,
    range: TimeRange,
    steps: [Option<i64>; 2],
    q: &str,
) {
    let values = "count distinct(user_id) avg(duration_ms) p50(duration_ms) p99.9(duration_ms) sum(status) min(v) \
                  max(timestamp) distinct(tags.team) distinct(level) distinct(items.name)";
    let measures = |text: &str| text.split_whitespace().map(|m| Measure::parse(m).expect("a measure")).collect();
    for by in
        ["", "level", "service", "service level", "host tags.team", "status", "user_id", "v x", "items.name", "missing"]
    {
        for step_ms in steps {
            for (values, limit) in [("count", 1000), (values, 1000), ("count", 2), ("max(duration_ms) count", 3)] {
                let request = StatsRequest {
                    by: by.split_whitespace().map(|name| Field::parse(name).expect("a field")).collect(),
                    measures: measures(values),
                    step_ms,
                    limit,
                    ..StatsRequest::new(query.clone(), range)
                };
                let what = format!("`{q}` by `{by}` step {step_ms:?}: {values}");
                // The second answer may come from what blocks have kept of the first.
                for _ in 0..if by.is_empty() { 2 } else { 1 } {
                    let response = store.stats(request.clone()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                    check_stats(naive, &request, &response, &what);
                }
            }
        }
    }
    let names = [
        "level",
        "service",
        "source",
        "host",
        "user_id",
        "tags.team",
        "status",
        "duration_ms",
        "message",
        "v",
        "items.name",
    ];
    let fields: Vec<Field> = names.iter().map(|name| Field::parse(name).expect("a field")).collect();
    for (fields, limit) in [(Some(fields.clone()), 1000), (Some(fields), 2), (None, 5)] {
        let request = FacetsRequest { fields, limit, ..FacetsRequest::new(query.clone(), range) };
        let response = store.facets(request.clone()).await.unwrap_or_else(|error| panic!("facets of `{q}`: {error}"));
        check_facets(naive, &request, &response, &format!("facets of `{q}`"));
    }
}

async fn check_steps(store: &dyn LogStore) {
    for step_ms in [0, -5, 1] {
        let request = StatsRequest { step_ms: Some(step_ms), ..StatsRequest::new(Query::all(), TimeRange::ALL) };
        let refused = store.stats(request).await.map(|response| response.rows.len());
        assert!(matches!(refused, Err(SearchError::Steps { .. })), "a step of {step_ms} ms: {refused:?}");
    }
}

async fn check_context(store: &dyn LogStore, naive: &Naive) {
    let mut ordered: Vec<(u64, &LogRecord)> = naive.records().collect();
    ordered.sort_by_key(|(seq, record)| (record.timestamp, *seq));
    let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
    for (at, (seq, record)) in ordered.iter().enumerate() {
        for (all, before, after) in [(false, 3, 2), (true, 1, 4), (true, 0, 1000), (false, 1000, 0)] {
            let is_near = |(_, other): &&(u64, &LogRecord)| {
                all || (other.service.to_lowercase() == record.service.to_lowercase()
                    && lower(&other.host) == lower(&record.host))
            };
            let mut earlier: Vec<u64> =
                ordered[..at].iter().rev().filter(is_near).map(|(seq, _)| *seq).take(before).collect();
            earlier.reverse();
            let later: Vec<u64> = ordered[at + 1..].iter().filter(is_near).map(|(seq, _)| *seq).take(after).collect();
            let request = ContextRequest {
                id: record.id.clone(),
                before,
                after,
                all,
                query: Query::all(),
                time_limit: std::time::Duration::from_secs(30),
            };
            let found = store.context(request).await.expect("an answer").expect("the record is there");
            let seqs = |hits: &[watchfire_log_store::Hit]| hits.iter().map(|hit| hit.seq).collect::<Vec<u64>>();
            assert_eq!(found.record.seq, *seq);
            assert_eq!(seqs(&found.before), earlier, "before {} (all: {all})", record.id);
            assert_eq!(seqs(&found.after), later, "after {} (all: {all})", record.id);
        }
    }
    let unknown = ContextRequest {
        id: "no such id".to_owned(),
        before: 1,
        after: 1,
        all: true,
        query: Query::all(),
        time_limit: std::time::Duration::from_secs(30),
    };
    assert_eq!(store.context(unknown).await, Ok(None));
}
