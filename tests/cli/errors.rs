//! What each verb says when it cannot: always `error: …`, or a place in a file, and where the value came from that is wrong.
//! The cases are in `tests/cli/errors`.

use crate::program::{BINARY, Run, plain};

/// A case of the table: `[NAME=VALUE…] VERB… -> EXIT CODE`, and below it what is told, indented.
struct Case {
    call: String,
    code: i32,
    told: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("errors").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix("  "), cases.last_mut()) {
            (Some(told), Some(case)) => case.told.push(told.to_owned()),
            _ => {
                let (call, code) = line.rsplit_once(" -> ").expect("an exit code");
                let code = code.parse().expect("a number");
                cases.push(Case { call: call.to_owned(), code, told: Vec::new() });
            }
        }
    }
    cases
}

/// What is told has to begin so, line by line; further lines may follow.
#[test]
fn errors_look_alike_and_name_where_they_come_from() {
    let cases = cases();
    for Case { call, code, told } in &cases {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("bad.yaml"), "listn: 3\n").expect("written");
        std::fs::write(folder.path().join("one-port.yaml"), "metrics: {port: 0}\n").expect("written");
        std::fs::write(folder.path().join("short.keys"), "sha256:12 read\n").expect("written");
        let mut command = plain(BINARY);
        command.current_dir(folder.path());
        let words = call.split(' ').skip_while(|word| match word.split_once('=') {
            Some((name, value)) if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') => {
                command.env(name, value);
                true
            }
            _ => false,
        });
        let words: Vec<&str> = words.collect();
        let run: Run = command.args(words).output().expect("it runs").into();
        assert_eq!(run.code, *code, "{call}: {}", run.told);
        let have: Vec<&str> = run.told.lines().collect();
        let begins = told.len() <= have.len() && told.iter().zip(&have).all(|(told, have)| have.starts_with(told));
        assert!(begins, "{call}:\n{}instead of\n{}", run.told, told.join("\n"));
    }
    assert!(cases.len() > 25, "{} cases", cases.len());
}
