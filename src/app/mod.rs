//! Joins the parts: opens them in order, starts what runs, waits for signals, stops from upstream to downstream.

mod backlog;
mod backup;
mod banner;
mod canary;
pub mod demo;
mod file_watch;
mod health;
mod listeners;
mod open_files;
mod own_metrics;
mod parts;
mod recount;
mod reload;
mod rules_loop;
mod sources;
mod stores;
mod turn;
mod upkeep;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::cli::{Cli, EXIT_FAILED, LogFormat, Serve};
use crate::config::files::{format_names, is_format};
use crate::load::Setup;
use crate::{load, logging, usage};
use watchfire_cli::origin::given_by;
use watchfire_dashboard_api::audit::{self, Actor};
use watchfire_dashboard_api::auth::Access;
use watchfire_dashboard_api::notices::STOPPING;
use watchfire_dashboard_api::tls::Tls;
use watchfire_ingest::own_log::OwnLog;
use watchfire_ingest::sources::stdin::StdinSource;

use listeners::Doors;
use parts::Parts;
use recount::Recounter;
use reload::Reloader;

/// How long alerting may take to deliver what waits when we stop.
const ALERTING_DRAIN: Duration = Duration::from_secs(5);

/// What runs beside the server, given the address that serves everything; it ends before the server does.
type Companion = Box<dyn FnOnce(SocketAddr) -> JoinSet<()> + Send>;

/// `watchfire serve`: runs until SIGTERM, SIGINT or SIGQUIT.
pub fn serve(options: &Serve) -> ExitCode {
    serve_with(options, None)
}

fn serve_with(options: &Serve, companion: Option<Companion>) -> ExitCode {
    let started = Instant::now();
    let setup = match load::setup(options.over.config.as_deref(), Some(options)) {
        Ok(setup) => setup,
        Err(faults) => return failed(&faults),
    };
    let parsers = &setup.config.parsers;
    if let Some(name) = options.input.stdin_format.as_deref().filter(|name| !is_format(name, parsers)) {
        return usage::refuse_value(&Cli::command(), "--stdin-format <FORMAT>", name, format_names(parsers));
    }
    // Before anything is opened.
    open_files::raise();
    watchfire_alerting::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("async").build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("threads could not be started: {error}")),
    };
    let own_logs = logging::start(options.log_format == LogFormat::Json);
    match runtime.block_on(run(setup, options, own_logs, started, companion)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn failed(message: &dyn std::fmt::Display) -> ExitCode {
    watchfire_cli::failure::report(message.to_string().lines());
    ExitCode::from(EXIT_FAILED)
}

async fn run(
    setup: Setup,
    options: &Serve,
    own_logs: OwnLog,
    started: Instant,
    companion: Option<Companion>,
) -> Result<(), String> {
    let Setup { config, rule_files, rules, credentials, tls } = setup;
    let rules = canary::with_rule(rules, config.canary_every_ms, config.alerting.check_interval_ms)?;
    let access = Arc::new(Access::new(credentials).map_err(|error| error.to_string())?);
    let doors = Doors { access, tls: tls.map(|material| Arc::new(Tls::new(material))) };
    let signals = Signals::listen()?;
    let mut bound = listeners::Bound::bind(&config, options.roles).await?;
    let handle = tokio::runtime::Handle::current();
    let opened = {
        let (config, roles) = (config.clone(), options.roles);
        tokio::task::spawn_blocking(move || Parts::open(&config, roles, &rules, &handle)).await
    };
    let of_folder = |error: String| match &options.over.data_dir {
        // The configuration is not where it can be mended.
        Some(_) => format!("{error} (the folder of {})", given_by("--data-dir", "WATCHFIRE_DATA_DIR")),
        None => error,
    };
    let parts = Arc::new(opened.map_err(|error| error.to_string())?.map_err(of_folder)?);
    let reloader = Arc::new(Reloader::new(parts.clone(), doors.clone(), options.clone(), config.clone()));
    let (stop, stopping) = watch::channel(false);
    let running = parts.start(&config, own_logs, bound.take_syslog(), &stopping)?;
    let recounter = Recounter::new(parts.clone(), reloader.clone());
    let hourly = recounter.start_hourly().map_err(|error| format!("a thread could not be started: {error}"))?;
    let servers = bound.serve(&config, &doors, &parts, &reloader, started, &stopping)?;
    let banner = banner::text(&config, options.roles, &servers.addresses, servers.metrics, rule_files.len());
    // Standard output belongs to the lines that are passed on.
    // Whoever has closed them does not want to know.
    let _ = if options.input.stdin {
        std::io::stderr().write_all(banner.as_bytes())
    } else {
        std::io::stdout().write_all(banner.as_bytes())
    };
    let input_ended = take_stdin(options, &parts)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data_dir.display(), "started");
    load::warn_of(&config);
    let watching = tokio::spawn(file_watch::run(reloader.clone(), stopping));
    let companion = companion.zip(servers.addresses.first()).map(|(start, address)| start(*address));
    let outcome = signals.wait_for_end(&reloader, input_ended, companion.is_some()).await;
    if let Some(mut companion) = companion {
        companion.shutdown().await;
    }
    tracing::info!("stopping");
    parts.intake.drain();
    parts.notices.set(STOPPING, true);
    // Nobody is left to hear of it once all receivers are gone.
    let _ = stop.send(true);
    servers.finished().await;
    if let Err(error) = watching.await {
        tracing::error!(%error, "looking at changed files panicked");
    }
    let counted = tokio::task::spawn_blocking(move || hourly.stop()).await;
    counted.map_err(|error| error.to_string())?;
    running.stop(&parts).await;
    // All that was accepted has been shown by now.
    parts.tail.close().await;
    if let Some(alerting) = &parts.alerting {
        let report = alerting.close(ALERTING_DRAIN).await;
        if report.undelivered > 0 {
            tracing::info!(messages = report.undelivered, "undelivered messages are sent after the next start");
        }
    }
    let closing = parts.clone();
    let closed = tokio::task::spawn_blocking(move || closing.close()).await;
    closed.map_err(|error| error.to_string())?;
    outcome
}

