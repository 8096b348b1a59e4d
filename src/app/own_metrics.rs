//! The figures of all parts as `watchfire_*` metrics, and those of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::process_collector::ProcessCollector;
use watchfire_alerting::stats::TargetStats;
use watchfire_alerting::{AlertingStats, HeartbeatStats};
use watchfire_dashboard_api::guard::Guard;
use watchfire_dashboard_api::own_metrics::{Kind, OwnMetric, Reading};
use watchfire_dashboard_api::tls::Tls;
use watchfire_remote_write::stats::{DestinationStats, Dropped};
use watchfire_rules::GroupSnapshot;

use super::health::{DiskUse, disk_use};
use super::parts::Parts;

/// Kind, name, help, and how the figure is read.
type Row<R> = (Kind, &'static str, &'static str, R);
type Read = fn(&Parts) -> Vec<Reading>;
type ReadOf<T> = fn(&T) -> f64;

/// Metrics of one figure each.
const PLAIN: [Row<Read>; 34] = [
    (Kind::Gauge, "watchfire_series", "Series in memory.", |parts| Reading::plain(parts.engine.stats().series as f64)),
    (Kind::Gauge, "watchfire_engine_memory_bytes", "Memory of series and their numbers.", |parts| {
        Reading::plain(parts.engine.stats().memory_bytes as f64)
    }),
    (Kind::Gauge, "watchfire_engine_memory_limit_bytes", "The most that they may take.", |parts| {
        Reading::plain(parts.engine.stats().memory_limit_bytes as f64)
    }),
    (Kind::Counter, "watchfire_engine_points_total", "Samples, counts and observations taken.", |parts| {
        Reading::plain(parts.engine.stats().accepted_total as f64)
    }),
    (Kind::Counter, "watchfire_series_overflowed_total", "Points that went to an __overflow__ series.", |parts| {
        Reading::plain(parts.engine.stats().overflowed_total as f64)
    }),
    (Kind::Counter, "watchfire_pruned_early_total", "Points dropped before their time as memory was short.", |parts| {
        Reading::plain(parts.engine.stats().pruned_early_total as f64)
    }),
    (Kind::Counter, "watchfire_series_crowded_out_total", "Quiet series dropped to make room for new ones.", |parts| {
        Reading::plain(parts.engine.stats().series_crowded_out_total as f64)
    }),
    (Kind::Gauge, "watchfire_engine_block_files", "Files with samples that have left memory.", |parts| {
        Reading::plain(parts.engine.stats().block_files as f64)
    }),
    (Kind::Gauge, "watchfire_engine_block_bytes", "Size of these files.", |parts| {
        Reading::plain(parts.engine.stats().block_bytes as f64)
    }),
    (Kind::Counter, "watchfire_engine_spilled_total", "Samples that went from memory to blocks.", |parts| {
        Reading::plain(parts.engine.stats().spilled_total as f64)
    }),
    (Kind::Counter, "watchfire_engine_block_write_errors_total", "Blocks that could not be written.", |parts| {
        Reading::plain(parts.engine.stats().block_failures_total as f64)
    }),
    (Kind::Counter, "watchfire_engine_block_damaged_samples_total", "Samples of blocks found unreadable.", |parts| {
        Reading::plain(parts.engine.stats().block_damaged_samples as f64)
    }),
    (Kind::Counter, "watchfire_engine_damages_total", "Damaged places found in the engine's files.", |parts| {
        Reading::plain(parts.engine.stats().recovered_damages as f64)
    }),
    (Kind::Gauge, "watchfire_disk_used_ratio", "Used share of the whole file system of the data folder.", |parts| {
        of_disk(parts, DiskUse::used_ratio)
    }),
    (
        Kind::Gauge,
        "watchfire_disk_full_ratio",
        "Used share of what can be used of that file system, as df shows it: 1 when nothing more can be written.",
        |parts| of_disk(parts, DiskUse::full_ratio),
    ),
    (Kind::Gauge, "watchfire_disk_available_bytes", "What can still be written to that file system.", |parts| {
        of_disk(parts, DiskUse::available_bytes)
    }),
    (Kind::Gauge, "watchfire_queue_disk_bytes", "Size of the queue on disk.", |parts| {
        Reading::plain(parts.queue.stats().disk_bytes as f64)
    }),
    (Kind::Counter, "watchfire_queue_commits_total", "Group commits, each with one fdatasync.", |parts| {
        Reading::plain(parts.queue.stats().commits_total as f64)
    }),
    (Kind::Counter, "watchfire_queue_full_total", "Appends refused because the queue was full.", |parts| {
        Reading::plain(parts.queue.stats().full_total as f64)
    }),
    (Kind::Counter, "watchfire_queue_write_errors_total", "Failures of the system to write the queue.", |parts| {
        Reading::plain(parts.queue.stats().io_errors_total as f64)
    }),
    (
        Kind::Counter,
        "watchfire_queue_lost_records_total",
        "Accepted records damaged on disk before all took them.",
        |parts| Reading::plain(parts.queue.stats().lost_records_total as f64),
    ),
    (Kind::Gauge, "watchfire_log_store_records", "Log records that a search can find.", |parts| {
        Reading::plain(parts.store.stats().records as f64)
    }),
    (Kind::Gauge, "watchfire_log_store_disk_bytes", "Size of the log store on disk.", |parts| {
        Reading::plain(parts.store.stats().disk_bytes as f64)
    }),
    (Kind::Gauge, "watchfire_log_store_blocks", "Sealed blocks of the log store.", |parts| {
        Reading::plain(parts.store.stats().sealed_blocks as f64)
    }),
    (Kind::Gauge, "watchfire_log_store_damaged_blocks", "Blocks of which a part is damaged.", |parts| {
        Reading::plain(parts.store.stats().damaged_blocks.len() as f64)
    }),
    (
        Kind::Gauge,
        "watchfire_log_store_lost_records",
        "Records lost to damage of the queue before they could be searched; totals of their time are not exact.",
        |parts| Reading::plain(parts.store.stats().lost_records as f64),
    ),
    (Kind::Counter, "watchfire_log_store_write_errors_total", "Failures to seal, merge or drop blocks.", |parts| {
        Reading::plain(parts.store.stats().write_errors_total as f64)
    }),
    (Kind::Counter, "watchfire_log_store_dropped_records_total", "Records dropped early: the disk limit.", |parts| {
        Reading::plain(parts.store.stats().dropped_records_total as f64)
    }),
    (Kind::Counter, "watchfire_log_store_archived_records_total", "Records written into the archive.", |parts| {
        Reading::plain(parts.store.stats().archived_records_total as f64)
    }),
    (Kind::Counter, "watchfire_rules_journal_write_errors_total", "Failures to write the rules' journal.", |parts| {
        Reading::plain(parts.rules.stats().journal_failures as f64)
    }),
    (Kind::Counter, "watchfire_notification_log_write_errors_total", "Failures to write that log.", |parts| {
        Reading::plain(parts.alerting.as_ref().map_or(0.0, |alerting| alerting.stats().log.errors_total as f64))
    }),
    (Kind::Gauge, "watchfire_websocket_connections", "Readers of the live tail.", |parts| {
        Reading::plain(parts.tail.readers() as f64)
    }),
    (Kind::Gauge, "watchfire_config_last_reload_successful", "1 if the last reload was good.", |parts| {
        Reading::plain(f64::from(u8::from(parts.reload_successful.load(Ordering::Relaxed))))
    }),
    (
        Kind::Gauge,
        "watchfire_config_last_reload_success_timestamp_seconds",
        "When the last good reload was.",
        |parts| Reading::plain(parts.reload_success_ms.load(Ordering::Relaxed) as f64 / 1000.0),
    ),
];

