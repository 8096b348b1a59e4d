//! How far each source has been applied, and how much of that is durable.

use std::collections::{HashMap, VecDeque};

use crate::batch::SourcePosition;

/// One life of one partition of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SourceKey {
    queue: String,
    epoch: u64,
    partition: u32,
}

#[derive(Default)]
struct Position {
    /// Everything below is applied.
    applied: u64,
    /// Everything below survives a power cut.
    durable: u64,
    /// Record of the log and the offset after it, for what is applied and not known to be durable.
    pending: VecDeque<(u64, u64)>,
}

/// What is to be done with a batch of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    New,
    /// All of it is applied already.
    Known,
    /// A part of it is applied: it can be neither applied nor left out whole.
    Overlap {
        applied: u64,
    },
}

/// Positions of all sources.
#[derive(Default)]
pub(crate) struct Positions {
    all: HashMap<SourceKey, Position>,
}

fn key_of(source: &SourcePosition) -> SourceKey {
    SourceKey { queue: source.queue.clone(), epoch: source.epoch, partition: source.partition }
}

impl Positions {
    /// What to do with numbers derived from these offsets.
    pub(crate) fn arrival(&self, source: &SourcePosition) -> Arrival {
        match self.all.get(&key_of(source)).map(|position| position.applied) {
            Some(applied) if source.next_offset <= applied => Arrival::Known,
            Some(applied) if source.first_offset < applied => Arrival::Overlap { applied },
            Some(_) | None => Arrival::New,
        }
    }

    /// Notes that a record of the log holds these offsets.
    pub(crate) fn applied(&mut self, source: &SourcePosition, lsn: u64) {
        let position = self.all.entry(key_of(source)).or_default();
        position.applied = position.applied.max(source.next_offset);
        position.pending.push_back((lsn, position.applied));
    }

    /// Takes over what a snapshot says.
    pub(crate) fn restore(&mut self, source: &SourcePosition) {
        let position = self.all.entry(key_of(source)).or_default();
        (position.applied, position.durable) = (source.next_offset, source.next_offset);
    }

    /// Notes that the records below this number are durable.
    pub(crate) fn synced(&mut self, lsn: u64) {
        for position in self.all.values_mut() {
            while let Some((record, offset)) = position.pending.front().copied()
                && record < lsn
            {
                position.durable = offset;
                position.pending.pop_front();
            }
        }
    }

    /// The offset to read next.
    pub(crate) fn next(&self, queue: &str, epoch: u64, partition: u32) -> Option<u64> {
        let key = SourceKey { queue: queue.to_owned(), epoch, partition };
        self.all.get(&key).map(|position| position.applied)
    }

    /// The offset below which the queue may forget.
    pub(crate) fn durable(&self, queue: &str, epoch: u64, partition: u32) -> Option<u64> {
        let key = SourceKey { queue: queue.to_owned(), epoch, partition };
        self.all.get(&key).map(|position| position.durable)
    }

    /// All positions, sorted; `first_offset` is what is durable.
    pub(crate) fn list(&self) -> Vec<SourcePosition> {
        let mut all: Vec<SourcePosition> = self
            .all
            .iter()
            .map(|(key, position)| SourcePosition {
                queue: key.queue.clone(),
                epoch: key.epoch,
                partition: key.partition,
                first_offset: position.durable,
                next_offset: position.applied,
            })
            .collect();
        all.sort_by(|a, b| (&a.queue, a.epoch, a.partition).cmp(&(&b.queue, b.epoch, b.partition)));
        all
    }
}
