//! Webhooks: the body to the letter, headers, redirects, hostile servers.

use crate::http_sink::{Answer, HttpSink};
use crate::{START, labels, notification, tls_file};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use watchfire_alerting::notification::{Notification, NotifiedAlert};
use watchfire_alerting::webhook::WebhookNotifier;
use watchfire_alerting::{Notifier, Retry, Secret, SendError, WebhookAuth, WebhookConfig, install_crypto};

async fn send(config: WebhookConfig) -> Result<(), SendError> {
    WebhookNotifier::new(config, "http://watch:8080").send(&notification("00aa", "it burns")).await
}

async fn send_to(url: &str) -> Result<(), SendError> {
    send(WebhookConfig::new(Secret::inline(url))).await
}

#[tokio::test]
async fn the_body_is_alertmanagers_version_4() {
    let sink = HttpSink::start().await;
    let one = notification("0123456789abcdef0123456789abcdef", "it burns");
    let over = NotifiedAlert {
        labels: labels(&[("alertname", "HighErrorRate"), ("service", "web")]),
        annotations: vec![],
        starts_at: START,
        ends_at: Some(START.plus_millis(90_500)),
        value: 1.0,
    };
    let third = NotifiedAlert { ends_at: None, ..over.clone() };
    let alerts = vec![Arc::clone(&one.alerts[0]), Arc::new(over), Arc::new(third)];
    let message = Arc::new(Notification { alerts, ..(*one).clone() });
    let config = WebhookConfig { max_alerts: 2, ..WebhookConfig::new(Secret::inline(sink.url())) };
    WebhookNotifier::new(config, "http://watch:8080").send(&message).await.expect("taken");
    let request = sink.wait_for(1).await.remove(0);
    assert_eq!((&*request.method, &*request.path), ("POST", "/hook"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.id(), "0123456789abcdef0123456789abcdef");
    assert!(request.header("user-agent").starts_with("Watchfire/"));
    let url = "http://watch:8080/api/v1/alerting/alerts?rule=HighErrorRate";
    assert_eq!(
        request.json(),
        json!({
            "version": "4",
            "groupKey": "{}/{group=\"rules\"}:{alertname=\"HighErrorRate\"}",
            "truncatedAlerts": 1,
            "status": "firing",
            "notification_reason": "first notification",
            "receiver": "ops",
            "groupLabels": {"alertname": "HighErrorRate"},
            "commonLabels": {"alertname": "HighErrorRate"},
            "commonAnnotations": {},
            "routeLabels": {},
            "externalURL": "http://watch:8080",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "HighErrorRate", "service": "api", "text": "it burns"},
                    "annotations": {"summary": "it burns"},
                    "startsAt": "2023-11-14T22:13:20.000Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": url,
                    "fingerprint": format!("{:016x}", message.alerts[0].labels.fingerprint()),
                },
                {
                    "status": "resolved",
                    "labels": {"alertname": "HighErrorRate", "service": "web"},
                    "annotations": {},
                    "startsAt": "2023-11-14T22:13:20.000Z",
                    "endsAt": "2023-11-14T22:14:50.500Z",
                    "generatorURL": url,
                    "fingerprint": format!("{:016x}", message.alerts[1].labels.fingerprint()),
                },
            ],
        })
    );
}

#[tokio::test]
async fn statuses_say_whether_to_try_again() {
    let sink = HttpSink::start().await;
    let pause = |text: &str| vec![("Retry-After", text.to_owned())];
    for (answer, retry) in [
        (Answer::Status(500, vec![]), Retry::BackOff),
        (Answer::Status(503, pause("7")), Retry::After(Duration::from_secs(7))),
        (Answer::Status(429, vec![]), Retry::BackOff),
        (Answer::Status(429, pause("120")), Retry::After(Duration::from_secs(120))),
        (Answer::Status(429, pause("Wed, 21 Oct 2015 07:28:00 GMT")), Retry::After(Duration::ZERO)),
        (Answer::Status(429, pause("soon")), Retry::BackOff),
        (Answer::Status(400, vec![]), Retry::Never),
        (Answer::Status(401, vec![]), Retry::Never),
        (Answer::Status(404, vec![]), Retry::Never),
        (Answer::Close, Retry::BackOff),
        (Answer::CloseHalfWay, Retry::BackOff),
        (Answer::Endless, Retry::BackOff),
    ] {
        sink.answer([answer.clone()]);
        let error = send_to(&sink.url()).await.expect_err("no success");
        assert_eq!(error.retry, retry, "{answer:?}: {error}");
        assert!(error.message.len() < 1000);
    }
    for status in [200, 201, 204] {
        sink.answer([Answer::Status(status, vec![])]);
        send_to(&sink.url()).await.expect("taken");
    }
}

