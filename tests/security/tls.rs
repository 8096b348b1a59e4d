//! TLS by curl and openssl: versions, certificates good, expired and foreign, changes while running, slow clients.

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use watchfire_test_support::Server;

use crate::{BINARY, Files, curl, text, until};

/// An authority that signs certificates into files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `NAME.pem` and `NAME.key` for localhost, good until a year.
    fn sign(&self, files: &Files, name: &str, until_year: i32) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let paths = (files.path(&format!("{name}.pem")), files.path(&format!("{name}.key")));
        std::fs::write(&paths.0, certificate.pem()).expect("the folder can be written");
        std::fs::write(&paths.1, key.serialize_pem()).expect("the folder can be written");
        paths
    }

    fn write(&self, files: &Files, name: &str) -> String {
        std::fs::write(files.path(name), &self.pem).expect("the folder can be written");
        text(&files.path(name))
    }
}

fn config(files: &Files, more: &str) -> String {
    format!("tls: {{cert_file: {0}/server.pem, key_file: {0}/server.key{more}}}\n", text(files.path("").as_path()))
}

/// `openssl s_client` with these words: everything that it says.
fn openssl(server: &Server, words: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &server.address.to_string()])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is there");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn versions_from_1_2_on_and_plain_http_is_told() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    authority.sign(&files, "server", 2099);
    let ca = authority.write(&files, "ca.pem");
    let header = format!("X-API-Key: {}", files.key("read", "anna"));
    let server = Server::start(BINARY, &(files.config("") + &config(&files, "")));
    let url = format!("https://{}", server.address);
    let health = format!("{url}/health");
    assert_eq!(curl(&["--cacert", &ca, &health]).0, 200);
    let by_name = format!("https://localhost:{}/health", server.address.port());
    let resolve = format!("localhost:{}:127.0.0.1", server.address.port());
    assert_eq!(curl(&["--cacert", &ca, "--resolve", &resolve, &by_name]).0, 200);
    for (words, wanted) in [
        (&["-tls1_3"][..], "TLSv1.3"),
        (&["-tls1_2"], "TLSv1.2"),
        // OpenSSL itself speaks the old ones only when it is told to forget about security.
        (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "SSL alert number"),
        (&["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"], "SSL alert number"),
    ] {
        let said = openssl(&server, words);
        assert!(said.contains(wanted), "{words:?}: {said}");
    }
    let (status, body) = curl(&[&format!("http://{}/health", server.address)]);
    assert!(status == 400 && body.contains("tls_needed"), "{status} {body}");
    let (status, body) = curl(&[&health]);
    assert!(status == 0 && body.contains("certificate"), "{status} {body}");
    // Both sides say why.
    for reason in ["does not trust the authority", "does not speak TLS", "no TLS 1.2 or 1.3"] {
        until(|| server.log().contains(reason));
    }
    let metrics = curl(&["--cacert", &ca, "-H", &header, &format!("{url}/metrics")]).1;
    assert!(metrics.contains("watchfire_tls_certificate_expiry_timestamp_seconds 4.0709088e+09"), "{metrics}");
    // The cookie of a session stays on TLS.
    let (_, head) = curl(&["--cacert", &ca, "-i", "-H", &header, "-X", "POST", &format!("{url}/api/v1/session")]);
    assert!(head.contains("200 OK") && head.contains("; Secure"), "{head}");
}

#[test]
fn a_new_pair_is_taken_while_running_and_a_bad_one_is_not() {
    let (files, authority, other) = (Files::new(), Authority::new("ours"), Authority::new("theirs"));
    authority.sign(&files, "server", 2099);
    let (ca, other_ca) = (authority.write(&files, "ca.pem"), other.write(&files, "other.pem"));
    let server = Server::start(BINARY, &config(&files, ""));
    let health = format!("https://{}/health", server.address);
    let trusted = |ca: &str| curl(&["--cacert", ca, &health]).0 == 200;
    assert!(trusted(&ca) && !trusted(&other_ca));
    // A key of another certificate.
    let (cert, key) = (files.path("server.pem"), files.path("server.key"));
    let (new_cert, new_key) = other.sign(&files, "new", 2099);
    std::fs::rename(&new_cert, &cert).expect("both are there");
    until(|| server.log().contains("server.key:1:1: this is not the key of the certificate"));
    assert!(trusted(&ca));
    let reload = format!("https://{}/-/reload", server.address);
    let (status, body) = curl(&["--cacert", &ca, "-X", "POST", &reload]);
    assert!(status != 200 && body.contains("not the key of the certificate"), "{status} {body}");
    // The whole pair.
    std::fs::rename(&new_key, &key).expect("both are there");
    until(|| trusted(&other_ca));
    assert!(!trusted(&ca));
    // An expired one is no better than what is in force.
    let (old_cert, old_key) = other.sign(&files, "old", 2021);
    std::fs::rename(old_cert, &cert).expect("both are there");
    std::fs::rename(old_key, &key).expect("both are there");
    until(|| server.log().contains("has expired at 2021-01-01"));
    assert!(trusted(&other_ca));
    assert_ne!(curl(&["--cacert", &other_ca, "-X", "POST", &reload]).0, 200);
}

