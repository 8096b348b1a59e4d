//! Work of which only one is done at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often who waits looks whether it is their turn.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether somebody is at it. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Turns(Arc<State>);

#[derive(Default)]
struct State {
    is_taken: AtomicBool,
    /// Somebody waited for it since it was taken.
    is_wanted: AtomicBool,
}

impl Turns {
    /// The turn, until it is dropped; `None` if somebody else has it.
    pub fn take(&self) -> Option<Turn> {
        let was_taken = self.0.is_taken.swap(true, Ordering::AcqRel);
        if was_taken {
            return None;
        }
        self.0.is_wanted.store(false, Ordering::Release);
        Some(Turn(self.clone()))
    }

    /// The turn; who has it hears of it ([`Turn::is_wanted`]) and is given so long to be done or to leave off. Blocks.
    pub fn take_within(&self, patience: Duration) -> Option<Turn> {
        let begun = Instant::now();
        loop {
            if let Some(turn) = self.take() {
                return Some(turn);
            }
            self.0.is_wanted.store(true, Ordering::Release);
            if begun.elapsed() >= patience {
                return None;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Somebody's turn.
pub struct Turn(Turns);

impl Turn {
    /// Whether somebody waits for it: work that can as well be done later leaves off then.
    pub fn is_wanted(&self) -> bool {
        self.0.0.is_wanted.load(Ordering::Acquire)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.is_taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_time_gives_way_to_who_waits() {
        let turns = Turns::default();
        let turn = turns.take().expect("nobody has it");
        assert!(turns.take().is_none() && !turn.is_wanted());
        assert!(turns.take_within(Duration::ZERO).is_none() && turn.is_wanted());
        let patient = std::thread::spawn(move || {
            while !turn.is_wanted() {
                std::thread::yield_now();
            }
        });
        let turn = turns.take_within(Duration::from_secs(60)).expect("it is given up");
        assert!(!turn.is_wanted(), "that was us");
        patient.join().expect("it leaves off");
    }
}
