//! The embedded store as a whole: what is put in comes out, and survives crashes and damage.

mod archive;
mod common;
mod crash;
mod old;
mod recovery;
mod round_trip;
mod templates;
mod visit;
