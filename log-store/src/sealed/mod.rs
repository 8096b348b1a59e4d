//! Sealed blocks: immutable files of encoded columns.
//!
//! ```text
//! "WFLOGBLK" | version u32 | sections… | directory (zstd) | offset u64, stored u32, raw u32, crc u32, version u32 | "WFLOGBLK"
//! ```
//! A section is a stretch with a checksum of its own ([`section`]); the directory names every column, how it is
//! encoded ([`layout`]) and where its sections lie. What a damaged section holds is lost, the rest is not. The two
//! versions must agree: if they do not, one of them is damaged, which is told, and nothing is lost.

pub(crate) mod block;
pub(crate) mod bytes;
pub(crate) mod chars;
pub(crate) mod dictionary;
pub(crate) mod directory;
pub(crate) mod encode;
pub(crate) mod filter;
pub(crate) mod floats;
pub(crate) mod ints;
pub(crate) mod kept;
pub(crate) mod layout;
pub(crate) mod presence;
pub(crate) mod read;
pub(crate) mod rows;
pub(crate) mod section;
pub(crate) mod source;
pub(crate) mod templates;
pub(crate) mod wire;
pub(crate) mod write;

/// Values of a page of numbers or fixed texts; pages are decoded one by one.
pub(crate) const PAGE_VALUES: usize = 8192;
