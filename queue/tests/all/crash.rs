//! What a killed process or a bad disk leaves: files that are cut, and bytes that are flipped.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{batch, config, eventually, key, read_all, wait};
use watchfire_queue::{Batch, Duplicate, EmbeddedQueue, OpenError};

/// A folder as a killed process leaves it.
fn killed(queue_dir: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(queue_dir, image.path());
    image
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    found.sort();
    found
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Bytes of a segment without the room behind its frames, none of which ends with a zero here.
fn written(segment: &[u8]) -> usize {
    segment.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// A running queue with one frame for each text.
fn with_frames(dir: &Path, texts: &[&str]) -> EmbeddedQueue {
    let (queue, _) = EmbeddedQueue::open(config(dir), 1).unwrap();
    for text in texts {
        wait(queue.append(batch([text, "and more"]))).unwrap();
    }
    queue
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    let queue = with_frames(dir.path(), &["a", "bb", "ccc"]);
    let all = read_all(&queue, 0);
    let image = killed(dir.path());
    let segment = &files(image.path(), "seg")[0];
    let whole = fs::read(segment).unwrap();
    let mut frames_at_end = 3;
    // What is torn off is not there, or is the zeros that stood in its place.
    let lengths = (64..=written(&whole)).rev().flat_map(|length| [(length, length), (length, whole.len())]);
    for (kept, length) in lengths {
        let zeros = vec![0; length - kept];
        fs::write(segment, [&whole[..kept], &zeros].concat()).unwrap();
        let (queue, report) = EmbeddedQueue::open(config(image.path()), 1).unwrap();
        let found = read_all(&queue, 0);
        assert_eq!(found, all[..found.len()], "cut at {kept} of {length}");
        assert_eq!((found.len() % 2, found.len() as u64), (0, report.next_offset), "whole batches only");
        let cut_bytes = report.torn_tail.as_ref().map_or(0, |torn| torn.bytes);
        let is_boundary = cut_bytes == 0;
        // What is kept may end with zeros itself.
        assert!(is_boundary || report.torn_tail.unwrap().position + cut_bytes == written(&whole[..kept]) as u64);
        assert_eq!((report.damaged_records, report.damaged.len()), (0, 0));
        frames_at_end = frames_at_end.min(found.len() / 2);
        // It goes on there, and stays readable.
        assert_eq!(wait(queue.append(batch(["next"]))).unwrap().first_offset, report.next_offset);
        assert_eq!(read_all(&queue, report.next_offset), [(report.next_offset, b"next".to_vec())]);
        drop(queue);
        // The clean end above is no part of the next round.
        fs::remove_file(image.path().join("queue.state")).unwrap();
        copy_state(dir.path(), image.path());
    }
    assert_eq!(frames_at_end, 0);
}

fn copy_state(from: &Path, to: &Path) {
    fs::copy(from.join("queue.state"), to.join("queue.state")).unwrap();
}

#[test]
fn a_flipped_byte_costs_its_frame_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let queue = with_frames(dir.path(), &["a", "bb", "ccc", "dddd"]);
    let all = read_all(&queue, 0);
    let image = killed(dir.path());
    let segment = &files(image.path(), "seg")[0];
    let whole = fs::read(segment).unwrap();
    let last_frame = written(&whole) - (64 + 4 + 4 + 4 + 8);
    let mut lost_frames = [0; 4];
    for at in 0..written(&whole) {
        fs::write(segment, &whole).unwrap();
        copy_state(dir.path(), image.path());
        change(segment, |bytes| bytes[at] ^= 1 << (at % 8));
        let (queue, report) = EmbeddedQueue::open(config(image.path()), 1).unwrap();
        let found = read_all(&queue, 0);
        if at < 64 {
            assert_eq!(found, all, "byte {at} of the file header");
            assert_eq!(report.damaged_files, std::slice::from_ref(segment));
        } else if at < last_frame {
            let missing: Vec<u64> = (0..8).filter(|offset| found.iter().all(|(other, _)| other != offset)).collect();
            assert_eq!(missing.len(), 2, "byte {at}");
            assert_eq!(missing[0] + 1, missing[1]);
            lost_frames[missing[0] as usize / 2] += 1;
            assert!(found.iter().all(|record| all.contains(record)));
            assert_eq!((report.damaged_records, report.damaged.len(), report.torn_tail), (2, 1, None));
            assert_eq!((report.damaged[0].first_offset, report.damaged[0].certain), (missing[0], true));
            assert_eq!(queue.stats().lost_records_total, 2, "readers do not count it again");
        } else {
            // Nothing behind it tells that it was acknowledged.
            assert_eq!(found, all[..6], "byte {at}");
            assert!(report.torn_tail.is_some());
        }
        let next_offset = report.next_offset;
        assert_eq!(wait(queue.append(batch(["next"]))).unwrap().first_offset, next_offset);
        let len = found.len();
        assert_eq!(read_all(&queue, 0).len(), len + 1);
        drop(queue);
        files(image.path(), "seg").iter().skip(1).for_each(|path| fs::remove_file(path).unwrap());
        files(image.path(), "keys").iter().for_each(|path| fs::remove_file(path).unwrap());
    }
    assert!(lost_frames[..3].iter().all(|count| *count >= 64) && lost_frames[3] == 0);
}

#[test]
fn short_appends_take_the_place_of_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let queue = with_frames(dir.path(), &["a", "bb"]);
    let segment = &files(dir.path(), "seg")[0];
    let before = fs::read(segment).unwrap();
    wait(queue.append(batch(["ccc"]))).unwrap();
    let after = fs::read(segment).unwrap();
    assert_eq!(after.len(), before.len());
    assert!(written(&before) < written(&after) && written(&after) < after.len());
    let report = EmbeddedQueue::open(config(killed(dir.path()).path()), 1).unwrap().1;
    assert_eq!((report.next_offset, report.torn_tail), (5, None));
    drop(queue);
    assert_eq!(fs::read(segment).unwrap().len(), written(&after), "a file that is let go of ends where its frames do");
}

