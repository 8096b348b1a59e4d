//! The conformance suite: generic over what makes an empty queue and opens it again.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire_queue::{AppendError, Batch, Batches, Positions, Queue, ReadError};

use crate::support::{batch, key, wait};

/// Where a queue lives.
pub trait Backend {
    /// Opens the queue, which is empty at first and keeps what it has when it was closed.
    fn open(&mut self) -> Box<dyn Queue>;
}

/// Runs all checks, each on an empty queue.
pub fn run(fresh: &mut dyn FnMut() -> Box<dyn Backend>) {
    for check in [
        batches_come_out_as_they_went_in,
        appended_records_outlive_a_restart,
        a_key_is_stored_once_also_after_a_restart,
        a_key_stands_for_the_contents_it_was_used_for_first,
        consumers_have_positions_of_their_own,
        a_waiting_consumer_is_woken,
        a_closed_queue_says_so,
    ] {
        check(fresh().as_mut());
    }
}

/// How long to wait for what has to come.
const SOON: Duration = Duration::from_secs(30);

/// Reads until so many records came; by partition, in order.
fn read(batches: &mut dyn Batches, count: usize) -> BTreeMap<u32, Vec<(u64, Vec<u8>)>> {
    let mut found: BTreeMap<u32, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    while found.values().map(Vec::len).sum::<usize>() < count {
        let batch = batches.next(SOON).unwrap().expect("it comes soon");
        let records = found.entry(batch.partition()).or_default();
        assert!(records.last().is_none_or(|(offset, _)| *offset < batch.first_offset()), "offsets ascend");
        records.extend((batch.first_offset()..).zip(batch.records().map(<[u8]>::to_vec)));
    }
    found
}

fn texts(found: &BTreeMap<u32, Vec<(u64, Vec<u8>)>>) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = found.values().flatten().map(|(_, text)| text.clone()).collect();
    texts.sort();
    texts
}

fn batches_come_out_as_they_went_in(backend: &mut dyn Backend) {
    let queue = backend.open();
    let large = vec![b'z'; 20_000];
    let records = [b"a".as_slice(), b"", b"b\0\n\xff", &large];
    let answer = wait(queue.append(batch(records))).unwrap();
    assert_eq!((answer.accepted, answer.duplicates.len()), (4, 0));
    let found = read(queue.batches(&Positions::new()).as_mut(), 4);
    let mut expected: Vec<Vec<u8>> = records.map(<[u8]>::to_vec).to_vec();
    expected.sort();
    assert_eq!(texts(&found), expected);
}

fn appended_records_outlive_a_restart(backend: &mut dyn Backend) {
    let queue = backend.open();
    for number in 0..50 {
        wait(queue.append(batch([format!("{number:02}")]))).unwrap();
    }
    let before = read(queue.batches(&Positions::new()).as_mut(), 50);
    queue.close();
    drop(queue);
    let queue = backend.open();
    assert_eq!(read(queue.batches(&Positions::new()).as_mut(), 50), before, "the same offsets");
}

fn a_key_is_stored_once_also_after_a_restart(backend: &mut dyn Backend) {
    let keyed = || {
        let mut batch = Batch::new();
        batch.push(b"once", Some(key(7)));
        batch
    };
    let queue = backend.open();
    let first = wait(queue.append(keyed())).unwrap();
    assert_eq!(first.accepted, 1);
    let second = wait(queue.append(keyed())).unwrap();
    assert_eq!((second.accepted, second.duplicates.len()), (0, 1));
    assert_eq!(second.duplicates[0].offset, first.first_offset);
    queue.close();
    drop(queue);
    let queue = backend.open();
    let third = wait(queue.append(keyed())).unwrap();
    assert_eq!((third.epoch, third.accepted), (first.epoch, 0));
    wait(queue.append(batch(["end"]))).unwrap();
    let found = read(queue.batches(&Positions::new()).as_mut(), 2);
    assert_eq!(texts(&found), [b"end".to_vec(), b"once".to_vec()]);
}

