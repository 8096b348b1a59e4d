//! The command line against a real server: help and its examples, queries, the live tail, shells, manual pages.

mod connect;
mod errors;
mod examples;
mod help;
mod outputs;
mod program;
mod query;
mod shells;
mod tail;
mod terminal;