#[tokio::test]
async fn redirects_keep_method_and_body_or_fail() {
    let (first, second) = (HttpSink::start().await, HttpSink::start().await);
    for status in [307, 308] {
        first.answer([Answer::redirect(status, &second.url())]);
        let auth = WebhookAuth::Bearer(Secret::inline("token"));
        send(WebhookConfig { auth, ..WebhookConfig::new(Secret::inline(first.url())) }).await.expect("taken");
    }
    let (asked, moved) = (first.wait_for(2).await, second.wait_for(2).await);
    for (asked, moved) in asked.iter().zip(&moved) {
        assert_eq!((&asked.method, &asked.body, asked.id()), (&moved.method, &moved.body, moved.id()));
        assert_eq!((asked.header("authorization"), moved.header("authorization")), ("Bearer token", ""));
    }
    for status in [301, 302, 303] {
        first.answer([Answer::redirect(status, &second.url())]);
        let error = send_to(&first.url()).await.expect_err("would become a GET");
        assert!(error.retry == Retry::Never && error.message.contains("redirects"), "{error}");
    }
    first.otherwise(Answer::redirect(308, "/hook"));
    let before = first.requests().len();
    let error = send_to(&first.url()).await.expect_err("a circle");
    assert!(error.message.contains("more than 5 redirects"), "{error}");
    assert_eq!(first.requests().len() - before, 6);
    for nowhere in ["file:///etc/passwd", "http://", "mailto:x"] {
        first.answer([Answer::redirect(307, nowhere)]);
        assert_eq!(send_to(&first.url()).await.expect_err(nowhere).retry, Retry::Never);
    }
    first.answer([Answer::Status(307, vec![])]);
    assert!(send_to(&first.url()).await.is_err());
    assert_eq!(second.requests().len(), 2);
}

#[tokio::test]
async fn proves_who_we_are_and_shows_no_secret() {
    let sink = HttpSink::start().await;
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        Secret::file(path)
    };
    let url = file("url", &format!("{}\n", sink.url().replace("/hook", "/hook/s3cret")));
    let basic = WebhookAuth::Basic { username: "ops".to_owned(), password: file("password", "s3cret\n") };
    let bearer = WebhookAuth::Bearer(file("token", "s3cret\n"));
    for (auth, expected) in [(basic, "Basic b3BzOnMzY3JldA=="), (bearer, "Bearer s3cret")] {
        let config = WebhookConfig { auth, ..WebhookConfig::new(url.clone()) };
        assert!(!format!("{config:?}").contains("s3cret"));
        send(config.clone()).await.expect("taken");
        let request = sink.requests().pop().expect("one came");
        assert_eq!((request.header("authorization"), &*request.path), (expected, "/hook/s3cret"));
        sink.answer([Answer::Close]);
        let error = send(config).await.expect_err("closed");
        assert!(!error.message.contains("s3cret"), "{error}");
    }
    let gone = WebhookConfig::new(Secret::file(dir.path().join("gone")));
    assert_eq!(send(gone).await.expect_err("no file").retry, Retry::BackOff, "the file may come back");
}

#[tokio::test]
async fn https_is_checked_against_the_given_authority() {
    install_crypto();
    let sink = HttpSink::start_tls().await;
    let url = Secret::inline(sink.url().replace("http://", "https://"));
    let trusting = WebhookConfig { ca_file: Some(tls_file("ca.pem")), ..WebhookConfig::new(url.clone()) };
    send(trusting.clone()).await.expect("taken");
    let error = send(WebhookConfig::new(url)).await.expect_err("nobody vouches for the server");
    assert_eq!(error.retry, Retry::BackOff);
    assert_eq!(sink.requests().len(), 1);
    let plain = HttpSink::start().await;
    sink.answer([Answer::redirect(307, &plain.url())]);
    let error = send(trusting).await.expect_err("from https to http");
    assert!(error.retry == Retry::Never && plain.requests().is_empty(), "{error}");
}
