//! Taking samples out of the middle, exactly: chunks that reach over an edge are packed again without them.

use std::sync::Arc;

use watchfire_model::Sample;

use super::Samples;
use super::packed::Packed;
use crate::chunk::Codec;

impl Samples {
    /// Removes the samples with `after < time <= until`; says how many there were.
    pub(crate) fn remove(&mut self, after: i64, until: i64, codec: &mut Codec) -> u64 {
        let before = self.count();
        // Also where none of them is meant: those before them may have been removed from blocks.
        if let Some(natives) = &mut self.natives {
            natives.remove(after, until);
            self.natives.take_if(|natives| natives.is_empty());
        }
        if !self.overlaps(after, until) {
            return before.saturating_sub(self.count());
        }
        let goes = |sample: &Sample| sample.timestamp.millis() > after && sample.timestamp.millis() <= until;
        if let Some(packed) = &mut self.packed {
            packed.remove(after, until, &goes, codec);
            if packed.is_empty() {
                self.packed = None;
            }
        }
        let left: Vec<Sample> = self.raw.iter().filter(|sample| !goes(sample)).collect();
        self.raw.set(&left);
        before.saturating_sub(self.count())
    }
}

impl Packed {
    fn remove(&mut self, after: i64, until: i64, goes: &impl Fn(&Sample) -> bool, codec: &mut Codec) {
        let mut run = Vec::new();
        let mut kept = Vec::with_capacity(self.sealed.len());
        for chunk in self.sealed.drain(..) {
            if chunk.last() <= after || chunk.first() > until {
                kept.push(chunk);
            } else if chunk.first() <= after || chunk.last() > until {
                run.clear();
                match codec.decode_range(chunk.bytes(), i64::MIN, i64::MAX, &mut run) {
                    Ok(()) => {
                        run.retain(|sample| !goes(sample));
                        kept.extend(codec.seal(&run).map(Arc::new));
                    }
                    // A chunk was decoded once when it was read from a disk.
                    Err(_) => kept.push(chunk),
                }
            }
        }
        self.sealed = kept;
        if self.tail.blocks().any(|block| block.last > after && block.first <= until) {
            run.clear();
            self.read_tail(codec, &mut run);
            run.retain(|sample| !goes(sample));
            self.tail.clear();
            self.append(&run, codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::Timestamp;

    use super::*;
    use crate::limits::TimeBounds;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_left_is_what_was_not_meant(
            count in 0i64..1500,
            ranges in prop::collection::vec((-100i64..16_000, 0i64..8_000), 1..4),
        ) {
            let (mut samples, mut codec) = (Samples::default(), Codec::default());
            let mut model: Vec<Sample> = (0..count)
                .map(|step| Sample { timestamp: Timestamp::from_millis(step * 10), value: (step % 7) as f64 })
                .collect();
            for sample in &model {
                prop_assert!(samples.push(*sample, &TimeBounds::ALL, &mut codec).is_ok());
            }
            for (after, length) in ranges {
                let until = after + length;
                let before = model.len();
                model.retain(|sample| sample.timestamp.millis() <= after || sample.timestamp.millis() > until);
                prop_assert_eq!(samples.remove(after, until, &mut codec), (before - model.len()) as u64);
                let mut left = Vec::new();
                samples.read(i64::MIN, i64::MAX, &mut codec, &mut left);
                prop_assert_eq!(&left, &model);
                prop_assert_eq!(samples.count(), model.len() as u64);
                prop_assert_eq!(samples.is_empty(), model.is_empty());
            }
            let next = Sample { timestamp: Timestamp::from_millis(100_000), value: 1.0 };
            prop_assert!(samples.push(next, &TimeBounds::ALL, &mut codec).is_ok());
        }
    }
}
