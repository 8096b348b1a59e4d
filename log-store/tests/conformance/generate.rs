//! Random records, queries and fates of a store, for properties.
//!
//! Values and queries draw from one small vocabulary, so that queries find something.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use watchfire_model::record::{Fields, Value};
use watchfire_model::{Level, LogRecord, Timestamp};

/// The moment around which the records happen.
pub const NOW: Timestamp = Timestamp::from_millis(1_714_557_600_000);

const WORDS: [&str; 22] = [
    "alpha", "Beta", "gamma_1", "refused", "failed", "503", "10.0.0.7", "naïve", "ÄRGER", "ärger", "日本", "x",
    "ALPHA", "to", "the", "user=42", "id:7", "(beta)", "a-b", "É", "İx", "K",
];
/// Texts of the kinds that stores pack: numbers, hex, ids, times.
const TEXTS: [&str; 28] = [
    "",
    " ",
    "0",
    "7",
    "007",
    "-0",
    "12.50",
    "12.5",
    "1e3",
    "-5",
    "9223372036854775807",
    "9223372036854775808",
    "true",
    "null",
    "+",
    "deadbeef",
    "DEADBEEF",
    "deadbeee",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "4BF92F3577B34DA6A3CE929D0E0E4736",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "0F8FAD5B-D9CB-469F-A165-70867728950E",
    "0f8fad5bd9cb469fa16570867728950e",
    "2024-05-01T10:00:00Z",
    "api",
    "Api",
    "web-1",
    "line one\nline two\ttab \"quoted\" \\ back",
];
const NAMES: [&str; 14] =
    ["n", "s", "mixed", "id", "level", "message", "a.b", "a", "http", "list", "trace", "ünï", "blank key", "sparse"];
const INNER: [&str; 5] = ["a", "b", "c.d", "name", "n"];
const SERVICES: [&str; 5] = ["api", "Api", "worker", "db-1", "käse"];
const HOSTS: [&str; 4] = ["web1", "web10", "WEB1", "h 1"];

fn words(most: usize) -> impl Strategy<Value = String> {
    vec(select(&WORDS[..]), 0..most).prop_map(|words| words.join(" "))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => words(4),
        4 => select(&TEXTS[..]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "[0-9a-f]{8}",
        1 => words(200),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-3i64..12).prop_map(Value::Int),
        2 => (0i64..6000).prop_map(Value::Int),
        1 => any::<i64>().prop_map(Value::Int),
        1 => select(vec![i64::MIN, i64::MAX, 9_007_199_254_740_992, 9_007_199_254_740_993]).prop_map(Value::Int),
        3 => (-20i32..60).prop_map(|quarters| Value::Float(f64::from(quarters) / 4.0)),
        2 => (0u32..100_000).prop_map(|thousandths| Value::Float(f64::from(thousandths) / 1000.0)),
        1 => any::<f64>().prop_map(Value::Float),
        1 => select(vec![0.0, -0.0, f64::INFINITY, f64::NAN, 9.3e18, 1e-300]).prop_map(Value::Float),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => number(),
        6 => text().prop_map(Value::Text),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let nested = scalar().prop_recursive(3, 12, 3, |inner| {
        let members = btree_map(select(&INNER[..]).prop_map(str::to_owned), inner.clone(), 0..3);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop_oneof![5 => scalar(), 2 => nested]
}

fn fields() -> impl Strategy<Value = Fields> {
    let usual = btree_map(select(&NAMES[..]).prop_map(str::to_owned), value(), 0..6);
    // The same kind of value under one name throughout, as most fields are.
    let steady = (option::of(0i64..6000), option::of("[0-9a-f]{16}"), option::of(select(&TEXTS[..])));
    let wide = prop_oneof![20 => Just(0usize), 1 => 1usize..120];
    (usual, steady, wide, any::<u16>()).prop_map(|(usual, (duration, hex, mode), wide, salt)| {
        let mut fields: Fields = usual.into_iter().collect();
        fields.extend(duration.map(|duration| ("duration_ms".to_owned(), Value::Int(duration))));
        fields.extend(hex.map(|hex| ("span".to_owned(), Value::Text(hex))));
        fields.extend(mode.map(|mode| ("mode".to_owned(), Value::Text(mode.to_owned()))));
        for number in 0..wide {
            let value = if number % 3 == 0 { Value::Int(number as i64) } else { Value::Text(format!("w{number}")) };
            fields.push((format!("wide{}", (number * 7 + usize::from(salt)) % 500), value));
        }
        fields
    })
}

fn time() -> impl Strategy<Value = i64> {
    const DAY: i64 = 86_400_000;
    let base = NOW.millis();
    prop_oneof![
        4 => (0i64..20).prop_map(move |step| base + step * 250),
        3 => (0i64..3_600_000).prop_map(move |ms| base - ms),
        1 => (-3 * DAY..DAY).prop_map(move |ms| base + ms),
        1 => (-2i64..2).prop_map(move |days| base.div_euclid(DAY) * DAY + days * DAY),
        1 => (-2i64..2).prop_map(move |days| base.div_euclid(DAY) * DAY + days * DAY - 1),
    ]
}

fn message() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0u32..50, select(&HOSTS[..])).prop_map(|(ms, host)| format!("request took {ms} ms on {host}")),
        2 => (0u32..9).prop_map(|user| format!("login of user {user} failed")),
        3 => words(9),
        1 => text(),
    ]
}

