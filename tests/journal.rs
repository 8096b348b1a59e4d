//! The journal: files that systemd itself has written, followed by `journalctl`, and its export format by HTTP.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use watchfire_test_support::daemon::installed;
use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// Entries `from..to` in the export format; every seventh message is of two lines and no UTF-8, and so in binary form.
fn entries(from: u64, to: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for n in from..to {
        let (time, priority) = (1_709_294_400_000_000 + n * 1_000_000, if n % 10 == 0 { 3 } else { 6 });
        out.extend_from_slice(
            format!(
                "__CURSOR=c{n}\n__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n\
                 _BOOT_ID=0123456789abcdef0123456789abcdef\nPRIORITY={priority}\n_SYSTEMD_UNIT=shop.service\n\
                 SYSLOG_IDENTIFIER=java\n_HOSTNAME=web1\n_PID={n}\n",
                n * 1_000_000 + 1
            )
            .as_bytes(),
        );
        if n % 7 == 0 {
            let message = [format!("entry {n}\nsecond line ").as_bytes(), b"\xff"].concat();
            out.extend_from_slice(b"MESSAGE\n");
            out.extend_from_slice(&(message.len() as u64).to_le_bytes());
            out.extend_from_slice(&message);
            out.push(b'\n');
        } else {
            out.extend_from_slice(format!("MESSAGE=entry {n}\n").as_bytes());
        }
        out.push(b'\n');
    }
    out
}

/// Lets systemd write a journal file of its own.
fn write_journal(remote: &Path, folder: &Path, name: &str, entries: &[u8]) {
    let export = folder.join("export");
    fs::write(&export, entries).expect("the folder can be written");
    let journal = folder.join("journal");
    fs::create_dir_all(&journal).expect("the folder can be made");
    let output = format!("--output={}", folder.join(name).display());
    let run = Command::new(remote).arg(output).arg(&export).stdin(Stdio::null()).output().expect("it can be started");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    // Whole at once, as journals appear when they are rotated.
    fs::rename(folder.join(name), journal.join(name)).expect("it was written");
}

fn total(server: &Server, query: &str) -> u64 {
    let path = format!("/api/v1/logs/search?{query}&start=2024-01-01T00:00:00Z&limit=0&buckets=0");
    server.client().get(&path)["total"].as_u64().unwrap_or_default()
}

fn wait_total(server: &Server, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while total(server, "service=shop") < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted}: {}", total(server, "service=shop"), server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.wait_drained();
    assert_eq!(total(server, "service=shop"), wanted);
}

#[test]
fn journal_files_of_systemd_are_followed_and_each_entry_is_stored_once() {
    let (Some(_), Some(remote)) = (installed("journalctl"), installed("systemd-journal-remote")) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    write_journal(&remote, folder.path(), "one.journal", &entries(0, 300));
    let directory = folder.path().join("journal");
    let config =
        format!("logs: {{retention_days: 36500}}\nsources: {{journald: {{directory: \"{}\"}}}}\n", directory.display());
    let mut server = Server::start(BINARY, &config);
    wait_total(&server, 300);
    server.restart();
    wait_total(&server, 300);
    server.kill();
    write_journal(&remote, folder.path(), "two.journal", &entries(300, 400));
    server.restart();
    wait_total(&server, 400);
    write_journal(&remote, folder.path(), "three.journal", &entries(400, 450));
    wait_total(&server, 450);
    assert_eq!(total(&server, "service=shop&level=error"), 45);
    let path = "/api/v1/logs/search?service=shop&q=%22entry%207%22&start=2024-01-01T00:00:00Z";
    let found = server.client().get(path);
    let log = found["logs"].as_array().and_then(|logs| logs.iter().find(|log| log["fields"]["_PID"] == "7")).cloned();
    let log = log.unwrap_or_else(|| panic!("{found}"));
    assert_eq!(log["message"], "entry 7\nsecond line \u{fffd}", "{log}");
    assert_eq!((&log["host"], &log["timestamp"]), (&"web1".into(), &"2024-03-01T12:00:07.000Z".into()), "{log}");
    assert_eq!(log["fields"]["invalid_utf8"], true, "{log}");
}

