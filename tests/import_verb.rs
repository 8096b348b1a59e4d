//! `watchfire import logs`: the same file again adds nothing, and an import that is killed on either side ends exact.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use watchfire_test_support::Server;
use watchfire_test_support::lines::Random;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Megabytes of the interrupted import; `WATCHFIRE_IMPORT_MB` asks for more (5000 is the long mode). A debug build is
/// slower by far.
const MEGABYTES: u64 = if cfg!(debug_assertions) { 20 } else { 200 };
const INTERRUPTIONS: usize = 10;

fn import(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["import", "logs", "--url", &format!("http://{}", server.address)]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().expect("the binary is built");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stderr).into_owned())
}

fn total(server: &Server, query: &str) -> u64 {
    server.wait_drained();
    let path = format!("/api/v1/logs/search?start=48h&limit=0&buckets=0&{query}");
    server.client().get(&path)["total"].as_u64().unwrap_or_default()
}

/// A line of an hour ago.
fn line(number: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let time = format!("{}.{:03}", now - 3600, number % 1000);
    format!(
        "{{\"timestamp\":{time},\"level\":\"info\",\"service\":\"shop\",\"message\":\"order {number} is paid\",\"number\":{number},\"duration_ms\":12.5}}"
    )
}

fn text(from: u64, to: u64) -> String {
    (from..to).map(|number| line(number) + "\n").collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
}

