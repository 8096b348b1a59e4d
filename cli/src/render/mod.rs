//! Answers as people and programs want to see them.

pub mod csv;
pub mod graph;
pub mod table;

use clap::ValueEnum;

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
            None if crate::terminal::is_terminal() => Format::Table,
            None => Format::Jsonl,
        }
    }
}
