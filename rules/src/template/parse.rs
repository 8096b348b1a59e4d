//! From the text of a template to its pieces.

use super::functions::{FUNCTIONS, Function, LATER, compile};
use super::{Expr, Piece, TemplateError};

/// Longest template, bytes.
const TEMPLATE_MAX: usize = 64 << 10;
/// Deepest nesting of brackets and of `if`.
const DEPTH_MAX: usize = 32;
/// What there is, for who wrote something else.
const VARIABLES: &str = "there are $value, $labels.NAME, $externalLabels.NAME and $externalURL";

type Parse<T> = Result<T, TemplateError>;

pub(super) fn parse(source: &str) -> Parse<Vec<Piece>> {
    if source.len() > TEMPLATE_MAX {
        return Err(error(0, format!("a template above {TEMPLATE_MAX} bytes"), "shorten it"));
    }
    let mut parser = Parser { source, at: 0, trim_next: false };
    let (pieces, end) = parser.body(0)?;
    match end {
        End::Text => Ok(pieces),
        End::Closed(at) | End::Else(at, _) => {
            Err(error(at, "`end` or `else` without an `if` before it", "remove it, or open with {{ if … }}"))
        }
    }
}

struct Parser<'a> {
    source: &'a str,
    /// Byte offset of what is read next.
    at: usize,
    /// Whether the action before ended with `-}}`.
    trim_next: bool,
}

/// What a body ended with, and where that stands.
enum End {
    Text,
    Closed(usize),
    /// `else`, with the condition of `else if`.
    Else(usize, Option<Expr>),
}

