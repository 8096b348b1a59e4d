//! Samples of the past, many at once: each chunk that they fall into is taken apart once.

use std::sync::Arc;

use watchfire_model::Sample;

use super::packed::Packed;
use super::{Pushed, SEAL_AT, Samples, plain};
use crate::chunk::{Chunk, Codec};
use crate::limits::{Rejection, TimeBounds};

/// Who is told what became of each sample of a run, in its order.
type Told<'t> = &'t mut dyn FnMut(Result<Pushed, Rejection>);

impl Samples {
    /// Takes samples whose times ascend (one may stand there twice), however old they are within the bounds.
    pub(crate) fn merge(&mut self, run: &[Sample], bounds: &TimeBounds, codec: &mut Codec, told: Told<'_>) {
        let bounds = TimeBounds { out_of_order_ms: i64::MAX, ..*bounds };
        if self.natives.is_some() {
            // Each has to be looked for among the histograms.
            run.iter().for_each(|sample| told(self.push(*sample, &bounds, codec)));
            return;
        }
        let from = run.partition_point(|sample| sample.timestamp.millis() < bounds.oldest);
        let newest = self.newest().unwrap_or(i64::MIN);
        let past = run.partition_point(|sample| sample.timestamp.millis() <= newest.min(bounds.latest)).max(from);
        run.iter().take(from).for_each(|_| told(Err(Rejection::TooOld)));
        let old = run.get(from..past).unwrap_or_default();
        if old.len() < 2 {
            old.iter().for_each(|sample| told(self.push(*sample, &bounds, codec)));
        } else {
            self.merge_old(old, codec, told);
        }
        // What is newer than all, and what lies too far in the future.
        run.iter().skip(past).for_each(|sample| told(self.push(*sample, &bounds, codec)));
    }

    /// Takes samples none of which is newer than the newest.
    fn merge_old(&mut self, run: &[Sample], codec: &mut Codec, told: Told<'_>) {
        let open_from = self.packed.as_ref().and_then(|packed| packed.tail.oldest()).or_else(|| self.raw.oldest());
        let packed = self.packed.get_or_insert_default();
        let mut rest = run;
        if !packed.sealed.is_empty() {
            let sealed = run.partition_point(|sample| sample.timestamp.millis() < open_from.unwrap_or(i64::MAX));
            let (old, open) = run.split_at(sealed);
            packed.merge_sealed(old, codec, told);
            rest = open;
        }
        if !rest.is_empty() {
            let mut have = Vec::with_capacity(packed.tail.count() + self.raw.len());
            packed.read_tail(codec, &mut have);
            have.extend(self.raw.iter());
            self.raw.clear();
            let merged = merged(&have, rest, told);
            packed.tail.clear();
            merged.chunks(SEAL_AT).for_each(|part| packed.append(part, codec));
        }
    }
}

impl Packed {
    /// Takes samples that belong to the sealed chunks: those between two chunks to the earlier one.
    fn merge_sealed(&mut self, mut run: &[Sample], codec: &mut Codec, told: Told<'_>) {
        let mut have = Vec::with_capacity(SEAL_AT);
        while let Some(first) = run.first() {
            let at = self.sealed.partition_point(|chunk| chunk.first() <= first.timestamp.millis()).saturating_sub(1);
            let until = self.sealed.get(at + 1).map_or(i64::MAX, |next| next.first());
            let count = run.partition_point(|sample| sample.timestamp.millis() < until).max(1);
            let (part, rest) = run.split_at(count);
            run = rest;
            have.clear();
            let chunk = self.sealed.get(at);
            if chunk.is_none_or(|chunk| codec.decode_range(chunk.bytes(), i64::MIN, i64::MAX, &mut have).is_err()) {
                part.iter().for_each(|_| told(Err(Rejection::OutOfOrder)));
                continue;
            }
            let merged = merged(&have, part, told);
            if merged.len() == have.len() {
                continue;
            }
            // Pieces of one size, none of them longer than two usual ones.
            let pieces = merged.len().div_ceil(2 * SEAL_AT).max(1);
            let piece = merged.len().div_ceil(pieces);
            let chunks: Vec<Arc<Chunk>> =
                merged.chunks(piece).filter_map(|piece| codec.seal(piece)).map(Arc::new).collect();
            self.sealed.splice(at..=at, chunks);
        }
    }
}

/// Both runs as one; of two samples at one time that of `have` stays, of two new ones the first.
fn merged(have: &[Sample], new: &[Sample], told: Told<'_>) -> Vec<Sample> {
    let mut all: Vec<Sample> = Vec::with_capacity(have.len() + new.len());
    let mut have = have.iter().peekable();
    for sample in new.iter().copied().map(plain) {
        while let Some(before) = have.next_if(|before| before.timestamp <= sample.timestamp) {
            all.push(*before);
        }
        match all.last().filter(|twin| twin.timestamp == sample.timestamp) {
            Some(twin) if twin.value.to_bits() == sample.value.to_bits() => told(Ok(Pushed::Known)),
            Some(_) => told(Err(Rejection::DuplicateTimestamp)),
            None => {
                all.push(sample);
                told(Ok(Pushed::Accepted));
            }
        }
    }
    all.extend(have);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use watchfire_model::Timestamp;

    use super::*;

    /// The last signals.
    const VALUES: [f64; 3] = [0.0, 1.0, f64::from_bits(0x7ff0_0000_0000_0001)];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn runs_come_together_as_in_a_sorted_map(
            runs in prop::collection::vec((0i64..60_000, prop::collection::vec((0i64..40, 0usize..3), 1..900)), 1..8),
        ) {
            let (mut samples, mut model, mut codec) = (Samples::default(), BTreeMap::new(), Codec::default());
            let bounds = TimeBounds { oldest: 5_000, latest: 70_000, out_of_order_ms: 0 };
            for (start, steps) in runs {
                let mut at = start;
                let run: Vec<Sample> = steps.iter().map(|(step, value)| {
                    at += step;
                    Sample { timestamp: Timestamp::from_millis(at), value: VALUES[*value] }
                }).collect();
                let wanted: Vec<Result<Pushed, Rejection>> = run.iter().map(|sample| {
                    let at = sample.timestamp.millis();
                    bounds.check(at)?;
                    let bits_of_sample = plain(*sample).value.to_bits();
                    match model.get(&at) {
                        Some(bits) if *bits == bits_of_sample => Ok(Pushed::Known),
                        Some(_) => Err(Rejection::DuplicateTimestamp),
                        None => {
                            model.insert(at, bits_of_sample);
                            Ok(Pushed::Accepted)
                        }
                    }
                }).collect();
                let mut got = Vec::new();
                samples.merge(&run, &bounds, &mut codec, &mut |told| got.push(told));
                prop_assert_eq!(got, wanted);
            }
            let mut all = Vec::new();
            samples.read(i64::MIN, i64::MAX, &mut codec, &mut all);
            let all: Vec<(i64, u64)> = all.iter().map(|s| (s.timestamp.millis(), s.value.to_bits())).collect();
            prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
            let mut bytes = Vec::new();
            samples.write(&mut bytes);
            prop_assert!(Samples::read_from(&mut crate::bytes::Cursor::new(&bytes), &mut codec).is_ok());
        }
    }
}
