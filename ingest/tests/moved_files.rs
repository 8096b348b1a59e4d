//! Followed files that get another inode with the same contents, grown or not: replaced by renaming, copied and removed.
//! Each line comes once; and what only looks alike is read whole.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use watchfire_ingest::formats::Parsers;
use watchfire_ingest::sources::files::FilesReader;
use watchfire_ingest::sources::metrics::SourceMetrics;
use watchfire_ingest::sources::settings::FileSource;
use watchfire_ingest::{IngestMetrics, Intake, Limits};
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::record::Core;
use watchfire_model::{RecordView, Timestamp};
use watchfire_queue::{EmbeddedQueue, QueueConfig};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that is followed, and what came of it.
struct Bench {
    folder: tempfile::TempDir,
    queue: Arc<EmbeddedQueue>,
    intake: Arc<Intake>,
    metrics: SourceMetrics,
    runtime: tokio::runtime::Runtime,
    reader: Option<FilesReader>,
    /// Patterns that nothing matches, and that take time.
    idle_patterns: usize,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let entered = runtime.enter();
        let now = Timestamp::now();
        let config = QueueConfig::new(folder.path().join("queue"));
        let queue = Arc::new(EmbeddedQueue::open(config, now.millis()).expect("the queue opens").0);
        queue.register("test", 0);
        let store = EmbeddedStore::open(StoreConfig::new(folder.path().join("store")), now);
        let store = Arc::new(store.expect("the store opens"));
        let registry = prometheus::Registry::new();
        let metrics = IngestMetrics::new(&registry).expect("names are free");
        let visible = store.subscribe_visible();
        let intake = Intake::new(queue.clone(), Parsers::default(), Limits::default(), None, metrics, visible, store);
        let metrics = SourceMetrics::new(&registry).expect("names are free");
        for name in ["l1", "l2", "out"] {
            fs::create_dir(folder.path().join(name)).expect("the folder can be written");
        }
        drop(entered);
        Bench { folder, queue, intake: Arc::new(intake), metrics, runtime, reader: None, idle_patterns: 0 }
    }

    /// Of one file with so many lines, all of which came.
    fn following(lines: u64) -> Bench {
        let mut bench = Bench::new();
        bench.append("l1/app.log", &text(0..lines));
        bench.start();
        bench.wait(&last(lines - 1));
        bench
    }

    /// Something happens, while nobody follows if `is_down`.
    fn while_down(&mut self, is_down: bool, happens: impl FnOnce(&Bench)) {
        if is_down {
            self.stop();
        }
        happens(self);
        if is_down {
            self.start();
        }
    }

    fn source(&self) -> FileSource {
        let path = |name: &str| self.path(name).display().to_string();
        let idle = (0..self.idle_patterns).map(|number| path(&format!("l2/*/{number}/*.log")));
        FileSource::of([path("l1/*.log"), path("l2/*.log")].into_iter().chain(idle).collect())
    }

    fn start(&mut self) {
        let (intake, handle) = (self.intake.clone(), self.runtime.handle().clone());
        let reader = FilesReader::start(vec![self.source()], intake, self.metrics.clone(), handle);
        self.reader = Some(reader.expect("a thread"));
    }

    fn stop(&mut self) {
        self.reader.take().into_iter().for_each(FilesReader::stop);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the folder can be written");
    }

    /// As `cp -p`.
    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        fs::copy(&from, &to).expect("the file is there");
        let modified = fs::metadata(&from).and_then(|file| file.modified()).expect("it has a time");
        let copy = OpenOptions::new().append(true).open(&to);
        copy.and_then(|copy| copy.set_modified(modified)).expect("its time can be set");
    }

    /// As `rsync` and editors do: written beside it, and renamed over it.
    fn replace(&self, from: &str, to: &str) {
        self.copy(from, "out/new");
        fs::rename(self.path("out/new"), self.path(to)).expect("it can be renamed");
    }

    /// Each file has the inode of the other one then, and its own contents.
    fn exchange_inodes(&self, one: &str, other: &str) {
        let (one, other, between) = (self.path(one), self.path(other), self.path("out/between"));
        let texts = (fs::read(&one).expect("it is there"), fs::read(&other).expect("it is there"));
        fs::write(&one, texts.1).and_then(|()| fs::write(&other, texts.0)).expect("they can be written");
        for (from, to) in [(&one, &between), (&other, &one), (&between, &other)] {
            fs::rename(from, to).expect("it can be renamed");
        }
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("the file is there");
    }

    /// All messages that came.
    fn stored(&self) -> Vec<String> {
        let (mut reader, mut messages) = (self.queue.reader(0), Vec::new());
        while let Ok(Some(batch)) = reader.next(Duration::from_millis(20)) {
            for record in batch.records() {
                let view = RecordView::parse(record).expect("it was just written");
                messages.push(view.core(Core::Message).unwrap_or_default().to_owned());
            }
        }
        messages
    }

    /// Waits until a line came, which is the last one of its file.
    fn wait(&self, line: &str) {
        let begun = Instant::now();
        while !self.stored().iter().any(|message| message == line) {
            assert!(begun.elapsed() < PATIENCE, "{line} did not come; {} lines did", self.stored().len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes a further line to a file, and when that came, all of the file did.
    fn end(&self, name: &str, line: &str) {
        self.append(name, &format!("{line}\n"));
        self.wait(line);
    }

    fn restarts(&self) -> u64 {
        self.metrics.of(self.source().name()).restarts.get()
    }

    /// Waits until so many files are followed, and what there is of them is read.
    fn wait_for_files(&self, wanted: i64) {
        let (begun, figures) = (Instant::now(), self.metrics.of(self.source().name()));
        while figures.files.get() != wanted || figures.lag_bytes.get() != 0 {
            assert!(begun.elapsed() < PATIENCE, "{} files are followed, not {wanted}", figures.files.get());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn assert_once(&self, wanted: usize) {
        let mut found = self.stored();
        let all = found.len();
        found.sort_unstable();
        found.dedup();
        assert_eq!((all, found.len()), (wanted, wanted), "lines, and different ones");
    }
}

fn text(numbers: Range<u64>) -> String {
    let time = |number: u64| format!("2026-01-01T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60);
    numbers.map(|number| format!("line {number:06} of what a program tells at {}\n", time(number))).collect()
}

fn last(number: u64) -> String {
    text(number..number + 1).trim_end().to_owned()
}

#[test]
fn a_file_that_is_replaced_by_itself_grown_goes_on() {
    for (lines, is_down) in [(1000, false), (1000, true), (3, false), (3, true)] {
        let mut bench = Bench::new();
        bench.append("out/app.log", &text(0..lines));
        bench.copy("out/app.log", "l1/app.log");
        bench.start();
        bench.wait(&last(lines - 1));
        for number in lines..lines + 4 {
            bench.while_down(is_down, |bench| {
                bench.append("out/app.log", &text(number..number + 1));
                bench.replace("out/app.log", "l1/app.log");
            });
            bench.wait(&last(number));
        }
        bench.assert_once(lines as usize + 4);
        // The same once more, not grown.
        bench.replace("out/app.log", "l1/app.log");
        bench.end("l1/app.log", "at last");
        bench.assert_once(lines as usize + 5);
        assert_eq!(bench.restarts(), 0);
    }
}

#[test]
fn a_file_that_is_copied_and_removed_goes_on_in_its_copy() {
    for to in ["l1/app.log", "l2/app.log", "l1/other.log", "l1/app.1.log"] {
        for is_down in [true, false] {
            let mut bench = Bench::following(3000);
            if is_down {
                bench.stop();
                bench.append("l1/app.log", &text(3000..3001));
            }
            bench.copy("l1/app.log", "out/kept");
            if to != "l1/app.log" {
                bench.copy("l1/app.log", to);
            }
            bench.remove("l1/app.log");
            if to == "l1/app.log" {
                bench.copy("out/kept", to);
            }
            if is_down {
                bench.start();
                bench.wait(&last(3000));
            }
            bench.end(to, "at last");
            bench.assert_once(3001 + usize::from(is_down));
            bench.stop();
            bench.start();
            bench.end(to, "and at the very last");
            bench.assert_once(3002 + usize::from(is_down));
        }
    }
}

/// `sed -i` on several files: the new file of one gets the inode that the old one of another had.
#[test]
fn files_that_swap_inodes_go_on() {
    for is_down in [true, false] {
        let mut bench = Bench::new();
        bench.append("l1/a.log", &text(0..500));
        bench.append("l1/b.log", &text(1000..1500));
        bench.start();
        bench.wait(&last(499));
        bench.wait(&last(1499));
        bench.stop();
        for round in 0..3 {
            if !is_down {
                bench.start();
            }
            for name in ["l1/a.log", "l1/b.log"] {
                bench.replace(name, name);
            }
            if is_down {
                bench.exchange_inodes("l1/a.log", "l1/b.log");
                bench.start();
            }
            for name in ["a", "b"] {
                bench.end(&format!("l1/{name}.log"), &format!("{name} {round}"));
            }
            bench.stop();
        }
        bench.assert_once(1006);
    }
}

#[test]
fn files_that_begin_alike_are_files_of_their_own() {
    let heading = format!("# {}\n", "columns ".repeat(300));
    let mut bench = Bench::new();
    for worker in 0..4 {
        bench.append(&format!("l1/worker-{worker}.log"), &(heading.clone() + &text(worker * 100..worker * 100 + 50)));
    }
    bench.start();
    for worker in 0..4 {
        bench.wait(&last(worker * 100 + 49));
    }
    assert_eq!(bench.stored().len(), 4 * 51);
    // One goes, another comes; and one is rotated and begun anew.
    bench.remove("l1/worker-0.log");
    bench.append("l1/worker-4.log", &(heading.clone() + &text(400..500)));
    bench.wait(&last(499));
    assert_eq!(bench.stored().len(), 4 * 51 + 101);
    fs::rename(bench.path("l1/worker-1.log"), bench.path("l1/worker-1.log.1")).expect("it is there");
    bench.append("l1/worker-1.log", &(heading.clone() + &text(500..600)));
    bench.wait(&last(599));
    assert_eq!(bench.stored().len(), 4 * 51 + 2 * 101);
    // A copy beside its original is a file of its own.
    bench.copy("l1/worker-2.log", "l1/worker-5.log");
    bench.end("l1/worker-5.log", "of the copy");
    assert_eq!(bench.stored().len(), 5 * 51 + 2 * 101 + 1);
    assert_eq!(bench.restarts(), 0);
}

#[test]
fn a_copy_is_read_whenever_it_comes() {
    let mut bench = Bench::new();
    // Folders are listed slowly, so that copies come between any two steps of that.
    bench.idle_patterns = 300;
    bench.append("l1/0.log", &text(0..100));
    bench.append("l2/between", "");
    bench.start();
    bench.wait(&last(99));
    let (one, other, is_done) = (bench.path("l2/between"), bench.path("l2/beyond"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                fs::rename(&one, &other).and_then(|()| fs::rename(&other, &one)).expect("it is there");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let copied = std::panic::catch_unwind(AssertUnwindSafe(|| {
            for number in 0..20u64 {
                let (from, to) = (format!("l1/{number}.log"), format!("l1/{}.log", number + 1));
                bench.copy(&from, &to);
                bench.remove(&from);
                bench.end(&to, &last(100 + number));
            }
        }));
        is_done.store(true, Ordering::Relaxed);
        copied.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    bench.assert_once(120);
}

/// A copy that is seen in the middle of being written: before its first byte, before its beginning tells anything, and
/// before its end.
#[test]
fn a_copy_that_is_written_slowly_goes_on() {
    for to in ["l1/other.log", "l2/app.log"] {
        let bench = Bench::following(3000);
        bench.wait_for_files(1);
        let whole = fs::read(bench.path("l1/app.log")).expect("it is there");
        let mut copy = OpenOptions::new().create(true).append(true).open(bench.path(to)).expect("it can be made");
        for part in [0..0, 0..100, 100..900, 900..5000, 5000..50_000, 50_000..whole.len()] {
            copy.write_all(&whole[part]).expect("it can be written");
            // Each look that folders get for another file finds the copy as it is now.
            bench.append("out/between", "");
            fs::rename(bench.path("out/between"), bench.path("l2/between")).expect("it is there");
            std::thread::sleep(Duration::from_millis(150));
        }
        bench.remove("l1/app.log");
        bench.end(to, "at last");
        bench.assert_once(3001);
    }
}

#[test]
fn what_was_written_behind_a_copy_is_read_of_the_original() {
    let bench = Bench::following(1000);
    bench.copy("l1/app.log", "out/copy");
    bench.end("l1/app.log", &last(1000));
    fs::rename(bench.path("out/copy"), bench.path("l1/app.log")).expect("it is there");
    // The original, which only its handle keeps, and its copy.
    bench.wait_for_files(2);
    bench.end("l1/app.log", "at last");
    bench.assert_once(1002);
    assert_eq!(bench.restarts(), 0);
}

/// As `sed -i.bak` and editors that keep what was there.
#[test]
fn a_file_whose_original_has_another_name_now_goes_on() {
    for is_down in [true, false] {
        let mut bench = Bench::following(1000);
        bench.while_down(is_down, |bench| {
            bench.copy("l1/app.log", "out/new");
            fs::rename(bench.path("l1/app.log"), bench.path("l1/app.log.bak")).expect("it is there");
            fs::rename(bench.path("out/new"), bench.path("l1/app.log")).expect("it is there");
        });
        bench.end("l1/app.log", "at last");
        bench.assert_once(1001);
    }
}

/// When in doubt a file is read: nothing is lost, whatever comes twice.
#[test]
fn of_several_copies_all_is_read() {
    let bench = Bench::following(1000);
    for name in ["one", "two"] {
        bench.copy("l1/app.log", &format!("l1/{name}.log"));
    }
    bench.remove("l1/app.log");
    for name in ["one", "two"] {
        bench.end(&format!("l1/{name}.log"), &format!("at last in {name}"));
    }
    let mut found = bench.stored();
    assert!(found.len() >= 1002, "{} lines", found.len());
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 1002);
}

/// A job writes the same each night: without a time in it nothing tells that it is the same that was read. With one
/// it is.
#[test]
fn a_report_that_is_written_anew_is_read_again_if_there_is_no_time_in_it() {
    for (lines, is_down, is_dated) in
        [(2, false, false), (2, true, false), (200, false, false), (200, true, false), (200, false, true)]
    {
        let mut bench = Bench::new();
        let undated = || (0..lines).map(|number| format!("table {number} has 17 rows and no fault\n")).collect();
        let report: String = if is_dated { text(0..lines) } else { undated() };
        bench.append("l1/report.log", &report);
        bench.start();
        bench.wait(report.lines().next_back().expect("it has lines"));
        bench.while_down(is_down, |bench| {
            // Made before the other goes, so that it does not get its inode.
            fs::write(bench.path("out/report"), "").expect("it can be written");
            fs::rename(bench.path("out/report"), bench.path("l1/report.log")).expect("it is there");
            if !is_down {
                // It is seen while it is empty.
                bench.wait_for_files(2);
            }
            bench.append("l1/report.log", &report);
        });
        bench.end("l1/report.log", "the end");
        let wanted = if is_dated { lines + 1 } else { 2 * lines + 1 };
        assert_eq!(bench.stored().len(), wanted as usize, "{lines} lines, down {is_down}, dated {is_dated}");
    }
}

/// No time tells that it is the same, but its inode does.
#[test]
fn a_file_that_was_away_for_a_while_goes_on() {
    for (lines, is_down) in [(2, false), (2, true), (100, false), (100, true)] {
        let mut bench = Bench::new();
        let undated = |numbers: Range<u64>| numbers.map(|number| format!("request handled {number}\n")).collect();
        let (begins, grows): (String, String) = (undated(0..lines), undated(lines..lines + 10));
        bench.append("l1/app.log", &begins);
        bench.start();
        bench.wait(begins.lines().next_back().expect("it has lines"));
        bench.while_down(is_down, |bench| {
            fs::rename(bench.path("l1/app.log"), bench.path("out/app.log")).expect("it can be renamed");
        });
        let begun = Instant::now();
        while is_down && bench.queue.checkpoints(b"p").is_empty() {
            assert!(begun.elapsed() < PATIENCE, "that it is gone was not seen");
            std::thread::sleep(Duration::from_millis(20));
        }
        bench.append("out/app.log", &grows);
        fs::rename(bench.path("out/app.log"), bench.path("l1/app.log")).expect("it can be renamed");
        bench.end("l1/app.log", "the end");
        bench.assert_once(lines as usize + 11);
    }
}

#[test]
fn a_file_that_is_replaced_by_a_part_of_it_is_read_anew_and_told() {
    for is_down in [true, false] {
        let mut bench = Bench::following(1000);
        bench.while_down(is_down, |bench| {
            bench.append("out/part", &text(0..500));
            bench.replace("out/part", "l1/app.log");
        });
        bench.end("l1/app.log", "at last");
        assert_eq!((bench.stored().len(), bench.restarts()), (1501, 1));
        // Other contents are another file.
        bench.append("out/other", &text(5000..5100));
        bench.replace("out/other", "l1/app.log");
        bench.wait(&last(5099));
        assert_eq!((bench.stored().len(), bench.restarts()), (1601, 1));
    }
}
