//! What the journal holds, and its bytes.
//!
//! ```text
//! entry    length u32 | crc32 u32 over length and payload | payload
//! payload  1 put:    rule u64, loose u64, group, name, life, value f64, evaluated_at i64,
//!                    labels, result labels, annotations, receivers
//!          2 forget: rule u64, labels
//!          3 clock:  time i64
//! life     1 pending:  active_at
//!          2 firing:   active_at, fired_at, kept_since (i64::MIN = none)
//!          3 resolved: active_at, fired_at, resolved_at
//! text     length u32, UTF-8;  list: count u32, items;  all little-endian
//! ```

use watchfire_model::{LabelSet, Timestamp};

use crate::state::Life;

/// Largest payload, bytes; a larger one is not written and no header that names one is believed.
pub(super) const PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 8;

const PUT: u8 = 1;
const FORGET: u8 = 2;
const CLOCK: u8 = 3;
const PENDING: u8 = 1;
const FIRING: u8 = 2;
const RESOLVED: u8 = 3;
const NO_TIME: i64 = i64::MIN;

/// A rule as the journal knows it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleKey {
    /// Hash of group, name, query and labels: the same rule.
    pub exact: u64,
    /// Hash of group, name and labels: the same rule, after its query was edited.
    pub loose: u64,
    /// The group's name.
    pub group: String,
    /// The rule's name.
    pub name: String,
}

/// An alert as it is kept: all that is needed to go on, and to tell of its end without its rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredAlert {
    pub rule: RuleKey,
    pub life: Life,
    pub value: f64,
    pub evaluated_at: Timestamp,
    pub labels: LabelSet,
    pub result_labels: LabelSet,
    pub annotations: Vec<(String, String)>,
    pub receivers: Vec<String>,
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// This is how the alert stands now.
    Put(StoredAlert),
    /// The alert needs no remembering any more.
    Forget { rule: u64, labels: LabelSet },
    /// Rules were evaluated at this time.
    Clock(Timestamp),
}

/// Appends a put entry; `false` if it would be too large, and then nothing is appended.
pub(crate) fn put(out: &mut Vec<u8>, alert: &StoredAlert) -> bool {
    framed(out, |out| {
        out.push(PUT);
        out.extend(alert.rule.exact.to_le_bytes());
        out.extend(alert.rule.loose.to_le_bytes());
        text(out, &alert.rule.group);
        text(out, &alert.rule.name);
        let (kind, times) = match alert.life {
            Life::Pending { active_at } => (PENDING, [Some(active_at), None, None]),
            Life::Firing { active_at, fired_at, kept_since } => (FIRING, [Some(active_at), Some(fired_at), kept_since]),
            Life::Resolved { active_at, fired_at, resolved_at } => {
                (RESOLVED, [Some(active_at), Some(fired_at), Some(resolved_at)])
            }
        };
        out.push(kind);
        for at in times {
            out.extend(at.map_or(NO_TIME, Timestamp::millis).to_le_bytes());
        }
        out.extend(alert.value.to_bits().to_le_bytes());
        out.extend(alert.evaluated_at.millis().to_le_bytes());
        labels(out, &alert.labels);
        labels(out, &alert.result_labels);
        count(out, alert.annotations.len());
        for (name, value) in &alert.annotations {
            text(out, name);
            text(out, value);
        }
        count(out, alert.receivers.len());
        for receiver in &alert.receivers {
            text(out, receiver);
        }
    })
}

/// Appends a forget entry.
pub(crate) fn forget(out: &mut Vec<u8>, rule: u64, alert: &LabelSet) -> bool {
    framed(out, |out| {
        out.push(FORGET);
        out.extend(rule.to_le_bytes());
        labels(out, alert);
    })
}

/// Appends a clock entry.
pub(crate) fn clock(out: &mut Vec<u8>, at: Timestamp) -> bool {
    framed(out, |out| {
        out.push(CLOCK);
        out.extend(at.millis().to_le_bytes());
    })
}

/// Reads the entry at the beginning of `bytes`: its length with the header, and what it says.
pub(super) fn read(bytes: &[u8]) -> Option<(usize, Entry)> {
    let (length_bytes, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length_bytes)).ok()?;
    if length == 0 || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    if checksum(length_bytes, payload) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut fields = Fields(payload);
    let entry = fields.entry()?;
    fields.0.is_empty().then_some((HEADER_BYTES + length, entry))
}

fn checksum(length: &[u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = out.len();
    out.extend([0; HEADER_BYTES]);
    write(out);
    let length = out.len() - start - HEADER_BYTES;
    let Some(header) = u32::try_from(length).ok().filter(|_| length <= PAYLOAD_BYTES_MAX).map(u32::to_le_bytes) else {
        out.truncate(start);
        return false;
    };
    let crc = checksum(&header, &out[start + HEADER_BYTES..]);
    out[start..start + 4].copy_from_slice(&header);
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    true
}

/// A text or list above 4 GiB does not fit any payload, so that the saturated count is never kept.
fn count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    count(out, text.len());
    out.extend(text.as_bytes());
}

fn labels(out: &mut Vec<u8>, labels: &LabelSet) {
    count(out, labels.len());
    for (name, value) in labels.iter() {
        text(out, name);
        text(out, value);
    }
}

/// What is left to read of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn entry(&mut self) -> Option<Entry> {
        match self.byte()? {
            PUT => self.alert().map(Entry::Put),
            FORGET => Some(Entry::Forget { rule: self.u64()?, labels: self.labels()? }),
            CLOCK => Some(Entry::Clock(Timestamp::from_millis(self.i64()?))),
            _ => None,
        }
    }

    fn alert(&mut self) -> Option<StoredAlert> {
        Some(StoredAlert {
            rule: RuleKey {
                exact: self.u64()?,
                loose: self.u64()?,
                group: self.text()?.to_owned(),
                name: self.text()?.to_owned(),
            },
            life: self.life()?,
            value: f64::from_bits(self.u64()?),
            evaluated_at: Timestamp::from_millis(self.i64()?),
            labels: self.labels()?,
            result_labels: self.labels()?,
            annotations: self.list(|fields| Some((fields.text()?.to_owned(), fields.text()?.to_owned())))?,
            receivers: self.list(|fields| fields.text().map(str::to_owned))?,
        })
    }

    fn life(&mut self) -> Option<Life> {
        let kind = self.byte()?;
        let times = [self.time()?, self.time()?, self.time()?];
        match (kind, times) {
            (PENDING, [Some(active_at), None, None]) => Some(Life::Pending { active_at }),
            (FIRING, [Some(active_at), Some(fired_at), kept_since]) => {
                Some(Life::Firing { active_at, fired_at, kept_since })
            }
            (RESOLVED, [Some(active_at), Some(fired_at), Some(resolved_at)]) => {
                Some(Life::Resolved { active_at, fired_at, resolved_at })
            }
            _ => None,
        }
    }

    fn time(&mut self) -> Option<Option<Timestamp>> {
        let millis = self.i64()?;
        Some((millis != NO_TIME).then(|| Timestamp::from_millis(millis)))
    }

    fn labels(&mut self) -> Option<LabelSet> {
        let pairs = self.list(|fields| Some((fields.text()?, fields.text()?)))?;
        LabelSet::from_pairs(pairs).ok()
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Fields<'a>) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        // Grown as items are read: a lying count cannot reserve memory.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn count(&mut self) -> Option<usize> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn i64(&mut self) -> Option<i64> {
        self.u64().map(u64::cast_signed)
    }
}
