//! Searching a chunk of the open block: brute force over plain columns.

use watchfire_model::LogRecord;
use watchfire_model::record::Column;

use super::block::{BarCounts, BlockView, Failure, Integer, Place, Wanted};
use super::budget::Budget;
use super::collect::memory_of;
use super::columns::ColumnView;
use super::leaf::{Kind, Leaf};
use super::ranking::{Ranked, Ranking};
use super::scan::scan;
use crate::histogram::Bars;
use crate::open_block::Rows;
use crate::open_block::chunk::OpenColumn;
use crate::query::LevelSet;
use crate::values::Bits;
use watchfire_model::Level;

/// A chunk, up to a number of rows.
pub(crate) struct OpenView<'a> {
    pub rows: &'a Rows,
    /// Rows that existed when the search began.
    pub len: usize,
    pub budget: &'a Budget,
}

impl OpenView<'_> {
    fn place(&self, row: usize) -> Place {
        Place { time_ms: self.rows.timestamps[row], seq: self.rows.seqs[row], row: row as u32 }
    }

    fn leaf_in_column(&self, column: &OpenColumn, leaf: &Leaf<'_>, candidates: &Bits, found: &mut Bits) {
        if let Some(test) = column.name.column().and_then(|name| leaf.on(name)) {
            scan(&column.values, &test, candidates, found);
        }
    }
}

impl BlockView for OpenView<'_> {
    fn rows(&self) -> usize {
        self.len
    }

    fn leaf(&self, leaf: &Leaf<'_>, candidates: &Bits) -> Result<Bits, Failure> {
        let mut found = Bits::none(self.len);
        self.rows.columns.iter().for_each(|column| self.leaf_in_column(column, leaf, candidates, &mut found));
        self.each_rest(candidates, &mut |row, column, value| {
            if leaf.matches(column, value) {
                found.set(row);
            }
        })?;
        Ok(found)
    }

    fn leaf_in(&self, own: &[usize], leaf: &Leaf<'_>, candidates: &Bits) -> Result<Bits, Failure> {
        let mut found = Bits::none(self.len);
        let columns = own.iter().filter_map(|at| self.rows.columns.get(*at));
        columns.for_each(|column| self.leaf_in_column(column, leaf, candidates, &mut found));
        Ok(found)
    }

    fn leaf_cost(&self, leaf: &Leaf<'_>) -> u32 {
        let cost = |column: Column<'_>, bytes: usize| match leaf.on(column)?.kind {
            Kind::Exists => Some(5),
            Kind::Numbers(_) => Some(10),
            Kind::Regex(_) | Kind::FieldRegex(_) => Some(100 + bytes / 64),
            _ => Some(20 + bytes / 256),
        };
        let columns = self.rows.columns.iter();
        let sum: usize = columns.filter_map(|c| cost(c.name.column()?, c.values.bytes().len())).sum();
        u32::try_from(sum).unwrap_or(u32::MAX)
    }

    fn levels(&self, wanted: LevelSet) -> Result<Bits, Failure> {
        let mut found = Bits::none(self.len);
        let is_wanted = Level::ALL.map(|level| wanted.contains(level));
        for (row, level) in self.rows.levels.iter().take(self.len).enumerate() {
            if is_wanted[usize::from(level & 7)] {
                found.set(row);
            }
        }
        Ok(found)
    }

    fn integers(&self, which: Integer, low: i64, high: i64) -> Result<Bits, Failure> {
        let mut found = Bits::none(self.len);
        let mut check = |row: usize, int: i64| {
            if low <= int && int <= high {
                found.set(row);
            }
        };
        let rows = 0..self.len;
        match which {
            Integer::Timestamp => rows.for_each(|row| check(row, self.rows.timestamps[row])),
            Integer::AcceptedAt => rows.for_each(|row| check(row, self.rows.accepted_at[row])),
            Integer::Seq => rows.for_each(|row| check(row, i64::try_from(self.rows.seqs[row]).unwrap_or(i64::MAX))),
        }
        Ok(found)
    }

    fn count_levels(&self, rows: &Bits) -> Result<[u64; 8], Failure> {
        let mut counts = [0; 8];
        rows.iter().for_each(|row| counts[usize::from(self.rows.levels[row] & 7)] += 1);
        Ok(counts)
    }

    fn count_bars(&self, rows: &Bits, bars: &Bars, counts: &mut [BarCounts]) -> Result<(), Failure> {
        for row in rows.iter() {
            if let Some(bar) = counts.get_mut(bars.bar_of(self.rows.timestamps[row])) {
                bar[usize::from(self.rows.levels[row] & 7)] += 1;
            }
        }
        Ok(())
    }

    fn places(&self, rows: &Bits, wanted: &Wanted) -> Result<Vec<Place>, Failure> {
        let places = rows.iter().map(|row| self.place(row));
        let mut places: Vec<Place> = places.filter(|place| wanted.is_behind(place.time_ms, place.seq)).collect();
        wanted.cut(&mut places);
        Ok(places)
    }

    fn ranked(&self, rows: &Bits, wanted: &Ranking<'_>, _bar: Option<Ranked>) -> Result<Vec<Ranked>, Failure> {
        let mut numbers = self.numbers(wanted.field, rows)?.into_iter().peekable();
        let ranked = rows.iter().map(|row| {
            let number = numbers.next_if(|(of, _)| *of as usize == row).map(|(_, number)| number);
            Ranked { number, place: self.place(row) }
        });
        let mut ranked: Vec<Ranked> = ranked.collect();
        wanted.cut(&mut ranked);
        Ok(ranked)
    }

    fn templates(&self, rows: &Bits, _: &mut dyn FnMut(&str, u64)) -> Result<u64, Failure> {
        // Found when the block is sealed.
        Ok(rows.count() as u64)
    }

    fn records(&self, rows: &[u32]) -> Result<Vec<LogRecord>, Failure> {
        let read = |row: &u32| {
            let record = self.rows.record(*row as usize);
            self.budget.take(memory_of(&record))?;
            Ok(record)
        };
        rows.iter().map(read).collect()
    }
}
