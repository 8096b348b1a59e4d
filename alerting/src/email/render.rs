//! The subject and the two bodies of a mail.
//!
//! Texts of alerts are data: control characters are taken out, HTML is escaped by the template engine, and further
//! lines of a text are set in, so that none can pass for a line of ours.

use crate::notification::{Notification, NotifiedAlert};
use crate::text::{printable, printable_lines};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;
use std::sync::LazyLock;

/// Most alerts that a mail shows of each kind; of the others it tells the number.
const ALERTS_SHOWN: usize = 100;
/// Longest subject, in characters.
const SUBJECT_CHARS_MAX: usize = 200;
/// Longest text of an annotation or label in a mail, in characters.
const VALUE_CHARS_MAX: usize = 8_000;

/// What a mail says.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// The templates are constants, read once; a mistake in them fails every test of mails.
static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.add_template("mail.txt", include_str!("mail.txt"))?;
    environment.add_template("mail.html", include_str!("mail.html"))?;
    Ok(environment)
});

/// Makes the mail.
pub(super) fn render(notification: &Notification, external_url: &str) -> Result<Rendered, String> {
    let environment = TEMPLATES.as_ref().map_err(ToString::to_string)?;
    let subject = subject(notification);
    let one = |name: &str, indent: &str| {
        let page = Page::of(notification, &subject, external_url, indent);
        environment.get_template(name).and_then(|template| template.render(Serde(&page))).map_err(|e| e.to_string())
    };
    Ok(Rendered { text: one("mail.txt", "      ")?, html: one("mail.html", "")?, subject })
}

/// Alertmanager's subject: `[FIRING:2] group values (other common values)`.
pub(super) fn subject(notification: &Notification) -> String {
    let head = match notification.firing_count() {
        0 => "[RESOLVED]".to_owned(),
        count => format!("[FIRING:{count}]"),
    };
    let values: Vec<&str> = notification.group_labels.iter().map(|(_, value)| value).collect();
    let common = notification.common_labels().retain(|name| notification.group_labels.get(name).is_none());
    let common: Vec<&str> = common.iter().map(|(_, value)| value).collect();
    let mut subject = format!("{head} {}", values.join(" "));
    if !common.is_empty() {
        subject.push_str(&format!(" ({})", common.join(" ")));
    }
    printable(&subject, SUBJECT_CHARS_MAX)
}

#[derive(Serialize)]
struct Page<'a> {
    id: &'a str,
    headline: &'a str,
    firing: bool,
    parts: Vec<Part>,
    link: String,
}

#[derive(Serialize)]
struct Part {
    title: String,
    alerts: Vec<Alert>,
    hidden: usize,
}

#[derive(Serialize)]
struct Alert {
    name: String,
    value: String,
    starts_at: String,
    ends_at: Option<String>,
    labels: Vec<Pair>,
    annotations: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

impl<'a> Page<'a> {
    fn of(notification: &'a Notification, headline: &'a str, external_url: &str, indent: &str) -> Page<'a> {
        let part = |firing: bool, word: &str| {
            let alerts = || notification.alerts.iter().filter(|alert| alert.is_firing() == firing);
            let count = alerts().count();
            let shown = alerts().take(ALERTS_SHOWN).map(|alert| Alert::of(alert, indent)).collect();
            (count > 0).then(|| Part {
                title: format!("{word} ({count})"),
                alerts: shown,
                hidden: count.saturating_sub(ALERTS_SHOWN),
            })
        };
        Page {
            id: &notification.id,
            headline,
            firing: notification.firing_count() > 0,
            parts: [part(true, "Firing"), part(false, "Resolved")].into_iter().flatten().collect(),
            link: crate::webhook::generator_url(external_url, &notification.group_labels),
        }
    }
}