#[test]
fn an_expired_certificate_is_told_by_both_sides() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    authority.sign(&files, "server", 2021);
    let ca = authority.write(&files, "ca.pem");
    let server = Server::start(BINARY, &config(&files, ""));
    let told = "our TLS certificate has expired at 2021-01-01T00:00:00.000Z; clients refuse it until it is renewed";
    until(|| server.log().contains(told));
    // It is no reason not to start.
    std::fs::write(files.path("check.yaml"), config(&files, "")).expect("the folder can be written");
    let checked = Command::new(BINARY).args(["check", "config"]).arg(files.path("check.yaml")).output();
    let checked = checked.expect("it runs");
    let warning = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && warning.ends_with(&format!("/server.pem: {told}\n")), "{warning}");
    let (status, body) = curl(&["--cacert", &ca, &format!("https://{}/health", server.address)]);
    assert!(status == 0 && body.contains("expired"), "{status} {body}");
    until(|| server.log().contains("the client says that our certificate has expired"));
}

#[test]
fn clients_need_a_certificate_of_the_authority() {
    let (files, authority, other) = (Files::new(), Authority::new("ours"), Authority::new("theirs"));
    authority.sign(&files, "server", 2099);
    let ca = authority.write(&files, "ca.pem");
    for (authority, name, year) in [(&authority, "good", 2099), (&authority, "old", 2021), (&other, "foreign", 2099)] {
        authority.sign(&files, name, year);
    }
    // An authority's own certificate is nobody's.
    std::fs::write(files.path("authority.pem"), &authority.pem).expect("the folder can be written");
    std::fs::write(files.path("authority.key"), authority.issuer.key().serialize_pem())
        .expect("the folder can be written");
    let server = Server::start(BINARY, &config(&files, &format!(", client_ca_file: {ca}")));
    let health = format!("https://{}/health", server.address);
    let with = |name: &str| {
        let (cert, key) = (text(&files.path(&format!("{name}.pem"))), text(&files.path(&format!("{name}.key"))));
        curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &health]).0
    };
    assert_eq!(with("good"), 200);
    for (name, reason) in [
        ("old", "the client's certificate has expired"),
        ("foreign", "is of no authority in `tls.client_ca_file`"),
        ("authority", "not taken: it is an authority's own"),
    ] {
        assert_eq!(with(name), 0, "{name}");
        until(|| server.log().contains(reason));
    }
    assert_eq!(curl(&["--cacert", &ca, &health]).0, 0);
    until(|| server.log().contains("the client sent no certificate"));
    // Our own command line as well.
    let (cert, key) = (text(&files.path("good.pem")), text(&files.path("good.key")));
    let query = |words: &[&str]| {
        let url = format!("https://{}", server.address);
        let all = ["query", "logs", "level:info", "--url", &url, "--ca-file", &ca, "-o", "jsonl"];
        let output = Command::new(BINARY).args(all).args(words).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(query(&["--cert-file", &cert, "--key-file", &key]).0, Some(0));
    let (code, told) = query(&[]);
    assert_eq!(code, Some(4), "{told}");
    // (The alert may be lost with the connection.)
    assert!(!told.contains("alert") || told.contains("hint: whom to trust"), "{told}");
    for (words, wanted) in [
        (&["--cert-file", &cert][..], "good.pem: no certificate with its key"),
        (&["--cert-file", "/none.pem"], "--cert-file /none.pem: No such file"),
    ] {
        let (code, told) = query(words);
        assert!(code == Some(2) && told.contains(wanted), "{code:?} {told}");
    }
}

#[test]
fn a_wrong_pair_is_told_with_its_file_before_the_start() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    authority.sign(&files, "server", 2099);
    let (_, foreign) = authority.sign(&files, "other", 2099);
    let secret = std::fs::read_to_string(&foreign).expect("it is there");
    std::fs::rename(foreign, files.path("server.key")).expect("both are there");
    let check = |what: &str| {
        let config_file = files.path("config.yaml");
        std::fs::write(&config_file, config(&files, "")).expect("the folder can be written");
        let output = Command::new(BINARY).args(["check", "config"]).arg(&config_file).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(what), "{told}");
        assert!(!secret.lines().skip(1).any(|line| line.len() > 20 && told.contains(line)), "{told}");
    };
    check("server.key:1:1: this is not the key of the certificate in `cert_file`");
    std::fs::write(files.path("server.key"), "no key").expect("the folder can be written");
    check("server.key:1:1: there is no private key in it");
    std::fs::write(files.path("server.pem"), "no certificate").expect("the folder can be written");
    check("server.pem:1:1: there is no certificate in it");
    std::fs::remove_file(files.path("server.pem")).expect("it is there");
    check("server.pem:1:1: cannot be read");
}

#[test]
fn slow_handshakes_end_and_do_not_keep_others_out() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    authority.sign(&files, "server", 2099);
    let ca = authority.write(&files, "ca.pem");
    let server = Server::start(BINARY, &config(&files, ""));
    let connect = || TcpStream::connect(server.address).expect("it listens");
    // As many as this process may have open, at most 10,000; none of them ever says a word.
    let most = watchfire_test_support::server::open_files_max().saturating_sub(200).min(10_000);
    let idle: Vec<TcpStream> = (0..most).map(|_| connect()).collect();
    assert_eq!(curl(&["--cacert", &ca, "-m", "60", &format!("https://{}/health", server.address)]).0, 200);
    for mut stream in idle {
        // It is closed from the other side in time; the read would fail when the test's patience is over.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(120))).expect("a timeout");
        assert_eq!(stream.read(&mut [0; 16]).ok(), Some(0));
    }
    assert_eq!(curl(&["--cacert", &ca, &format!("https://{}/health", server.address)]).0, 200);
}
