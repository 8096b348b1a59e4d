//! Where sources stand: durable with their records, over restarts, rolls, deletion, damage and cuts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use watchfire_queue::{AppendError, Batch, Checkpoint, EmbeddedQueue, QueueConfig};

use crate::support::{batch, config, eventually, key, read_all, wait};

fn open(config: &QueueConfig) -> EmbeddedQueue {
    EmbeddedQueue::open(config.clone(), 1).unwrap().0
}

fn step(key: &str, before: Option<&str>, after: Option<&str>) -> Checkpoint {
    let bytes = |text: &str| text.as_bytes().to_vec();
    Checkpoint { key: bytes(key), before: before.map(bytes), after: after.map(bytes) }
}

fn append(queue: &EmbeddedQueue, records: &[&str], steps: &[Checkpoint]) -> Result<u64, AppendError> {
    let mut all = batch(records);
    steps.iter().for_each(|step| all.checkpoint(step.clone()));
    wait(queue.append(all)).map(|appended| appended.first_offset)
}

fn at(queue: &EmbeddedQueue, key: &str) -> Option<String> {
    queue.checkpoint(key.as_bytes()).map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn a_source_moves_with_its_records_and_only_from_where_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let queue = open(&config);
    append(&queue, &["a"], &[step("f1", None, Some("1")), step("f2", None, Some("9"))]).unwrap();
    let refused = append(&queue, &["b"], &[step("f1", None, Some("2"))]).unwrap_err();
    assert!(matches!(refused, AppendError::Moved { current: Some(current), .. } if current == b"1"));
    let refused = append(&queue, &["b"], &[step("f2", Some("9"), Some("10")), step("f1", Some("7"), Some("2"))]);
    assert!(!refused.unwrap_err().is_retryable(), "nothing of it");
    assert_eq!((at(&queue, "f1").as_deref(), at(&queue, "f2").as_deref()), (Some("1"), Some("9")));
    append(&queue, &[], &[step("f1", Some("1"), Some("2"))]).unwrap();
    append(&queue, &["c"], &[step("f1", Some("2"), Some("3")), step("f2", Some("9"), None)]).unwrap();
    drop(queue);
    let queue = open(&config);
    assert_eq!((at(&queue, "f1").as_deref(), at(&queue, "f2")), (Some("3"), None));
    assert_eq!(queue.checkpoints(b"f"), [(b"f1".to_vec(), b"3".to_vec())]);
    let texts: Vec<_> = read_all(&queue, 0).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, [b"a", b"c"]);
    let too_long = Checkpoint { key: vec![0; 65], before: None, after: Some(vec![1]) };
    assert!(matches!(append(&queue, &["d"], &[too_long]), Err(AppendError::TooLarge { .. })));
}

#[test]
fn positions_outlive_the_segments_that_they_were_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let queue = open(&config);
    queue.register("store", 0);
    append(&queue, &["a"], &[step("early", None, Some("1"))]).unwrap();
    let large = "x".repeat(30_000);
    let mut last = 0;
    for n in 0..20 {
        let before = (n > 0).then(|| n.to_string());
        last = append(&queue, &[&large], &[step("moving", before.as_deref(), Some(&(n + 1).to_string()))]).unwrap();
    }
    queue.release("store", last + 1);
    eventually("old segments are deleted", || queue.stats().segments <= 2);
    queue.close();
    let queue = open(&config);
    assert_eq!((at(&queue, "early").as_deref(), at(&queue, "moving").as_deref()), (Some("1"), Some("20")));
}

#[test]
fn steps_without_records_fill_segments_too() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let queue = open(&config);
    append(&queue, &[], &[step("still", None, Some("here"))]).unwrap();
    let value = |n: u32| format!("{n:0>4000}");
    for n in 0..50 {
        let before = (n > 0).then(|| value(n - 1));
        append(&queue, &[], &[step("moving", before.as_deref(), Some(&value(n)))]).unwrap();
    }
    assert_eq!((queue.stats().segments, queue.stats().next_offset), (1, 0));
    assert!(queue.stats().disk_bytes <= 80 << 10, "{}", queue.stats().disk_bytes);
    queue.close();
    let queue = open(&config);
    assert_eq!((at(&queue, "still").as_deref(), at(&queue, "moving")), (Some("here"), Some(value(49))));
    assert!(read_all(&queue, 0).is_empty());
    append(&queue, &["first"], &[]).unwrap();
    assert_eq!(read_all(&queue, 0).len(), 1);
}

