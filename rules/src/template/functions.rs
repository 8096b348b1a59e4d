//! The functions of templates: Go's own and Prometheus'.

use std::borrow::Cow;

use watchfire_model::{Timestamp, re2, time::parse_duration_ms};

use super::expand::{Out, Result};
use super::go_format::{printf, significant};

/// Longest text a function may make, bytes.
const TEXT_MAX: usize = 64 << 10;
/// Largest compiled size of a pattern, bytes.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// A function that a template can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Print,
    Println,
    Printf,
    Len,
    Index,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Not,
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    HumanizeTimestamp,
    ParseDuration,
    Title,
    ToUpper,
    ToLower,
    Match,
    ReReplaceAll,
    StripPort,
    StripDomain,
    SafeHtml,
    Html,
}

const MANY: usize = usize::MAX;

/// Name, function, fewest and most arguments.
pub(super) const FUNCTIONS: &[(&str, Function, usize, usize)] = &[
    ("print", Function::Print, 0, MANY),
    ("println", Function::Println, 0, MANY),
    ("printf", Function::Printf, 1, MANY),
    ("len", Function::Len, 1, 1),
    ("index", Function::Index, 2, 2),
    ("eq", Function::Equal, 2, MANY),
    ("ne", Function::NotEqual, 2, 2),
    ("lt", Function::Less, 2, 2),
    ("le", Function::LessOrEqual, 2, 2),
    ("gt", Function::Greater, 2, 2),
    ("ge", Function::GreaterOrEqual, 2, 2),
    ("and", Function::And, 1, MANY),
    ("or", Function::Or, 1, MANY),
    ("not", Function::Not, 1, 1),
    ("humanize", Function::Humanize, 1, 1),
    ("humanize1024", Function::Humanize1024, 1, 1),
    ("humanizeDuration", Function::HumanizeDuration, 1, 1),
    ("humanizePercentage", Function::HumanizePercentage, 1, 1),
    ("humanizeTimestamp", Function::HumanizeTimestamp, 1, 1),
    ("parseDuration", Function::ParseDuration, 1, 1),
    ("title", Function::Title, 1, 1),
    ("toUpper", Function::ToUpper, 1, 1),
    ("toLower", Function::ToLower, 1, 1),
    ("match", Function::Match, 2, 2),
    ("reReplaceAll", Function::ReReplaceAll, 3, 3),
    ("stripPort", Function::StripPort, 1, 1),
    ("stripDomain", Function::StripDomain, 1, 1),
    ("safeHtml", Function::SafeHtml, 1, 1),
    ("html", Function::Html, 1, 1),
];

/// Words of Go's and Prometheus' templates that this version does not know.
pub(super) const LATER: &[&str] = &[
    "args",
    "block",
    "break",
    "call",
    "continue",
    "define",
    "externalURL",
    "first",
    "graphLink",
    "js",
    "label",
    "now",
    "pathPrefix",
    "query",
    "range",
    "slice",
    "sortByLabel",
    "strvalue",
    "tableLink",
    "template",
    "tmpl",
    "toDuration",
    "toTime",
    "urlQueryEscape",
    "urlquery",
    "value",
    "with",
];

/// Compiles a pattern of `match` or `reReplaceAll`.
pub(super) fn compile(pattern: &str) -> std::result::Result<regex::Regex, String> {
    re2::compile(pattern, REGEX_SIZE_LIMIT).map_err(|why| format!("not a regular expression: {why}"))
}

