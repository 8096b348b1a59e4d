//! What figures and facets ask of a block's columns.

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::record::{Column, Root, ValueRef};

use super::block::Failure;
use super::texts::Texts;
use crate::histogram::Bars;
use crate::query::{Field, Number};
use crate::sealed::kept::DistinctTexts;
use crate::values::Bits;

/// Rows by the one text that each has in a field; those without one have `None`.
pub(crate) type Partition = Vec<(Option<String>, Bits)>;

/// Rows of a rest that are gone through between two checks of the budget.
pub(super) const CHECKED_ROWS: usize = 1024;

/// The columns of a block under search. Row sets have as many rows as the block.
pub(crate) trait ColumnView {
    /// The texts of a field in the rows of the set: level, the record's own texts, leaves.
    fn texts(&self, field: &Field, rows: &Bits) -> Result<Texts, Failure>;

    /// The numbers of a field in the rows of the set, ascending by row: of each row that of the first column that is
    /// one. Never NaN.
    fn numbers(&self, field: &Field, rows: &Bits) -> Result<Vec<(u32, Number)>, Failure>;

    /// All rows by the text that they have, if the block can tell without going through its rows: each has at most
    /// one, and there are at most `most`.
    fn partition(&self, field: &Field, most: usize) -> Result<Option<Partition>, Failure>;

    /// Calls `count` with each text of a field (not of the level: see `count_levels`) and how many rows of the set have
    /// it; a text may come more than once.
    fn values(&self, field: &Field, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure>;

    /// The different texts of a field in all rows, if the block has kept them.
    fn kept_distinct(&self, _field: &Field) -> Option<Arc<DistinctTexts>> {
        None
    }

    /// Keeps the different texts of a field in all rows, if the block does that.
    fn keep_distinct(&self, _field: &Field, _texts: &dyn Fn() -> DistinctTexts) {}

    /// The columns that records name and that the block keeps as such: number and name. What has none stands in the
    /// rest.
    fn own(&self) -> Vec<(usize, Column<'_>)>;

    /// Gives the rows of the set the texts of a field that they have in some of the block's own columns.
    fn texts_in(&self, field: &Field, own: &[usize], rows: &Bits, texts: &mut Texts) -> Result<(), Failure>;

    /// [`ColumnView::values`] of one of the block's own columns.
    fn values_in(&self, own: usize, rows: &Bits, count: &mut dyn FnMut(&str, u64)) -> Result<(), Failure>;

    /// Whether some of the block's own columns have few different texts (about `most`), as far as the block can tell
    /// quickly.
    fn has_few(&self, own: &[usize], most: usize) -> bool;

    /// Whether the rest may have values of columns like these.
    fn rest_has(&self, wanted: &dyn Fn(Column<'_>) -> bool) -> bool;

    /// Goes through the entries of the rest in rows of the set, ascending. Each time the whole rest is read.
    fn each_rest(&self, rows: &Bits, visit: &mut dyn FnMut(usize, Column<'_>, ValueRef<'_>)) -> Result<(), Failure>;

    /// Root and path of each column below a record's objects, and how many rows have a value there; a rare key of a
    /// wide record has no column.
    fn leaves(&self) -> Vec<(Root, &str, u64)>;

    /// Runs of rows that are in one bar, ascending and without gaps. Times must be inside the bars.
    fn bar_runs(&self, bars: &Bars) -> Result<Vec<(Range<usize>, usize)>, Failure>;
}
