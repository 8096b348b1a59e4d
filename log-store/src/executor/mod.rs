//! Running queries over blocks: which rows match, how many, and which of them come first.
//!
//! A block, open or sealed, answers leaf by leaf with sets of rows ([`block::BlockView`]); [`eval`] combines them,
//! [`collect`] counts and picks, [`run`] goes over all blocks of a snapshot. Figures ([`stats`]) and facets
//! ([`facets`]) ask for the columns of matching rows ([`columns::ColumnView`]).

pub(crate) mod block;
pub(crate) mod budget;
pub(crate) mod collect;
pub(crate) mod columns;
mod distinct;
pub(crate) mod eval;
pub(crate) mod facets;
mod figures;
mod groups;
pub(crate) mod layouts;
pub(crate) mod leaf;
pub(crate) mod open;
mod open_columns;
pub(crate) mod patterns;
mod quantile;
pub(crate) mod ranking;
pub(crate) mod records;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod sealed;
mod sealed_columns;
pub(crate) mod stats;
pub(crate) mod templates;
pub(crate) mod text;
pub(crate) mod texts;
mod unasked;
