//! Values of a column in the order of the block to be, wherever they lie now.

use super::dictionary::same;
use crate::values::{Arena, Raw};

/// A column on its way into a block.
#[derive(Debug)]
pub(crate) struct ColumnSource<'a> {
    /// The column in each part, if the part has it.
    arenas: Vec<Option<&'a Arena>>,
    /// Part and index of each value.
    items: std::borrow::Cow<'a, [(u32, u32)]>,
    /// The row of each value; `None` if every row has one.
    pub rows: Option<Vec<u32>>,
}

impl<'a> ColumnSource<'a> {
    /// From values that already are in order.
    pub fn plain(arena: &'a Arena) -> ColumnSource<'a> {
        let items: Vec<(u32, u32)> = (0..arena.len() as u32).map(|index| (0, index)).collect();
        ColumnSource { arenas: vec![Some(arena)], items: items.into(), rows: arena.rows().map(<[u32]>::to_vec) }
    }

    /// From parts of which every row has a value; `order` says part and row of each row of the block.
    pub fn dense(arenas: Vec<Option<&'a Arena>>, order: &'a [(u32, u32)]) -> ColumnSource<'a> {
        ColumnSource { arenas, items: order.into(), rows: None }
    }

    /// From values `(row of the block, part, index)`, in any order.
    pub fn sparse(arenas: Vec<Option<&'a Arena>>, mut values: Vec<(u32, u32, u32)>, rows: usize) -> ColumnSource<'a> {
        if !values.is_sorted() {
            values.sort_unstable();
        }
        let items: Vec<(u32, u32)> = values.iter().map(|(_, part, index)| (*part, *index)).collect();
        let every = values.len() == rows;
        let rows = (!every).then(|| values.into_iter().map(|(row, _, _)| row).collect());
        ColumnSource { arenas, items: items.into(), rows }
    }

    /// Only some of the values, by index.
    pub fn pick(&self, indexes: impl Iterator<Item = usize>) -> ColumnSource<'a> {
        let items: Vec<(u32, u32)> = indexes.map(|index| self.items[index]).collect();
        ColumnSource { arenas: self.arenas.clone(), items: items.into(), rows: None }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The value at `index`, which must be below `len`.
    #[inline]
    pub fn get(&self, index: usize) -> Raw<'a> {
        let (part, at) = self.items[index];
        self.arenas[part as usize].map_or(Raw::Null, |arena| arena.get(at as usize))
    }

    pub fn iter(&self) -> impl Iterator<Item = Raw<'a>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Whether another has the same values in the same rows.
    pub fn is_same(&self, other: &ColumnSource<'_>) -> bool {
        // Of parts that are equal as a whole, values are not compared one by one.
        let is_same_whole = || std::ptr::eq(&*self.items, &*other.items) && self.arenas == other.arenas;
        self.len() == other.len()
            && self.rows == other.rows
            && (is_same_whole() || self.iter().zip(other.iter()).all(|(mine, theirs)| same(mine, theirs)))
    }

    /// Bytes of all values that have bytes of their own.
    pub fn text_bytes(&self) -> u64 {
        if self.arenas.iter().flatten().all(|arena| arena.bytes().is_empty()) {
            return 0;
        }
        if self.arenas.iter().flatten().map(|arena| arena.len()).sum::<usize>() == self.len() {
            // No value comes twice, so these are all that there are.
            return self.arenas.iter().flatten().map(|arena| arena.bytes().len() as u64).sum();
        }
        self.iter().map(|value| value.bytes().len() as u64).sum()
    }

    /// The one kind of all values, if there is just one.
    pub fn uniform_tag(&self) -> Option<u8> {
        let mut tags = self.arenas.iter().flatten().filter(|arena| arena.len() > 0).map(|arena| arena.uniform_tag());
        if let Some(first) = tags.next()?
            && tags.all(|tag| tag == Some(first))
        {
            return Some(first);
        }
        // Parts may differ outside of the rows taken.
        let first = self.iter().next()?.tag();
        self.iter().all(|value| value.tag() == first).then_some(first)
    }
}
