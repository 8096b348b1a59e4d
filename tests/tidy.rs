//! What clippy cannot check: every module says what it is, every dependency says what it saves us, nothing is
//! ignored, test data is used.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below the root with this ending, but what is built or hidden.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut folders = vec![root().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "watchfire-data" && name != "node_modules" {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} files");
    found
}

#[test]
fn every_module_says_what_it_is() {
    for file in files(".rs") {
        let text = read(&file);
        let tests = file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests");
        assert!(tests || text.starts_with("//! "), "{} does not begin with `//! `", file.display());
    }
}

#[test]
fn nothing_is_ignored_or_left_undone() {
    // Spelled apart, so that this file does not find itself.
    let forbidden = [["#[ig", "nore"].concat(), ["todo", "!("].concat(), ["unimpl", "emented!("].concat()];
    for file in files(".rs") {
        let text = read(&file);
        for word in &forbidden {
            assert!(!text.contains(word.as_str()), "{} holds {word}", file.display());
        }
    }
}

#[test]
fn every_dependency_says_what_it_saves_us() {
    let manifest = read(&root().join("Cargo.toml"));
    let documented = read(&root().join("docs/dependencies.md"));
    let start = manifest.find("[workspace.dependencies]").expect("the section is there");
    let section = manifest[start..].lines().skip(1).take_while(|line| !line.starts_with('['));
    let mut names = Vec::new();
    for line in section.filter(|line| !line.starts_with('#') && line.contains('=') && !line.starts_with("watchfire-")) {
        let name = line.split([' ', '=']).next().unwrap_or_default();
        assert!(documented.contains(&format!("| `{name}` |")), "{name} is not in docs/dependencies.md");
        names.push(name);
    }
    assert!(names.len() > 20, "the reader of the manifest reads nothing");
    for line in documented.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap_or_default();
        assert!(names.contains(&name), "docs/dependencies.md lists {name}, which is no dependency");
    }
    for name in names {
        let used = files("Cargo.toml").iter().filter(|file| file.parent() != Some(root())).any(|file| {
            read(file)
                .lines()
                .any(|line| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} =")))
        });
        let used_by_root = manifest.contains(&format!("\n{name}.workspace"));
        assert!(used || used_by_root, "{name} is declared and used nowhere");
    }
}

#[test]
fn every_route_says_what_it_asks_for() {
    let mut seen = 0;
    for file in files(".rs") {
        let text = read(&file);
        // Other servers (of tests, of the demo's receiver) are not under our guard.
        let served =
            ["dashboard-api/src", "ingest/src", "src"].iter().any(|folder| file.starts_with(root().join(folder)));
        if !served || !text.contains("axum") {
            continue;
        }
        for after in text.split(".route(").skip(1) {
            let Some(path) = after.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                panic!("{}: a route's path stands as text beside `.route(`", file.display());
            };
            let example: String = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            assert!(
                watchfire_dashboard_api::routes::is_listed(&example),
                "{}: `{path}` is not in the table of dashboard-api/src/routes.rs; say there what it asks for",
                file.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} routes were found");
}
