//! Texts cut to a length.

/// The longest start of a text that has at most `max` bytes and ends between characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    // A character has at most four bytes, so one of these is its end.
    (0..4).find_map(|back| text.get(..max.min(text.len()).saturating_sub(back))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn cuts_between_characters() {
        for (text, max, cut) in [("abc", 9, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("😀", 3, ""), ("", 0, "")] {
            assert_eq!(super::cut(text, max), cut, "{text} {max}");
        }
    }
}
