//! Expressions that are only texts, or beginnings of texts, beside each other: `a|b|c-.*`. Dashboards write them with
//! thousands of texts, of which a compiled expression takes a kilobyte each; here they are looked up.

use std::collections::{BTreeSet, HashSet};

/// What such an expression consists of.
#[derive(Clone, Debug, Default)]
pub(super) struct Alternatives {
    whole: HashSet<String>,
    /// Before `.*`.
    begins: HashSet<String>,
    /// Before `.+`.
    begins_more: HashSet<String>,
    /// Lengths of the beginnings, bytes.
    lengths: BTreeSet<usize>,
}

impl Alternatives {
    /// `None` if it is another expression, or a single text.
    pub(super) fn of(expression: &str) -> Option<Alternatives> {
        let opened = expression.strip_prefix("(?:").or_else(|| expression.strip_prefix('('));
        let inner = opened.and_then(|rest| rest.strip_suffix(')')).unwrap_or(expression);
        let parts = split(inner);
        if parts.len() < 2 {
            return None;
        }
        let mut found = Alternatives::default();
        for part in parts {
            let (text, texts, is_whole) = match (part.strip_suffix(".*"), part.strip_suffix(".+")) {
                (Some(text), _) => (text, &mut found.begins, false),
                (_, Some(text)) => (text, &mut found.begins_more, false),
                (None, None) => (part, &mut found.whole, true),
            };
            let text = plain(text)?;
            if !is_whole {
                found.lengths.insert(text.len());
            }
            texts.insert(text);
        }
        Some(found)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.whole.len() + self.begins.len() + self.begins_more.len()
    }

    /// All texts that satisfy the expression, if they are counted; in no order.
    pub(super) fn texts(&self) -> Option<impl Iterator<Item = &str>> {
        self.lengths.is_empty().then(|| self.whole.iter().map(String::as_str))
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        let begins = |length: &usize| {
            value.get(..*length).is_some_and(|beginning| {
                self.begins.contains(beginning) || value.len() > *length && self.begins_more.contains(beginning)
            })
        };
        self.whole.contains(value) || self.lengths.range(..=value.len()).any(begins)
    }
}

/// What stands between the `|` that are not escaped.
fn split(expression: &str) -> Vec<&str> {
    let mut is_escaped = false;
    let is_between = |character: char| {
        let is_between = character == '|' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_between
    };
    expression.split(is_between).collect()
}

/// The text that an expression means by itself. `None` if it means something else than a text.
fn plain(expression: &str) -> Option<String> {
    let mut text = String::with_capacity(expression.len());
    let mut characters = expression.chars();
    while let Some(character) = characters.next() {
        match character {
            // Letters and digits behind it mean something else.
            '\\' => text.push(characters.next().filter(char::is_ascii_punctuation)?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_row_of_texts_is_left_to_the_package() {
        for expression in
            ["a", "", "a.b|c", "a|b*", r"a\d|b", r"a\.*|b", "(a)|(b)", "(?i)a|b", "(?i:a|b)", "^a|b$", "[a|b]", r"a|b\"]
        {
            assert!(Alternatives::of(expression).is_none(), "{expression}");
        }
    }

    proptest! {
        #[test]
        fn they_match_as_the_package_does(
            parts in prop::collection::vec(r"[abé.\\|+*()\n-]{0,4}(\.\*|\.\+)?", 1..6),
            texts in prop::collection::vec(r"[abé.\\|\n-]{0,5}", 1..20),
            brackets in 0..3usize,
        ) {
            let joined = parts.join("|");
            let expression = [joined.clone(), format!("({joined})"), format!("(?:{joined})")][brackets].clone();
            if let Some(alternatives) = Alternatives::of(&expression) {
                let regex = regex::Regex::new(&format!("^(?s:{expression})$")).expect("a row of texts is an expression");
                for text in &texts {
                    prop_assert_eq!(alternatives.matches(text), regex.is_match(text), "{:?} {:?}", &expression, text);
                }
            }
        }
    }
}
