//! From text to tree.
//!
//! By hand rather than by a grammar: nesting is bounded before it recurses, and each mistake gets its own words.
//!
//! ```text
//! query  = [or]
//! or     = and ("OR" and)*
//! and    = not (["AND"] not)*
//! not    = ("NOT" | "-") not | "(" or ")" | clause
//! clause = "*" | word["*"] | '"' phrase '"'["*"] | "/" regex "/" | name ":" value
//! value  = "*" | word["*"] | '"' phrase '"'["*"] | "/" regex "/" | (">" | ">=" | "<" | "<=") bound
//!        | "[" (bound | "*") "TO" (bound | "*") "]"
//! ```

use watchfire_model::Timestamp;

use super::ast::{Expr, Node, Query, Span};
use super::error::QueryError;
use super::field::Field;
use super::foreign::{self, Foreign};
use super::pattern::Pattern;
use super::phrase::Phrase;
use super::scan::{Scanned, Scanner, Word};
use super::tokens::tokens;
use super::value::{Bounds, Value};
use super::{CLAUSES_MAX, DEPTH_MAX, PATTERNS_MAX, QUERY_BYTES_MAX, WORDS_MAX};

/// Reads a query. `now` is what times in it (`timestamp:>now-1h`) go by. Blank text matches every record.
pub fn parse(text: &str, now: Timestamp) -> Result<Query, QueryError> {
    let mut parser = Parser { scan: Scanner::new(text), now, clauses: 0, patterns: 0 };
    if text.len() > QUERY_BYTES_MAX {
        let message = format!("the query is longer than {QUERY_BYTES_MAX} bytes");
        return Err(parser.scan.error(QUERY_BYTES_MAX, message, ""));
    }
    parser.scan.skip_blanks();
    if parser.scan.rest().is_empty() {
        return Ok(Query::all());
    }
    let root = parser.or(0, "the start")?;
    if parser.scan.rest().is_empty() {
        return Ok(Query { root });
    }
    Err(parser.closes_nothing())
}

pub(super) struct Parser<'a> {
    pub scan: Scanner<'a>,
    pub now: Timestamp,
    clauses: usize,
    patterns: usize,
}

