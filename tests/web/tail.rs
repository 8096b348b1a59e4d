//! The live tail holds still while somebody reads, counts what it leaves out, and costs the server nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_test_support::{Browser, Server};

use crate::{BINARY, data};

fn send(server: &Server, text: &str, count: usize) {
    let records: Vec<Value> =
        (0..count).map(|at| json!({"service": "tail", "message": format!("{text} {at}")})).collect();
    assert_eq!(server.client().post("/ingest", "application/json", Value::Array(records).to_string()).status, 202);
}

#[test]
fn scrolling_pauses_the_tail_and_new_lines_are_counted() {
    let Some(mut browser) = Browser::start("the live tail") else { return };
    let (server, _rules) = data::server();
    let mut page = browser.page(1440, 900, false);
    page.go(&format!("http://{}/logs?live=1", server.address));
    page.wait("following", "document.querySelector('.live').textContent.includes('following') && document.querySelectorAll('.log-row').length > 5");
    send(&server, "first", 50);
    let at_end = "(() => { const list = document.querySelector('.virtual'); return list.scrollTop + list.clientHeight >= list.scrollHeight - 4; })()";
    page.wait(
        "the newest line is in sight",
        &format!("document.querySelector('.virtual').textContent.includes('first 49') && {at_end}"),
    );
    // Somebody reads: nothing moves, what comes is counted.
    page.eval("document.querySelector('.virtual').scrollTop -= 300");
    page.wait("paused", "document.querySelector('.live').textContent.includes('paused')");
    let seen = "[...document.querySelectorAll('.log-row .message')].map((one) => one.textContent).join('|') + document.querySelector('.virtual').scrollTop";
    let before = page.eval(seen);
    send(&server, "second", 120);
    page.wait("120 new", "document.querySelector('.new-lines')?.textContent.includes('120 new')");
    assert_eq!(page.eval(seen), before, "the list moved under the reader");
    page.eval("document.querySelector('.new-lines').click()");
    page.wait(
        "following again",
        &format!("document.querySelector('.virtual').textContent.includes('second 119') && {at_end}"),
    );
    // More than the ring holds: the oldest go, and it is said how many could not be shown.
    page.eval("document.querySelector('.virtual').scrollTop -= 300");
    page.wait("paused again", "document.querySelector('.live').textContent.includes('paused')");
    for _ in 0..12 {
        send(&server, "third", 500);
    }
    page.wait("a full ring", "/5\\D?000 new/.test(document.querySelector('.new-lines')?.textContent) && /1\\D?000 lines dropped/.test(document.querySelector('.live').textContent)");
    page.eval("document.querySelector('.new-lines').click()");
    page.wait("the ring", "/5\\D?000 lines/.test(document.querySelector('.live header').textContent)");
    let nodes = page.eval("document.querySelectorAll('.log-row').length");
    assert!(nodes.as_u64().is_some_and(|nodes| nodes < 120), "{nodes} rows are drawn");
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_server_that_is_gone_is_told_once() {
    let Some(mut browser) = Browser::start("a tail whose server is gone") else { return };
    let mut server = Server::start(BINARY, "");
    let mut page = browser.page(1024, 768, false);
    page.go(&format!("http://{}/logs?live=1", server.address));
    page.wait(
        "following",
        "document.querySelector('.live').textContent.includes('following') && document.querySelector('.live-mark.on')",
    );
    server.kill();
    page.wait("it is lost", "document.querySelector('.live header').textContent.startsWith('connection lost')");
    page.wait("the page knows", "document.querySelector('.banner')");
    assert_eq!(page.eval("document.querySelectorAll('.live-mark.on, .error-note').length"), 0);
    assert_eq!(page.eval("document.querySelector('.live [role=status]').textContent"), "connection lost");
}

/// The tail itself keeps 8 MiB for slow readers; the rest is what sockets and the allocator hold.
const GROWN_MIB_MAX: f64 = 96.0;

#[test]
fn a_tab_asleep_does_not_grow_the_server() {
    let Some(mut browser) = Browser::start("a tab asleep on the live tail") else { return };
    let server = Server::start(BINARY, "");
    let mut page = browser.page(1024, 768, false);
    page.go(&format!("http://{}/logs?live=1", server.address));
    page.wait("following", "document.querySelector('.live').textContent.includes('following')");
    page.command("Debugger.enable", json!({}));
    // The page's thread stands still at its next message, as in a tab that the browser froze.
    page.command("Debugger.pause", json!({}));
    let padding = "x".repeat(2000);
    let feed = |batches: usize| {
        for _ in 0..batches {
            send(&server, &padding, 500);
        }
        server.wait_drained();
    };
    // What the server keeps for slow readers, and the store's own memory, have their full size then.
    feed(100);
    let before = server.memory_mib("VmRSS");
    feed(100);
    let grown = || server.memory_mib("VmRSS") - before;
    // A merge of blocks takes some 200 MiB while it runs, whoever reads. What is kept for a reader stays until it is cut
    // off, which is later than the end of this.
    let end = Instant::now() + Duration::from_secs(20);
    while grown() >= GROWN_MIB_MAX && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    let grown = grown();
    println!("100 MB went by a tab asleep; the server grew by {grown:.0} MiB");
    assert!(grown < GROWN_MIB_MAX, "the server grew by {grown:.0} MiB");
}
