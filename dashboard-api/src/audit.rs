//! Who changed what: a line for each admin action and each login, among our own logs (target `watchfire::audit`).
//!
//! Search for them with `service:watchfire target:"watchfire::audit"`. A secret never stands in one.

use std::net::IpAddr;

use crate::auth::Identity;
use crate::auth::sessions::Holder;
use crate::params::shown;

/// Target of the lines; whatever the log level is, they are written.
pub const TARGET: &str = "watchfire::audit";

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// Somebody we know.
    Known(&'a Identity),
    /// Nobody was asked.
    Anyone,
    /// Who can send signals to the process or change its files.
    Operator,
}

impl Actor<'_> {
    fn name(&self) -> &str {
        match self {
            Actor::Known(identity) if identity.name.is_empty() => "a key without a name",
            Actor::Known(identity) => &identity.name,
            Actor::Anyone => "anyone",
            Actor::Operator => "operator",
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Actor::Known(Identity { holder: Holder::Key(_), .. }) => "key",
            Actor::Known(Identity { holder: Holder::User(..), .. }) => "user",
            Actor::Anyone => "nobody is asked",
            Actor::Operator => "host",
        }
    }
}

/// What a call has done, in words, where its method and path do not say all: an endpoint puts it into the extensions of
/// its answer. What others wrote stands in it as [`quoted`].
#[derive(Clone, Debug)]
pub struct Did(pub String);

/// A text from outside in quotes, not too long, and with everything escaped that a terminal would obey.
pub fn quoted(text: &str) -> String {
    format!("{:?}", shown(text))
}

/// Writes down an action that was tried, from where, and what came of it.
pub fn record(actor: Actor<'_>, from: Option<IpAddr>, action: &str, result: &str) {
    record_did(actor, from, action, &Did(words(action)), result);
}

/// The same of an action that says itself what it did.
pub fn record_did(actor: Actor<'_>, from: Option<IpAddr>, action: &str, Did(words): &Did, result: &str) {
    let cut = |text: &str, max: usize| text.chars().take(max).collect::<String>();
    let (action, words) = (cut(action, 300), cut(words, 600));
    let from = from.map_or_else(|| "this host".to_owned(), |from| from.to_string());
    let (who, kind) = (actor.name(), actor.kind());
    let said = if result == "done" { words } else { format!("{words}: {result}") };
    tracing::info!(target: TARGET, who, kind, from, action, result, "{said}");
}

/// What an action does, in words.
fn words(action: &str) -> String {
    let saved = |method: &str| action.strip_prefix(method)?.strip_prefix(" /api/v1/saved/").map(decoded);
    match action {
        "POST /-/reload" | "PUT /-/reload" => "reload".to_owned(),
        "POST /api/v1/backup" => "backup".to_owned(),
        "POST /api/v1/verify" => "verify".to_owned(),
        "POST /api/v1/backfill" => "backfill".to_owned(),
        _ => match (saved("PUT"), saved("DELETE")) {
            (Some(name), _) => format!("view saved: {name}"),
            (None, Some(name)) => format!("view deleted: {name}"),
            (None, None) => action.to_owned(),
        },
    }
}

/// A part of a path as it is meant, with what a terminal would obey escaped.
fn decoded(part: &str) -> String {
    // Of a form's text, only the signs of a form are none of a path.
    let form = part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(form.as_bytes()).map(|(name, _)| name.escape_debug().to_string()).collect()
}

/// Writes down that somebody could not say who they are; `user` is the name only if there is a user of this name: what
/// nobody is called may be a password typed into the wrong field.
pub fn login_failed(user: Option<&str>, from: IpAddr, reason: &str) {
    let who = user.unwrap_or("unknown");
    tracing::warn!(target: TARGET, who, from = %from, action = "login", result = reason, "login failed: {reason}");
}

#[cfg(test)]
mod tests {
    use super::{quoted, words};

    #[test]
    fn what_is_done_in_words() {
        for (action, said) in [
            ("POST /-/reload", "reload"),
            ("reload by SIGHUP", "reload by SIGHUP"),
            ("key added: shipper (ingest)", "key added: shipper (ingest)"),
            ("PUT /api/v1/saved/mine", "view saved: mine"),
            ("PUT /api/v1/saved/my%20view+1", "view saved: my view+1"),
            ("DELETE /api/v1/saved/a%1b%5b2J", "view deleted: a\\u{1b}[2J"),
            ("POST /somewhere/else", "POST /somewhere/else"),
        ] {
            assert_eq!(words(action), said);
        }
        assert_eq!(quoted("a\"b\u{1b}[2J\u{202e}"), r#""a\"b\u{1b}[2J\u{202e}""#);
    }
}
