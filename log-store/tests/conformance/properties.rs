//! The embedded store answers as the naive one, whatever its records and whatever became of them.

use proptest::prelude::*;
use proptest::sample::select;
use watchfire_log_store::facets::FacetsRequest;
use watchfire_log_store::query::{Field, Query, parse};
use watchfire_log_store::stats::{Measure, StatsRequest};
use watchfire_log_store::{Cursor, EmbeddedStore, LogStore, Order, SearchError, SearchRequest, StoreConfig, TimeRange};
use watchfire_model::{LogRecord, Value};

use crate::embedded::append;
use crate::generate::{NOW, Step, query, records, steps};
use crate::naive::{Naive, encoded};
use crate::templated::{message, stretch, templates};
use crate::{figures, suite};

/// What is asked beside the query.
#[derive(Clone, Debug)]
struct Asked {
    query: String,
    range: TimeRange,
    order: Order,
    limit: usize,
    offset: usize,
    buckets: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    let range = prop_oneof![
        3 => Just(TimeRange::ALL),
        2 => (-4_000i64..4_000, 1i64..8_000)
            .prop_map(|(from, length)| TimeRange { start: NOW.plus_millis(from), end: NOW.plus_millis(from + length) }),
        1 => (1i64..4_000_000, 0i64..4_000_000)
            .prop_map(|(from, length)| TimeRange { start: NOW.plus_millis(-from), end: NOW.plus_millis(length - from) }),
    ];
    let sorts =
        ["duration_ms", "n", "mixed", "mode", "timestamp", "accepted_at", "seq", "user_id", "tags.env", "wide7"];
    let order = prop_oneof![
        3 => Just(Order::NewestFirst),
        2 => Just(Order::OldestFirst),
        1 => (select(sorts.to_vec()), any::<bool>()).prop_map(|(name, descending)| Order::ByField {
            field: Field::parse(name).expect("a field"),
            descending,
        }),
    ];
    let page = (prop_oneof![Just(1000usize), 0usize..9], prop_oneof![Just(0usize), 0usize..9]);
    (query(), range, order, page, prop_oneof![Just(0usize), 1usize..70]).prop_map(
        |(query, range, order, (limit, offset), buckets)| Asked { query, range, order, limit, offset, buckets },
    )
}

fn request(asked: &Asked, query: Query) -> SearchRequest {
    SearchRequest {
        limit: asked.limit,
        offset: asked.offset,
        order: asked.order.clone(),
        buckets: asked.buckets,
        ..SearchRequest::new(query, asked.range)
    }
}

/// A question for figures, and for facets of the same records.
#[derive(Clone, Debug)]
struct Figures {
    query: String,
    range: TimeRange,
    by: Vec<&'static str>,
    measures: Vec<&'static str>,
    step_ms: Option<i64>,
    limit: usize,
}

fn figures() -> impl Strategy<Value = Figures> {
    let by = [
        "level", "service", "host", "tags.env", "mode", "n", "mixed", "list", "user_id", "wide7", "span", "s", "list.a",
    ];
    let measures = [
        "count",
        "distinct(user_id)",
        "distinct(list)",
        "distinct(list.name)",
        "distinct(level)",
        "distinct(message)",
        "sum(duration_ms)",
        "avg(n)",
        "min(mixed)",
        "max(mixed)",
        "p50(duration_ms)",
        "p95(n)",
        "p0(n)",
        "p100(tags.env)",
        "max(timestamp)",
        "sum(seq)",
        "avg(wide7)",
    ];
    let step = prop_oneof![2 => Just(None), 1 => select(vec![1_000_000i64, 86_400_000, 3_600_000]).prop_map(Some)];
    let lists =
        (prop::collection::vec(select(by.to_vec()), 0..3), prop::collection::vec(select(measures.to_vec()), 1..5));
    (query(), asked(), lists, step, prop_oneof![Just(10_000usize), 0usize..5]).prop_map(
        |(query, asked, (by, measures), step_ms, limit)| Figures {
            query,
            range: asked.range,
            by,
            measures,
            step_ms,
            limit,
        },
    )
}

