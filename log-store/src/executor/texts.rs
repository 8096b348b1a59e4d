//! The texts of a field in a block, each once, and which rows have which.

use hashbrown::HashTable;
use watchfire_model::record::ValueRef;

use super::collect::count_text;
use super::distinct::hash_text;

/// Texts by number, and pairs of (row, text).
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: String,
    /// Where each text ends, and its hash.
    entries: Vec<(u32, u64)>,
    known: HashTable<u32>,
    /// Ascending and unique once [`Texts::finish`] was called. A row may have none, one or several.
    pub pairs: Vec<(u32, u32)>,
}

impl Texts {
    /// How many different texts.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A text by its number.
    pub fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let start = id.checked_sub(1).map_or(0, |before| self.entries[before].0 as usize);
        &self.bytes[start..self.entries[id].0 as usize]
    }

    /// The hash of a text.
    pub fn hash(&self, id: u32) -> u64 {
        self.entries[id as usize].1
    }

    /// The number of a text.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = hash_text(text);
        let known = self.known.find(hash, |id| self.hash(*id) == hash && self.get(*id) == text);
        if let Some(id) = known {
            return *id;
        }
        let id = self.entries.len() as u32;
        self.bytes.push_str(text);
        self.entries.push((self.bytes.len() as u32, hash));
        let entries = &self.entries;
        self.known.insert_unique(hash, id, |id| entries[*id as usize].1);
        id
    }

    /// Gives a row the texts of a value.
    pub fn add(&mut self, row: u32, value: ValueRef<'_>) {
        match value {
            ValueRef::Text(text) => {
                let id = self.intern(text);
                self.pairs.push((row, id));
            }
            value => count_text(value, 1, &mut |text, _| {
                let id = self.intern(text);
                self.pairs.push((row, id));
            }),
        }
    }

    /// The numbers of the texts of a value.
    pub fn ids_of(&mut self, value: ValueRef<'_>) -> Vec<u32> {
        let mut ids = Vec::new();
        count_text(value, 1, &mut |text, _| ids.push(self.intern(text)));
        ids
    }

    /// Calls `count` with each text that rows have, and how many rows have it.
    pub fn count(&self, count: &mut dyn FnMut(&str, u64)) {
        let mut counts = vec![0; self.len()];
        self.pairs.iter().for_each(|(_, id)| counts[*id as usize] += 1);
        for (id, rows) in counts.into_iter().enumerate().filter(|(_, rows)| *rows > 0) {
            count(self.get(id as u32), rows);
        }
    }

    /// Brings the pairs into order.
    pub fn finish(mut self) -> Texts {
        if !self.pairs.is_sorted_by(|a, b| a < b) {
            self.pairs.sort_unstable();
            self.pairs.dedup();
        }
        self
    }
}
