//! The file to begin with: every key with a sentence, the defaults in force, the rest off.

use watchfire_yaml::outline::join;

/// The file. A line that begins with `#` and no blank is a key that is off; the sentences above a key are about it.
pub const TEXT: &str = include_str!("init.yaml");

/// What the file says about each key, by the key's path; items of a list have the list's.
pub fn descriptions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut sentences: Vec<&str> = Vec::new();
    // The keys that the line is below, each with its depth.
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in TEXT.lines() {
        let text = line.trim_start();
        if let Some(sentence) = text.strip_prefix("# ") {
            sentences.push(sentence);
            continue;
        }
        let off = text.strip_prefix('#').unwrap_or(text);
        let key = off.strip_prefix("- ").unwrap_or(off);
        let depth = line.len() - text.len() + off.len() - key.len();
        if let Some((name, _)) = key.split_once(':') {
            above.retain(|(other, _)| *other < depth);
            let path = join(above.last().map_or("", |(_, path)| path), name);
            all.push((path.clone(), sentences.join(" ")));
            above.push((depth, path));
        }
        sentences.clear();
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use watchfire_yaml::outline::Shape;

    use super::super::{Config, parse, read};
    use super::*;

    /// The file with everything switched on.
    fn switched_on() -> String {
        let on = |line: &str| {
            let (blanks, text) = line.split_at(line.len() - line.trim_start().len());
            let on = text.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
            format!("{blanks}{}\n", on.unwrap_or(text))
        };
        TEXT.lines().map(on).collect()
    }

    #[test]
    fn it_says_what_holds_without_it() {
        assert_eq!(parse(TEXT, &|_| None), Ok((Config::default(), Vec::new())));
    }

    #[test]
    fn what_stands_there_is_written_as_defaults_are_shown() {
        let (_, _, outline) = read::parse_outlined("", &|_| None).expect("nothing is wrong with nothing");
        let mut compared = 0;
        for (section, keys) in outline.sections() {
            let depth = if section.is_empty() { "" } else { "  " };
            let body =
                if section.is_empty() { TEXT } else { TEXT.split(&format!("\n{section}:\n")).nth(1).unwrap_or("") };
            for (name, key) in &keys.known {
                let Some(line) = body.lines().find_map(|line| line.strip_prefix(&format!("{depth}{name}: "))) else {
                    continue;
                };
                if let Some(default) = key.default_at(Default::default()) {
                    assert_eq!(line, default, "{section}.{name}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 20, "{compared} defaults");
    }

    #[test]
    fn each_key_can_be_switched_on_and_says_what_it_is() {
        let (_, faults) = parse(&switched_on(), &|_| None).expect("it is YAML");
        // Where a text may stand or a file with it, the file shows both.
        let told: Vec<_> = faults.iter().filter(|fault| !fault.message.contains("exclude each other")).collect();
        assert!(told.iter().all(|fault| fault.message.contains("not both")), "{told:?}");
        for (path, sentence) in descriptions() {
            let prometheus = path.starts_with("scrape_configs.") || path.starts_with("remote_write.");
            assert!(prometheus || sentence.ends_with('.'), "{path}: {sentence}");
        }
    }

    #[test]
    fn no_key_of_ours_is_missing() {
        let described: BTreeSet<String> = descriptions().into_iter().map(|(path, _)| path).collect();
        // These are Prometheus', and described with scraping and sending; so is what speaks HTTP there.
        let theirs = |path: &str| {
            let first = path.split('.').next().unwrap_or_default();
            ["global", "scrape_configs", "remote_write"].contains(&first)
                || path
                    .strip_prefix("metrics.backend.")
                    .is_some_and(|key| !described.contains(&format!("metrics.backend.{key}")))
        };
        let mut missing = Vec::new();
        for (section, keys) in read::outline().sections() {
            let known = keys.known.iter().filter(|(_, key)| key.shape != Shape::NotYet);
            missing.extend(
                known
                    .map(|(name, _)| join(section, name))
                    .filter(|path| !described.contains(path) && (!theirs(path) || !path.contains('.'))),
            );
        }
        assert_eq!(missing, Vec::<String>::new());
    }
}