/// A `journalctl` that prints a file and goes on waiting, until the server is gone; the value of PATH with it.
fn fake_journalctl(folder: &Path, export: &[u8]) -> String {
    use std::os::unix::fs::PermissionsExt;
    let (file, program) = (folder.join("export"), folder.join("journalctl"));
    fs::write(&file, export).expect("the folder can be written");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--after-cursor*) ;; *--follow*) cat '{}';; esac\n\
         while kill -0 \"$PPID\" 2>/dev/null; do sleep 0.1; done\n",
        file.display()
    );
    fs::write(&program, script).expect("the folder can be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

/// Traces of two services, their lines between each other, as systemd stores what they write to their output.
fn traces() -> Vec<u8> {
    let lines = [
        ("shop", "2024-03-01 12:00:00 ERROR cart failed"),
        ("billing", "Traceback (most recent call last):"),
        ("shop", "java.lang.IllegalStateException: no"),
        ("billing", "  File \"a.py\", line 1, in f"),
        ("shop", "\tat shop.Main.main(Main.java:3)"),
        ("billing", "KeyError: 'a'"),
        ("shop", "2024-03-01 12:00:00 INFO next"),
    ];
    let mut out = Vec::new();
    for (n, (service, message)) in lines.into_iter().enumerate() {
        let time = 1_709_294_400_000_000 + n * 1000;
        let stream = if service == "shop" { "a" } else { "b" }.repeat(32);
        out.extend_from_slice(
            format!(
                "__CURSOR=t{n}\n__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n\
                 _BOOT_ID=0123456789abcdef0123456789abcdef\n_TRANSPORT=stdout\n_STREAM_ID={stream}\nPRIORITY=6\n\
                 _SYSTEMD_UNIT={service}.service\n_HOSTNAME=web1\nMESSAGE={message}\n\n",
                n * 1000 + 1
            )
            .as_bytes(),
        );
    }
    out
}

/// How many records the traces have become, and that none is only a part of one.
fn check_traces(server: &Server) {
    server.wait_drained();
    let found = server.client().get("/api/v1/logs/search?q=host:web1&start=2024-01-01T00:00:00Z&limit=10&buckets=0");
    let logs = found["logs"].as_array().expect("records");
    let mut messages: Vec<&str> = logs.iter().filter_map(|log| log["message"].as_str()).collect();
    messages.sort_unstable();
    let shop =
        "2024-03-01 12:00:00 ERROR cart failed\njava.lang.IllegalStateException: no\n\tat shop.Main.main(Main.java:3)";
    let billing = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'a'";
    assert_eq!(messages, [shop, "2024-03-01 12:00:00 INFO next", billing], "{found}");
    let levels = |level: &str| logs.iter().filter(|log| log["level"] == level).count();
    assert_eq!((levels("error"), levels("info")), (2, 1), "all came without a level of their own: {found}");
    let first = logs.iter().find(|log| log["message"] == shop).expect("it was found");
    assert_eq!((&first["service"], &first["timestamp"]), (&"shop".into(), &"2024-03-01T12:00:00.000Z".into()));
}

fn wait_web1(server: &Server, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while total(server, "q=host:web1") < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted}: {}", total(server, "q=host:web1"), server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn traces_that_come_line_by_line_between_others_are_one_record_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let keep = "logs: {retention_days: 36500}\n";
    // Followed.
    let path = fake_journalctl(folder.path(), &traces());
    let config = format!("{keep}sources: {{journald: {{}}}}\n");
    let mut server = Server::start_with(BINARY, &config, &[("PATH", &path)]);
    wait_web1(&server, 3);
    check_traces(&server);
    server.restart_with(&[("PATH", &path)]);
    check_traces(&server);
    let apart = format!("{keep}sources: {{journald: {{multiline: off}}}}\n");
    let server = Server::start_with(BINARY, &apart, &[("PATH", &path)]);
    wait_web1(&server, 7);
    // Imported.
    let server = Server::start(BINARY, keep);
    let (code, said) = import(&server, folder.path(), &traces(), &["--format", "journald"]);
    assert_eq!(code, Some(0), "{said}");
    check_traces(&server);
    // Sent, whole and in parts.
    let server = Server::start(BINARY, keep);
    let path = "/ingest/raw?format=journald&multiline=auto";
    let answer = server.client().post(path, "text/plain", traces());
    assert_eq!(answer.json()["accepted"], 3, "{}", answer.text());
    check_traces(&server);
    let server = Server::start(BINARY, keep);
    let (mut body, mut rest) = (Vec::new(), &traces()[..]);
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.len().min(200));
        (body, rest) = ([&body[..], part].concat(), behind);
        let end = rest.is_empty();
        let answer = server.client().post(&format!("{path}&end={end}"), "text/plain", body.clone());
        assert_eq!(answer.status, 202, "{}", answer.text());
        let taken = answer.json()["taken_bytes"].as_u64().expect("it is told");
        body.drain(..taken as usize);
    }
    check_traces(&server);
}

