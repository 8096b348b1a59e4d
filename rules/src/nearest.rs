//! "Did you mean …?"

/// The known name that a misspelt one most likely stands for.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_of_the_finger_and_nothing_else() {
        let known = ["threshold", "operator", "for"];
        assert_eq!(nearest("treshold", known), Some("threshold"));
        assert_eq!(nearest("Threshhold", known), Some("threshold"));
        assert_eq!(nearest("opreator", known), Some("operator"));
        assert_eq!(nearest("severity", known), None);
    }
}
