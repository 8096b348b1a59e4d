//! Bad input, bad disks, bad neighbours: a clear error, a counter, bounded memory, nothing of the good part lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::server::disk_bytes;
use watchfire_test_support::{Answer, Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

fn post_with(client: &mut Client, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    client.call(&Client::request("POST", path, headers, body))
}

/// The sum of a counter over all its labels, from `/metrics`.
fn counter(client: &mut Client, name: &str) -> f64 {
    let text = client.try_get("/metrics").text();
    let lines = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn total(client: &mut Client, query: &str) -> u64 {
    client.get(&format!("/api/v1/logs/search?q={}&start=48h&limit=0", encode(query)))["total"]
        .as_u64()
        .expect("a number")
}

fn is_error(answer: &Answer, status: u16) {
    let json = answer.json();
    assert_eq!(answer.status, status, "{}", answer.text());
    let told = json["error"].is_string() && json["message"].as_str().is_some_and(|message| !message.is_empty());
    assert!(told, "{}", answer.text());
}

#[test]
fn bad_bodies_are_answered_and_the_good_part_is_kept() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let json = "Content-Type: application/json";
    let good = br#"{"message":"good","service":"faults"}"#;
    let half = gzip(&good.repeat(1000));
    is_error(&post_with(&mut client, "/ingest", &[json, "Content-Encoding: gzip"], &half[..half.len() / 2]), 400);
    is_error(&post_with(&mut client, "/ingest", &[json, "Content-Encoding: gzip"], b"no gzip at all"), 400);
    let before = server.memory_mib("VmHWM");
    let bomb = gzip(&vec![b' '; 512 << 20]);
    is_error(&post_with(&mut client, "/ingest", &[json, "Content-Encoding: gzip"], &bomb), 413);
    assert!(server.memory_mib("VmHWM") < before + 400.0, "a bomb of 512 MiB took memory");
    is_error(&post_with(&mut client, "/ingest", &[json], b"{\"message\":\"\xff\xfe\"}"), 400);
    is_error(&post_with(&mut client, "/ingest", &[json, "Content-Encoding: cobol"], good), 415);
    let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
    is_error(&post_with(&mut client, "/ingest", &[json], &deep), 400);
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(10 << 20));
    is_error(&post_with(&mut client, "/ingest", &[json], long.as_bytes()), 413);
    let mixed =
        [good.as_slice(), b"\n{\"message\":\"", &vec![b'y'; 2 << 20], b"\"}\n{broken\n", good.as_slice(), b"\n"]
            .concat();
    let answer = post_with(&mut client, "/ingest", &["Content-Type: application/x-ndjson"], &mixed);
    assert_eq!((answer.status, answer.json()["accepted"].clone()), (202, Value::from(2)), "{}", answer.text());
    assert_eq!(answer.json()["rejected"], 2);
    let mut too_large = server.client();
    let head = b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000\r\n\r\n";
    too_large.send(head).expect("it reads");
    is_error(&too_large.receive().expect("an answer before the body"), 413);
    server.wait_drained();
    assert_eq!(total(&mut client, "service:faults"), 2);
    assert!(counter(&mut client, "watchfire_records_rejected_total") >= 2.0);
}

#[test]
fn pushed_metrics_may_be_packed() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let json = "Content-Type: application/json";
    let push = |value: u32| format!(r#"{{"name":"packed","value":{value},"type":"gauge"}}"#).into_bytes();
    let zstd = zstd::encode_all(push(2).as_slice(), 1).expect("memory can be written");
    let answer = post_with(&mut client, "/api/v1/metrics", &[json, "Content-Encoding: gzip"], &gzip(&push(1)));
    assert_eq!((answer.status, answer.json()["accepted"].clone()), (202, Value::from(1)), "{}", answer.text());
    assert_eq!(post_with(&mut client, "/api/v1/metrics", &[json, "Content-Encoding: zstd"], &zstd).status, 202);
    assert_eq!(client.get("/api/v1/metrics/query?query=max+packed")["value"], 2);
    is_error(&post_with(&mut client, "/api/v1/metrics", &[json, "Content-Encoding: gzip"], b"no gzip"), 400);
    is_error(&post_with(&mut client, "/api/v1/metrics", &[json, "Content-Encoding: cobol"], &push(3)), 415);
    let bomb = gzip(&vec![b' '; 512 << 20]);
    is_error(&post_with(&mut client, "/api/v1/metrics", &[json, "Content-Encoding: gzip"], &bomb), 413);
    is_error(&post_with(&mut client, "/api/v1/metrics", &[json], &vec![b' '; 17 << 20]), 413);
}

