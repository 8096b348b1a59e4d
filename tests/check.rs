//! What `watchfire check` says of broken files, against golden texts: `tests/check/NAME` and `NAME.golden`.
//! `UPDATE_GOLDEN=1` writes the golden files anew.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use watchfire_test_support::runs_as_nobody;

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
fn secrets_that_are_not_there_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display();
    let config = format!(
        "alerting:\n  receivers:\n    - {{name: ops, webhook: {{url_file: {place}/url}}}}\n    - {{name: mail, email: {{smtp: \
         \"smtp://u@h\", password_file: {place}/password, from: a@b.example, to: [c@d.example]}}}}\n\
         dead_mans_switch: {{url_file: {place}/ping, every: 1m}}\n"
    );
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config).expect("the folder can be written");
    let told = || {
        let output = Command::new(env!("CARGO_BIN_EXE_watchfire")).args(["check", "config"]).arg(&file).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let line =
        |name: &str| format!("{place}/{name}:1:1: there is no such file; make it, or mend the path that leads here\n");
    assert_eq!(told(), (Some(1), ["password", "ping", "url"].map(line).concat()));
    for name in ["password", "ping", "url"] {
        std::fs::write(folder.path().join(name), "http://127.0.0.1:1/").expect("the folder can be written");
    }
    assert_eq!(told(), (Some(0), String::new()));
}

#[test]
fn certificates_that_clients_cannot_use_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ours, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("made"));
    for (name, text) in [
        ("ours.pem", ours.cert.pem()),
        ("ours.key", ours.signing_key.serialize_pem()),
        ("other.key", other.signing_key.serialize_pem()),
        ("none.pem", "nothing".to_owned()),
    ] {
        std::fs::write(folder.path().join(name), text).expect("the folder can be written");
    }
    let check = |config: &str| {
        std::fs::write(folder.path().join("c.yaml"), config).expect("the folder can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        let output = command.args(["check", "config", "c.yaml"]).current_dir(folder.path()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let missing =
        |name: &str| format!("{name}:1:1: there is no such file; make it, or mend the path that leads here\n");
    let job = |tls: &str| format!("scrape_configs: [{{job_name: a, scheme: https, tls_config: {{{tls}}}}}]\n");
    let apart = "other.key:1:1: certificate and key of `tls_config` are none in PEM form, or do not belong together\n";
    let no_ca =
        "none.pem:1:1: it holds no certificates in PEM form; write one or more of authorities to trust into it\n";
    let discovery = "scrape_configs: [{job_name: a, http_sd_configs: [{url: \"https://a.example\", tls_config: {ca_file: gone.pem}}]}]\n";
    let tokens = "remote_write: [{url: \"https://a.example\", oauth2: {client_id: a, client_secret: b, token_url: \"https://a.example\", \
         tls_config: {cert_file: ours.pem, key_file: other.key}}}]\n";
    let mail = "alerting: {receivers: [{name: a, email: {smtp: \"smtp://h\", from: a@b.example, to: [c@d.example], ca_file: none.pem}}]}\n";
    for (config, told) in [
        (job("ca_file: ours.pem, cert_file: ours.pem, key_file: ours.key").as_str(), String::new()),
        (&job("ca_file: gone.pem"), missing("gone.pem")),
        (&job("cert_file: gone.pem, key_file: gone.key"), missing("gone.key") + &missing("gone.pem")),
        (&job("ca_file: none.pem"), no_ca.to_owned()),
        (&job("cert_file: ours.pem, key_file: other.key"), apart.to_owned()),
        (discovery, missing("gone.pem")),
        (tokens, apart.to_owned()),
        ("metrics: {backend: {url: \"https://a.example\", tls_config: {ca_file: none.pem}}}\n", no_ca.to_owned()),
        (mail, no_ca.to_owned()),
    ] {
        let code = if told.is_empty() { 0 } else { 1 };
        assert_eq!(check(config), (Some(code), told), "{config}");
    }
}

#[test]
fn what_cannot_be_written_is_told_and_nothing_is_made() {
    if runs_as_nobody("what_cannot_be_written_is_told_and_nothing_is_made") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).expect("the folder can be written");
    std::fs::write(folder.path().join("old.log"), "").expect("the folder can be written");
    for (path, mode) in [(&locked, 0o555), (&folder.path().join("old.log"), 0o444)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }
    let denied = "Permission denied (os error 13)";
    let ours = "give the server's user the rights w and x there, or write another path";
    for (config, told) in [
        ("data_dir: new/data\nlogs: {archive: {dir: new/archive}}\nglobal: {query_log_file: q.log}\n", String::new()),
        (
            "data_dir: locked/data\n",
            format!("`data_dir`: locked/data cannot be written by who runs this check: locked: {denied}; {ours}\n"),
        ),
        (
            "logs: {archive: {dir: locked/a/b}}\n",
            format!("`logs.archive.dir`: locked/a/b cannot be written by who runs this check: locked: {denied}; {ours}\n"),
        ),
        (
            "global: {query_log_file: nowhere/q.log}\n",
            "`query_log_file`: nowhere/q.log cannot be written by who runs this check: there is no folder nowhere; make it, or write \
             another path\n"
                .to_owned(),
        ),
        (
            "global: {scrape_failure_log_file: old.log}\nscrape_configs: [{job_name: a}, {job_name: b}]\n",
            format!(
                "`scrape_failure_log_file`: old.log cannot be written by who runs this check: {denied}; give the server's user \
                 the right w for it, or write another path\n"
            ),
        ),
    ] {
        std::fs::write(folder.path().join("c.yaml"), config).expect("the folder can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        let output = command.args(["check", "config", "c.yaml"]).current_dir(folder.path()).output().expect("it runs");
        let told = if told.is_empty() { told } else { format!("c.yaml: {told}") };
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(0), told.into()), "{config}");
    }
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("it is there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
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
        "error: no*.json: no file has such a name; mend the pattern\n\
         error: [.json: invalid range pattern; put a character that is meant into brackets: [*]\n"
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

const ROUTES: &str = r#"alerting:
  rules_path: [rules.json, rules.yml]
  receivers:
    - {name: ops, webhook: {url: "http://127.0.0.1:9000/hook"}}
    - {name: db, webhook: {url: "http://127.0.0.1:9000/db"}}
    - {name: mail, email: {smtp: "smtp://127.0.0.1:2525", from: "a@example.org", to: ["b@example.org"]}}
    - {name: spare, webhook: {url: "http://127.0.0.1:9000/spare"}}
  default_receivers: [ops, mail]
"#;
const RULES: &str = r#"[
  {"name": "Errors", "query": "rate error_count", "threshold": 1, "operator": ">", "duration": "0s", "labels": {"severity": "critical"}},
  {"name": "SlowDb", "query": "max db_ms", "threshold": 1, "operator": ">", "duration": "0s", "labels": {"severity": "warning"}, "receivers": ["db"]}
]"#;
const TWINS: &str = "groups:
- {name: a, rules: [{record: x, expr: y, labels: {a: b}}, {alert: X, expr: y}]}
- {name: b, rules: [{record: x, expr: z, labels: {a: b}}]}
";

