//! Clients that ask for much and take nothing: what waits for them is counted, and given back when they are gone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use watchfire_model::Timestamp;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer has a status.
fn wait_for_status(client: &mut Client, path: &str, status: u16) -> String {
    let begun = Instant::now();
    loop {
        let answer = client.try_get(path);
        if answer.status == status {
            return answer.text();
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {} instead of {status}", answer.status);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_memory_of_an_answer_is_counted_until_it_is_taken() {
    // One answer of 100 series and 10,000 steps fits, two do not.
    let server = Server::start(BINARY, "limits: {query_memory: 24MiB}\n");
    let mut client = server.client();
    let now = Timestamp::now().millis() / 1000;
    let samples: String = (0..100).map(|number| format!("wide{{n=\"{number}\"}} {number}.25 {now}\n")).collect();
    let answer = client.post("/api/v1/import", "text/plain", format!("# TYPE wide gauge\n{samples}# EOF\n"));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let times = format!("start={}&end={now}&step=1", now - 9_999);
    for path in ["/api/v1/query_range", "/api/v1/metrics/range"] {
        let path = format!("{path}?query={}&{times}", encode(&format!("wide @ {now}")));
        let mut waiting = TcpStream::connect(server.address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        waiting.write_all(request.as_bytes()).expect("it listens");
        let mut begin = [0; 12];
        waiting.read_exact(&mut begin).expect("it answers");
        assert_eq!(&begin, b"HTTP/1.1 200");
        let refused = wait_for_status(&mut server.client(), &path, 503);
        assert!(refused.contains("limits.query_memory"), "{refused}");
        assert_eq!(
            client.try_get(&format!("/api/v1/query?query=wide&time={now}")).status,
            200,
            "what is small has room"
        );
        drop(waiting);
        let whole = wait_for_status(&mut server.client(), &path, 200);
        assert_eq!(whole.matches(".25").count(), 1_000_000, "{path}");
    }
}
