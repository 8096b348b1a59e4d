//! Where the server is, and who we are to it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use watchfire_test_support::Server;

use crate::program::{BINARY, Run, plain, watchfire};

#[test]
fn keys_from_a_flag_a_file_and_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.txt");
    let add = |scopes: &str| -> String {
        let run: Run = plain(BINARY)
            .args(["keys", "add", "--scopes", scopes, &format!("who may {scopes}"), "--file"])
            .arg(&file)
            .output()
            .expect("it runs")
            .into();
        assert_eq!(run.code, 0, "{}", run.told);
        run.out.trim().to_owned()
    };
    let (reader, writer) = (add("read"), add("ingest"));
    let server = Server::start(BINARY, &format!("auth: {{api_keys_file: {}}}\n", file.display()));
    let key_file = folder.path().join("reader.key");
    std::fs::write(&key_file, format!("{reader}\n")).expect("the folder can be written");
    let key_file = key_file.display().to_string();
    let query = ["query", "logs", "--fail-empty"];
    // Until something is found: the server's own logs are on their way.
    let with_key = [query.as_slice(), &["--api-key", &reader]].concat();
    let begun = Instant::now();
    while !watchfire(&server).args(&with_key).output().expect("it runs").status.success() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", server.log());
    }
    let mut told_of_key = String::new();
    let mut check = |arguments: &[&str], variable: (&str, &str), code: i32| {
        let run: Run = watchfire(&server).args(arguments).env(variable.0, variable.1).output().expect("it runs").into();
        assert_eq!(run.code, code, "{arguments:?} {variable:?}: {}", run.told);
        told_of_key.push_str(&run.told);
    };
    check(&query, ("X", ""), 1);
    check(&with_key, ("X", ""), 0);
    check(&[query.as_slice(), &["--api-key-file", &key_file]].concat(), ("X", ""), 0);
    check(&query, ("WATCHFIRE_API_KEY", &reader), 0);
    check(&query, ("WATCHFIRE_API_KEY_FILE", &key_file), 0);
    check(&query, ("WATCHFIRE_API_KEY", &writer), 1);
    check(&["push", "log", "x"], ("WATCHFIRE_API_KEY", &writer), 0);
    check(&["push", "log", "x"], ("WATCHFIRE_API_KEY", &reader), 1);
    check(&["tail", "-n", "1", "--since", "1h"], ("WATCHFIRE_API_KEY", &reader), 0);
    check(&["tail"], ("WATCHFIRE_API_KEY", "wf_wrong"), 1);
    check(&["alerts", "--api-key-file", "/nowhere"], ("X", ""), 2);
    check(&["alerts", "--ca-file", "/nowhere"], ("X", ""), 2);
    check(&["alerts", "--api-key", "two\nlines"], ("X", ""), 2);
    assert!(told_of_key.contains("hint: give a key: --api-key-file FILE") && told_of_key.contains("lacks the scope"));
    assert!(told_of_key.contains("error: --api-key-file /nowhere: No such file"), "{told_of_key}");
    assert!(!told_of_key.contains(&reader) && !told_of_key.contains(&writer), "{told_of_key}");
}

#[test]
fn who_is_no_watchfire_is_said_so() {
    // A real HTTP server that answers everything with a page, one that sends on, and one that hangs up.
    for (answer, told) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "what answers there is no Watchfire server"),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
            "it sends us on to http://elsewhere/",
        ),
        ("", "is not reached"),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", "the server cannot answer now (503)"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        for arguments in [
            ["query", "logs", "--url", &url].as_slice(),
            &["tail", "--url", &url],
            &["query", "instant", "1", "--url", &url],
        ] {
            let run: Run = plain(BINARY).args(arguments).output().expect("it runs").into();
            assert_eq!(run.code, 4, "{arguments:?}: {}", run.told);
            assert!(run.told.contains(told), "{arguments:?}: {}", run.told);
        }
    }
}