/// Runs `check` in a folder with these files; exit code, stdout, stderr.
fn check_in(files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the folder can be written");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    let output = command.arg("check").args(arguments).current_dir(folder.path()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn routes_say_who_is_told() {
    let plain = TWINS.replace("- {name: b, rules: [{record: x,", "- {name: b, rules: [{record: y,");
    let check = |arguments: &[&str]| {
        let files = [("config.yaml", ROUTES), ("rules.json", RULES), ("rules.yml", plain.as_str())];
        check_in(&files, &[&["routes", "config.yaml"], arguments].concat())
    };
    let errors = "  Errors (rules.json): mail (email), ops (webhook)\n";
    let slow = "  SlowDb (rules.json): db (webhook)\n";
    let x = "  X (rules.yml): mail (email), ops (webhook)\n";
    let spare = "config.yaml: receiver `spare` is told of no alert; name it in a rule or in `default_receivers`, or remove it\n";
    let good = |lines: &[&str]| format!("good: config.yaml\n{}", lines.concat());
    assert_eq!(check(&[]), (Some(0), good(&[errors, slow, x]), spare.to_owned()));
    assert_eq!(check(&["--lint-fatal"]), (Some(3), good(&[errors, slow, x]), spare.to_owned()));
    let told = |lines: &[&str]| (Some(0), good(lines), String::new());
    assert_eq!(check(&["--labels", "severity=warning"]), told(&[slow, x]));
    assert_eq!(check(&["--labels", "alertname=SlowDb,service=api", "--verify-receivers", "db"]), told(&[slow]));
    let nobody =
        "  no rule gives an alert with these labels; of one that names no receiver: mail (email), ops (webhook)\n";
    assert_eq!(check(&["--labels", "alertname=None"]), told(&[nobody]));
    let (code, _, why) = check(&["--labels", "alertname=SlowDb", "--verify-receivers", "db,ops"]);
    assert_eq!((code, why.as_str()), (Some(1), "error: config.yaml: told is db, and not as --verify-receivers says\n"));
    assert_eq!(check(&["--labels", "severity"]).0, Some(2));
    let wrong = ROUTES.replace("[ops, mail]", "[opps]");
    let (code, _, why) =
        check_in(&[("config.yaml", &wrong), ("rules.json", RULES), ("rules.yml", TWINS)], &["routes", "config.yaml"]);
    assert!(code == Some(1) && why.starts_with("config.yaml:8:23: no receiver is named `opps`"), "{code:?} {why}");
}

