//! Names in an exposition: those that not every reader takes are escaped as the reader asked for by `escaping=` in its
//! `Accept`.
//!
//! Source: `EscapeName` of Prometheus' `common/model`. It leaves `:` in names of labels, which nobody can read; here it is
//! escaped.

use std::borrow::Cow;
use std::fmt::Write;

/// How names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Escaping {
    /// As they are; in a text between quotes.
    AllowUtf8,
    /// What is not plain becomes `_`.
    #[default]
    Underscores,
    /// A dot becomes `_dot_`, all else that is not plain `__`, and so does `_`.
    Dots,
    /// `U__` in front, and what is not plain becomes `_` its number `_`.
    Values,
}

impl Escaping {
    /// The scheme of this word.
    pub fn named(word: &str) -> Option<Escaping> {
        let all = [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];
        all.into_iter().find(|scheme| scheme.as_str() == word)
    }

    /// The word for it in `Accept` and `Content-Type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }

    /// The name of a metric.
    pub fn metric(self, name: &str) -> Cow<'_, str> {
        self.escaped(name, true)
    }

    /// The name of a label.
    pub fn label(self, name: &str) -> Cow<'_, str> {
        self.escaped(name, false)
    }

    fn escaped(self, name: &str, is_metric: bool) -> Cow<'_, str> {
        if self == Escaping::AllowUtf8 || name.is_empty() || is_plain(name, is_metric) {
            return Cow::Borrowed(name);
        }
        let mut out = String::from(if self == Escaping::Values { "U__" } else { "" });
        for (at, character) in name.char_indices() {
            let is_plain = is_plain_at(at, character, is_metric);
            match self {
                Escaping::AllowUtf8 | Escaping::Underscores => out.push(if is_plain { character } else { '_' }),
                Escaping::Dots | Escaping::Values if character == '_' => out.push_str("__"),
                Escaping::Dots | Escaping::Values if is_plain => out.push(character),
                Escaping::Dots => out.push_str(if character == '.' { "_dot_" } else { "__" }),
                Escaping::Values => {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "_{:x}_", u32::from(character));
                }
            }
        }
        Cow::Owned(out)
    }
}

/// Whether every reader takes a name: letters, digits and `_`, of metrics also `:`.
pub fn is_plain(name: &str, is_metric: bool) -> bool {
    !name.is_empty() && name.char_indices().all(|(at, character)| is_plain_at(at, character, is_metric))
}

fn is_plain_at(at: usize, character: char, is_metric: bool) -> bool {
    character.is_ascii_alphabetic()
        || character == '_'
        || (character.is_ascii_digit() && at > 0)
        || (character == ':' && is_metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_prometheus_escapes_them() {
        // What `EscapeName` gives.
        for (name, underscores, dots, values) in [
            ("up", "up", "up", "up"),
            ("a_b:c", "a_b:c", "a_b:c", "a_b:c"),
            ("http.status_code", "http_status_code", "http_dot_status__code", "U__http_2e_status__code"),
            ("9lives", "_lives", "__lives", "U___39_lives"),
            ("é ☃", "___", "______", "U___e9__20__2603_"),
            ("", "", "", ""),
        ] {
            assert_eq!(Escaping::AllowUtf8.metric(name), name);
            assert_eq!(Escaping::Underscores.metric(name), underscores);
            assert_eq!(Escaping::Dots.metric(name), dots);
            assert_eq!(Escaping::Values.metric(name), values);
        }
        assert_eq!(Escaping::Values.label("a:b"), "U__a_3a_b");
        for scheme in [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values] {
            assert_eq!(Escaping::named(scheme.as_str()), Some(scheme));
        }
        assert_eq!(Escaping::named("no"), None);
    }
}