#[test]
fn the_same_file_again_adds_nothing_and_a_grown_one_what_is_new() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let first = text(0, 1000);
    fs::write(path("app.log"), &first).expect("it can be written");
    let (code, said) = run(import(&server, &[&path("app.log")]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 file: 1000 records"), "{said}");
    assert_eq!(total(&server, "service=shop"), 1000);
    // Under another name, packed, from stdin.
    fs::rename(path("app.log"), path("app.log.1")).expect("it is there");
    fs::write(path("app.log.2.gz"), gzipped(first.as_bytes())).expect("it can be written");
    let (code, said) = run(import(&server, &[&path("")]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 files: 0 records") && said.contains("2 of them were imported before"), "{said}");
    let mut from_stdin = import(&server, &["-"]);
    from_stdin.stdin(File::open(path("app.log.1")).expect("it is there"));
    assert_eq!(run(from_stdin).0, 0);
    assert_eq!(total(&server, "service=shop"), 1000);
    // Grown, and one that begins alike.
    fs::write(path("app.log.1"), text_after(&first, 1000, 1500)).expect("it can be written");
    let (code, said) = run(import(&server, &[&path("app.log.1")]));
    assert_eq!((code, total(&server, "service=shop")), (0, 1500), "{said}");
    let (head, _) = first.split_at(first.len() / 2);
    let head = head.rsplit_once('\n').map_or(head, |(head, _)| head);
    fs::write(path("other.log"), format!("{head}\n{}", text(5000, 5700))).expect("it can be written");
    let (code, said) = run(import(&server, &[&path("other.log")]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(total(&server, "service=shop&q=number:[5000%20TO%205699]"), 700, "{said}");
    // Dated by their own time: not in what rules see.
    let metrics = server.client().try_get("/metrics").text();
    let late = metrics.lines().find_map(|line| line.strip_prefix("watchfire_late_records_total ")).unwrap_or_default();
    assert!(late.parse::<f64>().is_ok_and(|late| late >= 2200.0), "{late}");
}

#[test]
fn a_file_that_begins_like_a_longer_one_is_lost_by_nobody() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // More than what files are told apart by.
    let same = text(0, 1000);
    let of = |ends: &[(u64, u64)]| ends.iter().fold(same.clone(), |text, (from, to)| text + &self::text(*from, *to));
    for (name, ends) in [
        ("long.log", [(2000, 2070)].as_slice()),
        ("short.log", &[(3000, 3060)]),
        ("other.log", &[(4000, 4050)]),
        ("grown.log", &[(4000, 4050), (5000, 5005)]),
    ] {
        fs::write(path(name), of(ends)).expect("it can be written");
    }
    let (code, said) = run(import(&server, &[&path("long.log")]));
    assert_eq!((code, total(&server, "q=service:shop")), (0, 1070), "{said}");
    let (code, said) = run(import(&server, &[&path("short.log")]));
    assert_eq!((code, total(&server, "q=service:shop")), (5, 1070), "{said}");
    assert!(
        said.contains("begins like a longer file") && said.contains("files that may be parts of others: 1"),
        "{said}"
    );
    for (name, all) in [("short.log", 2130), ("other.log", 3180)] {
        let (code, said) = run(import(&server, &["--as-new", &path(name)]));
        assert_eq!((code, total(&server, "q=service:shop")), (0, all), "{said}");
    }
    // All that are known are looked at, not only the longest.
    for (name, all) in [("grown.log", 3185), ("short.log", 3185), ("long.log", 3185)] {
        let (code, said) = run(import(&server, &[&path(name)]));
        assert_eq!((code, total(&server, "q=service:shop")), (0, all), "{name}: {said}");
    }
}

#[test]
fn of_a_packed_file_that_is_cut_off_all_lines_before_are_imported() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.log.gz");
    for (number, packed) in [
        (0, gzipped(text(0, 3000).as_bytes())),
        (3000, zstd::encode_all(text(3000, 6000).as_bytes(), 1).expect("it can be packed")),
    ] {
        let (before, cut) = (total(&server, "service=shop"), packed.len() * 2 / 3);
        fs::write(&path, &packed[..cut]).expect("it can be written");
        let (code, said) = run(import(&server, &[&path.display().to_string()]));
        assert_eq!(code, 5, "{said}");
        let what = format!("{}: cut off or damaged behind byte ", path.display());
        assert!(said.contains(&what) && said.contains("files that could not be read to their end: 1"), "{said}");
        let after = total(&server, "service=shop");
        // The last block of what is there does not end with it.
        assert!((before + 1..before + 2999).contains(&after), "{after} of 3000: {said}");
        assert_eq!(total(&server, &format!("service=shop&q=number:{}", number + after - before - 1)), 1);
        // No half line is stored: with its end the file goes on exactly.
        fs::write(&path, &packed).expect("it can be written");
        assert_eq!(run(import(&server, &[&path.display().to_string()])).0, 0);
        assert_eq!(total(&server, "service=shop"), before + 3000);
    }
}

#[test]
fn a_last_line_without_its_end_is_left_until_it_has_one() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.log");
    let name = path.display().to_string();
    let all = text(0, 3);
    let left = "its last line has no end yet";
    // Written line by line and a half, by a program that is still at it.
    for (cut, stored) in [(line(0).len() / 2, 0), (line(0).len() + 8, 1), (all.len() - 1, 2)] {
        fs::write(&path, &all[..cut]).expect("it can be written");
        let (code, said) = run(import(&server, &[&name]));
        assert!(code == 0 && said.contains(left), "{said}");
        assert_eq!(total(&server, "service=shop"), stored, "{said}");
    }
    fs::write(&path, &all).expect("it can be written");
    let (code, said) = run(import(&server, &[&name]));
    assert!(code == 0 && !said.contains(left), "{said}");
    assert_eq!((total(&server, "service=shop"), total(&server, "service=app")), (3, 0), "no line is in two pieces");
    // Nobody writes to these any more: said so, unchanged for long, packed, or read from stdin.
    let (code, said) = run(import(&server, &["--final", &name]));
    assert!(code == 0 && said.contains(": 0 records"), "{said}");
    let ended = |from: u64| text(from, from + 2).trim_end().to_owned();
    fs::write(&path, ended(10)).expect("it can be written");
    assert_eq!(run(import(&server, &["--final", &name])).0, 0);
    assert_eq!(total(&server, "service=shop"), 5);
    fs::write(&path, ended(20)).expect("it can be written");
    let old = std::time::SystemTime::now() - Duration::from_secs(7200);
    File::options().append(true).open(&path).and_then(|file| file.set_modified(old)).expect("it is there");
    assert_eq!(run(import(&server, &[&name])).0, 0);
    assert_eq!(total(&server, "service=shop"), 7);
    fs::write(folder.path().join("b.log.gz"), gzipped(ended(30).as_bytes())).expect("it can be written");
    assert_eq!(run(import(&server, &[&folder.path().join("b.log.gz").display().to_string()])).0, 0);
    assert_eq!(total(&server, "service=shop"), 9);
    fs::write(&path, ended(40)).expect("it can be written");
    let mut from_stdin = import(&server, &["-"]);
    from_stdin.stdin(File::open(&path).expect("it is there"));
    assert_eq!(run(from_stdin).0, 0);
    assert_eq!(total(&server, "service=shop"), 11);
}

#[test]
fn the_end_of_a_file_that_may_go_on_is_left_and_no_record_is_torn() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let time = watchfire_model::Timestamp::now();
    let (at, micros) = (time.to_rfc3339(), time.millis() * 1000);
    let long = "K".repeat(16 << 10);
    let docker = |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"{at}\"}}\n");
    let entry = |name: &str| format!("__CURSOR={name}\n__REALTIME_TIMESTAMP={micros}\n_SYSTEMD_UNIT=shop.service\n");
    let cases = [
        (
            "cri",
            format!("{at} stdout F one\n{at} stdout P half \n"),
            format!("{at} stdout F and rest\n"),
            ["one", "half and rest"],
        ),
        ("docker", docker("one\\n") + &docker(&long), docker("rest\\n"), ["one", &format!("{long}rest")]),
        (
            "java",
            format!("{at} INFO one\n{at} ERROR two\njava.lang.X: y\n\tat a.B.c(D.java:1)\n"),
            "\tat a.B.d(D.java:2)\n".to_owned(),
            ["one", "two\njava.lang.X: y\n\tat a.B.c(D.java:1)\n\tat a.B.d(D.java:2)"],
        ),
        (
            "journald",
            format!("{}MESSAGE=one\n\n{}", entry("a"), entry("b")),
            "MESSAGE=two\n\n".to_owned(),
            ["one", "two"],
        ),
    ];
    for (name, begin, rest, wanted) in cases {
        let path = folder.path().join(format!("{name}.log"));
        let format = if name == "journald" { name } else { "auto" };
        let service = if name == "journald" { "shop" } else { name };
        let stored = || -> Vec<String> {
            server.wait_drained();
            let found = server.client().get(&format!("/api/v1/logs/search?order=asc&service={service}"));
            let logs = found["logs"].as_array().into_iter().flatten();
            let mut messages: Vec<String> = logs.filter_map(|log| log["message"].as_str()).map(str::to_owned).collect();
            messages.sort_by_key(|message| message.len());
            messages
        };
        let run_import =
            |more: &[&str]| run(import(&server, &[&["--format", format, &path.display().to_string()], more].concat()));
        fs::write(&path, &begin).expect("it can be written");
        let (code, said) = run_import(&[]);
        assert!(code == 0 && said.contains("may go on") && said.contains("--final takes"), "{name}: {said}");
        assert!(
            stored().len() < 2 && !stored().iter().any(|message| message.contains("half")),
            "{name}: {:?}",
            stored()
        );
        fs::write(&path, begin + &rest).expect("it can be written");
        let (code, said) = run_import(&["--final"]);
        assert!(code == 0 && !said.contains("may go on"), "{name}: {said}");
        let found = stored();
        assert_eq!(found.len(), 2, "{name}: {found:?}");
        assert!(found.iter().zip(wanted).all(|(found, wanted)| found.ends_with(wanted)), "{name}: {found:?}");
    }
}

