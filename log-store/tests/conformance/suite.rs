//! The suite: data, and what is asked of a store that holds it.
//!
//! A new case is a line of `cases.ndjson`; `UPDATE_GOLDEN=1` rewrites the expected ids from the naive store, and the
//! diff is read.

use std::collections::BTreeMap;

use watchfire_log_store::query::{Field, parse};
use watchfire_log_store::{Cursor, LogStore, Order, SearchRequest, TimeRange};
use watchfire_model::record::Core;
use watchfire_model::{LogRecord, Timestamp};

use crate::naive::Naive;
use crate::{figures, json};

const RECORDS: &str = include_str!("records.ndjson");
const CASES: &str = include_str!("cases.ndjson");

/// The moment that times of the cases are relative to.
pub const NOW: &str = "2024-05-01T10:10:00Z";

/// A search and the ids that it finds, in order.
pub struct Case {
    json: serde_json::Value,
    /// For messages.
    pub name: String,
    /// All on one page.
    pub request: SearchRequest,
    /// What is found.
    pub ids: Vec<String>,
}

/// The records of the suite; a record's number is its line, from 0.
pub fn records() -> Vec<LogRecord> {
    RECORDS.lines().map(|line| json::record(&serde_json::from_str(line).expect("a line of JSON")).1).collect()
}

/// The records in the naive store.
pub fn naive() -> Naive {
    let mut naive = Naive::default();
    for (seq, record) in records().iter().enumerate() {
        naive.push(seq as u64, record);
    }
    naive
}

/// All cases.
pub fn cases() -> Vec<Case> {
    CASES.lines().map(|line| case(serde_json::from_str(line).expect("a line of JSON"))).collect()
}

fn case(json: serde_json::Value) -> Case {
    let get = |name: &str| json.get(name).and_then(|value| value.as_str());
    let time = |name: &str| get(name).map(|text| Timestamp::parse_date_time(text).expect("a time"));
    let now = Timestamp::parse_date_time(NOW).expect("a time");
    let mut query = parse(get("q").expect("q"), now).unwrap_or_else(|error| panic!("{json}: {error}"));
    for (name, field) in [
        ("level", Field::Level),
        ("service", Field::Core(Core::Service)),
        ("source", Field::Core(Core::Source)),
        ("host", Field::Core(Core::Host)),
    ] {
        query = query.with_list(&field, get(name).unwrap_or_default()).expect("values of the field");
    }
    let range = TimeRange {
        start: time("start").unwrap_or(TimeRange::ALL.start),
        end: time("end").unwrap_or(TimeRange::ALL.end),
    };
    let order = match (get("sort"), get("order")) {
        (Some(sort), _) => Order::ByField {
            field: Field::parse(sort.trim_start_matches('-')).expect("a field"),
            descending: sort.starts_with('-'),
        },
        (None, Some("asc")) => Order::OldestFirst,
        (None, _) => Order::NewestFirst,
    };
    let ids = get("ids").expect("ids").split_whitespace().map(str::to_owned).collect();
    let request = SearchRequest { limit: 1000, order, ..SearchRequest::new(query, range) };
    Case { name: json.to_string(), request, ids, json }
}

