//! The store that every other is held against: a list of records, and the row matcher.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_log_store::query::{Field, Number, Query, Relation, matches, scalar_text};
use watchfire_log_store::search::{Bucket, SearchResponse};
use watchfire_log_store::{Order, SearchRequest, TimeRange};
use watchfire_model::record::ValueRef;
use watchfire_model::{LogRecord, RecordView};

/// All records, in the order of `seq`.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    seq: u64,
    bytes: Vec<u8>,
    record: LogRecord,
}

/// What a search must find, on all pages.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// `seq` and record of each hit, in order.
    pub hits: Vec<(u64, &'a LogRecord)>,
    /// By level number.
    pub levels: [u64; 8],
}

impl Naive {
    /// Takes a record. Its numbers must ascend.
    pub fn push(&mut self, seq: u64, record: &LogRecord) {
        let bytes = encoded(record);
        // What is read back counts: deep values are cut when they are written.
        let record = RecordView::parse(&bytes).expect("just written").to_record();
        self.rows.push(Row { seq, bytes, record });
    }

    /// Every record with its number.
    pub fn records(&self) -> impl Iterator<Item = (u64, &LogRecord)> {
        self.rows.iter().map(|row| (row.seq, &row.record))
    }

    /// The values of a field in a range and how often each is there: those of lists one by one, null not at all.
    pub fn distinct(&self, field: &Field, range: TimeRange) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            let view = RecordView::parse(&row.bytes).expect("just written");
            if range.contains(view.timestamp()) {
                texts(field, &view).into_iter().for_each(|text| *counts.entry(text).or_default() += 1);
            }
        }
        counts
    }

    /// Records that match, each with its number.
    pub fn matching(&self, query: &Query, range: TimeRange) -> impl Iterator<Item = (u64, RecordView<'_>)> {
        let views = self.rows.iter().map(|row| (row.seq, RecordView::parse(&row.bytes).expect("just written")));
        views.filter(move |(seq, view)| range.contains(view.timestamp()) && matches(query, view, *seq))
    }

    /// What a request must find, its page and cursor left aside.
    pub fn search(&self, request: &SearchRequest) -> Expected<'_> {
        let mut found: Vec<(&Row, RecordView<'_>)> = self
            .rows
            .iter()
            .map(|row| (row, RecordView::parse(&row.bytes).expect("just written")))
            .filter(|(row, view)| request.range.contains(view.timestamp()) && matches(&request.query, view, row.seq))
            .collect();
        found.sort_by_key(|(row, view)| std::cmp::Reverse((view.timestamp(), row.seq)));
        match &request.order {
            Order::NewestFirst => {}
            Order::OldestFirst => found.reverse(),
            Order::ByField { field, descending } => {
                // Stable: equal ones stay newest first.
                found.sort_by(|(a, view_a), (b, view_b)| {
                    match (number(field, view_a, a.seq), number(field, view_b, b.seq)) {
                        (Some(a), Some(b)) => {
                            let order = a.compare(b).expect("NaN is no number here");
                            if *descending { order.reverse() } else { order }
                        }
                        (a, b) => a.is_none().cmp(&b.is_none()),
                    }
                });
            }
        }
        let mut levels = [0; 8];
        for (_, view) in &found {
            levels[view.level() as usize] += 1;
        }
        Expected { hits: found.into_iter().map(|(row, _)| (row.seq, &row.record)).collect(), levels }
    }
}

fn add_texts(value: ValueRef<'_>, texts: &mut BTreeSet<String>) {
    match value {
        ValueRef::Array(values) => values.values().for_each(|value| add_texts(value, texts)),
        ValueRef::Text(text) => _ = texts.insert(text.to_owned()),
        value => texts.extend(scalar_text(value)),
    }
}

/// The different texts of a field in a record.
pub fn texts(field: &Field, view: &RecordView<'_>) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    if *field == Field::Level {
        texts.insert(view.level().as_str().to_owned());
    }
    for (column, value) in view.entries() {
        match field.relation(column) {
            Relation::Same => add_texts(value, &mut texts),
            Relation::Above(rest) => add_texts_inside(value, rest, &mut texts),
            Relation::Below | Relation::Apart => {}
        }
    }
    texts
}

