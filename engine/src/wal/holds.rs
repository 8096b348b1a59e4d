//! What of the log is not to be deleted yet, as somebody who follows it has not done with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// All holds of a log.
#[derive(Default)]
pub(crate) struct Holds {
    all: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

/// Keeps the log from a record on; it is let go of when this is dropped.
pub(crate) struct Hold {
    all: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    from: Arc<AtomicU64>,
}

impl Holds {
    pub(crate) fn hold(&self, from: u64) -> Hold {
        let from = Arc::new(AtomicU64::new(from));
        self.all.lock().push(from.clone());
        Hold { all: self.all.clone(), from }
    }

    /// The first record that anybody holds.
    pub(crate) fn lowest(&self) -> u64 {
        self.all.lock().iter().map(|from| from.load(Ordering::Acquire)).min().unwrap_or(u64::MAX)
    }
}

impl Hold {
    /// From now on only this record and those behind it are kept; a hold never goes back.
    pub(crate) fn advance(&self, from: u64) {
        self.from.fetch_max(from, Ordering::AcqRel);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.all.lock().retain(|from| !Arc::ptr_eq(from, &self.from));
    }
}
