//! Random operations against a vector and a map.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;

use crate::support::{config, key, read_all, read_on, wait};
use proptest::prelude::*;
use watchfire_queue::{Batch, EmbeddedQueue};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, Option<u64>)>),
    Read,
    ReadAgainFrom(prop::sample::Index),
    Release,
    Reopen,
    /// Closes, cuts so many bytes off the newest segment, opens.
    Cut(u64),
    /// Closes, flips a bit somewhere in a segment, opens.
    Flip(prop::sample::Index, prop::sample::Index, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let record = (0..4000usize, prop::option::weighted(0.4, 0..30u64));
    prop_oneof![
        10 => prop::collection::vec(record, 0..20).prop_map(Step::Append),
        3 => Just(Step::Read),
        1 => any::<prop::sample::Index>().prop_map(Step::ReadAgainFrom),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
        1 => (1..9000u64).prop_map(Step::Cut),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8u8)
            .prop_map(|(file, at, bit)| Step::Flip(file, at, bit)),
    ]
}

/// What should be there.
#[derive(Default)]
struct Model {
    records: BTreeMap<u64, Vec<u8>>,
    key_offsets: HashMap<u64, u64>,
    next_offset: u64,
    number: u32,
    /// All below was released, and may be deleted.
    released: u64,
    /// Offsets whose records were lost by cuts and flips.
    damaged: BTreeSet<u64>,
}

impl Model {
    fn append(&mut self, queue: &EmbeddedQueue, records: &[(usize, Option<u64>)]) {
        let mut batch = Batch::new();
        let mut texts = Vec::new();
        for (bytes, chosen) in records {
            self.number += 1;
            let mut text = self.number.to_le_bytes().to_vec();
            text.resize(4 + bytes, self.number as u8);
            batch.push(&text, chosen.map(key));
            texts.push(text);
        }
        let answer = wait(queue.append(batch)).unwrap();
        assert_eq!(answer.first_offset, self.next_offset);
        let mut duplicates = answer.duplicates.iter().peekable();
        for (index, (text, (_, chosen))) in (0u32..).zip(texts.into_iter().zip(records)) {
            if let Some(duplicate) = duplicates.next_if(|duplicate| duplicate.index == index) {
                assert_eq!(self.key_offsets.get(&chosen.unwrap()), Some(&duplicate.offset));
                continue;
            }
            if let Some(chosen) = chosen
                && let Some(before) = self.key_offsets.insert(*chosen, self.next_offset)
            {
                assert!(self.damaged.contains(&before), "only damage costs a key: {chosen} at {before}");
            }
            self.records.insert(self.next_offset, text);
            self.next_offset += 1;
        }
        assert_eq!(duplicates.next(), None);
    }

    /// Reads all, and takes note of what is missing from the first offset that recovery has seen on. Nothing may be
    /// deleted meanwhile.
    fn check(&mut self, queue: &EmbeddedQueue, first_offset: u64) {
        assert!((self.released..first_offset).all(|offset| self.damaged.contains(&offset)), "deleted too early");
        let found: BTreeMap<u64, Vec<u8>> = read_all(queue, 0).into_iter().collect();
        for (offset, record) in &found {
            assert_eq!(self.records.get(offset), Some(record), "offset {offset}");
        }
        self.damaged.extend((first_offset..self.next_offset).filter(|offset| !found.contains_key(offset)));
        self.records = found;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_queue_does_what_a_vector_and_a_map_do(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let open = |now| EmbeddedQueue::open(config(dir.path()), now).unwrap();
        let segments = || {
            let paths = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
            let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "seg")).collect();
            found.sort();
            found
        };
        let mut model = Model::default();
        let (mut queue, _) = open(1);
        queue.register("store", 0);
        let mut reader = queue.reader(0);
        for step in steps {
            match step {
                Step::Append(records) => model.append(&queue, &records),
                Step::Read => {
                    for (offset, record) in read_on(&mut reader) {
                        prop_assert_eq!(model.records.get(&offset), Some(&record));
                    }
                    prop_assert_eq!(reader.position(), model.next_offset);
                }
                Step::ReadAgainFrom(index) => {
                    let from = model.released + index.index((model.next_offset - model.released + 1) as usize) as u64;
                    let found = read_all(&queue, from);
                    let expected: Vec<_> = model.records.range(from..).map(|(at, record)| (*at, record.clone())).collect();
                    prop_assert_eq!(found, expected);
                }
                Step::Release => {
                    model.released = reader.position();
                    queue.release("store", model.released);
                }
                Step::Reopen | Step::Cut(_) | Step::Flip(..) => {
                    let position = reader.position();
                    drop(reader);
                    drop(queue);
                    match &step {
                        Step::Cut(bytes) => {
                            let newest = segments().pop().unwrap();
                            let length = fs::metadata(&newest).unwrap().len();
                            let file = fs::OpenOptions::new().write(true).open(&newest).unwrap();
                            file.set_len(length.saturating_sub(*bytes).max(64)).unwrap();
                        }
                        Step::Flip(file, at, bit) => {
                            let segments = segments();
                            let path = file.get(&segments);
                            let mut bytes = fs::read(path).unwrap();
                            let at = at.index(bytes.len());
                            bytes[at] ^= 1 << bit;
                            fs::write(path, bytes).unwrap();
                        }
                        _ => {}
                    }
                    let (opened, report) = open(2);
                    queue = opened;
                    prop_assert_eq!(report.next_offset, model.next_offset);
                    let known = model.damaged.len();
                    model.check(&queue, report.first_offset);
                    let lost = model.damaged.range(report.first_offset.max(model.released)..).count() as u64;
                    prop_assert_eq!(queue.stats().lost_records_total, lost, "each lost record is counted once");
                    let can_lose = matches!(step, Step::Cut(_) | Step::Flip(..));
                    prop_assert!(can_lose || model.damaged.len() == known);
                    queue.register("store", model.released);
                    reader = queue.reader(position);
                }
            }
        }
        let (known, found) = (model.damaged.clone(), read_all(&queue, 0).into_iter().collect::<BTreeMap<_, _>>());
        let expected = |offset: &u64| !known.contains(offset);
        prop_assert!((model.released..model.next_offset).filter(expected).all(|offset| found[&offset] == model.records[&offset]));
    }
}
