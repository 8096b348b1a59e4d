//! A followed file and a queue that is full: the file waits, nothing is skipped and nothing comes twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire_ingest::formats::Parsers;
use watchfire_ingest::sources::files::FilesReader;
use watchfire_ingest::sources::metrics::SourceMetrics;
use watchfire_ingest::sources::multiline::Multiline;
use watchfire_ingest::sources::settings::FileSource;
use watchfire_ingest::{IngestMetrics, Intake, Limits};
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::record::Core;
use watchfire_model::{RecordView, Timestamp};
use watchfire_queue::{EmbeddedQueue, QueueConfig};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages of the records from `from` on, and where they end; those are released.
fn take(queue: &EmbeddedQueue, from: u64) -> (Vec<String>, u64) {
    let mut reader = queue.reader(from);
    let mut messages = Vec::new();
    while let Ok(Some(batch)) = reader.next(Duration::from_millis(50)) {
        for record in batch.records() {
            let view = RecordView::parse(record).expect("it was just written");
            messages.push(view.core(Core::Message).unwrap_or_default().to_owned());
        }
    }
    queue.release("test", reader.position());
    (messages, reader.position())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_holds_files_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> =
        (0..30_000).map(|n| format!("number {n} of a file that is longer than the queue")).collect();
    std::fs::write(folder.path().join("app.log"), lines.join("\n") + "\n").expect("the folder can be written");
    let config = QueueConfig { disk_limit_bytes: 1 << 20, ..QueueConfig::new(folder.path().join("queue")) };
    let now = Timestamp::now();
    let queue = Arc::new(EmbeddedQueue::open(config, now.millis()).expect("the queue opens").0);
    queue.register("test", 0);
    let store = EmbeddedStore::open(StoreConfig::new(folder.path().join("logs")), now).expect("the store opens");
    let store = Arc::new(store);
    let registry = prometheus::Registry::new();
    let metrics = IngestMetrics::new(&registry).expect("names are free");
    let visible = store.subscribe_visible();
    let intake = Intake::new(queue.clone(), Parsers::default(), Limits::default(), None, metrics, visible, store);
    let paths = vec![folder.path().join("*.log").display().to_string()];
    let source = FileSource { multiline: Multiline::Auto, ..FileSource::of(paths) };
    let figures = SourceMetrics::new(&registry).expect("names are free");
    let runtime = tokio::runtime::Handle::current();
    let files = FilesReader::start(vec![source], Arc::new(intake), figures, runtime).expect("a thread");
    let work = move || {
        let begun = Instant::now();
        while queue.stats().full_total == 0 {
            assert!(begun.elapsed() < PATIENCE, "the queue never filled: {:?}", queue.stats());
            std::thread::sleep(Duration::from_millis(5));
        }
        let (mut found, mut from) = (Vec::new(), 0);
        while found.len() < lines.len() {
            assert!(begun.elapsed() < PATIENCE, "{} of {} lines came", found.len(), lines.len());
            let (messages, next) = take(&queue, from);
            found.extend(messages);
            from = next;
        }
        files.stop();
        assert_eq!(take(&queue, from).0.len(), 0);
        assert!(found == lines, "each line once, in order");
    };
    tokio::task::spawn_blocking(work).await.expect("the work does not panic");
}
