//! Sessions of browsers: a random token in a cookie, its hash and whom it stands for in memory.
//!
//! A session says only who somebody is; what they may do is looked up each time, so that a session ends when its
//! key or user does. Sessions do not outlive the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// How long a session lasts.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Most sessions at a time; past it the oldest ends.
const SESSIONS_MAX: usize = 10_000;
/// Most sessions of one key or user; past it the oldest of them ends.
const SESSIONS_EACH_MAX: usize = 64;

/// Whom a session stands for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The key with this hash.
    Key([u8; 32]),
    /// The user of this name, as long as the password's hash in the file has this digest.
    User(Arc<str>, [u8; 32]),
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Holder::Key(_) => "Key",
            Holder::User(..) => "User",
        })
    }
}

struct Session {
    holder: Holder,
    ends: Instant,
}

/// All open sessions, by the hash of their token.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<[u8; 32], Session>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("open", &self.open.lock().len()).finish()
    }
}

impl Sessions {
    /// Opens one; answers its token. Errors: the system has no random numbers.
    pub fn open(&self, holder: Holder, now: Instant) -> std::io::Result<String> {
        let mut random = [0u8; 32];
        getrandom::fill(&mut random)?;
        let token = super::hex(&random);
        let mut open = self.open.lock();
        open.retain(|_, session| session.ends > now);
        let oldest = |open: &HashMap<[u8; 32], Session>, of: Option<&Holder>| {
            let of_it = open.iter().filter(|(_, session)| of.is_none_or(|holder| session.holder == *holder));
            of_it.min_by_key(|(_, session)| session.ends).map(|(digest, _)| *digest)
        };
        let of_holder = open.values().filter(|session| session.holder == holder).count();
        let ended = match (of_holder >= SESSIONS_EACH_MAX, open.len() >= SESSIONS_MAX) {
            (true, _) => oldest(&open, Some(&holder)),
            (false, true) => oldest(&open, None),
            (false, false) => None,
        };
        if let Some(ended) = ended {
            open.remove(&ended);
        }
        open.insert(digest(token.as_bytes()), Session { holder, ends: now + LIFETIME });
        Ok(token)
    }

    /// Whom a token stands for, and when it ends.
    pub fn find(&self, token: &[u8], now: Instant) -> Option<(Holder, Instant)> {
        let open = self.open.lock();
        // The table is searched by a hash, so that time tells nothing of the tokens in it.
        let session = open.get(&digest(token)).filter(|session| session.ends > now)?;
        Some((session.holder.clone(), session.ends))
    }

    /// Ends the session of a token, if there is one.
    pub fn close(&self, token: &[u8]) {
        self.open.lock().remove(&digest(token));
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_itself_and_on_demand() {
        let sessions = Sessions::default();
        let (now, holder) = (Instant::now(), Holder::Key([1; 32]));
        let token = sessions.open(holder.clone(), now).expect("random numbers");
        assert_eq!(token.len(), 64);
        assert_eq!(sessions.find(token.as_bytes(), now), Some((holder.clone(), now + LIFETIME)));
        assert_eq!(sessions.find(b"other", now), None);
        assert_eq!(sessions.find(token.as_bytes(), now + LIFETIME), None);
        sessions.close(token.as_bytes());
        assert_eq!(sessions.find(token.as_bytes(), now), None);
    }

    #[test]
    fn the_table_is_bounded_for_each_and_for_all() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let at = |number: u64| now + Duration::from_millis(number);
        let first = sessions.open(Holder::Key([0; 32]), now).expect("random numbers");
        for number in 1..=SESSIONS_EACH_MAX as u64 {
            sessions.open(Holder::Key([0; 32]), at(number)).expect("random numbers");
        }
        assert_eq!(sessions.find(first.as_bytes(), now), None);
        assert_eq!(sessions.open.lock().len(), SESSIONS_EACH_MAX);
        for number in 0..SESSIONS_MAX as u64 {
            let holder = Holder::User(number.to_string().into(), [0; 32]);
            sessions.open(holder, at(1000 + number)).expect("random numbers");
        }
        assert_eq!(sessions.open.lock().len(), SESSIONS_MAX);
    }
}
