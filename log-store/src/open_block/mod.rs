//! What is not sealed yet: chunks of plain columns, searched by brute force.

pub(crate) mod chunk;
pub(crate) mod shapes;

pub(crate) use chunk::{Chunk, Rows};
