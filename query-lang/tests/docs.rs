//! The examples of `docs/query.md` hold.

mod script;

use watchfire_query_lang::{BRACKETS_MAX, DEPTH_MAX, Language, TEXT_BYTES_MAX, WORDS_MAX, parse};

/// The blocks of one sort, each with its first line.
fn blocks<'t>(text: &'t str, sort: &str) -> Vec<(usize, Vec<&'t str>)> {
    let opening = format!("```{sort}");
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line == opening {
            blocks.push((at + 2, lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect()));
        }
    }
    blocks
}

#[test]
fn examples_hold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/query.md");
    let text = std::fs::read_to_string(path).expect("docs/query.md");
    let queries = blocks(&text, "query");
    for line in queries.iter().flat_map(|(_, lines)| lines) {
        let query = parse(line).unwrap_or_else(|error| panic!("{}", error.render(line)));
        assert_eq!(query.language(), Language::Short, "{line}");
    }
    let scripts = blocks(&text, "script");
    for (line, lines) in &scripts {
        let outcome = script::run(&format!("docs/query.md:{line}+"), &lines.join("\n"));
        assert!(outcome.failures.is_empty() && outcome.not_yet == 0, "\n{}", outcome.failures.join("\n"));
        assert!(outcome.held > 0);
    }
    let mistakes = blocks(&text, "mistake");
    for (line, lines) in &mistakes {
        let (query, shown) = lines.split_first().expect("a block has a query");
        let error = parse(query).expect_err("a mistake");
        assert_eq!(error.render(query), shown.join("\n"), "docs/query.md:{line}");
    }
    assert!(queries.len() == 1 && scripts.len() == 5 && mistakes.len() == 2, "all blocks are found");
}

#[test]
fn limits_of_a_text_are_named() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/query.md");
    let text = std::fs::read_to_string(path).expect("docs/query.md");
    let limits = text.lines().find(|line| line.starts_with("Limits of a query:")).expect("a line of limits");
    for limit in [
        format!("{} KiB of text", TEXT_BYTES_MAX >> 10),
        format!("{},{:03} names, numbers, strings and signs", WORDS_MAX / 1000, WORDS_MAX % 1000),
        format!("{BRACKETS_MAX} nested brackets"),
        format!("operators and calls nested {DEPTH_MAX} deep"),
    ] {
        assert!(limits.contains(&limit), "{limit}");
    }
}
