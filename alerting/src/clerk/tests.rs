//! A disk that cannot be written: pages go out, nothing is acknowledged, and the log comes back by itself.

use super::*;
use crate::config::{Integration, Receiver, ReceiverSettings, SendLimits, WebhookConfig};
use crate::notifier::{Notifier, Sending};
use crate::secret::Secret;
use std::path::Path;
use watchfire_model::{Alert, AlertState, LabelSet};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Takes everything.
struct Taker;

impl Notifier for Taker {
    fn send<'a>(&'a self, _: &'a Arc<Notification>) -> Sending<'a> {
        Box::pin(async { Ok(()) })
    }
}

fn clerk(dir: &Path) -> (Clerk, Arc<Outbox>) {
    let integrations = vec![Integration::Webhook(WebhookConfig::new(Secret::inline("http://127.0.0.1:1/")))];
    let receivers = vec![Receiver { name: "ops".to_owned(), integrations }];
    let routing = Routing::flat(&ReceiverSettings { receivers, ..ReceiverSettings::default() });
    let target = routing.targets()[0].target.clone();
    let outbox = Arc::new(Outbox::new(target.clone(), SendLimits::default(), Arc::new(Taker)));
    let directory = Directory { routing, outboxes: HashMap::from([(target, Arc::clone(&outbox))]) };
    let mut state = SentState::default();
    let (journal, _) = Journal::open(&dir.join("log"), |payload| {
        state.apply(&Entry::decode(payload).expect("written by us"));
        true
    })
    .expect("opens");
    let silences = Arc::new(Silences::open(dir).expect("opens").0);
    (Clerk::new(state, journal, Policy::default(), Ids::new(NOW, 0), directory, silences, NOW), outbox)
}

fn batch(service: &str, state: AlertState) -> AlertBatch {
    let resolved_at = (state == AlertState::Resolved).then_some(NOW);
    let alert = Alert {
        rule: "A".to_owned(),
        group: "rules".to_owned(),
        labels: LabelSet::empty().with("alertname", "A").with("service", service),
        annotations: Vec::new(),
        state,
        value: 1.0,
        active_at: NOW,
        fired_at: Some(NOW),
        resolved_at,
        evaluated_at: NOW,
        receivers: Vec::new(),
    };
    AlertBatch { group: "rules".to_owned(), rule: "A".to_owned(), alerts: vec![alert] }
}

#[tokio::test]
async fn pages_go_out_and_the_log_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut clerk, outbox) = clerk(dir.path());
    clerk.journal.break_file();
    // Nor can a new file be made: a folder stands in its place.
    let in_the_way = dir.path().join("log.new");
    std::fs::create_dir(&in_the_way).expect("made");
    let stats = clerk.stats();
    let (handle, thread) = clerk.start().expect("starts");

    let report = handle.handle(vec![batch("api", AlertState::Firing)], NOW).await.expect("open");
    assert_eq!((report.messages, report.durable), (1, false));
    assert_eq!(outbox.stats().queue.messages, 1, "it is sent all the same");
    let report = handle.handle(vec![batch("api", AlertState::Firing)], NOW).await.expect("open");
    assert_eq!(report.messages, 0, "it is remembered in memory");
    let report = handle.handle(vec![batch("api", AlertState::Resolved)], NOW).await.expect("open");
    assert_eq!((report.messages, report.acknowledged.len()), (1, 0));
    assert!(!stats.lock().durable && stats.lock().errors_total > 0);

    std::fs::remove_dir(&in_the_way).expect("removed");
    let report = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let report = handle.handle(vec![batch("api", AlertState::Resolved)], NOW).await.expect("open");
            if report.durable {
                break report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let report = report.await.expect("the log is written anew");
    assert_eq!((report.messages, report.acknowledged.len()), (0, 1));
    assert!(stats.lock().durable);
    assert_eq!(handle.close().await, Ok(2));
    thread.join().expect("no panic");

    let (clerk, _) = self::clerk(dir.path());
    assert_eq!(clerk.state.open().len(), 2, "all that was decided meanwhile is in the new file");
}
