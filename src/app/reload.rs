//! Reloading: rules, receivers, parsers, extraction and sources change as a whole or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use watchfire_dashboard_api::notices::RELOAD_FAILED;
use watchfire_dashboard_api::roles::Role;
use watchfire_dashboard_api::tls::Material;
use watchfire_engine::SeriesKind;
use watchfire_model::Timestamp;

use super::canary::{self, Canary};
use super::file_watch::Seen;
use super::listeners::Doors;
use super::parts::Parts;
use crate::cli::Serve;
use crate::config::{Config, Metrics};
use crate::load::{self, Setup};
use crate::receivers;

/// What was seen at the last look.
#[derive(Default)]
struct Watched {
    auth: Seen,
    tls: Seen,
    /// What there was to say of our certificate. It names the days left, so that it is said each day.
    concern: Option<String>,
}

/// Reads the files again when asked.
pub struct Reloader {
    parts: Arc<Parts>,
    doors: Doors,
    options: Serve,
    /// What was read last and is in force, but for what needs a restart; guards against two reloads at once.
    config: Mutex<Config>,
    /// What was read at the start: of what needs a restart, this is in force.
    started: Config,
    seen: Mutex<Watched>,
    successful: Arc<AtomicBool>,
    last_success_ms: Arc<AtomicI64>,
}

impl Reloader {
    /// Of what was read at the start.
    pub fn new(parts: Arc<Parts>, doors: Doors, options: Serve, config: Config) -> Reloader {
        // What changes from now on is seen, also before the first look.
        let mut seen = Watched::default();
        seen.auth.changed(load::auth_files(&config));
        seen.tls.changed(load::tls_files(&config));
        let (successful, last_success_ms) = (parts.reload_successful.clone(), parts.reload_success_ms.clone());
        Reloader {
            parts,
            doors,
            options,
            started: config.clone(),
            config: Mutex::new(config),
            seen: Mutex::new(seen),
            successful,
            last_success_ms,
        }
    }

    /// What was read last: of what reloads, that is in force.
    pub fn config(&self) -> Config {
        self.config.lock().clone()
    }

    /// Reads configuration and rules again. Answers what was done; on any fault nothing changes, and the error tells
    /// all of them. Blocks.
    pub fn reload(&self) -> Result<String, String> {
        let outcome = self.try_reload();
        match &outcome {
            Ok(done) => tracing::info!("{}", done.trim_end()),
            Err(faults) => tracing::error!("not reloaded, the old configuration stays in force: {faults}"),
        }
        self.successful.store(outcome.is_ok(), Ordering::Relaxed);
        self.parts.notices.set(RELOAD_FAILED, outcome.is_err());
        if outcome.is_ok() {
            self.last_success_ms.store(Timestamp::now().millis(), Ordering::Relaxed);
        }
        outcome
    }

    /// Reads keys, users and certificates again if their files have changed since the last look. Blocks.
    pub fn look_at_files(&self) {
        let config = self.config.lock();
        let (auth, tls) = {
            let mut seen = self.seen.lock();
            (seen.auth.changed(load::auth_files(&config)), seen.tls.changed(load::tls_files(&config)))
        };
        if auth {
            match load::credentials(&config) {
                Ok(Some(credentials)) => self.doors.access.replace(credentials),
                Ok(None) => {}
                Err(faults) => tracing::error!("keys and users stay as they were: {faults}"),
            }
        }
        if tls {
            let next = load::tls(&config).map_err(|faults| faults.to_string());
            match next.and_then(|next| self.check_tls(next.as_ref()).map(|()| next)) {
                Ok(next) => self.replace_tls(next),
                Err(fault) => tracing::error!("the TLS certificate stays as it was: {fault}"),
            }
        }
        self.watch_certificate();
    }

    fn check_tls(&self, next: Option<&Material>) -> Result<(), String> {
        match (&self.doors.tls, next) {
            (Some(tls), Some(next)) => tls.check(next, Timestamp::now()),
            (None, _) | (_, None) => Ok(()),
        }
    }

    fn replace_tls(&self, next: Option<Material>) {
        let (Some(tls), Some(next)) = (&self.doors.tls, next) else { return };
        let ends = next.validity.ends.to_rfc3339();
        tls.replace(next);
        tracing::info!(%ends, "new connections are greeted with the TLS certificate as read now");
    }