/// Metrics per part that keeps data.
const PER_PART: [Row<Read>; 3] = [
    (
        Kind::Counter,
        "watchfire_damaged_files_total",
        "Files found damaged at the start, blocks of logs aside; what could be read of them was kept.",
        |parts| parts.damaged_files.iter().map(|(part, files)| of_part(part, *files as f64)).collect(),
    ),
    (Kind::Gauge, "watchfire_storage_failing", "1 while a part cannot write its data.", |parts| {
        let failing = [
            ("queue", parts.queue.stats().write_failing),
            ("log_store", parts.store.stats().last_write_error.is_some()),
            ("engine", parts.engine.stats().log_broken),
            ("rules", parts.rules.stats().journal_is_behind),
            ("alerting", parts.alerting.as_ref().is_some_and(|alerting| !alerting.stats().log.durable)),
        ];
        failing.into_iter().map(|(part, failing)| of_part(part, f64::from(u8::from(failing)))).collect()
    }),
    (
        Kind::Gauge,
        "watchfire_retention_last_success_timestamp_seconds",
        "When what is too old or too much was last looked for and dropped.",
        |parts| {
            let logs = parts.store.stats().last_upkeep.map(|at| of_part("log_store", at.millis() as f64 / 1000.0));
            let series_ms = parts.engine_upkeep_ms.load(Ordering::Relaxed);
            logs.into_iter().chain([of_part("engine", series_ms as f64 / 1000.0)]).collect()
        },
    ),
];

fn of_disk(parts: &Parts, figure: fn(DiskUse) -> f64) -> Vec<Reading> {
    disk_use(&parts.data_dir).map(|disk| Reading::plain(figure(disk))).unwrap_or_default()
}

fn of_part(part: &str, value: f64) -> Reading {
    Reading { labels: vec![("part", part.to_owned())], value }
}

