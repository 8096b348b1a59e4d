//! What other tools write for a negation or a comparison. Signs are no words, so that it would be read as a search for
//! something else: `!alpha` for what has `alpha`, `n>300` for the words `n 300`.
//!
//! `a=b`, `a<b` and the like stay words in a row: logs have such texts, and people search for them.

use super::field::Field;
use super::scan::{begins_name, ends_word};

/// An operator of another language.
pub(super) struct Foreign {
    /// Where it stands, in bytes from the start of the clause.
    pub at: usize,
    /// The operator.
    pub sign: String,
    /// What means here what it means there.
    pub instead: String,
}

/// Signs of comparisons, those first that begin with another.
const COMPARISONS: [&str; 8] = ["!=", "!~", "=~", "<>", ">=", "<=", ">", "<"];

/// The operator that a clause begins with, or that stands right behind its first name. `before` is the text before it.
pub(super) fn in_clause(before: &str, clause: &str) -> Option<Foreign> {
    if let Some(found) = compares_word_before(before, clause) {
        return Some(found);
    }
    if let Some(rest) = clause.strip_prefix('!') {
        let compares = rest.starts_with(['=', '~']);
        let operand = rest.trim_start_matches(['!', '=', '~']);
        let name = if compares { name_at_end(before).unwrap_or("name") } else { "" };
        let instead = format!("-{name}{}{}", if compares { ":" } else { "" }, shown(operand)?);
        let sign = if compares { &clause[..2] } else { "!" };
        return Some(Foreign { at: 0, sign: sign.to_owned(), instead });
    }
    let (name, rest) = clause.split_at(clause.find(|character| !in_name(character)).unwrap_or(clause.len()));
    // Not the arrow of `a->b`.
    if !name.starts_with(begins_name) || name.ends_with('-') {
        return None;
    }
    let (sign, operand) = comparison(rest)?;
    let instead = instead_of(name, sign, operand)?;
    Some(Foreign { at: name.len(), sign: sign.to_owned(), instead })
}

/// A comparison with a blank before its sign.
fn compares_word_before(before: &str, clause: &str) -> Option<Foreign> {
    // `name :>5`, too.
    let (sign, operand) = comparison(clause.strip_prefix(':').unwrap_or(clause))?;
    if clause.starts_with('!') && !operand.starts_with(char::is_whitespace) {
        return None;
    }
    let name = name_at_end(before);
    let is_alone = operand.starts_with(char::is_whitespace);
    let instead = match instead_of(name.unwrap_or("name"), sign, operand) {
        None if is_alone => format!("{}:{sign}{}", name.unwrap_or("name"), shown(operand.trim_start())?),
        // `<14>` is a text, and no number.
        Some(_)
            if matches!(sign, "<" | ">")
                && !is_alone
                && !is_number_alone(operand)
                && name.is_none_or(|name| !has_order(name)) =>
        {
            return None;
        }
        instead => instead?,
    };
    Some(Foreign { at: usize::from(clause.starts_with(':')), sign: sign.to_owned(), instead })
}

/// The sign that a text begins with, and what stands behind it.
fn comparison(text: &str) -> Option<(&'static str, &str)> {
    COMPARISONS.into_iter().find_map(|sign| Some((sign, text.strip_prefix(sign)?)))
}

/// What compares here as `name`, `sign` and `operand` do elsewhere, with blanks between or without; `None` if they may be a text.
fn instead_of(name: &str, sign: &str, operand: &str) -> Option<String> {
    let operand = operand.trim_start();
    let value = shown(operand)?;
    let is_number = operand.trim_start_matches(['-', '+', '.']).starts_with(|first: char| first.is_ascii_digit());
    match sign {
        "!=" => Some(format!("-{name}:{value}")),
        "!~" => Some(format!("-{name}:/…/")),
        "=~" => Some(format!("{name}:/…/")),
        // `List<>` and `Vec<u8>` are texts of programs.
        "<>" if is_number => Some(format!("-{name}:{value}")),
        ">=" | "<=" => Some(format!("{name}:{sign}{value}")),
        ">" | "<" if is_number || has_order(name) => Some(format!("{name}:{sign}{value}")),
        _ => None,
    }
}

fn in_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.' | '-' | '@')
}

/// Whether values of this field have an order and are no numbers.
fn has_order(name: &str) -> bool {
    matches!(Field::parse(name), Some(Field::Level | Field::Timestamp | Field::AcceptedAt | Field::Seq))
}

/// Whether the word that `text` begins with is a number, with a unit or without.
fn is_number_alone(text: &str) -> bool {
    let word = &text[..text.find(ends_word).unwrap_or(text.len())];
    let digits = word.trim_start_matches(['-', '+']);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | ':' | '+'))
}

/// The word before a blank at the end of `text`, if a field may have that name.
fn name_at_end(text: &str) -> Option<&str> {
    let trimmed = text.trim_end();
    let word = trimmed.rsplit(ends_word).next()?;
    let is_name = word.starts_with(begins_name) && word.chars().all(in_name) && !matches!(word, "AND" | "OR" | "NOT");
    (trimmed.len() < text.len() && is_name).then_some(word)
}

/// The operator that stands between a name with its colon and a value.
pub(super) fn in_value(name: &str, value: &str) -> Option<Foreign> {
    let operand = value.trim_start_matches(['!', '=']);
    let is_regex = operand.starts_with('~');
    let sign = &value[..value.len() - operand.len() + usize::from(is_regex)];
    if !sign.starts_with(['!', '=']) {
        return None;
    }
    let minus = if sign.starts_with('!') { "-" } else { "" };
    let operand = if is_regex { Some("/…/".to_owned()) } else { shown(operand) };
    let instead = format!("{minus}{name}:{}", operand.as_deref().unwrap_or("value"));
    Some(Foreign { at: 0, sign: sign.to_owned(), instead })
}

/// The operand that `text` begins with, as short as a hint needs it; `None` if there is none.
fn shown(text: &str) -> Option<String> {
    match text.chars().next()? {
        '(' => Some("(…)".to_owned()),
        '"' => Some("\"…\"".to_owned()),
        '/' => Some("/…/".to_owned()),
        _ => {
            let word = &text[..text.find(ends_word).unwrap_or(text.len())];
            let cut: String = word.chars().take(40).collect();
            (!word.is_empty()).then(|| if cut.len() < word.len() { format!("{cut}…") } else { cut })
        }
    }
}
