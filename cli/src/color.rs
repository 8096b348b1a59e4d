//! Colours, where they are wanted: on a terminal, unless `NO_COLOR` is set, or as `--color` says.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};

/// The flag about colours.
#[derive(Args, Clone, Debug)]
pub struct Colors {
    /// When to use colours; NO_COLOR turns them off too.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
}

impl Colors {
    /// Paints as the flag says, for stdout.
    pub fn painter(&self) -> Painter {
        let on = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wanted_on(std::io::stdout().is_terminal()),
        };
        Painter { on }
    }
}

/// When output is coloured.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ColorChoice {
    /// When stdout is a terminal, and NO_COLOR is not set.
    #[default]
    Auto,
    /// Also in pipes and files.
    Always,
    /// Never.
    Never,
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Errors, firing alerts.
    Error,
    /// Warnings, pending alerts.
    Warning,
    /// What is well.
    Good,
    /// What matters less.
    Dim,
    /// Titles.
    Bold,
    /// Names of services and the like.
    Name,
    /// The n-th of several series.
    Series(usize),
}

/// Colours of several series, told apart on light and dark ground.
const SERIES: [&str; 7] = ["36", "33", "35", "32", "34", "31", "37"];

/// Paints or leaves plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Painter {
    on: bool,
}

impl Painter {
    /// For messages: no flag is known where they are written.
    pub fn for_stderr() -> Painter {
        Painter { on: wanted_on(std::io::stderr().is_terminal()) }
    }

    /// Without colours.
    pub const fn plain() -> Painter {
        Painter { on: false }
    }

    /// With colours.
    pub const fn colored() -> Painter {
        Painter { on: true }
    }

    /// The text in its style.
    pub fn paint(self, style: Style, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Error => "1;31",
            Style::Warning => "33",
            Style::Good => "32",
            Style::Dim => "2",
            Style::Bold => "1",
            Style::Name => "36",
            Style::Series(number) => SERIES[number % SERIES.len()],
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The style of a level.
    pub fn level(level: &str) -> Style {
        match level {
            "error" | "critical" | "fatal" => Style::Error,
            "warn" => Style::Warning,
            "info" | "notice" => Style::Good,
            _ => Style::Dim,
        }
    }
}

fn wanted_on(terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
