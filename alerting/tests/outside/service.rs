//! The whole of it: alerts in, deliveries out, over failures and restarts.

use crate::http_sink::{Answer, HttpSink, Request};
use crate::smtp_sink::SmtpSink;
use crate::{START, firing, resolved, within};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;
use watchfire_alerting::{
    AlertBatch, Alerting, EmailConfig, HandleReport, Integration, Receiver, ReceiverSettings, RecoveryReport, Secret,
    Settings, WebhookConfig,
};
use watchfire_model::{Alert, Timestamp};

fn webhook(name: &str, url: &str) -> Receiver {
    let integrations = vec![Integration::Webhook(WebhookConfig::new(Secret::inline(url)))];
    Receiver { name: name.to_owned(), integrations }
}

fn receivers(receivers: Vec<Receiver>) -> ReceiverSettings {
    ReceiverSettings { receivers, ..ReceiverSettings::default() }
}

fn open(dir: &Path, all: Vec<Receiver>) -> (Alerting, RecoveryReport) {
    let settings = Settings { receivers: receivers(all), ..Settings::new(dir) };
    Alerting::open(settings, &Handle::current(), Timestamp::now()).expect("opens")
}

async fn handle(alerting: &Alerting, alerts: &[Alert]) -> HandleReport {
    let rule = alerts[0].rule.clone();
    let batch = AlertBatch { group: "rules".to_owned(), rule, alerts: alerts.to_vec() };
    alerting.handle(vec![batch], Timestamp::now()).await.expect("open")
}

/// Waits until a target's counters say so.
async fn until(alerting: &Alerting, what: &str, is_so: impl Fn(&watchfire_alerting::stats::TargetStats) -> bool) {
    within(what, async {
        while !alerting.stats().targets.iter().any(&is_so) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn told(request: &Request) -> (String, Vec<String>) {
    let body = request.json();
    let services = body["alerts"].as_array().expect("alerts").iter();
    let services = services.map(|alert| format!("{} {}", alert["labels"]["service"], alert["status"]).replace('"', ""));
    (body["status"].as_str().expect("a status").to_owned(), services.collect())
}

#[tokio::test]
async fn tells_what_changed_once_and_acknowledges_what_is_resolved() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    let (alerting, _) = open(dir.path(), vec![webhook("ops", &sink.url())]);
    for _ in 0..3 {
        let report = handle(&alerting, &[firing("A", "api"), firing("A", "web")]).await;
        assert!(report.durable && report.acknowledged.is_empty());
    }
    let report = handle(&alerting, &[resolved("A", "api"), firing("A", "web")]).await;
    assert_eq!(report.acknowledged.len(), 1);
    assert_eq!(report.acknowledged[0].fingerprint, firing("A", "api").fingerprint());
    assert_eq!(report.acknowledged[0].resolved_at, START.plus_millis(60_000));
    let again = handle(&alerting, &[resolved("A", "api"), firing("A", "web")]).await;
    assert_eq!((again.messages, again.acknowledged), (0, report.acknowledged), "it is taken over, not told twice");
    let requests = sink.wait_for(2).await;
    assert_eq!(told(&requests[0]), ("firing".to_owned(), vec!["api firing".to_owned(), "web firing".to_owned()]));
    assert_eq!(told(&requests[1]), ("resolved".to_owned(), vec!["api resolved".to_owned()]));
    assert_ne!(requests[0].id(), requests[1].id());
    let drained = alerting.close(Duration::from_secs(10)).await;
    assert_eq!((drained.undelivered, drained.broken_off, sink.requests().len()), (0, false, 2));
    assert!(alerting.handle(Vec::new(), START).await.is_err(), "closed");
}

#[tokio::test]
async fn repeats_the_same_id_until_it_arrives() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    sink.answer([Answer::Status(500, vec![]), Answer::CloseHalfWay, Answer::Status(503, vec![])]);
    let (alerting, _) = open(dir.path(), vec![webhook("ops", &sink.url())]);
    handle(&alerting, &[firing("A", "api")]).await;
    handle(&alerting, &[resolved("A", "api")]).await;
    let requests = sink.wait_for(5).await;
    let ids: Vec<&str> = requests.iter().map(Request::id).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] == ids[3] && ids[3] != ids[4], "{ids:?}");
    assert_eq!((told(&requests[3]).0, told(&requests[4]).0), ("firing".to_owned(), "resolved".to_owned()));
    until(&alerting, "both delivered", |stats| stats.delivered_total == 2 && stats.queue.messages == 0).await;
    let stats = alerting.stats();
    let target = &stats.targets[0];
    assert_eq!((target.notifications_total, target.retries_total, target.failed_total), (2, 3, 0));
    assert_eq!((target.attempt_duration.count, target.delivery_delay.count, target.queue.messages), (5, 2, 0));
    assert_eq!((stats.log.open_messages, stats.log.flows), (0, 0));
}

