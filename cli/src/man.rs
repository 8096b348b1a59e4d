//! `watchfire man`: manual pages, from the same definitions as the help.

use std::path::{Path, PathBuf};

use clap::{Arg, Args, Command};

use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Examples of the help.
pub const HELP: &str = "Examples:
  watchfire man | man -l -
  watchfire man query logs | man -l -
  watchfire man --dir man1";

/// What the pages say that they belong to.
const PROGRAM: &str = concat!("watchfire ", env!("CARGO_PKG_VERSION"));

/// `man`
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// The verb that the page is about; of the whole program without one.
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    verb: Vec<String>,
    /// Write all pages into a folder instead, a file each.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Writes the pages of a command line.
    pub fn run(self, mut command: Command) -> Result<Outcome, Failure> {
        command.build();
        if let Some(dir) = &self.dir {
            let failed = |error: std::io::Error| Failure::Local(format!("{}: {error}", dir.display()));
            std::fs::create_dir_all(dir).map_err(failed)?;
            write_all(&command, "watchfire", dir).map_err(failed)?;
            return Ok(Outcome::Complete);
        }
        let mut about = &command;
        for verb in &self.verb {
            let found = about.find_subcommand(verb).filter(|found| !found.is_hide_set());
            about = found.ok_or_else(|| Failure::Usage(format!("there is no verb `{}`", self.verb.join(" "))))?;
        }
        let name = [&["watchfire".to_owned()], self.verb.as_slice()].concat().join("-");
        let mut output = Output::stdout();
        output.text(&page(about, &name)?)?;
        output.flush()?;
        Ok(Outcome::Complete)
    }
}

fn page(command: &Command, name: &str) -> std::io::Result<String> {
    let mut page = Vec::new();
    let more = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let named = command.clone().display_name(name).after_help(None::<&str>).after_long_help(None::<&str>);
    clap_mangen::Man::new(named).title(name).source(PROGRAM).manual("Watchfire").render(&mut page)?;
    let page = String::from_utf8_lossy(&page);
    // An empty date would be left out by itself, and what follows it taken for the date.
    let page = page.replacen(&format!(".TH {name} 1  "), &format!(".TH {name} 1 \"\" "), 1);
    let mut page = page.replace("\n.br\n\n.br\n", "\n.sp\n") + &sections(&more.unwrap_or_default());
    for name in command.get_positionals().filter_map(name_of_many) {
        page = page.replace(&format!("\\fI{name}\\fR"), &format!("\\fI{name}...\\fR"));
    }
    // Not every troff reads UTF-8; all know this spelling.
    let spelled = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    Ok(page.chars().map(spelled).collect())
}

/// The name of an argument that may stand there several times.
fn name_of_many(argument: &Arg) -> Option<&str> {
    let is_many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
    argument.get_value_names().filter(|_| is_many)?.first().map(|name| name.as_str())
}

/// What stands behind the flags in the help: examples line by line as they are typed, exit codes, and what else is to
/// be said.
fn sections(more: &str) -> String {
    let (mut examples, mut codes, mut notes) = (String::new(), String::new(), String::new());
    for paragraph in more.split("\n\n") {
        if let Some(lines) = paragraph.strip_prefix("Examples:\n") {
            lines.lines().for_each(|line| examples += &line_of(line.strip_prefix("  ").unwrap_or(line)));
            continue;
        }
        for line in paragraph.lines() {
            match line.strip_prefix("Exit codes: ") {
                Some(all) => exit_codes(all).for_each(|code| codes += &format!(".br\n{}", line_of(&code))),
                None => notes += &line_of(line),
            }
        }
    }
    let mut page = String::new();
    if !codes.is_empty() {
        page += &format!(".SH \"EXIT STATUS\"\n{}", codes.trim_start_matches(".br\n"));
    }
    if !examples.is_empty() {
        page += &format!(".SH EXAMPLES\n.nf\n{examples}.fi\n");
    }
    if !notes.is_empty() {
        page += &format!(".SH NOTES\n{notes}");
    }
    page
}

/// `0 good`, `5 some lines were refused, or files not read`: each begins with its number.
fn exit_codes(all: &str) -> impl Iterator<Item = String> {
    let mut codes: Vec<String> = Vec::new();
    for part in all.split(", ") {
        match codes.last_mut().filter(|_| !part.starts_with(|c: char| c.is_ascii_digit())) {
            Some(code) => *code += &format!(", {part}"),
            None => codes.push(part.to_owned()),
        }
    }
    codes.into_iter()
}

/// A line of text, whatever signs are in it.
fn line_of(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\*(Aq").replace('`', "\\(ga");
    if text.starts_with('.') { format!("\\&{text}\n") } else { text + "\n" }
}

fn write_all(command: &Command, name: &str, dir: &Path) -> std::io::Result<()> {
    std::fs::write(dir.join(format!("{name}.1")), page(command, name)?)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_all(verb, &format!("{name}-{}", verb.get_name()), dir)?;
    }
    Ok(())
}
