//! The dashboard in a real browser, against the running binary.

mod audit;
mod data;
mod files;
mod firings;
mod keyboard;
mod keys;
mod looks;
mod narrow;
mod palette;
mod tail;
mod text;
mod times;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
