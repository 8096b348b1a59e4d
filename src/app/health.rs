//! How the whole server is doing, from the figures of its parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use watchfire_alerting::Alerting;
use watchfire_dashboard_api::health::{Component, Health, QueueStatus, Status};
use watchfire_dashboard_api::roles::Role;
use watchfire_model::Timestamp;
use watchfire_model::text::{count, is_or_are};

use super::parts::Parts;

/// Use of the disk, or of the queue's part of it, from which on something must be done.
const DISK_USED_MAX: f64 = 0.95;

/// A receiver of our samples that is further behind is a problem.
const REMOTE_WRITE_LAG_MAX: Duration = Duration::from_secs(60);

/// For so long after a receiver refused samples for good that is one.
const SAMPLES_REFUSED: Duration = Duration::from_secs(120);

/// For so long after a series was refused the limit is a problem: longer than most targets are apart in being scraped.
const SERIES_REFUSED: Duration = Duration::from_secs(300);

/// How full a file system is, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskUse {
    total: f64,
    used: f64,
    /// What we can still write: without what is kept for the system's own use.
    available: f64,
}

impl DiskUse {
    /// Used share of the whole file system, 0 to 1 (API.md, 7). It stays below 1 where a part is kept for others,
    /// also when we can write nothing any more.
    pub fn used_ratio(self) -> f64 {
        self.used / self.total
    }

    /// Used share of what can be used by us, as `df` shows it: 1 when nothing more can be written.
    pub fn full_ratio(self) -> f64 {
        let usable = self.used + self.available;
        if usable > 0.0 { self.used / usable } else { 1.0 }
    }

    /// What we can still write, bytes.
    pub fn available_bytes(self) -> f64 {
        self.available
    }
}

/// How full the file system is that holds a path.
pub fn disk_use(path: &std::path::Path) -> Option<DiskUse> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut figures = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends with a zero byte, and statvfs writes a whole struct, for which zeroes are valid.
    let (code, figures) = unsafe {
        let code = libc::statvfs(path.as_ptr(), figures.as_mut_ptr());
        (code, figures.assume_init())
    };
    let bytes = |blocks: libc::fsblkcnt_t| blocks as f64 * figures.f_frsize as f64;
    let (total, free, available) = (bytes(figures.f_blocks), bytes(figures.f_bfree), bytes(figures.f_bavail));
    (code == 0 && total > 0.0).then_some(DiskUse { total, used: total - free, available })
}

/// The most records and seconds that a consumer is behind.
fn worst_lag(parts: &Parts) -> (u64, f64) {
    parts
        .lags()
        .into_iter()
        .fold((0, 0.0), |(records, seconds), (_, lag)| (lag.records.max(records), lag.seconds.max(seconds)))
}

/// The queue as D2 shows it.
pub fn queue_status(parts: &Parts) -> QueueStatus {
    let stats = parts.queue.stats();
    QueueStatus {
        pending_records: worst_lag(parts).0,
        consumers: stats.consumers.len(),
        last_offset: stats.next_offset.checked_sub(1),
    }
}

/// All of it.
pub fn read(parts: &Parts) -> Health {
    let mut components = vec![queue(parts), log_store(parts), engine(parts)];
    components.extend(parts.alerting.as_ref().map(|told| alerting(parts, told)));
    components.push(disk(parts));
    components.extend(sources(parts));
    components.extend(remote_write(parts));
    components.extend(parts.cluster.as_ref().map(|cluster| Component {
        name: "metrics_backend",
        problem: cluster.trouble(),
        figures: Vec::new(),
    }));
    components.extend(parts.canary.as_ref().map(|canary| Component {
        name: "canary",
        problem: canary.trouble(),
        figures: Vec::new(),
    }));
    let problem = components.iter().any(|component| component.problem.is_some());
    let replayed = !parts.roles.has(Role::Dashboard) || parts.store.visible_offset() >= parts.replay_until;
    let (status, progress) = if parts.intake.is_draining() {
        (Status::Draining, None)
    } else if !replayed {
        let (done, all) = (parts.store.visible_offset(), parts.replay_until);
        (Status::Starting, Some(format!("the queue is replayed: record {done} of {all}")))
    } else if problem {
        (Status::Degraded, None)
    } else {
        (Status::Ok, None)
    };
    Health { status, roles: parts.roles, components, progress }
}

