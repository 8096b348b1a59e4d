//! `watchfire demo`: the same server in a folder of its own, with the demo's traffic and receiver beside it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use watchfire_dashboard_api::roles::Roles;
use watchfire_demo::incident::Script;
use watchfire_demo::receiver::Receiver;
use watchfire_demo::settings;
use watchfire_demo::traffic::{HISTORY_MS, Settings, Traffic};
use watchfire_model::Timestamp;
use watchfire_model::time::format_duration_ms;

use super::{failed, serve_with};
use crate::cli::{Demo, LogFormat, Over, Serve};

/// Writes a line; whoever has closed our standard output does not want to know.
macro_rules! say {
    ($($words:tt)*) => {{
        let _ = writeln!(io::stdout(), $($words)*);
    }};
}

/// How the names of our folders begin.
const PREFIX: &str = "watchfire-demo-";
/// Held for as long as the folder is in use and shall be removed.
const LOCK: &str = "demo.lock";
/// Younger folders may be of a demo that is just starting.
const STALE: Duration = Duration::from_secs(60);
/// Between the end of the history and now: what is younger counts as live (`metrics.late_after` of the demo).
const LIVE_MS: i64 = 10_000;

/// Runs until SIGTERM, SIGINT, SIGQUIT, or until its terminal is closed.
pub fn run(options: &Demo) -> ExitCode {
    match prepare(options) {
        Ok((folder, receiver)) => {
            let serve = Serve {
                over: Over {
                    config: Some(folder.config()),
                    data_dir: Some(folder.path.join("data")),
                    listen: vec![options.listen],
                },
                roles: Roles::ALL,
                input: Default::default(),
                log_format: LogFormat::Human,
            };
            let (rate, seed, script) = (options.rate, options.seed, Script::LIVE.faster(options.speed));
            let companion = move |server| companion(Settings { server, seed, rate, script }, receiver);
            let ended = serve_with(&serve, Some(Box::new(companion)));
            folder.leave();
            ended
        }
        Err(error) => failed(&error),
    }
}

/// Errors: in words.
fn prepare(options: &Demo) -> Result<(Folder, Receiver), String> {
    remove_stale();
    let receiver = Receiver::bind(options.receiver).map_err(|error| {
        let address = options.receiver.map(|address| format!(" on {address} (--receiver)")).unwrap_or_default();
        format!("the demo's receiver cannot listen{address}: {error}")
    })?;
    let folder = write_folder(options, &receiver);
    Ok((folder.map_err(|error| format!("the demo's folder cannot be made: {error}"))?, receiver))
}

fn write_folder(options: &Demo, receiver: &Receiver) -> io::Result<Folder> {
    let folder = Folder::make(options.keep)?;
    let rules = folder.path.join("alert_rules.json");
    fs::write(&rules, settings::rules(options.speed))?;
    let config = |webhook_url: Option<&str>| {
        settings::config(options.listen, options.metrics_port, &rules.to_string_lossy(), webhook_url)
    };
    fs::write(folder.config(), config(Some(&receiver.url()?)))?;
    if options.keep {
        fs::write(folder.kept_config(), config(None))?;
    }
    Ok(folder)
}

/// Traffic and receiver, as tasks.
fn companion(settings: Settings, receiver: Receiver) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        if let Err(error) = receiver.run().await {
            tracing::error!(%error, "the demo's receiver failed");
        }
    });
    tasks.spawn(async move {
        say!(
            "\nThe shop opens; its first incident comes in {}, then every {}.",
            format_duration_ms(settings.script.slow_from_ms),
            format_duration_ms(settings.script.cycle_ms)
        );
        let mut traffic = Traffic::new(settings);
        let begun = Instant::now();
        let filled = traffic.fill_history(Timestamp::now().plus_millis(-LIVE_MS)).await;
        say!(
            "{} of history: {} requests, {:.0} MB of log lines in {:.1} s",
            format_duration_ms(HISTORY_MS),
            filled.requests,
            filled.bytes as f64 / 1e6,
            begun.elapsed().as_secs_f64()
        );
        traffic.run(|phase| say!("{}  ---       {}", clock(), phase.announcement())).await;
    });
    tasks
}

/// The time of day, UTC.
fn clock() -> String {
    Timestamp::now().to_rfc3339().get(11..19).unwrap_or_default().to_owned()
}

/// The folder with data, configuration and rules.
struct Folder {
    path: PathBuf,
    /// Only there if the folder goes when we go.
    temporary: Option<(tempfile::TempDir, File)>,
}

impl Folder {
    fn make(keep: bool) -> io::Result<Folder> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        if keep {
            return Ok(Folder { path: dir.keep(), temporary: None });
        }
        let lock = File::create(dir.path().join(LOCK))?;
        lock.lock()?;
        Ok(Folder { path: dir.path().to_owned(), temporary: Some((dir, lock)) })
    }

    /// Of the demo itself.
    fn config(&self) -> PathBuf {
        self.path.join("demo.yaml")
    }

    /// Of a server that goes on with what is kept: it names no receiver that is gone, however the demo ends.
    fn kept_config(&self) -> PathBuf {
        self.path.join("config.yaml")
    }

    /// Removes it, or says where it is.
    fn leave(self) {
        match self.temporary {
            Some((dir, _lock)) => {
                if let Err(error) = dir.close() {
                    eprintln!("{}: not removed: {error}", self.path.display());
                }
            }
            None => say!(
                "kept; go on with\n  watchfire serve --config {} --data-dir {}",
                self.kept_config().display(),
                self.path.join("data").display()
            ),
        }
    }
}

/// Removes what demos have left behind that were killed.
fn remove_stale() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_stale(&entry.path()) {
            // What cannot be removed is somebody else's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a folder is one that should be gone and that nobody uses.
fn is_stale(folder: &Path) -> bool {
    let lock = folder.join(LOCK);
    let Ok(file) = File::open(&lock) else { return false };
    let age = file.metadata().and_then(|metadata| metadata.modified()).map(|modified| modified.elapsed());
    matches!(age, Ok(Ok(age)) if age >= STALE) && file.try_lock().is_ok()
}