    /// Warns, once a day and whenever it changes what there is to say, that our certificate counts not much longer.
    fn watch_certificate(&self) {
        let concern = self.doors.tls.as_ref().and_then(|tls| tls.material().concern(Timestamp::now()));
        let mut seen = self.seen.lock();
        if concern != seen.concern {
            seen.concern = concern;
            if let Some(concern) = &seen.concern {
                tracing::warn!("{concern}");
            }
        }
    }

    /// Refuses rules that begin to count under names of samples that were pushed or scraped.
    fn check_counted(&self, counted: &BTreeSet<String>) -> Result<(), String> {
        let engine = &self.parts.engine;
        let has_samples = |name: &&String| matches!(engine.metric_kind(name), Some(SeriesKind::Samples(_)));
        match counted.iter().filter(|name| !engine.is_kept_for_counts(name)).find(has_samples) {
            None => Ok(()),
            Some(name) => Err(format!(
                "extract: `{name}` has samples that were pushed or scraped already; give the rule's metric another name"
            )),
        }
    }

    fn try_reload(&self) -> Result<String, String> {
        let mut current = self.config.lock();
        let setup = load::setup(self.options.over.config.as_deref(), Some(&self.options));
        let Setup { config: next, rule_files: files, rules, credentials, tls } =
            setup.map_err(|faults| faults.to_string())?;
        // The canary that runs keeps its rule; another one needs a restart.
        let every_ms = self.parts.canary.as_ref().map(|canary| canary.every_ms());
        let rules = canary::with_rule(rules, every_ms, next.alerting.check_interval_ms)?;
        let parsers = load::parsers(&next)?;
        let extractor = load::extractor(&next)?;
        let counted = extractor.counted();
        self.check_counted(&counted)?;
        self.check_tls(tls.as_ref())?;
        let json_logs = load::json_logs(&next, &self.parts.json_logs)?;
        let now = Timestamp::now();
        // What can still refuse comes first; the others cannot fail.
        let runtime = self.parts.runtime.clone();
        let canary_receiver = self.parts.canary.as_ref().map(Canary::receiver);
        if let Some(alerting) = &self.parts.alerting {
            runtime
                .block_on(alerting.reload(&receivers::settings(&next, canary_receiver), now))
                .map_err(|error| error.to_string())?;
        }
        self.replace_tls(tls);
        self.parts.intake.set_parsers(parsers);
        self.parts.engine.keep_for_counts(counted);
        self.parts.extraction.replace(extractor);
        // A reload takes for known where alerts stand now, which only who evaluates them knows.
        if self.parts.roles.has(Role::Alerting) {
            self.parts.rules.reload(&rules, load::group_defaults(&next), now);
        }
        if let Some(credentials) = credentials {
            self.doors.access.replace(credentials);
        }
        self.parts.json_logs.put_in_force(json_logs);
        if let Err(error) = self.parts.begin_to_take(&next) {
            tracing::error!("{error}");
        }
        load::warn_of(&next);
        let restart = needs_restart(&self.started, &next);
        *current = next;
        let count = files.len();
        let mut done = format!(
            "reloaded: {count} rule file{}, receivers, parsers, extraction, sources, scraping, remote_write, log files, keys, users, certificates",
            if count == 1 { "" } else { "s" }
        );
        if !restart.is_empty() {
            done.push_str(&format!(
                "; differs from what runs, and is in force only after a restart: {}",
                restart.join(", ")
            ));
        }
        Ok(done + "\n")
    }
}

/// Names of what differs from what runs and does not reload.
fn needs_restart(current: &Config, next: &Config) -> Vec<&'static str> {
    // Extraction takes this one along.
    let metrics = Metrics { late_after_ms: current.metrics.late_after_ms, ..next.metrics.clone() };
    let changes = [
        ("listen", current.listen != next.listen),
        ("data_dir", current.data_dir != next.data_dir),
        ("metrics", current.metrics != metrics),
        ("logs", current.logs != next.logs),
        ("queue", current.queue_disk_limit_bytes != next.queue_disk_limit_bytes),
        ("sources.syslog", current.syslog != next.syslog),
        ("auth", std::mem::discriminant(&current.auth) != std::mem::discriminant(&next.auth)),
        ("tls", current.tls.is_some() != next.tls.is_some()),
        ("allowed_hosts", current.allowed_hosts != next.allowed_hosts),
        ("cors", current.cors != next.cors),
        ("limits", current.limits != next.limits),
        ("canary", current.canary_every_ms != next.canary_every_ms),
        ("dead_mans_switch", current.dead_mans_switch != next.dead_mans_switch),
        ("alerting.repeat_interval", current.alerting.repeat_interval_ms != next.alerting.repeat_interval_ms),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}
