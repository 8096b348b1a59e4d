//! Looks up who sends a request.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::credentials::Sent;
use super::keys::Keys;
use super::scope::Scopes;
use super::sessions::{Holder, Sessions};

/// Somebody we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the key or the user.
    pub name: Arc<str>,
    /// What they may do.
    pub scopes: Scopes,
    /// What tells them apart.
    pub holder: Holder,
    /// When their session ends, if they come by one.
    pub ends: Option<Instant>,
}

/// Why somebody is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was sent.
    Missing,
    /// What was sent cannot be read.
    Malformed,
    /// The key is not in the file.
    UnknownKey,
    /// No such user, or another password; which of both is not told.
    WrongPassword,
    /// The session has ended, or its key or user is gone.
    SessionEnded,
}

/// All that may let somebody in.
#[derive(Debug, Default)]
pub struct Credentials {
    /// Keys.
    pub keys: Keys,
}

/// Who may come in; shared by the guard and by the endpoint of sessions.
#[derive(Debug)]
pub struct Access {
    /// `None` when nobody is asked.
    credentials: Option<ArcSwap<Credentials>>,
    /// Of browsers.
    pub sessions: Sessions,
}

impl Access {
    /// Asks for `credentials`, or, if there are none, nobody for anything.
    pub fn new(credentials: Option<Credentials>) -> Access {
        Access { credentials: credentials.map(ArcSwap::from_pointee), sessions: Sessions::default() }
    }

    /// Whether one has to say who one is.
    pub fn is_required(&self) -> bool {
        self.credentials.is_some()
    }

    /// What one may say who one is by, for the page's form.
    pub fn methods(&self) -> &'static [&'static str] {
        if self.is_required() { &["key"] } else { &[] }
    }

    /// Puts other keys in force. Does nothing where nobody is asked.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(slot) = &self.credentials {
            slot.store(Arc::new(credentials));
        }
    }

    /// Who it is that sent this; `None` where nobody is asked.
    pub fn identify(&self, sent: &Sent) -> Result<Option<Identity>, Refusal> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let credentials = credentials.load();
        match sent {
            Sent::Nothing => Err(Refusal::Missing),
            Sent::Malformed => Err(Refusal::Malformed),
            Sent::Key(key) => credentials.by_key(key).map(Some).ok_or(Refusal::UnknownKey),
            Sent::Password(..) => Err(Refusal::WrongPassword),
            Sent::Session(token) => {
                let (holder, ends) = self.sessions.find(token, Instant::now()).ok_or(Refusal::SessionEnded)?;
                let identity = credentials.by_holder(&holder).ok_or(Refusal::SessionEnded)?;
                Ok(Some(Identity { ends: Some(ends), ..identity }))
            }
        }
    }
}

impl Credentials {
    fn by_key(&self, sent: &[u8]) -> Option<Identity> {
        self.keys.find(sent).map(|key| Identity::of(&key.name, key.scopes, Holder::Key(key.digest)))
    }

    /// Who holds a session, if they are still there.
    fn by_holder(&self, holder: &Holder) -> Option<Identity> {
        match holder {
            Holder::Key(digest) => {
                let key = self.keys.find_digest(digest)?;
                Some(Identity::of(&key.name, key.scopes, holder.clone()))
            }
            Holder::User(..) => None,
        }
    }
}

impl Identity {
    fn of(name: &Arc<str>, scopes: Scopes, holder: Holder) -> Identity {
        Identity { name: name.clone(), scopes, holder, ends: None }
    }
}
