//! Columns of a sealed block, for figures and facets: dictionaries first, pages of numbers as they lie.

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::Level;
use watchfire_model::record::{Column as RecordColumn, Root, ValueRef};

use super::block::Failure;
use super::collect::count_text;
use super::columns::{CHECKED_ROWS, ColumnView, Partition};
use super::open_columns::first_of_each_row;
use super::ranking::number_of;
use super::sealed::SealedView;
use super::texts::Texts;
use crate::histogram::Bars;
use crate::query::{Field, Number, Relation};
use crate::sealed::PAGE_VALUES;
use crate::sealed::dictionary::Dictionary;
use crate::sealed::directory::{Column, system};
use crate::sealed::floats::unscale;
use crate::sealed::ints::{self, IntPage};
use crate::sealed::kept::DistinctTexts;
use crate::sealed::layout::Layout;
use crate::sealed::read::{page_len, read_texts};
use crate::sealed::section::ReadSections;
use crate::values::Bits;
use crate::values::raw::tag;
use crate::values::rest::RestEntries;

/// A plane of ids per bit.
fn entries_at_most(dictionary: &Dictionary) -> usize {
    1 << dictionary.planes.len().min(32)
}

impl SealedView<'_> {
    /// The one column that a field is, if it is no more than that.
    fn only_column(&self, field: &Field) -> Option<&Column> {
        let mut columns = self.columns_of(field);
        let column = columns.next()?;
        (columns.next().is_none() && !self.is_inside(field)).then_some(column)
    }

    /// Whether what a field has may also lie elsewhere than in columns of its own.
    fn is_inside(&self, field: &Field) -> bool {
        self.columns_above(field).next().is_some() || self.rest_has(&|name| field.may_be_in(name))
    }

    /// The kind of a column of integers that every record has.
    fn own_ints(field: &Field) -> Option<u8> {
        match field {
            Field::Timestamp => Some(system::TIMESTAMP),
            Field::AcceptedAt => Some(system::ACCEPTED_AT),
            // As large as a queue's offset, below 2^53.
            Field::Seq => Some(system::SEQ),
            Field::Level | Field::Core(_) | Field::Leaf(..) => None,
        }
    }

    /// Goes through pages of integers, a value per row, that have rows of the set.
    fn each_page_int(&self, pages: &[IntPage], rows: &Bits, mut visit: impl FnMut(u32, i64)) -> Result<(), Failure> {
        for (page_number, page) in pages.iter().enumerate() {
            let (first, length) = (page_number * PAGE_VALUES, page_len(page_number, self.count()));
            let wanted = rows.count_range(first..first + length);
            if wanted == 0 {
                continue;
            }
            self.budget.check()?;
            let bytes = self.file.section(&page.section).map_err(|reason| self.damaged(reason))?;
            let values = ints::decode(&bytes, length).map_err(|error| self.damaged(error))?;
            for (at, int) in values.into_iter().enumerate() {
                if wanted == length || rows.get(first + at) {
                    visit((first + at) as u32, int);
                }
            }
        }
        Ok(())
    }

    fn texts_of_dictionary(
        &self,
        column: &Column,
        dictionary: &Dictionary,
        rows: &Bits,
        texts: &mut Texts,
    ) -> Result<(), Failure> {
        let entries = dictionary.entries(&self.file).map_err(|reason| self.damaged(reason))?;
        // The texts of each entry one after another, and where each entry's begin: a list has several.
        let mut ids: Vec<u32> = Vec::with_capacity(entries.values.len());
        let mut ends = Vec::with_capacity(entries.values.len());
        for entry in 0..entries.values.len() {
            if let Some(value) = entries.values.get(entry).value() {
                ids.extend(texts.ids_of(value));
            }
            ends.push(ids.len());
        }
        let of_entry = |entry: usize| {
            let end = ends.get(entry).copied().unwrap_or(0);
            let start = entry.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
            ids.get(start..end).unwrap_or_default()
        };
        let planes = dictionary.planes(column.values as usize, &self.file).map_err(|reason| self.damaged(reason))?;
        let present = self.present(column)?;
        texts.pairs.reserve(rows.count());
        for (index, entry) in planes.ids().into_iter().enumerate() {
            let row = present.as_ref().map_or(Some(index as u32), |present| present.get(index).copied());
            if let Some(row) = row.filter(|row| rows.get(*row as usize)) {
                texts.pairs.extend(of_entry(usize::from(entry)).iter().map(|id| (row, *id)));
            }
        }
        Ok(())
    }

    fn partition_by_dictionary(&self, column: &Column, dictionary: &Dictionary) -> Result<Option<Partition>, Failure> {
        let entries = dictionary.entries(&self.file).map_err(|reason| self.damaged(reason))?;
        let mut names = Vec::with_capacity(entries.values.len());
        for entry in 0..entries.values.len() {
            let Some(value) = entries.values.get(entry).value() else { return Ok(None) };
            let mut texts = Vec::new();
            count_text(value, 1, &mut |text, _| texts.push(text.to_owned()));
            if texts.len() > 1 {
                return Ok(None);
            }
            names.push(texts.pop());
        }
        let planes = dictionary.planes(column.values as usize, &self.file).map_err(|reason| self.damaged(reason))?;
        let mut rest = Bits::all(self.count());
        let mut sets: Vec<Bits> = Vec::with_capacity(names.len());
        match self.present(column)? {
            None => {
                let only = |entry: usize| (0..names.len()).map(|other| other == entry).collect::<Vec<bool>>();
                sets.extend((0..names.len()).map(|entry| planes.find(&only(entry))));
            }
            Some(present) => {
                sets.resize_with(names.len(), || Bits::none(self.count()));
                for (row, entry) in present.iter().zip(planes.ids()) {
                    if let Some(set) = sets.get_mut(usize::from(entry)) {
                        set.set(*row as usize);
                    }
                }
            }
        }
        let mut partition: Partition = Vec::with_capacity(names.len() + 1);
        for (name, set) in names.into_iter().zip(sets) {
            // Null and objects are as good as nothing, and different entries may have one text (`5` and "5").
            if let Some(name) = name {
                rest.and_not(&set);
                match partition.iter_mut().find(|(known, _)| known.as_ref() == Some(&name)) {
                    Some((_, rows)) => rows.or(&set),
                    None => partition.push((Some(name), set)),
                }
            }
        }
        partition.push((None, rest));
        Ok(Some(partition))
    }

    /// Gives the rows of the set the texts that they have in a column.
    fn texts_of_column(&self, column: &Column, rows: &Bits, texts: &mut Texts) -> Result<(), Failure> {
        self.budget.check()?;
        if let Layout::Dictionary(dictionary) = &column.layout {
            return self.texts_of_dictionary(column, dictionary, rows, texts);
        }
        let (values, present) = self.values_of(column, &mut rows.iter())?;
        for (index, row) in present.iter().enumerate() {
            if let Some(value) = values.get(index).value() {
                texts.add(*row, value);
            }
        }
        Ok(())
    }

    /// How often each entry of a dictionary comes in the rows of the set.
    fn counts_of_entries(
        &self,
        column: &Column,
        dictionary: &Dictionary,
        rows: &Bits,
        entries: usize,
    ) -> Result<Vec<u64>, Failure> {
        let ids = dictionary.planes(column.values as usize, &self.file).map_err(|reason| self.damaged(reason))?.ids();
        let mut counts = vec![0; entries];
        let present = self.present(column)?;
        for (index, id) in ids.iter().enumerate() {
            let row = present.as_ref().map_or(Some(index as u32), |present| present.get(index).copied());
            if row.is_some_and(|row| rows.get(row as usize))
                && let Some(count) = counts.get_mut(usize::from(*id))
            {
                *count += 1;
            }
        }
        Ok(counts)
    }

    /// Gives the rows of the set the texts of a field that they have in a column, which is the field or has it in lists.
    fn texts_of_field(&self, field: &Field, column: &Column, rows: &Bits, texts: &mut Texts) -> Result<(), Failure> {
        let Some(name) = column.name.column() else { return Ok(()) };
        if field.relation(name) == Relation::Same {
            return self.texts_of_column(column, rows, texts);
        }
        let (values, present) = self.values_of(column, &mut rows.iter())?;
        for (index, row) in present.iter().enumerate() {
            if let Some(value) = values.get(index).value() {
                field.each_in(name, value, &mut |value| texts.add(*row, value));
            }
        }
        Ok(())
    }

    /// Calls `count` with the texts of a column in the rows of the set, and how many have each.
    fn values_of_column(&self, column: &Column, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure> {
        self.budget.check()?;
        let is_whole = rows.count() == self.count();
        if let Layout::Dictionary(dictionary) = &column.layout {
            let entries = dictionary.entries(&self.file).map_err(|reason| self.damaged(reason))?;
            let counts = if is_whole {
                entries.counts
            } else {
                self.counts_of_entries(column, dictionary, rows, entries.counts.len())?
            };
            for (id, times) in counts.into_iter().enumerate().filter(|(_, times)| *times > 0) {
                if id < entries.values.len()
                    && let Some(value) = entries.values.get(id).value()
                {
                    count_text(value, times, count);
                }
            }
            return Ok(());
        }
        if let Layout::Bytes { tag: tag::TEXT, pages } = &column.layout
            && is_whole
        {
            // Every value counts, so none is looked for.
            for page in pages {
                let texts = read_texts(page, &self.file).map_err(|reason| self.damaged(reason))?;
                texts.each_text(|text| count(text, 1));
            }
            return Ok(());
        }
        let (values, _) = self.values_of(column, &mut rows.iter())?;
        for value in (0..values.len()).filter_map(|index| values.get(index).value()) {
            count_text(value, 1, count);
        }
        Ok(())
    }

    fn columns_at(&self, own: &[usize]) -> impl Iterator<Item = &Column> {
        own.iter().filter_map(|at| self.directory.columns.get(*at))
    }
}

