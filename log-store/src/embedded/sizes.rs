//! Which columns take how much of the disk.

use std::collections::{HashMap, HashSet};

use super::{ColumnSize, EmbeddedStore};
use crate::sealed::directory::Column;
use crate::sealed::section::Section;

impl EmbeddedStore {
    /// What each column takes in all sealed blocks, the largest first; of columns with the same values one counts.
    /// Reads the directory of every block; damaged ones are left out.
    pub fn column_sizes(&self) -> Vec<ColumnSize> {
        let mut sizes: HashMap<String, ColumnSize> = HashMap::new();
        for block in &self.inner.shared.snapshot().sealed {
            let Ok((directory, _)) = block.open() else { continue };
            let mut seen = HashSet::new();
            for column in &directory.columns {
                let name = column.name.to_string();
                let size = sizes.entry(name.clone()).or_insert_with(|| ColumnSize { name, ..ColumnSize::default() });
                size.values += u64::from(column.values);
                let bytes = bytes_of(column, &mut seen);
                size.bytes += bytes;
                size.filter_bytes += column.filter.filter(|_| bytes > 0).map_or(0, |filter| filter.bytes());
            }
        }
        let mut sizes: Vec<ColumnSize> = sizes.into_values().collect();
        sizes.sort_unstable_by(|a, b| (b.bytes + b.filter_bytes, &a.name).cmp(&(a.bytes + a.filter_bytes, &b.name)));
        sizes
    }
}

/// Bytes of the sections that are not in `seen` yet (by where they lie).
fn bytes_of(column: &Column, seen: &mut HashSet<u64>) -> u64 {
    let mut bytes = 0;
    let mut add = |section: &Section| {
        if seen.insert(section.offset) {
            bytes += u64::from(section.stored);
        }
    };
    column.presence.section().into_iter().for_each(&mut add);
    column.layout.each_section(&mut add);
    bytes
}
