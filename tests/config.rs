//! The configuration: what a start and the check say of bad values, and what a reload says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
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

/// Runs `watchfire config` in a folder: exit code, output, errors.
fn config(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(BINARY);
    for name in ["WATCHFIRE_CONFIG", "WATCHFIRE_DATA_DIR", "WATCHFIRE_LISTEN", "OPENAI_API_KEY"] {
        command.env_remove(name);
    }
    command.arg("config").args(arguments).current_dir(folder).envs(environment.iter().copied());
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_file_to_begin_with_is_good_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, told, _) = config(folder.path(), &["init", "c.yaml"], &[]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(run(folder.path(), &["check", "config", "c.yaml"]), (Some(0), String::new()));
    let shown = |arguments: &[&str]| config(folder.path(), &[&["show"], arguments].concat(), &[]).1;
    assert_eq!(shown(&["--config", "c.yaml"]), shown(&[]));
    assert_eq!(config(folder.path(), &["diff", "/dev/null", "c.yaml"], &[]), (Some(0), String::new(), String::new()));
    std::fs::write(folder.path().join("shown.yaml"), shown(&[])).expect("written");
    assert_eq!(run(folder.path(), &["check", "config", "shown.yaml"]), (Some(0), String::new()));
    let (code, _, told) = config(folder.path(), &["init", "c.yaml"], &[]);
    assert_eq!((code, told.as_str()), (Some(1), "error: c.yaml: it is there already; name another file\n"));
}

/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from_but_no_secret() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let environment = [("WATCHFIRE_LISTEN", "127.0.0.1:8181"), ("REGION", "north"), ("HOOK", "secret-of-hook")];
    let arguments = ["show", "--config", "shown.yaml", "--data-dir", "/srv/watchfire", "--origin"];
    let (code, shown, told) = config(&folder, &arguments, &environment);
    assert_eq!(code, Some(0), "{told}");
    assert!(!shown.contains("secret-of"), "{shown}");
    let golden = folder.join("shown.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &shown).expect("the golden file can be written");
    }
    assert_eq!(shown, std::fs::read_to_string(golden).unwrap_or_default());
}

