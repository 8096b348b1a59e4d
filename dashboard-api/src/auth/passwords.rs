//! Checking passwords off the async threads, a few at a time, and remembering those that were right.
//!
//! A right password is remembered by a digest under a key of this process, together with the hash that it was
//! checked against: when the file changes, what was remembered counts no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::users::{User, Users};

/// How long a right password is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// Most right passwords that are remembered.
const REMEMBERED_MAX: usize = 4096;
/// Passwords that are checked at the same time: each takes a core and some 20 MiB.
const AT_ONCE: usize = 2;
/// Passwords that may wait to be checked.
const WAITING_MAX: usize = 64;

/// The checker.
pub struct Passwords {
    key: [u8; 32],
    remembered: Mutex<HashMap<[u8; 32], Instant>>,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Too many passwords wait to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("remembered", &self.remembered.lock().len()).finish_non_exhaustive()
    }
}

impl Passwords {
    /// An empty one. Errors: the system has no random numbers.
    pub fn new() -> std::io::Result<Passwords> {
        let mut key = [0u8; 32];
        getrandom::fill(&mut key)?;
        Ok(Passwords {
            key,
            remembered: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
        })
    }

    /// The user of this name, if this is their password.
    ///
    /// For a name that is nobody's the same work is done. Errors: too many wait already.
    pub async fn check(&self, users: &Users, name: &str, password: &str) -> Result<Option<User>, Busy> {
        let known = users.find(name);
        let Some(against) = known.or_else(|| users.decoy(name)).cloned() else { return Ok(None) };
        let digest = self.digest(&against, name, password);
        if self.is_remembered(&digest) {
            return Ok(Some(against));
        }
        let _waiting = Waiting::enter(&self.waiting).ok_or(Busy)?;
        let permit = self.slots.clone().acquire_owned().await.map_err(|_| Busy)?;
        // Somebody with the same password may have been ahead of us.
        if self.is_remembered(&digest) {
            return Ok(Some(against));
        }
        let password = password.to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let right = against.verify(&password);
            (right, against)
        });
        let (right, user) = work.await.map_err(|_| Busy)?;
        if !right || known.is_none() {
            return Ok(None);
        }
        self.remember(digest);
        Ok(Some(user))
    }

    /// The key comes first, and the digest is told to nobody, so that a plain hash is as good as an HMAC here.
    fn digest(&self, user: &User, name: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(user.digest);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(password);
        hash.finalize().into()
    }

    fn is_remembered(&self, digest: &[u8; 32]) -> bool {
        self.remembered.lock().get(digest).is_some_and(|until| *until > Instant::now())
    }

    fn remember(&self, digest: [u8; 32]) {
        let now = Instant::now();
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, until| *until > now);
        }
        // With so many users at once some are checked again each time.
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(digest, now + REMEMBERED_FOR);
        }
    }
}

/// A place among those that wait; given back when dropped, also when the client leaves.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Waiting<'a>> {
        let place = Waiting(waiting);
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        (before < WAITING_MAX + AT_ONCE).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_right_password_is_remembered_until_its_hash_changes() {
        let passwords = Passwords::new().expect("random numbers");
        let file = |password: &str| {
            Users::parse(&format!("anna:{}", bcrypt::hash(password, 4).expect("a hash"))).expect("valid")
        };
        let users = file("secret");
        let check = async |users: &Users, name: &str, password: &str| {
            passwords.check(users, name, password).await.expect("not busy").map(|user| user.name.to_string())
        };
        assert_eq!(check(&users, "anna", "wrong").await, None);
        assert_eq!(check(&users, "berta", "secret").await, None, "the decoy's password is nobody's key");
        assert_eq!(passwords.remembered.lock().len(), 0);
        assert_eq!(check(&users, "anna", "secret").await.as_deref(), Some("anna"));
        assert_eq!(passwords.remembered.lock().len(), 1);
        assert_eq!(check(&users, "anna", "secret").await.as_deref(), Some("anna"));
        let changed = file("other");
        assert_eq!(check(&changed, "anna", "secret").await, None);
        assert_eq!(check(&changed, "anna", "other").await.as_deref(), Some("anna"));
    }

    #[tokio::test]
    async fn past_the_queue_nobody_waits() {
        let passwords = Passwords::new().expect("random numbers");
        let users = Users::parse(&format!("anna:{}", bcrypt::hash("secret", 4).expect("a hash"))).expect("valid");
        passwords.waiting.store(WAITING_MAX + AT_ONCE, Ordering::Relaxed);
        assert!(passwords.check(&users, "anna", "secret").await.is_err());
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), WAITING_MAX + AT_ONCE);
    }
}
