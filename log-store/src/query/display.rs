//! A query as text, which reads back to an equal query.

use std::fmt::{Formatter, Result, Write};
use std::ops::Bound;

use watchfire_model::Timestamp;

use super::ast::{Expr, Node, Query, Test};
use super::field::Field;
use super::number::Number;
use super::phrase::Phrase;

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write_node(f, &self.root, false)
    }
}

/// Lists that are part of something else stand in brackets: needed to read back the same, or plainer to people.
fn write_node(f: &mut Formatter<'_>, node: &Node, nested: bool) -> Result {
    match &node.expr {
        Expr::All => f.write_char('*'),
        Expr::And(nodes) => write_list(f, nodes, " ", nested),
        Expr::Or(nodes) => write_list(f, nodes, " OR ", nested),
        Expr::Not(inner) => {
            f.write_char('-')?;
            write_node(f, inner, true)
        }
        Expr::Text(phrase) => write_phrase(f, phrase),
        Expr::TextRegex(pattern) => write!(f, "{pattern}"),
        Expr::Field(field, test) => {
            write!(f, "{field}:")?;
            write_test(f, field, test)
        }
    }
}

fn write_list(f: &mut Formatter<'_>, nodes: &[Node], between: &str, brackets: bool) -> Result {
    if brackets {
        f.write_char('(')?;
    }
    for (number, node) in nodes.iter().enumerate() {
        if number > 0 {
            f.write_str(between)?;
        }
        write_node(f, node, true)?;
    }
    if brackets {
        f.write_char(')')?;
    }
    Ok(())
}

fn write_phrase(f: &mut Formatter<'_>, phrase: &Phrase) -> Result {
    write_text(f, phrase.text())?;
    if phrase.has_star() { f.write_char('*') } else { Ok(()) }
}

fn write_test(f: &mut Formatter<'_>, field: &Field, test: &Test) -> Result {
    match test {
        Test::Exists => f.write_char('*'),
        Test::Phrase(phrase) => write_phrase(f, phrase),
        Test::Whole(whole) => write_text(f, whole.as_str()),
        Test::Prefix(prefix) => {
            write_text(f, prefix.as_str())?;
            f.write_char('*')
        }
        Test::Numbers(range) => match (range.low, range.high) {
            (Bound::Excluded(low), Bound::Unbounded) => write!(f, ">{low}"),
            (Bound::Unbounded, Bound::Excluded(high)) => write!(f, "<{high}"),
            (Bound::Included(low), Bound::Unbounded) => write!(f, ">={low}"),
            (Bound::Unbounded, Bound::Included(high)) => write!(f, "<={high}"),
            (low, high) => write!(f, "[{} TO {}]", bound(low), bound(high)),
        },
        Test::Regex(pattern) => write!(f, "{pattern}"),
        Test::Levels(levels) => write!(f, "{levels}"),
        Test::Integers { low, high } => {
            let show = |number: i64| match field {
                Field::Timestamp | Field::AcceptedAt => format!("\"{}\"", Timestamp::from_millis(number)),
                _ => number.to_string(),
            };
            match (*low, *high) {
                (i64::MIN, i64::MAX) => f.write_char('*'),
                (low, i64::MAX) => write!(f, ">={}", show(low)),
                (i64::MIN, high) => write!(f, "<={}", show(high)),
                (low, high) if low == high => f.write_str(&show(low)),
                (low, high) => write!(f, "[{} TO {}]", show(low), show(high)),
            }
        }
    }
}

fn bound(bound: Bound<Number>) -> String {
    match bound {
        Bound::Included(number) | Bound::Excluded(number) => number.to_string(),
        Bound::Unbounded => "*".to_owned(),
    }
}

/// Writes a text bare if that reads back as it is, else in quotes.
fn write_text(f: &mut Formatter<'_>, text: &str) -> Result {
    let plain = text.starts_with(char::is_alphanumeric)
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | ','))
        && !matches!(text, "AND" | "OR" | "NOT");
    if plain {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

/// Writes a name with a backslash before whatever would end it, or be taken for an operator.
pub(super) fn escape_name(f: &mut Formatter<'_>, name: &str) -> Result {
    for character in name.chars() {
        if character.is_whitespace() || matches!(character, ':' | '(' | ')' | '"' | '\\' | '*' | '!' | '=' | '<' | '>')
        {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    Ok(())
}
