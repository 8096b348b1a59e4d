//! The power fails at any moment: of what was not synced, any part of any page may be there, and any first part of
//! the changes of names. All that was acknowledged has to be there, and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::support::{config, eventually, key, read_all, wait};
use crate::disk::{Change, Disk, Probe};
use crate::{Batch, EmbeddedQueue, QueueConfig};

const PAGE_BYTES: u64 = 4096;

#[derive(Clone, Debug)]
enum Event {
    Change(Change),
    /// A batch is handed in: number, texts and keys.
    Submitted(Vec<(Vec<u8>, Option<u64>)>),
    /// The last submitted batch is answered: the offset of each record.
    Answered(Vec<u64>),
    /// The consumer needs nothing below.
    Released(u64),
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Probe for Recorder {
    fn before(&self, change: &Change) -> io::Result<()> {
        self.0.lock().push(Event::Change(change.clone()));
        Ok(())
    }
}

/// A file's contents: what is durable, and what was done since.
#[derive(Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    unsynced: Vec<Edit>,
}

#[derive(Clone)]
enum Edit {
    Write(u64, Vec<u8>),
    SetLength(u64),
}

impl Edit {
    fn apply(&self, contents: &mut Vec<u8>, keeps: &mut dyn FnMut() -> bool) {
        match self {
            Edit::SetLength(length) if keeps() => contents.resize(*length as usize, 0),
            Edit::SetLength(_) => {}
            Edit::Write(position, bytes) => {
                let end = position + bytes.len() as u64;
                for page in position / PAGE_BYTES..=(end - 1) / PAGE_BYTES {
                    let from = (page * PAGE_BYTES).max(*position);
                    let to = ((page + 1) * PAGE_BYTES).min(end);
                    if keeps() {
                        contents.resize(contents.len().max(to as usize), 0);
                        let source = &bytes[(from - position) as usize..(to - position) as usize];
                        contents[from as usize..to as usize].copy_from_slice(source);
                    }
                }
            }
        }
    }
}

/// What a disk holds, and what a power cut may leave of it.
#[derive(Default)]
struct Model {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    /// The names at the last sync of the folder, and after each change since.
    histories: Vec<BTreeMap<PathBuf, usize>>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        let always = &mut || true;
        match change {
            Change::Create(path) => {
                self.inodes.push(Inode::default());
                self.names.insert(path.clone(), self.inodes.len() - 1);
                self.histories.push(self.names.clone());
            }
            Change::Write(path, position, bytes) => {
                self.inode(path).unsynced.push(Edit::Write(*position, bytes.clone()));
            }
            Change::SetLength(path, length) => self.inode(path).unsynced.push(Edit::SetLength(*length)),
            Change::Sync(path) => {
                let inode = self.inode(path);
                let edits = std::mem::take(&mut inode.unsynced);
                edits.iter().for_each(|edit| edit.apply(&mut inode.durable, always));
            }
            Change::Rename(from, to) => {
                let inode = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), inode);
                self.histories.push(self.names.clone());
            }
            Change::Remove(path) => {
                self.names.remove(path);
                self.histories.push(self.names.clone());
            }
            Change::SyncFolder(_) => self.histories = vec![self.names.clone()],
        }
    }

    fn inode(&mut self, path: &Path) -> &mut Inode {
        let inode = self.names[path];
        &mut self.inodes[inode]
    }

    /// Writes what is left into a folder.
    fn write(&self, folder: &Path, rng: &mut TestRng) {
        let history = rng.next_u32() as usize % self.histories.len().max(1);
        for (path, inode) in self.histories.get(history).into_iter().flatten() {
            let inode = &self.inodes[*inode];
            let mut contents = inode.durable.clone();
            // All, none, or any pages.
            let chance = [0, 128, 256][rng.next_u32() as usize % 3];
            inode.unsynced.iter().for_each(|edit| edit.apply(&mut contents, &mut || rng.next_u32() % 256 < chance));
            fs::write(folder.join(path.file_name().unwrap()), contents).unwrap();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, Option<u64>)>),
    Release,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let record = (0..6000usize, prop::option::weighted(0.3, 0..40u64));
    prop_oneof![
        12 => prop::collection::vec(record, 1..12).prop_map(Step::Append),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_acknowledged_survives_a_power_cut(
        steps in prop::collection::vec(step(), 1..50),
        seed in any::<[u8; 32]>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let events = record(dir.path(), &steps);
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        for _ in 0..12 {
            let cut = rng.next_u32() as usize % (events.len() + 1);
            check_cut(&events[..cut], &mut rng);
        }
    }
}