impl Alert {
    fn of(alert: &NotifiedAlert, indent: &str) -> Alert {
        let pair = |name: &str, value: &str| Pair {
            name: printable(name, 200),
            value: printable_lines(&value.chars().take(VALUE_CHARS_MAX).collect::<String>(), indent),
        };
        Alert {
            name: printable(alert.labels.get("alertname").unwrap_or(""), 200),
            value: alert.value.to_string(),
            starts_at: alert.starts_at.to_rfc3339(),
            ends_at: alert.ends_at.map(|at| at.to_rfc3339()),
            labels: alert.labels.iter().map(|(name, value)| pair(name, value)).collect(),
            annotations: alert.annotations.iter().map(|(name, value)| pair(name, value)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::{FlowKey, IntegrationKind, Reason, Target};
    use std::sync::Arc;
    use watchfire_model::{LabelSet, Timestamp};

    fn alert(labels: &[(&str, &str)], summary: &str, resolved: bool) -> Arc<NotifiedAlert> {
        Arc::new(NotifiedAlert {
            labels: LabelSet::from_pairs(labels.iter().copied()).expect("valid labels"),
            annotations: vec![("summary".into(), summary.into())],
            starts_at: Timestamp::from_millis(1_700_000_000_000),
            ends_at: resolved.then_some(Timestamp::from_millis(1_700_000_060_000)),
            value: 12.5,
        })
    }

    fn notification(alerts: Vec<Arc<NotifiedAlert>>) -> Notification {
        let target = Target { receiver: "mail".into(), kind: IntegrationKind::Email, index: 0 };
        Notification {
            id: "00ff".into(),
            flow: FlowKey { group_key: "{}".into(), target },
            group_labels: LabelSet::empty().with("alertname", "HighErrorRate"),
            created_at: Timestamp::from_millis(1_700_000_000_000),
            reason: Reason::FirstNotification,
            alerts,
        }
    }

    #[test]
    fn subjects_are_alertmanagers() {
        let api = [("alertname", "HighErrorRate"), ("service", "api"), ("severity", "critical")];
        let web = [("alertname", "HighErrorRate"), ("service", "web"), ("severity", "critical")];
        let two = notification(vec![alert(&api, "", false), alert(&web, "", false)]);
        assert_eq!(subject(&two), "[FIRING:2] HighErrorRate (critical)");
        let over = notification(vec![alert(&api, "", true)]);
        assert_eq!(subject(&over), "[RESOLVED] HighErrorRate (api critical)");
        let mixed = notification(vec![alert(&api, "", false), alert(&web, "", true)]);
        assert_eq!(subject(&mixed), "[FIRING:1] HighErrorRate (critical)");
        let bare = notification(vec![alert(&[("alertname", "HighErrorRate")], "", false)]);
        assert_eq!(subject(&bare), "[FIRING:1] HighErrorRate");
    }

    #[test]
    fn texts_of_alerts_stay_data() {
        let hostile = "<script>alert(1)</script>\r\nBcc: evil@example.org\r\n\u{1b}[2J{{ 7 * 7 }}";
        let labels = [("alertname", "HighErrorRate"), ("service", hostile)];
        let mail = render(&notification(vec![alert(&labels, hostile, false)]), "http://h:8080").expect("renders");
        assert!(!mail.subject.contains(['\r', '\n', '\u{1b}']), "{}", mail.subject);
        assert!(mail.html.contains("&lt;script&gt;") && !mail.html.contains("<script>"), "{}", mail.html);
        assert!(!mail.text.contains('\u{1b}') && !mail.html.contains('\u{1b}'));
        assert!(mail.text.contains("{{ 7 * 7 }}"), "a template in a label is not run");
        assert!(mail.text.lines().all(|line| !line.starts_with("Bcc")), "{}", mail.text);
        assert!(mail.text.contains("value: 12.5") && mail.text.contains("since: 2023-11-14T22:13:20.000Z"));
    }

    #[test]
    fn many_alerts_are_counted_not_shown() {
        let many = (0..250).map(|n| alert(&[("alertname", "A"), ("n", &n.to_string())], "s", false)).collect();
        let mail = render(&notification(many), "").expect("renders");
        assert!(mail.text.contains("Firing (250)") && mail.text.contains("... and 150 more"), "{}", mail.text);
        assert!(mail.html.contains("… and 150 more"));
    }
}
