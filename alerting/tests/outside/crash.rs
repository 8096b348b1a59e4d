//! Death of the process: at named places, and at any moment.
//!
//! The test starts itself again as a child that hands over alerts and is killed; the receiver lives on in the
//! parent and counts.

use crate::http_sink::{Answer, HttpSink, Request};
use crate::{firing, resolved, within};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::runtime::Handle;
use watchfire_alerting::{
    AlertBatch, Alerting, Integration, Receiver, ReceiverSettings, Secret, Settings, WebhookConfig,
};
use watchfire_model::{Alert, Timestamp};

const DIR: &str = "WATCHFIRE_TEST_DIR";
const URL: &str = "WATCHFIRE_TEST_URL";
const RULES: &str = "WATCHFIRE_TEST_RULES";

/// Who the child is; does nothing in the parent's own run of the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(dir), Ok(url)) = (std::env::var(DIR), std::env::var(URL)) else { return };
    let rules: usize = std::env::var(RULES).expect("set with the others").parse().expect("a number");
    let integrations = vec![Integration::Webhook(WebhookConfig::new(Secret::inline(url)))];
    let receivers = vec![Receiver { name: "ops".to_owned(), integrations }];
    let receivers = ReceiverSettings { receivers, ..ReceiverSettings::default() };
    let settings = Settings { receivers, ..Settings::new(&dir) };
    let (alerting, _) = Alerting::open(settings, &Handle::current(), Timestamp::now()).expect("opens");
    // As the rules side does: what fires again and again, what is resolved too. It remembers by a file that `web`
    // is over.
    for at in 0..rules {
        let is_over = Path::new(&dir).join(format!("{at}.over"));
        if !is_over.exists() {
            hand_over(&alerting, at, &[firing(&rule(at), "api"), firing(&rule(at), "web")]).await;
            std::fs::write(is_over, "").expect("written");
        }
        hand_over(&alerting, at, &[firing(&rule(at), "api"), resolved(&rule(at), "web")]).await;
    }
    alerting.close(Duration::from_secs(60)).await;
}

fn rule(at: usize) -> String {
    format!("R{at:03}")
}

async fn hand_over(alerting: &Alerting, at: usize, alerts: &[Alert]) {
    let mut alerts = alerts.to_vec();
    // Makes the log grow.
    alerts.iter_mut().for_each(|alert| alert.annotations.push(("text".to_owned(), "x".repeat(1500))));
    let batch = AlertBatch { group: "rules".to_owned(), rule: rule(at), alerts };
    alerting.handle(vec![batch], Timestamp::now()).await.expect("open");
}

fn start_child(dir: &Path, url: &str, rules: usize, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "crash::child"]).env(DIR, dir).env(URL, url).env(RULES, rules.to_string());
    match failpoint {
        Some(failpoint) => command.env("WATCHFIRE_FAILPOINT", failpoint),
        None => command.env_remove("WATCHFIRE_FAILPOINT"),
    };
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

async fn run_child(dir: &Path, url: &str, rules: usize, failpoint: Option<&str>) -> ExitStatus {
    let mut child = start_child(dir, url, rules, failpoint);
    let ended = tokio::task::spawn_blocking(move || child.wait().expect("it was started"));
    within("the end of the child", ended).await.expect("no panic")
}

/// What each message told (rule, status, services), by its id; each id tells one thing.
fn by_id(requests: &[Request]) -> BTreeMap<String, (String, Vec<String>)> {
    let mut messages = BTreeMap::new();
    for request in requests {
        let body = request.json();
        let alerts = body["alerts"].as_array().expect("alerts").iter();
        let told = alerts.map(|alert| format!("{} {}", alert["labels"]["service"], alert["status"])).collect();
        let told = (body["groupLabels"]["alertname"].to_string(), told);
        let before = messages.insert(request.id().to_owned(), told.clone());
        assert!(before.is_none_or(|before| before == told), "one id tells two things");
    }
    messages
}

