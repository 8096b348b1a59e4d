//! Searching a sealed block: counts and spans first, then only the columns that are needed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use watchfire_model::{Level, LogRecord};

use super::block::{BarCounts, BlockView, Failure, Integer, Place, Wanted};
use super::budget::Budget;
use super::collect::memory_of;
use super::columns::ColumnView;
use super::layouts;
use super::leaf::{IntBounds, Kind, Leaf};
use super::patterns::is_message;
use super::ranking::{Best, Ranked, Ranking};
use super::records::RecordReader;
use crate::histogram::Bars;
use crate::query::{Field, LevelSet, Number, Relation};
use crate::sealed::PAGE_VALUES;
use crate::sealed::block::SealedBlock;
use crate::sealed::dictionary::Planes;
use crate::sealed::directory::{Column, Directory, system};
use crate::sealed::floats::unscale;
use crate::sealed::ints::{self, IntPage};
use crate::sealed::kept::KeptDistinct;
use crate::sealed::layout::Layout;
use crate::sealed::read::{BlockFile, gather, page_len};
use crate::sealed::section::ReadSections;
use crate::sealed::templates::reader::TemplateReader;
use crate::values::{Arena, Bits};

/// Records of more than so many bytes as received are not read at once.
const RUN_BYTES: i64 = 16 << 20;

/// Pages of integers by kind of column and number of page.
type PageCache = HashMap<(u8, usize), Rc<Vec<i64>>>;

/// A sealed block, opened for one search.
pub(crate) struct SealedView<'a> {
    pub(super) directory: Arc<Directory>,
    pub(super) file: BlockFile,
    pub(super) budget: &'a Budget,
    name: String,
    pub(super) distinct: Arc<KeptDistinct>,
    /// Pages of times and numbers read so far, by kind and page.
    pages: RefCell<PageCache>,
    /// The level that each id stands for, and the ids.
    levels: OnceCell<(Vec<u8>, Planes)>,
}

impl Drop for SealedView<'_> {
    fn drop(&mut self) {
        self.budget.count_bytes(self.file.read_bytes.get(), self.file.decoded_bytes.get());
    }
}

