//! Many callers at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{batch, config, key, read_all, wait};
use watchfire_queue::{Batch, EmbeddedQueue, QueueConfig, ReadError};

#[test]
fn offsets_are_contiguous_and_every_reader_sees_all_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let config = QueueConfig { in_flight_bytes: 20_000, tail_bytes: 50_000, ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open(config.clone(), 1).unwrap();
    queue.register("store", 0);
    let appended = Mutex::new(BTreeMap::new());
    let read: Vec<BTreeMap<u64, Vec<u8>>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|number| {
                let mut reader = queue.reader(0);
                scope.spawn(move || {
                    let mut seen = BTreeMap::new();
                    let mut expected = 0;
                    loop {
                        match reader.next(Duration::from_secs(60)) {
                            Ok(batch) => {
                                let batch = batch.expect("within a minute");
                                assert_eq!(batch.first_offset(), expected, "reader {number}");
                                expected = batch.next_offset();
                                seen.extend((batch.first_offset()..).zip(batch.records().map(<[u8]>::to_vec)));
                            }
                            Err(ReadError::Closed) => return seen,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..16u64)
            .map(|writer| {
                let (queue, appended) = (&queue, &appended);
                scope.spawn(move || {
                    for round in 0..40u64 {
                        let size = ((writer * 131 + round * 977) % 3000) as usize;
                        let records: Vec<Vec<u8>> = (0..1 + round % 4)
                            .map(|index| {
                                let mut record = format!("{writer} {round} {index} ").into_bytes();
                                record.resize(record.len() + size, b'x');
                                record
                            })
                            .collect();
                        let answer = wait(queue.append(batch(&records))).unwrap();
                        assert_eq!(answer.accepted as usize, records.len());
                        appended.lock().unwrap().extend((answer.first_offset..).zip(records));
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        queue.close();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let appended = appended.into_inner().unwrap();
    assert_eq!(appended.len(), 16 * 100);
    assert!(appended.keys().copied().eq(0..1600), "no gaps, no offset twice");
    assert!(read.iter().all(|seen| *seen == appended));
    let (queue, _) = EmbeddedQueue::open(config, 1).unwrap();
    assert_eq!(read_all(&queue, 0).into_iter().collect::<BTreeMap<_, _>>(), appended);
}

#[test]
fn the_same_key_from_many_callers_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    let accepted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..60 {
                    let mut batch = Batch::new();
                    batch.push(&[number as u8], Some(key(number)));
                    let answer = wait(queue.append(batch)).unwrap();
                    accepted.fetch_add(u64::from(answer.accepted), Ordering::Relaxed);
                    let offset = answer.duplicates.first().map_or(answer.first_offset, |duplicate| duplicate.offset);
                    let stored =
                        queue.reader(offset).next(Duration::ZERO).unwrap().expect("what is answered is durable");
                    assert_eq!(stored.records().next(), Some(&[number as u8][..]));
                }
            });
        }
    });
    assert_eq!(accepted.into_inner(), 60);
    assert_eq!(queue.stats().duplicates_total, 7 * 60);
    assert_eq!(read_all(&queue, 0).len(), 60);
}

#[test]
fn closing_answers_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = EmbeddedQueue::open(config(dir.path()), 1).unwrap();
    let answered = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while wait(queue.append(batch(["x"]))).is_ok() {
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        while queue.stats().records_total < 100 {
            std::thread::yield_now();
        }
        queue.close();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum::<u64>()
    });
    assert_eq!(queue.stats().next_offset, answered);
    drop(queue);
    assert_eq!(read_all(&EmbeddedQueue::open(config(dir.path()), 1).unwrap().0, 0).len() as u64, answered);
}

#[test]
fn callers_that_go_away_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = QueueConfig { in_flight_bytes: 4096, ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open(config, 1).unwrap();
    for _ in 0..200 {
        // Begun and dropped: the batch may be stored or not, and its room is given back.
        let mut future = std::pin::pin!(queue.append(batch([[0; 1000]])));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = future.as_mut().poll(&mut context);
    }
    assert!(wait(queue.append(batch([[1; 4000]]))).is_ok());
}