/// Every change was told by exactly one message, however often that was sent.
fn assert_told_once(requests: &[Request], rules: usize) {
    let messages = by_id(requests);
    let told: Vec<_> =
        messages.into_values().flat_map(|(rule, all)| all.into_iter().map(move |one| (rule.clone(), one))).collect();
    let distinct: BTreeSet<_> = told.iter().cloned().collect();
    assert_eq!(told.len(), distinct.len(), "something was told under two ids");
    assert_eq!(distinct.len(), 3 * rules, "api firing, web firing, web resolved, for each rule");
}

#[tokio::test]
async fn death_before_sending_costs_nothing_and_repeats_nothing() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    let died = run_child(dir.path(), &sink.url(), 1, Some("alerting.before_send")).await;
    assert!(!died.success());
    assert_eq!(sink.requests().len(), 0);
    assert!(run_child(dir.path(), &sink.url(), 1, None).await.success());
    assert_told_once(&sink.requests(), 1);
    assert_eq!(sink.requests().len(), 2, "nothing came twice");
    let first = &sink.requests()[0].json()["notification_reason"];
    assert_eq!(first, "first notification", "the message that waited on disk still knows why");
    assert!(run_child(dir.path(), &sink.url(), 0, None).await.success());
    assert_eq!(sink.requests().len(), 2, "nothing is left");
}

#[tokio::test]
async fn death_between_sending_and_its_log_repeats_that_one_with_the_same_id() {
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    let died = run_child(dir.path(), &sink.url(), 1, Some("alerting.after_send")).await;
    assert!(!died.success());
    assert_eq!(sink.requests().len(), 1);
    assert!(run_child(dir.path(), &sink.url(), 1, None).await.success());
    let requests = sink.requests();
    assert_told_once(&requests, 1);
    assert_eq!(requests.len(), 3, "one came twice");
    assert_eq!((requests[0].id(), &requests[0].body), (requests[1].id(), &requests[1].body));
}

#[tokio::test]
async fn death_while_the_log_is_written_or_compacted_costs_nothing() {
    for failpoint in ["alerting.journal", "alerting.journal:3", "alerting.journal:40", "alerting.compact"] {
        let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
        // Enough for the log to be compacted.
        let rules = 300;
        let died = run_child(dir.path(), &sink.url(), rules, Some(failpoint)).await;
        assert!(!died.success(), "{failpoint} was not met");
        assert!(run_child(dir.path(), &sink.url(), rules, None).await.success());
        assert_told_once(&sink.requests(), rules);
    }
}

#[tokio::test]
async fn kill_at_any_moment_loses_nothing_and_tells_nothing_under_two_ids() {
    const ROUNDS: u64 = 25;
    let rules = 60;
    let (sink, dir) = (HttpSink::start().await, tempfile::tempdir().expect("a folder"));
    for round in 0..ROUNDS {
        let mut child = start_child(dir.path(), &sink.url(), rules, None);
        // After so many further deliveries, of which some fail.
        let goal = sink.requests().len() + usize::try_from(round * 7 % 23).expect("small");
        sink.answer((0..round % 4).map(|_| Answer::Status(500, vec![])));
        let ended = within("deliveries or an end", async {
            loop {
                let ended = child.try_wait().expect("it was started");
                if ended.is_some() || sink.requests().len() > goal {
                    break ended;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        if ended.is_none() {
            child.kill().expect("killed");
        }
        child.wait().expect("it was started");
    }
    assert!(run_child(dir.path(), &sink.url(), rules, None).await.success());
    // What the last child left for later, as it had failed.
    within("the rest", async {
        while by_id(&sink.requests()).len() < 2 * rules {
            assert!(run_child(dir.path(), &sink.url(), rules, None).await.success());
        }
    })
    .await;
    assert_told_once(&sink.requests(), rules);
}
