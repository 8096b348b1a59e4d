//! Many series entered at once, as a start finds them: gathered, then those of a shard one after another, on all cores.
//!
//! The tables of a shard stay in the processor's caches then; to enter series in their own order is to wait for memory with
//! nearly every label.

use std::ops::Range;
use std::sync::Arc;

use crate::cores;
use crate::fingerprint::Fingerprint;
use crate::forms::Forms;
use crate::kind::SeriesKind;
use crate::registry::Registry;
use crate::series::{Series, SeriesState};
use crate::shard::NewSeries;

/// Series that are to be entered.
pub(crate) struct Entering<'r> {
    registry: &'r Registry,
    /// By shard, so that each thread reads on where it is; with their keys, one after another.
    gathered: Vec<Vec<Gathered>>,
    keys: Vec<Vec<u8>>,
    key_bytes: usize,
    many: usize,
}

/// A series that is to be entered.
pub(crate) struct Entrant<'k> {
    pub(crate) id: u64,
    pub(crate) kind: SeriesKind,
    /// Of a label set; with its fingerprint and shard.
    pub(crate) key: &'k [u8],
    pub(crate) place: (Fingerprint, usize),
    pub(crate) state: SeriesState,
    /// The last record of the log that this contains already.
    pub(crate) contains_lsn: u64,
}

/// A series that was entered, or was there already.
pub(crate) struct Entered {
    /// Of who was to be entered.
    pub(crate) id: u64,
    pub(crate) contains_lsn: u64,
    pub(crate) series: Arc<Series>,
}

struct Gathered {
    /// Its place among all that are gathered.
    number: usize,
    new: NewSeries,
    /// Where its key is among those of the shard.
    key: Range<usize>,
    state: SeriesState,
    contains_lsn: u64,
}

impl<'r> Entering<'r> {
    pub(crate) fn new(registry: &'r Registry) -> Entering<'r> {
        let gathered = registry.shards.iter().map(|_| Vec::new()).collect();
        let keys = registry.shards.iter().map(|_| Vec::new()).collect();
        Entering { registry, gathered, keys, key_bytes: 0, many: 0 }
    }

    /// Adds a series.
    pub(crate) fn add(&mut self, entrant: Entrant) {
        let Entrant { id, kind, key, place: (hash, shard), state, contains_lsn } = entrant;
        self.registry.continue_from(id.saturating_add(1));
        // There are few shards.
        let new = NewSeries { id, hash, shard: shard as u32, kind, defined: true };
        if let (Some(of_shard), Some(keys)) = (self.gathered.get_mut(shard), self.keys.get_mut(shard)) {
            let start = keys.len();
            keys.extend_from_slice(key);
            let key = start..keys.len();
            self.key_bytes += key.len();
            of_shard.push(Gathered { number: self.many, new, key, state, contains_lsn });
            self.many += 1;
        }
    }

    /// Memory of the keys that are gathered.
    pub(crate) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// Enters what is gathered, unless it is there already, and gives each in the order in which they were added. Those are
    /// left out whose labels found no room.
    pub(crate) fn enter(&mut self) -> impl Iterator<Item = Entered> + use<> {
        let mut all: Vec<Option<Entered>> = (0..self.many).map(|_| None).collect();
        let gathered = self.gathered.iter_mut().map(std::mem::take).enumerate();
        let with_keys = gathered.zip(&self.keys).filter(|((_, some), _)| !some.is_empty()).collect();
        let registry = self.registry;
        let mut forms = Vec::new();
        for of_shard in cores::on_all(with_keys, |((shard, some), keys)| enter_all(registry, shard, some, keys)) {
            for (number, entered) in of_shard.entered {
                if let Some(place) = all.get_mut(number) {
                    *place = Some(entered);
                }
            }
            forms.extend(of_shard.forms.into_all());
        }
        // What the first series of a metric says of its type counts.
        forms.sort_unstable_by_key(|form| form.first);
        forms.iter().for_each(|form| registry.catalogue.added(form.kind, form.key, form.series));
        self.keys.iter_mut().for_each(Vec::clear);
        (self.key_bytes, self.many) = (0, 0);
        all.into_iter().flatten()
    }
}

/// What was entered into a shard.
#[derive(Default)]
struct OfShard<'k> {
    /// Each with its place among all that are gathered.
    entered: Vec<(usize, Entered)>,
    forms: Forms<'k>,
}

/// Enters series of one shard.
fn enter_all<'k>(registry: &Registry, number: usize, some: Vec<Gathered>, keys: &'k [u8]) -> OfShard<'k> {
    let OfShard { mut entered, mut forms } = OfShard::default();
    let Some(shard) = registry.shards.get(number) else { return OfShard { entered, forms } };
    let mut shard = shard.write();
    let bytes_before = shard.bytes();
    let mut new_series = 0;
    entered.reserve_exact(some.len());
    shard.reserve(some.len());
    for Gathered { number, new, key, state, contains_lsn } in some {
        let (id, kind) = (new.id, new.kind);
        if let Some(series) = shard.find(new.hash, kind.class()) {
            entered.push((number, Entered { id, contains_lsn, series: series.clone() }));
            continue;
        }
        let key = keys.get(key).unwrap_or_default();
        let Ok(series) = shard.insert(new, key, state) else { continue };
        forms.count(number, kind, key, &series.pairs, &shard.pairs);
        new_series += 1;
        entered.push((number, Entered { id, contains_lsn, series }));
    }
    let bytes = shard.bytes().saturating_sub(bytes_before);
    registry.grown(new_series, bytes);
    OfShard { entered, forms }
}
