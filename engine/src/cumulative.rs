//! Events counted per second, with their running total, so that a window costs two searches.
//!
//! The newest seconds are open and carry the total up to them; older ones are packed into chunks of at most
//! 128 (second, count), each with the total before it. An event dated into a packed second changes that
//! chunk and the totals after it. Chunks that are old lie in blocks (see `stored`).
//!
//! Invariants: seconds ascend strictly; totals are the sum of all counts before, pruned ones included.

mod rewrite;
mod stored;

use std::sync::Arc;

use watchfire_model::{Sample, Timestamp};

pub(crate) use rewrite::{Leaving, Left};

use crate::blocks::{Blocks, Loads};
use crate::bytes::{Cursor, Damaged, put_bytes, put_value, put_varint};
use crate::chunk::{Chunk, Codec};
use stored::{Edge, Stored};

/// Open seconds that are packed into a chunk.
const OPEN_MAX: usize = 64;
/// A chunk that grew beyond this by late events is cut in two.
const SPLIT_ABOVE: usize = 256;

/// An open second.
#[derive(Clone, Copy)]
struct Bucket {
    second: u32,
    count: f64,
    /// Total up to the end of this second.
    total: f64,
}

/// A packed run of seconds; the times of the chunk are seconds, its values counts.
struct Packed {
    /// Total before its first second.
    before: f64,
    chunk: Arc<Chunk>,
}

/// What stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    /// Events up to and with that second.
    pub(crate) total: f64,
    /// The last second with an event; `None` if there was none yet (or it is forgotten).
    pub(crate) last: Option<u32>,
}

/// Counts per second and their running total.
#[derive(Default)]
pub(crate) struct Cumulative {
    packed: Vec<Packed>,
    open: Vec<Bucket>,
    /// What was pruned: its last second and the total up to it.
    pruned: Option<(u32, f64)>,
    /// What lies in blocks, older than all that is here.
    stored: Option<Box<Stored>>,
}

impl Cumulative {
    /// What came for seconds that lie in blocks, in parts.
    fn since(&self) -> impl Iterator<Item = &Cumulative> {
        self.stored.iter().flat_map(|stored| stored.since())
    }

    /// The total of everything.
    pub(crate) fn total(&self) -> f64 {
        self.since().fold(self.own_total(), |total, since| total + since.own_total())
    }

    /// The total without what came for seconds that lie in blocks.
    fn own_total(&self) -> f64 {
        match (self.open.last(), self.pruned) {
            (Some(bucket), _) => bucket.total,
            (None, Some((_, total))) => total,
            (None, None) => 0.0,
        }
    }