/// A record; its id is set by [`records`].
fn record() -> impl Strategy<Value = LogRecord> {
    let core = (time(), 0i64..5_000, 0u8..8, message(), select(&SERVICES[..]));
    let optional = (
        option::of(select(&["nginx", "Nginx", "syslog", ""][..])),
        option::of(select(&HOSTS[..])),
        option::of(text()),
        option::of((0u32..30).prop_map(|user| user.to_string())),
    );
    let tags =
        btree_map(select(&["env", "a.b", "team", "env2"][..]), select(&["prod", "Prod", "eu 1", "", "7"][..]), 0..3);
    let few = || prop_oneof![3 => Just(Fields::new()), 1 => fields()];
    (core, optional, tags, fields(), few(), few(), few(), 0u8..4).prop_map(
        |(
            (time, lag, level, message, service),
            (source, host, correlation, user),
            tags,
            fields,
            error,
            metrics,
            insight,
            kind,
        )| {
            LogRecord {
                timestamp: Timestamp::from_millis(time),
                accepted_at: Timestamp::from_millis(time + lag),
                level: Level::from_u8(level).unwrap_or_default(),
                message,
                service: service.to_owned(),
                source: source.map(str::to_owned),
                host: host.map(str::to_owned),
                id: ["i", "018f-", "ABC_", ""][usize::from(kind)].to_owned(),
                correlation_id: correlation,
                user_id: user,
                tags: tags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                fields,
                error_details: error,
                performance_metrics: metrics,
                insight,
                received_bytes: 100,
                imported: false,
            }
        },
    )
}

