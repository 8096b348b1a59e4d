//! Running queries over blocks: which rows match, how many, and which of them come first.
//!
//! A block, open or sealed, answers leaf by leaf with sets of rows ([`block::BlockView`]); [`eval`] combines them,
//! [`collect`] counts and picks, [`run`] goes over all blocks of a snapshot.

pub(crate) mod block;
pub(crate) mod budget;
pub(crate) mod collect;
pub(crate) mod eval;
pub(crate) mod layouts;
pub(crate) mod leaf;
pub(crate) mod open;
pub(crate) mod patterns;
pub(crate) mod ranking;
pub(crate) mod records;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod sealed;
pub(crate) mod templates;
pub(crate) mod text;
