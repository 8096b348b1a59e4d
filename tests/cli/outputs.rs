//! Standard output that takes nothing: a full disk, and a reader that has left.

use std::fs::{self, File};
use std::io;
use std::process::Stdio;

use crate::program::{BINARY, Run, plain};

const RULES: &str = "groups: [{name: g, rules: [{alert: Up, expr: up == 0}]}]\n";
const TEST: &str = "rule_files: [rules.yaml]\ntests: []\n";

/// Verbs that need no server, and write to it.
const CALLS: &[&str] = &[
    "--help",
    "--version",
    "help query",
    "man",
    "completions bash",
    "config init",
    "config schema",
    "config show",
    "config diff one.yaml other.yaml",
    "check config one.yaml",
    "check rules rules.yaml",
    "test rules test.yaml",
    "keys list --file keys",
    "keys add --file keys second",
    "users list --file users",
];

#[test]
fn what_cannot_be_written_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let files =
        [("rules.yaml", RULES), ("test.yaml", TEST), ("one.yaml", "data_dir: a\n"), ("other.yaml", "data_dir: b\n")];
    files.iter().for_each(|(name, text)| fs::write(path(name), text).expect("written"));
    let run = |call: &str, to: Stdio| -> Run {
        let mut command = plain(BINARY);
        command.args(call.split(' ')).current_dir(folder.path()).stdout(to).stderr(Stdio::piped());
        command.spawn().and_then(|child| child.wait_with_output()).expect("it runs").into()
    };
    assert_eq!(run("keys add --file keys first", Stdio::piped()).code, 0);
    fs::write(path("users"), "").expect("written");
    let keys = || fs::read_to_string(path("keys")).expect("read");
    let before = keys();
    for call in CALLS {
        let full = run(call, File::create("/dev/full").expect("opened").into());
        let is_silent = *call == "users list --file users";
        let wanted = if is_silent { (0, false) } else { (1, true) };
        assert_eq!((full.code, full.told.contains("No space left")), wanted, "{call}: {}", full.told);

        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let left = run(call, writer.into());
        let wanted = match *call {
            // Nobody has seen it.
            "keys add --file keys second" => 1,
            "config diff one.yaml other.yaml" => 1,
            _ => 0,
        };
        assert_eq!(left.code, wanted, "{call}: {}", left.told);
        assert!(!left.told.contains("panicked"), "{call}: {}", left.told);
        assert_eq!(keys(), before, "a key that nobody saw is not kept");
    }
}
