//! Files followed from the configuration: every written line is stored once, whatever happens to the file or to us.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use watchfire_test_support::daemon::installed;
use watchfire_test_support::lines::Random;
use watchfire_test_support::logs::{assert_numbers, gzip, line, stored, wait_at_least, wait_total};
use watchfire_test_support::server::free_port;
use watchfire_test_support::{Client, Daemon, Logs, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what comes soon.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn lines_come_as_they_are_written_whatever_they_end_with() {
    let logs = Logs::new();
    logs.append("app.log", "one\r\ntwo\0\n\n");
    let mut server = Server::start(BINARY, &logs.config("*.log", ", multiline: off"));
    wait_total(&server, 2);
    fs::write(logs.path("raw.log"), b"caf\xe9\nlast without end").expect("the folder can be written");
    wait_total(&server, 3);
    logs.append("app.log", &format!("{}\nafter\n", "x".repeat((1 << 20) + 10)));
    wait_total(&server, 5);
    let found = server.client().get("/api/v1/logs/search?service=app&q=fields.truncated:true");
    let cut = &found["logs"][0];
    assert_eq!(cut["message"].as_str().map(str::len), Some(1 << 20));
    assert_eq!(cut["source"].as_str(), logs.path("app.log").to_str());
    let found = server.client().get("/api/v1/logs/search?service=app&q=fields.invalid_utf8:true");
    assert_eq!(found["logs"][0]["message"], "caf\u{fffd}");
    // A file that goes away is read to its end, also a line that has none.
    fs::remove_file(logs.path("raw.log")).expect("the file is there");
    wait_total(&server, 6);
    server.restart();
    wait_total(&server, 6);
    let metrics = server.client().try_get("/metrics").text();
    assert!(metrics.contains("watchfire_source_lag_bytes{source="), "{metrics}");
}

#[test]
fn the_line_behind_one_that_a_container_died_in_is_kept() {
    let logs = Logs::new();
    let line = |kind: &str, text: &str| format!("2026-01-02T03:04:05.000000000Z stdout {kind} {text}\n");
    logs.append("app.log", &line("P", &"x".repeat(400 << 10)).repeat(4));
    let config = format!("logs: {{retention_days: 36500}}\n{}", logs.config("*.log", ""));
    let server = Server::start(BINARY, &config);
    let total = |q: &str| {
        let found = server.client().get(&format!("/api/v1/logs/search?start=2026-01-01T00:00:00Z&buckets=0&q={q}"));
        found["total"].as_u64().unwrap_or_default()
    };
    let wait = |q: &str, wanted: u64| {
        let deadline = Instant::now() + SOON;
        while total(q) < wanted {
            assert!(Instant::now() < deadline, "{q}: {}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("service:app", 1);
    // Nothing more comes for a while: a container that starts again takes longer.
    std::thread::sleep(Duration::from_secs(3));
    logs.append("app.log", &line("F", "started again"));
    wait("%22started%20again%22", 1);
    assert_eq!(total("service:app"), 2);
}

#[test]
fn a_name_that_is_not_utf8_is_told_once() {
    use std::os::unix::ffi::OsStrExt;
    for glob in ["*.log", "**/*.log"] {
        let logs = Logs::new();
        for name in [&b"caf\xe9.log"[..], b"caf\xe9.txt"] {
            fs::write(logs.folder().join(std::ffi::OsStr::from_bytes(name)), "never read\n").expect("writable");
        }
        logs.append("app.log", "one\n");
        let server = Server::start(BINARY, &logs.config(glob, ""));
        wait_total(&server, 1);
        list_again(&logs, &server, 1);
        let log = server.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("its name is not UTF-8")).collect();
        assert!(told.len() == 1 && told[0].contains("caf") && told[0].contains(".log"), "{glob}: {told:?}");
    }
}

#[test]
fn alternatives_in_paths_are_followed() {
    let logs = Logs::new();
    for folder in ["app", "web", "db"] {
        fs::create_dir(logs.path(folder)).expect("the folder can be written");
    }
    for name in ["app/a.log", "web/a.txt", "web/b.debug.log", "web/c.tmp.log", "db/a.log", "db/a.txt"] {
        logs.append(name, &format!("of {name}\n"));
    }
    let server = Server::start(BINARY, &logs.config("{app,web}/*.{log,txt}", r#", exclude: ["*.{debug,tmp}.log"]"#));
    wait_total(&server, 2);
    logs.append("app/late.txt", "one more\n");
    wait_total(&server, 3);
}

/// Has the folder listed three times: each time a new file is found in it, with one line.
fn list_again(logs: &Logs, server: &Server, stored: u64) {
    for number in 1..4 {
        logs.append(&format!("more{number}.log"), "one\n");
        wait_total(server, stored + number);
    }
}

#[test]
fn what_cannot_be_unpacked_is_told_once_and_left_until_it_changes() {
    let logs = Logs::new();
    logs.append("app.log", "now\n");
    let packed = gzip(b"yesterday\nlast but whole\nhalf a line");
    fs::write(logs.path("app.log.1.gz"), &packed[..packed.len() - 6]).expect("the folder can be written");
    let server = Server::start(BINARY, &logs.config("*.log", ", read_rotated: true"));
    wait_total(&server, 3);
    list_again(&logs, &server, 3);
    let told = server.log().matches("cut off or damaged behind byte").count();
    assert_eq!(told, 1, "{}", server.log());
    fs::write(logs.path("app.log.1.gz"), &packed).expect("the folder can be written");
    wait_total(&server, 7);
}

#[test]
fn what_happens_while_we_are_down_is_seen_at_the_start() {
    let logs = Logs::new();
    let text = |from: u64, to: u64| (from..to).map(|n| line(n) + "\n").collect::<String>();
    for name in ["renamed.log", "copied.log", "replaced.log", "cut.log", "packed.log"] {
        logs.write(name, "");
    }
    logs.append("renamed.log", &text(0, 100));
    logs.append("copied.log", &text(100, 200));
    logs.append("replaced.log", &text(200, 300));
    logs.append("cut.log", &text(300, 400));
    logs.append("packed.log", &text(400, 500));
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 500);
    server.kill();
    // Written to, renamed, begun anew.
    logs.append("renamed.log", &text(500, 510));
    logs.rename("renamed.log", "renamed.log.1");
    logs.write("renamed.log", &text(510, 520));
    // Written to, copied, cut.
    logs.append("copied.log", &text(520, 530));
    fs::copy(logs.path("copied.log"), logs.path("copied.log.1")).expect("the file is there");
    logs.write("copied.log", &text(530, 540));
    // Another file under the same name.
    fs::remove_file(logs.path("replaced.log")).expect("the file is there");
    logs.write("replaced.log", &text(540, 700));
    // Cut, and written to beyond the old position: only the first bytes tell.
    logs.write("cut.log", &text(700, 900));
    // Written to, renamed, packed.
    logs.append("packed.log", &text(900, 910));
    let packed = gzip(&fs::read(logs.path("packed.log")).expect("the file is there"));
    fs::write(logs.path("packed.log.1.gz"), packed).expect("the folder can be written");
    fs::remove_file(logs.path("packed.log")).expect("the file is there");
    logs.write("packed.log", &text(910, 920));
    server.restart();
    wait_total(&server, 920);
    assert_numbers(&server, 920);
    assert!(server.log().contains("not the file that was read to this position"), "{}", server.log());
    server.restart();
    wait_total(&server, 920);
}

/// What becomes of the first generation of a file while we are down, before its second one loses its name too.
#[derive(Clone, Copy)]
enum First {
    Packed,
    Deleted,
    /// Both are copied and cut.
    Copied,
}

#[test]
fn a_file_that_was_rotated_more_than_once_while_we_were_down_is_read() {
    let logs = Logs::new();
    let generation = |file: usize, number: u64| {
        (0..50).map(|n| line((file as u64 * 10 + number) * 50 + n) + "\n").collect::<String>()
    };
    let firsts = [("packed.log", First::Packed), ("deleted.log", First::Deleted), ("copied.log", First::Copied)];
    for (at, (name, _)) in firsts.iter().enumerate() {
        logs.write(name, &generation(at, 0));
    }
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 150);
    server.kill();
    for (at, (name, first)) in firsts.into_iter().enumerate() {
        let numbered = |number: u64| format!("{name}.{number}");
        match first {
            First::Copied => {
                fs::copy(logs.path(name), logs.path(&numbered(2))).expect("the file is there");
                logs.write(name, &generation(at, 1));
                fs::copy(logs.path(name), logs.path(&numbered(1))).expect("the file is there");
            }
            First::Deleted => {
                fs::remove_file(logs.path(name)).expect("the file is there");
                logs.write(name, &generation(at, 1));
                logs.rename(name, &numbered(1));
            }
            First::Packed => {
                logs.rename(name, &numbered(3));
                pack(&logs.path(&numbered(3)));
                logs.write(name, &generation(at, 2));
                logs.rename(name, &numbered(2));
                pack(&logs.path(&numbered(2)));
                logs.write(name, &generation(at, 1));
                logs.rename(name, &numbered(1));
            }
        }
        logs.write(name, &generation(at, 3));
    }
    server.restart();
    wait_total(&server, 500);
    let stored = stored(&server);
    for (at, (name, first)) in firsts.into_iter().enumerate() {
        let numbers: &[u64] = if matches!(first, First::Packed) { &[0, 1, 2, 3] } else { &[0, 1, 3] };
        let lines =
            numbers.iter().flat_map(|number| generation(at, *number).lines().map(str::to_owned).collect::<Vec<_>>());
        lines.for_each(|line| assert_eq!(stored.get(&line), Some(&1), "{name}: {line}"));
    }
    server.restart();
    wait_total(&server, 500);
}

/// Packs a file as `gzip` does: what it makes has the time of the original.
fn pack(path: &Path) {
    let modified = fs::metadata(path).and_then(|file| file.modified()).expect("the file is there");
    let packed = path.with_file_name(format!("{}.gz", path.file_name().expect("a name").to_string_lossy()));
    fs::write(&packed, gzip(&fs::read(path).expect("the file is there"))).expect("the folder can be written");
    let file = OpenOptions::new().append(true).open(packed).expect("the file is there");
    file.set_modified(modified).expect("its time can be set");
    fs::remove_file(path).expect("the file is there");
}

#[test]
fn a_file_written_anew_with_the_same_beginning_is_read_from_its_beginning() {
    let logs = Logs::new();
    let heading = format!("# {}\n", "columns ".repeat(300));
    let text = |from: u64, to: u64| heading.clone() + &(from..to).map(|n| line(n) + "\n").collect::<String>();
    logs.write("app.log", &text(0, 10));
    logs.write("small.log", "a\n");
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 12);
    // While we are down, and while we look. Each is longer than what was read.
    server.kill();
    logs.write("app.log", &text(100, 200));
    logs.write("small.log", "b\nc\n");
    server.restart();
    wait_total(&server, 12 + 101 + 2);
    assert!(server.log().contains("not the file that was read to this position"), "{}", server.log());
    logs.write("app.log", &text(200, 400));
    logs.write("small.log", "b\nd\ne\n");
    wait_total(&server, 115 + 201 + 3);
    // What was only added to goes on.
    let told = |server: &Server| server.log().matches("read from its beginning").count();
    let before = told(&server);
    server.kill();
    logs.append("app.log", "one more\n");
    logs.append("small.log", "one more\n");
    server.restart();
    wait_total(&server, 319 + 2);
    assert_eq!(told(&server), before, "{}", server.log());
}

#[test]
fn positions_behind_the_end_of_a_file_begin_it_anew() {
    let logs = Logs::new();
    let text = |from: u64, to: u64| (from..to).map(|n| line(n) + "\n").collect::<String>();
    for (at, name) in ["shorter.log", "as-long.log", "longer.log", "empty.log"].into_iter().enumerate() {
        logs.write(name, &text(at as u64 * 100, at as u64 * 100 + 100));
    }
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 400);
    // Cut and written to again while we are down, by who keeps the file open.
    server.kill();
    for (name, from, to) in [("shorter.log", 400, 410), ("as-long.log", 410, 510), ("longer.log", 510, 700)] {
        let file = OpenOptions::new().write(true).truncate(true).open(logs.path(name));
        file.and_then(|mut file| file.write_all(text(from, to).as_bytes())).expect("it can be written");
    }
    File::create(logs.path("empty.log")).expect("it can be cut");
    server.restart();
    wait_total(&server, 700);
    logs.append("empty.log", &text(700, 701));
    wait_total(&server, 701);
    server.restart();
    logs.append("shorter.log", &text(701, 702));
    wait_total(&server, 702);
    assert_numbers(&server, 702);
}

#[test]
fn what_was_seen_and_cut_before_it_was_read_is_told_and_counted() {
    let logs = Logs::new();
    logs.write("app.log", "one whole line\nhalf");
    logs.write("copied.log", "another whole line\nhal");
    let server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 2);
    // A copy has what was cut: nothing is lost of that one.
    fs::copy(logs.path("copied.log"), logs.path("copied.log.1")).expect("the file is there");
    logs.write("copied.log", "new\n");
    logs.write("app.log", "new\n");
    let lost = || {
        let metrics = server.client().try_get("/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with("watchfire_source_lost_bytes_total{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let deadline = Instant::now() + SOON;
    while lost() == 0 {
        assert!(Instant::now() < deadline, "nothing is counted: {}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(lost(), 4, "{}", server.log());
    assert_eq!(server.log().matches("its last lines are lost").count(), 1, "{}", server.log());
    // The half line of the copy is one when nothing more comes.
    wait_total(&server, 5);
}

#[test]
fn a_link_is_followed_to_its_new_target_and_the_old_one_to_its_end() {
    let logs = Logs::new();
    let text = |from: u64, to: u64| (from..to).map(|n| line(n) + "\n").collect::<String>();
    fs::create_dir(logs.path("targets")).expect("the folder can be written");
    let link_to = |target: &str| {
        std::os::unix::fs::symlink(logs.path(target), logs.path("next")).expect("the name is free");
        logs.rename("next", "app.log");
    };
    logs.write("targets/0.txt", &text(0, 10));
    link_to("targets/0.txt");
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 10);
    logs.write("targets/1.txt", &text(10, 20));
    logs.append("targets/0.txt", &text(20, 30));
    link_to("targets/1.txt");
    wait_total(&server, 30);
    // While we are down: another target, and one that is rotated behind the link, as container runtimes do.
    server.kill();
    logs.append("targets/1.txt", &text(30, 40));
    logs.write("targets/2.txt", &text(40, 50));
    link_to("targets/2.txt");
    server.restart();
    wait_total(&server, 50);
    server.kill();
    logs.append("targets/2.txt", &text(50, 60));
    logs.rename("targets/2.txt", "targets/2.txt.20240101");
    logs.write("targets/2.txt", &text(60, 70));
    server.restart();
    wait_total(&server, 70);
    logs.append("targets/2.txt", &text(70, 71));
    wait_total(&server, 71);
    assert_numbers(&server, 71);
}

#[test]
fn files_rotated_before_the_first_start_are_read_when_asked() {
    let logs = Logs::new();
    logs.write("app.log", "now\n");
    logs.write("app.log.1", "yesterday\nlast without end");
    let packed = zstd_of(b"two days ago\n");
    fs::write(logs.path("app.log.2.zst"), packed).expect("the folder can be written");
    logs.write("other.txt", "not asked for\n");
    // Without its end: what can be unpacked is read.
    let packed = gzip(b"three days ago\nlast but whole\nhalf a line");
    fs::write(logs.path("app.log.4.gz"), &packed[..packed.len() - 6]).expect("the folder can be written");
    let mut server = Server::start(BINARY, &logs.config("app.log", ", read_rotated: true"));
    wait_total(&server, 6);
    assert!(server.log().contains("cut off or damaged behind byte 41 of what is unpacked"), "{}", server.log());
    server.restart();
    logs.rename("app.log.1", "app.log.3");
    logs.append("app.log", "later\n");
    wait_total(&server, 7);
    // It was only not written to its end yet.
    fs::write(logs.path("app.log.4.gz"), &packed).expect("the folder can be written");
    wait_total(&server, 8);
    let unasked = Logs::new();
    unasked.write("app.log", "now\n");
    unasked.write("app.log.1", "yesterday\n");
    let mut server = Server::start(BINARY, &unasked.config("*.log", ", start: end"));
    // What is written before the file was met for the first time is not "from now on".
    let deadline = Instant::now() + SOON;
    while !followed(&server) {
        assert!(Instant::now() < deadline, "no file is followed after a minute: {}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    unasked.append("app.log", "from now on\n");
    wait_total(&server, 1);
    server.kill();
    unasked.append("app.log", "while we are down\n");
    server.restart();
    wait_total(&server, 2);
}

/// Whether any file is followed.
fn followed(server: &Server) -> bool {
    let metrics = server.client().try_get("/metrics").text();
    let mut figures = metrics.lines().filter(|line| line.starts_with("watchfire_source_files{"));
    figures.any(|line| !line.ends_with(" 0"))
}

#[test]
fn a_first_file_that_was_rotated_before_it_was_seen_is_read() {
    let logs = Logs::new();
    logs.write("other.log", "known\n");
    // Of a name that is not there yet, rotated before the first start: not asked for.
    logs.write("old.log.1", "years ago\n");
    let old = OpenOptions::new().append(true).open(logs.path("old.log.1")).expect("the file is there");
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("its time can be set");
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 1);
    server.kill();
    for number in [1, 2] {
        logs.write("app.log", &format!("first {number}\n"));
        logs.rename("app.log", &format!("app.log.{number}"));
    }
    logs.write("app.log", "now\n");
    logs.write("old.log", "new\n");
    server.restart();
    wait_total(&server, 5);
    server.restart();
    wait_total(&server, 5);
    assert_eq!(stored(&server).get("years ago"), None);
}

/// A frame of zstd that holds the bytes as they are.
fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, bytes.len() as u8];
    let header = (bytes.len() as u32) << 3 | 1;
    out.extend_from_slice(&header.to_le_bytes()[..3]);
    out.extend_from_slice(bytes);
    out
}

#[test]
fn thousands_of_files_take_few_handles() {
    let logs = Logs::new();
    for n in 0..3000 {
        logs.write(&format!("{n}.log"), &format!("{}\n{}\n", line(2 * n), line(2 * n + 1)));
    }
    let server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 6000);
    assert_numbers(&server, 6000);
    let handles = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("the process runs").count();
    assert!(handles < 400, "{handles} handles are open");
    for n in 0..3000 {
        logs.append(&format!("{n}.log"), &format!("{}\n", line(6000 + n)));
    }
    wait_total(&server, 9000);
    assert_numbers(&server, 9000);
}

#[test]
fn sources_reload_as_a_whole_or_not_at_all() {
    let logs = Logs::new();
    logs.write("a.log", "a one\n");
    logs.write("b.txt", "b one\n");
    let server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 1);
    let file = server.folder.path().join("config.yaml");
    let before = fs::read_to_string(&file).expect("the configuration is there");
    let reload = || server.client().post("/-/reload", "text/plain", "");
    let bad = before.replace("service: app", "service: app, multiline: cobol");
    fs::write(&file, bad).expect("it can be written");
    let answer = reload();
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(answer.text().contains("auto, java, python, go, rust, dotnet, off"), "{}", answer.text());
    logs.append("a.log", "a two\n");
    wait_total(&server, 2);
    fs::write(&file, before.replace("*.log", "*.txt")).expect("it can be written");
    assert_eq!(reload().status, 200);
    wait_total(&server, 3);
    logs.append("a.log", "a three\n");
    logs.append("b.txt", "b two\n");
    wait_total(&server, 4);
    fs::write(&file, before).expect("it can be written");
    assert_eq!(reload().status, 200);
    wait_total(&server, 5);
}

/// Writes numbered lines until it is told to stop; `rotate` is called now and then and gives the file to go on with.
struct Writer<'a> {
    stop: &'a AtomicBool,
    written: &'a Mutex<u64>,
}

