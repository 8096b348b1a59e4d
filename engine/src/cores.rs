//! Work that is done on all cores.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

const THREADS_MAX: usize = 8;

/// Threads that work beside each other here.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
}

/// Does the work for each of the inputs, on all cores: who is ready takes the next one. Gives what each led to, in their order.
pub(crate) fn on_all<I: Send, O: Send>(inputs: Vec<I>, work: impl Fn(I) -> O + Sync + Send) -> Vec<O> {
    inputs.into_par_iter().with_max_len(1).map(work).collect()
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