/// Up to `most` records with ids of their own.
pub fn records(most: usize) -> impl Strategy<Value = Vec<LogRecord>> {
    vec(record(), 0..most).prop_map(|mut records| {
        for (number, record) in records.iter_mut().enumerate() {
            record.id.push_str(&number.to_string());
        }
        records
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn field_name() -> impl Strategy<Value = String> {
    let own = select(vec![
        "message",
        "service",
        "source",
        "host",
        "id",
        "correlation_id",
        "user_id",
        "tags.env",
        "tags.a.b",
        "tags.team",
        "duration_ms",
        "span",
        "mode",
        "fields.level",
        "fields.message",
        "fields.id",
        "wide7",
        "wide14",
        "a.b.name",
        "http.a",
        "list.a",
        "list.n",
        "a.c.d",
        "blank\\ key",
        "error_details.n",
        "error_details.s",
        "performance_metrics.duration_ms",
        "insight.mode",
        "missing",
    ]);
    let made = (select(&NAMES[..]), option::of(select(&INNER[..])));
    prop_oneof![
        2 => own.prop_map(str::to_owned),
        2 => made.prop_map(|(name, inner)| {
            let name = name.replace(' ', "\\ ");
            inner.map_or(format!("fields.{name}"), |inner| format!("fields.{name}.{inner}"))
        }),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    select(vec![
        "/^a/",
        "/refused/",
        "/(?i)BETA/",
        "/[0-9]+\\.[0-9]/",
        "/^$/",
        "/x|y/",
        "/a.b/",
        "/^request took \\d+ ms/",
        "/user [3-5] f/",
        "/^[0-9a-f]{8}$/",
        "/ä/",
        "/(?i)Ä/",
        "/b$/",
        "/^5/",
        "/\\n/",
        "/^true$/",
        "/-/",
        "/./",
        "/web1\\b/",
        "/^i1/",
    ])
    .prop_map(str::to_owned)
}

fn bound() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-3i64..12).prop_map(|int| int.to_string()),
        2 => (0i64..6000).prop_map(|int| int.to_string()),
        2 => (-20i32..60).prop_map(|quarters| (f64::from(quarters) / 4.0).to_string()),
        1 => select(vec!["9007199254740992", "9223372036854775807", "-9223372036854775808", "1e18", "9.3e18", "0.001"]).prop_map(str::to_owned),
    ]
}

fn field_value() -> impl Strategy<Value = String> {
    let compare = (select(vec![">", ">=", "<", "<="]), bound()).prop_map(|(sign, bound)| format!("{sign}{bound}"));
    let word = prop_oneof![words(3), text()];
    let start = prop_oneof![select(&WORDS[..]), select(&TEXTS[..])];
    prop_oneof![
        5 => word.prop_map(|text| quoted(&text)),
        2 => bound(),
        2 => (start, 1usize..5).prop_map(|(text, length)| format!("{}*", quoted(&text.chars().take(length).collect::<String>()))),
        3 => compare,
        2 => (bound(), bound()).prop_map(|(a, b)| {
            let ordered = a.parse::<f64>().unwrap_or(0.0) <= b.parse::<f64>().unwrap_or(0.0);
            if ordered { format!("[{a} TO {b}]") } else { format!("[{b} TO {a}]") }
        }),
        1 => bound().prop_map(|bound| format!("[* TO {bound}]")),
        1 => Just("*".to_owned()),
        2 => pattern(),
    ]
}

fn clause() -> impl Strategy<Value = String> {
    let levels = select(vec!["error", ">=warn", "<notice", "[info TO error]", "/o/", "*", "warning", "fat*"]);
    let times = select(vec![">now", "<=now", "[1h TO now]", ">now-10m", "[now TO now+2s]", "now", "*", "<now-1d"]);
    let name = prop_oneof![
        select(&WORDS[..]).prop_map(quoted),
        words(3).prop_map(|words| quoted(&format!("x {words}"))),
        (0u32..9).prop_map(|user| format!("\"user {user}\"")),
        (0u32..50).prop_map(|ms| format!("\"took {ms} ms\"")),
    ];
    prop_oneof![
        5 => name,
        2 => (select(&WORDS[..]), 1usize..4).prop_map(|(word, length)| {
            let start: String = word.chars().filter(|c| c.is_alphanumeric()).take(length).collect();
            format!("\"{start}\"*")
        }),
        2 => pattern(),
        8 => (field_name(), field_value()).prop_map(|(name, value)| format!("{name}:{value}")),
        2 => select(&SERVICES[..]).prop_map(|service| format!("service:{service}")),
        1 => (0u32..80).prop_map(|number| format!("id:i{number}")),
        1 => (0u32..80, 0u32..30).prop_map(|(low, more)| format!("seq:[{low} TO {}]", low + more)),
        2 => levels.prop_map(|level| format!("level:{level}")),
        2 => (select(vec!["timestamp", "accepted_at"]), times).prop_map(|(name, time)| format!("{name}:{time}")),
        1 => Just("*".to_owned()),
    ]
}

/// Texts of queries. Some are none (a phrase without a word, say): the caller leaves those out.
pub fn query() -> impl Strategy<Value = String> {
    clause().prop_recursive(4, 10, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" ")),
            2 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            2 => inner.prop_map(|part| format!("-({part})")),
        ]
    })
}

/// What happens to a store between two checks.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// So many of the records are appended.
    Append(usize),
    /// So many milliseconds pass.
    Tick(i64),
    /// Everything is sealed.
    Flush,
    /// It is closed and opened again, and the queue is replayed.
    Close,
    /// It is dropped without closing and opened again, and the queue is replayed.
    Drop,
}

/// A life of a store.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0usize..40).prop_map(Step::Append),
        4 => select(vec![1i64, 1_000, 61_000, 3_600_000]).prop_map(Step::Tick),
        2 => Just(Step::Flush),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
    ];
    vec(step, 1..8)
}