impl Parser<'_> {
    /// Alternatives, and the blanks after them. `before` names what an operand is missing after.
    fn or(&mut self, depth: usize, before: &str) -> Result<Node, QueryError> {
        let mut nodes = vec![self.and(depth, before)?];
        while self.scan.is_operator("OR") {
            self.scan.at += 2;
            nodes.push(self.and(depth, "`OR`")?);
        }
        Ok(join(nodes, Expr::Or))
    }

    fn and(&mut self, depth: usize, before: &str) -> Result<Node, QueryError> {
        let mut nodes = vec![self.not(depth, before)?];
        loop {
            self.scan.skip_blanks();
            if matches!(self.scan.peek(), None | Some(')')) || self.scan.is_operator("OR") {
                return Ok(join(nodes, Expr::And));
            }
            let explicit = self.scan.is_operator("AND");
            if explicit {
                self.scan.at += 3;
            }
            nodes.push(self.not(depth, "`AND`")?);
        }
    }

    fn not(&mut self, depth: usize, before: &str) -> Result<Node, QueryError> {
        self.scan.skip_blanks();
        let start = self.scan.at;
        let operand_error = |parser: &Self, message: String| {
            Err(parser.scan.error(start, message, "to search for an operator or a bracket, put it in quotes: \"OR\""))
        };
        match self.scan.peek() {
            None => return operand_error(self, format!("nothing stands after {before}")),
            Some(')') if depth == 0 => return Err(self.closes_nothing()),
            Some(')') if before == "`(`" => return operand_error(self, "nothing stands in these brackets".to_owned()),
            Some(')') => return operand_error(self, format!("nothing stands after {before}")),
            Some(_) => {}
        }
        for operator in ["AND", "OR"] {
            if self.scan.is_operator(operator) {
                return operand_error(self, format!("nothing stands between {before} and `{operator}`"));
            }
        }
        let nested = self.scan.is_operator("NOT") || matches!(self.scan.peek(), Some('-' | '('));
        if nested && depth >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} brackets and negations in each other");
            return Err(self.scan.error(start, message, ""));
        }
        let negation = if self.scan.is_operator("NOT") { "NOT" } else { "-" };
        let expr = if self.scan.take("(") {
            let node = self.or(depth + 1, "`(`")?;
            if !self.scan.take(")") {
                let open = self.scan.error(start, "", "");
                let hint = format!("the `(` at line {}, column {} is never closed", open.line, open.column);
                return Err(self.scan.error(self.scan.at, "expected `)`", &hint));
            }
            node.expr
        } else if self.scan.take(negation) {
            if negation == "-" && self.scan.peek().is_none_or(char::is_whitespace) {
                let hint = "write -word without a blank to leave records out; put a dash that is meant in quotes";
                return Err(self.scan.error(start, "a dash on its own has no letter or digit to search for", hint));
            }
            Expr::Not(Box::new(self.not(depth + 1, if negation == "NOT" { "`NOT`" } else { "`-`" })?))
        } else {
            self.clauses += 1;
            if self.clauses > CLAUSES_MAX {
                return Err(self.scan.error(start, format!("more than {CLAUSES_MAX} clauses"), ""));
            }
            self.clause()?
        };
        Ok(Node { span: Span { start, end: self.scan.at }, expr })
    }

    fn closes_nothing(&self) -> QueryError {
        self.scan.error(self.scan.at, "this `)` closes nothing", "put text that has brackets in quotes")
    }

    fn clause(&mut self) -> Result<Expr, QueryError> {
        self.is_ours(foreign::in_clause(self.scan.before(), self.scan.rest()))?;
        match self.scan.peek() {
            Some('"') => {
                let phrase = self.scan.quoted()?;
                if self.scan.peek() == Some(':') {
                    let hint = "a name stands without quotes; put a backslash before its blanks: my\\ field:value";
                    return Err(self.scan.error(self.scan.at, "expected a blank after the phrase, not `:`", hint));
                }
                self.scan.end_of_clause("the phrase", "")?;
                self.words(&phrase)
            }
            Some('/') => Ok(Expr::TextRegex(self.pattern()?)),
            _ => match self.scan.word(true)? {
                Word::Plain(word) => {
                    self.scan
                        .end_of_clause("the word", "put text that has brackets or quotes in quotes: \"main()\"")?;
                    if word.star && word.text.is_empty() { Ok(Expr::All) } else { self.words(&word) }
                }
                Word::Name(name) => {
                    let field = self.field(&name)?;
                    let value = self.value(&name)?;
                    let test = value.test(&field, &name, self)?;
                    Ok(Expr::Field(field, test))
                }
            },
        }
    }

    /// Refuses an operator of another language, found from here on.
    fn is_ours(&self, found: Option<Foreign>) -> Result<(), QueryError> {
        let Some(Foreign { at, sign, instead }) = found else { return Ok(()) };
        let hint = format!("write {instead}; put signs that are meant in quotes");
        Err(self.scan.error(self.scan.at + at, format!("`{sign}` is no operator here"), &hint))
    }

    /// Refuses endless phrases: finding one takes time by its length times that of the text.
    fn check_length(&self, scanned: &Scanned) -> Result<(), QueryError> {
        if tokens(&scanned.text).count() <= WORDS_MAX {
            return Ok(());
        }
        Err(self.scan.error(scanned.span.start, format!("more than {WORDS_MAX} words in a row"), ""))
    }

    fn words(&self, scanned: &Scanned) -> Result<Expr, QueryError> {
        self.check_length(scanned)?;
        Phrase::new(&scanned.text, scanned.star).map(Expr::Text).ok_or_else(|| {
            let hint = match scanned.text.as_str() {
                "&&" => "write AND, or just a blank",
                "||" => "write OR",
                "!" | "!=" | "<>" => "write NOT, or - right before what must not match: -name:value",
                "=" | "==" => "write name:value",
                ">" | ">=" | "<" | "<=" => "write name:>5, name:>=5, name:<5 or name:<=5",
                _ => "words are letters, digits and `_`; search for other signs with /regex/",
            };
            let shown = self.scan.excerpt(scanned.span);
            self.scan.error(scanned.span.start, format!("`{shown}` has no letter or digit to search for"), hint)
        })
    }

    /// An expression between slashes.
    pub fn pattern(&mut self) -> Result<Pattern, QueryError> {
        let source = self.scan.between_slashes()?;
        let start = source.span.start;
        self.scan.end_of_clause(
            "the regular expression",
            "to search for a path put it in quotes: \"/api/users\"; inside an expression write \\/ for a slash",
        )?;
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(self.scan.error(start, format!("more than {PATTERNS_MAX} regular expressions"), ""));
        }
        if source.text.is_empty() {
            return Err(self.scan.error(
                start,
                "an empty regular expression",
                "write field:* for records that have it",
            ));
        }
        Pattern::new(&source.text).map_err(|error| {
            let hint = "RE2 syntax: no look-around and no back-references; a backslash before a sign makes it plain";
            self.scan.error(start, format!("bad regular expression: {error}"), hint)
        })
    }

    fn field(&self, name: &Scanned) -> Result<Field, QueryError> {
        Field::parse(&name.text).ok_or_else(|| {
            let hint = format!("write {}name:value", name.text);
            self.scan.error(name.span.end, format!("a name is missing after `{}`", name.text), &hint)
        })
    }

    fn value(&mut self, name: &Scanned) -> Result<Value, QueryError> {
        let start = self.scan.at;
        self.is_ours(foreign::in_value(&self.scan.excerpt(name.span), self.scan.rest()))?;
        let brackets = "put a value that has brackets or quotes in quotes";
        match self.scan.peek() {
            Some('"') => {
                let phrase = self.scan.quoted()?;
                self.scan.end_of_clause("the value", brackets)?;
                self.check_length(&phrase)?;
                Ok(Value::Text(phrase))
            }
            Some('/') => Ok(Value::Regex { pattern: self.pattern()?, start }),
            Some('[') => self.range(),
            Some('{') => {
                let hint =
                    "a range is [1 TO 5]; for one without its ends write >1 <5; put a brace that is meant in quotes";
                Err(self.scan.error(start, "a value cannot begin with `{`", hint))
            }
            Some('(') => {
                let name = self.scan.excerpt(name.span);
                let hint = format!("name the field each time: ({name}:a OR {name}:b)");
                Err(self.scan.error(start, "a field takes one value, not brackets", &hint))
            }
            Some('>' | '<') => {
                let above = self.scan.take(">") || !self.scan.take("<");
                let inclusive = self.scan.take("=");
                self.scan.skip_blanks();
                let bound = self.bound(false)?;
                self.scan.end_of_clause("the value", brackets)?;
                Ok(Value::Bounds(if above {
                    Bounds { low: Some(bound), high: None, inclusive, start }
                } else {
                    Bounds { low: None, high: Some(bound), inclusive, start }
                }))
            }
            Some(next) if !next.is_whitespace() && next != ')' => {
                let (Word::Plain(word) | Word::Name(word)) = self.scan.word(false)?;
                self.scan.end_of_clause("the value", brackets)?;
                self.check_length(&word)?;
                Ok(if word.star && word.text.is_empty() { Value::Exists } else { Value::Text(word) })
            }
            _ => {
                let name = self.scan.excerpt(name.span);
                let hint = format!(
                    "write {name}:* for records that have it; put a colon that is meant in quotes: \"{name}:\""
                );
                Err(self.scan.error(start, format!("a value is missing after `{name}:`"), &hint))
            }
        }
    }

    /// `[low TO high]`, from the bracket on.
    fn range(&mut self) -> Result<Value, QueryError> {
        let start = self.scan.at;
        let hint = "a range is [1 TO 5], [now-1h TO now] or [5 TO *]";
        self.scan.at += 1;
        let low = self.range_end(hint)?;
        self.scan.skip_blanks();
        if !(self.scan.take("TO") || self.scan.take("to")) {
            return Err(self.scan.error(self.scan.at, "expected `TO`", hint));
        }
        let high = self.range_end(hint)?;
        self.scan.skip_blanks();
        if !self.scan.take("]") {
            return Err(self.scan.error(self.scan.at, "expected `]`", hint));
        }
        self.scan.end_of_clause("the range", "")?;
        Ok(Value::Bounds(Bounds { low, high, inclusive: true, start }))
    }

    /// One end of a range; `None` for `*`.
    fn range_end(&mut self, hint: &str) -> Result<Option<Scanned>, QueryError> {
        self.scan.skip_blanks();
        if self.scan.take("*") {
            return Ok(None);
        }
        if matches!(self.scan.peek(), None | Some(']')) {
            return Err(self.scan.error(self.scan.at, "an end of the range is missing", hint));
        }
        self.bound(true).map(Some)
    }

    /// What a field is compared with: a phrase in quotes, or everything up to a blank, a bracket or, in a range, `]`.
    fn bound(&mut self, in_range: bool) -> Result<Scanned, QueryError> {
        if self.scan.peek() == Some('"') {
            return self.scan.quoted();
        }
        let start = self.scan.at;
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')') || in_range && c == ']';
        let rest = self.scan.rest();
        let text = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if text.is_empty() {
            return Err(self.scan.error(start, "a value to compare with is missing", "write field:>5000"));
        }
        self.scan.at += text.len();
        Ok(Scanned { text: text.to_owned(), star: false, span: Span { start, end: self.scan.at } })
    }
}

/// One node for several; a single one stays itself.
fn join(mut nodes: Vec<Node>, combine: fn(Vec<Node>) -> Expr) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(node)) => node,
        (_, last) => {
            nodes.extend(last);
            let start = nodes.first().map_or(0, |node| node.span.start);
            let end = nodes.last().map_or(0, |node| node.span.end);
            Node { span: Span { start, end }, expr: combine(nodes) }
        }
    }
}
