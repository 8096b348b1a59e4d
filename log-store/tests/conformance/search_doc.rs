//! Runs every example of `docs/search.md`.

use watchfire_log_store::query::{matches, parse};
use watchfire_model::{RecordView, Timestamp};

const DOCUMENT: &str = include_str!("../../../docs/search.md");

/// Rows of the tables whose header begins with `first` and has `second` next, as their cells.
fn rows(first: &str, second: &str) -> Vec<Vec<String>> {
    let header = format!("| {first} | {second} ");
    let mut rows = Vec::new();
    let mut inside = false;
    for line in DOCUMENT.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if line.starts_with(&header) {
            inside = true;
        } else if inside && !line.starts_with("|---") {
            let cells = line.trim_matches('|').split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    assert!(!rows.is_empty(), "no table `{header}` in docs/search.md");
    rows
}

/// The query in a cell, between backticks.
fn query(row: &[String]) -> &str {
    let cell = row[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
    cell.unwrap_or_else(|| panic!("the first cell of {row:?} is a query in backticks"))
}

fn now() -> Timestamp {
    Timestamp::parse_date_time("2024-05-01T12:05:00Z").expect("a time")
}

#[test]
fn examples_are_queries() {
    for row in rows("Query", "Finds").iter().chain(&rows("Write", "For")) {
        let text = query(row);
        let parsed = parse(text, now()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parse(&parsed.to_string(), now()), Ok(parsed), "{text}");
    }
}

#[test]
fn the_example_record_matches_as_told() {
    let json = DOCUMENT.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("a record");
    let (seq, record) = crate::json::record(&serde_json::from_str(json).expect("JSON"));
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let view = RecordView::parse(&bytes).expect("just written");
    for row in rows("Query", "Matches") {
        let text = query(&row);
        let parsed = parse(text, now()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let expected = match row[1].as_str() {
            "yes" => true,
            "no" => false,
            other => panic!("{text}: `{other}` is neither yes nor no"),
        };
        assert_eq!(matches(&parsed, &view, seq), expected, "{text}");
    }
}

#[test]
fn mistakes_are_told_as_shown() {
    for row in rows("Query", "Column") {
        let text = query(&row);
        let error = parse(text, now()).expect_err(text);
        assert_eq!((error.column.to_string(), &error.message), (row[1].clone(), &row[2]), "{text}");
    }
}