#[test]
fn after_a_clean_end_even_the_last_frame_is_known_to_be_lost() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_frames(dir.path(), &["a", "bb"]));
    let segment = &files(dir.path(), "seg")[0];
    change(segment, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert_eq!((report.next_offset, report.damaged_records), (4, 2));
    assert_eq!(wait(queue.append(batch(["c"]))).unwrap().first_offset, 4, "no offset is given twice");
    let found: Vec<u64> = read_all(&queue, 0).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(found, [0, 1, 4]);
}

#[test]
fn damaged_records_that_all_consumers_had_are_not_lost() {
    // Where the two consumers stand, and how many of the damaged records 10 to 12 one of them lacks.
    for (store, metrics, lost) in [(20, 20, 0), (13, 20, 0), (20, 12, 1), (11, 12, 2), (0, 20, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
        queue.register("store", 0);
        queue.register("metrics", 0);
        for records in [0..10u8, 10..13, 13..20] {
            let mut batch = Batch::new();
            records.for_each(|number| batch.push(&[number; 100], None));
            wait(queue.append(batch)).unwrap();
        }
        drop(queue);
        change(&files(dir.path(), "seg")[0], |bytes| {
            let at = bytes.windows(9).position(|some| some == [11; 9]).unwrap();
            bytes[at] ^= 1;
        });
        let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
        assert_eq!(report.damaged_records, 3);
        queue.register("store", store);
        queue.register("metrics", metrics);
        assert_eq!(queue.stats().lost_records_total, lost, "{store} and {metrics}");
        // Who passes over them does not have them for that.
        queue.release("store", 20);
        queue.release("metrics", 20);
        assert_eq!(read_all(&queue, 0).len(), 17);
        assert_eq!(queue.stats().lost_records_total, lost, "{store} and {metrics}");
    }
}

#[test]
fn damage_in_an_older_segment_is_met_by_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    queue.register("store", 0);
    for number in 0..20u8 {
        let mut batch = Batch::new();
        batch.push(&[number; 10_000], Some(key(u64::from(number))));
        wait(queue.append(batch)).unwrap();
    }
    drop(queue);
    assert!(files(dir.path(), "seg").len() >= 3);
    change(&files(dir.path(), "seg")[0], |bytes| bytes[15_000] ^= 1);
    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert_eq!(report.damaged_records, 0, "a start does not read what is full");
    assert_eq!(report.dedup_keys, 20, "the keys are kept beside the segment");
    let mut reader = queue.reader(0);
    let mut lost_before = 0;
    let mut found = Vec::new();
    while let Some(batch) = reader.next(std::time::Duration::ZERO).unwrap() {
        lost_before += batch.lost_before();
        found.extend((batch.first_offset()..).zip(batch.records().map(<[u8]>::to_vec)));
    }
    assert_eq!(found.len(), 19);
    assert!(found.iter().all(|(offset, record)| *offset != 1 && record[0] == *offset as u8));
    assert_eq!((lost_before, queue.stats().lost_records_total, queue.stats().damaged_ranges_total), (1, 1, 1));
    // Whoever goes on behind it does not meet it.
    let mut reader = queue.reader(2);
    let batch = reader.next(std::time::Duration::ZERO).unwrap().unwrap();
    assert_eq!((batch.first_offset(), batch.lost_before()), (2, 0));
}

