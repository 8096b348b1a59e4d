//! The examples of the help are run as they stand there, by a shell, against a real server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use watchfire_test_support::Server;

use crate::help::{help, verbs};
use crate::program::{BINARY, Run, is_there, plain, server_with};

/// Verbs whose examples are run here. (`serve` would take the ports of a real server.)
const RUN: [&str; 14] = [
    "backtest",
    "check",
    "test",
    "keys",
    "tail",
    "query",
    "alerts",
    "top",
    "push",
    "import",
    "completions",
    "man",
    "backup",
    "verify",
];

/// What stands below `Examples:`, each as it is copied: what ends with a backslash goes on in the next line.
fn examples(text: &str) -> Vec<String> {
    let section = text.split("\nExamples:\n").nth(1).unwrap_or_default();
    let mut examples: Vec<String> = Vec::new();
    for line in section.lines().take_while(|line| line.starts_with("  ")) {
        match examples.last_mut().filter(|before| before.ends_with('\\')) {
            Some(before) => *before += &format!("\n{line}"),
            None => examples.push(line.trim().to_owned()),
        }
    }
    examples
}

#[test]
fn examples_are_whole_lines_on_a_narrow_terminal() {
    for words in verbs() {
        let narrow: Run =
            plain(BINARY).args(&words).arg("--help").env("COLUMNS", "80").output().expect("it runs").into();
        let examples = examples(&narrow.out);
        assert_eq!(examples, self::examples(&help(&words)), "{words:?}");
        assert!(examples.iter().all(|example| !example.ends_with('\\')), "{words:?}: {examples:#?}");
    }
}

/// A folder with the files that examples name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rule =
        r#"{"name": "HighErrorRate", "query": "rate error_count", "threshold": 10, "operator": ">", "duration": "5m"}"#;
    let packed = zstd::encode_all(&b"level=info msg=packed\n"[..], 1).expect("it can be packed");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let metrics = |name: &str| format!("# TYPE {name} gauge\n{name} 1 {now}\n# EOF\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let old = gzip.write_all(metrics("one").as_bytes()).and_then(|()| gzip.finish()).expect("it can be packed");
    let older = zstd::encode_all(metrics("two").as_bytes(), 1).expect("it can be packed");
    let text = format!("three 1 {now}000\n");
    for (name, bytes) in [
        ("config.yaml", &b"alerting: {receivers: [{name: ops, webhook: {url: \"http://127.0.0.1:9000/hook\"}}]}\n"[..]),
        ("alert_rules.json", rule.as_bytes()),
        ("rules/one.json", rule.as_bytes()),
        ("rules/one.yml", b"groups: [{name: one, rules: [{record: one, expr: up}]}]\n"),
        ("tests/disk.yml", b"tests: [{name: disk, promql_expr_test: [{expr: 1 + 1, exp_samples: [{value: 2}]}]}]\n"),
        ("access.log", b"one line\n"),
        ("metrics.prom", b"# HELP up Whether it is there.\n# TYPE up gauge\nup 1\n"),
        ("queries.txt", b"rate error_count over 5m\nsum by (service) (log_events_total)\n"),
        ("access.log.1", b"one line before\n"),
        ("archive/day.json", b"{\"message\":\"archived\"}\n"),
        ("old.log.zst", &packed),
        ("old.om.gz", &old),
        ("old.om.zst", &older),
        ("textfiles/three.prom", text.as_bytes()),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder can be made");
        std::fs::write(path, bytes).expect("the folder can be written");
    }
    folder
}

fn shell(server: &Server, folder: &tempfile::TempDir, line: &str) -> std::process::Command {
    let binaries = std::path::Path::new(BINARY).parent().expect("a folder").display().to_string();
    let mut command = plain("bash");
    command.args(["-o", "pipefail", "-c", line]).current_dir(folder.path());
    command.env("PATH", format!("{binaries}:{}", std::env::var("PATH").unwrap_or_default()));
    command.env("WATCHFIRE_URL", format!("http://{}", server.address));
    command
}

/// The programs that a line pipes from or into; they may not be here.
fn others(line: &str) -> impl Iterator<Item = &str> {
    let programs = line.split("| ").filter_map(|command| command.split(' ').next());
    programs.filter(|program| *program != "watchfire")
}

#[test]
fn examples_do_what_they_say() {
    if !is_there("bash", "the examples of the help") {
        return;
    }
    let server = server_with(&[
        r#"{"message":"connection refused","level":"error","service":"api","duration_ms":250,"host":"db2"}"#,
    ]);
    let folder = folder();
    let mut count = 0;
    for words in verbs().into_iter().filter(|words| words.first().is_some_and(|verb| RUN.contains(&verb.as_str()))) {
        for line in examples(&help(&words)) {
            if !others(&line).all(|program| is_there(program, &format!("the example `{line}`"))) {
                continue;
            }
            let command = shell(&server, &folder, &line);
            if words == ["tail"] {
                follow(&server, command, &line);
            } else {
                let run: Run = { command }.output().expect("bash runs").into();
                assert_eq!(run.code, 0, "{line}: {}{}", run.out, run.told);
                assert_eq!(run.told.lines().find(|line| !is_fine(line)), None, "{line}");
            }
            count += 1;
        }
    }
    assert!(count > 25, "{count} examples");
}

/// What may be told though all is well.
fn is_fine(told: &str) -> bool {
    // The example before may have brought the same.
    told.contains(" imported")
        || told.ends_with(" there already")
        || ["kept as plain text", "no usable time", "hint: --format says"].iter().any(|fine| told.contains(fine))
        || ["kept as a hash in ", "nothing was found", "no alert is "].iter().any(|fine| told.starts_with(fine))
}

/// An example that follows: it shows what is sent while it runs, and ends when it is interrupted.
fn follow(server: &Server, mut command: std::process::Command, line: &str) {
    use std::os::unix::process::CommandExt;
    let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().expect("bash runs");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let (told, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    let mut client = server.client();
    let shown = (0..600).any(|_| {
        client.post("/ingest", "application/json", r#"{"message":"it burns","level":"error","service":"api"}"#);
        lines.recv_timeout(std::time::Duration::from_millis(100)).is_ok_and(|line| line.contains("it burns"))
    });
    interrupt(&child);
    child.wait().expect("our child");
    assert!(shown, "{line} shows nothing");
}

/// Ctrl-C: to all processes of the line.
fn interrupt(child: &Child) {
    let group = format!("-{}", child.id());
    std::process::Command::new("kill").args(["-INT", "--", &group]).status().expect("kill is there");
}
