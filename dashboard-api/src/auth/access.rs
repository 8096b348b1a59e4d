//! Looks up who sends a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::credentials::{Sent, TEXT_BYTES_MAX};
use super::keys::{Key, Keys};
use super::passwords::Passwords;
use super::scope::Scopes;
use super::sessions::{Holder, Sessions};
use super::users::{User, Users};
use crate::audit;
use crate::rate::{Buckets, neighbourhood};

/// Failed logins that an address has free.
const FAILURES_BURST: u32 = 10;
/// After them, it has one more each time.
const FAILURE_EVERY: Duration = Duration::from_secs(6);

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
    /// Too many failed logins from this address; after this time the next is heard.
    Limited(Duration),
    /// Too many passwords are being checked.
    Busy,
}

/// All that may let somebody in.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Keys.
    pub keys: Keys,
    /// Users with passwords.
    pub users: Users,
}

impl Credentials {
    /// Whether they let in nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.keys.iter().next().is_none()
    }
}

/// Who may come in; shared by the guard and by the endpoint of sessions.
#[derive(Debug)]
pub struct Access {
    /// `None` when nobody is asked.
    credentials: Option<ArcSwap<Credentials>>,
    /// Of browsers.
    pub sessions: Sessions,
    passwords: Passwords,
    failures: Buckets<IpAddr>,
    /// Failed logins.
    pub failed_total: AtomicU64,
    /// Logins that were not heard, as too many had failed.
    pub limited_total: AtomicU64,
}

impl Access {
    /// Asks for `credentials`, or, if there are none, nobody for anything. Errors: the system has no random numbers.
    pub fn new(credentials: Option<Credentials>) -> std::io::Result<Access> {
        Ok(Access {
            credentials: credentials.map(ArcSwap::from_pointee),
            sessions: Sessions::default(),
            passwords: Passwords::new()?,
            failures: Buckets::new(FAILURES_BURST, FAILURE_EVERY),
            failed_total: AtomicU64::new(0),
            limited_total: AtomicU64::new(0),
        })
    }

    /// Whether one has to say who one is.
    pub fn is_required(&self) -> bool {
        self.credentials.is_some()
    }

    /// Whether there are users with passwords.
    pub fn takes_passwords(&self) -> bool {
        self.credentials.as_ref().is_some_and(|credentials| !credentials.load().users.is_empty())
    }

    /// What one may say who one is by, for the page's form.
    pub fn methods(&self) -> Vec<&'static str> {
        let takes_keys = |credentials: &ArcSwap<Credentials>| credentials.load().keys.iter().next().is_some();
        let keys = self.credentials.as_ref().is_some_and(takes_keys).then_some("key");
        keys.into_iter().chain(self.takes_passwords().then_some("password")).collect()
    }

    /// Puts other keys and users in force, and writes down what has changed. Does nothing where nobody is asked.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(slot) = &self.credentials {
            let next = Arc::new(credentials);
            let before = slot.swap(next.clone());
            for change in changes(&before, &next) {
                audit::record(audit::Actor::Operator, None, &change, "done");
            }
        }
    }

    /// Who it is that sent this from `peer`; `None` where nobody is asked.
    ///
    /// A failure costs the address one of its free ones. Passwords are not even checked without; a right key and a
    /// session always pass: nobody guesses them, and a wrong key beside them must not lock a shipper out.
    pub async fn identify(&self, sent: &Sent, peer: IpAddr) -> Result<Option<Identity>, Refusal> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let credentials = credentials.load_full();
        match sent {
            Sent::Nothing => Err(Refusal::Missing),
            Sent::Malformed => {
                self.spend(peer)?;
                self.failed(None, peer, "the header cannot be read");
                Err(Refusal::Malformed)
            }
            Sent::Key(sent) => match credentials.keys.find(sent) {
                Some(key) => Ok(Some(of_key(key))),
                None => {
                    self.spend(peer)?;
                    self.failed(None, peer, "unknown key");
                    Err(Refusal::UnknownKey)
                }
            },
            Sent::Password(name, password) => {
                self.spend(peer)?;
                let user = self.password(&credentials, name, password, peer).await?;
                self.failures.give_back(&neighbourhood(peer));
                Ok(Some(of_user(&user)))
            }
            Sent::Session(token) => {
                let (holder, ends) = self.sessions.find(token, Instant::now()).ok_or(Refusal::SessionEnded)?;
                let identity = credentials.by_holder(&holder).ok_or(Refusal::SessionEnded)?;
                Ok(Some(Identity { ends: Some(ends), ..identity }))
            }
        }
    }

    async fn password(
        &self,
        credentials: &Credentials,
        name: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<User, Refusal> {
        let fits = name.len() <= TEXT_BYTES_MAX && password.len() <= TEXT_BYTES_MAX;
        let user = match fits {
            true => self.passwords.check(&credentials.users, name, password).await.map_err(|_| {
                self.failures.give_back(&neighbourhood(peer));
                Refusal::Busy
            })?,
            false => None,
        };
        user.ok_or_else(|| {
            self.failed(credentials.users.find(name).map(|user| &*user.name), peer, "wrong password");
            Refusal::WrongPassword
        })
    }

    fn spend(&self, peer: IpAddr) -> Result<(), Refusal> {
        self.failures.take(neighbourhood(peer), Instant::now()).map_err(|wait| {
            self.limited_total.fetch_add(1, Ordering::Relaxed);
            Refusal::Limited(wait)
        })
    }

    fn failed(&self, user: Option<&str>, peer: IpAddr, reason: &str) {
        self.failed_total.fetch_add(1, Ordering::Relaxed);
        audit::login_failed(user, peer, reason);
    }
}

impl Credentials {
    /// Who holds a session, if they are still there and their password is still the same.
    fn by_holder(&self, holder: &Holder) -> Option<Identity> {
        match holder {
            Holder::Key(digest) => self.keys.find_digest(digest).map(of_key),
            Holder::User(name, digest) => self.users.find(name).filter(|user| user.digest == *digest).map(of_user),
        }
    }
}

fn of_key(key: &Key) -> Identity {
    Identity { name: key.name.clone(), scopes: key.scopes, holder: Holder::Key(key.digest), ends: None }
}

fn of_user(user: &User) -> Identity {
    let holder = Holder::User(user.name.clone(), user.digest);
    Identity { name: user.name.clone(), scopes: user.scopes, holder, ends: None }
}

/// What differs, in words.
fn changes(before: &Credentials, after: &Credentials) -> Vec<String> {
    let mut words = Vec::new();
    let mut differing = |of: &Credentials, from: &Credentials, what: &str| {
        let keys = of.keys.iter().filter(|key| !from.keys.iter().any(|have| have == *key));
        words.extend(keys.map(|key| format!("key {what}: {} ({})", key.name, key.scopes)));
    };
    differing(after, before, "added");
    differing(before, after, "revoked");
    for user in after.users.iter() {
        match before.users.find(&user.name) {
            None => words.push(format!("user added: {} ({})", user.name, user.scopes)),
            Some(old) if old != user => words.push(format!("user changed: {} ({})", user.name, user.scopes)),
            Some(_) => {}
        }
    }
    let gone = before.users.iter().filter(|user| after.users.find(&user.name).is_none());
    words.extend(gone.map(|user| format!("user removed: {}", user.name)));
    words
}
