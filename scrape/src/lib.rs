//! Which samples does this target show now?
//!
//! Prometheus' `scrape_configs`, as they are: discovery finds targets, rules decide how they are asked, each is asked in
//! its own rhythm, and what it shows goes into the engine.
//!
//! Invariants:
//! - a body counts as a whole or not at all, as with Prometheus; a sample that the engine refuses does not hinder the others;
//! - a series that is not shown any more, whose target fails or has gone, ends with a staleness marker at once;
//! - what is read of a target is bounded in bytes and in time, and all that is read together in bytes;
//! - a reload interrupts no target that stays.
//!
//! Modules in reading order: [`config`]; [`Scraper`] in `scraper`, `pool`, `discovery`, `target`, `run`; one scrape in `fetch` (over
//! `client`, `oauth2`), `scrape`, `negotiate`, `remembered`, `sample_labels`; the text in `watchfire_exposition`, [`relabel`], `md5`;
//! for people [`snapshot`], [`metadata`], `own_metrics`.

mod assertion;
pub mod client;
pub mod config;
mod discovery;
mod fetch;
mod md5;
pub mod metadata;
mod natives;
mod negotiate;
mod oauth2;
mod own_metrics;
mod pool;
pub mod relabel;
mod remembered;
mod run;
mod sample_labels;
mod scrape;
mod scraper;
pub mod snapshot;
pub mod steps;
mod target;

pub use scraper::{Scraper, ScraperLimits};
