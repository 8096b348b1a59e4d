//! "Did you mean …?": one measure for parameters, keys of the configuration, fields of rules and functions of queries.

/// Longer words are no slips of the finger, and the comparison takes the product of the lengths.
const CHARACTERS_MAX: usize = 64;
/// More slips than this make another word, however long it is.
const SLIPS_MAX: usize = 3;

/// The known name that a misspelt one most likely stands for, without regard to case; the first of several.
///
/// A slip is a letter too much, too few, another one, or two that changed places. There may be one for every three
/// letters of the shorter of both words, three at most: so `limt` is `limit`, and `zork` is nothing.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = wrong.chars().count();
    if length > CHARACTERS_MAX {
        return None;
    }
    let wrong = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(slips, name)| *slips <= (length.min(name.chars().count()) / 3).min(SLIPS_MAX))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_of_the_finger_and_nothing_else() {
        let known = ["cors", "threshold", "operator", "data_dir", "for", "by", "q", "rate", "limit", "deriv"];
        for (wrong, meant) in [
            ("treshold", Some("threshold")),
            ("Threshhold", Some("threshold")),
            ("opreator", Some("operator")),
            ("datadir", Some("data_dir")),
            ("limt", Some("limit")),
            ("RATE", Some("rate")),
            ("fro", Some("for")),
            ("Q", Some("q")),
            ("zork", None),
            ("x", None),
            ("", None),
            ("bye", None),
            ("severity", None),
            ("drive", None),
            ("data_directory", None),
        ] {
            assert_eq!(nearest(wrong, known), meant, "{wrong}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }
}