/// Asks for figures and facets of the store and of the naive one; with `unasked`, also for the facets of all fields.
fn check_figures(store: &EmbeddedStore, naive: &Naive, questions: &[Figures], unasked: bool, when: &str) {
    for asked in questions {
        let Ok(query) = parse(&asked.query, NOW) else { continue };
        let what = format!("{asked:?} {when}");
        let fields = |names: &[&str]| names.iter().map(|name| Field::parse(name).expect("a field")).collect::<Vec<_>>();
        let request = StatsRequest {
            by: fields(&asked.by),
            measures: asked.measures.iter().map(|text| Measure::parse(text).expect("a measure")).collect(),
            step_ms: asked.step_ms,
            limit: asked.limit,
            ..StatsRequest::new(query.clone(), asked.range)
        };
        match store.stats_blocking(&request) {
            // Some records are days away from the others.
            Err(SearchError::Steps { .. }) if asked.step_ms.is_some_and(|step| step < 86_400_000) => {}
            response => {
                let response = response.unwrap_or_else(|error| panic!("{what}: {error}"));
                figures::check_stats(naive, &request, &response, &what);
            }
        }
        let mut names = asked.by.clone();
        names.dedup();
        for fields in [Some(fields(&names)), None].into_iter().filter(|fields| fields.is_some() || unasked) {
            let request =
                FacetsRequest { fields, limit: asked.limit, ..FacetsRequest::new(query.clone(), asked.range) };
            let response = store.facets_blocking(&request).unwrap_or_else(|error| panic!("{what}: {error}"));
            figures::check_facets(naive, &request, &response, &what);
        }
    }
}