/// Calls a function; how many arguments there are was checked when the template was parsed.
pub(super) fn call<'a>(function: Function, arguments: Vec<Out<'a>>, pattern: Option<&regex::Regex>) -> Result<Out<'a>> {
    let first = arguments.first();
    let out = match function {
        Function::Print => Out::text(print(&arguments)),
        Function::Println => {
            let words: Vec<String> = arguments.iter().map(Out::print).collect();
            Out::text(words.join(" ") + "\n")
        }
        Function::Printf => {
            let format = first.map(Out::print).unwrap_or_default();
            Out::text(printf(&format, arguments.get(1..).unwrap_or_default())?)
        }
        Function::Len => match first {
            Some(Out::Text(text)) => length(text.len()),
            Some(Out::Labels(labels)) => length(labels.len()),
            _ => return Err("len of a value that has no length".to_owned()),
        },
        Function::Index => match arguments.as_slice() {
            [Out::Labels(labels), Out::Text(name)] => {
                Out::Text(Cow::Borrowed(labels.get(name.as_ref()).unwrap_or_default()))
            }
            _ => return Err("index takes $labels and a label name".to_owned()),
        },
        Function::Equal => {
            let mut any = false;
            for other in arguments.iter().skip(1) {
                any |= order(first, Some(other))? == Some(std::cmp::Ordering::Equal);
            }
            Out::Bool(any)
        }
        Function::NotEqual => Out::Bool(compare(&arguments)?.is_none_or(std::cmp::Ordering::is_ne)),
        Function::Less => Out::Bool(compare(&arguments)?.is_some_and(std::cmp::Ordering::is_lt)),
        Function::LessOrEqual => Out::Bool(compare(&arguments)?.is_some_and(std::cmp::Ordering::is_le)),
        Function::Greater => Out::Bool(compare(&arguments)?.is_some_and(std::cmp::Ordering::is_gt)),
        Function::GreaterOrEqual => Out::Bool(compare(&arguments)?.is_some_and(std::cmp::Ordering::is_ge)),
        Function::And => pick(arguments, false),
        Function::Or => pick(arguments, true),
        Function::Not => Out::Bool(!first.is_some_and(Out::is_true)),
        Function::Humanize => Out::text(humanize(number(first)?)),
        Function::Humanize1024 => Out::text(humanize_1024(number(first)?)),
        Function::HumanizeDuration => Out::text(humanize_duration(number(first)?)),
        Function::HumanizePercentage => Out::text(significant(number(first)? * 100.0, 4) + "%"),
        Function::HumanizeTimestamp => Out::text(humanize_timestamp(number(first)?)?),
        Function::ParseDuration => {
            let text = words(first);
            let millis = parse_duration_ms(&text).ok_or_else(|| format!("`{text}` is no duration"))?;
            Out::Float(millis as f64 / 1000.0)
        }
        Function::Title => Out::text(title(&words(first))),
        Function::ToUpper => Out::text(words(first).to_uppercase()),
        Function::ToLower => Out::text(words(first).to_lowercase()),
        Function::Match => {
            let compiled = compiled(pattern, first)?;
            Out::Bool(compiled.is_match(&words(arguments.get(1))))
        }
        Function::ReReplaceAll => {
            let compiled = compiled(pattern, first)?;
            let (replacement, text) = (words(arguments.get(1)), words(arguments.get(2)));
            Out::text(compiled.replace_all(&text, replacement.as_str()).into_owned())
        }
        Function::StripPort => Out::text(strip_port(&words(first))),
        Function::StripDomain => Out::text(strip_domain(&words(first))),
        Function::SafeHtml => Out::text(words(first)),
        Function::Html => Out::text(escape_html(&words(first))),
    };
    match &out {
        Out::Text(text) if text.len() > TEXT_MAX => Err(format!("a text above {TEXT_MAX} bytes")),
        _ => Ok(out),
    }
}

/// Go's `Sprint`: a blank only between two values that are no strings.
fn print(arguments: &[Out<'_>]) -> String {
    let mut out = String::new();
    for (at, argument) in arguments.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| arguments.get(before));
        if before.is_some_and(|before| !matches!((before, argument), (Out::Text(_), _) | (_, Out::Text(_)))) {
            out.push(' ');
        }
        out.push_str(&argument.print());
    }
    out
}

