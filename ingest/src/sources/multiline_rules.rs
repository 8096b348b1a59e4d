//! What lines of stack traces look like, language by language. Pure looks at one line; [`super::multiline`] keeps the
//! state.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;

/// A line without the colours of a terminal, `ESC [ … LETTER`.
pub(super) fn without_colors(line: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(ESCAPE, line) else { return Cow::Borrowed(line) };
    let (begin, mut rest) = line.split_at(first);
    let mut plain = begin.to_vec();
    while let Some(behind) = rest.strip_prefix(&[ESCAPE]) {
        rest = match behind.strip_prefix(b"[") {
            Some(code) => {
                let end = code.iter().position(u8::is_ascii_alphabetic).map_or(code.len(), |at| at + 1);
                code.get(end..).unwrap_or_default()
            }
            None => behind,
        };
        let (text, next) = rest.split_at(memchr::memchr(ESCAPE, rest).unwrap_or(rest.len()));
        plain.extend_from_slice(text);
        rest = next;
    }
    Cow::Owned(plain)
}

const ESCAPE: u8 = 0x1b;

/// Starts with a blank or a tab.
pub(super) fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Surely begins a record: a time, JSON, a syslog priority.
pub(super) fn begins_record(line: &[u8]) -> bool {
    match line {
        [b'{' | b'<', ..] => true,
        [b'[', rest @ ..] => starts_with_date(rest),
        _ => starts_with_date(line),
    }
}

/// `2024-…`, `2024/…`, `12:34:56…`
fn starts_with_date(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match (digits, line.get(digits)) {
        (4, Some(b'-' | b'/' | b'.')) => true,
        (2, Some(b':' | b'/' | b'-')) => line.get(digits + 1).is_some_and(u8::is_ascii_digit),
        _ => false,
    }
}

/// Words of levels and of failures, found as whole words without regard to case, near the start of a line.
const ERROR_WORDS: [&[u8]; 13] = [
    b"error",
    b"err",
    b"critical",
    b"crit",
    b"fatal",
    b"severe",
    b"panic",
    b"exception",
    b"warn",
    b"warning",
    b"fail",
    b"failed",
    b"alert",
];
/// Something stands in all of them, and in all names of exceptions: most lines have nothing of it, and are looked at no
/// further.
static MAY_TELL_OF_ERROR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?i-u)err|crit|fatal|severe|panic|exception|warn|fail|alert|throwable").expect("a valid expression")
});
/// How far into a line these words are looked for, bytes.
const ERROR_WORDS_WITHIN: usize = 160;

/// A line behind which a trace may stand.
pub(super) fn tells_of_error(line: &[u8]) -> bool {
    let start = line.get(..ERROR_WORDS_WITHIN).unwrap_or(line);
    if !MAY_TELL_OF_ERROR.is_match(start) {
        return false;
    }
    let words = start.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    words
        .filter(|word| (3..=9).contains(&word.len()))
        .any(|word| ERROR_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
        || start.split(|byte| byte.is_ascii_whitespace()).any(|word| is_exception_name(word.trim_ascii_end()))
}

/// `java.lang.IllegalStateException`, `System.IO.IOException`, `ValueError`, with or without a colon behind.
fn is_exception_name(word: &[u8]) -> bool {
    let word = word.strip_suffix(b":").unwrap_or(word);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'`');
    let ends = [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|ending| word.ends_with(ending));
    ends && word.first().is_some_and(u8::is_ascii_alphabetic) && word.iter().all(is_name)
}

/// A line that begins with the name of an exception: `a.b.XException: message`.
pub(super) fn is_exception_line(line: &[u8]) -> bool {
    let name = line.split(|byte| matches!(byte, b':' | b' ')).next().unwrap_or_default();
    is_exception_name(name) && name.contains(&b'.')
}

/// A line that begins with the name of an error without a namespace: `TypeError: message`.
pub(super) fn is_error_line(line: &[u8]) -> bool {
    memchr::memchr(b':', line).and_then(|colon| line.get(..colon)).is_some_and(is_exception_name)
}

/// A line that is the name of a class, with or without a message: `com.acme.PaymentDeclined: card expired`. Without a
/// package it has a capital inside, which single words have not that begin a line.
pub(super) fn is_class_line(line: &[u8]) -> bool {
    let end = memchr::memchr3(b':', b' ', b'\t', line).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let is_part = |part: &[u8]| {
        part.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
    };
    let class = name.split(|byte| *byte == b'.').next_back().unwrap_or_default();
    let has_hump = || class.windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    (rest.trim_ascii().is_empty() || rest.starts_with(b": "))
        && (name.contains(&b'.') || has_hump())
        && class.first().is_some_and(u8::is_ascii_uppercase)
        && name.split(|byte| *byte == b'.').all(is_part)
}

/// What runtimes print before an exception that nobody caught.
pub(super) fn is_uncaught(line: &[u8]) -> bool {
    [&b"Exception in thread "[..], b"Unhandled exception", b"Unhandled Exception"]
        .iter()
        .any(|start| line.starts_with(start))
}

