//! A webhook receiver that prints what it is told, as somebody's chat would.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::extract::Json;
use axum::routing::post;
use serde_json::Value;

/// Where its webhooks are taken.
pub const PATH: &str = "/hook";

/// A bound receiver that nobody serves yet.
pub struct Receiver(TcpListener);

impl Receiver {
    /// At an address; on a free port of the loopback one if none is given.
    pub fn bind(address: Option<SocketAddr>) -> std::io::Result<Receiver> {
        let listener = TcpListener::bind(address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        listener.set_nonblocking(true)?;
        Ok(Receiver(listener))
    }

    /// The address for webhooks.
    pub fn url(&self) -> std::io::Result<String> {
        Ok(format!("http://{}{PATH}", self.0.local_addr()?))
    }

    /// Prints until it is dropped.
    pub async fn run(self) -> std::io::Result<()> {
        let routes = Router::new().route(
            PATH,
            post(async |Json(body): Json<Value>| {
                let colours = std::io::stdout().is_terminal();
                // Whoever has closed our standard output does not want to know.
                let _ = write!(std::io::stdout(), "{}", text(&body, colours));
            }),
        );
        axum::serve(tokio::net::TcpListener::from_std(self.0)?, routes).await
    }
}

/// A line per alert of a notification.
fn text(body: &Value, colours: bool) -> String {
    let alerts = body["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    alerts.iter().map(|alert| line(alert, colours)).collect()
}

fn line(alert: &Value, colours: bool) -> String {
    let firing = alert["status"] == "firing";
    let (word, colour, time) =
        if firing { ("FIRING  ", "\x1b[1;31m", "startsAt") } else { ("RESOLVED", "\x1b[1;32m", "endsAt") };
    let word = if colours { format!("{colour}{word}\x1b[0m") } else { word.to_owned() };
    let clock = plain(&alert[time]).get(11..19).unwrap_or_default().to_owned();
    let labels = alert["labels"].as_object().into_iter().flatten();
    let labels: Vec<String> = labels
        .filter(|(name, _)| !matches!(name.as_str(), "alertname" | "severity"))
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    let (name, summary) = (plain(&alert["labels"]["alertname"]), plain(&alert["annotations"]["summary"]));
    format!("{clock}  {word}  {name} {}  {summary}\n", labels.join(" "))
}

/// A text without what could steer a terminal: labels and summaries come from log lines.
fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().filter(|letter| !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_per_alert_that_cannot_steer_the_terminal() {
        let alert = |status: &str, service: &str| {
            json!({
                "status": status, "startsAt": "2026-01-02T03:04:05.006Z", "endsAt": "2026-01-02T03:09:05.006Z",
                "labels": {"alertname": "Slow", "severity": "warning", "service": service},
                "annotations": {"summary": "it is slow"},
            })
        };
        let body = json!({"alerts": [alert("firing", "a\u{1b}[2Jpi"), alert("resolved", "web")]});
        assert_eq!(
            text(&body, false),
            "03:04:05  FIRING    Slow service=a[2Jpi  it is slow\n03:09:05  RESOLVED  Slow service=web  it is slow\n"
        );
        assert!(text(&body, true).starts_with("03:04:05  \u{1b}[1;31mFIRING"));
        assert_eq!(text(&json!({"alerts": 3}), false), "");
    }
}