#[test]
fn a_trace_at_the_end_of_a_file_that_rests_is_whole_and_a_part_of_a_line_is_not() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.log");
    let at = watchfire_model::Timestamp::now().to_rfc3339();
    let lines =
        format!("{at} stdout F {at} ERROR two\n{at} stdout F java.lang.X: y\n{at} stdout F \tat a.B.c(D.java:1)\n");
    let rests = || {
        let then = std::time::SystemTime::now() - Duration::from_secs(60);
        File::options().append(true).open(&path).and_then(|file| file.set_modified(then)).expect("it is there");
    };
    fs::write(&path, &lines).expect("it can be written");
    rests();
    let (code, said) = run(import(&server, &[&path.display().to_string()]));
    assert!(code == 0 && !said.contains("may go on"), "{said}");
    assert_eq!(total(&server, "service=shop"), 1);
    fs::write(&path, format!("{lines}{at} stdout P half \n")).expect("it can be written");
    rests();
    let (code, said) = run(import(&server, &[&path.display().to_string()]));
    assert!(code == 0 && said.contains("in parts"), "{said}");
    assert_eq!(total(&server, "service=shop"), 1);
}

#[test]
fn what_is_no_text_is_refused_by_name_and_passed_over_in_folders() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("good.log"), text(0, 10)).expect("written");
    fs::write(path("z.log.xz"), b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46 \x02\0!").expect("written");
    fs::write(path("bytes"), [0, 159, 146, 150].repeat(3000)).expect("written");
    fs::write(path("bytes.gz"), gzipped(&[0, 159, 146, 150].repeat(3000))).expect("written");
    let (code, said) = run(import(&server, &[&path("")]));
    assert!(code == 0 && said.contains("3 of them are no text, and were passed over"), "{said}");
    assert!(said.contains("z.log.xz: passed over: it is xz, which is not read here; do `xz -dc"), "{said}");
    assert_eq!(total(&server, "q=service:*%20-service:shop%20-service:watchfire"), 0, "{said}");
    assert_eq!(total(&server, "service=shop"), 10, "{said}");
    fs::write(path("more.log"), text(10, 20)).expect("written");
    let (code, said) = run(import(&server, &[&path("z.log.xz"), &path("bytes"), &path("more.log")]));
    assert!(code == 1 && said.contains("error: what is no text was not imported: "), "{said}");
    assert_eq!(total(&server, "service=shop"), 20, "the others are imported: {said}");
}