/// The texts at the rest of a path in the objects of lists; names may have dots themselves.
fn add_texts_inside(value: ValueRef<'_>, rest: &str, texts: &mut BTreeSet<String>) {
    match value {
        ValueRef::Array(values) => values.values().for_each(|value| add_texts_inside(value, rest, texts)),
        ValueRef::Object(members) => {
            for (name, value) in members.members() {
                if name == rest {
                    add_texts(value, texts);
                } else if let Some(rest) = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) {
                    add_texts_inside(value, rest, texts);
                }
            }
        }
        _ => {}
    }
}

/// The byte form of a record.
pub fn encoded(record: &LogRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

/// The number by which a record is sorted, and which figures are made from: that of the field's first column that is one.
pub fn number(field: &Field, view: &RecordView<'_>, seq: u64) -> Option<Number> {
    match field {
        Field::Level => None,
        Field::Timestamp => Some(Number::Int(view.timestamp().millis())),
        Field::AcceptedAt => Some(Number::Int(view.accepted_at().millis())),
        Field::Seq => Some(Number::Int(seq as i64)),
        Field::Core(_) | Field::Leaf(..) => view.entries().find_map(|(column, value)| {
            let same = field.relation(column) == Relation::Same && !matches!(value, ValueRef::Array(_));
            Number::of_value(value).filter(|number| same && !number.as_f64().is_nan())
        }),
    }
}

impl Expected<'_> {
    /// Checks one page of an answer: `already` hits came on pages before.
    pub fn check(&self, request: &SearchRequest, response: &SearchResponse, already: usize, what: &str) {
        let total = self.hits.len();
        assert_eq!(response.total, total as u64, "total of {what}");
        assert!(response.total_exact, "{what}");
        assert_eq!(response.levels, self.levels, "levels of {what}");
        let from = (already + request.offset).min(total);
        let to = from.saturating_add(request.limit).min(total);
        let page = &self.hits[from..to];
        let found: Vec<u64> = response.hits.iter().map(|hit| hit.seq).collect();
        let expected: Vec<u64> = page.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(found, expected, "records of {what}");
        for (hit, (_, record)) in response.hits.iter().zip(page) {
            // By bytes: NaN is not equal to itself, and -0 is to 0.
            if encoded(&hit.record) != encoded(record) {
                assert_eq!(&&hit.record, record, "record {} of {what}", hit.seq);
                panic!("record {} of {what} differs in the bits of a number", hit.seq);
            }
        }
        let by_time = !matches!(request.order, Order::ByField { .. });
        let is_more = by_time && to < total && to > from;
        assert_eq!(response.next_cursor.is_some(), is_more, "next_cursor of {what}");
        self.check_histogram(request, response, what);
    }

    fn check_histogram(&self, request: &SearchRequest, response: &SearchResponse, what: &str) {
        let Some(histogram) = &response.histogram else {
            assert_eq!(request.buckets, 0, "a histogram is missing: {what}");
            return;
        };
        assert!(request.buckets > 0, "nobody asked for a histogram: {what}");
        // Two bars are the least over a range that crosses a multiple of every width.
        assert!(histogram.buckets.len() <= request.buckets.max(2), "{} bars: {what}", histogram.buckets.len());
        assert!(histogram.step_ms > 0 && histogram.start_ms % histogram.step_ms == 0, "{what}");
        let mut expected = vec![Bucket::default(); histogram.buckets.len()];
        for (_, record) in &self.hits {
            let at = record.timestamp.millis();
            let bar = (at - histogram.start_ms).div_euclid(histogram.step_ms);
            let bucket = usize::try_from(bar).ok().and_then(|bar| expected.get_mut(bar));
            let bucket = bucket.unwrap_or_else(|| panic!("{at} lies in no bar: {what}"));
            bucket.total += 1;
            bucket.levels[record.level as usize] += 1;
        }
        assert_eq!(histogram.buckets, expected, "histogram of {what}");
    }
}
