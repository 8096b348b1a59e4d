//! Who changed what: a line for each admin action and each login, among our own logs (target `watchfire::audit`).
//!
//! Search for them with `service:watchfire target:"watchfire::audit"`. A secret never stands in one.

use std::net::IpAddr;

use crate::auth::Identity;
use crate::auth::sessions::Holder;

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

/// Writes down an action that was tried, from where, and what came of it.
pub fn record(actor: Actor<'_>, from: Option<IpAddr>, action: &str, result: &str) {
    let action: String = action.chars().take(300).collect();
    let from = from.map_or_else(|| "this host".to_owned(), |from| from.to_string());
    let (who, kind) = (actor.name(), actor.kind());
    let said = said(&action, result);
    tracing::info!(target: TARGET, who, kind, from, action, result, "{said}");
}

/// What was done, in words, and what came of it unless it is done.
fn said(action: &str, result: &str) -> String {
    let saved = |method: &str| action.strip_prefix(method)?.strip_prefix(" /api/v1/saved/");
    let words = match action {
        "POST /-/reload" | "PUT /-/reload" => "reload".to_owned(),
        "POST /api/v1/backup" => "backup".to_owned(),
        "POST /api/v1/verify" => "verify".to_owned(),
        "POST /api/v1/backfill" => "backfill".to_owned(),
        _ => match (saved("PUT"), saved("DELETE")) {
            (Some(name), _) => format!("view saved: {name}"),
            (None, Some(name)) => format!("view deleted: {name}"),
            (None, None) => action.to_owned(),
        },
    };
    if result == "done" { words } else { format!("{words}: {result}") }
}

/// Writes down that somebody could not say who they are; `user` is the name only if there is a user of this name: what
/// nobody is called may be a password typed into the wrong field.
pub fn login_failed(user: Option<&str>, from: IpAddr, reason: &str) {
    let who = user.unwrap_or("unknown");
    tracing::warn!(target: TARGET, who, from = %from, action = "login", result = reason, "login failed: {reason}");
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_was_done_in_words() {
        for (action, result, words) in [
            ("POST /-/reload", "done", "reload"),
            ("POST /-/reload", "not allowed", "reload: not allowed"),
            ("reload by SIGHUP", "failed", "reload by SIGHUP: failed"),
            ("key added: shipper (ingest)", "done", "key added: shipper (ingest)"),
            ("PUT /api/v1/saved/mine", "done", "view saved: mine"),
            ("DELETE /api/v1/saved/mine", "failed", "view deleted: mine: failed"),
            ("POST /somewhere/else", "done", "POST /somewhere/else"),
        ] {
            assert_eq!(said(action, result), words);
        }
    }
}