/// systemd's own files: what is stored is not read again, whatever waits.
#[test]
fn traces_in_an_export_that_is_followed_as_a_file_are_one_record_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("export");
    let config = |more: &str| {
        format!(
            "logs: {{retention_days: 36500}}\nsources: {{files: [{{path: \"{}\", format: journald{more}}}]}}\n",
            path.display()
        )
    };
    // Written in two pieces, cut within an entry.
    let all = traces();
    let (begin, rest) = all.split_at(all.len() / 2);
    fs::write(&path, begin).expect("it can be written");
    let mut server = Server::start(BINARY, &config(""));
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(rest))
        .expect("it can be written");
    wait_web1(&server, 3);
    check_traces(&server);
    server.restart();
    check_traces(&server);
    let apart = Server::start(BINARY, &config(", multiline: off"));
    wait_web1(&apart, 7);
}

#[test]
fn traces_of_a_journal_are_stored_once() {
    let (Some(_), Some(remote)) = (installed("journalctl"), installed("systemd-journal-remote")) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    write_journal(&remote, folder.path(), "one.journal", &traces());
    let directory = folder.path().join("journal");
    let config =
        format!("logs: {{retention_days: 36500}}\nsources: {{journald: {{directory: \"{}\"}}}}\n", directory.display());
    let mut server = Server::start(BINARY, &config);
    wait_web1(&server, 3);
    check_traces(&server);
    server.kill();
    server.restart();
    check_traces(&server);
}

