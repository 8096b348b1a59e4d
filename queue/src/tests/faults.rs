//! A disk that refuses: nothing of a failed commit is acknowledged, and all goes on when the disk does.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use proptest::prelude::*;

use super::support::{batch, config, eventually, key, read_all, wait};
use crate::disk::{Change, Disk, Probe};
use crate::{AppendError, Batch, EmbeddedQueue, QueueConfig};

/// What the disk refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Writes stop in the middle: no space.
    HalfWrite,
    /// Nothing can be made durable; what was written stays in the file.
    Sync,
    /// No new files, and none replaced.
    Create,
    /// Neither writing nor cutting off.
    WriteAndCut,
}

#[derive(Default)]
struct Refusing(Mutex<Option<Fault>>);

impl Probe for Refusing {
    fn before(&self, change: &Change) -> io::Result<()> {
        match (*self.0.lock(), change) {
            (Some(Fault::HalfWrite | Fault::WriteAndCut), Change::Write(path, position, bytes)) => {
                let file = OpenOptions::new().write(true).open(path)?;
                file.write_all_at(&bytes[..bytes.len() / 2], *position)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            (Some(Fault::Sync), Change::Sync(_))
            | (Some(Fault::WriteAndCut), Change::SetLength(..))
            | (Some(Fault::Create), Change::Create(_)) => Err(io::Error::other("it fails")),
            _ => Ok(()),
        }
    }
}

fn probed<P: Probe + 'static>(probe: &Arc<P>) -> Disk {
    Disk { probe: Some(Arc::clone(probe) as Arc<dyn Probe>) }
}

#[derive(Clone, Debug)]
enum Step {
    Fault(Option<Fault>),
    Append { bytes: usize, key: Option<u64> },
    Release,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(None),
        Just(None),
        Just(Some(Fault::HalfWrite)),
        Just(Some(Fault::Sync)),
        Just(Some(Fault::Create)),
        Just(Some(Fault::WriteAndCut)),
    ];
    prop_oneof![
        2 => fault.prop_map(Step::Fault),
        8 => (1..30_000usize, prop::option::of(0..20u64)).prop_map(|(bytes, key)| Step::Append { bytes, key }),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_acknowledged_is_there_whatever_the_disk_refuses(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let refusing = Arc::new(Refusing::default());
        let open = || EmbeddedQueue::open_on(probed(&refusing), config(dir.path()), 1).unwrap();
        let (mut queue, _) = open();
        queue.register("store", 0);
        let (mut acknowledged, mut unsure, mut key_offsets) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let (mut released, mut number) = (0, 0u64);
        for step in steps {
            match step {
                Step::Fault(fault) => *refusing.0.lock() = fault,
                Step::Append { bytes, key: chosen } => {
                    number += 1;
                    let mut record = number.to_le_bytes().to_vec();
                    record.resize(8 + bytes, number as u8);
                    let mut batch = Batch::new();
                    batch.push(&record, chosen.map(key));
                    match wait(queue.append(batch)) {
                        Ok(answer) if answer.accepted == 1 => {
                            prop_assert!(chosen.is_none_or(|chosen| !key_offsets.contains_key(&chosen)));
                            chosen.map(|chosen| key_offsets.insert(chosen, answer.first_offset));
                            prop_assert!(acknowledged.insert(answer.first_offset, record).is_none());
                        }
                        Ok(answer) => {
                            // A failed append may have been found by a reopening.
                            let offset = answer.duplicates[0].offset;
                            prop_assert_eq!(*key_offsets.entry(chosen.unwrap()).or_insert(offset), offset);
                        }
                        Err(AppendError::Io(_)) => {
                            prop_assert!(refusing.0.lock().is_some());
                            unsure.push(record);
                        }
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                }
                Step::Release => {
                    released = queue.stats().next_offset;
                    queue.release("store", released);
                }
                Step::Reopen => {
                    drop(queue);
                    *refusing.0.lock() = None;
                    let (opened, report) = open();
                    prop_assert!(report.damaged.is_empty(), "{:?}", report);
                    queue = opened;
                    queue.register("store", released);
                }
            }
            let found: BTreeMap<u64, Vec<u8>> = read_all(&queue, 0).into_iter().collect();
            for (offset, record) in acknowledged.range(released..) {
                prop_assert_eq!(found.get(offset), Some(record));
            }
            for (offset, record) in &found {
                prop_assert!(acknowledged.get(offset) == Some(record) || unsure.contains(record));
            }
        }
        *refusing.0.lock() = None;
        prop_assert!(wait(queue.append(batch([b"it goes on"]))).is_ok());
    }
}

/// Stops the committer in its first sync of records, and fails the second one.
#[derive(Default)]
struct Gate {
    /// Syncs of segments seen, after the one of the header.
    syncs: Mutex<usize>,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Probe for Gate {
    fn before(&self, change: &Change) -> io::Result<()> {
        let Change::Sync(path) = change else { return Ok(()) };
        if path.extension().is_none_or(|extension| extension != "seg") {
            return Ok(());
        }
        let mut syncs = self.syncs.lock();
        *syncs += 1;
        match *syncs {
            2 => {
                drop(syncs);
                let mut is_open = self.is_open.lock();
                while !*is_open {
                    self.opened.wait(&mut is_open);
                }
                Ok(())
            }
            3 => Err(io::Error::other("it fails")),
            _ => Ok(()),
        }
    }
}

#[test]
fn nothing_is_answered_or_shown_before_the_sync_and_duplicates_share_the_fate_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let (queue, _) = EmbeddedQueue::open_on(probed(&gate), config(dir.path()), 1).unwrap();
    let queue = &queue;
    let keyed = |text: &str| {
        let mut batch = Batch::new();
        batch.push(text.as_bytes(), Some(key(1)));
        batch
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| wait(queue.append(batch(["first"]))));
        eventually("the sync begins", || *gate.syncs.lock() == 2);
        let original = scope.spawn(|| wait(queue.append(keyed("original"))));
        eventually("it waits", || queue.shared.inbox.lock().requests.len() == 1);
        let duplicate = scope.spawn(|| wait(queue.append(keyed("duplicate"))));
        eventually("both wait", || queue.shared.inbox.lock().requests.len() == 2);

        assert!(!first.is_finished());
        assert!(queue.reader(0).next(Duration::ZERO).unwrap().is_none(), "it is written, but not durable");
        *gate.is_open.lock() = true;
        gate.opened.notify_all();
        assert_eq!(first.join().unwrap().unwrap().accepted, 1);
        assert!(matches!(original.join().unwrap(), Err(AppendError::Io(_))));
        assert!(matches!(duplicate.join().unwrap(), Err(AppendError::Io(_))));
    });
    assert_eq!(queue.stats().io_errors_total, 1);
    assert_eq!(wait(queue.append(keyed("again"))).unwrap().accepted, 1, "the key of the failed one is free");
    assert_eq!(wait(queue.append(keyed("again"))).unwrap().duplicates.len(), 1);
    assert_eq!(read_all(queue, 0), [(0, b"first".to_vec()), (1, b"again".to_vec())]);
    assert_eq!(queue.stats().segments, 2, "nothing is written behind a failed sync");
}