#[tokio::test]
async fn a_refused_message_is_counted_and_the_next_change_tells_its_alerts_too() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    sink.answer([Answer::Status(400, vec![])]);
    let (alerting, _) = open(dir.path(), vec![webhook("ops", &sink.url())]);
    handle(&alerting, &[firing("A", "api")]).await;
    until(&alerting, "the failure is counted", |stats| stats.failed_total == 1).await;
    let report = handle(&alerting, &[firing("A", "api")]).await;
    assert_eq!(report.messages, 0, "nothing changed");
    handle(&alerting, &[firing("A", "api"), firing("A", "web")]).await;
    let requests = sink.wait_for(2).await;
    assert_eq!(told(&requests[1]).1, ["api firing", "web firing"]);
    assert_ne!(requests[0].id(), requests[1].id());
}

#[tokio::test]
async fn one_that_hangs_does_not_delay_another() {
    let (slow, quick, dir) = (HttpSink::start().await, HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    slow.otherwise(Answer::Hang);
    // No timeout of the one that hangs helps the other.
    let timeout = Duration::from_secs(3600);
    let patient = WebhookConfig { timeout, ..WebhookConfig::new(Secret::inline(slow.url())) };
    let patient = Receiver { name: "slow".to_owned(), integrations: vec![Integration::Webhook(patient)] };
    let (alerting, _) = open(dir.path(), vec![patient, webhook("quick", &quick.url())]);
    for at in 0..50 {
        handle(&alerting, &[firing(&format!("R{at}"), "api")]).await;
    }
    quick.wait_for(50).await;
    let stats = alerting.stats();
    let slow = stats.targets.iter().find(|stats| &*stats.target.receiver == "slow").expect("it is there");
    assert_eq!((slow.queue.messages, slow.delivered_total), (50, 0));
    let drained = alerting.close(Duration::from_millis(50)).await;
    assert_eq!((drained.undelivered, drained.broken_off), (50, true));
}

#[tokio::test]
async fn what_was_not_delivered_is_sent_after_a_restart_and_nothing_else() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    let (alerting, _) = open(dir.path(), vec![webhook("ops", &sink.url())]);
    handle(&alerting, &[firing("A", "api")]).await;
    until(&alerting, "the first is delivered", |stats| stats.delivered_total == 1).await;
    sink.otherwise(Answer::Status(500, vec![]));
    handle(&alerting, &[firing("B", "api")]).await;
    sink.wait_for(2).await;
    let drained = alerting.close(Duration::from_secs(10)).await;
    assert_eq!((drained.undelivered, drained.broken_off), (1, false), "what is refused is not waited for");
    let before = sink.requests();

    sink.otherwise(Answer::ok());
    let (alerting, recovery) = open(dir.path(), vec![webhook("ops", &sink.url())]);
    assert_eq!((recovery.undelivered, recovery.dropped, recovery.log.damaged_bytes), (1, 0, 0));
    until(&alerting, "the second is delivered", |stats| stats.delivered_total == 1).await;
    let after = sink.requests().split_off(before.len());
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id(), &after[0].body), (before[1].id(), &before[1].body));
    // What was told is remembered.
    for rule in ["A", "B"] {
        assert_eq!(handle(&alerting, &[firing(rule, "api")]).await.messages, 0);
    }
    assert_eq!(handle(&alerting, &[resolved("A", "api")]).await.messages, 1);
    alerting.close(Duration::from_secs(10)).await;
    let (_, recovery) = open(dir.path(), vec![webhook("ops", &sink.url())]);
    assert_eq!(recovery.undelivered, 0);
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_same_alerts_come_again() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    sink.answer([Answer::Status(500, vec![])]);
    let mut settings =
        Settings { receivers: receivers(vec![webhook("ops", &sink.url())]), ..Settings::new(dir.path()) };
    settings.limits.queue_messages = 1;
    let (alerting, _) = Alerting::open(settings, &Handle::current(), START).expect("opens");
    assert_eq!(handle(&alerting, &[firing("A", "api")]).await.messages, 1);
    let report = handle(&alerting, &[resolved("A", "api")]).await;
    assert_eq!((report.messages, report.refused, report.acknowledged.len()), (0, 1, 0));
    until(&alerting, "the first is delivered", |stats| stats.delivered_total == 1).await;
    let report = within("room", async {
        loop {
            let report = handle(&alerting, &[resolved("A", "api")]).await;
            if report.messages == 1 {
                break report;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    assert_eq!((report.refused, report.acknowledged.len()), (0, 1));
    assert!(alerting.stats().targets[0].refused_total >= 1);
}

#[tokio::test]
async fn receivers_are_replaced_while_running() {
    let (first, second, dir) =
        (HttpSink::start().await, HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    first.otherwise(Answer::Status(500, vec![]));
    let (alerting, _) = open(dir.path(), vec![webhook("ops", &first.url()), webhook("old", &first.url())]);
    handle(&alerting, &[firing("A", "api")]).await;
    first.wait_for(2).await;
    let bad = receivers(vec![webhook("ops", "ftp://x")]);
    assert!(alerting.reload(&bad, Timestamp::now()).await.is_err(), "the old ones stay");
    let good = receivers(vec![webhook("ops", &second.url()), webhook("new", &second.url())]);
    alerting.reload(&good, Timestamp::now()).await.expect("good settings");
    assert_eq!(second.wait_for(1).await[0].json()["receiver"], "ops", "what waited goes to the new address");
    let names: Vec<String> = alerting.stats().targets.iter().map(|stats| stats.target.to_string()).collect();
    assert_eq!(names, ["new/webhook/0", "ops/webhook/0"]);
    let report = handle(&alerting, &[firing("A", "api")]).await;
    assert_eq!(report.messages, 1, "the new receiver hears of it");
    assert_eq!(second.wait_for(2).await[1].json()["receiver"], "new");
    let drained = alerting.close(Duration::from_secs(10)).await;
    assert_eq!(drained.undelivered, 0, "what was for the receiver that is gone is dropped");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_no_page() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    let log_dir = dir.path().join("alerting");
    let (alerting, _) = open(&log_dir, vec![webhook("ops", &sink.url())]);
    handle(&alerting, &[firing("A", "api")]).await;
    until(&alerting, "delivered", |stats| stats.delivered_total == 1).await;
    // A log whose file can no longer be replaced: the folder is gone, and a file stands in its place.
    std::fs::remove_dir_all(&log_dir).expect("removed");
    std::fs::write(&log_dir, "").expect("written");
    let filler = "x".repeat(1 << 20);
    let mut big = firing("B", "api");
    big.annotations.push(("filler".to_owned(), filler));
    for at in 0..6 {
        let mut alert = big.clone();
        alert.labels = alert.labels.with("n", &at.to_string());
        assert_eq!(handle(&alerting, &[alert]).await.messages, 1);
    }
    sink.wait_for(7).await;
    let stats = alerting.stats().log;
    assert!(stats.errors_total > 0, "{stats:?}");
}

#[tokio::test]
async fn a_mail_server_that_is_away_gets_the_mail_when_it_is_back() {
    let Some(sink) = SmtpSink::start(&[]).await else { return };
    let (url, port) = (sink.url("smtp", ""), sink.port.to_string());
    drop(sink);
    let dir = tempfile::tempdir().expect("a folder");
    let email = EmailConfig::new(Secret::inline(url), "watchfire@example.org", vec!["ops@example.org".to_owned()]);
    let mail = Receiver { name: "mail".to_owned(), integrations: vec![Integration::Email(email)] };
    let (alerting, _) = open(dir.path(), vec![mail.clone()]);
    handle(&alerting, &[firing("A", "api")]).await;
    handle(&alerting, &[resolved("A", "api")]).await;
    until(&alerting, "attempts", |stats| stats.retries_total >= 2).await;
    let drained = alerting.close(Duration::from_secs(10)).await;
    assert_eq!((drained.undelivered, drained.broken_off), (2, false));

    let (alerting, recovery) = open(dir.path(), vec![mail]);
    assert_eq!(recovery.undelivered, 2);
    until(&alerting, "an attempt", |stats| stats.notifications_total >= 1).await;
    let mut sink = SmtpSink::start(&["--port", &port]).await.expect("it was to be had before");
    for subject in ["[FIRING:1] A (api critical)", "[RESOLVED] A (api critical)"] {
        let mail = sink.event().await;
        let headers = mail["headers"].as_array().expect("headers");
        let found = headers.iter().find(|pair| pair[0] == "Subject").expect("a subject");
        assert_eq!(found[1], subject);
    }
    until(&alerting, "both delivered", |stats| stats.delivered_total == 2).await;
    assert!(sink.rest().is_empty());
}
