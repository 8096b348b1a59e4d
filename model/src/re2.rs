//! Regular expressions as RE2 and Go read them, in the syntax of the `regex` package.
//!
//! Most are written the same. But `\d`, `\w`, `\s` and `\b` mean ASCII only there, `\Q…\E` is literal, a brace that repeats
//! nothing stands for itself, and within brackets `[`, `&&`, `--` and `~~` have no meaning.

use regex::{Regex, RegexBuilder};

/// Most repetitions that may be counted, as there.
const REPEAT_MAX: u32 = 1000;

/// Names that may stand between `[:` and `:]`.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Compiles an expression that is looked for anywhere in a text, to at most so many bytes.
///
/// Errors: why it is none, on one line.
pub fn compile(expression: &str, bytes_max: usize) -> Result<Regex, String> {
    build(&translated(expression)?, bytes_max)
}

/// Compiles an expression that has to fit a whole text, to at most so many bytes.
///
/// Errors: why it is none, on one line.
pub fn compile_anchored(expression: &str, bytes_max: usize) -> Result<Regex, String> {
    build(&anchored(expression)?, bytes_max)
}

fn build(translated: &str, bytes_max: usize) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(bytes_max).build().map_err(|error| reason(&error))
}

/// What is wrong with an expression, on one line.
pub(crate) fn reason(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
}

/// An expression that has to fit a whole text, as the `regex` package reads it.
///
/// Errors: what RE2 does not read, in its words. Some of what it refuses is left to the package.
pub(crate) fn anchored(expression: &str) -> Result<String, String> {
    Ok(format!("^(?s:{})$", translated(expression)?))
}

/// An expression as the `regex` package reads it.
///
/// Errors: as those of [`anchored`].
pub(crate) fn translated(expression: &str) -> Result<String, String> {
    let mut translation = Translation { rest: expression, out: String::with_capacity(expression.len()) };
    let (mut is_repeated, mut repeats_of) = (false, Repeats::default());
    while let Some(character) = translation.rest.chars().next() {
        let before = translation.rest;
        let repeats = match character {
            '\\' => translation.escape()?,
            '[' => translation.class()?,
            '(' => translation.group()?,
            '*' | '+' | '?' => translation.copy(character.len_utf8(), true),
            '{' => translation.brace()?,
            other => translation.copy(other.len_utf8(), false),
        };
        let read = &before[..before.len() - translation.rest.len()];
        if repeats && is_repeated {
            return Err(format!("invalid nested repetition operator: `{read}`"));
        }
        if !repeats_of.read(read, repeats) {
            return Err(format!("invalid repeat count: `{read}`"));
        }
        if repeats && translation.rest.starts_with('?') {
            translation.copy(1, true);
        }
        is_repeated = repeats;
    }
    Ok(translation.out)
}

/// How often parts of an expression are repeated by counts in each other.
#[derive(Default)]
struct Repeats {
    /// Of what was read last.
    last: u32,
    /// The most of what lies in each group that is open.
    open: Vec<u32>,
}

impl Repeats {
    /// Goes over what was read; says whether it is repeated no more often than may be.
    fn read(&mut self, read: &str, repeats: bool) -> bool {
        match (read, read.strip_prefix('{').filter(|_| repeats)) {
            (_, Some(counts)) => {
                let most = counts.trim_end_matches('}').rsplit(',').find(|count| !count.is_empty());
                let most = most.and_then(|most| most.parse().ok()).unwrap_or(1);
                // Of what is not repeated at all all else still counts.
                self.last = self.last.saturating_mul(u32::max(most, 1));
            }
            _ if repeats => {}
            (")", None) => self.last = self.open.pop().unwrap_or(1),
            (group, None) if group.starts_with('(') && !group.ends_with(')') => {
                self.open.push(1);
                return true;
            }
            _ => self.last = 1,
        }
        if let Some(most) = self.open.last_mut() {
            *most = self.last.max(*most);
        }
        self.last <= REPEAT_MAX
    }
}

struct Translation<'t> {
    rest: &'t str,
    out: String,
}

/// What an escape stands for.
enum Escaped {
    Character(char),
    /// A class, as it is written within brackets.
    Class(String),
}

impl<'t> Translation<'t> {
    /// Copies so many bytes; says what it is given.
    fn copy(&mut self, length: usize, repeats: bool) -> bool {
        let (copied, rest) = self.rest.split_at(length);
        self.out.push_str(copied);
        self.rest = rest;
        repeats
    }