impl Writer<'_> {
    fn run(&self, mut rotate: impl FnMut(&mut Random) -> File) {
        let mut random = Random::new(11);
        let mut file = rotate(&mut random);
        while !self.stop.load(Ordering::Relaxed) {
            let mut written = self.written.lock().expect("nobody panics");
            let mut text = String::new();
            for _ in 0..1 + random.below(30) {
                text.push_str(&line(*written));
                text.push('\n');
                *written += 1;
            }
            // In two writes, so that half lines are met.
            let (first, second) = text.split_at(random.below(text.len() as u64) as usize);
            file.write_all(first.as_bytes()).expect("it can be written");
            file.write_all(second.as_bytes()).expect("it can be written");
            drop(written);
            if random.below(20) == 0 {
                file = rotate(&mut random);
            }
            std::thread::sleep(Duration::from_micros(random.below(3000)));
        }
    }
}

/// Kills the server at random moments while somebody writes, then counts.
fn kill_while_writing(server: &mut Server, rounds: u64, first: u64, rotate: impl FnMut(&mut Random) -> File + Send) {
    let (stop, written) = (AtomicBool::new(false), Mutex::new(first));
    std::thread::scope(|scope| {
        let writer = Writer { stop: &stop, written: &written };
        let thread = scope.spawn(move || writer.run(rotate));
        let mut random = Random::new(5);
        for _ in 0..rounds {
            // The moment of death; nothing is waited for.
            std::thread::sleep(Duration::from_millis(random.below(400)));
            server.restart();
        }
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("the writer ends");
    });
    let written = written.into_inner().expect("nobody panics");
    assert!(written > 1000, "too little was written to prove anything: {written}");
    wait_at_least(server, written);
    assert_numbers(server, written);
}

