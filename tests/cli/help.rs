//! What `--help` of every verb says, against golden texts: `tests/cli/help/VERB.golden`. `UPDATE_GOLDEN=1` writes
//! them anew.

use std::collections::BTreeSet;
use std::path::Path;

use crate::program::{BINARY, Run, plain};

/// The help of a verb; of the whole program without words.
pub fn help(words: &[String]) -> String {
    let run: Run = plain(BINARY).args(words).arg("--help").output().expect("it runs").into();
    assert_eq!(run.code, 0, "{words:?}: {}", run.told);
    run.out
}

/// Every verb that the help shows, each before the verbs below it.
pub fn verbs() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    add_verbs(Vec::new(), &mut all);
    all
}

fn add_verbs(words: Vec<String>, all: &mut Vec<Vec<String>>) {
    let text = help(&words);
    all.push(words.clone());
    let commands = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        // Names stand two blanks deep, their further lines deeper.
        if let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            let name = name.split(' ').next().unwrap_or_default().to_owned();
            add_verbs([words.clone(), vec![name]].concat(), all);
        }
    }
}

/// `docs/cli.md`; `UPDATE_GOLDEN=1` writes it anew too.
#[test]
fn the_page_of_the_documentation_is_the_help() {
    let begin = "Made from the program's own help: what stands here is what `--help` says.";
    let mut page = format!("# The command line\n\n{begin}\n");
    for words in verbs() {
        let name = [&["watchfire".to_owned()], words.as_slice()].concat().join(" ");
        page.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help(&words).trim_end()));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/cli.md is not what the help says; UPDATE_GOLDEN=1 writes it");
}

#[test]
fn every_verb_explains_itself() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut named = BTreeSet::new();
    for words in verbs() {
        let text = help(&words);
        let name = [&["watchfire".to_owned()], words.as_slice()].concat().join("-");
        let golden = folder.join(format!("{name}.golden"));
        if update {
            std::fs::write(&golden, &text).expect("the golden file can be written");
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(text == wanted, "{name} --help:\n{text}\ninstead of\n{wanted}");
        assert!(text.contains("Examples:\n  "), "{name} --help has no examples");
        named.insert(golden);
    }
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        assert!(named.contains(&entry.path()), "{} is of no verb", entry.path().display());
    }
    assert!(named.len() > 10, "{} verbs", named.len());
}

#[test]
fn words_that_are_mistyped_get_the_nearest_one() {
    let run: Run = plain(BINARY).arg("tial").output().expect("it runs").into();
    assert_eq!(run.code, 2);
    assert!(run.told.contains("'tail'"), "{}", run.told);
}

#[test]
fn help_is_a_verb_too() {
    for words in verbs() {
        let run: Run = plain(BINARY).arg("help").args(&words).output().expect("it runs").into();
        assert_eq!((run.code, run.out), (0, help(&words)), "help {words:?}: {}", run.told);
    }
}
