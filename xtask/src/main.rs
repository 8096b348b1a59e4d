//! Project tasks.
//!
//! `cargo xtask test` installs or starts what the tests need and runs all of them; what cannot be had is said
//! visibly and counted as skipped. `cargo xtask bench` builds the release binary and runs the benches.

mod fetch;
mod prometheus;
#[path = "../../tests/support/src/real.rs"]
mod real;
mod servers;
mod victoria_metrics;
mod web;

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str = "usage: cargo xtask test [ARGUMENTS OF cargo test] | servers | web-check | bench [SCENARIO…] [--seconds N] | peers [SCENARIO…]\n\n  \
    test     install what the tests need, run all of them, count the skipped\n  \
    servers  install what the tests need, and say what is missing\n  \
    web-check  build web/ anew and compare with the committed files\n  \
    bench    run the whole-path benches against the release binary\n  \
    peers    run the benches beside Prometheus and VictoriaMetrics";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("", &[][..]),
    };
    match task {
        "test" => test(rest),
        "servers" => {
            servers::provide();
            println!("what is built for tests lies in {}", real::folder().display());
            ExitCode::SUCCESS
        }
        "web-check" => match web::check() {
            web::Outcome::Same => {
                println!("web/dist is what web/ builds");
                ExitCode::SUCCESS
            }
            web::Outcome::Skipped(why) => {
                println!("SKIP: {why}");
                ExitCode::SUCCESS
            }
            web::Outcome::Failed(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        },
        "bench" => bench("whole_path", rest),
        "peers" => {
            servers::provide_peers();
            bench("peers", rest)
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs all tests and counts what had to be skipped: tests print `SKIP: what: why` then.
fn test(arguments: &[String]) -> ExitCode {
    servers::provide();
    let web = web::check();
    let mut command = cargo();
    command.args(["test", "--workspace", "--features", "failpoints", "--no-fail-fast"]).args(arguments);
    // Skips are printed by passing tests too; without this the harness would swallow them.
    let shows_output = arguments.iter().any(|argument| argument == "--");
    command.args(if shows_output { &[][..] } else { &["--", "--show-output"][..] });
    command.stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("xtask: cargo could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed, mut skips) = (0u64, 0u64, Vec::new());
    if let web::Outcome::Skipped(why) = &web {
        skips.push(why.clone());
    }
    let output = child.stdout.take().map(BufReader::new);
    let mut in_successes = false;
    for line in output.into_iter().flat_map(|output| output.split(b'\n')).map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if let Some(skip) = line.trim_start().strip_prefix("SKIP: ") {
            skips.push(skip.to_owned());
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            passed += count_before(counts, " passed");
            failed += count_before(counts, " failed");
        }
        match line.as_ref() {
            "successes:" => in_successes = true,
            "failures:" => in_successes = false,
            _ if line.starts_with("test result: ") => in_successes = false,
            _ => {}
        }
        // What passing tests print is only noise here.
        if !in_successes {
            println!("{line}");
        }
    }
    let success = child.wait().is_ok_and(|status| status.success());
    skips.sort();
    skips.dedup();
    for skip in &skips {
        println!("skipped: {skip}");
    }
    println!("{passed} passed, {failed} failed, {} skipped", skips.len());
    if let web::Outcome::Failed(why) = &web {
        println!("{why}");
    }
    let success = success && !matches!(web, web::Outcome::Failed(_));
    if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The number that stands before a word: 3 in `ok. 3 passed; …`.
fn count_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before.rsplit([' ', ';']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn bench(name: &str, arguments: &[String]) -> ExitCode {
    let status = cargo().args(["bench", "--bench", name, "--"]).args(arguments).status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
