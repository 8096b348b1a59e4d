//! Is this copy of a data folder whole, and how does it become a data folder again?
//!
//! A backup is a stream of files (tar), its last one a list of all others with lengths and checksums: a stream that
//! broke off has no list, and is no backup. Unpacked it is a folder that can be checked and restored without a server.
//! What the files mean is the business of those who wrote them; how a consistent set of them comes about is that of
//! the binary.
//!
//! Invariants:
//! - nothing is written outside the folder that was named, whatever a stream says;
//! - a folder is called a backup only when every file in it was written, synced, and has the checksum of the list.
//!
//! In reading order: [`cut`] (which files, and how much of each), `stream` (out and in), [`manifest`] (the list),
//! [`mod@restore`].

pub mod cut;
pub mod manifest;
pub mod restore;
mod stream;

pub use cut::Cut;
pub use manifest::{Manifest, ManifestError};
pub use restore::{RestoreError, restore};
pub use stream::{PackError, UnpackError, expect_empty, pack, unpack};
