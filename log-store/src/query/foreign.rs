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

/// The operator that a clause begins with, or that stands right behind its first name.
pub(super) fn in_clause(clause: &str) -> Option<Foreign> {
    if let Some(rest) = clause.strip_prefix('!') {
        let compares = rest.starts_with(['=', '~']);
        let operand = rest.trim_start_matches(['!', '=', '~']);
        let instead = format!("-{}{}", if compares { "name:" } else { "" }, shown(operand)?);
        let sign = if compares { &clause[..2] } else { "!" };
        return Some(Foreign { at: 0, sign: sign.to_owned(), instead });
    }
    let in_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.' | '-' | '@');
    let (name, rest) = clause.split_at(clause.find(|character| !in_name(character)).unwrap_or(clause.len()));
    // Not the arrow of `a->b`.
    if !name.starts_with(begins_name) || name.ends_with('-') {
        return None;
    }
    let (sign, operand) = ["!=", "!~", "=~", "<>", ">=", "<=", ">", "<"]
        .into_iter()
        .find_map(|sign| Some((sign, rest.strip_prefix(sign)?)))?;
    let value = shown(operand)?;
    let is_number = operand.trim_start_matches(['-', '+', '.']).starts_with(|first: char| first.is_ascii_digit());
    let has_order =
        matches!(Field::parse(name), Some(Field::Level | Field::Timestamp | Field::AcceptedAt | Field::Seq));
    let instead = match sign {
        "!=" => format!("-{name}:{value}"),
        "!~" => format!("-{name}:/…/"),
        "=~" => format!("{name}:/…/"),
        // `List<>` and `Vec<u8>` are texts of programs.
        "<>" if is_number => format!("-{name}:{value}"),
        ">=" | "<=" => format!("{name}:{sign}{value}"),
        ">" | "<" if is_number || has_order => format!("{name}:{sign}{value}"),
        _ => return None,
    };
    Some(Foreign { at: name.len(), sign: sign.to_owned(), instead })
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
