//! What `watchfire check` says of broken files, against golden texts: `tests/check/NAME` and `NAME.golden`.
//! `UPDATE_GOLDEN=1` writes the golden files anew.

use std::path::Path;
use std::process::Command;

#[test]
fn every_fault_is_told_with_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = match entry.path().extension().and_then(|ending| ending.to_str()) {
            Some("yaml") => "config",
            Some("json" | "yml") => "rules",
            _ => continue,
        };
        let output = Command::new(env!("CARGO_BIN_EXE_watchfire"))
            .args(["check", kind, &name])
            .current_dir(&folder)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{name}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // Below a fault stands the line that is meant, with a margin.
        for line in told.lines().filter(|line| !line.starts_with("  ")) {
            let mut parts = line.splitn(4, ':');
            let place = (parts.next(), parts.next().map(str::parse::<u32>), parts.next().map(str::parse::<u32>));
            assert!(
                matches!(place, (Some(file), Some(Ok(1..)), Some(Ok(1..))) if folder.join(file).exists()),
                "{line}"
            );
        }
        let golden = folder.join(format!("{name}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &told).expect("the golden file can be written");
        }
        assert_eq!(told, std::fs::read_to_string(&golden).unwrap_or_default(), "{name}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} files");
}

#[test]
fn good_files_are_called_good() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/examples");
    let files: Vec<_> =
        std::fs::read_dir(examples).expect("the examples are there").flatten().map(|f| f.path()).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_watchfire")).args(["check", "rules"]).args(&files).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn patterns_name_files() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/examples");
    let check = |patterns: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        let output = command.args(["check", "rules"]).args(patterns).current_dir(&examples).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let count = std::fs::read_dir(&examples).expect("the examples are there").count();
    let (code, told, _) = check(&["*.json", "*.yml"]);
    assert!(code == Some(0) && told.contains(&format!(" in {count} files")), "{told}");
    assert_eq!(check(&["no*.json", "[.json"]).0, Some(1));
    let (_, _, wrong) = check(&["no*.json", "[.json"]);
    assert_eq!(
        wrong,
        "no*.json: no file has such a name; mend the pattern\n\
         [.json: invalid range pattern; put a character that is meant into brackets: [*]\n"
    );
}

#[test]
fn the_example_of_the_documentation_is_good() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.yaml"), example).expect("the folder can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["check", "config", "config.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