#[test]
fn long_fields_are_cut_and_stray_lines_passed_over() {
    let long = |n: u64, field: &str, bytes: usize| {
        let text = "x".repeat(bytes);
        let entry = format!("__CURSOR=c{n}\n__REALTIME_TIMESTAMP={}\n", 1_709_294_400_000_000 + n * 1_000_000);
        format!("{entry}_SYSTEMD_UNIT=shop.service\n{field}={text}\nPRIORITY=3\n\n").into_bytes()
    };
    let export = [
        entries(0, 3),
        b"-- a stray line\n".to_vec(),
        entries(3, 6),
        long(6, "MESSAGE", 3 << 20),
        long(7, "MESSAGE=core\nCOREDUMP", 2 << 20),
        long(8, "MESSAGE=large core\nCOREDUMP", 20 << 20),
        b"GARBAGE\n".to_vec(),
        entries(9, 20),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = fake_journalctl(folder.path(), &export.concat());
    let config = "logs: {retention_days: 36500}\nsources: {journald: {}}\n";
    let mut server = Server::start_with(BINARY, config, &[("PATH", &path)]);
    wait_total(&server, 20);
    assert_eq!(total(&server, "service=shop&q=truncated:true"), 3);
    assert_eq!(total(&server, "service=shop&q=message:core"), 2);
    assert!(server.log().contains("entries of the journal were refused"), "{}", server.log());
    assert!(server.log().contains("-- a stray line"), "{}", server.log());
    server.restart_with(&[("PATH", &path)]);
    wait_total(&server, 20);
}

/// What an import of these bytes says, and its exit code.
fn import(server: &Server, folder: &Path, bytes: &[u8], more: &[&str]) -> (Option<i32>, String) {
    let file = folder.join("import.export");
    fs::write(&file, bytes).expect("the folder can be written");
    let mut command = Command::new(BINARY);
    command.args(["import", "logs", "--final", "--url", &format!("http://{}", server.address)]).args(more).arg(&file);
    let output = command.stdin(Stdio::null()).output().expect("the binary is built");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_is_no_field_takes_no_entries_along() {
    let server = Server::start(BINARY, "logs: {retention_days: 36500}\n");
    let folder = tempfile::tempdir().expect("a folder");
    let mut stored = 0;
    for (from, stray, told) in [
        (0, "Hint: you are not seeing all\n", "this line is no field"),
        (100, "GARBAGE\n", "the first is line 1: not journald: the entry is cut off within this field"),
    ] {
        let body = [stray.into(), entries(from, from + 10), stray.into(), entries(from + 10, from + 50)].concat();
        let (code, said) = import(&server, folder.path(), &body, &["--format", "journald"]);
        assert!(code == Some(5) && said.contains("50 records in"), "{code:?} {said}");
        assert!(said.contains("2 lines were refused") && said.contains(told), "{said}");
        stored += 50;
        wait_total(&server, stored);
    }
    let body = [entries(200, 203), b"stray\n".to_vec(), entries(203, 205)].concat();
    let answer = server.client().post("/ingest/raw?format=journald", "text/plain", &body);
    let json = answer.json();
    assert_eq!((&json["accepted"], &json["rejected"]), (&5.into(), &1.into()), "{json}");
    assert_eq!((&json["errors"][0]["index"], &json["errors"][0]["line"]), (&3.into(), &34.into()), "{json}");
    wait_total(&server, stored + 5);
    let (code, said) = import(&server, folder.path(), &entries(300, 310), &[]);
    assert!(code == Some(1) && said.contains("--format journald"), "{code:?} {said}");
}

#[test]
fn exports_with_crlf_are_read_but_for_their_bytes() {
    let server = Server::start(BINARY, "logs: {retention_days: 36500}\n");
    let folder = tempfile::tempdir().expect("a folder");
    let text = entries(0, 21).into_iter().flat_map(|byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] });
    let (code, said) = import(&server, folder.path(), &text.collect::<Vec<u8>>(), &["--format", "journald"]);
    assert!(code == Some(5) && said.contains("18 records in"), "{code:?} {said}");
    assert!(said.contains("3 lines were refused") && said.contains("CRLF"), "{said}");
    wait_total(&server, 18);
}

#[test]
fn an_entry_is_parsed_as_a_whole() {
    let server = Server::start(BINARY, "");
    let entry = "__REALTIME_TIMESTAMP=abc\nMESSAGE=a\nPRIORITY=3\n";
    let parse = |body: &str| server.client().post("/parse/journald?store=false", "text/plain", body);
    let answer = parse(entry).json();
    let log = &answer["log"];
    assert_eq!((&log["level"], &log["message"]), (&"error".into(), &"a".into()), "{answer}");
    assert_eq!(log["fields"]["timestamp_raw"], "abc", "{answer}");
    let answer = parse(&format!("{entry}\n{entry}")).json();
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(2), "{answer}");
}

#[test]
fn the_export_format_comes_by_http_too() {
    let server = Server::start(BINARY, "logs: {retention_days: 36500}\n");
    let body = entries(0, 50);
    let answer = server.client().post("/ingest/raw?format=journald", "application/vnd.fdo.journal", &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["formats"]["journald"], 50, "{}", answer.text());
    wait_total(&server, 50);
    // The entry that ends within its message is rejected, those before it are not.
    let body = entries(50, 57);
    let cut = &body[..body.len() - 4];
    let answer = server.client().call(&Client::request("POST", "/ingest/raw?format=journald", &[], cut));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let json = answer.json();
    assert_eq!((&json["accepted"], &json["rejected"]), (&6.into(), &1.into()), "{json}");
    assert!(answer.text().contains("the entry is cut off within this field"), "{json}");
    let answer = server.client().post("/ingest/raw?format=journald", "text/plain", "PRIORITY=3\n\n");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("no `MESSAGE`"), "{}", answer.text());
}