/// Whether all is well, as the dead man's switch wants it: the state is good, and the canary, if there is one, lives.
///
/// Errors: what is wrong, in words.
pub async fn check(parts: Arc<Parts>) -> Result<(), String> {
    let read = tokio::task::spawn_blocking(move || {
        let health = read(&parts);
        let problem = health.components.into_iter().find_map(|part| Some(format!("{}: {}", part.name, part.problem?)));
        match health.status {
            Status::Ok if parts.canary.as_ref().is_none_or(|canary| canary.is_alive()) => Ok(()),
            Status::Ok => Err("the canary's first page has not come yet".to_owned()),
            status => Err(problem.unwrap_or_else(|| format!("the server is {}", status.as_str()))),
        }
    });
    read.await.unwrap_or_else(|error| Err(format!("the state cannot be read: {error}")))
}

fn queue(parts: &Parts) -> Component {
    let stats = parts.queue.stats();
    let (records, seconds) = worst_lag(parts);
    let unwritten = stats
        .write_failing
        .then(|| "it cannot be written; senders are refused meanwhile, and the server's log says why".to_owned());
    let failing = parts.lags().into_iter().find(|(_, lag)| lag.failing);
    let lost = stats.lost_records_total > 0;
    let full = stats.disk_bytes as f64 > stats.disk_limit_bytes as f64 * DISK_USED_MAX;
    Component {
        name: "queue",
        problem: unwritten
            .or_else(|| {
                failing.map(|(consumer, _)| format!("the consumer {consumer} fails; the server's log says why"))
            })
            .or_else(|| full.then(|| "its disk limit is nearly reached".to_owned()))
            .or_else(|| {
                lost.then(|| {
                    let lost = stats.lost_records_total;
                    format!(
                        "{} {} lost: the queue's files were damaged",
                        count(lost, "accepted record"),
                        is_or_are(lost)
                    )
                })
            }),
        figures: vec![
            ("lag_records", records as f64),
            ("lag_s", seconds),
            ("disk_bytes", stats.disk_bytes as f64),
            ("lost_records", stats.lost_records_total as f64),
        ],
    }
}

fn log_store(parts: &Parts) -> Component {
    let stats = parts.store.stats();
    let damaged = in_files(parts, &stats.damaged_blocks, "block").map(|blocks| {
        format!(
            "{blocks}: searches leave out what cannot be read of it, and say so; restore a backup, or let \
             `logs.retention_days` drop it"
        )
    });
    Component {
        name: "log_store",
        problem: stats.last_write_error.or(damaged),
        figures: vec![
            ("records", stats.records as f64),
            ("blocks", stats.sealed_blocks as f64),
            ("lost_records", stats.lost_records as f64),
            ("disk_bytes", stats.disk_bytes as f64),
        ],
    }
}

fn engine(parts: &Parts) -> Component {
    let stats = parts.engine.stats();
    let broken = stats.log_broken.then(|| "its log cannot be written; new numbers are refused meanwhile".to_owned());
    let damaged = stats.losses.map(|losses| {
        let (places, records) = (count(losses.places, "damaged place"), count(stats.lost_records_total, "record"));
        let (since, file) = (losses.since, in_data(parts, &losses.file).display());
        format!(
            "{places} in its files, found {since}; some numbers are missing ({records} known); restore a backup, or remove \
             {file}, which names them, to live with it"
        )
    });
    let unreadable = in_files(parts, &stats.damaged_blocks, "block").map(|blocks| {
        let samples = count(stats.block_damaged_samples, "sample");
        format!(
            "{blocks}: {samples} of what was asked for cannot be read, all others are served; restore a backup, or let \
             `metrics.retention_days` drop it"
        )
    });
    let short = stats.memory_short.then(|| {
        "series and their numbers of the last hour take all of `metrics.memory_limit`: new series are refused; raise it"
            .to_owned()
    });
    let refusing = stats.series_refused_at.is_some_and(|at| is_recent(at, SERIES_REFUSED));
    let crowded = refusing.then(|| {
        let max = stats.max_series;
        format!(
            "new series were refused in the last minutes: there are as many as `metrics.max_series` allows ({max}); raise \
             it, or drop labels with many values"
        )
    });
    Component {
        name: "engine",
        problem: broken.or(damaged).or(unreadable).or(short).or(crowded),
        figures: vec![
            ("series", stats.series as f64),
            ("memory_bytes", stats.memory_bytes as f64),
            ("lost_records", stats.lost_records_total as f64),
        ],
    }
}

