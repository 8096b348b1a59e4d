//! From the engine to a receiver: everything arrives once and in order, whatever the receiver and we do meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use watchfire_engine::{Derived, Engine, EngineConfig, Increment, MetricType, SampleBatch, SeriesKind, SourcePosition};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_remote_write::RemoteWrite;
use watchfire_remote_write::config::Destination;
use watchfire_remote_write::stats::{DestinationStats, Dropped};
use watchfire_scrape::relabel::{Action, Anchored, RelabelRule};
use watchfire_test_support::WriteReceiver;
use watchfire_test_support::write_receiver::Received;

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);
const SERIES: usize = 20;

/// An engine with what sends its samples on.
struct Node {
    engine: Arc<Engine>,
    remote_write: RemoteWrite,
    /// Time of the next samples, milliseconds.
    next_ms: i64,
    round: usize,
}

impl Node {
    fn open(dir: &Path, runtime: &Runtime, destination: &Destination) -> Node {
        Node::open_with(dir, runtime, destination, 64 << 20)
    }

    fn open_with(dir: &Path, runtime: &Runtime, destination: &Destination, segment_bytes: u64) -> Node {
        let places = dir.join("remote-write");
        let config = EngineConfig {
            segment_bytes,
            log_held_from: RemoteWrite::log_held_from(&places, std::slice::from_ref(destination)),
            ..EngineConfig::new(dir.join("engine"))
        };
        let engine = Arc::new(Engine::open(config, Timestamp::now()).expect("opens").0);
        let counted_until = Arc::new(Timestamp::now);
        let remote_write = RemoteWrite::new(engine.clone(), places, counted_until, runtime.handle().clone());
        let node = Node { engine, remote_write, next_ms: Timestamp::now().millis() - 300_000, round: 0 };
        node.apply(destination);
        node
    }

    fn apply(&self, destination: &Destination) {
        let external = LabelSet::from_pairs([("from", "test")]).expect("valid");
        self.remote_write.apply(std::slice::from_ref(destination), &external).expect("begins");
    }

    /// Takes a sample of each series, so often.
    fn take(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let mut batch = SampleBatch::new(Timestamp::now());
            for number in 0..SERIES {
                let labels = LabelSet::from_pairs([("__name__", "m".to_owned()), ("number", number.to_string())]);
                let kind = SeriesKind::Samples(MetricType::Gauge);
                let series = batch.series(kind, &labels.expect("valid"));
                batch.push(series, Timestamp::from_millis(self.next_ms), (self.round * 100 + number) as f64);
            }
            assert_eq!(self.engine.append_samples(&batch).expect("appends").accepted as usize, SERIES);
            self.next_ms += 10;
            self.round += 1;
        }
    }

    fn stats(&self) -> DestinationStats {
        self.remote_write.stats().pop().expect("a destination")
    }

    fn wait(&self, what: &str, done: impl Fn(&DestinationStats) -> bool) {
        let begun = Instant::now();
        while !done(&self.stats()) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.stats());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops as a server does, and opens again.
    fn restart(self, dir: &Path, runtime: &Runtime, destination: &Destination) -> Node {
        let (next_ms, round) = (self.next_ms, self.round);
        self.remote_write.stop();
        self.engine.checkpoint().expect("a snapshot");
        self.engine.checkpoint().expect("another one, which would delete the log");
        self.engine.close().expect("closes");
        drop(self);
        Node { next_ms, round, ..Node::open(dir, runtime, destination) }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

fn destination(receiver: &WriteReceiver) -> Destination {
    let mut destination = Destination::new(receiver.url());
    destination.name = Some("receiver".to_owned());
    destination.queue.max_samples_per_send = 50;
    destination.queue.capacity = 200;
    destination.queue.batch_send_deadline = Duration::from_millis(50);
    destination
}

/// Checks that each series has the values of these rounds, once and in order.
fn check(taken: &[Received], rounds: usize) {
    let mut by_series: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (labels, _, value) in taken {
        by_series.entry(labels).or_default().push(*value);
    }
    assert_eq!(by_series.len(), SERIES);
    for (labels, values) in by_series {
        let number: usize = labels.split("number=").nth(1).and_then(|text| text.parse().ok()).expect("a number");
        let wanted: Vec<f64> = (0..rounds).map(|round| (round * 100 + number) as f64).collect();
        assert_eq!(values, wanted, "{labels}");
    }
}

#[test]
fn what_fails_is_sent_again_once_and_in_order() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let mut node = Node::open(dir.path(), &runtime, &destination(&receiver));
    receiver.refuse(&[
        "503 Service Unavailable",
        "",
        "429 Too Many Requests\r\nRetry-After: 0",
        "500 Internal Server Error",
    ]);
    node.take(40);
    check(&receiver.wait_for(40 * SERIES), 40);
    node.wait("all is settled", |stats| stats.sent_total as usize == 40 * SERIES && stats.pending == 0);
    let stats = node.stats();
    assert!(stats.retried_total >= 4 && stats.last_error.is_none(), "{stats:?}");
    assert_eq!((stats.failed_total, stats.dropped_total), (0, [0; 6]));
    node.remote_write.stop();
}

