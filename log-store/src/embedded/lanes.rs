//! The threads that searches run on, in lanes: what is long stands in the way of its own lane alone.
//!
//! The threads of a pool go on with what they have begun before they take up anything new, so one request of many blocks
//! would have all of them until it is through. The system shares the processors between the threads of all lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Lanes from the start on: one for searches alone, and one that is for all.
const LANES_MIN: usize = 2;
/// Most lanes. More requests than that wait behind each other.
const LANES_MAX: usize = 16;

/// What a request does with the records that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Counts them and picks some.
    Search,
    /// Reads values of all of them, which may take long. One lane is never given to such work.
    Gather,
}

/// All lanes, of which another one is made when a request meets none that is empty.
pub(super) struct Lanes {
    lanes: Mutex<Vec<Arc<Lane>>>,
    threads: usize,
}

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

impl Lane {
    fn new(number: usize, threads: usize) -> Result<Arc<Lane>, ThreadPoolBuildError> {
        let name = move |thread| format!("log-search-{number}-{thread}");
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build()?;
        Ok(Arc::new(Lane { pool, requests: AtomicUsize::new(0) }))
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Lanes {
    /// Lanes of `threads` each.
    pub fn new(threads: usize) -> Result<Lanes, ThreadPoolBuildError> {
        let threads = threads.max(1);
        let lanes = (0..LANES_MIN).map(|number| Lane::new(number, threads)).collect::<Result<Vec<_>, _>>()?;
        Ok(Lanes { lanes: Mutex::new(lanes), threads })
    }

    /// A place where the fewest requests are.
    fn place(&self, work: Work) -> Place {
        let mut lanes = self.lanes.lock();
        let for_it = if work == Work::Gather { &lanes[1..] } else { &lanes[..] };
        let emptiest = for_it.iter().min_by_key(|lane| lane.requests()).unwrap_or(&lanes[0]).clone();
        let lane = if emptiest.requests() == 0 || lanes.len() >= LANES_MAX {
            emptiest
        } else if let Ok(another) = Lane::new(lanes.len(), self.threads) {
            lanes.push(another.clone());
            another
        } else {
            // The system has no more threads: it waits.
            emptiest
        };
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
        for _ in 0..LANES_MAX * 2 {
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
    fn long_searches_leave_others_their_lanes() {
        let lanes = Lanes::new(1).expect("starts");
        let (end, ends) = crossbeam_channel::bounded::<()>(0);
        for _ in 0..LANES_MAX - 2 {
            let ends = ends.clone();
            lanes.spawn(Work::Search, move || _ = ends.recv());
        }
        for number in 0..20 {
            assert_eq!(lanes.install(Work::Search, || number), number);
            assert_eq!(lanes.install(Work::Gather, || number), number);
        }
        drop(end);
    }
}