#[test]
fn who_is_refused_before_the_body_was_read_reads_why() {
    let server = Server::start(BINARY, "");
    let body = vec![b' '; 40 << 20];
    let foreign = format!("POST /ingest HTTP/1.1\r\nHost: example.org\r\nContent-Length: {}\r\n\r\n", body.len());
    is_error(&server.client().call(&[foreign.as_bytes(), &body].concat()), 421);
    for (path, status) in
        [("/ingest", 413), ("/api/v1/metrics", 413), ("/api/v1/logs/search", 413), ("/nothing", 404), ("/metrics", 405)]
    {
        is_error(&post_with(&mut server.client(), path, &["Content-Type: application/json"], &body), status);
    }
}

#[test]
fn what_is_no_request_is_answered_as_every_error_is() {
    let server = Server::start(BINARY, "");
    let long_address = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(65_535));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-More: 1\r\n".repeat(200));
    for (request, status, code) in [
        ("this is no HTTP at all\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/9.9\r\n\r\n", 400, "malformed_request"),
        (long_address.as_str(), 431, "head_too_large"),
        (many.as_str(), 431, "head_too_large"),
    ] {
        let mut client = server.client();
        client.send(request.as_bytes()).expect("it reads");
        let answer = client.receive().unwrap_or_else(|error| panic!("{code}: {error}"));
        is_error(&answer, status);
        assert_eq!(answer.json()["error"], code);
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{}", answer.head);
    }
    // After a good request on the same connection too, and every other answer has an id as well.
    let mut client = server.client();
    for path in ["/-/healthy", "/nothing", "/api/v1/logs/search?limt=1", "/api/v1/logs/%FF"] {
        let answer = client.try_get(path);
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}: {}", answer.head);
        if answer.status != 200 {
            is_error(&answer, answer.status);
        }
    }
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "a".repeat(70_000));
    // It may hang up before it has read all of this.
    let _ = client.send(head.as_bytes());
    let answer = client.receive().expect("an answer");
    is_error(&answer, 431);
    assert!(answer.header("x-request-id").is_some(), "{}", answer.head);
}

#[test]
fn absurd_times_and_values_stay_where_they_can_be_found() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    for time in ["9999999999999999999", "-5", "1e300", "\"soon\"", "\"9999-12-31T23:59:59Z\"", "{\"a\":1}", "null"] {
        let body =
            format!("{{\"message\":\"absurd\",\"timestamp\":{time},\"duration_ms\":\"NaN\",\"level\":\"loudest\"}}");
        let answer = client.post("/ingest", "application/json", &body);
        assert!(answer.status == 202 || answer.status == 400, "{time}: {}", answer.text());
    }
    let old = client.post("/ingest", "application/json", r#"{"message":"absurd","timestamp":"1990-01-01T00:00:00Z"}"#);
    is_error(&old, 400);
    assert!(old.text().contains("too_old") || old.text().contains("retention"), "{}", old.text());
    server.wait_drained();
    assert!(total(&mut client, "absurd") >= 5);
    let found = client.get("/api/v1/logs/search?q=absurd+fields.level_raw:loudest&limit=1");
    assert_eq!(found["logs"][0]["level"], "info", "{found}");
}

