//! What the tests of the store share.

use proptest::prelude::*;
use watchfire_log_store::query::Query;
use watchfire_log_store::{EmbeddedStore, Hit, Order, SearchRequest, SearchResponse, StoreConfig, TimeRange};
use watchfire_model::record::{Fields, Value};
use watchfire_model::{Level, LogRecord, Timestamp};

/// 2024-01-01T12:00:00Z.
pub const NOON_MS: i64 = 1_704_110_400_000;
pub const DAY_MS: i64 = 86_400_000;
pub const NOON: Timestamp = Timestamp::from_millis(NOON_MS);

pub fn config(dir: &std::path::Path) -> StoreConfig {
    StoreConfig { search_threads: 2, retention_days: 36_500, ..StoreConfig::new(dir) }
}

pub fn open(config: &StoreConfig) -> EmbeddedStore {
    EmbeddedStore::open(config.clone(), NOON).expect("opens")
}

pub fn encode(record: &LogRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

pub fn append(store: &EmbeddedStore, first_offset: u64, records: &[LogRecord]) {
    let bytes: Vec<Vec<u8>> = records.iter().map(encode).collect();
    let report = store.append(first_offset, bytes.iter().map(Vec::as_slice)).expect("takes");
    assert_eq!(report.appended + report.skipped, records.len() as u64);
}

pub fn query(text: &str) -> Query {
    watchfire_log_store::query::parse(text, NOON).expect("a query")
}

pub fn search(store: &EmbeddedStore, text: &str) -> SearchResponse {
    let request =
        SearchRequest { limit: 10_000, order: Order::OldestFirst, ..SearchRequest::new(query(text), TimeRange::ALL) };
    store.search_blocking(&request).expect("answers")
}

/// Everything in the store, by sequence number.
pub fn all(store: &EmbeddedStore) -> Vec<Hit> {
    let mut hits = search(store, "").hits;
    hits.sort_by_key(|hit| hit.seq);
    hits
}

pub fn simple(number: u64) -> LogRecord {
    LogRecord {
        timestamp: Timestamp::from_millis(NOON_MS + number as i64 * 10),
        accepted_at: Timestamp::from_millis(NOON_MS + number as i64 * 10 + 3),
        level: Level::ALL[number as usize % 8],
        message: format!("request {number} took {} ms", number * 7 % 1000),
        service: ["api", "web", "db"][number as usize % 3].to_owned(),
        id: format!("{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)),
        fields: vec![
            ("status".to_owned(), Value::Int([200, 404, 500][number as usize % 3])),
            ("duration_ms".to_owned(), Value::Float((number * 37 % 10_000) as f64 / 10.0)),
        ],
        received_bytes: 120,
        ..LogRecord::default()
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-20i64..20).prop_map(Value::Int),
        any::<f64>().prop_filter("equal to itself", |float| !float.is_nan()).prop_map(Value::Float),
        (-5000i64..5000).prop_map(|tenths| Value::Float(tenths as f64 / 10.0)),
        "[a-c]{0,3}".prop_map(Value::Text),
        "[0-9a-f]{16}".prop_map(Value::Text),
        ".{0,24}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-d.]{1,3}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn fields(names: &'static str) -> impl Strategy<Value = Fields> {
    prop::collection::btree_map(names, value(), 0..5).prop_map(|members| members.into_iter().collect())
}

/// Records of every shape.
pub fn record() -> impl Strategy<Value = LogRecord> {
    let header = (
        prop_oneof![0i64..5000, -2 * DAY_MS..2 * DAY_MS, Just(-NOON_MS), Just(NOON_MS * 1000)],
        any::<i32>(),
        0u8..8,
        prop_oneof!["request [a-d]{1,2} failed", ".{0,40}", "x{300}"],
        prop::sample::select(vec!["api", "web", "", "Ünï"]),
        any::<(u32, bool)>(),
    );
    let texts = (prop::option::of("[ab]{0,2}"), prop::option::of("h[0-9]"), prop::option::of("[0-9a-f]{32}"));
    (header, texts, "[0-9a-f]{8}-[0-9a-f]{4}", fields("[a-e]{1,2}"), fields("e[a-d]"), fields("k[0-9]{1,4}")).prop_map(
        |(
            (time, accepted, level, message, service, (received, imported)),
            (source, host, correlation),
            id,
            plain,
            errors,
            wide,
        )| {
            LogRecord {
                timestamp: Timestamp::from_millis(NOON_MS + time),
                accepted_at: Timestamp::from_millis(NOON_MS + i64::from(accepted)),
                level: Level::from_u8(level).expect("in range"),
                message,
                service: service.to_owned(),
                source,
                host,
                id,
                correlation_id: correlation,
                tags: vec![("team".to_owned(), "blue".to_owned())],
                fields: plain,
                error_details: errors,
                performance_metrics: wide,
                received_bytes: received,
                imported,
                ..LogRecord::default()
            }
        },
    )
}

/// Copies a folder.
pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// What a record is after its bytes were read again: empty objects and the like are brought into one form.
pub fn as_read(record: &LogRecord) -> LogRecord {
    let bytes = encode(record);
    watchfire_model::RecordView::parse(&bytes).expect("just written").to_record()
}