#[test]
fn what_is_shown_is_a_configuration_that_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = include_str!("config/shown.yaml");
    // Secrets cannot be read back.
    let text: String = text
        .lines()
        .filter(|line| !line.contains("secret-of") && !line.contains("HOOK"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(folder.path().join("a.yaml"), text).expect("written");
    let environment = [("REGION", "no\"rth: #1 ${x} $$ \u{e9}")];
    let (code, first, told) = config(folder.path(), &["show", "--config", "a.yaml"], &environment);
    assert_eq!(code, Some(0), "{told}");
    std::fs::write(folder.path().join("b.yaml"), &first).expect("written");
    let (code, second, told) = config(folder.path(), &["show", "--config", "b.yaml"], &[]);
    assert_eq!((code, second), (Some(0), first), "{told}");
}

#[test]
fn files_are_compared_by_what_they_mean() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = |name: &str, host: &str| {
        format!("    - {{name: {name}, webhook: {{url: \"http://{host}:9000/\", timeout: 10s}}}}\n")
    };
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("written");
    let begin = "listen: [\"127.0.0.1:8080\"]\nlogs: {retention_days: 7}\nalerting:\n  receivers:\n";
    write("a.yaml", format!("{begin}{}{}", receiver("ops", "a"), receiver("chat", "a")));
    // Another order, a variable, a default that is written.
    let turned = format!(
        "alerting:\n  receivers:\n{}{}logs: {{retention_days: \"${{DAYS}}\", disk_limit: 50GiB}}\n",
        receiver("chat", "a"),
        receiver("ops", "a")
    );
    write("b.yaml", turned);
    let environment = [("DAYS", "7")];
    assert_eq!(
        config(folder.path(), &["diff", "a.yaml", "b.yaml"], &environment),
        (Some(0), String::new(), String::new())
    );
    write("c.yaml", format!("{begin}{}metrics: {{port: 0}}\n", receiver("ops", "a").replace("10s", "3s")));
    let (code, shown, told) = config(folder.path(), &["diff", "a.yaml", "c.yaml"], &[]);
    assert_eq!((code, told.as_str()), (Some(1), ""));
    let expected = "--- a.yaml\n+++ c.yaml\n\
        - alerting.receivers[chat].name: chat\n\
        - alerting.receivers[chat].webhook.send_resolved: true\n\
        - alerting.receivers[chat].webhook.timeout: 10s\n\
        - alerting.receivers[chat].webhook.url: <secret>\n\
        - alerting.receivers[ops].webhook.timeout: 10s\n\
        + alerting.receivers[ops].webhook.timeout: 3s\n\
        - metrics.port: 9090\n\
        + metrics.port: 0\n";
    assert_eq!(shown, expected);
    write("d.yaml", "metrics:\n  memory_limits: 1GiB\n".to_owned());
    let (code, shown, told) = config(folder.path(), &["diff", "d.yaml", "absent.yaml"], &[]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    let begins = ["d.yaml:2:3: unknown key", "absent.yaml:1:1: cannot be read"];
    assert!(told.lines().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{told}");
}

#[test]
fn a_wrong_file_is_not_shown_but_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("c.yaml"), "metrics:\n  memory_limits: 1GiB\n").expect("written");
    let (code, shown, told) = config(folder.path(), &["show", "--config", "c.yaml"], &[]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    assert_eq!(told, "c.yaml:2:3: unknown key `memory_limits` in `metrics`; did you mean `memory_limit`?\n");
    let (code, _, told) = config(folder.path(), &["show", "--listen", "0.0.0.0:8080"], &[]);
    assert!(code == Some(1) && told.contains("auth: none"), "{told}");
}

#[test]
fn variables_that_do_nothing_are_refused_or_told_as_a_start_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = [("KAFKA_BROKERS", "a:9092")];
    let (code, _, shown) = config(folder.path(), &["show"], &refused);
    let started = Command::new(BINARY).arg("serve").current_dir(folder.path()).envs(refused).output().expect("it runs");
    assert_eq!((code, started.status.code()), (Some(1), Some(1)));
    assert_eq!(shown, String::from_utf8_lossy(&started.stderr));
    let told = "KAFKA_BROKERS (reading logs from Kafka) is not in this version yet; unset it";
    assert_eq!(shown, format!("error: environment variable {told}\n"));
    // Set for other programs, and asking for nothing.
    let ignored = [("OPENAI_API_KEY", "secret-of-model")];
    let told = "environment variable OPENAI_API_KEY has no effect: insights by a model is not in this version yet";
    let (code, shown, _) = config(folder.path(), &["show"], &ignored);
    assert!(code == Some(0) && shown.starts_with(&format!("# {told}\nlisten: ")), "{shown}");
    assert!(!shown.contains("secret-of"));
    let server = Server::start_with(BINARY, "", &ignored);
    let begun = std::time::Instant::now();
    while !server.log().contains(told) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn every_key_of_the_schema_is_in_the_documentation() {
    let (code, schema, _) = config(Path::new("."), &["schema"], &[]);
    let schema: Value = serde_json::from_str(&schema).expect("it is JSON");
    assert_eq!((code, &schema["$schema"]), (Some(0), &"http://json-schema.org/draft-07/schema#".into()));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = |name: &str| std::fs::read_to_string(docs.join(name)).expect("the page is there");
    let text = ["config.md", "security.md", "metrics-backend.md"].map(page).concat();
    let sections = schema["definitions"].as_object().expect("sections");
    // What is Prometheus' is told there; our pages name what differs.
    let theirs = ["section global", "section scrape_configs", "section remote_write", "section metrics.backend."];
    let keys = |(section, what): (&String, &Value)| {
        let names = what["properties"].as_object().into_iter().flatten();
        names.map(|(name, _)| (format!("{section}.{name}"), name.clone())).collect::<Vec<_>>()
    };
    let all: Vec<(String, String)> = sections.iter().flat_map(keys).collect();
    assert!(all.len() > 200, "{} keys", all.len());
    let ours = all.iter().filter(|(path, _)| !theirs.iter().any(|theirs| path.starts_with(theirs)));
    let is_word = |text: &str, name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let around = [text[..at].chars().next_back(), text[at + name.len()..].chars().next()];
            around.iter().flatten().all(|c| !c.is_ascii_alphanumeric() && *c != '_')
        })
    };
    let missing: Vec<&String> = ours.filter(|(_, name)| !is_word(&text, name)).map(|(path, _)| path).collect();
    assert_eq!(missing, Vec::<&String>::new(), "keys that docs/ does not name");
}
