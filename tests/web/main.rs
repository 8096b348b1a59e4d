//! The dashboard in a real browser, against the running binary.

mod audit;
mod data;
mod files;
mod keyboard;
mod keys;
mod looks;
mod palette;
mod tail;
mod text;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
