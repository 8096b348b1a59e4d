//! The real edges between crates, against the table of ARCHITECTURE.md: a crate uses only what stands above it.

use std::collections::BTreeSet;
use std::path::Path;

/// Each crate and which of ours it may use.
const MAY_USE: [(&str, &[&str]); 22] = [
    ("model", &[]),
    ("yaml", &["model"]),
    ("json-log", &["model"]),
    ("engine", &["model"]),
    ("queue", &[]),
    ("log-store", &["model"]),
    ("query-lang", &["model", "engine"]),
    ("rules", &["model", "yaml", "json-log", "engine", "query-lang"]),
    ("rehearsal", &["model", "yaml", "engine", "query-lang", "rules"]),
    ("tls-client", &[]),
    ("alerting", &["model", "queue", "tls-client"]),
    ("protobuf", &[]),
    ("exposition", &["model", "engine", "protobuf"]),
    ("ingest", &["model", "engine", "log-store", "queue", "exposition", "protobuf"]),
    ("scrape", &["model", "json-log", "engine", "exposition", "tls-client"]),
    ("remote-write", &["model", "engine", "exposition", "protobuf", "scrape"]),
    ("metrics-backend", &["model", "engine", "query-lang", "scrape"]),
    (
        "dashboard-api",
        &[
            "model",
            "json-log",
            "engine",
            "log-store",
            "query-lang",
            "rules",
            "rehearsal",
            "alerting",
            "scrape",
            "exposition",
            "protobuf",
        ],
    ),
    ("cli", &["model", "backup", "tls-client"]),
    ("demo", &["model"]),
    ("backup", &[]),
    ("xtask", &[]),
];

fn dependencies(folder: &str) -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        }
        // Tests may use what they like.
        if section == "[dependencies]"
            && let Some(name) = line.strip_prefix("watchfire-")
        {
            found.extend(name.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn crates_use_only_what_stands_above_them() {
    for (folder, may_use) in MAY_USE {
        for used in dependencies(folder) {
            assert!(may_use.contains(&used.as_str()), "{folder} uses {used}, which it should not know");
        }
    }
    let engine = dependencies("query-lang");
    assert!(engine.contains("engine"), "the reader of manifests reads nothing: {engine:?}");
}

#[test]
fn the_parser_and_the_tree_know_nothing_of_storage() {
    let query_lang = Path::new(env!("CARGO_MANIFEST_DIR")).join("query-lang/src");
    let mut looked_at = 0;
    let mut folders = vec![query_lang.join("parse"), query_lang.join("ast")];
    let mut files = vec![query_lang.join("print.rs"), query_lang.join("functions.rs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    for file in files {
        let text = std::fs::read_to_string(&file).expect("the file can be read");
        assert!(!text.contains("watchfire_engine"), "{} knows the engine", file.display());
        looked_at += 1;
    }
    assert!(looked_at > 3);
}
