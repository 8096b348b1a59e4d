//! Texts as they are told: cut to a length, errors with their causes.

/// The longest start of a text that has at most `max` bytes and ends between characters.
pub fn cut(text: &str, max: usize) -> &str {
    // A character has at most four bytes, so one of these is its end.
    (0..4).find_map(|back| text.get(..max.min(text.len()).saturating_sub(back))).unwrap_or_default()
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
    fn cuts_between_characters() {
        for (text, max, cut) in [("abc", 9, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("😀", 3, ""), ("", 0, "")] {
            assert_eq!(super::cut(text, max), cut, "{text} {max}");
        }
    }
}
