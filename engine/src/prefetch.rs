//! Memory that is asked for before it is read. A series is a chain of places, each of which says where the next one is;
//! who reads many of them waits for the places of several at once rather than for each after the other.

/// Bytes that a processor fetches together.
const LINE: usize = 64;

/// Asks for what lies there. A hint: nothing is read, and where the processor has no such instruction nothing happens.
#[inline]
pub(crate) fn prefetch<T>(values: &[T]) {
    let start = values.as_ptr().cast::<u8>();
    for line in (0..size_of_val(values)).step_by(LINE) {
        fetch_line(start.wrapping_add(line));
    }
}

/// The same of one value.
#[inline]
pub(crate) fn prefetch_value<T>(value: &T) {
    prefetch(std::slice::from_ref(value));
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is there in every processor of this kind, accesses nothing and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch_line(_: *const u8) {}
