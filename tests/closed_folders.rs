//! Folders that patterns and links go through and that may not be entered or listed: it is told, once each, and they are
//! read when that is mended.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use watchfire_test_support::logs::wait_total;
use watchfire_test_support::{Logs, Server, runs_as_nobody};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const SOON: Duration = Duration::from_secs(60);

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// What one of our metrics is over all sources.
fn sum(server: &Server, name: &str) -> f64 {
    let metrics = server.client().try_get("/metrics").text();
    let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn wait_closed(server: &Server, wanted: f64) {
    let deadline = Instant::now() + SOON;
    while sum(server, "watchfire_source_closed_folders") != wanted {
        assert!(Instant::now() < deadline, "not {wanted} closed folders after a minute: {}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn folders_that_may_not_be_looked_into_are_told_once_and_read_when_they_may() {
    if runs_as_nobody("folders_that_may_not_be_looked_into_are_told_once_and_read_when_they_may") {
        return;
    }
    // The folder, its mode, the pattern, what is told of the folder, and how many files are read when it is mended.
    let cases = [
        ("all", 0o710, "all/*/*.log", None, 1),
        ("all", 0o310, "all/*/*.log", Some("may not be listed"), 1),
        ("all", 0o610, "all/*/*.log", Some("may not be entered"), 1),
        ("all", 0o010, "all/one/app.log", Some("may not be entered"), 1),
        ("all", 0o010, "all/*/deep/*.log", Some("may not be entered"), 1),
        ("all/one", 0o310, "all/*/deep/*.log", None, 1),
        ("all/one", 0o010, "all/*/*.log", Some("may not be entered"), 1),
        ("all/one", 0o310, "all/*/app.log", Some("may not be listed"), 1),
        ("all/one", 0o010, "all/**/*.log", Some("may not be entered"), 2),
        ("all/one", 0o010, "links/*.log", Some("may not be entered"), 1),
        ("all", 0o010, "links/*.log", Some("may not be entered"), 1),
        ("all/one", 0o310, "links/*.log", Some("may not be listed"), 1),
        ("all", 0o710, "missing/*/*.log", None, 0),
    ];
    let logs = Logs::new();
    let mut sources = Vec::new();
    for (number, (folder, mode, glob, ..)) in cases.iter().enumerate() {
        let path = |name: &str| logs.path(&format!("{number}/{name}"));
        for name in ["all/one/deep", "links"] {
            fs::create_dir_all(path(name)).expect("the folder can be written");
        }
        for name in ["all/one/app.log", "all/one/deep/app.log"] {
            fs::write(path(name), "one\n").expect("the folder can be written");
        }
        symlink(path("all/one/app.log"), path("links/app.log")).expect("the name is free");
        set_mode(&path(folder), *mode);
        sources.push(format!("{{path: \"{}\", service: app}}", path(glob).display()));
    }
    let server = Server::start(BINARY, &format!("sources: {{files: [{}]}}\n", sources.join(", ")));
    wait_closed(&server, cases.iter().filter(|(_, _, _, told, _)| told.is_some()).count() as f64);
    let sources = || server.client().get("/api/v1/health")["components"]["sources"].clone();
    let health = server.client().get("/api/v1/health");
    assert_eq!((&health["status"], &sources()["status"]), (&"degraded".into(), &"degraded".into()), "{health}");
    assert!(sources()["problem"].as_str().is_some_and(|told| told.contains("may not be entered")), "{health}");
    for (number, (folder, ..)) in cases.iter().enumerate() {
        set_mode(&logs.path(&format!("{number}/{folder}")), 0o750);
    }
    wait_total(&server, cases.iter().map(|(.., read)| read).sum());
    wait_closed(&server, 0.0);
    assert_eq!((&sources()["status"], &sources()["closed_folders"]), (&"ok".into(), &0.into()));
    assert_eq!(server.client().get("/api/v1/health")["status"], "ok");
    let log = server.log();
    for (number, (folder, mode, glob, told, _)) in cases.iter().enumerate() {
        let case = format!("{folder} {mode:o} {glob}");
        let of_case = format!("{}/", logs.path(&number.to_string()).display());
        let warnings: Vec<&str> =
            log.lines().filter(|line| line.contains(" WARN ") && line.contains(&of_case)).collect();
        let is_told = |told: &&str| {
            let name = format!("{of_case}{folder} ");
            warnings.len() == 1 && warnings[0].contains(*told) && format!("{} ", warnings[0]).contains(&name)
        };
        assert!(told.as_ref().map_or(warnings.is_empty(), is_told), "{case}: {warnings:?}");
    }
}
