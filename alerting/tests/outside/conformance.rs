//! What every adapter of `Notifier` promises, checked on each of them against a real other side.

use crate::http_sink::{Answer, HttpSink};
use crate::smtp_sink::SmtpSink;
use crate::{notification, within};
use std::sync::Arc;
use std::time::Duration;
use watchfire_alerting::email::EmailNotifier;
use watchfire_alerting::webhook::WebhookNotifier;
use watchfire_alerting::{EmailConfig, Notifier, Retry, Secret, WebhookConfig};

/// How the other side behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Takes what comes.
    Takes,
    /// Says "later" once, then takes what comes.
    Later,
    /// Understands and refuses.
    Refuses,
    /// Takes the connection and says nothing.
    Hangs,
}

/// What arrived at the other side.
#[derive(Clone, Debug)]
struct Arrived {
    id: String,
    /// The annotation `summary` as it can be read there.
    summary: String,
}

/// The other side of one adapter.
trait Place {
    /// The adapter, set up for this place.
    fn notifier(&self, timeout: Duration) -> Arc<dyn Notifier>;
    /// Waits for one message.
    fn arrived(&mut self) -> impl Future<Output = Arrived>;
}

/// What the suite needs of an adapter; a further adapter adds one of these.
trait Adapter {
    type Place: Place;
    /// `None` where the other side cannot be had.
    fn place(behaviour: Behaviour) -> impl Future<Output = Option<Self::Place>>;
    /// The adapter, set up for a port at which nobody listens.
    fn nobody(port: u16) -> Arc<dyn Notifier>;
}

async fn check<A: Adapter>() {
    let long = Duration::from_secs(30);
    let Some(mut place) = A::place(Behaviour::Takes).await else { return };
    let notifier = place.notifier(long);
    // The same id at each attempt.
    for _ in 0..2 {
        notifier.send(&notification("00aa", "it burns")).await.expect("taken");
        let arrived = place.arrived().await;
        assert_eq!((&*arrived.id, &*arrived.summary), ("00aa", "it burns"));
    }
    // Texts are data, of any length and script.
    for hostile in [
        "a\r\nX-Evil: 1\r\n\r\nbody",
        "\r\n.\r\nQUIT\r\n",
        "<b>&amp;</b> {{ 7 }} %0d%0a",
        "ärger 🔥 \u{202e}",
        &"x".repeat(5000),
    ] {
        notifier.send(&notification("00bb", hostile)).await.unwrap_or_else(|error| panic!("{hostile:?}: {error}"));
        let arrived = place.arrived().await;
        assert_eq!(arrived.id, "00bb", "{hostile:?}");
        let start: String = hostile.chars().take_while(|c| !c.is_control() && *c != '\u{202e}').take(2000).collect();
        assert!(arrived.summary.starts_with(start.trim_end()), "{hostile:?} became {:?}", arrived.summary);
    }

    let mut place = A::place(Behaviour::Later).await.expect("it was to be had before");
    let notifier = place.notifier(long);
    let error = notifier.send(&notification("00cc", "s")).await.expect_err("not now");
    assert_ne!(error.retry, Retry::Never, "{error}");
    notifier.send(&notification("00cc", "s")).await.expect("now");
    assert_eq!(place.arrived().await.id, "00cc");

    let place = A::place(Behaviour::Refuses).await.expect("it was to be had before");
    let error = place.notifier(long).send(&notification("00dd", "s")).await.expect_err("refused");
    assert_eq!(error.retry, Retry::Never, "{error}");

    let place = A::place(Behaviour::Hangs).await.expect("it was to be had before");
    let short = Duration::from_millis(200);
    let (notifier, message) = (place.notifier(short), notification("00ee", "s"));
    let error = within("the adapter's own timeout", notifier.send(&message)).await.expect_err("no answer");
    assert_eq!(error.retry, Retry::BackOff, "{error}");

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr());
    let error = A::nobody(free.expect("a port").port()).send(&notification("00ff", "s")).await.expect_err("nobody");
    assert_eq!(error.retry, Retry::BackOff, "{error}");
}