impl<'a> SealedView<'a> {
    pub fn open(block: &SealedBlock, budget: &'a Budget) -> Result<SealedView<'a>, Failure> {
        let (directory, file) = block.open().map_err(Failure::Damaged)?;
        Ok(SealedView {
            directory,
            file,
            budget,
            name: block.path.display().to_string(),
            distinct: Arc::clone(&block.distinct),
            pages: RefCell::new(HashMap::new()),
            levels: OnceCell::new(),
        })
    }

    pub(super) fn damaged(&self, reason: impl std::fmt::Display) -> Failure {
        Failure::Damaged(format!("{}: {reason}", self.name))
    }

    pub(super) fn count(&self) -> usize {
        self.directory.info.rows as usize
    }

    pub(super) fn system(&self, kind: u8) -> Result<&Column, Failure> {
        self.directory.system(kind).ok_or_else(|| self.damaged("a column is missing"))
    }

    pub(super) fn int_pages(&self, kind: u8) -> Result<&[IntPage], Failure> {
        match &self.system(kind)?.layout {
            Layout::Ints(pages) if pages.len() == self.count().div_ceil(PAGE_VALUES) => Ok(pages),
            _ => Err(self.damaged("no column of integers")),
        }
    }

    fn int_page(&self, kind: u8, number: usize) -> Result<Rc<Vec<i64>>, Failure> {
        if let Some(page) = self.pages.borrow().get(&(kind, number)) {
            return Ok(Rc::clone(page));
        }
        let page = self.int_pages(kind)?.get(number).ok_or_else(|| self.damaged("a page is missing"))?;
        let bytes = self.file.section(&page.section).map_err(|reason| self.damaged(reason))?;
        let values = ints::decode(&bytes, page_len(number, self.count())).map_err(|error| self.damaged(error))?;
        let values = Rc::new(values);
        self.pages.borrow_mut().insert((kind, number), Rc::clone(&values));
        Ok(values)
    }

    pub(super) fn int_at(&self, kind: u8, row: usize) -> Result<i64, Failure> {
        let page = self.int_page(kind, row / PAGE_VALUES)?;
        page.get(row % PAGE_VALUES).copied().ok_or_else(|| self.damaged("a row is missing"))
    }

    fn place(&self, row: usize) -> Result<Place, Failure> {
        let time_ms = self.int_at(system::TIMESTAMP, row)?;
        Ok(Place { time_ms, seq: self.int_at(system::SEQ, row)? as u64, row: row as u32 })
    }

    /// The first row at or after a time.
    pub(super) fn row_of_time(&self, time_ms: i64) -> Result<usize, Failure> {
        let pages = self.int_pages(system::TIMESTAMP)?;
        let number = pages.partition_point(|page| page.max < time_ms);
        match pages.get(number) {
            None => Ok(self.count()),
            Some(page) if page.min >= time_ms => Ok(number * PAGE_VALUES),
            Some(_) => {
                let page = self.int_page(system::TIMESTAMP, number)?;
                Ok(number * PAGE_VALUES + page.partition_point(|time| *time < time_ms))
            }
        }
    }

    pub(super) fn present(&self, column: &Column) -> Result<Option<Vec<u32>>, Failure> {
        let rows = column.presence.rows(self.count(), column.values as usize, &self.file);
        rows.map_err(|reason| self.damaged(reason))
    }

    pub(super) fn levels(&self) -> Result<&(Vec<u8>, Planes), Failure> {
        if let Some(levels) = self.levels.get() {
            return Ok(levels);
        }
        let Layout::Dictionary(dictionary) = &self.system(system::LEVEL)?.layout else {
            return Err(self.damaged("levels without a dictionary"));
        };
        let entries = dictionary.entries(&self.file).map_err(|reason| self.damaged(reason))?;
        let planes = dictionary.planes(self.count(), &self.file).map_err(|reason| self.damaged(reason))?;
        let levels = (0..entries.values.len()).map(|id| entries.values.get(id).bits() as u8).collect();
        Ok(self.levels.get_or_init(|| (levels, planes)))
    }

    fn rows_of_levels(&self, wanted: impl Fn(Level) -> bool) -> Result<Bits, Failure> {
        let (levels, planes) = self.levels()?;
        let is_wanted = |level: &u8| Level::from_u8(*level).is_some_and(&wanted);
        Ok(planes.find(&levels.iter().map(is_wanted).collect::<Vec<bool>>()))
    }

    /// The levels that the block has, with their rows.
    pub(super) fn each_level(&self, mut visit: impl FnMut(usize, Bits)) -> Result<(), Failure> {
        for level in Level::ALL {
            if self.directory.info.level_counts[level as usize] > 0 {
                visit(level as usize, self.rows_of_levels(|have| have == level)?);
            }
        }
        Ok(())
    }

    /// The columns that records name, and which are the field itself.
    pub(super) fn columns_of(&self, field: &Field) -> impl Iterator<Item = &Column> {
        let is_field =
            |column: &&Column| column.name.column().is_some_and(|name| field.relation(name) == Relation::Same);
        self.directory.columns.iter().filter(|column| column.is_own()).filter(is_field)
    }

    /// The columns that records name, and which may have the field inside of lists.
    pub(super) fn columns_above(&self, field: &Field) -> impl Iterator<Item = &Column> {
        let is_above = |column: &&Column| {
            column.name.column().is_some_and(|name| matches!(field.relation(name), Relation::Above(_)))
        };
        self.directory.columns.iter().filter(|column| column.is_own()).filter(is_above)
    }

    /// The values of a column at some rows (ascending), and which of the rows have one.
    pub(super) fn values_of(
        &self,
        column: &Column,
        rows: &mut dyn Iterator<Item = usize>,
    ) -> Result<(Arena, Vec<u32>), Failure> {
        let (indexes, rows): (Vec<u32>, Vec<u32>) = match self.present(column)? {
            None => rows.map(|row| (row as u32, row as u32)).unzip(),
            Some(present) => rows
                .filter_map(|row| present.binary_search(&(row as u32)).ok().map(|index| (index as u32, row as u32)))
                .unzip(),
        };
        let values = gather(&column.layout, column.values as usize, &indexes, &self.file);
        Ok((values.map_err(|reason| self.damaged(reason))?, rows))
    }

    /// Ranks rows by the one column of numbers that a field is, page by page; false if it is not so simple.
    fn rank_by_pages(&self, rows: &Bits, field: &Field, best: &mut Best<'_>) -> Result<bool, Failure> {
        let mut columns = self.columns_of(field);
        let (Some(column), None) = (columns.next(), columns.next()) else { return Ok(false) };
        if column.values != self.directory.info.rows || self.rest_has(&|name| field.relation(name) == Relation::Same) {
            return Ok(false);
        }
        let (pages, number): (_, &dyn Fn(i64) -> Number) = match &column.layout {
            Layout::Ints(pages) => (pages, &Number::Int),
            Layout::Scaled { exponent, pages } => (pages, &|int| Number::Float(unscale(int, *exponent))),
            _ => return Ok(false),
        };
        let times = self.int_pages(system::TIMESTAMP)?;
        for (page_number, page) in pages.iter().enumerate() {
            let (first, length) = (page_number * PAGE_VALUES, page_len(page_number, self.count()));
            let time_ms = times.get(page_number).map_or(i64::MAX, |page| page.max);
            let newest = Place { time_ms, seq: u64::MAX, row: u32::MAX };
            if best.is_beaten_by_all(number(page.min), number(page.max), newest)
                || rows.count_range(first..first + length) == 0
            {
                continue;
            }
            self.budget.check()?;
            let bytes = self.file.section(&page.section).map_err(|reason| self.damaged(reason))?;
            let values = ints::decode(&bytes, length).map_err(|error| self.damaged(error))?;
            for (at, int) in values.into_iter().enumerate().filter(|(at, _)| rows.get(first + at)) {
                best.add(Some(number(int)), (first + at) as u32);
            }
        }
        Ok(true)
    }

    /// Ranks rows by whatever a field is.
    fn rank_each(&self, rows: &Bits, field: &Field, best: &mut Best<'_>) -> Result<(), Failure> {
        let mut numbers = self.numbers(field, rows)?.into_iter().peekable();
        for row in rows.iter().map(|row| row as u32) {
            best.add(numbers.next_if(|(of, _)| *of == row).map(|(_, number)| number), row);
        }
        Ok(())
    }

    fn leaf_in_column(
        &self,
        column: &Column,
        leaf: &Leaf<'_>,
        candidates: &Bits,
        found: &mut Bits,
    ) -> Result<(), Failure> {
        let Some(test) = column.name.column().and_then(|name| leaf.on(name)) else { return Ok(()) };
        let find = |candidates: &Bits| {
            layouts::find(column, &test, candidates, &self.file).map_err(|reason| self.damaged(reason))
        };
        let Some(present) = self.present(column)? else {
            found.or(&find(candidates)?);
            return Ok(());
        };
        let mut of_values = Bits::none(present.len());
        for (index, row) in present.iter().enumerate() {
            if candidates.get(*row as usize) {
                of_values.set(index);
            }
        }
        if !of_values.is_empty() {
            let inside = find(&of_values)?;
            inside.iter().filter_map(|index| present.get(index)).for_each(|row| found.set(*row as usize));
        }
        Ok(())
    }

    fn leaf_in_rest(&self, leaf: &Leaf<'_>, candidates: &Bits, found: &mut Bits) -> Result<(), Failure> {
        let Some(rest) = self.directory.system(system::REST) else { return Ok(()) };
        if !self.rest_has(&|column| leaf.on(column).is_some()) {
            return Ok(());
        }
        if let (Leaf::Text(phrase), Some(filter)) = (leaf, &rest.filter)
            && !filter.may_have(phrase, &self.file).map_err(|reason| self.damaged(reason))?
        {
            return Ok(());
        }
        self.each_rest(candidates, &mut |row, column, value| {
            if leaf.matches(column, value) {
                found.set(row);
            }
        })
    }
}

impl BlockView for SealedView<'_> {
    fn rows(&self) -> usize {
        self.count()
    }

