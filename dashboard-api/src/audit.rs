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
    tracing::info!(target: TARGET, who, kind, from, action, result, "audit");
}

/// Writes down that somebody could not say who they are; `user` is the name only if there is a user of this name: what
/// nobody is called may be a password typed into the wrong field.
pub fn login_failed(user: Option<&str>, from: IpAddr, reason: &str) {
    let who = user.unwrap_or("unknown");
    tracing::warn!(target: TARGET, who, from = %from, action = "login", result = reason, "audit");
}