/// Asks everything of the store and of the naive one.
fn check(store: &EmbeddedStore, naive: &Naive, questions: &[Asked], when: &str) {
    for asked in questions {
        // The generator makes some texts that are no queries.
        let Ok(query) = parse(&asked.query, NOW) else { continue };
        let what = format!("{} ({asked:?}) {when}", asked.query);
        let mut request = request(asked, query);
        let expected = naive.search(&request);
        let mut already = 0;
        loop {
            let response = store.search_blocking(&request).unwrap_or_else(|error| panic!("{what}: {error}"));
            expected.check(&request, &response, already, &what);
            already += request.offset + response.hits.len();
            let Some(next) = response.next_cursor else { break };
            request.cursor = Some(Cursor::decode(&next).expect("a cursor of the store"));
            request.offset = 0;
        }
        if !matches!(request.order, Order::ByField { .. }) && request.limit > 0 {
            let whole = SearchRequest { cursor: None, offset: 0, ..request };
            runtime().block_on(suite::check_bare_walk(store, &whole, &expected, whole.limit, &what));
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Asks for the values of fields that drift, and for single records.
fn check_values(store: &EmbeddedStore, naive: &Naive, range: TimeRange) {
    runtime().block_on(async {
        for name in [
            "level",
            "service",
            "host",
            "tags.env",
            "mode",
            "n",
            "mixed",
            "list",
            "duration_ms",
            "wide7",
            "a.b",
            "list.n",
        ] {
            suite::check_distinct_values(store, naive, name, range).await;
        }
        for (seq, record) in naive.records().step_by(7) {
            let hit = store.get(seq).await.expect("an answer").expect("it is there");
            assert_eq!((hit.seq, encoded(&hit.record)), (seq, encoded(record)));
            let hit = store.get_by_id(record.id.clone()).await.expect("an answer").expect("it is there");
            assert_eq!((hit.seq, encoded(&hit.record)), (seq, encoded(record)));
        }
    });
}

/// A store, how much of the records it was given, and its clock.
struct Life {
    config: StoreConfig,
    store: EmbeddedStore,
    records: Vec<LogRecord>,
    given: usize,
    naive: Naive,
    /// An empty folder, for a store that stands in while the other is opened again.
    spare: tempfile::TempDir,
    now: watchfire_model::Timestamp,
}

impl Life {
    fn step(&mut self, step: Step) {
        match step {
            Step::Append(count) => {
                let to = self.records.len().min(self.given + count);
                append(&self.store, self.given as u64, &self.records[self.given..to]);
                for (seq, record) in self.records.iter().enumerate().take(to).skip(self.given) {
                    self.naive.push(seq as u64, record);
                }
                self.given = to;
            }
            Step::Tick(millis) => {
                self.now = self.now.plus_millis(millis);
                self.store.tick(self.now);
            }
            Step::Flush => self.store.flush().expect("everything is sealed"),
            Step::Close | Step::Drop => {
                if matches!(step, Step::Close) {
                    self.store.close();
                }
                // The old one goes first: it holds the folder.
                self.store = EmbeddedStore::open(StoreConfig::new(self.spare.path()), self.now).expect("opens");
                self.store = EmbeddedStore::open(self.config.clone(), self.now).expect("opens again");
                let sealed = self.store.sealed_offset() as usize;
                assert!(sealed <= self.given, "sealed only what it was given");
                append(&self.store, sealed as u64, &self.records[sealed..self.given]);
            }
        }
    }
}

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(cases), max_shrink_iters: 400, ..ProptestConfig::default() }
}

fn store_config(dir: &std::path::Path, block_rows: usize) -> StoreConfig {
    StoreConfig {
        block_rows,
        retention_days: 36_500,
        search_threads: 2,
        pending_blocks_max: 1_000,
        ..StoreConfig::new(dir)
    }
}

/// Many records made of few: numbers, times, ids and some texts change from one to the next.
fn multiplied(few: &[LogRecord], count: usize) -> Vec<LogRecord> {
    let vary = |(number, record): (usize, &LogRecord)| {
        let mut record = record.clone();
        let scattered = number.wrapping_mul(7919) % 104_729;
        record.id = format!("i{number}");
        record.timestamp = record.timestamp.plus_millis(scattered as i64);
        record.accepted_at = record.accepted_at.plus_millis(number as i64);
        if number % 3 == 0 {
            record.message.push_str(&format!(" took {} ms", scattered % 60));
        }
        for (name, value) in &mut record.fields {
            match (name.as_str(), value) {
                ("duration_ms", Value::Int(int)) => *int += scattered as i64,
                ("span", Value::Text(text)) => *text = format!("{scattered:08x}{number:08x}"),
                ("n", Value::Float(float)) => *float += scattered as f64 / 8.0,
                ("s", Value::Text(text)) => text.push_str(&format!(" {scattered}")),
                _ => {}
            }
        }
        record
    };
    few.iter().cycle().take(count).enumerate().map(vary).collect()
}

proptest! {
    #![proptest_config(config(3))]

    /// Blocks of several pages.
    #[test]
    fn large_blocks_agree_with_the_naive_store(
        few in records(60).prop_filter("some", |few| !few.is_empty()),
        count in 8_000usize..18_000,
        questions in prop::collection::vec(asked(), 12),
        figures in prop::collection::vec(figures(), 4),
        block_rows in select(vec![5_000usize, 65_536]),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let config = store_config(dir.path(), block_rows);
        let records = multiplied(&few, count);
        let mut naive = Naive::default();
        for (seq, record) in records.iter().enumerate() {
            naive.push(seq as u64, record);
        }
        let store = EmbeddedStore::open(config, NOW).expect("opens");
        // A walk of small pages through so many records would take long.
        let questions: Vec<Asked> = questions.into_iter().map(|asked| Asked { limit: asked.limit.max(1000) * 20, ..asked }).collect();
        for (part, records) in records.chunks(count.div_ceil(3)).enumerate() {
            append(&store, (part * count.div_ceil(3)) as u64, records);
        }
        check(&store, &naive, &questions[..3], "while open or being sealed");
        store.flush().expect("everything is sealed");
        check(&store, &naive, &questions, "sealed");
        check_figures(&store, &naive, &figures, false, "sealed");
        store.tick(NOW.plus_millis(10 * 86_400_000));
        store.flush().expect("everything is merged");
        check(&store, &naive, &questions[..3], "merged");
        store.close();
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn the_embedded_store_agrees_with_the_naive_one(
        records in records(90),
        questions in prop::collection::vec(asked(), 24),
        figures in prop::collection::vec(figures(), 6),
        steps in steps(),
        block_rows in select(vec![1usize, 3, 16, 64, 65_536]),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let config = store_config(dir.path(), block_rows);
        let store = EmbeddedStore::open(config.clone(), NOW).expect("opens");
        let mut life = Life { config, store, records, given: 0, naive: Naive::default(), spare: tempfile::tempdir().expect("a folder"), now: NOW };
        for step in &steps {
            life.step(*step);
            check(&life.store, &life.naive, &questions[..4], &format!("after {step:?} of {steps:?}"));
        }
        // In the end all is open or sealed, sealed, merged, read back.
        for step in [Step::Append(usize::MAX / 2), Step::Flush, Step::Tick(90_000_000), Step::Close, Step::Flush] {
            life.step(step);
            check(&life.store, &life.naive, &questions, &format!("after {steps:?} and {step:?}"));
            check_values(&life.store, &life.naive, questions[0].range);
            check_figures(&life.store, &life.naive, &figures, true, &format!("after {steps:?} and {step:?}"));
        }
        life.store.close();
    }
}

proptest! {
    #![proptest_config(config(12))]

    /// Messages of few templates, and queries that begin and end anywhere in them.
    #[test]
    fn templates_agree_with_the_naive_store(
        templates in templates(),
        odd in records(20),
        stretches in prop::collection::vec(stretch(), 40),
        count in 300usize..900,
        block_rows in select(vec![250usize, 65_536]),
        newest in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut records = Vec::new();
        for number in 0..count {
            let mut record = odd.get(number % 97).filter(|_| number % 5 == 0).cloned().unwrap_or_default();
            record.id = format!("i{number}");
            record.timestamp = NOW.plus_millis(number as i64 * 5);
            record.accepted_at = record.timestamp;
            if number % 97 >= odd.len() || number % 5 != 0 {
                record.message = message(&templates, number);
            }
            if number % 2 == 0 {
                record.fields.push(("detail".to_owned(), Value::Text(message(&templates, number / 2))));
            }
            records.push(record);
        }
        let mut naive = Naive::default();
        for (seq, record) in records.iter().enumerate() {
            naive.push(seq as u64, record);
        }
        let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
        let asked = |query: String| Asked { query, range: TimeRange::ALL, order: order.clone(), limit: 1000, offset: 0, buckets: 5 };
        let mut questions: Vec<Asked> = stretches.iter().map(|stretch| asked(stretch.query(&templates, count))).collect();
        for pair in stretches.chunks(2).take(6) {
            let both: Vec<String> = pair.iter().map(|stretch| stretch.query(&templates, count)).collect();
            questions.push(asked(format!("level:info {}", both.join(" "))));
            questions.push(asked(both.join(" OR ")));
        }
        let store = EmbeddedStore::open(store_config(dir.path(), block_rows), NOW).expect("opens");
        append(&store, 0, &records);
        check(&store, &naive, &questions, "open");
        store.flush().expect("everything is sealed");
        check(&store, &naive, &questions, "sealed");
        store.tick(NOW.plus_millis(10 * 86_400_000));
        store.flush().expect("everything is merged");
        check(&store, &naive, &questions, "merged");
        store.close();
    }
}