impl Parser<'_> {
    fn body(&mut self, depth: usize) -> Parse<(Vec<Piece>, End)> {
        if depth > DEPTH_MAX {
            return Err(error(self.at, format!("`if` nested deeper than {DEPTH_MAX}"), ""));
        }
        let mut pieces = Vec::new();
        loop {
            let rest = &self.source[self.at..];
            let open = rest.find("{{");
            let mut text = &rest[..open.unwrap_or(rest.len())];
            if std::mem::take(&mut self.trim_next) {
                text = text.trim_start_matches(BLANK);
            }
            let trims = open.is_some_and(|open| {
                let mut behind = rest[open + 2..].chars();
                behind.next() == Some('-') && behind.next().is_some_and(|c| BLANK.contains(&c))
            });
            if trims {
                text = text.trim_end_matches(BLANK);
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            let Some(open) = open else {
                self.at = self.source.len();
                return Ok((pieces, End::Text));
            };
            let start = self.at + open;
            self.at = start + 2 + usize::from(trims);
            if let Some(end) = self.action(start, depth, &mut pieces)? {
                return Ok((pieces, end));
            }
        }
    }

    /// One `{{ … }}`, opened at `start`; `self.at` stands behind the opening.
    fn action(&mut self, start: usize, depth: usize, pieces: &mut Vec<Piece>) -> Parse<Option<End>> {
        self.blanks();
        if self.source[self.at..].starts_with("/*") {
            let Some(length) = self.source[self.at..].find("*/") else {
                return Err(error(start, "a comment that never ends", "close it with `*/}}`"));
            };
            self.at += length + 2;
            self.close(start)?;
            return Ok(None);
        }
        let word_at = self.at;
        match self.peek_word() {
            "if" => {
                self.at += "if".len();
                pieces.push(self.conditional(start, depth)?);
                Ok(None)
            }
            "else" => {
                self.at += "else".len();
                self.blanks();
                let condition = if self.peek_word() == "if" {
                    self.at += "if".len();
                    Some(self.pipeline(start, 0)?)
                } else {
                    None
                };
                self.close(start)?;
                Ok(Some(End::Else(word_at, condition)))
            }
            "end" => {
                self.at += "end".len();
                self.close(start)?;
                Ok(Some(End::Closed(word_at)))
            }
            _ => {
                let expr = self.pipeline(start, 0)?;
                self.close(start)?;
                pieces.push(Piece::Action(expr));
                Ok(None)
            }
        }
    }

    /// Behind `{{ if`.
    fn conditional(&mut self, start: usize, depth: usize) -> Parse<Piece> {
        let mut condition = Some(self.pipeline(start, 0)?);
        self.close(start)?;
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let (body, end) = self.body(depth + 1)?;
            match condition.take() {
                Some(condition) => branches.push((condition, body)),
                None => otherwise = body,
            }
            match end {
                End::Text => return Err(error(start, "this `if` has no end", "add {{ end }}")),
                End::Closed(_) => return Ok(Piece::If { branches, otherwise }),
                End::Else(at, _) if branches.len() > DEPTH_MAX => {
                    return Err(error(at, format!("more than {DEPTH_MAX} branches of one `if`"), ""));
                }
                End::Else(at, next) => {
                    if !otherwise.is_empty() {
                        return Err(error(at, "a second `else` of one `if`", "remove one"));
                    }
                    condition = next;
                }
            }
        }
    }

    /// `command | command …`; the value of each is the last argument of the next.
    fn pipeline(&mut self, start: usize, depth: usize) -> Parse<Expr> {
        if depth > DEPTH_MAX {
            return Err(error(self.at, format!("brackets nested deeper than {DEPTH_MAX}"), ""));
        }
        let mut expr = self.command(start, depth, None)?;
        let mut stages = 0;
        while self.next_is('|') {
            stages += 1;
            if stages > DEPTH_MAX {
                return Err(error(self.at, format!("more than {DEPTH_MAX} functions in a row"), ""));
            }
            expr = self.command(start, depth, Some(expr))?;
        }
        Ok(expr)
    }

    fn command(&mut self, start: usize, depth: usize, piped: Option<Expr>) -> Parse<Expr> {
        self.blanks();
        let at = self.at;
        let name = self.peek_word().to_owned();
        if name.is_empty() || name == "true" || name == "false" {
            let operand = self.operand(start, depth)?;
            if piped.is_some() {
                return Err(error(at, "a value behind `|`", "behind `|` stands a function, such as humanize"));
            }
            self.blanks();
            if !self.at_end_of_command() {
                return Err(error(
                    self.at,
                    format!("unexpected `{}` after a value", self.shown()),
                    "a function comes first: {{ printf \"%.2f\" $value }}, or last behind `|`",
                ));
            }
            return Ok(operand);
        }
        let (function, fewest, most) = function(&name, at)?;
        self.at += name.len();
        let mut arguments = Vec::new();
        loop {
            self.blanks();
            if self.at_end_of_command() {
                break;
            }
            arguments.push(self.operand(start, depth)?);
        }
        arguments.extend(piped);
        if arguments.len() < fewest || arguments.len() > most {
            let wanted = if fewest == most { format!("{fewest}") } else { format!("at least {fewest}") };
            return Err(error(at, format!("`{name}` takes {wanted} argument(s), not {}", arguments.len()), ""));
        }
        let pattern = match (function, arguments.first()) {
            (Function::Match | Function::ReReplaceAll, Some(Expr::Text(pattern))) => {
                Some(compile(pattern).map_err(|reason| error(at, reason, "RE2 syntax is read"))?)
            }
            _ => None,
        };
        Ok(Expr::Call { function, arguments, pattern })
    }

    fn operand(&mut self, start: usize, depth: usize) -> Parse<Expr> {
        self.blanks();
        let at = self.at;
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.pipeline(start, depth + 1)?;
                if !self.next_is(')') {
                    return Err(error(at, "this `(` is never closed", "add `)`"));
                }
                Ok(inner)
            }
            Some('$') => self.variable(),
            Some('.') => self.field(),
            Some('"') => self.quoted(),
            Some('`') => self.raw(),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '+' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => {
                let word = self.peek_word().to_owned();
                if word == "true" || word == "false" {
                    self.at += word.len();
                    return Ok(Expr::Bool(word == "true"));
                }
                let (function, fewest, _) = function(&word, at)?;
                if fewest > 0 {
                    return Err(error(at, format!("`{word}` stands as an argument"), "put the call in brackets"));
                }
                self.at += word.len();
                Ok(Expr::Call { function, arguments: Vec::new(), pattern: None })
            }
            Some('}') => Err(error(at, "a value is missing here", "write {{ $value }} or {{ $labels.NAME }}")),
            Some(_) => Err(error(at, format!("unexpected `{}`", self.shown()), "")),
            None => Err(unclosed(start)),
        }
    }

    /// `$value`, `$labels`, `$labels.name`, and the same of what is external.
    fn variable(&mut self) -> Parse<Expr> {
        let at = self.at;
        self.at += 1;
        let name = self.peek_word().to_owned();
        self.at += name.len();
        match name.as_str() {
            "value" => Ok(Expr::Value),
            "labels" => Ok(self.label_name().map_or(Expr::Labels, Expr::Label)),
            "externalLabels" => Ok(self.label_name().map_or(Expr::ExternalLabels, Expr::ExternalLabel)),
            "externalURL" => Ok(Expr::ExternalUrl),
            _ => Err(error(at, format!("unknown variable `${name}`"), VARIABLES)),
        }
    }

    /// The same as fields: `.Value`, `.Labels`, `.Labels.name`.
    fn field(&mut self) -> Parse<Expr> {
        let at = self.at;
        self.at += 1;
        let name = self.peek_word().to_owned();
        self.at += name.len();
        match name.as_str() {
            "Value" => Ok(Expr::Value),
            "Labels" => Ok(self.label_name().map_or(Expr::Labels, Expr::Label)),
            "ExternalLabels" => Ok(self.label_name().map_or(Expr::ExternalLabels, Expr::ExternalLabel)),
            "ExternalURL" => Ok(Expr::ExternalUrl),
            _ => Err(error(at, format!("unknown field `.{name}`"), VARIABLES)),
        }
    }

    fn label_name(&mut self) -> Option<String> {
        let rest = self.source[self.at..].strip_prefix('.')?;
        let name = word_of(rest);
        if name.is_empty() {
            return None;
        }
        self.at += 1 + name.len();
        Some(name.to_owned())
    }

    fn quoted(&mut self) -> Parse<Expr> {
        let open = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let at = self.at;
            let Some(c) = self.next() else {
                return Err(error(open, "a string that never ends", "close it with `\"`"));
            };
            match c {
                '"' => return Ok(Expr::Text(text)),
                '\n' => return Err(error(open, "a string that does not end on its line", "close it with `\"`")),
                '\\' => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c @ ('"' | '\\' | '\'')) => text.push(c),
                    _ => return Err(error(at, "an unknown escape in a string", "a backslash is written \\\\")),
                },
                c => text.push(c),
            }
        }
    }

    fn raw(&mut self) -> Parse<Expr> {
        let open = self.at;
        let rest = &self.source[open + 1..];
        let Some(length) = rest.find('`') else {
            return Err(error(open, "a string that never ends", "close it with a backtick"));
        };
        self.at = open + 1 + length + 1;
        Ok(Expr::Text(rest[..length].to_owned()))
    }

    fn number(&mut self) -> Parse<Expr> {
        let at = self.at;
        let rest = &self.source[at..];
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_')));
        let literal = &rest[..length.unwrap_or(rest.len())];
        self.at += literal.len();
        if let Ok(number) = literal.parse::<i64>() {
            return Ok(Expr::Int(number));
        }
        match literal.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Expr::Float(number)),
            _ => Err(error(at, format!("`{literal}` is no number"), "")),
        }
    }

    /// Behind the content of an action.
    fn close(&mut self, start: usize) -> Parse<()> {
        self.blanks();
        let rest = &self.source[self.at..];
        if rest.starts_with("-}}") && self.source[..self.at].ends_with(BLANK) {
            self.trim_next = true;
            self.at += 3;
            return Ok(());
        }
        if rest.starts_with("}}") {
            self.at += 2;
            return Ok(());
        }
        if rest.is_empty() {
            return Err(unclosed(start));
        }
        if rest.starts_with(":=") || rest.starts_with('=') {
            return Err(error(self.at, "variables of one's own are not in this version yet", "use $value and $labels"));
        }
        Err(error(self.at, format!("unexpected `{}` before `}}}}`", self.shown()), ""))
    }

    fn at_end_of_command(&self) -> bool {
        let rest = &self.source[self.at..];
        rest.is_empty()
            || rest.starts_with('|')
            || rest.starts_with(')')
            || rest.starts_with("}}")
            || rest.starts_with("-}}")
            || rest.starts_with(":=")
            || rest.starts_with('=')
    }

    fn next_is(&mut self, c: char) -> bool {
        self.blanks();
        let is = self.peek() == Some(c);
        if is {
            self.at += c.len_utf8();
        }
        is
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn peek_word(&self) -> &str {
        word_of(&self.source[self.at..])
    }

    fn blanks(&mut self) {
        let rest = &self.source[self.at..];
        self.at += rest.len() - rest.trim_start_matches(BLANK).len();
    }

    /// The next character, for messages.
    fn shown(&self) -> String {
        self.peek().map_or_else(String::new, |c| c.escape_default().to_string())
    }
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// The letters, digits and `_` a text begins with, if it begins with no digit.
fn word_of(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_numeric()) {
        return "";
    }
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

fn function(name: &str, at: usize) -> Parse<(Function, usize, usize)> {
    if let Some((_, function, fewest, most)) = FUNCTIONS.iter().find(|(have, ..)| *have == name) {
        return Ok((*function, *fewest, *most));
    }
    if LATER.contains(&name) {
        return Err(error(at, format!("`{name}` is not in this version yet"), "remove it from the template"));
    }
    let nearest = watchfire_model::nearest(name, FUNCTIONS.iter().map(|(have, ..)| *have));
    let hint = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "a label is written $labels.NAME, the value $value, a text in quotes".to_owned(),
    };
    Err(TemplateError { offset: at, message: format!("unknown function `{name}`"), hint })
}

fn unclosed(start: usize) -> TemplateError {
    error(start, "this `{{` is never closed", "add `}}`")
}

fn error(offset: usize, message: impl Into<String>, hint: &str) -> TemplateError {
    TemplateError { offset, message: message.into(), hint: hint.to_owned() }
}
