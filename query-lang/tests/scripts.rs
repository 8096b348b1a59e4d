//! Runs every script of `tests/scripts`.

mod script;

use std::path::Path;

/// Runs the scripts of a folder; gives how many evaluations held, how many are of what is not here
/// yet, and the failures.
fn run_folder(folder: &Path) -> script::Outcome {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the folder of scripts").flatten().map(|file| file.path()).collect();
    files.sort();
    let mut all = script::Outcome::default();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "test")) {
        let text = std::fs::read_to_string(file).expect("a readable script");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let outcome = script::run(&name, &text);
        all.held += outcome.held;
        all.not_yet += outcome.not_yet;
        all.failures.extend(outcome.failures);
    }
    all
}

#[test]
fn all_scripts_hold() {
    let outcome = run_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts"));
    assert!(outcome.failures.is_empty(), "\n{}", outcome.failures.join("\n\n"));
    assert!(outcome.not_yet == 0 && outcome.held > 150, "only {} evaluations held", outcome.held);
}

/// Prometheus' own scripts, where `PROMETHEUS_SCRIPTS` names their folder (`promql/promqltest/testdata` of its
/// module). What it holds and we do not have yet is counted; what differs is listed, not judged.
#[test]
fn prometheus_own_scripts() {
    let Some(folder) = std::env::var_os("PROMETHEUS_SCRIPTS") else {
        eprintln!("skipped: PROMETHEUS_SCRIPTS is not set");
        return;
    };
    let outcome = run_folder(Path::new(&folder));
    println!("{}\n", outcome.failures.join("\n\n"));
    println!("{} held, {} not here yet, {} differ", outcome.held, outcome.not_yet, outcome.failures.len());
}
