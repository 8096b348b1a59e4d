//! The dead man's switch against a real HTTP server.

use crate::http_sink::{Answer, HttpSink};
use crate::within;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use watchfire_alerting::{Heartbeat, HeartbeatStats, Secret};

async fn wait_for(heartbeat: &Heartbeat, what: &str, happened: impl Fn(HeartbeatStats) -> bool) {
    let wait = async {
        while !happened(heartbeat.stats()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(what, wait).await;
}

#[tokio::test]
async fn pings_while_all_is_well_and_only_then() {
    let sink = HttpSink::start().await;
    sink.answer([Answer::Status(500, vec![]), Answer::Close, Answer::redirect(307, "/other")]);
    let heartbeat = Arc::new(Heartbeat::new(Secret::inline(sink.url()), Duration::from_millis(10)));
    let is_well = Arc::new(AtomicBool::new(true));
    let (running, well) = (Arc::clone(&heartbeat), Arc::clone(&is_well));
    let task = tokio::spawn(async move {
        let check = || std::future::ready(if well.load(Ordering::SeqCst) { Ok(()) } else { Err("no".to_owned()) });
        running.run(check).await;
    });
    wait_for(&heartbeat, "pings", |stats| stats.sent_total >= 2).await;
    assert_eq!(heartbeat.stats().failed_total, 3, "an error, a closed connection, a redirect");
    assert!(sink.requests().iter().all(|request| (&*request.method, &*request.path) == ("GET", "/hook")));
    is_well.store(false, Ordering::SeqCst);
    wait_for(&heartbeat, "silence", |stats| stats.withheld_total >= 1).await;
    let (before, pings) = (heartbeat.stats(), sink.requests().len());
    wait_for(&heartbeat, "further silence", |stats| stats.withheld_total >= before.withheld_total + 3).await;
    assert_eq!((heartbeat.stats().sent_total, sink.requests().len()), (before.sent_total, pings));
    is_well.store(true, Ordering::SeqCst);
    wait_for(&heartbeat, "pings again", |stats| stats.sent_total > before.sent_total).await;
    task.abort();
}
