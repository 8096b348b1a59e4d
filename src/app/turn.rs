//! Work of which only one is done at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody is at it. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Turns(Arc<AtomicBool>);

impl Turns {
    /// The turn, until it is dropped; `None` if somebody else has it.
    pub fn take(&self) -> Option<Turn> {
        let is_taken = self.0.swap(true, Ordering::AcqRel);
        (!is_taken).then(|| Turn(self.clone()))
    }
}

/// Somebody's turn.
pub struct Turn(Turns);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}
