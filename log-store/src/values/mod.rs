//! Values in columns: one value as tag and bytes, a plain column of them, the name of a column.

pub(crate) mod arena;
pub(crate) mod bits;
pub(crate) mod name;
pub(crate) mod raw;
pub(crate) mod rest;

pub(crate) use arena::Arena;
pub(crate) use bits::Bits;
pub(crate) use name::ColumnName;
pub(crate) use raw::Raw;
