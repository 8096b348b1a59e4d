//! The real programs that tests speak with: found, or installed where we may.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program, the Debian package that brings it, and what is tested with it.
struct Program {
    name: &'static str,
    package: &'static str,
    tests: &'static str,
}

const PROGRAMS: [Program; 4] = [
    Program { name: "logger", package: "bsdutils", tests: "syslog from a real client" },
    Program { name: "rsyslogd", package: "rsyslog", tests: "syslog from a real forwarder" },
    Program { name: "nginx", package: "nginx-light", tests: "access logs of a real server" },
    Program { name: "strace", package: "strace", tests: "fdatasync between append and answer" },
];

/// Where what we unpack is kept between runs: beside the build, outside the sources.
fn cache() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("servers")
}

/// Installs what is missing; answers the environment that tests look at.
pub fn provide() -> Vec<(&'static str, String)> {
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
    smtp_python().map(|python| ("WATCHFIRE_TEST_SMTP_PYTHON", python)).into_iter().collect()
}

/// A Python with a real SMTP server (aiosmtpd) in an environment of its own.
fn smtp_python() -> Option<String> {
    let folder = cache().join("smtp");
    let python = folder.join("bin/python");
    let has_server = |python: &std::path::Path| {
        let check = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        check.is_ok_and(|status| status.success())
    };
    if !has_server(&python) {
        println!("installing aiosmtpd");
        run("python3", &["-m", "venv", &folder.to_string_lossy()]);
        run(&python.to_string_lossy(), &["-m", "pip", "install", "-q", "aiosmtpd"]);
    }
    if has_server(&python) {
        return Some(std::path::absolute(&python).unwrap_or(python).to_string_lossy().into_owned());
    }
    println!("SKIP: aiosmtpd (e-mail through a real SMTP server) could not be installed");
    None
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
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
