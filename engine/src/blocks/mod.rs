//! Which samples of a series lie on disk, and where?
//!
//! Sealed chunks, and runs of native histograms, that the memory window has left go to *block files*, and so do packed counts
//! and observations (whose places their series keeps itself, see `cumulative` and `distribution::stored`): immutable, each a few
//! hours of all series. What stays in memory of them is an [`Extent`] per series and file (two if it has floats and
//! histograms): where they lie, and from when to when they reach. Snapshots name extents instead of samples, so neither a start nor a snapshot touches what lies in blocks.
//!
//! ```text
//! block-NUMBER.blk = "WFBLK\0" | version u16 | number u64 | crc32 u32 of that | extent*
//! extent           = crc32 u32 of the rest | varint pieces, (varint samples, zigzag first - last before, varint last - first,
//!                    varint bytes)* | the pieces' bytes, in that order
//! piece            = chunk of floats | run of native histograms | total and chunk of counts, dated in seconds | histograms of
//!                    an hour, likewise (which of them, says who names the extent)
//! ```
//! Files are read where an extent says, not mapped: it is the same page cache, a file that was cut short is an error
//! rather than a signal, and there is no unsafe code.
//!
//! Invariants:
//! - a file that an extent names is durable before the extent is in memory, and its bytes never change;
//! - a series' extents of floats ascend in time and lie before all floats that it has in memory, and those of histograms
//!   likewise. Whoever changes samples has
//!   those from there on brought back first ([`SeriesState::samples_from`](crate::series::SeriesState::samples_from));
//! - a file is deleted when neither memory nor a snapshot that is kept names it. One that a crash left, and nothing
//!   names, goes the same way.

mod compact;
mod extent;
mod file;
mod loads;
mod recent;
mod spill;
mod stored;

pub(crate) use extent::{Extent, Loaded, Piece, Place, forget_what_was_before};
pub(crate) use file::{BlockFile, BlockWriter, Blocks};
pub(crate) use loads::Loads;
pub(crate) use spill::{Merge, Sealed};
pub(crate) use stored::{Held, Stored};