/// The golden ids are what the naive store finds; rewrites them if asked to.
#[test]
fn cases_agree_with_the_row_matcher() {
    let naive = naive();
    let mut lines = String::new();
    let mut differ = Vec::new();
    for case in cases() {
        let found: Vec<String> = naive.search(&case.request).hits.iter().map(|(_, record)| record.id.clone()).collect();
        let mut json = case.json.clone();
        json["ids"] = found.join(" ").into();
        lines.push_str(&format!("{json}\n"));
        if found != case.ids {
            differ.push(format!("{json}"));
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/cases.ndjson");
        std::fs::write(path, lines).expect("the file can be written");
    } else {
        assert!(differ.is_empty(), "the row matcher finds instead:\n{}", differ.join("\n"));
    }
}

/// Runs every check on a store that holds [`records`], each under the number that is its line.
pub async fn run(store: &dyn LogStore) {
    let naive = naive();
    for case in cases() {
        check_case(store, &naive, &case).await;
    }
    check_single_records(store, &naive).await;
    check_distinct(store, &naive).await;
    figures::run(store, &naive).await;
    check_refusals(store).await;
}

async fn check_case(store: &dyn LogStore, naive: &Naive, case: &Case) {
    let name = &case.name;
    let request = &case.request;
    let expected = naive.search(request);
    let response = store.search(request.clone()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let ids: Vec<&str> = response.hits.iter().map(|hit| hit.record.id.as_str()).collect();
    assert_eq!(ids, case.ids, "{name}");
    expected.check(request, &response, 0, name);

    let counts = SearchRequest { limit: 0, buckets: 24, ..request.clone() };
    expected.check(&counts, &answer(store, &counts, name).await, 0, name);

    for (limit, offset) in [(1, 0), (2, 1), (3, 5), (10, 40), (1, 1000)] {
        let page = SearchRequest { limit, offset, buckets: 3, ..request.clone() };
        expected.check(&page, &answer(store, &page, name).await, 0, name);
    }
    if !matches!(request.order, Order::ByField { .. }) {
        for limit in [1, 7] {
            let mut page = SearchRequest { limit, ..request.clone() };
            let mut already = 0;
            loop {
                let response = answer(store, &page, name).await;
                expected.check(&page, &response, already, name);
                already += response.hits.len();
                let Some(next) = response.next_cursor else { break };
                page.cursor = Some(Cursor::decode(&next).expect("a cursor of the store"));
            }
            assert_eq!(already, expected.hits.len(), "walk through {name}");
            check_bare_walk(store, request, &expected, limit, name).await;
        }
    }
}

/// The same pages when nothing is counted.
pub async fn check_bare_walk(
    store: &dyn LogStore,
    request: &SearchRequest,
    expected: &crate::naive::Expected<'_>,
    limit: usize,
    name: &str,
) {
    let mut page = SearchRequest { limit, with_totals: false, ..request.clone() };
    let mut seen = Vec::new();
    loop {
        let response = answer(store, &page, name).await;
        seen.extend(response.hits.iter().map(|hit| hit.seq));
        let Some(next) = response.next_cursor else { break };
        page.cursor = Some(Cursor::decode(&next).expect("a cursor of the store"));
    }
    let all: Vec<u64> = expected.hits.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seen, all, "bare walk through {name}");
}

async fn answer(
    store: &dyn LogStore,
    request: &SearchRequest,
    name: &str,
) -> watchfire_log_store::search::SearchResponse {
    store.search(request.clone()).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn check_single_records(store: &dyn LogStore, naive: &Naive) {
    for (seq, record) in naive.records() {
        let hit = store.get(seq).await.expect("an answer").unwrap_or_else(|| panic!("no record {seq}"));
        assert_eq!((hit.seq, &hit.record), (seq, record));
        let hit = store.get_by_id(record.id.clone()).await.expect("an answer");
        let hit = hit.unwrap_or_else(|| panic!("no record {}", record.id));
        assert_eq!((hit.seq, &hit.record), (seq, record));
    }
    assert_eq!(store.get(1 << 40).await, Ok(None));
    assert_eq!(store.get_by_id("no such id".to_owned()).await, Ok(None));
    // Ids are opaque: letter by letter here, unlike in the language.
    assert_eq!(store.get_by_id("R00".to_owned()).await, Ok(None));
}

async fn check_distinct(store: &dyn LogStore, naive: &Naive) {
    let hour = TimeRange {
        start: Timestamp::parse_date_time("2024-05-01T10:01:00Z").expect("a time"),
        end: Timestamp::parse_date_time("2024-05-01T10:07:02Z").expect("a time"),
    };
    for range in [TimeRange::ALL, hour] {
        for name in ["level", "service", "source", "host", "user_id", "tags.team", "status", "duration_ms", "v", "x"] {
            check_distinct_values(store, naive, name, range).await;
        }
    }
}

/// Checks the values of one field, and that the most frequent come first.
pub async fn check_distinct_values(store: &dyn LogStore, naive: &Naive, name: &str, range: TimeRange) {
    let field = Field::parse(name).expect("a field");
    let expected = naive.distinct(&field, range);
    let values = store.distinct(field.clone(), range, 10_000).await.expect("an answer");
    assert!(values.is_sorted_by_key(|value| std::cmp::Reverse(value.count)), "{name}: {values:?}");
    let few = store.distinct(field, range, 2).await.expect("an answer");
    assert_eq!(few, values[..values.len().min(2)], "{name}");
    let found: BTreeMap<String, u64> = values.into_iter().map(|value| (value.value, value.count)).collect();
    assert_eq!(found, expected, "{name}");
}

async fn check_refusals(store: &dyn LogStore) {
    let request = SearchRequest {
        order: Order::ByField { field: Field::Seq, descending: true },
        cursor: Some(Cursor {
            timestamp: Timestamp::default(),
            seq: 0,
            upper: 1,
            newest_first: true,
            search: 0,
            now: Timestamp::default(),
        }),
        ..SearchRequest::new(watchfire_log_store::query::Query::all(), TimeRange::ALL)
    };
    let refused = store.search(request).await;
    assert_eq!(refused, Err(watchfire_log_store::SearchError::CursorWithSort));
    check_foreign_cursors(store).await;
}

/// A cursor goes on in its own walk only.
async fn check_foreign_cursors(store: &dyn LogStore) {
    let query = |text: &str| parse(text, Timestamp::parse_date_time(NOW).expect("a time")).expect("a query");
    let first = SearchRequest { limit: 3, ..SearchRequest::new(query("*"), TimeRange::ALL) };
    let cursor = answer(store, &first, "first page").await.next_cursor.expect("more than three records");
    let cursor = Some(Cursor::decode(&cursor).expect("a cursor of the store"));
    let next = SearchRequest { cursor, ..first };

    let other_order = SearchRequest { order: Order::OldestFirst, ..next.clone() };
    let other_query = SearchRequest { query: query("error"), ..next.clone() };
    let other_level =
        SearchRequest { query: next.query.clone().with_list(&Field::Level, "error").expect("a level"), ..next.clone() };
    let range = TimeRange { start: Timestamp::from_millis(1), ..TimeRange::ALL };
    let other_range = SearchRequest { range, ..next.clone() };
    let other_time = SearchRequest { query: query("timestamp:>30d"), ..next.clone() };
    for foreign in [other_order, other_query, other_level, other_range, other_time] {
        let refused = store.search(foreign.clone()).await;
        assert_eq!(refused, Err(watchfire_log_store::SearchError::CursorMismatch), "{foreign:?}");
    }
    assert_eq!(answer(store, &next, "the walk itself").await.hits.len(), 3);
}

/// A walk sees each record once, while `append` brings new ones between its pages: newer, older and in the middle.
///
/// The store holds [`records`] at first. `append` makes records visible before it returns; numbers go on from there.
pub async fn run_growing<A>(store: &dyn LogStore, mut append: A)
where
    A: AsyncFnMut(u64, &[LogRecord]),
{
    let mut naive = naive();
    let mut next = naive.records().count() as u64;
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let query = watchfire_log_store::query::Query::all();
        let mut request = SearchRequest { limit: 7, order, ..SearchRequest::new(query, TimeRange::ALL) };
        let before = naive.clone();
        let expected: Vec<u64> = before.search(&request).hits.iter().map(|(seq, _)| *seq).collect();
        let mut seen = Vec::new();
        loop {
            let response = store.search(request.clone()).await.expect("an answer");
            assert_eq!(response.total, expected.len() as u64, "the total of a walk stays");
            seen.extend(response.hits.iter().map(|hit| hit.seq));
            let Some(cursor) = response.next_cursor else { break };
            request.cursor = Some(Cursor::decode(&cursor).expect("a cursor of the store"));
            let mut fresh = records();
            for (number, record) in fresh.iter_mut().enumerate() {
                record.id = format!("n{}", next + number as u64);
                record.timestamp = record.timestamp.plus_millis(if number % 2 == 0 { 3_600_000 } else { 0 });
            }
            append(next, &fresh).await;
            for record in &fresh {
                naive.push(next, record);
                next += 1;
            }
        }
        assert_eq!(seen, expected, "each record of the first page's moment, once");
        let all = store.search(SearchRequest { limit: 0, cursor: None, ..request }).await.expect("an answer");
        assert_eq!(all.total, next, "what came meanwhile is found by the next search");
    }
}
