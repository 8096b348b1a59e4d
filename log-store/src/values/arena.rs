//! A plain column: tags, fixed slots, and the bytes of texts one after another.

use super::raw::{Raw, tag};

/// Values of one column for some rows of a block, ascending by row.
///
/// Invariants: rows ascend and are unique; slots and tags are as many as values; byte ranges ascend.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arena {
    /// The rows that have a value; `None` while they are exactly `0..len`.
    rows: Option<Vec<u32>>,
    /// The kind of every value, if they are all of one kind.
    uniform: u8,
    /// The kind of each value once they differ.
    tags: Vec<u8>,
    /// Bits of a number; start (upper half) and length (lower half) of a text or other bytes.
    slots: Vec<u64>,
    bytes: Vec<u8>,
}

impl Arena {
    /// How many rows have a value.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Memory in use, bytes.
    pub fn memory(&self) -> usize {
        self.slots.len() * 8 + self.bytes.len() + self.tags.len() + self.rows.as_ref().map_or(0, Vec::len) * 4
    }

    /// Adds the value of a row above all rows so far; false (and nothing added) if the row is not above.
    pub fn push(&mut self, row: u32, value: Raw<'_>) -> bool {
        let len = self.slots.len();
        match &mut self.rows {
            Some(rows) => {
                if rows.last().is_some_and(|last| *last >= row) {
                    return false;
                }
                rows.push(row);
            }
            None if row as usize == len => {}
            None if (row as usize) < len => return false,
            None => {
                let mut rows: Vec<u32> = (0..len as u32).collect();
                rows.push(row);
                self.rows = Some(rows);
            }
        }
        self.push_value(value);
        true
    }

    /// Takes out the value of the last row, if it is that of this row.
    #[cold]
    pub fn take_back(&mut self, row: u32) {
        let Some(last) = self.slots.len().checked_sub(1).filter(|last| self.row(*last) == row) else { return };
        let tag = if self.tags.is_empty() { self.uniform } else { self.tags[last] };
        let slot = self.slots[last];
        self.slots.truncate(last);
        self.tags.truncate(last);
        if tag::has_bytes(tag) {
            self.bytes.truncate((slot >> 32) as usize);
        }
        if let Some(mut rows) = self.rows.take() {
            rows.truncate(last);
            self.set_rows(rows);
        }
    }

    /// Adds the value of the next row.
    pub fn push_next(&mut self, value: Raw<'_>) {
        let row = match &self.rows {
            Some(rows) => rows.last().map_or(0, |last| last + 1),
            None => self.slots.len() as u32,
        };
        self.push(row, value);
    }

    fn push_value(&mut self, value: Raw<'_>) {
        let tag = value.tag();
        if self.slots.is_empty() {
            self.uniform = tag;
        } else if !self.tags.is_empty() {
            self.tags.push(tag);
        } else if self.uniform != tag {
            self.tags = vec![self.uniform; self.slots.len()];
            self.tags.push(tag);
        }
        if tag::has_bytes(tag) {
            let bytes = value.bytes();
            self.slots.push((self.bytes.len() as u64) << 32 | bytes.len() as u64);
            self.bytes.extend_from_slice(bytes);
        } else {
            self.slots.push(value.bits());
        }
    }

    /// The one kind of all values, if there is just one.
    pub fn uniform_tag(&self) -> Option<u8> {
        (self.tags.is_empty() && !self.slots.is_empty()).then_some(self.uniform)
    }

    /// The value at `index` (not row), which must be below `len`.
    #[inline]
    pub fn get(&self, index: usize) -> Raw<'_> {
        let tag = if self.tags.is_empty() { self.uniform } else { self.tags[index] };
        let slot = self.slots[index];
        let bytes = if tag::has_bytes(tag) { self.span(slot) } else { &[] };
        Raw::from_parts(tag, slot, bytes).unwrap_or(Raw::Null)
    }

    fn span(&self, slot: u64) -> &[u8] {
        let start = (slot >> 32) as usize;
        &self.bytes[start..start + (slot & 0xffff_ffff) as usize]
    }

    /// All bytes, in order of values. With texts only, text follows text without a gap.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in [`Arena::bytes`] the bytes of the value at `index` end (kinds with bytes only).
    pub fn end_of(&self, index: usize) -> u32 {
        let slot = self.slots[index];
        ((slot >> 32) + (slot & 0xffff_ffff)) as u32
    }

    /// The row of the value at `index`.
    #[inline]
    pub fn row(&self, index: usize) -> u32 {
        self.rows.as_ref().map_or(index as u32, |rows| rows[index])
    }

    /// The index of a row's value.
    #[inline]
    pub fn index_of(&self, row: u32) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows.binary_search(&row).ok(),
            None => ((row as usize) < self.slots.len()).then_some(row as usize),
        }
    }

    /// The value of a row.
    pub fn of_row(&self, row: u32) -> Option<Raw<'_>> {
        self.index_of(row).map(|index| self.get(index))
    }

    /// The rows that have values; `None` if they are exactly `0..len`.
    pub fn rows(&self) -> Option<&[u32]> {
        self.rows.as_deref()
    }

    /// Says which rows the values belong to, after they were pushed as `0..len`.
    pub fn set_rows(&mut self, rows: Vec<u32>) {
        debug_assert_eq!(rows.len(), self.slots.len());
        let dense = rows.iter().enumerate().all(|(index, row)| *row as usize == index);
        self.rows = (!dense).then_some(rows);
    }

    /// Leaves room for more values and bytes.
    pub fn reserve(&mut self, values: usize, bytes: usize) {
        self.slots.reserve(values);
        self.bytes.reserve(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_kinds_and_repeats() {
        let mut arena = Arena::default();
        assert!(arena.push(0, Raw::Int(-5)));
        assert!(arena.push(1, Raw::Int(7)));
        assert_eq!((arena.uniform_tag(), arena.rows()), (Some(tag::INT), None));
        assert!(!arena.push(1, Raw::Null), "a row twice");
        assert!(arena.push(4, Raw::Text(b"four")));
        assert!(arena.push(9, Raw::Bool(true)));
        assert_eq!(arena.uniform_tag(), None);
        assert_eq!(arena.of_row(4), Some(Raw::Text(b"four")));
        assert_eq!(arena.of_row(3), None);
        assert_eq!((0..4).map(|index| arena.row(index)).collect::<Vec<_>>(), [0, 1, 4, 9]);
        assert_eq!((0..4).map(|index| arena.get(index).tag()).collect::<Vec<_>>(), [3, 3, 5, 2]);
        for (row, left) in [(9, 3), (9, 3), (4, 2), (1, 1), (0, 0), (0, 0)] {
            arena.take_back(row);
            assert_eq!((arena.len(), arena.bytes().len()), (left, if left > 2 { 4 } else { 0 }));
        }
        assert!(arena.push(0, Raw::Text(b"again")));
        assert_eq!((arena.uniform_tag(), arena.rows()), (Some(tag::TEXT), None));
    }
}
