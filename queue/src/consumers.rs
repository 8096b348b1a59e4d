//! Who reads, and how far each is: what may be deleted.

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Consumer {
    /// It needs nothing below.
    released: u64,
    /// What it needed nothing below when it came, or when the last run ended: all before that it has for sure.
    began_at: u64,
    /// It has registered since the queue was opened.
    is_back: bool,
}

/// The known consumers.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    by_name: BTreeMap<String, Consumer>,
    /// Names came or went since the state file was written.
    pub names_changed: bool,
    /// How many copies of the folder are being made: nothing is deleted meanwhile.
    pub holds: usize,
}

impl Consumers {
    /// Those of the last run: nothing is deleted before all of them are back.
    pub(crate) fn recovered(released: &BTreeMap<String, u64>) -> Consumers {
        let consumer = |released| Consumer { released, began_at: released, is_back: false };
        let by_name = released.iter().map(|(name, released)| (name.clone(), consumer(*released))).collect();
        Consumers { by_name, ..Consumers::default() }
    }

    /// A consumer comes with its own durable position, which counts even if it is an earlier one.
    pub(crate) fn register(&mut self, name: &str, offset: u64) {
        let consumer = Consumer { released: offset, began_at: offset, is_back: true };
        self.names_changed |= self.by_name.insert(name.to_owned(), consumer).is_none();
    }

    /// A consumer needs nothing below the offset. Returns whether that is news.
    pub(crate) fn release(&mut self, name: &str, offset: u64) -> bool {
        match self.by_name.get_mut(name) {
            Some(consumer) => {
                let moves = offset > consumer.released || !consumer.is_back;
                consumer.is_back = true;
                consumer.released = consumer.released.max(offset);
                moves
            }
            None => {
                self.register(name, offset);
                true
            }
        }
    }

    /// A consumer is gone for good.
    pub(crate) fn forget(&mut self, name: &str) {
        self.names_changed |= self.by_name.remove(name).is_some();
    }

    /// The offset below which nobody needs anything; `None` while that is not known or everything is held.
    pub(crate) fn released(&self) -> Option<u64> {
        if self.holds > 0 {
            return None;
        }
        self.by_name.values().map(|consumer| consumer.released).min().filter(|_| self.are_back())
    }

    /// Whether all that are known have registered since the queue was opened.
    pub(crate) fn are_back(&self) -> bool {
        self.by_name.values().all(|consumer| consumer.is_back)
    }

    /// The offset below which all had everything before they read anything in this run; 0 if there are none.
    pub(crate) fn had_all_below(&self) -> u64 {
        self.by_name.values().map(|consumer| consumer.began_at).min().unwrap_or(0)
    }

    /// Each name with its offset.
    pub(crate) fn offsets(&self) -> BTreeMap<String, u64> {
        self.by_name.iter().map(|(name, consumer)| (name.clone(), consumer.released)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_released_before_all_known_consumers_are_back() {
        let mut consumers = Consumers::default();
        assert_eq!(consumers.released(), None, "nobody has read anything");
        consumers.register("store", 5);
        consumers.register("metrics", 3);
        assert_eq!(consumers.released(), Some(3));
        assert!(consumers.release("metrics", 9));
        assert!(!consumers.release("metrics", 4), "a release does not go back");
        assert_eq!(consumers.released(), Some(5));

        let mut consumers = Consumers::recovered(&consumers.offsets());
        assert_eq!(consumers.released(), None);
        consumers.register("metrics", 9);
        assert_eq!(consumers.released(), None);
        consumers.register("store", 2);
        assert_eq!(consumers.released(), Some(2), "its own position counts");
        consumers.release("store", 7);
        assert_eq!((consumers.released(), consumers.had_all_below()), (Some(7), 2), "it may have passed over damage");
        consumers.forget("store");
        assert_eq!(consumers.released(), Some(9));
        consumers.holds += 1;
        assert_eq!(consumers.released(), None, "a copy is being made");
    }
}