/// Metrics per rule group.
const PER_GROUP: [Row<ReadOf<GroupSnapshot>>; 3] = [
    (Kind::Gauge, "watchfire_rule_group_last_duration_seconds", "How long the last evaluation took.", |group| {
        group.evaluation_seconds
    }),
    (Kind::Counter, "watchfire_rule_group_iterations_total", "Evaluations.", |group| group.iterations as f64),
    (Kind::Counter, "watchfire_rule_group_iterations_missed_total", "Evaluations passed over: too late.", |group| {
        group.missed as f64
    }),
];

/// Metrics per way of telling.
const PER_TARGET: [Row<ReadOf<TargetStats>>; 3] = [
    (Kind::Counter, "watchfire_notifications_total", "Messages tried.", |target| target.notifications_total as f64),
    (Kind::Counter, "watchfire_notifications_failed_total", "Messages given up.", |target| target.failed_total as f64),
    (Kind::Gauge, "watchfire_notifications_waiting", "Messages that wait or are under way.", |target| {
        target.queue.messages as f64
    }),
];

/// Metrics per destination of `remote_write`.
const PER_DESTINATION: [Row<ReadOf<DestinationStats>>; 12] = [
    (Kind::Gauge, "watchfire_remote_write_samples_pending", "Samples that wait in shards.", |to| to.pending as f64),
    (Kind::Counter, "watchfire_remote_write_samples_sent_total", "Samples sent and taken.", |to| to.sent_total as f64),
    (Kind::Counter, "watchfire_remote_write_samples_failed_total", "Samples that were refused for good.", |to| {
        to.failed_total as f64
    }),
    (Kind::Counter, "watchfire_remote_write_samples_retried_total", "Samples of requests sent again.", |to| {
        to.retried_total as f64
    }),
    (
        Kind::Counter,
        "watchfire_remote_write_lost_records_total",
        "Records of the engine's log that were damaged or gone before they were read.",
        |to| to.lost_records_total as f64,
    ),
    (Kind::Counter, "watchfire_remote_write_bytes_sent_total", "Bytes of requests that were taken.", |to| {
        to.bytes_total as f64
    }),
    (Kind::Gauge, "watchfire_remote_write_highest_timestamp_seconds", "Latest time of a sample that was read.", |to| {
        to.highest_read_ms as f64 / 1000.0
    }),
    (
        Kind::Gauge,
        "watchfire_remote_write_highest_sent_timestamp_seconds",
        "Latest time of a sample that was taken.",
        |to| to.highest_sent_ms as f64 / 1000.0,
    ),
    (
        Kind::Gauge,
        "watchfire_remote_write_lag_seconds",
        "How long ago the oldest sample came in that is not settled.",
        |to| to.lag.as_secs_f64(),
    ),
    (Kind::Gauge, "watchfire_remote_write_shards", "Shards, each with one request under way.", |to| to.shards as f64),
    (Kind::Gauge, "watchfire_remote_write_held_bytes", "The engine's log as far as it is kept for it.", |to| {
        to.held_bytes as f64
    }),
    (Kind::Gauge, "watchfire_remote_write_failing", "1 while the last request failed.", |to| {
        f64::from(u8::from(to.last_error.is_some()))
    }),
];

/// Metrics of the dead man's switch, where there is one.
const SWITCH: [Row<ReadOf<HeartbeatStats>>; 3] = [
    (Kind::Counter, "watchfire_dead_mans_switch_pings_total", "Pings that were answered with success.", |stats| {
        stats.sent_total as f64
    }),
    (Kind::Counter, "watchfire_dead_mans_switch_failures_total", "Pings that were not.", |stats| {
        stats.failed_total as f64
    }),
    (Kind::Counter, "watchfire_dead_mans_switch_withheld_total", "Pings left out: something was wrong.", |stats| {
        stats.withheld_total as f64
    }),
];