    /// The newest second with an event.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.open.last().map(|bucket| bucket.second).or(self.pruned.map(|(second, _)| second))
    }

    /// The oldest second that is still known, or the last one pruned.
    pub(crate) fn oldest(&self) -> Option<u32> {
        let of_blocks = || self.stored.as_ref()?.spans.first().map(|span| span.first);
        let own = self
            .pruned
            .map(|(second, _)| second)
            .or_else(of_blocks)
            .or_else(|| self.packed.first().map(|packed| packed.chunk.first() as u32))
            .or_else(|| self.open.first().map(|bucket| bucket.second));
        self.since().filter_map(Cumulative::oldest).chain(own).min()
    }

    /// Whether any second is kept in detail.
    pub(crate) fn has_buckets(&self) -> bool {
        !self.open.is_empty()
    }

    /// How many seconds are kept, in memory and in blocks.
    pub(crate) fn count(&self) -> u64 {
        let packed: u64 = self.packed.iter().map(|packed| packed.chunk.count() as u64).sum();
        packed + self.open.len() as u64 + self.stored.as_ref().map_or(0, |stored| stored.count())
    }

    /// Adds events to a second.
    pub(crate) fn add(&mut self, second: u32, count: f64, codec: &mut Codec) {
        match self.open.last() {
            Some(last) if second < last.second => return self.add_earlier(second, count, codec),
            Some(last) if second == last.second => {
                if let Some(last) = self.open.last_mut() {
                    last.count += count;
                    last.total += count;
                }
                return;
            }
            Some(_) | None => {}
        }
        if let (None, Some((pruned, total))) = (self.open.last(), self.pruned)
            && second <= pruned
        {
            self.pruned = Some((pruned, total + count));
            return;
        }
        let total = self.own_total() + count;
        if self.open.len() >= OPEN_MAX {
            self.pack(OPEN_MAX - 1, codec);
        }
        self.open.push(Bucket { second, count, total });
    }

    /// Adds to all totals but that of what was pruned.
    fn shift(&mut self, count: f64) {
        if let Some(stored) = &mut self.stored {
            stored.shift(count);
        }
        self.shift_memory(count);
    }

    fn shift_memory(&mut self, count: f64) {
        self.packed.iter_mut().for_each(|packed| packed.before += count);
        self.open.iter_mut().for_each(|bucket| bucket.total += count);
    }

    /// Packs the first `many` open seconds. At least one stays open, so that the end is always at hand.
    fn pack(&mut self, many: usize, codec: &mut Codec) {
        let Some(first) = self.open.first() else { return };
        let before = first.total - first.count;
        let run: Vec<Sample> = self.open.iter().take(many).map(|b| at_second(b.second, b.count)).collect();
        self.open.drain(..many);
        self.packed.extend(codec.seal(&run).map(|chunk| Packed { before, chunk: Arc::new(chunk) }));
    }

    fn add_earlier(&mut self, second: u32, count: f64, codec: &mut Codec) {
        if let Some((pruned, total)) = &mut self.pruned
            && second <= *pruned
        {
            // Its detail is gone; the total is not.
            *total += count;
            self.shift(count);
            return;
        }
        if let Some(stored) = &mut self.stored
            && second <= stored.last()
        {
            stored.over.add(second, count, codec);
            return;
        }
        let place = self.open.partition_point(|bucket| bucket.second < second);
        let in_open = place > 0 || self.packed.is_empty() || self.open.first().is_some_and(|b| b.second == second);
        if in_open {
            let before = self.open.get(place).map_or(0.0, |bucket| bucket.total - bucket.count);
            self.open.iter_mut().skip(place).for_each(|bucket| bucket.total += count);
            match self.open.get_mut(place) {
                Some(bucket) if bucket.second == second => bucket.count += count,
                _ => self.open.insert(place, Bucket { second, count, total: before + count }),
            }
            if self.open.len() > OPEN_MAX {
                self.pack(OPEN_MAX / 2, codec);
            }
            return;
        }
        let at = self.packed.partition_point(|packed| packed.chunk.first() <= i64::from(second)).saturating_sub(1);
        let mut run = Vec::with_capacity(SPLIT_ABOVE + 1);
        let before = self.packed[at].before;
        read_chunk(&self.packed[at].chunk, codec, &mut run);
        let wanted = Timestamp::from_millis(i64::from(second));
        match run.binary_search_by_key(&wanted, |sample| sample.timestamp) {
            Ok(at) => run[at].value += count,
            Err(at) => run.insert(at, at_second(second, count)),
        }
        let part = if run.len() > SPLIT_ABOVE { run.len().div_ceil(2) } else { run.len() };
        let mut before_part = before;
        let mut parts = Vec::with_capacity(2);
        for part in run.chunks(part) {
            parts.extend(codec.seal(part).map(|chunk| Packed { before: before_part, chunk: Arc::new(chunk) }));
            before_part += part.iter().map(|sample| sample.value).sum::<f64>();
        }
        self.packed.iter_mut().skip(at + 1).for_each(|packed| packed.before += count);
        self.open.iter_mut().for_each(|bucket| bucket.total += count);
        self.packed.splice(at..=at, parts);
    }

    /// What stands at the end of a second.
    pub(crate) fn at(&self, second: u32, loads: &mut Loads, codec: &mut Codec) -> Standing {
        self.at_edge(second, Edge::Right, loads, codec)
    }

    fn at_edge(&self, second: u32, edge: Edge, loads: &mut Loads, codec: &mut Codec) -> Standing {
        let mut standing = self.own_at(second, edge, loads, codec);
        for since in self.since() {
            let more = since.own_at(second, edge, loads, codec);
            standing = Standing { total: standing.total + more.total, last: standing.last.max(more.last) };
        }
        standing
    }

    /// The total before all that is in memory.
    fn total_before_memory(&self) -> f64 {
        let packed = self.packed.first().map(|packed| packed.before);
        packed.or(self.open.first().map(|bucket| bucket.total - bucket.count)).unwrap_or(0.0)
    }

    /// What stands without what came for seconds that lie in blocks.
    fn own_at(&self, second: u32, edge: Edge, loads: &mut Loads, codec: &mut Codec) -> Standing {
        let place = self.open.partition_point(|bucket| bucket.second <= second);
        if let Some(bucket) = place.checked_sub(1).and_then(|at| self.open.get(at)) {
            return Standing { total: bucket.total, last: Some(bucket.second) };
        }
        let place = self.packed.partition_point(|packed| packed.chunk.first() <= i64::from(second));
        let Some(packed) = place.checked_sub(1).and_then(|at| self.packed.get(at)) else {
            let end = self.total_before_memory();
            let of_blocks = self.stored.as_ref().and_then(|stored| stored.at(second, (edge, end), loads, codec));
            return of_blocks.unwrap_or(match self.pruned {
                Some((pruned, total)) => Standing { total, last: (pruned <= second).then_some(pruned) },
                None => Standing { total: 0.0, last: None },
            });
        };
        if packed.chunk.last() <= i64::from(second) {
            let after = self.packed.get(place).map(|next| next.before);
            let total = after.or(self.open.first().map(|bucket| bucket.total - bucket.count));
            return Standing { total: total.unwrap_or(packed.before), last: Some(packed.chunk.last() as u32) };
        }
        let Ok((seconds, counts)) = codec.decode(packed.chunk.bytes()) else {
            return Standing { total: packed.before, last: None };
        };
        let inside = seconds.partition_point(|have| *have <= i64::from(second));
        let total = packed.before + counts.iter().take(inside).sum::<f64>();
        Standing { total, last: inside.checked_sub(1).and_then(|at| seconds.get(at)).map(|second| *second as u32) }
    }

    /// Appends (second, count) for `after < second <= last`, ascending. Says whether nothing of them is lost.
    pub(crate) fn buckets(
        &self,
        after: i64,
        last: i64,
        loads: &mut Loads,
        codec: &mut Codec,
        out: &mut Vec<(u32, f64)>,
    ) -> bool {
        let Some(stored) = &self.stored else {
            self.memory_buckets(after, last, codec, out);
            return true;
        };
        let mut all = Vec::new();
        let whole = stored.buckets(after, last, loads, codec, &mut all);
        self.memory_buckets(after, last, codec, &mut all);
        if stored.has_since() {
            stored.since().for_each(|since| since.memory_buckets(after, last, codec, &mut all));
            add_up(&mut all);
        }
        out.append(&mut all);
        whole
    }

    /// The same of what is in memory.
    fn memory_buckets(&self, after: i64, last: i64, codec: &mut Codec, out: &mut Vec<(u32, f64)>) {
        let from = self.packed.partition_point(|packed| packed.chunk.last() <= after);
        for packed in self.packed[from..].iter().take_while(|packed| packed.chunk.first() <= last) {
            if let Ok((seconds, counts)) = codec.decode(packed.chunk.bytes()) {
                out.extend(
                    seconds
                        .iter()
                        .zip(counts)
                        .filter(|(second, _)| **second > after && **second <= last)
                        .map(|(second, count)| (*second as u32, *count)),
                );
            }
        }
        let inside = |bucket: &&Bucket| i64::from(bucket.second) > after && i64::from(bucket.second) <= last;
        out.extend(self.open.iter().filter(inside).map(|bucket| (bucket.second, bucket.count)));
    }

    /// Events of `after < second <= last`, and the last second with one up to its end.
    pub(crate) fn window(&self, after: i64, last: u32, loads: &mut Loads, codec: &mut Codec) -> Standing {
        let standing = self.at(last, loads, codec);
        let events = standing.total - self.total_before(after, loads, codec);
        // What is lost on both sides of a window counts on neither.
        let events = if self.stored.is_some() { events.max(0.0) } else { events };
        Standing { total: events, last: standing.last }
    }

    /// The total before the first second after `after`.
    pub(crate) fn total_before(&self, after: i64, loads: &mut Loads, codec: &mut Codec) -> f64 {
        match u32::try_from(after) {
            Ok(second) => self.at_edge(second, Edge::Left, loads, codec).total,
            Err(_) if after < 0 => {
                let pruned = |part: &Cumulative| part.pruned.map_or(0.0, |(_, total)| total);
                self.since().fold(pruned(self), |total, since| total + pruned(since))
            }
            Err(_) => self.total(),
        }
    }

    /// Whether seconds with `after < second <= last` may have to be read from a disk.
    pub(crate) fn reads_disk(&self, after: i64, last: i64) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.overlaps(after, last))
    }

    /// Forgets the detail of seconds before a time, chunk by chunk; totals stay. Says how many seconds went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        let had = self.count();
        let old = self.packed.partition_point(|packed| packed.chunk.last() < horizon);
        let is_over = self.open.last().is_some_and(|bucket| i64::from(bucket.second) < horizon);
        if is_over || old > 0 {
            self.forget_stored();
        } else {
            self.prune_stored(horizon);
        }
        if is_over {
            self.pruned = self.open.last().map(|bucket| (bucket.second, bucket.total));
            self.packed = Vec::new();
            self.open = Vec::new();
        } else if let Some(last) = old.checked_sub(1).and_then(|at| self.packed.get(at)) {
            let after = self.packed.get(old).map(|next| next.before);
            let total = after.or(self.open.first().map(|bucket| bucket.total - bucket.count)).unwrap_or(0.0);
            self.pruned = Some((last.chunk.last() as u32, total));
            self.packed.drain(..old);
        }
        had - self.count()
    }

    /// Forgets all that lies in blocks; it is in the totals.
    fn forget_stored(&mut self) {
        let Some(stored) = self.stored.take() else { return };
        let since: f64 = stored.since().map(Cumulative::own_total).sum();
        let end = self.total_before_memory() + since;
        if since != 0.0 {
            self.shift_memory(since);
        }
        if let Some(last) = stored.spans.last() {
            self.pruned = Some((last.last, end));
        }
    }

    fn prune_stored(&mut self, horizon: i64) {
        let Some(stored) = &mut self.stored else { return };
        let old = stored.spans.partition_point(|span| i64::from(span.last) < horizon);
        if old == stored.spans.len() {
            return self.forget_stored();
        }
        if let (Some(last), Some(next)) =
            (old.checked_sub(1).and_then(|at| stored.spans.get(at)), stored.spans.get(old))
        {
            self.pruned = Some((last.last, next.before));
            stored.spans.drain(..old);
        }
        stored.over.prune(horizon);
    }

    /// Forgets the detail in memory of seconds before a time: it cannot go to blocks, and memory is short. What lies in
    /// blocks stays. Says how many seconds went.
    pub(crate) fn drop_from_memory(&mut self, horizon: i64) -> u64 {
        let had = self.count();
        let Some(stored) = &mut self.stored else { return self.prune(horizon) };
        let old = self.packed.partition_point(|packed| packed.chunk.last() < horizon);
        if let (Some(first), Some(last)) = (self.packed.first(), old.checked_sub(1).and_then(|at| self.packed.get(at)))
        {
            stored.lose(first.chunk.first() as u32, last.chunk.last() as u32, first.before);
            self.packed.drain(..old);
        }
        stored.over.prune(horizon);
        had - self.count()
    }

    /// Brings back everything that lies in blocks, so that it can be changed. What cannot be read is lost.
    fn bring_back(&mut self, codec: &mut Codec) {
        let Some(stored) = self.stored.take() else { return };
        let chunks = stored.chunks(codec).into_iter().map(|(before, chunk)| Packed { before, chunk });
        self.packed.splice(..0, chunks);
        let mut since = Vec::new();
        stored.since().for_each(|part| part.memory_buckets(i64::MIN, i64::MAX, codec, &mut since));
        since.into_iter().for_each(|(second, count)| self.add(second, count, codec));
    }

    /// The series has left: nothing on disk is named any more.
    pub(crate) fn leave_disk(&mut self) {
        self.stored = None;
    }

    /// The last second whose detail was pruned.
    pub(crate) fn pruned(&self) -> Option<u32> {
        self.pruned.map(|(second, _)| second)
    }

    /// Takes out the events of `after < second <= last`, as if they had never been.
    pub(crate) fn clear(&mut self, after: i64, last: i64, codec: &mut Codec) {
        let inside = |second: u32| i64::from(second) > after && i64::from(second) <= last;
        let mut all = Vec::new();
        self.memory_buckets(i64::MIN, i64::MAX, codec, &mut all);
        let is_stored = self.stored.as_ref().is_some_and(|stored| stored.has_since() || stored.overlaps(after, last));
        if !is_stored && !all.iter().any(|(second, _)| inside(*second)) {
            return;
        }
        if self.stored.is_some() {
            self.bring_back(codec);
            all.clear();
            self.memory_buckets(i64::MIN, i64::MAX, codec, &mut all);
        }
        *self = Cumulative { pruned: self.pruned, ..Cumulative::default() };
        for (second, count) in all.into_iter().filter(|(second, _)| !inside(*second)) {
            self.add(second, count, codec);
        }
    }

    /// Calls back with the end (seconds) and memory of each packed chunk.
    pub(crate) fn packed_sizes(&self, mut each: impl FnMut(i64, usize)) {
        let parts = std::iter::once(self).chain(self.since());
        let packed = parts.flat_map(|part| &part.packed);
        packed.for_each(|packed| each(packed.chunk.last(), packed.chunk.memory_bytes()));
    }

    /// Packs all but the last second of a series that has been quiet, and gives spare room back.
    pub(crate) fn compact(&mut self, codec: &mut Codec) {
        if self.open.len() > 1 {
            self.pack(self.open.len() - 1, codec);
        }
        self.open.shrink_to_fit();
        self.packed.shrink_to_fit();
    }

    /// Memory beside the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.packed.iter().map(|packed| packed.chunk.memory_bytes()).sum::<usize>()
            + self.packed.capacity() * size_of::<Packed>()
            + self.open.capacity() * size_of::<Bucket>()
            + self.stored.as_ref().map_or(0, |stored| stored.memory_bytes())
    }

    /// Whether anything of it lies in blocks.
    pub(crate) fn has_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Appends, for a snapshot, where the rest of it lies.
    pub(crate) fn write_stored(&self, out: &mut Vec<u8>) {
        if let Some(stored) = &self.stored {
            stored.write(out);
        }
    }

    /// Reads what `write_stored` wrote, to what `write` wrote.
    pub(crate) fn read_stored(
        &mut self,
        cursor: &mut Cursor,
        codec: &mut Codec,
        blocks: &Blocks,
    ) -> Result<(), Damaged> {
        let stored = Stored::read_from(cursor, codec, blocks)?;
        let first = self.packed.first().map(|packed| packed.chunk.first() as u32);
        let first = first.or(self.open.first().map(|bucket| bucket.second));
        if first.is_none_or(|first| first <= stored.last()) {
            return Err(Damaged("seconds in blocks do not lie before those in memory"));
        }
        self.stored = Some(Box::new(stored)).filter(|stored| !stored.spans.is_empty());
        Ok(())
    }

    /// Appends what is in memory of it for a snapshot.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.pruned {
            Some((second, total)) => {
                out.push(1);
                put_varint(out, u64::from(second));
                put_value(out, total);
            }
            None => out.push(0),
        }
        put_varint(out, self.packed.len() as u64);
        for packed in &self.packed {
            put_value(out, packed.before);
            put_bytes(out, packed.chunk.bytes());
        }
        put_varint(out, self.open.len() as u64);
        for bucket in &self.open {
            put_varint(out, u64::from(bucket.second));
            put_value(out, bucket.count);
            put_value(out, bucket.total);
        }
    }

    /// Reads what `write` wrote, and checks the invariants.
    pub(crate) fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Cumulative, Damaged> {
        let mut all = Cumulative::default();
        let mut newest = -1i64;
        if cursor.u8()? == 1 {
            let (second, total) = (cursor.varint_u32()?, cursor.value()?);
            newest = i64::from(second);
            all.pruned = Some((second, total));
        }
        for _ in 0..cursor.length(1 << 24)? {
            let before = cursor.value()?;
            let chunk = Chunk::read(cursor.bytes()?, codec)?;
            if chunk.first() <= newest || u32::try_from(chunk.last()).is_err() {
                return Err(Damaged("the seconds of a counter do not ascend"));
            }
            newest = chunk.last();
            all.packed.push(Packed { before, chunk: Arc::new(chunk) });
        }
        for _ in 0..cursor.length(OPEN_MAX)? {
            let (second, count, total) = (cursor.varint_u32()?, cursor.value()?, cursor.value()?);
            if i64::from(second) <= newest {
                return Err(Damaged("the seconds of a counter do not ascend"));
            }
            newest = i64::from(second);
            all.open.push(Bucket { second, count, total });
        }
        if all.open.is_empty() && !all.packed.is_empty() {
            return Err(Damaged("a counter has packed seconds and no open one"));
        }
        Ok(all)
    }
}