    fn leaf(&self, leaf: &Leaf<'_>, candidates: &Bits) -> Result<Bits, Failure> {
        let mut found = Bits::none(self.count());
        for column in self.directory.columns.iter().filter(|column| column.is_own()) {
            self.budget.check()?;
            self.leaf_in_column(column, leaf, candidates, &mut found)?;
        }
        self.leaf_in_rest(leaf, candidates, &mut found)?;
        Ok(found)
    }

    fn leaf_in(&self, own: &[usize], leaf: &Leaf<'_>, candidates: &Bits) -> Result<Bits, Failure> {
        let mut found = Bits::none(self.count());
        for column in own.iter().filter_map(|at| self.directory.columns.get(*at)) {
            self.budget.check()?;
            self.leaf_in_column(column, leaf, candidates, &mut found)?;
        }
        Ok(found)
    }

    fn leaf_cost(&self, leaf: &Leaf<'_>) -> u32 {
        let cost = |column: &Column| {
            let test = leaf.on(column.name.column()?)?;
            Some(match (&column.layout, test.kind) {
                (_, Kind::Exists) => 2,
                (Layout::Dictionary(_), _) => 5,
                (Layout::Templates(_), Kind::Regex(_) | Kind::FieldRegex(_)) => 100,
                (Layout::Templates(_), _) => 60,
                (Layout::Ints(_) | Layout::Scaled { .. } | Layout::Floats(_), _) => 20,
                (_, _) if column.filter.is_some() && test.words().is_some() => 40,
                (Layout::Chars { .. }, _) => 200,
                (Layout::Bytes { .. } | Layout::Mixed { .. }, _) => 1000,
            })
        };
        self.directory.columns.iter().filter_map(cost).sum()
    }

    fn levels(&self, wanted: LevelSet) -> Result<Bits, Failure> {
        self.rows_of_levels(|level| wanted.contains(level))
    }

