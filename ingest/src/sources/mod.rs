//! What is read from this machine: files as they grow, the journal, standard input.
//!
//! Each source keeps where it stands in the frames of the queue that hold its records: a crash neither loses nor
//! doubles a line. In reading order: [`cut`] and [`multiline`] (from bytes to records), `streams`
//! (those of containers), [`entries`] (those of a journal), [`settings`], [`position`], [`skipping`],
//! `tracked` (one file), `turn` (lines of several), [`files`] (all of them), `rest` and `content` (what rotation has
//! left), `waking`, [`packed`], [`journal`], [`stdin`], [`metrics`].

mod closed;
mod content;
pub mod cut;
pub mod entries;
pub mod files;
pub mod journal;
mod link;
pub mod metrics;
pub mod multiline;
mod multiline_rules;
pub mod packed;
pub mod position;
mod rest;
pub mod settings;
pub mod skipping;
pub mod stdin;
pub(crate) mod streams;
mod tracked;
mod turn;
mod waking;

/// The name of this machine, for records that name none.
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