#[test]
fn renaming_under_load_and_kill_lose_and_double_nothing() {
    let logs = Logs::new();
    let mut server = Server::start(BINARY, &logs.config("app.log", ""));
    // The file is known before it is rotated the first time: a name that was never seen tells nothing of what it was.
    fs::write(logs.path("app.log"), line(0) + "\n").expect("written");
    wait_total(&server, 1);
    let (mut number, mut is_begun) = (0, false);
    kill_while_writing(&mut server, 12, 1, |random| {
        let mut name = "app.log".to_owned();
        // As logrotate does, and on to the next name at once now and then.
        for _ in 0..u64::from(is_begun) * (1 + random.below(2)) {
            number += 1;
            let next = format!("app.log.{number}");
            logs.rename(&name, &next);
            name = next;
        }
        is_begun = true;
        OpenOptions::new().append(true).create(true).open(logs.path("app.log")).expect("it can be made")
    });
}

#[test]
fn copying_and_cutting_under_load_and_kill_lose_and_double_nothing() {
    let logs = Logs::new();
    let mut server = Server::start(BINARY, &logs.config("app.log*", ""));
    let mut number = 0;
    kill_while_writing(&mut server, 12, 0, |_| {
        // The writer stands still meanwhile: what it writes between copy and cut is lost to every reader.
        let path = logs.path("app.log");
        if path.exists() {
            number += 1;
            fs::copy(&path, logs.path(&format!("app.log.{number}"))).expect("it can be copied");
        }
        let file = OpenOptions::new().append(true).create(true).open(path).expect("it can be made");
        file.set_len(0).expect("it can be cut");
        file
    });
}