/// `\tat a.b.C.d(C.java:3)`, `   at A.B() in x.cs:line 5`, `\t... 3 more`.
pub(super) fn is_java_frame(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    is_indented(line)
        && (text.starts_with(b"at ")
            || text.starts_with(b"... ") && (text.ends_with(b" more") || text.ends_with(b"omitted")))
}

/// A frame with what is called and where: `\tat a.b.C.d(C.java:3)`.
pub(super) fn is_call_frame(line: &[u8]) -> bool {
    let call = line.trim_ascii_start().strip_prefix(b"at ");
    is_indented(line) && call.is_some_and(|call| call.contains(&b'.') && call.contains(&b'('))
}

/// The place where Node says that an error was thrown which nobody caught: `/srv/a.js:10`, `file:///srv/a.mjs:10`,
/// `node:internal/process/promises:394`, `C:\a.js:10`, `[eval]:1`.
pub(super) fn is_node_place(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let Some(colon) = memchr::memrchr(b':', line) else { return false };
    let (path, number) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
    let begins = match path {
        [b'/', _, ..] | [b'A'..=b'Z' | b'a'..=b'z', b':', b'\\', ..] => true,
        _ => [&b"file://"[..], b"node:", b"[eval"].iter().any(|start| path.starts_with(start)),
    };
    begins && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

/// `    ^`, `  ^^^^`: what is meant in the line of source above.
pub(super) fn is_caret(line: &[u8]) -> bool {
    let marks = line.trim_ascii();
    !marks.is_empty() && marks.iter().all(|byte| *byte == b'^')
}

/// `Node.js v22.14.0`, which Node writes last.
pub(super) fn is_node_version(line: &[u8]) -> bool {
    line.strip_prefix(b"Node.js v").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// `    at f (a.js:1:2) {`: what else an error of Node holds follows, up to a brace in a line of its own.
pub(super) fn ends_with_brace(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b" {")
}

/// `}`
pub(super) fn is_closing_brace(line: &[u8]) -> bool {
    line.trim_ascii_end() == b"}"
}

/// `[AggregateError: All promises were rejected] {`, as Node shows an error without a trace, also behind other text.
pub(super) fn is_braced_error(line: &[u8]) -> bool {
    let Some(text) = line.trim_ascii_end().strip_suffix(b"] {") else { return false };
    let opens = memchr::memchr_iter(b'[', text).filter(|at| *at == 0 || text.get(at - 1) == Some(&b' '));
    opens
        .filter_map(|at| text.get(at + 1..))
        .filter_map(|inside| inside.split(|byte| *byte == b':').next())
        .any(|name| is_exception_name(name) || name == b"UnhandledPromiseRejection")
}

/// `fail: Shop.Worker[13]`, as the console logger of .NET writes before an indented message.
pub(super) fn is_dotnet_category(line: &[u8]) -> bool {
    let levels = [&b"trce: "[..], b"dbug: ", b"info: ", b"warn: ", b"fail: ", b"crit: "];
    let Some(category) = levels.iter().find_map(|level| line.strip_prefix(*level)) else { return false };
    category.ends_with(b"]") && category.contains(&b'[') && !category.contains(&b' ')
}

/// A line inside of a trace of Java or .NET.
pub(super) fn continues_frames(line: &[u8]) -> bool {
    is_indented(line) || names_cause(line) || line.starts_with(END_OF_CAUSE) || is_tail_of_sql(line)
}

/// What an exception of .NET's client of SQL Server says behind its frames.
fn is_tail_of_sql(line: &[u8]) -> bool {
    [&b"ClientConnectionId"[..], b"Error Number:", b"Routing Destination:"].iter().any(|start| line.starts_with(start))
}

/// What stands behind the message of an exception of Java or .NET.
pub(super) fn begins_frames(line: &[u8]) -> bool {
    is_java_frame(line) || names_cause(line) || line.trim_ascii_start().starts_with(END_OF_CAUSE)
}

/// Names another exception of the same trace of Java or .NET.
pub(super) fn names_cause(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    [&b"Caused by: "[..], b"Suppressed: ", b"---> "].iter().any(|start| text.starts_with(start))
}

/// `--- End of inner exception stack trace ---`
const END_OF_CAUSE: &[u8] = b"--- End of ";

/// `Traceback (most recent call last):`, also behind the `+` of a group; or the place of a fault of syntax, which has no
/// such line before it.
pub(super) fn is_python_traceback(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.strip_prefix(b"+ Exception Group ").unwrap_or(text).starts_with(b"Traceback (most recent call last)")
        || is_syntax_place(line)
}

/// `  File "shop.py", line 3`, with nothing behind: a frame has the name of its function there.
fn is_syntax_place(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"  File \"") else { return false };
    let mark = b"\", line ";
    let number = memchr::memmem::find(rest, mark).and_then(|at| rest.get(at + mark.len()..)).unwrap_or_default();
    !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

/// The first line of the trace of several exceptions.
pub(super) fn is_python_group(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"+ Exception Group ")
}

