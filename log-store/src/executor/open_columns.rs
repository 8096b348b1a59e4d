//! Columns of a chunk of the open block, for figures and facets.

use std::ops::Range;

use watchfire_model::Level;
use watchfire_model::record::{Column, Root, ValueRef};

use super::block::Failure;
use super::collect::count_text;
use super::columns::{CHECKED_ROWS, ColumnView, Partition};
use super::open::OpenView;
use super::ranking::number_of;
use super::texts::Texts;
use crate::histogram::Bars;
use crate::open_block::chunk::OpenColumn;
use crate::query::{Field, Number, Relation};
use crate::values::Bits;
use crate::values::rest::RestEntries;

impl OpenView<'_> {
    /// A record's own integer that a field names.
    fn own_int(&self, field: &Field, row: usize) -> Option<i64> {
        match field {
            Field::Level => self.rows.levels.get(row).map(|level| i64::from(*level)),
            Field::Timestamp => self.rows.timestamps.get(row).copied(),
            Field::AcceptedAt => self.rows.accepted_at.get(row).copied(),
            Field::Seq => self.rows.seqs.get(row).and_then(|seq| i64::try_from(*seq).ok()),
            Field::Core(_) | Field::Leaf(..) => None,
        }
    }

    /// Goes through the values of all columns that are wanted, in the rows of the set, column by column.
    fn each_value(
        &self,
        is_wanted: impl Fn(Column<'_>) -> bool,
        rows: &Bits,
        mut visit: impl FnMut(usize, Column<'_>, ValueRef<'_>),
    ) -> Result<(), Failure> {
        for column in &self.rows.columns {
            if let Some(name) = column.name.column().filter(|name| is_wanted(*name)) {
                each_value_in(column, rows, &mut |row, value| visit(row, name, value));
            }
        }
        self.each_rest(rows, &mut |row, column, value| {
            if is_wanted(column) {
                visit(row, column, value);
            }
        })
    }

    fn columns_at(&self, own: &[usize]) -> impl Iterator<Item = &OpenColumn> {
        own.iter().filter_map(|at| self.rows.columns.get(*at))
    }
}

/// Goes through the values of a column in the rows of the set.
fn each_value_in(column: &OpenColumn, rows: &Bits, visit: &mut impl FnMut(usize, ValueRef<'_>)) {
    for index in 0..column.values.len() {
        let row = column.values.row(index) as usize;
        if rows.get(row)
            && let Some(value) = column.values.get(index).value()
        {
            visit(row, value);
        }
    }
}

impl ColumnView for OpenView<'_> {
    fn texts(&self, field: &Field, rows: &Bits) -> Result<Texts, Failure> {
        let mut texts = Texts::default();
        if *field == Field::Level {
            for row in rows.iter() {
                if let Some(level) = self.rows.levels.get(row).and_then(|level| Level::from_u8(*level)) {
                    let id = texts.intern(level.as_str());
                    texts.pairs.push((row as u32, id));
                }
            }
        }
        self.each_value(
            |column| field.may_be_in(column),
            rows,
            |row, column, value| {
                field.each_in(column, value, &mut |value| texts.add(row as u32, value));
            },
        )?;
        Ok(texts.finish())
    }

    fn numbers(&self, field: &Field, rows: &Bits) -> Result<Vec<(u32, Number)>, Failure> {
        let own = rows.iter().filter_map(|row| Some((row as u32, Number::Int(self.own_int(field, row)?))));
        let mut numbers: Vec<(u32, Number)> = own.collect();
        self.each_value(
            |column| field.relation(column) == Relation::Same,
            rows,
            |row, _, value| {
                numbers.extend(number_of(value).map(|number| (row as u32, number)));
            },
        )?;
        first_of_each_row(&mut numbers);
        Ok(numbers)
    }

    fn partition(&self, _: &Field, _: usize) -> Result<Option<Partition>, Failure> {
        Ok(None)
    }

    fn values(&self, field: &Field, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure> {
        let names = || self.rows.columns.iter().filter_map(|column| column.name.column());
        let may_be_in = names().filter(|name| field.may_be_in(*name)).count();
        let is_one = may_be_in == 1 && names().any(|name| field.relation(name) == Relation::Same);
        if is_one && self.rows.rest.len() == 0 {
            self.each_value(|column| field.may_be_in(column), rows, |_, _, value| count_text(value, 1, count))?;
        } else {
            // A row may have a text in several of them, or several times in a list, and counts once.
            self.texts(field, rows)?.count(count);
        }
        Ok(())
    }

    fn own(&self) -> Vec<(usize, Column<'_>)> {
        let columns = self.rows.columns.iter().enumerate();
        columns.filter_map(|(at, column)| Some((at, column.name.column()?))).collect()
    }

    fn texts_in(&self, field: &Field, own: &[usize], rows: &Bits, texts: &mut Texts) -> Result<(), Failure> {
        for column in self.columns_at(own) {
            let Some(name) = column.name.column() else { continue };
            each_value_in(column, rows, &mut |row, value| {
                field.each_in(name, value, &mut |value| texts.add(row as u32, value));
            });
        }
        Ok(())
    }

    fn values_in(&self, own: usize, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure> {
        for column in self.columns_at(&[own]) {
            each_value_in(column, rows, &mut |_, value| count_text(value, 1, count));
        }
        Ok(())
    }

    fn rest_has(&self, _: &dyn Fn(Column<'_>) -> bool) -> bool {
        self.rows.rest.len() > 0
    }

    fn each_rest(&self, rows: &Bits, visit: &mut dyn FnMut(usize, Column<'_>, ValueRef<'_>)) -> Result<(), Failure> {
        for index in 0..self.rows.rest.len() {
            if index.is_multiple_of(CHECKED_ROWS) {
                self.budget.check()?;
            }
            let row = self.rows.rest.row(index) as usize;
            if rows.get(row)
                && let Ok(entries) = RestEntries::read(self.rows.rest.get(index).bytes())
            {
                entries.iter().for_each(|(column, value)| visit(row, column, value));
            }
        }
        Ok(())
    }

    fn has_few(&self, own: &[usize], most: usize) -> bool {
        let mut texts = Texts::default();
        for column in self.columns_at(own) {
            for value in (0..column.values.len()).filter_map(|index| column.values.get(index).value()) {
                count_text(value, 1, &mut |text, _| _ = texts.intern(text));
                if texts.len() > most {
                    return false;
                }
            }
        }
        true
    }

    fn leaves(&self) -> Vec<(Root, &str, u64)> {
        let mut leaves = Vec::new();
        for column in &self.rows.columns {
            if let Some(Column::Leaf(root, path)) = column.name.column() {
                leaves.push((root, path, column.values.len() as u64));
            }
        }
        leaves
    }

    fn bar_runs(&self, bars: &Bars) -> Result<Vec<(Range<usize>, usize)>, Failure> {
        let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
        for (row, time) in self.rows.timestamps.iter().take(self.len).enumerate() {
            let bar = bars.bar_of(*time);
            match runs.last_mut() {
                Some((run, of)) if *of == bar => run.end = row + 1,
                _ => runs.push((row..row + 1, bar)),
            }
        }
        Ok(runs)
    }
}

/// Brings numbers into the order of their rows, and leaves the first of each.
pub(super) fn first_of_each_row(numbers: &mut Vec<(u32, Number)>) {
    if !numbers.is_sorted_by(|(a, _), (b, _)| a < b) {
        numbers.sort_by_key(|(row, _)| *row);
        numbers.dedup_by_key(|(row, _)| *row);
    }
}