#[test]
fn a_server_that_was_never_there_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.log");
    fs::write(&path, text(0, 10)).expect("it can be written");
    let mut command = Command::new(BINARY);
    // Nobody listens there.
    command.args(["import", "logs", "--url", "http://127.0.0.1:1"]).arg(&path).stderr(Stdio::piped());
    let (code, said) = run(command);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("http://127.0.0.1:1 is not reached") && !said.contains("trying again"), "{said}");
}

fn text_after(first: &str, from: u64, to: u64) -> String {
    format!("{first}{}", text(from, to))
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let server = Server::start(BINARY, "");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("a.log"), "one\nERROR two\n\tat a.B.c(B.java:1)\n{\"timestamp\": 5, \"message\": \"old\"}\n")
        .expect("written");
    let (code, said) = run(import(&server, &["--service", "shop", &path("a.log"), &path("absent.log")]));
    assert_eq!(code, 5, "{said}");
    let refused = format!("{}: 1 line was refused (too_old 1); the first is line 4: too_old: ", path("a.log"));
    assert!(said.contains("absent.log") && said.contains(&refused), "{said}");
    assert!(said.contains("\n2 of 2 records are in no known format, and kept as plain text"), "{said}");
    assert_eq!(total(&server, "service=shop"), 2);
    let (code, said) = run(import(&server, &[&path("absent.log"), &path("absent-too.log")]));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("nothing was imported"), "{said}");
    let (code, said) = run(import(&server, &["--format", "cobol", &path("a.log")]));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("unknown format `cobol`"), "{said}");
    assert_eq!(run(import(&server, &[])).0, 2);
    let address = "/api/v1/import/logs?file=00000000000000000000000000000001&position=7&head_bytes=1&head_hash=00000000000000000000000000000002";
    let answer = server.client().post(address, "text/plain", "x\n");
    assert_eq!((answer.status, &answer.json()["position"]), (409, &0.into()), "{}", answer.text());
    let answer = server.client().post("/api/v1/import/logs?file=1", "text/plain", "x\n");
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn lines_that_were_too_old_are_not_forgotten() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let with_days = |days: u32| Server::start_on(BINARY, &format!("logs: {{retention_days: {days}}}\n"), data.path());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let time = now - 3 * 86_400;
    let line = |number| format!("{{\"timestamp\":{time},\"message\":\"order\",\"number\":{number}}}\n");
    let old: String = (0..3).map(line).collect();
    fs::write(path("old.log"), &old).expect("written");
    fs::write(path("mixed.log"), format!("{}{old}", text(0, 5))).expect("written");
    let all = |server: &Server| {
        server.wait_drained();
        server.client().get("/api/v1/logs/search?start=100h&limit=0&buckets=0&q=number:*")["total"].as_u64()
    };
    let server = with_days(1);
    let way = "the same command imports them";
    for (name, again) in [
        ("old.log", "3 lines were refused (too_old 3); the first is line 1: "),
        ("mixed.log", "3 lines were refused (too_old 3); the first is line 6: "),
    ] {
        for _ in 0..2 {
            let (code, said) = run(import(&server, &["--final", &path(name)]));
            assert!(code == 5 && said.contains(again) && said.contains(way), "{said}");
        }
    }
    let stdin = |server: &Server, name: &str| {
        let mut from_stdin = import(server, &["-"]);
        from_stdin.stdin(File::open(path(name)).expect("it is there"));
        run(from_stdin)
    };
    let (code, said) = stdin(&server, "mixed.log");
    assert!(code == 5 && said.contains("3 lines that were refused before were not tried again"), "{said}");
    assert_eq!(all(&server), Some(5));
    drop(server);
    let server = with_days(30);
    let (code, said) = stdin(&server, "old.log");
    assert!(code == 0 && said.contains("3 lines that were refused before are stored now"), "{said}");
    assert_eq!(all(&server), Some(8), "{said}");
    let (code, said) = run(import(&server, &["--final", &path("mixed.log")]));
    assert!(code == 0 && said.contains("3 lines that were refused before are stored now"), "{said}");
    for name in ["old.log", "mixed.log"] {
        let (code, said) = run(import(&server, &["--final", &path(name)]));
        assert_eq!((code, all(&server)), (0, Some(11)), "{name}: {said}");
    }
}