/// Runs the steps on a queue and returns all that happened.
fn record(dir: &Path, steps: &[Step]) -> Vec<Event> {
    let recorder = Arc::new(Recorder::default());
    let disk = Disk { probe: Some(Arc::clone(&recorder) as Arc<dyn Probe>) };
    let open = || EmbeddedQueue::open_on(disk.clone(), small(dir), 1).unwrap().0;
    let mut queue = open();
    queue.register("store", 0);
    let (mut number, mut released) = (0u32, 0);
    for step in steps {
        match step {
            Step::Append(records) => {
                let mut batch = Batch::new();
                let mut submitted = Vec::new();
                for (bytes, chosen) in records {
                    number += 1;
                    let mut record = number.to_le_bytes().to_vec();
                    record.resize(4 + bytes, number as u8);
                    batch.push(&record, chosen.map(key));
                    submitted.push((record, *chosen));
                }
                recorder.0.lock().push(Event::Submitted(submitted));
                let answer = wait(queue.append(batch)).unwrap();
                let mut fresh = answer.first_offset..;
                let offsets = (0..records.len() as u32)
                    .map(|index| match answer.duplicates.iter().find(|duplicate| duplicate.index == index) {
                        Some(duplicate) => duplicate.offset,
                        None => fresh.next().unwrap(),
                    })
                    .collect();
                recorder.0.lock().push(Event::Answered(offsets));
            }
            Step::Release => {
                released = queue.stats().next_offset;
                recorder.0.lock().push(Event::Released(released));
                queue.release("store", released);
                eventually("released segments go", || queue.stats().segments == 1);
            }
            Step::Reopen => {
                drop(queue);
                queue = open();
                queue.register("store", released);
            }
        }
    }
    drop(queue);
    std::mem::take(&mut *recorder.0.lock())
}

fn small(dir: &Path) -> QueueConfig {
    QueueConfig { gather_max: std::time::Duration::ZERO, ..config(dir) }
}

/// The power fails after these events.
fn check_cut(events: &[Event], rng: &mut TestRng) {
    let mut model = Model::default();
    let mut released = 0;
    let mut in_flight: Vec<(Vec<u8>, Option<u64>)> = Vec::new();
    // Of each acknowledged record that was stored: its offset. Of each acknowledged key: the offset.
    let mut acknowledged: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut key_offsets: BTreeMap<u64, u64> = BTreeMap::new();
    for event in events {
        match event {
            Event::Change(change) => model.apply(change),
            Event::Released(offset) => released = *offset,
            Event::Submitted(records) => in_flight = records.clone(),
            Event::Answered(offsets) => {
                for ((record, key), offset) in in_flight.drain(..).zip(offsets) {
                    acknowledged.entry(*offset).or_insert(record);
                    key.map(|key| *key_offsets.entry(key).or_insert(*offset));
                }
            }
        }
    }
    let image = tempfile::tempdir().unwrap();
    model.write(image.path(), rng);
    let (queue, report) = EmbeddedQueue::open(small(image.path()), 2).unwrap();
    assert!(report.damaged.iter().all(|damage| !damage.certain), "{report:?}");
    let end = acknowledged.keys().next_back().map_or(0, |offset| offset + 1);
    assert!(report.next_offset >= end, "{report:?}");
    let read = read_all(&queue, 0);
    let found: BTreeMap<u64, Vec<u8>> = read.iter().cloned().collect();
    assert_eq!(found.len(), read.len());
    for (offset, record) in acknowledged.range(released..) {
        assert_eq!(found.get(offset), Some(record), "offset {offset}, {report:?}");
    }
    for (offset, record) in &found {
        let is_in_flight = *offset >= end && in_flight.iter().any(|(sent, _)| sent == record);
        assert!(acknowledged.get(offset) == Some(record) || is_in_flight, "offset {offset}, {report:?}");
    }
    assert_eq!(found.values().collect::<BTreeSet<_>>().len(), found.len(), "nothing is there twice");
    for (number, offset) in key_offsets {
        let mut batch = Batch::new();
        batch.push(b"again", Some(key(number)));
        let answer = wait(queue.append(batch)).unwrap();
        assert_eq!(answer.duplicates.first().map(|duplicate| duplicate.offset), Some(offset), "{report:?}");
    }
}
