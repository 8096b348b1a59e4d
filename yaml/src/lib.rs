//! What does a YAML file say, and where in it?
//!
//! serde stops at the first fault and knows no places; who writes a file by hand wants all faults at once, each with
//! line and column. So a file becomes a [`tree`] whose values know where they stand, to each
//! character, and a [`section`] is read from it key by key, its [`faults`] gathered. Which keys that are, the reader
//! tells by asking for them ([`outline`]).
//!
//! Invariants:
//! - every text is answered with a tree or the faults of it, each with a place in it;
//! - what a file means is bounded by a multiple of what it is long.

pub mod faults;
pub mod outline;
pub mod section;
pub mod tree;
pub mod variables;

mod anchors;
mod scalar;
