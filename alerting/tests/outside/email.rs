//! Mails, against a real SMTP server: plain, STARTTLS, TLS, AUTH, refusals.

use crate::smtp_sink::SmtpSink;
use crate::{START, notification, tls_file};
use std::sync::Arc;
use watchfire_alerting::email::EmailNotifier;
use watchfire_alerting::notification::{Notification, NotifiedAlert};
use watchfire_alerting::{EmailConfig, Notifier, Retry, Secret, SendError, install_crypto};

fn config(url: String) -> EmailConfig {
    let to = vec!["ops@example.org".to_owned(), "Night Shift <night@example.org>".to_owned()];
    EmailConfig::new(Secret::inline(url), "Watchfire <watchfire@example.org>", to)
}

async fn send(config: EmailConfig) -> Result<(), SendError> {
    EmailNotifier::new(config, "http://watch:8080")
        .expect("good settings")
        .send(&notification("00aa", "it burns"))
        .await
}

async fn tls_sink(kind: &str, more: &[&str]) -> Option<SmtpSink> {
    install_crypto();
    let (cert, key) = (tls_file("server.pem"), tls_file("server.key"));
    let (cert, key) = (cert.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    SmtpSink::start(&[&["--tls", kind, "--cert", cert, "--key", key], more].concat()).await
}

#[tokio::test]
async fn a_mail_has_both_parts_and_all_headers() {
    let Some(mut sink) = SmtpSink::start(&[]).await else { return };
    let one = notification("0123456789abcdef0123456789abcdef", "größer als 10 <&>");
    let over = NotifiedAlert { ends_at: Some(START.plus_millis(60_000)), ..(*one.alerts[0]).clone() };
    let message = Arc::new(Notification { alerts: vec![Arc::clone(&one.alerts[0]), Arc::new(over)], ..(*one).clone() });
    let notifier = EmailNotifier::new(config(sink.url("smtp", "")), "http://watch:8080").expect("good settings");
    notifier.send(&message).await.expect("taken");
    let mail = sink.event().await;
    let header = |name: &str| {
        let found = mail["headers"].as_array().expect("headers").iter().find(|pair| pair[0] == name);
        found.and_then(|pair| pair[1].as_str()).unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(mail["from"], "watchfire@example.org");
    assert_eq!(mail["to"], serde_json::json!(["ops@example.org", "night@example.org"]));
    assert_eq!(header("Subject"), "[FIRING:1] HighErrorRate (api größer als 10 <&>)");
    assert_eq!(header("Message-ID"), "<0123456789abcdef0123456789abcdef@example.org>");
    assert_eq!(header("Date"), "Tue, 14 Nov 2023 22:13:20 +0000");
    assert_eq!(header("From"), "Watchfire <watchfire@example.org>");
    assert_eq!(header("To"), "ops@example.org, Night Shift <night@example.org>");
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail["kind"], "multipart/alternative");
    assert_eq!(mail["parts"], serde_json::json!(["text/plain", "text/html"]));
    assert!(mail["raw_headers"].as_str().expect("text").is_ascii());
    let (text, html) = (mail["text"].as_str().expect("text"), mail["html"].as_str().expect("HTML"));
    for expected in
        ["Firing (1)", "Resolved (1)", "summary: größer als 10 <&>", "service = api", "until: 2023-11-14T22:14:20.000Z"]
    {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(html.contains("größer als 10 &lt;&amp;&gt;"), "{html}");
    let html = html.replace("&#x2f;", "/");
    assert!(html.contains("href=\"http://watch:8080/api/v1/alerting/alerts?rule=HighErrorRate\""), "{html}");
}

#[tokio::test]
async fn starttls_is_used_when_offered_and_insisted_on_when_asked() {
    let Some(mut sink) = tls_sink("starttls", &[]).await else { return };
    // Without a password the certificate does not matter for smtp://.
    send(config(sink.url("smtp", ""))).await.expect("taken");
    assert_eq!(sink.event().await["tls"], true);
    let error = send(config(sink.url("smtp+starttls", ""))).await.expect_err("nobody vouches for the server");
    assert_eq!(error.retry, Retry::BackOff, "{error}");
    for scheme in ["smtp", "smtp+starttls"] {
        let trusting = EmailConfig { ca_file: Some(tls_file("ca.pem")), ..config(sink.url(scheme, "")) };
        send(trusting).await.expect("taken");
        assert_eq!(sink.event().await["tls"], true);
    }

    let mut plain = SmtpSink::start(&[]).await.expect("it was to be had before");
    send(config(plain.url("smtp", ""))).await.expect("taken");
    assert_eq!(plain.event().await["tls"], false);
    let error = send(config(plain.url("smtp+starttls", ""))).await.expect_err("not offered");
    assert!(error.message.contains("no STARTTLS"), "{error}");
    assert!(plain.rest().is_empty());
}

#[tokio::test]
async fn smtps_is_tls_from_the_first_byte() {
    let Some(mut sink) = tls_sink("implicit", &[]).await else { return };
    let trusting = EmailConfig { ca_file: Some(tls_file("ca.pem")), ..config(sink.url("smtps", "")) };
    send(trusting).await.expect("taken");
    assert_eq!(sink.event().await["tls"], true);
    assert!(send(config(sink.url("smtps", ""))).await.is_err(), "nobody vouches for the server");
}

#[tokio::test]
async fn logs_in_by_plain_or_login() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("password");
    std::fs::write(&path, "s3cret word\n").expect("written");
    for without in ["LOGIN", "PLAIN"] {
        let arguments = ["--auth", "ops@example.org:s3cret word", "--without-auth", without];
        let Some(mut sink) = tls_sink("starttls", &arguments).await else { return };
        let url = sink.url("smtp", "ops%40example.org@");
        let good = EmailConfig { password: Some(Secret::file(&path)), ..config(url.clone()) };
        send(good.clone()).await.expect("taken");
        let mail = sink.event().await;
        assert_eq!((&mail["user"], &mail["tls"]), (&"ops@example.org".into(), &true.into()));
        let wrong = EmailConfig { password: Some(Secret::inline("wr0ng")), ..good };
        assert!(!format!("{wrong:?}").contains("wr0ng"));
        let error = send(wrong).await.expect_err("a wrong password");
        assert!(error.retry == Retry::Never && !error.message.contains("wr0ng"), "{error}");
        let error = send(config(sink.url("smtp", ""))).await.expect_err("no password");
        assert_eq!(error.retry, Retry::Never, "{error}");
        assert!(sink.rest().is_empty());
    }
}

#[tokio::test]
async fn a_recipient_that_is_refused_does_not_cost_the_others_their_mail() {
    let Some(mut sink) = SmtpSink::start(&["--refuse-rcpt", "ops@example.org=550 no such user"]).await else { return };
    send(config(sink.url("smtp", ""))).await.expect("taken for the other one");
    assert_eq!(sink.event().await["to"], serde_json::json!(["night@example.org"]));
    let arguments = ["--refuse-rcpt", "ops@example.org=450 busy"];
    let mut sink = SmtpSink::start(&arguments).await.expect("it was to be had before");
    let error = send(config(sink.url("smtp", ""))).await.expect_err("one cannot be told now");
    assert_eq!(error.retry, Retry::BackOff, "{error}");
    assert!(sink.rest().is_empty(), "nobody is told twice later on");
}

#[test]
fn faulty_settings_are_named_all_at_once() {
    use watchfire_alerting::{Integration, Receiver, ReceiverSettings, WebhookConfig};
    let email = EmailConfig {
        password: Some(Secret::inline("s3cret")),
        to: vec!["nobody".to_owned(), "a@b\r\nBcc: c@d".to_owned()],
        ..EmailConfig::new(Secret::inline("smtp://mail.example.org"), "", vec![])
    };
    let webhook = WebhookConfig::new(Secret::inline("ftp://example.org"));
    let settings = ReceiverSettings {
        receivers: vec![
            Receiver {
                name: "a".to_owned(),
                integrations: vec![Integration::Email(email), Integration::Webhook(webhook)],
            },
            Receiver { name: "a".to_owned(), integrations: vec![] },
        ],
        default_receivers: vec!["b".to_owned()],
        external_url: String::new(),
    };
    let paths: Vec<String> = settings.faults().into_iter().map(|fault| fault.path).collect();
    assert_eq!(
        paths,
        [
            "receivers[0].email.smtp",
            "receivers[0].email.from",
            "receivers[0].email.to[0]",
            "receivers[0].email.to[1]",
            "receivers[0].webhook.url",
            "receivers[1].name",
            "receivers[1].name",
            "default_receivers[0]"
        ]
    );
}