#[test]
fn keys_are_found_again_when_their_files_or_the_state_are_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    for number in 0..20u64 {
        let mut batch = Batch::new();
        batch.push(&[1; 10_000], Some(key(number)));
        wait(queue.append(batch)).unwrap();
    }
    let epoch = queue.epoch();
    drop(queue);
    change(&files(dir.path(), "keys")[0], |bytes| bytes[70] ^= 1);
    change(&files(dir.path(), "keys")[1], |bytes| bytes.truncate(10));
    change(&dir.path().join("queue.state"), |bytes| bytes[20] ^= 1);
    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert_eq!((report.damaged_files.len(), report.dedup_keys, report.damaged_records), (3, 20, 0));
    assert_eq!(queue.epoch(), epoch);
    for number in 0..20u64 {
        let mut batch = Batch::new();
        batch.push(b"again", Some(key(number)));
        assert_eq!(wait(queue.append(batch)).unwrap().duplicates, [Duplicate { index: 0, offset: number }]);
    }
    drop(queue);
    let (_queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert!(report.damaged_files.is_empty(), "they are written anew");
}

#[test]
fn a_folder_without_a_readable_header_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_frames(dir.path(), &["a"]));
    fs::remove_file(dir.path().join("queue.state")).unwrap();
    let segment = files(dir.path(), "seg").remove(0);
    change(&segment, |bytes| bytes[3] ^= 1);
    let before = fs::read(&segment).unwrap();
    assert!(matches!(EmbeddedQueue::open(config(dir.path()), 1), Err(OpenError::Unreadable { .. })));
    assert_eq!(fs::read(&segment).unwrap(), before);
}

#[test]
fn files_of_a_newer_version_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    (0..10).for_each(|_| drop(wait(queue.append(batch([[1; 10_000]]))).unwrap()));
    drop(queue);
    let paths = [files(dir.path(), "seg"), files(dir.path(), "keys"), files(dir.path(), "state")].concat();
    assert!(paths.len() >= 4);
    for path in paths {
        let before = fs::read(&path).unwrap();
        change(&path, |bytes| {
            bytes[8..12].copy_from_slice(&4u32.to_le_bytes());
            let crc = crc32fast::hash(&[&bytes[..12], &bytes[16..64]].concat());
            bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        });
        let error = EmbeddedQueue::open(config(dir.path()), 1).err().expect("it is newer");
        assert!(
            matches!(&error, OpenError::NewerVersion { path: newer, version: 4, supported: 3 } if *newer == path),
            "{error}"
        );
        fs::write(&path, before).unwrap();
    }
    assert_eq!(read_all(&EmbeddedQueue::open(config(dir.path()), 1).unwrap().0, 0).len(), 10);
}

#[test]
fn files_of_another_queue_are_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(with_frames(dir.path(), &["a"]));
    drop(with_frames(other.path(), &["b"]));
    fs::copy(&files(other.path(), "seg")[0], dir.path().join("00000000000000000002.seg")).unwrap();
    assert!(matches!(EmbeddedQueue::open(config(dir.path()), 1), Err(OpenError::OtherQueue { .. })));
}

#[test]
fn an_empty_segment_without_a_header_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    queue.register("store", 10);
    drop(queue);
    change(&files(dir.path(), "seg")[0], |bytes| bytes[3] ^= 1);
    let (_queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert_eq!((report.next_offset, report.damaged_records, report.damaged_files.len()), (10, 0, 0));
}

#[test]
fn left_overs_of_a_crash_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_frames(dir.path(), &["a"]));
    fs::write(dir.path().join("queue.tmp"), b"half").unwrap();
    fs::write(dir.path().join("00000000000000000002.seg"), b"WFQU").unwrap();
    let (queue, report) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    assert_eq!((report.next_offset, report.damaged_records, report.damaged_files.len()), (2, 0, 0));
    assert!(!dir.path().join("queue.tmp").exists());
    queue.register("store", 0);
    eventually("the consumer is noted", || fs::read(dir.path().join("queue.state")).unwrap().len() > 64);
    assert_eq!(read_all(&queue, 0).len(), 2);
}
