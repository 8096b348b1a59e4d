//! Natural order of texts, in which `node9` comes before `node10`.

use std::cmp::Ordering;

/// A run of digits or of anything else.
fn first_run(text: &str) -> (&str, &str) {
    let is_digit = |c: char| c.is_ascii_digit();
    let digits = text.starts_with(is_digit);
    text.split_at(text.find(|c| is_digit(c) != digits).unwrap_or(text.len()))
}

/// Compares run by run: numbers by their value, all else by their bytes; of equals the shorter comes first.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    while !left_rest.is_empty() && !right_rest.is_empty() {
        let (left_run, left_next) = first_run(left_rest);
        let (right_run, right_next) = first_run(right_rest);
        let order = match (left_run.parse::<i64>(), right_run.parse::<i64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => left_run.cmp(right_run),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left_rest, right_rest) = (left_next, right_next);
    }
    // What differs only in zeros before its numbers still has one order.
    left_rest.len().cmp(&right_rest.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn numbers_by_value() {
        let mut names = ["b", "a10", "a9", "a", "", "10", "9", "a9b2", "a9b10", "a09", "99999999999999999999"];
        names.sort_by(|left, right| compare(left, right));
        assert_eq!(names, ["", "9", "10", "99999999999999999999", "a", "a09", "a9", "a9b2", "a9b10", "a10", "b"]);
    }
}
