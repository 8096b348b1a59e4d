//! Targets that show too much, too slowly, or what nobody can read; those that ask for TLS, or lead elsewhere.

use std::io::{Error, Write};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use watchfire_test_support::target::answer;
use watchfire_test_support::{Server, TargetServer};

use super::{BINARY, job, reload, start, wait, wait_error, wait_told};

#[test]
fn limits_make_a_scrape_fail_as_a_whole() {
    let text = "a{x=\"long\"} 1\nb 2\nc 3\n";
    let large = format!("# HELP a {}\n{text}", "x".repeat(5000));
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'\n'; 50 << 20]).expect("memory");
        encoder.finish().expect("memory")
    };
    let bomb = TargetServer::start(move |_, out| {
        out.write_all(&answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: gzip"], &packed))
    });
    let (target, huge) = (TargetServer::showing(text), TargetServer::showing(&large));
    let jobs = [
        ("samples", &target, "sample_limit: 2", "there are 3 samples, more than `sample_limit` 2"),
        ("labels", &target, "label_limit: 3", "has 4 labels, more than `label_limit` 3"),
        ("names", &target, "label_name_length_limit: 7", "longer than `label_name_length_limit` 7"),
        ("values", &target, "label_value_length_limit: 3", "longer than `label_value_length_limit` 3"),
        ("bytes", &huge, "body_size_limit: 4KB", "the body is larger than 4096 bytes"),
        ("bomb", &bomb, "body_size_limit: 1MB", "the body is larger than 1048576 bytes"),
    ];
    let configured: Vec<String> = jobs.iter().map(|(name, target, limit, _)| job(name, &[target], limit)).collect();
    let many = job("many", &[&target, &huge], "target_limit: 1");
    let server = start(&[configured, vec![many]].concat());
    for (name, _, _, expected) in &jobs {
        wait_error(&server, name, expected);
    }
    wait_error(&server, "many", "the job has 2 targets, more than `target_limit` 1");
    wait(&server, "{__name__=~\"a|b|c\"}", &[]);
    // All are counted, though none is stored.
    let counted = "scrape_samples_post_metric_relabeling{job=\"samples\"}";
    wait(&server, counted, &["__name__=scrape_samples_post_metric_relabeling job=samples 3"]);
}

