//! The configuration: what a start and the check say of bad values, and what a reload says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use watchfire_test_support::Server;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

#[test]
fn a_reload_names_what_differs_from_what_runs_each_time() {
    let server = Server::start(BINARY, "");
    let file = server.folder.path().join("config.yaml");
    let before = std::fs::read_to_string(&file).expect("the configuration is there");
    let reload = |text: &str| {
        std::fs::write(&file, text).expect("it can be written");
        let answer = server.client().post("/-/reload", "text/plain", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().trim_end().split_once("only after a restart: ").map(|(_, names)| names.to_owned())
    };
    let changed = format!("{before}\nqueue: {{disk_limit: 1GiB}}\nallowed_hosts: [proxy]\n");
    let waiting = Some("queue, allowed_hosts".to_owned());
    assert_eq!(reload(&changed), waiting);
    assert_eq!(reload(&changed), waiting, "they wait still");
    assert_eq!(reload(&before), None, "back to what runs");
    // Extraction reloads, and this key with it.
    assert_eq!(reload(&before.replace("{port: 0}", "{port: 0, late_after: 5m}")), None);
    assert_eq!(reload(&changed), waiting);
}

/// The begin of the banner that `serve` prints when it runs.
const RUNNING: &str = "watchfire ";

#[test]
fn what_serve_refuses_of_a_file_the_check_refuses_in_the_same_words() {
    let table = include_str!("config/values");
    let cases: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for case in cases {
        let (verdict, config) = case.split_once(' ').expect("a verdict and a configuration");
        let folder = tempfile::tempdir().expect("a folder");
        let rest = [("listen", "listen: [\"127.0.0.1:0\"]\n"), ("metrics", "metrics: {port: 0}\n")];
        let rest: String = rest.iter().filter(|(key, _)| !config.starts_with(key)).map(|(_, line)| *line).collect();
        std::fs::write(folder.path().join("c.yaml"), format!("{config}\n{rest}")).expect("written");
        let (checked, words) = run(folder.path(), &["check", "config", "c.yaml"]);
        let (served, told) = run(folder.path(), &["serve", "--config", "c.yaml"]);
        match verdict {
            "bad" => {
                assert_eq!((checked, served, &told), (Some(1), Some(1), &words), "{case}");
                for line in words.lines() {
                    let mut parts = line.splitn(4, ':').skip(1).map(str::parse::<usize>);
                    assert!(matches!((parts.next(), parts.next()), (Some(Ok(1..)), Some(Ok(1..)))), "{case}: {line}");
                }
            }
            _ => assert_eq!((verdict, checked, served), ("good", Some(0), None), "{case}: {words}{told}"),
        }
    }
}

/// The exit code and the errors of a call; a server that runs is stopped, and has no code.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let is_running = output.lines().map_while(Result::ok).any(|line| line.starts_with(RUNNING));
    if is_running {
        child.kill().expect("our child");
        child.wait().expect("our child");
        return (None, String::new());
    }
    let ended = child.wait_with_output().expect("our child");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}
