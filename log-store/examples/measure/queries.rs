//! Queries, each the best of three, in CPU time of the whole process.

use std::time::{Duration, Instant};

use watchfire_log_store::query::{Field, Path, parse};
use watchfire_log_store::{EmbeddedStore, LogStore, Order, SearchRequest, TimeRange};
use watchfire_model::record::{Core, Root};
use watchfire_model::{Timestamp, Value};

use crate::figures;
use crate::kinds::Kind;
use crate::{START_MS, cpu};

fn range() -> TimeRange {
    TimeRange { start: Timestamp::from_millis(START_MS - 1000), end: Timestamp::from_millis(START_MS + 3_600_000) }
}

/// All records.
pub fn count(store: &EmbeddedStore, now: Timestamp) -> u64 {
    let request = SearchRequest { limit: 0, ..SearchRequest::new(parse("", now).expect("all"), range()) };
    store.search_blocking(&request).expect("answers").total
}

/// A query: its name, its text, hits wanted, bars, order.
type Asked = (&'static str, String, usize, usize, Order);

fn of_prototype(store: &EmbeddedStore, templates: &[Vec<&str>], now: Timestamp) -> Vec<Asked> {
    let newest = Order::NewestFirst;
    let phrase = templates[5].iter().filter(|word| **word != "{}").take(2).copied().collect::<Vec<_>>().join(" ");
    let request = SearchRequest { limit: 1, ..SearchRequest::new(parse("", now).expect("all"), range()) };
    let hit = store.search_blocking(&request).expect("answers").hits.remove(0);
    let needle = match hit.record.fields.iter().find(|(name, _)| name == "trace_id") {
        Some((_, Value::Text(text))) => text.clone(),
        _ => String::new(),
    };
    let by_duration = Order::ByField { field: Field::Leaf(Root::Fields, Path::new("duration_ms")), descending: true };
    vec![
        ("count all", String::new(), 0, 0, newest.clone()),
        ("service + level", "service:service-3 level:error".into(), 0, 0, newest.clone()),
        ("needle (trace id)", format!("trace_id:{needle}"), 10, 0, newest.clone()),
        ("rare word", "xylophone".into(), 10, 0, newest.clone()),
        ("newest 100 of a service", "service:service-3".into(), 100, 0, newest.clone()),
        ("numeric range", "duration_ms:>9000".into(), 10, 0, newest.clone()),
        ("newest 100 errors", "level:error".into(), 100, 0, newest.clone()),
        ("error histogram", "level:error".into(), 0, 60, newest.clone()),
        ("negation", "-payment".into(), 10, 0, newest.clone()),
        ("substring", "message:/aymen/".into(), 10, 0, newest.clone()),
        ("prefix", "payme*".into(), 10, 0, newest.clone()),
        ("regex", "message:/payment [0-9]+/".into(), 10, 0, newest.clone()),
        ("phrase", format!("\"{phrase}\""), 10, 0, newest.clone()),
        ("slowest 10", String::new(), 10, 0, by_duration),
        ("newest 100", String::new(), 100, 0, newest.clone()),
        ("histogram of all", String::new(), 0, 60, newest.clone()),
        ("needle (any field)", needle.clone(), 10, 0, newest.clone()),
        ("number in a message", "\"payment 123456\"".into(), 10, 0, newest.clone()),
        ("regex of digits", "message:/ [0-9]{2}7[0-9]{3} /".into(), 10, 0, newest),
    ]
}

fn of_others(kind: &Kind) -> Vec<Asked> {
    let words: &[&str] = match kind {
        Kind::Nginx => {
            &["\"api v1 orders\"", "orde*", "message:/orders\\/[0-9]+ HTTP/", "-googlebot", "500", "\"users 4711\""]
        }
        Kind::Words(words) => return of_words(words),
        Kind::Wide => &["key1:>500", "key3:fault", "v4711"],
        _ => &["error", "\"not found\"", "chec*", "/[a-z]+ing/", "-status", "\"status installed\""],
    };
    words.iter().map(|text| ("", (*text).to_owned(), 10, 0, Order::NewestFirst)).collect()
}

fn of_words(words: &[String]) -> Vec<Asked> {
    let (a, b, rare) = (&words[3], &words[40], &words[words.len() - 2]);
    let texts = [
        a.clone(),
        rare.clone(),
        format!("\"{a} {b}\""),
        format!("{}*", &b[..3]),
        format!("/{a} [a-m]+ /"),
        format!("-{a}"),
    ];
    texts.into_iter().map(|text| ("", text, 10, 0, Order::NewestFirst)).collect()
}

/// Asks everything that suits the records.
pub fn run(store: &EmbeddedStore, kind: &Kind, now: Timestamp) {
    let asked = match kind {
        Kind::Prototype(templates) => of_prototype(store, templates, now),
        other => of_others(other),
    };
    for (name, text, limit, buckets, order) in asked {
        let query = parse(&text, now).expect("a query");
        let request = SearchRequest { limit, buckets, order, ..SearchRequest::new(query, range()) };
        let name = if name.is_empty() { &text } else { name };
        measure(name, || store.search_blocking(&request).expect("answers").total);
    }
    if let Kind::Prototype(_) = kind {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        measure("values of users", || {
            let users = runtime.block_on(store.distinct(Field::Core(Core::UserId), range(), 20_000));
            users.expect("answers").len() as u64
        });
        measure("templates", || {
            runtime.block_on(store.templates(range(), 1000)).expect("answers").templates.len() as u64
        });
        figures::run(store, now, range());
    }
}

/// The best of three runs.
pub fn measure(name: &str, work: impl Fn() -> u64) {
    let mut best = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..3 {
        let (before, started) = (cpu().1, Instant::now());
        let total = work();
        best = best.min((cpu().1.saturating_sub(before), started.elapsed(), total));
    }
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{name:28} {:8.2} ms CPU {:8.2} ms wall  {:9} found", millis(best.0), millis(best.1), best.2);
}
