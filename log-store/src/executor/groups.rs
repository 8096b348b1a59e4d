//! Which rows of a block are in which group.

use std::ops::Range;

use hashbrown::HashMap;

use super::texts::Texts;
use crate::values::Bits;

/// Products of groups and texts up to this are looked up in a table.
const TABLE_MAX: usize = 1 << 16;
/// A place of the table that stands for no group yet.
const FREE: u32 = u32::MAX;

/// What a row has.
type Item<T> = (u32, T);

/// Pairs of (row, group), and what each group stands for.
#[derive(Debug)]
pub(super) struct Groups {
    /// Ascending by row; a row may be in several groups.
    pairs: Vec<(u32, u32)>,
    /// The bar of each group of the first level.
    bars: Vec<u32>,
    /// A level per field: the texts, and for each group that of the level before and its text.
    levels: Vec<(Texts, Vec<(u32, u32)>)>,
}

impl Groups {
    /// Rows of the set by the bar that they are in; `runs` cover all rows in order.
    pub fn by_bar(rows: &Bits, runs: &[(Range<usize>, usize)]) -> Groups {
        let mut groups = Groups { pairs: Vec::with_capacity(rows.count()), bars: Vec::new(), levels: Vec::new() };
        let mut known: HashMap<usize, u32> = HashMap::new();
        let mut rows = rows.iter().peekable();
        for (range, bar) in runs {
            if rows.peek().is_none_or(|row| *row >= range.end) {
                continue;
            }
            let group = *known.entry(*bar).or_insert_with(|| {
                groups.bars.push(*bar as u32);
                groups.bars.len() as u32 - 1
            });
            while let Some(row) = rows.next_if(|row| *row < range.end) {
                groups.pairs.push((row as u32, group));
            }
        }
        groups
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.levels.last().map_or(self.bars.len(), |(_, groups)| groups.len())
    }

    /// Divides each group by the texts of a field; rows without one are a group as well.
    pub fn refine(&mut self, texts: Texts) {
        let absent = texts.len() as u32;
        let width = texts.len() + 1;
        let size = self.len() * width;
        let mut table = if size <= TABLE_MAX { vec![FREE; size] } else { Vec::new() };
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        let mut groups: Vec<(u32, u32)> = Vec::new();
        let mut put = |group: u32, text: u32| {
            let slot = match table.get_mut(group as usize * width + text as usize) {
                Some(slot) => slot,
                None => known.entry((group, text)).or_insert(FREE),
            };
            if *slot == FREE {
                *slot = groups.len() as u32;
                groups.push((group, text));
            }
            *slot
        };
        let mut pairs = Vec::with_capacity(self.pairs.len());
        let mut rest = texts.pairs.as_slice();
        for of_row in self.pairs.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((row, _)) = of_row.first() else { continue };
            let (here, behind) = split_row(rest, *row);
            rest = behind;
            for (_, group) in of_row {
                if here.is_empty() {
                    pairs.push((*row, put(*group, absent)));
                }
                pairs.extend(here.iter().map(|(_, text)| (*row, put(*group, *text))));
            }
        }
        self.pairs = pairs;
        self.levels.push((texts, groups));
    }

    /// How many rows each group has.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.len()];
        self.pairs.iter().for_each(|(_, group)| counts[*group as usize] += 1);
        counts
    }

    /// Calls `visit` with each group of each row that has something, and what it has. `items` ascend by row.
    pub fn join<T: Copy>(&self, items: &[(u32, T)], mut visit: impl FnMut(usize, T)) {
        let mut rest = items;
        for of_row in self.pairs.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((row, _)) = of_row.first() else { continue };
            let (here, behind) = split_row(rest, *row);
            rest = behind;
            for (_, group) in of_row {
                here.iter().for_each(|(_, item)| visit(*group as usize, *item));
            }
        }
    }

    /// The bar of a group, and its text on each level.
    pub fn key(&self, mut group: usize) -> (u32, Box<[Option<Box<str>>]>) {
        let mut key = Vec::with_capacity(self.levels.len());
        for (texts, groups) in self.levels.iter().rev() {
            let (before, text) = groups[group];
            key.push(((text as usize) < texts.len()).then(|| texts.get(text).into()));
            group = before as usize;
        }
        key.reverse();
        (self.bars[group], key.into())
    }
}

/// The items of a row, and those of later rows; items of earlier rows are passed over.
fn split_row<T>(items: &[Item<T>], row: u32) -> (&[Item<T>], &[Item<T>]) {
    let start = items.iter().position(|(of, _)| *of >= row).unwrap_or(items.len());
    let items = &items[start..];
    items.split_at(items.iter().position(|(of, _)| *of > row).unwrap_or(items.len()))
}
