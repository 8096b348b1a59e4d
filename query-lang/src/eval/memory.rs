//! Memory that evaluations share: together they take no more than so much, however many there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An evaluation takes nothing of what is shared for so much, and draws in pieces of this size.
const PIECE_BYTES: u64 = 1 << 20;

/// What all evaluations that hold a clone may take together, bytes; an estimate. `limits.query_memory`.
#[derive(Clone, Debug)]
pub struct QueryMemory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    most: u64,
    taken: AtomicU64,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// One evaluation alone wants more than there is.
    TooMuch,
    /// Others have it.
    Busy,
}

impl QueryMemory {
    /// So many bytes.
    pub fn new(most: u64) -> QueryMemory {
        QueryMemory(Arc::new(Pool { most, taken: AtomicU64::new(0) }))
    }

    /// How much there is, bytes.
    pub fn most(&self) -> u64 {
        self.0.most
    }

    /// How much is taken, bytes.
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }
}

/// What one evaluation has drawn; it goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Drawn {
    of: Option<QueryMemory>,
    bytes: u64,
}

impl Drawn {
    pub(crate) fn new(of: Option<QueryMemory>) -> Drawn {
        Drawn { of, bytes: 0 }
    }

    /// Draws what is missing to hold so many bytes.
    pub(crate) fn draw(&mut self, wanted: u64) -> Result<(), Refused> {
        let Some(QueryMemory(pool)) = &self.of else { return Ok(()) };
        let free = self.bytes.saturating_add(PIECE_BYTES);
        if wanted <= free {
            return Ok(());
        }
        let more = (wanted - free).next_multiple_of(PIECE_BYTES);
        if self.bytes.saturating_add(more) > pool.most {
            return Err(Refused::TooMuch);
        }
        let taken = |taken: u64| taken.checked_add(more).filter(|taken| *taken <= pool.most);
        match pool.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
            Ok(_) => {
                self.bytes += more;
                Ok(())
            }
            Err(_) => Err(Refused::Busy),
        }
    }

    /// Gives back what is more than needed to hold so many bytes.
    pub(crate) fn shrink(&mut self, wanted: u64) {
        let Some(QueryMemory(pool)) = &self.of else { return };
        let needed = wanted.saturating_sub(PIECE_BYTES).next_multiple_of(PIECE_BYTES);
        let back = self.bytes.saturating_sub(needed);
        pool.taken.fetch_sub(back, Ordering::Relaxed);
        self.bytes -= back;
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        if let Some(QueryMemory(pool)) = &self.of {
            pool.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// What an answer has drawn, until this is dropped: not before the answer is written. A clone of the answer has drawn nothing.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "dropped with the answer")] Option<Drawn>);

impl Held {
    pub(crate) fn new(drawn: Drawn) -> Held {
        Held(Some(drawn))
    }

    pub(crate) fn nothing() -> Held {
        Held(None)
    }
}

impl Clone for Held {
    fn clone(&self) -> Held {
        Held::nothing()
    }
}

/// Answers are equal whatever holds them.
impl PartialEq for Held {
    fn eq(&self, _: &Held) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_share_and_give_back() {
        let memory = QueryMemory::new(10 << 20);
        let (mut one, mut other) = (Drawn::new(Some(memory.clone())), Drawn::new(Some(memory.clone())));
        assert_eq!((one.draw(PIECE_BYTES), memory.taken()), (Ok(()), 0));
        assert_eq!((one.draw(7 << 20), memory.taken()), (Ok(()), 6 << 20));
        assert_eq!(other.draw(7 << 20), Err(Refused::Busy));
        assert_eq!(other.draw(12 << 20), Err(Refused::TooMuch));
        assert_eq!((other.draw(5 << 20), memory.taken()), (Ok(()), 10 << 20));
        one.shrink(2 << 20);
        assert_eq!((memory.taken(), other.draw(10 << 20)), (5 << 20, Ok(())));
        drop((one, other));
        assert_eq!(memory.taken(), 0);
    }
}
