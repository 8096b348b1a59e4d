//! Where followed files stand that links lead to: kept as long as the files are there, and forgotten with them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire_ingest::formats::Parsers;
use watchfire_ingest::sources::files::FilesReader;
use watchfire_ingest::sources::metrics::SourceMetrics;
use watchfire_ingest::sources::position::{FILE_KEYS, PAST_KEYS, Position};
use watchfire_ingest::sources::settings::FileSource;
use watchfire_ingest::{IngestMetrics, Intake, Limits};
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::Timestamp;
use watchfire_queue::{EmbeddedQueue, QueueConfig};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The positions of files, or of contents that no file has.
fn positions(queue: &EmbeddedQueue, keys: &[u8]) -> Vec<Position> {
    queue.checkpoints(keys).iter().filter_map(|(_, stored)| Position::decode(stored)).collect()
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn source(folder: &Path) -> FileSource {
    FileSource::of(vec![folder.join("containers/*.log").display().to_string()])
}

#[test]
fn positions_of_a_pod_that_is_deleted_while_we_are_down_are_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let entered = runtime.enter();
    let now = Timestamp::now();
    let queue = EmbeddedQueue::open(QueueConfig::new(path("queue")), now.millis()).expect("the queue opens").0;
    let queue = Arc::new(queue);
    queue.register("test", 0);
    let store = Arc::new(EmbeddedStore::open(StoreConfig::new(path("store")), now).expect("the store opens"));
    let registry = prometheus::Registry::new();
    let metrics = IngestMetrics::new(&registry).expect("names are free");
    let visible = store.subscribe_visible();
    let intake = Intake::new(queue.clone(), Parsers::default(), Limits::default(), None, metrics, visible, store);
    let (intake, metrics) = (Arc::new(intake), SourceMetrics::new(&registry).expect("names are free"));
    drop(entered);
    let start = || {
        let (intake, handle) = (intake.clone(), runtime.handle().clone());
        FilesReader::start(vec![source(folder.path())], intake, metrics.clone(), handle).expect("a thread")
    };
    fs::create_dir(path("containers")).expect("the folder can be written");
    for pod in ["stays", "goes"] {
        fs::create_dir_all(path("pods").join(pod)).expect("the folder can be written");
        let (file, link) = (path("pods").join(pod).join("0.log"), path("containers").join(format!("{pod}.log")));
        fs::write(&file, "a line\n").expect("the folder can be written");
        symlink(file, link).expect("the name is free");
    }
    let reader = start();
    wait("both files", || positions(&queue, FILE_KEYS).iter().filter(|position| position.at == 7).count() == 2);
    reader.stop();
    for position in positions(&queue, FILE_KEYS) {
        let name = position.path.file_stem().expect("it has one").to_owned();
        assert_eq!(position.target, Some(path("pods").join(name).join("0.log")));
    }
    fs::remove_file(path("containers/goes.log")).expect("it is there");
    fs::remove_dir_all(path("pods/goes")).expect("it is there");
    // The folder of a file system that is not mounted is missing too, but the link is there.
    fs::rename(path("pods/stays"), path("pods/unmounted")).expect("it is there");
    let reader = start();
    wait("what is gone", || positions(&queue, FILE_KEYS).len() == 1);
    reader.stop();
    let names = |keys| positions(&queue, keys).iter().map(|position| position.path.clone()).collect::<Vec<_>>();
    assert_eq!(names(FILE_KEYS), [path("containers/stays.log")]);
    assert_eq!(names(PAST_KEYS), [path("containers/goes.log")]);
}