/// Copies the files of a queue.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_folder_of_version_1_is_read_and_gets_positions() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version_1"), dir.path());
    let config = config(dir.path());
    let (queue, report) = EmbeddedQueue::open(config.clone(), 1_000_000).unwrap();
    assert_eq!((report.damaged_records, report.dedup_keys, report.next_offset), (0, 12, 12));
    assert_eq!(read_all(&queue, 0).len(), 12);
    append(&queue, &["new"], &[step("f", None, Some("1"))]).unwrap();
    queue.close();
    let queue = open(&config);
    assert_eq!(at(&queue, "f").as_deref(), Some("1"));
    assert_eq!(read_all(&queue, 0).len(), 13);
}

#[test]
fn keys_of_version_2_stand_for_whatever_comes_under_them() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version_2"), dir.path());
    let config = config(dir.path());
    let (queue, report) = EmbeddedQueue::open(config.clone(), 1_000_000).unwrap();
    assert_eq!((report.damaged_records, report.dedup_keys, report.next_offset), (0, 12, 12));
    assert_eq!(at(&queue, "f").as_deref(), Some("11"));
    let keyed = |number: u64, contents: u32| {
        let mut batch = Batch::new();
        batch.push(b"new", Some(key(number).with_contents(contents)));
        batch
    };
    assert_eq!(wait(queue.append(keyed(5, 1))).unwrap().duplicates.len(), 1);
    assert_eq!(wait(queue.append(keyed(50, 1))).unwrap().accepted, 1);
    queue.close();
    drop(queue);
    let (queue, report) = EmbeddedQueue::open(config, 1_000_000).unwrap();
    assert_eq!((report.damaged_records, report.dedup_keys), (0, 13));
    assert_eq!(wait(queue.append(keyed(5, 2))).unwrap().duplicates.len(), 1);
    assert!(matches!(wait(queue.append(keyed(50, 2))), Err(AppendError::Reused)));
    assert_eq!(read_all(&queue, 0).len(), 13);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After a cut anywhere in the newest segment, each source stands at its last record that is there.
    #[test]
    fn a_cut_takes_records_and_their_positions_together(
        steps in prop::collection::vec((0..4u8, 0..9000usize), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let queue = open(&config);
        let mut stands: BTreeMap<u8, u32> = BTreeMap::new();
        for (source, bytes) in steps {
            let before = stands.get(&source).copied();
            let after = before.unwrap_or(0) + 1;
            let mut all = Batch::new();
            all.push(format!("{source} {after} {}", "x".repeat(bytes)).as_bytes(), None);
            let value = |n: u32| n.to_string().into_bytes();
            all.checkpoint(Checkpoint { key: vec![source], before: before.map(value), after: Some(value(after)) });
            wait(queue.append(all)).unwrap();
            stands.insert(source, after);
        }
        queue.close();
        drop(queue);
        let mut segments: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
        segments.sort();
        let newest = segments.last().unwrap();
        let bytes = fs::metadata(newest).unwrap().len();
        let left = 64 + cut.index(usize::try_from(bytes - 64).unwrap() + 1) as u64;
        fs::OpenOptions::new().write(true).open(newest).unwrap().set_len(left).unwrap();
        let queue = open(&config);
        let mut found: BTreeMap<u8, String> = BTreeMap::new();
        for (_, record) in read_all(&queue, 0) {
            let text = String::from_utf8(record).unwrap();
            let mut words = text.split(' ');
            let source = words.next().unwrap().parse().unwrap();
            found.insert(source, words.next().unwrap().to_owned());
        }
        for source in 0..4u8 {
            let stands = queue.checkpoint(&[source]).map(|value| String::from_utf8(value).unwrap());
            prop_assert_eq!(stands.as_ref(), found.get(&source));
        }
    }
}