/// Exit code 3 of the contract, as promtool has it.
#[test]
fn what_is_unwise_counts_only_when_it_shall() {
    let files = [("rules.yml", TWINS)];
    let lint = "rules.yml: 2 rules are called x{a=\"b\"} (in a, b), and may write over each other; rename all but one, or give \
                them labels that tell them apart\n";
    let good = "good: 3 rules in 1 file\n";
    assert_eq!(check_in(&files, &["rules", "rules.yml"]), (Some(0), good.to_owned(), lint.to_owned()));
    assert_eq!(check_in(&files, &["rules", "--lint-fatal", "rules.yml"]), (Some(3), good.to_owned(), lint.to_owned()));
    let config = [("config.yaml", "rule_files: [rules.yml]\n"), files[0]];
    assert_eq!(check_in(&config, &["config", "--lint-fatal", "config.yaml"]).0, Some(3));
    assert_eq!(check_in(&[("rules.yml", "groups: 7")], &["rules", "--lint-fatal", "rules.yml"]).0, Some(1));
    let no_keys = ("keys.txt", "# none yet\n");
    for (config, unwise) in [
        ("auth: {api_keys_file: keys.txt}\n", Some("config.yaml: `auth`: the files name no key and no user")),
        ("cors: [\"*\"]\n", Some("config.yaml: `cors`: without `auth` \"*\" lets each page")),
        ("cors: [\"http://a.example\"]\n", None),
    ] {
        let (code, _, told) = check_in(&[("config.yaml", config), no_keys], &["config", "--lint-fatal", "config.yaml"]);
        assert_eq!(code, Some(if unwise.is_some() { 3 } else { 0 }), "{told}");
        assert!(told.starts_with(unwise.unwrap_or_default()), "{told}");
    }
    let more = [files[0], ("more.yml", "groups: [{name: c, rules: [{record: x, expr: '3', labels: {a: b}}]}]")];
    let (code, _, told) = check_in(&more, &["rules", "--lint-fatal", "rules.yml", "more.yml"]);
    assert_eq!(code, Some(3));
    assert!(told.contains("3 rules are called x{a=\"b\"} (in a, b, c of more.yml)"), "{told}");
    assert_eq!(check_in(&files, &["rules", "rules.yml", "--labels", "a=b"]).0, Some(2));
    let Some(promtool) = watchfire_test_support::Program::of_prometheus("promtool", "lint of rules") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yml"), TWINS).expect("the folder can be written");
    for (arguments, code) in
        [(&["check", "rules", "rules.yml"][..], 0), (&["check", "rules", "--lint-fatal", "rules.yml"], 3)]
    {
        let done = promtool.command().args(arguments).current_dir(folder.path()).output().expect("promtool runs");
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
    }
}

/// `tests/check/queries.txt` and `tests/check/metrics`: what is told, against golden texts.
#[test]
fn queries_and_metrics_are_checked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut cases = vec![("queries", "queries.txt".to_owned())];
    for entry in std::fs::read_dir(folder.join("metrics")).expect("the folder is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".prom") {
            cases.push(("metrics", format!("metrics/{name}")));
        }
    }
    assert!(cases.len() > 5);
    for (kind, file) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        let output = command.args(["check", kind, &file]).current_dir(&folder).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = format!("{}{}exit code {:?}\n", text(&output.stdout), text(&output.stderr), output.status.code());
        let golden = folder.join(format!("{file}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &told).expect("the golden file can be written");
        }
        assert_eq!(told, std::fs::read_to_string(&golden).unwrap_or_default(), "{file}");
    }
}

#[test]
fn metrics_come_from_standard_input_too() {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/metrics/good.prom");
    let text = std::fs::File::open(text).expect("it is there");
    let output = Command::new(env!("CARGO_BIN_EXE_watchfire")).args(["check", "metrics", "-"]).stdin(text).output();
    let output = output.expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "good: stdin, 3 metrics\n");
    assert_eq!(output.status.code(), Some(0));
}
