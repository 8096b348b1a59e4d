//! Answers as people and programs want to see them.

pub mod csv;
pub mod graph;
pub mod table;

use clap::ValueEnum;

use crate::color::cut_painted;
use crate::terminal;

/// How an answer is written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// A JSON document a line.
    Jsonl,
    /// Comma-separated, with a line of names.
    Csv,
    /// A picture of dots, as wide as the terminal.
    #[value(alias = "plot")]
    Graph,
}

impl Format {
    /// What was asked for; else a table on a terminal, and lines of JSON for programs.
    pub fn or_default(asked: Option<Format>) -> Format {
        match asked {
            Some(format) => format,
            None if terminal::is_terminal() => Format::Table,
            None => Format::Jsonl,
        }
    }
}

/// How a list is written that one reads whole.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated, with a line of names.
    Csv,
}

/// Lines as they are printed: cut to the width of the terminal, where they would wrap and no column stood below its
/// title any more; whole in pipes and files.
pub fn fitted(page: &str) -> String {
    let columns = terminal::room();
    page.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(text) => cut_painted(text, columns) + "\n",
            None => cut_painted(line, columns),
        })
        .collect()
}
