//! One silence: what it matches, from when to when, who made it and why.

use serde::{Deserialize, Serialize};
use watchfire_model::{LabelSet, MatchOp, Matcher, Timestamp};

/// Most matchers of a silence, and longest text of it, bytes.
const MATCHERS_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    /// It will begin.
    Pending,
    /// Nobody is told of what it matches.
    Active,
    /// It has ended.
    Expired,
}

impl SilenceState {
    /// As Alertmanager writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

/// What is wrong with a silence that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SilenceFault(pub String);

/// A matcher as Alertmanager's API writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatcherText {
    /// The label.
    pub name: String,
    /// The value, or the regular expression.
    pub value: String,
    /// Whether it is an expression.
    pub is_regex: bool,
    /// Whether it matches what is equal; otherwise what is not.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// A silence that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which one shall change; none or empty: a new one.
    pub id: Option<String>,
    /// All of them must match.
    pub matchers: Vec<MatcherText>,
    /// From when on; not before now.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// A silence that is there.
#[derive(Clone, Debug)]
pub struct Silence {
    /// A UUID.
    pub id: String,
    /// As they were written.
    pub matchers: Vec<MatcherText>,
    compiled: Vec<Matcher>,
    /// First moment.
    pub starts_at: Timestamp,
    /// The moment after the last one.
    pub ends_at: Timestamp,
    /// When it was made or changed.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// As it lies in the file: JSON, times in milliseconds.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    matchers: Vec<MatcherText>,
    starts_at_ms: i64,
    ends_at_ms: i64,
    updated_at_ms: i64,
    created_by: String,
    comment: String,
}

impl Silence {
    /// A silence with this id; `before` is what it was.
    pub(super) fn new(
        id: String,
        asked: &Asked,
        before: Option<&Silence>,
        now: Timestamp,
    ) -> Result<Silence, SilenceFault> {
        let fault = |what: String| Err(SilenceFault(what));
        let compiled = compile(&asked.matchers)?;
        let began = before.filter(|before| before.starts_at <= now).map(|before| before.starts_at);
        let starts_at = began.unwrap_or(asked.starts_at.max(now));
        if asked.ends_at <= now {
            return fault("the end lies in the past; choose a later one".to_owned());
        }
        if asked.ends_at <= starts_at {
            return fault("the end is not after the start; choose a later one".to_owned());
        }
        let texts = [("createdBy", &asked.created_by), ("comment", &asked.comment)];
        if let Some((name, _)) = texts.into_iter().find(|(_, text)| text.len() > TEXT_BYTES_MAX) {
            return fault(format!("`{name}` has more than {TEXT_BYTES_MAX} bytes; shorten it"));
        }
        Ok(Silence {
            id,
            matchers: asked.matchers.clone(),
            compiled,
            starts_at,
            ends_at: asked.ends_at,
            updated_at: now,
            created_by: asked.created_by.clone(),
            comment: asked.comment.clone(),
        })
    }

    /// Whether it can be changed into what is asked for, instead of making another one.
    pub(super) fn can_become(&self, asked: &Asked, now: Timestamp) -> bool {
        match self.state(now) {
            SilenceState::Expired => false,
            // What it matched until now stays known.
            SilenceState::Active => self.matchers == asked.matchers && asked.starts_at <= now,
            SilenceState::Pending => self.matchers == asked.matchers,
        }
    }

    /// The same, ended now.
    pub(super) fn ended(&self, now: Timestamp) -> Silence {
        Silence { starts_at: self.starts_at.min(now), ends_at: now, updated_at: now, ..self.clone() }
    }

    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if self.ends_at <= now {
            SilenceState::Expired
        } else if self.starts_at > now {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }

    /// Whether all its matchers match; a label that is missing is empty.
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.compiled.iter().all(|matcher| matcher.matches_labels(labels))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            id: self.id.clone(),
            matchers: self.matchers.clone(),
            starts_at_ms: self.starts_at.millis(),
            ends_at_ms: self.ends_at.millis(),
            updated_at_ms: self.updated_at.millis(),
            created_by: self.created_by.clone(),
            comment: self.comment.clone(),
        };
        // Texts and numbers are always written.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// `None` for what is no silence.
    pub(super) fn decode(payload: &[u8]) -> Option<Silence> {
        let stored: Stored = serde_json::from_slice(payload).ok()?;
        Some(Silence {
            compiled: compile(&stored.matchers).ok()?,
            id: stored.id,
            matchers: stored.matchers,
            starts_at: Timestamp::from_millis(stored.starts_at_ms),
            ends_at: Timestamp::from_millis(stored.ends_at_ms),
            updated_at: Timestamp::from_millis(stored.updated_at_ms),
            created_by: stored.created_by,
            comment: stored.comment,
        })
    }
}

fn compile(matchers: &[MatcherText]) -> Result<Vec<Matcher>, SilenceFault> {
    let fault = |what: String| Err(SilenceFault(what));
    if matchers.is_empty() || matchers.len() > MATCHERS_MAX {
        return fault(format!("a silence has 1 to {MATCHERS_MAX} matchers, this one {}", matchers.len()));
    }
    let mut compiled = Vec::with_capacity(matchers.len());
    for MatcherText { name, value, is_regex, is_equal } in matchers {
        if name.is_empty() || value.len() > TEXT_BYTES_MAX {
            return fault("a matcher needs the name of a label, and a value of at most 16 KiB".to_owned());
        }
        let matcher = Matcher::new(name.clone(), MatchOp::of(*is_regex, *is_equal), value.clone());
        compiled.push(matcher.map_err(|error| SilenceFault(format!("the matcher of `{name}`: {error}")))?);
    }
    if compiled.iter().all(Matcher::matches_empty) {
        return fault("at least one matcher must not match the empty text, or all alerts would be silenced".to_owned());
    }
    Ok(compiled)
}