#[test]
fn refused_lines_among_others_come_in_later_and_nothing_twice() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let with_days = |days: u32| Server::start_on(BINARY, &format!("logs: {{retention_days: {days}}}\n"), data.path());
    let at = |days: i64| watchfire_model::Timestamp::now().plus_millis(-days * 86_400_000).to_rfc3339();
    // Every third line is three days old, every seventh ten.
    let days = |number: u64| match (number % 7, number % 3) {
        (0, _) => 10,
        (_, 0) => 3,
        _ => 0,
    };
    let line =
        |number: u64| format!("{{\"timestamp\":\"{}\",\"message\":\"order\",\"number\":{number}}}\n", at(days(number)));
    fs::write(path("lines.log"), (0..3000).map(line).collect::<String>()).expect("written");
    // A run of old ones that is longer than a piece, with a line that is cut between two.
    let filler = "x".repeat(2000);
    let long = |age: i64, number: u64| {
        format!("{{\"timestamp\":\"{}\",\"message\":\"{filler}\",\"number\":{number}}}\n", at(age))
    };
    let run_of_old: String = (3000..5000).map(|number| long(3, number)).collect();
    let giant = format!("<14>1 {} db1 shop - - - {}\n", at(3), "g".repeat(2 << 20));
    fs::write(path("run.log"), long(0, 5000) + &giant + &run_of_old + &giant + &long(0, 5001)).expect("written");
    let entry = |number: u64| {
        let micros = watchfire_model::Timestamp::now().plus_millis(-days(number) * 86_400_000).millis() * 1000;
        format!(
            "__CURSOR=c{number}\n__REALTIME_TIMESTAMP={micros}\n_SYSTEMD_UNIT=shop.service\nMESSAGE=number={number}\n\n"
        )
    };
    fs::write(path("journal"), (6000..6100).map(entry).collect::<String>()).expect("written");
    let cri = |number: u64| format!("{} stdout F number={number} msg=x\n", at(days(number)));
    fs::write(path("cri.log"), (7000..7100).map(cri).collect::<String>()).expect("written");
    let files = [("lines.log", None), ("run.log", None), ("journal", Some("journald")), ("cri.log", None)];
    let import_all = |server: &Server| {
        files.map(|(name, format)| {
            let format = format.map(|format| format!("--format={format}"));
            let arguments: Vec<String> =
                ["--final".to_owned(), path(name), "--service=shop".to_owned()].into_iter().chain(format).collect();
            run(import(server, &arguments.iter().map(String::as_str).collect::<Vec<&str>>()))
        })
    };
    let found = |server: &Server| {
        server.wait_drained();
        server.client().get("/api/v1/logs/search?start=300h&limit=0&buckets=0&service=shop")["total"].as_u64()
    };
    let counted = |older: &dyn Fn(i64) -> bool| -> u64 {
        let of = |numbers: std::ops::Range<u64>| numbers.filter(|number| older(days(*number))).count() as u64;
        of(0..3000) + of(6000..6100) + of(7000..7100)
    };
    for (retention, wanted) in
        [(1, counted(&|age| age == 0) + 2), (5, counted(&|age| age < 5) + 2004), (30, 3200 + 2004)]
    {
        let server = with_days(retention);
        for round in 0..2 {
            let outcomes = import_all(&server);
            assert_eq!(found(&server), Some(wanted), "{retention} days, {round}: {outcomes:#?}");
            for ((code, said), (name, _)) in outcomes.iter().zip(files) {
                let left = retention == 1 || retention == 5 && name != "run.log";
                assert_eq!((*code, said.contains("refused (too_old")), (if left { 5 } else { 0 }, left), "{said}");
                assert!(!said.contains("does not know any more"), "{said}");
            }
        }
        // A line that is cut is so whenever it comes in.
        let cut = server.client().get("/api/v1/logs/search?start=300h&q=fields.truncated:true&buckets=0");
        assert_eq!(cut["total"].as_u64(), Some(if retention == 1 { 0 } else { 2 }), "{cut}");
    }
}