#[test]
fn a_target_that_misbehaves_fails_alone() {
    let good = TargetServer::showing("a 1\n");
    let silent = TargetServer::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3600));
        Ok(())
    });
    let slow = TargetServer::start(|_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
        loop {
            out.write_all(b"a 1\n")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let endless = TargetServer::start(|_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1073741824\r\n\r\n")?;
        let piece = vec![b'#'; 1 << 20];
        (0..1024).try_for_each(|_| out.write_all(&piece))
    });
    let cut = TargetServer::start(|_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\na 1\n")?;
        Err(Error::other("that is all"))
    });
    let mute = TargetServer::start(|_, _| Err(Error::other("nothing to say")));
    let garbage = TargetServer::start(|_, out| {
        let bytes: Vec<u8> = (0..4096u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        out.write_all(&answer("200 OK", &["Content-Type: text/plain"], &bytes))
    });
    let no_http = TargetServer::start(|_, out| out.write_all(b"SSH-2.0-OpenSSH\r\n\r\n"));
    let page_of_html =
        TargetServer::start(|_, out| out.write_all(&answer("200 OK", &["Content-Type: text/html"], b"<html>")));
    let broken_gzip = TargetServer::start(|_, out| {
        out.write_all(&answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: gzip"], b"\x1f\x8b\x08no"))
    });
    let brotli = TargetServer::start(|_, out| {
        out.write_all(&answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: br"], b"x"))
    });
    let cases = [
        ("silent", &silent, "scrape_timeout: 80ms", "no answer within 80ms"),
        ("slow", &slow, "scrape_timeout: 90ms", "no answer within 90ms"),
        ("endless", &endless, "scrape_interval: 10s, body_size_limit: 4MB", "the body is larger than 4194304 bytes"),
        ("cut", &cut, "", "error decoding response body"),
        ("mute", &mute, "", "error sending request"),
        ("garbage", &garbage, "", "line 1: expected"),
        ("no_http", &no_http, "", "error sending request"),
        ("html", &page_of_html, "", "the answer's Content-Type `text/html` is unknown"),
        ("gzip", &broken_gzip, "", "cannot be unpacked"),
        ("brotli", &brotli, "", "packed as `br`"),
    ];
    let jobs =
        cases.iter().filter(|(name, ..)| *name != "endless").map(|(name, target, more, _)| job(name, &[target], more));
    let endless = format!(
        "  - {{job_name: endless, scrape_interval: 2s, body_size_limit: 4MB, static_configs: [{{targets: [\"{}\"]}}]}}\n",
        endless.address
    );
    let jobs: Vec<String> = jobs.chain([endless, job("good", &[&good], "")]).collect();
    let server = start(&jobs);
    for (name, _, _, expected) in cases {
        wait_error(&server, name, expected);
    }
    wait(&server, "a", &["__name__=a job=good 1"]);
    wait(&server, "count(up == 0)", &[" 10"]);
}

#[test]
fn whether_a_target_is_up_is_known_past_the_limit_of_series() {
    let small = TargetServer::showing("a 1\n");
    let lines: Vec<String> = (0..5000).map(|number| format!("many{{number=\"{number}\"}} 1\n")).collect();
    let many = TargetServer::showing(&lines.concat());
    let dead = TargetServer::start(|_, out| out.write_all(&answer("404 Not Found", &[], b"")));
    let small_job = job("small", &[&small], "");
    let server =
        Server::start(BINARY, &format!("metrics: {{port: 0, max_series: 1000}}\nscrape_configs:\n{small_job}"));
    wait(&server, "a", &["__name__=a job=small 1"]);
    assert_eq!(server.client().get("/api/v1/health")["components"]["engine"]["status"], "ok");
    reload(&server, &[small_job.clone(), job("many", &[&many], "")]);
    wait(&server, "up{job=\"many\"}", &["__name__=up job=many 1"]);
    reload(&server, &[small_job, job("many", &[&many], ""), job("dead", &[&dead], "")]);
    wait(&server, "up == 0", &["__name__=up job=dead 0"]);
    wait(&server, "scrape_samples_scraped{job=\"many\"}", &["__name__=scrape_samples_scraped job=many 5000"]);
    wait(
        &server,
        "watchfire_scrape_refused_samples_total{reason=\"series_limit\"} > bool 0",
        &["job=watchfire reason=series_limit 1"],
    );
    wait_told(&server, "many", "up", " samples of `many` were not stored: the limit of series is reached");
    let engine = &server.client().get("/api/v1/health")["components"]["engine"];
    assert_eq!(engine["status"], "degraded", "{engine}");
    assert!(engine.to_string().contains("`metrics.max_series` allows (1000)"), "{engine}");
}

#[test]
fn samples_that_are_not_stored_are_told_with_their_metrics_and_what_to_do() {
    let many_labels: Vec<String> = (0..70).map(|number| format!("l{number}=\"x\"")).collect();
    let counted = "log_events_total{service=\"a\"} 1\nlog_bytes_total 1\nlog_bytes_total{a=\"b\"} 1\nerror_count 1\n";
    let target = TargetServer::showing(&format!("good 1\nwide{{{}}} 1\n{counted}", many_labels.join(",")));
    let server = start(&[job("mixed", &[&target], "")]);
    let told = wait_told(&server, "mixed", "up", "1 sample of `wide` was not stored: the label set is too large");
    wait(&server, "good", &["__name__=good job=mixed 1"]);
    let log = server.log();
    for part in [
        "4 samples of `log_events_total`, `log_bytes_total`, `error_count` were not stored: ",
        "1 sample of `wide` was not stored: the label set is too large",
        "`metric_relabel_configs` can rename or drop metrics and labels",
    ] {
        assert!(told.contains(part) && log.contains(part), "{part}: {told}\n{log}");
    }
}

#[test]
fn redirects_are_followed_unless_that_is_off() {
    let end = TargetServer::showing("a 1\n");
    let address = end.address;
    let redirect = TargetServer::start(move |_, out| {
        out.write_all(&answer("302 Found", &[&format!("Location: http://{address}/there")], b""))
    });
    let server = start(&[
        job("follows", &[&redirect], "bearer_token: t0ken"),
        job("stays", &[&redirect], "follow_redirects: false"),
    ]);
    wait(&server, "a", &["__name__=a job=follows 1"]);
    wait_error(&server, "stays", "server returned HTTP status 302 Found");
    let heads = end.heads();
    assert!(heads.iter().all(|head| head.starts_with("GET /there ") && !head.contains("t0ken")), "{heads:#?}");
}

#[test]
fn answers_through_a_proxy() {
    let proxy = TargetServer::showing("a 1\n");
    let server = start(&[format!(
        "  - {{job_name: far, scrape_interval: 100ms, proxy_url: \"http://{}\", static_configs: [{{targets: [\"far.invalid:1\"]}}]}}\n",
        proxy.address
    )]);
    wait(&server, "a", &["__name__=a job=far 1"]);
    assert!(proxy.heads().iter().all(|head| head.starts_with("GET http://far.invalid:1/metrics ")));
}

#[test]
fn a_proxy_gets_headers_of_its_own_with_a_tunnel_alone() {
    let proxy = TargetServer::showing("a 1\n");
    let job = |scheme: &str| {
        format!(
            "  - {{job_name: {scheme}, scheme: {scheme}, scrape_interval: 100ms, proxy_url: \"http://{}\", proxy_connect_header: {{X-Team: [one, two]}}, static_configs: [{{targets: [\"far.invalid:1\"]}}]}}\n",
            proxy.address
        )
    };
    let server = start(&[job("http"), job("https")]);
    // What answers with metrics is no tunnel.
    wait(&server, "up", &["__name__=up job=http 1", "__name__=up job=https 0"]);
    let of = |method: &str| {
        let heads: Vec<String> = proxy.heads().into_iter().filter(|head| head.starts_with(method)).collect();
        assert!(!heads.is_empty(), "no {method}");
        heads.iter().map(|head| head.to_ascii_lowercase().matches("\r\nx-team: ").count()).max()
    };
    assert_eq!((of("CONNECT far.invalid:1 "), of("GET http://far.invalid:1/metrics ")), (Some(2), Some(0)));
    assert!(!server.client().get("/api/v1/status/config")["data"]["yaml"].to_string().contains("two"));
}

#[test]
fn the_proxy_of_the_environment_is_not_for_this_machine() {
    let (near, proxy) = (TargetServer::showing("a 1\n"), TargetServer::showing("a 2\n"));
    let far = "  - {job_name: far, scrape_interval: 100ms, proxy_from_environment: true, static_configs: [{targets: [\"far.invalid:1\"]}]}\n";
    let config = format!("scrape_configs:\n{}{far}", job("near", &[&near], "proxy_from_environment: true"));
    let through = format!("http://{}", proxy.address);
    let server = Server::start_with(BINARY, &config, &[("http_proxy", &through)]);
    wait(&server, "a", &["__name__=a job=far 2", "__name__=a job=near 1"]);
    assert!(proxy.heads().iter().all(|head| head.starts_with("GET http://far.invalid:1/metrics ")));
}

/// Our own server with TLS that asks for a certificate is scraped by another one of ours.
#[test]
fn certificates_of_both_sides_are_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(file(name), text).expect("the folder can be written");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    write("ca.pem", &authority.pem());
    for (name, purpose) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["metrics.example.org".to_owned()]).expect("a name");
        params.extended_key_usages = vec![purpose];
        write(&format!("{name}.pem"), &params.signed_by(&key, &authority).expect("a certificate").pem());
        write(&format!("{name}.key"), &key.serialize_pem());
    }
    let target = watchfire_test_support::Server::start(
        super::BINARY,
        &format!(
            "allowed_hosts: [metrics.example.org]\ntls: {{cert_file: {}, key_file: {}, client_ca_file: {}}}\n",
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        ),
    );
    let job = |name: &str, tls: &str| {
        format!(
            "  - {{job_name: {name}, scrape_interval: 200ms, scheme: https, tls_config: {{{tls}}}, static_configs: [{{targets: [\"{}\"]}}]}}\n",
            target.address
        )
    };
    let (ca, cert) = (file("ca.pem"), format!("cert_file: {}, key_file: {}", file("client.pem"), file("client.key")));
    let server = start(&[
        job("all", &format!("ca_file: {ca}, server_name: metrics.example.org, {cert}")),
        job("any", &format!("insecure_skip_verify: true, {cert}")),
        job("unnamed", &format!("ca_file: {ca}, {cert}")),
        job("unknown", &format!("server_name: metrics.example.org, {cert}")),
        job("uncertified", &format!("ca_file: {ca}, server_name: metrics.example.org")),
    ]);
    wait(&server, "up{job=~\"all|any\"}", &["__name__=up job=all 1", "__name__=up job=any 1"]);
    for (name, expected) in [("unnamed", "certificate"), ("unknown", "certificate"), ("uncertified", "error")] {
        wait_error(&server, name, expected);
    }
}