/// Whether something happened no longer ago than that.
fn is_recent(at: Timestamp, within: Duration) -> bool {
    Timestamp::now().since(at) <= i64::try_from(within.as_millis()).unwrap_or(i64::MAX)
}

/// The path of a file in the data folder: where that is, health does not tell to everyone.
fn in_data<'p>(parts: &Parts, path: &'p Path) -> &'p Path {
    path.strip_prefix(&parts.data_dir).unwrap_or(path)
}

/// How many files are damaged, and which, by their path in the data folder; `None` if none is.
fn in_files(parts: &Parts, damaged: &[PathBuf], what: &str) -> Option<String> {
    let first = damaged.first()?;
    let first = in_data(parts, first).display();
    let (many, others) = (damaged.len(), damaged.len() - 1);
    let which = if others == 0 { first.to_string() } else { format!("{first} and {}", count(others as u64, "other")) };
    Some(format!("{} {} damaged ({which})", count(many as u64, what), is_or_are(many as u64)))
}

fn alerting(parts: &Parts, alerting: &Alerting) -> Component {
    let stats = alerting.stats();
    let waiting: usize = stats.targets.iter().map(|target| target.queue.messages).sum();
    let rules = parts.rules.stats();
    let failing = match rules.failing_rules {
        0 => None,
        1 => Some("1 rule fails; /api/v1/rules says why".to_owned()),
        failing => Some(format!("{failing} rules fail; /api/v1/rules says why")),
    };
    let forgetful = rules.journal_is_behind.then(|| "the journal of rules cannot be written".to_owned());
    let repeating = (!stats.log.durable)
        .then(|| "the notification log cannot be written; a restart may repeat messages".to_owned());
    Component {
        name: "alerting",
        problem: failing.or(forgetful).or(repeating),
        figures: vec![("rules", rules.rules as f64), ("undelivered", waiting as f64)],
    }
}

/// Shown where files, the journal or standard input are read.
fn sources(parts: &Parts) -> Option<Component> {
    let (files, closed) = parts.source_metrics.followed()?;
    let problem = (closed > 0.0).then(|| {
        "files in folders that may not be entered or listed are not read; the server's log says which, and what to do".to_owned()
    });
    Some(Component { name: "sources", problem, figures: vec![("files", files), ("closed_folders", closed)] })
}

/// Shown where samples are sent to other servers.
fn remote_write(parts: &Parts) -> Option<Component> {
    let all = parts.remote_write.stats();
    let last = all.iter().max_by_key(|to| to.lag)?;
    let mut problems: Vec<String> = Vec::new();
    for to in &all {
        if let Some((_, why)) = to.refused.as_ref().filter(|(at, _)| is_recent(*at, SAMPLES_REFUSED)) {
            let given_up = count(to.failed_total, "sample");
            problems.push(format!("{} refuses samples, which are given up ({given_up} so far): {why}", to.name));
        }
    }
    if last.lag > REMOTE_WRITE_LAG_MAX {
        let why = last.last_error.as_deref().unwrap_or("the receiver is slow");
        problems.push(format!("{} is {} s behind: {why}", last.name, last.lag.as_secs()));
    }
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    let pending: u64 = all.iter().map(|to| to.pending).sum();
    Some(Component {
        name: "remote_write",
        problem,
        figures: vec![
            ("destinations", all.len() as f64),
            ("lag_s", last.lag.as_secs_f64()),
            ("pending_samples", pending as f64),
        ],
    })
}

fn disk(parts: &Parts) -> Component {
    let Some(disk) = disk_use(&parts.data_dir) else {
        return Component { name: "disk", problem: None, figures: Vec::new() };
    };
    let full = disk.full_ratio();
    Component {
        name: "disk",
        problem: (full > DISK_USED_MAX).then(|| format!("{:.0} % of what can be used are used", full * 100.0)),
        figures: vec![
            ("used_ratio", disk.used_ratio()),
            ("full_ratio", full),
            ("available_bytes", disk.available_bytes()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::DiskUse;

    #[test]
    fn a_disk_is_full_when_nothing_is_available() {
        // 100 blocks, of which 64 are kept for others.
        for (used, available, used_ratio, full_ratio) in
            [(23.0, 13.0, 0.23, 23.0 / 36.0), (36.0, 0.0, 0.36, 1.0), (0.0, 36.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)]
        {
            let disk = DiskUse { total: 100.0, used, available };
            assert_eq!((disk.used_ratio(), disk.full_ratio()), (used_ratio, full_ratio), "{disk:?}");
        }
    }
}