/// Tells that the input has ended, or that it cannot be read.
type InputEnd = oneshot::Receiver<std::io::Result<()>>;

/// Takes standard input if it was asked for; the answer comes at its end if that shall be our end.
fn take_stdin(options: &Serve, parts: &Arc<Parts>) -> Result<Option<InputEnd>, String> {
    if !options.input.stdin {
        return Ok(None);
    }
    let source = StdinSource {
        service: options.input.stdin_service.clone(),
        format: options.input.stdin_format.clone().filter(|name| name != "auto"),
        multiline: options.input.stdin_multiline,
    };
    let ended =
        parts.sources.lock().take_stdin(source).map_err(|error| format!("a thread could not be started: {error}"))?;
    Ok(options.input.stdin_exit.then_some(ended))
}

/// Waits for the end of input that shall be ours.
///
/// Errors: it cannot be read.
async fn ended(input: &mut Option<InputEnd>) -> Result<(), String> {
    if let Some(input) = input
        && let Ok(outcome) = input.await
    {
        return outcome.map_err(|error| format!("standard input cannot be read: {error}"));
    }
    std::future::pending().await
}

/// The signals that we listen to. From the moment that somebody can see us none of them may end us without a drain.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    /// Waits for SIGTERM, SIGINT, SIGQUIT, or the end of input; reloads at SIGHUP meanwhile, unless that is the end of a terminal
    /// for which everything is done.
    ///
    /// Errors: the input cannot be read.
    async fn wait_for_end(
        mut self,
        reloader: &Arc<Reloader>,
        mut input_ended: Option<InputEnd>,
        ends_with_terminal: bool,
    ) -> Result<(), String> {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ok(()),
                _ = self.interrupt.recv() => return Ok(()),
                _ = self.quit.recv() => return Ok(()),
                outcome = ended(&mut input_ended) => return outcome,
                _ = self.hangup.recv() => {
                    if ends_with_terminal {
                        return Ok(());
                    }
                    reload(reloader.clone()).await;
                }
            }
        }
    }
}

async fn reload(reloader: Arc<Reloader>) {
    // It logs what came of it; nobody waits for the answer here.
    let result = match tokio::task::spawn_blocking(move || reloader.reload()).await {
        Ok(Ok(_)) => "done",
        Ok(Err(_)) => "failed",
        Err(error) => {
            tracing::error!(%error, "the reload panicked");
            "failed"
        }
    };
    audit::record(Actor::Operator, None, "reload by SIGHUP", result);
}
