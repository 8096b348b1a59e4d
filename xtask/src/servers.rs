//! The real programs that tests speak with: found, or installed where we may.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program, the Debian package that brings it, and what is tested with it.
struct Program {
    name: &'static str,
    package: &'static str,
    tests: &'static str,
}

const PROGRAMS: [Program; 15] = [
    Program { name: "logger", package: "bsdutils", tests: "syslog from a real client" },
    Program { name: "rsyslogd", package: "rsyslog", tests: "syslog from a real forwarder" },
    Program { name: "journalctl", package: "systemd", tests: "the journal, followed" },
    Program {
        name: "systemd-journal-remote",
        package: "systemd-journal-remote",
        tests: "journals that systemd writes",
    },
    Program { name: "nginx", package: "nginx-light", tests: "access logs of a real server" },
    Program { name: "chromium", package: "chromium", tests: "the dashboard's pages in a real browser" },
    Program { name: "strace", package: "strace", tests: "fdatasync between append and answer" },
    Program { name: "zsh", package: "zsh", tests: "completions in zsh" },
    Program { name: "script", package: "bsdutils", tests: "colours on a terminal" },
    Program { name: "groff", package: "groff", tests: "manual pages" },
    Program { name: "mandoc", package: "mandoc", tests: "manual pages" },
    Program {
        name: "prometheus-node-exporter",
        package: "prometheus-node-exporter",
        tests: "scraping a real exporter",
    },
    Program { name: "dnsmasq", package: "dnsmasq-base", tests: "targets found by a real DNS server" },
    Program { name: "amtool", package: "prometheus-alertmanager", tests: "silences by Alertmanager's own client" },
    Program { name: "jq", package: "jq", tests: "an example of the live tail" },
];

/// Installs what is missing, and says what could not be installed. (The SMTP server comes by itself: the tests'
/// script makes an environment of its own for it.)
pub fn provide() {
    let missing: Vec<&Program> = PROGRAMS.iter().filter(|program| !is_there(program.name)).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
        println!("installing {}", packages.join(", "));
        run("apt-get", &["update", "-q"]);
        let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
        arguments.extend(packages);
        run("apt-get", &arguments);
    }
    for program in PROGRAMS.iter().filter(|program| !is_there(program.name)) {
        println!("SKIP: {} ({}) is not here and could not be installed", program.name, program.tests);
    }
    provide_peers();
}

/// Those that we are compared with, and that our samples go to.
pub fn provide_peers() {
    crate::prometheus::provide();
    crate::victoria_metrics::provide();
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([
        PathBuf::from("/usr/sbin"),
        PathBuf::from("/sbin"),
        PathBuf::from("/lib/systemd"),
    ]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

/// Runs an installer; what it could not do shows in what is missing afterwards.
fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => println!("{program} {}: {status}", arguments.join(" ")),
        Err(error) => println!("{program}: {error}"),
    }
}
