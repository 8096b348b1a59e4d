//! The promises one by one: order, duplicates, readers, limits, deletion, locks, versions.

use std::time::Duration;

use crate::support::{batch, config, eventually, key, read_all, read_on, wait};
use watchfire_queue::{AppendError, Batch, Duplicate, EmbeddedQueue, OpenError, QueueConfig, ReadError};

#[test]
fn what_was_appended_is_read_in_order_and_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert!(report.created);
    let first = wait(queue.append(batch(["a", "", "ccc"]))).unwrap();
    let second = wait(queue.append(batch(["d"]))).unwrap();
    assert_eq!((first.first_offset, first.accepted), (0, 3));
    assert_eq!((second.first_offset, second.accepted), (3, 1));
    let expected: Vec<(u64, Vec<u8>)> = (0..).zip(["a", "", "ccc", "d"].map(|text| text.into())).collect();
    assert_eq!(read_all(&queue, 0), expected);
    assert_eq!(read_all(&queue, 2), expected[2..]);
    queue.close();
    assert!(matches!(wait(queue.append(batch(["late"]))), Err(AppendError::Closed)));
    let epoch = queue.epoch();
    drop(queue);

    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 2).unwrap();
    assert_eq!((report.created, report.next_offset, report.torn_tail.is_none()), (false, 4, true));
    assert_eq!((report.damaged_records, report.damaged_files.len()), (0, 0));
    assert_eq!(queue.epoch(), epoch);
    assert_eq!(read_all(&queue, 0), expected);
    assert_eq!(wait(queue.append(batch(["e"]))).unwrap().first_offset, 4);
}

#[test]
fn a_reader_waits_for_what_comes_and_ends_with_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    let mut reader = queue.reader(0);
    assert!(reader.next(Duration::ZERO).unwrap().is_none());
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut seen = Vec::new();
            loop {
                match reader.next(Duration::from_secs(60)) {
                    Ok(batch) => seen.extend(batch.expect("within a minute").records().map(<[u8]>::to_vec)),
                    Err(ReadError::Closed) => return seen,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for text in ["one", "two", "three"] {
            wait(queue.append(batch([text]))).unwrap();
        }
        queue.close();
        assert_eq!(reading.join().unwrap(), [&b"one"[..], b"two", b"three"]);
    });
}

#[test]
fn a_slow_reader_reads_files_and_a_quick_one_memory_and_both_see_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let config = QueueConfig { tail_bytes: 10_000, ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open(config, 1).unwrap();
    let (mut quick, mut slow, mut middling) = (queue.reader(0), queue.reader(0), queue.reader(0));
    let (mut seen_quick, mut seen_middling) = (Vec::new(), Vec::new());
    let mut appended = Vec::new();
    for number in 0..400u64 {
        let records: Vec<Vec<u8>> = (0..number % 7 + 1).map(|i| vec![i as u8; (number * 37 % 3000) as usize]).collect();
        let first_offset = wait(queue.append(batch(&records))).unwrap().first_offset;
        appended.extend((first_offset..).zip(records));
        seen_quick.extend(read_on(&mut quick));
        if number % 31 == 0 {
            seen_middling.extend(read_on(&mut middling));
        }
    }
    seen_middling.extend(read_on(&mut middling));
    assert_eq!(seen_quick, appended);
    assert_eq!(seen_middling, appended);
    assert_eq!(read_on(&mut slow), appended);
    assert!(queue.stats().segments > 5);
}

#[test]
fn a_single_caller_waits_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let config = QueueConfig { gather_max: Duration::from_secs(3600), ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open(config, 1).unwrap();
    for number in 0..10 {
        assert_eq!(wait(queue.append(batch(["alone"]))).unwrap().first_offset, number);
    }
    assert_eq!(queue.stats().commits_total, 10);
}