#[test]
fn failing_writes_are_told_and_their_end_is_found_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let refusing = Arc::new(Refusing::default());
    let (queue, _) = EmbeddedQueue::open_on(probed(&refusing), config(dir.path()), 1).unwrap();
    assert!(!queue.stats().write_failing);
    *refusing.0.lock() = Some(Fault::Sync);
    assert!(wait(queue.append(batch([b"refused"]))).is_err());
    assert!(queue.stats().write_failing);
    *refusing.0.lock() = None;
    // Nobody appends.
    eventually("a good state", || !queue.stats().write_failing);
    assert!(!dir.path().join("room.tmp").exists());
    assert!(wait(queue.append(batch([b"taken"]))).is_ok());
}

#[test]
fn failing_and_refused_appends_do_not_cost_older_keys() {
    let dir = tempfile::tempdir().unwrap();
    let refusing = Arc::new(Refusing::default());
    let config = QueueConfig { dedup_keys_max: 10, ..config(dir.path()) };
    let (queue, _) = EmbeddedQueue::open_on(probed(&refusing), config, 1).unwrap();
    let keyed = |numbers: std::ops::Range<u64>| {
        let mut batch = Batch::new();
        numbers.for_each(|number| batch.push(b"x", Some(key(number))));
        batch
    };
    wait(queue.append(keyed(0..10))).unwrap();
    *refusing.0.lock() = Some(Fault::Sync);
    for _ in 0..10 {
        assert!(wait(queue.append(keyed(100..110))).is_err());
        assert_eq!(wait(queue.append(keyed(0..10))).unwrap().duplicates.len(), 10, "needs no disk");
    }
    *refusing.0.lock() = None;
    assert_eq!(wait(queue.append(keyed(0..10))).unwrap().duplicates.len(), 10);
    assert_eq!(wait(queue.append(keyed(100..104))).unwrap().accepted, 4);
    assert_eq!(wait(queue.append(keyed(0..10))).unwrap().accepted, 4, "the oldest four made room");
}