#[test]
fn hostile_queries_are_answered() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let deep = "(".repeat(10_000);
    let negated = "NOT ".repeat(10_000);
    let exploding = "/(a{1000}){1000}/";
    for query in [deep.as_str(), &negated, exploding, "a:[1 TO", "\"open", "level:>>3", "x:", "/(/", "\u{0}"] {
        let answer = client.try_get(&format!("/api/v1/logs/search?q={}", encode(query)));
        assert!(answer.status == 400 || answer.status == 200, "{}: {}", &query[..query.len().min(20)], answer.text());
        if answer.status == 400 {
            assert!(answer.json()["where"]["column"].is_number(), "{}", answer.text());
        }
    }
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    for query in [deep.as_str(), "sum by", "p95 x over", "p95 x over 5parsecs", "1 +", "{"] {
        let answer = client.try_get(&format!("/api/v1/metrics/query?query={}", encode(query)));
        is_error(&answer, 400);
    }
    let body = format!("query={}", "a+".repeat(500_000));
    let answer = client.post("/api/v1/metrics/query", "application/x-www-form-urlencoded", body);
    assert!(answer.status == 400 || answer.status == 413, "{}", answer.status);
    assert_eq!(client.try_get("/-/healthy").status, 200);
}

#[test]
fn a_million_label_values_fold_into_overflow() {
    let config = "extract:\n  - {metric: hits_total, type: counter, where: 'service:many', labels: {user: user_id}, max_series: 100}\n";
    let server = Server::start(BINARY, config);
    let mut client = server.client();
    const VALUES: usize = 1_000_000;
    const PER_BODY: usize = 50_000;
    let before = server.memory_mib("VmHWM");
    for first in (0..VALUES).step_by(PER_BODY) {
        let mut body = String::with_capacity(60 * PER_BODY);
        for user in first..first + PER_BODY {
            body.push_str(&format!("{{\"message\":\"hit\",\"service\":\"many\",\"user_id\":\"u{user}\"}}\n"));
        }
        let answer = client.post("/ingest", "application/x-ndjson", &body);
        assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(PER_BODY as u64)));
    }
    server.wait_drained();
    let most = server.memory_mib("VmHWM");
    println!("{before:.0} MiB at most before, {most:.0} with a million values");
    assert!(most < before + 400.0, "{before:.0} MiB at most before, {most:.0} with a million values");
    let all = client.get("/api/v1/metrics/query?query=sum%20hits_total");
    assert_eq!(all["value"], VALUES, "{all}");
    let overflow = client.get(&format!("/api/v1/metrics/query?query={}", encode("sum hits_total user=__overflow__")));
    assert_eq!(overflow["value"], VALUES - 100, "{overflow}");
    let catalogue = client.get("/api/metrics?prefix=hits_total");
    assert_eq!(catalogue[0]["series"], 101, "{catalogue}");
}