#[test]
fn what_is_refused_for_good_does_not_block() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let mut node = Node::open(dir.path(), &runtime, &destination(&receiver));
    receiver.refuse(&["403 Forbidden"]);
    node.take(40);
    node.wait("all is settled", |stats| (stats.sent_total + stats.failed_total) as usize == 40 * SERIES);
    let stats = node.stats();
    assert!((1..=50).contains(&stats.failed_total), "{stats:?}");
    assert_eq!(receiver.taken().len(), stats.sent_total as usize);
    node.remote_write.stop();
}

#[test]
fn what_is_refused_as_a_whole_is_taken_in_parts() {
    for status in ["400 Bad Request", "413 Payload Too Large"] {
        let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
        let mut node = Node::open(dir.path(), &runtime, &destination(&receiver));
        receiver.refuse(&[status; 3]);
        node.take(40);
        node.wait("all is sent", |stats| stats.sent_total as usize == 40 * SERIES);
        assert_eq!(node.stats().failed_total, 0, "{status}");
        let mut taken: Vec<_> = receiver.taken().into_iter().map(|(labels, at, _)| (labels, at)).collect();
        assert_eq!(taken.len(), 40 * SERIES, "{status}");
        taken.sort_by_key(|(labels, _)| labels.clone());
        assert!(taken.is_sorted_by(|before, next| before < next), "each once, the older ones first: {status}");
        node.remote_write.stop();
    }
}

#[test]
fn without_patience_a_receiver_that_is_busy_loses_its_samples() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let mut destination = destination(&receiver);
    destination.queue.retry_on_http_429 = false;
    let mut node = Node::open(dir.path(), &runtime, &destination);
    receiver.refuse(&["429 Too Many Requests"]);
    node.take(10);
    node.wait("all is settled", |stats| (stats.sent_total + stats.failed_total) as usize == 10 * SERIES);
    assert!(node.stats().failed_total > 0);
    node.remote_write.stop();
}

#[test]
fn restarts_lose_nothing_and_send_nothing_twice_also_with_other_shards() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let with_shards = |shards: usize| {
        let mut destination = destination(&receiver);
        (destination.queue.min_shards, destination.queue.max_shards) = (shards, shards);
        destination
    };
    let mut node = Node::open(dir.path(), &runtime, &with_shards(1));
    for (round, shards) in [3, 3, 2, 5, 1].into_iter().enumerate() {
        node.take(30);
        receiver.wait_for(round * 30 * SERIES + 1);
        // Requests under way are let end, what waits in the shards is read again.
        node = node.restart(dir.path(), &runtime, &with_shards(shards));
    }
    // While nobody takes anything, too.
    receiver.away(Some("503 Service Unavailable"));
    node.take(30);
    node.wait("it fails", |stats| stats.last_error.is_some());
    node = node.restart(dir.path(), &runtime, &with_shards(4));
    receiver.away(None);
    check(&receiver.wait_for(6 * 30 * SERIES), 6 * 30);
    node.wait("all is settled", |stats| stats.pending == 0);
    assert_eq!(receiver.taken().len(), 6 * 30 * SERIES);
    node.remote_write.stop();
}

/// As Prometheus does with version 1.0.
#[test]
fn what_was_taken_before_kills_takes_nothing_new_along_when_it_is_refused() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let destination = destination(&receiver);
    receiver.takes_newer_only();
    let mut node = Node::open(dir.path(), &runtime, &destination);
    node.take(2);
    receiver.wait_for(2 * SERIES);
    // Less than a request may have, so that there is room beside it for what comes after.
    for is_taken in [true, false, true, true] {
        node.wait("all is settled", |stats| stats.pending == 0);
        let before = receiver.taken().len();
        if is_taken {
            receiver.silent(true);
            node.take(1);
            receiver.wait_for(before + SERIES);
        } else {
            receiver.away(Some("503 Service Unavailable"));
            node.take(1);
            node.wait("it fails", |stats| stats.last_error.is_some());
        }
        node = node.restart(dir.path(), &runtime, &destination);
        receiver.silent(false);
        receiver.away(None);
        node.take(1);
    }
    // And while it is not settled yet what was taken the last time.
    receiver.away(Some("503 Service Unavailable"));
    for _ in 0..2 {
        node = node.restart(dir.path(), &runtime, &destination);
        node.take(1);
        node.wait("it fails", |stats| stats.last_error.is_some());
    }
    receiver.away(None);
    check(&receiver.wait_for(node.round * SERIES), node.round);
    node.remote_write.stop();
}

