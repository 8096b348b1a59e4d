//! Places of buckets as Prometheus' protocols tell them: runs without gaps.

/// Buckets in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// How many places lie between it and the one before; of the first one, its place.
    pub offset: i64,
    /// How many buckets.
    pub length: u64,
}

/// The spans of places that ascend.
pub fn spans(places: impl Iterator<Item = i32>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0i64;
    for place in places.map(i64::from) {
        match spans.last_mut() {
            Some(last) if place == next => last.length += 1,
            _ => spans.push(Span { offset: place - next, length: 1 }),
        }
        next = place + 1;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_row_are_one_span() {
        let of = |places: &[i32]| {
            spans(places.iter().copied()).iter().map(|span| (span.offset, span.length)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[0]), [(0, 1)]);
        assert_eq!(of(&[-3, -2, 0, 1, 2, 7]), [(-3, 2), (1, 3), (4, 1)]);
        assert_eq!(of(&[i32::MIN, i32::MAX]), [(i64::from(i32::MIN), 1), ((1 << 32) - 2, 1)]);
    }
}