fn length<'a>(count: usize) -> Out<'a> {
    Out::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn words(argument: Option<&Out<'_>>) -> String {
    argument.map(Out::print).unwrap_or_default()
}

/// The argument as a number; a text is read as one.
fn number(argument: Option<&Out<'_>>) -> Result<f64> {
    match argument {
        Some(Out::Float(value)) => Ok(*value),
        Some(Out::Int(value)) => Ok(*value as f64),
        Some(Out::Text(text)) => text.trim().parse().map_err(|_| format!("`{text}` is no number")),
        Some(other @ (Out::Bool(_) | Out::Labels(_))) => Err(format!("{} is no number", other.go_type())),
        None => Err("a number is missing".to_owned()),
    }
}

fn compare(arguments: &[Out<'_>]) -> Result<Option<std::cmp::Ordering>> {
    order(arguments.first(), arguments.get(1))
}

/// The order of two values of one kind; `None` with a NaN.
fn order(left: Option<&Out<'_>>, right: Option<&Out<'_>>) -> Result<Option<std::cmp::Ordering>> {
    match (left, right) {
        (Some(Out::Text(left)), Some(Out::Text(right))) => Ok(Some(left.cmp(right))),
        (Some(Out::Bool(left)), Some(Out::Bool(right))) => Ok(Some(left.cmp(right))),
        (Some(Out::Float(_) | Out::Int(_)), Some(Out::Float(_) | Out::Int(_))) => {
            Ok(number(left)?.partial_cmp(&number(right)?))
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

/// `and`, `or`: the first argument that decides, else the last.
fn pick(arguments: Vec<Out<'_>>, deciding: bool) -> Out<'_> {
    let mut last = Out::Bool(false);
    for argument in arguments {
        let decides = argument.is_true() == deciding;
        last = argument;
        if decides {
            break;
        }
    }
    last
}

fn compiled<'p>(pattern: Option<&'p regex::Regex>, written: Option<&Out<'_>>) -> Result<Cow<'p, regex::Regex>> {
    match pattern {
        Some(pattern) => Ok(Cow::Borrowed(pattern)),
        None => compile(&words(written)).map(Cow::Owned),
    }
}

/// Divides (above one) or multiplies (below) by a thousand until one digit stands before the point.
/// Source of this and the next: Prometheus, template/template.go.
fn humanize(mut value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let mut prefix = "";
    if value.abs() >= 1.0 {
        for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if value.abs() < 1000.0 {
                break;
            }
            prefix = next;
            value /= 1000.0;
        }
        return significant(value, 4) + prefix;
    }
    let (value, prefix) = small(value);
    significant(value, 4) + prefix
}

fn small(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

fn humanize_1024(mut value: f64) -> String {
    let mut prefix = "";
    if value.abs() > 1.0 && value.is_finite() {
        for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
            if value.abs() < 1024.0 {
                break;
            }
            prefix = next;
            value /= 1024.0;
        }
    }
    significant(value, 4) + prefix
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return significant(value, 4);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = small(value);
        return significant(value, 4) + prefix + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    // Saturates: a duration of that length is printed as the longest there is.
    let whole = value as u64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", significant(value, 4))
    }
}

/// Seconds since the epoch as Go prints a time: `2024-01-01 00:00:00 +0000 UTC`.
fn humanize_timestamp(value: f64) -> Result<String> {
    if !value.is_finite() {
        return Ok(significant(value, 4));
    }
    let millis = value * 1000.0;
    if millis.abs() > 2.5e14 {
        return Err(format!("{} is no time in seconds since the epoch", significant(value, 4)));
    }
    let text = Timestamp::from_millis(millis.round() as i64).to_rfc3339();
    let text = text.trim_end_matches('Z').replacen('T', " ", 1);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    Ok(format!("{text} +0000 UTC"))
}

/// The first letter of every word in upper case.
fn title(text: &str) -> String {
    let mut in_word = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if in_word || !c.is_alphanumeric() {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric() || c == '_' || c == '\'';
    }
    out
}

/// `host:port` and `[::1]:port` without the port.
fn strip_port(text: &str) -> String {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.split_once("]:").map_or(text, |(host, _)| host).to_owned();
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => host.to_owned(),
        _ => text.to_owned(),
    }
}

/// `web1.example.org:80` as `web1:80`; addresses stay whole.
fn strip_domain(text: &str) -> String {
    let host = strip_port(text);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let port = text.strip_prefix(host.as_str()).unwrap_or_default();
    host.split('.').next().unwrap_or_default().to_owned() + port
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
