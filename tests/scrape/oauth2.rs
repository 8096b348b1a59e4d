//! `oauth2`: tokens that a server gives, and a real Prometheus beside us that asks for them in the same way.

use std::io::{Result, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use watchfire_test_support::server::free_port;
use watchfire_test_support::target::answer;
use watchfire_test_support::{Program, TargetServer};

use super::{header, job, start, wait, wait_error};

/// Shows a page to who has this token.
fn guarded(token: &str) -> impl Fn(&str, &mut dyn Write) -> Result<()> + Send + Sync + use<> {
    let authorization = format!("Bearer {token}");
    move |head: &str, out: &mut dyn Write| {
        let may_see = header(head, "authorization") == authorization;
        let shown = answer("200 OK", &["Content-Type: text/plain; version=0.0.4"], b"a 1\n");
        out.write_all(&if may_see { shown } else { answer("401 Unauthorized", &[], b"") })
    }
}

/// Gives a token for so many seconds to whoever asks in the form; who asks by a header is refused, if so wanted.
fn giving(
    token: &str,
    seconds: u64,
    refuses_header: bool,
) -> impl Fn(&str, &mut dyn Write) -> Result<()> + Send + Sync + use<> {
    let body = format!(r#"{{"access_token": "{token}", "token_type": "bearer", "expires_in": {seconds}}}"#);
    move |head: &str, out: &mut dyn Write| {
        let json = ["Content-Type: application/json"];
        out.write_all(&if refuses_header && !header(head, "authorization").is_empty() {
            answer("401 Unauthorized", &json, br#"{"error": "invalid_client"}"#)
        } else {
            answer("200 OK", &json, body.as_bytes())
        })
    }
}

fn oauth2(server: &TargetServer) -> String {
    format!(
        "oauth2: {{client_id: \"me & you\", client_secret: \"a:b\", token_url: \"http://{}/token\", scopes: [read, metrics], endpoint_params: {{audience: x}}}}",
        server.address
    )
}

#[test]
fn a_token_is_asked_for_once_until_it_expires() {
    let target = TargetServer::start(guarded("t0ken-1"));
    let tokens = TargetServer::start(giving("t0ken-1", 3600, false));
    let server = start(&[job("guarded", &[&target], &oauth2(&tokens))]);
    wait(&server, "a", &["__name__=a job=guarded 1"]);
    wait(&server, "count_over_time(a[1h]) > bool 3", &["job=guarded 1"]);
    let asked = tokens.heads();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("POST /token ") && !server.log().contains("t0ken-1"), "{asked:?}");
    assert!(asked[0].ends_with("grant_type=client_credentials&scope=read+metrics&audience=x"), "{asked:?}");
}

#[test]
fn an_expired_token_is_replaced_and_what_is_wrong_is_told() {
    let target = TargetServer::start(guarded("second"));
    // Of ten seconds, none is left in which it may be sent.
    let tokens = TargetServer::start(giving("first", 10, true));
    let server = start(&[job("guarded", &[&target], &oauth2(&tokens))]);
    wait_error(&server, "guarded", "server returned HTTP status 401 Unauthorized");
    tokens.answer(|_, out| out.write_all(&answer("500 Internal Server Error", &[], b"not now")));
    wait_error(&server, "guarded", "500 Internal Server Error: not now");
    tokens.answer(giving("second", 3600, true));
    wait(&server, "a", &["__name__=a job=guarded 1"]);
    let form = "client_id=me+%26+you&client_secret=a%3Ab";
    assert!(tokens.heads().last().is_some_and(|head| head.ends_with(form)), "{:?}", tokens.heads());
}

/// What a request for a token says, whoever sends it.
fn said(head: &str) -> (String, String, Vec<String>) {
    let body = head.rsplit("\r\n").next().unwrap_or_default();
    let mut pairs: Vec<String> = body.split('&').map(str::to_owned).collect();
    pairs.sort();
    (head.lines().next().unwrap_or_default().to_owned(), header(head, "authorization").to_owned(), pairs)
}

/// A Prometheus with this job.
fn prometheus(program: &Program, folder: &tempfile::TempDir, job: &str) -> super::real::Running {
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, format!("scrape_configs:\n{job}")).expect("the folder can be written");
    let mut command: Command = program.command();
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{}", free_port()));
    super::real::Running::start(&mut command).expect("Prometheus runs")
}

#[test]
fn a_real_prometheus_asks_in_the_same_way() {
    let Some(program) = Program::of_prometheus("prometheus", "tokens beside a real Prometheus") else { return };
    let target = TargetServer::start(guarded("t"));
    let (ours, theirs) = (TargetServer::start(giving("t", 3600, true)), TargetServer::start(giving("t", 3600, true)));
    let server = start(&[job("guarded", &[&target], &oauth2(&ours))]);
    wait(&server, "a", &["__name__=a job=guarded 1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let _prometheus = prometheus(&program, &folder, &job("guarded", &[&target], &oauth2(&theirs)));
    let begun = Instant::now();
    while theirs.heads().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", theirs.heads());
        std::thread::sleep(Duration::from_millis(20));
    }
    let all = |server: &TargetServer| server.heads().iter().take(2).map(|head| said(head)).collect::<Vec<_>>();
    assert_eq!(all(&ours), all(&theirs));
}

/// The claims of the assertion of a request for a token, without what is different each time; its head; and the rest of the request.
fn asserted(head: &str) -> (serde_json::Value, serde_json::Value, Vec<String>) {
    let (line, authorization, mut pairs) = said(head);
    let at = pairs.iter().position(|pair| pair.starts_with("assertion=")).expect("an assertion");
    let assertion = pairs.remove(at);
    let mut parts = assertion["assertion=".len()..].split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default()
    });
    let (kind, mut claims) = (parts.next().expect("a head"), parts.next().expect("claims"));
    let lasts = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(end, begin)| end - begin);
    assert_eq!((lasts, claims["jti"].as_str().map(str::len)), (Some(600), Some(36)), "{claims}");
    for name in ["exp", "iat", "jti"] {
        claims[name].take();
    }
    pairs.extend([line, authorization]);
    (kind, claims, pairs)
}

#[test]
fn a_real_prometheus_signs_the_same_assertion() {
    let Some(program) = Program::of_prometheus("prometheus", "assertions beside a real Prometheus") else { return };
    let target = TargetServer::start(guarded("t"));
    let (ours, theirs) = (TargetServer::start(giving("t", 3600, true)), TargetServer::start(giving("t", 3600, true)));
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    std::fs::write(&key, include_str!("../../scrape/src/assertion_test.pem")).expect("the folder can be written");
    // One address for all, so that nothing else differs.
    let oauth2 = |server: &TargetServer| {
        format!(
            "oauth2: {{grant_type: \"urn:ietf:params:oauth:grant-type:jwt-bearer\", client_id: \"me & you\", client_certificate_key_id: k1, client_certificate_key_file: {}, signature_algorithm: RS384, audience: all, token_url: \"http://{}/token\", scopes: [read, metrics], claims: {{team: a, level: 3, roles: [read, write]}}, endpoint_params: {{tenant: z}}}}",
            key.display(),
            server.address
        )
    };
    let server = start(&[job("guarded", &[&target], &oauth2(&ours))]);
    wait(&server, "a", &["__name__=a job=guarded 1"]);
    let _prometheus = prometheus(&program, &folder, &job("guarded", &[&target], &oauth2(&theirs)));
    let begun = Instant::now();
    while theirs.heads().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "Prometheus asks for no token");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(asserted(&ours.heads()[0]), asserted(&theirs.heads()[0]));
}
