//! Runs every script of `tests/scripts`.

mod script;

#[test]
fn all_scripts_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the folder of scripts").flatten().map(|file| file.path()).collect();
    files.sort();
    let mut failures = Vec::new();
    let mut evals = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "test")) {
        let text = std::fs::read_to_string(file).expect("a readable script");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match script::run(&name, &text) {
            Ok(count) => evals += count,
            Err(error) => failures.push(error),
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
    assert!(evals > 100, "only {evals} evaluations were found");
}