#[test]
fn a_key_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let keyed = |texts: &[(&str, Option<u64>)]| {
        let mut batch = Batch::new();
        texts.iter().for_each(|(text, number)| batch.push(text.as_bytes(), number.map(key)));
        batch
    };
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    let answer =
        wait(queue.append(keyed(&[("a", Some(1)), ("b", None), ("a again", Some(1)), ("c", Some(2))]))).unwrap();
    assert_eq!((answer.first_offset, answer.accepted), (0, 3));
    assert_eq!(answer.duplicates, [Duplicate { index: 2, offset: 0 }]);
    let answer = wait(queue.append(keyed(&[("c", Some(2)), ("b", None), ("a", Some(1))]))).unwrap();
    assert_eq!((answer.first_offset, answer.accepted), (3, 1));
    assert_eq!(answer.duplicates, [Duplicate { index: 0, offset: 2 }, Duplicate { index: 2, offset: 0 }]);
    drop(queue);

    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1000).unwrap();
    assert_eq!(report.dedup_keys, 2);
    let answer = wait(queue.append(keyed(&[("c", Some(2))]))).unwrap();
    assert_eq!((answer.accepted, &answer.duplicates[..]), (0, &[Duplicate { index: 0, offset: 2 }][..]));
    assert_eq!(read_all(&queue, 0).len(), 4);
    assert_eq!(queue.stats().duplicates_total, 1);
    drop(queue);

    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1000 + 24 * 3600 * 1000).unwrap();
    assert_eq!(report.dedup_keys, 0, "a day later");
    assert_eq!(wait(queue.append(keyed(&[("c", Some(2))]))).unwrap().accepted, 1);
}

#[test]
fn a_full_queue_refuses_and_recovers_when_consumers_release() {
    let dir = tempfile::tempdir().unwrap();
    let config = QueueConfig { disk_limit_bytes: 1 << 20, ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open(config.clone(), 1).unwrap();
    queue.register("store", 0);
    queue.register("metrics", 0);
    let record = vec![7; 10_000];
    let fill = || {
        (0..1000).find_map(|_| wait(queue.append(batch([&record]))).err()).expect("a megabyte is full after a thousand")
    };
    assert!(matches!(fill(), AppendError::Full { limit_bytes, disk_bytes } if disk_bytes <= limit_bytes));
    assert_eq!(queue.stats().full_total, 1);
    let stored = queue.stats().next_offset;
    assert_eq!(read_all(&queue, 0).len() as u64, stored, "what was refused is not there");

    queue.release("store", stored);
    queue.release("metrics", stored / 2);
    eventually("segments are deleted", || wait(queue.append(batch([&record]))).is_ok());
    assert!(queue.stats().first_offset <= stored / 2);
    assert!(matches!(fill(), AppendError::Full { .. }));
    let stored = queue.stats().next_offset;
    queue.release("store", stored);
    queue.release("metrics", stored);
    eventually("only the last segment stays", || queue.stats().segments == 1);
    assert!(wait(queue.append(batch([&record]))).is_ok());
    // A segment leaves the list before its file goes: what goes meanwhile has no size.
    let files = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
    let size: u64 = files.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum();
    assert!(size <= config.disk_limit_bytes);

    let mut reader = queue.reader(0);
    assert!(
        matches!(reader.next(Duration::ZERO), Err(ReadError::Deleted { wanted: 0, first_offset }) if first_offset > 0)
    );
    assert!(reader.next(Duration::ZERO).unwrap().is_some());
}

#[test]
fn nothing_is_deleted_before_the_consumers_of_the_last_run_are_back() {
    let dir = tempfile::tempdir().unwrap();
    let fill = |queue: &EmbeddedQueue| {
        (0..60).for_each(|_| drop(wait(queue.append(batch([vec![1; 10_000]]))).unwrap()));
        queue.stats().next_offset
    };
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    queue.register("store", 0);
    queue.register("metrics", 0);
    let end = fill(&queue);
    drop(queue);

    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 2).unwrap();
    queue.register("store", end);
    fill(&queue);
    assert_eq!(queue.stats().consumers["metrics"], 0);
    assert_eq!(queue.stats().segments_deleted_total, 0);
    queue.register("metrics", end);
    eventually("released segments go", || queue.stats().first_offset > 0);
    assert!(queue.stats().first_offset <= end);
    drop(queue);

    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 3).unwrap();
    queue.register("store", 2 * end);
    queue.forget("metrics");
    eventually("a forgotten consumer keeps nothing", || queue.stats().segments == 1);
}

