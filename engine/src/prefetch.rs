//! Telling the processor what will be needed in a moment.
//!
//! Of many series each lies in places of its own, and who adds a sample to each of them waits for memory most of the
//! time, once for every place. Asked for some series ahead, the places come while others are worked on.

use std::sync::Arc;

/// How many series ahead.
pub(crate) const AHEAD: usize = 12;
const LINE_BYTES: usize = 64;

/// Asks for the place of a value. It is a hint: nothing is read, and any place may be named.
#[inline]
pub(crate) fn place<T>(value: *const T) {
    one_line(value.cast());
}

/// Asks for all of a value, and for the counts of who holds it, which stand before it.
#[inline]
pub(crate) fn shared<T>(value: &Arc<T>) {
    let counts = 2 * size_of::<usize>();
    let start = Arc::as_ptr(value).cast::<i8>().wrapping_sub(counts);
    (0..size_of::<T>() + counts).step_by(LINE_BYTES).for_each(|at| one_line(start.wrapping_add(at)));
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn one_line(place: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint neither reads nor faults, whatever the place; every processor of this kind has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn one_line(_: *const i8) {}
