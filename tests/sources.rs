//! Logs from real senders: `logger`, rsyslog, and the access log of nginx.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::daemon::installed;
use watchfire_test_support::server::free_port;
use watchfire_test_support::{Client, Daemon, Server};

/// A server that takes syslog by UDP and TCP on one port.
fn syslog_server() -> (Server, u16) {
    let port = free_port();
    let config = format!("sources:\n  syslog: [{{udp: \"127.0.0.1:{port}\"}}, {{tcp: \"127.0.0.1:{port}\"}}]\n");
    (Server::start(env!("CARGO_BIN_EXE_watchfire"), &config), port)
}

/// Waits until a search finds so many records, and answers them, oldest first.
fn found(server: &Server, query: &str, count: usize) -> Vec<Value> {
    let mut client = server.client();
    let deadline = Instant::now() + Duration::from_secs(30);
    let path = format!("/api/v1/logs/search?q={}&start=24h&order=asc&limit=1000", encode(query));
    loop {
        let answer = client.get(&path);
        let logs = answer["logs"].as_array().expect("a list").clone();
        if logs.len() >= count || Instant::now() > deadline {
            assert_eq!(logs.len(), count, "{query}: {answer}");
            return logs;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn run(program: &Path, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).status().expect("it can be started");
    assert!(status.success(), "{} {arguments:?}: {status}", program.display());
}

#[test]
fn logger_speaks_both_syslogs_over_both_transports_and_framings() {
    let Some(logger) = installed("logger") else { return };
    let (server, port) = syslog_server();
    let port = port.to_string();
    let to = ["--server", "127.0.0.1", "--port", &port, "--tag", "shop"];
    let send = |extra: &[&str]| run(&logger, &[&to, extra].concat());
    send(&["--udp", "--rfc3164", "--priority", "user.err", "first udp old"]);
    send(&["--udp", "--rfc5424", "--priority", "user.warning", "second udp new"]);
    send(&["--tcp", "--rfc3164", "--priority", "user.crit", "third tcp old"]);
    let data = ["--sd-id", "order@1", "--sd-param", "id=\"77\""];
    send(
        &[&["--tcp", "--rfc5424", "--octet-count"][..], &data, &["--priority", "user.info", "fourth tcp counted"]]
            .concat(),
    );
    send(&["--udp", "--rfc5424", "--octet-count", "--priority", "user.notice", "fifth udp counted"]);
    let logs = found(&server, "service:shop", 5);
    let by_message = |word: &str| {
        let hit = logs.iter().find(|log| log["message"].as_str().is_some_and(|message| message.contains(word)));
        hit.unwrap_or_else(|| panic!("{word}: {logs:?}")).clone()
    };
    assert_eq!(by_message("first udp old")["level"], "error");
    assert_eq!(by_message("second udp new")["level"], "warn");
    assert_eq!(by_message("third tcp old")["level"], "critical");
    assert_eq!(by_message("fifth udp counted")["message"], "fifth udp counted");
    assert_eq!(by_message("fifth udp counted")["level"], "notice");
    let counted = by_message("fourth tcp counted");
    assert_eq!(counted["level"], "info");
    assert_eq!(counted["fields"]["structured_data"]["order@1"]["id"], "77", "{counted}");
}

#[test]
fn both_framings_share_one_connection() {
    let (server, port) = syslog_server();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let counted = "<11>1 - h framed 1 - - counted\nwith a line end";
    let text =
        format!("<11>1 - h framed 1 - - by line\n{} {counted}<11>1 - h framed 1 - - again by line\n", counted.len());
    stream.write_all(text.as_bytes()).expect("it reads");
    let logs = found(&server, "service:framed", 3);
    let messages: Vec<_> = logs.iter().map(|log| log["message"].as_str().unwrap_or_default()).collect();
    assert_eq!(messages, ["by line", "counted\nwith a line end", "again by line"]);
}

#[test]
fn rsyslog_forwards_over_tcp() {
    let (Some(rsyslogd), Some(logger)) = (installed("rsyslogd"), installed("logger")) else { return };
    let (server, port) = syslog_server();
    let folder = tempfile::tempdir().expect("a folder");
    let input = free_port();
    let config = folder.path().join("rsyslog.conf");
    let text = format!(
        "global(workDirectory=\"{0}\")\nmodule(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"{input}\" address=\"127.0.0.1\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" TCP_Framing=\"octet-counted\"\n\
         template=\"RSYSLOG_SyslogProtocol23Format\")\n",
        folder.path().display()
    );
    std::fs::write(&config, text).expect("the folder can be written");
    let pid = folder.path().join("pid");
    let daemon = Command::new(rsyslogd)
        .args(["-n", "-f"])
        .arg(&config)
        .arg("-i")
        .arg(&pid)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("rsyslogd starts");
    let _daemon = Daemon(daemon);
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, input)).is_err() {
        assert!(Instant::now() < deadline, "rsyslogd does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let input = input.to_string();
    for number in 0..50 {
        let message = format!("forwarded number {number}");
        let to = ["--server", "127.0.0.1", "--port", &input, "--tcp", "--rfc5424", "--tag", "relayed"];
        run(&logger, &[&to[..], &["--priority", "local0.err", &message]].concat());
    }
    let logs = found(&server, "service:relayed", 50);
    assert!(logs.iter().all(|log| log["level"] == "error" && log["host"].is_string()), "{:?}", logs[0]);
}

#[test]
fn the_access_log_of_nginx_is_understood() {
    let Some(nginx) = installed("nginx") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (port, path) = (free_port(), folder.path().display());
    let config = folder.path().join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\nevents {{}}\n\
         http {{ access_log {path}/access.log combined; client_body_temp_path {path}/a; proxy_temp_path {path}/b;\n\
         fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n\
         server {{ listen 127.0.0.1:{port}; location /good {{ return 200 'hello'; }} location /bad {{ return 503; }} }} }}\n"
    );
    std::fs::write(&config, text).expect("the folder can be written");
    let daemon =
        Command::new(nginx).arg("-c").arg(&config).args(["-p"]).arg(folder.path()).stderr(Stdio::null()).spawn();
    let _daemon = Daemon(daemon.expect("nginx starts"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut client = loop {
        match Client::connect(address) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "nginx does not listen: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let agent = "User-Agent: test \"quoted\" agent";
    assert_eq!(client.call(&Client::request("GET", "/good?x=1", &[agent], b"")).status, 200);
    assert_eq!(client.call(&Client::request("GET", "/bad", &[agent], b"")).status, 503);
    assert_eq!(client.call(&Client::request("GET", "/missing", &[agent], b"")).status, 404);
    let log = folder.path().join("access.log");
    let lines = loop {
        let lines = std::fs::read_to_string(&log).unwrap_or_default();
        if lines.lines().count() == 3 {
            break lines;
        }
        assert!(Instant::now() < deadline, "nginx does not write its log");
    };
    let server = Server::start(env!("CARGO_BIN_EXE_watchfire"), "");
    let answer = server.client().post("/ingest/raw?service=front", "text/plain", &lines);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["formats"]["apache_combined"], 3, "{}", answer.text());
    let logs = found(&server, "service:front", 3);
    let levels: Vec<_> = logs.iter().map(|log| log["level"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(levels, ["info", "error", "warn"]);
    assert_eq!(logs[0]["fields"]["status"], 200, "{}", logs[0]);
    assert_eq!(logs[0]["fields"]["method"], "GET", "{}", logs[0]);
}
