//! From the ways in to the store and the engine: what is answered is found and counted, once.

mod docs;
mod pipe;
mod recount;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipe::Pipe;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use watchfire_ingest::own_log::own_log;
use watchfire_ingest::syslog::{bind_udp, serve_tcp, serve_udp};

async fn tcp_listener(pipe: &Pipe) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(serve_tcp(listener, Arc::clone(&pipe.intake), pipe.stopping.subscribe()));
    address
}

async fn udp_listener(pipe: &Pipe) -> SocketAddr {
    let socket = bind_udp(([127, 0, 0, 1], 0).into()).expect("loopback has a free port");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(serve_udp(socket, Arc::clone(&pipe.intake), pipe.stopping.subscribe()));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_records_are_found_and_counted_once_over_restarts() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut expected = 0;
    for round in 0..4 {
        let pipe = Pipe::open(folder.path());
        for part in 0..3 {
            let id = format!("{{\"message\":\"again\",\"service\":\"s\",\"id\":\"{}\"}}", part);
            let body = format!("{{\"message\":\"round {round}\",\"service\":\"s\",\"level\":\"error\"}}\n{id}\n");
            let answer = pipe.post("/ingest", &body).await;
            assert_eq!(answer.0, 202, "{}", answer.1);
            expected += if round == 0 { 2 } else { 1 };
        }
        let answer = pipe.post("/data/", "{\"message\":\"visible\",\"service\":\"s\"}").await;
        assert_eq!(answer.0, 201, "{}", answer.1);
        expected += 1;
        // A search that starts after the answer finds it.
        assert_eq!(pipe.found("service:s").await, expected);
        pipe.counted(expected).await;
        assert_eq!(pipe.total("log_events_total", "s"), expected as f64);
        pipe.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_shows_what_was_stored() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let first = pipe.post("/data/", r#"{"message":"first","level":"error","id":"x"}"#).await;
    let again = pipe.post("/data/", r#"{"message":"second","level":"info","id":"x"}"#).await;
    assert_eq!((first.0, again.0), (201, 201));
    assert_eq!(first.1, again.1);
    let line = |message: &str| format!(r#"{{"raw_logs":["{{\"message\":\"{message}\",\"id\":\"x\"}}", "new"]}}"#);
    let parsed = pipe.post("/parse/auto", &line("third")).await;
    assert_eq!(parsed.0, 200);
    assert!(parsed.1.contains(r#""message":"first""#) && !parsed.1.contains("third"), "{}", parsed.1);
    assert_eq!(parsed.1.matches(r#""duplicate":true,"stored":true"#).count(), 1, "{}", parsed.1);
    pipe.counted(2).await;
    assert_eq!(pipe.found("").await, 2);
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_of_both_framings_over_tcp() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let address = tcp_listener(&pipe).await;
    let now = watchfire_model::Timestamp::now().to_rfc3339();
    let counted = format!("<11>1 {now} h1 app1 7 - - counted\nover two lines");
    let mut stream = TcpStream::connect(address).await.expect("the listener is there");
    let long = "x".repeat(5000);
    let bytes = format!(
        "{} {counted}<12>1 {now} h2 app2 - - - a line\n<13>{now} h3 app3[9]: {long}\nno newline at the end",
        counted.len()
    );
    for piece in bytes.as_bytes().chunks(100) {
        stream.write_all(piece).await.expect("the server reads");
    }
    drop(stream);
    pipe.counted(4).await;
    assert_eq!(pipe.found("service:app1 level:error \"counted over two lines\" host:h1").await, 1);
    assert_eq!(pipe.found("service:app2 level:warn host:h2").await, 1);
    assert_eq!(pipe.found("service:app3 fields.truncated:true").await, 1);
    assert_eq!(pipe.found("\"no newline at the end\" host:127.0.0.1").await, 1);
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_idle_connections_and_one_that_works() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let address = tcp_listener(&pipe).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(address).await.expect("the listener is there");
        stream.write_all(b"<13>half").await.expect("the server reads");
        idle.push(stream);
    }
    let mut stream = TcpStream::connect(address).await.expect("the listener is there");
    stream.write_all(b"<13>whole\n").await.expect("the server reads");
    pipe.counted(1).await;
    assert_eq!(pipe.found("whole").await, 1);
    drop(idle);
    pipe.counted(301).await;
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_are_messages() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let address = udp_listener(&pipe).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    for number in 0..100 {
        let sent = socket.send_to(format!("<14>app[{number}]: datagram {number}\n").as_bytes(), address).await;
        sent.expect("loopback takes datagrams");
        // Loopback drops what the receiver's buffer cannot hold; every tenth waits until it is taken.
        if number % 10 == 9 {
            pipe.counted(number + 1).await;
        }
    }
    assert_eq!(pipe.found("service:app datagram").await, 100);
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_logger_is_understood() {
    if Command::new("logger").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIP: logger (bsdutils) is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let (tcp, udp) = (tcp_listener(&pipe).await, udp_listener(&pipe).await);
    let run = |address: SocketAddr, options: &[&str], message: &str| {
        let status = Command::new("logger")
            .args(["-n", "127.0.0.1", "-P", &address.port().to_string(), "-t", "probe", "-p", "local3.err"])
            .args(options)
            .arg(message)
            .status();
        assert!(status.expect("logger runs").success());
    };
    run(tcp, &["--tcp", "--rfc5424", "--sd-id", "shop@1", "--sd-param", "order=\"42\""], "tcp lines 5424");
    run(tcp, &["--tcp", "--rfc5424", "--octet-count"], "tcp counted 5424");
    run(tcp, &["--tcp", "--rfc3164"], "tcp lines 3164");
    run(tcp, &["--tcp", "--rfc3164", "--octet-count"], "tcp counted 3164");
    run(udp, &["--udp", "--rfc5424"], "udp 5424");
    run(udp, &["--udp", "--rfc3164"], "udp 3164");
    pipe.counted(6).await;
    assert_eq!(pipe.found("service:probe level:error fields.facility:local3").await, 6);
    assert_eq!(pipe.found("\"lines 5424\" fields.structured_data.shop@1.order:42").await, 1);
    for message in ["tcp counted 5424", "tcp lines 3164", "tcp counted 3164", "udp 5424", "udp 3164"] {
        assert_eq!(pipe.found(&format!("\"{message}\"")).await, 1, "{message}");
    }
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_rsyslog_is_understood() {
    let program = ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"].into_iter().find(|path| std::path::Path::new(path).exists());
    let Some(program) = program else {
        println!("SKIP: rsyslogd is not installed");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let (tcp, udp) = (tcp_listener(&pipe).await, udp_listener(&pipe).await);
    let socket = folder.path().join("log.sock");
    let config = folder.path().join("rsyslog.conf");
    let target = |address: SocketAddr, protocol: &str, rest: &str| {
        format!(
            "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"{protocol}\" {rest})\n",
            address.port()
        )
    };
    let text = format!(
        "global(workDirectory=\"{dir}\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\ninput(type=\"imuxsock\" Socket=\"{socket}\")\n{}{}{}",
        target(tcp, "tcp", "template=\"RSYSLOG_SyslogProtocol23Format\" TCP_Framing=\"octet-counted\""),
        target(tcp, "tcp", "template=\"RSYSLOG_ForwardFormat\""),
        target(udp, "udp", "template=\"RSYSLOG_TraditionalForwardFormat\""),
        dir = folder.path().display(),
        socket = socket.display(),
    );
    std::fs::write(&config, text).expect("the folder is ours");
    let mut daemon = Command::new(program)
        .args(["-n", "-i", &folder.path().join("pid").display().to_string(), "-f", &config.display().to_string()])
        .spawn()
        .expect("rsyslogd starts");
    let started = Instant::now();
    while !socket.exists() && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for number in 0..50 {
        let status = Command::new("logger")
            .args([
                "-u",
                &socket.display().to_string(),
                "-t",
                "shop",
                "-p",
                "daemon.warning",
                &format!("order {number} is late"),
            ])
            .status();
        assert!(status.expect("logger runs").success());
    }
    pipe.counted(150).await;
    daemon.kill().expect("it is our child");
    daemon.wait().expect("it is our child");
    assert_eq!(pipe.found("service:shop level:warn fields.facility:daemon \"is late\"").await, 150);
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_lines_are_records_but_not_those_about_storing() {
    use tracing_subscriber::layer::SubscriberExt;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pipe = Pipe::open(folder.path());
    let (layer, own) = own_log();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(port = 514, what = "syslog", "cannot listen");
        for path in ["/ingest", "/data/fast", "/health"] {
            tracing::info!(target: watchfire_ingest::own_log::REQUEST_LOG_TARGET, path, status = 202, "request");
        }
    });
    let storing = tokio::spawn(own.run(Arc::clone(&pipe.intake)));
    storing.await.expect("the task ends with the layer");
    pipe.counted(2).await;
    assert_eq!(pipe.found("service:watchfire level:warn \"cannot listen\" fields.port:514").await, 1);
    assert_eq!(pipe.found("service:watchfire fields.path:health").await, 1);
    assert_eq!(pipe.found("service:watchfire").await, 2);
    pipe.close().await;
}
