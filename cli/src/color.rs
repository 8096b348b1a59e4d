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

/// As much of a line as fits, `…` where it was cut; colours take no room, and end where the line ends.
pub fn cut_painted(line: &str, columns: usize) -> String {
    let mut out = String::new();
    // Where the text is cut if it turns out too long: what stands before leaves a column for the mark.
    let (mut taken, mut in_escape, mut cut_at) = (0, false, None);
    for c in line.chars() {
        in_escape |= c == '\u{1b}';
        if !in_escape {
            taken += crate::text::width(c.encode_utf8(&mut [0; 4]));
            if taken >= columns {
                cut_at = cut_at.or(Some(out.len()));
            }
            if taken > columns {
                out.truncate(cut_at.unwrap_or_default());
                out.push('…');
                if out.contains('\u{1b}') {
                    out.push_str("\u{1b}[0m");
                }
                return out;
            }
        }
        // Ours all end with their letter.
        in_escape &= !c.is_ascii_alphabetic();
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room() {
        for (line, columns, shown) in [
            ("\u{1b}[1;31mab\u{1b}[0mcd", 4, "\u{1b}[1;31mab\u{1b}[0mcd"),
            ("\u{1b}[1;31mab\u{1b}[0mcd", 3, "\u{1b}[1;31mab\u{1b}[0m…\u{1b}[0m"),
            ("\u{1b}[1;31mabcd\u{1b}[0m", 3, "\u{1b}[1;31mab…\u{1b}[0m"),
            ("日本", 4, "日本"),
            ("日本", 3, "日…"),
            ("日本", 2, "…"),
            ("abc", 1, "…"),
            ("", 1, ""),
        ] {
            assert_eq!(cut_painted(line, columns), shown, "{line:?} in {columns}");
        }
    }
}