#[test]
fn slow_senders_and_idle_connections_do_not_stop_others() {
    let server = Server::start(BINARY, "");
    // As many as the machine lets a test open, at most ten thousand.
    let mut idle = Vec::new();
    while idle.len() < 10_000 {
        let Ok(mut stream) = TcpStream::connect(server.address) else { break };
        // A head that never ends.
        if stream.write_all(b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\n").is_err() {
            break;
        }
        idle.push(stream);
    }
    assert!(idle.len() >= 500, "{}", idle.len());
    let begun = Instant::now();
    let answer = server.client().post("/ingest", "application/json", r#"{"message":"in between"}"#);
    assert_eq!(answer.status, 202);
    assert!(begun.elapsed() < Duration::from_secs(30));
    let memory = server.memory_mib("VmRSS");
    println!("{memory} MiB with {} idle connections", idle.len());
    assert!(memory < 400.0, "{memory} MiB for {} connections", idle.len());
}

#[test]
fn what_never_fits_into_a_small_queue_is_told_with_the_key_of_its_limit() {
    let server = Server::start(BINARY, "queue: {disk_limit: 1MiB}\n");
    let line = format!("{{\"message\":\"{}\"}}\n", "z".repeat(900));
    let answer = server.client().post("/ingest", "application/x-ndjson", line.repeat(600));
    let told = answer.json();
    assert_eq!((answer.status, &told["error"]), (413, &Value::from("too_large")), "{told}");
    let hint = "a batch may take a quarter of `queue.disk_limit`; raise it, or send less at once";
    assert_eq!(told["hint"], hint, "{told}");
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    // It is freed because it fills up, not because time passes.
    let server = Server::start(BINARY, "queue: {disk_limit: 4MiB}\nlogs: {seal_after: 1h}\n");
    let mut client = server.client();
    let line = format!("{{\"message\":\"{}\",\"service\":\"flood\"}}\n", "z".repeat(900));
    let body = line.repeat(1000);
    let (mut accepted, mut refused) = (0, 0);
    // Sealing frees the queue again and again; somewhere in between it is full, or sealing keeps up all the time.
    for _ in 0..60 {
        let answer = client.post("/ingest", "application/x-ndjson", &body);
        match answer.status {
            202 => accepted += answer.json()["accepted"].as_u64().expect("a number"),
            503 => {
                assert!(answer.header("retry-after").is_some(), "{}", answer.head);
                refused += 1;
            }
            status => panic!("{status}: {}", answer.text()),
        }
    }
    assert!(accepted > 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let answer = client.post("/ingest", "application/x-ndjson", &line);
        if answer.status == 202 {
            accepted += 1;
            break;
        }
        assert!(Instant::now() < deadline, "it does not recover: {}", answer.text());
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("{refused} of 60 bodies were refused");
    server.wait_drained();
    assert_eq!(total(&mut client, "service:flood"), accepted);
    assert!(disk_bytes(&server.data().join("queue")) < 8 << 20);
}

#[test]
fn one_folder_one_process_and_no_newer_version() {
    let mut server = Server::start(BINARY, "");
    let second = |server: &Server| {
        let arguments = ["20", BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir"];
        let output = Command::new("timeout")
            .args(arguments)
            .arg(server.data())
            .current_dir(server.folder.path())
            .output()
            .expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = second(&server);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("another process") || message.contains("in use"), "{message}");
    assert_eq!(server.client().post("/ingest", "application/json", r#"{"message":"kept"}"#).status, 202);
    server.kill();
    let file = newest_segment(&server);
    let mut bytes = std::fs::read(&file).expect("the segment can be read");
    // The version stands behind the magic number, the header's checksum of all but itself behind that.
    bytes[8..12].copy_from_slice(&99u32.to_le_bytes());
    let checksum = crc32fast::hash(&[&bytes[..12], &bytes[16..64]].concat());
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&file, &bytes).expect("the segment can be written");
    let (code, message) = second(&server);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("version"), "{message}");
}

/// The segments of the queue, oldest first.
fn segments(server: &Server) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(server.data().join("queue")).expect("the queue is there").flatten();
    let is_segment = |file: &std::path::PathBuf| std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"WFQUESEG"));
    let mut files: Vec<_> = files.map(|file| file.path()).filter(is_segment).collect();
    files.sort();
    files
}

fn newest_segment(server: &Server) -> std::path::PathBuf {
    segments(server).pop().expect("a segment")
}

