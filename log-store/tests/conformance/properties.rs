//! The embedded store answers as the naive one, whatever its records and whatever became of them.

use proptest::prelude::*;
use proptest::sample::select;
use watchfire_log_store::query::{Field, Query, parse};
use watchfire_log_store::{Cursor, EmbeddedStore, Order, SearchRequest, StoreConfig, TimeRange};
use watchfire_model::LogRecord;

use crate::embedded::append;
use crate::generate::{NOW, Step, query, records, steps};
use crate::naive::Naive;

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
    }
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_agrees_with_the_naive_one(
        records in records(90),
        questions in prop::collection::vec(asked(), 24),
        steps in steps(),
        block_rows in select(vec![1usize, 3, 16, 64, 65_536]),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let config = StoreConfig {
            block_rows,
            retention_days: 36_500,
            search_threads: 2,
            pending_blocks_max: 1_000,
            ..StoreConfig::new(dir.path())
        };
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
        }
        life.store.close();
    }
}