fn at_second(second: u32, count: f64) -> Sample {
    Sample { timestamp: Timestamp::from_millis(i64::from(second)), value: count }
}

/// Sorts counts by their seconds, and makes one of those of the same second.
pub(crate) fn add_up(all: &mut Vec<(u32, f64)>) {
    all.sort_by_key(|(second, _)| *second);
    all.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

fn read_chunk(chunk: &Chunk, codec: &mut Codec, out: &mut Vec<Sample>) {
    let whole = codec.decode_range(chunk.bytes(), i64::MIN, i64::MAX, out);
    debug_assert!(whole.is_ok(), "a packed chunk is whole");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(all: &Cumulative, model: &BTreeMap<u32, f64>, codec: &mut Codec, after: u32, second: u32) {
        let total: f64 = model.range(..=second).map(|(_, count)| count).sum();
        let last = model.range(..=second).next_back().map(|(second, _)| *second);
        assert_eq!(all.at(second, &mut Loads::default(), codec), Standing { total, last });
        let mut got = Vec::new();
        all.buckets(i64::from(after), i64::from(second), &mut Loads::default(), codec, &mut got);
        let wanted: Vec<(u32, f64)> =
            model.iter().filter(|(s, _)| **s > after && **s <= second).map(|(s, c)| (*s, *c)).collect();
        assert_eq!(got, wanted);
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(
            steps in prop::collection::vec((prop_oneof![9 => 0i64..3, 1 => -300i64..300], 1u32..9), 1..900),
            probes in prop::collection::vec((0u32..5000, 0u32..5000), 1..20),
            horizon in 0i64..5000,
        ) {
            let mut codec = Codec::default();
            let (mut all, mut model) = (Cumulative::default(), BTreeMap::new());
            let mut second = 1000i64;
            for (step, count) in steps {
                second = (second + step).max(1);
                all.add(second as u32, f64::from(count), &mut codec);
                *model.entry(second as u32).or_insert(0.0) += f64::from(count);
            }
            prop_assert_eq!(all.total(), model.values().sum::<f64>());
            prop_assert_eq!(all.newest(), model.last_key_value().map(|(second, _)| *second));
            prop_assert_eq!(all.oldest(), model.first_key_value().map(|(second, _)| *second));
            for (after, second) in &probes { check(&all, &model, &mut codec, *after, *second); }

            let mut bytes = Vec::new();
            all.write(&mut bytes);
            let mut again = Cumulative::read_from(&mut Cursor::new(&bytes), &mut codec).expect("whole");
            for (after, second) in &probes { check(&again, &model, &mut codec, *after, *second); }
            again.compact(&mut codec);
            for (after, second) in &probes { check(&again, &model, &mut codec, *after, *second); }

            let total = again.total();
            again.prune(horizon);
            prop_assert_eq!(again.total(), total);
            prop_assert_eq!(again.newest(), model.last_key_value().map(|(second, _)| *second));
            let horizon = u32::try_from(horizon).expect("positive");
            for (after, second) in &probes {
                let (after, second) = ((*after).max(horizon), (*second).max(horizon));
                // Windows behind the horizon are as before.
                let wanted: f64 = model.iter().filter(|(s, _)| **s > after && **s <= second).map(|(_, c)| c).sum();
                let loads = &mut Loads::default();
                prop_assert_eq!((again.at(second, loads, &mut codec).total - again.at(after, loads, &mut codec).total).max(0.0), wanted);
            }
            // Later events go on from there.
            again.add(horizon, 5.0, &mut codec);
            again.add(6000, 1.0, &mut codec);
            prop_assert_eq!(again.total(), total + 6.0);
        }

        #[test]
        fn cleared_is_as_if_never_counted(
            seconds in prop::collection::vec((1u32..3000, 1u32..9), 0..600),
            cleared in (0u32..3000, 0u32..3000),
            probes in prop::collection::vec((0u32..3100, 0u32..3100), 1..10),
        ) {
            let mut codec = Codec::default();
            let (mut all, mut model) = (Cumulative::default(), BTreeMap::new());
            for (second, count) in seconds {
                all.add(second, f64::from(count), &mut codec);
                if second <= cleared.0 || second > cleared.1 {
                    *model.entry(second).or_insert(0.0) += f64::from(count);
                }
            }
            all.clear(i64::from(cleared.0), i64::from(cleared.1), &mut codec);
            prop_assert_eq!(all.total(), model.values().sum::<f64>());
            for (after, second) in &probes { check(&all, &model, &mut codec, *after, *second); }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Cumulative::read_from(&mut Cursor::new(&bytes), &mut Codec::default());
        }
    }
}