#[test]
fn a_new_destination_gets_what_comes_and_a_changed_one_goes_on() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let other = WriteReceiver::start();
    let mut node = Node::open(dir.path(), &runtime, &destination(&receiver));
    node.take(10);
    receiver.wait_for(10 * SERIES);
    // The name is the same, so that it stands where the other one stood.
    let mut moved = destination(&other);
    node.apply(&moved);
    node.take(10);
    other.wait_for(10 * SERIES);
    moved.name = Some("new".to_owned());
    moved.url = destination(&receiver).url;
    node.apply(&moved);
    node.take(10);
    receiver.wait_for(20 * SERIES);
    assert_eq!((receiver.taken().len(), other.taken().len()), (20 * SERIES, 10 * SERIES));
    node.remote_write.stop();
}

#[test]
fn rules_and_our_own_labels_change_what_is_sent() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let mut destination = destination(&receiver);
    let rule = |action, label: &str, regex: &str| RelabelRule {
        source_labels: vec![label.to_owned()],
        regex: Some(Anchored::new(regex).expect("an expression")),
        action,
        ..RelabelRule::default()
    };
    destination.relabel = vec![
        rule(Action::Drop, "number", "1.*"),
        RelabelRule { target_label: "copy".to_owned(), ..rule(Action::Replace, "from", "(.*)") },
    ];
    let mut node = Node::open(dir.path(), &runtime, &destination);
    node.take(5);
    let kept = SERIES - 11;
    node.wait("all is settled", |stats| stats.sent_total as usize == 5 * kept);
    let names: BTreeSet<String> = receiver.taken().into_iter().map(|(labels, ..)| labels).collect();
    assert_eq!(names.len(), kept);
    assert!(names.contains("__name__=m,copy=test,from=test,number=0"), "{names:?}");
    let relabelled = Dropped::ALL.iter().position(|(why, _)| *why == Dropped::Relabelled).expect("a reason");
    node.wait("the others are counted", |stats| stats.dropped_total[relabelled] as usize == 5 * 11);
    node.remote_write.stop();
}

#[test]
fn the_log_is_kept_up_to_its_limit_and_what_is_given_up_is_counted() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let mut destination = destination(&receiver);
    destination.hold_limit_bytes = 64 << 10;
    let mut node = Node::open_with(dir.path(), &runtime, &destination, 8 << 10);
    receiver.away(Some("503 Service Unavailable"));
    let limit = Dropped::ALL.iter().position(|(why, _)| *why == Dropped::HoldLimit).expect("a reason");
    let begun = Instant::now();
    while node.stats().dropped_total[limit] == 0 {
        node.take(200);
        assert!(begun.elapsed() < PATIENCE, "nothing is given up: {:?}", node.stats());
        std::thread::sleep(Duration::from_millis(20));
    }
    receiver.away(None);
    let all = (node.round * SERIES) as u64;
    node.wait("all is settled", |stats| stats.sent_total + stats.dropped_total[limit] == all && stats.pending == 0);
    let taken = receiver.taken();
    assert_eq!(taken.len() as u64, node.stats().sent_total);
    let newest = taken.iter().map(|(_, at, _)| *at).max();
    assert_eq!(newest, Some(node.next_ms - 10), "the newest are sent");
    node.remote_write.stop();
}

#[test]
fn totals_of_what_is_counted_are_sent_at_fixed_times_from_zero_on() {
    let (dir, runtime, receiver) = (tempfile::tempdir().expect("a folder"), runtime(), WriteReceiver::start());
    let mut destination = destination(&receiver);
    destination.totals_every = Duration::from_secs(1);
    let node = Node::open(dir.path(), &runtime, &destination);
    let begin = Timestamp::now();
    for offset in 0..3u64 {
        let source = SourcePosition {
            queue: "logs".into(),
            epoch: 1,
            partition: 0,
            first_offset: offset,
            next_offset: offset + 1,
        };
        let mut derived = Derived::new(source);
        let labels = LabelSet::from_pairs([("__name__", "events_total")]).expect("valid");
        let at = begin.plus_millis(i64::try_from(offset).expect("small") * 1000 + 2000);
        derived.increments.push(Increment { labels, at, count: 2.0, late: false });
        node.engine.apply(&derived).expect("applies");
    }
    let started = Instant::now();
    let values = loop {
        let mut taken = receiver.taken();
        taken.retain(|(labels, ..)| labels == "__name__=events_total,from=test");
        if taken.iter().any(|(_, _, value)| *value == 6.0) {
            break taken;
        }
        assert!(started.elapsed() < PATIENCE, "{taken:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(values.iter().all(|(_, at, _)| at % 1000 == 0), "{values:?}");
    assert!(values.is_sorted_by(|a, b| a.1 < b.1), "each time once: {values:?}");
    let totals: Vec<f64> = values.iter().map(|(_, _, total)| *total).collect();
    assert_eq!(totals, [0.0, 2.0, 4.0, 6.0]);
    node.remote_write.stop();
}