    fn skip(&mut self, start: &str) -> bool {
        let rest = self.rest.strip_prefix(start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn literal(&mut self, character: char) {
        if is_special(character) {
            self.out.push('\\');
        }
        self.out.push(character);
    }

    /// At a backslash outside of brackets. Gives `false`, as all that repeats nothing.
    fn escape(&mut self) -> Result<bool, String> {
        if self.skip("\\Q") {
            let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            text.chars().for_each(|character| self.literal(character));
            self.rest = rest;
        } else if self.rest.starts_with("\\A") || self.rest.starts_with("\\z") {
            self.copy(2, false);
        } else if self.skip("\\b") {
            self.out.push_str("(?-u:\\b)");
        } else if self.skip("\\B") {
            self.out.push_str("(?-u:\\B)");
        } else {
            match self.escaped()? {
                Escaped::Character(character) => self.literal(character),
                Escaped::Class(class) => self.out.extend(["[", &class, "]"]),
            }
        }
        Ok(false)
    }

    /// Reads an escape that may stand in brackets too.
    fn escaped(&mut self) -> Result<Escaped, String> {
        let before = self.rest;
        let rest = &mut self.rest;
        take(rest, 1, |_| true);
        let Some(character) = next(rest) else { return Err("trailing backslash at end of expression: ``".to_owned()) };
        let class = |text: &str| Some(Escaped::Class(text.to_owned()));
        let found = match character {
            'd' => class("0-9"),
            'D' => class("[^0-9]"),
            's' => class(r"\t\n\f\r "),
            'S' => class(r"[^\t\n\f\r ]"),
            'w' => class("0-9A-Za-z_"),
            'W' => class("[^0-9A-Za-z_]"),
            'p' | 'P' => unicode_class(character == 'P', rest).map(Escaped::Class),
            'a' => Some(Escaped::Character('\x07')),
            'f' => Some(Escaped::Character('\x0c')),
            'n' => Some(Escaped::Character('\n')),
            'r' => Some(Escaped::Character('\r')),
            't' => Some(Escaped::Character('\t')),
            'v' => Some(Escaped::Character('\x0b')),
            'x' => hexadecimal(rest).map(Escaped::Character),
            '0'..='7' => octal(character, rest).map(Escaped::Character),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Some(Escaped::Character(other)),
            _ => None,
        };
        found.ok_or_else(|| format!("invalid escape sequence: `{}`", &before[..before.len() - self.rest.len()]))
    }

    /// At an opening bracket: a class of characters.
    fn class(&mut self) -> Result<bool, String> {
        let before = self.rest;
        let missing = || format!("missing closing ]: `{before}`");
        self.copy(1, false);
        if self.rest.starts_with('^') {
            self.copy(1, false);
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if self.rest.starts_with("[:")
                && let Some(length) = self.rest[2..].find(":]")
            {
                let (class, name) = (&self.rest[..length + 4], &self.rest[2..length + 2]);
                if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!("invalid character class range: `{class}`"));
                }
                self.copy(length + 4, false);
                continue;
            }
            let start = self.rest;
            let low = match self.class_item().ok_or_else(missing)?? {
                Escaped::Character(low) => low,
                Escaped::Class(class) => {
                    self.out.push_str(&class);
                    continue;
                }
            };
            self.literal(low);
            if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
                continue;
            }
            self.copy(1, false);
            let Escaped::Character(high) = self.class_item().ok_or_else(missing)?? else {
                return Err(format!("invalid character class range: `{}`", &start[..start.len() - self.rest.len()]));
            };
            self.literal(high);
        }
        Ok(self.copy(1, false))
    }

    /// The next character or escape within brackets, if there is one.
    fn class_item(&mut self) -> Option<Result<Escaped, String>> {
        match self.rest.starts_with('\\') {
            true => Some(self.escaped()),
            false => next(&mut self.rest).map(|character| Ok(Escaped::Character(character))),
        }
    }

    /// At an opening parenthesis.
    fn group(&mut self) -> Result<bool, String> {
        let is_name = ["(?P<", "(?<"].iter().find(|start| self.rest.starts_with(**start));
        let length = match (is_name, self.rest.strip_prefix("(?")) {
            (Some(start), _) => start.len(),
            (None, None) => 1,
            (None, Some(flags)) => {
                let length = flags.find(|character| !"imsU-".contains(character)).unwrap_or(flags.len());
                if !flags[length..].starts_with([':', ')']) {
                    let shown = self.rest.chars().take(length + 3).collect::<String>();
                    return Err(format!("invalid or unsupported Perl syntax: `{shown}`"));
                }
                length + 3
            }
        };
        Ok(self.copy(length, false))
    }

    /// At an opening brace: says whether it repeats.
    fn brace(&mut self) -> Result<bool, String> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let inside = self.rest[1..].split_once('}').map(|(inside, _)| inside);
        let counts = inside.filter(|inside| {
            let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
            digits(least) && (most.is_empty() || digits(most))
        });
        let Some(counts) = counts else {
            self.rest = &self.rest[1..];
            self.literal('{');
            return Ok(false);
        };
        let is_too_many = |count: &str| count.parse().map_or(!count.is_empty(), |count: u32| count > REPEAT_MAX);
        if counts.split(',').any(is_too_many) {
            return Err(format!("invalid repeat count: `{{{counts}}}`"));
        }
        Ok(self.copy(counts.len() + 2, true))
    }
}

