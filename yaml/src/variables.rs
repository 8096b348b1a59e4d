//! Variables in texts: `${NAME}` and `${NAME:-default}`. `$$` stands for one `$`, and `${1}` for itself.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// Stands for itself.
    Plain(&'t str),
    /// `$$`
    Dollar,
    /// `${NAME}` or `${NAME:-default}`
    Variable {
        /// All of it.
        written: &'t str,
        /// Its name.
        name: &'t str,
        /// What holds if it is not set.
        default: Option<&'t str>,
    },
}

/// The parts of a text, in their order.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, length) = match rest.find('$') {
            None if rest.is_empty() => return None,
            None => (Part::Plain(rest), rest.len()),
            Some(0) => at_dollar(rest),
            Some(at) => (Part::Plain(&rest[..at]), at),
        };
        rest = &rest[length..];
        Some(part)
    })
}

/// What a text that begins with `$` begins with, and how long that is.
fn at_dollar(text: &str) -> (Part<'_>, usize) {
    if text.starts_with("$$") {
        return (Part::Dollar, 2);
    }
    let inner = text.strip_prefix("${");
    // `${1}` is what an expression found, and no name of a variable.
    let inner = inner.filter(|inner| !inner.starts_with(|c: char| c.is_ascii_digit()));
    let Some(inner) = inner.and_then(|inner| inner.get(..inner.find('}')?)) else {
        return (Part::Plain(&text[..1]), 1);
    };
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let written = &text[..inner.len() + 3];
    (Part::Variable { written, name, default }, written.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_dollars() {
        let variable = |written, name, default| Part::Variable { written, name, default };
        for (text, wanted) in [
            ("", vec![]),
            ("plain", vec![Part::Plain("plain")]),
            ("a${B}c", vec![Part::Plain("a"), variable("${B}", "B", None), Part::Plain("c")]),
            ("${B:-x:-y}", vec![variable("${B:-x:-y}", "B", Some("x:-y"))]),
            ("$${B}", vec![Part::Dollar, Part::Plain("{B}")]),
            ("${1}$", vec![Part::Plain("$"), Part::Plain("{1}"), Part::Plain("$")]),
            ("${B", vec![Part::Plain("$"), Part::Plain("{B")]),
        ] {
            assert_eq!(parts(text).collect::<Vec<_>>(), wanted, "{text}");
        }
    }
}