/// Registers all of them.
pub fn register(parts: &Arc<Parts>) -> prometheus::Result<()> {
    let registry = &parts.registry;
    for (kind, name, help, read) in PLAIN {
        let parts = parts.clone();
        registry.register(Box::new(OwnMetric::new(kind, name, help, &[], move || read(&parts))?))?;
    }
    for (kind, name, help, read) in PER_PART {
        let parts = parts.clone();
        registry.register(Box::new(OwnMetric::new(kind, name, help, &["part"], move || read(&parts))?))?;
    }
    for (kind, name, help, read) in PER_GROUP {
        let parts = parts.clone();
        let readings = move || {
            let groups = parts.rules.groups_snapshot();
            let name = |group: &GroupSnapshot| {
                let is_alone = groups.iter().filter(|other| other.name == group.name).count() == 1;
                // As Prometheus tells groups apart.
                if is_alone { group.name.clone() } else { format!("{};{}", group.file, group.name) }
            };
            groups.iter().map(|group| Reading { labels: vec![("group", name(group))], value: read(group) }).collect()
        };
        registry.register(Box::new(OwnMetric::new(kind, name, help, &["group"], readings)?))?;
    }
    for (kind, name, help, read) in PER_TARGET {
        let parts = parts.clone();
        let readings =
            move || parts.alerting.as_ref().map_or_else(Vec::new, |alerting| per_target(&alerting.stats(), read));
        registry.register(Box::new(OwnMetric::new(kind, name, help, &["receiver", "integration"], readings)?))?;
    }
    for (kind, name, help, read) in PER_DESTINATION {
        let parts = parts.clone();
        let readings = move || {
            parts
                .remote_write
                .stats()
                .iter()
                .map(|to| Reading { labels: of_destination(to), value: read(to) })
                .collect()
        };
        registry.register(Box::new(OwnMetric::new(kind, name, help, &["remote_name", "url"], readings)?))?;
    }
    let (name, help) = ("watchfire_remote_write_samples_dropped_total", "Samples that were not sent.");
    let of = parts.clone();
    let dropped = move || of.remote_write.stats().iter().flat_map(dropped_of).collect();
    let labels = ["remote_name", "url", "reason"];
    registry.register(Box::new(OwnMetric::new(Kind::Counter, name, help, &labels, dropped)?))?;
    if let Some(heartbeat) = &parts.heartbeat {
        for (kind, name, help, read) in SWITCH {
            let heartbeat = heartbeat.clone();
            let readings = move || Reading::plain(read(&heartbeat.stats()));
            registry.register(Box::new(OwnMetric::new(kind, name, help, &[], readings)?))?;
        }
    }
    registry.register(Box::new(ProcessCollector::for_self()))
}

/// Registers those of the guard: who was not heard.
pub fn register_guard(registry: &prometheus::Registry, guard: &Arc<Guard>) -> prometheus::Result<()> {
    let of = guard.clone();
    let limited = move || {
        let count = |by: &str, total: &AtomicU64| Reading {
            labels: vec![("by", by.to_owned())],
            value: total.load(Ordering::Relaxed) as f64,
        };
        vec![
            count("key", &of.limited_known_total),
            count("address", &of.limited_addresses_total),
            count("failed_logins", &of.access.limited_total),
        ]
    };
    let help = "Requests answered 429: too many of a key or user, of an address, or failed logins of an address.";
    let metric = OwnMetric::new(Kind::Counter, "watchfire_http_requests_limited_total", help, &["by"], limited)?;
    registry.register(Box::new(metric))?;
    let of = guard.clone();
    let failed = move || Reading::plain(of.access.failed_total.load(Ordering::Relaxed) as f64);
    let help = "Wrong keys and passwords.";
    registry.register(Box::new(OwnMetric::new(Kind::Counter, "watchfire_logins_failed_total", help, &[], failed)?))
}

/// Registers those of TLS: until when our certificate counts, and who did not get in.
pub fn register_tls(registry: &prometheus::Registry, tls: &Arc<Tls>) -> prometheus::Result<()> {
    let of = tls.clone();
    let ends = move || Reading::plain(of.material().validity.ends.millis() as f64 / 1000.0);
    let help = "Until when our TLS certificate counts.";
    let name = "watchfire_tls_certificate_expiry_timestamp_seconds";
    registry.register(Box::new(OwnMetric::new(Kind::Gauge, name, help, &[], ends)?))?;
    let of = tls.clone();
    let failed = move || Reading::plain(of.failed_total.load(Ordering::Relaxed) as f64);
    let help = "TLS connections that failed before the first request.";
    registry.register(Box::new(OwnMetric::new(Kind::Counter, "watchfire_tls_failed_total", help, &[], failed)?))
}

fn of_destination(to: &DestinationStats) -> Vec<(&'static str, String)> {
    vec![("remote_name", to.name.clone()), ("url", to.url.clone())]
}

fn dropped_of(to: &DestinationStats) -> Vec<Reading> {
    let reasons = Dropped::ALL.iter().zip(to.dropped_total);
    let reading = |((_, reason), dropped): (&(Dropped, &str), u64)| {
        let labels = of_destination(to).into_iter().chain([("reason", (*reason).to_owned())]);
        Reading { labels: labels.collect(), value: dropped as f64 }
    };
    reasons.map(reading).collect()
}

fn per_target(stats: &AlertingStats, read: ReadOf<TargetStats>) -> Vec<Reading> {
    let reading = |target: &TargetStats| Reading {
        labels: vec![
            ("receiver", target.target.receiver.to_string()),
            ("integration", target.target.kind.as_str().to_owned()),
        ],
        value: read(target),
    };
    stats.targets.iter().map(reading).collect()
}
