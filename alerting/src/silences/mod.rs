//! Silences: alerts that nobody is told of for a while, and the file that remembers them.
//!
//! A change is on the disk before it is answered. Nobody is told of an alert that a silence matches, neither that it fires
//! nor that it is resolved; what fires when the silence ends is told then.

mod silence;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{LabelSet, Timestamp, uuid};

use crate::journal::{Journal, JournalOpenError, JournalRecovery, RewriteError};

pub use silence::{Asked, MatcherText, Silence, SilenceFault, SilenceState};

/// The file, beside the notification log.
pub(crate) const FILE: &str = "silences.log";
/// How long a silence is shown after its end, milliseconds. Alertmanager's retention.
const RETENTION_MS: i64 = 120 * 3_600_000;
/// Most silences that are remembered.
const SILENCES_MAX: usize = 10_000;
/// The file is not rewritten below this size, bytes.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

/// Why a silence is not made or ended.
#[derive(Debug, thiserror::Error)]
pub enum SilenceError {
    /// There is none with this id.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It has ended.
    #[error("the silence {0} has ended already")]
    Ended(String),
    /// What was asked for makes no silence.
    #[error(transparent)]
    Fault(#[from] SilenceFault),
    /// More than are remembered.
    #[error("there are {SILENCES_MAX} silences already; let some end first")]
    TooMany,
    /// The file cannot be written; nothing has changed.
    #[error("silences cannot be written: {0}")]
    Io(std::io::Error),
}

/// All silences.
pub struct Silences(Mutex<State>);

/// Guarded also while the file is synced: a change is seen when it is durable, and in the order of the file.
struct State {
    by_id: BTreeMap<String, Arc<Silence>>,
    journal: Journal,
    rewrite_at_bytes: u64,
}

impl Silences {
    /// Opens the file in a folder, or makes it.
    ///
    /// Errors: it cannot be read, or is of a newer version. Damage is reported, and the rest is in force.
    pub fn open(dir: &Path) -> Result<(Silences, JournalRecovery), JournalOpenError> {
        let mut by_id = BTreeMap::new();
        let (journal, recovery) = Journal::open(&dir.join(FILE), |payload| {
            let silence = Silence::decode(payload);
            silence.map(|silence| by_id.insert(silence.id.clone(), Arc::new(silence))).is_some()
        })?;
        let rewrite_at_bytes = REWRITE_BYTES_MIN.max(journal.file_bytes().saturating_mul(2));
        let mut state = State { by_id, journal, rewrite_at_bytes };
        if recovery.is_damaged()
            && let Err(error) = state.rewrite()
        {
            tracing::error!(%error, "the file of silences cannot be written anew");
        }
        Ok((Silences(Mutex::new(state)), recovery))
    }

    /// Makes a silence, or changes the one whose id is given; answers its id. One that is active and shall match other
    /// alerts ends, and a new one is made, as in Alertmanager. Blocks until it is durable.
    pub fn set(&self, asked: &Asked, now: Timestamp) -> Result<String, SilenceError> {
        let mut state = self.0.lock();
        let before = match asked.id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => Some(state.get(id)?),
            None => None,
        };
        let kept = before.as_ref().filter(|before| before.can_become(asked, now));
        let id = kept.map_or_else(new_id, |kept| kept.id.clone());
        let silence = Silence::new(id.clone(), asked, kept.map(|kept| &**kept), now)?;
        state.forget_old(now);
        if kept.is_none() && state.by_id.len() >= SILENCES_MAX {
            return Err(SilenceError::TooMany);
        }
        let ended = before.filter(|before| before.id != id && before.state(now) != SilenceState::Expired);
        let ended = ended.map(|before| before.ended(now));
        state.write(ended.into_iter().chain([silence]).collect())?;
        Ok(id)
    }

    /// Ends a silence now. Blocks until that is durable.
    pub fn expire(&self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        let mut state = self.0.lock();
        let silence = state.get(id)?;
        if silence.state(now) == SilenceState::Expired {
            return Err(SilenceError::Ended(id.to_owned()));
        }
        state.write(vec![silence.ended(now)])
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Arc<Silence>> {
        self.0.lock().by_id.get(id).cloned()
    }

    /// All that are remembered: active ones first, then those to come, then those that have ended; the next to change
    /// first.
    pub fn list(&self, now: Timestamp) -> Vec<Arc<Silence>> {
        let mut all: Vec<Arc<Silence>> = self.0.lock().by_id.values().cloned().collect();
        all.retain(|silence| now.since(silence.ends_at) <= RETENTION_MS);
        all.sort_by_key(|silence| match silence.state(now) {
            SilenceState::Active => (0, silence.ends_at.millis()),
            SilenceState::Pending => (1, silence.starts_at.millis()),
            SilenceState::Expired => (2, silence.ends_at.millis().saturating_neg()),
        });
        all
    }

    /// Those that are active now.
    pub fn active(&self, now: Timestamp) -> Active {
        let state = self.0.lock();
        let active = state.by_id.values().filter(|silence| silence.state(now) == SilenceState::Active);
        Active(active.cloned().collect())
    }
}

/// The silences that are active at one time.
pub struct Active(Vec<Arc<Silence>>);

impl Active {
    /// The ids of those that match an alert.
    pub fn matching<'s, 'l>(&'s self, labels: &'l LabelSet) -> impl Iterator<Item = &'s str> + use<'s, 'l> {
        self.0.iter().filter(|silence| silence.matches(labels)).map(|silence| silence.id.as_str())
    }

    /// Whether one of them matches an alert.
    pub fn silence(&self, labels: &LabelSet) -> bool {
        self.matching(labels).next().is_some()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl State {
    fn get(&self, id: &str) -> Result<Arc<Silence>, SilenceError> {
        self.by_id.get(id).cloned().ok_or_else(|| SilenceError::Unknown(id.to_owned()))
    }

    fn forget_old(&mut self, now: Timestamp) {
        self.by_id.retain(|_, silence| now.since(silence.ends_at) <= RETENTION_MS);
    }

    /// Brings silences to the disk, then to those who ask.
    fn write(&mut self, silences: Vec<Silence>) -> Result<(), SilenceError> {
        for silence in &silences {
            self.journal.append(&silence.encode());
        }
        if let Err(error) = self.journal.commit() {
            // What stands in the file may be half of it: it is written anew as it was before.
            self.rewrite().map_err(SilenceError::Io)?;
            return Err(SilenceError::Io(error));
        }
        self.by_id.extend(silences.into_iter().map(|silence| (silence.id.clone(), Arc::new(silence))));
        if self.journal.file_bytes() > self.rewrite_at_bytes
            && let Err(error) = self.rewrite()
        {
            tracing::error!(%error, "the file of silences cannot be rewritten; it goes on growing");
        }
        Ok(())
    }

    fn rewrite(&mut self) -> std::io::Result<()> {
        let outcome = self.journal.rewrite(self.by_id.values().map(|silence| silence.encode()));
        self.rewrite_at_bytes = REWRITE_BYTES_MIN.max(self.journal.file_bytes().saturating_mul(2));
        outcome.map_err(|error| match error {
            RewriteError::OldStays(error) | RewriteError::Unknown(error) => error,
        })
    }
}

/// An id in the form that Alertmanager's clients expect (a UUID).
fn new_id() -> String {
    // The standard library seeds each `RandomState` from the operating system.
    let bits = || u128::from(RandomState::new().hash_one(std::process::id()));
    uuid::as_str(&uuid::text(uuid::of_version(4, bits() << 64 | bits()))).to_owned()
}

#[cfg(test)]
mod tests;
