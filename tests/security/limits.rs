//! How often somebody may ask, and how often they may fail to say who they are.

use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use watchfire_test_support::logs::{line, wait_total};
use watchfire_test_support::{Logs, Server};

use crate::{Files, call, curl};

#[test]
fn failed_logins_of_an_address_are_limited_and_right_keys_are_not() {
    let files = Files::new();
    let key = files.key("read", "anna");
    files.user("read", "berta", "secret");
    let server = files.server("");
    let right = format!("X-API-Key: {key}");
    let mut seen = Vec::new();
    for number in 0..14 {
        let wrong = format!("X-API-Key: wf_{number}");
        let answer = call(&server, "GET", "/recent", &[&wrong], "");
        if answer.status == 429 {
            assert!(answer.header("retry-after").and_then(|text| text.parse::<u32>().ok()).is_some_and(|s| s >= 1));
            assert_eq!(answer.json()["error"], "too_many_failures");
        }
        seen.push(answer.status);
        assert_eq!(call(&server, "GET", "/recent", &[&right], "").status, 200);
    }
    assert_eq!(seen[..10], [401; 10]);
    assert!(seen[10..].contains(&429), "{seen:?}");
    // Now not even a right password is checked: each try would be a guess.
    let url = format!("http://{}/recent", server.address);
    assert_eq!(curl(&["-u", "berta:secret", &url]).0, 429);
    let metrics = call(&server, "GET", "/metrics", &[&right], "").text();
    assert!(metrics.contains("watchfire_http_requests_limited_total{by=\"failed_logins\"}"), "{metrics}");
    assert!(!metrics.contains("watchfire_logins_failed_total 0\n"), "{metrics}");
}

#[test]
fn requests_are_limited_for_each_key_and_address() {
    let files = Files::new();
    let (one, two) = (files.key("read", "one"), files.key("read", "two"));
    let server = files.server("limits: {requests_per_second: 2}\n");
    let ask = |key: &str| call(&server, "GET", "/recent", &[&format!("X-API-Key: {key}")], "");
    let asked: Vec<_> = (0..40).map(|_| ask(&one)).collect();
    let limited = asked.iter().find(|answer| answer.status == 429).expect("40 at once are more than 2 per second");
    assert_eq!((limited.json()["error"].as_str(), limited.header("retry-after")), (Some("rate_limit"), Some("1")));
    assert_eq!(asked[0].status, 200);
    // Another key has a bucket of its own, and whether we live may always be asked.
    assert_eq!(ask(&two).status, 200);
    for _ in 0..20 {
        assert_eq!(call(&server, "GET", "/-/ready", &[], "").status, 200);
    }
    // Without a key, the address is what counts.
    let anonymous: Vec<_> = (0..40).map(|_| call(&server, "GET", "/recent", &[], "").status).collect();
    assert!(anonymous[0] == 401 && anonymous.contains(&429), "{anonymous:?}");
}

/// The program behind these limits of open files, soft and hard.
fn with_open_files(folder: &Path, soft: u32, hard: u32) -> PathBuf {
    let path = folder.join(format!("with-{soft}"));
    let script = format!("#!/bin/sh\nulimit -Sn {soft}\nulimit -Hn {hard}\nexec {} \"$@\"\n", crate::BINARY);
    std::fs::write(&path, script).expect("the folder can be written");
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("the file is ours");
    path
}

#[test]
fn as_many_files_are_open_as_the_system_lets_a_process_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(with_open_files(folder.path(), 128, 2000), "");
    let idle: Vec<_> = (0..300).map(|_| TcpStream::connect(server.address).expect("it listens")).collect();
    assert_eq!(server.client().try_get("/-/ready").status, 200);
    let log = server.log();
    assert!(log.contains("few files may be open at once") && log.contains("connections=1000"), "{log}");
    assert!(!log.contains("cannot be accepted"), "{log}");
    drop(idle);
}

#[test]
fn many_followed_files_leave_some_for_the_rest() {
    const FILES: u64 = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let logs = Logs::new();
    (0..FILES).for_each(|number| logs.write(&format!("{number}.log"), &(line(number) + "\n")));
    let server = Server::start(with_open_files(folder.path(), 128, 256), &logs.config("*.log", ""));
    wait_total(&server, FILES);
    (0..FILES).for_each(|number| logs.append(&format!("{number}.log"), &(line(FILES + number) + "\n")));
    wait_total(&server, 2 * FILES);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").flatten();
    let followed = open.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.starts_with(logs.folder())));
    let followed = followed.count();
    assert!(followed <= 32, "{followed} are open");
    assert!(!server.log().contains("Too many open files"), "{}", server.log());
}