/// What Python writes between two tracebacks of one chain.
pub(super) fn is_python_link(line: &[u8]) -> bool {
    line.starts_with(b"During handling of the above exception")
        || line.starts_with(b"The above exception was the direct cause")
}

/// What a dying program of Go writes first.
pub(super) fn is_go_panic(line: &[u8]) -> bool {
    [&b"panic: "[..], b"fatal error: ", b"SIGSEGV: ", b"SIGABRT: ", b"SIGQUIT: "]
        .iter()
        .any(|start| line.starts_with(start))
        || is_goroutine(line)
}

/// `goroutine 1 [running]:`
pub(super) fn is_goroutine(line: &[u8]) -> bool {
    line.strip_prefix(b"goroutine ").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// A line inside of a trace of Go. Behind a blank line only a goroutine goes on.
pub(super) fn continues_goroutines(line: &[u8], after_blank: bool) -> bool {
    if is_goroutine(line) || line.starts_with(b"runtime stack:") {
        return true;
    }
    if after_blank {
        return is_register(line);
    }
    is_indented(line)
        || [&b"created by "[..], b"[signal ", b"exit status ", b"...additional frames"]
            .iter()
            .any(|start| line.starts_with(start))
        || is_go_call(line)
        || is_register(line)
}

/// `main.work(0x1, {0x2, 0x3})`, `net/http.(*conn).serve(…)`: a name with a dot, brackets, and the bracket closes the line.
fn is_go_call(line: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'(', line) else { return false };
    let name = line.get(..open).unwrap_or_default();
    line.ends_with(b")") && (name.contains(&b'.') || name == b"panic") && !name.iter().any(u8::is_ascii_whitespace)
}

/// `main.charge`, `github.com/acme/shop.(*Server).Charge.func1`: a function of Go, without arguments, in a trace that a
/// program took of itself (zap, pkg/errors).
pub(super) fn is_go_function(line: &[u8]) -> bool {
    let is_inside = |byte: &u8| {
        let marks = matches!(byte, b'.' | b'/' | b'_' | b'-' | b'(' | b')' | b'*' | b'[' | b']' | b'%' | b'~' | b',');
        marks || byte.is_ascii_alphanumeric()
    };
    line.first().is_some_and(u8::is_ascii_alphabetic) && line.contains(&b'.') && line.iter().all(is_inside)
}

/// `\t/srv/shop/main.go:15`, the place behind that.
pub(super) fn is_go_place(line: &[u8]) -> bool {
    let Some(place) = line.strip_prefix(b"\t").map(<[u8]>::trim_ascii_end) else { return false };
    let Some(colon) = memchr::memrchr(b':', place) else { return false };
    let (file, number) = (place.get(..colon).unwrap_or_default(), place.get(colon + 1..).unwrap_or_default());
    let ends = [&b".go"[..], b".s", b"<autogenerated>"].iter().any(|ending| file.ends_with(ending));
    ends && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

/// `rax    0x0`, of the dump of a fatal signal.
fn is_register(line: &[u8]) -> bool {
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let (name, value, rest) = (words.next(), words.next(), words.next());
    rest.is_none()
        && name.is_some_and(|name| (2..=6).contains(&name.len()) && name.iter().all(u8::is_ascii_alphanumeric))
        && value.is_some_and(|value| value.starts_with(b"0x"))
}

/// `thread 'main' panicked at src/main.rs:2:5:`, with or without a number behind the name.
pub(super) fn is_rust_panic(line: &[u8]) -> bool {
    line.starts_with(b"thread '") && memchr::memmem::find(line, b" panicked at ").is_some()
}

/// `Caused by:`, as errors with causes are printed.
pub(super) fn is_cause_list(line: &[u8]) -> bool {
    line.starts_with(b"Caused by:") || line.starts_with(b"Stack backtrace:")
}

/// What stands behind the message of a panic.
pub(super) fn ends_message(line: &[u8]) -> bool {
    [&b"stack backtrace:"[..], b"note: ", b"  left: ", b" right: "].iter().any(|start| line.starts_with(start))
}

/// A line behind the message of a panic.
pub(super) fn continues_backtrace(line: &[u8], after_blank: bool) -> bool {
    if is_cause_list(line) {
        return true;
    }
    !after_blank && (is_indented(line) || line.starts_with(b"stack backtrace:") || line.starts_with(b"note: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_tells_of_an_error_is_looked_at() {
        let exceptions = [&b"a.b.CException:"[..], b"ValueError", b"java.lang.Throwable"];
        for word in ERROR_WORDS.into_iter().chain(exceptions) {
            assert!(tells_of_error(&[b"10:00 ", word, b" x"].concat()), "{}", word.escape_ascii());
            assert!(MAY_TELL_OF_ERROR.is_match(&word.to_ascii_uppercase()), "{}", word.escape_ascii());
        }
        assert!(!tells_of_error(b"10:00 level=info erroneous warnings alerted"));
    }
}