#[test]
fn a_certificate_of_our_own_authority_is_trusted_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(path("ca.pem"), authority.self_signed(&authority_key).expect("a certificate").pem())
        .expect("written");
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("good names");
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key)).expect("a certificate");
    std::fs::write(path("server.pem"), certificate.pem()).expect("written");
    std::fs::write(path("server.key"), key.serialize_pem()).expect("written");
    let server = Server::start(
        BINARY,
        &format!("tls: {{cert_file: {}, key_file: {}}}\n", path("server.pem"), path("server.key")),
    );
    let url = format!("https://{}", server.address);
    let ask = |arguments: &[&str]| -> Run {
        plain(BINARY).args(arguments).args(["--url", &url]).output().expect("it runs").into()
    };
    let (ca, not_pem) = (path("ca.pem"), path("server.key"));
    for arguments in [["query", "logs", "--fail-empty"].as_slice(), &["tail", "--since", "1h", "-n", "1"]] {
        let refused = ask(arguments);
        assert_eq!(refused.code, 4, "{}", refused.told);
        let why = "the server's certificate is not trusted: no authority that is trusted has signed it\n";
        assert!(refused.told.contains(why), "{}", refused.told);
        assert!(refused.told.contains("hint: whom to trust"), "{}", refused.told);
        let trusted = ask(&[arguments, &["--ca-file", &ca]].concat());
        assert_eq!((trusted.code, trusted.told.as_str()), (0, ""));
        assert!(trusted.out.contains("opened"), "{}", trusted.out);
    }
    let elsewhere = format!("https://localhost:{}", server.address.port());
    let run: Run =
        plain(BINARY).args(["query", "logs", "--url", &elsewhere, "--ca-file", &ca]).output().expect("it runs").into();
    let why = "the server's certificate is for another name: for 127.0.0.1, not for localhost\nhint: whom to trust";
    assert!(run.code == 4 && run.told.contains(why), "{} {}", run.code, run.told);
    let other_key = KeyPair::generate().expect("a key");
    std::fs::write(path("other.key"), other_key.serialize_pem()).expect("written");
    let (certificate, other) = (path("server.pem"), path("other.key"));
    let mismatched = ask(&["alerts", "--ca-file", &ca, "--cert-file", &certificate, "--key-file", &other]);
    let wanted = format!("error: --key-file {other}: this is not the key of the certificate in {certificate}\n");
    assert_eq!((mismatched.code, mismatched.told), (2, wanted));
    let unreadable = ask(&["alerts", "--ca-file", &not_pem]);
    assert_eq!(unreadable.code, 2, "{}", unreadable.told);
    assert!(unreadable.told.contains("there is no certificate in it"), "{}", unreadable.told);
    let absent = ask(&["alerts", "--ca-file", "/nowhere"]);
    assert_eq!(absent.code, 2, "{}", absent.told);
    assert!(absent.told.starts_with("error: --ca-file /nowhere: No such file"), "{}", absent.told);
}

#[test]
fn why_a_handshake_failed_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // As `openssl req -x509` makes them: authorities of their own.
    let own = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(path(&format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).expect("written");
    };
    ["server", "known", "stranger"].into_iter().for_each(own);
    let files = format!("cert_file: {}, key_file: {}", path("server.pem"), path("server.key"));
    let server = Server::start(BINARY, &format!("tls: {{{files}}}\n"));
    let url = format!("https://{}", server.address);
    let check = |arguments: &[&str], told: &str| {
        let run: Run = plain(BINARY).args(arguments).output().expect("it runs").into();
        assert_eq!(run.code, 4, "{}", run.told);
        assert!(run.told.contains(told) && run.told.contains("\nhint: whom to trust"), "{}", run.told);
    };
    check(&["alerts", "--url", &url], "is not trusted: it is an authority's own, or signs itself, and was not named");
    let plain_server = Server::start(BINARY, "");
    check(&["alerts", "--url", &format!("https://{}", plain_server.address)], "what answers there does not speak TLS");
    let mutual = Server::start(BINARY, &format!("tls: {{{files}, client_ca_file: {}}}\n", path("known.pem")));
    let url = format!("https://{}", mutual.address);
    let ca = path("server.pem");
    let ask = ["alerts", "--url", &url, "--ca-file", &ca];
    check(&ask, "the server wants a certificate that says who asks");
    let (certificate, key) = (path("stranger.pem"), path("stranger.key"));
    let shown = [ask.as_slice(), &["--cert-file", &certificate, "--key-file", &key]].concat();
    check(&shown, "the server refused our certificate: ");
}

#[test]
fn this_machine_is_not_asked_through_a_proxy() {
    let server = Server::start(BINARY, "");
    let none = "http://127.0.0.1:1";
    let run: Run = watchfire(&server)
        .args(["query", "instant", "vector(1)"])
        .envs([("http_proxy", none), ("HTTP_PROXY", none), ("ALL_PROXY", none)])
        .output()
        .expect("it runs")
        .into();
    assert_eq!(run.code, 0, "{}", run.told);
}