impl ColumnView for SealedView<'_> {
    fn texts(&self, field: &Field, rows: &Bits) -> Result<Texts, Failure> {
        let mut texts = Texts::default();
        if *field == Field::Level {
            let (levels, planes) = self.levels()?;
            for row in rows.iter() {
                if let Some(level) = levels.get(planes.id(row)).and_then(|level| Level::from_u8(*level)) {
                    let id = texts.intern(level.as_str());
                    texts.pairs.push((row as u32, id));
                }
            }
        }
        for column in self.columns_of(field).chain(self.columns_above(field)) {
            self.texts_of_field(field, column, rows, &mut texts)?;
        }
        if self.rest_has(&|column| field.may_be_in(column)) {
            self.each_rest(rows, &mut |row, column, value| {
                field.each_in(column, value, &mut |value| texts.add(row as u32, value));
            })?;
        }
        Ok(texts.finish())
    }

    fn numbers(&self, field: &Field, rows: &Bits) -> Result<Vec<(u32, Number)>, Failure> {
        let mut numbers = Vec::with_capacity(rows.count());
        if let Some(kind) = Self::own_ints(field) {
            self.each_page_int(self.int_pages(kind)?, rows, |row, int| numbers.push((row, Number::Int(int))))?;
            return Ok(numbers);
        }
        if *field == Field::Level {
            let (levels, planes) = self.levels()?;
            let level = |row| levels.get(planes.id(row)).map(|level| (row as u32, Number::Int(i64::from(*level))));
            return Ok(rows.iter().filter_map(level).collect());
        }
        if let Some(column) = self.only_column(field).filter(|column| column.values == self.directory.info.rows) {
            match &column.layout {
                Layout::Ints(pages) => {
                    self.each_page_int(pages, rows, |row, int| numbers.push((row, Number::Int(int))))?;
                    return Ok(numbers);
                }
                Layout::Scaled { exponent, pages } => {
                    self.each_page_int(pages, rows, |row, int| {
                        numbers.push((row, Number::float(unscale(int, *exponent))));
                    })?;
                    return Ok(numbers);
                }
                _ => {}
            }
        }
        for column in self.columns_of(field) {
            let (values, present) = self.values_of(column, &mut rows.iter())?;
            let of_row = |(index, row): (usize, &u32)| Some((*row, number_of(values.get(index).value()?)?));
            numbers.extend(present.iter().enumerate().filter_map(of_row));
        }
        if self.rest_has(&|column| field.relation(column) == Relation::Same) {
            self.each_rest(rows, &mut |row, column, value| {
                if field.relation(column) == Relation::Same {
                    numbers.extend(number_of(value).map(|number| (row as u32, number)));
                }
            })?;
        }
        first_of_each_row(&mut numbers);
        Ok(numbers)
    }

    fn partition(&self, field: &Field, most: usize) -> Result<Option<Partition>, Failure> {
        if *field == Field::Level {
            let mut partition = Partition::new();
            self.each_level(|level, rows| {
                partition.extend(Level::ALL.get(level).map(|level| (Some(level.as_str().to_owned()), rows)));
            })?;
            return Ok(Some(partition));
        }
        if self.columns_of(field).next().is_none() {
            return Ok((!self.is_inside(field)).then(|| vec![(None, Bits::all(self.count()))]));
        }
        match self.only_column(field).map(|column| (column, &column.layout)) {
            Some((column, Layout::Dictionary(dictionary))) if entries_at_most(dictionary) <= most => {
                self.partition_by_dictionary(column, dictionary)
            }
            _ => Ok(None),
        }
    }

    fn values(&self, field: &Field, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure> {
        if let Some(column) = self.only_column(field) {
            return self.values_of_column(column, rows, count);
        }
        if self.columns_of(field).next().is_some() || self.is_inside(field) {
            // A row may have a text in several of them, or several times in a list, and counts once.
            self.texts(field, rows)?.count(count);
        }
        Ok(())
    }

    fn kept_distinct(&self, field: &Field) -> Option<Arc<DistinctTexts>> {
        self.distinct.get(field)
    }

    fn keep_distinct(&self, field: &Field, texts: &dyn Fn() -> DistinctTexts) {
        self.distinct.put(field, texts());
    }

    fn own(&self) -> Vec<(usize, RecordColumn<'_>)> {
        let columns = self.directory.columns.iter().enumerate().filter(|(_, column)| column.is_own());
        columns.filter_map(|(at, column)| Some((at, column.name.column()?))).collect()
    }

    fn texts_in(&self, field: &Field, own: &[usize], rows: &Bits, texts: &mut Texts) -> Result<(), Failure> {
        self.columns_at(own).try_for_each(|column| self.texts_of_field(field, column, rows, texts))
    }

    fn values_in(&self, own: usize, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure> {
        self.columns_at(&[own]).try_for_each(|column| self.values_of_column(column, rows, count))
    }

    fn rest_has(&self, wanted: &dyn Fn(RecordColumn<'_>) -> bool) -> bool {
        if self.directory.system(system::REST).is_none() {
            return false;
        }
        match &self.directory.rest_names {
            None => true,
            Some(names) => names.iter().filter_map(|name| name.column()).any(wanted),
        }
    }

    fn each_rest(
        &self,
        rows: &Bits,
        visit: &mut dyn FnMut(usize, RecordColumn<'_>, ValueRef<'_>),
    ) -> Result<(), Failure> {
        let Some(column) = self.directory.system(system::REST) else { return Ok(()) };
        let (values, present) = self.values_of(column, &mut rows.iter())?;
        for (index, row) in present.iter().enumerate() {
            if index.is_multiple_of(CHECKED_ROWS) {
                self.budget.check()?;
            }
            let entries = RestEntries::read(values.get(index).bytes()).map_err(|error| self.damaged(error))?;
            entries.iter().for_each(|(column, value)| visit(*row as usize, column, value));
        }
        Ok(())
    }

    fn has_few(&self, own: &[usize], most: usize) -> bool {
        self.columns_at(own).all(|column| match &column.layout {
            Layout::Dictionary(dictionary) => entries_at_most(dictionary) <= most.next_power_of_two(),
            // Not more than there are rows with one.
            _ => usize::try_from(column.values).is_ok_and(|values| values <= most),
        })
    }

    fn leaves(&self) -> Vec<(Root, &str, u64)> {
        let mut leaves = Vec::new();
        for column in &self.directory.columns {
            if let Some(RecordColumn::Leaf(root, path)) = column.name.column() {
                leaves.push((root, path, u64::from(column.values)));
            }
        }
        leaves
    }

    fn bar_runs(&self, bars: &Bars) -> Result<Vec<(Range<usize>, usize)>, Failure> {
        let info = &self.directory.info;
        let last = bars.bar_of(info.time_max);
        let mut runs = Vec::new();
        let mut start = 0;
        for bar in bars.bar_of(info.time_min)..=last {
            let end = if bar == last { self.count() } else { self.row_of_time(bars.end_of(bar))? };
            if start < end {
                runs.push((start..end, bar));
            }
            start = end;
        }
        Ok(runs)
    }
}
