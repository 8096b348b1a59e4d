//! The page of the documentation about the command line, from the same definitions as the help.

use clap::Command;

/// What the help of a command says, as written on a terminal of 100 columns; the same with every environment.
pub fn help(command: &Command, path: &str) -> String {
    let mut command = command.clone().bin_name(path).term_width(100);
    command.render_long_help().to_string()
}

/// Every visible command below this one, itself first: its whole name, and the command.
pub fn commands(command: &Command, path: &str) -> Vec<(String, Command)> {
    let mut all = vec![(path.to_owned(), command.clone())];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        all.extend(commands(verb, &format!("{path} {}", verb.get_name())));
    }
    all
}

/// The page.
pub fn page(command: &Command) -> String {
    let mut page =
        "# The command line\n\nMade from the program's own help: what stands here is what `--help` says.\n".to_owned();
    for (path, command) in commands(command, command.get_name()) {
        page.push_str(&format!("\n## `{path}`\n\n```text\n{}\n```\n", help(&command, &path).trim_end()));
    }
    page
}