#[test]
fn the_access_log_of_nginx_is_followed_over_its_rotation() {
    let Some(nginx) = installed("nginx") else { return };
    let logs = Logs::new();
    let (port, path) = (free_port(), logs.folder().display().to_string());
    let text = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error.txt;\nevents {{}}\n\
         http {{ access_log {path}/app.log combined; client_body_temp_path {path}/a; proxy_temp_path {path}/b;\n\
         fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e; keepalive_requests 100000;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }} }}\n"
    );
    logs.write("nginx.conf", &text);
    let mut command = Command::new(nginx);
    command.arg("-c").arg(logs.path("nginx.conf")).arg("-p").arg(logs.folder()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn().expect("nginx starts"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + SOON;
    let mut client = loop {
        match Client::connect(address) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "nginx does not listen: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut server = Server::start(BINARY, &logs.config("app.log", ""));
    for request in 0..3000u64 {
        let answer = client.call(&Client::request("GET", &format!("/{request}"), &[], b""));
        assert_eq!(answer.status, 200);
        if request % 500 == 250 {
            logs.rename("app.log", &format!("app.log.{request}"));
            Command::new("kill").args(["-USR1", &daemon.0.id().to_string()]).status().expect("kill is there");
        }
        if request % 1000 == 700 {
            server.restart();
        }
    }
    wait_total(&server, 3000);
    let found = server.client().get("/api/v1/logs/search?service=app&q=path:%22/2999%22");
    assert_eq!(found["total"], 1, "{found}");
    let found = server.client().get("/api/v1/metrics/query?query=sum+log_events_total+service=app");
    assert_eq!(found["value"].as_f64(), Some(3000.0), "{found}");
}
