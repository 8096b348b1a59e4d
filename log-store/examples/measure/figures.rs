//! Facets and figures.

use watchfire_log_store::facets::FacetsRequest;
use watchfire_log_store::query::{Field, parse};
use watchfire_log_store::stats::{Measure, StatsRequest};
use watchfire_log_store::{EmbeddedStore, TimeRange};
use watchfire_model::Timestamp;

use crate::queries::measure;

/// Measures facets and figures.
pub fn run(store: &EmbeddedStore, now: Timestamp, range: TimeRange) {
    let fields = |names: &str| -> Vec<Field> { names.split(' ').filter_map(Field::parse).collect() };
    let all = parse("", now).expect("all");
    let facets: [(&str, &str, Option<Vec<Field>>); 4] = [
        ("facets, four fields", "", Some(fields("level service host status"))),
        ("facets of errors, four", "level:error", Some(fields("level service host status"))),
        ("facets, all fields", "", None),
        ("facets of a unique field", "", Some(fields("trace_id"))),
    ];
    for (name, text, fields) in facets {
        let request = FacetsRequest { fields, ..FacetsRequest::new(parse(text, now).expect("a query"), range) };
        measure(name, || store.facets_blocking(&request).expect("answers").total);
    }
    let questions: [(&str, &str, &str, &str, Option<i64>); 8] = [
        ("count by service, 30 s", "", "service", "count", Some(30_000)),
        ("count by service, level", "", "service level", "count", None),
        ("count by user (10,000)", "", "user_id", "count", None),
        ("errors by host, 1 min", "level:error", "host", "count", Some(60_000)),
        ("distinct users", "", "", "distinct(user_id)", None),
        ("distinct trace ids", "", "", "distinct(fields.trace_id)", None),
        ("p95 of duration by service", "", "service", "p95(duration_ms)", None),
        ("avg, max by service, 1 min", "", "service", "avg(duration_ms) max(duration_ms)", Some(60_000)),
    ];
    for (name, text, by, measures, step_ms) in questions {
        let measures = measures.split(' ').map(|measure| Measure::parse(measure).expect("a measure")).collect();
        let query = if text.is_empty() { all.clone() } else { parse(text, now).expect("a query") };
        let request =
            StatsRequest { by: fields(by), measures, step_ms, limit: 10_000, ..StatsRequest::new(query, range) };
        measure(name, || store.stats_blocking(&request).expect("answers").rows.len() as u64);
    }
}