    fn integers(&self, which: Integer, low: i64, high: i64) -> Result<Bits, Failure> {
        let kind = match which {
            Integer::Timestamp => {
                let first = self.row_of_time(low)?;
                let end = high.checked_add(1).map_or(Ok(self.count()), |end| self.row_of_time(end))?;
                let mut found = Bits::none(self.count());
                found.set_range(first..end);
                return Ok(found);
            }
            Integer::AcceptedAt => system::ACCEPTED_AT,
            Integer::Seq => system::SEQ,
        };
        let (pages, bounds) = (self.int_pages(kind)?, IntBounds { low, high });
        let found = layouts::find_in_bounds(pages, bounds, self.count(), &Bits::all(self.count()), &self.file);
        found.map_err(|reason| self.damaged(reason))
    }

    fn count_levels(&self, rows: &Bits) -> Result<[u64; 8], Failure> {
        let info = &self.directory.info;
        let total = rows.count();
        if total == self.count() {
            return Ok(info.level_counts);
        }
        let mut counts = [0; 8];
        self.each_level(|level, mut of_level| {
            of_level.and(rows);
            counts[level] = of_level.count() as u64;
        })?;
        Ok(counts)
    }

    fn count_bars(&self, rows: &Bits, bars: &Bars, counts: &mut [BarCounts]) -> Result<(), Failure> {
        let ranges = self.bar_runs(bars)?;
        self.each_level(|level, mut of_level| {
            of_level.and(rows);
            for (range, bar) in &ranges {
                if let Some(bar) = counts.get_mut(*bar) {
                    bar[level] += of_level.count_range(range.clone()) as u64;
                }
            }
        })
    }

    fn places(&self, rows: &Bits, wanted: &Wanted) -> Result<Vec<Place>, Failure> {
        let mut rows = rows.clone();
        if let Some((time_ms, _)) = wanted.after {
            if wanted.newest_first {
                let end = time_ms.checked_add(1).map_or(Ok(self.count()), |end| self.row_of_time(end))?;
                rows.keep_range(0..end);
            } else {
                rows.keep_range(self.row_of_time(time_ms)?..self.count());
            }
        }
        let mut places = Vec::new();
        let mut next: Box<dyn Iterator<Item = usize>> =
            if wanted.newest_first { Box::new(rows.iter_back()) } else { Box::new(rows.iter()) };
        while places.len() < wanted.count
            && let Some(row) = next.next()
        {
            let place = self.place(row)?;
            if wanted.is_behind(place.time_ms, place.seq) {
                places.push(place);
            }
        }
        Ok(places)
    }

    fn ranked(&self, rows: &Bits, wanted: &Ranking<'_>, bar: Option<Ranked>) -> Result<Vec<Ranked>, Failure> {
        let mut best = Best::new(*wanted, bar);
        if !self.rank_by_pages(rows, wanted.field, &mut best)? {
            self.rank_each(rows, wanted.field, &mut best)?;
        }
        let ranked = best.finish().into_iter();
        ranked.map(|(number, row)| Ok(Ranked { number, place: self.place(row as usize)? })).collect()
    }

    fn templates(&self, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<u64, Failure> {
        let message = self.directory.columns.iter().find(|column| is_message(&column.name));
        let (total, mut counted) = (rows.count() as u64, 0);
        let Some(column) = message else { return Ok(total) };
        let Layout::Templates(layout) = &column.layout else { return Ok(total) };
        let wrong = |reason| self.damaged(reason);
        let reader = TemplateReader::open(layout, column.values as usize, &self.file).map_err(wrong)?;
        let set = &reader.set;
        let counts: Vec<u64> = if total == self.count() as u64 {
            set.templates.iter().map(|template| u64::from(template.rows)).collect()
        } else {
            let present = self.present(column)?;
            let mut counts = vec![0; set.templates.len()];
            for (index, id) in reader.planes().map_err(wrong)?.ids().into_iter().enumerate() {
                let row = present.as_ref().map_or(Some(index), |present| present.get(index).map(|row| *row as usize));
                if let Some(have) = counts.get_mut(usize::from(id)).filter(|_| row.is_some_and(|row| rows.get(row))) {
                    *have += 1;
                }
            }
            counts
        };
        for (template, have) in set.templates.iter().zip(counts).filter(|(template, n)| !template.is_plain && *n > 0) {
            count(&set.text(template), have);
            counted += have;
        }
        Ok(total.saturating_sub(counted))
    }

    fn records(&self, mut rows: &[u32]) -> Result<Vec<LogRecord>, Failure> {
        let mut records = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            let mut bytes = 0;
            let mut count = 0;
            while count < rows.len() && (count == 0 || bytes < RUN_BYTES) {
                bytes += self.int_at(system::RECEIVED_BYTES, rows[count] as usize)?;
                count += 1;
            }
            let (run, behind) = rows.split_at(count);
            let read = RecordReader::read(self, run)?;
            self.budget.take(read.iter().map(memory_of).sum())?;
            records.extend(read);
            rows = behind;
        }
        Ok(records)
    }
}
