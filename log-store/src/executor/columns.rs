//! What figures and facets ask of a block's columns.

use std::ops::Range;
use std::sync::Arc;

use watchfire_model::record::Root;

use super::block::Failure;
use super::texts::Texts;
use crate::histogram::Bars;
use crate::query::{Field, Number};
use crate::sealed::kept::DistinctTexts;
use crate::values::Bits;

/// Rows by the one text that each has in a field; those without one have `None`.
pub(crate) type Partition = Vec<(Option<String>, Bits)>;

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

    /// Whether a field has few different texts (about `most`), as far as the block can tell quickly.
    fn has_few(&self, field: &Field, most: usize) -> bool;

    /// Root and path of each column below a record's objects, and how many rows have a value there; a rare key of a
    /// wide record has no column.
    fn leaves(&self) -> Vec<(Root, &str, u64)>;

    /// Runs of rows that are in one bar, ascending and without gaps. Times must be inside the bars.
    fn bar_runs(&self, bars: &Bars) -> Result<Vec<(Range<usize>, usize)>, Failure>;
}
