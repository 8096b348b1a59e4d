//! Tests that need to see or to fail what happens to the files.

#[path = "../tests/all/support.rs"]
mod support;

mod faults;
mod power_cut;