fn a_key_stands_for_the_contents_it_was_used_for_first(backend: &mut dyn Backend) {
    let request = |texts: &[&str], contents: u32| {
        let mut batch = Batch::new();
        for (at, text) in (0u64..).zip(texts) {
            batch.push(text.as_bytes(), Some(key(at).with_contents(contents)));
        }
        batch.claim(key(0).with_contents(contents));
        batch
    };
    // Its records have ids of their own, as far as they have any: only the request is known by its key.
    let claimed = |text: &str, contents: u32| {
        let mut batch = batch([text]);
        batch.claim(key(100).with_contents(contents));
        batch
    };
    let queue = backend.open();
    let refused = |batch: Batch| matches!(wait(queue.append(batch)), Err(AppendError::Reused));
    assert_eq!(wait(queue.append(request(&["a", "b"], 1))).unwrap().accepted, 2);
    assert!(refused(request(&["x", "y", "z"], 2)));
    assert_eq!(wait(queue.append(claimed("c", 1))).unwrap().accepted, 1);
    assert!(refused(claimed("x", 2)));
    // The first part of a body is there, the whole comes again.
    let repeat = wait(queue.append(request(&["a", "b", "d"], 1))).unwrap();
    assert_eq!((repeat.accepted, repeat.duplicates.len()), (1, 2));
    // Who says nothing of contents means whatever there is.
    let mut plain = Batch::new();
    plain.push(b"x", Some(key(0)));
    assert_eq!(wait(queue.append(plain)).unwrap().duplicates.len(), 1);
    queue.close();
    drop(queue);
    let queue = backend.open();
    let refused = |batch: Batch| matches!(wait(queue.append(batch)), Err(AppendError::Reused));
    assert!(refused(request(&["x"], 2)) && refused(claimed("x", 2)));
    assert_eq!(wait(queue.append(request(&["a", "b"], 1))).unwrap().duplicates.len(), 2);
    let found = read(queue.batches(&Positions::new()).as_mut(), 4);
    assert_eq!(texts(&found), ["a", "b", "c", "d"].map(|text| text.as_bytes().to_vec()));
}

fn consumers_have_positions_of_their_own(backend: &mut dyn Backend) {
    let queue = backend.open();
    queue.register("store", &Positions::new());
    queue.register("metrics", &Positions::new());
    for number in 0..20 {
        wait(queue.append(batch([format!("{number:02}")]))).unwrap();
    }
    let all = read(queue.batches(&Positions::new()).as_mut(), 20);
    let from: Positions = all.iter().map(|(partition, records)| (*partition, records[records.len() / 2].0)).collect();
    let rest: BTreeMap<_, Vec<_>> =
        all.iter().map(|(partition, records)| (*partition, records[records.len() / 2..].to_vec())).collect();
    let count = rest.values().map(Vec::len).sum();
    assert_eq!(read(queue.batches(&from).as_mut(), count), rest);
    for (partition, offset) in from {
        queue.release("store", partition, offset);
    }
    assert_eq!(read(queue.batches(&Positions::new()).as_mut(), 20), all, "the other consumer needs them still");
}

fn a_waiting_consumer_is_woken(backend: &mut dyn Backend) {
    let queue = backend.open();
    let mut batches = queue.batches(&Positions::new());
    assert!(batches.next(Duration::ZERO).unwrap().is_none());
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read(batches.as_mut(), 1));
        wait(queue.append(batch(["here"]))).unwrap();
        assert_eq!(texts(&reading.join().unwrap()), [b"here"]);
    });
}

fn a_closed_queue_says_so(backend: &mut dyn Backend) {
    let queue = backend.open();
    let mut batches = queue.batches(&Positions::new());
    wait(queue.append(batch(["last"]))).unwrap();
    queue.close();
    assert!(matches!(wait(queue.append(batch(["late"]))), Err(AppendError::Closed)));
    read(batches.as_mut(), 1);
    assert!(matches!(batches.next(SOON), Err(ReadError::Closed)));
}
