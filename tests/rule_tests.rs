//! `watchfire test rules` on the files of `tests/rule_tests`, beside promtool, which must come to the same: `good_*` pass,
//! `bad_*` fail. What ours says of those that fail stands in golden files; `UPDATE_GOLDEN=1` writes them anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use watchfire_test_support::Program;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rule_tests")
}

fn ours(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    command.args(["test", "rules"]).args(arguments).current_dir(folder()).output().expect("it runs")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Names of the files of tests, sorted.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder is there").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yml")).collect();
    names.sort();
    assert!(names.len() >= 25, "{names:?}");
    names
}

#[test]
fn good_files_pass_and_bad_ones_say_why() {
    for name in names() {
        let output = ours(&[&name]);
        let told = told(&output);
        let is_good = name.starts_with("good_");
        assert_eq!(output.status.code(), Some(i32::from(!is_good)), "{name}: {told}");
        if is_good {
            assert_eq!(told, "", "{name}");
            continue;
        }
        let golden = folder().join(format!("{name}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &told).expect("the golden file can be written");
        }
        assert_eq!(told, std::fs::read_to_string(&golden).unwrap_or_default(), "{name}");
    }
}

/// What stands in a text between two others.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, text) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin:?}"));
    text.split_once(end).unwrap_or_else(|| panic!("no {end:?}")).0
}

#[test]
fn the_documented_tests_pass_with_the_rules_beside_them() {
    let docs = include_str!("../docs/alerts.md");
    let docs = docs.split_once("## Tests of rules").expect("a chapter").1;
    let help = Command::new(env!("CARGO_BIN_EXE_watchfire")).args(["test", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for (what, rule, test) in [
        ("docs", between(docs, "```json\n", "```"), between(docs, "```yaml\n", "```")),
        ("help", between(&help, "For the\nrule\n", "in alert_rules"), between(&help, "may be:\n", "Exit codes")),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("alert_rules.json", rule);
        write("test.yml", test);
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        let output = command.args(["test", "rules", "test.yml"]).current_dir(folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{what}: {}", told(&output));
    }
}

#[test]
fn promtool_comes_to_the_same() {
    let Some(program) = Program::of_prometheus("promtool", "tests of rules").filter(|program| program.is_newest) else {
        return;
    };
    for name in names() {
        let output = program.command().args(["test", "rules", &name]).current_dir(folder()).output().expect("it runs");
        let is_good = name.starts_with("good_");
        assert_eq!(output.status.code(), Some(i32::from(!is_good)), "{name}: {}", told(&output));
    }
}

#[test]
fn rules_of_our_own_on_counted_events() {
    let output = ours(&["own/short_form.yml"]);
    assert_eq!((output.status.code(), told(&output)), (Some(0), String::new()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "good: own/short_form.yml, 2 tests\n");
}

#[test]
fn tests_are_chosen_by_name() {
    let run = |choice: &[&str]| {
        let output = ours(&[choice, &["good_alerts.yml", "bad_label.yml"]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let passed = "good: good_alerts.yml, 1 test\ngood: bad_label.yml, 0 tests\n".to_owned();
    assert_eq!(run(&["--run", "kept$"]), (Some(0), passed));
    let (code, said) = run(&["--run", "one of", "--run", "kept"]);
    assert_eq!(code, Some(1));
    assert_eq!(said, "good: good_alerts.yml, 1 test\nfailed: bad_label.yml, 1 of 1 test\n");
    assert_eq!(run(&["--run", "("]).0, Some(2), "no regular expression is a mistake of the call");
    assert_eq!(ours(&["no_such_file.yml"]).status.code(), Some(1));
    assert_eq!(ours(&[]).status.code(), Some(2));
}

#[test]
fn build_servers_can_read_the_outcome() {
    let out = tempfile::tempdir().expect("a folder");
    let file = out.path().join("outcome.xml");
    let output = ours(&["--junit", file.to_str().expect("a plain path"), "good_alerts.yml", "bad_label.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let xml = std::fs::read_to_string(&file).expect("it was written");
    for part in [
        "<testsuite name=\"good_alerts.yml\" tests=\"2\" failures=\"0\" errors=\"0\">",
        "<testcase name=\"an alert is kept\">",
        "<testsuite name=\"bad_label.yml\" tests=\"1\" failures=\"1\" errors=\"0\">",
        "<failure message=\"test `one of two`: alert `Kept` at 0s is not as expected\">bad_label.yml:8:9: ",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
}
