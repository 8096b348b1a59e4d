//! Lines in, records and metrics out: every `golden/*.log` against its `.golden`; `UPDATE_GOLDEN=1` rewrites the latter.
//!
//! The part of a file's name before the first dot is the format to parse as, or `auto`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use watchfire_engine::{Increment, SourcePosition};
use watchfire_ingest::draft::Draft;
use watchfire_ingest::extract::{Extractor, RuleConfig, RuleKind};
use watchfire_ingest::formats::{CustomParser, Parsers};
use watchfire_ingest::id::IdMaker;
use watchfire_ingest::json_text::write_record;
use watchfire_ingest::normalise::{Context, Normaliser};
use watchfire_log_store::document::{Document, Names};
use watchfire_model::{RecordView, Timestamp};

/// 2024-03-01T12:00:00Z
const NOW: Timestamp = Timestamp::from_millis(1_709_294_400_000);

fn parsers() -> Parsers {
    let shop = CustomParser::new(
        "shop",
        r"^(?P<timestamp>\S+) \[(?P<level>\w+)\] order=(?P<order>\d+) total=(?P<amount>[\d.]+) (?P<text>.*)$",
        &[("message".into(), "text".into()), ("fields.level".into(), "order".into())],
    );
    Parsers::new(vec![shop.expect("the pattern compiles")])
}

/// What becomes of each line of a file.
fn parse_lines(name: &str, text: &str) -> String {
    let parsers = parsers();
    let forced = match name.split('.').next() {
        Some("auto") | None => None,
        Some(format) => Some(parsers.find(format).expect("the file is named after a format")),
    };
    let mut out = String::new();
    let mut records: Vec<Vec<u8>> = Vec::new();
    for line in text.lines() {
        let mut draft = Draft::default();
        writeln!(out, "> {line}").expect("strings take all");
        let format = match forced {
            None => parsers.parse_auto(line, NOW, &mut draft),
            Some(format) => {
                if let Err(error) = parsers.parse_as(format, line, NOW, &mut draft) {
                    writeln!(out, "error: {error}").expect("strings take all");
                    continue;
                }
                format
            }
        };
        let context = Context {
            message: Some(line),
            received_bytes: line.len() as u32,
            request_key: Some([7; 16]),
            ..Context::at(NOW)
        };
        let mut normaliser = Normaliser::default();
        let ids = &IdMaker::default();
        normaliser.decide(&draft, line, &context, ids).expect("with a fallback message nothing is refused");
        let mut bytes = Vec::new();
        normaliser.write(&draft, line, &context, &mut bytes);
        let mut record = RecordView::parse(&bytes).expect("just written").to_record();
        record.id.clear();
        let mut json = String::new();
        write_record(Document { record: &record, seq: None, names: Names::Canonical }, &mut json);
        let json =
            json.replacen("{\"id\":\"\",", "{", 1).replacen(",\"accepted_at\":\"2024-03-01T12:00:00.000Z\"", "", 1);
        writeln!(out, "{}: {json}", parsers.name(format)).expect("strings take all");
        records.push(bytes);
    }
    out.push_str("= metrics\n");
    out.push_str(&metrics(&records));
    out
}

/// What is counted of the records: `series late? = count`, and the observations.
fn metrics(records: &[Vec<u8>]) -> String {
    let rule = |metric: &str, kind, matching: &str, labels: &[(&str, &str)], value: Option<&str>| RuleConfig {
        metric: metric.to_owned(),
        kind,
        matching: matching.to_owned(),
        labels: labels.iter().map(|(name, field)| ((*name).to_owned(), (*field).to_owned())).collect(),
        value: value.map(str::to_owned),
        max_series: 1000,
    };
    let rules = [
        rule(
            "requests_total",
            RuleKind::Counter,
            "method:*",
            &[("method", "method"), ("status", "fields.status")],
            None,
        ),
        rule("order_amount", RuleKind::Distribution, "amount:>0", &[], Some("fields.amount")),
    ];
    let mut extractor = Extractor::new(&rules, 600_000, NOW).expect("the rules are sound");
    let end = records.len() as u64;
    let source = SourcePosition { queue: "q".into(), epoch: 1, partition: 0, first_offset: 0, next_offset: end };
    let (derived, report) = extractor.extract(source, records.iter().map(Vec::as_slice));
    assert_eq!(report.damaged, 0);
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for Increment { labels, count, late, .. } in &derived.increments {
        *counts.entry(format!("{labels}{}", if *late { " late" } else { "" })).or_default() += count;
    }
    let mut lines: Vec<String> = counts.into_iter().map(|(series, count)| format!("{series} = {count}\n")).collect();
    lines.extend(derived.observations.iter().map(|seen| format!("{} saw {}\n", seen.labels, seen.value)));
    lines.concat()
}

#[test]
fn lines_become_the_records_of_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let mut wrong = Vec::new();
    for path in names {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in ASCII");
        let found = parse_lines(name, &std::fs::read_to_string(&path).expect("readable"));
        let golden = path.with_extension("golden");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).expect("writable");
            continue;
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        for (at, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            if found != expected {
                wrong.push(format!(
                    "{name}, line {} of the golden file:\n  found    {found}\n  expected {expected}",
                    at + 1
                ));
            }
        }
        if found.lines().count() != expected.lines().count() {
            wrong.push(format!("{name}: {} lines found, {} expected", found.lines().count(), expected.lines().count()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