/// Characters that mean something to the `regex` package, within brackets or outside.
fn is_special(character: char) -> bool {
    r"\.+*?()|[]{}^$#&-~".contains(character)
}

fn next(rest: &mut &str) -> Option<char> {
    let mut characters = rest.chars();
    let character = characters.next();
    *rest = characters.as_str();
    character
}

/// Takes up to so many characters that are meant.
fn take<'t>(rest: &mut &'t str, most: usize, is_meant: impl Fn(char) -> bool) -> &'t str {
    let length = rest.chars().take(most).take_while(|character| is_meant(*character)).map(char::len_utf8).sum();
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}

/// Behind `\p`: a letter, or a name in braces.
fn unicode_class(is_negated: bool, rest: &mut &str) -> Option<String> {
    let mut name = take(rest, 1, |_| true);
    if name == "{" {
        name = take(rest, usize::MAX, |character| character != '}');
        next(rest)?;
    }
    let (is_turned, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| format!("\\{}{{{name}}}", if is_negated == is_turned { 'p' } else { 'P' }))
}

/// Behind `\x`: two digits, or some in braces.
fn hexadecimal(rest: &mut &str) -> Option<char> {
    let is_digit = |character: char| character.is_ascii_hexdigit();
    let digits = match take(rest, 1, |character| character == '{') {
        "" => Some(take(rest, 2, is_digit)).filter(|digits| digits.len() == 2)?,
        _ => Some(take(rest, usize::MAX, is_digit)).filter(|_| next(rest) == Some('}'))?,
    };
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

/// Up to three octal digits. One alone is a zero: others would refer to a group.
fn octal(first: char, rest: &mut &str) -> Option<char> {
    let more = take(rest, 2, |character| character.is_digit(8));
    if first != '0' && more.is_empty() {
        return None;
    }
    char::from_u32(u32::from_str_radix(&format!("{first}{more}"), 8).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_written_as_the_package_reads_it() {
        for (expression, wanted) in [
            ("", ""),
            ("api-.*|web-.+", "api-.*|web-.+"),
            (r"\d+\.\w*?[\d\W_-]", r"[0-9]+\.[0-9A-Za-z_]*?[0-9[^0-9A-Za-z_]_\-]"),
            (r"\Qa.b|(\E+\Qc*", r"a\.b\|\(+c\*"),
            (r"\bé\B", r"(?-u:\b)é(?-u:\B)"),
            ("a{2,3}b{,2}c{x}d{", r"a{2,3}b\{,2}c\{x}d\{"),
            ("[]a][^]-][[a&&b]", r"[\]a][^\]\-][\[a\&\&b]"),
            ("[+--][a-c-e]", r"[\+-\-][a-c\-e]"),
            (r"[\]-a[:alpha:]\pL\p{^Greek}\P{^Lu}]", r"[\]-a[:alpha:]\p{L}\P{Greek}\p{Lu}]"),
            (r"\<\_\x41\x{e9}\101\0", "<_AéA\0"),
            ("(?i)a(?P<n>b)(?<m>c)(?s-i:d)", "(?i)a(?P<n>b)(?<m>c)(?s-i:d)"),
        ] {
            let found = translated(expression);
            assert_eq!(found.as_deref(), Ok(wanted), "{expression}");
            regex::Regex::new(wanted).expect(wanted);
        }
    }

    #[test]
    fn parts_may_be_repeated_a_thousand_times_in_all() {
        for expression in [
            "(a{20}){50}",
            "a{500}b{500}",
            "(a{500}|b{600})c{900}",
            "(?i)(a{0}b{2}){0,500}",
            "(a)(b){1000}",
            r"\{{900}",
        ] {
            assert!(translated(expression).is_ok(), "{expression}");
        }
    }

    #[test]
    fn what_re2_does_not_read_is_refused() {
        for (expression, wanted) in [
            ("a**", "invalid nested repetition operator: `*`"),
            ("a{2}??", "invalid nested repetition operator: `?`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("(a{500}){500}", "invalid repeat count: `{500}`"),
            ("((?:xa{20}|b)*c){2,51}", "invalid repeat count: `{2,51}`"),
            ("(a{11,}){91,}", "invalid repeat count: `{91,}`"),
            (r"\y", r"invalid escape sequence: `\y`"),
            (r"(a)\1", r"invalid escape sequence: `\1`"),
            (r"[\b]", r"invalid escape sequence: `\b`"),
            (r"\u00e9", r"invalid escape sequence: `\u`"),
            (r"\x4", r"invalid escape sequence: `\x4`"),
            (r"\pé", r"invalid escape sequence: `\pé`"),
            ("[a", "missing closing ]: `[a`"),
            ("[[:no:]]", "invalid character class range: `[:no:]`"),
            ("(?x)a b", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("a\\", "trailing backslash at end of expression: ``"),
        ] {
            assert_eq!(translated(expression), Err(wanted.to_owned()), "{expression}");
        }
    }
}
