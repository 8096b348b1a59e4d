//! Texts as they are told: cut to a length, counts with their nouns, errors with their causes.

/// The longest start of a text that has at most `max` bytes and ends between characters.
pub fn cut(text: &str, max: usize) -> &str {
    // A character has at most four bytes, so one of these is its end.
    (0..4).find_map(|back| text.get(..max.min(text.len()).saturating_sub(back))).unwrap_or_default()
}

/// So many of something: `1 record`, `2 records`, `1 query`, `2 queries`. The noun may have words before it.
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        // One series, two series.
        _ if noun.ends_with('s') => format!("{number} {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The verb that goes with so many.
pub fn is_or_are(number: impl TryInto<u64>) -> &'static str {
    if number.try_into().is_ok_and(|number| number == 1) { "is" } else { "are" }
}

/// The verb of the past that goes with so many.
pub fn was_or_were(number: impl TryInto<u64>) -> &'static str {
    if number.try_into().is_ok_and(|number| number == 1) { "was" } else { "were" }
}

/// An error with all that led to it, for clients that keep them apart.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #[derive(Debug, thiserror::Error)]
    #[error("no answer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_what_they_led_to() {
        let error = Outer(std::io::Error::other("the line is cut"));
        assert_eq!(super::with_causes(&error), "no answer: the line is cut");
    }

    #[test]
    fn counts_go_with_their_nouns() {
        for (number, noun, told) in [
            (0u64, "record", "0 records"),
            (1, "record", "1 record"),
            (2, "damaged block", "2 damaged blocks"),
            (1, "query", "1 query"),
            (3, "query", "3 queries"),
            (3, "day", "3 days"),
            (1, "series", "1 series"),
            (2, "series", "2 series"),
        ] {
            assert_eq!(super::count(number, noun), told);
        }
        assert_eq!([1u64, 2].map(super::is_or_are), ["is", "are"]);
        assert_eq!([1u64, 0].map(super::was_or_were), ["was", "were"]);
    }

    #[test]
    fn cuts_between_characters() {
        for (text, max, cut) in [("abc", 9, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("😀", 3, ""), ("", 0, "")] {
            assert_eq!(super::cut(text, max), cut, "{text} {max}");
        }
    }
}