#[test]
fn keys_outlive_their_segments_and_go_when_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = QueueConfig { dedup_window_ms: 1_000_000, ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open(config.clone(), 1).unwrap();
    for number in 0..100 {
        let mut batch = Batch::new();
        batch.push(&[1; 5000], Some(key(number)));
        wait(queue.append(batch)).unwrap();
    }
    queue.register("store", 100);
    eventually("released segments go", || queue.stats().segments == 1);
    let key_files = || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|extension| extension == "keys")).count()
    };
    queue.close();
    assert!(key_files() > 3);
    let disk_bytes = queue.stats().disk_bytes;
    drop(queue);

    let (queue, report) = EmbeddedQueue::open(config.clone(), 500_000).unwrap();
    assert_eq!((report.dedup_keys, queue.stats().disk_bytes), (100, disk_bytes));
    for number in 0..100 {
        let mut batch = Batch::new();
        batch.push(b"again", Some(key(number)));
        let answer = wait(queue.append(batch)).unwrap();
        assert_eq!((answer.accepted, &answer.duplicates[..]), (0, &[Duplicate { index: 0, offset: number }][..]));
    }
    drop(queue);

    let (queue, report) = EmbeddedQueue::open(config, 2_000_000).unwrap();
    assert_eq!(report.dedup_keys, 0);
    queue.register("store", 100);
    eventually("expired keys go", || key_files() == 0);
}

#[test]
fn what_can_never_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    let most = (64 << 10) - 64 - 64 - 4;
    assert!(matches!(
        wait(queue.append(batch([vec![0; most + 1]]))),
        Err(AppendError::TooLarge { bytes, limit_bytes, is_of_disk_limit: false }) if bytes == limit_bytes + 1
    ));
    assert_eq!(wait(queue.append(batch([vec![0; most]]))).unwrap().accepted, 1);
    assert_eq!(wait(queue.append(batch([vec![0; most]]))).unwrap().first_offset, 1);
    assert_eq!(wait(queue.append(Batch::new())).unwrap().accepted, 0);
    assert_eq!(read_all(&queue, 0).len(), 2);
    let small = QueueConfig { disk_limit_bytes: 1 << 20, ..QueueConfig::new(dir.path().join("small")) };
    let (queue, _) = EmbeddedQueue::open(small, 1).unwrap();
    let refused = wait(queue.append(batch([vec![0; 256 << 10]])));
    assert!(matches!(refused, Err(AppendError::TooLarge { is_of_disk_limit: true, .. })));
    let limited = QueueConfig { disk_limit_bytes: 1000, ..config(&dir.path().join("other")) };
    assert!(matches!(EmbeddedQueue::open(limited, 1), Err(OpenError::LimitTooSmall { .. })));
}

#[test]
fn a_folder_is_for_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    let error = EmbeddedQueue::open(config(dir.path()), 1).err().expect("it is locked");
    assert!(matches!(&error, OpenError::Locked { dir: locked } if locked == dir.path()));
    assert!(error.to_string().contains(&dir.path().display().to_string()));
    queue.close();
    EmbeddedQueue::open(config(dir.path()), 1).unwrap();
}

#[test]
fn offsets_that_a_consumer_has_seen_are_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    wait(queue.append(batch(["a"]))).unwrap();
    let mut reader = queue.reader(0);
    queue.register("metrics", 0);
    queue.register("store", 10);
    assert_eq!(wait(queue.append(batch(["b"]))).unwrap().first_offset, 10);
    assert_eq!(read_on(&mut reader), [(0, b"a".to_vec()), (10, b"b".to_vec())]);
    assert_eq!(queue.stats().lost_records_total, 9);
    drop(queue);
    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert_eq!((report.next_offset, report.damaged_records), (11, 9));
    assert_eq!(read_all(&queue, 0), [(0, b"a".to_vec()), (10, b"b".to_vec())]);
}