struct Webhook;

impl Adapter for Webhook {
    type Place = (HttpSink, usize);

    async fn place(behaviour: Behaviour) -> Option<(HttpSink, usize)> {
        let sink = HttpSink::start().await;
        let mut before = 0;
        match behaviour {
            Behaviour::Takes => {}
            Behaviour::Later => {
                sink.answer([Answer::Status(503, Vec::new())]);
                before = 1;
            }
            Behaviour::Refuses => sink.otherwise(Answer::Status(400, Vec::new())),
            Behaviour::Hangs => sink.otherwise(Answer::Hang),
        }
        Some((sink, before))
    }

    fn nobody(port: u16) -> Arc<dyn Notifier> {
        let config = WebhookConfig::new(Secret::inline(format!("http://127.0.0.1:{port}/")));
        Arc::new(WebhookNotifier::new(config, ""))
    }
}

impl Place for (HttpSink, usize) {
    fn notifier(&self, timeout: Duration) -> Arc<dyn Notifier> {
        let config = WebhookConfig { timeout, ..WebhookConfig::new(Secret::inline(self.0.url())) };
        Arc::new(WebhookNotifier::new(config, ""))
    }

    async fn arrived(&mut self) -> Arrived {
        self.1 += 1;
        let request = self.0.wait_for(self.1).await.swap_remove(self.1 - 1);
        let summary = request.json()["alerts"][0]["annotations"]["summary"].as_str().expect("a text").to_owned();
        Arrived { id: request.id().to_owned(), summary }
    }
}

struct Email;

fn email(port: u16, timeout: Duration) -> Arc<dyn Notifier> {
    let smtp = Secret::inline(format!("smtp://127.0.0.1:{port}"));
    let to = vec!["ops@example.org".to_owned()];
    let config = EmailConfig { timeout, ..EmailConfig::new(smtp, "watchfire@example.org", to) };
    Arc::new(EmailNotifier::new(config, "").expect("good settings"))
}

impl Adapter for Email {
    type Place = SmtpSink;

    async fn place(behaviour: Behaviour) -> Option<SmtpSink> {
        let arguments: &[&str] = match behaviour {
            Behaviour::Takes => &[],
            Behaviour::Later => &["--data-answer", "451 try later"],
            Behaviour::Refuses => &["--refuse-rcpt", "ops@example.org=550 no such user"],
            Behaviour::Hangs => &["--hang"],
        };
        SmtpSink::start(arguments).await
    }

    fn nobody(port: u16) -> Arc<dyn Notifier> {
        email(port, Duration::from_secs(30))
    }
}

impl Place for SmtpSink {
    fn notifier(&self, timeout: Duration) -> Arc<dyn Notifier> {
        email(self.port, timeout)
    }

    async fn arrived(&mut self) -> Arrived {
        let mail = loop {
            let event = self.event().await;
            if event["event"] == "mail" {
                break event;
            }
        };
        let headers = mail["headers"].as_array().expect("headers");
        let names: Vec<&str> = headers.iter().filter_map(|pair| pair[0].as_str()).collect();
        let expected =
            ["Message-ID", "Date", "Subject", "Auto-Submitted", "From", "To", "MIME-Version", "Content-Type"];
        let received = ["X-Peer", "X-MailFrom", "X-RcptTo"];
        assert!(names.iter().all(|name| expected.contains(name) || received.contains(name)), "{names:?}");
        let id = headers.iter().find(|pair| pair[0] == "Message-ID").and_then(|pair| pair[1].as_str());
        let id = id.and_then(|id| id.strip_prefix('<')?.strip_suffix("@example.org>")).expect("our Message-ID");
        let text = mail["text"].as_str().expect("a text");
        let summary = text.split_once("summary: ").expect("the summary").1;
        Arrived { id: id.to_owned(), summary: summary.lines().next().unwrap_or("").to_owned() }
    }
}

#[tokio::test]
async fn webhooks_conform() {
    check::<Webhook>().await;
}

#[tokio::test]
async fn emails_conform() {
    check::<Email>().await;
}