#[test]
fn lines_that_are_plain_text_or_refused_are_told_by_file() {
    let server = Server::start(BINARY, "logs: {retention_days: 3}\n");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (good, old) = (text(0, 3), "{\"timestamp\": 5, \"message\": \"old\"}\n");
    // More than a piece, so that numbers of lines are those of the file.
    let long = text(0, 20_000);
    fs::write(path("a.log"), format!("{long}what is this\n{old}{good}{old}")).expect("written");
    fs::write(path("b.log"), format!("{good}{old}")).expect("written");
    fs::write(path("c.log"), "a=1 msg=\"no time\"\n").expect("written");
    let (code, said) = run(import(&server, &[&path("a.log"), &path("b.log"), &path("c.log")]));
    assert_eq!(code, 5, "{said}");
    for told in [
        format!("{}: 2 lines were refused (too_old 2); the first is line 20002: too_old: the record's", path("a.log")),
        format!("{}: 1 line was refused (too_old 1); the first is line 4: too_old: the record's", path("b.log")),
        "\n1 of 20008 records is in no known format, and kept as plain text\n\
         hint: --format says what they are: json,"
            .to_owned(),
        "\n2 records say no usable time, and are dated by the time of the import\n".to_owned(),
    ] {
        assert!(said.contains(&told), "{told}\n{said}");
    }
    // What was refused is tried again, and what is appended has the numbers of the file, too.
    fs::write(path("b.log"), format!("{good}{old}{good}{old}")).expect("written");
    let (code, said) = run(import(&server, &["--format", "json", &path("b.log")]));
    let told = "2 lines were refused (too_old 2); the first is line 4: ";
    assert!(code == 5 && said.contains(told) && !said.contains("plain text"), "{said}");
    fs::write(path("e.log"), text(100, 103)).expect("written");
    assert_eq!(run(import(&server, &[&path("e.log")])).0, 0);
    fs::write(path("e.log"), format!("{}{old}", text(100, 103))).expect("written");
    let (code, said) = run(import(&server, &[&path("e.log")]));
    assert!(code == 5 && said.contains("the first is line 4: "), "{said}");
    fs::write(path("d.log"), format!("{good}nothing\n")).expect("written");
    let (code, said) = run(import(&server, &["--format", "json", &path("d.log")]));
    assert!(code == 0 && said.contains("1 of 4 records is not of the format json, and kept as plain text"), "{said}");
}