#[test]
fn a_cut_or_flipped_queue_loses_only_what_was_hit() {
    let mut server = Server::start(BINARY, "");
    let mut client = server.client();
    for number in 0..100 {
        let body = format!("{{\"message\":\"line {number}\",\"service\":\"torn\"}}");
        assert_eq!(client.post("/ingest", "application/json", body).status, 202);
    }
    server.kill();
    let file = newest_segment(&server);
    let bytes = std::fs::read(&file).expect("the segment can be read");
    std::fs::write(&file, [&bytes[..], b"half a frame"].concat()).expect("the segment can be written");
    server.restart();
    server.wait_drained();
    assert_eq!(total(&mut server.client(), "service:torn"), 100, "garbage at the end costs nothing");
    server.kill();
    let (file, mut bytes, middle) = segments(&server)
        .into_iter()
        .rev()
        .find_map(|file| {
            let bytes = std::fs::read(&file).expect("the segment can be read");
            let middle = bytes.windows(7).position(|window| window == b"line 50")?;
            Some((file, bytes, middle))
        })
        .expect("the record is in one of the segments");
    bytes[middle] ^= 0x20;
    std::fs::write(&file, &bytes).expect("the segment can be written");
    server.restart();
    server.wait_drained();
    let left = total(&mut server.client(), "service:torn");
    assert!((99..=100).contains(&left), "{left} of 100 are left");
    let mut client = server.client();
    if left < 100 {
        assert_eq!(counter(&mut client, "watchfire_queue_lost_records_total"), 1.0);
        assert_eq!(counter(&mut client, "watchfire_log_store_lost_records"), 1.0);
        let exact = |client: &mut Client, range: &str| {
            client.get(&format!("/api/v1/logs/search?q=service:torn&{range}&limit=0"))["total_exact"].clone()
        };
        assert_eq!(exact(&mut client, "start=1h"), false);
        assert_eq!(exact(&mut client, "start=96h&end=72h"), true);
    }
    assert_eq!(client.post("/ingest", "application/json", r#"{"message":"after","service":"torn"}"#).status, 202);
}

#[test]
fn fdatasync_lies_between_the_record_and_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut server = Server::start(BINARY, "");
    let attached = Command::new("strace")
        .args(["-f", "-qq", "-s", "200", "-e", "trace=write,pwrite64,writev,pwritev,fdatasync,sendto,sendmsg", "-p"])
        .arg(server.pid().to_string())
        .arg("-o")
        .arg(&trace)
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(mut strace) = attached else {
        println!("SKIP: fdatasync between append and answer: strace is not here");
        return;
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut found = false;
    for number in 0.. {
        // Sent again until strace has attached itself.
        let marker = format!("marker-{number}-end");
        let body = format!("{{\"message\":\"{marker}\"}}");
        let answer = server.client().post("/ingest", "application/json", body);
        assert_eq!(answer.status, 202);
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        let text = std::fs::read_to_string(&trace).unwrap_or_default();
        if let (Some(written), Some(answered)) = (text.find(&marker), text.find(&id)) {
            let between = text.get(written..).unwrap_or_default();
            let synced = between.find("fdatasync(").map(|at| written + at).expect("it is synced");
            // The id stands in the written record and in the answer; the answer is the last place.
            let answered = text.rfind(&id).unwrap_or(answered);
            assert!(written < synced && synced < answered, "answered before it was synced");
            found = true;
            break;
        }
        if Instant::now() > deadline {
            break;
        }
    }
    // It ends with the server that it watches.
    server.kill();
    let _ = strace.wait();
    if !found {
        println!("SKIP: fdatasync between append and answer: strace may not attach here");
    }
}

#[test]
fn keys_and_addresses_are_safe_by_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = Command::new(BINARY)
        .args(["serve", "--listen", "0.0.0.0:0", "--data-dir", "data"])
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(message.contains("auth"), "{message}");
    let file = folder.path().join("keys.txt");
    let key = |scopes: &str| {
        let output =
            Command::new(BINARY).args(["keys", "add", "--scopes", scopes, "--file"]).arg(&file).arg(scopes).output();
        String::from_utf8_lossy(&output.expect("it runs").stdout).trim().to_owned()
    };
    let (ingest, read, admin) = (key("ingest"), key("read"), key("admin"));
    assert!(!std::fs::read_to_string(&file).expect("the file is there").contains(&ingest), "only hashes are kept");
    let server = Server::start(BINARY, &format!("auth: {{api_keys_file: {}}}\n", file.display()));
    let mut client = server.client();
    let mut status = |method: &str, path: &str, key: &str| {
        let header = format!("Authorization: Bearer {key}");
        let headers = if key.is_empty() { vec![] } else { vec![header.as_str(), "Content-Type: application/json"] };
        client
            .call(&Client::request(method, path, &headers, if method == "POST" { br#"{"message":"x"}"# } else { b"" }))
            .status
    };
    assert_eq!(status("POST", "/ingest", ""), 401);
    assert_eq!(status("POST", "/ingest", "wrong"), 401);
    assert_eq!(status("POST", "/ingest", &read), 403);
    assert_eq!(status("POST", "/ingest", &ingest), 202);
    assert_eq!(status("GET", "/recent", &ingest), 403);
    assert_eq!(status("GET", "/recent", &read), 200);
    assert_eq!(status("POST", "/-/reload", &read), 403);
    assert_eq!(status("POST", "/-/reload", &admin), 200);
    assert_eq!(status("GET", "/-/ready", ""), 200);
    let mut raw = TcpStream::connect(server.address).expect("it listens");
    raw.write_all(b"NONSENSE\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}
