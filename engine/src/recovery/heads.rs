//! What the head of a record says, found out on any thread and applied later, in the order of the log.

use watchfire_model::LabelSet;

use super::Known;
use crate::backfill::Hours;
use crate::batch::SourcePosition;
use crate::bytes::{Damaged, put_bytes};
use crate::delete::Deletion;
use crate::exemplars::Exemplar;
use crate::fingerprint::Fingerprint;
use crate::kind::SeriesKind;
use crate::notes::MetricNote;
use crate::registry::Registry;
use crate::wal::definitions::Labels;
use crate::wal::record::{self, Heads, PointsAt};

/// How a record begins.
pub(super) enum Begins {
    Nowhere,
    Batch(Option<SourcePosition>),
    Backfill(Hours),
    Deletion(Deletion),
}

/// A series that a record defines, whose number was not known when it was looked at.
pub(super) struct Defined {
    pub(super) id: u64,
    pub(super) kind: SeriesKind,
    /// Of its key, and its shard.
    pub(super) hash: Fingerprint,
    pub(super) shard: usize,
    /// Where its key ends among those of the record.
    key_end: usize,
}

/// The head of a record.
pub(super) struct Head {
    pub(super) begins: Begins,
    pub(super) exemplars: Vec<(LabelSet, Exemplar)>,
    pub(super) notes: Vec<MetricNote>,
    defined: Vec<Defined>,
    /// Of the series that are defined, one after another.
    keys: Vec<u8>,
    /// Where counts and observations begin; nowhere if it has no points at all. An error if the head makes no sense; what it
    /// said before counts.
    pub(super) points: Result<Option<PointsAt>, Damaged>,
}

impl Head {
    /// The head of a payload.
    pub(super) fn of(payload: &[u8], known: &Known, registry: &Registry) -> Head {
        let head = Head {
            begins: Begins::Nowhere,
            exemplars: Vec::new(),
            notes: Vec::new(),
            defined: Vec::new(),
            keys: Vec::new(),
            points: Ok(None),
        };
        let mut looking = Looking { known, registry, head };
        let points = record::read_head(payload, &mut looking);
        Head { points, ..looking.head }
    }

    /// The series that it defines, each with its key.
    pub(super) fn defined(&self) -> impl Iterator<Item = (&Defined, &[u8])> {
        let mut start = 0;
        self.defined.iter().map(move |defined| {
            let key = self.keys.get(start..defined.key_end).unwrap_or_default();
            start = defined.key_end;
            (defined, key)
        })
    }
}

/// Notes what a head says.
struct Looking<'k> {
    known: &'k Known,
    registry: &'k Registry,
    head: Head,
}

impl Heads for Looking<'_> {
    fn begin(&mut self, source: Option<&SourcePosition>) {
        self.head.begins = Begins::Batch(source.cloned());
    }

    fn begin_backfill(&mut self, hours: &Hours) {
        self.head.begins = Begins::Backfill(hours.clone());
    }

    fn delete(&mut self, deletion: Deletion) {
        self.head.begins = Begins::Deletion(deletion);
    }

    fn exemplar(&mut self, _: u64, series: LabelSet, exemplar: Exemplar) {
        self.head.exemplars.push((series, exemplar));
    }

    fn notes(&mut self, notes: Vec<MetricNote>) {
        self.head.notes.extend(notes);
    }

    fn define(&mut self, id: u64, kind: SeriesKind, labels: &Labels) {
        // A number stands for one series for ever: what each stretch of the log says again is known.
        if self.known.by_id.contains_key(&id) {
            return;
        }
        let Head { keys, defined, .. } = &mut self.head;
        let start = keys.len();
        for (name, value) in labels {
            put_bytes(keys, name.as_bytes());
            put_bytes(keys, value.as_bytes());
        }
        let (hash, shard) = self.registry.place_of(keys.get(start..).unwrap_or_default());
        defined.push(Defined { id, kind, hash, shard, key_end: keys.len() });
    }
}