#[test]
fn an_import_that_is_killed_ten_times_on_both_sides_is_exact() {
    let megabytes = std::env::var("WATCHFIRE_IMPORT_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(MEGABYTES);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.log");
    let mut file = BufWriter::new(File::create(&path).expect("it can be made"));
    let (mut bytes, mut lines) = (0, 0);
    while bytes < megabytes << 20 {
        let text = line(lines) + "\n";
        file.write_all(text.as_bytes()).expect("it can be written");
        bytes += text.len() as u64;
        lines += 1;
    }
    file.flush().expect("it can be written");
    let mut server = Server::start(BINARY, "");
    let path = path.display().to_string();
    let mut random = Random::new(3);
    let begun = Instant::now();
    for interruption in 0..INTERRUPTIONS {
        let mut importer = import(&server, &[&path]).stderr(Stdio::null()).spawn().expect("the binary is built");
        // The moment of death; nothing is waited for.
        std::thread::sleep(Duration::from_millis(100 + random.below(700)));
        if interruption % 2 == 0 {
            importer.kill().expect("our child");
            importer.wait().expect("our child");
        } else {
            server.restart();
            // The importer waits for the server and goes on; it is ended only after a while.
            std::thread::sleep(Duration::from_millis(random.below(1000)));
            importer.kill().expect("our child");
            importer.wait().expect("our child");
        }
    }
    let (code, said) = run(import(&server, &[&path]));
    assert_eq!(code, 0, "{said}");
    println!("{lines} lines with {INTERRUPTIONS} interruptions in {:?}", begun.elapsed());
    assert_eq!(total(&server, "service=shop"), lines, "{}", server.log());
    for _ in 0..200 {
        let number = random.below(lines);
        assert_eq!(total(&server, &format!("q=number:{number}")), 1, "line {number}");
    }
    let (code, said) = run(import(&server, &[&path]));
    assert!(code == 0 && said.contains(": 0 records"), "{said}");
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let server = Server::start(BINARY, "");
    let all = text(0, 40_000);
    let start = || {
        let mut command = import(&server, &["--service", "shop", "-"]);
        command.stdin(Stdio::piped()).spawn().expect("the binary is built")
    };
    let mut importer = start();
    let mut input = importer.stdin.take().expect("a pipe");
    let begin = all.clone();
    // The input does not end.
    let writer = std::thread::spawn(move || input.write_all(begin.as_bytes()).map(|()| input));
    let deadline = Instant::now() + Duration::from_secs(60);
    while total(&server, "service=shop") == 0 {
        assert!(Instant::now() < deadline, "nothing is imported after a minute: {}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(importer.id().cast_signed(), libc::SIGINT) }, 0, "the signal was sent");
    let Output { status, stderr, .. } = importer.wait_with_output().expect("our child");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(5), "{said}");
    assert!(said.contains("interrupted; what was imported stays, and the same command imports the rest"), "{said}");
    drop(writer.join().expect("it writes"));
    let mut importer = start();
    // What is written ends with it: the pipe is closed.
    importer.stdin.take().expect("a pipe").write_all(all.as_bytes()).expect("it is read to its end");
    let Output { status, stderr, .. } = importer.wait_with_output().expect("our child");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert_eq!(total(&server, "service=shop"), 40_000, "{}", server.log());
}
