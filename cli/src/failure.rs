//! How a verb ends: its exit code, and what is said about it on stderr.

use std::process::ExitCode;

use serde::Deserialize;

use crate::color::{Painter, Style};
use crate::text::{safe, width};

/// Exit code: a failed check, a rejected query, a request too many.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: the call itself is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Exit code: no server was reached, or it could not answer now.
pub const EXIT_UNREACHED: u8 = 4;
/// Exit code: what was shown is not all.
pub const EXIT_PARTIAL: u8 = 5;

/// The end of a verb that did what it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Complete,
    /// A part of it, and why not all.
    Partial(String),
}

/// The end of a verb that could not.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A flag's value that cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers at the address, or who answers is no Watchfire.
    #[error("{url} is not reached: {cause}")]
    Unreached {
        /// Where it was tried.
        url: String,
        /// Why it failed.
        cause: String,
        /// Whether someone is there, and the two do not agree about TLS.
        is_tls: bool,
    },
    /// The server is there and cannot answer now.
    #[error("the server cannot answer now ({status}): {message}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// The server says no.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// Nothing was found, and that was asked to be a failure.
    #[error("nothing was found")]
    Empty,
    /// Something on this machine.
    #[error("{0}")]
    Local(String),
    /// stdout cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// An answer that is no success, in the words of API.md, 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Rejection {
    /// HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// Short name for programs.
    #[serde(default, rename = "error")]
    pub code: String,
    /// What is wrong.
    #[serde(default)]
    pub message: String,
    /// Where in the query.
    #[serde(default, rename = "where")]
    pub place: Option<Place>,
    /// How to mend it.
    #[serde(default)]
    pub hint: Option<String>,
    /// The text that `place` points into, if we sent one.
    #[serde(skip)]
    pub query: Option<String>,
}

/// A place in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&safe(&self.message))
    }
}

impl Failure {
    /// The exit code of the contract.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => EXIT_USAGE,
            // Too many requests: it is there, and refuses this one.
            Failure::Unavailable { status: 429, .. } => EXIT_FAILED,
            Failure::Unreached { .. } | Failure::Unavailable { .. } => EXIT_UNREACHED,
            Failure::Rejected(_) | Failure::Empty | Failure::Local(_) | Failure::Output(_) => EXIT_FAILED,
        }
    }

    /// The lines for people: what, where with a caret, and how to mend it.
    pub fn explain(&self, painter: Painter) -> String {
        let mut lines = format!("{} {}\n", painter.paint(Style::Error, "error:"), safe(&self.to_string()));
        let hint = match self {
            Failure::Rejected(rejection) => {
                lines.push_str(&caret(rejection, painter));
                rejection.hint.clone().or_else(|| hint_of_status(rejection.status))
            }
            Failure::Unreached { is_tls: true, .. } => Some(
                "whom to trust is said by --ca-file FILE, and who asks by --cert-file FILE and --key-file FILE"
                    .to_owned(),
            ),
            Failure::Unreached { .. } => {
                Some("start one with `watchfire serve`, or say where it is: --url URL, or WATCHFIRE_URL".to_owned())
            }
            Failure::Usage(_)
            | Failure::Unavailable { .. }
            | Failure::Empty
            | Failure::Local(_)
            | Failure::Output(_) => None,
        };
        if let Some(hint) = hint {
            lines.push_str(&format!("{} {}\n", painter.paint(Style::Dim, "hint:"), safe(&hint)));
        }
        lines
    }
}

/// How to mend what the status alone says.
fn hint_of_status(status: u16) -> Option<String> {
    let hint = match status {
        401 => "give a key: --api-key-file FILE, or WATCHFIRE_API_KEY_FILE",
        403 => "this key lacks the scope; `watchfire keys add --scopes …` makes one that has it",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The line of the query that is meant, and a caret below the place; empty if the place is not known.
fn caret(rejection: &Rejection, painter: Painter) -> String {
    let (Some(place), Some(query)) = (rejection.place, &rejection.query) else { return String::new() };
    let Some(line) = query.lines().nth(place.line.saturating_sub(1)) else { return String::new() };
    let before: String = line.chars().take(place.column.saturating_sub(1)).collect();
    let blanks = " ".repeat(width(&safe(&before)));
    format!("  {}\n  {blanks}{}\n", safe(line), painter.paint(Style::Error, "^"))
}

/// Says what is wrong where no server was asked, a line or more for each fault. Those of a file begin with their place, as
/// `FILE:line:column:`, all others with `error:`.
pub fn report<'f>(faults: impl IntoIterator<Item = &'f str>) {
    let painter = Painter::for_stderr();
    for fault in faults {
        if is_placed(fault) {
            eprintln!("{fault}");
        } else {
            eprintln!("{} {fault}", painter.paint(Style::Error, "error:"));
        }
    }
}

/// Says what is done otherwise than it was asked for.
pub fn warn(text: &str) {
    eprintln!("{} {}", Painter::for_stderr().paint(Style::Warning, "warning:"), safe(text));
}

/// Whether a fault begins with a place in a file.
fn is_placed(fault: &str) -> bool {
    let mut parts = fault.split_once(": ").map_or(fault, |(place, _)| place).rsplit(':');
    let mut is_number = || parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    is_number() && is_number() && parts.next().is_some_and(|file| !file.is_empty())
}

/// Says how it ended, and answers the exit code.
pub fn conclude(result: Result<Outcome, Failure>) -> ExitCode {
    let painter = Painter::for_stderr();
    match result {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Partial(why)) => {
            eprintln!("{} {}", painter.paint(Style::Warning, "incomplete:"), safe(&why));
            ExitCode::from(EXIT_PARTIAL)
        }
        // Whoever read our output has seen enough: `watchfire tail | head`.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.explain(painter));
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(query: &str, line: usize, column: usize) -> String {
        let rejection = Rejection {
            status: 400,
            message: "expected `)`".into(),
            place: Some(Place { line, column }),
            query: Some(query.into()),
            hint: Some("close it".into()),
            ..Rejection::default()
        };
        Failure::Rejected(Box::new(rejection)).explain(Painter::plain())
    }

    #[test]
    fn places_are_told_from_other_words() {
        for (fault, is_placed) in [
            ("a.yaml:3:14: unknown key", true),
            ("C:/a.yaml:3:14: unknown key", true),
            ("a.yaml:3: unknown key", false),
            ("a.yaml: 3:14: it is noon", false),
            ("127.0.0.1:80 cannot be listened on: in use", false),
            ("3:14: no file", false),
            ("", false),
        ] {
            assert_eq!(super::is_placed(fault), is_placed, "{fault}");
        }
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        for (query, line, column, shown) in [
            ("sum(x", 1, 6, "  sum(x\n       ^\n"),
            ("a\nsum(日本 x", 2, 8, "  sum(日本 x\n           ^\n"),
            ("a\u{1b}[2J(", 1, 6, "  a\\x1b[2J(\n          ^\n"),
        ] {
            assert_eq!(rejected(query, line, column), format!("error: expected `)`\n{shown}hint: close it\n"));
        }
        // A place outside of the text is no reason to fall.
        assert_eq!(rejected("x", 7, 900), "error: expected `)`\nhint: close it\n");
    }
}
