//! The threads that searches run on, in lanes: what is long stands in the way of its own lane alone.
//!
//! The threads of a pool go on with what they have begun before they take up anything new, so one request of many blocks
//! would have all of them until it is through. The system shares the processors between the threads of all lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// How many lanes.
const LANES: usize = 4;

/// What a request does with the records that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Counts them and picks some.
    Search,
    /// Reads values of all of them, which may take long. One lane is never given to such work.
    Gather,
}

/// All lanes.
pub(super) struct Lanes(Vec<Arc<Lane>>);

struct Lane {
    pool: ThreadPool,
    /// Requests that run here, or wait for it.
    requests: AtomicUsize,
}

/// A place in a lane, until the request is through.
struct Place(Arc<Lane>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// Lanes of `threads` each.
    pub fn new(threads: usize) -> Result<Lanes, ThreadPoolBuildError> {
        let lane = |lane: usize| {
            let name = move |number| format!("log-search-{lane}-{number}");
            let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(name).build()?;
            Ok(Arc::new(Lane { pool, requests: AtomicUsize::new(0) }))
        };
        (0..LANES).map(lane).collect::<Result<Vec<_>, _>>().map(Lanes)
    }

    /// A place where the fewest requests are.
    fn place(&self, work: Work) -> Place {
        let lanes = if work == Work::Gather { &self.0[1..] } else { &self.0[..] };
        let emptiest = lanes.iter().min_by_key(|lane| lane.requests.load(Ordering::Relaxed));
        let lane = Arc::clone(emptiest.unwrap_or(&self.0[0]));
        lane.requests.fetch_add(1, Ordering::Relaxed);
        Place(lane)
    }

    /// Runs a request, and waits for it.
    pub fn install<T: Send>(&self, work: Work, request: impl FnOnce() -> T + Send) -> T {
        let place = self.place(work);
        place.0.pool.install(request)
    }

    /// Runs a request in the background.
    pub fn spawn(&self, work: Work, request: impl FnOnce() + Send + 'static) {
        let place = self.place(work);
        let lane = Arc::clone(&place.0);
        lane.pool.spawn(move || {
            request();
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    #[test]
    fn gathering_leaves_searches_a_lane() {
        let lanes = Lanes::new(1).expect("starts");
        let (end, ends) = crossbeam_channel::bounded::<()>(0);
        for _ in 0..LANES * 3 {
            let ends = ends.clone();
            // Until the sender is gone.
            lanes.spawn(Work::Gather, move || _ = ends.recv());
        }
        let (done, answers) = crossbeam_channel::unbounded();
        for number in 0..5 {
            let done = done.clone();
            lanes.spawn(Work::Search, move || done.send(number).expect("is awaited"));
            // Would wait for ever.
            assert_eq!(answers.recv_timeout(Duration::from_secs(60)), Ok(number));
        }
        drop(end);
    }

    #[test]
    fn a_long_search_leaves_others_their_lanes() {
        let lanes = Lanes::new(1).expect("starts");
        let (end, ends) = crossbeam_channel::bounded::<()>(0);
        lanes.spawn(Work::Search, move || _ = ends.recv());
        for number in 0..20 {
            assert_eq!(lanes.install(Work::Search, || number), number);
            assert_eq!(lanes.install(Work::Gather, || number), number);
        }
        drop(end);
    }
}
