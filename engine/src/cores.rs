//! Work that is done on all cores.

use parking_lot::Mutex;

const THREADS_MAX: usize = 8;

/// Threads that work beside each other here.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
}

/// Does the work for each of the inputs, on all cores: who is ready takes the next one. Gives what each led to, in their order.
pub(crate) fn on_all<I: Send, O: Send>(inputs: Vec<I>, work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let threads = threads().min(inputs.len());
    let left = Mutex::new(inputs.into_iter().enumerate());
    let take = || {
        let mut done = Vec::new();
        loop {
            // The lock is let go of before the work begins.
            let next = left.lock().next();
            let Some((number, input)) = next else { return done };
            done.push((number, work(input)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut done = take();
        for other in others {
            // A thread that panics takes all with it, as it would without threads.
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, output)| output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_work_led_to_is_in_the_order_of_the_inputs() {
        for many in [0u64, 1, 2, 1000] {
            let squares: Vec<u64> = (0..many).map(|number| number * number).collect();
            assert_eq!(on_all((0..many).collect(), |number| number * number), squares);
        }
    }
}
